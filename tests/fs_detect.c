/*
 * Raw volumes made here, of many sizes, types and headers: found exactly. What is no image: refused. Any bytes of any
 * length: an answer, and no byte read beyond them (each buffer is as long as what is given, for the sanitizer).
 */

#include "fs/image/detect.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"
#include "tests/lib/random.h"

enum kind { U8, U16, I16, U32, F32 };

struct volume {
	size_t width, height, depth;
	enum kind kind;
	bool big_endian;
	size_t header;
	double noise;
	enum { WHOLE, CIRCLE, NANS, MASK, LABELS } look;
};

static const struct volume volumes[] = {
	{ 200, 180, 40, U8, false, 0, 0.05, WHOLE },
	{ 131, 97, 90, U8, false, 0, 0.02, CIRCLE },
	{ 256, 256, 24, U8, false, 512, 0.1, WHOLE },
	{ 241, 203, 50, U8, false, 0, 0, MASK },
	{ 333, 251, 14, U16, false, 0, 0.05, WHOLE },
	{ 320, 200, 18, U16, true, 512, 0.05, CIRCLE },
	{ 731, 64, 14, U16, false, 2048, 0.03, WHOLE },
	{ 211, 190, 30, U16, false, 0, 0, LABELS },
	{ 301, 211, 16, I16, false, 352, 0.05, WHOLE },
	{ 277, 199, 16, U32, false, 0, 0.02, WHOLE },
	{ 255, 200, 12, F32, false, 1024, 0.1, CIRCLE },
	{ 190, 231, 12, F32, true, 0, 0.05, WHOLE },
	{ 222, 205, 12, F32, false, 0, 0.05, NANS },
	{ 407, 300, 10, F32, false, 0, 0.5, CIRCLE }, /* more noise than object */
};

static size_t sample_bytes(enum kind kind)
{
	return kind == U8 ? 1 : kind == U16 || kind == I16 ? 2 : 4;
}

/* Sum of four uniform numbers: nearly normal, deviation 1. */
static double normal(uint64_t *seed)
{
	uint64_t r = random_next(seed);

	return ((double)(r & 0xffff) + (double)(r >> 16 & 0xffff) + (double)(r >> 32 & 0xffff) + (double)(r >> 48)) *
		   (1.7320508 / 65536) -
	       3.4641016;
}

/* Balls of different brightness in a body, cut where the noise has not come yet. */
struct ball {
	double x, y, z, r, value;
};
enum { BALLS = 24 };

/* One row of the object; y and z are shares of the width. */
static void object_row(const struct ball *balls, size_t width, double y, double z, double *row)
{
	for (size_t x = 0; x < width; x++)
		row[x] = 0.3 + 0.1 * (double)x / (double)width;
	for (size_t i = 0; i < BALLS; i++) {
		double dy = y - balls[i].y, dz = z - balls[i].z, rest = balls[i].r * balls[i].r - dy * dy - dz * dz;
		double half = rest > 0 ? sqrt(rest) : 0;

		for (size_t x = 0; rest > 0 && x < width; x++)
			row[x] += fabs((double)x / (double)width - balls[i].x) < half ? balls[i].value : 0;
	}
}

