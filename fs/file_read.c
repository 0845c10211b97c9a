#include <errno.h>
#include <string.h>

#include "fs/file_internal.h"
#include "store/err.h"

/* A stored stretch of what is to be read. */
struct stretch {
	struct key key;
	size_t chunk_len, skip, len;
	uint8_t *to;
};

struct plan {
	struct stretch *list; /* owned */
	size_t count, cap;
};

static int plan_add(struct plan *p, struct stretch s)
{
	if (p->count == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 8;
		struct stretch *list = realloc(p->list, cap * sizeof *list);

		if (!list)
			return err_set(ENOMEM, "no memory to read");
		p->list = list;
		p->cap = cap;
	}
	p->list[p->count++] = s;
	return 0;
}

/* What the map says of [off, off+len): holes are filled with zeros now, chunks are planned. Bytes beyond the map are zeros. */
static int plan_map(struct file *f, uint64_t off, uint8_t *to, size_t len, struct plan *p)
{
	while (len) {
		struct extent e;
		uint64_t start, skip;
		size_t n;
		int rc;

		if (off >= content_size(f->map)) {
			memset(to, 0, len);
			return 0;
		}
		rc = content_find(f->map, off, &e, &start);
		if (rc)
			return rc;
		skip = off - start;
		n = e.len - skip < len ? (size_t)(e.len - skip) : len;
		if (key_is_hole(&e.key))
			memset(to, 0, n);
		else
			rc = plan_add(p, (struct stretch){ .key = e.key, .chunk_len = (size_t)e.len, .skip = (size_t)skip,
							   .len = n, .to = to });
		if (rc)
			return rc;
		off += n;
		to += n;
		len -= n;
	}
	return 0;
}

static int read_plan(struct file *f, struct plan *p)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < p->count; i++) {
		struct stretch *s = &p->list[i];

		rc = store_read(f->files->store, &s->key, s->chunk_len, s->skip, s->to, s->len);
	}
	return rc;
}

int file_read_map(struct file *f, uint64_t off, uint8_t *to, size_t len)
{
	struct plan p = { 0 };
	int rc = plan_map(f, off, to, len, &p);

	pthread_mutex_unlock(&f->lock);
	if (!rc)
		rc = read_plan(f, &p);
	free(p.list);
	pthread_mutex_lock(&f->lock);
	return rc;
}

/* Bytes of a run that lie in [off, off+len) are copied to the same place of `over`, and noted as a stretch to be copied on. */
static int overlay(const struct run *r, uint64_t off, uint8_t *to, uint8_t *over, size_t len, struct plan *pieces)
{
	uint64_t a = r->off > off ? r->off : off, end = off + len, b = r->off + r->len < end ? r->off + r->len : end;

	if (a >= b)
		return 0;
	memcpy(over + (a - off), r->data + (a - r->off), (size_t)(b - a));
	return plan_add(pieces, (struct stretch){ .skip = (size_t)(a - off), .len = (size_t)(b - a), .to = to + (a - off) });
}

static bool covers(const struct run *r, uint64_t off, size_t len)
{
	return r->off <= off && off + len <= r->off + r->len;
}

/* Nothing of the map is seen below a run that covers all. */
static bool covered(const struct file *f, uint64_t off, size_t len)
{
	for (size_t i = 0; i < f->dirty_count; i++)
		if (covers(&f->dirty[i], off, len))
			return true;
	for (const struct run *r = f->moving; r; r = r->next)
		if (covers(r, off, len))
			return true;
	return false;
}

/* The next chunks of a sequential reader. Lock held. */
static size_t plan_ahead(struct file *f, uint64_t off, struct extent *ahead)
{
	size_t n = 0;
	uint64_t start;

	while (n < READ_AHEAD_CHUNKS && off < content_size(f->map)) {
		if (content_find(f->map, off, &ahead[n], &start))
			break;
		off = start + ahead[n].len;
		if (!key_is_hole(&ahead[n].key))
			n++;
	}
	return n;
}

/* Copies what the runs have of [off, off+len), oldest first, so that later ones win. Lock held. */
static int overlay_runs(struct file *f, uint64_t off, uint8_t *to, uint8_t *over, size_t len, struct plan *pieces)
{
	int rc = 0;

	for (const struct run *r = f->moving; r && !rc; r = r->next)
		rc = overlay(r, off, to, over, len, pieces);
	for (size_t i = 0; i < f->dirty_count && !rc; i++)
		rc = overlay(&f->dirty[i], off, to, over, len, pieces);
	return rc;
}

struct view { /* of a file at one moment */
	struct plan stored, pieces;
	uint8_t *over; /* bytes of the runs */
	struct extent ahead[READ_AHEAD_CHUNKS];
	size_t ahead_count;
};

/* Everything that [off, off+*len) is made of, under the lock. *len shrinks to the end of the file. */
static int look(struct file *f, uint64_t off, uint8_t *to, size_t *len, struct view *v)
{
	int rc = 0;

	scope_lock(&f->lock);
	if (f->pinned)
		return file_failed(f); /* what it held is lost */
	if (off >= f->size) {
		*len = 0;
		return 0;
	}
	if (*len > f->size - off)
		*len = (size_t)(f->size - off);
	if (!covered(f, off, *len))
		rc = plan_map(f, off, to, *len, &v->stored);
	if (!rc && (f->dirty_count || f->moving)) {
		v->over = malloc(*len);
		rc = v->over ? overlay_runs(f, off, to, v->over, *len, &v->pieces) : err_set(ENOMEM, "no memory to read");
	}
	if (!rc && off == f->next_read)
		v->ahead_count = plan_ahead(f, off + *len, v->ahead);
	f->next_read = off + *len;
	return rc;
}

/* Chunks are read without the lock: the chunk of a key never changes, so what comes is the state that look() saw. */
static int64_t read_view(struct file *f, uint64_t off, uint8_t *to, size_t len)
{
	struct view v = { 0 };
	int rc = look(f, off, to, &len, &v);

	for (size_t i = 0; i < v.ahead_count && !rc; i++)
		store_read_ahead(f->files->store, &v.ahead[i].key, (size_t)v.ahead[i].len);
	if (!rc)
		rc = read_plan(f, &v.stored);
	for (size_t i = 0; i < v.pieces.count && !rc; i++)
		memcpy(v.pieces.list[i].to, v.over + v.pieces.list[i].skip, v.pieces.list[i].len);
	free(v.stored.list);
	free(v.pieces.list);
	free(v.over);
	return rc ? rc : (int64_t)len;
}

int64_t file_read(struct file *f, uint64_t off, void *to, size_t len)
{
	int64_t n = read_view(f, off, to, len);
	scope_free char *path = NULL;

	if (n < 0 && !catalog_path(f->files->catalog, f->ino, &path))
		return err_wrap((int)n, "datasets/%s at byte %llu", path, (unsigned long long)off);
	return n;
}
