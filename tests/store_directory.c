/*
 * The directory of a store: whatever runs there are, are merged, damaged or gone, each chunk is found where its newest
 * record is, and no other; the memory is given back; opens beside a writer work. (With a failing disk:
 * store_directory_faults.)
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/log.h"
#include "tests/lib/directory_lab.h"
#include "tests/lib/tamper.h"

static uint64_t seed = 3;

/* Grows, is opened again now and then, and always knows what it has. */
static void test_grow(const char *path)
{
	struct store *store = created(path);

	for (size_t i = 0; i < CHUNKS; i++) {
		CHECK_RC(put(store, i));
		if (random_below(&seed, 200) == 0) {
			store_close(store);
			store = opened(path, &quick, 0);
			check_count(store, i + 1);
			check_there(store, i < 100 ? 0 : i - 100, i + 1, CHUNKS - 50 > i ? CHUNKS - 50 : i + 1);
		}
	}
	directory_idle(store->directory);
	check_there(store, 0, CHUNKS, CHUNKS);
	CHECK(in_memory(store) < 400);
	CHECK(each_run(NULL) < 16 && each_run(NULL) == store->directory->list->count);
	check_count(store, CHUNKS);
	store_close(store);
	store = opened(path, &quick, STORE_READ_ONLY);
	check_there(store, 0, CHUNKS, CHUNKS);
	CHECK(in_memory(store) < 400);
	check_count(store, CHUNKS);
	store_close(store);
}

static void remove_file(const char *path)
{
	CHECK(unlink(path) == 0);
}

static void make_stale(const char *path)
{
	char to[1100];

	snprintf(to, sizeof to, "%s.tmp", path);
	CHECK(random_below(&seed, 2) ? rename(path, to) == 0 : truncate(path, 5000) == 0);
}

/* Runs go away, all or some; a reader changes nothing, a writer makes them again. */
static void test_gone(const char *path)
{
	struct store *store = created(path);
	size_t runs;

	for (size_t i = 0; i < CHUNKS / 2; i++)
		CHECK_RC(put(store, i));
	store_close(store);
	for (int round = 0; round < 4; round++) {
		each_run(round % 2 ? make_stale : remove_file);
		runs = each_run(NULL);
		store = opened(path, &quick, STORE_READ_ONLY);
		check_there(store, 0, CHUNKS / 2, CHUNKS / 2);
		check_count(store, CHUNKS / 2);
		store_close(store);
		CHECK(each_run(NULL) == runs);
		store = opened(path, &quick, 0);
		check_there(store, 0, CHUNKS / 2, CHUNKS / 2);
		directory_idle(store->directory);
		CHECK(each_run(NULL) > 0 && in_memory(store) < 400);
		check_there(store, 0, CHUNKS / 2, CHUNKS / 2);
		check_count(store, CHUNKS / 2);
		store_close(store);
	}
}

/* Packs that went away take their chunks with them, and no others. */
static void test_packs_gone(const char *path)
{
	struct store *store = created(path);
	struct directory_entry at[CHUNKS / 4];
	char name[PACK_NAME_MAX], pack[800];
	uint64_t left = 0;

	for (size_t i = 0; i < CHUNKS / 4; i++)
		CHECK_RC(put(store, i));
	directory_idle(store->directory);
	for (size_t i = 0; i < CHUNKS / 4; i++)
		CHECK(directory_get(store->directory, &keys[i], &at[i]) == 1);
	for (uint32_t p = 1; p < 4; p++) {
		packs_name(store->packs, p, name);
		snprintf(pack, sizeof pack, "%s/packs/%s", path, name);
		CHECK(unlink(pack) == 0);
	}
	store_close(store);
	for (int round = 0; round < 2; round++) {
		left = 0;
		store = opened(path, &quick, 0);
		for (size_t i = 0; i < CHUNKS / 4; i++) {
			bool gone = at[i].pack >= 1 && at[i].pack < 4;

			left += !gone;
			CHECK(store_has(store, &keys[i]) == !gone);
			CHECK(gone || get(store, i) == 0);
		}
		directory_idle(store->directory);
		store_close(store);
	}
	store = opened(path, &quick, 0);
	check_count(store, left);
	store_close(store);
}

