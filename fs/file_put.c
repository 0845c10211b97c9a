#include <errno.h>
#include <string.h>

#include "fs/file_internal.h"
#include "store/err.h"

void file_processing_begin(struct file *f)
{
	f->awaited++;
	while (f->processing)
		pthread_cond_wait(&f->idle, &f->lock);
	f->awaited--;
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

bool file_hand_over_run(struct file *f, struct run *run)
{
	if (move_run(f, *run))
		return false; /* it goes on growing; the commit will take it */
	f->dirty_count--;
	memmove(run, run + 1, (size_t)(f->dirty + f->dirty_count - run) * sizeof *run);
	return true;
}

/* ---- runs into the map ---- */

struct put_job {
	struct store *store;
	const struct chunk_plan *plan;
	const uint8_t *bytes;
	uint64_t off;
	size_t len;
	struct extent *extent;
};

static int put_chunk(void *arg)
{
	struct put_job *job = arg;

	job->extent->len = job->len;
	return store_put(job->store, job->plan, job->off, job->bytes, job->len, &job->extent->key);
}

struct hash_job {
	EVP_MD_CTX *sha;
	const uint8_t *bytes;
	size_t len;
	bool failed;
};

/* Goes on with the hash up to there, or to its own end. */
static void hash_upto(struct hash_job *job, const uint8_t *upto)
{
	size_t n;

	if (!job->len || upto <= job->bytes)
		return;
	n = (size_t)(upto - job->bytes) < job->len ? (size_t)(upto - job->bytes) : job->len;
	job->failed |= EVP_DigestUpdate(job->sha, job->bytes, n) != 1;
	job->bytes += n;
	job->len -= n;
}

static int hash_all(void *arg)
{
	struct hash_job *job = arg;

	if (job->len)
		hash_upto(job, job->bytes + job->len);
	return 0;
}

int piece_add(struct piece *p, size_t len, const struct chunk_plan *plan)
{
	if (p->count == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 16;
		struct cut *cuts = realloc(p->cuts, cap * sizeof *cuts);

		if (!cuts)
			return err_set(ENOMEM, "no memory to store what is written");
		p->cuts = cuts;
		p->cap = cap;
	}
	p->cuts[p->count] = (struct cut) { .len = len };
	if (plan)
		p->cuts[p->count].plan = *plan;
	p->count++;
	return 0;
}

int piece_own(struct file *f, struct piece *p, size_t len)
{
	p->own = run_memory_take(&f->files->memory, len, &p->own_cap);
	p->bytes = p->own;
	return p->own ? 0 : err_set(ENOMEM, "no memory to store what is written");
}

void piece_free(struct file *f, struct piece *p)
{
	run_memory_give(&f->files->memory, p->own, p->own_cap, 0);
	free(p->cuts);
}

void piece_hash(struct file *f, struct piece *p, uint64_t off, size_t len)
{
	if (off < f->sha_off)
		f->sha_valid = false; /* hashed before, and now it is another */
	if (!f->sha_valid || off != f->sha_off)
		return;
	if (!off) {
		if (!f->sha)
			f->sha = EVP_MD_CTX_new();
		f->sha_valid = f->sha && EVP_DigestInit_ex(f->sha, EVP_sha256(), NULL) == 1;
		if (!f->sha_valid)
			return;
	}
	if (!p->hash_len)
		p->hash_off = off;
	p->hash_len += len;
	f->sha_off += len;
}

/* The file is the only one: all cores at once, one of them hashes. */
static int put_by_all(struct store *store, struct put_job *jobs, size_t n, struct hash_job *hash)
{
	struct pool_group group;
	int rc, rc2;

	pool_group_init(&group);
	if (hash->len)
		pool_submit(store_pool(store), &group, hash_all, hash);
	for (size_t i = 0; i + 1 < n; i++)
		pool_submit(store_pool(store), &group, put_chunk, &jobs[i]);
	rc = put_chunk(&jobs[n - 1]);
	rc2 = pool_group_wait(&group);
	pool_group_destroy(&group);
	return rc2 ? rc2 : rc;
}

/* Each chunk is hashed and stored while it is in this core's cache. */
static int put_by_one(struct put_job *jobs, size_t n, struct hash_job *hash)
{
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		hash_upto(hash, jobs[i].bytes + jobs[i].len);
		rc = put_chunk(&jobs[i]);
	}
	return rc;
}

