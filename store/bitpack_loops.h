/*
 * The loops of bitpack.c: included once by it for any processor and once by bitpack_x86.c for AVX2, so that both are the same
 * source but for eight numbers at a time, which BITPACK_EIGHT has: bitpack_eight.h or bitpack_eight_avx2.h. LOOPS is the name of the
 * table that is defined here (bitpack_internal.h says what its functions do).
 *
 * A block of eight numbers of w bits, in w bytes: one number of 8 w bits, the first of the eight lowest, little-endian. Numbers of 32
 * bits: the block of their low 16 bits, w at most 16 of them, then that of the high ones.
 */
#include <endian.h>
#include <string.h>

#include "store/bitpack_internal.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* vectorise */
#endif

enum { SEGMENT = BITPACK_SEGMENT };

typedef uint16_t v8x16 __attribute__((vector_size(16)));
typedef uint32_t v4x32 __attribute__((vector_size(16)));
typedef uint64_t v2x64 __attribute__((vector_size(16)));
typedef uint8_t v8x8 __attribute__((vector_size(8)));

#include BITPACK_EIGHT

static inline v8x16 load8(const uint16_t *p)
{
	v8x16 v;

	memcpy(&v, p, sizeof v);
	return v;
}

/* ---- runs of blocks ---- */

static uint8_t *pack_run_16(const uint16_t *r, size_t blocks, uint8_t *widths, uint8_t *p)
{
	for (size_t i = 0; i < blocks; i++) {
		v8x16 v = load8(r + 8 * i);
		unsigned w = width8(v);

		widths[i] = (uint8_t)w;
		pack8(p, v, w);
		p += w;
	}
	return p;
}

static uint8_t *pack_run_8(const uint8_t *r, size_t blocks, uint8_t *widths, uint8_t *p)
{
	uint16_t wide[SEGMENT];

	for (size_t i = 0; i < 8 * blocks; i++)
		wide[i] = r[i];
	return pack_run_16(wide, blocks, widths, p);
}

/* Two blocks each. */
static uint8_t *pack_run_32(const uint32_t *r, size_t blocks, uint8_t *widths, uint8_t *p)
{
	uint16_t low[SEGMENT], high[SEGMENT];

	for (size_t i = 0; i < 8 * blocks; i++) {
		low[i] = (uint16_t)r[i];
		high[i] = (uint16_t)(r[i] >> 16);
	}
	for (size_t i = 0; i < blocks; i++) {
		v8x16 l = load8(low + 8 * i), h = load8(high + 8 * i);
		unsigned wh = width8(h), wl = wh ? 16 : width8(l);

		widths[i] = (uint8_t)(wl + wh);
		pack8(p, l, wl);
		pack8(p + wl, h, wh);
		p += wl + wh;
	}
	return p;
}

static const uint8_t *unpack_run_8(const uint8_t *widths, size_t blocks, const uint8_t *p, uint8_t *r)
{
	for (size_t i = 0; i < blocks; p += widths[i], i++) {
		v8x8 v = __builtin_convertvector(unpack8(p, widths[i]), v8x8);

		memcpy(r + 8 * i, &v, sizeof v);
	}
	return p;
}

static const uint8_t *unpack_run_16(const uint8_t *widths, size_t blocks, const uint8_t *p, uint8_t *r)
{
	for (size_t i = 0; i < blocks; p += widths[i], i++) {
		v8x16 v = unpack8(p, widths[i]);

		memcpy(r + 16 * i, &v, sizeof v);
	}
	return p;
}

static const uint8_t *unpack_run_32(const uint8_t *widths, size_t blocks, const uint8_t *p, uint8_t *r)
{
	typedef uint32_t v8x32 __attribute__((vector_size(32)));

	for (size_t i = 0; i < blocks; p += widths[i], i++) {
		unsigned wl = widths[i] < 16 ? widths[i] : 16;
		v8x32 v = __builtin_convertvector(unpack8(p, wl), v8x32) |
			  __builtin_convertvector(unpack8(p + wl, widths[i] - wl), v8x32) << 16;

		memcpy(r + 32 * i, &v, sizeof v);
	}
	return p;
}

/*
 * A group of eight widths: a byte 33 bits + the smallest of them, then a block of what the others have more than it, of so many
 * bits. The last group is filled up with its last width.
 */
