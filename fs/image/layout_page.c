/*
 * What a page of a TIFF says -> where its pixels are, and where those of the next page are likely to be.
 *
 * Tags: TIFF 6.0; ImageJ's FileSaver ("images=N" in the description: N slices behind each other, one directory), MetaMorph's
 * STK (as many slices as tag 33629 has values), tifffile ("shape" in a JSON description).
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
enum { RUNS_MAX = 64, RUN_LEAST = 64 << 10, IMAGES_MAX = 1 << 30, SMALL_PIECE = 16 << 10, DESCRIPTION_NEAR = 64 << 10 };
#define SLICE_MAX (UINT64_C(1) << 40)

static unsigned type_bytes(uint64_t type)
{
	static const uint8_t bytes[19] = { 0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8 };

	return type < sizeof bytes ? bytes[type] : 0;
}

static unsigned whole_number_bytes(uint64_t type)
{
	return type == SHORT || type == LONG || type == IFD || type == LONG8 || type == IFD8 || type == BYTE ? type_bytes(type)
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

	if (p->compression != 1 || !p->width || !p->height || p->width > INT32_MAX || p->height > INT32_MAX || !p->bits ||
	    p->bits > 64 || !p->samples || p->samples > 65535)
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

static void fill_plan(const struct layout_tiff *t, const struct page *p, struct chunk_plan *plan)
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
	fill_plan(l->tiff, p, &plan);
	whole = whole || p->run_bytes >= RUN_LEAST; /* else not worth a chunk */
	if (p->run_bytes && (!whole || !map_add(&l->map, p->run_at, &plan, l->asked)))
		p->runs++;
	p->odd = p->runs > RUNS_MAX;
	p->run_bytes = 0;
}

static bool is_one_run(const struct page *p)
{
	return p->run_block == 0 && p->block == p->offsets.count && p->run_bytes == p->planes * p->plane_bytes;
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

/* ---- pages without directories ---- */

static uint64_t digits(const char *text)
{
	uint64_t v = 0;

	for (; *text >= '0' && *text <= '9' && v < IMAGES_MAX; text++)
		v = 10 * v + (uint64_t)(*text - '0');
	return v;
}

/* {"shape": [60, 512, 512], ...}: the product, 0: none */
static uint64_t shape_said(const char *text)
{
	const char *at = strstr(text, "\"shape\": [");
	uint64_t product = 1;

	if (!at)
		return 0;
	for (at += 10; *at && *at != ']'; at += strcspn(at, ",]"), at += strspn(at, ", "))
		if (__builtin_mul_overflow(product, digits(at), &product))
			return 0;
	return *at == ']' ? product : 0;
}

/* How many pictures the first page stands for. */
static uint64_t images_said(const struct layout_tiff *t, const struct page *p)
{
	const char *images = strncmp(t->text, "ImageJ=", 7) == 0 ? strstr(t->text, "images=") : NULL;
	uint64_t n = p->images, in_page = p->width * p->height, product;

	if (images)
		n = digits(images + 7);
	if (__builtin_mul_overflow(in_page, p->samples, &in_page))
		return 1;
	product = shape_said(t->text);
	if (product && product % in_page == 0)
		n = product / in_page;
	if (p->offsets.count == 1 && p->first_bytes > p->plane_bytes && p->first_bytes % p->plane_bytes == 0)
		n = p->first_bytes / p->plane_bytes; /* one strip that is longer than the picture */
	return n < 1 || n > IMAGES_MAX ? 1 : n;
}

/* ---- a page was read ---- */

/* More pages that stand behind this one with their directories elsewhere, as many as there is room for. */
static uint64_t pages_behind(const struct layout *l, const struct page *p, const struct page_order *o)
{
	uint64_t end = o->start + o->bytes;

	if (p->first && !p->next)
		return images_said(l->tiff, p) - 1;
	if (!o->lead && p->next > end && l->tiff->next == p->next)
		return (p->next - end) / o->bytes;
	return 0;
}

/* Pages whose directory comes behind: the next one will look the same. */
static void predict(struct layout *l, const struct page *p, const struct page_order *o)
{
	if (!o->lead || !p->next || l->tiff->next != p->next || p->next < p->ifd_end + o->lead)
		return;
	if (o->confirmed || p->next - p->ifd_end > LAYOUT_WAIT_MAX)
		map_guess(&l->map, p->next - o->lead, &o->plan);
}

static bool goes_on(const struct page_order *before, const struct page_order *now)
{
	return before->plain && before->lead == now->lead && before->bytes == now->bytes;
}

static void one_run(struct layout *l, const struct page *p)
{
	struct layout_tiff *t = l->tiff;
	struct page_order o = { .plain = true, .bytes = p->run_bytes, .start = p->run_at };
	struct chunk_plan many;

	o.plan = (struct chunk_plan) { .slice_bytes = p->plane_bytes, .slices = p->planes };
	fill_plan(t, p, &o.plan);
	if (o.start < p->ifd_at)
		o.lead = p->ifd_at - o.start;
	o.confirmed = goes_on(&t->order, &o);
	many = o.plan;
	if (o.start <= LAYOUT_FILE_MAX && !__builtin_mul_overflow(many.slices, 1 + pages_behind(l, p, &o), &many.slices))
		map_add(&l->map, o.start, &many, l->asked);
	predict(l, p, &o);
	t->order = o;
}

void page_done(struct layout *l, struct page *p)
{
	struct layout_tiff *t = l->tiff;
	struct table *o = &p->offsets;

	for (uint64_t i = 0; o->width && o->in_place && i < o->count; i++)
		take_block(l, p, tiff_number_at(t, o->bytes + i * o->width, o->width));
	if (p->shaped && !p->odd && p->first_bytes && p->first_bytes < first_block_bytes(p))
		p->odd = true; /* colours that are not there for every pixel, or no TIFF 6.0 */
	l->map.guess.count = 0;
	t->order.plain = t->order.plain && !p->odd;
	t->last_odd = p->odd;
	if (p->odd || !p->shaped || !p->block)
		return;
	if (is_one_run(p)) {
		one_run(l, p);
		return;
	}
	end_run(l, p);
	t->order.plain = false;
}

/* ---- what is at a place ---- */

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
	if (!t->any_page && (ifd == UINT64_MAX || ifd > off + LAYOUT_WAIT_MAX || l->gave_up) && pixels > ifd &&
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
