/* Chunk cache: one load for many askers, failures told to all of them, a bound, and what is used again stays. */
#include "store/cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "store/err.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"

enum { LEN = 1000, BUDGET = 100 * LEN };

struct source {
	atomic_int loads;
	int fail; /* a positive errno value */
	bool slow;
};

static struct key key_number(uint64_t n)
{
	uint64_t state = n;
	struct key key;

	for (size_t i = 0; i < KEY_BYTES; i += 8) {
		uint64_t bits = random_next(&state);

		memcpy(key.bytes + i, &bits, 8);
	}
	return key;
}

static int load(void *ctx, const struct key *key, void *to, size_t len)
{
	struct source *source = ctx;
	struct timespec moment = { 0, 20000000 };

	atomic_fetch_add(&source->loads, 1);
	if (source->slow)
		nanosleep(&moment, NULL);
	memset(to, key->bytes[0], len);
	return source->fail ? err_set(source->fail, "chunk %02x is in no pack", key->bytes[0]) : 0;
}

static int use(struct cache *cache, struct source *source, uint64_t n)
{
	struct key key = key_number(n);
	struct cache_chunk *chunk;
	int rc = cache_get(cache, &key, LEN, load, source, &chunk);

	if (rc)
		return rc;
	CHECK(chunk->len == LEN && chunk->bytes[0] == key.bytes[0] && chunk->bytes[LEN - 1] == key.bytes[0]);
	cache_drop(cache, chunk);
	return 0;
}

static bool has(struct cache *cache, uint64_t n)
{
	struct key key = key_number(n);

	return cache_has(cache, &key);
}

static struct cache *new_cache(size_t budget)
{
	struct cache *cache = NULL;

	CHECK_RC(cache_new(&cache, budget));
	return cache;
}

static void test_hit_and_bound(void)
{
	struct cache *cache = new_cache(BUDGET);
	struct source source = { 0 };

	CHECK(!has(cache, 1) && cache_bytes(cache) == 0);
	CHECK_RC(use(cache, &source, 1));
	CHECK_RC(use(cache, &source, 1));
	CHECK(source.loads == 1 && has(cache, 1) && cache_bytes(cache) >= LEN);
	for (uint64_t i = 2; i < 3000; i++) {
		CHECK_RC(use(cache, &source, i));
		CHECK(cache_bytes(cache) <= BUDGET);
	}
	CHECK(source.loads == 2999 && !has(cache, 2) && has(cache, 2999));
	CHECK(cache_bytes(cache) > BUDGET / 2);
	cache_free(cache);
}

/* Chunks 0 to 19 are read again and again, with a look through much else in between. */
static void test_scan_resistance(void)
{
	struct cache *cache = new_cache(BUDGET);
	struct source source = { 0 };
	uint64_t other = 1000;

	for (int round = 0; round < 3; round++)
		for (uint64_t i = 0; i < 20; i++) {
			CHECK_RC(use(cache, &source, i));
			CHECK_RC(use(cache, &source, other++));
		}
	for (int i = 0; i < 1000; i++) {
		CHECK_RC(use(cache, &source, other)); /* a sequential reader asks several times for each */
		CHECK_RC(use(cache, &source, other));
		CHECK_RC(use(cache, &source, other++));
	}
	for (uint64_t i = 0; i < 20; i++)
		CHECK(has(cache, i));
	/* and they are not kept for ever */
	for (int round = 0; round < 8; round++)
		for (uint64_t i = 5000; i < 5060; i++)
			CHECK_RC(use(cache, &source, i));
	for (uint64_t i = 5000; i < 5060; i++)
		CHECK(has(cache, i));
	CHECK(cache_bytes(cache) <= BUDGET);
	cache_free(cache);
}

/* What somebody holds is not freed, even when nothing else fits. */
static void test_held(void)
{
	struct cache *cache = new_cache(0);
	struct source source = { 0 };
	struct cache_chunk *held[10];

	for (uint64_t i = 0; i < 10; i++) {
		struct key key = key_number(i);

		CHECK_RC(cache_get(cache, &key, LEN, load, &source, &held[i]));
	}
	for (uint64_t i = 0; i < 10; i++) {
		CHECK(has(cache, i) && held[i]->bytes[7] == key_number(i).bytes[0]);
		cache_drop(cache, held[i]);
		CHECK(!has(cache, i));
	}
	CHECK(cache_bytes(cache) == 0);
	cache_free(cache);
}

