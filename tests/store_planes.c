/* Pixels as planes: by their definition, and an exact inverse for any bytes. */
#include "store/planes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"
#include "tests/lib/random.h"

enum { LEN = 12000 };

static uint32_t sample_at(const struct prediction *type, const uint8_t *bytes, size_t index)
{
	uint32_t v = 0;

	for (size_t k = 0; k < type->width; k++)
		v |= (uint32_t)bytes[index * type->width + (type->big_endian ? type->width - 1u - k : k)] << (8 * k);
	return v;
}

/* As FORMAT.md says it. */
static void check_planes(const struct planes *planes, const struct prediction *type, const uint8_t *pixels, size_t count,
			 const uint8_t *split)
{
	size_t samples = planes->samples > 1 ? planes->samples : 1, each = count / samples;
	uint32_t mask = type->width == 4 ? UINT32_MAX : (1u << 8 * type->width) - 1;
	uint32_t half = type->order == ORDER_UNSIGNED ? mask / 2 + 1 : 0;
	bool right = true;

	for (size_t i = 0; i < each; i++)
		for (size_t k = 0; k < samples; k++) {
			uint32_t expected = sample_at(type, pixels, i * samples + k);

			if (k < 8 && planes->differences >> k & 1)
				expected += half - sample_at(type, pixels, i * samples + k - 1);
			right &= sample_at(type, split, k * each + i) == (expected & mask);
		}
	for (size_t i = each * samples; i < count; i++)
		right &= sample_at(type, split, i) == sample_at(type, pixels, i);
	CHECK(right);
}

static void test_round_trip(const struct planes *planes, const struct prediction *type, const uint8_t *pixels, size_t count)
{
	uint8_t split[LEN + 1], back[LEN + 1];
	size_t len = count * type->width;

	split[len] = back[len] = 0xa5;
	planes_split(planes, type, pixels, count, split);
	check_planes(planes, type, pixels, count, split);
	planes_merge(planes, type, split, count, back);
	CHECK(memcmp(back, pixels, len) == 0 && split[len] == 0xa5 && back[len] == 0xa5);
}

static void test_round_trips(void)
{
	static const uint8_t samples[] = { 0, 1, 2, 3, 4, 5, 8, 9, 255 };
	static const size_t counts[] = { 0, 1, 2, 3, 7, 64, 255, 1000, 2999 };
	uint8_t pixels[LEN];
	uint64_t seed = 1;

	random_fill(pixels, sizeof pixels, 2);
	for (unsigned i = 0; i < 12; i++)
		for (size_t s = 0; s < sizeof samples; s++)
			for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
				struct prediction type = { .width = (uint8_t)(1 << i % 3), .big_endian = i / 3 % 2,
							   .order = (uint8_t)(i / 6) };
				struct planes planes = { samples[s], 0 };

				test_round_trip(&planes, &type, pixels, counts[n]);
				do
					planes.differences = (uint8_t)random_next(&seed);
				while (!planes_valid(&planes, &type) && samples[s] > 2);
				if (planes_valid(&planes, &type))
					test_round_trip(&planes, &type, pixels, counts[n]);
			}
}

static void test_valid(void)
{
	struct prediction number = { .width = 4 }, real = { .width = 4, .order = ORDER_FLOAT };

	CHECK(planes_valid(&(struct planes) { 3, 6 }, &number) && !planes_valid(&(struct planes) { 3, 6 }, &real));
	CHECK(planes_valid(&(struct planes) { 3, 0 }, &real) && planes_valid(&(struct planes) { 255, 0xfe }, &number));
	CHECK(!planes_valid(&(struct planes) { 3, 1 }, &number) && !planes_valid(&(struct planes) { 3, 8 }, &number));
	CHECK(!planes_valid(&(struct planes) { 1, 2 }, &number) && !planes_valid(&(struct planes) { 0, 2 }, &number));
	CHECK(planes_valid(&(struct planes) { 8, 0x80 }, &number) && !planes_valid(&(struct planes) { 7, 0x80 }, &number));
}

/* Red, green and blue alike, and opacity that is everywhere the same: a difference would not be. */
static void test_differences(void)
{
	struct prediction type = { .width = 2, .big_endian = 1 };
	uint8_t pixels[LEN];
	uint64_t seed = 3;

	for (size_t i = 0; i < LEN; i += 8) {
		unsigned grey = (unsigned)random_below(&seed, 60000);

		for (size_t k = 0; k < 4; k++) {
			unsigned v = k == 3 ? 65535 : grey + (unsigned)random_below(&seed, 100);

			pixels[i + 2 * k] = (uint8_t)(v >> 8);
			pixels[i + 2 * k + 1] = (uint8_t)v;
		}
	}
	CHECK(planes_differences(4, &type, pixels, LEN / 2) == 6);
	CHECK(planes_differences(1, &type, pixels, LEN / 2) == 0 && planes_differences(4, &type, pixels, 0) == 0);
	type = (struct prediction) { .width = 4, .order = ORDER_FLOAT };
	CHECK(planes_differences(2, &type, pixels, LEN / 4) == 0);
	random_fill(pixels, LEN, 4);
	type = (struct prediction) { .width = 1 };
	CHECK(planes_differences(255, &type, pixels, LEN) < 256);
}

int main(void)
{
	test_valid();
	test_round_trips();
	test_differences();
	return check_done();
}
