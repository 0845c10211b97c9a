#include "store/planes.h"

#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* vectorise */
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))

enum { HOST_BIG_ENDIAN = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__, LOOKED_AT = 4096 /* pixels */ };

bool planes_valid(const struct planes *planes, const struct prediction *type)
{
	if (planes->samples <= 1 || type->order == ORDER_FLOAT)
		return !planes->differences;
	return !(planes->differences & 1) && (planes->samples >= PLANES_DIFFERENT || !(planes->differences >> planes->samples));
}

/* ---- the places of samples ---- */

/* Of one plane; stride: samples of a pixel. */
static ALWAYS_INLINE void pick(const uint8_t *from, size_t stride, size_t count, size_t width, uint8_t *restrict to)
{
	for (size_t i = 0; i < count; i++)
		memcpy(to + i * width, from + i * stride * width, width);
}

static ALWAYS_INLINE void place(const uint8_t *from, size_t stride, size_t count, size_t width, uint8_t *restrict to)
{
	for (size_t i = 0; i < count; i++)
		memcpy(to + i * stride * width, from + i * width, width);
}

/* All planes of a pixel at once: for few of them. */
static ALWAYS_INLINE void place_all(const uint8_t *from, size_t stride, size_t count, size_t width, uint8_t *restrict to)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < stride; k++)
			memcpy(to + (i * stride + k) * width, from + (k * count + i) * width, width);
}

static ALWAYS_INLINE void interleave(const uint8_t *from, size_t samples, size_t count, size_t width, uint8_t *to)
{
	if (samples == 2)
		place_all(from, 2, count, width, to);
	else if (samples == 3)
		place_all(from, 3, count, width, to);
	else if (samples == 4)
		place_all(from, 4, count, width, to);
	else
		for (size_t k = 0; k < samples; k++)
			place(from + k * count * width, samples, count, width, to + k * width);
}

static ALWAYS_INLINE void deinterleave(const uint8_t *from, size_t samples, size_t count, size_t width, uint8_t *to)
{
	for (size_t k = 0; k < samples; k++, from += width, to += count * width) {
		if (samples == 3)
			pick(from, 3, count, width, to);
		else
			pick(from, samples, count, width, to);
	}
}

/* ---- differences ---- */

static ALWAYS_INLINE uint32_t sample_at(const uint8_t *from, size_t width, bool swapped)
{
	uint16_t two;
	uint32_t four;

	if (width == 1)
		return *from;
	if (width == 2) {
		memcpy(&two, from, sizeof two);
		return swapped ? __builtin_bswap16(two) : two;
	}
	memcpy(&four, from, sizeof four);
	return swapped ? __builtin_bswap32(four) : four;
}

static ALWAYS_INLINE void sample_put(uint8_t *to, uint32_t v, size_t width, bool swapped)
{
	uint16_t two = (uint16_t)(swapped ? __builtin_bswap16((uint16_t)v) : v);
	uint32_t four = swapped ? __builtin_bswap32(v) : v;

	if (width == 1)
		*to = (uint8_t)v;
	else if (width == 2)
		memcpy(to, &two, sizeof two);
	else
		memcpy(to, &four, sizeof four);
}

/* Samples plus others of which `times` each, plus zero: 1 or, modulo 2^32, -1. */
static ALWAYS_INLINE void add(uint8_t *restrict to, const uint8_t *other, uint32_t times, uint32_t zero, size_t count,
			      size_t width, bool swapped)
{
	for (size_t i = 0; i < count * width; i += width)
		sample_put(to + i, sample_at(to + i, width, swapped) + times * sample_at(other + i, width, swapped) + zero,
			   width, swapped);
}

/* What a difference of 0 is, so that in their order small differences of either sign are neighbours. */
static uint32_t zero_of(const struct prediction *type)
{
	return type->order == ORDER_UNSIGNED ? UINT32_C(1) << (8 * type->width - 1) : 0;
}

static void add_plane(const struct prediction *type, uint8_t *planes, size_t k, bool less, size_t count)
{
	uint8_t *to = planes + k * count * type->width;
	const uint8_t *other = to - count * type->width;
	uint32_t zero = zero_of(type), times = less ? UINT32_MAX : 1;
	bool swapped = type->big_endian != HOST_BIG_ENDIAN;

	if (type->width == 1)
		add(to, other, times, zero, count, 1, false);
	else if (type->width == 2 && swapped)
		add(to, other, times, zero, count, 2, true);
	else if (type->width == 2)
		add(to, other, times, zero, count, 2, false);
	else if (swapped)
		add(to, other, times, zero, count, 4, true);
	else
		add(to, other, times, zero, count, 4, false);
}

static bool is_difference(const struct planes *planes, size_t k)
{
	return k < PLANES_DIFFERENT && planes->differences >> k & 1;
}

/* ---- all ---- */

void planes_split(const struct planes *planes, const struct prediction *type, const uint8_t *pixels, size_t count, uint8_t *to)
{
	size_t samples = planes->samples > 1 ? planes->samples : 1, each = count / samples, done = each * samples * type->width;

	if (type->width == 1)
		deinterleave(pixels, samples, each, 1, to);
	else if (type->width == 2)
		deinterleave(pixels, samples, each, 2, to);
	else
		deinterleave(pixels, samples, each, 4, to);
	memcpy(to + done, pixels + done, count * type->width - done);
	for (size_t k = samples; k-- > 1;)
		if (is_difference(planes, k))
			add_plane(type, to, k, true, each);
}

void planes_merge(const struct planes *planes, const struct prediction *type, uint8_t *from, size_t count, uint8_t *pixels)
{
	size_t samples = planes->samples > 1 ? planes->samples : 1, each = count / samples, done = each * samples * type->width;

	for (size_t k = 1; k < samples; k++)
		if (is_difference(planes, k))
			add_plane(type, from, k, false, each);
	if (type->width == 1)
		interleave(from, samples, each, 1, pixels);
	else if (type->width == 2)
		interleave(from, samples, each, 2, pixels);
	else
		interleave(from, samples, each, 4, pixels);
	memcpy(pixels + done, from + done, count * type->width - done);
}

/* ---- which are differences ---- */

/* How far v is from 0, modulo 2^bits. */
static uint32_t distance(uint32_t v, unsigned bits)
{
	int32_t top = (int32_t)(v << (32 - bits)) >> (32 - bits);

	return top < 0 ? 0 - (uint32_t)top : (uint32_t)top;
}

uint8_t planes_differences(unsigned samples, const struct prediction *type, const uint8_t *pixels, size_t count)
{
	size_t width = type->width, pixel = samples * width, each = count / samples, step = each / LOOKED_AT + 1;
	unsigned most = samples < PLANES_DIFFERENT ? samples : PLANES_DIFFERENT, found = 0;
	bool swapped = type->big_endian != HOST_BIG_ENDIAN;

	if (type->order == ORDER_FLOAT)
		return 0;
	for (size_t k = 1; k < most; k++) {
		uint64_t own = 0, different = 0;

		for (size_t i = 1; i < each; i += step) {
			const uint8_t *at = pixels + i * pixel + k * width, *left = at - pixel;
			uint32_t v = sample_at(at, width, swapped) - sample_at(left, width, swapped);
			uint32_t before = sample_at(at - width, width, swapped) - sample_at(left - width, width, swapped);

			own += distance(v, 8 * type->width);
			different += distance(v - before, 8 * type->width);
		}
		found |= (unsigned)(different < own) << k;
	}
	return (uint8_t)found;
}
