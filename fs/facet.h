/*
 * facet: the by-folders that group datasets by one value each. One row is one folder.
 */
#ifndef TOMOFS_FS_FACET_H
#define TOMOFS_FS_FACET_H

#include "index/record.h"

struct facet_row {
	enum facet facet;
	const char *folder; /* name in the root */
	const char *field;  /* the fact that it shows and sets; NULL: tags, owner */
};

extern const struct facet_row facet_rows[];
extern const size_t facet_row_count;

/* Node numbers of the folders: CLASS_FIXED, this + facet. */
enum { FACET_FIXED_FIRST = 64 };

#endif
