/*
 * The directory of a store: whatever runs there are, are merged, damaged, gone or cannot be written, each chunk is
 * found where its newest record is, and no other; the memory is given back; opens beside a writer work.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/directory_internal.h"
#include "store/log.h"
#include "store/store_internal.h"
#include "tests/lib/check.h"
#include "tests/lib/faultio.h"
#include "tests/lib/random.h"

enum { CHUNKS = 2000, LEN_MAX = 40, SEAL_BYTES = 3000 };

static struct key keys[CHUNKS];
static uint64_t seed = 3;
static char folder[700]; /* of the runs of the present store */

static size_t make_chunk(size_t i, uint8_t *bytes)
{
	size_t len = 8 + i % (LEN_MAX - 7);

	random_fill(bytes, len, i);
	return len;
}

static void small_limits(void)
{
	directory_limits = (struct directory_limits) { .flush_entries = 120,
						       .flush_packs = 5,
						       .batch_entries = 300,
						       .tier_entries = 40,
						       .tier_runs = 3,
						       .filter_bytes = 1500,
						       .filters_bytes = 4000 };
}

/* The disk, but for the waiting. */
static struct io quick;

static int at_once(const struct io *io, int fd)
{
	(void)io;
	(void)fd;
	return 0;
}

static int folder_at_once(const struct io *io, const char *path)
{
	(void)io;
	(void)path;
	return 0;
}

static void no_sync(void)
{
	quick = io_system;
	quick.fdatasync = at_once;
	quick.fsync_dir = folder_at_once;
}

static struct store *opened(const char *path, const struct io *io, unsigned flags)
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

static struct store *created(const char *path)
{
	struct store *store;
	uint8_t bytes[LEN_MAX];

	CHECK_RC(store_create(path));
	store = opened(path, &quick, 0);
	for (size_t i = 0; i < CHUNKS; i++)
		keys[i] = key_of(store->settings.secret, bytes, make_chunk(i, bytes));
	return store;
}

static int put(struct store *store, size_t i)
{
	uint8_t bytes[LEN_MAX];
	struct key key;

	return store_put(store, NULL, 0, bytes, make_chunk(i, bytes), &key);
}

static int get(struct store *store, size_t i)
{
	uint8_t bytes[LEN_MAX], got[LEN_MAX];
	size_t len = make_chunk(i, bytes);
	int rc = store_read(store, &keys[i], len, 0, got, len);

	CHECK(rc || memcmp(bytes, got, len) == 0);
	return rc;
}

/* Chunks from..to-1 are there; those from `none` on are not. */
static void check_there(struct store *store, size_t from, size_t to, size_t none)
{
	for (size_t i = from; i < to; i++) {
		uint8_t bytes[LEN_MAX];

		CHECK_RC(get(store, i));
		CHECK(store_size(store, &keys[i]) == (int64_t)make_chunk(i, bytes));
	}
	for (size_t i = none; i < CHUNKS; i++)
		CHECK(!store_has(store, &keys[i]));
}

static void check_count(struct store *store, uint64_t chunks)
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
static size_t each_run(void (*each)(const char *path))
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

static size_t in_memory(struct store *store)
{
	size_t count = 0;

	for (size_t i = 0; i < CHUNKS; i++) {
		struct directory_entry entry;

		count += recent_get(store->directory->recent, &keys[i], &entry);
	}
	return count;
}

/* Grows, is opened again now and then, and always knows what it has. */
static void test_grow(const char *path)
{
	struct store *store = created(path);

	for (size_t i = 0; i < CHUNKS; i++) {
		CHECK_RC(put(store, i));
		if (random_below(&seed, 200) == 0) {
			store_close(store);
			store = opened(path, &quick, 0);
			check_count(store, i + 1);
			check_there(store, i < 100 ? 0 : i - 100, i + 1, CHUNKS - 50 > i ? CHUNKS - 50 : i + 1);
		}
	}
	directory_idle(store->directory);
	check_there(store, 0, CHUNKS, CHUNKS);
	CHECK(in_memory(store) < 400);
	CHECK(each_run(NULL) < 16 && each_run(NULL) == store->directory->list->count);
	check_count(store, CHUNKS);
	store_close(store);
	store = opened(path, &quick, STORE_READ_ONLY);
	check_there(store, 0, CHUNKS, CHUNKS);
	CHECK(in_memory(store) < 400);
	check_count(store, CHUNKS);
	store_close(store);
}

static void remove_file(const char *path)
{
	CHECK(unlink(path) == 0);
}

