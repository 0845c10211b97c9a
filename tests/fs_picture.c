/* picture: exact sizes, a PNG that decodes to what a slow program computes, windows, NaN, failures. */
#include "fs/view/picture.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tests/lib/check.h"

struct made {
	struct geometry geo;
	double (*value)(uint64_t z, uint64_t y, uint64_t x, unsigned s);
	uint64_t bad_row; /* reading it fails */
	uint64_t most;	  /* rows of one call */
};

static int read_rows(void *ctx, uint64_t z, uint64_t row, uint64_t rows, void *to)
{
	struct made *m = ctx;
	uint64_t at = 0;

	if (rows > m->most)
		m->most = rows;
	if (row + rows > m->bad_row)
		return err_set(EIO, "row %d is damaged", (int)m->bad_row);
	for (uint64_t y = row; y < row + rows; y++)
		for (uint64_t x = 0; x < m->geo.width; x++)
			for (unsigned s = 0; s < m->geo.samples; s++, at++) {
				double v = m->value(z, y, x, s);

				if (m->geo.type == VOXEL_U8)
					((uint8_t *)to)[at] = (uint8_t)v;
				else if (m->geo.type == VOXEL_I16)
					((int16_t *)to)[at] = (int16_t)v;
				else if (m->geo.type == VOXEL_F32)
					((float *)to)[at] = (float)v;
				else
					((double *)to)[at] = v;
			}
	return 0;
}

static struct geometry geometry_of(enum voxel_type type, unsigned samples, uint64_t w, uint64_t h, uint64_t d)
{
	return (struct geometry) {
		.format = IMAGE_RAW, .type = type, .samples = (uint8_t)samples, .width = w, .height = h, .depth = d
	};
}

