/*
 * Putting chunks from many threads, over many small packs, on a disk that is full, fails, or has damaged what it held.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/log.h"
#include "store/store_internal.h"
#include "tests/lib/check.h"
#include "tests/lib/faultio.h"
#include "tests/lib/random.h"

enum { CHUNKS = 160, THREADS = 4, SEAL_BYTES = 64 << 10, LEN_MAX = 6000 };

static struct key keys[CHUNKS];

/* The same for every thread; odd ones compress. */
static size_t make_chunk(size_t i, uint8_t *bytes)
{
	size_t len = 1 + i * 37 % LEN_MAX;

	random_fill(bytes, len, i);
	for (size_t k = 0; i % 2 && k < len; k++)
		bytes[k] &= 3;
	return len;
}

static struct store *opened(const char *path, const struct io *io)
{
	struct store_options options = { .io = io, .cache_bytes = 256 << 10, .threads = 2 };
	struct store *store = NULL;

	CHECK_RC(store_open(&store, path, &options));
	if (!store)
		exit(check_done());
	store->seal_bytes = SEAL_BYTES;
	return store;
}

static int put(struct store *store, size_t i, struct key *key)
{
	uint8_t bytes[LEN_MAX];

	return store_put(store, NULL, 0, bytes, make_chunk(i, bytes), key);
}

static int get(struct store *store, size_t i)
{
	uint8_t bytes[LEN_MAX], got[LEN_MAX];
	size_t len = make_chunk(i, bytes);
	int rc = store_read(store, &keys[i], len, 0, got, len);

	CHECK(rc || memcmp(bytes, got, len) == 0);
	return rc;
}

static void check_sound(struct store *store)
{
	struct store_verify counts;

	CHECK_RC(store_verify(store, NULL, NULL, &counts));
	CHECK(counts.damaged == 0);
}

/* A store that was closed has the first chunks, and nothing is damaged. */
static void check_closed(const char *path, size_t count)
{
	struct store *store = opened(path, NULL);

	for (size_t i = 0; i < count; i++)
		CHECK_RC(get(store, i));
	check_sound(store);
	store_close(store);
}

struct job {
	struct store *store;
	size_t turn;
};

/* Every thread puts every chunk, each in another order, with syncs, reads and read-aheads in between. */
static void *put_all(void *arg)
{
	static const size_t steps[THREADS] = { 1, 3, 7, 159 };
	struct job *job = arg;

	for (size_t n = 0; n < CHUNKS; n++) {
		size_t i = (n * steps[job->turn] + job->turn) % CHUNKS;
		struct key key;

		CHECK_RC(put(job->store, i, &key));
		CHECK(store_has(job->store, &key));
		store_read_ahead(job->store, &key, 1 + i * 37 % LEN_MAX);
		if (n % 50 == 49)
			CHECK_RC(store_sync(job->store));
	}
	return NULL;
}

