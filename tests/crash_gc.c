/*
 * Power cuts at every call of a garbage collection: what was marked is there and whole, as is what was put and synced meanwhile,
 * and nothing is damaged.
 */
#include "store/gc.h"
#include "tests/lib/disk.h"
#include "tests/lib/recode_lab.h"

enum { TRIES = 3, PUT_FROM = CHUNKS, PUT = 8, DONE = 1 };

static bool is_live(size_t i)
{
	return i % 3 == 0 || i >= PUT_FROM;
}

static void collect(struct store *store)
{
	struct store_gc_options options = { .threads = 1 };
	struct store_gc_result r;
	struct store_gc *gc;

	CHECK_RC(store_gc_begin(store, &gc));
	for (size_t i = 0; i < CHUNKS; i++)
		if (is_live(i))
			store_gc_mark(gc, &keys[i]);
	for (size_t i = PUT_FROM; i < PUT_FROM + PUT; i++)
		CHECK_RC(put(store, i));
	CHECK_RC(put(store, 1)); /* garbage that comes again */
	CHECK_RC(store_sync(store));
	disk_mark(DONE);
	CHECK_RC(store_gc_sweep(gc, &options, &r));
	CHECK(r.packs && r.freed_bytes);
	store_gc_end(gc);
}

static struct disk_trace *traced(const char *path)
{
	struct store *store;

	filled(path, CHUNKS);
	disk_begin(path);
	store = opened(path, NULL, 0);
	collect(store);
	store_close(store);
	return disk_end();
}

static void look(const struct disk_state *state, const char *path, bool synced)
{
	struct store *store;

	disk_state_write(state, path);
	store = opened(path, NULL, 0);
	for (size_t i = 0; i < CHUNKS + (synced ? PUT : 0); i++)
		if (is_live(i) || (synced && i == 1))
			CHECK_RC(get(store, i));
	store_close(store);
	check_sound(path);
}

int main(void)
{
	struct disk_trace *trace;
	struct disk_image *image;
	char path[600], state_path[600];
	bool synced = false;
	size_t points = 0;

	quick = io_system;
	folder = check_tmpdir();
	log_set_level(LOG_ERROR);
	snprintf(path, sizeof path, "%s/work", folder);
	trace = traced(path);
	image = disk_image_new(trace);
	quick.fdatasync = at_once;
	quick.fsync_dir = folder_at_once;
	for (size_t cut = 0;; cut++) {
		for (uint64_t n = 0; n < TRIES; n++) {
			struct disk_state *state = disk_state_new(image, n == 0 ? DISK_NONE : n == 1 ? DISK_ALL : DISK_SOME, cut + n);

			snprintf(state_path, sizeof state_path, "%s/%zu-%d", folder, cut, (int)n);
			look(state, state_path, synced);
			disk_state_free(state);
			snprintf(state_path, sizeof state_path, "rm -rf %s/%zu-%d", folder, cut, (int)n);
			CHECK(system(state_path) == 0);
			points++;
		}
		if (cut < disk_trace_count(trace) && disk_trace_op(trace, cut)->kind == DISK_MARK)
			synced = true;
		if (!disk_image_step(image))
			break;
	}
	disk_image_free(image);
	disk_trace_free(trace);
	printf("%zu states after cuts\n", points);
	return check_done();
}
