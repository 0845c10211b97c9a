/*
 * The encoder for one sample width and one kind of processor; residual_encode.c includes this file for each, with SAMPLE,
 * WINDOW, NAME(x), TARGET and VECTOR as in residual_decode_samples.h.
 */
#include "store/residual_classes.h"

/* Octave and upper bits of each sample: see symbols_walk. */
TARGET static ALWAYS_INLINE void NAME(tokens)(const SAMPLE *x, size_t columns, unsigned finest,
					      uint16_t *restrict token)
{
	for (size_t i = 0; i < columns; i++) {
#if WINDOW == 1
		unsigned extra = 31u - finest - (unsigned)__builtin_clz(x[i] | 1u << finest);

		token[i] = (uint16_t)((extra << finest) + (x[i] >> extra));
#else
		/* The same from the exponent and mantissa of a float, since loops with these are made vectors of. */
		int32_t small = x[i] < 1 << finest ? x[i] : 1 << finest, large;
		float f = x[i];

		memcpy(&large, &f, sizeof f);
		large = (large >> (23 - finest)) - (int32_t)((126 + finest) << finest);
		token[i] = (uint16_t)(small > large ? small : large);
#endif
	}
}

/* Where the counts of each sample's level begin; level_of() likewise. */
TARGET static ALWAYS_INLINE void NAME(levels)(const int16_t *activity, size_t columns, uint16_t *restrict place)
{
	for (size_t i = 0; i < columns; i++) {
		int32_t small = activity[i] < 1 ? 0 : 1, large;
		float f = activity[i];

		memcpy(&large, &f, sizeof f);
		large = (large >> 22) - 254;
		place[i] = (uint16_t)((small > large ? small : large) * SYMBOLS_MAX);
	}
}

TARGET static void NAME(count)(struct encoder *e, const void *residuals, size_t count, size_t row)
{
	const SAMPLE *x = residuals;
	unsigned finest = e->head.finest;
	int16_t activity[TILE];
	uint16_t place[TILE], token[TILE];

	for (size_t start = 0; start < count; start += row * e->every) {
		size_t end = count - start < row ? count - start : row, step = start ? TILE : SEGMENT;

		for (size_t at = 0, columns; at < end; at += columns) {
			columns = end - at < step ? end - at : step;
			NAME(activity)(&e->head, x, start, row, at, columns, activity);
			NAME(levels)(activity, columns, place);
			NAME(tokens)(x + start + at, columns, finest, token);
			for (size_t i = 0; i < columns; i++)
				place[i] = (uint16_t)(place[i] + token[i]);
			count_places(e, place, columns);
		}
	}
}

TARGET static ALWAYS_INLINE void NAME(encode_sample)(const struct encoder *e, struct bit_writer *b, SAMPLE v,
						     uint32_t coding, uint32_t *state)
{
	unsigned extra = coding_extra(coding);
	unsigned bits = coding_bits(coding) - (*state < coding_share(coding) << coding_bits(coding));

	b->held |= (low_bits(v, extra) | low_bits(*state, bits) << extra) << b->count;
	b->count += extra + bits;
	*state = e->next[(*state >> bits) + coding_next(coding)];
}

/* The last sample first, since the decoder reads backwards. */
TARGET static ALWAYS_INLINE void NAME(encode_tile)(struct encoder *e, const SAMPLE *x, const uint16_t *coding,
						   size_t columns)
{
	struct bit_writer b = e->writer;
	size_t i = columns;

	for (; i % GROUP; i--) {
		NAME(encode_sample)(e, &b, x[i - 1], e->codings[coding[i - 1]], &e->states[(i - 1) % LANES]);
		writer_flush(&b);
	}
#ifdef VECTOR
	encode_groups(e, &b, x, sizeof *x, coding, i);
	i = 0;
#endif
	for (; i; i -= WINDOW) {
#pragma GCC unroll 2
		for (size_t w = 1; w <= WINDOW; w++)
			NAME(encode_sample)(e, &b, x[i - w], e->codings[coding[i - w]], &e->states[(i - w) % LANES]);
		writer_flush(&b);
	}
	e->writer = b;
}

/* False without memory. */
TARGET static bool NAME(encode)(struct encoder *e, const void *residuals, size_t count, size_t row)
{
	const SAMPLE *x = residuals;
	int16_t activity[TILE];
	uint16_t coding[TILE], token[TILE];
	size_t start = (count - 1) / row * row + row;

	while (start) {
		size_t end, step;

		start -= row;
		end = count - start < row ? count - start : row;
		step = start ? TILE : SEGMENT;
		for (size_t at = end, columns; at; ) {
			columns = (at - 1) % step + 1;
			at -= columns;
			if (!writer_room(e))
				return false;
			NAME(activity)(&e->head, x, start, row, at, columns, activity);
			NAME(classes)(activity, e->floors, columns, SYMBOLS_MAX, coding);
			NAME(tokens)(x + start + at, columns, e->head.finest, token);
			for (size_t i = 0; i < columns; i++)
				coding[i] = (uint16_t)(coding[i] + token[i]);
			NAME(encode_tile)(e, x + start + at, coding, columns);
		}
	}
	return true;
}

#undef SAMPLE
#undef WINDOW
#undef NAME
#undef TARGET
