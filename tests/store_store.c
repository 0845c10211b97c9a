/*
 * The store: bytes go in once and come out; nothing that was synced is lost by a power cut at any call; no flipped byte is ever
 * delivered; what is wrong with a folder is said.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"
#include "tests/lib/check.h"
#include "tests/lib/faultio.h"

enum { CHUNKS = 24, CHUNK_ROOM = 300 << 10, FLIPS = 300 };

static uint64_t seed = 5;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static struct chunk {
	uint8_t *bytes;
	size_t len;
	struct key key;
} chunks[CHUNKS];

static void make_chunks(void)
{
	for (size_t i = 0; i < CHUNKS; i++) {
		chunks[i].len = i == 0 ? 1 : i == 1 ? CHUNK_ROOM : 1 + rnd(i % 3 ? 5000 : CHUNK_ROOM);
		chunks[i].bytes = malloc(chunks[i].len);
		for (size_t k = 0; k < chunks[i].len; k++)
			chunks[i].bytes[k] = (uint8_t)(i % 2 ? rnd(256) : k / 50 + i);
	}
}

static struct store *opened(const char *path, const struct io *io, unsigned flags)
{
	struct store_options options = { .io = io, .cache_bytes = 1 << 20, .threads = 2, .flags = flags };
	struct store *store = NULL;

	CHECK_RC(store_open(&store, path, &options));
	return store;
}

static int read_part(struct store *store, const struct chunk *c, size_t skip, void *got, size_t len)
{
	struct store_part part;
	int rc = store_get_part(store, &c->key, c->len, skip, len, &part);

	CHECK(!rc || (!part.chunk && !part.room));
	if (rc)
		return rc;
	memcpy(got, part.bytes, len);
	store_drop_part(store, &part, false);
	return 0;
}

/* 0: it came out right; -EIO: it is said to be damaged. Anything else is a failure. */
static int read_back(struct store *store, const struct chunk *c)
{
	static uint8_t got[CHUNK_ROOM];
	size_t skip = rnd(c->len), len = 1 + rnd(c->len - skip);
	int rc = rnd(2) ? read_part(store, c, skip, got, len) : store_read(store, &c->key, c->len, skip, got, len);

	CHECK(rc == 0 || rc == -EIO);
	CHECK(rc || memcmp(got, c->bytes + skip, len) == 0);
	return rc;
}

static void count(void *ctx, const char *sentence)
{
	CHECK(*sentence);
	++*(uint64_t *)ctx;
}

static uint64_t damages(const char *path)
{
	struct store *store = opened(path, NULL, STORE_READ_ONLY);
	struct store_verify counts = { 0 };
	uint64_t n = 0;

	if (!store)
		return 1;
	CHECK_RC(store_verify(store, count, &n, &counts));
	store_close(store);
	return n;
}

static void test_round_trip(const char *path)
{
	struct store *store;
	struct store_stats stats;
	struct key again;

	CHECK_RC(store_create(path));
	CHECK(store_create(path) == -EEXIST);
	store = opened(path, NULL, 0);
	for (size_t i = 0; i < CHUNKS; i++) {
		CHECK_RC(store_put(store, NULL, 0, chunks[i].bytes, chunks[i].len, &chunks[i].key));
		CHECK_RC(read_back(store, &chunks[i])); /* before it is on the disk */
	}
	for (size_t i = 0; i < CHUNKS; i++) {
		CHECK_RC(store_put(store, NULL, 0, chunks[i].bytes, chunks[i].len, &again));
		CHECK(key_equal(&again, &chunks[i].key));
		CHECK(store_has(store, &again));
		CHECK(store_size(store, &again) == (int64_t)chunks[i].len);
	}
	store_stats(store, &stats);
	CHECK(stats.chunks == CHUNKS);
	CHECK(stats.duplicate_bytes == stats.plain_bytes);
	CHECK_RC(store_sync(store));
	struct store *second = NULL;
	struct store_options options = { 0 };
	CHECK(store_open(&second, path, &options) == -EBUSY);
	CHECK(strstr(err_text(), "pid") || strstr(err_text(), "process"));
	store_close(store);
	store = opened(path, NULL, 0);
	for (size_t i = 0; i < CHUNKS; i++)
		CHECK_RC(read_back(store, &chunks[i]));
	CHECK(store_read(store, &chunks[1].key, chunks[1].len - 1, 0, &again, 1) == -EIO); /* another length */
	memset(&again, 7, sizeof again);
	CHECK(store_read(store, &again, 100, 0, &stats, 100) == -EIO);
	store_close(store);
	CHECK(damages(path) == 0);
}

/* A small part is decoded alone, once; whoever comes again has the whole chunk kept. */
static void test_parts(const char *path)
{
	struct store *store = opened(path, NULL, 0);
	const struct chunk *c = &chunks[1];
	struct store_stats stats;
	struct store_part part;
	uint8_t got[4096];
	struct key other;

	CHECK_RC(read_part(store, c, 70001, got, sizeof got));
	CHECK(memcmp(got, c->bytes + 70001, sizeof got) == 0);
	store_stats(store, &stats);
	CHECK(stats.cache_bytes == 0);
	for (size_t skip = 0; skip + sizeof got <= c->len; skip += 33333) {
		CHECK_RC(read_part(store, c, skip, got, sizeof got));
		CHECK(memcmp(got, c->bytes + skip, sizeof got) == 0);
		store_stats(store, &stats);
		CHECK(stats.cache_bytes >= c->len && stats.cache_bytes < 2 * c->len);
	}
	CHECK(store_get_part(store, &c->key, c->len, 0, c->len + 1, &part) == -EIO);
	CHECK(store_get_part(store, &c->key, c->len, c->len + 1, 0, &part) == -EIO);
	CHECK(store_get_part(store, &chunks[0].key, 100000, 5, 10, &part) == -EIO); /* another length */
	CHECK(store_get_part(store, &c->key, SIZE_MAX, 5, 10, &part) == -EIO);
	memset(&other, 7, sizeof other);
	CHECK(store_get_part(store, &other, 100000, 5, 10, &part) == -EIO && strstr(err_text(), "in no pack"));
	CHECK(!part.room && !part.chunk);
	store_close(store);
}

