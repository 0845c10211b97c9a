/*
 * levels: a volume made 2, 4, 8 ... times smaller, band by band, and a bounded cache of the bands that were computed.
 *
 * Level 0 is the volume itself. Level n+1 has half the size of level n on each axis, rounded up, and each voxel is the
 * rounded mean of its 2x2x2 block in level n (shrink.h); at an odd edge, of the voxels that are there. The last level is
 * the first one that fits in LEVEL_FITS pixels on each axis, but there are at least LEVELS_MIN (2x and 4x) as long as an axis is
 * longer than 1. At most LEVELS_MAX levels.
 *
 * Threads: everything here may be called from any thread. A band that several threads ask for is computed once.
 */
#ifndef TOMOFS_LEVELS_H
#define TOMOFS_LEVELS_H

#include "fs/view/volume.h"

enum { LEVEL_FITS = 256, LEVELS_MIN = 2, LEVELS_MAX = 15, LEVEL_BAND_BYTES = 1 << 20 };

struct level_shape {
	uint64_t width, height, depth;
};

/* How many levels above 0 a geometry has (0 when it is a single pixel). */
unsigned levels_of(const struct geometry *g);
/* The size at a level (0 = full size). */
struct level_shape level_shape(const struct geometry *g, unsigned level);
/* The geometry at a level: shape and voxel size (doubled on the axes that were halved). */
struct geometry level_geometry(const struct geometry *g, unsigned level);

struct levels; /* the cache */

/* budget: bytes of computed bands kept at most. */
struct levels *levels_new(size_t budget);
void levels_free(struct levels *levels);

/*
 * Rows row .. row+rows-1 of slice z at a level into to (rows * row bytes of level_geometry()). Works on bands: runs of whole
 * rows of about LEVEL_BAND_BYTES that are computed whole, from two bands of each of two slices of the level below, and kept.
 * So one screen of a 40,000 x 40,000 mosaic reads what it shows and never the whole of it.
 * 0; -errno from read_rows; -EINVAL outside; -ENOMEM; -E2BIG: a single row is larger than the budget.
 */
int levels_read(struct levels *levels, const struct volume *volume, unsigned level, uint64_t z, uint64_t row,
		uint64_t rows, void *to);

/* The same in bytes: len bytes at off of the pixels of a whole level (slices one after another without gaps). */
int levels_read_bytes(struct levels *levels, const struct volume *volume, unsigned level, uint64_t off, void *to,
		      size_t len);

/* Bytes the cache holds now. */
size_t levels_bytes(struct levels *levels);

#endif
