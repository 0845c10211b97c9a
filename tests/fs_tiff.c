/*
 * TIFF: the same made-up volume written in every way that libtiff can write it is read back the same; files that no
 * writer makes are refused with a sentence; truncated and flipped ones, and a collection of real bad ones, never crash
 * or hang.
 */

#include "fs/image/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <tiffio.h>
#include <time.h>

#include "store/io.h"
#include "tests/lib/check.h"

static const char *dir;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* --- a volume whose values are known --- */

struct recipe {
	const char *name;
	unsigned bits, format, samples;
	const char *mode; /* "wl", "wb", "w8l": byte order and BigTIFF */
	uint16_t compression;
	unsigned tile, rows; /* tile edge, or rows of a strip (0: all) */
	bool planes, predictor;
	unsigned pages;
	enum voxel_type type;
};

enum { WIDTH = 37, HEIGHT = 29, UINT = SAMPLEFORMAT_UINT, INT = SAMPLEFORMAT_INT, REAL = SAMPLEFORMAT_IEEEFP };

static const struct recipe recipes[] = {
	{ "u8", 8, UINT, 1, "wl", COMPRESSION_NONE, 0, 7, false, false, 3, VOXEL_U8 },
	{ "u8 one strip", 8, UINT, 1, "wb", COMPRESSION_NONE, 0, 0, false, false, 1, VOXEL_U8 },
	{ "u16 little", 16, UINT, 1, "wl", COMPRESSION_NONE, 0, 1, false, false, 2, VOXEL_U16 },
	{ "u16 big", 16, UINT, 1, "wb", COMPRESSION_NONE, 0, 1, false, false, 2, VOXEL_U16 },
	{ "u16 big, BigTIFF", 16, UINT, 1, "w8b", COMPRESSION_NONE, 0, 5, false, false, 4, VOXEL_U16 },
	{ "u16 big, LZW", 16, UINT, 1, "wb", COMPRESSION_LZW, 0, 5, false, true, 2, VOXEL_U16 },
	{ "i16 deflate", 16, INT, 1, "wl", COMPRESSION_ADOBE_DEFLATE, 0, 8, false, true, 2, VOXEL_I16 },
	{ "i16 old deflate", 16, INT, 1, "wb", COMPRESSION_DEFLATE, 0, 3, false, false, 1, VOXEL_I16 },
	{ "u8 PackBits", 8, UINT, 1, "wl", COMPRESSION_PACKBITS, 0, 4, false, false, 2, VOXEL_U8 },
	{ "f32 zstd", 32, REAL, 1, "wl", COMPRESSION_ZSTD, 0, 10, false, true, 2, VOXEL_F32 },
	{ "f32 big", 32, REAL, 1, "wb", COMPRESSION_NONE, 0, 10, false, false, 2, VOXEL_F32 },
	{ "f64 deflate, tiles", 64, REAL, 1, "wb", COMPRESSION_ADOBE_DEFLATE, 16, 0, false, false, 2, VOXEL_F64 },
	{ "i32", 32, INT, 1, "wb", COMPRESSION_LZW, 0, 2, false, false, 1, VOXEL_I32 },
	{ "u32", 32, UINT, 1, "wl", COMPRESSION_NONE, 0, 2, false, false, 1, VOXEL_U32 },
	{ "i64 labels", 64, INT, 1, "wb", COMPRESSION_NONE, 0, 6, false, false, 2, VOXEL_I64 },
	{ "u64", 64, UINT, 1, "wl", COMPRESSION_ADOBE_DEFLATE, 0, 6, false, false, 1, VOXEL_U64 },
	{ "i8", 8, INT, 1, "wl", COMPRESSION_LZMA, 0, 6, false, false, 1, VOXEL_I8 },
	{ "tiles u16", 16, UINT, 1, "wb", COMPRESSION_NONE, 16, 0, false, false, 2, VOXEL_U16 },
	{ "tiles u8 LZW", 8, UINT, 1, "wl", COMPRESSION_LZW, 32, 0, false, false, 2, VOXEL_U8 },
	{ "large tiles", 16, UINT, 1, "wl", COMPRESSION_ADOBE_DEFLATE, 64, 0, false, true, 1, VOXEL_U16 },
	{ "RGB", 8, UINT, 3, "wl", COMPRESSION_NONE, 0, 4, false, false, 2, VOXEL_U8 },
	{ "RGB16 big", 16, UINT, 3, "wb", COMPRESSION_LZW, 0, 4, false, true, 2, VOXEL_U16 },
	{ "RGBA planes", 8, UINT, 4, "wl", COMPRESSION_NONE, 0, 4, true, false, 2, VOXEL_U8 },
	{ "RGB16 planes", 16, UINT, 3, "wb", COMPRESSION_ADOBE_DEFLATE, 0, 10, true, false, 2, VOXEL_U16 },
	{ "planes of tiles", 32, REAL, 3, "wb", COMPRESSION_LZW, 16, 0, true, false, 2, VOXEL_F32 },
	{ "gray and alpha", 16, UINT, 2, "wl", COMPRESSION_NONE, 16, 0, false, false, 1, VOXEL_U16 },
	{ "1 bit", 1, UINT, 1, "wl", COMPRESSION_NONE, 0, 3, false, false, 2, VOXEL_U8 },
	{ "1 bit fax", 1, UINT, 1, "wl", COMPRESSION_CCITTFAX4, 0, 3, false, false, 1, VOXEL_U8 },
	{ "2 bits", 2, UINT, 1, "wb", COMPRESSION_LZW, 0, 3, false, false, 1, VOXEL_U8 },
	{ "4 bits, tiles", 4, UINT, 1, "wl", COMPRESSION_NONE, 16, 0, false, false, 1, VOXEL_U8 },
	{ "4 bits RGB", 4, UINT, 3, "wl", COMPRESSION_PACKBITS, 0, 9, false, false, 1, VOXEL_U8 },
	{ "6 bits signed", 6, INT, 1, "wl", COMPRESSION_NONE, 0, 9, false, false, 1, VOXEL_I8 },
	{ "10 bits", 10, UINT, 1, "wb", COMPRESSION_NONE, 0, 5, false, false, 1, VOXEL_U16 },
	{ "12 bits", 12, UINT, 1, "wl", COMPRESSION_NONE, 0, 5, false, false, 3, VOXEL_U16 },
	{ "12 bits signed", 12, INT, 1, "wb", COMPRESSION_ADOBE_DEFLATE, 0, 5, false, false, 1, VOXEL_I16 },
	{ "12 bits planes", 12, UINT, 3, "wl", COMPRESSION_NONE, 0, 5, true, false, 1, VOXEL_U16 },
	{ "20 bits", 20, UINT, 1, "wl", COMPRESSION_NONE, 0, 5, false, false, 1, VOXEL_U32 },
	{ "24 bits", 24, UINT, 1, "wb", COMPRESSION_NONE, 0, 5, false, false, 1, VOXEL_U32 },
	{ "24 bits signed", 24, INT, 1, "wl", COMPRESSION_LZW, 0, 5, false, false, 1, VOXEL_I32 },
	{ "half float", 16, REAL, 1, "wb", COMPRESSION_NONE, 0, 5, false, false, 2, VOXEL_F32 },
	{ "half float deflate", 16, REAL, 1, "wl", COMPRESSION_ADOBE_DEFLATE, 0, 5, false, false, 1, VOXEL_F32 },
};