/* Stores the chunks and hashes. extents: one for each. No lock. */
static int put_chunks(struct file *f, const struct piece *p, struct extent *extents, bool *hash_failed)
{
	struct store *store = f->files->store;
	scope_free struct put_job *jobs = calloc(p->count + 1, sizeof *jobs);
	struct hash_job hash = { .sha = f->sha, .len = p->hash_len };
	size_t at = 0, n = p->count;
	int rc;

	if (!jobs)
		return err_set(ENOMEM, "no memory to store what is written");
	if (hash.len)
		hash.bytes = p->bytes + (p->hash_off - p->start);
	for (size_t i = 0; i < n; at += p->cuts[i++].len)
		jobs[i] = (struct put_job) { store, &p->cuts[i].plan, p->bytes + at, p->start + at, p->cuts[i].len, &extents[i] };
	rc = n > 1 && !files_are_many(f->files) ? put_by_all(store, jobs, n, &hash) : put_by_one(jobs, n, &hash);
	*hash_failed = hash.failed;
	return rc;
}

int piece_put(struct file *f, const struct piece *p)
{
	scope_free struct extent *extents = calloc(p->count + 1, sizeof *extents);
	bool hash_failed = false;
	int rc;

	if (!extents)
		return err_set(ENOMEM, "no memory to store what is written");
	pthread_mutex_unlock(&f->lock);
	rc = put_chunks(f, p, extents, &hash_failed);
	pthread_mutex_lock(&f->lock);
	if (hash_failed || (rc && p->hash_len))
		f->sha_valid = false;
	return rc ? rc : content_splice(f->map, p->start, p->old_len, extents, p->count);
}

/* ---- runs that change what is there, or come out of order ---- */

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

/* Does the run go on at end, or lie in the chunk that reaches from there to border? */
static bool follows(const struct run *r, uint64_t end, uint64_t border)
{
	return r->off == end || (r->off > end && r->off <= border && border > end);
}

/* The first run on its way, and those after it that end up in the same chunks. *runs: how many. Lock held. */
static int piece_find(struct file *f, struct piece *p, size_t *runs)
{
	const struct run *r = f->moving;
	uint64_t size = content_size(f->map), end = r->off + r->len, ignored;
	int rc;

	*runs = 1;
	rc = chunk_around(f, r->off, true, &p->start, &ignored);
	if (!rc)
		rc = chunk_around(f, end, false, &ignored, &p->end);
	for (r = r->next; !rc && r && follows(r, end, p->end); r = r->next) {
		if (r->off + r->len - p->start > RUN_FLUSH)
			break;
		end = r->off + r->len;
		++*runs;
		rc = chunk_around(f, end, false, &ignored, &p->end);
	}
	p->old_len = p->start < size ? (p->end < size ? p->end : size) - p->start : 0;
	return rc;
}

/* Brings the bytes together: those of the runs, and between them what is stored. Lock held, let go of meanwhile. */
static int piece_fill(struct file *f, struct piece *p, size_t runs)
{
	const struct run *r = f->moving;
	uint64_t at = p->start;
	int rc = 0;

	if (runs == 1 && p->start == r->off && p->end == r->off + r->len)
		p->bytes = r->data;
	else
		rc = piece_own(f, p, (size_t)(p->end - p->start));
	for (size_t i = 0; !rc && i < runs; i++, r = r->next) {
		if (p->own) {
			rc = file_read_map(f, at, p->own + (at - p->start), (size_t)(r->off - at));
			memcpy(p->own + (r->off - p->start), r->data, r->len);
		}
		at = r->off + r->len;
		piece_hash(f, p, r->off, r->len);
	}
	return rc || !p->own ? rc : file_read_map(f, at, p->own + (at - p->start), (size_t)(p->end - at));
}

/* A gap between the end of the map and what comes next is a hole. Lock held. */
static int fill_gap(struct file *f, uint64_t until)
{
	uint64_t size = content_size(f->map);
	struct extent hole = { .len = until > size ? until - size : 0 };

	return hole.len ? content_splice(f->map, size, 0, &hole, 1) : 0;
}

static int cut_by_content(struct piece *p)
{
	size_t len = (size_t)(p->end - p->start), n;
	int rc = 0;

	for (size_t at = 0; !rc && at < len; at += n) {
		n = chunker_cut(NULL, p->start + at, p->bytes + at, len - at, true);
		rc = piece_add(p, n, NULL);
	}
	return rc;
}

