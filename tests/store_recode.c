/*
 * Recoding of data at rest: every chunk stays, smaller; wherever it is stopped, and whatever is damaged or comes again meanwhile;
 * sums are right. (On a failing disk: store_recode_faults. Beside readers and writers: store_recode_beside.)
 */
#include <errno.h>

#include "tests/lib/recode_lab.h"
#include "tests/lib/tamper.h"

/* All are there, smaller, in fewer packs; once more does nothing. */
static void test_all(const char *path)
{
	struct store *store;
	struct store_recode_result r;
	size_t before;

	filled(path, CHUNKS);
	before = count_packs(path);
	store = opened(path, NULL, 0);
	for (size_t i = CHUNKS; i < CHUNKS + 9; i++) /* in the pack that grows */
		CHECK_RC(put(store, i));
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(r.chunks == CHUNKS + 9 && r.packs == before + 1 && !r.packs_left && !r.stopped);
	CHECK(r.bytes_after < r.bytes_before / 10 * 8);
	check_there(store, 0, CHUNKS + 9);
	check_sums(store, CHUNKS + 9);
	CHECK(count_packs(path) < before);
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(!r.chunks && !r.packs);
	CHECK_RC(put(store, CHUNKS + 10));
	store_close(store);
	before = count_packs(path);
	store = opened(path, NULL, 0);
	check_there(store, 0, CHUNKS + 9);
	CHECK_RC(store_recode(store, &everything, &r)); /* that last one */
	CHECK(r.chunks == 1 && r.packs == 1);
	store_close(store);
	CHECK(count_packs(path) == before);
	check_sound(path);
}

/* Young packs are left alone. */
static void test_age(const char *path)
{
	struct store_recode_options options = { .age_s = 3600, .threads = 1 };
	struct store_recode_result r;
	struct store *store;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	CHECK_RC(put(store, CHUNKS));
	CHECK_RC(store_recode(store, &options, &r));
	CHECK(!r.chunks && !r.packs);
	store_close(store);
	store = opened(path, NULL, STORE_READ_ONLY);
	CHECK(store_recode(store, &options, &r) == -EROFS);
	store_close(store);
}

static bool after_some(void *ctx)
{
	size_t *left = ctx;

	return !*left || !--*left;
}

/* Stopped again and again it comes to the same, and copies nothing twice; closed meanwhile, at most what had been copied of one
 * pack. */
static void test_stopped(const char *path)
{
	size_t left, copied = 0, rounds = 0;
	struct store_recode_options options = { .threads = 2, .stop = after_some, .ctx = &left };
	struct store_recode_result r = { .stopped = true };
	struct store *store;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	for (; r.stopped && rounds < 300; rounds++) {
		left = 6 + rounds % 7;
		CHECK_RC(store_recode(store, &options, &r));
		copied += r.chunks;
		check_there(store, rounds % CHUNKS, rounds % CHUNKS + 1);
		if (rounds % 8 == 7) {
			store_close(store);
			store = opened(path, NULL, 0);
			check_there(store, 0, CHUNKS);
		}
	}
	CHECK(!r.stopped && rounds > 8 && copied == CHUNKS);
	check_there(store, 0, CHUNKS);
	store_close(store);
	options = (struct store_recode_options) { .threads = 1, .bytes_max = 1 };
	store = opened(path, NULL, 0);
	for (size_t i = CHUNKS; i < CHUNKS + 9; i++)
		CHECK_RC(put_plain(store, i));
	CHECK_RC(store_recode(store, &options, &r));
	CHECK(r.stopped && r.chunks && r.chunks < 4);
	store_close(store);
	check_sound(path);
}

/* A pack with a damaged chunk stays, with every byte; all others go. When the chunk comes again its old pack goes too. */
static void test_damaged(const char *path)
{
	struct store_recode_result r;
	struct store *store;
	char pack[700];
	size_t before;
	off_t at;

	filled(path, CHUNKS);
	before = count_packs(path);
	store = opened(path, NULL, 0);
	place_of(store, 40, pack, &at);
	flip(pack, at);
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(r.packs_left == 1 && r.packs == before - 1);
	CHECK(access(pack, F_OK) == 0);
	for (size_t i = 0; i < CHUNKS; i++)
		CHECK(get(store, i) == (i == 40 ? -EIO : 0));
	check_sums(store, CHUNKS);
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(r.packs_left == 1 && !r.packs && !r.chunks); /* named again, not tried again */
	CHECK_RC(store_recode(store, &aged, &r));
	CHECK(!r.packs_left && !r.packs);
	flip(pack, at);
	CHECK_RC(get(store, 40));
	flip(pack, at);
	store_close(store);
	store = opened(path, NULL, 0);
	CHECK(get(store, 40) == -EIO);
	CHECK_RC(put(store, 40));
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(!r.packs_left && access(pack, F_OK) < 0);
	check_there(store, 0, CHUNKS);
	check_sums(store, CHUNKS);
	store_close(store);
	check_sound(path);
}

