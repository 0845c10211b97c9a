#include <errno.h>
#include <string.h>

#include "fs/facts_internal.h"
#include "fs/xattr.h"
#include "store/err.h"

/* A JSON value as the text that a person would have typed: arrays are joined by commas. False: it is an object. */
static bool text_of(const json_t *value, struct buf *out)
{
	const json_t *item;
	size_t i;

	if (json_is_string(value))
		buf_printf(out, "%s", json_string_value(value));
	else if (json_is_integer(value))
		buf_printf(out, "%lld", (long long)json_integer_value(value));
	else if (json_is_real(value))
		buf_printf(out, "%.10g", json_real_value(value));
	else if (json_is_boolean(value))
		buf_printf(out, "%s", json_is_true(value) ? "true" : "false");
	else if (!json_is_array(value))
		return json_is_null(value);
	json_array_foreach((json_t *)value, i, item) {
		if (i)
			buf_printf(out, ",");
		if (json_is_array(item) || !text_of(item, out))
			return false;
	}
	return true;
}

/* One field of the edited text. apply: first all are checked, then all are set. */
static int edit_field(struct fs *fs, const struct caller *who, const struct dataset_row *row, const struct field *f,
		      const json_t *value, bool apply)
{
	scope_free char *now = facts_value(fs, row, f->name), *normal = NULL;
	scope_buf struct buf text = { 0 };
	int rc = 0;

	if (value && !text_of(value, &text))
		return err_set(EINVAL, "%s: expected a text, a number or a list", f->name);
	if (text.len)
		rc = field_normal(f, buf_text(&text), &normal);
	if (rc || !apply)
		return rc;
	if (!normal && !now)
		return 0;
	if (normal && now && strcmp(normal, now) == 0)
		return 0;
	return fact_set(fs, who, row->number, f->name, normal ? normal : "");
}

static int check_keys(json_t *json)
{
	const char *key;
	json_t *value;

	json_object_foreach(json, key, value)
		if (!facts_is_own_key(key) && !field_find(key))
			return err_set(EINVAL, "\"%s\" is no field (README.txt lists them)", key);
	return 0;
}

static int edit_all(struct fs *fs, const struct caller *who, const struct dataset_row *row, json_t *json, bool apply)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < field_count; i++)
		if (facts_settable(&fields[i]))
			rc = edit_field(fs, who, row, &fields[i], json_object_get(json, fields[i].name), apply);
	return rc;
}

static int edit_tags(struct fs *fs, const struct caller *who, const struct dataset_row *row, const json_t *tags, bool apply)
{
	scope_buf struct buf text = { 0 };
	const json_t *tag;
	size_t i;
	int rc = 0;

	if (!tags)
		return 0;
	if (!json_is_array(tags) || !text_of(tags, &text))
		return err_set(EINVAL, "tags: expected a list of texts");
	json_array_foreach((json_t *)tags, i, tag)
		if (!rc)
			rc = json_is_string(tag) ? tag_check(json_string_value(tag)) : err_set(EINVAL, "tags: expected texts");
	return rc || !apply ? rc : tags_set(fs, who, row->number, buf_text(&text));
}

int facts_edit(struct fs *fs, const struct caller *who, const struct dataset_row *row, const void *text, size_t len)
{
	json_error_t error;
	scope_json json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	int rc;

	if (!json)
		return err_set(EINVAL, "facts.json: line %d: %s", error.line, error.text);
	if (!json_is_object(json))
		return err_set(EINVAL, "facts.json: expected an object in { }");
	rc = check_keys(json);
	for (int apply = 0; !rc && apply < 2; apply++) {
		rc = edit_all(fs, who, row, json, apply);
		if (!rc)
			rc = edit_tags(fs, who, row, json_object_get(json, "tags"), apply);
	}
	return rc;
}