static void test_threads(const char *path)
{
	struct store *store;
	struct store_stats stats;
	pthread_t threads[THREADS];
	struct job jobs[THREADS];
	uint8_t bytes[LEN_MAX];
	uint64_t total = 0;

	CHECK_RC(store_create(path));
	store = opened(path, NULL);
	for (size_t i = 0; i < CHUNKS; i++) {
		size_t len = make_chunk(i, bytes);

		keys[i] = key_of(store->settings.secret, bytes, len);
		total += len;
	}
	for (size_t t = 0; t < THREADS; t++) {
		jobs[t] = (struct job) { store, t };
		CHECK(pthread_create(&threads[t], NULL, put_all, &jobs[t]) == 0);
	}
	for (size_t t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	store_stats(store, &stats);
	CHECK(stats.chunks == CHUNKS && stats.plain_bytes == total);
	CHECK(stats.put_bytes == THREADS * total && stats.duplicate_bytes == (THREADS - 1) * total);
	CHECK(stats.packs > 4);
	CHECK_RC(store_sync(store));
	check_sound(store);
	store_close(store);
	store = opened(path, NULL);
	for (size_t i = 0; i < CHUNKS; i++)
		CHECK_RC(get(store, i));
	check_sound(store);
	store_stats(store, &stats);
	CHECK(stats.chunks == CHUNKS && stats.plain_bytes == total);
	store_close(store);
}

/* A full disk refuses, promises nothing, forgets nothing, and takes chunks again when there is room. */
static void test_full_disk(const char *path)
{
	struct faultio *f = faultio_new();
	struct store *store;
	size_t taken = 0;
	int rc = 0;

	CHECK_RC(store_create(path));
	store = opened(path, faultio_io(f));
	faultio_fail_from(f, FAULT_WRITE, 1, ENOSPC);
	for (size_t i = 0; !rc && i < CHUNKS; i++) {
		rc = put(store, i, &keys[i]);
		taken += !rc;
	}
	CHECK(rc == -ENOSPC && taken > 0 && taken < CHUNKS);
	CHECK(*err_text());
	CHECK(store_sync(store) == -ENOSPC);
	for (size_t i = 0; i < taken; i++)
		CHECK_RC(get(store, i)); /* from memory */
	faultio_reset(f);
	for (size_t i = taken; i < CHUNKS; i++)
		CHECK_RC(put(store, i, &keys[i]));
	CHECK_RC(store_sync(store));
	store_close(store);
	faultio_crash(f, 0);
	store = opened(path, faultio_io(f));
	for (size_t i = 0; i < CHUNKS; i++)
		CHECK_RC(get(store, i));
	check_sound(store);
	store_close(store);
	faultio_free(f);
}

/* No descriptor or no memory to open a pack with: what is asked then fails with a sentence, and works the next time. */
static void test_cannot_open(const char *path)
{
	static const int codes[] = { EMFILE, ENFILE, ENOMEM };
	struct faultio *f = faultio_new();
	struct store_stats stats;
	size_t count = 30;

	CHECK_RC(store_create(path));
	for (size_t k = 0; k < 5; k++, count += 20) {
		struct store *store = opened(path, faultio_io(f));
		struct key key;
		int rc = 0;

		for (size_t i = 0; !k && i < count; i++)
			CHECK_RC(put(store, i, &keys[i]));
		if (!k)
			CHECK_RC(store_sync(store));
		store_close(store);
		store = opened(path, faultio_io(f));
		directory_idle(store->directory);
		faultio_fail_from(f, k < 3 ? FAULT_OPEN : FAULT_SYNC_DIR, 1, codes[k % 3]);
		if (k < 3) {
			CHECK(get(store, 3) == -codes[k] && strstr(err_text(), ".pack"));
			CHECK(put(store, 3, &key) == -codes[k] && strstr(err_text(), ".pack"));
		}
		for (size_t i = count; !rc && i < count + 20; i++)
			rc = put(store, i, &keys[i]);
		if (!rc)
			rc = store_sync(store);
		CHECK(rc == -codes[k % 3] && *err_text());
		faultio_reset(f);
		for (size_t i = count; i < count + 20; i++)
			CHECK_RC(put(store, i, &keys[i]));
		CHECK_RC(store_sync(store));
		for (size_t i = 0; i < count + 20; i++)
			CHECK_RC(get(store, i));
		store_stats(store, &stats);
		CHECK(stats.chunks == count + 20);
		store_close(store);
	}
	faultio_crash(f, 0);
	check_closed(path, count);
	faultio_free(f);
}

/* The n-th write, sync or folder sync fails once: what was promised before holds, nothing is promised after, reads go
 * on. */
static void test_failing_disk(const char *path)
{
	struct faultio *f = faultio_new();
	bool failed = true;

	CHECK_RC(store_create(path));
	for (uint64_t n = 1; failed && n < 60; n++) {
		struct store *store = opened(path, faultio_io(f));
		size_t promised = 0, at = n * 2 % 100;
		int rc = 0;

		failed = false;
		faultio_fail(f, FAULT_WRITE | FAULT_SYNC | FAULT_SYNC_DIR, n, EIO);
		for (size_t i = 0; !rc && i < 60; i++) {
			rc = put(store, at + i, &keys[at + i]);
			if (!rc && i % 10 == 9) {
				rc = store_sync(store);
				promised = rc ? promised : i + 1;
			}
		}
		if (rc) {
			struct key key;

			failed = true;
			CHECK(rc == -EIO);
			CHECK(put(store, CHUNKS - 1, &key) == -EIO && store_sync(store) == -EIO);
		}
		for (size_t i = 0; i < promised; i++)
			CHECK_RC(get(store, at + i));
		store_close(store);
		faultio_crash(f, n);
		store = opened(path, faultio_io(f));
		for (size_t i = 0; i < promised; i++)
			CHECK_RC(get(store, at + i));
		store_close(store);
	}
	faultio_free(f);
}

/* Flips a byte of the payload of a chunk that is on the disk. */
static void damage(struct store *store, size_t i)
{
	struct directory_entry entry;
	char name[PACK_NAME_MAX], path[700];
	uint8_t byte;
	off_t at;
	int fd;

	CHECK(directory_get(store->directory, &keys[i], &entry));
	packs_name(store->packs, entry.pack, name);
	snprintf(path, sizeof path, "%s/packs/%s", store_path(store), name);
	at = (off_t)entry.off + PACK_HEAD_BYTES + entry.stored_len / 2;
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1);
	byte ^= 1;
	CHECK(pwrite(fd, &byte, 1, at) == 1);
	close(fd);
}

