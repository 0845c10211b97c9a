/*
 * ahead: chunks are decoded before somebody asks for them. Two kinds of sequential readers are seen:
 *
 *     within a file       one read goes on where the last one ended; as much is ahead as was read in a row, from AHEAD_MIN to the bound
 *     from file to file   most of a file was read after most of its neighbour: the next files of the folder are on their way
 *                         before they are opened (slices of a stack); natural and byte order of names are both followed
 *
 * A reader who takes a few bytes from the beginning (`file`, `head`), or bytes here and there, starts nothing. What runs ahead
 * of one reader is at most `bound` bytes and the rest of one chunk.
 *
 * Chunks are decoded on the store's pool; where that has no room a thread of its own waits for it, so that no reader ever does.
 * What its reader has gone through before its turn came is not decoded. A failure is nobody's: whoever wants those bytes meets it again.
 *
 * Threads: any, but struct reading is its owner's to lock.
 */
#ifndef TOMOFS_AHEAD_H
#define TOMOFS_AHEAD_H

#include "index/catalog.h"

struct ahead;

enum {
	AHEAD_MIN = 1 << 20,       /* bytes: the first distance of a reader */
	AHEAD_MAX = 16 << 20,      /* bytes: a good bound where memory is plenty */
	AHEAD_FILE_MIN = 64 << 10, /* files smaller than this are not looked for in their folder */
	AHEAD_CHUNKS = 32,         /* at most so many are asked for at once */
};

/* store and catalog must outlive it. bound: bytes ahead of one reader. 0 or -errno. */
int ahead_new(struct ahead **out, struct store *store, struct catalog *catalog, size_t bound);
/* NULL is fine. */
void ahead_free(struct ahead *ahead);

/* How one open file is being read. Zero: not at all yet. */
struct reading {
	uint64_t next;   /* where a sequential reader goes on */
	uint64_t ahead;  /* asked for up to here */
	uint64_t given;  /* bytes read, since it was opened */
	uint64_t run;    /* of these, one after the other until now */
	bool told;       /* ahead_file_read() knows of it */
};

/* [off, off+len) of a file of `size` bytes is being read. True when chunks from *from to *to shall be asked for now. */
bool reading_note(struct reading *reading, const struct ahead *ahead, uint64_t size, uint64_t off, size_t len, uint64_t *from,
		  uint64_t *to);
/* True once: when most of a file has been read. */
bool reading_ends(struct reading *reading, uint64_t size);

/* Asks for chunks (holes are passed over). Never waits; of what is too much the reader has to wait himself. */
void ahead_chunks(struct ahead *ahead, const struct extent *list, size_t count);
/* Most of a file's bytes have been read. Never waits. */
void ahead_file_read(struct ahead *ahead, uint64_t ino);

/* Waits until nothing is under way (for tests). */
void ahead_settle(struct ahead *ahead);

#endif
