/*
 * view: which files with computed bytes a volume has in views/NAME/. A view is one constant struct view_ops in a file of
 * its own and one row of the table in view.c; it owns some top entries of views/NAME/ (a folder "2x" or a file
 * "NAME_2x.tif"), one for each level that it exists at. A folder holds files, numbered from 0.
 *
 * Names, counts and sizes follow from the geometry alone and cost no pixel. Any thread may call.
 */
#ifndef TOMOFS_VIEW_H
#define TOMOFS_VIEW_H

#include "fs/view/levels.h"

enum { VIEW_NAME_MAX = 255 };

/* Numbers in node numbers: never renumber, at most 8. */
enum view_number { VIEW_SLICES = 0, VIEW_IMAGEJ = 1, VIEW_COUNT };

struct view_ops {
	enum view_number number;
	bool folder; /* top entries are folders of numbered files; else each is a file, with item 0 */
	/* Is there a top entry at this level? */
	bool (*exists)(const struct volume *v, unsigned level);
	/* Its name, NUL-terminated, at most VIEW_NAME_MAX bytes (a long dataset name is cut at a UTF-8 border and kept
	 * distinct by the volume's id). */
	void (*name)(const struct volume *v, unsigned level, char name[VIEW_NAME_MAX + 1]);
	/* Folders: how many files, the name of one, and the number of a name (-1: there is none). NULL for files. */
	uint64_t (*count)(const struct volume *v, unsigned level);
	void (*item_name)(const struct volume *v, unsigned level, uint64_t item, char name[VIEW_NAME_MAX + 1]);
	int64_t (*item_find)(const struct volume *v, unsigned level, const char *name);
	/* Exact bytes of a file. */
	uint64_t (*size)(const struct volume *v, unsigned level, uint64_t item);
	/* Up to len bytes at off; returns the number (short only at the end) or -errno. */
	int64_t (*read)(struct levels *levels, const struct volume *v, unsigned level, uint64_t item, uint64_t off,
			void *to, size_t len);
};

/* The row with that number; NULL when unknown. */
const struct view_ops *view_by_number(unsigned number);

/* The volume can be viewed at all? 0, or -ENOTSUP with a sentence (an unsupported type, 2^20 slices or more). */
int view_supported(const struct geometry *g);

#endif
