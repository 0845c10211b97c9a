/* tiff_rows: rows of a page that is open: straight from the source, or unpacked from what libtiff decoded. */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <tiffio.h>

#include "fs/image/swap.h"
#include "fs/image/tiff_page.h"
#include "store/err.h"

/* --- uncompressed strips --- */

/* Reads as many rows as stand in one piece, at most rows; *got says how many. */
static int read_piece(struct tiff_page *page, uint64_t shift, uint64_t row, uint64_t rows, uint8_t *to, uint64_t *got)
{
	uint64_t strip = row / page->band_rows, skip = (row % page->band_rows) * page->row_bytes;
	uint64_t at = TIFFGetStrileOffset(page->tif, (uint32_t)strip), end = at, here = 0;
	int rc;

	while (here < rows) {
		uint64_t first = strip * page->band_rows, last = first + page->band_rows;
		uint64_t need, len = TIFFGetStrileByteCount(page->tif, (uint32_t)strip);

		if (last > page->geo.height)
			last = page->geo.height;
		need = (last - first) * page->row_bytes;
		if (here && TIFFGetStrileOffset(page->tif, (uint32_t)strip) != end)
			break;
		if (len < need || !end)
			return err_set(EBADMSG, "strip %" PRIu64 ": has %" PRIu64 " of %" PRIu64 " bytes", strip, len,
				       need);
		here = last - row;
		end += need;
		strip++;
	}
	*got = here < rows ? here : rows;
	if (__builtin_add_overflow(at + skip, shift, &at))
		return err_set(EBADMSG, "is beyond the end of the file");
	rc = source_read(page->src, at, to, (size_t)(*got * page->row_bytes));
	return rc < 0 ? err_wrap(rc, "strip %" PRIu64, row / page->band_rows) : 0;
}

static int rows_direct(struct tiff_page *page, uint64_t shift, uint64_t row, uint64_t rows, uint8_t *to)
{
	size_t width = voxel_bytes(page->geo.type);

	while (rows) {
		uint64_t got = 0;
		int rc = read_piece(page, shift, row, rows, to, &got);

		if (rc < 0)
			return rc;
		if (swap_needed(page->geo.big_endian))
			swap_samples(to, (size_t)(got * page->row_bytes / width), width);
		to += got * page->row_bytes;
		row += got;
		rows -= got;
	}
	return 0;
}

/* --- decoded strips and tiles --- */

static int check_there(struct tiff_page *page, uint32_t block)
{
	if (TIFFGetStrileOffset(page->tif, block) && TIFFGetStrileByteCount(page->tif, block))
		return 0;
	return err_set(EBADMSG, "%s %u: is not in the file", page->tiled ? "tile" : "strip", block);
}

/* What libtiff could not decode, as our error. */
static int complaint(struct tiff_page *page, uint32_t block, tmsize_t got, uint64_t want)
{
	const char *word = page->tiled ? "tile" : "strip";
	int rc = page->source_rc;

	page->source_rc = 0;
	if (rc < 0)
		return err_wrap(rc, "%s %u", word, block);
	if (*page->error)
		return err_set(EBADMSG, "%s %u: %s", word, block, page->error);
	return err_set(EBADMSG, "%s %u: ends after %lld of %" PRIu64 " bytes", word, block,
		       (long long)(got < 0 ? 0 : got), want);
}

static int decode_block(struct tiff_page *page, uint32_t block, uint8_t *to, uint64_t len)
{
	int rc = check_there(page, block);
	tmsize_t got;

	if (rc < 0)
		return rc;
	page->error[0] = 0;
	got = page->tiled ? TIFFReadEncodedTile(page->tif, block, to, (tmsize_t)len)
			  : TIFFReadEncodedStrip(page->tif, block, to, (tmsize_t)len);
	return got >= 0 && (uint64_t)got == len ? 0 : complaint(page, block, got, len);
}

static int decode_band(struct tiff_page *page, uint64_t band)
{
	uint64_t bands = (page->geo.height + page->band_rows - 1) / page->band_rows;
	uint64_t rows = page->geo.height - band * page->band_rows, len = page->block_bytes;

	if (page->band_index == band)
		return 0;
	if (!page->band)
		page->band = calloc((size_t)(page->tiles_across * page->planes), (size_t)page->block_bytes);
	if (!page->band)
		return err_set(ENOMEM, "no memory to decode a page");
	page->band_index = UINT64_MAX;
	if (!page->tiled && rows < page->band_rows)
		len = rows * page->row_bytes;
	for (uint64_t plane = 0; plane < page->planes; plane++)
		for (uint64_t x = 0; x < page->tiles_across; x++) {
			uint64_t block = (plane * bands + band) * page->tiles_across + x;
			uint64_t slot = plane * page->tiles_across + x;
			int rc = decode_block(page, (uint32_t)block, page->band + slot * page->block_bytes, len);

			if (rc < 0)
				return rc;
		}
	page->band_index = band;
	return 0;
}

static float half_to_float(uint16_t half)
{
	int exponent = half >> 10 & 31, fraction = half & 1023;
	float value = exponent == 31 ? (fraction ? NAN : INFINITY)
		      : exponent     ? ldexpf((float)(fraction | 1024), exponent - 25)
				     : ldexpf((float)fraction, -24);

	return half & 0x8000 ? -value : value;
}

