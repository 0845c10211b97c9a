/*
 * volume: the pixels of one image of a dataset as views see them: a box of z slices, read by rows, wherever they
 * come from (a stack of files, pages of one file, a raw volume).
 */
#ifndef TOMOFS_VOLUME_H
#define TOMOFS_VOLUME_H

#include "index/geometry.h"

struct volume {
	uint64_t id;         /* changes whenever the pixels may have; caches are keyed by it */
	const char *name;    /* the dataset's short name, or the part's name; used in file names */
	struct geometry geo; /* of the whole: depth counts all slices; type is the machine's byte order */
	/* Rows row .. row+rows-1 of slice z (rows * geometry_row_bytes()) into to, in the machine's byte order. 0 or -errno
	 * (-EIO with a sentence naming file and place). Several threads may call at once; reading on downwards is cheap. */
	int (*read_rows)(void *ctx, uint64_t z, uint64_t row, uint64_t rows, void *to);
	void *ctx;
};

#endif
