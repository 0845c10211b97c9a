/*
 * A write that power cut short while the disk had come to its later sectors before its earlier ones: the records in it that are not
 * whole are gaps, which the next writer's footer lists; nothing is damage. Any other damage stays damage. And records are on
 * the disk before a footer says that they are there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/log.h"
#include "store/recover.h"
#include "store/store_internal.h"
#include "tests/lib/check.h"
#include "tests/lib/faultio.h"
#include "tests/lib/random.h"

enum { CHUNKS = 12, LEN = 1500, SECTOR = 512 };

static uint8_t bytes[CHUNKS][LEN];
static struct key keys[CHUNKS];
static char pack[700];

static struct store *opened(const char *path, const struct io *io, unsigned flags)
{
	struct store_options options = { .io = io, .cache_bytes = 1 << 20, .threads = 1, .flags = flags };
	struct store *store = NULL;

	CHECK_RC(store_open(&store, path, &options));
	return store;
}

static void count(void *ctx, const char *sentence)
{
	(void)sentence;
	++*(uint64_t *)ctx;
}

static uint64_t damages(struct store *store)
{
	struct store_verify counts;
	uint64_t n = 0;

	CHECK_RC(store_verify(store, count, &n, &counts));
	return n;
}

static uint64_t damages_unopened(const char *path)
{
	struct store *store = opened(path, NULL, STORE_READ_ONLY);
	uint64_t n = store ? damages(store) : 1;

	store_close(store);
	return n;
}

static size_t whole(struct store *store)
{
	uint8_t got[LEN];
	size_t n = 0;

	for (size_t i = 0; i < CHUNKS; i++)
		n += !store_read(store, &keys[i], LEN, 0, got, LEN) && !memcmp(got, bytes[i], LEN);
	return n;
}

/* A store whose writer was cut off after it wrote its pack, which is not sealed. */
static void make_store(const char *path)
{
	struct faultio *f = faultio_new();
	struct store *store;

	CHECK_RC(store_create(path));
	store = opened(path, faultio_io(f), 0);
	for (size_t i = 0; i < CHUNKS; i++) {
		random_fill(bytes[i], LEN, i + 7);
		CHECK_RC(store_put(store, NULL, 0, bytes[i], LEN, &keys[i]));
	}
	CHECK_RC(store_sync(store));
	snprintf(pack, sizeof pack, "%s/packs/0000000001-0000000001.pack", path);
	faultio_power_off(f, 1);
	store_close(store);
	faultio_crash(f, 0);
	faultio_free(f);
}

static void put(const void *from, size_t len, off_t at)
{
	int fd = open(pack, O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0 && pwrite(fd, from, len, at) == (ssize_t)len);
	close(fd);
}

/* Everything but what stood in the lost sectors is there, nothing is called damage, and the pack can be copied. */
static void check_torn(const char *path, size_t expect)
{
	struct store_recode_options options = { 0 };
	struct store_recode_result result;
	struct store *store;
	struct stat st;

	CHECK(damages_unopened(path) == 0);
	store = opened(path, NULL, 0);
	CHECK(damages(store) == 0);
	CHECK(whole(store) == expect);
	for (size_t i = 0; i < CHUNKS; i++)
		CHECK_RC(store_put(store, NULL, 0, bytes[i], LEN, &keys[i]));
	CHECK(whole(store) == CHUNKS);
	CHECK_RC(store_recode(store, &options, &result));
	CHECK(result.packs_left == 0 && stat(pack, &st) < 0);
	CHECK(whole(store) == CHUNKS && damages(store) == 0);
	store_close(store);
	CHECK(damages_unopened(path) == 0);
}

static void test_lost_sectors(const char *dir)
{
	static const uint8_t zeros[SECTOR];
	struct stat st;
	char path[600];
	off_t size;

	snprintf(path, sizeof path, "%s/first", dir);
	make_store(path);
	CHECK(!stat(pack, &st));
	size = st.st_size;
	for (off_t at = 0; at + 2 * SECTOR < size; at += 5 * SECTOR) {
		off_t record = (at - PACK_HEADER_BYTES) / (LEN + PACK_HEAD_BYTES);
		off_t ends = (at + SECTOR - 1 - PACK_HEADER_BYTES) / (LEN + PACK_HEAD_BYTES);

		snprintf(path, sizeof path, "%s/lost-%lld", dir, (long long)at);
		make_store(path);
		put(zeros, SECTOR, at);
		check_torn(path, CHUNKS - (size_t)(ends - (at ? record : 0) + 1));
	}
}

/* Only the sector's part behind the record before, as when the write began there. */
static void test_first_sector(const char *dir)
{
	static const uint8_t zeros[SECTOR];
	off_t from = PACK_HEADER_BYTES + 3 * (LEN + PACK_HEAD_BYTES);
	char path[600];

	snprintf(path, sizeof path, "%s/begun", dir);
	make_store(path);
	put(zeros, (size_t)(SECTOR - from % SECTOR), from);
	check_torn(path, CHUNKS - 1);
}

static void test_damage(const char *dir)
{
	struct store *store;
	char path[600];

	snprintf(path, sizeof path, "%s/damaged", dir);
	make_store(path);
	put("damage", 6, 3000);
	CHECK(damages_unopened(path) > 0);
	store = opened(path, NULL, 0);
	CHECK(damages(store) > 0);
	CHECK(whole(store) == CHUNKS - 1);
	store_close(store);
	CHECK(damages_unopened(path) > 0);
}

/* ---- the order ---- */

static struct io watched;
static off_t synced;
static unsigned footers;

static int watched_sync(const struct io *io, int fd)
{
	struct stat st;

	(void)io;
	CHECK(!fstat(fd, &st));
	synced = st.st_size;
	return 0;
}

static int64_t watched_write(const struct io *io, int fd, const void *from, size_t len, uint64_t off)
{
	const uint8_t *seal = memmem(from, len, "TOMOSEAL", 8);
	uint64_t footer;

	(void)io;
	if (seal) {
		memcpy(&footer, seal + 8, sizeof footer);
		CHECK((uint64_t)synced >= footer && off == footer);
		footers++;
	}
	return io_system.pwrite(&io_system, fd, from, len, off);
}

static void test_footer_last(const char *dir)
{
	struct store *store;
	uint8_t chunk[9000];
	struct key key;
	char path[600];

	snprintf(path, sizeof path, "%s/order", dir);
	CHECK_RC(store_create(path));
	watched = io_system;
	watched.fdatasync = watched_sync;
	watched.pwrite = watched_write;
	watched.pwrite_once = NULL;
	store = opened(path, &watched, 0);
	store->seal_bytes = 30000;
	for (unsigned i = 0; i < 40; i++) {
		random_fill(chunk, sizeof chunk, i);
		CHECK_RC(store_put(store, NULL, 0, chunk, sizeof chunk, &key));
		if (i % 7 == 6)
			CHECK_RC(store_sync(store));
	}
	store_close(store);
	CHECK(footers >= 10);
}

int main(void)
{
	const char *dir = check_tmpdir();

	log_set_level(LOG_ERROR);
	test_lost_sectors(dir);
	test_first_sector(dir);
	test_damage(dir);
	test_footer_last(dir);
	return check_done();
}
