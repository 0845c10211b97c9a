#include <errno.h>
#include <string.h>

#include "fs/file_internal.h"
#include "store/err.h"

int file_failed(struct file *f)
{
	return f->error ? err_set(f->error, "%s", f->error_text) : 0;
}

int file_fail(struct file *f, int rc)
{
	if (!f->error) {
		size_t n = strlen(err_text());

		if (n >= sizeof f->error_text)
			n = sizeof f->error_text - 1;
		memcpy(f->error_text, err_text(), n);
		f->error_text[n] = 0;
		f->error = -rc;
		f->lost = f->promised;
	}
	return rc;
}

static int run_reserve(struct file *f, struct run *r, size_t len)
{
	struct run_memory *memory = &f->files->memory;
	uint8_t *data;
	size_t cap;

	if (len <= r->cap)
		return 0;
	data = run_memory_take(memory, len > 2 * r->cap ? len : 2 * r->cap, &cap);
	if (!data)
		return err_set(ENOMEM, "no memory to keep what is written");
	if (r->len)
		memcpy(data, r->data, r->len);
	run_memory_give(memory, r->base, r->cap, 0);
	r->base = r->data = data;
	r->cap = cap;
	return 0;
}

static int dirty_insert(struct file *f, size_t at)
{
	if (f->dirty_count == f->dirty_cap) {
		size_t cap = f->dirty_cap ? f->dirty_cap * 2 : 2;
		struct run *list = realloc(f->dirty, cap * sizeof *list);

		if (!list)
			return err_set(ENOMEM, "no memory to keep what is written");
		f->dirty = list;
		f->dirty_cap = cap;
	}
	memmove(f->dirty + at + 1, f->dirty + at, (f->dirty_count - at) * sizeof *f->dirty);
	f->dirty[at] = (struct run){ 0 };
	f->dirty_count++;
	return 0;
}

static void dirty_remove(struct file *f, size_t at)
{
	run_memory_give(&f->files->memory, f->dirty[at].base, f->dirty[at].cap, 0);
	memmove(f->dirty + at, f->dirty + at + 1, (f->dirty_count - at - 1) * sizeof *f->dirty);
	f->dirty_count--;
}

/* The first run that ends at off or later. */
static size_t dirty_find(const struct file *f, uint64_t off)
{
	size_t a = 0, b = f->dirty_count;

	while (a < b) {
		size_t m = (a + b) / 2;

		if (f->dirty[m].off + f->dirty[m].len < off)
			a = m + 1;
		else
			b = m;
	}
	return a;
}

/*
 * Puts bytes into the dirty runs; runs that touch become one. *run: the one that has them. *added: growth in bytes.
 */
static int dirty_put(struct file *f, uint64_t off, const uint8_t *from, size_t len, size_t *run, int64_t *added)
{
	size_t i = dirty_find(f, off);
	struct run *r;
	uint64_t end = off + len;
	int rc;

	if (i == f->dirty_count || f->dirty[i].off > off) {
		rc = dirty_insert(f, i);
		if (rc)
			return rc;
		f->dirty[i].off = off;
	}
	r = &f->dirty[i];
	while (i + 1 < f->dirty_count && f->dirty[i + 1].off <= end) {
		struct run *next = &f->dirty[i + 1];
		size_t tail = next->off + next->len > end ? (size_t)(next->off + next->len - end) : 0;

		/* What reaches beyond the new bytes is kept; everything before it is overwritten. */
		rc = run_reserve(f, r, (size_t)(end - r->off) + tail);
		if (rc)
			return rc;
		memcpy(r->data + (end - r->off), next->data + (next->len - tail), tail);
		*added -= (int64_t)next->len;
		if (end + tail > r->off + r->len) {
			*added += (int64_t)(end + tail - (r->off + r->len));
			r->len = (size_t)(end + tail - r->off);
		}
		dirty_remove(f, i + 1);
		if (tail)
			break;
	}
	rc = run_reserve(f, r, (size_t)(end - r->off));
	if (rc)
		return rc;
	memcpy(r->data + (off - r->off), from, len);
	if (end > r->off + r->len) {
		*added += (int64_t)(end - (r->off + r->len));
		r->len = (size_t)(end - r->off);
	}
	*run = i;
	return 0;
}

int file_put_dirty(struct file *f, uint64_t off, const uint8_t *from, size_t len)
{
	int64_t added = 0;
	size_t run;
	int rc = dirty_put(f, off, from, len, &run, &added);

	files_add_dirty(f->files, added);
	return rc;
}

/* Whether the file's own buffers are to be moved on now. Lock held. True: queue the file. */
static bool pass_on(struct file *f, size_t run)
{
	if (f->dirty_count > RUNS_MAX) {
		(void)file_hand_over(f); /* what stays dirty is tried again */
		return true;
	}
	return f->dirty[run].len >= RUN_FLUSH && file_hand_over_run(f, &f->dirty[run]);
}

/* Writers of TIFFs leave gaps of some bytes, which they fill later or never. As zeros these do not break the order in which a
 * file is cut. */
static const uint8_t no_bytes[4096];