static void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1);
	byte ^= (uint8_t)(1 << random_below(&seed, 8));
	CHECK(pwrite(fd, &byte, 1, at) == 1);
	close(fd);
}

static void flip_some(const char *path)
{
	struct stat st;

	CHECK(stat(path, &st) == 0);
	for (int i = 0; i < 3 && st.st_size; i++)
		flip(path, (off_t)random_below(&seed, (uint64_t)st.st_size));
}

/* Bytes are flipped in runs, also while these are in use. */
static void test_damage(const char *path)
{
	struct store *store = created(path);

	for (size_t i = 0; i < CHUNKS / 5; i++)
		CHECK_RC(put(store, i));
	directory_idle(store->directory);
	for (int round = 0; round < 12; round++) {
		if (round % 3 == 0) {
			store_close(store);
			each_run(flip_some);
			store = opened(path, &quick, round % 2 ? STORE_READ_ONLY : 0);
		} else {
			each_run(flip_some);
		}
		check_there(store, 0, CHUNKS / 5, CHUNKS / 5);
		directory_idle(store->directory);
		check_there(store, 0, CHUNKS / 5, CHUNKS / 5);
	}
	store_close(store);
	store = opened(path, &quick, 0);
	check_there(store, 0, CHUNKS / 5, CHUNKS / 5);
	check_count(store, CHUNKS / 5);
	store_close(store);
}

/* Damages a chunk where the directory says it is. */
static void damage_chunk(struct store *store, size_t i)
{
	struct directory_entry entry;
	char name[PACK_NAME_MAX], pack[800];

	CHECK(directory_get(store->directory, &keys[i], &entry) == 1);
	packs_name(store->packs, entry.pack, name);
	snprintf(pack, sizeof pack, "%s/packs/%s", store_path(store), name);
	flip(pack, (off_t)entry.off + PACK_HEAD_BYTES + 3);
}

/* A chunk that was stored again is found at its new place, whatever runs have the old one; also when the run with the
 * new one is newer than a run with the old one that had to be made again. */
static void test_replaced(const char *path)
{
	struct store *store = created(path);

	for (size_t i = 0; i < 600; i++)
		CHECK_RC(put(store, i));
	directory_idle(store->directory);
	store_close(store);
	store = opened(path, &quick, 0);
	for (size_t i = 0; i < 600; i += 9) {
		damage_chunk(store, i);
		CHECK(get(store, i) == -EIO);
		CHECK_RC(put(store, i));
	}
	check_count(store, 600);
	check_there(store, 0, 600, 600);
	for (size_t i = 600; i < 1200; i++)
		CHECK_RC(put(store, i));
	directory_idle(store->directory);
	check_there(store, 0, 1200, 1200);
	for (int round = 0; round < 4; round++) {
		DIR *d;
		struct dirent *e;
		char first[300] = "";

		store_close(store);
		d = opendir(folder);
		while (d && (e = readdir(d))) /* the oldest run goes: its packs are entered after newer ones */
			if (e->d_name[0] != '.' && (!*first || strcmp(e->d_name, first) < 0))
				snprintf(first, sizeof first, "%s", e->d_name);
		if (d && *first)
			CHECK(unlinkat(dirfd(d), first, 0) == 0);
		if (d)
			closedir(d);
		store = opened(path, &quick, round % 2 ? STORE_READ_ONLY : 0);
		check_there(store, 0, 1200, 1200);
	}
	store_close(store);
}

/* ---- what memory did to a run before its checks were made (tamper.h) ---- */

static void note_run(void *ctx, const char *sentence)
{
	*(size_t *)ctx += strstr(sentence, ".keys") != NULL;
}

/* Wrong runs that verify names, each once. */
static size_t wrong_runs(struct store *store)
{
	struct store_verify counts;
	size_t named = 0;

	CHECK_RC(store_verify(store, note_run, &named, &counts));
	CHECK(counts.damaged >= named);
	return named;
}

