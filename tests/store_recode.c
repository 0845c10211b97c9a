/*
 * Recoding of data at rest: wherever it is stopped, cut off or damaged, every chunk is there, in one pack or in two; sums are
 * right; readers and writers go on beside it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/compact.h"
#include "store/directory_internal.h"
#include "store/log.h"
#include "tests/lib/check.h"
#include "tests/lib/faultio.h"
#include "tests/lib/random.h"

enum { CHUNKS = 120, SOME = 30, SEAL_BYTES = 24 << 10, LEN_MAX = 4000 };

static struct key keys[2 * CHUNKS];
static const struct store_recode_options everything = { .threads = 1 };

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

/* Every third one does not compress. */
static size_t make_chunk(size_t i, uint8_t *bytes)
{
	size_t len = 1 + i * 367 % LEN_MAX;

	random_fill(bytes, len, i);
	for (size_t k = 0; i % 3 && k < len; k++)
		bytes[k] &= 3;
	return len;
}

static struct store *opened(const char *path, const struct io *io, unsigned flags)
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
static int put_plain(struct store *store, size_t i)
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

static int put(struct store *store, size_t i)
{
	uint8_t bytes[LEN_MAX];

	return store_put(store, NULL, 0, bytes, make_chunk(i, bytes), &keys[i]);
}

static int get(struct store *store, size_t i)
{
	uint8_t bytes[LEN_MAX], got[LEN_MAX];
	size_t len = make_chunk(i, bytes);
	int rc = store_read(store, &keys[i], len, 0, got, len);

	CHECK(rc || memcmp(bytes, got, len) == 0);
	return rc;
}

static void check_there(struct store *store, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		CHECK_RC(get(store, i));
}

/* A store with chunks 0..count-1, closed. */
static void filled(const char *path, size_t count)
{
	struct store *store;

	CHECK_RC(store_create(path));
	store = opened(path, NULL, 0);
	for (size_t i = 0; i < count; i++)
		CHECK_RC(put_plain(store, i));
	CHECK_RC(store_sync(store));
	store_close(store);
}

static void print_damage(void *ctx, const char *sentence)
{
	fprintf(stderr, "%s: %s\n", (const char *)ctx, sentence);
}

static void check_sound(const char *path)
{
	struct store *store = opened(path, NULL, STORE_READ_ONLY);
	struct store_verify counts;

	CHECK_RC(store_verify(store, print_damage, (void *)(uintptr_t)path, &counts));
	CHECK(counts.damaged == 0);
	store_close(store);
}

/* As many chunks as were put, each counted once, with the bytes that they have. */
static void check_sums(struct store *store, size_t count)
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
	CHECK(stats.chunks == count && stats.plain_bytes == plain && stats.stored_bytes == stored);
	for (size_t i = 0; i < 8; i++)
		CHECK(stats.codec[i].stored_bytes == coded[i]);
}

static size_t count_packs(const char *path)
{
	char folder[700];
	struct pack_name name;
	struct dirent *e;
	size_t count = 0;
	DIR *d;

	snprintf(folder, sizeof folder, "%s/packs", path);
	d = opendir(folder);
	while (d && (e = readdir(d)))
		count += pack_name_parse(e->d_name, &name);
	if (d)
		closedir(d);
	return count;
}

/* All are there, smaller, in fewer packs; once more does nothing. */
static void test_all(const char *path)
{
	struct store *store;
	struct store_recode_result r;
	size_t before;

	filled(path, CHUNKS);
	before = count_packs(path);
	store = opened(path, NULL, 0);
	for (size_t i = CHUNKS; i < CHUNKS + 9; i++) /* in the pack that grows */
		CHECK_RC(put(store, i));
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(r.chunks == CHUNKS + 9 && r.packs == before + 1 && !r.packs_left && !r.stopped);
	CHECK(r.bytes_after < r.bytes_before / 10 * 8);
	check_there(store, 0, CHUNKS + 9);
	check_sums(store, CHUNKS + 9);
	CHECK(count_packs(path) < before);
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(!r.chunks && !r.packs);
	CHECK_RC(put(store, CHUNKS + 10));
	store_close(store);
	before = count_packs(path);
	store = opened(path, NULL, 0);
	check_there(store, 0, CHUNKS + 9);
	CHECK_RC(store_recode(store, &everything, &r)); /* that last one */
	CHECK(r.chunks == 1 && r.packs == 1);
	store_close(store);
	CHECK(count_packs(path) == before);
	check_sound(path);
}

