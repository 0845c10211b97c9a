/*
 * residual_fit: the classes and the shares of symbols that make counted samples small. Part of the encoder of residuals; what
 * is chosen is in the coded form, so it may change without a new format. Integers only: the same on all machines.
 */
#ifndef TOMOFS_RESIDUAL_FIT_H
#define TOMOFS_RESIDUAL_FIT_H

#include "store/residual_internal.h"

/* What is counted are tokens: symbols that are as fine as they can be. */
typedef uint32_t token_counts[SYMBOLS_MAX];

/* Joins neighbouring levels to classes. The counts of a class are added up in its first level. */
void fit_classes(struct head *h, token_counts *levels, unsigned tokens);

/* The symbols of a class, and for each token its symbol. Something is counted. sampled: not everything is; then what was not
 * counted but may occur becomes the escape symbol. */
void fit_symbols(const struct head *h, const uint32_t *counts, unsigned tokens, bool sampled, struct symbols *s,
		 uint8_t *symbol_of_token);

#endif
