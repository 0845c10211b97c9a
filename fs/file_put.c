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

int file_hand_over(struct file *f)
{
	size_t i = 0;
	int rc = 0;

	while (i < f->dirty_count && !rc) {
		rc = move_run(f, f->dirty[i]);
		i += !rc;
	}
	if (i)
		memmove(f->dirty, f->dirty + i, (f->dirty_count - i) * sizeof *f->dirty);
	f->dirty_count -= i;
	return rc;
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

/* ---- runs into the map ---- */

struct piece { /* what becomes chunks: one or more runs, and the rest of the chunks that they begin, lie and end in */
	const struct run *first;
	size_t runs;
	uint64_t start, end; /* in the file; both are borders of chunks, or the end of the map */
	uint64_t old_len;    /* of the map that it replaces */
	const uint8_t *bytes;
	uint8_t *own; /* the bytes, when they are not the run's own; owned */
	bool hashed;
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

struct hash_job {
	EVP_MD_CTX *sha;
	const struct piece *piece;
	bool failed;
};

static int hash_runs(void *arg)
{
	struct hash_job *job = arg;
	const struct run *r = job->piece->first;

	for (size_t i = 0;; r = r->next) {
		if (r->hash && EVP_DigestUpdate(job->sha, r->data, r->len) != 1)
			job->failed = true;
		if (++i == job->piece->runs) /* the last one's next may change meanwhile */
			return 0;
	}
}

/* Whether the bytes at off belong to a chunk that has to be made again when those before them (or, at its end, those behind it) are
 * written: *start and *end are its borders, or both off. Short chunks are taken along by their neighbours, so that a file that
 * comes in small pieces does not stay in small pieces. Lock held. */
static int chunk_around(struct file *f, uint64_t off, bool behind, uint64_t *start, uint64_t *end)
{
	uint64_t size = content_size(f->map), first = off;
	struct extent e = { 0 };
	bool found = false;
	int rc = 0;

	*start = *end = off;
	if (off < size) {
		rc = content_find(f->map, off, &e, &first);
		found = !rc && !key_is_hole(&e.key) && (first < off || (!behind && e.len < CHUNK_MIN));
	}
	if (!rc && !found && behind && off && off <= size && (first == off || off == size)) {
		rc = content_find(f->map, off - 1, &e, &first);
		found = !rc && !key_is_hole(&e.key) && e.len < CHUNK_MIN;
	}
	if (found) {
		*start = first;
		*end = first + e.len;
	}
	return rc;
}

/* The first run on its way, and those after it that end up in the same chunks. Lock held. */
static int piece_find(struct file *f, struct piece *p)
{
	const struct run *r = f->moving;
	uint64_t size = content_size(f->map), end = r->off + r->len, ignored;
	int rc;

	*p = (struct piece) { .first = r, .runs = 1 };
	rc = chunk_around(f, r->off, true, &p->start, &ignored);
	if (!rc)
		rc = chunk_around(f, end, false, &ignored, &p->end);
	for (r = r->next; !rc && r && r->off >= end && r->off <= p->end && p->end > end; r = r->next) {
		if (r->off + r->len - p->start > RUN_FLUSH)
			break;
		end = r->off + r->len;
		p->runs++;
		rc = chunk_around(f, end, false, &ignored, &p->end);
	}
	p->old_len = p->start < size ? (p->end < size ? p->end : size) - p->start : 0;
	return rc;
}

/* Brings the bytes together: those of the runs, and between them what is stored. Lock held, let go of meanwhile. */
static int piece_fill(struct file *f, struct piece *p)
{
	const struct run *r = p->first;
	uint64_t at = p->start;
	int rc = 0;

	if (p->runs == 1 && p->start == r->off && p->end == r->off + r->len) {
		p->bytes = r->data;
		return 0;
	}
	p->bytes = p->own = malloc((size_t)(p->end - p->start));
	if (!p->own)
		return err_set(ENOMEM, "no memory to change a file");
	for (size_t i = 0; !rc && i < p->runs; i++, r = r->next) {
		rc = file_read_map(f, at, p->own + (at - p->start), (size_t)(r->off - at));
		memcpy(p->own + (r->off - p->start), r->data, r->len);
		at = r->off + r->len;
	}
	return rc ? rc : file_read_map(f, at, p->own + (at - p->start), (size_t)(p->end - at));
}

/* Notes which runs go on where the hash is; one that comes before spoils it. Lock held. */
static void piece_hash(struct file *f, struct piece *p)
{
	struct run *r = f->moving;

	for (size_t i = 0; i < p->runs; i++, r = r->next) {
		if (r->off < f->sha_off)
			f->sha_valid = false;
		r->hash = f->sha_valid && r->off == f->sha_off;
		if (r->hash && !f->sha_off) {
			if (!f->sha)
				f->sha = EVP_MD_CTX_new();
			r->hash = f->sha_valid = f->sha && EVP_DigestInit_ex(f->sha, EVP_sha256(), NULL) == 1;
		}
		if (r->hash)
			f->sha_off += r->len;
		p->hashed |= r->hash;
	}
}

/* Cuts, stores and hashes. *extents: owned by the caller, *count of them. No lock. */
static int piece_put(struct file *f, const struct piece *p, struct extent **extents, size_t *count, bool *hash_failed)
{
	struct store *store = f->files->store;
	size_t len = (size_t)(p->end - p->start), room = len / CHUNK_MIN + 2, n = 0;
	scope_free struct put_job *jobs = calloc(room, sizeof *jobs);
	struct hash_job hash = { .sha = f->sha, .piece = p };
	struct pool_group group;
	int rc, rc2;

	*extents = calloc(room, sizeof **extents);
	if (!jobs || !*extents)
		return err_set(ENOMEM, "no memory to store what is written");
	for (size_t at = 0; at < len && n < room; n++) {
		size_t cut = chunker_cut(NULL, p->start + at, p->bytes + at, len - at, true);

		jobs[n] = (struct put_job) { store, p->bytes + at, p->start + at, cut, &(*extents)[n] };
		at += cut;
	}
	*count = n;
	pool_group_init(&group);
	if (p->hashed && n > 1)
		pool_submit(store_pool(store), &group, hash_runs, &hash);
	for (size_t i = 0; i + 1 < n; i++)
		pool_submit(store_pool(store), &group, put_chunk, &jobs[i]);
	if (p->hashed && n <= 1)
		hash_runs(&hash);
	rc = n ? put_chunk(&jobs[n - 1]) : 0;
	rc2 = pool_group_wait(&group);
	pool_group_destroy(&group);
	*hash_failed = hash.failed;
	return rc2 ? rc2 : rc;
}

/* A gap between the end of the map and what comes next is a hole. Lock held. */
static int fill_gap(struct file *f, uint64_t until)
{
	uint64_t size = content_size(f->map);
	struct extent hole = { .len = until > size ? until - size : 0 };

	return hole.len ? content_splice(f->map, size, 0, &hole, 1) : 0;
}

/* Puts the first runs on their way. *runs: how many. */
static int put_some(struct file *f, size_t *runs)
{
	scope_free struct extent *extents = NULL;
	uint64_t off = f->moving->off;
	struct piece p = { .runs = 1 };
	bool hash_failed = false;
	size_t count = 0;
	int rc = fill_gap(f, off);

	if (!rc)
		rc = piece_find(f, &p);
	if (!rc)
		rc = piece_fill(f, &p);
	if (!rc) {
		piece_hash(f, &p);
		pthread_mutex_unlock(&f->lock);
		rc = piece_put(f, &p, &extents, &count, &hash_failed);
		pthread_mutex_lock(&f->lock);
	}
	if (hash_failed)
		f->sha_valid = false;
	if (!rc)
		rc = content_splice(f->map, p.start, p.old_len, extents, count);
	free(p.own);
	*runs = p.runs;
	return rc ? err_wrap(rc, "at byte %llu", (unsigned long long)off) : 0;
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

	while (!rc && f->moving) {
		size_t runs;

		rc = put_some(f, &runs);
		if (rc)
			file_fail(f, rc);
		while (!rc && runs--)
			drop_first(f);
	}
	while (f->moving) /* what failed */
		drop_first(f);
	return rc;
}
