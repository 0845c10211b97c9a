/*
 * Images: what is in the file (image_probe), and some of its pixels. u8: which reader; u8 row, u8 page to begin with; then
 * the file.
 *     0  the format that the bytes show (TIFF, BigTIFF)
 *     1  a raw file of a geometry that follows here, as a sidecar would declare it
 *     2  as 0, and the file was another one when it was looked into: u8 in what it differs
 *     3  as 0, and a read fails: u8 which
 */
#include <errno.h>

#include "fs/image/image.h"
#include "store/err.h"
#include "tests/lib/fuzz.h"

const unsigned fuzz_failing_allocations = 12;

enum { ROWS_MOST = 1 << 20 };

static void geometry_from(struct cursor *c, struct geometry *geo)
{
	*geo = (struct geometry){ .format = IMAGE_RAW, .type = cursor_u8(c) % (VOXEL_TYPES + 1) };
	geo->samples = cursor_u8(c);
	geo->big_endian = cursor_u8(c) & 1;
	geo->width = cursor_varint(c);
	geo->height = cursor_varint(c);
	geo->depth = cursor_varint(c);
	geo->offset = cursor_varint(c);
}

static void read_some(struct image *image, const struct geometry *geo, uint64_t page, uint64_t row)
{
	uint64_t bytes = geometry_row_bytes(geo), rows = bytes ? ROWS_MOST / bytes : 0;
	uint8_t *to;

	if (!rows)
		return;
	to = malloc(ROWS_MOST);
	for (int i = 0; to && i < 3; i++) { /* on, again, and from the beginning */
		uint64_t from = i == 2 ? 0 : row % geo->height, n = geo->height - from;

		n = n < rows ? n : rows;
		if (image_read_rows(image, page % geo->depth, from, n, to) == 0)
			must(!memchr(err_text(), '\n', strlen(err_text())), "a sentence is one line");
	}
	must(!to || image_read_rows(image, geo->depth, 0, 1, to) != 0, "a page behind the last one is read");
	free(to);
}

static unsigned left; /* reads until one fails; 0: none does */
static int64_t (*real_read)(void *ctx, uint64_t off, void *to, size_t len);

static int64_t read_or_fail(void *ctx, uint64_t off, void *to, size_t len)
{
	return left && !--left ? err_set(EIO, "a chunk is damaged") : real_read(ctx, off, to, len);
}

static void differ(struct geometry *geo, unsigned how)
{
	if (how == 0)
		geo->height++;
	else if (how == 1)
		geo->depth++;
	else if (how == 2)
		geo->format = IMAGE_FORMATS - 1;
	else
		geo->type = 1 + how % (VOXEL_TYPES - 1);
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	unsigned other = 0, how = cursor_u8(&c) % 4, row = cursor_u8(&c), page = cursor_u8(&c);
	scope_findings struct findings facts = { 0 };
	struct geometry geo = { 0 };
	struct image *image = NULL;
	struct source src;
	size_t len;
	uint8_t *bytes;
	int rc = 0;

	left = 0;
	if (how == 2)
		other = cursor_u8(&c);
	if (how == 3)
		left = cursor_u8(&c);
	if (how == 1)
		geometry_from(&c, &geo);
	if (cursor_failed(&c))
		return;
	bytes = fuzz_rest(&c, &len);
	if (!bytes)
		return;
	src = source_of_memory(bytes, len);
	real_read = src.read;
	src.read = read_or_fail;
	if (how != 1)
		rc = image_probe(&src, &geo, &facts);
	if (!rc && how != 1)
		must(geometry_sane(&geo), "a geometry is not sane");
	if (how == 2)
		differ(&geo, other);
	if (!rc && geometry_sane(&geo) && !image_open(&image, &src, &geo))
		read_some(image, &geo, page, row);
	image_close(image);
	source_close(&src);
	free(bytes);
}
