/*
 * predict: each sample of an image as its difference from what its neighbours let expect. The residuals of a scan are small
 * numbers around 0, which an entropy coder (residual.h) keeps in few bits. An exact inverse for any bytes.
 *
 *          NNW  NN             the neighbours of a sample X: W and WW left of it in its own row, the others in the two rows
 *     NWW  NW   N    NE        above
 *     WW   W    X
 *
 * The prediction is a weighted sum of these neighbours, never below the smallest and never above the greatest of W, N and NE.
 * The weights belong to the chunk: some well-known sets, or what a least-squares fit to a part of its samples gives. The
 * exact arithmetic is in FORMAT.md.
 *
 * Sources: linear prediction by least squares as in TMW (Meyer and Tischer 1997); the limit as in the median edge detector of
 * JPEG-LS (Weinberger, Seroussi, Sapiro 2000).
 *
 * On x86 vector code runs where the processor has it; the bytes are the same as those of the portable code. Pure functions;
 * any thread.
 */
#ifndef TOMOFS_PREDICT_H
#define TOMOFS_PREDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PREDICT_UNIT = 4096 /* a weight of 1 */, PREDICT_SLACK = 128 };

enum predict_tap { TAP_W, TAP_WW, TAP_NW, TAP_NE, TAP_NN, TAP_NNW, TAP_NWW, PREDICT_TAPS };

enum sample_order { ORDER_UNSIGNED = 0, ORDER_SIGNED = 1, ORDER_FLOAT = 2 };

struct prediction {
	uint8_t width;		       /* bytes of a sample: 1, 2 or 4 */
	uint8_t big_endian;	       /* 0 or 1 */
	uint8_t order;		       /* enum sample_order: how samples compare; float is for width 4 only */
	uint8_t shift;		       /* width 4: differences from N are divided by 2^shift, 0 to 12; else 0 */
	uint32_t row;		       /* samples in a row, at least 1; rows are counted from the first byte */
	int16_t weight[PREDICT_TAPS]; /* that of N is what lacks to PREDICT_UNIT; all absolute values sum to < 2^15 */
};

/* Parameters that make sense (also for bytes from a damaged pack). */
bool predict_valid(const struct prediction *p);

/*
 * count samples to residuals (unsigned numbers of this width in the machine's byte order, zigzag: 0 -1 1 -2 ... are 0 1 2 3
 * ...) and back. Neither overlaps the other. The buffer of residuals is PREDICT_SLACK bytes longer than they are, and
 * aligned for its samples; what stands there is overwritten. The prediction is valid. 0; -ENOMEM.
 */
int predict_apply(const struct prediction *p, const uint8_t *bytes, size_t count, void *residuals);
int predict_undo(const struct prediction *p, const void *residuals, size_t count, uint8_t *bytes);

/* The best weights, shift and (of integers) order for these samples; width, big_endian, row, and ORDER_FLOAT are given.
 * Returns about how many bits a sample will take. 0 or more; -1 without memory. */
double predict_fit(struct prediction *p, const uint8_t *bytes, size_t count);

/* Which code runs; for tests. The fastest that this processor has by default. Returns false when it has not this one. */
enum predict_code { PREDICT_PORTABLE, PREDICT_SSE2, PREDICT_AVX2 };
bool predict_use(enum predict_code code);

#endif
