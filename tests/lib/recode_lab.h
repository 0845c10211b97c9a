/*
 * recode_lab: a store of small chunks in small packs that were stored plainly, so that recoding has something to gain; for the
 * tests of recoding.
 */
#ifndef TOMOFS_RECODE_LAB_H
#define TOMOFS_RECODE_LAB_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/compact.h"
#include "store/directory_internal.h"
#include "store/log.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"

enum { CHUNKS = 120, SOME = 30, SEAL_BYTES = 24 << 10, LEN_MAX = 4000 };

static struct key keys[2 * CHUNKS];
static const char *folder; /* of all stores */
static const struct store_recode_options everything = { .threads = 1 };

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

/* Every third one does not compress. */
static inline size_t make_chunk(size_t i, uint8_t *bytes)
{
	size_t len = 1 + i * 367 % LEN_MAX;

	random_fill(bytes, len, i);
	for (size_t k = 0; i % 3 && k < len; k++)
		bytes[k] &= 3;
	return len;
}

static inline struct store *opened(const char *path, const struct io *io, unsigned flags)
{
	struct store_options options = { .io = io ? io : &quick, .cache_bytes = 1, .threads = 2, .flags = flags };
	struct store *store = NULL;

	CHECK_RC(store_open(&store, path, &options));
	if (!store)
		exit(check_done());
	store->seal_bytes = SEAL_BYTES;
	return store;
}

/* Puts one without trying a codec, so that there is something to gain later. */
static inline int put_plain(struct store *store, size_t i)
{
	uint8_t bytes[LEN_MAX];
	size_t len = make_chunk(i, bytes);
	struct key key = key_of(store->settings.secret, bytes, len);
	struct pack_head head = { PACK_CHUNK, 1, CODEC_NONE, 0, (uint32_t)len, (uint32_t)len, key, 0 };
	struct directory_entry entry = { .stored_len = (uint32_t)len, .plain_len = (uint32_t)len };
	int rc = store_append(store, &head, bytes, &entry);

	keys[i] = key;
	if (!rc)
		rc = directory_set(store->directory, &key, &entry);
	if (!rc)
		store_count(store, &entry, 1);
	return rc;
}

static inline int put(struct store *store, size_t i)
{
	uint8_t bytes[LEN_MAX];

	return store_put(store, NULL, 0, bytes, make_chunk(i, bytes), &keys[i]);
}

static inline int get(struct store *store, size_t i)
{
	uint8_t bytes[LEN_MAX], got[LEN_MAX];
	size_t len = make_chunk(i, bytes);
	int rc = store_read(store, &keys[i], len, 0, got, len);

	CHECK(rc || memcmp(bytes, got, len) == 0);
	return rc;
}

static inline void check_there(struct store *store, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		CHECK_RC(get(store, i));
}

static inline void copy_file(int from_dir, int to_dir, const char *name)
{
	int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC), to;
	char bytes[65536];
	ssize_t n;

	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(from >= 0 && to >= 0);
	while ((n = read(from, bytes, sizeof bytes)) > 0)
		CHECK(write(to, bytes, (size_t)n) == n);
	close(from);
	close(to);
}

