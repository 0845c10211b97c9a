/*
 * The appender with a pool that writes behind it: every byte can be read from memory or file at any moment, threads that append
 * and sync at once leave a whole pack, a full disk loses nothing, and after a failed write or sync nothing more is taken.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/appender.h"
#include "store/log.h"
#include "store/recover.h"
#include "tests/lib/check.h"
#include "tests/lib/faultio.h"
#include "tests/lib/random.h"

enum { RECORDS = 100, LEN_MAX = 500 << 10, THREADS = 3, SYNC_EVERY = 5 << 20 };

static const struct pack_name name = { 1, 1 };
static struct settings settings;
static char folder[512], path[600];
static uint8_t source[LEN_MAX + RECORDS * 8];
static struct pool *pool;

struct record {
	struct pack_head head;
	uint64_t off;
};
static struct record records[RECORDS];

static const uint8_t *payload(size_t i)
{
	return source + i * 8;
}

static void make_records(void)
{
	uint64_t seed = 3;

	random_fill(source, sizeof source, 1);
	for (size_t i = 0; i < RECORDS; i++) {
		struct pack_head *head = &records[i].head;

		*head = (struct pack_head) { .kind = PACK_CHUNK, .version = 1 };
		head->plain_len = head->stored_len = 1 + (uint32_t)random_below(&seed, LEN_MAX);
		random_fill(head->key.bytes, KEY_BYTES, i + 200);
	}
}

static struct appender *new_pack(const struct io *io)
{
	uint8_t header[PACK_HEADER_BYTES];
	struct appender *a = NULL;

	unlink(path);
	pack_header(&settings, name, header);
	CHECK_RC(appender_new(&a, io, folder, path, header));
	CHECK_RC(pool_new(&pool, 2));
	appender_write_behind(a, pool, SYNC_EVERY);
	return a;
}

static void end(struct appender *a)
{
	pool_free(pool);
	appender_drop(a);
}

static int add(struct appender *a, size_t i)
{
	return appender_add(a, &records[i].head, payload(i), &records[i].off);
}

/* From memory or, when it is not there any more, from the file, as a reader of the store does. */
static void check_readable(struct appender *a, size_t i)
{
	size_t len = records[i].head.stored_len;
	uint64_t off = records[i].off + PACK_HEAD_BYTES;
	uint8_t *got = malloc(len);
	bool there = appender_peek(a, off, got, len);
	int fd = there ? -1 : open(path, O_RDONLY | O_CLOEXEC);

	CHECK(there || fd >= 0);
	if (!there)
		CHECK(pread(fd, got, len, (off_t)off) == (ssize_t)len);
	if (fd >= 0)
		close(fd);
	CHECK(memcmp(got, payload(i), len) == 0);
	free(got);
}

static off_t file_size(void)
{
	struct stat st;

	return stat(path, &st) ? -1 : st.st_size;
}

static uint64_t check_pack(bool sealed)
{
	struct recovered pack;
	uint64_t count;

	CHECK_RC(recover_pack(&io_system, &settings, folder, name, 0, &pack));
	CHECK(pack.sealed == sealed);
	count = pack.records;
	buf_free(&pack.entries);
	return count;
}

static void test_readable_always(void)
{
	struct appender *a = new_pack(&io_system);
	uint64_t seed = 9;

	for (size_t i = 0; i < RECORDS; i++) {
		CHECK_RC(add(a, i));
		check_readable(a, i);
		check_readable(a, (size_t)random_below(&seed, i + 1));
	}
	CHECK_RC(appender_seal(a));
	CHECK_RC(appender_sync(a));
	CHECK((uint64_t)file_size() == appender_bytes(a));
	end(a);
	CHECK(check_pack(true) == RECORDS);
}

struct share {
	struct appender *a;
	size_t first;
};

static void *add_share(void *arg)
{
	struct share *share = arg;

	for (size_t i = share->first; i < RECORDS; i += THREADS) {
		CHECK_RC(add(share->a, i));
		check_readable(share->a, i);
		if (i % 17 == 0)
			CHECK_RC(appender_sync(share->a));
	}
	return NULL;
}