/* Sample i of a row of packed samples, most significant bit first (24 bits: in the machine's byte order). */
static uint32_t unpack(const struct tiff_page *page, const uint8_t *row, uint64_t i)
{
	uint64_t bit = i * page->bits, v = 0;
	unsigned left = page->bits;

	if (page->bits == 24) {
		const uint8_t *at = row + 3 * i;
		bool little = swap_needed(true);

		v = (uint64_t)at[little ? 2 : 0] << 16 | (uint64_t)at[1] << 8 | at[little ? 0 : 2];
		left = 0;
	}
	while (left) {
		unsigned in_byte = 8 - (unsigned)(bit & 7), n = left < in_byte ? left : in_byte;

		v = v << n | (row[bit >> 3] >> (in_byte - n) & ((1u << n) - 1));
		bit += n;
		left -= n;
	}
	if (page->is_signed && v >> (page->bits - 1) & 1)
		v |= ~0ULL << page->bits;
	return (uint32_t)v;
}

static void put_sample(const struct tiff_page *page, uint32_t v, size_t width, uint8_t *to)
{
	if (page->half_float) {
		float f = half_to_float((uint16_t)v);

		memcpy(to, &f, sizeof f);
	} else if (width == 1) {
		*to = (uint8_t)v;
	} else if (width == 2) {
		uint16_t narrow = (uint16_t)v;

		memcpy(to, &narrow, sizeof narrow);
	} else {
		memcpy(to, &v, sizeof v);
	}
}

/* Samples 0 .. count-1 of a decoded row to every stride-th byte. */
static void give_out(const struct tiff_page *page, const uint8_t *row, uint64_t count, uint8_t *to, size_t stride)
{
	size_t width = voxel_bytes(page->geo.type);

	if (page->bits == 8 * width && stride == width) {
		memcpy(to, row, (size_t)(count * width));
		return;
	}
	for (uint64_t i = 0; i < count; i++, to += stride) {
		uint16_t half;

		if (page->bits == 8 * width) {
			memcpy(to, row + i * width, width);
		} else if (page->half_float) { /* libtiff has put it into the machine's byte order */
			memcpy(&half, row + 2 * i, sizeof half);
			put_sample(page, half, width, to);
		} else {
			put_sample(page, unpack(page, row, i), width, to);
		}
	}
}

static void row_from_band(const struct tiff_page *page, uint64_t row, uint8_t *to)
{
	size_t width = voxel_bytes(page->geo.type), pixel = width * page->geo.samples;

	for (uint64_t plane = 0; plane < page->planes; plane++)
		for (uint64_t x = 0; x < page->tiles_across; x++) {
			uint64_t first = x * page->tile_width, left = page->geo.width - first;
			uint64_t pixels = left < page->tile_width ? left : page->tile_width;
			const uint8_t *from = page->band + (plane * page->tiles_across + x) * page->block_bytes +
					      row % page->band_rows * page->row_bytes;

			if (page->planes == 1)
				give_out(page, from, pixels * page->geo.samples, to + first * pixel, width);
			else
				give_out(page, from, pixels, to + first * pixel + plane * width, pixel);
		}
}

/* Decodes one row of a long strip into page->band, and those above it that were not decoded yet. */
static int decode_row(struct tiff_page *page, uint64_t row)
{
	uint32_t strip = (uint32_t)(row / page->band_rows);
	uint64_t first = strip * page->band_rows;
	int rc = check_there(page, strip);

	if (rc < 0)
		return rc;
	if (!page->band)
		page->band = calloc(1, (size_t)page->row_bytes);
	if (!page->band)
		return err_set(ENOMEM, "no memory to decode a page");
	if (page->next_row == row + 1) /* it is the one in band */
		return 0;
	if (page->next_row < first || page->next_row > row)
		page->next_row = first;
	page->error[0] = 0;
	for (; page->next_row <= row; page->next_row++)
		if (TIFFReadScanline(page->tif, page->band, (uint32_t)page->next_row, 0) < 0) {
			page->next_row = UINT64_MAX;
			return complaint(page, strip, (tmsize_t)((row - first) * page->row_bytes), page->block_bytes);
		}
	return 0;
}

static int rows_by_row(struct tiff_page *page, uint64_t row, uint64_t rows, uint8_t *to)
{
	for (; rows; rows--, row++, to += geometry_row_bytes(&page->geo)) {
		int rc = decode_row(page, row);

		if (rc < 0)
			return rc;
		give_out(page, page->band, page->geo.width * page->geo.samples, to, voxel_bytes(page->geo.type));
	}
	return 0;
}

int tiff_page_rows(struct tiff_page *page, uint64_t shift, uint64_t row, uint64_t rows, uint8_t *to)
{
	uint64_t out_bytes = geometry_row_bytes(&page->geo);

	if (page->direct)
		return rows_direct(page, shift, row, rows, to);
	if (page->by_row)
		return rows_by_row(page, row, rows, to);
	for (; rows; rows--, row++, to += out_bytes) {
		int rc = decode_band(page, row / page->band_rows);

		if (rc < 0)
			return rc;
		row_from_band(page, row, to);
	}
	return 0;
}
