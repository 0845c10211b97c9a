/*
 * Key runs: what is written is found, in order and by key, and nothing else; merges hold the same as their runs
 * together; a flipped byte gives the right answer or is noticed; a failing disk leaves no file that looks like a run.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/keyrun.h"
#include "tests/lib/check.h"
#include "tests/lib/faultio.h"
#include "tests/lib/random.h"

enum { MANY = 3000, FEW = 300, PACKS = 40 };

static struct settings settings;
static char folder[600];
static uint64_t seed = 11;

static struct directory_place place_of(const struct io *io)
{
	return (struct directory_place) { .io = io, .folder = folder, .settings = &settings };
}

static struct keyrun_entry random_entry(uint32_t packs)
{
	struct keyrun_entry e;

	random_fill(e.key.bytes, KEY_BYTES, random_next(&seed));
	e.at = (struct directory_entry) { .pack = (uint32_t)random_below(&seed, packs),
					  .off = (uint32_t)random_next(&seed),
					  .stored_len = 1 + (uint32_t)random_below(&seed, 1 << 20),
					  .plain_len = 1 + (uint32_t)random_below(&seed, CHUNK_MAX),
					  .codec = (uint8_t)random_below(&seed, 10) };
	return e;
}

static int in_order(const void *left, const void *right)
{
	const struct keyrun_entry *a = left, *b = right;
	int order = memcmp(a->key.bytes, b->key.bytes, KEY_BYTES);

	return order ? order : directory_newer(&a->at, &b->at) ? -1 : 1;
}

/* Some keys stand there several times; `crowded`: all keys begin with the same bytes. */
static struct keyrun_entry *random_entries(size_t count, bool crowded)
{
	struct keyrun_entry *all = calloc(count + 1, sizeof *all);

	for (size_t i = 0; i < count; i++) {
		all[i] = random_entry(PACKS);
		if (i % 50 == 1)
			all[i].key = all[i - 1].key;
		if (crowded)
			memset(all[i].key.bytes, 7, 8);
		if (crowded && i < 400) /* more than a page of one key */
			all[i].key = all[0].key;
	}
	qsort(all, count, sizeof *all, in_order);
	return all;
}

/* Packs base .. base + PACKS - 1 of the world are those of the run. */
static int write_run(const struct directory_place *place, uint64_t number, const struct keyrun_entry *all, size_t count,
		     uint32_t base)
{
	struct keyrun_writer *w;
	int rc = keyrun_writer_open(&w, place, number, count + number % 3 * 200); /* it may expect more than it gets */

	if (rc)
		return rc;
	for (size_t i = 0; !rc && i < count; i++)
		rc = keyrun_writer_add(w, &all[i]);
	for (uint32_t i = 0; !rc && i < PACKS; i++)
		rc = keyrun_writer_pack(w, &(struct keyrun_pack) { { 1, base + i + 1 }, 1000 + i, 77 * (base + i) });
	if (!rc)
		rc = keyrun_writer_finish(w);
	keyrun_writer_drop(w);
	return rc;
}

static int open_run(struct keyrun **run, const struct directory_place *place, uint64_t number, uint32_t base)
{
	int rc = keyrun_open(run, place, number);
	uint32_t *packs;

	if (rc)
		return rc;
	packs = calloc((*run)->head.packs + 1, sizeof *packs);
	for (uint32_t i = 0; i < (*run)->head.packs; i++)
		packs[i] = base + i;
	keyrun_set_packs(*run, packs);
	return 0;
}

static bool same_place(const struct directory_entry *a, const struct directory_entry *b)
{
	return a->pack == b->pack && a->off == b->off && a->stored_len == b->stored_len &&
	       a->plain_len == b->plain_len && a->codec == b->codec;
}

/* What the run must say of the key of all[i]: its first entry whose pack is there. */
static void check_get(struct keyrun *run, const struct keyrun_entry *all, size_t count, size_t i)
{
	struct directory_entry found, expected = { .pack = 0 };
	bool there = false;
	int rc = keyrun_get(run, &all[i].key, &found);

	while (i && key_equal(&all[i - 1].key, &all[i].key))
		i--;
	for (size_t k = i; !there && k < count && key_equal(&all[k].key, &all[i].key); k++) {
		expected = all[k].at;
		expected.pack = run->packs[all[k].at.pack];
		there = expected.pack != KEYRUN_GONE;
	}
	CHECK(rc == there);
	CHECK(rc != 1 || same_place(&found, &expected));
}

