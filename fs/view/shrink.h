/*
 * shrink: one slice made from two, half as wide and high. Each result is the mean of up to 2x2x2 voxels:
 *
 *   integers   floor((sum + n/2) / n) for n voxels: the mean rounded to nearest, halves upward (towards +infinity, also
 *              for signed types)
 *   floats     the mean, added in the next wider type (float in double, double in double), then rounded to the type; a
 *              NaN makes the result NaN
 *
 * At an odd edge n is the number of voxels that are there (4, 2 or 1 instead of 8).
 * This plain version is the reference: faster ones give the same bytes.
 */
#ifndef TOMOFS_SHRINK_H
#define TOMOFS_SHRINK_H

#include "index/geometry.h"

/* a and b: two neighbouring slices of width x height pixels with `samples` interleaved samples; b is NULL when there is
 * no second one. to: ceil(width/2) x ceil(height/2) pixels. */
void shrink_slices(enum voxel_type type, unsigned samples, uint64_t width, uint64_t height, const void *a,
		   const void *b, void *to);

#endif
