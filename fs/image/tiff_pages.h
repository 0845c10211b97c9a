/*
 * tiff_pages: which pages of a TIFF are the slices of its volume.
 *
 * The slices are the pages of the chain that look like the first one: size, sample type, samples. Pages that say of
 * themselves that they are a reduced copy or a mask (tag 254, bit 0 or 2) are passed over; the first page that looks
 * different and does not say so ends the volume. When the first page is a thumbnail - it says so, or the page after it
 * has at least sixteen times the pixels - the volume begins with the next one.
 *
 * Files of millions of pages are walked once, in memory that does not grow: of the offsets every step-th is remembered,
 * and step doubles when the table is full. Going on to the next page costs one small read.
 */
#ifndef TOMOFS_IMAGE_TIFF_PAGES_H
#define TOMOFS_IMAGE_TIFF_PAGES_H

#include "fs/image/tiff_ifd.h"

struct tiff_shape { /* what the tags of a page say, unchecked */
	uint64_t width, height, bits, samples, format, kind;
};

struct tiff_walk { /* a place in the chain, and what finds out that the chain bites its tail */
	uint64_t slice;
	uint64_t at, next;
	uint64_t tortoise, steps, power; /* Brent's algorithm */
	uint64_t bytes;
};

enum { TIFF_MARKS = 1024 };

struct tiff_pages {
	struct tiff_file file;
	struct tiff_ifd ifd; /* the one read last */
	struct tiff_shape shape;
	bool any_kind; /* every page says that it is a thumbnail: then none is */
	struct tiff_walk walk;
	uint64_t step;
	size_t mark_count;
	struct tiff_walk marks[TIFF_MARKS]; /* of the slices 0, step, 2 * step ... */
};

/* Finds the first slice; ifd is its directory. 0; -EBADMSG; the source's -errno. */
int tiff_pages_init(struct tiff_pages *pages, struct source *src);
void tiff_pages_free(struct tiff_pages *pages);

/* Offset of the directory of a slice. -ENOENT: there are fewer slices. */
int tiff_pages_find(struct tiff_pages *pages, uint64_t slice, uint64_t *at);

/* Walks to the end. -EBADMSG when the chain is broken or goes in a circle. */
int tiff_pages_count(struct tiff_pages *pages, uint64_t *slices);

#endif