static void make_stale(const char *path)
{
	char to[1100];

	snprintf(to, sizeof to, "%s.tmp", path);
	CHECK(random_below(&seed, 2) ? rename(path, to) == 0 : truncate(path, 5000) == 0);
}

/* Runs go away, all or some; a reader changes nothing, a writer makes them again. */
static void test_gone(const char *path)
{
	struct store *store = created(path);
	size_t runs;

	for (size_t i = 0; i < CHUNKS / 2; i++)
		CHECK_RC(put(store, i));
	store_close(store);
	for (int round = 0; round < 4; round++) {
		each_run(round % 2 ? make_stale : remove_file);
		runs = each_run(NULL);
		store = opened(path, &quick, STORE_READ_ONLY);
		check_there(store, 0, CHUNKS / 2, CHUNKS / 2);
		check_count(store, CHUNKS / 2);
		store_close(store);
		CHECK(each_run(NULL) == runs);
		store = opened(path, &quick, 0);
		check_there(store, 0, CHUNKS / 2, CHUNKS / 2);
		directory_idle(store->directory);
		CHECK(each_run(NULL) > 0 && in_memory(store) < 400);
		check_there(store, 0, CHUNKS / 2, CHUNKS / 2);
		check_count(store, CHUNKS / 2);
		store_close(store);
	}
}

/* Packs that went away take their chunks with them, and no others. */
static void test_packs_gone(const char *path)
{
	struct store *store = created(path);
	struct directory_entry at[CHUNKS / 4];
	char name[PACK_NAME_MAX], pack[800];
	uint64_t left = 0;

	for (size_t i = 0; i < CHUNKS / 4; i++)
		CHECK_RC(put(store, i));
	directory_idle(store->directory);
	for (size_t i = 0; i < CHUNKS / 4; i++)
		CHECK(directory_get(store->directory, &keys[i], &at[i]) == 1);
	for (uint32_t p = 1; p < 4; p++) {
		packs_name(store->packs, p, name);
		snprintf(pack, sizeof pack, "%s/packs/%s", path, name);
		CHECK(unlink(pack) == 0);
	}
	store_close(store);
	for (int round = 0; round < 2; round++) {
		left = 0;
		store = opened(path, &quick, 0);
		for (size_t i = 0; i < CHUNKS / 4; i++) {
			bool gone = at[i].pack >= 1 && at[i].pack < 4;

			left += !gone;
			CHECK(store_has(store, &keys[i]) == !gone);
			CHECK(gone || get(store, i) == 0);
		}
		directory_idle(store->directory);
		store_close(store);
	}
	store = opened(path, &quick, 0);
	check_count(store, left);
	store_close(store);
}

static void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1);
	byte ^= (uint8_t)(1 << random_below(&seed, 8));
	CHECK(pwrite(fd, &byte, 1, at) == 1);
	close(fd);
}

static void flip_some(const char *path)
{
	struct stat st;

	CHECK(stat(path, &st) == 0);
	for (int i = 0; i < 3 && st.st_size; i++)
		flip(path, (off_t)random_below(&seed, (uint64_t)st.st_size));
}

/* Bytes are flipped in runs, also while these are in use. */
static void test_damage(const char *path)
{
	struct store *store = created(path);

	for (size_t i = 0; i < CHUNKS / 5; i++)
		CHECK_RC(put(store, i));
	directory_idle(store->directory);
	for (int round = 0; round < 12; round++) {
		if (round % 3 == 0) {
			store_close(store);
			each_run(flip_some);
			store = opened(path, &quick, round % 2 ? STORE_READ_ONLY : 0);
		} else {
			each_run(flip_some);
		}
		check_there(store, 0, CHUNKS / 5, CHUNKS / 5);
		directory_idle(store->directory);
		check_there(store, 0, CHUNKS / 5, CHUNKS / 5);
	}
	store_close(store);
	store = opened(path, &quick, 0);
	check_there(store, 0, CHUNKS / 5, CHUNKS / 5);
	check_count(store, CHUNKS / 5);
	store_close(store);
}

/* Damages a chunk where the directory says it is. */
static void damage_chunk(struct store *store, size_t i)
{
	struct directory_entry entry;
	char name[PACK_NAME_MAX], pack[800];

	CHECK(directory_get(store->directory, &keys[i], &entry) == 1);
	packs_name(store->packs, entry.pack, name);
	snprintf(pack, sizeof pack, "%s/packs/%s", store_path(store), name);
	flip(pack, (off_t)entry.off + PACK_HEAD_BYTES + 3);
}

/* A chunk that was stored again is found at its new place, whatever runs have the old one; also when the run with the
 * new one is newer than a run with the old one that had to be made again. */
