#include "fs/image/image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs/image/formats.h"
#include "store/err.h"

enum { HEAD_BYTES = 64 }; /* pixels that begin behind a short header are not decoded to tell the format */

static const struct image_ops *const formats[] = { &image_tiff, &image_raw };
enum { FORMAT_COUNT = sizeof formats / sizeof *formats };

struct image {
	const struct image_ops *ops;
	struct geometry geo;
	void *state;
};

int image_probe(struct source *src, struct geometry *geo, struct findings *facts)
{
	uint8_t head[HEAD_BYTES];
	size_t len = src->size < sizeof head ? (size_t)src->size : sizeof head;
	int rc = source_read(src, 0, head, len);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < FORMAT_COUNT; i++) {
		if (!formats[i]->detect || !formats[i]->detect(head, len))
			continue;
		*geo = (struct geometry) { .format = formats[i]->format };
		rc = formats[i]->probe(src, geo, facts);
		if (rc < 0)
			return err_wrap(rc, "%s", formats[i]->name);
		if (!geometry_sane(geo))
			return err_set(
			    EBADMSG, "%s: declares an impossible size: %" PRIu64 " x %" PRIu64 " x %" PRIu64 " pixels",
			    formats[i]->name, geo->width, geo->height, geo->depth);
		return 0;
	}
	return err_set(ENOENT, "no image format known here");
}

int image_open(struct image **out, struct source *src, const struct geometry *geo)
{
	struct image *image;
	int rc = 0;

	if (!geometry_sane(geo))
		return err_set(EBADMSG, "its size is impossible");
	image = calloc(1, sizeof *image);
	if (!image)
		return err_set(ENOMEM, "no memory to open an image");
	image->geo = *geo;
	for (size_t i = 0; i < FORMAT_COUNT; i++)
		if (formats[i]->format == geo->format)
			image->ops = formats[i];
	if (image->ops)
		rc = image->ops->open(&image->state, src, geo);
	else
		rc = err_set(EBADMSG, "image format %d is not known here", (int)geo->format);
	if (rc < 0) {
		free(image);
		return rc;
	}
	*out = image;
	return 0;
}

int image_read_rows(struct image *image, uint64_t page, uint64_t row, uint64_t rows, void *to)
{
	const struct geometry *geo = &image->geo;

	if (page >= geo->depth || row > geo->height || rows > geo->height - row)
		return err_set(EINVAL, "page %" PRIu64 " rows %" PRIu64 "+%" PRIu64 " are outside of the image", page,
			       row, rows);
	if (!rows)
		return 0;
	return image->ops->read_rows(image->state, page, row, rows, to);
}

void image_close(struct image *image)
{
	if (!image)
		return;
	image->ops->close(image->state);
	free(image);
}
