/*
 * chunker: where a stream of bytes is cut into chunks.
 *
 * Without a plan the borders are content-defined (FastCDC, Xia et al., USENIX ATC 2016: gear hash, normalised chunking),
 * so that the same bytes give the same chunks wherever they start in a file. With a plan (recognised pixel data) borders
 * restart at the first pixel of each slice and fall on whole rows, so that the same slice is the same chunks whatever
 * file it came in; bytes outside the slices (headers) are content-defined.
 *
 * How a slice is cut depends on its length and its row length alone: not on where it stands, nor on its neighbours. Slices
 * below 4 KiB would make chunks that cost more than they save: they are taken in groups, cut by content at whole slices. So
 * are rows whose slices are not known: a plan with slice_bytes == row_bytes.
 *
 * Pure functions; any thread.
 */
#ifndef TOMOFS_CHUNKER_H
#define TOMOFS_CHUNKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHUNK_MIN = 128 << 10, CHUNK_AVG = 512 << 10, CHUNK_MAX = 2 << 20 };

struct chunk_plan { /* slices lie one after another from first_pixel on, slice_bytes apart, no gaps */
	uint64_t first_pixel; /* file offset */
	uint64_t slice_bytes; /* 0: no plan, content-defined; row_bytes: only the rows are known */
	uint64_t slices;      /* beyond the end of the file is fine */
	uint32_t row_bytes;
	uint8_t sample_bytes; /* 1, 2, 4 or 8 */
	uint8_t big_endian;
	uint8_t is_float;
	uint8_t samples;      /* a pixel */
};

/*
 * Length of the first chunk of data, which stands at file offset off and goes on for len bytes. last: the file ends
 * there. Returns 0 when more bytes are needed to decide (never when last or len >= CHUNK_MAX). plan may be NULL.
 * The result depends only on the bytes of the chunk and its place in the plan.
 */
size_t chunker_cut(const struct chunk_plan *plan, uint64_t off, const uint8_t *data, size_t len, bool last);

/* Where the chunk at off ends when that follows from the plan alone; 0 when it depends on the bytes. */
uint64_t chunker_border(const struct chunk_plan *plan, uint64_t off);

/* True when the chunk at off lies in pixels, so that a filter may be tried on it. */
bool chunker_in_pixels(const struct chunk_plan *plan, uint64_t off);

#endif
