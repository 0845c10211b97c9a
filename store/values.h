/*
 * values: samples as ranks among the values that occur. Pictures with fewer shades than their type can hold (8 bits stretched
 * to 16, whole numbers in floating point, counts times a constant, labels) leave most values out; a prediction never finds a
 * left-out value when samples are ranks, and fewer bits are left to code. An exact inverse for any bytes.
 *
 * Values are ordered as struct prediction says (its width, big_endian and order; nothing else of it is used here). Ranks are
 * little-endian numbers of 1 byte (up to 256 values) or 2 bytes.
 *
 * Any thread, each with its own struct values.
 */
#ifndef TOMOFS_VALUES_H
#define TOMOFS_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"
#include "store/predict.h"

enum { VALUES_MAX = 16384 };

struct values {
	struct prediction type; /* width, big_endian and order of the samples */
	size_t count;
	int32_t *level;	      /* ascending; owned */
	void *table;	      /* scratch; owned */
};

/* Frees what it owns; the struct may be used again. A zeroed one is valid. */
void values_free(struct values *v);

/* Do these samples, part of a picture, look as if most values between those that occur often did not occur? Needs no
 * memory to speak of. False without memory. */
bool values_sparse(struct values *v, const struct prediction *type, const uint8_t *bytes, size_t count);

/* Finds the values of count samples. 0; -ERANGE: more than VALUES_MAX or none (nothing is logged); -ENOMEM. */
int values_find(struct values *v, const struct prediction *type, const uint8_t *bytes, size_t count);
/* Bytes of a rank. */
unsigned values_rank_width(const struct values *v);
/* Samples, all of them among the values, to ranks and back. Any ranks may come back; those that are too great stand for
 * the greatest value. */
void values_rank(const struct values *v, const uint8_t *bytes, size_t count, uint8_t *ranks);
void values_unrank(const struct values *v, const uint8_t *ranks, size_t count, uint8_t *bytes);

/* As bytes (FORMAT.md) and back; values_get() returns 0, -EBADMSG (without a sentence) or -ENOMEM. */
void values_put(struct buf *out, const struct values *v);
int values_get(struct cursor *from, struct values *v);
/* Only width, big_endian and order of the samples, the rest of *type is as of no prediction. False: damaged. */
bool values_get_type(struct cursor *from, struct prediction *type);

#endif
