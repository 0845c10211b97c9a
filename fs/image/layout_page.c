/*
 * What a page of a TIFF says: its size, and where its strips or tiles are. Tags: TIFF 6.0; MetaMorph's STK (33629).
 */
#include <stdlib.h>
#include <string.h>

#include "fs/image/layout_internal.h"

enum { SHORT = 3, LONG = 4, IFD = 13, LONG8 = 16, IFD8 = 18, BYTE = 1, ASCII = 2 };
enum {
	WIDTH = 256,
	HEIGHT = 257,
	BITS = 258,
	COMPRESSION = 259,
	DESCRIPTION = 270,
	STRIP_OFFSETS = 273,
	SAMPLES = 277,
	ROWS_PER_STRIP = 278,
	STRIP_BYTES = 279,
	PLANAR = 284,
	TILE_WIDTH = 322,
	TILE_HEIGHT = 323,
	TILE_OFFSETS = 324,
	TILE_BYTES = 325,
	FORMAT = 339,
	STK_PLANES = 33629,
};
enum { RUNS_MAX = 64, RUN_LEAST = 64 << 10, DESCRIPTION_NEAR = 64 << 10 };
#define SLICE_MAX (UINT64_C(1) << 40)

static unsigned type_bytes(uint64_t type)
{
	static const uint8_t bytes[19] = { 0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8 };

	return type < sizeof bytes ? bytes[type] : 0;
}

static unsigned whole_number_bytes(uint64_t type)
{
	return type == SHORT || type == LONG || type == IFD || type == LONG8 || type == IFD8 || type == BYTE
		   ? type_bytes(type)
		   : 0;
}

/* ---- the directory ---- */

static void take_number(struct page *p, unsigned tag, uint64_t v)
{
	switch (tag) {
	case WIDTH:
		p->width = v;
		break;
	case HEIGHT:
		p->height = v;
		break;
	case BITS:
		p->bits = v;
		break;
	case COMPRESSION:
		p->compression = v;
		break;
	case SAMPLES:
		p->samples = v;
		break;
	case ROWS_PER_STRIP:
		p->rows = v;
		break;
	case PLANAR:
		p->planar = v;
		break;
	case TILE_WIDTH:
		p->tile_width = v;
		break;
	case TILE_HEIGHT:
		p->tile_height = v;
		break;
	case FORMAT:
		p->format = v;
		break;
	default:
		break;
	}
}

static void take_value(struct page *p, unsigned kind, uint64_t v)
{
	if (kind == PAGE_BYTES)
		p->first_bytes = v;
	else
		take_number(p, kind == PAGE_BITS ? BITS : FORMAT, v);
}

/* The first of some values that stand elsewhere. */
static void want_value(struct layout *l, struct page *p, enum stream_kind kind, const struct table *v)
{
	const struct layout_tiff *t = l->tiff;

	for (size_t i = 0; i < SEEN_MAX; i++)
		if (t->seen[i].at == v->at) {
			take_value(p, kind, t->seen[i].value);
			return;
		}
	tiff_want(l, p, kind, v->at, 1, v->width);
}

static void remember_value(struct layout_tiff *t, uint64_t at, uint64_t value)
{
	t->seen[t->seen_next++ % SEEN_MAX] = (struct seen) { at, value };
}

static void take_table(struct layout *l, struct page *p, unsigned tag, const struct table *v, uint64_t type)
{
	uint64_t first = v->in_place && v->width ? tiff_number_at(l->tiff, v->bytes, v->width) : 0;

	switch (tag) {
	case STRIP_OFFSETS:
	case TILE_OFFSETS:
		p->offsets = *v;
		break;
	case STRIP_BYTES:
	case TILE_BYTES:
		p->bytes = *v;
		break;
	case BITS:
	case FORMAT:
		if (v->width && !v->in_place)
			want_value(l, p, tag == BITS ? PAGE_BITS : PAGE_FORMAT, v);
		else if (v->width)
			take_number(p, tag, first);
		break;
	case DESCRIPTION:
		if (p->first && type == ASCII && !v->in_place && v->at < p->ifd_at + DESCRIPTION_NEAR)
			tiff_want(l, p, PAGE_TEXT, v->at, v->count < TEXT_MAX ? v->count : TEXT_MAX, 1);
		break;
	case STK_PLANES:
		if (p->first)
			p->images = v->count;
		break;
	default:
		if (v->width && v->in_place)
			take_number(p, tag, first);
	}
}

