#include <errno.h>
#include <string.h>

#include "fs/file_internal.h"
#include "store/chunker.h"
#include "store/err.h"

void file_processing_begin(struct file *f)
{
	while (f->processing)
		pthread_cond_wait(&f->idle, &f->lock);
	f->processing = true;
}

void file_processing_end(struct file *f)
{
	f->processing = false;
	pthread_cond_broadcast(&f->idle);
}

static int move_run(struct file *f, struct run run)
{
	struct run *r = malloc(sizeof *r);

	if (!r)
		return err_set(ENOMEM, "no memory to move what is written");
	*r = run;
	r->next = NULL;
	*f->moving_end = r;
	f->moving_end = &r->next;
	return 0;
}

void file_hand_over(struct file *f)
{
	size_t i = 0;

	while (i < f->dirty_count && !move_run(f, f->dirty[i]))
		i++;
	if (i)
		memmove(f->dirty, f->dirty + i, (f->dirty_count - i) * sizeof *f->dirty);
	f->dirty_count -= i;
}

/* The last chunk border in a run that still grows. */
static size_t last_border(const struct run *run)
{
	size_t at = 0, n;

	while ((n = chunker_cut(NULL, run->off + at, run->data + at, run->len - at, false)))
		at += n;
	return at;
}

bool file_hand_over_growing(struct file *f, struct run *run)
{
	size_t border = last_border(run), rest = run->len - border;
	struct run tail = { .off = run->off + border, .len = rest, .cap = rest ? rest : 1 };

	if (!border)
		return false;
	tail.data = malloc(tail.cap);
	if (!tail.data)
		return false; /* it goes on growing; the commit will take it */
	memcpy(tail.data, run->data + border, rest);
	run->len = border;
	if (move_run(f, *run)) {
		run->len += rest;
		free(tail.data);
		return false;
	}
	*run = tail;
	if (!rest) {
		free(tail.data);
		f->dirty_count--;
		memmove(run, run + 1, (size_t)(f->dirty + f->dirty_count - run) * sizeof *run);
	}
	return true;
}

/* ---- one run into the map ---- */

struct piece { /* what becomes chunks: the run, and the rest of the chunks that it begins and ends in */
	uint64_t start, old_len; /* of the map that it replaces */
	uint8_t *bytes;
	size_t len;
	bool own; /* bytes is not the run's own buffer */
};

struct put_job {
	struct store *store;
	const uint8_t *bytes;
	uint64_t off;
	size_t len;
	struct extent *extent;
};

static int put_chunk(void *arg)
{
	struct put_job *job = arg;

	job->extent->len = job->len;
	return store_put(job->store, NULL, job->off, job->bytes, job->len, &job->extent->key);
}

/* Where the chunk that off is in starts and ends; off itself for a hole or the end of the map. A short last chunk is taken along
 * when bytes are appended to it. Lock held. */
static int chunk_around(struct file *f, uint64_t off, bool appending, uint64_t *start, uint64_t *end)
{
	uint64_t size = content_size(f->map);
	struct extent e;
	int rc;

	*start = *end = off;
	if (!size || off > size || (off == size && !appending))
		return 0;
	rc = content_find(f->map, off == size ? off - 1 : off, &e, start);
	*end = *start + e.len;
	if (rc)
		return rc;
	if (key_is_hole(&e.key) || (off == size && e.len >= CHUNK_MIN))
		*start = *end = off;
	return 0;
}

static int piece_make(struct file *f, const struct run *r, struct piece *p)
{
	uint64_t size = content_size(f->map), end = r->off + r->len, start, last, ignored;
	int rc = chunk_around(f, r->off, true, &start, &ignored);

	if (!rc)
		rc = chunk_around(f, end, false, &ignored, &last);
	if (rc)
		return rc;
	if (ignored == end) /* end is a border already */
		last = end;
	*p = (struct piece){ .start = start, .bytes = r->data, .len = r->len };
	p->old_len = start < size ? (last < size ? last : size) - start : 0;
	if (start == r->off && last == end)
		return 0;
	p->len = (size_t)(last - start);
	p->bytes = malloc(p->len);
	p->own = true;
	if (!p->bytes)
		return err_set(ENOMEM, "no memory to change a file");
	rc = file_read_map(f, start, p->bytes, (size_t)(r->off - start));
	if (!rc)
		rc = file_read_map(f, end, p->bytes + (end - start), (size_t)(last - end));
	memcpy(p->bytes + (r->off - start), r->data, r->len);
	return rc;
}

