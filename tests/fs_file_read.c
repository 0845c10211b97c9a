/*
 * Reading: bytes without a copy are the same bytes; sequential readers within a file and from file to file are seen and read ahead of, others
 * are not, and never further than the bound; all of it beside writers.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/ahead.h"
#include "fs/file_internal.h"
#include "tests/lib/file_lab.h"

enum {
	SLICES = 40,
	SLICE = 1 << 20,
	BUDGET = 32 << 20, /* of dirty bytes: 2 MiB ahead */
	BOUND = BUDGET / 16,
	REQUEST = 128 << 10,
	LARGE = 24 << 20,
};

static void rig_again(struct rig *r)
{
	rig_close(r);
	rig_open(r); /* nothing is decoded yet */
}

/* Every byte says which file and place it is of; nothing compresses to nothing or is a chunk twice. */
static void pattern(uint8_t *to, uint64_t ino, uint64_t version, uint64_t off, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t x = (off + i) / 8 * 0x9e3779b97f4a7c15ULL + ino * 0xbf58476d1ce4e5b9ULL + version * 0x94d049bb133111ebULL;

		x ^= x >> 29;
		to[i] = (uint8_t)(x >> ((off + i) % 8 * 8));
	}
}

static void write_file(struct rig *r, uint64_t ino, uint64_t version, size_t size)
{
	scope_free uint8_t *bytes = malloc(size);
	struct file *f;

	pattern(bytes, ino, version, 0, size);
	CHECK_RC(file_open(r->files, ino, true, &f));
	CHECK(file_write(f, &caller_self, 0, bytes, size, false) == (int64_t)size);
	CHECK_RC(file_flush(f, &caller_self));
	CHECK_RC(file_release(f, &caller_self, true));
}

static int64_t gather(struct file *f, uint64_t off, uint8_t *to, size_t len)
{
	struct file_bytes b;
	int64_t n = file_read_bytes(f, off, len, &b);
	size_t at = 0;

	for (size_t i = 0; i < b.count; i++) {
		memcpy(to + at, b.list[i].iov_base, b.list[i].iov_len);
		at += b.list[i].iov_len;
	}
	CHECK(n < 0 || at == (size_t)n);
	file_bytes_free(&b);
	return n;
}

/* Reads [from, to) of a file in requests; true when the bytes are those of a version. */
static bool read_range(struct rig *r, uint64_t ino, uint64_t version, uint64_t from, uint64_t to)
{
	static _Thread_local uint8_t got[REQUEST], want[REQUEST];
	bool same = true;
	struct file *f;

	CHECK_RC(file_open(r->files, ino, false, &f));
	for (uint64_t off = from; off < to; off += REQUEST) {
		int64_t n = gather(f, off, got, REQUEST);

		CHECK(n > 0);
		pattern(want, ino, version, off, n > 0 ? (size_t)n : 0);
		same &= n > 0 && memcmp(got, want, (size_t)n) == 0;
	}
	CHECK_RC(file_release(f, &caller_self, false));
	return same;
}

static uint64_t decoded(struct rig *r)
{
	struct store_stats stats;

	ahead_settle(r->files->ahead);
	store_stats(r->store, &stats);
	return stats.cache_bytes;
}

/* Is the byte decoded already? Only looks at bytes of a chunk's middle, so that looking changes nothing. */
static bool is_cached(struct rig *r, uint64_t ino, uint64_t off)
{
	uint64_t before = decoded(r);
	struct file *f;
	uint8_t byte;

	CHECK_RC(file_open(r->files, ino, false, &f));
	CHECK(file_read(f, off, &byte, 1) == 1);
	CHECK_RC(file_release(f, &caller_self, false));
	return decoded(r) == before;
}

static void make_stack(struct rig *r, const char *folder, int digits, uint64_t ino[SLICES])
{
	uint64_t top = make_node(r, INO_DATASETS, folder, S_IFDIR | 0755);
	char name[64];

	for (int i = 0; i < SLICES; i++) {
		snprintf(name, sizeof name, "slice_%0*d.tif", digits, i);
		ino[i] = make_node(r, top, name, S_IFREG | 0644);
		write_file(r, ino[i], 0, SLICE);
	}
}