static void pack_path(const char *store, char *path, size_t room)
{
	char folder[600];
	struct dirent *e;
	DIR *d;

	snprintf(folder, sizeof folder, "%s/packs", store);
	d = opendir(folder);
	*path = 0;
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && strcmp(e->d_name, path) > 0)
			snprintf(path, room, "%s/%s", folder, e->d_name);
	if (d)
		closedir(d);
}

/* One byte of a pack is changed: every chunk comes out right or as -EIO, and verify finds it. */
static void test_flips(const char *path)
{
	char pack[1200];
	struct stat st;
	uint8_t byte;
	int fd;

	pack_path(path, pack, sizeof pack);
	fd = open(pack, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && !fstat(fd, &st));
	for (int i = 0; i < FLIPS && fd >= 0; i++) {
		off_t at = (off_t)rnd((uint64_t)st.st_size);
		uint8_t mask = (uint8_t)(1 << rnd(8)), bad;
		struct store_options options = { .cache_bytes = 1 << 20, .threads = 1, .flags = STORE_READ_ONLY };
		struct store *store = NULL;
		int rc;

		CHECK(pread(fd, &byte, 1, at) == 1);
		bad = byte ^ mask;
		CHECK(pwrite(fd, &bad, 1, at) == 1);
		rc = store_open(&store, path, &options);
		if (!rc) {
			for (size_t k = 0; k < CHUNKS; k++)
				read_back(store, &chunks[k]);
			struct store_verify counts = { 0 };
			uint64_t n = 0;

			CHECK_RC(store_verify(store, count, &n, &counts));
			if (!n)
				fprintf(stderr, "byte %lld of %lld\n", (long long)at, (long long)st.st_size);
			CHECK(n > 0);
			store_close(store);
		} else {
			CHECK(*err_text());
		}
		CHECK(pwrite(fd, &byte, 1, at) == 1);
	}
	if (fd >= 0)
		close(fd);
	CHECK(damages(path) == 0);
}

/* Power goes away at every call that changes the disk: what was synced before is whole, and the store opens. */
static void test_power(const char *path)
{
	struct faultio *f = faultio_new();
	bool done = false;

	CHECK_RC(store_create(path));
	for (unsigned n = 1; !done && n < 400; n++) {
		struct store_options options = { .io = faultio_io(f), .cache_bytes = 1 << 20, .threads = 1 };
		struct store *store = NULL;
		size_t promised = 0;

		faultio_power_off(f, n);
		if (!store_open(&store, path, &options)) {
			for (size_t i = 0; i < 8; i++) {
				if (store_put(store, NULL, 0, chunks[i].bytes, chunks[i].len, &chunks[i].key))
					break;
				if (i % 3 == 2 && !store_sync(store))
					promised = i + 1;
			}
			store_close(store);
		}
		done = !faultio_is_off(f);
		faultio_crash(f, n);
		store = opened(path, faultio_io(f), 0);
		for (size_t i = 0; i < promised && store; i++)
			CHECK_RC(read_back(store, &chunks[i]));
		store_close(store);
	}
	CHECK(done);
	faultio_free(f);
	CHECK(damages(path) == 0);
}

static void test_wrong_places(const char *dir)
{
	struct store_options options = { 0 };
	struct store *store = NULL;
	char path[600];
	FILE *f;

	snprintf(path, sizeof path, "%s/nothing", dir);
	CHECK(store_open(&store, path, &options) == -ENOENT);
	snprintf(path, sizeof path, "%s/folder", dir);
	CHECK(mkdir(path, 0755) == 0);
	CHECK(store_open(&store, path, &options) == -EINVAL);
	snprintf(path, sizeof path, "%s/folder/file", dir);
	f = fopen(path, "w");
	CHECK(f && fputs("x", f) >= 0 && fclose(f) == 0);
	snprintf(path, sizeof path, "%s/folder", dir);
	CHECK(store_create(path) == -EEXIST);
	snprintf(path, sizeof path, "%s/folder/tomofs.json", dir);
	f = fopen(path, "w");
	CHECK(f && fputs("{\"format\": 99", f) >= 0 && fclose(f) == 0);
	snprintf(path, sizeof path, "%s/folder", dir);
	CHECK(store_open(&store, path, &options) == -EINVAL);
	CHECK(*err_text());
}

int main(void)
{
	const char *dir = check_tmpdir();
	char path[512];

	make_chunks();
	snprintf(path, sizeof path, "%s/store", dir);
	test_round_trip(path);
	test_parts(path);
	test_flips(path);
	snprintf(path, sizeof path, "%s/power", dir);
	test_power(path);
	test_wrong_places(dir);
	for (size_t i = 0; i < CHUNKS; i++)
		free(chunks[i].bytes);
	return check_done();
}