static void check_all(struct keyrun *run, const struct keyrun_entry *all, size_t count)
{
	struct keyrun_cursor cursor;
	unsigned false_hits = 0;

	for (size_t i = 0; i < count; i++)
		check_get(run, all, count, i);
	for (size_t i = 0; i < 1000; i++) {
		struct keyrun_entry other = random_entry(1);
		uint64_t block = keyrun_block_of(&other.key, run->head.blocks);

		CHECK(keyrun_get(run, &other.key, &other.at) == 0);
		if (!run->filter)
			continue;
		CHECK(keyrun_block_whole(run->filter + block * KEYRUN_BLOCK_BYTES, run->head.nonce, block));
		false_hits += keyrun_block_may_hold(run->filter + block * KEYRUN_BLOCK_BYTES, &other.key);
	}
	CHECK(false_hits < 40); /* about 10 */
	keyrun_cursor_open(&cursor, run);
	for (size_t i = 0; i < count; i++) {
		if (run->packs[all[i].at.pack] == KEYRUN_GONE)
			continue;
		CHECK(keyrun_next(&cursor) == 1);
		CHECK(key_equal(&cursor.entry.key, &all[i].key) && cursor.entry.at.off == all[i].at.off);
	}
	CHECK(keyrun_next(&cursor) == 0);
	keyrun_cursor_close(&cursor);
}

static void test_found(void)
{
	static const struct {
		size_t count;
		bool crowded;
	} cases[] = { { 0, false },   { 1, false },    { 126, false }, { 127, false },
		      { 128, false }, { MANY, false }, { MANY, true } };
	struct directory_place place = place_of(&io_system);

	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
		struct keyrun_entry *all = random_entries(cases[c].count, cases[c].crowded);
		struct keyrun *run = NULL;

		CHECK_RC(write_run(&place, c + 1, all, cases[c].count, 100));
		CHECK_RC(open_run(&run, &place, c + 1, 100));
		CHECK(run->head.entries == cases[c].count && run->newest == 100 + PACKS - 1);
		check_all(run, all, cases[c].count);
		run->packs[5] = KEYRUN_GONE;
		check_all(run, all, cases[c].count);
		keyrun_load_filter(run);
		CHECK(run->filter);
		if (!cases[c].crowded)
			check_all(run, all, cases[c].count);
		CHECK(!run->damaged);
		keyrun_drop(run);
		free(all);
	}
}

static void test_order(void)
{
	struct directory_place place = place_of(&io_system);
	struct keyrun_entry low = random_entry(1), high = low;
	struct keyrun_writer *w;
	uint64_t number;

	low.key.bytes[0] = 1;
	high.key.bytes[0] = 2;
	CHECK_RC(keyrun_writer_open(&w, &place, 90, 2));
	CHECK_RC(keyrun_writer_add(w, &high));
	CHECK(keyrun_writer_add(w, &low) == -EINVAL);
	keyrun_writer_drop(w);
	CHECK(keyrun_parse("0000000012.keys", &number) && number == 12);
	CHECK(!keyrun_parse("0000000012.keys.tmp", &number) && !keyrun_parse("12.keys", &number));
}

/* The sums count each key once. */
static void test_sums(void)
{
	struct directory_place place = place_of(&io_system);
	struct keyrun_entry *all = random_entries(MANY, false);
	struct directory_sums sums = { 0 };
	struct keyrun *run = NULL;

	CHECK_RC(write_run(&place, 80, all, MANY, 0));
	CHECK_RC(open_run(&run, &place, 80, 0));
	for (size_t i = 0; i < MANY; i++)
		if (!i || !key_equal(&all[i].key, &all[i - 1].key))
			directory_sums_add(&sums, &all[i].at, 1);
	CHECK(memcmp(&sums, &run->head.sums, sizeof sums) == 0 && sums.all.chunks < MANY);
	keyrun_drop(run);
	free(all);
}

