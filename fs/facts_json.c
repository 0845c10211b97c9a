/* facts_json: all that is known of a dataset as one JSON text. */
#include <errno.h>
#include <string.h>

#include "fs/access.h"
#include "fs/facts_internal.h"
#include "store/err.h"

enum { BROKEN_MAX = 1000, DIGITS = 10 }; /* as many digits as normal forms have */

bool facts_is_own_key(const char *key)
{
	static const char *const own[] = { "tags", "note", "files", "images", "broken", "broken_count", "found" };

	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (strcmp(own[i], key) == 0)
			return true;
	return false;
}

/* Takes text. */
static void put_text(json_t *to, const char *key, const struct field *field, char *text)
{
	if (text)
		json_object_set_new(to, key, facts_typed(field, text));
	free(text);
}

static void put_fields(struct fs *fs, const struct dataset_row *row, json_t *all)
{
	for (size_t i = 0; i < field_count; i++)
		if (strcmp(fields[i].name, "tag") != 0)
			put_text(all, fields[i].name, &fields[i], facts_value(fs, row, fields[i].name));
	json_object_set_new(all, "note", facts_string(row->note));
	json_object_set_new(all, "files", json_integer((json_int_t)row->files));
	/* As it is: too large a number for a text would lose digits. */
	json_object_set_new(all, "bytes", json_integer((json_int_t)row->bytes));
}

static int put_tags(struct fs *fs, const struct dataset_row *row, json_t *all)
{
	scope_free struct term *list = NULL;
	size_t count = 0;
	int rc = catalog_tags(fs->catalog, row->number, &list, &count);

	if (!rc)
		json_object_set_new(all, "tags", facts_tags(list, count));
	return rc;
}

/* ---- images ---- */

static const char *format_name(enum image_format format)
{
	switch (format) {
	case IMAGE_TIFF:
		return "tiff";
	case IMAGE_RAW:
		return "raw";
	case IMAGE_NONE:
	case IMAGE_FORMATS:
		break;
	}
	return "";
}

static json_t *image_json(const struct record_image *image, const struct node_row *top, bool is_main)
{
	const struct geometry *geo = &image->geo;
	json_t *json = json_object();

	json_object_set_new(json, "path", facts_string(facts_part(image, top)));
	json_object_set_new(json, "main", json_boolean(is_main));
	if (image->error && *image->error) {
		json_object_set_new(json, "error", facts_string(image->error));
		return json;
	}
	json_object_set_new(json, "format", json_string(format_name(geo->format)));
	json_object_set_new(json, "dtype", json_string(voxel_name(geo->type)));
	if (geo->samples > 1)
		json_object_set_new(json, "samples", json_integer(geo->samples));
	put_text(json, "shape", field_find("shape"), facts_shape(geo));
	put_text(json, "voxel_size_um", field_find("voxel_size_um"), facts_voxel(geo));
	return json;
}

static int put_images(struct fs *fs, const struct dataset_row *row, const struct node_row *top, json_t *all)
{
	scope_images struct images images = { 0 };
	json_t *list = json_array();
	int rc = catalog_images(fs->catalog, row->number, &images);

	if (rc == -ENOENT) /* none yet */
		rc = 0;
	for (size_t i = 0; !rc && i < images.count; i++)
		if (!access_hides(fs, row, images.list[i].ino))
			json_array_append_new(list, image_json(&images.list[i], top, i == 0));
	json_object_set_new(all, "images", list);
	return rc;
}

/* ---- broken files ---- */

struct broken_list {
	json_t *list;
	size_t count;
};

static int add_broken(void *ctx, const char *path, const char *error)
{
	struct broken_list *b = ctx;
	json_t *one;

	if (b->count++ >= BROKEN_MAX)
		return 0;
	one = json_object();
	json_object_set_new(one, "file", facts_string(path));
	json_object_set_new(one, "error", facts_string(error));
	json_array_append_new(b->list, one);
	return 0;
}

static int put_broken(struct fs *fs, const struct dataset_row *row, json_t *all)
{
	scope_json json_t *list = json_array();
	struct broken_list b = { .list = list };
	int rc = facts_broken(fs, row, add_broken, &b);

	if (rc || !b.count)
		return rc;
	json_object_set(all, "broken", list);
	json_object_set_new(all, "broken_count", json_integer((json_int_t)b.count));
	return 0;
}

/* ---- found: every fact and where it is from ---- */

/* Path below the top; the name of a top that is a file. NULL: the file is gone. */
static json_t *source_json(struct fs *fs, const struct dataset_row *row, const struct node_row *top, uint64_t source)
{
	scope_free char *path = NULL, *above = NULL;
	size_t n;

	if (!source)
		return json_string("person");
	if (source == top->ino)
		return facts_string(S_ISDIR(top->mode) ? "." : top->name);
	if (access_hides(fs, row, source))
		return json_string("(a file that is not for all who read the dataset)");
	if (catalog_path(fs->catalog, source, &path) || catalog_path(fs->catalog, row->ino, &above))
		return json_string("");
	n = strlen(above);
	return facts_string(strncmp(path, above, n) == 0 && path[n] == '/' ? path + n + 1 : path);
}

static int put_found(struct fs *fs, const struct dataset_row *row, const struct node_row *top, json_t *all)
{
	scope_facts struct facts facts = { 0 };
	scope_json json_t *source = NULL;
	json_t *found = json_object();
	int rc = catalog_facts(fs->catalog, row->number, &facts);

	json_object_set_new(all, "found", found);
	for (size_t i = 0; !rc && i < facts.count; i++) {
		const struct fact *f = &facts.list[i];
		json_t *list = json_object_get(found, f->field), *one = json_object();

		if (!list) {
			list = json_array();
			json_object_set_new(found, f->field, list);
		}
		if (!source || f->source != facts.list[i - 1].source) { /* facts of one file often stand together */
			json_decref(source);
			source = source_json(fs, row, top, f->source);
		}
		json_object_set_new(one, "value", facts_typed(field_find(f->field), f->value));
		json_object_set_new(one, "vendor_key", facts_string(f->vendor_key));
		json_object_set_new(one, "vendor_text", facts_string(f->vendor_text));
		json_object_set(one, "source", source);
		json_object_set_new(one, "counts", json_boolean(f->effective));
		json_array_append_new(json_object_get(found, f->field), one);
	}
	return rc;
}

int facts_json(struct fs *fs, const struct dataset_row *row, struct buf *out)
{
	scope_json json_t *all = json_object();
	scope_free char *text = NULL;
	struct node_row top;
	int rc = catalog_node(fs->catalog, row->ino, &top);

	if (!rc)
		rc = put_tags(fs, row, all);
	if (!rc)
		rc = put_images(fs, row, &top, all);
	if (!rc)
		rc = put_broken(fs, row, all);
	if (!rc)
		rc = put_found(fs, row, &top, all);
	if (rc)
		return err_wrap(rc, "facts of %s", row->name);
	put_fields(fs, row, all);
	text = json_dumps(all, JSON_SORT_KEYS | JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS));
	if (text)
		buf_printf(out, "%s\n", text);
	return !text || buf_failed(out) ? err_set(ENOMEM, "no memory for the facts of %s", row->name) : 0;
}
