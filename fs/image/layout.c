#include "fs/image/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/image/layout_internal.h"
#include "fs/image/tiff_ifd.h"
#include "store/err.h"

int layout_new(struct layout **out, const char *name, const struct layout_hint *hint)
{
	struct layout *l = calloc(1, sizeof *l);

	if (!l)
		return err_set(ENOMEM, "no memory to look at a file");
	l->sniff = UINT64_MAX;
	if (hint) {
		l->hint = *hint;
		if (!geometry_sane(&hint->geo))
			l->hint.geo.type = VOXEL_NONE;
	}
	l->name = strdup(name);
	if (!l->name) {
		layout_free(l);
		return err_set(ENOMEM, "no memory to look at a file");
	}
	*out = l;
	return 0;
}

void layout_free(struct layout *l)
{
	if (!l)
		return;
	tiff_free(l);
	map_free(&l->map);
	free(l->name);
	free(l);
}

/* From the first bytes, or all there are. */
static void choose_kind(struct layout *l)
{
	if (tiff_detect(l->head, l->head_len)) {
		l->kind = tiff_begin(l) ? KIND_NONE : KIND_TIFF;
		if (l->kind == KIND_TIFF)
			tiff_feed(l, 0, l->head, l->head_len);
	} else if (raw_magic(l->head, l->head_len)) {
		l->kind = KIND_NONE;
	} else {
		l->kind = KIND_RAW;
		raw_begin(l);
	}
}

void layout_feed(struct layout *l, uint64_t off, const void *bytes, size_t len, bool last)
{
	const uint8_t *at = bytes;
	size_t n = sizeof l->head - l->head_len;

	if (off != l->fed || l->ended)
		return;
	l->ended = last;
	l->fed += len;
	if (l->kind == KIND_UNKNOWN) {
		n = n < len ? n : len;
		if (n)
			memcpy(l->head + l->head_len, at, n);
		l->head_len += n;
		if (l->head_len < sizeof l->head && !last)
			return;
		choose_kind(l);
		off += n;
		at += n;
		len -= n;
	}
	if (l->kind == KIND_TIFF && len)
		tiff_feed(l, off, at, len);
}

void layout_give_up(struct layout *l)
{
	l->gave_up = true;
}

/* Without directories: the map, or what the bytes say. */
static enum layout_kind raw_at(struct layout *l, uint64_t off, struct chunk_plan *plan, uint64_t *until)
{
	if (map_pixels(&l->map, off, plan, until))
		return LAYOUT_PIXELS;
	if (l->sniff == UINT64_MAX || l->sniffed)
		return LAYOUT_OTHER;
	*until = l->sniff + raw_sniff_bytes(l);
	return LAYOUT_WAIT;
}

enum layout_kind layout_at(struct layout *l, uint64_t off, struct chunk_plan *plan, uint64_t *until)
{
	enum layout_kind kind = LAYOUT_OTHER;

	*until = UINT64_MAX;
	if (off > l->asked)
		l->asked = off;
	if (l->kind == KIND_UNKNOWN && !l->ended) {
		*until = sizeof l->head;
		return LAYOUT_WAIT;
	}
	if (l->kind == KIND_TIFF)
		kind = tiff_at(l, off, plan, until);
	else if (l->kind == KIND_RAW)
		kind = raw_at(l, off, plan, until);
	return kind;
}

/* Shows what there is to the detector, when it is time. */
static bool sniff_now(struct layout *l, uint64_t off, const uint8_t *data, size_t len, bool last, uint64_t until)
{
	if (l->sniff == UINT64_MAX || l->sniffed)
		return false;
	if (!last && !l->gave_up && until > off + len)
		return false;
	if (off <= l->sniff && l->sniff - off < len)
		raw_sniff(l, data + (l->sniff - off), len - (size_t)(l->sniff - off));
	l->sniffed = true;
	return true;
}

size_t layout_cut(struct layout *l, uint64_t off, const uint8_t *data, size_t len, bool last, struct chunk_plan *plan,
		  uint64_t *until)
{
	enum layout_kind kind = layout_at(l, off, plan, until);
	size_t n;

	if (kind == LAYOUT_WAIT && sniff_now(l, off, data, len, last, *until))
		kind = layout_at(l, off, plan, until);
	if (kind == LAYOUT_WAIT && !last && *until > off + len && !l->gave_up)
		return 0;
	if (kind == LAYOUT_PIXELS) {
		n = chunker_cut(plan, off, data, len, last);
		*until = chunker_border(plan, off);
	} else {
		uint64_t room = kind == LAYOUT_WAIT || *until <= off ? UINT64_MAX : *until - off;

		*plan = (struct chunk_plan) { 0 };
		n = room <= len ? chunker_cut(NULL, off, data, (size_t)room, true)
				: chunker_cut(NULL, off, data, len, last);
		*until = room < CHUNK_MAX ? *until : 0;
	}
	if (!*until)
		*until = off + CHUNK_MAX;
	return n;
}

bool layout_raw(const struct layout *l, struct layout_hint *found)
{
	*found = l->hint;
	return l->kind == KIND_RAW && found->geo.type != VOXEL_NONE;
}

bool layout_slices(const struct layout *l, struct layout_shape *found)
{
	const struct geometry *g = &l->hint.geo;

	if (l->kind == KIND_TIFF && l->tiff->order.plain) {
		const struct chunk_plan *plan = &l->tiff->order.plan;

		*found = (struct layout_shape) { plan->slice_bytes, plan->row_bytes, plan->sample_bytes };
	} else if (l->kind == KIND_RAW && g->type != VOXEL_NONE && geometry_row_bytes(g) <= UINT32_MAX) {
		*found = (struct layout_shape) { geometry_slice_bytes(g), (uint32_t)geometry_row_bytes(g),
						 (uint8_t)voxel_bytes(g->type) };
	} else {
		return false;
	}
	return found->slice_bytes >= LAYOUT_LEAST;
}

bool layout_wants_hint(const void *head, size_t head_len)
{
	return !tiff_detect(head, head_len) && !raw_magic(head, head_len);
}
