/* Predictions: exact inverses for any bytes, the same bytes from every code, weights that suit the data. */
#include "store/predict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/scope.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"

/* ---- the definition (FORMAT.md), one sample at a time ---- */

static uint64_t bits_at(const struct prediction *p, const uint8_t *bytes, size_t index)
{
	uint64_t v = 0;

	for (size_t k = 0; k < p->width; k++)
		v |= (uint64_t)bytes[index * p->width + (p->big_endian ? p->width - 1u - k : k)] << (8 * k);
	return v;
}

static int64_t level_of(const struct prediction *p, uint64_t bits)
{
	int64_t half = INT64_C(1) << (8 * p->width - 1), v = (int64_t)bits;

	if (p->order == ORDER_FLOAT)
		return v < half ? v : half - 1 - v;
	if (p->order == ORDER_SIGNED)
		v = v < half ? v + half : v - half;
	return p->width == 1 ? v : v - half;
}

struct slow {
	const struct prediction *p;
	const uint8_t *bytes;
	size_t row;
	int64_t y;
};

/* Level in row y and column x; what is beside the image is in FORMAT.md. */
static int64_t at(const struct slow *s, int64_t y, int64_t x)
{
	if (x < 0) {
		y = y == s->y ? y - 1 : y;
		x = 0;
	}
	if (x == (int64_t)s->row)
		x--;
	if (y < 0)
		y = 0;
	return level_of(s->p, bits_at(s->p, s->bytes, (size_t)y * s->row + (size_t)x));
}

static int64_t floor_shift(int64_t v, int by)
{
	return v >= 0 ? v >> by : -((-v + (INT64_C(1) << by) - 1) >> by);
}

static int64_t expected(const struct slow *s, int64_t y, int64_t x)
{
	int64_t v[PREDICT_TAPS] = { at(s, y, x - 1),	 at(s, y, x - 2),     at(s, y - 1, x - 1), at(s, y - 1, x + 1),
				    at(s, y - 2, x), at(s, y - 2, x - 1), at(s, y - 1, x - 2) };
	int64_t n = at(s, y - 1, x), sum = 0, low = n, high = n, e;

	for (int k = 0; k < PREDICT_TAPS; k++) {
		int64_t d = v[k] - n;

		if (s->p->width == 4) {
			d = floor_shift((int32_t)(uint32_t)(uint64_t)d, s->p->shift);
			d = d < INT16_MIN ? INT16_MIN : d > INT16_MAX ? INT16_MAX : d;
		}
		sum += s->p->weight[k] * d;
	}
	e = n + floor_shift(sum, 12 - s->p->shift);
	if (s->p->width == 4)
		e = (int32_t)(uint32_t)(uint64_t)e;
	for (int k = 0; k <= TAP_NE; k += TAP_NE) { /* W and NE */
		low = v[k] < low ? v[k] : low;
		high = v[k] > high ? v[k] : high;
	}
	return e < low ? low : e > high ? high : e;
}

static void apply_slowly(const struct prediction *p, const uint8_t *bytes, size_t count, uint8_t *residuals)
{
	struct slow s = { p, bytes, p->row < count ? p->row : count, 0 };
	uint64_t mask = (UINT64_C(1) << 8 * p->width) - 1, half = mask / 2 + 1;

	for (size_t i = 0; i < count; i++) {
		int64_t x = (int64_t)(i % s.row), e;
		uint64_t d, z;
		uint8_t z8;
		uint16_t z16;
		uint32_t z32;

		s.y = (int64_t)(i / s.row);
		e = s.y ? expected(&s, s.y, x) : x ? at(&s, 0, x - 1) : level_of(p, 0);
		d = (uint64_t)(at(&s, s.y, x) - e) & mask;
		z = d < half ? 2 * d : 2 * (mask - d) + 1;
		z8 = (uint8_t)z;
		z16 = (uint16_t)z;
		z32 = (uint32_t)z;
		memcpy(residuals + i * p->width, p->width == 1 ? (void *)&z8 : p->width == 2 ? (void *)&z16 : (void *)&z32,
		       p->width);
	}
}