/* One slice after the other: the next ones are there before they are asked for, as far as the bound says. guesses: how often the order
 * of names may be taken for another one. */
static void test_stack(struct rig *r, const uint64_t ino[SLICES], const int *order, unsigned guesses)
{
	enum { CHUNK_SLACK = 2 << 20 };
	uint64_t ahead = BOUND + CHUNK_SLACK + (uint64_t)guesses * BOUND;

	rig_again(r);
	CHECK(read_range(r, ino[order[0]], 0, 0, SLICE));
	CHECK(decoded(r) < SLICE + SLICE / 2); /* one file is no pattern */
	for (int i = 1; i < SLICES / 2; i++) {
		CHECK(read_range(r, ino[order[i]], 0, 0, SLICE));
		CHECK(decoded(r) <= (uint64_t)(i + 1) * SLICE + ahead);
	}
	CHECK(is_cached(r, ino[order[SLICES / 2]], SLICE / 4));
	CHECK(!is_cached(r, ino[order[SLICES - 1]], SLICE / 4));
}

/* Readers of a beginning, of every tenth file, or of places here and there start nothing. */
static void test_no_pattern(struct rig *r, const uint64_t ino[SLICES])
{
	uint8_t got[4096];
	struct file *f;

	rig_again(r);
	for (int i = 0; i < 8; i++) {
		CHECK_RC(file_open(r->files, ino[i], false, &f));
		CHECK(file_read(f, 0, got, sizeof got) == sizeof got);
		CHECK_RC(file_release(f, &caller_self, false));
	}
	CHECK(!is_cached(r, ino[8], SLICE / 4));
	for (int i = 0; i < SLICES; i += 10)
		CHECK(read_range(r, ino[i], 0, 0, SLICE));
	CHECK(!is_cached(r, ino[31], SLICE / 4));
	rig_again(r);
	CHECK_RC(file_open(r->files, ino[0], false, &f));
	CHECK(file_read(f, SLICE - 4096, got, sizeof got) == sizeof got);
	CHECK(file_read(f, SLICE / 2, got, sizeof got) == sizeof got);
	CHECK_RC(file_release(f, &caller_self, false));
	CHECK(decoded(r) <= SLICE);
	CHECK(!is_cached(r, ino[1], SLICE / 4));
}

/* Small pieces here and there: of a chunk that is met for the first time nothing is kept. */
static void test_scattered(struct rig *r, uint64_t ino)
{
	uint8_t got[4096], want[4096];
	uint64_t off = 5000, kept = 0;
	struct file *f;

	rig_again(r);
	CHECK_RC(file_open(r->files, ino, false, &f));
	for (int i = 0; i < 40; i++, off = (off + 611953) % (SLICE - sizeof got)) {
		CHECK(gather(f, off, got, sizeof got) == sizeof got);
		pattern(want, ino, 0, off, sizeof got);
		CHECK(memcmp(got, want, sizeof got) == 0);
		kept = decoded(r);
		CHECK(i || !kept);
	}
	CHECK(kept > SLICE / 4 && kept < 2 * SLICE);
	CHECK_RC(file_release(f, &caller_self, false));
}

/* A large file: what is ahead of a reader grows with what he read, up to the bound. */
static void test_large(struct rig *r)
{
	enum { CHUNK_SLACK = 2 << 20 };
	uint64_t ino = make_node(r, INO_DATASETS, "large.raw", S_IFREG | 0644);
	uint8_t *got = malloc(REQUEST);
	struct file *f;

	write_file(r, ino, 0, LARGE);
	rig_again(r);
	CHECK_RC(file_open(r->files, ino, false, &f));
	for (uint64_t off = 0; off < LARGE / 2; off += REQUEST) {
		uint64_t at = (off / REQUEST ^ 1) * REQUEST; /* two requests under way, each pair the wrong way round */

		CHECK(gather(f, off < REQUEST * 2 ? off : at, got, REQUEST) == REQUEST);
		CHECK(decoded(r) <= off + 2 * REQUEST + BOUND + CHUNK_SLACK);
	}
	CHECK_RC(file_release(f, &caller_self, false));
	CHECK(is_cached(r, ino, LARGE / 2 + BOUND / 2));
	CHECK(!is_cached(r, ino, LARGE / 2 + BOUND + CHUNK_SLACK));
	free(got);
}

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool open;
};

