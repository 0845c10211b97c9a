/*
 * What is at a place in a TIFF: pixels, a directory, other bytes, or something that only a directory further on will
 * tell.
 *
 * Waiting is for what decides: a directory or table that is being read, or the next directory when a page could stand
 * before it.
 */
#include "fs/image/layout_internal.h"

enum { SMALL_PIECE = 16 << 10 };

static uint64_t nearest(uint64_t off, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t v = UINT64_MAX;

	v = a > off && a < v ? a : v;
	v = b > off && b < v ? b : v;
	return c > off && c < v ? c : v;
}

/* The first directory is unknown, or so far away that its pixels have to be recognised by themselves. */
static bool look_at_bytes(struct layout *l, uint64_t off, uint64_t ifd, uint64_t *until)
{
	if (l->sniffed || l->ended)
		return false;
	if (ifd == UINT64_MAX && !l->gave_up && l->fed < LAYOUT_WAIT_MAX) { /* writers put it in later */
		*until = LAYOUT_WAIT_MAX;
		return true;
	}
	l->sniff = off;
	l->sniff_end = ifd;
	*until = off + raw_sniff_bytes(l);
	return true;
}

/* What is to be said of a place that is in no pixels and in no directory; pixels, table: where the next ones start. */
static enum layout_kind between(struct layout *l, uint64_t off, uint64_t pixels, uint64_t table, uint64_t *until)
{
	const struct layout_tiff *t = l->tiff;
	uint64_t ifd = t->next ? t->next : UINT64_MAX, reads = tiff_reads_until(l, off);
	bool near = ifd >= off && ifd - off <= LAYOUT_NEAR;

	*until = nearest(off, pixels, table, ifd);
	if (!t->any_page && (ifd == UINT64_MAX || ifd > off + LAYOUT_WAIT_MAX || l->gave_up) && pixels >= ifd &&
	    look_at_bytes(l, off, ifd, until))
		return LAYOUT_WAIT;
	if (l->ended || l->gave_up)
		return LAYOUT_OTHER;
	if (reads > l->fed) {
		*until = reads;
		return LAYOUT_WAIT;
	}
	if (ifd == UINT64_MAX || pixels <= ifd || ifd > off + LAYOUT_WAIT_MAX)
		return LAYOUT_OTHER;
	if (!near && (t->last_odd || (t->order.plain && ifd - off < t->order.bytes)))
		return LAYOUT_OTHER; /* too little for a page */
	*until = ifd + 2;
	return LAYOUT_WAIT;
}

/* As tiff_at(), for one directory, or what lies between two, by itself. */
static enum layout_kind piece_at(struct layout *l, uint64_t off, struct chunk_plan *plan, uint64_t *until)
{
	uint64_t pixels, table, end;
	enum layout_kind kind;

	if (map_pixels(&l->map, off, plan, &pixels))
		return LAYOUT_PIXELS;
	end = map_extent_end(&l->map, off, &table);
	if (end - off < CHUNK_MAX) { /* what follows says where it ends */
		kind = between(l, end, pixels, table, until);
		if (kind == LAYOUT_WAIT || end == off)
			return kind;
	}
	*until = pixels <= end + LAYOUT_NEAR ? pixels : end;
	return LAYOUT_OTHER;
}

/* Small pieces are taken together, or a file of many small compressed pages would be cut into twice as many chunks. */
enum layout_kind tiff_at(struct layout *l, uint64_t off, struct chunk_plan *plan, uint64_t *until)
{
	enum layout_kind kind = piece_at(l, off, plan, until), next;
	struct chunk_plan ignored;
	uint64_t end;

	while (kind == LAYOUT_OTHER && *until - off < SMALL_PIECE) {
		next = piece_at(l, *until, &ignored, &end);
		if (next == LAYOUT_WAIT) {
			*until = end;
			return next;
		}
		if (next == LAYOUT_PIXELS || end - off > SMALL_PIECE)
			break;
		*until = end;
	}
	return kind;
}
