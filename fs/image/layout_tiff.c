/*
 * The bytes of a TIFF as they pass. What is wanted of them are streams: some elements of one width from some place on.
 * The stream whose next element stands first is always gone on with, so what is found does not depend on the pieces
 * that bytes come in. A table that stands before its directory is found when it is no further back than HISTORY.
 *
 * Work is proportional to the bytes fed: directories may not overlap, a page has few streams, few pages are read at a
 * time, and looking back has a budget.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/image/layout_internal.h"
#include "store/err.h"

enum { ENTRIES_MAX = 65535, SUPPOSED_MAX = 64, LOOK_BACK_FREE = 64 << 10 };

uint64_t tiff_number_at(const struct layout_tiff *t, const uint8_t *at, size_t width)
{
	uint64_t v = 0;

	for (size_t i = 0; i < width; i++)
		v |= (uint64_t)at[i] << 8 * (t->big_endian ? width - 1 - i : i);
	return v;
}

/* Where the element begins that is gone on with. */
static uint64_t stream_place(const struct stream *s)
{
	return s->at - s->have;
}

static uint64_t stream_end(const struct stream *s)
{
	uint64_t end;

	if (__builtin_mul_overflow(s->left, s->width, &end) || __builtin_add_overflow(stream_place(s), end, &end))
		return UINT64_MAX;
	return end;
}

/* What it wants has passed. */
static void lose(struct layout *l, struct page *p, struct stream *s)
{
	if (s->kind == IFD_COUNT)
		l->tiff->next = 0;
	p->odd = p->odd || (s->kind != PAGE_TEXT && s->kind != PAGE_BYTES && s->kind != PAGE_FORMAT);
	s->kind = STREAM_NONE;
}

void tiff_want(struct layout *l, struct page *p, enum stream_kind kind, uint64_t at, uint64_t count, unsigned width)
{
	struct layout_tiff *t = l->tiff;
	size_t i = 0;

	while (i < STREAMS && p->streams[i].kind)
		i++;
	if (i == STREAMS || !count)
		return;
	p->streams[i] = (struct stream) { .kind = kind, .width = (uint8_t)width, .at = at, .left = count };
	if (at < t->pos) {
		uint64_t back = t->pos - at;

		if (back > HISTORY || t->looked_back + back > t->pos + LOOK_BACK_FREE)
			lose(l, p, &p->streams[i]);
		else
			t->looked_back += back;
	}
}

void tiff_expect(struct layout *l, uint64_t at, bool supposed)
{
	struct layout_tiff *t = l->tiff;
	struct page *p;

	t->next = at;
	if (!at)
		return;
	t->newest = (t->newest + 1) % PAGES_IN_FLIGHT;
	p = &t->pages[t->newest]; /* when it still waits for something, that is given up */
	*p = (struct page) { .used = true,
			     .first = !t->any_page,
			     .supposed = supposed,
			     .ifd_at = at,
			     .bits = 1,
			     .samples = 1,
			     .format = 1,
			     .compression = 1,
			     .planar = 1,
			     .rows = UINT32_MAX };
	tiff_want(l, p, IFD_COUNT, at, 1, t->big ? 8 : 2);
	p->used = t->next;
}

int tiff_begin(struct layout *l)
{
	struct layout_tiff *t = calloc(1, sizeof *t);
	size_t head;

	if (!t)
		return -ENOMEM;
	l->tiff = t;
	t->big_endian = l->head[0] == 'M';
	t->big = tiff_number_at(t, l->head + 2, 2) == 43;
	head = t->big ? 16 : 8;
	map_add_extent(&l->map, 0, head, 0);
	t->pos = head;
	if (l->head_len >= head)
		t->next = t->big ? tiff_number_at(t, l->head + 8, 8) : tiff_number_at(t, l->head + 4, 4);
	if (t->next && (t->next < head || t->next > LAYOUT_FILE_MAX))
		t->next = 0;
	tiff_expect(l, t->next, false);
	return 0;
}

