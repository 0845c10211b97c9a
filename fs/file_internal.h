/*
 * file_internal: what the files of file share.
 *
 *     files.c        the table of open files, the flusher thread, budgets
 *     file.c         open, release, flush, fsync, clone
 *     file_read.c    reading: what is dirty over what is stored
 *     file_write.c   writing and truncating: into dirty runs
 *     file_put.c     dirty runs -> chunks in the map
 *     file_commit.c  the map and SHA-256 -> the catalog
 *
 * The bytes of a file are three layers: the map (chunks in the store), the runs that are on their way into it (in the order in which
 * they were handed over; they do not change any more), and the dirty runs on top (sorted, not overlapping). One thread at a
 * time, the one that holds `processing`, moves runs into the map; reading bytes for it needs no lock, since chunks never change.
 */
#ifndef TOMOFS_FILE_INTERNAL_H
#define TOMOFS_FILE_INTERNAL_H

#include <openssl/evp.h>

#include "fs/content.h"
#include "fs/file.h"

enum {
	RUN_FLUSH = 8 << 20,      /* a run of this size is handed to the flusher */
	RUNS_MAX = 4096,          /* so are all when there are more runs than this */
	READ_AHEAD_CHUNKS = 4,
};
#define FILE_BYTES_MAX (16ULL << 40)

struct run {
	struct run *next; /* of those on their way */
	uint64_t off;
	uint8_t *data; /* owned */
	size_t len, cap;
	bool hash; /* goes on where the file's hash is */
};

struct file {
	struct files *files;
	struct file *next; /* in its bucket */
	uint64_t ino;
	unsigned refs;     /* handles and queued work; under files->lock */

	pthread_mutex_t lock; /* for all below */
	pthread_cond_t idle;  /* processing ended */
	unsigned writers;
	bool processing;
	bool cutting;            /* a truncation is going on: writers wait for idle */
	bool queued;             /* in the flusher's queue; under files->lock */
	struct content_map *map; /* changed only by the thread that holds processing, with the lock held */
	struct content saved;    /* as it is in the catalog */
	uint64_t size;
	struct run *dirty;       /* array, sorted */
	size_t dirty_count, dirty_cap;
	struct run *moving, **moving_end; /* list */
	int64_t mtime_ns;
	bool changed;            /* the catalog does not have it yet */
	bool told_written;
	int error;               /* sticky, positive errno; 0: none */
	char error_text[512];
	uint64_t next_read;      /* where a sequential reader goes on */

	EVP_MD_CTX *sha;         /* of the bytes before sha_off; held by the thread that holds processing */
	uint64_t sha_off;
	bool sha_valid;          /* nothing before sha_off was put again */
};

enum { FILE_BUCKETS = 4096 };

struct files {
	struct store *store;
	struct catalog *catalog;
	size_t budget;
	void (*closed)(void *ctx, uint64_t ino);
	void (*written)(void *ctx, uint64_t ino);
	void *ctx;

	pthread_mutex_t lock;
	pthread_cond_t work;  /* for the flusher */
	pthread_cond_t room;  /* dirty bytes became fewer */
	struct file *buckets[FILE_BUCKETS];
	struct file **queue;  /* ring of files to flush */
	size_t queue_count, queue_cap;
	size_t dirty_bytes;
	uint64_t closes[FILE_BUCKETS]; /* files that left a bucket */
	unsigned working;     /* files that the flusher is at */
	bool stop;
	pthread_t flusher;
};

/* files.c */
void files_add_dirty(struct files *files, int64_t bytes);
/* Queues a file with runs on their way; takes a reference. Call without locks. */
void files_queue(struct files *files, struct file *file);
/* Waits until dirty bytes are within the budget, helping others to be flushed. Call without locks. */
void files_wait_for_room(struct files *files);
void file_unref(struct file *file);

/* file_put.c; begin/end: waits for and gives back `processing`. Lock held. */
void file_processing_begin(struct file *file);
void file_processing_end(struct file *file);
/* Hands over all dirty runs to the list of those on their way. 0; -ENOMEM: some are still dirty. Lock held. */
int file_hand_over(struct file *file);
/* Cuts a growing run at a chunk border, hands over what is before it. Lock held. True when something was handed over. */
bool file_hand_over_growing(struct file *file, struct run *run);
/* Puts all runs on their way into the map. Lock held, let go of meanwhile; processing held. 0 or -errno (sticky). */
int file_put_moving(struct file *file);
/* Forgets all that is not in the map yet. Lock held. */
void file_drop_runs(struct file *file);
/* file_read.c: reads stored bytes of the map. Lock held, let go of meanwhile; processing held, so that the map stays as it is. */
int file_read_map(struct file *file, uint64_t off, uint8_t *to, size_t len);

/* file_commit.c: everything dirty into the map and the catalog. Lock held, let go of meanwhile. last: the hash too. */
int file_commit(struct file *file, const struct caller *caller, bool last);
/* Would file_commit() have something to do? */
bool file_needs_commit(const struct file *file, bool last);

int file_fail(struct file *file, int rc); /* makes it sticky, with err_text(); lock held */
int file_failed(struct file *file);       /* -errno and its sentence when it is; lock held */
/* file.c: "datasets/scan/a.tif: " in front of the sentence; returns rc. Call without locks. */
int file_with_path(struct file *file, int rc);

#endif