/* The first runs on their way. Processing held; lock held, let go of meanwhile. *put: bytes of them. */
static int put_over(struct file *f, size_t *put)
{
	struct piece p = { 0 };
	size_t runs = 0;
	int rc = fill_gap(f, f->moving->off);

	if (!rc)
		rc = piece_find(f, &p, &runs);
	if (!rc)
		rc = piece_fill(f, &p, runs);
	if (!rc) {
		pthread_mutex_unlock(&f->lock);
		rc = cut_by_content(&p);
		pthread_mutex_lock(&f->lock);
	}
	if (!rc)
		rc = piece_put(f, &p);
	piece_free(f, &p);
	for (const struct run *r = f->moving; runs--; r = r->next)
		*put += r->len;
	return rc;
}

static void run_free(struct files *files, struct run *r)
{
	run_memory_give(&files->memory, r->base, r->cap, (size_t)(r->data - r->base) + r->len);
	free(r);
}

/* The first one of those on their way, which are then without it. */
static struct run *take_first(struct file *f)
{
	struct run *r = f->moving;

	f->moving = r->next;
	if (!f->moving)
		f->moving_end = &f->moving;
	files_add_dirty(f->files, -(int64_t)r->len);
	return r;
}

static void drop_first(struct file *f)
{
	run_free(f->files, take_first(f));
}

static bool kept_add(struct files *files, int64_t bytes)
{
	scope_lock(&files->lock);
	if (bytes > 0 && files->kept_bytes + (size_t)bytes > KEPT_MAX)
		return false;
	files->kept_bytes = (size_t)((int64_t)files->kept_bytes + bytes);
	return true;
}

void file_drop_kept(struct file *f)
{
	if (!f->kept)
		return;
	kept_add(f->files, -(int64_t)f->kept->cap);
	run_free(f->files, f->kept);
	f->kept = NULL;
}

/* The first one is in the map. When it is all there is of a file that was closed, whoever is told so will look at its header at once,
 * and the chunk around it need not be read and decoded for that. */
static void put_first_away(struct file *f)
{
	struct run *r = f->moving;
	bool whole = f->promised && !f->writers && !r->off && r->data == r->base && r->len == f->size;

	if (!whole || f->kept || !kept_add(f->files, (int64_t)r->cap)) {
		drop_first(f);
		return;
	}
	f->kept = take_first(f);
}

/* Takes the first bytes of those on their way off; they are in the map. Lock held. */
static void drop_bytes(struct file *f, size_t len)
{
	while (len && len >= f->moving->len) {
		len -= f->moving->len;
		put_first_away(f);
	}
	if (!len)
		return;
	files_add_dirty(f->files, -(int64_t)len);
	f->moving->off += len;
	f->moving->data += len;
	f->moving->len -= len;
}

void file_drop_runs(struct file *f)
{
	int64_t dropped = 0;

	while (f->moving)
		drop_first(f);
	for (size_t i = 0; i < f->dirty_count; i++) {
		dropped += (int64_t)f->dirty[i].len;
		run_memory_give(&f->files->memory, f->dirty[i].base, f->dirty[i].cap, 0);
	}
	f->dirty_count = 0;
	if (dropped)
		files_add_dirty(f->files, -dropped);
}

static size_t on_their_way(const struct file *f)
{
	size_t len = 0;

	for (const struct run *r = f->moving; r; r = r->next)
		len += r->len;
	return len;
}

int file_put_moving(struct file *f, bool all)
{
	size_t goal = on_their_way(f), put = 1; /* what comes meanwhile is for the next time: a fast writer never ends */
	int rc = file_failed(f);

	for (size_t done = 0; !rc && f->moving && put && done < goal; done += put) {
		uint64_t off = f->moving->off;

		put = 0;
		rc = file_in_order(f) ? file_put_in_order(f, all || f->hurry, &put) : put_over(f, &put);
		if (rc)
			err_wrap(rc, "at byte %llu", (unsigned long long)off);
		if (rc && f->promised && file_may_succeed_later(rc))
			return rc;
		if (rc)
			file_fail(f, rc);
		else
			drop_bytes(f, put);
	}
	f->hurry &= f->moving != NULL;
	while (rc && f->moving) /* what failed */
		drop_first(f);
	return rc;
}
