/*
 * file_internal: what the files of file share.
 *
 *     files.c        the table of files that are open or not yet committed
 *     flusher.c      the threads that work behind the writers: runs into the map, commits after a close, hashes
 *     run_memory.c   the memory of runs, used again and again
 *     file.c         open, release, flush, fsync, clone
 *     file_read.c    reading: what is dirty over what is stored
 *     file_write.c   writing and truncating: into dirty runs
 *     file_range.c   fallocate, holes
 *     file_cut.c     where the chunk borders are: what is known of the file's pixels
 *     file_put.c     dirty runs -> chunks in the map
 *     file_commit.c  the map and SHA-256 -> the catalog
 *
 * The bytes of a file are three layers: the map (chunks in the store), the runs that are on their way into it (in the order in which
 * they were handed over; they do not change any more), and the dirty runs on top (sorted, not overlapping). One thread at a
 * time, the one that holds `processing`, moves runs into the map; reading bytes for it needs no lock, since chunks never change.
 *
 * A close does not wait for the file to be stored when all of its content is new: `promised` is set, a flusher commits it, and the
 * file stays in the table until the catalog has it. So whatever asks the table before the catalog sees one state.
 */
#ifndef TOMOFS_FILE_INTERNAL_H
#define TOMOFS_FILE_INTERNAL_H

#include <openssl/evp.h>

#include "fs/ahead.h"
#include "fs/content.h"
#include "fs/file.h"
#include "fs/layout_hint.h"
#include "fs/run_memory.h"

enum {
	RUN_FLUSH = 8 << 20,      /* a run of this size is handed to a flusher */
	RUN_HOLD = 32 << 20,      /* at the latest at this size, when its borders depend on what comes */
	KEPT_MAX = 64 << 20,      /* bytes of closed files that are kept for whoever is told */
	RUNS_MAX = 4096,          /* so are all when there are more runs than this */
	FLUSHERS_MAX = 16,
};
#define FILE_BYTES_MAX (16ULL << 40)

struct run {
	struct run *next; /* of those on their way */
	uint64_t off;
	uint8_t *base, *data; /* of the buffer, owned; of the bytes: behind those that were put already */
	size_t len, cap;
};

struct file {
	struct files *files;
	struct file *next; /* in its bucket */
	uint64_t ino;
	unsigned refs;     /* handles and queued work; under files->lock */
	struct file *queue_next; /* in the flushers' queue; under files->lock */
	int64_t queued_ns;
	bool queued, serving, again; /* waits; a flusher is at it; and shall come back */
	struct file *later_next; /* in the list of those that were promised while they stay open; under files->lock */
	int64_t later_ns;        /* when it is due */
	bool later;
	struct file *hash_next;  /* in the queue of those to be hashed; under files->lock */
	bool hash_queued;
	bool hash_running;       /* its turn; with a reference of its own, as in the queue */

	pthread_mutex_t lock; /* for all below */
	pthread_cond_t idle;  /* processing ended */
	unsigned writers;
	bool processing;
	unsigned awaited; /* how many wait for that */
	bool cutting;            /* a truncation is going on: writers wait for idle */
	bool committing;         /* `changed` is not set any more and the catalog does not have it yet */
	bool flushed;            /* somebody was promised something since the commit that is going on began */
	bool promised;           /* flush said that all so far will be committed */
	bool fresh;              /* all content was written since it was loaded, and none of it again after a commit */
	uint64_t committed;      /* size when it was committed last; 0 since it was emptied */
	bool closing;            /* the last writer went: closed() is to be told once it is committed */
	bool telling;            /* closed() is being told */
	bool pinned;             /* what was promised could not be kept: stays in the table with its error */
	int64_t promised_ns;
	struct caller promised_to;
	struct content_map *map; /* changed only by the thread that holds processing, with the lock held */
	struct content saved;    /* as it is in the catalog */
	uint64_t size;
	struct run *dirty;       /* array, sorted */
	size_t dirty_count, dirty_cap;
	struct run *moving, **moving_end; /* list */
	struct run *kept;        /* all bytes of a closed file, as they are in the map, until closed() was told; NULL: not kept */
	int64_t mtime_ns;
	bool changed;            /* the catalog does not have it yet */
	bool told_written;
	int error;               /* sticky, positive errno; 0: none */
	bool error_told;         /* to somebody who writes it */
	bool lost;               /* what was promised is among what failed */
	char error_text[512];
	struct reading reading;  /* how it is read */