/* Young packs are left alone. */
static void test_age(const char *path)
{
	struct store_recode_options options = { .age_s = 3600, .threads = 1 };
	struct store_recode_result r;
	struct store *store;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	CHECK_RC(put(store, CHUNKS));
	CHECK_RC(store_recode(store, &options, &r));
	CHECK(!r.chunks && !r.packs);
	store_close(store);
	store = opened(path, NULL, STORE_READ_ONLY);
	CHECK(store_recode(store, &options, &r) == -EROFS);
	store_close(store);
}

static bool after_some(void *ctx)
{
	size_t *left = ctx;

	return !*left || !--*left;
}

/* Stopped again and again it comes to the same, and copies nothing twice; closed meanwhile, at most what had been copied of one
 * pack. */
static void test_stopped(const char *path)
{
	size_t left, copied = 0, rounds = 0;
	struct store_recode_options options = { .threads = 2, .stop = after_some, .ctx = &left };
	struct store_recode_result r = { .stopped = true };
	struct store *store;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	for (; r.stopped && rounds < 300; rounds++) {
		left = 6 + rounds % 7;
		CHECK_RC(store_recode(store, &options, &r));
		copied += r.chunks;
		check_there(store, rounds % CHUNKS, rounds % CHUNKS + 1);
		if (rounds % 8 == 7) {
			store_close(store);
			store = opened(path, NULL, 0);
			check_there(store, 0, CHUNKS);
		}
	}
	CHECK(!r.stopped && rounds > 8 && copied == CHUNKS);
	check_there(store, 0, CHUNKS);
	store_close(store);
	options = (struct store_recode_options) { .threads = 1, .bytes_max = 1 };
	store = opened(path, NULL, 0);
	for (size_t i = CHUNKS; i < CHUNKS + 9; i++)
		CHECK_RC(put_plain(store, i));
	CHECK_RC(store_recode(store, &options, &r));
	CHECK(r.stopped && r.chunks && r.chunks < 4);
	store_close(store);
	check_sound(path);
}

/* Power goes away at every call that changes the disk: all chunks are there then, and the next recoding cleans up. */
static void test_power(const char *dir)
{
	struct faultio *f = faultio_new();
	bool off = true;
	size_t least = 0;

	for (uint64_t n = 1; off; n++) {
		struct store_options so = { .io = faultio_io(f), .cache_bytes = 1, .threads = 1 };
		struct store_recode_result r;
		struct store *store = NULL;
		char path[700];

		snprintf(path, sizeof path, "%s-%llu", dir, (unsigned long long)n);
		filled(path, SOME);
		faultio_power_off(f, n);
		if (!store_open(&store, path, &so)) {
			store->seal_bytes = SEAL_BYTES;
			if (!store_recode(store, &everything, &r))
				CHECK(faultio_is_off(f) || r.chunks == SOME);
			store_close(store);
		}
		off = faultio_is_off(f);
		faultio_crash(f, n % 4 ? n : 0);
		store = opened(path, faultio_io(f), 0);
		check_there(store, 0, SOME);
		CHECK_RC(store_recode(store, &everything, &r));
		check_there(store, 0, SOME);
		directory_idle(store->directory);
		store_close(store);
		if (n % 3 == 0)
			check_sound(path);
		store = opened(path, faultio_io(f), 0);
		check_there(store, 0, SOME);
		check_sums(store, SOME);
		store_close(store);
		if (!least)
			least = count_packs(path);
		CHECK(count_packs(path) <= least + 2);
		faultio_crash(f, 0);
	}
	faultio_free(f);
}

