#include "fs/view/view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fs/view/view_internal.h"
#include "store/err.h"

enum { SLICES_MAX = 1 << 20 }; /* a folder of more files helps nobody, and each open of it costs memory */

static const struct view_ops *const views[VIEW_COUNT] = {
	[VIEW_SLICES] = &view_slices,
	[VIEW_IMAGEJ] = &view_imagej,
};

const struct view_ops *view_by_number(unsigned number)
{
	return number < VIEW_COUNT ? views[number] : NULL;
}

int view_supported(const struct geometry *g)
{
	if (!geometry_sane(g))
		return err_set(ENOTSUP, "the type or size of its pixels is not one that can be shown");
	if (g->depth >= SLICES_MAX)
		return err_set(ENOTSUP, "%llu slices are more than can be shown (%d)", (unsigned long long)g->depth,
			       SLICES_MAX - 1);
	return 0;
}

static size_t stem_length(const char *name)
{
	static const char *const endings[] = { ".tif", ".tiff" };
	size_t len = strlen(name);

	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(endings[i]);

		if (len > n && strcasecmp(name + len - n, endings[i]) == 0)
			return len - n;
	}
	return len;
}

void view_name(const struct volume *v, const char *suffix, char name[VIEW_NAME_MAX + 1])
{
	size_t stem = stem_length(v->name), room = VIEW_NAME_MAX - strlen(suffix);
	char id[32] = "";

	if (stem > room) {
		room -= (size_t)snprintf(id, sizeof id, "~%llx", (unsigned long long)v->id);
		stem = room;
		while (stem && ((uint8_t)v->name[stem] & 0xc0) == 0x80)
			stem--;
		if (!stem) /* no UTF-8 at all */
			stem = room;
	}
	snprintf(name, VIEW_NAME_MAX + 1, "%.*s%s%s", (int)stem, v->name, id, suffix);
}

int64_t view_tiff_read(struct levels *levels, const struct volume *v, unsigned level, const struct tiff_header *h,
		       uint64_t first_pixel, uint64_t off, void *to, size_t len)
{
	uint64_t size = tiff_header_size(h);
	size_t front = 0;
	int rc = 0;

	if (off >= size)
		return 0;
	if (len > size - off)
		len = size - off;
	if (off < h->pixels) {
		front = h->pixels - off < len ? h->pixels - off : len;
		rc = tiff_header_read(h, off, to, front);
	}
	if (!rc && front < len)
		rc = levels_read_bytes(levels, v, level, first_pixel + (off + front - h->pixels), (uint8_t *)to + front,
				       len - front);
	return rc ? rc : (int64_t)len;
}
