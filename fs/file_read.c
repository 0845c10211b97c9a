#include <errno.h>
#include <string.h>

#include "fs/file_internal.h"
#include "store/cache.h"
#include "store/err.h"

enum { ZEROS = 64 << 10, PIECES_MAX = 256 /* a file of very small chunks is copied: writev() takes 1024 */ };
static uint8_t zeros[ZEROS]; /* never written: what the pieces of a hole point to */

/* A stretch of what is to be read: a part of a chunk or of a hole. */
struct stretch {
	struct key key;
	size_t chunk_len, skip, len;
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

/* What the map says of [off, off+len). Bytes beyond the map are zeros, as a hole. Lock held. */
static int plan_map(struct file *f, uint64_t off, size_t len, struct plan *p)
{
	while (len) {
		struct extent e = { .len = UINT64_MAX };
		uint64_t start = 0, skip;
		size_t n;
		int rc = 0;

		if (off < content_size(f->map))
			rc = content_find(f->map, off, &e, &start);
		else
			start = off;
		if (rc)
			return rc;
		skip = off - start;
		n = e.len - skip < len ? (size_t)(e.len - skip) : len;
		rc = plan_add(p, (struct stretch){ .key = e.key, .chunk_len = (size_t)e.len, .skip = (size_t)skip, .len = n });
		if (rc)
			return rc;
		off += n;
		len -= n;
	}
	return 0;
}

/* A read that touches several chunks has the others decoded by the pool meanwhile. */
static void start_all_but_first(struct store *store, const struct plan *p)
{
	for (size_t i = 1; i < p->count; i++)
		if (!key_is_hole(&p->list[i].key))
			store_read_ahead(store, &p->list[i].key, p->list[i].chunk_len);
}

static int read_plan(struct file *f, const struct plan *p, uint8_t *to)
{
	int rc = 0;

	start_all_but_first(f->files->store, p);
	for (size_t i = 0; !rc && i < p->count; i++) {
		const struct stretch *s = &p->list[i];

		if (key_is_hole(&s->key))
			memset(to, 0, s->len);
		else
			rc = store_read(f->files->store, &s->key, s->chunk_len, s->skip, to, s->len);
		to += s->len;
	}
	return rc;
}

int file_read_map(struct file *f, uint64_t off, uint8_t *to, size_t len)
{
	struct plan p = { 0 };
	int rc = plan_map(f, off, len, &p);

	pthread_mutex_unlock(&f->lock);
	if (!rc)
		rc = read_plan(f, &p, to);
	free(p.list);
	pthread_mutex_lock(&f->lock);
	return rc;
}

/* A stretch of bytes of the runs, which lie over what is stored. */
struct patch {
	size_t at, len;
};

struct view { /* of a file at one moment */
	struct plan stored;
	uint8_t *over; /* bytes of the runs, as long as what is read; NULL: there are none */
	struct patch *patches;
	size_t patch_count, patch_cap;
	struct extent ahead[AHEAD_CHUNKS]; /* the next chunks of a sequential reader */
	size_t ahead_count;
	bool scattered; /* no sequential reader */
	bool ends; /* most of the file has been read now */
};

static void view_free(struct view *v)
{
	free(v->stored.list);
	free(v->over);
	free(v->patches);
}

static int patch_add(struct view *v, size_t at, size_t len)
{
	if (v->patch_count == v->patch_cap) {
		size_t cap = v->patch_cap ? v->patch_cap * 2 : 8;
		struct patch *list = realloc(v->patches, cap * sizeof *list);

		if (!list)
			return err_set(ENOMEM, "no memory to read");
		v->patches = list;
		v->patch_cap = cap;
	}
	v->patches[v->patch_count++] = (struct patch){ at, len };
	return 0;
}

/* Bytes of a run that lie in [off, off+len) are copied to the same place of `over`, and noted as a patch to be copied on. */
static int overlay(const struct run *r, uint64_t off, size_t len, struct view *v)
{
	uint64_t a = r->off > off ? r->off : off, end = off + len, b = r->off + r->len < end ? r->off + r->len : end;

	if (a >= b)
		return 0;
	memcpy(v->over + (a - off), r->data + (a - r->off), (size_t)(b - a));
	return patch_add(v, (size_t)(a - off), (size_t)(b - a));
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
	return f->kept && covers(f->kept, off, len);
}

/* Copies what the runs have of [off, off+len), oldest first, so that later ones win. Lock held. */
static int overlay_runs(struct file *f, uint64_t off, size_t len, struct view *v)
{
	int rc = 0;

	if (!f->dirty_count && !f->moving && !f->kept)
		return 0;
	v->over = malloc(len);
	if (!v->over)
		return err_set(ENOMEM, "no memory to read");
	if (f->kept)
		rc = overlay(f->kept, off, len, v);
	for (const struct run *r = f->moving; r && !rc; r = r->next)
		rc = overlay(r, off, len, v);
	for (size_t i = 0; i < f->dirty_count && !rc; i++)
		rc = overlay(&f->dirty[i], off, len, v);
	return rc;
}

/* What a sequential reader will want. A failure to find out is not this reader's. Lock held. */
static void plan_ahead(struct file *f, uint64_t off, size_t len, struct view *v)
{
	uint64_t at, to, start, size = content_size(f->map) < f->size ? content_size(f->map) : f->size;

	if (off + len > size || !reading_note(&f->reading, f->files->ahead, size, off, len, &at, &to))
		return;
	while (v->ahead_count < AHEAD_CHUNKS && at < to) {
		struct extent *e = &v->ahead[v->ahead_count];

		if (content_find(f->map, at, e, &start))
			break;
		at = start + e->len;
		v->ahead_count += !key_is_hole(&e->key);
	}
	f->reading.ahead = at;
}

/* Everything that [off, off+*len) is made of, under the lock. *len shrinks to the end of the file. */
static int look(struct file *f, uint64_t off, size_t *len, struct view *v)
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
		rc = plan_map(f, off, *len, &v->stored);
	if (!rc)
		rc = overlay_runs(f, off, *len, v);
	if (rc)
		return rc;
	if (!f->kept)
		plan_ahead(f, off, *len, v);
	v->scattered = !f->reading.run;
	v->ends = reading_ends(&f->reading, f->size);
	return 0;
}

