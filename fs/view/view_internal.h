/*
 * view_internal: the views there are, and what those that are TIFF files share.
 */
#ifndef TOMOFS_VIEW_INTERNAL_H
#define TOMOFS_VIEW_INTERNAL_H

#include "fs/view/tiff_header.h"
#include "fs/view/view.h"

extern const struct view_ops view_slices, view_imagej;

/* v's name without .tif, then suffix; cut at a UTF-8 border, with the id behind, when it would pass VIEW_NAME_MAX
 * bytes. */
void view_name(const struct volume *v, const char *suffix, char name[VIEW_NAME_MAX + 1]);

/* The read() of a view: header, then the pixels of a level from byte first_pixel of that level on. */
int64_t view_tiff_read(struct levels *levels, const struct volume *v, unsigned level, const struct tiff_header *h,
		       uint64_t first_pixel, uint64_t off, void *to, size_t len);

#endif