static void put_number(uint8_t *at, const struct volume *v, double value)
{
	uint8_t bytes[4];
	uint32_t u = 0;
	float f = (float)(value * 0.02 - 0.004);
	size_t width = sample_bytes(v->kind);

	if (v->kind == F32)
		memcpy(&u, &f, 4);
	else if (v->kind == I16)
		u = (uint32_t)(int32_t)(value * 3000 - 1000);
	else
		u = (uint32_t)fmax(0, value * (v->kind == U8 ? 100 : v->kind == U16 ? 20000 : 8e7));
	if (v->kind == U8)
		u = u < 255 ? u : 255;
	for (size_t i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(u >> 8 * i);
	for (size_t i = 0; i < width; i++)
		at[i] = bytes[v->big_endian ? width - 1 - i : i];
}

static double look_at(const struct volume *v, double value, double x, double y)
{
	bool outside = (x - 0.5) * (x - 0.5) + (y - 0.5) * (y - 0.5) > 0.245;

	switch (v->look) {
	case MASK:
		return value > 0.6 ? 2.55 : 0;
	case LABELS:
		return floor(value * 8) * 0.01;
	case CIRCLE:
		return outside ? 0 : value;
	case NANS:
		return outside ? (double)NAN : value;
	default:
		return value;
	}
}

static uint8_t *make(const struct volume *v, size_t *len)
{
	size_t width = sample_bytes(v->kind);
	struct ball balls[BALLS];
	uint64_t seed = v->width * 31 + v->height;
	uint8_t *bytes, *at;
	double *row;

	for (size_t i = 0; i < BALLS; i++)
		balls[i] =
		    (struct ball) { (double)random_below(&seed, 1000) / 1000, (double)random_below(&seed, 1000) / 1000,
				    (double)random_below(&seed, 1000) / 2000,
				    0.04 + (double)random_below(&seed, 200) / 1000,
				    (double)random_below(&seed, 1000) / 2000 };
	*len = v->header + v->width * v->height * v->depth * width;
	bytes = calloc(1, *len);
	row = calloc(v->width, sizeof *row);
	if (!bytes || !row)
		exit(1);
	at = bytes + v->header;
	for (size_t z = 0; z < v->depth; z++)
		for (size_t y = 0; y < v->height; y++) {
			double down = ((double)y + 0.5) / (double)v->height;

			object_row(balls, v->width, down, (double)z / (double)v->width, row);
			for (size_t x = 0; x < v->width; x++, at += width)
				put_number(at, v,
					   look_at(v, row[x] + v->noise * normal(&seed),
						   ((double)x + 0.5) / (double)v->width, down));
		}
	free(row);
	return bytes;
}

static void check_type(const struct volume *v, const struct detected *d)
{
	CHECK(d->sample_bytes == sample_bytes(v->kind));
	CHECK(d->big_endian == v->big_endian);
	CHECK(d->is_float == (v->kind == F32));
	CHECK(d->row_bytes == v->width * d->sample_bytes);
	CHECK(d->confidence > 0 && d->confidence <= 1);
}

static void check_volume(const struct volume *v)
{
	struct detected d;
	size_t len, slice = v->width * v->height * sample_bytes(v->kind);
	uint8_t *bytes = make(v, &len), *cut;

	CHECK(detect_raw(bytes, len, len, &d) == 0);
	check_type(v, &d);
	CHECK(d.slice_bytes == slice);
	CHECK(d.header_bytes == v->header);
	CHECK(detect_raw(bytes, len, 0, &d) == 0);
	check_type(v, &d);
	CHECK(d.slice_bytes == slice || !d.slice_bytes);
	cut = malloc(len / 2);
	memcpy(cut, bytes, len / 2);
	if (!detect_raw(cut, len / 2, 0, &d))
		check_type(v, &d);
	memcpy(bytes, "\x89HDF\r\n\x1a\n", 8);
	CHECK(detect_raw(bytes, len, len, &d) == -ENOENT);
	free(cut);
	free(bytes);
}

/* A slice that is longer than the bytes: square, when the size of the file says so; else none. */
static void check_long_slice(void)
{
	struct volume v = { .width = 900, .height = 900, .depth = 1, .kind = U16, .noise = 0.05 };
	struct detected d;
	size_t len;
	uint8_t *bytes = make(&v, &len);

	CHECK(detect_raw(bytes, len / 2, 900 * 900 * 2 * 700ull, &d) == 0);
	check_type(&v, &d);
	CHECK(d.slice_bytes == 900 * 900 * 2);
	CHECK(detect_raw(bytes, len / 2, 900 * 901 * 2 * 700ull, &d) == 0 && d.slice_bytes == 0);
	CHECK(detect_raw(bytes, len / 2, 0, &d) == 0 && d.slice_bytes == 0);
	free(bytes);
}

enum { OTHER = 1 << 20 };

static void fill_text(uint8_t *to)
{
	size_t at = 0;

	for (uint64_t n = 1; at + 64 < OTHER; n++) /* lines of one length: a table */
		at += (size_t)snprintf((char *)to + at, 64, "%10llu,%12.6f,%8llu\n", (unsigned long long)n,
				       sin((double)n / 100), (unsigned long long)(n * 2654435761u % 100000));
	memset(to + at, '\n', OTHER - at);
}

static void fill_tone(uint8_t *to, double period, double noise)
{
	uint64_t seed = 5;

	for (size_t i = 0; i < OTHER / 2; i++) {
		int v = (int)(12000 * sin(2 * M_PI * (double)i / period) + noise * normal(&seed));

		to[2 * i] = (uint8_t)v;
		to[2 * i + 1] = (uint8_t)(v >> 8);
	}
}

static void fill_walk(uint8_t *to)
{
	uint64_t seed = 7;
	int v = 0;

	for (size_t i = 0; i < OTHER / 2; i++) {
		v += (int)random_below(&seed, 61) - 30;
		to[2 * i] = (uint8_t)v;
		to[2 * i + 1] = (uint8_t)(v >> 8);
	}
}

static void fill_noise(uint8_t *to)
{
	uint64_t seed = 8;

	for (size_t i = 0; i < OTHER; i++)
		to[i] = (uint8_t)(128 + 20 * normal(&seed));
}

static void fill_records(uint8_t *to)
{
	uint64_t seed = 9, time = 1000000;

	memset(to, 0, OTHER);
	for (size_t i = 0; i + 24 <= OTHER; i += 24) {
		double value = normal(&seed);

		time += random_below(&seed, 5000);
		memcpy(to + i, &time, 8);
		memcpy(to + i + 8, &value, 8);
		to[i + 16] = (uint8_t)random_below(&seed, 3);
	}
}

static void refuse(const char *what, const uint8_t *bytes)
{
	struct detected d;
	int rc = detect_raw(bytes, OTHER, OTHER, &d);

	check_that(rc == -ENOENT, __FILE__, __LINE__, "is refused", what);
}

static void check_others(void)
{
	static const double periods[] = { 100.2, 441, 50, 882, 44.1 };
	uint8_t *bytes = malloc(OTHER);

	random_fill(bytes, OTHER, 1);
	refuse("random bytes", bytes);
	memset(bytes, 0, OTHER);
	refuse("zeros", bytes);
	for (size_t i = 0; i < OTHER; i++)
		bytes[i] = (uint8_t)(i % 251);
	refuse("a repeated pattern", bytes);
	fill_text(bytes);
	refuse("a table of text", bytes);
	for (size_t i = 0; i < sizeof periods / sizeof *periods; i++) {
		fill_tone(bytes, periods[i], 0);
		refuse("a tone", bytes);
		fill_tone(bytes, periods[i], 300);
		refuse("a tone in noise", bytes);
	}
	fill_walk(bytes);
	refuse("a random walk", bytes);
	fill_noise(bytes);
	refuse("white noise", bytes);
	fill_records(bytes);
	refuse("records", bytes);
	free(bytes);
}

/* Every short length, and longer ones of odd kinds: whatever the answer, it makes sense. */
static void check_any_bytes(void)
{
	uint64_t seed = 11;

	for (size_t len = 0; len < 300; len++) {
		uint8_t *bytes = malloc(len + !len);
		struct detected d;

		random_fill(bytes, len, len);
		CHECK(detect_raw(bytes, len, 0, &d) == -ENOENT);
		free(bytes);
	}
	for (size_t round = 0; round < 24; round++) {
		size_t len = (DETECT_LEAST - 3) + (size_t)random_below(&seed, round < 16 ? 9 : 200000);
		size_t period = 1 + (size_t)random_below(&seed, 3000), noise = (size_t)random_below(&seed, 40);
		uint8_t *bytes = malloc(len);
		struct detected d;
		int rc;

		for (size_t i = 0; i < len;
		     i++) /* rows that repeat, change, or hold NaN and infinity when read as floats */
			bytes[i] =
			    (uint8_t)((i % period) * (i % period) / 64 + (noise ? random_below(&seed, noise) : 0) -
				      (round % 3 == 2 ? i / period : 0));
		if (round % 4 == 3)
			memset(bytes + len / 2, 0xff, len / 3);
		rc = detect_raw(bytes, len, round & 1 ? len : 0, &d);
		CHECK(rc == -ENOENT || rc == 0);
		CHECK(rc || (d.row_bytes && d.row_bytes % d.sample_bytes == 0 && d.slice_bytes % d.row_bytes == 0));
		free(bytes);
	}
}

static size_t read_tail(const char *path, uint8_t *to, size_t len)
{
	FILE *f = fopen(path, "rb");
	size_t got = 0;

	if (f && !fseek(f, -(long)len, SEEK_END))
		got = fread(to, 1, len, f);
	if (f)
		fclose(f);
	return got;
}

/* Real slices, without their DICOM headers: 512 x 512 x 16 bit. */
static void check_real(const char *data)
{
	enum { SLICE = 512 * 512 * 2, SLICES = 8 };
	struct dirent **names = NULL;
	char path[4096];
	uint8_t *bytes = malloc(SLICE * SLICES);
	struct detected d;
	size_t slices = 0;
	int n;

	snprintf(path, sizeof path, "%s/ct_abdomen_dicom", data);
	n = scandir(path, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/ct_abdomen_dicom/%s", data, names[i]->d_name);
		if (slices < SLICES && strstr(names[i]->d_name, ".dcm"))
			slices += read_tail(path, bytes + slices * SLICE, SLICE) == SLICE;
		free(names[i]);
	}
	free(names);
	if (slices == SLICES) {
		CHECK(detect_raw(bytes, SLICE * SLICES, SLICE * SLICES, &d) == 0);
		CHECK(d.sample_bytes == 2 && !d.big_endian && !d.is_float && d.row_bytes == 1024 &&
		      d.slice_bytes == SLICE);
	}
	free(bytes);
}

int main(void)
{
	const char *data = getenv("TOMOFS_DATA");

	for (size_t i = 0; i < sizeof volumes / sizeof *volumes; i++)
		check_volume(&volumes[i]);
	check_long_slice();
	check_others();
	check_any_bytes();
	if (data)
		check_real(data);
	return check_done();
}
