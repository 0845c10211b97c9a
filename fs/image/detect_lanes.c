/*
 * Which type the samples have. The bytes are taken four at a time ("words"); lane k is byte k of each. Neighbouring
 * pixels have one distribution of values, so lanes that hold the same byte of different pixels look alike and lanes
 * that hold different bytes of one pixel do not: all four alike is 8 bits, alike two and two 16 bits, else 32.
 * Words equal to their predecessor are left out: padding and the inside of labels say nothing, and would drown the
 * rest.
 */
#include "fs/image/detect_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* vectorise */
#endif

enum { BLOCK = 4096, BLOCKS = 256, WORDS_ENOUGH = 1 << 15, WORDS_LEAST = 1024, LOOKS = 1 << 16, CLIP = 4096 };

struct lanes {
	uint32_t words;
	uint32_t count[4][256];
	uint64_t step[4]; /* sum of |byte - next byte| from lane k */
};

static void count_block(const uint8_t *at, size_t len, struct lanes *l)
{
	for (size_t i = 4; i + 8 <= len; i += 4) {
		if (!memcmp(at + i, at + i - 4, 4))
			continue;
		l->words++;
		for (size_t k = 0; k < 4; k++) {
			l->count[k][at[i + k]]++;
			l->step[k] += (uint64_t)abs(at[i + k] - at[i + k + 1]);
		}
	}
}

/* Blocks of the file, the same distance apart. */
static size_t block_start(size_t len, size_t i)
{
	size_t blocks = len / BLOCK;

	return (blocks <= BLOCKS ? i : i * blocks / BLOCKS) * BLOCK;
}

static size_t block_count(size_t len)
{
	return len / BLOCK < BLOCKS ? len / BLOCK : BLOCKS;
}

/* 0: one distribution, 2: nothing in common. pair: lanes are summed as (a) and (b) bit sets. */
static double unlike(const struct lanes *l, unsigned a, unsigned b)
{
	double sum = 0, na = __builtin_popcount(a), nb = __builtin_popcount(b);

	for (size_t v = 0; v < 256; v++) {
		double x = 0, y = 0;

		for (size_t k = 0; k < 4; k++) {
			x += a >> k & 1 ? l->count[k][v] : 0;
			y += b >> k & 1 ? l->count[k][v] : 0;
		}
		sum += fabs(x / na - y / nb);
	}
	return sum / l->words;
}

static double entropy(const struct lanes *l, size_t lane)
{
	double bits = 0;

	for (size_t v = 0; v < 256; v++)
		if (l->count[lane][v])
			bits -= l->count[lane][v] * log2((double)l->count[lane][v] / l->words);
	return bits / l->words;
}

enum { HOST_BIG_ENDIAN = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ };

static inline uint32_t word_at(const uint8_t *at, bool big_endian)
{
	uint32_t v;

	memcpy(&v, at, sizeof v);
	return big_endian == HOST_BIG_ENDIAN ? v : __builtin_bswap32(v);
}

static inline uint16_t half_at(const uint8_t *at, bool big_endian)
{
	uint16_t v;

	memcpy(&v, at, sizeof v);
	return big_endian == HOST_BIG_ENDIAN ? v : __builtin_bswap16(v);
}

/*
 * Share of the changed words that are a number somebody would measure, as float: 0 or 2^-40 to 2^40 (attenuation per
 * metre, Hounsfield, counts). Bytes of another kind have any of the 256 exponents, a third of which lie inside.
 */
static double float_share(const uint8_t *bytes, size_t len, bool big_endian)
{
	uint32_t words = 0, good = 0, zero = 0;

	for (size_t b = 0; b < block_count(len); b++) {
		const uint8_t *at = bytes + block_start(len, b);

		for (size_t i = 4; i < BLOCK; i += 4) {
			uint32_t v = word_at(at + i, big_endian), exponent = v >> 23 & 0xff;

			if (!memcmp(at + i, at + i - 4, 4))
				continue;
			words++;
			zero += !(v << 1);
			good += !(v << 1) || (exponent >= 127 - 40 && exponent <= 127 + 40);
		}
	}
	/* Both 0 and 1 occur at the edges of a mask, so half of the changed words may be 0; nearly all may not. */
	return zero > words / 4 * 3 ? 0 : (double)good / words;
}