/* A value that fits into bits, smooth enough for predictors to matter. */
static uint64_t value_at(const struct recipe *r, unsigned page, unsigned y, unsigned x, unsigned s)
{
	uint64_t v = 1009u * page + 31u * y + 7u * x + 101u * s + (x * y % 5);

	if (r->bits > 16)
		v = v * 2654435761u;
	return r->bits == 64 ? v * 0x9e3779b97f4a7c15u : v & ((1ULL << r->bits) - 1);
}

static void put_bits(uint8_t *row, uint64_t bit, unsigned bits, uint64_t v)
{
	for (unsigned i = 0; i < bits; i++, bit++)
		if (v >> (bits - 1 - i) & 1)
			row[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
}

/* Sample i of a row as libtiff wants it: the machine's order for whole bytes, packed else. */
static void put_file_sample(const struct recipe *r, uint8_t *row, uint64_t i, uint64_t v)
{
	if (r->format == REAL && r->bits == 32) {
		float f = (float)(int32_t)(uint32_t)v / 7;

		memcpy(row + 4 * i, &f, 4);
	} else if (r->format == REAL && r->bits == 64) {
		double d = (double)(int64_t)v / 7;

		memcpy(row + 8 * i, &d, 8);
	} else if (r->bits % 8 == 0) {
		for (unsigned b = 0; b < r->bits / 8; b++) /* little-endian machines only */
			row[i * r->bits / 8 + b] = (uint8_t)(v >> 8 * b);
	} else {
		put_bits(row, i * r->bits, r->bits, v);
	}
}

static double half_value(unsigned h)
{
	int e = h >> 10 & 31, f = h & 1023;
	double v = e ? (1024 + f) / 1024.0 : f / 1024.0;

	for (int i = e ? e : 1; i < 15; i++)
		v /= 2;
	for (int i = 15; i < e; i++)
		v *= 2;
	return h & 0x8000 ? -v : v;
}

static bool same_sample(const struct recipe *r, const uint8_t *at, uint64_t v)
{
	int64_t is_signed = (int64_t)(v << (64 - r->bits)) >> (64 - r->bits);
	uint8_t want[8] = { 0 };

	if (r->format == REAL && r->bits == 16) {
		float got;

		memcpy(&got, at, 4);
		if ((v >> 10 & 31) == 31)
			return v & 1023 ? got != got : got > 65504 || got < -65504;
		return (double)got == half_value((unsigned)v);
	}
	if (r->format == REAL)
		put_file_sample(r, want, 0, v);
	else if (r->format == INT)
		memcpy(want, &is_signed, 8);
	else
		memcpy(want, &v, 8);
	return !memcmp(at, want, voxel_bytes(r->type));
}

static void write_blocks(TIFF *tif, const struct recipe *r, unsigned page)
{
	unsigned planes = r->planes ? r->samples : 1, in_row = r->planes ? 1 : r->samples;
	unsigned step = r->tile ? r->tile : r->rows ? r->rows : HEIGHT, across = r->tile ? r->tile : WIDTH;
	size_t row_bytes = ((size_t)across * in_row * r->bits + 7) / 8;
	uint8_t *block = malloc(row_bytes * step);

	for (unsigned plane = 0; plane < planes; plane++)
		for (unsigned y0 = 0; y0 < HEIGHT; y0 += step)
			for (unsigned x0 = 0; x0 < WIDTH; x0 += across) {
				unsigned rows = r->tile ? step : y0 + step > HEIGHT ? HEIGHT - y0 : step;

				memset(block, 0, row_bytes * step);
				for (unsigned y = y0; y < y0 + rows && y < HEIGHT; y++)
					for (unsigned x = x0; x < x0 + across && x < WIDTH; x++)
						for (unsigned s = 0; s < in_row; s++)
							put_file_sample(r, block + (y - y0) * row_bytes,
									(uint64_t)(x - x0) * in_row + s,
									value_at(r, page, y, x, plane + s));
				if (r->tile)
					CHECK(TIFFWriteEncodedTile(tif,
								   TIFFComputeTile(tif, x0, y0, 0, (uint16_t)plane),
								   block, (tmsize_t)(row_bytes * rows)) > 0);
				else
					CHECK(TIFFWriteEncodedStrip(tif, TIFFComputeStrip(tif, y0, (uint16_t)plane),
								    block, (tmsize_t)(row_bytes * rows)) > 0);
			}
	free(block);
}

static void write_recipe(const char *path, const struct recipe *r)
{
	TIFF *tif = TIFFOpen(path, r->mode);

	CHECK(tif != NULL);
	for (unsigned page = 0; tif && page < r->pages; page++) {
		TIFFSetField(tif, TIFFTAG_IMAGEWIDTH, (uint32_t)WIDTH);
		TIFFSetField(tif, TIFFTAG_IMAGELENGTH, (uint32_t)HEIGHT);
		TIFFSetField(tif, TIFFTAG_BITSPERSAMPLE, (uint16_t)r->bits);
		TIFFSetField(tif, TIFFTAG_SAMPLESPERPIXEL, (uint16_t)r->samples);
		TIFFSetField(tif, TIFFTAG_SAMPLEFORMAT, (uint16_t)r->format);
		TIFFSetField(tif, TIFFTAG_PLANARCONFIG, r->planes ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG);
		TIFFSetField(tif, TIFFTAG_PHOTOMETRIC, r->samples > 2 ? PHOTOMETRIC_RGB : PHOTOMETRIC_MINISBLACK);
		TIFFSetField(tif, TIFFTAG_COMPRESSION, r->compression);
		if (r->predictor)
			TIFFSetField(tif, TIFFTAG_PREDICTOR,
				     r->format == REAL ? PREDICTOR_FLOATINGPOINT : PREDICTOR_HORIZONTAL);
		if (r->tile) {
			TIFFSetField(tif, TIFFTAG_TILEWIDTH, (uint32_t)r->tile);
			TIFFSetField(tif, TIFFTAG_TILELENGTH, (uint32_t)r->tile);
		} else {
			TIFFSetField(tif, TIFFTAG_ROWSPERSTRIP, (uint32_t)(r->rows ? r->rows : HEIGHT));
		}
		write_blocks(tif, r, page);
		CHECK(TIFFWriteDirectory(tif));
	}
	if (tif)
		TIFFClose(tif);
}

static void compare_rows(struct image *image, const struct geometry *geo, const struct recipe *r, unsigned page,
			 unsigned row, unsigned rows)
{
	size_t width = voxel_bytes(geo->type), row_bytes = (size_t)geometry_row_bytes(geo);
	uint8_t *to = malloc(row_bytes * rows);
	unsigned wrong = 0;
	int rc = image_read_rows(image, page, row, rows, to);

	if (rc != 0)
		fprintf(stderr, "%s:\n", r->name);
	CHECK_RC(rc);
	for (unsigned y = 0; rc == 0 && y < rows; y++)
		for (unsigned x = 0; x < WIDTH; x++)
			for (unsigned s = 0; s < r->samples; s++)
				wrong += !same_sample(r, to + y * row_bytes + (x * r->samples + s) * width,
						      value_at(r, page, row + y, x, s));
	if (wrong)
		fprintf(stderr, "%s: page %u rows %u+%u: %u wrong\n", r->name, page, row, rows, wrong);
	CHECK(wrong == 0);
	free(to);
}

static void test_recipe(const struct recipe *r)
{
	struct findings facts scope_findings = { 0 };
	struct image *image = NULL;
	struct geometry geo = { 0 };
	struct source src;
	char path[300];
	int rc;

	snprintf(path, sizeof path, "%s/volume.tif", dir);
	write_recipe(path, r);
	CHECK_RC(source_of_fd(&src, open(path, O_RDONLY)));
	rc = image_probe(&src, &geo, &facts);
	if (rc < 0)
		fprintf(stderr, "%s: %s\n", r->name, err_text());
	CHECK(rc == 0);
	CHECK(geo.format == IMAGE_TIFF && geo.type == r->type && geo.samples == r->samples);
	CHECK(geo.width == WIDTH && geo.height == HEIGHT && geo.depth == r->pages);
	CHECK(geo.big_endian == (strchr(r->mode, 'b') != NULL));
	if (rc == 0 && image_open(&image, &src, &geo) == 0) {
		for (unsigned page = r->pages; page-- > 0;)
			compare_rows(image, &geo, r, page, 0, HEIGHT);
		for (unsigned i = 0; i < 24; i++) {
			unsigned row = i * 17 % HEIGHT, rows = 1 + i * 5 % (HEIGHT - row);

			compare_rows(image, &geo, r, i % r->pages, row, rows);
		}
	}
	image_close(image);
	source_close(&src);
	remove(path);
}

/* --- files that no writer makes: a classic little-endian TIFF, put together by hand --- */

struct page {
	uint32_t width, height;
	uint16_t bits, compression;
	uint32_t offset, count; /* of the one strip */
	uint32_t kind;
	const char *description;
};

static void put_tag(struct buf *b, uint16_t tag, uint16_t type, uint32_t count, uint32_t value)
{
	buf_u16(b, tag);
	buf_u16(b, type);
	buf_u32(b, count);
	buf_u32(b, value);
}

static void set_u32(struct buf *b, size_t at, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		b->data[at + (size_t)i] = (uint8_t)(v >> 8 * i);
}

static void begin(struct buf *b)
{
	buf_put(b, "II\x2a\0\0\0\0", 8);
}

/* Appends a directory, linked from *link, which becomes the place of its own link. */
static void put_page(struct buf *b, size_t *link, const struct page *p)
{
	size_t description = b->len, len = p->description ? strlen(p->description) + 1 : 0;

	buf_put(b, p->description, len);
	if (b->len % 2)
		buf_u8(b, 0);
	set_u32(b, *link, (uint32_t)b->len);
	buf_u16(b, p->description ? 8 : 7);
	put_tag(b, 254, 4, 1, p->kind);
	put_tag(b, 256, 4, 1, p->width);
	put_tag(b, 257, 4, 1, p->height);
	put_tag(b, 258, 3, 1, p->bits);
	put_tag(b, 259, 3, 1, p->compression);
	if (p->description)
		put_tag(b, 270, 2, (uint32_t)len, (uint32_t)description);
	put_tag(b, 273, 4, 1, p->offset);
	put_tag(b, 279, 4, 1, p->count);
	*link = b->len;
	buf_u32(b, 0);
}

static int probe_bytes(const void *bytes, size_t len, struct geometry *geo)
{
	struct findings facts scope_findings = { 0 };
	struct source src = source_of_memory(bytes, len);
	int rc = image_probe(&src, geo, &facts);

	source_close(&src);
	return rc;
}

static void check_refused(const struct buf *b, const char *sentence)
{
	struct geometry geo;
	int rc = probe_bytes(b->data, b->len, &geo);

	CHECK(rc == -EBADMSG);
	if (rc == 0 || !strstr(err_text(), sentence))
		fprintf(stderr, "expected: %s\n     got: %s\n", sentence, rc ? err_text() : "(fine)");
	CHECK(rc != 0 && strstr(err_text(), sentence));
}

static void test_refused(void)
{
	static const struct {
		struct page page;
		const char *sentence;
	} cases[] = {
		{ { 4, 4, 8, 1, 5000, 16, 0, NULL }, "page 0: strip 0: begins at byte 5000, and the file ends at" },
		{ { 4, 4, 8, 5, 90, 4000, 0, NULL }, "page 0: strip 0: ends after " },
		{ { 100, 100, 8, 1, 8, 10000, 0, NULL }, "bytes: the file is incomplete or damaged" },
		{ { 4, 4, 8, 1, 0, 0, 0, NULL }, "page 0: strip 0: is not in the file" },
		{ { 4, 4, 8, 50002, 8, 16, 0, NULL }, "cannot be shown: its compression (JPEG XL) is not read here" },
		{ { 4, 4, 8, 12345, 8, 16, 0, NULL }, "cannot be shown: compression scheme 12345 is not known" },
		{ { 4, 4, 8, 6, 8, 16, 0, NULL }, "old-style JPEG" },
		{ { 4, 4, 33, 1, 8, 16, 0, NULL }, "cannot be shown: samples of 33 bits" },
		{ { 0x7fffffff, 0x7fffffff, 8, 5, 8, 16, 0, NULL }, "TIFF: " },
		{ { 0xffffffff, 4, 8, 5, 8, 16, 0, NULL }, "TIFF: " },
		{ { 40000, 40000, 8, 32773, 8, 16, 0, NULL }, "would have to be decoded at once, more than 128 MiB" },
		{ { 0, 4, 8, 1, 8, 16, 0, NULL }, "TIFF: " },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		scope_buf struct buf b = { 0 };
		size_t link = 4;

		begin(&b);
		buf_put(&b, "0123456789abcdef", 16);
		put_page(&b, &link, &cases[i].page);
		check_refused(&b, cases[i].sentence);
	}
}

/* A damaged strip says where it is, and the others are still read. */
static void test_damaged_strip(void)
{
	static const struct recipe recipe = { "strips", 16, UINT,  1,	  "wl", COMPRESSION_LZW,
					      0,	2,  false, false, 5,	VOXEL_U16 };
	struct findings facts scope_findings = { 0 };
	struct image *image = NULL;
	struct geometry geo = { 0 };
	struct source src;
	uint16_t rows[WIDTH * 2];
	uint64_t *offsets, *lengths;
	char path[300], junk[16];
	TIFF *tif;
	int fd;

	snprintf(path, sizeof path, "%s/strips.tif", dir);
	write_recipe(path, &recipe);
	tif = TIFFOpen(path, "r");
	CHECK(tif && TIFFSetDirectory(tif, 3));
	TIFFGetField(tif, TIFFTAG_STRIPOFFSETS, &offsets);
	TIFFGetField(tif, TIFFTAG_STRIPBYTECOUNTS, &lengths);
	memset(junk, 0xff, sizeof junk);
	fd = open(path, O_RDWR);
	CHECK(pwrite(fd, junk, sizeof junk, (off_t)offsets[12]) == sizeof junk);
	TIFFClose(tif);
	CHECK_RC(source_of_fd(&src, fd));
	CHECK_RC(image_probe(&src, &geo, &facts));
	CHECK_RC(image_open(&image, &src, &geo));
	CHECK(image_read_rows(image, 3, 24, 2, rows) == -EBADMSG);
	CHECK(!strncmp(err_text(), "page 3: strip 12: ", 18));
	compare_rows(image, &geo, &recipe, 3, 22, 2);
	compare_rows(image, &geo, &recipe, 3, 26, 2);
	compare_rows(image, &geo, &recipe, 2, 24, 2);
	image_close(image);
	source_close(&src);
	remove(path);
}

/* One strip of 36 MB: decoded row by row, forwards, and back from its beginning. */
static void test_long_strip(uint16_t compression, uint16_t bits)
{
	enum { EDGE = 6000 };
	static const unsigned order[] = { 0, 1, 2, 700, 701, 699, 5999, 0 };
	struct findings facts scope_findings = { 0 };
	uint32_t width = EDGE * 8 / bits;
	struct image *image = NULL;
	struct geometry geo = { 0 };
	struct source src;
	uint8_t *row = malloc(EDGE);
	char path[300];
	TIFF *tif;

	snprintf(path, sizeof path, "%s/long.tif", dir);
	tif = TIFFOpen(path, "wb");
	TIFFSetField(tif, TIFFTAG_IMAGEWIDTH, width);
	TIFFSetField(tif, TIFFTAG_IMAGELENGTH, (uint32_t)EDGE);
	TIFFSetField(tif, TIFFTAG_BITSPERSAMPLE, bits);
	TIFFSetField(tif, TIFFTAG_COMPRESSION, compression);
	TIFFSetField(tif, TIFFTAG_ROWSPERSTRIP, (uint32_t)EDGE);
	for (unsigned y = 0; y < EDGE; y++) {
		memset(row, (int)(y * 7 & 255), EDGE);
		for (unsigned i = 0; i < 32; i++)
			row[i * 8 + y % 8] = (uint8_t)(y >> 4);
		CHECK(TIFFWriteScanline(tif, row, y, 0) == 1);
	}
	TIFFClose(tif);
	CHECK_RC(source_of_fd(&src, open(path, O_RDONLY)));
	CHECK_RC(image_probe(&src, &geo, &facts));
	CHECK_RC(image_open(&image, &src, &geo));
	for (size_t i = 0; image && i < sizeof order / sizeof *order; i++) {
		unsigned y = order[i];

		CHECK_RC(image_read_rows(image, 0, y, 1, row));
		CHECK(row[y % 8] == (uint8_t)(y >> 4) && row[248 + y % 8] == (uint8_t)(y >> 4));
		CHECK(row[EDGE - 1] == (y * 7 & 255) && row[(y + 1) % 8] == (y * 7 & 255));
	}
	image_close(image);
	source_close(&src);
	free(row);
	remove(path);
}

static void test_chain(void)
{
	static const struct page slice = { 4, 4, 8, 1, 8, 16, 0, NULL }, thumb = { 2, 2, 8, 1, 8, 4, 1, NULL };
	static const struct page tiny = { 1, 1, 8, 1, 8, 1, 0, NULL }, other = { 4, 5, 8, 1, 8, 20, 0, NULL };
	static const struct {
		const struct page *pages[6];
		uint64_t depth, width;
	} cases[] = {
		{ { &slice }, 1, 4 },
		{ { &slice, &slice, &slice }, 3, 4 },
		{ { &slice, &thumb, &slice, &thumb }, 2, 4 },
		{ { &thumb, &slice, &slice }, 2, 4 },
		{ { &tiny, &slice, &slice }, 2, 4 },
		{ { &slice, &slice, &other, &slice }, 2, 4 },
		{ { &other, &slice, &slice }, 1, 4 },
		{ { &thumb, &thumb }, 2, 2 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		scope_buf struct buf b = { 0 };
		struct geometry geo = { 0 };
		size_t link = 4;

		begin(&b);
		buf_put(&b, "0123456789abcdefghijklmn", 24);
		for (size_t p = 0; p < 6 && cases[i].pages[p]; p++)
			put_page(&b, &link, cases[i].pages[p]);
		CHECK_RC(probe_bytes(b.data, b.len, &geo));
		CHECK(geo.depth == cases[i].depth && geo.width == cases[i].width);

		set_u32(&b, link, (uint32_t)b.len + 5000);
		if (cases[i].pages[0] == &slice && cases[i].depth > 1 && !cases[i].pages[3])
			check_refused(&b, "beyond the end of the file");
		set_u32(&b, link, 0);
	}
}

static void test_circle(void)
{
	static const struct page slice = { 4, 4, 8, 1, 8, 16, 0, NULL };

	for (int from = 0; from < 5; from++) {
		scope_buf struct buf b = { 0 };
		size_t link = 4, starts[5];

		begin(&b);
		buf_put(&b, "0123456789abcdef", 16);
		for (int i = 0; i < 5; i++) {
			starts[i] = b.len;
			put_page(&b, &link, &slice);
		}
		set_u32(&b, link, (uint32_t)starts[from]);
		check_refused(&b, "its page directories go in a circle");
	}
}

/* A hundred thousand pages: counted fast, read in order fast, and the last one reached. */
static void test_many_pages(void)
{
	enum { PAGES = 100000 };
	scope_buf struct buf b = { 0 };
	struct geometry geo = { 0 };
	struct image *image = NULL;
	struct source src;
	double start;
	size_t link = 4;
	uint8_t got = 0;

	begin(&b);
	buf_put(&b, "0123456789abcdef", 16);
	for (uint32_t i = 0; i < PAGES; i++) {
		struct page page = { 1, 1, 8, 1, 8 + i % 16, 1, 0, NULL };

		put_page(&b, &link, &page);
	}
	start = now();
	CHECK_RC(probe_bytes(b.data, b.len, &geo));
	CHECK(geo.depth == PAGES);
	src = source_of_memory(b.data, b.len);
	CHECK_RC(image_open(&image, &src, &geo));
	for (uint32_t i = 0; image && i < 2000; i++) {
		CHECK_RC(image_read_rows(image, i, 0, 1, &got));
		CHECK(got == b.data[8 + i % 16]);
	}
	for (uint64_t i = PAGES - 1; image && i > 0; i /= 3) {
		CHECK_RC(image_read_rows(image, i, 0, 1, &got));
		CHECK(got == b.data[8 + i % 16]);
	}
	CHECK(now() - start < 5);
	image_close(image);
	source_close(&src);
}

/* ImageJ's way beyond 4 GiB: one directory, and all slices behind each other. */
static void test_imagej_tail(void)
{
	static const char text[] = "ImageJ=1.53t\nimages=3\nslices=3\nunit=micron\nspacing=2.5\n";
	scope_buf struct buf b = { 0 };
	struct page page = { 4, 4, 8, 1, 0, 16, 0, text };
	struct geometry geo = { 0 };
	struct image *image = NULL;
	struct source src;
	size_t link = 4, data;
	uint8_t got[16];

	begin(&b);
	put_page(&b, &link, &page);
	data = b.len;
	set_u32(&b, link - 16, (uint32_t)data); /* StripOffsets is the entry before the last */
	for (unsigned i = 0; i < 48; i++)
		buf_u8(&b, (uint8_t)i);
	CHECK_RC(probe_bytes(b.data, b.len, &geo));
	CHECK(geo.depth == 3);
	src = source_of_memory(b.data, b.len);
	CHECK_RC(image_open(&image, &src, &geo));
	for (unsigned i = 0; i < 3; i++) {
		CHECK_RC(image_read_rows(image, i, 0, 4, got));
		CHECK(got[0] == 16 * i && got[15] == 16 * i + 15);
	}
	image_close(image);
	source_close(&src);
	CHECK_RC(probe_bytes(b.data, b.len - 1, &geo)); /* the file does not prove it */
	CHECK(geo.depth == 1);
	geo.depth = 3;
	src = source_of_memory(b.data, b.len - 1);
	CHECK(image_open(&image, &src, &geo) == -EBADMSG);
	source_close(&src);
}

static void test_voxels(void)
{
	static const struct {
		const char *description;
		double x_resolution;
		uint16_t unit;
		double voxel[3];
		const char *finding;
	} cases[] = {
		{ "ImageJ=1.53t\nimages=2\nunit=micron\nspacing=2.5\n", 4, 1, { 2.5, 0.25, 0.25 }, "2.5,0.25,0.25" },
		{ "ImageJ=1.53t\nimages=2\nunit=mm\n", 1000, 1, { 1000, 1, 1 }, "1000,1,1" },
		{ "ImageJ=1.53t\nunit=\\u00B5m\nspacing=3\n", 2, 1, { 3, 0.5, 0.5 }, "3,0.5,0.5" },
		{ "ImageJ=1.53t\nimages=2\nunit=nm\nspacing=40\n",
		  0.125,
		  1,
		  { 0.04, 0.008, 0.008 },
		  "0.04,0.008,0.008" },
		{ "ImageJ=1.53t\nimages=2\nunit=pixel\n", 1, 1, { 0, 0, 0 }, NULL },
		{ "<?xml version=\"1.0\"?><OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\"><Image>"
		  "<Pixels PhysicalSizeX=\"0.5\" PhysicalSizeY=\"0.6\" PhysicalSizeZ=\"2\" PhysicalSizeZUnit=\"nm\">"
		  "<TiffData/></Pixels></Image></OME>",
		  72,
		  2,
		  { 0.002, 0.6, 0.5 },
		  "0.002,0.6,0.5" },
		{ "a note", 72, 2, { 0, 0, 0 }, NULL },
		{ "a note", 300, 2, { 0, 0, 0 }, NULL },
		{ "a note", 118.11, 3, { 0, 0, 0 }, NULL }, /* 300 dpi in cm */
		{ "a note", 96, 2, { 0, 0, 0 }, NULL },
		{ "a note", 2000, 3, { 0, 5, 5 }, "0,5,5" },
		{ "a note", 2540.5, 2, { 0, 9.998, 9.998 }, NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct findings facts scope_findings = { 0 };
		struct geometry geo = { 0 };
		struct source src;
		char path[300], pixels[16] = { 0 };
		const char *said;
		TIFF *tif;

		snprintf(path, sizeof path, "%s/voxel.tif", dir);
		tif = TIFFOpen(path, "w");
		TIFFSetField(tif, TIFFTAG_IMAGEWIDTH, 4u);
		TIFFSetField(tif, TIFFTAG_IMAGELENGTH, 4u);
		TIFFSetField(tif, TIFFTAG_BITSPERSAMPLE, 8);
		TIFFSetField(tif, TIFFTAG_IMAGEDESCRIPTION, cases[i].description);
		TIFFSetField(tif, TIFFTAG_XRESOLUTION, cases[i].x_resolution);
		TIFFSetField(tif, TIFFTAG_YRESOLUTION, cases[i].x_resolution);
		TIFFSetField(tif, TIFFTAG_RESOLUTIONUNIT, cases[i].unit);
		TIFFWriteEncodedStrip(tif, 0, pixels, sizeof pixels);
		TIFFClose(tif);
		CHECK_RC(source_of_fd(&src, open(path, O_RDONLY)));
		CHECK_RC(image_probe(&src, &geo, &facts));
		for (int a = 0; a < 3; a++) {
			double off = geo.voxel_um[a] - cases[i].voxel[a];

			CHECK(off < 1e-3 * cases[i].voxel[a] + 1e-9 && off > -1e-3 * cases[i].voxel[a] - 1e-9);
		}
		said = findings_get(&facts, "voxel_size_um");
		if (cases[i].finding)
			CHECK(said && !strcmp(said, cases[i].finding));
		else
			CHECK((said != NULL) == (cases[i].voxel[2] != 0));
		source_close(&src);
		remove(path);
	}
}

/* --- files with errors in them --- */

/* Probes, and reads the first and the last page as far as a reader would wait. */
static int read_all(struct source *src, uint64_t bytes_max)
{
	struct findings facts scope_findings = { 0 };
	struct image *image = NULL;
	struct geometry geo = { 0 };
	uint64_t row_bytes, rows;
	uint8_t *to;
	int rc = image_probe(src, &geo, &facts);

	if (rc < 0)
		return rc;
	row_bytes = geometry_row_bytes(&geo);
	rows = row_bytes < 1 << 18 ? (1 << 18) / row_bytes : 1;
	if (row_bytes > bytes_max)
		return 0;
	rc = image_open(&image, src, &geo);
	to = malloc((size_t)(rows * row_bytes));
	for (uint64_t page = 0; rc == 0 && page<geo.depth; page += geo.depth> 1 ? geo.depth - 1 : 1)
		for (uint64_t row = 0, done = 0; rc == 0 && row < geo.height && done < bytes_max; row += rows) {
			uint64_t n = geo.height - row < rows ? geo.height - row : rows;

			rc = image_read_rows(image, page, row, n, to);
			done += n * row_bytes;
		}
	free(to);
	image_close(image);
	return rc;
}

static void check_error(const char *name, int rc, double seconds)
{
	if ((rc != 0 && rc != -EBADMSG && rc != -ENOENT) || seconds > 3) {
		fprintf(stderr, "%s: %d %s, %.1f s\n", name, rc, rc ? err_text() : "", seconds);
		CHECK(!"an expected result in time");
	}
	if (rc != 0)
		CHECK(*err_text() != 0);
}

/* Truncated at every length, and with bytes changed: an error or pixels, never a crash. */
static void test_damaged(const struct recipe *r)
{
	scope_free void *bytes = NULL;
	scope_free uint8_t *copy = NULL;
	char path[300];
	size_t len = 0;
	uint32_t seed = 12345;
	double start;

	snprintf(path, sizeof path, "%s/damaged.tif", dir);
	write_recipe(path, r);
	CHECK_RC(io_read_file(&io_system, path, 1 << 20, &bytes, &len));
	remove(path);
	copy = malloc(len ? len : 1);
	for (size_t i = 0; i < 300; i++) {
		size_t cut = i < 200 ? len : len * (i - 200) / 100;
		struct source src;

		memcpy(copy, bytes, len);
		for (int flips = 0; i < 200 && flips < 4; flips++) {
			uint32_t where;

			seed = seed * 1664525 + 1013904223;
			where = seed >> 8;
			/* directories are short and stand at the ends; pixels are long */
			where = where % 3 ? (uint32_t)len - 1 - where % 400 % (uint32_t)len : where % (uint32_t)len;
			seed = seed * 1664525 + 1013904223;
			copy[where] ^= (uint8_t)(seed >> 24);
		}
		start = now();
		src = source_of_memory(copy, cut);
		check_error(r->name, read_all(&src, 16 << 20), now() - start);
		source_close(&src);
	}
}

static void visit_tree(const char *path, unsigned depth, void (*visit)(const char *path))
{
	DIR *list = opendir(path);
	struct dirent *entry;

	while (list && depth < 8 && (entry = readdir(list))) {
		char child[4096];
		struct stat st;

		if (*entry->d_name == '.')
			continue;
		snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
		if (lstat(child, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode))
			visit_tree(child, depth + 1, visit);
		else if (S_ISREG(st.st_mode))
			visit(child);
	}
	if (list)
		closedir(list);
}

static unsigned seen;

static void visit_any(const char *path)
{
	struct source src;
	double start = now();

	if (source_of_fd(&src, open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return;
	check_error(path, read_all(&src, 4 << 20), now() - start);
	source_close(&src);
	seen++;
}

/* Real files whose pixels another reader (tifffile) gave: for the first and last page, over the bytes of all samples in
 * little-endian order, hash = hash * 31 + byte. In the second one, the last strip of each page holds more rows than it
 * should, and libtiff with libdeflate gets some of its pixels wrong. */
static void test_real(const char *data)
{
	static const struct {
		const char *path;
		enum voxel_type type;
		uint64_t width, height, depth, first, last;
	} files[] = {
		{ "neutron_stepwedge/exp10s_h2o.tif", VOXEL_U16, 1500, 900, 1, 0x3d97a14ac9e783f0u,
		  0x3d97a14ac9e783f0u },
		{ "qbi/bone/bone_7H3A_B1.tif", VOXEL_U8, 350, 250, 600, 0xf8abee2e211de165u, 0xda48eb9482864ebbu },
		{ "qim3d_volumes/bone_128x128x128.tif", VOXEL_U8, 128, 128, 128, 0x9e22aa7601c282fau,
		  0xa33606a9bd2bad9eu },
		{ "uct_bone_lhdl/3155_D_4_bc_0100.tif", VOXEL_U8, 200, 200, 1, 0x73b9907f531efe42u,
		  0x73b9907f531efe42u },
		{ "em_stack_unaligned/volume--Z00003.ome.tif", VOXEL_U16, 737, 375, 1, 0x1434b8eb3c24becbu,
		  0x1434b8eb3c24becbu },
		{ "tiff_variants_bdp2/nc1-nt3-calibrated-16bit-tiff/mri-stack-t02.tif", VOXEL_U16, 186, 226, 27,
		  0xe4cbb31c3f3debf4u, 0x6d8cdde47b6beea7u },
		{ "sem_tiff/rosettasciio/test_loading_image_saved_with_imageJ_stack.tif", VOXEL_F32, 68, 68, 2,
		  0x4838611d986f95bu, 0x4838611d986f95bu },
		{ "sem_tiff/rosettasciio/test_loading_image_saved_with_DM.tif", VOXEL_I32, 68, 68, 1,
		  0xd82d618cdf6d9318u, 0xd82d618cdf6d9318u },
	};

	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct findings facts scope_findings = { 0 };
		struct image *image = NULL;
		struct geometry geo = { 0 };
		struct source src;
		char path[4096];

		snprintf(path, sizeof path, "%s/%s", data, files[i].path);
		if (source_of_fd(&src, open(path, O_RDONLY | O_CLOEXEC)) < 0)
			continue;
		CHECK_RC(image_probe(&src, &geo, &facts));
		CHECK(geo.type == files[i].type && geo.width == files[i].width && geo.height == files[i].height &&
		      geo.depth == files[i].depth);
		CHECK_RC(image_open(&image, &src, &geo));
		for (int last = 0; image && last < 2; last++) {
			size_t bytes = (size_t)geometry_slice_bytes(&geo);
			uint8_t *to = malloc(bytes);
			uint64_t sum = 0;

			CHECK_RC(image_read_rows(image, last ? geo.depth - 1 : 0, 0, geo.height, to));
			for (size_t at = 0; at < bytes; at++)
				sum = sum * 31 + to[at];
			CHECK(sum == (last ? files[i].last : files[i].first));
			free(to);
		}
		image_close(image);
		source_close(&src);
	}
}

int main(void)
{
	const char *data = getenv("TOMOFS_DATA");

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	struct rlimit limit = { 1536u << 20, 1536u << 20 };

	setrlimit(RLIMIT_AS, &limit);
#endif
	TIFFSetErrorHandler(NULL);
	TIFFSetWarningHandler(NULL);
	dir = check_tmpdir();
	for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
		test_recipe(&recipes[i]);
	test_refused();
	test_damaged_strip();
	test_long_strip(COMPRESSION_LZW, 8);
	test_long_strip(COMPRESSION_ADOBE_DEFLATE, 16);
	test_long_strip(COMPRESSION_ZSTD, 8);
	test_chain();
	test_circle();
	test_many_pages();
	test_imagej_tail();
	test_voxels();
	for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i += 4)
		test_damaged(&recipes[i]);
	if (data) {
		test_real(data);
		visit_tree(data, 0, visit_any);
		CHECK(seen > 0);
	} else {
		puts("skipped: no ../shared/data");
	}
	return check_done();
}
