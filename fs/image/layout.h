/*
 * layout: where the pixels lie in a file while it is being written, so that chunk borders restart at the first pixel of
 * every slice and fall on whole rows (store/chunker.h), and the same slice becomes the same chunks whatever file it
 * comes in.
 *
 *     TIFF, BigTIFF   from its directories (IFDs), in whatever order a writer puts these, their tables and the pixels;
 *                     any strips or tiles without compression; pages that follow without a directory
 *     raw volume      from a hint (sidecar, neighbouring file), from sizes in its name, from a header that says so
 *                     (MetaImage, NRRD, npy, MRC, NIfTI, DICOM), else from its bytes (detect.h)
 *     all else        content-defined
 *
 * Headers, directories and tables are chunks of their own, so that a changed one adds little. What stands in a file
 * before the directory that tells about it is waited for, or predicted from the page before; a wrong prediction costs
 * deduplication and never a byte, since a layout only says where to cut and how pixels may be predicted.
 *
 * Feed the bytes in order and cut as late as possible: writers change headers that they wrote before. For a file that
 * was changed behind what was fed, make a new layout and feed it from the start; going over pixels costs nothing.
 *
 * Threads: none; its file's lock. Memory: below 128 KiB whatever a file says. Foreign bytes never crash or hang it:
 * work is proportional to the bytes fed. Borders are the same in whatever pieces the bytes come, as long as predictions
 * hold.
 */
#ifndef TOMOFS_IMAGE_LAYOUT_H
#define TOMOFS_IMAGE_LAYOUT_H

#include "index/geometry.h"
#include "store/chunker.h"

/* How far a wait can reach beyond the byte that was asked about. */
#define LAYOUT_WAIT_MAX (UINT64_C(64) << 20)

struct layout;

enum { LAYOUT_SHAPES = 8 };

struct layout_shape { /* of slices */
	uint64_t slice_bytes;
	uint32_t row_bytes;
	uint8_t sample_bytes;
};

struct layout_hint {	     /* of a raw file */
	struct geometry geo; /* type VOXEL_NONE: not known */
	bool depth_known;    /* false: slices go on to the end of the file */
	/* Slices that were met lately, the last ones first: when the bytes show rows and no slices, one of these may be
	 * it. */
	struct layout_shape shapes[LAYOUT_SHAPES];
};

enum layout_kind {
	LAYOUT_PIXELS, /* the plan is that of the pixels there */
	LAYOUT_OTHER,  /* no pixels up to *until: content-defined, with a border at *until */
	LAYOUT_WAIT,   /* not known yet: feed up to *until (or the end) and ask again */
};

/* name: the file's, for the sizes in it. hint may be NULL. 0; -ENOMEM. */
int layout_new(struct layout **out, const char *name, const struct layout_hint *hint);
void layout_free(struct layout *layout);

/* The next bytes; off is what was fed so far. last: the file ends with them (len may be 0). */
void layout_feed(struct layout *layout, uint64_t off, const void *bytes, size_t len, bool last);

/*
 * Length of the first chunk of data, which is at file offset off and was fed; last: the file ends with it. *plan is for
 * store_put() (slice_bytes 0: none). 0: more bytes are needed, up to *until (UINT64_MAX: the end); never when last,
 * nor, when layout_give_up() was called, with CHUNK_MAX bytes or more.
 */
size_t layout_cut(struct layout *layout, uint64_t off, const uint8_t *data, size_t len, bool last,
		  struct chunk_plan *plan, uint64_t *until);

/* Memory is short: from now on decides with what is known, without waiting. */
void layout_give_up(struct layout *layout);

/* What is at off, which is not beyond what was fed. *until is set for all but LAYOUT_PIXELS, UINT64_MAX: the end. */
enum layout_kind layout_at(struct layout *layout, uint64_t off, struct chunk_plan *plan, uint64_t *until);

/* The geometry by which a raw file was laid out, for its neighbours. False: not a raw file, or nothing was found. */
bool layout_raw(const struct layout *layout, struct layout_hint *found);

/* What slices the file has, of whatever kind it is. False: that is not known. */
bool layout_slices(const struct layout *layout, struct layout_shape *found);

/* Is this the beginning of a file for which a hint is of use? */
bool layout_wants_hint(const void *head, size_t head_len);

#endif
