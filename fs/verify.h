/*
 * verify: is everything in a store as it was put there, and if not, which files are hurt? Reads all packs, the journal and the index,
 * and then goes through the files by name. Works beside a mount. Changes nothing in the store.
 *
 * Names come from the store's own index when it is whole and nobody has the store open; else the journal is replayed into an
 * index in $TMPDIR (or /var/tmp), which takes as long as `tomofs rebuild` and 300 bytes a file.
 *
 * Threads: one for a verify.
 */
#ifndef TOMOFS_FS_VERIFY_H
#define TOMOFS_FS_VERIFY_H

#include "store/store.h"

struct verify_hurt { /* bytes from..to-1 of a file cannot be read */
	const char *path;    /* below datasets/ */
	const char *dataset; /* short name; "" when it belongs to none */
	uint64_t ino, from, to;
	const char *why; /* names chunk and pack */
};

struct verify_listener {
	/* A sentence for each thing that is wrong with packs, keys, journal, index. One at a time, from any thread. */
	void (*damaged)(void *ctx, const char *sentence);
	/* For each run of bytes. By the caller's thread. */
	void (*hurt)(void *ctx, const struct verify_hurt *hurt);
	/* A chunk that cannot be read, of a file of `size` bytes; ino 0: of a previous version. 1: now it can. NULL. */
	int (*missing)(void *ctx, uint64_t ino, uint64_t size, uint64_t off, const struct key *key, size_t len);
	/* As store_watch_verify(). NULL. */
	void (*progress)(void *ctx, uint64_t done, uint64_t all);
	void *ctx;
};

struct verify_counts {
	struct store_verify store;
	uint64_t records;	/* whole ones of the journal */
	uint64_t damaged;	/* sentences told */
	bool named;		/* the files could be gone through: the rest counts */
	uint64_t files, bytes;	/* below datasets/ */
	uint64_t files_hurt, bytes_hurt;
	uint64_t datasets, datasets_hurt;
	uint64_t old_hurt;	/* contents of previous versions and the trash */
	bool index_checked;	/* row by row; else it is in use, or there is none (which is no damage: a mount makes it again) */
	uint64_t rows;
};

/* Nothing is wrong: counts->damaged, files_hurt and old_hurt are 0. 0; -errno: it could not look. */
int fs_verify(const char *store, const struct verify_listener *listener, struct verify_counts *counts);

/* The last part alone, for a store that store_verify() has looked at: goes through all files of a catalog. */
struct catalog;
int verify_files(struct store *store, struct catalog *catalog, uint64_t nodes_max, const struct verify_listener *listener,
		 struct verify_counts *counts);

#endif