/* Cuts and stores. *extents: owned by the caller, *count of them. No lock. */
static int piece_put(struct file *f, const struct piece *p, struct extent **extents, size_t *count)
{
	struct store *store = f->files->store;
	size_t room = p->len / CHUNK_MIN + 2, n = 0, at = 0;
	scope_free struct put_job *jobs = calloc(room, sizeof *jobs);
	struct pool_group group;
	int rc;

	*extents = calloc(room, sizeof **extents);
	if (!jobs || !*extents)
		return err_set(ENOMEM, "no memory to store what is written");
	for (; at < p->len && n < room; n++) {
		size_t len = chunker_cut(NULL, p->start + at, p->bytes + at, p->len - at, true);

		jobs[n] = (struct put_job){ store, p->bytes + at, p->start + at, len, &(*extents)[n] };
		at += len;
	}
	*count = n;
	if (n == 1)
		return put_chunk(&jobs[0]);
	pool_group_init(&group);
	for (size_t i = 0; i < n; i++)
		pool_submit(store_pool(store), &group, put_chunk, &jobs[i]);
	rc = pool_group_wait(&group);
	pool_group_destroy(&group);
	return rc;
}

/* A gap between the end of the map and what comes next is a hole. Lock held. */
static int fill_gap(struct file *f, uint64_t until)
{
	uint64_t size = content_size(f->map);
	struct extent hole = { .len = until > size ? until - size : 0 };

	return hole.len ? content_splice(f->map, size, 0, &hole, 1) : 0;
}

static void sha_add(struct file *f, const struct run *r)
{
	bool follows = f->sha_valid && r->off == f->sha_off;

	if (r->off < f->sha_off)
		f->sha_valid = false; /* it was hashed as it was before this run */
	if (!follows)
		return;
	if (!f->sha_off || !f->sha) {
		if (!f->sha)
			f->sha = EVP_MD_CTX_new();
		if (!f->sha || EVP_DigestInit_ex(f->sha, EVP_sha256(), NULL) != 1) {
			f->sha_valid = false;
			return;
		}
	}
	f->sha_off += r->len; /* from now on a write to these bytes spoils it */
	pthread_mutex_unlock(&f->lock);
	EVP_DigestUpdate(f->sha, r->data, r->len);
	pthread_mutex_lock(&f->lock);
}

static int put_run(struct file *f, const struct run *r)
{
	scope_free struct extent *extents = NULL;
	struct piece p = { 0 };
	size_t count = 0;
	int rc = fill_gap(f, r->off);

	if (!rc)
		rc = piece_make(f, r, &p);
	if (!rc) {
		sha_add(f, r);
		pthread_mutex_unlock(&f->lock);
		rc = piece_put(f, &p, &extents, &count);
		pthread_mutex_lock(&f->lock);
	}
	if (!rc)
		rc = content_splice(f->map, p.start, p.old_len, extents, count);
	if (p.own)
		free(p.bytes);
	return rc;
}

static void drop_first(struct file *f)
{
	struct run *r = f->moving;

	f->moving = r->next;
	if (!f->moving)
		f->moving_end = &f->moving;
	files_add_dirty(f->files, -(int64_t)r->len);
	free(r->data);
	free(r);
}

void file_drop_runs(struct file *f)
{
	int64_t dropped = 0;

	while (f->moving)
		drop_first(f);
	for (size_t i = 0; i < f->dirty_count; i++) {
		dropped += (int64_t)f->dirty[i].len;
		free(f->dirty[i].data);
	}
	f->dirty_count = 0;
	if (dropped)
		files_add_dirty(f->files, -dropped);
}

int file_put_moving(struct file *f)
{
	int rc = file_failed(f);

	while (f->moving) {
		if (!rc) {
			rc = put_run(f, f->moving);
			if (rc)
				file_fail(f, rc);
		}
		drop_first(f);
	}
	return rc;
}