static int write_locked(struct file *f, uint64_t off, const void *from, size_t len, bool append, bool *queue, bool *tell)
{
	int64_t added = 0;
	size_t run;
	int rc;

	scope_lock(&f->lock);
	while (f->cutting)
		pthread_cond_wait(&f->idle, &f->lock);
	rc = file_failed(f);
	if (rc)
		return rc;
	if (append)
		off = f->size;
	if (off > FILE_BYTES_MAX || len > FILE_BYTES_MAX - off)
		return err_set(EFBIG, "a file is at most 16 TiB");
	if (off > f->size && off - f->size <= sizeof no_bytes)
		rc = dirty_put(f, f->size, no_bytes, (size_t)(off - f->size), &run, &added);
	if (!rc)
		rc = dirty_put(f, off, from, len, &run, &added);
	files_add_dirty(f->files, added); /* before anybody can put them away and subtract them */
	if (rc)
		return file_fail(f, rc);
	file_drop_kept(f);
	if (off < f->sha_off)
		f->sha_valid = false;
	f->fresh &= off >= f->committed;
	if (off + len > f->size)
		f->size = off + len;
	f->mtime_ns = now_ns();
	f->changed = true;
	*tell = !f->told_written;
	f->told_written = true;
	*queue = pass_on(f, run);
	return 0;
}

int64_t file_write(struct file *f, const struct caller *caller, uint64_t off, const void *from, size_t len, bool append)
{
	struct files *files = f->files;
	bool queue = false, tell = false;
	int rc;

	(void)caller;
	if (!len)
		return 0;
	rc = files_wait_for_room(files);
	if (!rc)
		rc = store_room(files->store, files_dirty(files) + len);
	if (!rc)
		rc = write_locked(f, off, from, len, append, &queue, &tell);
	if (rc) {
		pthread_mutex_lock(&f->lock);
		file_told(f);
		pthread_mutex_unlock(&f->lock);
		return file_with_path(f, rc);
	}
	if (tell && files->written)
		files->written(files->ctx, f->ino);
	if (queue)
		files_queue(files, f);
	return (int64_t)len;
}

/* Drops dirty bytes at and after size. Lock held. */
static void dirty_cut(struct file *f, uint64_t size)
{
	int64_t dropped = 0;

	while (f->dirty_count) {
		struct run *r = &f->dirty[f->dirty_count - 1];

		if (r->off + r->len <= size)
			break;
		if (r->off >= size) {
			dropped += (int64_t)r->len;
			dirty_remove(f, f->dirty_count - 1);
			continue;
		}
		dropped += (int64_t)(r->off + r->len - size);
		r->len = (size_t)(size - r->off);
	}
	if (dropped)
		files_add_dirty(f->files, -dropped);
}

/* Cuts the map at size. A chunk that is cut becomes a dirty run of what stays of it. Lock and processing held. */
static int map_cut(struct file *f, uint64_t size)
{
	uint64_t have = content_size(f->map), start = size;
	scope_free uint8_t *rest = NULL;
	struct extent e;
	size_t run;
	int64_t added = 0;
	int rc = 0;

	if (have <= size)
		return 0;
	if (size) {
		rc = content_find(f->map, size, &e, &start);
		if (!rc && key_is_hole(&e.key))
			start = size;
	}
	if (!rc && start < size) {
		rest = malloc((size_t)(size - start));
		rc = rest ? 0 : err_set(ENOMEM, "no memory to truncate");
		if (!rc)
			rc = file_read_map(f, start, rest, (size_t)(size - start));
	}
	if (!rc)
		rc = content_splice(f->map, start, have - start, NULL, 0);
	/* No run is above these bytes: all were put into the map before, and writers wait. */
	if (!rc && rest)
		rc = dirty_put(f, start, rest, (size_t)(size - start), &run, &added);
	if (added)
		files_add_dirty(f->files, added);
	return rc;
}

static int shrink(struct file *f, uint64_t size)
{
	int rc = 0;

	f->cutting = true; /* else what is written meanwhile could end up below the bytes that a cut chunk keeps */
	file_processing_begin(f);
	file_drop_kept(f);
	dirty_cut(f, size);
	if (size) {
		rc = file_hand_over(f);
		if (!rc)
			rc = file_put_moving(f, true);
	} else {
		file_drop_runs(f);
		f->fresh = true;
		f->committed = 0;
	}
	if (!rc)
		rc = map_cut(f, size);
	if (size < f->size)
		file_cut_reset(f, !size);
	if (size < f->sha_off || !size) {
		f->sha_valid = !size;
		f->sha_off = 0;
	}
	f->cutting = false;
	file_processing_end(f);
	return rc;
}

int file_truncate(struct file *f, const struct caller *caller, uint64_t size)
{
	bool tell = false;
	int rc;

	(void)caller;
	if (size > FILE_BYTES_MAX)
		return file_with_path(f, err_set(EFBIG, "a file is at most 16 TiB"));
	pthread_mutex_lock(&f->lock);
	while (f->cutting)
		pthread_cond_wait(&f->idle, &f->lock);
	rc = file_failed(f);
	if (!rc && size < f->size)
		rc = shrink(f, size);
	if (rc) {
		file_fail(f, rc);
	} else {
		f->size = size;
		f->mtime_ns = now_ns();
		f->changed = true;
		tell = !f->told_written;
		f->told_written = true;
	}
	pthread_mutex_unlock(&f->lock);
	if (tell && f->files->written)
		f->files->written(f->files->ctx, f->ino);
	return rc ? file_with_path(f, rc) : 0;
}
