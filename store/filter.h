/*
 * filter: pixels made easier to compress. A predictor replaces each sample by its difference from a neighbour (zigzag: small
 * differences of either sign are small numbers), then the samples are split into byte planes (all low bytes, then all next
 * bytes ...). Exact inverses for any bytes and any length: what does not fill a sample at the end is kept as it is.
 *
 * A predictor is one row of a table and one number in the format: add at the end, never renumber.
 * Sources: PNG filters (ISO/IEC 15948) for left, up and average; byte planes as "shuffle" of HDF5.
 *
 * Pure functions; any thread.
 */
#ifndef TOMOFS_FILTER_H
#define TOMOFS_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum predictor { PREDICT_NONE = 0, PREDICT_LEFT = 1, PREDICT_UP = 2, PREDICT_AVERAGE = 3, PREDICTORS };

struct filter {
	uint8_t predictor;    /* enum predictor */
	uint8_t sample_bytes; /* 1, 2, 4 or 8 */
	uint8_t big_endian;   /* byte order of the samples */
	uint32_t row_bytes;   /* distance from a sample to the one above it; a multiple of sample_bytes */
};

/* Parameters that make sense (also for bytes from a damaged pack). */
bool filter_valid(const struct filter *f);
/* to: len bytes, not overlapping from. The filter is valid. */
void filter_apply(const struct filter *f, const uint8_t *from, size_t len, uint8_t *to);
void filter_undo(const struct filter *f, const uint8_t *from, size_t len, uint8_t *to);

#endif
