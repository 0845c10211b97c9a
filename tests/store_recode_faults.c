/* Recoding on a disk that fails, or loses power at any call: every chunk is there, in one pack or in two. */
#include <errno.h>

#include "tests/lib/faultio.h"
#include "tests/lib/recode_lab.h"

/* A call in each stretch of calls that are much alike: a recoding of SOME chunks is some 50 that change the disk. With key runs there
 * are others, and other stretches. In the long tests all places, and with key runs more. */
static uint64_t step(uint64_t n)
{
	bool runs = directory_limits.flush_packs < 3;

	if (getenv("LONG"))
		return runs ? 1 + n / 8 : 1;
	return runs ? 4 + n / 4 : 3 + n % 3;
}

/* Who only looks, and a writer who does nothing, count each chunk once. */
static void check_closed(const char *path)
{
	struct store *store = opened(path, NULL, STORE_READ_ONLY);

	check_sums(store, SOME);
	store_close(store);
	for (int i = 0; i < 2; i++) {
		store = opened(path, NULL, 0);
		check_sums(store, SOME);
		directory_idle(store->directory);
		store_close(store);
	}
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
		check_closed(path);
		store = opened(path, faultio_io(f), 0);
		check_there(store, 0, SOME);
		check_sums(store, SOME);
		CHECK_RC(store_recode(store, &everything, &r));
		check_there(store, 0, SOME);
		check_sums(store, SOME);
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

	for (uint64_t n = 1; n < calls; n += step(n) + n / (getenv("LONG") ? 12 : 6)) {
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

/* ---- a disk that does not say so ---- */

static uint64_t flip_at; /* of the new pack: a bit flips on the way to the disk; 0: none */
static uint64_t last_off; /* of the last write */
static bool all_synced;	 /* nothing was written since the last sync ... */
static bool last_alone;	 /* ... so it was before the last write */

static int64_t write_flipped(const struct io *io, int fd, const void *from, size_t len, uint64_t off)
{
	uint8_t *bytes = malloc(len);
	int64_t n;

	memcpy(bytes, from, len);
	if (flip_at && flip_at >= off && flip_at - off < len) {
		bytes[flip_at - off] ^= 1;
		flip_at = 0;
	}
	last_off = off;
	last_alone = all_synced;
	all_synced = false;
	n = quick.pwrite(io, fd, bytes, len, off);
	free(bytes);
	return n;
}

static int sync_counted(const struct io *io, int fd)
{
	all_synced = true;
	return quick.fdatasync(io, fd);
}

/* The new pack is read back before the old ones go. */
static void test_flipped(const char *path)
{
	struct store_recode_result r;
	struct io io = quick;
	struct store *store;
	size_t before;

	if (directory_limits.flush_packs < 3) /* key runs are written, too */
		return;
	io.pwrite = io.pwrite_once = write_flipped;
	filled(path, SOME);
	before = count_packs(path);
	store = opened(path, &io, 0);
	for (uint64_t at = 3000; at < 12000; at += 1500) {
		flip_at = at;
		CHECK(store_recode(store, &everything, &r) == -EIO && !r.packs);
		CHECK(!flip_at && count_packs(path) == before);
		check_there(store, 0, SOME);
	}
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(r.packs == before && r.chunks == SOME);
	check_there(store, 0, SOME);
	store_close(store);
	check_sound(path);
}

/* The footer is written when all before it is on the disk: a power cut never leaves one that lists what is not there. */
static void test_footer_last(const char *path)
{
	struct store_recode_result r;
	uint8_t trailer[PACK_TRAILER_BYTES];
	uint64_t footer, records, seed;
	struct io io = quick;
	struct stat st;
	struct store *store;
	char pack[700];
	off_t at;
	uint32_t last;

	if (directory_limits.flush_packs < 3)
		return;
	io.pwrite = io.pwrite_once = write_flipped;
	io.fdatasync = sync_counted;
	filled(path, SOME);
	store = opened(path, &io, 0);
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(last_alone && all_synced);
	last = packs_end(store->packs) - 1;
	place_of(store, SOME - 1, pack, &at);
	CHECK(stat(pack, &st) == 0);
	CHECK_RC(packs_read(store->packs, last, (uint64_t)st.st_size - sizeof trailer, trailer, sizeof trailer, &seed));
	CHECK(pack_trailer_get(trailer, seed, (uint64_t)st.st_size, &footer, &records) && footer == last_off);
	store_close(store);
}

/* A store that takes nothing more is not recoded; the packs stay as they are. */
static void fail_store(struct store *store, struct faultio *f)
{
	CHECK_RC(put_plain(store, SOME));
	faultio_reset(f);
	faultio_fail(f, FAULT_SYNC, 1, EIO);
	CHECK(store_sync(store) == -EIO);
	faultio_reset(f);
}

struct failing {
	struct store *store;
	struct faultio *f;
	size_t left; /* chunks before it fails */
};

static bool fail_then(void *ctx)
{
	struct failing *failing = ctx;

	if (failing->left && !--failing->left)
		fail_store(failing->store, failing->f);
	return false;
}

static void test_failed(const char *path)
{
	struct faultio *f = faultio_new();
	struct failing failing = { .f = f };
	struct store_recode_options options = { .age_s = 3600, .threads = 1, .stop = fail_then, .ctx = &failing };
	struct store_recode_result r;
	struct store *store;
	char other[700];
	size_t before;

	snprintf(other, sizeof other, "%s-again", path);
	filled(path, SOME);
	make_old(path);
	before = count_packs(path);
	store = opened(path, faultio_io(f), 0);
	fail_store(store, f);
	CHECK(store_recode(store, &aged, &r) == -EIO && !r.chunks && !r.packs);
	check_there(store, 0, SOME);
	store_close(store);
	CHECK(count_packs(path) >= before);

	filled(other, SOME);
	make_old(other);
	failing.store = store = opened(other, faultio_io(f), 0);
	failing.left = SOME / 2;
	CHECK(store_recode(store, &options, &r) == -EIO && r.chunks && !r.packs);
	check_there(store, 0, SOME);
	store_close(store);
	CHECK(count_packs(other) >= before && count_packs(other) <= before + 1);
	faultio_free(f);
}

/* On a disk that is full nothing is left of what could not be finished. */
static void test_full(const char *path)
{
	struct faultio *f = faultio_new();
	struct store_recode_result r;
	struct store *store;
	size_t before;

	filled(path, CHUNKS);
	before = count_packs(path);
	store = opened(path, faultio_io(f), 0);
	store->seal_bytes = 1 << 20;
	for (uint64_t n = 1; n < 3; n++) {
		faultio_reset(f);
		faultio_fail_from(f, FAULT_WRITE, n, ENOSPC);
		CHECK(store_recode(store, &everything, &r) == -ENOSPC);
		CHECK(!r.packs && count_packs(path) == before);
		check_there(store, 0, CHUNKS);
	}
	faultio_reset(f);
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(r.packs == before && r.chunks == CHUNKS);
	check_there(store, 0, CHUNKS);
	store_close(store);
	faultio_free(f);
}

static bool footer_written, deaf; /* atomic */

static int64_t write_watched(const struct io *io, int fd, const void *from, size_t len, uint64_t off)
{
	const uint8_t *bytes = from;

	if (off && len >= PACK_HEAD_BYTES && memcmp(bytes, pack_magic, sizeof pack_magic) == 0 && bytes[4] == PACK_FOOTER)
		__atomic_store_n(&footer_written, true, __ATOMIC_RELAXED);
	return quick.pwrite(io, fd, from, len, off);
}

static int sync_watched(const struct io *io, int fd)
{
	if (__atomic_load_n(&footer_written, __ATOMIC_RELAXED))
		__atomic_store_n(&deaf, true, __ATOMIC_RELAXED);
	return quick.fdatasync(io, fd);
}

static int open_watched(const struct io *io, const char *path, int flags, unsigned mode)
{
	return __atomic_load_n(&deaf, __ATOMIC_RELAXED) ? -EIO : quick.open(io, path, flags, mode);
}

static int64_t read_watched(const struct io *io, int fd, void *to, size_t len, uint64_t off)
{
	return __atomic_load_n(&deaf, __ATOMIC_RELAXED) ? -EIO : quick.pread(io, fd, to, len, off);
}

/* After the old packs were to be removed it works again, and the new pack's footer can be read. */
static int sync_dir_watched(const struct io *io, const char *path)
{
	__atomic_store_n(&deaf, false, __ATOMIC_RELAXED);
	return quick.fsync_dir(io, path);
}

/* The disk gives nothing back when the new pack has just been finished: each chunk is counted as what it is then. */
static void test_deaf(const char *path)
{
	struct store_recode_result r;
	struct io io = quick;
	struct store *store;

	io.open = open_watched;
	io.pread = read_watched;
	io.pwrite = io.pwrite_once = write_watched;
	io.fdatasync = sync_watched;
	io.fsync_dir = sync_dir_watched;
	filled(path, SOME);
	store = opened(path, &io, 0);
	store->seal_bytes = 1 << 20;
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(__atomic_load_n(&footer_written, __ATOMIC_RELAXED) && r.chunks == SOME && !r.packs && r.packs_left);
	__atomic_store_n(&footer_written, false, __ATOMIC_RELAXED);
	directory_idle(store->directory);
	check_there(store, 0, SOME);
	check_sums(store, SOME);
	store_close(store);
}

static bool after_some(void *ctx)
{
	size_t *left = ctx;

	return !*left || !--*left;
}

/* With other threads it begins anew; what cannot be finished before is dropped, file and all. */
static void test_other_threads(const char *path)
{
	struct faultio *f = faultio_new();
	size_t left;
	struct store_recode_options some = { .threads = 1, .stop = after_some, .ctx = &left };
	struct store_recode_options two = { .threads = 2 };
	struct store_recode_result r;
	struct store *store;
	size_t before;

	filled(path, SOME);
	before = count_packs(path);
	store = opened(path, faultio_io(f), 0);
	store->seal_bytes = 1 << 20;
	for (int i = 0; i < 2; i++) {
		left = SOME / 2;
		CHECK_RC(store_recode(store, &some, &r));
		CHECK(r.stopped && r.chunks && count_packs(path) <= before + 1);
		faultio_reset(f);
		if (i)
			faultio_fail(f, FAULT_SYNC, 1, EIO);
		else
			faultio_fail_from(f, FAULT_WRITE, 1, ENOSPC);
		CHECK(store_recode(store, &two, &r) == (i ? -EIO : -ENOSPC) && count_packs(path) == before);
		faultio_reset(f);
		check_there(store, 0, SOME);
	}
	CHECK_RC(store_recode(store, &two, &r));
	CHECK(r.packs == before && r.chunks == SOME);
	check_there(store, 0, SOME);
	store_close(store);
	faultio_free(f);
}

int main(void)
{
	static void (*const tests[])(const char *path) = { test_power,	     test_failing, test_flipped,
							   test_footer_last, test_failed,  test_full,
							   test_other_threads, test_deaf };

	return run_all(tests, sizeof tests / sizeof *tests);
}
