/*
 * Rows in and out, and the portable code. The first row is predicted from the left, its first sample as the one whose bits
 * are all zero. Left of a row stands, twice, the level above its first sample; in the row above, too. Right of the row above
 * stands its last level. In the second row NN is N.
 */
#include "store/predict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/predict_internal.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* vectorise */
#endif

enum { HOST_BIG_ENDIAN = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ };

/* ---- samples and levels ---- */

/* Bits to flip so that unsigned samples compare as signed levels. */
uint32_t predict_flip(const struct prediction *p)
{
	if (p->width == 1)
		return p->order == ORDER_SIGNED ? 0x80 : 0;
	if (p->order != ORDER_UNSIGNED)
		return 0;
	return p->width == 2 ? 0x8000 : 0x80000000;
}

static bool is_swapped(const struct prediction *p)
{
	return p->big_endian != HOST_BIG_ENDIAN;
}

void predict_load16(const struct prediction *p, const uint8_t *bytes, size_t count, int16_t *levels)
{
	uint16_t flip = (uint16_t)predict_flip(p);

	if (p->width == 1) {
		for (size_t i = 0; i < count; i++)
			levels[i] = (int16_t)(bytes[i] ^ flip);
		return;
	}
	memcpy(levels, bytes, count * sizeof *levels);
	if (is_swapped(p))
		for (size_t i = 0; i < count; i++)
			levels[i] = (int16_t)__builtin_bswap16((uint16_t)levels[i]);
	for (size_t i = 0; i < count; i++)
		levels[i] = (int16_t)((uint16_t)levels[i] ^ flip);
}

void predict_store16(const struct prediction *p, const int16_t *levels, size_t count, uint8_t *bytes)
{
	uint16_t flip = (uint16_t)predict_flip(p), v;
	bool swapped = is_swapped(p);

	if (p->width == 1) {
		for (size_t i = 0; i < count; i++)
			bytes[i] = (uint8_t)((uint16_t)levels[i] ^ flip);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		v = (uint16_t)((uint16_t)levels[i] ^ flip);
		if (swapped)
			v = __builtin_bswap16(v);
		memcpy(bytes + 2 * i, &v, sizeof v);
	}
}

/* Floats are kept as sign and magnitude: turning round the magnitudes of the negative ones puts all in order. */
static inline uint32_t float_level(uint32_t v)
{
	return v ^ ((uint32_t)-(v >> 31) & 0x7fffffff);
}

void predict_load32(const struct prediction *p, const uint8_t *bytes, size_t count, int32_t *levels)
{
	uint32_t flip = predict_flip(p);

	memcpy(levels, bytes, count * sizeof *levels);
	if (is_swapped(p))
		for (size_t i = 0; i < count; i++)
			levels[i] = (int32_t)__builtin_bswap32((uint32_t)levels[i]);
	for (size_t i = 0; i < count; i++) {
		uint32_t v = (uint32_t)levels[i];

		levels[i] = (int32_t)(p->order == ORDER_FLOAT ? float_level(v) : v ^ flip);
	}
}

void predict_store32(const struct prediction *p, const int32_t *levels, size_t count, uint8_t *bytes)
{
	uint32_t flip = predict_flip(p), v;
	bool swapped = is_swapped(p);

	for (size_t i = 0; i < count; i++) {
		v = p->order == ORDER_FLOAT ? float_level((uint32_t)levels[i]) : (uint32_t)levels[i] ^ flip;
		if (swapped)
			v = __builtin_bswap32(v);
		memcpy(bytes + 4 * i, &v, sizeof v);
	}
}

/* ---- what is expected ---- */

static inline int32_t least(int32_t a, int32_t b)
{
	return a < b ? a : b;
}

