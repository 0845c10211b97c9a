/*
 * keys: what a large index costs. Makes two stores in a folder, one with so many made-up keys in its runs (as many runs
 * as there can be, with sparse files for the packs they name), one without; and compares them: opening, memory,
 * look-ups, and putting chunks, new ones and known ones, by turns in both.
 *
 *     build/bench/keys FOLDER [KEYS]       FOLDER must not exist; about 35 bytes of disk a key; removed in the end
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/directory_internal.h"
#include "store/err.h"
#include "store/store_internal.h"
#include "tests/lib/random.h"

enum { KEYS_A_PACK = 1000, RUNS_MAX = 64, ROUNDS = 5 };

static void must(int rc, const char *what)
{
	if (rc) {
		fprintf(stderr, "%s: %s\n", what, err_text());
		exit(1);
	}
}

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct watch {
	double wall, cpu;
};

static struct watch watch_start(void)
{
	return (struct watch) { now(CLOCK_MONOTONIC), now(CLOCK_PROCESS_CPUTIME_ID) };
}

static struct watch watch_stop(struct watch from)
{
	return (struct watch) { now(CLOCK_MONOTONIC) - from.wall, now(CLOCK_PROCESS_CPUTIME_ID) - from.cpu };
}

static long anonymous_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[200];
	long kib = 0;

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "RssAnon: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib;
}

/* ---- made-up keys ---- */

static uint64_t run_size[RUNS_MAX];
static size_t run_count;

/* One run fewer than are merged in each tier, but for the last one, which has all the others. */
static void plan_runs(uint64_t keys)
{
	uint64_t left = keys;

	for (uint64_t size = 100000; size <= left / 3; size *= 4)
		for (unsigned i = 0; i < (size < directory_limits.large_entries ? 3 : 1) && left >= 2 * size; i++) {
			run_size[run_count++] = size;
			left -= size;
		}
	run_size[run_count++] = left;
}

static void put_big(uint8_t *to, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* The i-th key of a run, in order. */
static struct key made_up(size_t run, uint64_t i)
{
	uint64_t state = (uint64_t)run << 48 | i, stride = UINT64_MAX / run_size[run];
	struct key key;

	put_big(key.bytes, i * stride + random_next(&state) % stride);
	put_big(key.bytes + 8, random_next(&state));
	return key;
}

static void write_run(const struct directory_place *place, size_t run, uint64_t first_pack)
{
	uint64_t count = run_size[run], packs = (count + KEYS_A_PACK - 1) / KEYS_A_PACK, state = run;
	struct keyrun_writer *w;

	must(keyrun_writer_open(&w, place, run + 1, count), "a run");
	for (uint64_t i = 0; i < count; i++) {
		struct keyrun_entry e = { made_up(run, i),
					  { (uint32_t)random_below(&state, packs), 320 + (uint32_t)i % 100000000,
					    250000, 524288, 2 } };

		must(keyrun_writer_add(w, &e), "an entry");
	}
	for (uint64_t i = 0; i < packs; i++) {
		struct pack_name name = { 1, first_pack + i };
		uint8_t header[PACK_HEADER_BYTES];
		char text[PACK_NAME_MAX], path[4096];
		int fd;

		pack_header(place->settings, name, header);
		must(keyrun_writer_pack(w, &(struct keyrun_pack) { name, PACK_SEAL_BYTES, pack_seed(header) }),
		     "a pack");
		pack_name_text(name, text);
		snprintf(path, sizeof path, "%s/%s", place->packs_folder, text);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, PACK_SEAL_BYTES) < 0)
			must(err_sys("%s", path), "a pack");
		close(fd);
	}
	must(keyrun_writer_finish(w), "a run");
	keyrun_writer_drop(w);
}

static struct store *opened(const char *path)
{
	struct store_options options = { .cache_bytes = 64 << 20 };
	struct store *store;

	must(store_open(&store, path, &options), path);
	return store;
}

static void fill(const char *path)
{
	struct store *store = opened(path);
	struct directory_place place = store->directory->place;
	char folder[4096];
	uint64_t first = 1, sum = 0;

	snprintf(folder, sizeof folder, "%s/keys", path);
	place.folder = folder;
	for (size_t i = 0; i < run_count; i++) {
		write_run(&place, i, first);
		first += (run_size[i] + KEYS_A_PACK - 1) / KEYS_A_PACK;
		sum += run_size[i];
	}
	store_close(store);
	printf("%llu keys in %zu runs, as many as there can be; %llu packs\n", (unsigned long long)sum, run_count,
	       (unsigned long long)first - 1);
}

/* ---- measuring ---- */

