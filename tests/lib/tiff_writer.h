/* tiff_writer: small TIFFs in the order in which different programs write them. */
#ifndef TOMOFS_TIFF_WRITER_H
#define TOMOFS_TIFF_WRITER_H

#include <string.h>

#include "store/buf.h"

enum tiff_order {
	PIXELS_THEN_IFD,  /* libtiff: pixels, directory, its tables; the next page */
	IFD_THEN_PIXELS,  /* directory, tables, pixels; the next page */
	ALL_PIXELS_FIRST, /* tifffile: directory, tables, the pixels of all pages, the other directories */
	ONE_IFD,	  /* ImageJ: directory, tables, the pixels of all pages */
	ALL_IFDS_FIRST,	  /* directories with their tables, then the pixels */
	TABLES_THEN_IFD,  /* pixels, tables, directory */
};

struct tiff_how {
	enum tiff_order order;
	bool big, big_endian;
	bool unlinked; /* but for the first page: as a file is while it is being written */
	uint32_t rows; /* a strip; 0: all */
	uint32_t tile; /* edge; 0: strips */
	uint16_t planar, samples, bits, compression, format; /* 0: 1, 1, 16, 1, none */
	const char *description;
};

struct tiff_pixels {
	uint32_t width, height, depth;
	size_t slice_bytes; /* as they stand in the file: tiles after tiles */
	const uint8_t *bytes;
};

struct tiff_writer {
	struct buf b;
	const struct tiff_how *how;
	const struct tiff_pixels *px;
	size_t link; /* where the offset of the next directory goes */
};

static inline void tw_number(struct tiff_writer *w, uint64_t v, size_t width)
{
	for (size_t i = 0; i < width; i++)
		buf_u8(&w->b, (uint8_t)(v >> 8 * (w->how->big_endian ? width - 1 - i : i)));
}

static inline void tw_patch(struct tiff_writer *w, size_t at, uint64_t v, size_t width)
{
	size_t len = w->b.len;

	w->b.len = at;
	tw_number(w, v, width);
	w->b.len = len;
}

static inline size_t tw_width(const struct tiff_writer *w)
{
	return w->how->big ? 8 : 4;
}

static inline void tw_header(struct tiff_writer *w)
{
	buf_put(&w->b, w->how->big_endian ? "MM" : "II", 2);
	tw_number(w, w->how->big ? 43 : 42, 2);
	if (w->how->big) {
		tw_number(w, 8, 2);
		tw_number(w, 0, 2);
	}
	w->link = w->b.len;
	tw_number(w, 0, tw_width(w));
}

static inline size_t tw_pixels(struct tiff_writer *w, uint32_t z)
{
	size_t at = w->b.len;

	buf_put(&w->b, w->px->bytes + z * w->px->slice_bytes, w->px->slice_bytes);
	return at;
}

/* Sizes of the strips or tiles of one plane. */
static inline size_t tw_blocks(const struct tiff_writer *w, size_t *block, size_t *last)
{
	size_t planes = w->how->planar == 2 ? w->how->samples : 1, plane = w->px->slice_bytes / planes, row, n, rows;

	if (w->how->tile) {
		n = (size_t)((w->px->width - 1) / w->how->tile + 1) * ((w->px->height - 1) / w->how->tile + 1);
		*block = *last = plane / n;
		return n;
	}
	row = plane / w->px->height;
	rows = w->how->rows ? w->how->rows : w->px->height;
	n = (w->px->height - 1) / rows + 1;
	*block = rows * row;
	*last = plane - (n - 1) * *block;
	return n;
}

/* The tables of strip offsets and lengths. */
static inline void tw_table(struct tiff_writer *w, size_t pixels, bool lengths)
{
	size_t block, last, n = tw_blocks(w, &block, &last), planes = w->how->planar == 2 ? w->how->samples : 1;

	for (size_t i = 0; i < n * planes; i++) {
		size_t bytes = i % n == n - 1 ? last : block;

		tw_number(w, lengths ? bytes : pixels, tw_width(w));
		pixels += bytes;
	}
}

struct tw_entry {
	uint16_t tag, type;
	uint64_t count, value;
	size_t at; /* of the value in the file */
};

static inline void tw_entry(struct tiff_writer *w, struct tw_entry *e)
{
	size_t width = e->count > 1 ? tw_width(w) : e->type == 3 ? 2 : e->type == 4 ? 4 : tw_width(w);

	tw_number(w, e->tag, 2);
	tw_number(w, e->type, 2);
	tw_number(w, e->count, tw_width(w));
	e->at = w->b.len;
	tw_number(w, e->value, width);
	tw_number(w, 0, tw_width(w) - width);
}

/* Writes a directory here and links it. Returns the place of its pixel table, or of the offset itself when there is but
 * one. */
