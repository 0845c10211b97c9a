/*
 * planes: pixels of several samples (colours, components of a vector) as one plane for each sample of a pixel, one plane behind the
 * other, so that a sample's neighbours are those of its own kind. A plane may also be the difference from the plane before it:
 * colours resemble each other. An exact inverse for any bytes.
 *
 * Pure functions; any thread.
 */
#ifndef TOMOFS_PLANES_H
#define TOMOFS_PLANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/predict.h"

enum { PLANES_DIFFERENT = 8 /* the planes from here on are never differences */ };

struct planes {
	uint8_t samples;     /* a pixel; 0 and 1: there is only one plane */
	uint8_t differences; /* bit k: plane k is less plane k - 1; bit 0 is 0 */
};

/* Parameters that make sense for such samples (width, big_endian and order of *type; also for bytes from a damaged pack). */
bool planes_valid(const struct planes *planes, const struct prediction *type);

/* count samples, pixel after pixel, to planes and back. What does not fill a pixel at the end stays there. Neither overlaps the
 * other; the planes that are merged are changed. The planes are valid. */
void planes_split(const struct planes *planes, const struct prediction *type, const uint8_t *pixels, size_t count, uint8_t *to);
void planes_merge(const struct planes *planes, const struct prediction *type, uint8_t *from, size_t count, uint8_t *pixels);

/* The planes that are smoother as differences, by a look at some of the pixels. */
uint8_t planes_differences(unsigned samples, const struct prediction *type, const uint8_t *pixels, size_t count);

#endif