/* Any call fails, once or from then on: nothing is lost, and the store still takes chunks. */
static void test_failing(const char *dir)
{
	struct faultio *f = faultio_new();
	uint64_t calls = 40;

	for (uint64_t n = 1; n < calls; n += 1 + n / 12) {
		struct store_recode_result r;
		struct store *store;
		char path[700];

		snprintf(path, sizeof path, "%s-%llu", dir, (unsigned long long)n);
		filled(path, SOME);
		store = opened(path, faultio_io(f), 0);
		faultio_reset(f);
		(n % 3 ? faultio_fail : faultio_fail_from)(f, FAULT_CHANGES | (n % 2 ? FAULT_OPEN | FAULT_READ : 0), n,
							    n % 5 == 2 ? ENOSPC : EIO);
		store_recode(store, &everything, &r);
		if (faultio_calls(f, FAULT_ALL) > calls)
			calls = faultio_calls(f, FAULT_ALL);
		faultio_reset(f);
		faultio_fail(f, 0, 0, EIO);
		check_there(store, 0, SOME);
		CHECK_RC(store_recode(store, &everything, &r));
		check_there(store, 0, SOME);
		check_sums(store, SOME);
		CHECK_RC(put(store, CHUNKS));
		CHECK_RC(store_sync(store));
		store_close(store);
		faultio_crash(f, 0);
		store = opened(path, NULL, 0);
		check_there(store, 0, SOME);
		CHECK_RC(get(store, CHUNKS));
		store_close(store);
		if (n % 3 == 0)
			check_sound(path);
	}
	faultio_free(f);
}

static void place_of(struct store *store, size_t i, char path[700], off_t *at)
{
	struct directory_entry entry;
	char name[PACK_NAME_MAX];

	CHECK(directory_get(store->directory, &keys[i], &entry) == 1);
	packs_name(store->packs, entry.pack, name);
	snprintf(path, 700, "%s/packs/%s", store_path(store), name);
	*at = (off_t)entry.off + PACK_HEAD_BYTES + entry.stored_len / 2;
}

static void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1);
	byte ^= 1;
	CHECK(pwrite(fd, &byte, 1, at) == 1);
	close(fd);
}

/* A pack with a damaged chunk stays, with every byte; all others go. When the chunk comes again its old pack goes too. */
static void test_damaged(const char *path)
{
	struct store_recode_result r;
	struct store *store;
	char pack[700];
	size_t before;
	off_t at;

	filled(path, CHUNKS);
	before = count_packs(path);
	store = opened(path, NULL, 0);
	place_of(store, 40, pack, &at);
	flip(pack, at);
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(r.packs_left == 1 && r.packs == before - 1);
	CHECK(access(pack, F_OK) == 0);
	for (size_t i = 0; i < CHUNKS; i++)
		CHECK(get(store, i) == (i == 40 ? -EIO : 0));
	check_sums(store, CHUNKS);
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(!r.packs_left && !r.packs); /* not tried again and again */
	flip(pack, at);
	CHECK_RC(get(store, 40));
	flip(pack, at);
	store_close(store);
	store = opened(path, NULL, 0);
	CHECK(get(store, 40) == -EIO);
	CHECK_RC(put(store, 40));
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(!r.packs_left && access(pack, F_OK) < 0);
	check_there(store, 0, CHUNKS);
	check_sums(store, CHUNKS);
	store_close(store);
	check_sound(path);
}

struct beside {
	const char *path;
	struct store *store;
	bool done;  /* atomic */
	size_t put; /* atomic */
};

static void *read_beside(void *arg)
{
	struct beside *b = arg;
	uint64_t seed = (uintptr_t)&seed;

	while (!__atomic_load_n(&b->done, __ATOMIC_ACQUIRE))
		CHECK_RC(get(b->store, random_below(&seed, CHUNKS)));
	return NULL;
}

