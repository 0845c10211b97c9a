/*
 * A stream is one reader who goes through the files of a folder. Its front is the furthest file that was read; those behind it are
 * asked for up to `sent`. Files may come a little out of order (several threads that share a stack), or be left out. Where natural
 * and byte order of names differ, the one that the reader kept to for longer is believed.
 */
#include <errno.h>
#include <string.h>

#include "fs/ahead_internal.h"
#include "fs/content.h"
#include "fs/fs.h"
#include "store/err.h"

enum {
	STREAMS = 8,
	ORDERS = STREAMS, /* one each: a folder that loses its order is listed again at every file */
	NEAR = 4,                   /* files: so far from the front is still the same reader */
	FILES_AHEAD = 64,           /* at most */
	FILE_AHEAD = 8 << 20,       /* bytes of one file; its own reading goes on from there */
	DISTANCE_FIRST = 4 << 20,   /* bytes, after the second file; doubled with each one after it */
};
#define ORDER_OLD_NS 5000000000 /* a folder that changes all the time is read again after this */

struct stream {
	uint64_t folder; /* 0: empty */
	int64_t front[ORDER_KINDS]; /* ranks */
	unsigned hits[ORDER_KINDS]; /* files that came in this order until now */
	enum order_kind kind;       /* the order that the reader is believed to follow */
	int64_t sent;               /* rank in that order */
	size_t distance;            /* bytes that are to be ahead of the front; 0: none yet */
	uint64_t used;
	size_t bytes[FILES_AHEAD];  /* asked for of the file of a rank, modulo; valid for front < rank <= sent */
};

struct streams {
	struct store *store;
	struct catalog *catalog;
	size_t bound;
	streams_send send;
	void *ctx;
	uint64_t clock; /* counts notes */
	struct stream list[STREAMS];
	struct order orders[ORDERS];
};

int streams_new(struct streams **out, struct store *store, struct catalog *catalog, size_t bound, streams_send send, void *ctx)
{
	struct streams *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(ENOMEM, "no memory to read ahead");
	s->store = store;
	s->catalog = catalog;
	s->bound = bound;
	s->send = send;
	s->ctx = ctx;
	*out = s;
	return 0;
}

void streams_free(struct streams *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < ORDERS; i++)
		order_free(&s->orders[i]);
	free(s);
}

static struct order *order_known(struct streams *s, uint64_t folder)
{
	for (size_t i = 0; i < ORDERS; i++)
		if (s->orders[i].folder == folder)
			return &s->orders[i];
	return NULL;
}

/* Ranks mean something else, or nothing. */
static void forget_streams(struct streams *s, uint64_t folder)
{
	for (size_t i = 0; i < STREAMS; i++)
		if (s->list[i].folder == folder)
			s->list[i].folder = 0;
}

static struct order *order_of(struct streams *s, uint64_t folder)
{
	struct order *o = order_known(s, folder);
	struct node_row row;

	if (o) {
		if (catalog_node(s->catalog, folder, &row))
			return NULL;
		if (row.mtime_ns == o->mtime_ns || now_ns() - o->made_ns < ORDER_OLD_NS)
			return o;
	} else {
		o = &s->orders[0];
		for (size_t i = 1; i < ORDERS; i++)
			if (s->orders[i].used < o->used)
				o = &s->orders[i];
		forget_streams(s, o->folder);
	}
	forget_streams(s, folder);
	return order_load(o, s->catalog, folder) ? NULL : o;
}

static bool is_near(const struct stream *t, enum order_kind kind, const struct place *place)
{
	int64_t d = (int64_t)place->rank[kind] - t->front[kind];

	return d >= -NEAR && d <= NEAR;
}

/* The reader who is about at this place; NULL: a new one. */
static struct stream *stream_at(struct streams *s, const struct order *o, const struct place *place)
{
	struct stream *maybe = NULL;

	for (size_t i = 0; i < STREAMS; i++) {
		struct stream *t = &s->list[i];

		if (t->folder != o->folder)
			continue;
		if (is_near(t, t->kind, place))
			return t;
		if (o->list[ORDER_BYTES] && is_near(t, t->kind == ORDER_BYTES ? ORDER_NATURAL : ORDER_BYTES, place))
			maybe = t;
	}
	return maybe;
}

