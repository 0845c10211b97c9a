#include "fs/view/shrink.h"

#include <string.h>

/*
 * A result is made from rows[0..n-1], n = 4 (two rows of each slice), 2 or 1. Where a row, a slice or a column is
 * missing, the integer code takes the one that is there once more: that changes no rounded mean, and so it always adds
 * eight numbers. Floats are added once each, because twice as many could overflow.
 */
enum { ROWS_MAX = 4 };

typedef __int128 i128;

/* Mean of eight, halves upward; an arithmetic shift is the floor, also below zero. */
#define SHRINK_INTEGER(name, sample, sum_type)                                                                         \
	static inline void name##_pixels(const sample *const rows[ROWS_MAX], size_t samples, uint64_t width,           \
					 sample *restrict to, uint64_t from)                                           \
	{                                                                                                              \
		for (uint64_t x = from; x < (width + 1) / 2; x++) {                                                    \
			size_t left = 2 * x * samples, right = 2 * x + 1 < width ? left + samples : left;              \
                                                                                                                       \
			for (size_t s = 0; s < samples; s++) {                                                         \
				sum_type sum = 4;                                                                      \
                                                                                                                       \
				for (size_t i = 0; i < ROWS_MAX; i++)                                                  \
					sum += (sum_type)rows[i][left + s] + rows[i][right + s];                       \
				to[x * samples + s] = (sample)(sum >> 3);                                              \
			}                                                                                              \
		}                                                                                                      \
	}

/* In the order of memory: left and right of row 0, of row 1, ... */
#define SHRINK_FLOAT(name, sample, sum_type)                                                                           \
	static inline void name##_pixels(const sample *const *rows, size_t n, size_t samples, uint64_t width,          \
					 sample *restrict to)                                                          \
	{                                                                                                              \
		for (uint64_t x = 0; x < (width + 1) / 2; x++) {                                                       \
			size_t left = 2 * x * samples, columns = 2 * x + 1 < width ? 2 : 1;                            \
                                                                                                                       \
			for (size_t s = 0; s < samples; s++) {                                                         \
				sum_type sum = rows[0][left + s];                                                      \
                                                                                                                       \
				if (columns == 2)                                                                      \
					sum += rows[0][left + samples + s];                                            \
				for (size_t i = 1; i < n; i++) {                                                       \
					sum += rows[i][left + s];                                                      \
					if (columns == 2)                                                              \
						sum += rows[i][left + samples + s];                                    \
				}                                                                                      \
				to[x * samples + s] = (sample)(sum / (sum_type)(n * columns));                         \
			}                                                                                              \
		}                                                                                                      \
	}

SHRINK_INTEGER(u8, uint8_t, int32_t)
SHRINK_INTEGER(i8, int8_t, int32_t)
SHRINK_INTEGER(u16, uint16_t, int32_t)
SHRINK_INTEGER(i16, int16_t, int32_t)
SHRINK_INTEGER(u32, uint32_t, int64_t)
SHRINK_INTEGER(i32, int32_t, int64_t)
SHRINK_INTEGER(u64, uint64_t, i128)
SHRINK_INTEGER(i64, int64_t, i128)
SHRINK_FLOAT(f32, float, double)
SHRINK_FLOAT(f64, double, double)

/*
 * Gray of 8 and 16 bits, 16 bytes of each row at a time: every lane holds a left and a right neighbour, which are
 * masked and shifted apart and added in the whole lane. Signed samples become unsigned by turning their highest bit
 * over, which adds the same to each of them and to their mean.
 */
typedef uint16_t lanes16 __attribute__((vector_size(16)));
typedef uint32_t lanes32 __attribute__((vector_size(16)));
typedef uint8_t half8 __attribute__((vector_size(8)));
typedef uint16_t half16 __attribute__((vector_size(8)));

#define SHRINK_LANES(name, lanes, half, low, bits)                                                                     \
	static inline uint64_t name(const uint8_t *const rows[ROWS_MAX], uint64_t row_bytes, lanes flip, half back,    \
				    uint8_t *restrict to)                                                              \
	{                                                                                                              \
		uint64_t at = 0;                                                                                       \
                                                                                                                       \
		for (; at + sizeof(lanes) <= row_bytes; at += sizeof(lanes)) {                                         \
			lanes sum = (lanes) { 0 } + 4;                                                                 \
			half mean;                                                                                     \
                                                                                                                       \
			for (size_t i = 0; i < ROWS_MAX; i++) {                                                        \
				lanes v;                                                                               \
                                                                                                                       \
				memcpy(&v, rows[i] + at, sizeof v);                                                    \
				v ^= flip;                                                                             \
				sum += (v & low) + (v >> bits);                                                        \
			}                                                                                              \
			mean = __builtin_convertvector(sum >> 3, half) ^ back;                                         \
			memcpy(to + at / 2, &mean, sizeof mean);                                                       \
		}                                                                                                      \
		return at;                                                                                             \
	}

