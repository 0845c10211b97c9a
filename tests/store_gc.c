/*
 * Garbage collection: what was marked stays, whatever is put meanwhile stays too, and all else leaves the disk; on random
 * sets of chunks in packs of several codings. (After power cuts: crash_gc.)
 */
#include <errno.h>
#include <pthread.h>

#include "store/gc.h"
#include "tests/lib/recode_lab.h"

static const struct store_gc_options all_of_it = { .threads = 1 };

static uint64_t bytes_of_packs(const char *path)
{
	char packs[800];
	struct dirent *e;
	struct stat st;
	uint64_t sum = 0;
	DIR *d;

	snprintf(packs, sizeof packs, "%s/packs", path);
	d = opendir(packs);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && !fstatat(dirfd(d), e->d_name, &st, 0))
			sum += (uint64_t)st.st_size;
	if (d)
		closedir(d);
	return sum;
}

static void collect(struct store *store, const bool *live, size_t count, struct store_gc_result *r)
{
	struct store_gc *gc;

	CHECK_RC(store_gc_begin(store, &gc));
	for (size_t i = 0; i < count; i++)
		if (live[i])
			store_gc_mark(gc, &keys[i]);
	CHECK_RC(store_gc_sweep(gc, &all_of_it, r));
	store_gc_end(gc);
}

static void check_exactly(struct store *store, const bool *live, size_t count)
{
	struct store_stats stats;
	size_t alive = 0;

	for (size_t i = 0; i < count; i++) {
		CHECK(get(store, i) == (live[i] ? 0 : -EIO));
		CHECK(store_has(store, &keys[i]) == live[i]);
		alive += live[i];
	}
	store_stats(store, &stats);
	CHECK(stats.chunks == alive);
}

/* Random parts die, some of them come again; packs are recoded in between. */
static void test_random(const char *path)
{
	struct store_gc_result r;
	struct store *store;
	bool live[CHUNKS];
	struct store_stats stats;
	uint64_t seed = 7;

	filled(path, CHUNKS);
	memset(live, true, sizeof live);
	store = opened(path, NULL, 0);
	for (int round = 0; round < 6; round++) {
		for (size_t i = 0; i < CHUNKS; i++) {
			uint64_t dice = random_next(&seed) % 8;

			if (dice < 3)
				live[i] = false;
			if (dice == 7 && !live[i]) {
				CHECK_RC(put(store, i));
				live[i] = true;
			}
		}
		if (round == 2) {
			struct store_recode_result recoded;

			CHECK_RC(store_recode(store, &everything, &recoded));
		}
		collect(store, live, CHUNKS, &r);
		CHECK(r.garbage_bytes == r.freed_bytes && !r.packs_left && !r.stopped);
		check_exactly(store, live, CHUNKS);
		store_stats(store, &stats);
		CHECK(bytes_of_packs(path) < stats.stored_bytes + 9000 * count_packs(path));
		collect(store, live, CHUNKS, &r);
		CHECK(!r.garbage_bytes && !r.chunks);
		if (round % 2) {
			store_close(store);
			store = opened(path, NULL, 0);
			check_exactly(store, live, CHUNKS);
		}
	}
	memset(live, false, sizeof live);
	collect(store, live, CHUNKS, &r);
	check_exactly(store, live, CHUNKS);
	CHECK(!count_packs(path));
	store_close(store);
	check_sound(path);
}

/* Garbage that comes again after the marks, in any phase: it is there. */
static void test_comes_again(const char *path)
{
	struct store_gc_result r;
	struct store_gc *gc;
	struct store *store;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	CHECK_RC(store_gc_begin(store, &gc));
	for (size_t i = 0; i < CHUNKS; i += 3)
		CHECK_RC(put(store, i));
	CHECK_RC(store_gc_sweep(gc, &all_of_it, &r));
	for (size_t i = 0; i < CHUNKS; i++)
		CHECK(get(store, i) == (i % 3 ? -EIO : 0));
	for (size_t i = 1; i < CHUNKS; i += 3)
		CHECK_RC(put(store, i));
	CHECK_RC(store_gc_sweep(gc, &all_of_it, &r));
	store_gc_end(gc);
	for (size_t i = 0; i < CHUNKS; i++)
		CHECK(get(store, i) == (i % 3 == 2 ? -EIO : 0));
	store_close(store);
	check_sound(path);
}

struct writer {
	struct store *store;
	bool put[CHUNKS], stop; /* stop: atomic */
	size_t rounds;
	uint64_t seed;
};