/* Who asks for all is told of packs that are dense already, and of those among them that are not understood. */
static void test_dense(const char *path)
{
	struct store_recode_result r;
	struct store *store;
	char pack[700];
	struct stat st;
	off_t at;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(!r.packs_dense);
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(r.packs_dense == count_packs(path) && !r.packs_left && !r.chunks);
	CHECK_RC(store_recode(store, &aged, &r));
	CHECK(!r.packs_dense);
	place_of(store, 40, pack, &at);
	store_close(store);
	CHECK(stat(pack, &st) == 0);
	flip(pack, st.st_size - PACK_TRAILER_BYTES - 9); /* in the footer */
	store = opened(path, NULL, 0);
	for (int i = 0; i < 2; i++) {
		CHECK_RC(store_recode(store, &everything, &r));
		CHECK(r.packs_dense == count_packs(path) - 1 && r.packs_left == 1 && !r.chunks);
	}
	check_there(store, 0, CHUNKS);
	store_close(store);
}

/* A chunk that a writer stores again while its old record is copied: the newer one counts, and is there. */
static void test_again(const char *path)
{
	size_t left = 16;
	struct store_recode_options options = { .threads = 1, .stop = after_some, .ctx = &left };
	struct store_recode_result r;
	struct store_stats stats;
	struct store *store;
	char pack[700];
	off_t at;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	CHECK_RC(store_recode(store, &options, &r));
	CHECK(r.stopped && r.chunks > 6);
	place_of(store, 5, pack, &at); /* copied, not published */
	flip(pack, at);
	CHECK(get(store, 5) == -EIO);
	CHECK_RC(put(store, 5));
	CHECK_RC(get(store, 5));
	CHECK_RC(store_recode(store, &everything, &r));
	check_there(store, 0, CHUNKS);
	check_sums(store, CHUNKS);
	directory_idle(store->directory);
	check_there(store, 0, CHUNKS);
	store_close(store);
	for (int i = 0; i < 2; i++) {
		store = opened(path, NULL, i ? 0 : STORE_READ_ONLY);
		check_there(store, 0, CHUNKS);
		store_stats(store, &stats); /* chunk 5 is in two packs: two key runs may count it */
		CHECK(stats.chunks - CHUNKS <= 1);
		store_close(store);
	}
	check_sound(path);
}

/* An old pack that was not removed is what is left of a chunk that is damaged in the new one: the next recoding takes it from there. */
static void test_damaged_copy(const char *path)
{
	struct store_recode_result r;
	struct store *store;
	char pack[700];
	size_t before;
	off_t at;

	filled(path, SOME);
	before = count_packs(path);
	store = opened(path, NULL, 0);
	CHECK_RC(store_recode(store, &everything, &r));
	place_of(store, 5, pack, &at);
	flip(pack, at);
	store_close(store);
	bring_back(path, SOME);
	store = opened(path, NULL, 0);
	CHECK(get(store, 5) == -EIO);
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(r.packs == before && !r.packs_left && r.chunks == 1);
	check_there(store, 0, SOME);
	store_close(store);
	store = opened(path, NULL, 0);
	check_there(store, 0, SOME);
	store_close(store);
}

/* A chunk that is damaged in a recoded pack comes again, while a pack grows that is older than that one. */
static void test_damaged_put(const char *path)
{
	struct store_recode_result r;
	struct store *store;
	char pack[700];
	off_t at;

	filled(path, CHUNKS);
	make_old(path);
	store = opened(path, NULL, 0);
	for (size_t i = CHUNKS; i < CHUNKS + 3; i++)
		CHECK_RC(put_plain(store, i));
	CHECK_RC(store_recode(store, &aged, &r));
	CHECK(r.chunks == CHUNKS);
	for (size_t i = 5; i < 8; i++) {
		place_of(store, i, pack, &at);
		flip(pack, at);
		CHECK(get(store, i) == -EIO);
		CHECK_RC(put(store, i));
		CHECK_RC(get(store, i));
	}
	check_sums(store, CHUNKS + 3);
	CHECK_RC(store_sync(store));
	store_close(store);
	store = opened(path, NULL, 0);
	check_there(store, 0, CHUNKS + 3);
	store_close(store);
}

/* Packs that were written since the new pack was begun: copies in an older pack would not count. */
static void test_newer_packs(const char *path)
{
	size_t left = 6, packs;
	struct store_recode_options options = { .threads = 1, .stop = after_some, .ctx = &left };
	struct store_recode_result r;
	struct store *store;

	filled(path, SOME);
	packs = count_packs(path);
	store = opened(path, NULL, 0);
	CHECK_RC(store_recode(store, &options, &r));
	CHECK(r.stopped && r.chunks);
	for (size_t i = SOME; i < CHUNKS; i++)
		CHECK_RC(put_plain(store, i));
	CHECK_RC(store_sync(store));
	packs = count_packs(path);
	store->seal_bytes = 1 << 20; /* so that the new pack is not full before */
	CHECK_RC(store_recode(store, &everything, &r));
	CHECK(!r.packs_left && r.packs + 1 >= packs);
	check_there(store, 0, CHUNKS);
	check_sums(store, CHUNKS);
	store_close(store);
	check_sound(path);
}