	struct layout *layout;   /* of the pixels; NULL: not known. These three are held by the thread that holds processing */
	uint64_t cut_off;        /* cut in order up to here; UINT64_MAX: not in order any more */
	uint64_t laid;           /* bytes that the layout has seen */
	bool laid_last;          /* it was told that the file ends there */
	bool hurry;              /* memory is short: do not wait for better borders */

	EVP_MD_CTX *sha;         /* of the bytes before sha_off; held by the thread that holds processing */
	uint64_t sha_off;
	bool sha_valid;          /* nothing before sha_off was put again */
};

enum { FILE_BUCKETS = 4096 };

struct files {
	struct store *store;
	struct catalog *catalog;
	struct ahead *ahead;
	size_t budget;
	void (*closed)(void *ctx, uint64_t ino, bool at_hand);
	void (*written)(void *ctx, uint64_t ino);
	void *ctx;
	void (*lost)(void *ctx, uint64_t ino);
	void *lost_ctx;
	struct layout_hints *hints; /* may be NULL */
	struct run_memory memory;

	pthread_mutex_t lock;
	pthread_cond_t work;  /* for the flushers */
	pthread_cond_t room;  /* dirty bytes became fewer, or a file was served */
	struct file *buckets[FILE_BUCKETS];
	struct file *queue, **queue_end; /* of files with work for a flusher */
	struct file *hash_first, **hash_end; /* queue of large files without a SHA-256, for when nothing else is to be done */
	struct file *later_first, **later_end;
	size_t queue_count;
	size_t dirty_bytes;
	size_t kept_bytes;
	uint64_t closes[FILE_BUCKETS]; /* files that left a bucket */
	unsigned working;     /* files that flushers are at */
	bool hashing;         /* one of them is at a large file */
	int64_t stalled_said_ns;
	int64_t stalled_ns;   /* when a promised commit last found the disk full; 0: it did not */
	atomic_bool stop;
	pthread_rwlock_t cloning; /* held for reading by those that copy a content */
	pthread_t flushers[FLUSHERS_MAX];
	unsigned flusher_count;
};

/* files.c */
void files_add_dirty(struct files *files, int64_t bytes);
/* References to all files in the table; the caller gives them back. NULL without memory. */
struct file **files_all(struct files *files, size_t *count);
struct file *files_find(struct files *files, uint64_t ino); /* with a reference; NULL: not in the table */
void file_unref(struct file *file);

/* flusher.c */
int flushers_start(struct files *files);
void flushers_stop(struct files *files); /* after all that can be stored is stored */
/* Queues a file for a flusher; takes a reference. Call without locks. */
void files_queue(struct files *files, struct file *file);
/* The same after a moment: a flush is mostly followed by the release, and a program that flushes all the time (each close of a
 * duplicated descriptor does) must not have its file cut at each. */
void files_queue_later(struct files *files, struct file *file);
/* Waits until dirty bytes are within the budget and no promise is getting old, helping others to be flushed. 0; -ENOSPC: the disk is
 * full and what waits cannot be stored. Call without locks. */
int files_wait_for_room(struct files *files);
/* Does for this file what a flusher would do, to the end. Call without locks. 0, or why something is still waiting. */
int file_serve(struct file *file);