static void test_replaced(const char *path)
{
	struct store *store = created(path);

	for (size_t i = 0; i < 600; i++)
		CHECK_RC(put(store, i));
	directory_idle(store->directory);
	store_close(store);
	store = opened(path, &quick, 0);
	for (size_t i = 0; i < 600; i += 9) {
		damage_chunk(store, i);
		CHECK(get(store, i) == -EIO);
		CHECK_RC(put(store, i));
	}
	check_count(store, 600);
	check_there(store, 0, 600, 600);
	for (size_t i = 600; i < 1200; i++)
		CHECK_RC(put(store, i));
	directory_idle(store->directory);
	check_there(store, 0, 1200, 1200);
	for (int round = 0; round < 4; round++) {
		DIR *d;
		struct dirent *e;
		char first[300] = "";

		store_close(store);
		d = opendir(folder);
		while (d && (e = readdir(d))) /* the oldest run goes: its packs are entered after newer ones */
			if (e->d_name[0] != '.' && (!*first || strcmp(e->d_name, first) < 0))
				snprintf(first, sizeof first, "%s", e->d_name);
		if (d && *first)
			CHECK(unlinkat(dirfd(d), first, 0) == 0);
		if (d)
			closedir(d);
		store = opened(path, &quick, round % 2 ? STORE_READ_ONLY : 0);
		check_there(store, 0, 1200, 1200);
	}
	store_close(store);
}

/* ---- a disk that fails only for the runs ---- */

enum { FDS = 256 };

struct split { /* calls for the runs go to one table, all others to the disk */
	struct io io;
	const struct io *runs;
	bool of_runs[FDS];
};

static const struct io *by_path(const struct io *io, const char *path)
{
	return strstr(path, "/keys") ? ((const struct split *)io->ctx)->runs : &io_system;
}

static const struct io *by_fd(const struct io *io, int fd)
{
	const struct split *s = io->ctx;

	return fd < FDS && __atomic_load_n(&s->of_runs[fd], __ATOMIC_RELAXED) ? s->runs : &io_system;
}

static int split_open(const struct io *io, const char *path, int flags, mode_t mode)
{
	const struct io *to = by_path(io, path);
	int fd = to->open(to, path, flags, mode);

	if (fd >= 0 && fd < FDS)
		__atomic_store_n(&((struct split *)io->ctx)->of_runs[fd], to != &io_system, __ATOMIC_RELAXED);
	return fd;
}

static int split_close(const struct io *io, int fd)
{
	return by_fd(io, fd)->close(by_fd(io, fd), fd);
}

static int64_t split_pread(const struct io *io, int fd, void *to, size_t len, uint64_t off)
{
	return by_fd(io, fd)->pread(by_fd(io, fd), fd, to, len, off);
}

static int64_t split_pwrite(const struct io *io, int fd, const void *from, size_t len, uint64_t off)
{
	return by_fd(io, fd)->pwrite(by_fd(io, fd), fd, from, len, off);
}

static int split_fdatasync(const struct io *io, int fd)
{
	return by_fd(io, fd)->fdatasync(by_fd(io, fd), fd);
}

static int split_fsync_dir(const struct io *io, const char *path)
{
	return by_path(io, path)->fsync_dir(by_path(io, path), path);
}

static int split_rename(const struct io *io, const char *from, const char *to)
{
	return by_path(io, from)->rename(by_path(io, from), from, to);
}

static int split_unlink(const struct io *io, const char *path)
{
	return by_path(io, path)->unlink(by_path(io, path), path);
}

static int split_truncate(const struct io *io, int fd, uint64_t size)
{
	return by_fd(io, fd)->truncate(by_fd(io, fd), fd, size);
}

static int64_t split_size(const struct io *io, int fd)
{
	return by_fd(io, fd)->size(by_fd(io, fd), fd);
}

static const struct io split_table = {
	.open = split_open,
	.close = split_close,
	.pread = split_pread,
	.pwrite = split_pwrite,
	.fdatasync = split_fdatasync,
	.fsync_dir = split_fsync_dir,
	.rename = split_rename,
	.unlink = split_unlink,
	.truncate = split_truncate,
	.size = split_size,
};