static bool is_even(void *ctx, const struct key *key)
{
	(void)ctx;
	for (size_t i = 0; i < CHUNKS; i++)
		if (key_equal(&keys[i], key))
			return i % 2 == 0;
	return true;
}

/* What a rule does not want goes away with its pack, and out of the sums. */
static void test_unwanted(const char *path)
{
	struct compact_rule rule = { .wanted = is_even };
	struct compaction *c;
	struct store_stats stats;
	struct store *store;

	filled(path, CHUNKS);
	store = opened(path, NULL, 0);
	CHECK_RC(compaction_new(&c, store, &rule));
	for (uint32_t i = 0, end = packs_end(store->packs); i < end; i++)
		CHECK_RC(compaction_pack(c, i, NULL, NULL));
	CHECK_RC(compaction_finish(c));
	CHECK(compaction_counts(c)->chunks == CHUNKS / 2);
	compaction_free(c);
	store_stats(store, &stats);
	CHECK(stats.chunks == CHUNKS / 2);
	for (size_t i = 0; i < CHUNKS; i++)
		CHECK(get(store, i) == (i % 2 ? -EIO : 0));
	CHECK_RC(put(store, 7)); /* comes again */
	CHECK_RC(get(store, 7));
	store_close(store);
	check_sound(path);
}

static int code_newly(void *ctx, const struct compact_record *record, struct buf *payload, enum codec *codec)
{
	(void)ctx;
	buf_put(payload, record->plain, 1);
	*codec = CODEC_BITS;
	return 0;
}

static bool lying; /* atomic */

/* Files that are small, as tomofs.json is, seem to end before they do. */
static int64_t size_and_one(const struct io *io, int fd)
{
	int64_t size = quick.size(io, fd);

	return size > 0 && size < 3000 && __atomic_load_n(&lying, __ATOMIC_RELAXED) ? size + 1 : size;
}

/* That the settings cannot take what the new chunks need is no fault of their pack. */
static void test_settings(const char *path)
{
	struct compact_rule rule = { .code = code_newly };
	struct compaction *c;
	struct io io = quick;
	struct store *store;

	filled(path, SOME);
	io.size = size_and_one;
	store = opened(path, &io, 0);
	__atomic_store_n(&lying, true, __ATOMIC_RELAXED);
	CHECK_RC(compaction_new(&c, store, &rule));
	CHECK(compaction_pack(c, 0, NULL, NULL) == -EIO);
	compaction_free(c);
	__atomic_store_n(&lying, false, __ATOMIC_RELAXED);
	check_there(store, 0, SOME);
	store_close(store);
}

static size_t each_run(const char *path, void (*each)(const char *run))
{
	char runs[720], run[1000];
	struct dirent *e;
	size_t count = 0;
	DIR *d;

	snprintf(runs, sizeof runs, "%s/keys", path);
	d = opendir(runs);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(run, sizeof run, "%s/%s", runs, e->d_name);
		each(run);
		count++;
	}
	if (d)
		closedir(d);
	return count;
}

static void remove_run(const char *run)
{
	CHECK(unlink(run) == 0);
}

/* Key runs that are wrong, though their checks are right, let no chunk be left out of a copy and its pack go away. */
static void test_tampered(const char *dir)
{
	for (int i = 0; i < 3 * TAMPER_SUMS && directory_limits.flush_packs < 3; i++) {
		struct store_recode_result r;
		struct store *store;
		char path[700];

		snprintf(path, sizeof path, "%s-%d", dir, i);
		filled(path, SOME);
		store = opened(path, NULL, 0);
		directory_idle(store->directory);
		tampering.settings = store->settings;
		store_close(store);
		tampering.kind = i % TAMPER_SUMS;
		CHECK(each_run(path, tamper) > 0);
		store = opened(path, NULL, 0);
		store_recode(store, &everything, &r);
		check_there(store, 0, SOME);
		store_close(store);
		each_run(path, remove_run); /* what the packs hold */
		store = opened(path, NULL, 0);
		check_there(store, 0, SOME);
		store_close(store);
		check_sound(path);
	}
}

int main(void)
{
	static void (*const tests[])(const char *path) = { test_all, test_age, test_stopped, test_damaged, test_dense,
						      test_again, test_damaged_copy, test_damaged_put, test_newer_packs,
						      test_unwanted, test_settings, test_tampered };

	return run_all(tests, sizeof tests / sizeof *tests);
}
