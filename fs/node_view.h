/*
 * node_view: what the folders of views (node_views.c), the views themselves (node_view.c) and the gallery
 * (node_gallery.c) share.
 */
#ifndef TOMOFS_NODE_VIEW_H
#define TOMOFS_NODE_VIEW_H

#include "fs/node.h"
#include "fs/view/view.h"

/* CLASS_VIEW: image 26 | view 3 | level 4 | item+1 27 (0: the top entry itself) */
enum { VIEW_ITEM_BITS = 27, VIEW_LEVEL_BITS = 4, VIEW_VIEW_BITS = 3 };
/* CLASS_PARTS: image 26 | depth 4 */
enum { PARTS_DEPTH_BITS = 4, PARTS_DEPTH_MAX = 15 };

/* An image that is there now, and whose it is. */
struct viewed {
	struct record_image image; /* strings in memory */
	struct dataset_row dataset;
	struct record_memory *memory;
};

/* 0 (viewed_free()); -ENOENT: the image was replaced, or its dataset removed. */
int viewed_get(struct fs *fs, uint32_t image, struct viewed *out);
void viewed_free(struct viewed *viewed);
#define scope_viewed SCOPE_CLEANUP(viewed_free)

/* Can its pixels be shown at all? */
bool viewed_possible(const struct record_image *image);

/* What names and sizes follow from; it has no pixels to read. name must outlive it. */
struct volume viewed_volume(const struct record_image *image, const char *name);

/* When the pixels of an image changed last, into all times of st. */
int viewed_times(struct fs *fs, const struct record_image *image, struct stat *st);

/* Brings a dataset up to date before its views are looked for; a failure is logged, and what was known before stands.
 */
void viewed_catch_up(struct fs *fs, uint32_t dataset);

/* A read that failed is an I/O error, whatever was wrong below. */
int64_t viewed_read_result(int64_t n);

/* The top entry of a view at a level. */
struct node view_top_node(uint32_t image, const struct view_ops *view, unsigned level);

#endif
