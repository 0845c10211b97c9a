/*
 * png: an 8-bit PNG whose size is known before its pixels (PNG specification, 2nd edition; RFC 1950 and 1951): the
 * pixels stand in stored deflate blocks, each row with filter 0. Pure functions.
 */
#ifndef TOMOFS_PNG_H
#define TOMOFS_PNG_H

#include "store/buf.h"

/* samples: 1 gray, 3 RGB. */
uint64_t png_size(uint32_t width, uint32_t height, unsigned samples);
/* Appends the file to out. pixels: rows without gaps. 0 or -ENOMEM. */
int png_write(struct buf *out, uint32_t width, uint32_t height, unsigned samples, const uint8_t *pixels);

#endif