static void test_threads(void)
{
	struct appender *a = new_pack(&io_system);
	struct share shares[THREADS];
	pthread_t threads[THREADS];

	for (size_t t = 0; t < THREADS; t++) {
		shares[t] = (struct share) { a, t };
		CHECK(pthread_create(&threads[t], NULL, add_share, &shares[t]) == 0);
	}
	for (size_t t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	CHECK_RC(appender_seal(a));
	CHECK_RC(appender_sync(a));
	end(a);
	CHECK(check_pack(true) == RECORDS);
}

/* Syncs anywhere among records of all sizes: whatever a crash leaves, what was promised is there, and all can be read before. */
static void test_syncs_anywhere(void)
{
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct faultio *f = faultio_new();
		struct appender *a = new_pack(faultio_io(f));
		uint64_t state = seed;
		size_t promised = 0;

		for (size_t i = 0; i < RECORDS; i++) {
			CHECK_RC(add(a, i));
			if (random_below(&state, seed * 4) == 0) {
				CHECK_RC(appender_sync(a));
				promised = i + 1;
			}
			check_readable(a, i);
			check_readable(a, i / 2);
		}
		end(a);
		faultio_crash(f, seed);
		faultio_free(f);
		CHECK(check_pack(false) >= promised);
	}
}

/* What was taken before the disk was full stays readable, and is written when there is room. */
static void test_full_disk(void)
{
	struct faultio *f = faultio_new();
	struct appender *a = new_pack(faultio_io(f));
	size_t taken = 0;
	int rc = 0;

	faultio_fail_from(f, FAULT_WRITE, 2, ENOSPC);
	while (taken < RECORDS && !(rc = add(a, taken)))
		taken++;
	CHECK(rc == -ENOSPC && taken > 10 && taken < RECORDS);
	CHECK(appender_sync(a) == -ENOSPC);
	for (size_t i = 0; i < taken; i++)
		check_readable(a, i);
	faultio_reset(f);
	for (size_t i = taken; i < RECORDS; i++)
		CHECK_RC(add(a, i));
	CHECK_RC(appender_seal(a));
	CHECK_RC(appender_sync(a));
	end(a);
	faultio_free(f);
	CHECK(check_pack(true) == RECORDS);
}

/* The n-th write or sync fails once, wherever that is: nothing is taken any more, and what was promised stays. */
static void test_failing_disk(unsigned kinds, uint64_t n)
{
	struct faultio *f = faultio_new();
	struct appender *a = new_pack(faultio_io(f));
	size_t taken = 0, promised = 0;
	off_t size;
	int rc = 0;

	faultio_fail(f, kinds, n, EIO);
	while (taken < RECORDS && !(rc = add(a, taken))) {
		taken++;
		if (taken == 30 && !(rc = appender_sync(a)))
			promised = taken;
		if (rc)
			break;
	}
	if (!rc)
		rc = appender_sync(a);
	CHECK(rc == -EIO);
	CHECK(add(a, 0) == -EIO && appender_sync(a) == -EIO && appender_seal(a) == -EIO);
	CHECK(strstr(err_text(), "nothing more is taken"));
	pool_free(pool);
	size = file_size();
	appender_drop(a);
	CHECK(size < 0 || (uint64_t)size >= (promised ? records[promised].off : 0));
	faultio_crash(f, n);
	faultio_free(f);
	CHECK(!promised || check_pack(false) >= promised);
}

int main(void)
{
	CHECK_RC(settings_make(&settings));
	snprintf(folder, sizeof folder, "%s", check_tmpdir());
	snprintf(path, sizeof path, "%s/0000000001-0000000001.pack", folder);
	log_set_level(LOG_ERROR);
	make_records();
	test_readable_always();
	test_threads();
	test_syncs_anywhere();
	test_full_disk();
	for (uint64_t n = 1; n <= 3; n++)
		test_failing_disk(FAULT_WRITE, n);
	for (uint64_t n = 1; n <= 2; n++) /* there are two at least; how many more depends on the threads */
		test_failing_disk(FAULT_SYNC, n);
	return check_done();
}
