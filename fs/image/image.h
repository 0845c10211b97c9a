/*
 * image: pixels of one file, whatever its format. A format is a constant struct image_ops in a file of its own
 * (tiff.c, raw.c) and a row of the table in image.c, ordered by how sure its detection is.
 *
 * Pixels come out as rows of interleaved samples in the machine's byte order, in the type that geometry names (palette
 * indices as they are; 1-bit and other sub-byte samples widened to VOXEL_U8; "min is white" is not inverted).
 *
 * Threads: an open image is used by one thread at a time; several may be open on several sources. Foreign bytes never
 * crash, hang or take more memory than IMAGE_MEMORY_MAX plus what the caller gave for its rows: -EBADMSG with a sentence
 * that names the place in the file ("page 3: strip 12: ends after 100 of 4096 bytes").
 */
#ifndef TOMOFS_IMAGE_H
#define TOMOFS_IMAGE_H

#include "fs/image/finding.h"
#include "fs/image/source.h"
#include "index/geometry.h"

enum { IMAGE_MEMORY_MAX = 256 << 20 };

struct image;

struct image_ops {
	enum image_format format;
	const char *name;
	/* Is it this format? Looks at the first bytes (head_len <= 64) only. NULL: never detected by content. */
	bool (*detect)(const uint8_t *head, size_t head_len);
	/* Fills geo and findings from the header; touches no pixel. -EBADMSG: damaged or of a kind that is not read. */
	int (*probe)(struct source *src, struct geometry *geo, struct findings *facts);
	/* state: what read_rows needs; geo: as probe filled it (or a sidecar declared it). */
	int (*open)(void **state, struct source *src, const struct geometry *geo);
	int (*read_rows)(void *state, uint64_t page, uint64_t row, uint64_t rows, void *to);
	void (*close)(void *state);
};

/* What is in this file? 0 and *geo, facts added; -ENOENT: no image format known here; -EBADMSG: an image, but broken or
 * of a kind that cannot be shown (err_text() says why); else the source's -errno. */
int image_probe(struct source *src, struct geometry *geo, struct findings *facts);

/* Opens for reading pixels. src must live until image_close(). 0; -EBADMSG when the file no longer fits geo. */
int image_open(struct image **out, struct source *src, const struct geometry *geo);

/* Rows row .. row+rows-1 of a page into to (rows * geometry_row_bytes()). 0; -EINVAL outside; -EBADMSG or -EIO damaged. */
int image_read_rows(struct image *image, uint64_t page, uint64_t row, uint64_t rows, void *to);
void image_close(struct image *image);

#endif