static inline int32_t greatest(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

static inline int32_t to_16(int32_t v)
{
	return least(greatest(v, INT16_MIN), INT16_MAX);
}

int predict_weight_n(const struct prediction *p)
{
	int weight = PREDICT_UNIT;

	for (int k = 0; k < PREDICT_TAPS; k++)
		weight -= p->weight[k];
	return weight;
}

/* What the taps find, in their order. */
#define NEIGHBOURS(l, i)                                                                                               \
	{ (l)->own[(i) - 1], (l)->own[(i) - 2], (l)->up[(i) - 1],   (l)->up[(i) + 1],                                  \
	  (l)->upup[i],      (l)->upup[(i) - 1], (l)->up[(i) - 2] }

static inline int32_t limited(int32_t v, int32_t w, int32_t n, int32_t ne)
{
	return least(greatest(v, least(least(w, n), ne)), greatest(greatest(w, n), ne));
}

static inline int16_t expect16(const struct prediction *p, const struct lines16 *l, ptrdiff_t i)
{
	const int16_t v[PREDICT_TAPS] = NEIGHBOURS(l, i);
	int32_t n = l->up[i], sum = predict_weight_n(p) * n;

	for (int k = 0; k < PREDICT_TAPS; k++)
		sum += p->weight[k] * v[k];
	return (int16_t)limited(sum >> 12, v[TAP_W], n, v[TAP_NE]);
}

/* The difference modulo 2^32, divided, and limited to 16 bits. */
static inline int32_t difference32(int32_t v, int32_t n, unsigned shift)
{
	return to_16((int32_t)((uint32_t)v - (uint32_t)n) >> shift);
}

static inline int32_t expect32(const struct prediction *p, const struct lines32 *l, ptrdiff_t i)
{
	const int32_t v[PREDICT_TAPS] = NEIGHBOURS(l, i);
	int32_t n = l->up[i], sum = 0;

	for (int k = 0; k < PREDICT_TAPS; k++)
		sum += p->weight[k] * difference32(v[k], n, p->shift);
	sum >>= 12 - p->shift;
	return limited((int32_t)((uint32_t)n + (uint32_t)sum), v[TAP_W], n, v[TAP_NE]);
}

#define SAMPLE uint16_t
#define LEVEL int16_t
#define NAME(x) x##16
#include "store/predict_lines.h"

#define SAMPLE uint32_t
#define LEVEL int32_t
#define NAME(x) x##32
#include "store/predict_lines.h"

/* ---- which code ---- */

const struct predict_loops predict_loops_portable = { apply_row16, apply_row32, NULL, NULL };

static const struct predict_loops *loops_of(enum predict_code code)
{
#if defined(__x86_64__)
	if (code == PREDICT_SSE2)
		return &predict_loops_sse2;
	if (code == PREDICT_AVX2)
		return __builtin_cpu_supports("avx2") ? &predict_loops_avx2 : NULL;
#endif
	return code == PREDICT_PORTABLE ? &predict_loops_portable : NULL;
}

static const struct predict_loops *chosen;

bool predict_use(enum predict_code code)
{
	const struct predict_loops *loops = loops_of(code);

	if (loops)
		__atomic_store_n(&chosen, loops, __ATOMIC_RELAXED);
	return loops;
}

const struct predict_loops *predict_loops(void)
{
	const struct predict_loops *loops = __atomic_load_n(&chosen, __ATOMIC_RELAXED);

	if (!loops) {
		for (int code = PREDICT_AVX2; !loops; code--)
			loops = loops_of((enum predict_code)code);
		__atomic_store_n(&chosen, loops, __ATOMIC_RELAXED);
	}
	return loops;
}

/* ---- whole images ---- */

bool predict_valid(const struct prediction *p)
{
	int sum = abs(predict_weight_n(p));

	for (int k = 0; k < PREDICT_TAPS; k++)
		sum += abs(p->weight[k]);
	if (p->width != 1 && p->width != 2 && p->width != 4)
		return false;
	return p->big_endian <= 1 && p->order <= (p->width == 4 ? ORDER_FLOAT : ORDER_SIGNED) && p->row &&
	       p->shift <= (p->width == 4 ? 12 : 0) && sum <= INT16_MAX;
}

int predict_apply(const struct prediction *p, const uint8_t *bytes, size_t count, void *residuals)
{
	int rc = p->width == 4 ? apply32(p, bytes, count, residuals) : apply16(p, bytes, count, residuals);

	return rc ? err_set(ENOMEM, "no memory to predict samples") : 0;
}

int predict_undo(const struct prediction *p, const void *residuals, size_t count, uint8_t *bytes)
{
	int rc = p->width == 4 ? undo32(p, residuals, count, bytes) : undo16(p, residuals, count, bytes);

	return rc ? err_set(ENOMEM, "no memory to predict samples") : 0;
}

void predict_apply32(const struct prediction *p, const struct lines32 *l, size_t count, void *residuals)
{
	apply_row32(p, l, count, residuals);
}