/* Mean of log2(1 + 4 |difference|) of neighbours that differ, as 16-bit numbers: what it would cost to store them. */
static double half_cost(const uint8_t *bytes, size_t len, bool big_endian, bool is_signed)
{
	double sum = 0;
	size_t n = 0;
	int32_t flip = is_signed ? 0x8000 : 0;

	for (size_t b = 0; b < block_count(len); b += 4) {
		const uint8_t *at = bytes + block_start(len, b);

		for (size_t i = 2; i < BLOCK; i += 2) {
			int32_t d = (half_at(at + i, big_endian) ^ flip) - (half_at(at + i - 2, big_endian) ^ flip);

			n += d != 0;
			sum += 31 - __builtin_clz(1 + (unsigned)abs(d) * 4);
		}
	}
	return n ? sum / (double)n : 0;
}

static void choose_half(struct samples *s, size_t len)
{
	double best = INFINITY;

	s->width = 2;
	for (int how = 0; how < 4; how++) { /* little-endian and unsigned unless another is better */
		double cost = half_cost(s->bytes, len, how & 1, how & 2) + 0.02 * how;

		if (cost < best) {
			best = cost;
			s->big_endian = how & 1;
			s->is_signed = how & 2;
		}
	}
}

static bool quieter(double low, double high)
{
	return high < low + 0.05; /* two lanes of noise have the same 8 bits, give or take */
}

/*
 * 32 bits: a float whose exponent lane is quiet, or an integer whose lanes are the quieter the higher they are.
 * Interleaved 16-bit samples of two kinds (odd and even columns of a detector) are neither.
 */
static bool choose_word(struct samples *s, size_t len, const struct lanes *l)
{
	double bits[4], share[2];
	bool little, big;

	for (size_t k = 0; k < 4; k++)
		bits[k] = entropy(l, k);
	for (int be = 0; be < 2; be++)
		share[be] = float_share(s->bytes, len, be);
	little = share[0] > 0.98 && bits[3] <= bits[2];
	big = share[1] > 0.98 && bits[0] <= bits[1];
	s->width = 4;
	s->is_float = little || big;
	if (s->is_float) {
		s->big_endian = big && (!little || bits[0] < bits[3]);
		return true;
	}
	little = quieter(bits[0], bits[1]) && quieter(bits[1], bits[2]) && quieter(bits[2], bits[3]);
	big = quieter(bits[3], bits[2]) && quieter(bits[2], bits[1]) && quieter(bits[1], bits[0]);
	s->big_endian = big && (!little || bits[0] < bits[3]);
	s->is_signed = true;
	return little || big;
}

/*
 * Limits. Histograms of n values drawn from one distribution differ by about 2 sqrt(256 / (pi n)): 0.07 for 64 Ki
 * words, 0.6 for the least that are taken; lanes of 8-bit images were seen to differ by less than that. The high and
 * the low byte of 16-bit pixels differ by 0.5 and more, and the exponent and a mantissa byte by more than 1. Where the
 * bytes of a 16-bit pixel have one distribution (a mask of 0 and 65535, noise cut off at both) they are still nearer to
 * each other than to the next pixel's; those of 8-bit pixels that were interpolated were seen to be nearer by a tenth.
 */
static bool choose_type(struct samples *s, size_t len, const struct lanes *l)
{
	double far = fmax(unlike(l, 1, 4), unlike(l, 2, 8)), near = unlike(l, 1 | 4, 2 | 8);
	double noise = 2 * sqrt(256 / (3.14 * l->words));
	double inside = (double)(l->step[0] + l->step[2]), across = (double)(l->step[1] + l->step[3]);

	if (far > 0.4 + noise && choose_word(s, len, l))
		return true;
	if (near > 0.1 + noise || inside < 0.75 * across)
		choose_half(s, len);
	else
		s->width = 1;
	return true;
}

