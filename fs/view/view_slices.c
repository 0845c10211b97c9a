/* view_slices: 2x/z0000.tif, one TIFF for each slice of a level. */
#include <stdio.h>
#include <string.h>

#include "fs/view/view_internal.h"

static bool slices_exists(const struct volume *v, unsigned level)
{
	struct geometry g = level_geometry(&v->geo, level);

	return level >= 1 && level <= levels_of(&v->geo) && tiff_header_fits(&g);
}

static void slices_name(const struct volume *v, unsigned level, char name[VIEW_NAME_MAX + 1])
{
	(void)v;
	snprintf(name, VIEW_NAME_MAX + 1, "%ux", 1U << level);
}

static uint64_t slices_count(const struct volume *v, unsigned level)
{
	return level_shape(&v->geo, level).depth;
}

/* At least four digits; more when the last number needs them, so that names sort as numbers. */
static void slices_item_name(const struct volume *v, unsigned level, uint64_t item, char name[VIEW_NAME_MAX + 1])
{
	int digits = snprintf(NULL, 0, "%llu", (unsigned long long)slices_count(v, level) - 1);

	snprintf(name, VIEW_NAME_MAX + 1, "z%0*llu.tif", digits < 4 ? 4 : digits, (unsigned long long)item);
}

static int64_t slices_item_find(const struct volume *v, unsigned level, const char *name)
{
	char right[VIEW_NAME_MAX + 1];
	uint64_t item = 0;

	if (*name != 'z')
		return -1;
	for (const char *c = name + 1; *c >= '0' && *c <= '9'; c++) {
		item = item * 10 + (uint64_t)(*c - '0');
		if (item >= slices_count(v, level))
			return -1;
	}
	slices_item_name(v, level, item, right);
	return strcmp(name, right) == 0 ? (int64_t)item : -1;
}

static void slices_header(const struct volume *v, unsigned level, struct tiff_header *h)
{
	struct geometry g = level_geometry(&v->geo, level);

	g.depth = 1;
	tiff_header_init(h, &g);
}

static uint64_t slices_size(const struct volume *v, unsigned level, uint64_t item)
{
	struct tiff_header h;

	(void)item;
	slices_header(v, level, &h);
	return tiff_header_size(&h);
}

static int64_t slices_read(struct levels *levels, const struct volume *v, unsigned level, uint64_t item, uint64_t off,
			   void *to, size_t len)
{
	struct tiff_header h;

	slices_header(v, level, &h);
	return view_tiff_read(levels, v, level, &h, item * geometry_slice_bytes(&h.geo), off, to, len);
}

const struct view_ops view_slices = {
	.number = VIEW_SLICES,
	.folder = true,
	.exists = slices_exists,
	.name = slices_name,
	.count = slices_count,
	.item_name = slices_item_name,
	.item_find = slices_item_find,
	.size = slices_size,
	.read = slices_read,
};