static int count_pauses(void *ctx)
{
	++*(unsigned *)ctx;
	return 0;
}

static int stop(void *ctx)
{
	(void)ctx;
	return err_set(ECANCELED, "enough");
}

/* Three runs whose packs interleave, one of them with a pack that is gone. */
static void test_merge(void)
{
	struct directory_place place = place_of(&io_system);
	struct keyrun_entry *all[3], *sum = calloc((size_t)3 * 40000, sizeof *sum);
	struct keyrun *runs[3] = { NULL }, *out = NULL;
	size_t count = 0;
	unsigned pauses = 0;

	for (uint32_t r = 0; r < 3; r++) {
		all[r] = random_entries(r == 1 ? 40000 : MANY, false);
		for (size_t i = 0; r && i < 100; i++) /* keys that stand in another run too */
			all[r][i * 20].key = all[0][i * 7].key;
		qsort(all[r], r == 1 ? 40000 : MANY, sizeof *sum, in_order);
		CHECK_RC(write_run(&place, 20 + r, all[r], r == 1 ? 40000 : MANY, r * 1000));
		CHECK_RC(open_run(&runs[r], &place, 20 + r, 0));
		for (uint32_t i = 0; i < PACKS; i++)
			runs[r]->packs[i] = i * 3 + r;
		keyrun_set_packs(runs[r], runs[r]->packs);
	}
	runs[2]->packs[9] = KEYRUN_GONE;
	for (uint32_t r = 0; r < 3; r++)
		for (size_t i = 0; i < (r == 1 ? 40000 : MANY); i++) {
			sum[count] = all[r][i];
			sum[count].at.pack = runs[r]->packs[all[r][i].at.pack];
			count += sum[count].at.pack != KEYRUN_GONE;
		}
	qsort(sum, count, sizeof *sum, in_order);
	CHECK(keyrun_merge(runs, 3, 30, stop, NULL, &out) == -ECANCELED);
	CHECK_RC(keyrun_merge(runs, 3, 30, count_pauses, &pauses, &out));
	CHECK(pauses > 0 && out->head.packs == 3 * PACKS - 1 && out->head.entries == count);
	for (size_t i = 0; i < count; i++) /* places in the new table: the gone one is left out */
		sum[i].at.pack -= sum[i].at.pack > 29;
	for (uint32_t i = 0; i < out->head.packs; i++) {
		struct keyrun_pack pack;
		uint32_t index = out->packs[i];

		CHECK(index == i + (i >= 29));
		CHECK_RC(keyrun_pack(out, i, &pack));
		CHECK(pack.name.number == index % 3 * 1000 + index / 3 + 1 && pack.size == 1000 + index / 3);
		CHECK(pack.seed == 77 * (pack.name.number - 1));
	}
	check_all(out, sum, count);
	keyrun_drop(out);
	for (uint32_t r = 0; r < 3; r++) {
		keyrun_drop(runs[r]);
		free(all[r]);
	}
	free(sum);
}

static int no_pack(void *ctx, uint32_t place, const struct keyrun_pack *pack)
{
	struct keyrun_pack *all = ctx;

	all[place] = *pack;
	return 0;
}

/* 0: all is as it was written; else it was noticed that it is not. */
static int look(const struct directory_place *place, const struct keyrun_entry *all, size_t count, size_t near)
{
	struct keyrun_pack packs[PACKS];
	struct keyrun *run = NULL;
	int rc = open_run(&run, place, 50, 0);

	if (rc)
		return rc;
	CHECK(run->head.packs == PACKS && run->head.entries == count);
	rc = keyrun_packs(run, no_pack, packs);
	for (uint32_t i = 0; !rc && i < PACKS; i++)
		CHECK(packs[i].name.number == i + 1 && packs[i].size == 1000 + i && packs[i].seed == 77 * i);
	for (size_t i = near > 3 ? near - 3 : 0; !rc && i < count && i < near + 3; i++) {
		struct directory_entry found;
		size_t first = i;

		while (first && key_equal(&all[first - 1].key, &all[i].key))
			first--;
		rc = keyrun_get(run, &all[i].key, &found);
		CHECK(rc == 1 || rc == -EBADMSG);
		CHECK(rc != 1 || same_place(&found, &all[first].at));
		CHECK(rc == 1 || run->damaged);
		rc = rc == 1 ? 0 : rc;
	}
	keyrun_drop(run);
	return rc;
}