static inline size_t tw_ifd(struct tiff_writer *w, size_t pixels, bool described)
{
	const struct tiff_how *how = w->how;
	size_t block, last, planes = how->planar == 2 ? how->samples : 1, n = tw_blocks(w, &block, &last) * planes;
	uint16_t samples = how->samples ? how->samples : 1, bits = how->bits ? how->bits : 16;
	const char *text = described && how->description ? how->description : "some text";
	size_t tables = 0, lengths = 0, at;
	struct tw_entry e[] = {
		{ 256, 4, 1, w->px->width },
		{ 257, 4, 1, w->px->height },
		{ 258, 3, samples, bits },
		{ 259, 3, 1, how->compression ? how->compression : 1 },
		{ 270, 2, strlen(text) + 1, 0 },
		{ how->tile ? 324 : 273, how->big ? 16 : 4, n, pixels },
		{ 277, 3, 1, samples },
		{ how->tile ? 325 : 279, how->big ? 16 : 4, n, n == 1 ? last : block },
		{ 284, 3, 1, how->planar ? how->planar : 1 },
		{ how->tile ? 322 : 278, 4, 1,
		  how->tile   ? how->tile
		  : how->rows ? how->rows
			      : w->px->height },
		{ how->tile ? 323 : 339, how->tile ? 4 : 3, 1,
		  how->tile	? how->tile
		  : how->format ? how->format
				: 1 },
	};

	if (w->b.len & 1)
		buf_u8(&w->b, 0);
	if (how->order == TABLES_THEN_IFD && n > 1) {
		tables = w->b.len;
		tw_table(w, pixels, false);
		lengths = w->b.len;
		tw_table(w, 0, true);
	}
	at = w->b.len;
	if (!how->unlinked || w->link < 16)
		tw_patch(w, w->link, at, tw_width(w));
	tw_number(w, sizeof e / sizeof *e, how->big ? 8 : 2);
	for (size_t i = 0; i < sizeof e / sizeof *e; i++)
		tw_entry(w, &e[i]);
	w->link = w->b.len;
	tw_number(w, 0, tw_width(w));
	for (unsigned i = 0; samples * 2u <= tw_width(w) && i < samples; i++)
		tw_patch(w, e[2].at + 2 * i, bits, 2);
	if (samples * 2u > tw_width(w)) {
		tw_patch(w, e[2].at, w->b.len, tw_width(w));
		for (unsigned i = 0; i < samples; i++)
			tw_number(w, bits, 2);
	}
	tw_patch(w, e[4].at, w->b.len, tw_width(w));
	buf_put(&w->b, text, strlen(text) + 1);
	if (n == 1)
		return e[5].at;
	if (!tables) {
		tables = w->b.len;
		tw_table(w, pixels, false);
		lengths = w->b.len;
		tw_table(w, 0, true);
	}
	tw_patch(w, e[5].at, tables, tw_width(w));
	tw_patch(w, e[7].at, lengths, tw_width(w));
	return tables;
}

/* Says in a table written before where the pixels are. */
static inline void tw_place(struct tiff_writer *w, size_t table, size_t pixels)
{
	size_t block, last, planes = w->how->planar == 2 ? w->how->samples : 1,
			    n = tw_blocks(w, &block, &last) * planes;
	size_t len = w->b.len;

	w->b.len = table;
	if (n == 1)
		tw_number(w, pixels, tw_width(w));
	else
		tw_table(w, pixels, false);
	w->b.len = len;
}

static inline void tw_all(struct tiff_writer *w)
{
	size_t tables[64], at;

	tw_header(w);
	for (uint32_t z = 0; z < w->px->depth && z < 64; z++) {
		switch (w->how->order) {
		case PIXELS_THEN_IFD:
		case TABLES_THEN_IFD:
			at = tw_pixels(w, z);
			tw_ifd(w, at, z == 0);
			break;
		case IFD_THEN_PIXELS:
			tables[0] = tw_ifd(w, 0, z == 0);
			tw_place(w, tables[0], w->b.len);
			tw_pixels(w, z);
			break;
		case ALL_PIXELS_FIRST:
		case ONE_IFD:
			if (z == 0) {
				tables[0] = tw_ifd(w, 0, true);
				at = w->b.len;
				tw_place(w, tables[0], at);
				for (uint32_t k = 0; k < w->px->depth; k++)
					tw_pixels(w, k);
				tables[1] = at;
			} else if (w->how->order == ALL_PIXELS_FIRST) {
				tw_ifd(w, tables[1] + z * w->px->slice_bytes, false);
			}
			break;
		case ALL_IFDS_FIRST:
			tables[z] = tw_ifd(w, 0, z == 0);
			break;
		}
	}
	if (w->how->order == ALL_IFDS_FIRST)
		for (uint32_t z = 0; z < w->px->depth && z < 64; z++) {
			tw_place(w, tables[z], w->b.len);
			tw_pixels(w, z);
		}
}

/* The whole file; free w->b. */
static inline void tiff_write(struct tiff_writer *w, const struct tiff_how *how, const struct tiff_pixels *px)
{
	*w = (struct tiff_writer) { .how = how, .px = px };
	tw_all(w);
}

#endif
