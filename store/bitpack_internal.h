/* The inside of bitpack, shared by its files. */
#ifndef TOMOFS_BITPACK_INTERNAL_H
#define TOMOFS_BITPACK_INTERNAL_H

#include "store/bitpack.h"

/*
 * A chunk goes by segments: whole blocks (but for the end of the chunk), small enough for the first-level cache, and never
 * more than what lies above is known for. The first row has nothing above and is predicted from the left.
 */
struct bitpack_segment {
	size_t at, count;   /* samples; count 0: the end */
	size_t row;	    /* from a sample to the one above it; 0 in the first row */
	size_t alone;	    /* samples at the start of the chunk that have no neighbour: differences from 0 */
	unsigned predictor; /* of this segment */
	/* for the ones that follow */
	size_t all, first_row, segment;
	unsigned later;
};

enum { BITPACK_SEGMENT = 2048 };

static inline void bitpack_set(struct bitpack_segment *s)
{
	size_t most = s->at < s->first_row ? s->first_row - s->at : s->all - s->at;
	size_t limit = s->at < s->first_row ? BITPACK_SEGMENT : s->segment;

	if (most > s->all - s->at)
		most = s->all - s->at;
	s->count = most < limit ? most : limit;
	s->predictor = s->at < s->first_row ? BITPACK_LEFT : s->later;
}

static inline struct bitpack_segment bitpack_first(const struct bitpack *b, size_t count)
{
	struct bitpack_segment s = { .all = count, .segment = BITPACK_SEGMENT, .later = b->predictor };
	bool has_rows = b->predictor > BITPACK_LEFT;
	size_t row = b->row_bytes / b->sample_bytes;

	if (b->predictor != BITPACK_NONE)
		s.alone = b->step < count ? b->step : count;
	if (has_rows) {
		s.row = row;
		s.first_row = (row + b->step + BITPACK_BLOCK - 1) / BITPACK_BLOCK * BITPACK_BLOCK;
		if (row - b->step < s.segment)
			s.segment = (row - b->step) / BITPACK_BLOCK * BITPACK_BLOCK;
	}
	bitpack_set(&s);
	return s;
}

static inline void bitpack_next(struct bitpack_segment *s)
{
	s->at += s->count;
	bitpack_set(s);
}

static inline size_t bitpack_sum(const uint8_t *widths, size_t blocks)
{
	size_t sum = 0;

	for (size_t i = 0; i < blocks; i++)
		sum += widths[i];
	return sum;
}

/* By bytes of a sample; count in samples. */
struct bitpack_loops {
	size_t (*pack_widths)(const uint8_t *widths, size_t blocks, uint8_t *to);
	size_t (*unpack_widths)(const uint8_t *from, size_t from_len, uint8_t *widths, size_t blocks);
	/* Bytes that count samples at x take (a multiple of BITPACK_BLOCK, at most BITPACK_SEGMENT), with what is left of them and
	 * above them (row samples before) in memory. */
	double (*cost[5])(const struct bitpack *b, const void *x, size_t row, size_t count);
	size_t (*pack[5])(const struct bitpack *b, const uint8_t *bytes, size_t count, uint8_t *widths, uint8_t *packed);
	void (*unpack[5])(const struct bitpack *b, const uint8_t *widths, const uint8_t *packed, const uint8_t *end,
			  uint8_t *to, size_t count);
	bool (*matches[5])(const struct bitpack *b, const uint8_t *widths, const uint8_t *packed, const uint8_t *end,
			   const uint8_t *bytes, size_t count);
};

/* NULL when this processor, or compiler, has no AVX2. */
const struct bitpack_loops *bitpack_loops_avx2(void);
/* Tests: false takes the portable loops from now on. */
void bitpack_use_vectors(bool use);

#endif