static void *write_again(void *arg)
{
	struct writer *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		size_t i = random_next(&w->seed) % CHUNKS;
		uint8_t bytes[LEN_MAX];
		size_t len = make_chunk(i, bytes);
		struct key key;

		CHECK_RC(store_put(w->store, NULL, 0, bytes, len, &key));
		w->put[i] = true;
		w->rounds++;
		if (w->rounds % 16 == 0)
			usleep(300);
	}
	return NULL;
}

/* Threads that put garbage again while it is collected: what they were told is stored is there. */
static void test_beside(const char *path)
{
	struct store_gc_result r;
	struct store *store;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	for (int round = 0; round < 12; round++) {
		struct writer w[2] = { { .store = store, .seed = 5 + round }, { .store = store, .seed = 99 + round } };
		struct store_gc *gc;
		pthread_t threads[2];

		for (size_t i = 0; i < CHUNKS; i++)
			CHECK_RC(put(store, i)); /* all are there, and all garbage */
		CHECK_RC(store_gc_begin(store, &gc));
		for (int t = 0; t < 2; t++)
			CHECK(pthread_create(&threads[t], NULL, write_again, &w[t]) == 0);
		usleep(round * 200);
		CHECK_RC(store_gc_sweep(gc, &all_of_it, &r));
		usleep(500);
		for (int t = 0; t < 2; t++) {
			__atomic_store_n(&w[t].stop, true, __ATOMIC_RELAXED);
			pthread_join(threads[t], NULL);
		}
		store_gc_end(gc);
		for (size_t i = 0; i < CHUNKS; i++)
			if (w[0].put[i] || w[1].put[i])
				CHECK_RC(get(store, i));
	}
	store_close(store);
	check_sound(path);
}

/* A pack with a damaged live chunk stays whole; what else is garbage goes. */
static void test_damaged(const char *path)
{
	struct store_gc_result r;
	struct store *store;
	bool live[CHUNKS];
	char pack[700];
	off_t at;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	for (size_t i = 0; i < CHUNKS; i++)
		live[i] = i % 4 == 0;
	place_of(store, 40, pack, &at);
	flip(pack, at);
	collect(store, live, CHUNKS, &r);
	CHECK(r.packs_left == 1 && r.packs && access(pack, F_OK) == 0);
	flip(pack, at);
	for (size_t i = 0; i < CHUNKS; i += 4)
		CHECK_RC(get(store, i));
	store_close(store);
	check_sound(path);
}

static bool after_some(void *ctx)
{
	size_t *left = ctx;

	return !*left || !--*left;
}

/* Stopped anywhere, all that is marked is there, and another one comes to the end. */
static void test_stopped(const char *path)
{
	size_t left;
	struct store_gc_options options = { .threads = 1, .stop = after_some, .ctx = &left };
	struct store_gc_result r = { .stopped = true };
	struct store *store;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	for (size_t round = 0; r.stopped && round < 99; round++) {
		struct store_gc *gc, *other;

		left = 5 + round * 4;
		CHECK_RC(store_gc_begin(store, &gc));
		CHECK(store_gc_begin(store, &other) == -EBUSY);
		for (size_t i = 0; i < CHUNKS; i += 2)
			store_gc_mark(gc, &keys[i]);
		CHECK_RC(store_gc_sweep(gc, &options, &r));
		store_gc_end(gc);
		for (size_t i = 0; i < CHUNKS; i += 2)
			CHECK_RC(get(store, i));
	}
	CHECK(!r.stopped);
	for (size_t i = 1; i < CHUNKS; i += 2)
		CHECK(get(store, i) == -EIO);
	store_close(store);
	check_sound(path);
}

/* Packs with little garbage are left alone. */
static void test_percent(const char *path)
{
	struct store_gc_options options = { .threads = 1, .percent = 60 };
	struct store_gc_result r;
	struct store_gc *gc;
	struct store *store;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	CHECK_RC(store_gc_begin(store, &gc));
	for (size_t i = 0; i < CHUNKS; i++)
		if (i < CHUNKS / 2 || i % 8 == 0)
			store_gc_mark(gc, &keys[i]);
	CHECK_RC(store_gc_sweep(gc, &options, &r));
	store_gc_end(gc);
	CHECK(r.packs && r.freed_bytes && r.chunks < CHUNKS / 4);
	check_there(store, 0, CHUNKS / 2);
	for (size_t i = 0; i < CHUNKS; i += 8)
		CHECK_RC(get(store, i));
	store_close(store);
	store = opened(path, NULL, STORE_READ_ONLY);
	CHECK(store_gc_begin(store, &gc) == -EROFS);
	store_close(store);
}

int main(void)
{
	static void (*const tests[])(const char *path) = { test_random, test_comes_again, test_beside,
							   test_damaged, test_stopped, test_percent };

	return run_all(tests, sizeof tests / sizeof *tests);
}