void page_entry(struct layout *l, struct page *p, const uint8_t *entry)
{
	const struct layout_tiff *t = l->tiff;
	size_t room = t->big ? 8 : 4;
	unsigned tag = (unsigned)tiff_number_at(t, entry, 2);
	uint64_t type = tiff_number_at(t, entry + 2, 2), len;
	struct table v = { .width = (uint8_t)whole_number_bytes(type), .count = tiff_number_at(t, entry + 4, room) };

	if (!v.count || !type_bytes(type) || __builtin_mul_overflow(v.count, type_bytes(type), &len))
		return;
	v.in_place = len <= room;
	v.at = tiff_number_at(t, entry + 4 + room, room);
	memcpy(v.bytes, entry + 4 + room, room);
	if (!v.in_place)
		map_add_extent(&l->map, v.at, len, l->asked);
	take_table(l, p, tag, &v, type);
}

/* ---- shape ---- */

static bool shape_blocks(struct page *p, uint64_t pixel_bits)
{
	uint64_t rows = p->rows < p->height ? p->rows : p->height, across = 1, width = p->width, down;

	if (p->tile_width || p->tile_height) {
		if (!p->tile_width || !p->tile_height || p->tile_width > INT32_MAX || p->tile_height > INT32_MAX)
			return false;
		width = p->tile_width;
		rows = p->tile_height;
		across = (p->width - 1) / width + 1;
	}
	if (!rows)
		return false;
	down = (p->height - 1) / rows + 1;
	p->row_bytes = (width * pixel_bits + 7) / 8; /* 2^31 times less than 2^24 */
	p->block_bytes = p->row_bytes * rows;
	p->last_block_bytes = p->tile_width ? p->block_bytes : p->row_bytes * (p->height - rows * (down - 1));
	return p->row_bytes <= UINT32_MAX && !__builtin_mul_overflow(across, down, &p->plane_blocks);
}

/* Sizes of rows, planes, strips and tiles. False: these are not pixels as they are. */
static bool shape(struct page *p)
{
	uint64_t blocks, whole;

	if (p->compression != 1 || !p->width || !p->height || p->width > INT32_MAX || p->height > INT32_MAX ||
	    !p->bits || p->bits > 64 || !p->samples || p->samples > 65535)
		return false;
	p->planes = p->planar == 2 ? p->samples : 1;
	if (!shape_blocks(p, p->planes > 1 ? p->bits : p->bits * p->samples))
		return false;
	if (__builtin_mul_overflow(p->plane_blocks - 1, p->block_bytes, &whole) || whole > SLICE_MAX)
		return false;
	p->plane_bytes = whole + p->last_block_bytes;
	if (p->plane_bytes > SLICE_MAX || __builtin_mul_overflow(p->plane_blocks, p->planes, &blocks))
		return false;
	return blocks == p->offsets.count;
}

static uint64_t next_block_bytes(const struct page *p)
{
	return p->block % p->plane_blocks == p->plane_blocks - 1 ? p->last_block_bytes : p->block_bytes;
}

static uint64_t first_block_bytes(const struct page *p)
{
	return p->plane_blocks == 1 ? p->last_block_bytes : p->block_bytes;
}