/* A folder of files and folders. */
static inline void copy_folder(int from, int to)
{
	DIR *d = fdopendir(dup(from));
	struct dirent *e;

	while (d && (e = readdir(d))) {
		int in, out;

		if (e->d_name[0] == '.')
			continue;
		in = openat(from, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (in < 0) {
			copy_file(from, to, e->d_name);
			continue;
		}
		CHECK(mkdirat(to, e->d_name, 0700) == 0);
		out = openat(to, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		copy_folder(in, out);
		close(in);
		close(out);
	}
	if (d)
		closedir(d);
}

static inline void fill(const char *path, size_t count)
{
	struct store *store;

	CHECK_RC(store_create(path));
	store = opened(path, NULL, 0);
	for (size_t i = 0; i < count; i++)
		CHECK_RC(put_plain(store, i));
	CHECK_RC(store_sync(store));
	store_close(store);
}

/* A store with chunks 0..count-1, closed: a copy of the first one that was made. */
static inline void filled(const char *path, size_t count)
{
	static struct key keys_of[CHUNKS + 1][CHUNKS]; /* each first one has a secret of its own */
	char first[600];
	int from, to;

	snprintf(first, sizeof first, "%s/first%zu", folder, count);
	if (access(first, F_OK)) {
		fill(first, count);
		memcpy(keys_of[count], keys, count * sizeof *keys);
	}
	memcpy(keys, keys_of[count], count * sizeof *keys);
	CHECK(mkdir(path, 0700) == 0);
	from = open(first, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	to = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(from >= 0 && to >= 0);
	copy_folder(from, to);
	close(from);
	close(to);
}

static inline void print_damage(void *ctx, const char *sentence)
{
	fprintf(stderr, "%s: %s\n", (const char *)ctx, sentence);
}

static inline void check_sound(const char *path)
{
	struct store *store = opened(path, NULL, STORE_READ_ONLY);
	struct store_verify counts;

	CHECK_RC(store_verify(store, print_damage, (void *)(uintptr_t)path, &counts));
	CHECK(counts.damaged == 0);
	store_close(store);
}

/* As many chunks as were put, each counted once, with the bytes that they have. */
static inline void check_sums(struct store *store, size_t count)
{
	struct store_stats stats;
	uint64_t plain = 0, stored = 0, coded[8] = { 0 };

	for (size_t i = 0; i < count; i++) {
		struct directory_entry at;

		CHECK(directory_get(store->directory, &keys[i], &at) == 1);
		plain += at.plain_len;
		stored += PACK_HEAD_BYTES + at.stored_len;
		coded[at.codec] += PACK_HEAD_BYTES + at.stored_len;
	}
	store_stats(store, &stats);
	if (stats.chunks != count || stats.stored_bytes != stored)
		fprintf(stderr, "%s: %llu chunks of %llu stored bytes are counted, not %zu of %llu\n", store_path(store),
			(unsigned long long)stats.chunks, (unsigned long long)stats.stored_bytes, count, (unsigned long long)stored);
	CHECK(stats.chunks == count && stats.plain_bytes == plain && stats.stored_bytes == stored);
	for (size_t i = 0; i < 8; i++) {
		if (stats.codec[i].stored_bytes != coded[i])
			fprintf(stderr, "%s: codec %zu: %llu stored bytes are counted, not %llu\n", store_path(store), i,
				(unsigned long long)stats.codec[i].stored_bytes, (unsigned long long)coded[i]);
		CHECK(stats.codec[i].stored_bytes == coded[i]);
	}
}

static inline size_t count_packs(const char *path)
{
	char packs[800];
	struct pack_name name;
	struct dirent *e;
	size_t count = 0;
	DIR *d;

	snprintf(packs, sizeof packs, "%s/packs", path);
	d = opendir(packs);
	while (d && (e = readdir(d)))
		count += pack_name_parse(e->d_name, &name);
	if (d)
		closedir(d);
	return count;
}

static inline void place_of(struct store *store, size_t i, char path[700], off_t *at)
{
	struct directory_entry entry;
	char name[PACK_NAME_MAX];

	CHECK(directory_get(store->directory, &keys[i], &entry) == 1);
	packs_name(store->packs, entry.pack, name);
	snprintf(path, 700, "%s/packs/%s", store_path(store), name);
	*at = (off_t)entry.off + PACK_HEAD_BYTES + entry.stored_len / 2;
}

static inline void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1);
	byte ^= 1;
	CHECK(pwrite(fd, &byte, 1, at) == 1);
	close(fd);
}

static const struct store_recode_options aged = { .threads = 1, .age_s = 3600 };

/* As if all packs had been written two hours ago. */
static inline void make_old(const char *path)
{
	struct timespec then[2] = { { .tv_sec = time(NULL) - 7200 }, { .tv_sec = time(NULL) - 7200 } };
	char packs[800];
	struct dirent *e;
	DIR *d;

	snprintf(packs, sizeof packs, "%s/packs", path);
	d = opendir(packs);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			CHECK(utimensat(dirfd(d), e->d_name, then, 0) == 0);
	if (d)
		closedir(d);
}

/* The packs that filled() had given the store, beside those that are there. */
static inline void bring_back(const char *path, size_t count)
{
	char packs[800];
	int from, to;

	snprintf(packs, sizeof packs, "%s/first%zu/packs", folder, count);
	from = open(packs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(packs, sizeof packs, "%s/packs", path);
	to = open(packs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(from >= 0 && to >= 0);
	copy_folder(from, to);
	close(from);
	close(to);
}

/* Runs them all, then again with key runs made and merged all the time. */
static inline int run_all(void (*const tests[])(const char *path), size_t count)
{
	static const struct directory_limits small = { .flush_entries = 30,
						       .flush_packs = 2,
						       .batch_entries = 60,
						       .copies_entries = 500,
						       .tier_entries = 8,
						       .tier_runs = 3,
						       .large_entries = 200,
						       .filter_bytes = 1500,
						       .filters_bytes = 4000 };

	quick = io_system;
	quick.fdatasync = at_once;
	quick.fsync_dir = folder_at_once;
	folder = check_tmpdir();
	log_set_level(LOG_ERROR); /* the failures are meant */
	for (size_t i = 0; i < 2 * count; i++) {
		char path[600];

		if (i == count)
			directory_limits = small;
		snprintf(path, sizeof path, "%s/store%zu", folder, i);
		tests[i % count](path);
	}
	return check_done();
}

#endif