/* Puts chunks that are there and others that are new. */
static void *write_beside(void *arg)
{
	struct beside *b = arg;
	struct key key;

	for (size_t i = 0; !__atomic_load_n(&b->done, __ATOMIC_ACQUIRE); i++) {
		uint8_t bytes[LEN_MAX];
		size_t at = i * 7 % (2 * CHUNKS);

		CHECK_RC(store_put(b->store, NULL, 0, bytes, make_chunk(at, bytes), &key));
		if (i % 20 == 19)
			CHECK_RC(store_sync(b->store));
		if (i == 2 * CHUNKS)
			__atomic_store_n(&b->put, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void *open_beside(void *arg)
{
	struct beside *b = arg;

	while (!__atomic_load_n(&b->done, __ATOMIC_ACQUIRE)) {
		struct store *store = opened(b->path, NULL, STORE_READ_ONLY);
		struct store_verify counts;

		for (size_t i = 0; i < CHUNKS; i += 5)
			CHECK_RC(get(store, i));
		CHECK_RC(store_verify(store, NULL, NULL, &counts));
		CHECK(counts.damaged == 0 && counts.chunks >= CHUNKS);
		store_close(store);
	}
	return NULL;
}

/* Readers, writers, and readers in other processes never miss a chunk. */
static void test_beside(const char *path)
{
	void *(*const work[])(void *) = { read_beside, write_beside, read_beside, open_beside };
	struct beside b = { .path = path };
	struct store_recode_result r;
	pthread_t threads[4];
	uint8_t bytes[LEN_MAX];

	filled(path, CHUNKS);
	b.store = opened(path, NULL, 0);
	for (size_t i = 0; i < 2 * CHUNKS; i++)
		keys[i] = key_of(b.store->settings.secret, bytes, make_chunk(i, bytes));
	for (size_t i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, work[i], &b) == 0);
	for (int i = 0; i < 200 && (i < 8 || !__atomic_load_n(&b.put, __ATOMIC_ACQUIRE)); i++) {
		struct store_recode_options o = { .threads = 1 + (unsigned)i % 2, .idle = i % 2, .bytes_max = 30000 };

		CHECK_RC(store_recode(b.store, &o, &r));
	}
	__atomic_store_n(&b.done, true, __ATOMIC_RELEASE);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	CHECK_RC(store_recode(b.store, &everything, &r));
	check_there(b.store, 0, CHUNKS);
	store_close(b.store);
	check_sound(path);
}

/* A reader in another process, opened before. */
static void test_reader(const char *path)
{
	struct store_recode_result r;
	struct store *store, *reader;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	reader = opened(path, NULL, STORE_READ_ONLY);
	check_there(reader, 0, 20);
	CHECK_RC(store_recode(store, &everything, &r));
	check_there(reader, 0, CHUNKS);
	store_close(store);
	check_there(reader, 0, CHUNKS);
	store_close(reader);
}

/* A chunk that a writer stores again while its old record is copied: the newer one counts, and is there. */
static void test_again(const char *path)
{
	size_t left = 16;
	struct store_recode_options options = { .threads = 1, .stop = after_some, .ctx = &left };
	struct store_recode_result r;
	struct store *store;
	char pack[700];
	off_t at;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	CHECK_RC(store_recode(store, &options, &r));
	CHECK(r.stopped && r.chunks > 6);
	place_of(store, 5, pack, &at); /* copied, not published */
	flip(pack, at);
	CHECK(get(store, 5) == -EIO);
	CHECK_RC(put(store, 5));
	CHECK_RC(get(store, 5));
	CHECK_RC(store_recode(store, &everything, &r));
	check_there(store, 0, CHUNKS);
	check_sums(store, CHUNKS);
	store_close(store);
	store = opened(path, NULL, 0);
	check_there(store, 0, CHUNKS);
	store_close(store);
	check_sound(path);
}

static bool is_even(void *ctx, const struct key *key)
{
	(void)ctx;
	for (size_t i = 0; i < CHUNKS; i++)
		if (key_equal(&keys[i], key))
			return i % 2 == 0;
	return true;
}

/* What a rule does not want goes away with its pack, and out of the sums. */
static void test_unwanted(const char *path)
{
	struct compact_rule rule = { .wanted = is_even };
	struct compaction *c;
	struct store_stats stats;
	struct store *store;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	CHECK_RC(compaction_new(&c, store, &rule));
	for (uint32_t i = 0, end = packs_end(store->packs); i < end; i++)
		CHECK_RC(compaction_pack(c, i, NULL, NULL));
	CHECK_RC(compaction_finish(c));
	CHECK(compaction_counts(c)->chunks == CHUNKS / 2);
	compaction_free(c);
	store_stats(store, &stats);
	CHECK(stats.chunks == CHUNKS / 2);
	for (size_t i = 0; i < CHUNKS; i++)
		CHECK(get(store, i) == (i % 2 ? -EIO : 0));
	CHECK_RC(put(store, 7)); /* comes again */
	CHECK_RC(get(store, 7));
	store_close(store);
	check_sound(path);
}

int main(void)
{
	static void (*const tests[])(const char *path) = { test_all,	  test_age,    test_stopped, test_power,
							   test_failing,  test_damaged, test_beside, test_reader,
							   test_again, test_unwanted };
	const char *dir = check_tmpdir();

	quick = io_system;
	quick.fdatasync = at_once;
	quick.fsync_dir = folder_at_once;
	log_set_level(LOG_ERROR); /* the failures are meant */
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		char path[600];

		snprintf(path, sizeof path, "%s/store%zu", dir, i);
		tests[i](path);
	}
	return check_done();
}