/* Whatever call for a run fails, once or from then on: puts and reads never see it. */
static void test_failing_runs(const char *path)
{
	static const int codes[] = { EIO, ENOSPC, EACCES };
	struct faultio *f = faultio_new();
	struct split split = { .io = split_table, .runs = faultio_io(f) };
	struct store *store = created(path);
	uint64_t calls = 30;
	size_t next = 0;

	split.io.ctx = &split;
	store_close(store);
	for (uint64_t n = 1; n < calls && next + 20 < CHUNKS; n += 1 + n / 4) {
		(n % 3 ? faultio_fail : faultio_fail_from)(f, FAULT_ALL, n, codes[n % 3]);
		store = opened(path, &split.io, 0);
		for (size_t k = 0; k < 30 && next < CHUNKS; k++, next++)
			CHECK_RC(put(store, next));
		check_there(store, next < 100 ? 0 : next - 100, next, CHUNKS - 10);
		directory_idle(store->directory);
		check_there(store, next < 300 ? 0 : next - 300, next, CHUNKS - 1);
		if (faultio_calls(f, FAULT_ALL) > calls)
			calls = faultio_calls(f, FAULT_ALL);
		store_close(store);
		faultio_reset(f);
	}
	store = opened(path, &split.io, 0);
	directory_idle(store->directory);
	check_there(store, 0, next, next);
	CHECK(in_memory(store) < 400);
	store_close(store);
	faultio_free(f);
}

/* Power goes away at any call: what was synced is found, at its right place, also when it had been stored again. */
static void test_power(const char *path)
{
	struct faultio *f = faultio_new();
	struct store *store = created(path);
	size_t next = 0, promised = 0;

	store_close(store);
	for (uint64_t n = 1; n < 200 && next + 100 < CHUNKS; n += 1 + n / 6) {
		struct store_options options = { .io = faultio_io(f), .cache_bytes = 64 << 10, .threads = 1 };

		faultio_power_off(f, n);
		if (!store_open(&store, path, &options)) {
			store->seal_bytes = SEAL_BYTES;
			for (next = promised; next < promised + 90 && !put(store, next); next++)
				;
			if (!store_sync(store))
				promised = next;
			directory_idle(store->directory);
			store_close(store);
		}
		faultio_crash(f, n);
		store = opened(path, faultio_io(f), 0);
		check_there(store, 0, promised, next + 1);
		directory_idle(store->directory);
		check_there(store, promised < 200 ? 0 : promised - 200, promised, next + 1);
		store_close(store);
	}
	CHECK(promised > 300);
	faultio_free(f);
}

/* ---- threads ---- */

struct beside {
	const char *path;
	struct store *store;
	size_t put; /* atomic: chunks before this one are there */
	bool done;  /* atomic */
};

static void *look_up(void *arg)
{
	struct beside *b = arg;
	uint64_t mine = (uintptr_t)&mine;

	while (!__atomic_load_n(&b->done, __ATOMIC_ACQUIRE)) {
		size_t put_so_far = __atomic_load_n(&b->put, __ATOMIC_ACQUIRE);

		if (put_so_far)
			CHECK_RC(get(b->store, random_below(&mine, put_so_far)));
		CHECK(!store_has(b->store, &keys[CHUNKS - 1]));
	}
	return NULL;
}

static void *open_beside(void *arg)
{
	struct beside *b = arg;
	struct store_options options = {
		.io = &quick, .cache_bytes = 64 << 10, .threads = 1, .flags = STORE_READ_ONLY
	};

	while (!__atomic_load_n(&b->done, __ATOMIC_ACQUIRE)) {
		size_t synced = __atomic_load_n(&b->put, __ATOMIC_ACQUIRE) / 100 * 100;
		struct store *store = NULL;

		CHECK_RC(store_open(&store, b->path, &options));
		for (size_t i = 0; store && i < synced; i += 7)
			CHECK_RC(get(store, i));
		store_close(store);
	}
	return NULL;
}

static void test_threads(const char *path)
{
	struct beside b = { .path = path, .store = created(path) };
	void *(*const work[])(void *) = { look_up, look_up, open_beside };
	pthread_t threads[3];

	for (size_t i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, work[i], &b) == 0);
	for (size_t i = 0; i < CHUNKS - 1; i++) {
		CHECK_RC(put(b.store, i));
		if (i % 100 == 99)
			CHECK_RC(store_sync(b.store));
		__atomic_store_n(&b.put, i + 1, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&b.done, true, __ATOMIC_RELEASE);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	store_close(b.store);
}

int main(void)
{
	static void (*const tests[])(const char *path) = { test_grow,	test_gone,     test_packs_gone,
							   test_damage, test_replaced, test_failing_runs,
							   test_power,	test_threads };
	const char *dir = check_tmpdir();

	log_set_level(LOG_ERROR); /* the failures are meant */
	small_limits();
	no_sync();
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		char path[600];

		snprintf(path, sizeof path, "%s/store%zu", dir, i);
		tests[i](path);
	}
	return check_done();
}