void page_plan(const struct layout_tiff *t, const struct page *p, struct chunk_plan *plan)
{
	uint64_t samples = p->planes > 1 ? 1 : p->samples;
	bool plain = p->bits == 8 || p->bits == 16 || p->bits == 32 || p->bits == 64;

	plan->row_bytes = (uint32_t)p->row_bytes;
	plan->sample_bytes = plain ? (uint8_t)(p->bits / 8) : 1;
	plan->big_endian = t->big_endian;
	plan->is_float = plain && p->format == 3;
	if (!plain)
		samples = p->bits % 8 ? 1 : samples * p->bits / 8; /* packed; or 24 bits as three bytes */
	plan->samples = samples <= UINT8_MAX ? (uint8_t)samples : 1;
}

/* ---- strips and tiles ---- */

/* The strips that follow each other up to here: a slice, or some planes. */
static void end_run(struct layout *l, struct page *p)
{
	bool whole = p->run_block % p->plane_blocks == 0 && p->run_bytes % p->plane_bytes == 0;
	struct chunk_plan plan = { .slice_bytes = whole ? p->plane_bytes : p->run_bytes, .slices = 1 };

	if (whole)
		plan.slices = p->run_bytes / p->plane_bytes;
	page_plan(l->tiff, p, &plan);
	whole = whole || p->run_bytes >= RUN_LEAST; /* else not worth a chunk */
	if (p->run_bytes && (!whole || !map_add(&l->map, p->run_at, &plan, l->asked)))
		p->runs++;
	p->odd = p->runs > RUNS_MAX;
	p->run_bytes = 0;
}

static void take_block(struct layout *l, struct page *p, uint64_t at)
{
	if (!p->shaped && !p->odd) {
		p->shaped = true;
		p->odd = !shape(p);
	}
	if (p->odd)
		return;
	if (!p->run_bytes || at != p->run_at + p->run_bytes) {
		end_run(l, p);
		if (p->odd)
			return;
		p->run_at = at;
		p->run_block = p->block;
	}
	if (at) /* 0: not in the file */
		p->run_bytes += next_block_bytes(p);
	p->block++;
}

void page_tables(struct layout *l, struct page *p)
{
	const struct layout_tiff *t = l->tiff;
	struct table *o = &p->offsets, *b = &p->bytes;

	if (b->width && b->in_place)
		p->first_bytes = tiff_number_at(t, b->bytes, b->width);
	else if (b->width)
		want_value(l, p, PAGE_BYTES, b);
	if (!o->width || p->compression != 1)
		p->odd = true;
	else if (!o->in_place && !p->odd)
		tiff_want(l, p, PAGE_OFFSETS, o->at, o->count, o->width);
}

void page_element(struct layout *l, struct page *p, struct stream *s)
{
	struct layout_tiff *t = l->tiff;
	uint64_t v = tiff_number_at(t, s->bytes, s->width);

	switch (s->kind) {
	case PAGE_BITS:
	case PAGE_FORMAT:
	case PAGE_BYTES:
		take_value(p, s->kind, v);
		remember_value(t, s->at - s->width, v);
		break;
	case PAGE_TEXT:
		if (t->text_len + 1 < sizeof t->text)
			t->text[t->text_len++] = (char)v;
		break;
	case PAGE_OFFSETS:
		take_block(l, p, v);
		if (p->odd)
			s->left = 0; /* the rest is of no use */
		break;
	default:
		break;
	}
}

enum page_kind page_blocks_end(struct layout *l, struct page *p)
{
	struct table *o = &p->offsets;

	for (uint64_t i = 0; o->width && o->in_place && i < o->count; i++)
		take_block(l, p, tiff_number_at(l->tiff, o->bytes + i * o->width, o->width));
	if (p->odd || !p->shaped || (p->first_bytes && p->first_bytes < first_block_bytes(p)))
		return PAGE_ODD; /* the last: colours that are not there for every pixel, or a broken file */
	if (p->run_block == 0 && p->block == o->count && p->run_bytes == p->planes * p->plane_bytes)
		return PAGE_ONE_RUN;
	end_run(l, p);
	return PAGE_RUNS;
}
