#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

#include "fs/file_internal.h"
#include "store/err.h"

enum { HOLE_MIN = 4096, ZEROS_MAX = 8 << 20, HOLES_SEEN_MAX = 64 };

/* ---- ranges that become zero ---- */

/* These few bytes, as a writer would do it. Lock and processing held, writers wait. */
static int put_zeros(struct file *f, uint64_t off, uint64_t end)
{
	scope_free uint8_t *zeros = calloc(1, (size_t)(end - off));

	return zeros ? file_put_dirty(f, off, zeros, (size_t)(end - off)) : err_set(ENOMEM, "no memory to write zeros");
}

/* Where the chunk begins and ends in whose middle off lies; both off: in none. Lock and processing held. */
static int chunk_across(struct file *f, uint64_t off, uint64_t *start, uint64_t *end)
{
	struct extent e;
	uint64_t first = off;
	int rc = off < content_size(f->map) ? content_find(f->map, off, &e, &first) : 0;

	*start = *end = off;
	if (rc || first == off || key_is_hole(&e.key))
		return rc;
	*start = first;
	*end = first + e.len;
	return 0;
}

/* Stored bytes, to be kept of a chunk that goes. NULL: there are none, or *rc. Lock held, let go of meanwhile; processing held. */
static uint8_t *take_bytes(struct file *f, uint64_t off, uint64_t end, int *rc)
{
	scope_free uint8_t *bytes = off < end && !*rc ? malloc((size_t)(end - off)) : NULL;

	if (off < end && !*rc)
		*rc = bytes ? file_read_map(f, off, bytes, (size_t)(end - off)) : err_set(ENOMEM, "no memory to keep bytes");
	return *rc ? NULL : take(&bytes);
}

/* [off, end) of the map becomes a hole. What the chunks at its ends hold besides is written again. Lock and processing held, the former
 * let go of before anything is changed; writers wait. */
static int map_punch(struct file *f, uint64_t off, uint64_t end)
{
	uint64_t a, b, unused;
	scope_free uint8_t *head = NULL, *tail = NULL;
	struct extent hole;
	int rc = chunk_across(f, off, &a, &unused);

	if (!rc)
		rc = chunk_across(f, end, &unused, &b);
	head = take_bytes(f, a, off, &rc);
	tail = take_bytes(f, end, b, &rc);
	hole = (struct extent){ .len = b - a };
	if (!rc)
		rc = content_splice(f->map, a, b - a, &hole, 1);
	if (!rc && head)
		rc = file_put_dirty(f, a, head, (size_t)(off - a));
	if (!rc && tail)
		rc = file_put_dirty(f, end, tail, (size_t)(b - end));
	return rc;
}

/* Lock held, let go of before anything is changed. */
static int zero(struct file *f, uint64_t off, uint64_t end)
{
	uint64_t have;
	int rc;

	f->cutting = true;
	file_processing_begin(f);
	file_drop_kept(f);
	rc = file_hand_over(f);
	if (!rc)
		rc = file_put_moving(f, true);
	have = content_size(f->map);
	if (end > have)
		end = have; /* what is behind the map is a hole already */
	if (!rc && off < end) {
		if (off < f->sha_off)
			f->sha_valid = false;
		f->fresh &= off >= f->committed;
		rc = end - off < HOLE_MIN ? put_zeros(f, off, end) : map_punch(f, off, end);
	}
	f->cutting = false;
	file_processing_end(f);
	return rc;
}

static int zero_range(struct file *f, uint64_t off, uint64_t len, bool *tell)
{
	int rc;

	scope_lock(&f->lock);
	while (f->cutting)
		pthread_cond_wait(&f->idle, &f->lock);
	rc = file_failed(f);
	if (!rc && off < f->size)
		rc = zero(f, off, len < f->size - off ? off + len : f->size);
	if (rc) {
		file_fail(f, rc);
		return rc;
	}
	f->mtime_ns = now_ns();
	f->changed = true;
	*tell = !f->told_written;
	f->told_written = true;
	return 0;
}