/* file_put.c; begin/end: waits for and gives back `processing`. Lock held. */
void file_processing_begin(struct file *file);
void file_processing_end(struct file *file);
/* More than one file is being put: each by one thread is better than all of them by all. Takes no lock; a hint. */
bool files_are_many(const struct files *files);
/* Hands over all dirty runs to the list of those on their way. 0; -ENOMEM: some are still dirty. Lock held. */
int file_hand_over(struct file *file);
/* Hands over this one. False without memory. Lock held. */
bool file_hand_over_run(struct file *file, struct run *run);
/* Puts the runs that are on their way now into the map. Of a file that grows the rest behind the last sure chunk border may stay, unless
 * `all`. Lock held, let go of meanwhile; processing held. 0 or -errno: sticky and what failed is dropped, unless it was promised and
 * may succeed later. */
int file_put_moving(struct file *file, bool all);

struct cut { /* one chunk to be */
	size_t len;
	struct chunk_plan plan;
};

struct piece { /* bytes of a file that become whole chunks */
	uint64_t start, end; /* in the file */
	uint64_t old_len;    /* of the map that it replaces */
	const uint8_t *bytes;
	uint8_t *own;        /* the bytes, when they are not a run's own; owned */
	size_t own_cap;
	struct cut *cuts;    /* owned */
	size_t count, cap;
	uint64_t hash_off;   /* what of it the file's hash goes on with */
	size_t hash_len;
};

int piece_add(struct piece *piece, size_t len, const struct chunk_plan *plan);
int piece_own(struct file *file, struct piece *piece, size_t len);
void piece_free(struct file *file, struct piece *piece);
/* New bytes of the piece: hashed with it when they go on where the hash is. Lock held. */
void piece_hash(struct file *file, struct piece *piece, uint64_t off, size_t len);
/* Its chunks into the store and the map. Lock held, let go of meanwhile. */
int piece_put(struct file *file, const struct piece *piece);

/* file_cut.c: do the first bytes on their way go on where cutting in order has come to? Lock held. */
bool file_in_order(const struct file *file);
/* Cuts and puts them; *put: how many bytes (0: more are needed). As file_put_moving(). */
int file_put_in_order(struct file *file, bool all, size_t *put);
/* From now on what is known of the file's pixels is no longer true (it was cut off). empty: it begins anew. Processing held. */
void file_cut_reset(struct file *file, bool empty);

/* file_range.c: bytes in holes, as far as that is quickly told; else 0. Lock held. */
uint64_t file_holes(struct file *file);
/* file_write.c: puts bytes on top of what is there. The rest of a write is the caller's. Lock held. */
int file_put_dirty(struct file *file, uint64_t off, const uint8_t *from, size_t len);
/* Forgets all that is not in the map yet. Lock held. */
void file_drop_runs(struct file *file);
/* Forgets the bytes that were kept for whoever is told that the file was closed. Lock held. */
void file_drop_kept(struct file *file);
/* file_read.c: reads stored bytes of the map. Lock held, let go of meanwhile; processing held, so that the map stays as it is. */
int file_read_map(struct file *file, uint64_t off, uint8_t *to, size_t len);

/* file_commit.c: everything dirty into the map and the catalog. Lock held, let go of meanwhile. */
int file_commit(struct file *file, const struct caller *caller);
/* The same by the one who holds processing. */
int file_commit_processing(struct file *file, const struct caller *caller);
/* The SHA-256 of a file that nobody writes any more, by reading it. yields: gives up when somebody waits for processing, which is held.
 * 1: given up, try later. */
int file_hash_processing(struct file *file, bool yields);
/* Would file_hash() have something to do? Lock held. */
bool file_needs_hash(const struct file *file);
/* A failure that may be over later. */
bool file_may_succeed_later(int rc);

int file_fail(struct file *file, int rc); /* makes it sticky, with err_text(); lock held */
void file_told(struct file *file);        /* its writer has been told; lock held */
int file_failed(struct file *file);       /* -errno and its sentence when it is; lock held */
/* file.c: "datasets/scan/a.tif: " in front of the sentence; returns rc. Call without locks. */
int file_with_path(struct file *file, int rc);
bool file_is_pending(const struct file *file); /* the catalog does not have all of it yet; lock held */

#endif