/* Every byte in turn. The keys that are looked up are those that the byte may matter to. */
static void test_flips(void)
{
	struct directory_place place = place_of(&io_system);
	struct keyrun_entry *all = random_entries(FEW, false);
	char *path = keyrun_path(&place, 50);
	unsigned noticed = 0;
	struct stat st;
	int fd;

	CHECK_RC(write_run(&place, 50, all, FEW, 0));
	CHECK_RC(look(&place, all, FEW, 5));
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	for (off_t at = 0; fd >= 0 && at < st.st_size; at++) {
		off_t page = (at - KEYRUN_PAGE_BYTES) % KEYRUN_PAGE_BYTES;
		size_t i = at < KEYRUN_PAGE_BYTES ? 0
						  : (size_t)(at / KEYRUN_PAGE_BYTES - 1) * KEYRUN_PAGE_ENTRIES +
							(size_t)(page < 32 ? 0 : page - 32) / KEYRUN_ENTRY_BYTES;
		uint8_t byte, bad;

		if (at >= KEYRUN_PAGE_BYTES * 4) /* the filter: some key of the block */
			i = (size_t)(at - KEYRUN_PAGE_BYTES * 4) / 64 * FEW / (FEW / KEYRUN_BLOCK_KEYS + 1);
		CHECK(pread(fd, &byte, 1, at) == 1);
		bad = byte ^ (uint8_t)(1 << random_below(&seed, 8));
		CHECK(pwrite(fd, &bad, 1, at) == 1);
		noticed += look(&place, all, FEW, i < FEW ? i : FEW - 1) != 0;
		CHECK(pwrite(fd, &byte, 1, at) == 1);
	}
	CHECK(noticed > st.st_size / 2); /* not the filter, which is only made longer to search */
	for (off_t size = 0; size < st.st_size; size += 97) {
		CHECK(ftruncate(fd, st.st_size - size) == 0);
		CHECK(size == 0 || look(&place, all, FEW, 0) != 0);
	}
	close(fd);
	free(path);
	free(all);
}

static size_t files_in_folder(void)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	size_t count = 0;

	while (d && (e = readdir(d)))
		count += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return count;
}

/* Any call fails: there is a whole run or none, and nothing else is left; reading again later works. */
static void test_faults(void)
{
	struct faultio *f = faultio_new();
	struct directory_place place = place_of(faultio_io(f));
	struct keyrun_entry *all = random_entries(FEW, false);
	size_t before = files_in_folder();
	char *path = keyrun_path(&place, 50);
	int rc = -EIO;

	CHECK(unlink(path) == 0);
	before--;
	for (uint64_t n = 1; rc && n < 100; n++) {
		faultio_fail(f, FAULT_ALL & ~FAULT_UNLINK, n, n % 2 ? EIO : ENOSPC);
		rc = write_run(&place, 50, all, FEW, 0);
		faultio_reset(f);
		CHECK(files_in_folder() == before + !rc);
	}
	CHECK_RC(rc);
	faultio_short(f, 100);
	CHECK_RC(look(&place, all, FEW, 0));
	faultio_short(f, 0);
	rc = -EIO;
	for (uint64_t n = 1; rc && n < 100; n++) {
		faultio_fail(f, FAULT_OPEN | FAULT_READ | FAULT_SIZE, n, EIO);
		rc = look(&place, all, FEW, 0);
		faultio_reset(f);
	}
	CHECK_RC(rc);
	faultio_free(f);
	free(path);
	free(all);
}

int main(void)
{
	snprintf(folder, sizeof folder, "%s/keys", check_tmpdir());
	CHECK_RC(settings_make(&settings));
	test_found();
	test_order();
	test_sums();
	test_merge();
	test_flips();
	test_faults();
	return check_done();
}
