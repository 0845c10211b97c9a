/*
 * What the parts of predict share: predict.c (rows in and out, portable code), predict_x86.c (vector code), predict_fit.c.
 *
 * A row is prepared as "levels": signed numbers that compare as its samples do. Samples of 8 and 16 bits become int16_t,
 * those of 32 bits int32_t. A line of levels has room for what stands beside it.
 */
#ifndef TOMOFS_PREDICT_INTERNAL_H
#define TOMOFS_PREDICT_INTERNAL_H

#include "store/predict.h"

enum { LINE_BEFORE = 16, LINE_AFTER = 64 }; /* levels of room before and behind a line */

/* Three lines of row levels each, the sample's own and the two above it. */
struct lines16 {
	int16_t *own, *up, *upup;
};
struct lines32 {
	int32_t *own, *up, *upup;
};

/* One way to run the loops. Lines have what predict_edges*() puts beside them. */
struct predict_loops {
	/* One row of residuals of count levels. Writes up to PREDICT_SLACK bytes more. */
	void (*apply16)(const struct prediction *p, const struct lines16 *l, size_t count, void *residuals);
	void (*apply32)(const struct prediction *p, const struct lines32 *l, size_t count, void *residuals);
	/*
	 * Undoes whole rows of an image from the second on; the first one is in bytes already. l: scratch, lines of whole rows.
	 * Returns how many rows of bytes are there now. Residuals are readable PREDICT_SLACK bytes behind the image. NULL: only
	 * the portable code does it.
	 */
	size_t (*undo16)(const struct prediction *p, const struct lines16 *l, size_t rows, const uint8_t *residuals,
			 uint8_t *bytes);
	size_t (*undo32)(const struct prediction *p, const struct lines32 *l, size_t rows, const uint8_t *residuals,
			 uint8_t *bytes);
};

void predict_apply32(const struct prediction *p, const struct lines32 *l, size_t count, void *residuals);

extern const struct predict_loops predict_loops_sse2, predict_loops_avx2;
extern const struct predict_loops predict_loops_portable;
const struct predict_loops *predict_loops(void);

/* Samples to levels and back. */
void predict_load16(const struct prediction *p, const uint8_t *bytes, size_t count, int16_t *levels);
void predict_load32(const struct prediction *p, const uint8_t *bytes, size_t count, int32_t *levels);
void predict_store16(const struct prediction *p, const int16_t *levels, size_t count, uint8_t *bytes);
void predict_store32(const struct prediction *p, const int32_t *levels, size_t count, uint8_t *bytes);

/* Bits to flip so that unsigned samples compare as signed levels; not of floats. */
uint32_t predict_flip(const struct prediction *p);

/* The weight of N. */
int predict_weight_n(const struct prediction *p);

/* What stands beside the lines of one row: left of it the level above its first one, right of the row above its last. */
void predict_edges16(const struct lines16 *l, size_t row);
void predict_edges32(const struct lines32 *l, size_t row);

#endif
