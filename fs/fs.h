/*
 * fs: one mounted store, as every part of this folder sees it. Made by fs_open(), shared by all threads; the parts behind
 * the pointers do their own locking. Nothing here is a global.
 */
#ifndef TOMOFS_FS_H
#define TOMOFS_FS_H

#include <stdatomic.h>

#include "index/catalog.h"
#include "store/journal.h"
#include "store/store.h"

struct files;    /* open files: file.h */
struct layout_hints; /* geometry of files without a header: layout_hint.h */
struct arrival;  /* what happens to a file once it is closed: arrival.h */
struct levels;   /* computed bands of pixels: view/levels.h */
struct access_memo; /* permissions worked out lately: access.h */
struct volumes;  /* images of datasets, open for reading pixels: volumes.h */
struct protect;  /* what refuses changes: protect.h */
struct history;  /* what was before: history.h */
struct recoder;  /* what is done to data at rest: recoder.h */
struct collector; /* what is not kept any more leaves: collector.h */
struct searches; /* queries the kernel knows: node_search.h */

struct fs_options {
	const char *store;
	size_t cache_bytes;      /* memory budget; 0: a quarter of RAM, at most 2 GiB */
	unsigned settle_seconds; /* quiet time until a dataset is ready; 0: 60 */
	bool protect_ready;      /* originals of a ready dataset stay as they are: protect.h */
	uint32_t dense_after;    /* seconds until data at rest is coded anew; 0: a day; RECODER_NEVER */
	uint32_t keep;           /* seconds that history is kept; 0: 30 days; KEEP_NOTHING (collector.h) */
	uint32_t keep_min;       /* also when the disk is full; 0: a day; KEEP_NOTHING */
	int lock;                /* as in store.h */
	bool read_only;          /* nothing is written: the store's disk cannot be */
};

struct fs {
	struct store *store;
	struct journal *journal;
	struct catalog *catalog;
	struct files *files;
	struct layout_hints *hints;
	struct arrival *arrival;
	struct levels *levels;
	struct volumes *volumes;
	struct access_memo *access;
	struct searches *searches;
	struct recoder *recoder;
	struct history *history;
	struct protect *protect;
	struct collector *collector;
	size_t cache_bytes;
	unsigned settle_seconds;
	int64_t mounted_ns;
	/* Tells the kernel that a name in a folder, or the attributes and pages of a node, are no longer what it knows.
	 * Queued, sent from a thread of its own without locks; set by mount.c, NULL in tests. */
	void (*forget_entry)(struct fs *fs, uint64_t folder, const char *name);
	void (*forget_node)(struct fs *fs, uint64_t node);
	void *kernel; /* mount.c's own */
};

/* Opens store, journal, catalog and the parts above. 0 or -errno with a sentence. */
int fs_open(struct fs **out, const struct fs_options *options);
/* Commits everything and closes. 0, or why something could not be made durable. */
int fs_close(struct fs *fs);

/* The program and user behind a request. */
struct caller {
	uint32_t uid, gid;
	int32_t pid;      /* 0: the file system itself; may do everything */
	uint32_t umask;   /* for what is made where the folder has no default access control list */
	char user[64];    /* "" not known */
	char program[64]; /* "" not known */
};
/* Who asks, for a change of the file system's own (ingest): uid 0, program "tomofs". */
extern const struct caller caller_self;
struct actor caller_actor(const struct caller *caller);

int64_t now_ns(void);

#endif