void tiff_free(struct layout *l)
{
	if (l->tiff)
		free(l->tiff->history);
	free(l->tiff);
	l->tiff = NULL;
}

/* ---- one element ---- */

/* What stands there is no directory. */
static void no_ifd(struct layout *l, struct page *p)
{
	p->used = false;
	l->tiff->last_odd = true;
	l->map.guess.count = 0;
}

static void ifd_count(struct layout *l, struct page *p, struct stream *s)
{
	uint64_t count = tiff_number_at(l->tiff, s->bytes, s->width);

	l->tiff->next = 0;
	l->tiff->any_page = l->tiff->any_page || count; /* tifffile writes its first directory after the pixels */
	if (!count || count > (p->supposed ? SUPPOSED_MAX : ENTRIES_MAX))
		no_ifd(l, p);
	else
		*s = (struct stream) {
			.kind = IFD_ENTRIES, .width = l->tiff->big ? 20 : 12, .at = s->at, .left = count
		};
}

static void ifd_entry(struct layout *l, struct page *p, struct stream *s)
{
	uint64_t tag = tiff_number_at(l->tiff, s->bytes, 2), type = tiff_number_at(l->tiff, s->bytes + 2, 2);

	if (p->supposed && (tag < 254 || tag > 256 || (type != 3 && type != 4))) {
		no_ifd(l, p); /* every directory begins with one of these */
		s->left = 0;
		return;
	}
	p->supposed = false;
	page_entry(l, p, s->bytes);
	if (!s->left)
		*s = (struct stream) { .kind = IFD_LINK, .width = l->tiff->big ? 8 : 4, .at = s->at, .left = 1 };
}

static void ifd_link(struct layout *l, struct page *p, const struct stream *s)
{
	struct layout_tiff *t = l->tiff;

	p->next = tiff_number_at(t, s->bytes, s->width);
	p->ifd_end = s->at;
	map_add_extent(&l->map, p->ifd_at, p->ifd_end - p->ifd_at, l->asked);
	if (p->next < p->ifd_end || p->next > LAYOUT_FILE_MAX)
		p->next = 0; /* it was passed, or there is none */
	page_tables(l, p);
	tiff_expect(l, p->next, false);
}

static void element(struct layout *l, struct page *p, struct stream *s)
{
	s->left--;
	s->have = 0;
	switch (s->kind) {
	case IFD_COUNT:
		ifd_count(l, p, s);
		break;
	case IFD_ENTRIES:
		ifd_entry(l, p, s);
		break;
	case IFD_LINK:
		s->kind = STREAM_NONE;
		ifd_link(l, p, s);
		break;
	default:
		page_element(l, p, s);
	}
	if (!s->left)
		s->kind = STREAM_NONE;
}

static bool page_reads(const struct page *p)
{
	for (size_t i = 0; i < STREAMS; i++)
		if (p->streams[i].kind)
			return true;
	return false;
}

/* Every stream of the page came to its end. */
static void finish(struct layout *l, struct page *p)
{
	if (p->used)
		page_done(l, p);
	p->used = false;
}

/* ---- bytes ---- */

/* What there is of the bytes at `at`, in one piece. */
static const uint8_t *bytes_at(const struct layout_tiff *t, uint64_t at, size_t *len)
{
	*len = 0;
	if (at >= t->piece_at) {
		if (at - t->piece_at < t->piece_len)
			*len = t->piece_len - (size_t)(at - t->piece_at);
		return t->piece + (*len ? at - t->piece_at : 0);
	}
	if (at >= t->history_at && at - t->history_at < t->history_len)
		*len = t->history_len - (size_t)(at - t->history_at);
	return *len ? t->history + (at - t->history_at) : NULL;
}

