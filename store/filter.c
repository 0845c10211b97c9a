/*
 * Where the rows are is counted from the first byte of the chunk. The first row is predicted from the left, its first
 * sample as 0; PREDICT_LEFT takes the whole chunk for one row; in the other rows PREDICT_AVERAGE predicts the first
 * sample from above. The average is floor((left + up) / 2). The difference is taken modulo 2^bits and kept as zigzag: 0
 * -1 1 -2 ... become 0 1 2 3 ... PREDICT_NONE keeps the samples as they are and only splits them into planes.
 */
#include "store/filter.h"

#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* vectorise */
#endif

enum { BLOCK = 1024, HOST_BIG_ENDIAN = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ };

/* The distance in samples from one row to the next; at most count, and then there is nothing above. */
static size_t row_samples(const struct filter *f, size_t count)
{
	size_t row = f->row_bytes / f->sample_bytes;
	bool has_rows = f->predictor == PREDICT_UP || f->predictor == PREDICT_AVERAGE;

	return has_rows && row < count ? row : count;
}

/*
 * Undoing the average, seven rows at once. Each sample waits for the one to its left, so a single row keeps the
 * processor idle most of the time. Seven rows, each one column behind the row above it, do not wait for each other:
 *
 *     lane 0   . . . . . t        known already: the row above
 *     lane 1   . . . . t
 *     lane 2   . . . t            what a row needs from above is what the lane before it held one step ago
 *
 * So one step is: up = lanes moved by one; lanes = difference + mean(lanes, up). Lane 0 gets 0 from above, and as its
 * "difference" its known sample less half the one before. Samples come and go as tiles of eight by eight, transposed.
 */
typedef uint16_t lanes __attribute__((vector_size(16)));

static inline lanes lanes_up(lanes v)
{
	return __builtin_shufflevector(v, (lanes) { 0 }, 8, 0, 1, 2, 3, 4, 5, 6);
}

/* Three times a perfect shuffle of 64. */
static inline void lanes_transpose(lanes v[8])
{
	lanes w[8];

	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < 4; i++) {
			w[2 * i] = __builtin_shufflevector(v[i], v[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
			w[2 * i + 1] = __builtin_shufflevector(v[i], v[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
		}
		memcpy(v, w, sizeof w);
	}
}

#define LANES
#define SAMPLE uint8_t
#define WIDE uint32_t
#define SWAP(x) (x)
#define NAME(x) x##_8
#include "store/filter_samples.h"

#define SAMPLE uint16_t
#define WIDE uint32_t
#define SWAP(x) __builtin_bswap16(x)
#define NAME(x) x##_16
#include "store/filter_samples.h"

#undef LANES
#define SAMPLE uint32_t
#define WIDE uint64_t
#define SWAP(x) __builtin_bswap32(x)
#define NAME(x) x##_32
#include "store/filter_samples.h"

#define SAMPLE uint64_t
#define WIDE unsigned __int128
#define SWAP(x) __builtin_bswap64(x)
#define NAME(x) x##_64
#include "store/filter_samples.h"

bool filter_valid(const struct filter *f)
{
	bool width = f->sample_bytes == 1 || f->sample_bytes == 2 || f->sample_bytes == 4 || f->sample_bytes == 8;

	return width && f->predictor < PREDICTORS && f->big_endian <= 1 && f->row_bytes &&
	       f->row_bytes % f->sample_bytes == 0;
}

/* What does not fill a sample at the end goes through as it is. */
static size_t whole_samples(const struct filter *f, const uint8_t *from, size_t len, uint8_t *to)
{
	size_t rest = len % f->sample_bytes;

	if (rest)
		memcpy(to + len - rest, from + len - rest, rest);
	return len / f->sample_bytes;
}

void filter_apply(const struct filter *f, const uint8_t *from, size_t len, uint8_t *to)
{
	size_t count = whole_samples(f, from, len, to);

	switch (f->sample_bytes) {
	case 1:
		apply_8(f, from, count, to);
		break;
	case 2:
		apply_16(f, from, count, to);
		break;
	case 4:
		apply_32(f, from, count, to);
		break;
	default:
		apply_64(f, from, count, to);
		break;
	}
}

void filter_undo(const struct filter *f, const uint8_t *from, size_t len, uint8_t *to)
{
	size_t count = whole_samples(f, from, len, to);

	switch (f->sample_bytes) {
	case 1:
		undo_8(f, from, count, to);
		break;
	case 2:
		undo_16(f, from, count, to);
		break;
	case 4:
		undo_32(f, from, count, to);
		break;
	default:
		undo_64(f, from, count, to);
		break;
	}
}
