/* facts_value: one value of a dataset, and how values look as text and JSON. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fs/facts_internal.h"
#include "index/utf8.h"

static char *formatted(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *formatted(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : text;
}

static char *time_text(time_t seconds, bool whole)
{
	char text[64];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
		return NULL;
	if (!whole)
		text[strcspn(text, "T")] = 0;
	return strdup(text);
}

static time_t seconds_of(int64_t ns)
{
	return (time_t)(ns / 1000000000 - (ns % 1000000000 < 0));
}

char *facts_shape(const struct geometry *geo)
{
	if (!geo->width || !geo->height || !geo->depth)
		return NULL;
	return formatted("%llu,%llu,%llu", (unsigned long long)geo->depth, (unsigned long long)geo->height,
			 (unsigned long long)geo->width);
}

char *facts_voxel(const struct geometry *geo)
{
	const double *um = geo->voxel_um;

	if (!(um[1] > 0 && um[2] > 0)) /* z alone is often not known: 0 */
		return NULL;
	return formatted("%.10g,%.10g,%.10g", um[0], um[1], um[2]);
}

const char *facts_part(const struct record_image *image, const struct node_row *top)
{
	if (image->part && *image->part)
		return image->part;
	return S_ISDIR(top->mode) ? "." : top->name;
}

static char *of_main_image(struct fs *fs, const struct dataset_row *row, const char *field)
{
	scope_images struct images images = { 0 };
	const struct geometry *geo;

	if (catalog_images(fs->catalog, row->number, &images) || !images.count)
		return NULL;
	geo = &images.list[0].geo;
	if (strcmp(field, "shape") == 0)
		return facts_shape(geo);
	if (strcmp(field, "voxel_size_um") == 0)
		return facts_voxel(geo);
	return *voxel_name(geo->type) ? strdup(voxel_name(geo->type)) : NULL;
}

static char *tags_text(struct fs *fs, const struct dataset_row *row)
{
	scope_free struct term *list = NULL;
	scope_buf struct buf text = { 0 };
	size_t count = 0;

	if (catalog_tags(fs->catalog, row->number, &list, &count) || !count)
		return NULL;
	for (size_t i = 0; i < count; i++)
		buf_printf(&text, "%s%s", i ? "," : "", list[i].text);
	return buf_failed(&text) ? NULL : strdup(buf_text(&text));
}

static char *place_text(struct fs *fs, const struct dataset_row *row)
{
	char *path = NULL;

	return catalog_path(fs->catalog, row->ino, &path) ? NULL : path;
}

static const char *state_name(enum dataset_state state)
{
	switch (state) {
	case STATE_RECEIVING:
		return "receiving";
	case STATE_READY:
		return "ready";
	case STATE_INCOMPLETE:
		return "incomplete";
	}
	return "";
}

static char *derived(struct fs *fs, const struct dataset_row *row, const char *field)
{
	if (strcmp(field, "name") == 0)
		return strdup(row->name);
	if (strcmp(field, "place") == 0)
		return place_text(fs, row);
	if (strcmp(field, "id") == 0)
		return strdup(row->id);
	if (strcmp(field, "tag") == 0)
		return tags_text(fs, row);
	if (strcmp(field, "owner") == 0)
		return strdup(row->owner);
	if (strcmp(field, "role") == 0)
		return strdup(row->role == ROLE_COLLECTION ? "collection" : "dataset");
	if (strcmp(field, "state") == 0)
		return strdup(state_name(row->state));
	if (strcmp(field, "arrived") == 0)
		return time_text(seconds_of(row->arrived_ns), true);
	if (strcmp(field, "date") == 0)
		return time_text((time_t)row->day * 86400, false);
	if (strcmp(field, "bytes") == 0)
		return formatted("%llu", (unsigned long long)row->bytes);
	if (strcmp(field, "shape") == 0 || strcmp(field, "dtype") == 0)
		return of_main_image(fs, row, field);
	return NULL; /* stored_bytes: files share chunks, so that no number would be true */
}

char *facts_value(struct fs *fs, const struct dataset_row *row, const char *field)
{
	const struct field *f = field_find(field);
	char *value;

	if (!f)
		return NULL;
	if (!facts_settable(f))
		return derived(fs, row, f->name);
	value = catalog_fact(fs->catalog, row->number, f->name);
	if (!value && strcmp(f->name, "voxel_size_um") == 0)
		value = of_main_image(fs, row, f->name);
	return value;
}

/* ---- as JSON ---- */

json_t *facts_string(const char *text)
{
	scope_buf struct buf clean = { 0 };
	const char *from;

	if (utf8_valid(text))
		return json_string(text);
	for (from = text; *text; from = text) {
		if (utf8_next(&text) < 0x110000)
			buf_put(&clean, from, (size_t)(text - from));
		else
			buf_put(&clean, "\xef\xbf\xbd", 3);
	}
	return json_string(buf_text(&clean));
}

/* NULL when it is no plain decimal number. */
static json_t *number_json(const char *text)
{
	double v;
	char *end;

	if (!*text || strspn(text, "+-.0123456789eE") != strlen(text))
		return NULL;
	v = strtod(text, &end);
	if (*end)
		return NULL;
	/* Whole numbers that a double holds exactly are written without a point. */
	return v > -9e15 && v < 9e15 && v == (double)(json_int_t)v ? json_integer((json_int_t)v) : json_real(v);
}

/* The parts of a comma list. NULL when numbers are wanted and one is none. */
static json_t *list_json(const char *text, bool numbers)
{
	scope_free char *copy = strdup(text);
	json_t *list = json_array();
	char *save = NULL;

	for (char *part = copy ? strtok_r(copy, ",", &save) : NULL; part; part = strtok_r(NULL, ",", &save)) {
		json_t *item = numbers ? number_json(part) : facts_string(part);

		if (json_array_append_new(list, item)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

json_t *facts_typed(const struct field *field, const char *value)
{
	json_t *json = NULL;

	if (field && field->kind == FIELD_NUMBER)
		json = number_json(value);
	else if (field && (field->kind == FIELD_NUMBERS || field->kind == FIELD_LIST))
		json = list_json(value, field->kind == FIELD_NUMBERS);
	return json ? json : facts_string(value);
}

json_t *facts_tags(const struct term *list, size_t count)
{
	json_t *json = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(json, facts_string(list[i].text));
	return json;
}