SHRINK_LANES(lanes_of_8, lanes16, half8, 0xff, 8)
SHRINK_LANES(lanes_of_16, lanes32, half16, 0xffff, 16)

/* Makes the first results of a row of gray pixels; returns how many (0: this type has no fast code). */
static uint64_t shrink_fast(enum voxel_type type, uint64_t width, const uint8_t *const rows[ROWS_MAX], uint8_t *to)
{
	lanes16 none8 = { 0 }, flip8 = none8 + 0x8080;
	lanes32 none16 = { 0 }, flip16 = none16 + 0x80008000;
	half8 keep8 = { 0 }, back8 = keep8 + 0x80;
	half16 keep16 = { 0 }, back16 = keep16 + 0x8000;

	switch (type) {
	case VOXEL_U8:
		return lanes_of_8(rows, width, none8, keep8, to) / 2;
	case VOXEL_I8:
		return lanes_of_8(rows, width, flip8, back8, to) / 2;
	case VOXEL_U16:
		return lanes_of_16(rows, width * 2, none16, keep16, to) / 4;
	case VOXEL_I16:
		return lanes_of_16(rows, width * 2, flip16, back16, to) / 4;
	default:
		return 0;
	}
}

#define TYPED(sample) ((const sample *const *)(const void *)rows)

/* The common sample counts are constants here, so that the compiler can unroll them. */
#define INTEGER_CASE(type, name, sample)                                                                               \
	case type:                                                                                                     \
		if (samples == 1)                                                                                      \
			name##_pixels(TYPED(sample), 1, width, to, done);                                              \
		else if (samples == 3)                                                                                 \
			name##_pixels(TYPED(sample), 3, width, to, 0);                                                 \
		else                                                                                                   \
			name##_pixels(TYPED(sample), samples, width, to, 0);                                           \
		break
#define FLOAT_CASE(type, name, sample)                                                                                 \
	case type:                                                                                                     \
		if (samples == 1 && n == ROWS_MAX)                                                                     \
			name##_pixels(TYPED(sample), ROWS_MAX, 1, width, to);                                          \
		else                                                                                                   \
			name##_pixels(TYPED(sample), n, samples, width, to);                                           \
		break

static void shrink_row(enum voxel_type type, size_t samples, uint64_t width, const uint8_t *const rows[ROWS_MAX],
		       size_t n, void *to)
{
	uint64_t done = samples == 1 ? shrink_fast(type, width, rows, to) : 0;

	switch (type) {
		INTEGER_CASE(VOXEL_U8, u8, uint8_t);
		INTEGER_CASE(VOXEL_I8, i8, int8_t);
		INTEGER_CASE(VOXEL_U16, u16, uint16_t);
		INTEGER_CASE(VOXEL_I16, i16, int16_t);
		INTEGER_CASE(VOXEL_U32, u32, uint32_t);
		INTEGER_CASE(VOXEL_I32, i32, int32_t);
		INTEGER_CASE(VOXEL_U64, u64, uint64_t);
		INTEGER_CASE(VOXEL_I64, i64, int64_t);
		FLOAT_CASE(VOXEL_F32, f32, float);
		FLOAT_CASE(VOXEL_F64, f64, double);
	case VOXEL_NONE:
	case VOXEL_TYPES:
		break;
	}
}

void shrink_slices(enum voxel_type type, unsigned samples, uint64_t width, uint64_t height, const void *a,
		   const void *b, void *to)
{
	size_t row_bytes = width * samples * voxel_bytes(type);
	size_t to_bytes = (width + 1) / 2 * samples * voxel_bytes(type);

	for (uint64_t y = 0; y < height; y += 2) {
		const uint8_t *rows[ROWS_MAX];
		size_t n = 0;

		rows[n++] = (const uint8_t *)a + y * row_bytes;
		if (y + 1 < height)
			rows[n++] = (const uint8_t *)a + (y + 1) * row_bytes;
		if (b)
			rows[n++] = (const uint8_t *)b + y * row_bytes;
		if (b && y + 1 < height)
			rows[n++] = (const uint8_t *)b + (y + 1) * row_bytes;
		for (size_t i = n; i < ROWS_MAX; i++)
			rows[i] = rows[i - n];
		shrink_row(type, samples, width, rows, n, (uint8_t *)to + y / 2 * to_bytes);
	}
}