static inline v8x16 least8(v8x16 v)
{
	v8x16 u = __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3);

	v = (v & (v8x16)(v < u)) | (u & (v8x16)(v >= u));
	u = __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5);
	v = (v & (v8x16)(v < u)) | (u & (v8x16)(v >= u));
	u = __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6);
	return (v & (v8x16)(v < u)) | (u & (v8x16)(v >= u));
}

static uint8_t *pack_group(const uint8_t *widths, uint8_t *p)
{
	v8x8 narrow;
	v8x16 w, least;
	unsigned bits;

	memcpy(&narrow, widths, sizeof narrow);
	w = __builtin_convertvector(narrow, v8x16);
	least = least8(w);
	bits = width8(w - least);
	*p++ = (uint8_t)(bits * (BITPACK_WIDTH_MAX + 1) + least[0]);
	pack8(p, w - least, bits);
	return p + bits;
}

static size_t pack_widths(const uint8_t *widths, size_t blocks, uint8_t *to)
{
	uint8_t *p = to, last[8];
	size_t at = 0;

	for (; at + 8 <= blocks; at += 8)
		p = pack_group(widths + at, p);
	if (at < blocks) {
		for (size_t i = 0; i < 8; i++)
			last[i] = widths[at + i < blocks ? at + i : blocks - 1];
		p = pack_group(last, p);
	}
	return (size_t)(p - to);
}

/* One group, from at least 1 + BITPACK_WIDTH_BITS + 16 bytes. */
static inline size_t unpack_group(const uint8_t *p, uint8_t *widths)
{
	unsigned bits = *p / (BITPACK_WIDTH_MAX + 1), least = *p % (BITPACK_WIDTH_MAX + 1);
	v8x8 w = __builtin_convertvector(unpack8(p + 1, bits), v8x8) + (uint8_t)least;

	memcpy(widths, &w, sizeof w);
	return 1 + bits;
}

static size_t unpack_widths(const uint8_t *from, size_t from_len, uint8_t *widths, size_t blocks)
{
	uint8_t last[1 + BITPACK_WIDTH_BITS + 16] = { 0 };
	size_t at = 0, done = 0;

	for (; at < blocks && from_len - done >= sizeof last; at += 8)
		done += unpack_group(from + done, widths + at);
	for (; at < blocks && done < from_len; at += 8) {
		memcpy(last, from + done, from_len - done < sizeof last ? from_len - done : sizeof last);
		done += unpack_group(last, widths + at);
	}
	return at >= blocks && done <= from_len ? done : 0;
}

/* ---- prediction ---- */

#define LANES_UP(v, ...) __builtin_shufflevector(v, (__typeof__(v)) { 0 }, __VA_ARGS__)

#define SAMPLE uint8_t
#define SIGNED int8_t
#define NAME(x) x##_8
#define SHIFT_ADD(v)                                                                    \
	((v) += LANES_UP(v, 16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14),       \
	 (v) += LANES_UP(v, 16, 17, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13),       \
	 (v) += LANES_UP(v, 16, 17, 18, 19, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),       \
	 (v) += LANES_UP(v, 16, 17, 18, 19, 20, 21, 22, 23, 0, 1, 2, 3, 4, 5, 6, 7))
#include "store/bitpack_samples.h"

#define SAMPLE uint16_t
#define SIGNED int16_t
#define NAME(x) x##_16
#define SHIFT_ADD(v)                                            \
	((v) += LANES_UP(v, 8, 0, 1, 2, 3, 4, 5, 6),             \
	 (v) += LANES_UP(v, 8, 9, 0, 1, 2, 3, 4, 5),             \
	 (v) += LANES_UP(v, 8, 9, 10, 11, 0, 1, 2, 3))
#include "store/bitpack_samples.h"

#define SAMPLE uint32_t
#define SIGNED int32_t
#define NAME(x) x##_32
#define SHIFT_ADD(v) ((v) += LANES_UP(v, 4, 0, 1, 2), (v) += LANES_UP(v, 4, 5, 0, 1))
#include "store/bitpack_samples.h"


static const struct bitpack_loops LOOPS = {
	.pack_widths = pack_widths,
	.unpack_widths = unpack_widths,
	.cost = { [1] = cost_8, [2] = cost_16, [4] = cost_32 },
	.pack = { [1] = pack_8, [2] = pack_16, [4] = pack_32 },
	.unpack = { [1] = unpack_8, [2] = unpack_16, [4] = unpack_32 },
	.matches = { [1] = matches_8, [2] = matches_16, [4] = matches_32 },
};
