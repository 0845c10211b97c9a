/* Recoding on a disk that fails, or loses power at any call: every chunk is there, in one pack or in two. */
#include <errno.h>

#include "tests/lib/faultio.h"
#include "tests/lib/recode_lab.h"

/* All places, and with key runs some. */
static uint64_t step(uint64_t n)
{
	return directory_limits.flush_packs > 2 ? 1 : 1 + n / 8;
}

/* Power goes away at every call that changes the disk: all chunks are there then, and the next recoding cleans up. */
static void test_power(const char *dir)
{
	struct faultio *f = faultio_new();
	bool off = true;
	size_t least = 0;

	for (uint64_t n = 1; off; n += step(n)) {
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

	for (uint64_t n = 1; n < calls; n += step(n) + n / 12) {
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

int main(void)
{
	static void (*const tests[])(const char *path) = { test_power, test_failing };

	return run_all(tests, sizeof tests / sizeof *tests);
}
