#include <errno.h>
#include <string.h>

#include "fs/facts_internal.h"
#include "store/err.h"

enum { BROKEN_MAX = 1000 };

bool facts_is_own_key(const char *key)
{
	static const char *const keys[] = { "name", "id", "place", "owner", "arrived", "state", "note", "role", "bytes", "files",
					    "tags", "images", "broken", "broken_count", "found", NULL };

	for (const char *const *k = keys; *k; k++)
		if (strcmp(*k, key) == 0)
			return true;
	return false;
}

static void set_text(json_t *json, const char *key, const char *text)
{
	json_object_set_new(json, key, facts_string(text));
}

static int add_fields(struct fs *fs, const struct dataset_row *row, json_t *json)
{
	for (size_t i = 0; i < field_count; i++) {
		scope_free char *value = facts_value(fs, row, fields[i].name);

		if (value && strcmp(fields[i].name, "tag") != 0)
			json_object_set_new(json, fields[i].name, facts_typed(&fields[i], value));
	}
	return 0;
}

static int add_tags(struct fs *fs, const struct dataset_row *row, json_t *json)
{
	scope_free struct term *list = NULL;
	size_t count = 0;
	int rc = catalog_tags(fs->catalog, row->number, &list, &count);

	if (!rc)
		json_object_set_new(json, "tags", facts_tags(list, count));
	return rc;
}

static json_t *image_json(const struct record_image *image, const struct node_row *top, bool main)
{
	static const char *const formats[] = { [IMAGE_NONE] = "", [IMAGE_TIFF] = "tiff", [IMAGE_RAW] = "raw" };
	scope_free char *shape = facts_shape(&image->geo), *voxel = facts_voxel(&image->geo);
	json_t *json = json_object();

	set_text(json, "path", facts_part(image, top));
	json_object_set_new(json, "main", json_boolean(main));
	if (*image->error) {
		set_text(json, "error", image->error);
		return json;
	}
	if ((unsigned)image->geo.format < IMAGE_FORMATS)
		set_text(json, "format", formats[image->geo.format]);
	set_text(json, "dtype", voxel_name(image->geo.type));
	if (image->geo.samples > 1)
		json_object_set_new(json, "samples", json_integer(image->geo.samples));
	if (shape)
		json_object_set_new(json, "shape", facts_typed(field_find("shape"), shape));
	if (voxel)
		json_object_set_new(json, "voxel_size_um", facts_typed(field_find("voxel_size_um"), voxel));
	return json;
}

static int add_images(struct fs *fs, const struct dataset_row *row, const struct node_row *top, json_t *json)
{
	scope_images struct images images = { 0 };
	json_t *list = json_array();
	int rc = catalog_images(fs->catalog, row->number, &images);

	for (size_t i = 0; !rc && i < images.count; i++)
		json_array_append_new(list, image_json(&images.list[i], top, i == 0));
	json_object_set_new(json, "images", list);
	return rc == -ENOENT ? 0 : rc;
}

struct broken_list {
	json_t *list;
	json_int_t count;
};

static int add_one_broken(void *ctx, const char *path, const char *error)
{
	struct broken_list *b = ctx;
	json_t *json;

	if (b->count++ >= BROKEN_MAX)
		return 0;
	json = json_object();
	set_text(json, "file", path);
	set_text(json, "error", error);
	json_array_append_new(b->list, json);
	return 0;
}

static int add_broken(struct fs *fs, const struct dataset_row *row, json_t *json)
{
	struct broken_list b = { .list = json_array() };
	int rc = facts_broken(fs, row, add_one_broken, &b);

	if (b.count) {
		json_object_set(json, "broken", b.list);
		json_object_set_new(json, "broken_count", json_integer(b.count));
	}
	json_decref(b.list);
	return rc;
}

/* Where a fact comes from: "person", or the file below datasets/. */
static json_t *source_json(struct fs *fs, uint64_t source)
{
	scope_free char *path = NULL;

	if (!source)
		return json_string("person");
	return catalog_path(fs->catalog, source, &path) ? json_null() : facts_string(path);
}

static int add_found(struct fs *fs, const struct dataset_row *row, json_t *json)
{
	scope_facts struct facts facts = { 0 };
	json_t *found = json_object();
	int rc = catalog_facts(fs->catalog, row->number, &facts);

	for (size_t i = 0; !rc && i < facts.count; i++) {
		const struct fact *f = &facts.list[i];
		json_t *list = json_object_get(found, f->field), *one = json_object();

		if (!list) {
			list = json_array();
			json_object_set_new(found, f->field, list);
		}
		set_text(one, "value", f->value);
		if (*f->vendor_key)
			set_text(one, "vendor_key", f->vendor_key);
		if (*f->vendor_text)
			set_text(one, "vendor_text", f->vendor_text);
		json_object_set_new(one, "source", source_json(fs, f->source));
		json_object_set_new(one, "counts", json_boolean(f->effective));
		json_array_append_new(list, one);
	}
	json_object_set_new(json, "found", found);
	return rc;
}

int facts_json(struct fs *fs, const struct dataset_row *row, struct buf *out)
{
	scope_json json_t *json = json_object();
	scope_free char *text = NULL;
	struct node_row top;
	int rc = catalog_node(fs->catalog, row->ino, &top);

	if (rc)
		return rc;
	rc = add_fields(fs, row, json);
	if (!rc)
		rc = add_tags(fs, row, json);
	if (!rc)
		rc = add_images(fs, row, &top, json);
	if (!rc)
		rc = add_broken(fs, row, json);
	if (!rc)
		rc = add_found(fs, row, json);
	if (rc)
		return rc;
	set_text(json, "note", row->note);
	json_object_set_new(json, "files", json_integer((json_int_t)row->files));
	text = json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(12));
	if (!text)
		return err_set(ENOMEM, "no memory for facts.json");
	buf_printf(out, "%s\n", text);
	return buf_failed(out) ? err_set(ENOMEM, "no memory for facts.json") : 0;
}
