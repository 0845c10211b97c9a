/*
 * layout_hint: the geometry of a raw file that is about to be laid out (image/layout.h), from what stands beside it: a
 * sidecar in the same folder that names it, or a neighbour of the same name but for the digits, which a sidecar names
 * or which was laid out before.
 *
 * Cheap, for it is asked once a file: sidecars of the usual names are looked up; a folder is listed when it is met
 * first, when it is small and changed, and when it has grown to twice its entries; at most a few of its sidecars are
 * read. What was found is kept for the folders used last, and so are the shapes of the last slices of any files.
 *
 * Threads: any; call without locks, since sidecars are opened and read.
 */
#ifndef TOMOFS_LAYOUT_HINT_H
#define TOMOFS_LAYOUT_HINT_H

#include "fs/file.h"
#include "fs/image/layout.h"

struct layout_hints;

/* NULL: no memory. catalog and files must outlive it. */
struct layout_hints *layout_hints_new(struct catalog *catalog, struct files *files);
/* NULL is fine. */
void layout_hints_free(struct layout_hints *hints);

/* True and *hint when something is known of the file called name in the folder, or of slices of other files. */
bool layout_hints_find(struct layout_hints *hints, uint64_t folder, const char *name, struct layout_hint *hint);

/* The file was laid out whole: what was found is for its neighbours. */
void layout_hints_learn(struct layout_hints *hints, uint64_t folder, const char *name, const struct layout *layout);

#endif