/* A held chunk that turns out damaged when it comes again is stored anew, and the new record counts from then on. */
static void test_replaced(const char *path)
{
	struct store *store;
	struct store_stats stats;
	struct store_verify counts;
	struct key key;

	CHECK_RC(store_create(path));
	store = opened(path, NULL);
	for (size_t i = 0; i < 20; i++)
		CHECK_RC(put(store, i, &keys[i]));
	store_close(store);
	store = opened(path, NULL);
	damage(store, 7);
	CHECK(get(store, 7) == -EIO);
	CHECK(strstr(err_text(), ".pack"));
	CHECK_RC(put(store, 7, &key));
	CHECK(key_equal(&key, &keys[7]));
	CHECK_RC(get(store, 7));
	store_stats(store, &stats);
	CHECK(stats.chunks == 20 && stats.duplicate_bytes == 0);
	store_close(store);
	store = opened(path, NULL);
	CHECK_RC(get(store, 7));
	store_stats(store, &stats);
	CHECK(stats.chunks == 20);
	CHECK_RC(store_verify(store, NULL, NULL, &counts));
	CHECK(counts.damaged == 1); /* the old record is still there and still damaged */
	store_close(store);
}

/* Data that comes again is compared without pushing anything out of the cache, or into it. */
static void test_again(const char *path)
{
	struct store *store;
	struct store_stats before, after;
	struct key key;

	CHECK_RC(store_create(path));
	store = opened(path, NULL);
	for (size_t i = 0; i < 40; i++)
		CHECK_RC(put(store, i, &keys[i]));
	CHECK_RC(store_sync(store));
	CHECK_RC(get(store, 3));
	store_stats(store, &before);
	for (size_t i = 0; i < 40; i++)
		CHECK_RC(put(store, i, &key));
	store_stats(store, &after);
	CHECK(after.cache_bytes == before.cache_bytes && after.chunks == 40);
	CHECK(after.duplicate_bytes == before.put_bytes);
	store_close(store);
}

static void touch(const char *store, const char *name)
{
	char path[700];
	int fd;

	snprintf(path, sizeof path, "%s/%s", store, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	close(fd);
}

/* Epochs grow with every open, also when only packs and journal were copied. */
static void test_epoch(const char *path)
{
	char epoch[700];
	struct store *store;
	uint64_t before;

	CHECK_RC(store_create(path));
	store = opened(path, NULL);
	before = store_epoch(store);
	store_close(store);
	store = opened(path, NULL);
	CHECK(store_epoch(store) > before);
	CHECK_RC(put(store, 1, &keys[1]));
	before = store_epoch(store);
	store_close(store);
	snprintf(epoch, sizeof epoch, "%s/epoch", path);
	CHECK(unlink(epoch) == 0);
	store = opened(path, NULL);
	CHECK(store_epoch(store) > before);
	store_close(store);
	CHECK(unlink(epoch) == 0);
	touch(path, "journal/0000000077-000000000001.log");
	touch(path, "journal/notes");
	store = opened(path, NULL);
	CHECK(store_epoch(store) > 77);
	store_close(store);
}

static void test_refusals(const char *path)
{
	struct store *store;
	static uint8_t large[CHUNK_MAX + 1];
	struct key key;

	CHECK_RC(store_create(path));
	store = opened(path, NULL);
	CHECK(store_put(store, NULL, 0, large, 0, &key) == -EINVAL);
	CHECK(store_put(store, NULL, 0, large, sizeof large, &key) == -EINVAL);
	CHECK_RC(store_put(store, NULL, 0, large, CHUNK_MAX, &key));
	CHECK(store_read(store, &key, CHUNK_MAX, CHUNK_MAX, &key, 1) == -EIO);
	CHECK(store_room(store, UINT64_MAX) == -ENOSPC && strstr(err_text(), "reserve"));
	CHECK_RC(store_put(store, NULL, 0, large, 5, &key)); /* that was not sticky */
	store_close(store);
}

int main(void)
{
	static void (*const tests[])(const char *path) = { test_threads,  test_full_disk, test_failing_disk, test_cannot_open,
							   test_replaced, test_again,
							   test_epoch,	  test_refusals };
	const char *dir = check_tmpdir();

	log_set_level(LOG_ERROR); /* the failures are meant */
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		char path[600];

		snprintf(path, sizeof path, "%s/store%zu", dir, i);
		tests[i](path);
	}
	return check_done();
}
