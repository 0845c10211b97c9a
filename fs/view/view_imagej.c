/* view_imagej: NAME.tif, NAME_2x.tif, ...: a level as one ImageJ stack. */
#include <stdio.h>

#include "fs/view/view_internal.h"

static bool imagej_exists(const struct volume *v, unsigned level)
{
	struct geometry g = level_geometry(&v->geo, level);

	return level <= levels_of(&v->geo) && tiff_header_fits(&g);
}

static void imagej_name(const struct volume *v, unsigned level, char name[VIEW_NAME_MAX + 1])
{
	char suffix[32] = ".tif";

	if (level)
		snprintf(suffix, sizeof suffix, "_%ux.tif", 1U << level);
	view_name(v, suffix, name);
}

static void imagej_header(const struct volume *v, unsigned level, struct tiff_header *h)
{
	struct geometry g = level_geometry(&v->geo, level);

	tiff_header_init(h, &g);
}

static uint64_t imagej_size(const struct volume *v, unsigned level, uint64_t item)
{
	struct tiff_header h;

	(void)item;
	imagej_header(v, level, &h);
	return tiff_header_size(&h);
}

static int64_t imagej_read(struct levels *levels, const struct volume *v, unsigned level, uint64_t item, uint64_t off,
			   void *to, size_t len)
{
	struct tiff_header h;

	(void)item;
	imagej_header(v, level, &h);
	return view_tiff_read(levels, v, level, &h, 0, off, to, len);
}

const struct view_ops view_imagej = {
	.number = VIEW_IMAGEJ,
	.folder = false,
	.exists = imagej_exists,
	.name = imagej_name,
	.size = imagej_size,
	.read = imagej_read,
};