static void go_ahead(struct file *f, const struct view *v)
{
	if (v->ahead_count)
		ahead_chunks(f->files->ahead, v->ahead, v->ahead_count);
	if (v->ends)
		ahead_file_read(f->files->ahead, f->ino);
}

/* Chunks are read without the lock: the chunk of a key never changes, so what comes is the state that look() saw. */
static int copy_view(struct file *f, const struct view *v, uint8_t *to)
{
	int rc = read_plan(f, &v->stored, to);

	for (size_t i = 0; i < v->patch_count && !rc; i++)
		memcpy(to + v->patches[i].at, v->over + v->patches[i].at, v->patches[i].len);
	return rc;
}

static int64_t with_place(struct file *f, int rc, uint64_t off)
{
	scope_free char *path = NULL;

	if (!catalog_path(f->files->catalog, f->ino, &path))
		return err_wrap(rc, "datasets/%s at byte %llu", path, (unsigned long long)off);
	return rc;
}

int64_t file_read(struct file *f, uint64_t off, void *to, size_t len)
{
	struct view v = { 0 };
	int rc = look(f, off, &len, &v);

	if (!rc) {
		go_ahead(f, &v);
		rc = copy_view(f, &v, to);
	}
	view_free(&v);
	return rc ? with_place(f, rc, off) : (int64_t)len;
}

struct held {
	struct store_part part;
	bool done; /* read to its end */
};

/* How many pieces a plan makes: a hole is zeros again and again. */
static size_t count_pieces(const struct plan *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->count; i++)
		n += key_is_hole(&p->list[i].key) ? (p->list[i].len + ZEROS - 1) / ZEROS : 1;
	return n;
}

static int hold_stretch(struct file_bytes *b, const struct stretch *s, bool scattered)
{
	struct held *held = &b->held[b->held_count];
	int rc;

	if (key_is_hole(&s->key)) {
		for (size_t at = 0; at < s->len; at += ZEROS)
			b->list[b->count++] = (struct iovec){ zeros, s->len - at < ZEROS ? s->len - at : ZEROS };
		return 0;
	}
	if (scattered) {
		rc = store_get_part(b->store, &s->key, s->chunk_len, s->skip, s->len, &held->part);
	} else {
		held->part = (struct store_part){ 0 };
		rc = store_get(b->store, &s->key, s->chunk_len, &held->part.chunk);
		held->part.bytes = rc ? NULL : held->part.chunk->bytes + s->skip;
	}
	if (rc)
		return rc;
	held->done = s->skip + s->len == s->chunk_len;
	b->held_count++;
	b->list[b->count++] = (struct iovec){ (uint8_t *)held->part.bytes, s->len };
	return 0;
}

/* Nothing lies over what is stored: its chunks are handed out as they are. */
static int hold_plan(struct file_bytes *b, const struct plan *p, bool scattered)
{
	int rc = 0;

	b->list = malloc((count_pieces(p) + 1) * sizeof *b->list);
	b->held = malloc((p->count + 1) * sizeof(*b->held));
	if (!b->list || !b->held)
		return err_set(ENOMEM, "no memory to read");
	if (!scattered)
		start_all_but_first(b->store, p);
	for (size_t i = 0; !rc && i < p->count; i++)
		rc = hold_stretch(b, &p->list[i], scattered);
	return rc;
}

static int hold_copy(struct file *f, struct file_bytes *b, const struct view *v, size_t len)
{
	int rc;

	b->list = malloc(sizeof *b->list);
	b->copy = malloc(len);
	if (!b->list || !b->copy)
		return err_set(ENOMEM, "no memory to read");
	rc = copy_view(f, v, b->copy);
	b->list[b->count++] = (struct iovec){ b->copy, len };
	return rc;
}

int64_t file_read_bytes(struct file *f, uint64_t off, size_t len, struct file_bytes *b)
{
	struct view v = { 0 };
	int rc;

	*b = (struct file_bytes){ .store = f->files->store };
	rc = look(f, off, &len, &v);
	if (!rc && len) {
		go_ahead(f, &v);
		rc = v.over || count_pieces(&v.stored) > PIECES_MAX ? hold_copy(f, b, &v, len) :
										       hold_plan(b, &v.stored, v.scattered);
	}
	view_free(&v);
	return rc ? with_place(f, rc, off) : (int64_t)len;
}

void file_bytes_free(struct file_bytes *b)
{
	for (size_t i = 0; i < b->held_count; i++)
		store_drop_part(b->store, &b->held[i].part, b->held[i].done);
	free(b->held);
	free(b->copy);
	free(b->list);
}