static float value_at(const struct samples *s, size_t i)
{
	const uint8_t *at = s->bytes + i * s->width;
	uint32_t v;
	float f;

	if (s->width == 1)
		return at[0];
	if (s->width == 2)
		return s->is_signed ? (int16_t)half_at(at, s->big_endian) : half_at(at, s->big_endian);
	v = word_at(at, s->big_endian);
	if (!s->is_float)
		return (float)(int32_t)v;
	memcpy(&f, &v, sizeof f);
	return isfinite(f) ? f : 0;
}

static int by_value(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Values are cut at the 0.5 and 99.5 % quantiles of those that changed: one hot pixel or NaN must not rule the sums. */
static bool choose_scale(struct samples *s)
{
	float *some = malloc(LOOKS * sizeof *some);
	size_t n = 0, stride = s->count / LOOKS + 1;
	float low, high;

	if (!some)
		return false;
	for (size_t i = stride; i < s->count; i += stride) {
		float v = value_at(s, i);

		if (n < LOOKS && v != value_at(s, i - 1))
			some[n++] = v;
	}
	stride = n / CLIP + 1; /* fewer are quicker to sort */
	for (size_t i = 0; i < n; i += stride)
		some[i / stride] = some[i];
	n = (n + stride - 1) / stride;
	if (n < 16) {
		free(some);
		return false;
	}
	qsort(some, n, sizeof *some, by_value);
	low = some[n / 200];
	high = some[n - 1 - n / 200];
	free(some);
	s->low = low;
	s->scale = 1 / (high - low);
	return high > low && isfinite(high - low);
}

bool detect_lanes(const uint8_t *bytes, size_t len, struct samples *s)
{
	struct lanes l = { 0 };

	*s = (struct samples) { .bytes = bytes };
	for (size_t b = 0; b < block_count(len); b++)
		count_block(bytes + block_start(len, b), BLOCK, &l);
	if (l.words < WORDS_ENOUGH) { /* mostly padding: every byte then */
		l = (struct lanes) { 0 };
		count_block(bytes, len, &l);
	}
	if (l.words < WORDS_LEAST || !choose_type(s, len, &l))
		return false;
	s->count = len / s->width;
	return choose_scale(s);
}

/* NaN becomes 0, as all comparisons with it are false. */
static inline float to_unit(float v, float low, float scale)
{
	v = (v - low) * scale;
	return v > 0 ? v < 1 ? v : 1 : 0;
}

static inline float float_of(uint32_t v)
{
	float f;

	memcpy(&f, &v, sizeof f);
	return f;
}

#define READ(VALUE)                                                                                                    \
	for (size_t i = 0; i < count; i++)                                                                             \
		to[i] = to_unit((float)(VALUE), low, scale);                                                           \
	return

void samples_read(const struct samples *s, size_t first, size_t count, float *to)
{
	const uint8_t *at = s->bytes + first * s->width;
	float low = s->low, scale = s->scale;

	switch (s->width << 3 | s->is_float << 2 | s->is_signed << 1 | s->big_endian) {
	case 1 << 3:
		READ(at[i]);
	case 2 << 3:
		READ(half_at(at + 2 * i, false));
	case 2 << 3 | 1:
		READ(half_at(at + 2 * i, true));
	case 2 << 3 | 2:
		READ((int16_t)half_at(at + 2 * i, false));
	case 2 << 3 | 3:
		READ((int16_t)half_at(at + 2 * i, true));
	case 4 << 3 | 4:
		READ(float_of(word_at(at + 4 * i, false)));
	case 4 << 3 | 5:
		READ(float_of(word_at(at + 4 * i, true)));
	default:
		READ((int32_t)word_at(at + 4 * i, s->big_endian));
	}
}