/* ---- every code against it ---- */

enum { LEN = 4097 * 4 };

static uint8_t *residuals, *slow_residuals, *back;

static bool same_with(enum predict_code code, const struct prediction *p, const uint8_t *bytes, size_t count)
{
	size_t len = count * p->width;

	if (!predict_use(code))
		return true;
	memset(back, 0xa5, len + 1);
	CHECK_RC(predict_apply(p, bytes, count, residuals));
	if (memcmp(residuals, slow_residuals, len) != 0)
		return false;
	CHECK_RC(predict_undo(p, residuals, count, back));
	return memcmp(back, bytes, len) == 0 && back[len] == 0xa5;
}

static void test_prediction(const struct prediction *p, const uint8_t *bytes, size_t count)
{
	bool same = true;

	CHECK(predict_valid(p));
	apply_slowly(p, bytes, count, slow_residuals);
	for (int code = PREDICT_PORTABLE; code <= PREDICT_AVX2 && same; code++) {
		same = same_with((enum predict_code)code, p, bytes, count);
		if (!same)
			fprintf(stderr, "code %d width %d order %d/%d row %u shift %d, %zu samples\n", code, p->width,
				p->big_endian, p->order, p->row, p->shift, count);
	}
	CHECK(same);
}

/* Random weights, often at the limit of what is allowed. */
static struct prediction random_prediction(uint64_t *seed, unsigned width)
{
	static const uint32_t rows[] = { 1, 2, 3, 7, 16, 33, 63, 64, 65, 71, 100, 129, 333, 1000, 5000 };
	struct prediction p = { .width = (uint8_t)width };
	int limit = random_below(seed, 2) ? 700 : 32767;

	p.big_endian = (uint8_t)random_below(seed, 2);
	p.order = (uint8_t)random_below(seed, width == 4 ? 3 : 2);
	p.shift = (uint8_t)(width == 4 ? random_below(seed, 13) : 0);
	p.row = rows[random_below(seed, sizeof rows / sizeof *rows)];
	do {
		for (int k = 0; k < PREDICT_TAPS; k++)
			p.weight[k] = (int16_t)((int)random_below(seed, 2 * (uint64_t)limit) - limit);
		limit = limit * 3 / 4;
	} while (!predict_valid(&p));
	return p;
}

static void fill_walk(uint8_t *to, size_t len)
{
	uint64_t seed = 3;
	uint16_t v = 60000;

	for (size_t i = 0; i + 1 < len; i += 2) {
		v = (uint16_t)(v + random_below(&seed, 41) - 20);
		to[i] = (uint8_t)v;
		to[i + 1] = (uint8_t)(v >> 8);
	}
}

/* Any bytes, a walk around the end of the range, and only the ends of the range. */
static void fill(unsigned kind, uint8_t *to, size_t len)
{
	random_fill(to, len, kind);
	if (kind == 1)
		fill_walk(to, len);
	if (kind == 2)
		for (size_t i = 0; i < len; i++)
			to[i] = to[i] & 1 ? 0xff : to[i] & 2 ? 0x80 : to[i] & 4 ? 0x7f : 0;
}

static void test_lengths(void)
{
	scope_free uint8_t *bytes = malloc(LEN + 4);
	bool all = getenv("LONG");
	uint64_t seed = 11;

	for (unsigned kind = 0; kind < 3; kind++) {
		fill(kind, bytes, LEN + 4);
		for (unsigned width = 1; width <= 4; width *= 2)
			for (size_t count = 0; count <= 4097; count += all ? 1 : 1 + random_below(&seed, 150)) {
				struct prediction p = random_prediction(&seed, width);

				test_prediction(&p, bytes + random_below(&seed, 4), count);
			}
	}
}