static void stream_begin(struct streams *s, const struct order *o, const struct place *place)
{
	struct stream *t = &s->list[0];

	for (size_t i = 1; i < STREAMS; i++)
		if (s->list[i].used < t->used)
			t = &s->list[i];
	*t = (struct stream){ .folder = o->folder, .used = s->clock };
	for (int kind = 0; kind < ORDER_KINDS; kind++)
		t->front[kind] = place->rank[kind];
	t->sent = t->front[t->kind];
}

/* The reader has come to a place. */
static void stream_move(struct stream *t, const struct order *o, const struct place *place, size_t bound)
{
	enum order_kind before = t->kind;

	if (is_near(t, t->kind, place) && place->rank[t->kind] <= t->front[t->kind])
		return; /* a little late */
	for (int kind = 0; kind < ORDER_KINDS; kind++) {
		bool hit = is_near(t, kind, place) && place->rank[kind] > t->front[kind];

		t->hits[kind] = hit && o->list[kind] ? t->hits[kind] + 1 : 0;
		t->front[kind] = place->rank[kind];
	}
	t->kind = t->hits[ORDER_BYTES] > t->hits[ORDER_NATURAL] ? ORDER_BYTES : ORDER_NATURAL;
	if (t->kind != before || !t->hits[t->kind] || t->sent < t->front[t->kind])
		t->sent = t->front[t->kind];
	t->distance = !t->hits[t->kind] ? 0 : t->distance ? t->distance * 2 : DISTANCE_FIRST;
	if (t->distance > bound)
		t->distance = bound;
}

void streams_note(struct streams *s, uint64_t ino)
{
	const struct place *place;
	struct node_row row;
	struct stream *t;
	struct order *o;

	if (catalog_node(s->catalog, ino, &row) || !row.parent || !row.nlink)
		return;
	o = order_of(s, row.parent);
	place = o ? order_find(o, ino) : NULL;
	if (!place)
		return;
	o->used = ++s->clock;
	t = stream_at(s, o, place);
	if (!t) {
		stream_begin(s, o, place);
		return;
	}
	t->used = s->clock;
	stream_move(t, o, place, s->bound);
}

/* Bytes that are ahead of the front. */
static size_t bytes_ahead(const struct stream *t)
{
	size_t sum = 0;

	for (int64_t r = t->front[t->kind] + 1; r <= t->sent; r++)
		sum += t->bytes[r % FILES_AHEAD];
	return sum;
}

/* How many bytes more this reader is to have ahead; 0: enough, or no file is left. */
static size_t wanted(struct streams *s, const struct stream *t)
{
	const struct order *o = t->folder ? order_known(s, t->folder) : NULL;
	size_t there;

	if (!o || !t->distance || t->sent + 1 >= (int64_t)o->count || t->sent - t->front[t->kind] >= FILES_AHEAD)
		return 0;
	there = bytes_ahead(t);
	return there < t->distance ? t->distance - there : 0;
}

/* Asks for the beginning of a file, up to max bytes and the rest of a chunk; returns how many it asked for. */
static size_t send_file(struct streams *s, uint64_t ino, size_t max)
{
	struct content_map *map;
	struct content content;
	struct extent e;
	uint64_t off = 0, start;
	size_t sum = 0;

	if (catalog_content(s->catalog, ino, &content) || content_open(&map, s->store, &content))
		return 0;
	while (off < content_size(map) && sum < max) {
		if (content_find(map, off, &e, &start))
			break;
		off = start + e.len;
		if (key_is_hole(&e.key))
			continue;
		s->send(s->ctx, &e);
		sum += (size_t)e.len;
	}
	content_free(map);
	return sum;
}

bool streams_step(struct streams *s)
{
	for (size_t i = 0; i < STREAMS; i++) {
		struct stream *t = &s->list[i];
		size_t room = wanted(s, t);
		const struct order *o;
		const uint64_t *list;

		if (!room)
			continue;
		o = order_known(s, t->folder);
		list = o->list[t->kind];
		t->sent++;
		t->bytes[t->sent % FILES_AHEAD] = send_file(s, list[t->sent], room < FILE_AHEAD ? room : FILE_AHEAD);
		return true;
	}
	return false;
}
