/*
 * tiff_header: the bytes of a classic little-endian TIFF (TIFF 6.0) in front of its pixels, one strip a page, all pages
 * alike and their pixels one after another without gaps. Written so that ImageJ, tifffile and libtiff read it (FACTS
 * section 2):
 *
 *     0       "II", 42, offset of the first IFD
 *     8       what pages share: ImageJ's text, BitsPerSample, SampleFormat, resolution
 *     first   the IFD of page 0 (with ImageDescription), then those of the other pages, all of one size
 *     pixels  at a multiple of 4096
 *
 * When the whole would not fit in 4 GiB there is only page 0's IFD and its text says how many slices follow: ImageJ's
 * own way to write large stacks. Any byte can be asked for alone, so a million pages cost no memory. Pure functions.
 */
#ifndef TOMOFS_TIFF_HEADER_H
#define TOMOFS_TIFF_HEADER_H

#include "index/geometry.h"

enum { TIFF_TEXT_MAX = 256, TIFF_ENTRY_BYTES = 12, TIFF_PIXELS_ALIGN = 4096 };

struct tiff_header {
	struct geometry geo; /* of what is in the file */
	char text[TIFF_TEXT_MAX];
	uint64_t pages;	 /* IFDs: depth, or 1 when the rest is a tail that only ImageJ's text tells of */
	uint64_t first;	 /* offset of page 0's IFD */
	uint64_t pixels; /* offset of the first pixel */
};

/* A single slice must fit: geometry_slice_bytes() + TIFF_PIXELS_ALIGN < 4 GiB, see tiff_header_fits(). */
void tiff_header_init(struct tiff_header *h, const struct geometry *geo);
bool tiff_header_fits(const struct geometry *geo);
/* Bytes of the whole file. */
uint64_t tiff_header_size(const struct tiff_header *h);
/* Bytes off .. off+len-1 of what stands before the pixels; off + len <= h->pixels. 0 or -ENOMEM. */
int tiff_header_read(const struct tiff_header *h, uint64_t off, void *to, size_t len);

#endif
