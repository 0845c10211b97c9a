/*
 * tiff_page: one page of a TIFF, opened with libtiff.
 *
 * libtiff is shown a file whose header points at the wanted directory, so it opens any page at once and never walks the
 * chain. It has no memory map and no handler that prints, and its allocations are bounded.
 *
 * Uncompressed strips are read straight from the source. The decoded strip (or row of tiles) is kept, so reading on
 * downwards decodes each of them once. A strip that is too long for that is decoded row by row: reading on downwards is
 * as fast as ever, going back begins with its first row again. A row of tiles that does not fit into memory is refused.
 */
#ifndef TOMOFS_IMAGE_TIFF_PAGE_H
#define TOMOFS_IMAGE_TIFF_PAGE_H

#include "fs/image/tiff_ifd.h"
#include "index/geometry.h"

enum { TIFF_ERROR_MAX = 200, TIFF_PLANES_MAX = 4 };
/* Compressed and decoded bytes of a strip or a row of tiles; and from where on strips are decoded row by row. Together
 * with what a codec keeps for itself they stay within IMAGE_MEMORY_MAX. */
enum { TIFF_RAW_MAX = 96 << 20, TIFF_BAND_MAX = 128 << 20, TIFF_BAND_KEPT = 32 << 20 };

struct tiff_page {
	void *tif; /* libtiff's handle */
	struct source *src;
	uint8_t header[16];
	size_t header_len;
	uint64_t at;		    /* of libtiff's reading */
	int source_rc;		    /* first failure of the source, 0 when none */
	char error[TIFF_ERROR_MAX]; /* libtiff's first complaint since it was last cleared */

	struct geometry geo; /* without depth and voxel size */
	unsigned bits;	     /* of a sample in the file; differs from geo.type: unpacked when rows are given out */
	bool is_signed, half_float;
	bool tiled, direct; /* direct: samples stand in the file as they are wanted, but for byte order */
	unsigned planes;    /* 1, or one for each sample */
	uint64_t band_rows; /* rows of a strip or tile */
	uint64_t tile_width, tiles_across; /* of strips: the whole row, 1 */
	uint64_t row_bytes;		   /* of one row of one strip or tile as libtiff decodes it */
	uint64_t block_bytes;		   /* a whole strip or tile */

	bool can_row, by_row; /* the strips can be, and are decoded row by row */
	uint64_t next_row;    /* by_row: the row of the page that libtiff would decode next; UINT64_MAX: none */
	uint8_t *band;	      /* decoded: tiles_across * planes blocks, or one row; owned */
	uint64_t band_index;  /* UINT64_MAX: none */
};

/* Opens the page whose directory stands at `at`, and checks that its pixels can be decoded. 0; -EBADMSG with a
 * sentence; the source's -errno. *page is filled; close it also after a failure. */
int tiff_page_open(struct tiff_page *page, const struct tiff_file *file, uint64_t at);
void tiff_page_close(struct tiff_page *page);

/* Are all strips and tiles within the file? -EBADMSG names the first that is not. */
int tiff_page_check(struct tiff_page *page);

/* Where the first pixel stands when all of the page is one run of uncompressed bytes; 0 when it is not. */
uint64_t tiff_page_run(struct tiff_page *page);

/* shift: added to the place of every pixel in the file (direct pages only). */
int tiff_page_rows(struct tiff_page *page, uint64_t shift, uint64_t row, uint64_t rows, uint8_t *to);

#endif