/* A peek loads nothing, protects nothing, and holds what it found. */
static void test_peek(void)
{
	struct cache *cache = new_cache(2 * LEN + 1000);
	struct source source = { 0 };
	struct cache_chunk *chunk;
	struct key key = key_number(1);

	CHECK(!cache_peek(cache, &key, LEN, &chunk) && !has(cache, 1));
	CHECK_RC(use(cache, &source, 1));
	CHECK(!cache_peek(cache, &key, LEN + 1, &chunk));
	CHECK(cache_peek(cache, &key, LEN, &chunk) && chunk->bytes[7] == key.bytes[0]);
	for (uint64_t i = 2; i < 6; i++)
		CHECK_RC(use(cache, &source, i));
	CHECK(has(cache, 1));
	cache_drop(cache, chunk);
	CHECK_RC(use(cache, &source, 6));
	CHECK(!has(cache, 1) && source.loads == 6);
	cache_free(cache);
}

/* What was read to its end makes room first, however much the budget allows; what is protected stays. */
static void test_done(void)
{
	enum { DONE = 1 << 20, CHUNKS = 20 };
	struct cache *cache = new_cache((size_t)CHUNKS * 2 * DONE);
	struct source source = { 0 };
	struct cache_chunk *chunk;

	for (uint64_t i = 0; i < CHUNKS; i++) {
		struct key key = key_number(i);

		CHECK_RC(cache_get(cache, &key, DONE, load, &source, &chunk));
		cache_drop(cache, chunk); /* its beginning was read */
		CHECK_RC(cache_get(cache, &key, DONE, load, &source, &chunk));
		cache_drop_done(cache, chunk);
		CHECK_RC(cache_get(cache, &key, DONE, load, &source, &chunk)); /* a request that came late */
		cache_drop(cache, chunk);
	}
	CHECK(source.loads == CHUNKS);
	CHECK(has(cache, CHUNKS - 1) && has(cache, CHUNKS - 2) && !has(cache, 0));
	CHECK(cache_bytes(cache) < 5 * DONE);
	cache_free(cache);
}

/* What was wanted before its reader came past it is not wanted any more; the next reader may want it again. */
static void test_wants(void)
{
	struct cache *cache = new_cache(BUDGET);
	struct source source = { 0 };
	struct cache_chunk *chunk;
	struct key key = key_number(1);
	uint64_t moment = cache_moment(cache);

	CHECK(cache_wants(cache, &key, moment));
	CHECK_RC(cache_get(cache, &key, LEN, load, &source, &chunk));
	CHECK(!cache_wants(cache, &key, moment)); /* it is there */
	cache_drop_done(cache, chunk);
	for (uint64_t i = 100; i < 300; i++)
		CHECK_RC(use(cache, &source, i));
	CHECK(!has(cache, 1) && !cache_wants(cache, &key, moment));
	CHECK(cache_wants(cache, &key, cache_moment(cache)));
	for (uint64_t i = 1000; i < 2000; i++) {
		struct key other = key_number(i);

		CHECK_RC(cache_get(cache, &other, LEN, load, &source, &chunk));
		cache_drop_done(cache, chunk);
		CHECK(!cache_wants(cache, &key, moment));
	}
	moment = cache_moment(cache);
	CHECK_RC(use(cache, &source, 2)); /* not read to its end */
	for (uint64_t i = 300; i < 500; i++)
		CHECK_RC(use(cache, &source, i));
	key = key_number(2);
	CHECK(!has(cache, 2) && cache_wants(cache, &key, moment));
	cache_free(cache);
}

