/*
 * picture: one small 8-bit PNG that shows what a volume is: its middle slice, at most PICTURE_EDGE pixels wide and high,
 * gray (or RGB), contrast stretched between the 0.5 and 99.5 percentile (16-bit previews are black otherwise).
 *
 * The PNG uses stored (uncompressed) deflate, so its size follows from the geometry and costs no pixel (FACTS section 2).
 * Only the middle slice is read, a few rows at a time, and it is reduced in its plane by a whole factor. Deterministic: the same pixels give the same
 * bytes. Any thread may call.
 */
#ifndef TOMOFS_PICTURE_H
#define TOMOFS_PICTURE_H

#include "fs/view/volume.h"

enum { PICTURE_EDGE = 512 };

/* Exact size in bytes of the PNG. */
uint64_t picture_size(const struct geometry *g);

/* Makes the whole PNG into *out (appended). 0 or -errno from read_rows; -ENOMEM. */
int picture_make(const struct volume *v, struct buf *out);

#endif