/* Goes on with a stream while its elements begin before limit. */
static void go_on(struct layout *l, struct page *p, struct stream *s, uint64_t limit)
{
	struct layout_tiff *t = l->tiff;
	uint8_t kind = s->kind;

	while (s->kind == kind && stream_place(s) <= limit) {
		size_t len, want = (size_t)(s->width - s->have);
		const uint8_t *from = bytes_at(t, s->at, &len);

		if (!len) {
			if (s->at >= t->piece_at) /* the next piece has it */
				return;
			lose(l, p, s);
			return;
		}
		len = len < want ? len : want;
		memcpy(s->bytes + s->have, from, len);
		s->have += (uint8_t)len;
		s->at += len;
		if (s->have < s->width)
			continue;
		if (s->at > t->pos)
			t->pos = s->at;
		element(l, p, s);
	}
}

struct place {
	struct page *page;
	struct stream *stream;
	uint64_t at, limit; /* of its next element, and of that of the next stream */
};

/* The stream whose next element stands first. */
static bool first_stream(struct layout_tiff *t, struct place *first)
{
	*first = (struct place) { .at = UINT64_MAX, .limit = UINT64_MAX };
	for (size_t i = 0; i < PAGES_IN_FLIGHT; i++) {
		struct page *p = &t->pages[(t->newest + 1 + i) % PAGES_IN_FLIGHT];

		for (size_t k = 0; p->used && k < STREAMS; k++) {
			struct stream *s = &p->streams[k];
			uint64_t at = s->kind ? stream_place(s) : UINT64_MAX;

			if (at < first->at)
				*first = (struct place) { p, s, at, first->at };
			else if (at < first->limit)
				first->limit = at;
		}
	}
	return first->stream;
}

/* Keeps the last bytes, when something that may look back at them will come soon. */
static void keep_history(struct layout_tiff *t, uint64_t next)
{
	uint64_t end = t->piece_at + t->piece_len;
	size_t n = t->piece_len < HISTORY ? t->piece_len : HISTORY;

	if (!t->history && next != UINT64_MAX && next < end + HISTORY)
		t->history = malloc(2 * HISTORY);
	if (!t->history || next == UINT64_MAX || next >= end + HISTORY || t->history_at + t->history_len != t->piece_at)
		t->history_len = 0;
	if (!t->history || next == UINT64_MAX || next >= end + HISTORY)
		return;
	if (t->history_len + n > 2 * HISTORY) {
		memmove(t->history, t->history + (t->history_len - HISTORY), HISTORY);
		t->history_len = HISTORY;
	}
	if (n)
		memcpy(t->history + t->history_len, t->piece + (t->piece_len - n), n);
	t->history_len += n;
	t->history_at = end - t->history_len;
}

void tiff_feed(struct layout *l, uint64_t off, const uint8_t *bytes, size_t len)
{
	struct layout_tiff *t = l->tiff;
	uint64_t end = off + len;
	struct place first;

	t->piece = bytes;
	t->piece_at = off;
	t->piece_len = len;
	while (first_stream(t, &first) && first.stream->at < end) {
		go_on(l, first.page, first.stream, first.limit);
		if (!page_reads(first.page))
			finish(l, first.page);
	}
	keep_history(t, first.at);
	t->piece = NULL;
	t->piece_len = 0;
}

uint64_t tiff_reads_until(const struct layout *l, uint64_t off)
{
	const struct layout_tiff *t = l->tiff;
	uint64_t until = 0;

	for (size_t i = 0; i < PAGES_IN_FLIGHT; i++) {
		const struct page *p = &t->pages[i];

		for (size_t k = 0; p->used && k < STREAMS; k++) {
			const struct stream *s = &p->streams[k];
			uint64_t end = s->kind ? stream_end(s) : 0;

			if (s->kind == IFD_COUNT && !s->have)
				continue; /* it has not begun */
			if (s->kind && end <= off + LAYOUT_WAIT_MAX && end > until)
				until = end;
		}
	}
	return until;
}