/* Who asks a second time is told so, unless very many others asked in between. */
static void test_new(void)
{
	struct cache *cache = new_cache(BUDGET);
	struct source source = { 0 };
	struct key key = key_number(1), other;
	unsigned again = 0;

	CHECK(cache_is_new(cache, &key) && !cache_is_new(cache, &key) && !cache_is_new(cache, &key));
	CHECK_RC(use(cache, &source, 2));
	other = key_number(2);
	CHECK(!cache_is_new(cache, &other)); /* it is here */
	for (uint64_t n = 100; n < 200; n++) {
		other = key_number(n);
		cache_is_new(cache, &other);
	}
	for (uint64_t n = 100; n < 200; n++) {
		other = key_number(n);
		again += cache_is_new(cache, &other);
	}
	CHECK(again < 20);
	cache_free(cache);
}

static void test_failure(void)
{
	struct cache *cache = new_cache(BUDGET);
	struct source bad = { .fail = EIO }, good = { 0 };
	struct cache_chunk *chunk;
	struct key key = key_number(1);
	char expected[64];

	snprintf(expected, sizeof expected, "chunk %02x is in no pack", key.bytes[0]);
	CHECK(use(cache, &bad, 1) == -EIO);
	CHECK(strcmp(err_text(), expected) == 0);
	CHECK(!has(cache, 1) && cache_bytes(cache) == 0);
	CHECK_RC(use(cache, &good, 1)); /* tried again */
	CHECK(cache_get(cache, &key, LEN + 1, load, &good, &chunk) == -EIO);
	CHECK(strstr(err_text(), "1000 bytes") != NULL);
	CHECK_RC(use(cache, &good, 1));
	CHECK(good.loads == 1);
	cache_free(cache);
}

enum { ASKERS = 8 };

struct asker {
	struct cache *cache;
	struct source *source;
	uint64_t seed;
	int rc;
	char text[64];
};

static void *ask_once(void *arg)
{
	struct asker *asker = arg;

	asker->rc = use(asker->cache, asker->source, 7);
	snprintf(asker->text, sizeof asker->text, "%s", asker->rc ? err_text() : "");
	return NULL;
}

static void *ask_many(void *arg)
{
	struct asker *asker = arg;

	for (int i = 0; i < 5000; i++) {
		uint64_t n =
		    random_below(&asker->seed, 2) ? random_below(&asker->seed, 30) : random_below(&asker->seed, 400);

		asker->rc |= use(asker->cache, asker->source, n);
	}
	return NULL;
}

static void run_askers(struct asker askers[ASKERS], struct cache *cache, struct source *source, void *(*run)(void *))
{
	pthread_t threads[ASKERS];

	for (unsigned i = 0; i < ASKERS; i++) {
		askers[i] = (struct asker) { .cache = cache, .source = source, .seed = i };
		pthread_create(&threads[i], NULL, run, &askers[i]);
	}
	for (unsigned i = 0; i < ASKERS; i++)
		pthread_join(threads[i], NULL);
}

static void test_one_load(void)
{
	struct cache *cache = new_cache(BUDGET);
	struct source good = { .slow = true }, bad = { .slow = true, .fail = EBADMSG };
	struct asker askers[ASKERS];

	run_askers(askers, cache, &bad, ask_once);
	CHECK(bad.loads < ASKERS);
	for (unsigned i = 0; i < ASKERS; i++)
		CHECK(askers[i].rc == -EBADMSG && strstr(askers[i].text, "is in no pack"));
	CHECK(cache_bytes(cache) == 0);
	run_askers(askers, cache, &good, ask_once);
	CHECK(good.loads == 1);
	for (unsigned i = 0; i < ASKERS; i++)
		CHECK(askers[i].rc == 0);
	cache_free(cache);
}

static void test_many_threads(void)
{
	struct cache *cache = new_cache(BUDGET);
	struct source source = { 0 };
	struct asker askers[ASKERS];

	run_askers(askers, cache, &source, ask_many);
	for (unsigned i = 0; i < ASKERS; i++)
		CHECK(askers[i].rc == 0);
	CHECK(cache_bytes(cache) <= BUDGET);
	CHECK(source.loads < ASKERS * 5000 / 2);
	cache_free(cache);
}

int main(void)
{
	test_hit_and_bound();
	test_scan_resistance();
	test_held();
	test_peek();
	test_done();
	test_wants();
	test_new();
	test_failure();
	test_one_load();
	test_many_threads();
	cache_free(NULL);
	return check_done();
}