static void forget_pages(const struct store *store)
{
	for (size_t i = 0; i < store->directory->list->count; i++)
		posix_fadvise(store->directory->list->runs[i]->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void look_up(struct store *store, bool there, unsigned count, const char *what)
{
	struct key *keys = calloc(count, sizeof *keys);
	uint64_t state = (uint64_t)now(CLOCK_MONOTONIC);
	struct watch w;

	for (unsigned i = 0; i < count; i++) {
		size_t run = run_count - 1;

		while (run && random_below(&state, 4) == 0)
			run--;
		keys[i] = made_up(run, random_below(&state, run_size[run]));
		if (!there)
			random_fill(keys[i].bytes, sizeof keys[i].bytes, random_next(&state));
	}
	w = watch_start();
	for (unsigned i = 0; i < count; i++) {
		struct directory_entry entry;

		if (directory_get(store->directory, &keys[i], &entry) != there)
			must(-1, "a wrong answer");
	}
	w = watch_stop(w);
	printf("  %-34s %9.0f /s   %6.2f us of processor\n", what, count / w.wall, w.cpu / count * 1e6);
	free(keys);
}

/* Puts chunks first..first+count-1. */
static struct watch put(struct store *store, uint64_t first, unsigned count, size_t len, bool new)
{
	uint8_t *bytes = malloc(len);
	struct watch sum = { 0, 0 };

	for (unsigned i = 0; i < count; i++) {
		struct watch w;
		struct key key;

		random_fill(bytes, len < 4096 ? len : 4096, first + i);
		for (size_t k = 4096; k < len; k++) /* a noisy slope */
			bytes[k] = (uint8_t)(k & 1 ? k >> 14 : bytes[k % 4096] & 15);
		w = watch_start();
		must(store_put(store, NULL, 0, bytes, len, &key), "put");
		w = watch_stop(w);
		sum.wall += w.wall;
		sum.cpu += w.cpu;
	}
	if (new) {
		struct watch w = watch_start();

		must(store_sync(store), "sync");
		sum.wall += watch_stop(w).wall;
	}
	free(bytes);
	return sum;
}

static struct watch best(struct watch a, struct watch b)
{
	return (struct watch) { a.wall < b.wall ? a.wall : b.wall, a.cpu < b.cpu ? a.cpu : b.cpu };
}

static void compare_puts(struct store *empty, struct store *full, size_t len, unsigned count)
{
	static uint64_t next = 1;

	for (int known = 0; known < 2; known++) {
		struct watch e = { 1e9, 1e9 }, f = { 1e9, 1e9 };

		for (int round = 0; round < ROUNDS; round++) {
			uint64_t first = next + (uint64_t)round * count;

			e = best(e, put(empty, first, count, len, !known));
			f = best(f, put(full, first, count, len, !known));
		}
		printf("  %-5s chunks of %6zu bytes: empty %7.0f /s, full %7.0f /s: ratio %.2f (processor %.1f and "
		       "%.1f us: %.2f)\n",
		       known ? "known" : "new", len, count / e.wall, count / f.wall, e.wall / f.wall,
		       e.cpu / count * 1e6, f.cpu / count * 1e6, e.cpu / f.cpu);
	}
	next += (uint64_t)ROUNDS * count;
}

static void remove_all(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char inner[4096];

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
		if (unlink(inner) < 0)
			remove_all(inner);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

int main(int argc, char **argv)
{
	uint64_t keys = argc > 2 ? strtoull(argv[2], NULL, 10) : 10000000;
	char a[3000], b[3000];
	struct store *empty, *full;
	struct watch w;
	long before;

	if (argc < 2 || mkdir(argv[1], 0700) < 0) {
		fprintf(stderr, "keys FOLDER [KEYS]: a folder that does not exist yet\n");
		return 2;
	}
	snprintf(a, sizeof a, "%s/empty", argv[1]);
	snprintf(b, sizeof b, "%s/full", argv[1]);
	must(store_create(a), a);
	must(store_create(b), b);
	setvbuf(stdout, NULL, _IOLBF, 0);
	plan_runs(keys);
	w = watch_start();
	fill(b);
	printf("  made in %.1f s\n", watch_stop(w).wall);
	empty = opened(a);
	before = anonymous_kib();
	w = watch_start();
	full = opened(b);
	w = watch_stop(w);
	printf("  opened in %.2f s (processor %.2f s), %.1f MiB of memory\n", w.wall, w.cpu,
	       (double)(anonymous_kib() - before) / 1024);
	look_up(full, false, 200000, "unknown keys");
	look_up(full, true, 200000, "known keys");
	compare_puts(empty, full, 4096, 20000);
	compare_puts(empty, full, 524288, 400);
	forget_pages(full);
	look_up(full, false, 20000, "unknown keys, nothing in the cache");
	forget_pages(full);
	look_up(full, true, 5000, "known keys, nothing in the cache");
	printf("  %.1f MiB of memory in the end, both stores\n", (double)anonymous_kib() / 1024);
	store_close(empty);
	store_close(full);
	remove_all(argv[1]);
	return 0;
}