/* Verify names every one, and each chunk is found by a reader and by a writer, who makes it right. */
static void test_tampered(const char *path)
{
	struct store *store = created(path);

	for (size_t i = 0; i < 500; i++)
		CHECK_RC(put(store, i));
	tampering.settings = store->settings;
	for (int round = 0; round < 2 * TAMPERINGS; round++) {
		size_t runs;

		directory_idle(store->directory);
		CHECK(wrong_runs(store) == 0);
		store_close(store);
		tampering.kind = round % TAMPERINGS;
		runs = each_run(tamper);
		store = opened(path, &quick, STORE_READ_ONLY);
		CHECK(wrong_runs(store) == runs && wrong_runs(store) == runs);
		check_there(store, 0, 500, CHUNKS);
		store_close(store);
		store = opened(path, &quick, STORE_READ_ONLY);
		check_there(store, 0, 500, CHUNKS);
		store_close(store);
		store = opened(path, &quick, 0);
		if (round < TAMPERINGS)
			check_there(store, 0, 500, CHUNKS);
		for (size_t i = 0; round >= TAMPERINGS && i < 500; i++)
			CHECK_RC(put(store, i)); /* that they are there already need not be known */
		if (tampering.kind == TAMPER_SUMS || round >= TAMPERINGS)
			CHECK(wrong_runs(store) <= runs);
		directory_idle(store->directory);
		check_there(store, 0, 500, 500);
	}
	CHECK(wrong_runs(store) == 0);
	store_close(store);
}

struct beside {
	const char *path;
	struct store *store;
	size_t put; /* atomic: chunks before this one are there */
	bool done;  /* atomic */
};

static void *look_up(void *arg)
{
	struct beside *b = arg;
	uint64_t mine = (uintptr_t)&mine;

	while (!__atomic_load_n(&b->done, __ATOMIC_ACQUIRE)) {
		size_t put_so_far = __atomic_load_n(&b->put, __ATOMIC_ACQUIRE);

		if (put_so_far)
			CHECK_RC(get(b->store, random_below(&mine, put_so_far)));
		CHECK(!store_has(b->store, &keys[CHUNKS - 1]));
	}
	return NULL;
}

static void *open_beside(void *arg)
{
	struct beside *b = arg;
	struct store_options options = {
		.io = &quick, .cache_bytes = 64 << 10, .threads = 1, .flags = STORE_READ_ONLY
	};

	while (!__atomic_load_n(&b->done, __ATOMIC_ACQUIRE)) {
		size_t synced = __atomic_load_n(&b->put, __ATOMIC_ACQUIRE) / 100 * 100;
		struct store *store = NULL;

		CHECK_RC(store_open(&store, b->path, &options));
		for (size_t i = 0; store && i < synced; i += 7)
			CHECK_RC(get(store, i));
		store_close(store);
	}
	return NULL;
}

static void test_threads(const char *path)
{
	struct beside b = { .path = path, .store = created(path) };
	void *(*const work[])(void *) = { look_up, look_up, open_beside };
	pthread_t threads[3];

	for (size_t i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, work[i], &b) == 0);
	for (size_t i = 0; i < CHUNKS - 1; i++) {
		CHECK_RC(put(b.store, i));
		if (i % 100 == 99)
			CHECK_RC(store_sync(b.store));
		__atomic_store_n(&b.put, i + 1, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&b.done, true, __ATOMIC_RELEASE);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	store_close(b.store);
}

int main(void)
{
	static void (*const tests[])(const char *path) = { test_grow,	test_gone,     test_packs_gone,
							   test_damage, test_tampered, test_replaced, test_threads };
	const char *dir = check_tmpdir();

	log_set_level(LOG_ERROR); /* the failures are meant */
	small_limits();
	no_sync();
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		char path[600];

		snprintf(path, sizeof path, "%s/store%zu", dir, i);
		tests[i](path);
	}
	return check_done();
}
