/* Readers, writers, other processes that read, and verify never miss a chunk while it is recoded. */
#include <errno.h>
#include <pthread.h>

#include "tests/lib/recode_lab.h"

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
		if (i == CHUNKS)
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

static bool after_one(void *ctx)
{
	size_t *chunks = ctx;

	return ++*chunks > 4;
}

static void recode_once(void *ctx, uint64_t done, uint64_t all)
{
	struct store **store = ctx;
	struct store_recode_result r;

	(void)done;
	(void)all;
	if (!*store)
		return;
	CHECK_RC(store_recode(*store, &everything, &r));
	CHECK(r.packs);
	*store = NULL;
}

/* A new pack that has been begun before the newest one, and has no file yet when packs are listed, is verified too. */
static void test_verify(const char *path)
{
	size_t chunks = 0;
	struct store_recode_options some = { .threads = 1, .stop = after_one, .ctx = &chunks };
	struct store_recode_result r;
	struct store_verify counts;
	struct store *store, *once;

	filled(path, SOME);
	once = store = opened(path, NULL, 0);
	CHECK_RC(store_recode(store, &some, &r));
	CHECK(r.stopped && r.chunks);
	CHECK_RC(put_plain(store, SOME));
	CHECK_RC(store_sync(store));
	store_watch_verify(store, recode_once, &once);
	CHECK_RC(store_verify(store, print_damage, NULL, &counts));
	CHECK(!once && counts.damaged == 0 && counts.chunks > SOME);
	store_close(store);
}

int main(void)
{
	static void (*const tests[])(const char *path) = { test_beside, test_reader, test_verify };

	return run_all(tests, sizeof tests / sizeof *tests);
}
