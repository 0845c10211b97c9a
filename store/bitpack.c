#include "store/bitpack.h"

#include <endian.h>
#include <pthread.h>

#define LOOPS portable
#define BITPACK_EIGHT "store/bitpack_eight.h"
#include "store/bitpack_loops.h"

enum {
	ROW_MIN = 64,	  /* samples; shorter rows are not worth a look above */
	PLACES = 24,	  /* looked at by bitpack_fit() */
	PLACE = 96,	  /* samples of each */
	HOST_BIG_ENDIAN = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__,
};

static const struct bitpack_loops *fastest = &portable;
static pthread_once_t fastest_once = PTHREAD_ONCE_INIT;
static bool only_portable;

void bitpack_use_vectors(bool use)
{
	only_portable = !use;
}

static void find_fastest(void)
{
	const struct bitpack_loops *avx2 = bitpack_loops_avx2();

	if (avx2)
		fastest = avx2;
}

static const struct bitpack_loops *the_loops(void)
{
	pthread_once(&fastest_once, find_fastest);
	return only_portable ? &portable : fastest;
}

bool bitpack_valid(const struct bitpack *b)
{
	size_t row;

	if (b->sample_bytes != 1 && b->sample_bytes != 2 && b->sample_bytes != 4)
		return false;
	row = b->row_bytes / b->sample_bytes;
	return b->predictor < BITPACK_PREDICTORS && b->big_endian <= 1 && b->is_float <= (b->sample_bytes == 4) && b->step >= 1 &&
	       b->step <= BITPACK_STEP_MAX && b->shift < 8 * b->sample_bytes &&
	       (b->predictor <= BITPACK_LEFT || (row >= ROW_MIN && b->row_bytes % b->sample_bytes == 0));
}

size_t bitpack_blocks(const struct bitpack *b, size_t len)
{
	return (len / b->sample_bytes + BITPACK_BLOCK - 1) / BITPACK_BLOCK;
}

/* ---- samples as they are predicted: in the machine's order, without the bits that are zero, floats in order ---- */

static bool as_they_lie(const struct bitpack *b)
{
	return (b->sample_bytes == 1 || b->big_endian == HOST_BIG_ENDIAN) && !b->shift && !b->is_float;
}

static uint32_t ordered(uint32_t x, unsigned bits)
{
	uint32_t top = 1u << (bits - 1);

	return x & top ? x ^ (top | (top - 1)) : x | top;
}

static uint32_t unordered(uint32_t x, unsigned bits)
{
	uint32_t top = 1u << (bits - 1);

	return x & top ? x ^ top : x ^ (top | (top - 1));
}

static void samples_in(const struct bitpack *b, const uint8_t *restrict from, size_t count, uint8_t *restrict to)
{
	bool swap = b->big_endian != HOST_BIG_ENDIAN, is_float = b->is_float;
	unsigned shift = b->shift;

	if (b->sample_bytes == 1) {
		for (size_t i = 0; i < count; i++)
			to[i] = (uint8_t)(from[i] >> shift);
	} else if (b->sample_bytes == 2) {
		for (size_t i = 0; i < count; i++) {
			uint16_t x = ((const any_16 *)from)[i];

			x = swap ? __builtin_bswap16(x) : x;
			((any_16 *)to)[i] = (uint16_t)(x >> shift);
		}
	} else {
		for (size_t i = 0; i < count; i++) {
			uint32_t x = ((const any_32 *)from)[i];

			x = (swap ? __builtin_bswap32(x) : x) >> shift;
			((any_32 *)to)[i] = is_float ? ordered(x, 32u - shift) : x;
		}
	}
}

/* In place. */
static void samples_out(const struct bitpack *b, uint8_t *x, size_t count)
{
	bool swap = b->big_endian != HOST_BIG_ENDIAN, is_float = b->is_float;
	unsigned shift = b->shift;

	if (b->sample_bytes == 1) {
		for (size_t i = 0; i < count; i++)
			x[i] = (uint8_t)(x[i] << shift);
	} else if (b->sample_bytes == 2) {
		for (size_t i = 0; i < count; i++) {
			uint16_t v = (uint16_t)(((any_16 *)x)[i] << shift);

			((any_16 *)x)[i] = swap ? __builtin_bswap16(v) : v;
		}
	} else {
		for (size_t i = 0; i < count; i++) {
			uint32_t v = ((any_32 *)x)[i];

			v = (is_float ? unordered(v, 32u - shift) : v) << shift;
			((any_32 *)x)[i] = swap ? __builtin_bswap32(v) : v;
		}
	}
}

/* ---- which prediction ---- */

/* Any bit that is set somewhere in count samples, in the machine's order. */
static uint32_t bits_used(const struct bitpack *b, const uint8_t *from, size_t count)
{
	typedef uint64_t any_64 __attribute__((aligned(1), may_alias));
	uint64_t any = 0, v;
	size_t len = count * b->sample_bytes, at;

	for (size_t i = 0; i < len / 8; i++)
		any |= ((const any_64 *)from)[i];
	for (v = 0, at = len / 8 * 8; at < len; at++)
		((uint8_t *)&v)[at % 8] = from[at];
	any |= v;
	any |= any >> 32;
	if (b->sample_bytes < 4)
		any |= any >> 16;
	if (b->sample_bytes < 2)
		return (uint8_t)(any | any >> 8);
	if (b->sample_bytes == 2)
		return b->big_endian != HOST_BIG_ENDIAN ? __builtin_bswap16((uint16_t)any) : (uint16_t)any;
	return b->big_endian != HOST_BIG_ENDIAN ? __builtin_bswap32((uint32_t)any) : (uint32_t)any;
}

