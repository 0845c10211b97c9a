/*
 * directory_lab: a store of many small chunks in small packs, with a directory that makes and merges runs all the time.
 */
#ifndef TOMOFS_DIRECTORY_LAB_H
#define TOMOFS_DIRECTORY_LAB_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/directory_internal.h"
#include "store/store_internal.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"

enum { CHUNKS = 2000, LEN_MAX = 40, SEAL_BYTES = 3000 };

static struct key keys[CHUNKS];
static char folder[700]; /* of the runs of the present store */

static inline size_t make_chunk(size_t i, uint8_t *bytes)
{
	size_t len = 8 + i % (LEN_MAX - 7);

	random_fill(bytes, len, i);
	return len;
}

static inline void small_limits(void)
{
	directory_limits = (struct directory_limits) { .flush_entries = 120,
						       .flush_packs = 5,
						       .batch_entries = 300,
						       .copies_entries = 300,
						       .tier_entries = 40,
						       .tier_runs = 3,
						       .large_entries = 600,
						       .filter_bytes = 1500,
						       .filters_bytes = 4000 };
}

/* The disk, but for the waiting. */
static struct io quick;

static inline int at_once(const struct io *io, int fd)
{
	(void)io;
	(void)fd;
	return 0;
}

static inline int folder_at_once(const struct io *io, const char *path)
{
	(void)io;
	(void)path;
	return 0;
}

static inline void no_sync(void)
{
	quick = io_system;
	quick.fdatasync = at_once;
	quick.fsync_dir = folder_at_once;
}

static inline struct store *opened(const char *path, const struct io *io, unsigned flags)
{
	struct store_options options = { .io = io, .cache_bytes = 64 << 10, .threads = 2, .flags = flags };
	struct store *store = NULL;

	CHECK_RC(store_open(&store, path, &options));
	if (!store)
		exit(check_done());
	store->seal_bytes = SEAL_BYTES;
	snprintf(folder, sizeof folder, "%s/keys", path);
	return store;
}

static inline struct store *created(const char *path)
{
	struct store *store;
	uint8_t bytes[LEN_MAX];

	CHECK_RC(store_create(path));
	store = opened(path, &quick, 0);
	for (size_t i = 0; i < CHUNKS; i++)
		keys[i] = key_of(store->settings.secret, bytes, make_chunk(i, bytes));
	return store;
}

static inline int put(struct store *store, size_t i)
{
	uint8_t bytes[LEN_MAX];
	struct key key;

	return store_put(store, NULL, 0, bytes, make_chunk(i, bytes), &key);
}

static inline int get(struct store *store, size_t i)
{
	uint8_t bytes[LEN_MAX], got[LEN_MAX];
	size_t len = make_chunk(i, bytes);
	int rc = store_read(store, &keys[i], len, 0, got, len);

	CHECK(rc || memcmp(bytes, got, len) == 0);
	return rc;
}

/* Chunks from..to-1 are there; those from `none` on are not. */
static inline void check_there(struct store *store, size_t from, size_t to, size_t none)
{
	for (size_t i = from; i < to; i++) {
		uint8_t bytes[LEN_MAX];

		CHECK_RC(get(store, i));
		CHECK(store_size(store, &keys[i]) == (int64_t)make_chunk(i, bytes));
	}
	for (size_t i = none; i < CHUNKS; i++)
		CHECK(!store_has(store, &keys[i]));
}

static inline void check_count(struct store *store, uint64_t chunks)
{
	struct store_stats stats;
	uint64_t sum = 0;

	store_stats(store, &stats);
	CHECK(stats.chunks == chunks);
	for (size_t i = 0; i < sizeof stats.codec / sizeof *stats.codec; i++)
		sum += stats.codec[i].chunks;
	CHECK(sum == chunks);
}

/* Calls each() with the path of every file in the folder of runs; the number of them. */
static inline size_t each_run(void (*each)(const char *path))
{
	DIR *d = opendir(folder);
	struct dirent *e;
	size_t count = 0;
	char path[1000];

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
		if (each)
			each(path);
		count++;
	}
	if (d)
		closedir(d);
	return count;
}

static inline size_t in_memory(struct store *store)
{
	size_t count = 0;

	for (size_t i = 0; i < CHUNKS; i++) {
		struct directory_entry entry;

		count += recent_get(store->directory->recent, &keys[i], &entry);
	}
	return count;
}

#endif