static int wait_at(void *arg)
{
	struct gate *gate = arg;

	pthread_mutex_lock(&gate->lock);
	while (!gate->open)
		pthread_cond_wait(&gate->opened, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
	return 0;
}

/* A reader who is faster than those who decode for him: what he is past is not decoded a second time. */
static void test_late(struct rig *r)
{
	struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
	uint64_t ino = make_node(r, INO_DATASETS, "late.raw", S_IFREG | 0644);
	struct store_stats before;
	struct pool_group group;

	write_file(r, ino, 0, LARGE);
	rig_again(r);
	pool_group_init(&group);
	for (unsigned i = 0; i < pool_threads(store_pool(r->store)); i++)
		pool_submit(store_pool(r->store), &group, wait_at, &gate);
	CHECK(read_range(r, ino, 0, 0, LARGE));
	store_stats(r->store, &before);
	pthread_mutex_lock(&gate.lock);
	gate.open = true;
	pthread_cond_broadcast(&gate.opened);
	pthread_mutex_unlock(&gate.lock);
	CHECK_RC(pool_group_wait(&group));
	pool_group_destroy(&group);
	CHECK(decoded(r) == before.cache_bytes);
}

/* Holes, runs over chunks, and very many small chunks: pieces are the same bytes as a copy. */
static void test_pieces(struct rig *r)
{
	enum { SIZE = 1 << 20 };
	uint64_t ino = make_node(r, INO_DATASETS, "pieces.raw", S_IFREG | 0644);
	uint8_t *model = calloc(1, SIZE), *got = malloc(SIZE);
	struct file *f;

	CHECK_RC(file_open(r->files, ino, true, &f));
	for (int i = 0; i < 600; i++) {
		uint64_t off = (uint64_t)i * 300;

		pattern(model + off, ino, 1, off, 300);
		CHECK(file_write(f, &caller_self, off, model + off, 300, false) == 300);
		if (i % 2)
			CHECK_RC(file_flush(f, &caller_self));
	}
	CHECK_RC(file_truncate(f, &caller_self, SIZE));
	for (int pass = 0; pass < 2; pass++) {
		for (uint64_t off = 0; off < SIZE; off += 77777) {
			size_t len = 200000 < SIZE - off ? 200000 : (size_t)(SIZE - off);

			CHECK(gather(f, off, got, 200000) == (int64_t)len && memcmp(got, model + off, len) == 0);
			CHECK(file_read(f, off, got, 200000) == (int64_t)len && memcmp(got, model + off, len) == 0);
		}
		memset(model + 500000, 7, 1000);
		CHECK(file_write(f, &caller_self, 500000, model + 500000, 1000, false) == 1000);
	}
	CHECK(gather(f, SIZE, got, 10) == 0);
	CHECK(gather(f, SIZE - 5, got, 10) == 5);
	CHECK_RC(file_release(f, &caller_self, true));
	free(model);
	free(got);
}

/* A file that is opened and read while it is written again: every read sees one version or the other at each place, and after the
 * writer's close the new one. */
struct race {
	struct rig *rig;
	const uint64_t *ino;
	int version; /* atomic: what the writer has closed */
};

static void *write_versions(void *arg)
{
	struct race *race = arg;

	for (int v = 1; v <= 3; v++) {
		for (int i = 0; i < 8; i++)
			write_file(race->rig, race->ino[i], (uint64_t)v, SLICE);
		__atomic_store_n(&race->version, v, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void *read_stack(void *arg)
{
	static _Thread_local uint8_t got[REQUEST], want[REQUEST];
	struct race *race = arg;

	while (__atomic_load_n(&race->version, __ATOMIC_ACQUIRE) < 3) {
		for (int i = 0; i < 12; i++) {
			int least = __atomic_load_n(&race->version, __ATOMIC_ACQUIRE);
			struct file *f;
			int64_t n = REQUEST;

			CHECK_RC(file_open(race->rig->files, race->ino[i], false, &f));
			for (uint64_t off = 0; n == REQUEST; off += REQUEST) {
				n = gather(f, off, got, REQUEST);
				CHECK(n >= 0);
				for (int64_t at = 0; at < n; at += 4096) { /* pages are of one version each */
					bool known = false;

					for (uint64_t v = i < 8 ? (uint64_t)least : 0; v <= 3 && !known; v++) {
						pattern(want, race->ino[i], v, off + (uint64_t)at, 4096);
						known = memcmp(got + at, want, 4096) == 0;
					}
					CHECK(known);
				}
			}
			CHECK_RC(file_release(f, &caller_self, false));
		}
	}
	return NULL;
}

static void test_writers(struct rig *r, const uint64_t ino[SLICES])
{
	struct race race = { .rig = r, .ino = ino };
	pthread_t writer, readers[3];

	rig_again(r);
	CHECK(pthread_create(&writer, NULL, write_versions, &race) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&readers[i], NULL, read_stack, &race) == 0);
	pthread_join(writer, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(readers[i], NULL);
	for (int i = 0; i < 8; i++)
		CHECK(read_range(r, ino[i], 3, 0, SLICE));
}

/* Bounds of what is asked for, by numbers alone. */
static void test_reading(struct rig *r)
{
	struct reading first = { 0 }, sniff = { 0 }, header = { 0 }, middle = { 0 }, all = { 0 };
	uint64_t from = 0, to = 0, size = 100 << 20;

	CHECK(reading_note(&first, r->files->ahead, size, 0, REQUEST, &from, &to));
	CHECK(from == REQUEST && to == REQUEST + AHEAD_MIN);
	CHECK(!reading_note(&sniff, r->files->ahead, size, 0, 16384, &from, &to));
	CHECK(reading_note(&sniff, r->files->ahead, size, 16384, REQUEST, &from, &to));
	for (uint64_t off = 0; off < 60000; off += 4096) /* whoever looks into a header */
		CHECK(!reading_note(&header, r->files->ahead, size, off, 4096, &from, &to));
	CHECK(!reading_note(&middle, r->files->ahead, size, 50 << 20, REQUEST, &from, &to));
	CHECK(!reading_note(&middle, r->files->ahead, size, 10 << 20, REQUEST, &from, &to));
	CHECK(reading_note(&middle, r->files->ahead, size, (10 << 20) + REQUEST, REQUEST, &from, &to));
	for (uint64_t off = 0; off < size; off += REQUEST) {
		if (!reading_note(&all, r->files->ahead, size, off, REQUEST, &from, &to))
			continue;
		CHECK(from >= off + REQUEST && to <= size && to - (off + REQUEST) <= BOUND);
		all.ahead = to;
		CHECK(reading_ends(&all, size) == false || all.given >= size / 4 * 3);
	}
	CHECK(all.told && !reading_ends(&all, size));
}

int main(void)
{
	static uint64_t stack[SLICES], unpadded[SLICES];
	int straight[SLICES], bytes[SLICES], n = 0;
	struct rig r = { .cache_bytes = 128 << 20, .budget = BUDGET };

	rig_new(&r, "store");
	make_stack(&r, "stack", 4, stack);
	make_stack(&r, "unpadded", 1, unpadded);
	for (int i = 0; i < SLICES; i++)
		straight[i] = i;
	for (int tens = 0; tens <= 9; tens++) { /* 0 1 10 11 ... 19 2 20 ...: as the shell sorts them */
		bytes[n++] = tens;
		for (int i = 10 * tens; tens && i < 10 * tens + 10 && i < SLICES; i++)
			bytes[n++] = i;
	}
	test_reading(&r);
	test_stack(&r, stack, straight, 0);
	test_stack(&r, unpadded, straight, 0);
	test_stack(&r, unpadded, bytes, 1);
	test_no_pattern(&r, stack);
	test_scattered(&r, stack[3]);
	test_large(&r);
	test_late(&r);
	test_pieces(&r);
	test_writers(&r, stack);
	rig_close(&r);
	return check_done();
}