static struct volume volume_of(struct made *m)
{
	return (struct volume) { .id = 1, .name = "made", .geo = m->geo, .read_rows = read_rows, .ctx = m };
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The rows of the picture, decoded by zlib, with their filter bytes; NULL when it is no sound PNG. */
static uint8_t *decode(const struct buf *png, unsigned *w, unsigned *h, unsigned *colour)
{
	uint8_t *plain = NULL;
	uLongf plain_len;
	size_t at = 8;

	if (png->len < 33 || memcmp(png->data, "\x89PNG\r\n\x1a\n", 8) != 0)
		return NULL;
	*w = be32(png->data + 16);
	*h = be32(png->data + 20);
	*colour = png->data[25];
	plain_len = *h * (1 + *w * (*colour == 2 ? 3 : 1));
	while (at + 12 <= png->len) {
		size_t len = be32(png->data + at);
		const uint8_t *body = png->data + at + 8;

		if (be32(body + len) != crc32(0, body - 4, (uInt)len + 4))
			break;
		if (memcmp(body - 4, "IDAT", 4) == 0) {
			uLongf got = plain_len;

			plain = malloc(plain_len);
			if (uncompress(plain, &got, body, len) != Z_OK || got != plain_len)
				break;
		}
		at += len + 12;
	}
	CHECK(at == png->len);
	return plain;
}

static uint8_t *draw(struct made *m, unsigned *w, unsigned *h, unsigned *colour)
{
	scope_buf struct buf png = { 0 }, again = { 0 };
	struct volume v = volume_of(m);

	m->bad_row = UINT64_MAX;
	CHECK_RC(picture_make(&v, &png));
	CHECK_RC(picture_make(&v, &again));
	CHECK(png.len == picture_size(&m->geo));
	CHECK(png.len == again.len && memcmp(png.data, again.data, png.len) == 0);
	return decode(&png, w, h, colour);
}

/* The FACTS formula. */
static uint64_t formula(uint64_t w, uint64_t h, uint64_t bytes)
{
	uint64_t n = h * (1 + w * bytes);

	return 8 + 25 + 12 + 2 + 5 * ((n + 65534) / 65535) + n + 4 + 12;
}

static void sizes(void)
{
	struct geometry g = geometry_of(VOXEL_U16, 1, 512, 512, 9);

	CHECK(picture_size(&g) == formula(512, 512, 1));
	g.width = 513;
	CHECK(picture_size(&g) == formula(257, 256, 1));
	g.samples = 4;
	CHECK(picture_size(&g) == formula(257, 256, 3));
	g.width = 0x7fffffff;
	g.height = 1;
	CHECK(picture_size(&g) == formula(512, 1, 3));
	g.height = 0x7fffffff;
	CHECK(picture_size(&g) == formula(512, 512, 3));
	g = geometry_of(VOXEL_U8, 1, 1, 1, 1);
	CHECK(picture_size(&g) == formula(1, 1, 1));
}

/* The middle slice is a ramp from -1000 to 23,399; the others are white. */
static double ramp(uint64_t z, uint64_t y, uint64_t x, unsigned s)
{
	(void)s, (void)y;
	return z == 2 ? (double)x * 20 - 1000 : 32767;
}

static void ramp_in_boxes(void)
{
	struct made m = { .geo = geometry_of(VOXEL_I16, 1, 1220, 700, 5), .value = ramp };
	unsigned w, h, colour;
	scope_free uint8_t *plain = draw(&m, &w, &h, &colour);
	bool fine = true;

	if (!plain) {
		CHECK(!"a PNG");
		return;
	}
	CHECK(w == 407 && h == 234 && colour == 0);
	CHECK(m.most <= 1 << 20);
	/* The mean of a whole box x is 20 * (3 x + 1) - 1000; 0.5 % of 407 columns is the third one. */
	for (unsigned y = 0; y < h; y++)
		for (unsigned x = 0; x + 1 < w; x++) {
			double at = ((double)x - 2) / (404 - 2) * 255;
			int want = at < 0 ? 0 : at > 255 ? 255 : (int)(at + 0.5);

			fine = fine && abs(plain[y * (w + 1) + 1 + x] - want) <= 1;
		}
	CHECK(fine);
}

static double constant(uint64_t z, uint64_t y, uint64_t x, unsigned s)
{
	(void)z, (void)y, (void)x, (void)s;
	return 17;
}

static double nothing(uint64_t z, uint64_t y, uint64_t x, unsigned s)
{
	(void)z, (void)y, (void)x, (void)s;
	return NAN;
}

static double holes(uint64_t z, uint64_t y, uint64_t x, unsigned s)
{
	(void)z, (void)s;
	return y == 0 && x == 0 ? NAN : y == 0 && x == 1 ? INFINITY : y < 2 ? -1e300 : 1e300;
}

static double grain(uint64_t z, uint64_t y, uint64_t x, unsigned s)
{
	(void)z, (void)s;
	return x == 7 && y == 7 ? 1 : 0;
}

static double colours(uint64_t z, uint64_t y, uint64_t x, unsigned s)
{
	(void)z, (void)y, (void)x;
	return s == 0 ? 10 : s == 1 ? 20 : s == 2 ? 30 : 99;
}

static void special(void)
{
	struct made m = { .geo = geometry_of(VOXEL_U8, 1, 100, 50, 1), .value = constant };
	unsigned w, h, colour;
	uint8_t *plain = draw(&m, &w, &h, &colour);

	CHECK(plain && w == 100 && h == 50 && plain[1] == 128 && plain[50 * 101 - 1] == 128);
	free(plain);
	m.geo.type = VOXEL_F32;
	m.value = nothing;
	plain = draw(&m, &w, &h, &colour);
	CHECK(plain && plain[1] == 0 && plain[50 * 101 - 1] == 0);
	free(plain);
	m.geo = geometry_of(VOXEL_F64, 1, 20, 4, 1);
	m.value = holes;
	plain = draw(&m, &w, &h, &colour);
	CHECK(plain && plain[1] == 0 && plain[2] == 0 && plain[3] == 0 && plain[21 * 3 + 1] == 255);
	free(plain);
	m.geo = geometry_of(VOXEL_U8, 1, 100, 100, 1);
	m.value = grain;
	plain = draw(&m, &w, &h, &colour);
	CHECK(plain && plain[1] == 0 && plain[7 * 101 + 8] == 255);
	free(plain);
	m.geo = geometry_of(VOXEL_U8, 4, 600, 3, 1);
	m.value = colours;
	plain = draw(&m, &w, &h, &colour);
	CHECK(plain && colour == 2 && w == 300 && h == 2 && plain[1] == 10 && plain[2] == 20 && plain[3] == 30);
	free(plain);
}

static void failures(void)
{
	struct made m = { .geo = geometry_of(VOXEL_U8, 1, 4000, 4000, 1), .value = constant, .bad_row = 3000 };
	struct volume v = volume_of(&m);
	scope_buf struct buf png = { 0 };

	CHECK(picture_make(&v, &png) == -EIO);
	CHECK(strcmp(err_text(), "row 3000 is damaged") == 0);
	CHECK(m.most * 4000 <= 1 << 20);
	v.geo = geometry_of(VOXEL_F64, 1, 0x7fffffff, 1, 1);
	CHECK(picture_make(&v, &png) == -ENOTSUP);
}

int main(void)
{
	sizes();
	ramp_in_boxes();
	special();
	failures();
	return check_done();
}
