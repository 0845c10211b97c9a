/*
 * Cutting in order: a file that is written from its beginning is cut at borders that its own header, its name or its neighbours give
 * (image/layout.h), each byte once. The rest behind the last sure border waits for more bytes; a commit cuts it off all the same, and
 * when that was no natural border, what comes later is put as a change of it (file_put.c).
 */
#include <errno.h>
#include <string.h>

#include "fs/file_internal.h"
#include "store/err.h"

enum { HINT_LEAST = 1 << 20 }; /* smaller files are not worth asking for */

bool file_in_order(const struct file *f)
{
	return f->moving->off == f->cut_off && content_size(f->map) == f->cut_off;
}

void file_cut_reset(struct file *f, bool empty)
{
	layout_free(f->layout);
	f->layout = NULL;
	f->cut_off = empty ? 0 : UINT64_MAX;
	f->laid = 0;
	f->laid_last = false;
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

/* Processing held, no lock. */
static int begin_layout(struct file *f, const uint8_t *bytes, size_t len)
{
	struct layout_hints *hints = f->files->hints;
	struct node_row row;
	struct layout_hint hint;
	bool hinted = false;

	if (catalog_node(f->files->catalog, f->ino, &row))
		strcpy(row.name, ""); /* removed meanwhile */
	else if (hints && len >= HINT_LEAST && layout_wants_hint(bytes, len))
		hinted = layout_hints_find(hints, row.parent, row.name, &hint);
	return layout_new(&f->layout, row.name, hinted ? &hint : NULL);
}

/* For the next files in its folder. Processing held, no lock. */
static void learn(struct file *f)
{
	struct node_row row;

	if (f->files->hints && !catalog_node(f->files->catalog, f->ino, &row))
		layout_hints_learn(f->files->hints, row.parent, row.name, f->layout);
}

/* Tells the layout of bytes that it has not seen. ends: the file ends with them. Processing held, no lock. */
static int feed(struct file *f, const struct piece *p, size_t len, bool ends)
{
	size_t seen = f->laid > p->start ? (size_t)(f->laid - p->start) : 0;

	if (!f->layout && !p->start && begin_layout(f, p->bytes, len))
		return -ENOMEM;
	if (!f->layout || f->laid_last || (seen >= len && !ends))
		return 0;
	layout_feed(f->layout, f->laid, p->bytes + seen, len - seen, ends);
	f->laid += len - seen;
	f->laid_last = ends;
	return 0;
}

static size_t next_cut(struct file *f, const struct piece *p, size_t at, size_t len, bool last, struct chunk_plan *plan)
{
	uint64_t until;

	*plan = (struct chunk_plan) { 0 };
	if (!f->layout)
		return chunker_cut(NULL, p->start + at, p->bytes + at, len - at, last);
	return layout_cut(f->layout, p->start + at, p->bytes + at, len - at, last, plan, &until);
}

/* Cuts what is at hand, until at least `enough` bytes are cut. last: to the end, whatever border that is; *forced: it is none. Processing
 * held, no lock. */
static int cut(struct file *f, struct piece *p, size_t len, size_t enough, bool last, bool *forced)
{
	struct chunk_plan plan;
	size_t at = 0, n;
	int rc = 0;

	while (!rc && at < enough) {
		n = next_cut(f, p, at, len, false, &plan);
		*forced = !n && last;
		if (*forced)
			n = next_cut(f, p, at, len, true, &plan);
		if (!n)
			break;
		rc = piece_add(p, n, plan.slice_bytes ? &plan : NULL);
		at += n;
	}
	p->end = p->start + at;
	if (!rc && last && at == len && f->laid_last)
		learn(f);
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
		bool ends = last && f->promised && p->start + len == f->size;

		rc = gather(f, p, len);
		pthread_mutex_unlock(&f->lock);
		if (!rc)
			rc = feed(f, p, len, ends);
		if (!rc && f->layout && (len >= RUN_HOLD || (last && f->hurry)))
			layout_give_up(f->layout);
		if (!rc)
			rc = cut(f, p, len, first, last, forced);
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