/* Groups of rows in the vector code: every number of rows, with and without a part of one. */
static void test_rows(void)
{
	static uint8_t bytes[64 * 70 * 4];
	uint64_t seed = 12;

	random_fill(bytes, sizeof bytes, 5);
	for (unsigned width = 1; width <= 4; width *= 2)
		for (size_t rows = 1; rows <= 50; rows++) {
			struct prediction p = random_prediction(&seed, width);

			p.row = 64 + (uint32_t)random_below(&seed, 6);
			test_prediction(&p, bytes, rows * p.row + random_below(&seed, 2) * 13);
		}
}

static void test_valid(void)
{
	static const struct prediction bad[] = {
		{ .width = 0, .row = 1 },
		{ .width = 3, .row = 1 },
		{ .width = 8, .row = 1 },
		{ .width = 2, .row = 0 },
		{ .width = 2, .row = 1, .big_endian = 2 },
		{ .width = 2, .row = 1, .order = ORDER_FLOAT },
		{ .width = 4, .row = 1, .order = 3 },
		{ .width = 2, .row = 1, .shift = 1 },
		{ .width = 4, .row = 1, .shift = 13 },
		{ .width = 2, .row = 1, .weight = { 18432, 0 } },
		{ .width = 2, .row = 1, .weight = { -32768, 0 } },
		{ .width = 2, .row = 1, .weight = { 20000, -20000 } },
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(!predict_valid(&bad[i]));
}

/* Fixed by the format. */
static void test_bytes(void)
{
	static const uint8_t from[] = { 0x01, 0x10, 0x01, 0x12, 0x01, 0x0f, 0x01, 0x14, 0x01, 0x10, 0x01, 0x11 };
	static const uint16_t to[] = { 0x220, 4, 5, 8, 3, 2 };
	struct prediction p = { .width = 2, .big_endian = 1, .row = 3, .weight = { 2048, 0, 1024 } };

	for (int code = PREDICT_PORTABLE; code <= PREDICT_AVX2; code++)
		if (predict_use((enum predict_code)code)) {
			CHECK_RC(predict_apply(&p, from, 6, residuals));
			CHECK(memcmp(residuals, to, sizeof to) == 0);
		}
}

/* ---- the fit ---- */

static void test_fit_any(void)
{
	scope_free uint8_t *bytes = malloc(LEN);
	uint64_t seed = 13;

	for (int i = 0; i < 300; i++) {
		unsigned width = 1u << random_below(&seed, 3);
		struct prediction p = random_prediction(&seed, width);
		double bits;

		if (i % 3 == 0)
			fill(i % 9 / 3, bytes, LEN);
		bits = predict_fit(&p, bytes, random_below(&seed, LEN / width));
		CHECK(predict_valid(&p) && bits >= 0 && bits < 40);
	}
}

/* A plane, with noise that the mean of many neighbours hides best. */
static void test_fit_plane(void)
{
	enum { ROW = 200, ROWS = 100 };
	scope_free int16_t *v = malloc(ROW * ROWS * sizeof *v);
	struct prediction p = { .width = 2, .row = ROW };
	uint64_t seed = 14;
	int sum = 0;
	double bits;

	for (int i = 0; i < ROW * ROWS; i++)
		v[i] = (int16_t)(i % ROW - i / ROW + (int)random_below(&seed, 64) - 40);
	bits = predict_fit(&p, (const uint8_t *)v, ROW * ROWS);
	CHECK(p.order == ORDER_SIGNED);
	CHECK(bits > 5 && bits < 7.2); /* the noise has 6 */
	for (int k = 0; k < PREDICT_TAPS; k++)
		sum += p.weight[k] > PREDICT_UNIT / 16;
	CHECK(sum >= 4);
}

int main(void)
{
	residuals = aligned_alloc(64, (LEN + PREDICT_SLACK + 127) / 64 * 64);
	slow_residuals = malloc(LEN);
	back = malloc(LEN + 64);
	test_valid();
	test_bytes();
	test_lengths();
	test_rows();
	test_fit_any();
	test_fit_plane();
	free(residuals);
	free(slow_residuals);
	free(back);
	return check_done();
}
