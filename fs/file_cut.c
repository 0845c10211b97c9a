/*
 * Cutting in order: a file that is written from its beginning is cut at content-defined borders, each byte once. The rest behind the last sure border waits for more bytes; a commit cuts it off all the same, and
 * when that was no natural border, what comes later is put as a change of it (file_put.c).
 */
#include <errno.h>
#include <string.h>

#include "fs/file_internal.h"
#include "store/chunker.h"
#include "store/err.h"

bool file_in_order(const struct file *f)
{
	return f->moving->off == f->cut_off && content_size(f->map) == f->cut_off;
}

void file_cut_reset(struct file *f, bool empty)
{
	f->cut_off = empty ? 0 : UINT64_MAX;
}

/* Bytes that follow each other without a gap, from the first on its way, up to limit. Lock held. */
static size_t in_a_row(const struct file *f, size_t limit)
{
	const struct run *r = f->moving;
	uint64_t end = r->off + r->len;

	for (r = r->next; r && r->off == end && end - f->moving->off < limit; r = r->next)
		end += r->len;
	return end - f->moving->off < limit ? (size_t)(end - f->moving->off) : limit;
}

/* Is there more on its way, which does not follow? Lock held. */
static bool more_behind(const struct file *f, size_t row)
{
	const struct run *r = f->moving;

	while (r && row >= r->len) {
		row -= r->len;
		r = r->next;
	}
	return r != NULL;
}

/* The first len of them in one place. Lock held. */
static int gather(struct file *f, struct piece *p, size_t len)
{
	const struct run *r = f->moving;

	p->start = r->off;
	if (len <= r->len) {
		p->bytes = r->data;
		return 0;
	}
	run_memory_give(&f->files->memory, p->own, p->own_cap, 0);
	p->own = NULL;
	if (piece_own(f, p, len))
		return -ENOMEM;
	for (size_t at = 0, n; at < len; at += n, r = r->next) {
		n = r->len < len - at ? r->len : len - at;
		memcpy(p->own + at, r->data, n);
	}
	return 0;
}

/* Cuts what is at hand, until at least `enough` bytes are cut. last: to the end, whatever border that is; *forced: it is none. Processing
 * held, no lock. */
static int cut(struct piece *p, size_t len, size_t enough, bool last, bool *forced)
{
	size_t at = 0, n;
	int rc = 0;

	while (!rc && at < enough) {
		n = chunker_cut(NULL, p->start + at, p->bytes + at, len - at, false);
		*forced = !n && last;
		if (*forced)
			n = chunker_cut(NULL, p->start + at, p->bytes + at, len - at, true);
		if (!n)
			break;
		rc = piece_add(p, n, NULL);
		at += n;
	}
	p->end = p->start + at;
	return rc;
}

/* With more and more of what has come, until there is a chunk. Lock held, let go of meanwhile. */
static int find_cuts(struct file *f, struct piece *p, bool all, bool *forced)
{
	size_t first = f->moving->len, had = 0;
	size_t len = first < CHUNK_MAX ? in_a_row(f, first + CHUNK_MAX) : first;
	int rc;

	for (;;) {
		bool last = len == in_a_row(f, SIZE_MAX) && (all || more_behind(f, len));

		rc = gather(f, p, len);
		pthread_mutex_unlock(&f->lock);
		if (!rc)
			rc = cut(p, len, first, last, forced);
		pthread_mutex_lock(&f->lock);
		had = len;
		if (rc || p->count)
			return rc;
		len = in_a_row(f, len < RUN_HOLD ? RUN_HOLD : len + CHUNK_MAX);
		if (len == had)
			return 0;
	}
}

int file_put_in_order(struct file *f, bool all, size_t *put)
{
	struct piece p = { .start = f->moving->off };
	bool forced = false;
	int rc = find_cuts(f, &p, all, &forced);

	if (!rc && p.count) {
		piece_hash(f, &p, p.start, (size_t)(p.end - p.start));
		rc = piece_put(f, &p);
		*put = (size_t)(p.end - p.start);
	}
	if (!rc && p.count)
		f->cut_off = forced ? UINT64_MAX : p.end;
	piece_free(f, &p);
	return rc;
}
