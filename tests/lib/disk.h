/*
 * disk: a disk whose power can be cut, below everything a process writes. Every call that changes files under one folder is noted
 * in order, with its bytes - those of struct io, LMDB's own and any other, because disk_calls.c stands in for the C library's
 * functions in the programs it is linked into. From these notes any state that a power cut may leave can be made, at any
 * call, without running the work again:
 *
 *     disk_begin(root);                     what is in the folder now is durable
 *     ... work ...                          disk_mark(n) between the steps
 *     struct disk_trace *t = disk_end();
 *     struct disk_image *image = disk_image_new(t);
 *     for (size_t cut = 0; ; cut++) {       before call number `cut`
 *             struct disk_state *s = disk_state_new(image, DISK_SOME, seed);
 *             disk_state_write(s, folder);  ... open what is there and look ...
 *             disk_state_free(s);
 *             if (!disk_image_step(image)) break;
 *     }
 *
 * What is durable: bytes and size of a file after fdatasync or fsync of it; names after fsync of their folder (also names of new
 * folders). Of all else any part may be there: see enum disk_keep. Nothing is really synced while the calls are noted, so it is fast
 * on any file system.
 *
 * The same place makes calls fail (disk_fail), and lets the clock go on (disk_pass) without waiting.
 *
 * Limits: hard links, O_APPEND and shared mappings that are written are not simulated. Threads: any; calls that change
 * something go one at a time while they are noted.
 */
#ifndef TOMOFS_DISK_H
#define TOMOFS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum disk_kind {
	DISK_WRITE = 1, /* ino, off, len, bytes; synced: it was durable when it returned (O_DSYNC) */
	DISK_TRUNCATE = 2, /* ino, off: the new size */
	DISK_SYNC = 4,
	DISK_LOST = 8,	    /* a sync of ino that failed: what waited for it is not written any more, whatever is said later */
	DISK_LINK = 16,	    /* a new file or folder (is_dir) ino: dir, name */
	DISK_UNLINK = 32,   /* dir, name */
	DISK_RENAME = 64,   /* ino from dir, name to dir2, name2 */
	DISK_SYNC_DIR = 128,
	DISK_MARK = 256, /* off: the number */
	DISK_OPEN = 512, /* only for disk_fail(): opening a file for writing */
	DISK_CHANGES = 255,
};

struct disk_op {
	enum disk_kind kind;
	uint32_t ino, dir, dir2; /* numbers of files; 0 is the folder itself */
	const char *name, *name2;
	uint64_t off;
	size_t len;
	uint8_t *bytes;
	bool synced, is_dir;
};

/* ---- notes ---- */

struct disk_trace;

void disk_begin(const char *root);
struct disk_trace *disk_end(void);
void disk_mark(uint64_t number);
void disk_trace_free(struct disk_trace *trace);
size_t disk_trace_count(const struct disk_trace *trace);
const struct disk_op *disk_trace_op(const struct disk_trace *trace, size_t i);
/* One line: "write packs/0001.pack 512+4096". */
void disk_op_print(const struct disk_trace *trace, size_t i, FILE *out);

/* ---- what a cut leaves ---- */

struct disk_image;
struct disk_image *disk_image_new(const struct disk_trace *trace);
void disk_image_free(struct disk_image *image);
/* One call more. False at the end of the trace. */
bool disk_image_step(struct disk_image *image);
/* Calls of these kinds on files below this path ("" all) are taken as not made: a disk that lies, to see that it is found out. */
void disk_image_lie(struct disk_image *image, unsigned kinds, const char *below);

enum disk_keep {
	DISK_NONE, /* only what was synced */
	DISK_ALL,  /* everything: the process was killed */
	DISK_SOME, /* of names: none, all, the first ones, or any; of each file: nothing, all, or of each write nothing, all, the
		    * first sectors of it, any sectors of it, or its length only, with zeros */
};
struct disk_state;
struct disk_state *disk_state_new(const struct disk_image *image, enum disk_keep keep, uint64_t seed);
void disk_state_free(struct disk_state *state);
/* The same number: the same names and bytes. */
uint64_t disk_state_hash(const struct disk_state *state);
/* Takes a file or folder out ("index"). */
void disk_state_remove(struct disk_state *state, const char *path);
/* Gives a file other bytes, which the state takes, if it is there. */
void disk_state_replace(struct disk_state *state, const char *path, uint8_t *bytes, size_t len);
/* Its bytes, which stay the state's; NULL when it is not there. */
const uint8_t *disk_state_bytes(const struct disk_state *state, const char *path, size_t *len);
/* The last path, in byte order, that begins so; NULL. */
const char *disk_state_last(const struct disk_state *state, const char *begin);
/* Makes the folder and all in it. */
void disk_state_write(const struct disk_state *state, const char *folder);

/* ---- a failing disk ---- */

/* The nth call (1: the next) of these kinds fails with this errno; on: and all later ones. code 0: it writes half (a short write). */
void disk_fail(unsigned kinds, uint64_t nth, int code, bool on);
/* Did it come to that since disk_fail()? */
bool disk_failed(void);

/* ---- the clock ---- */

/* All clocks go on by so much, and threads that wait for a time look again. */
void disk_pass(int64_t ns);

/* From now on getrandom() gives the numbers of this seed. */
void disk_seed(uint64_t seed);

/* ---- for disk_calls.c ---- */

bool disk_is_below(const char *path);
void disk_lock(void);
void disk_unlock(void);
/* 0, or an errno to fail with; *half: only half of the write. Called with the lock. */
int disk_enter(enum disk_kind kind, bool *half);
/* Each called with the lock, after the real call has succeeded. */
void disk_note_open(int fd, const char *path, int flags, bool existed);
void disk_note_close(int fd);
bool disk_fd_is_noted(int fd);
void disk_note_write(int fd, const void *bytes, size_t len, uint64_t off);
void disk_note_truncate(int fd, uint64_t size);
void disk_note_sync(int fd, bool good);
void disk_note_mkdir(const char *path);
void disk_note_unlink(const char *path);
void disk_note_rename(const char *from, const char *to);

#endif
