/*
 * The decoder for one sample width and one kind of processor; residual_decode.c includes this file for each, with SAMPLE (an
 * unsigned type), WINDOW (samples whose bits fit into one load of 57 bits), NAME(x) and TARGET defined, and VECTOR where
 * residual_decode_avx2.h can be used.
 */
#include "store/residual_classes.h"

/* `count` samples, up to WINDOW, and their next states. When the bits run out, the result is nonsense and negative. */
TARGET static ALWAYS_INLINE ptrdiff_t NAME(decode_window)(const struct decoder *d, ptrdiff_t at, const uint16_t *tables,
							  uint32_t *states, SAMPLE *to, size_t count)
{
	uint32_t e[WINDOW];
	uint64_t bits;

	for (size_t i = 0; i < count; i++) {
		e[i] = d->tables[(size_t)tables[i] + states[i]];
		at -= entry_total(e[i]);
	}
	bits = load_64(d->bits + (at >> 3)) >> (at & 7);
	for (size_t i = count; i-- > 0;) {
		unsigned extra = entry_extra(e[i]), total = entry_total(e[i]);

		to[i] = (SAMPLE)((entry_mantissa(e[i]) << extra) + low_bits(bits, extra));
		states[i] = (uint32_t)(entry_state(e[i]) + (low_bits(bits, total) >> extra));
		bits >>= total;
	}
	return at;
}

/* False when the bits run out. */
TARGET static ALWAYS_INLINE bool NAME(decode_tile)(struct decoder *d, const uint16_t *tables, SAMPLE *restrict to,
						   size_t columns)
{
	uint32_t *states = d->states;
	ptrdiff_t at;
	size_t i = 0;

#ifdef VECTOR
	if (columns >= 2 * GROUP)
		i = decode_groups(d, tables, (uint8_t *)to, sizeof *to, columns);
#endif
	at = d->at;
	for (; i + GROUP <= columns && at >= 0; i += GROUP) {
#pragma GCC unroll 8
		for (size_t k = 0; k < GROUP; k += WINDOW)
			at = NAME(decode_window)(d, at, tables + i + k, states + i % LANES + k, to + i + k, WINDOW);
	}
	for (; i < columns && at >= 0; i++)
		at = NAME(decode_window)(d, at, tables + i, states + i % LANES, to + i, 1);
	d->at = at;
	return at >= 0;
}

TARGET static bool NAME(decode)(struct decoder *d, void *residuals, size_t count, size_t row)
{
	SAMPLE *to = residuals;
	int16_t activity[TILE];
	uint16_t tables[TILE + LANES];

	for (size_t start = 0; start < count; start += row) {
		size_t end = count - start < row ? count - start : row, step = start ? TILE : SEGMENT;

		for (size_t at = 0, columns; at < end; at += columns) {
			columns = end - at < step ? end - at : step;
			NAME(activity)(&d->head, to, start, row, at, columns, activity);
			NAME(classes)(activity, d->floors, columns, STATES, tables);
			memset(tables + columns, 0, LANES * sizeof *tables);
			if (!NAME(decode_tile)(d, tables, to + start + at, columns))
				return false;
		}
	}
	return true;
}

#undef SAMPLE
#undef WINDOW
#undef NAME
#undef TARGET
