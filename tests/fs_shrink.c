/* shrink: every type and size against a slow reference that works on one voxel at a time in long double or 128-bit
 * integers. */
#include "fs/view/shrink.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

static uint64_t state = 0x243f6a8885a308d3;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static __int128 integer_at(enum voxel_type type, const uint8_t *p)
{
	int64_t s = 0;
	uint64_t u = 0;

	switch (type) {
	case VOXEL_U8:
		return *p;
	case VOXEL_I8:
		return (int8_t)*p;
	case VOXEL_U16:
		return (uint16_t)(p[0] | p[1] << 8);
	case VOXEL_I16:
		return (int16_t)(p[0] | p[1] << 8);
	case VOXEL_U32:
		memcpy(&u, p, 4);
		return u;
	case VOXEL_I32:
		memcpy(&u, p, 4);
		return (int32_t)u;
	case VOXEL_U64:
		memcpy(&u, p, 8);
		return u;
	default:
		memcpy(&s, p, 8);
		return s;
	}
}

static double double_at(enum voxel_type type, const uint8_t *p)
{
	float f;
	double d;

	if (type == VOXEL_F32) {
		memcpy(&f, p, 4);
		return f;
	}
	memcpy(&d, p, 8);
	return d;
}

static bool is_float(enum voxel_type type)
{
	return type == VOXEL_F32 || type == VOXEL_F64;
}

struct box { /* what one result is made of */
	__int128 sum;
	double fsum;
	unsigned n;
};

static struct box box_at(enum voxel_type type, unsigned samples, uint64_t width, uint64_t height, const uint8_t *a,
			 const uint8_t *b, uint64_t x, uint64_t y, unsigned s)
{
	size_t bytes = voxel_bytes(type);
	struct box box = { 0 };

	for (unsigned z = 0; z < (b ? 2 : 1); z++)
		for (uint64_t j = 2 * y; j < 2 * y + 2 && j < height; j++)
			for (uint64_t i = 2 * x; i < 2 * x + 2 && i < width; i++) {
				const uint8_t *p = (z ? b : a) + ((j * width + i) * samples + s) * bytes;

				if (is_float(type))
					box.fsum = box.n ? box.fsum + double_at(type, p) : double_at(type, p);
				else
					box.sum += integer_at(type, p);
				box.n++;
			}
	return box;
}

static bool right(enum voxel_type type, const struct box *box, const uint8_t *got)
{
	double mean = box->fsum / box->n, value;
	__int128 n = box->n, top = 2 * box->sum + n, floor_of = top / (2 * n);

	if (is_float(type)) {
		value = double_at(type, got);
		if (type == VOXEL_F32)
			mean = (float)mean;
		return isnan(mean) ? isnan(value) : memcmp(&mean, &value, sizeof mean) == 0;
	}
	if (top % (2 * n) < 0)
		floor_of--;
	return integer_at(type, got) == floor_of;
}

static void fill(enum voxel_type type, uint8_t *p, size_t count)
{
	size_t bytes = voxel_bytes(type);

	for (size_t i = 0; i < count; i++) {
		uint64_t r = rnd(), kind = rnd() % 8;
		float f = (float)((double)(int64_t)r / 1e12);
		double d = (double)(int64_t)r / 1e12;

		if (kind == 0)
			r = ~0ULL;
		else if (kind == 1)
			r = 1ULL << (8 * bytes - 1);
		else if (kind == 2)
			r = ~(1ULL << (8 * bytes - 1));
		else if (kind == 3)
			r = (uint64_t)(-(int64_t)(rnd() % 4));
		if (rnd() % 40 == 0)
			f = NAN, d = NAN;
		if (rnd() % 20 == 0)
			f = -0.0F, d = -0.0;
		memcpy(p + i * bytes,
		       type == VOXEL_F32   ? (void *)&f
		       : type == VOXEL_F64 ? (void *)&d
					   : (void *)&r,
		       bytes);
	}
}

static void check_one(enum voxel_type type, unsigned samples, uint64_t width, uint64_t height, bool two)
{
	size_t bytes = voxel_bytes(type), count = width * height * samples;
	uint64_t w = (width + 1) / 2, h = (height + 1) / 2;
	/* Exact sizes, so that a sanitizer sees a step beyond. */
	scope_free uint8_t *a = malloc(count * bytes), *b = two ? malloc(count * bytes) : NULL;
	scope_free uint8_t *to = malloc(w * h * samples * bytes);
	bool fine = true;

	fill(type, a, count);
	if (b)
		fill(type, b, count);
	shrink_slices(type, samples, width, height, a, b, to);
	for (uint64_t y = 0; y < h; y++)
		for (uint64_t x = 0; x < w; x++)
			for (unsigned s = 0; s < samples; s++) {
				struct box box = box_at(type, samples, width, height, a, b, x, y, s);

				fine = fine && right(type, &box, to + ((y * w + x) * samples + s) * bytes);
			}
	if (!fine)
		fprintf(stderr, "%s x%u %ux%u\n", voxel_name(type), samples, (unsigned)width, (unsigned)height);
	CHECK(fine);
}

static void every_type_and_size(void)
{
	static const unsigned widths[] = { 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65 };
	static const unsigned heights[] = { 1, 2, 3, 6, 9 };
	static const unsigned samples[] = { 1, 2, 3, 4 };

	for (unsigned type = VOXEL_U8; type < VOXEL_TYPES; type++)
		for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
			for (size_t h = 0; h < sizeof heights / sizeof *heights; h++)
				for (size_t s = 0; s < 4; s++)
					for (int two = 0; two < 2; two++)
						check_one(type, samples[s], widths[w], heights[h], two);
}

/* Halves go up, below zero too; the largest numbers do not overflow. */
static void known_answers(void)
{
	int16_t halves[] = { -1, -2, -2, -1 }, half; /* -1.5 */
	uint64_t large[] = { ~0ULL, ~0ULL, ~0ULL, ~0ULL }, l;
	int64_t low[] = { INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN + 1 }, m;
	float alone = -0.0F, f = 1;

	shrink_slices(VOXEL_I16, 1, 2, 2, halves, NULL, &half);
	CHECK(half == -1);
	shrink_slices(VOXEL_U64, 1, 2, 2, large, large, &l);
	CHECK(l == ~0ULL);
	shrink_slices(VOXEL_I64, 1, 2, 2, low, low, &m);
	CHECK(m == INT64_MIN);
	shrink_slices(VOXEL_F32, 1, 1, 1, &alone, NULL, &f);
	CHECK(f == 0 && signbit(f));
}

int main(void)
{
	every_type_and_size();
	known_answers();
	return check_done();
}
