/* Pixels without a header: a sidecar or the file's name says where the first one is, their type and byte order. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs/image/formats.h"
#include "fs/image/swap.h"
#include "store/err.h"

struct raw {
	struct source *src;
	struct geometry geo;
};

/* Without a declaration nothing is known; so the size is all that can be checked. */
static int check_size(const struct source *src, const struct geometry *geo)
{
	uint64_t need = geometry_slice_bytes(geo) * geo->depth;
	uint64_t end;

	if (__builtin_add_overflow(need, geo->offset, &end) || end > src->size)
		return err_set(EBADMSG,
			       "ends too early: %" PRIu64 " x %" PRIu64 " x %" PRIu64 " %s pixels from byte %" PRIu64
			       " on need %" PRIu64 " bytes, and the file has %" PRIu64,
			       geo->width, geo->height, geo->depth, voxel_name(geo->type), geo->offset, need,
			       src->size);
	return 0;
}

static int raw_probe(struct source *src, struct geometry *geo, struct findings *facts)
{
	(void)facts;
	return check_size(src, geo);
}

static int raw_open(void **state, struct source *src, const struct geometry *geo)
{
	struct raw *raw;
	int rc = check_size(src, geo);

	if (rc < 0)
		return rc;
	raw = malloc(sizeof *raw);
	if (!raw)
		return err_set(ENOMEM, "no memory to open a raw volume");
	*raw = (struct raw) { .src = src, .geo = *geo };
	*state = raw;
	return 0;
}

static int raw_read_rows(void *state, uint64_t page, uint64_t row, uint64_t rows, void *to)
{
	struct raw *raw = state;
	uint64_t row_bytes = geometry_row_bytes(&raw->geo);
	uint64_t at = raw->geo.offset + page * geometry_slice_bytes(&raw->geo) + row * row_bytes;
	size_t width = voxel_bytes(raw->geo.type);
	int rc = source_read(raw->src, at, to, (size_t)(rows * row_bytes));

	if (rc < 0)
		return err_wrap(rc, "page %" PRIu64 ": row %" PRIu64, page, row);
	if (swap_needed(raw->geo.big_endian))
		swap_samples(to, (size_t)(rows * row_bytes / width), width);
	return 0;
}

const struct image_ops image_raw = {
	.format = IMAGE_RAW,
	.name = "raw volume",
	.probe = raw_probe,
	.open = raw_open,
	.read_rows = raw_read_rows,
	.close = free,
};