/* ZERO_RANGE of no great length: as data, which is what the caller wants to have room for. */
static int write_zeros(struct file *f, const struct caller *caller, uint64_t off, uint64_t end)
{
	scope_free uint8_t *zeros = off < end ? calloc(1, (size_t)(end - off)) : NULL;
	int64_t n;

	if (off >= end)
		return 0;
	n = zeros ? file_write(f, caller, off, zeros, (size_t)(end - off), false) : err_set(ENOMEM, "no memory to write zeros");
	return n < 0 ? (int)n : 0;
}

static uint64_t size_now(struct file *f)
{
	scope_lock(&f->lock);
	return f->size;
}

int file_allocate(struct file *f, const struct caller *caller, int mode, uint64_t off, uint64_t len)
{
	const int known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
	bool tell = false;
	uint64_t end = off + len, size;
	int rc = 0;

	if (mode & ~known || (mode & FALLOC_FL_PUNCH_HOLE && mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)))
		return err_set(EOPNOTSUPP, "this way of fallocate is not kept");
	if (!len || off > FILE_BYTES_MAX || len > FILE_BYTES_MAX - off)
		return len ? file_with_path(f, err_set(EFBIG, "a file is at most 16 TiB")) : err_set(EINVAL, "no bytes to allocate");
	if (!(mode & FALLOC_FL_PUNCH_HOLE))
		rc = store_room(f->files->store, files_dirty(f->files) + len);
	size = size_now(f);
	if (!rc && mode & FALLOC_FL_ZERO_RANGE && len <= ZEROS_MAX)
		return write_zeros(f, caller, off, mode & FALLOC_FL_KEEP_SIZE && end > size ? size : end);
	if (!rc && mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		rc = zero_range(f, off, len, &tell);
	if (rc)
		return file_with_path(f, rc);
	if (tell && f->files->written)
		f->files->written(f->files->ctx, f->ino);
	return mode & FALLOC_FL_KEEP_SIZE || size >= end ? 0 : file_truncate(f, caller, end);
}

/* ---- holes ---- */

/* A run that covers off: where it ends; else where the next one begins, at most *next. */
static bool in_run(const struct run *r, uint64_t off, uint64_t *end, uint64_t *next)
{
	if (off >= r->off && off < r->off + r->len) {
		*end = r->off + r->len;
		return true;
	}
	if (r->off > off && r->off < *next)
		*next = r->off;
	return false;
}

/* Is there data at off? *end: where this ends to be so, at the latest. Lock held. */
static int look_at(struct file *f, uint64_t off, bool *data, uint64_t *end)
{
	uint64_t start, next = f->size;
	struct extent e;
	int rc;

	*data = true;
	for (size_t i = 0; i < f->dirty_count; i++)
		if (in_run(&f->dirty[i], off, end, &next))
			return 0;
	for (const struct run *r = f->moving; r; r = r->next)
		if (in_run(r, off, end, &next))
			return 0;
	*data = false;
	*end = next;
	if (off >= content_size(f->map))
		return 0;
	rc = content_find(f->map, off, &e, &start);
	if (rc)
		return rc;
	*data = !key_is_hole(&e.key);
	if (*data || start + e.len < next)
		*end = start + e.len;
	return 0;
}

int64_t file_seek(struct file *f, uint64_t off, int whence)
{
	uint64_t end = off;
	bool data = false;
	int rc = 0;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return err_set(EINVAL, "this way of seeking is the kernel's");
	scope_lock(&f->lock);
	if (off >= f->size)
		return err_set(ENXIO, "there is nothing from there on");
	for (;; off = end) {
		if (off >= f->size)
			return whence == SEEK_HOLE ? (int64_t)f->size : err_set(ENXIO, "there is only a hole from there on");
		rc = look_at(f, off, &data, &end);
		if (rc)
			return rc;
		if (data == (whence == SEEK_DATA))
			return (int64_t)off;
	}
}

uint64_t file_holes(struct file *f)
{
	uint64_t holes = 0, end = 0, seen = 0;
	bool data;

	if (f->saved.depth)
		return 0;
	for (uint64_t off = 0; off < f->size; off = end) {
		if (seen++ == HOLES_SEEN_MAX || look_at(f, off, &data, &end))
			return 0;
		holes += data ? 0 : end - off;
	}
	return holes;
}