/* A piece of the chunk as a picture of two rows: what is above the samples, and they; with a pixel on each side. */
struct place {
	uint32_t samples[2 * (PLACE + 2 * BITPACK_STEP_MAX)];
	size_t row; /* samples */
	size_t at;  /* of the first sample in question */
};

static void place_at(const struct bitpack *b, const uint8_t *bytes, size_t row, size_t at, struct place *p)
{
	size_t from = at - b->step, size = b->sample_bytes;

	p->row = PLACE + 2u * b->step;
	p->at = (row ? p->row : 0) + b->step;
	if (row)
		samples_in(b, bytes + (from - row) * size, p->row, (uint8_t *)p->samples);
	samples_in(b, bytes + from * size, PLACE + b->step, (uint8_t *)p->samples + (row ? p->row * size : 0));
}

static size_t row_to_look_at(const struct bitpack *b, size_t count)
{
	size_t row = b->row_bytes / b->sample_bytes;

	return row >= ROW_MIN && b->row_bytes % b->sample_bytes == 0 && count >= 2 * row + 2 * BITPACK_STEP_MAX + PLACE ? row : 0;
}

static void find_shift(struct bitpack *b, const uint8_t *bytes, size_t count)
{
	uint32_t used;

	b->shift = 0;
	used = bits_used(b, bytes, count < 4096 ? count : 4096);
	if (used & 1)
		return;
	used = bits_used(b, bytes, count);
	if (used)
		b->shift = (uint8_t)__builtin_ctz(used);
}

double bitpack_fit(struct bitpack *b, const uint8_t *bytes, size_t len)
{
	size_t count = len / b->sample_bytes, row = row_to_look_at(b, count), first = row + b->step;
	unsigned last = row ? BITPACK_PREDICTORS : BITPACK_LEFT + 1;
	double cost[BITPACK_PREDICTORS] = { 0 };
	unsigned best = BITPACK_NONE;

	find_shift(b, bytes, count);
	b->predictor = BITPACK_LEFT;
	if (count < first + b->step + PLACE)
		return 8.0 * b->sample_bytes;
	for (size_t i = 0; i < PLACES; i++) {
		size_t room = count - PLACE - b->step - first;
		struct place p;

		place_at(b, bytes, row, first + room / PLACES * i + room / PLACES / 2, &p);
		for (b->predictor = 0; b->predictor < last; b->predictor++)
			cost[b->predictor] += the_loops()->cost[b->sample_bytes](
				b, (uint8_t *)p.samples + p.at * b->sample_bytes, p.row, PLACE);
	}
	for (unsigned k = 1; k < last; k++)
		if (cost[k] < cost[best])
			best = k;
	b->predictor = (uint8_t)best;
	return cost[best] * 8 / (PLACES * PLACE);
}

/* ---- chunks ---- */

size_t bitpack_pack(const struct bitpack *b, const uint8_t *bytes, size_t len, uint8_t *widths, uint8_t *packed, uint8_t *scratch)
{
	size_t count = len / b->sample_bytes;

	if (!as_they_lie(b)) {
		samples_in(b, bytes, count, scratch);
		bytes = scratch;
	}
	return the_loops()->pack[b->sample_bytes](b, bytes, count, widths, packed);
}

size_t bitpack_pack_widths(const uint8_t *widths, size_t blocks, uint8_t *to)
{
	return the_loops()->pack_widths(widths, blocks, to);
}

size_t bitpack_unpack_widths(const uint8_t *from, size_t from_len, uint8_t *widths, size_t blocks)
{
	return the_loops()->unpack_widths(from, from_len, widths, blocks);
}

size_t bitpack_size(const struct bitpack *b, const uint8_t *widths, size_t blocks)
{
	size_t sum = 0;
	unsigned most = 0;

	for (size_t i = 0; i < blocks; i++) {
		sum += widths[i];
		most = widths[i] > most ? widths[i] : most;
	}
	return most <= 8u * b->sample_bytes ? sum : SIZE_MAX;
}

void bitpack_unpack(const struct bitpack *b, const uint8_t *widths, const uint8_t *packed, size_t packed_len, uint8_t *bytes,
		    size_t len)
{
	size_t count = len / b->sample_bytes;

	the_loops()->unpack[b->sample_bytes](b, widths, packed, packed + packed_len, bytes, count);
	if (!as_they_lie(b))
		samples_out(b, bytes, count);
}

bool bitpack_matches(const struct bitpack *b, const uint8_t *widths, const uint8_t *packed, size_t packed_len,
		     const uint8_t *bytes, size_t len, uint8_t *scratch)
{
	if (as_they_lie(b))
		return the_loops()->matches[b->sample_bytes](b, widths, packed, packed + packed_len, bytes, len / b->sample_bytes);
	bitpack_unpack(b, widths, packed, packed_len, scratch, len);
	return memcmp(scratch, bytes, len - len % b->sample_bytes) == 0;
}
