/*
 * facts_internal: what the files of facts_text share among themselves and with node_info.
 */
#ifndef TOMOFS_FACTS_INTERNAL_H
#define TOMOFS_FACTS_INTERNAL_H

#include <jansson.h>

#include "fs/facts_text.h"
#include "index/field.h"

static inline void json_release(json_t **json)
{
	json_decref(*json);
}
#define scope_json SCOPE_CLEANUP(json_release)

/* A new JSON string; bytes that are not UTF-8 (file names may hold any) become U+FFFD. */
json_t *facts_string(const char *text);
/* A value in normal form as JSON: a number, an array or a string, by the kind of the field (NULL: a string). */
json_t *facts_typed(const struct field *field, const char *value);
/* The tags of a dataset as an array of strings. */
json_t *facts_tags(const struct term *list, size_t count);
/* Is it a fact that can be set? */
static inline bool facts_settable(const struct field *field)
{
	return field->origin == FIELD_FACT;
}
/* Keys of facts.json that are no field. */
bool facts_is_own_key(const char *key);

/* z,y,x of an image, and its voxel size in micrometres. NULL: not known, or no memory. Caller frees. */
char *facts_shape(const struct geometry *geo);
char *facts_voxel(const struct geometry *geo);
/* What people call the part of the dataset that an image is. */
const char *facts_part(const struct record_image *image, const struct node_row *top);

enum { FACTS_DEPTH_MAX = 128 };
/* Files of a dataset; path: below its top, or the name of a dataset that is a file. Returns non-zero to stop. */
typedef int (*facts_each)(void *ctx, const char *path, uint64_t ino);
/*
 * Calls each() for the regular files of a dataset, at most FACTS_DEPTH_MAX folders deep, without those that belong to a dataset
 * of their own; junk: also for those whose names are junk. 0, -errno, or what each() returned.
 */
int facts_files(struct fs *fs, const struct dataset_row *row, bool junk, facts_each each, void *ctx);
/* The same for files whose pixels cannot be shown. */
typedef int (*facts_broken_each)(void *ctx, const char *path, const char *error);
int facts_broken(struct fs *fs, const struct dataset_row *row, facts_broken_each each, void *ctx);

#endif
