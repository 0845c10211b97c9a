/*
 * residual: entropy coding of prediction residuals, that is, of samples which are mostly small numbers and whose size
 * depends on the place in the picture. Each sample is coded with the table of its class, and the class follows from the
 * residuals above it, which the decoder has already: no side information. The coder is tabled asymmetric numeral systems
 * (J. Duda, arXiv:1311.2540; Y. Collet's Finite State Entropy): within 1 % of the entropy, one table look-up a sample.
 * Large samples have their upper bits coded and their lower bits, which are noise, kept as they are.
 *
 * Vector code where the processor has it; all processors make the same bytes. Any thread.
 */
#ifndef TOMOFS_RESIDUAL_H
#define TOMOFS_RESIDUAL_H

#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"

/* Samples are unsigned numbers of width 1, 2 or 4 bytes in the machine's own order; zigzag: small numbers are near the
 * prediction. row: samples from one to that below it; 0 when nothing is known. count: up to 2^24. */

/* Appends the coded samples to *out. 0; -ENOMEM. */
int residual_encode(const void *residuals, unsigned width, size_t count, size_t row, struct buf *out);

/* Decodes count samples of the same width and row. 0; -EBADMSG: damaged, or of another count or row (not always
 * noticed); -ENOMEM. Safe on any bytes. */
int residual_decode(const uint8_t *coded, size_t coded_len, unsigned width, size_t count, size_t row, void *residuals);
/* Only the first ones: whole rows, or all. */
int residual_decode_first(const uint8_t *coded, size_t coded_len, unsigned width, size_t count, size_t row, size_t first,
			  void *residuals);

#endif
