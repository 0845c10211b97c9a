/*
 * tiff_ifd: the directories (IFDs) of a TIFF file, read with as little as possible: which pages there are and what
 * their tags say. Pixels and everything about compression are libtiff's business (tiff_page.h).
 *
 * Source: TIFF revision 6.0 (Adobe, 1992), section 2; BigTIFF: libtiff.gitlab.io/libtiff/specification/bigtiff.html.
 */
#ifndef TOMOFS_IMAGE_TIFF_IFD_H
#define TOMOFS_IMAGE_TIFF_IFD_H

#include <stdbool.h>

#include "fs/image/source.h"
#include "store/scope.h"

enum { TIFF_WINDOW = 512 };

struct tiff_file {
	struct source *src;
	bool big; /* BigTIFF: 64-bit offsets */
	bool big_endian;
	uint64_t first;	    /* offset of the first IFD */
	uint64_t window_at; /* the bytes read last, since directories and their values are neighbours */
	size_t window_len;
	uint8_t window[TIFF_WINDOW];
};

struct tiff_ifd {	   /* zeroed = empty; may be read into again and again */
	uint64_t at, next; /* next 0: the last one */
	uint64_t bytes;	   /* of this directory in the file */
	unsigned count;
	uint8_t *raw; /* count entries of 12 or 20 bytes; owned */
	size_t cap;
};

bool tiff_detect(const uint8_t *head, size_t head_len);
int tiff_file_init(struct tiff_file *file, struct source *src);

/* 0; -EBADMSG: not inside the file, or nothing that could be a directory; the source's -errno. */
int tiff_ifd_read(struct tiff_file *file, uint64_t at, struct tiff_ifd *ifd);
void tiff_ifd_free(struct tiff_ifd *ifd);
#define scope_ifd SCOPE_CLEANUP(tiff_ifd_free)

/* A tag's first value: false when it is not there or of another type. tiff_real() also takes whole numbers. */
bool tiff_number(struct tiff_file *file, const struct tiff_ifd *ifd, uint16_t tag, uint64_t *value);
bool tiff_real(struct tiff_file *file, const struct tiff_ifd *ifd, uint16_t tag, double *value);
/* A tag's text as a new UTF-8 string of at most max bytes; NULL when it is not there, empty, or no memory. */
char *tiff_text(struct tiff_file *file, const struct tiff_ifd *ifd, uint16_t tag, size_t max);

#endif
