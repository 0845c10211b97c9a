/*
 * facts_edit: an edited facts.json. All of it is checked and turned into a plan first; only then is something changed.
 */
#include <errno.h>
#include <string.h>

#include "fs/access.h"
#include "fs/facts_internal.h"
#include "fs/xattr.h"
#include "store/err.h"

struct change {
	const struct field *field;
	char *text; /* NULL: clear what a person said */
};

struct plan {
	struct change *list; /* room for one change of each field */
	size_t count;
	bool set_tags;
	struct buf tags; /* comma list */
};

static void plan_free(struct plan *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->list[i].text);
	free(p->list);
	buf_free(&p->tags);
}
#define scope_plan SCOPE_CLEANUP(plan_free)

/* ---- JSON -> a person's text ---- */

/* False when it is no text or number. */
static bool put_scalar(struct buf *out, const json_t *value)
{
	if (json_is_string(value))
		buf_printf(out, "%s", json_string_value(value));
	else if (json_is_integer(value))
		buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		buf_printf(out, "%.10g", json_real_value(value));
	else
		return false;
	return true;
}

static int text_of(const struct field *field, const json_t *value, struct buf *out)
{
	bool list = field->kind == FIELD_LIST || field->kind == FIELD_NUMBERS, good = true;

	if (!json_is_array(value)) {
		good = put_scalar(out, value);
	} else {
		for (size_t i = 0; list && good && i < json_array_size(value); i++) {
			if (i)
				buf_printf(out, ",");
			good = put_scalar(out, json_array_get(value, i));
		}
		good = good && list;
	}
	if (!good)
		return err_set(EINVAL, "%s: expected %s", field->name,
			       field->kind == FIELD_NUMBERS ? "a list of three numbers" :
			       field->kind == FIELD_LIST    ? "a list of texts" :
			       field->kind == FIELD_NUMBER  ? "a number" :
							      "a text");
	return buf_failed(out) ? err_set(ENOMEM, "no memory") : 0;
}

/* ---- the plan ---- */

static bool is_empty(const json_t *value)
{
	return !value || json_is_null(value) || (json_is_string(value) && !*json_string_value(value)) ||
	       (json_is_array(value) && !json_array_size(value));
}

static bool person_said(const struct facts *facts, const char *field)
{
	for (size_t i = 0; i < facts->count; i++)
		if (facts->list[i].rank == RANK_PERSON && strcmp(facts->list[i].field, field) == 0)
			return true;
	return false;
}

/* Does the value say what is known already? As facts.json shows it, or in another way of writing it. */
static bool is_known(const struct field *field, const json_t *value, const char *normal, const char *known)
{
	scope_json json_t *shown = known ? facts_typed(field, known) : NULL;

	return known && ((shown && json_equal(shown, value)) || (normal && strcmp(normal, known) == 0));
}

static int plan_field(struct fs *fs, const struct dataset_row *row, const struct facts *facts,
		      const struct field *field, const json_t *value, struct plan *p)
{
	scope_free char *known = NULL, *normal = NULL;
	scope_buf struct buf text = { 0 };
	int rc;

	if (is_empty(value)) {
		if (person_said(facts, field->name))
			p->list[p->count++] = (struct change){ .field = field };
		return 0;
	}
	known = facts_value(fs, row, field->name);
	if (is_known(field, value, NULL, known))
		return 0;
	rc = text_of(field, value, &text);
	if (!rc)
		rc = field_normal(field, buf_text(&text), &normal);
	if (rc || is_known(field, value, normal, known))
		return rc;
	p->list[p->count++] = (struct change){ .field = field, .text = take(&normal) };
	return 0;
}

/* A tag whose bytes are no UTF-8 is shown in another way than it is kept: the one that is kept stays. */
static const char *tag_kept(const struct term *now, size_t count, const json_t *shown)
{
	for (size_t i = 0; i < count; i++) {
		scope_json json_t *known = facts_string(now[i].text);

		if (json_equal(known, shown))
			return now[i].text;
	}
	return NULL;
}

/* Without the spaces around it, as tags_set() takes it; checked. Caller frees. */
static int tag_text(const char *from, char **text)
{
	size_t n;

	from += strspn(from, " ");
	for (n = strlen(from); n && from[n - 1] == ' '; n--)
		;
	*text = strndup(from, n);
	return *text ? tag_check(*text) : err_set(ENOMEM, "no memory");
}

static int plan_tags(struct fs *fs, const struct dataset_row *row, const json_t *value, struct plan *p)
{
	scope_free struct term *now = NULL;
	scope_json json_t *known = NULL;
	size_t count = 0;
	int rc;

	if (!value)
		return 0;
	if (!json_is_array(value) && !json_is_null(value))
		return err_set(EINVAL, "tags: expected a list of texts");
	rc = catalog_tags(fs->catalog, row->number, &now, &count);
	if (rc)
		return rc;
	known = facts_tags(now, count);
	p->set_tags = !json_equal(known, value);
	for (size_t i = 0; p->set_tags && i < json_array_size(value); i++) {
		const json_t *item = json_array_get(value, i);
		const char *tag = tag_kept(now, count, item);
		scope_free char *text = NULL;

		if (!json_is_string(item))
			return err_set(EINVAL, "tags: expected a list of texts");
		if (!tag)
			rc = tag_text(json_string_value(item), &text);
		if (rc)
			return err_wrap(rc, "tags");
		buf_printf(&p->tags, "%s%s", i ? "," : "", tag ? tag : text);
	}
	return buf_failed(&p->tags) ? err_set(ENOMEM, "no memory") : 0;
}

/* Only keys that facts.json has: a mistyped one would be taken for "clear the right one". */
static int check_keys(json_t *all)
{
	const char *key;
	json_t *value;

	json_object_foreach(all, key, value) {
		const struct field *field = field_find(key);

		if (strcmp(key, "tag") == 0)
			return err_set(EINVAL, "there is no \"tag\" here; it is called \"tags\", and is a list");
		if (facts_is_own_key(key) || (field && strcmp(field->name, key) == 0))
			continue;
		if (field)
			return err_set(EINVAL, "there is no field \"%.80s\"; it is called \"%s\"", key, field->name);
		return err_set(EINVAL, "there is no field \"%.80s\" (README.txt lists them)", key);
	}
	return 0;
}

static int make_plan(struct fs *fs, const struct dataset_row *row, json_t *all, struct plan *p)
{
	scope_facts struct facts facts = { 0 };
	int rc = check_keys(all);

	if (!rc)
		rc = catalog_facts(fs->catalog, row->number, &facts);
	p->list = calloc(field_count, sizeof *p->list);
	if (!p->list)
		return err_set(ENOMEM, "no memory");
	for (size_t i = 0; !rc && i < field_count; i++)
		if (facts_settable(&fields[i]))
			rc = plan_field(fs, row, &facts, &fields[i], json_object_get(all, fields[i].name), p);
	return rc ? rc : plan_tags(fs, row, json_object_get(all, "tags"), p);
}

static int parse(const void *text, size_t len, json_t **all)
{
	json_error_t error;

	*all = json_loadb(text ? text : "", len, JSON_REJECT_DUPLICATES, &error);
	if (!*all)
		return err_set(EINVAL, "line %d: %s", error.line > 0 ? error.line : 1, error.text);
	if (!json_is_object(*all))
		return err_set(EINVAL, "line 1: expected { \"field\": value, ... }");
	return 0;
}

int facts_edit(struct fs *fs, const struct caller *who, const struct dataset_row *row, const void *text, size_t len)
{
	scope_plan struct plan p = { 0 };
	scope_json json_t *all = NULL;
	int rc = may(fs, row, who, VERB_WRITE);

	if (!rc)
		rc = parse(text, len, &all);
	if (!rc)
		rc = make_plan(fs, row, all, &p);
	for (size_t i = 0; !rc && i < p.count; i++)
		rc = fact_set(fs, who, row->number, p.list[i].field->name, p.list[i].text);
	if (!rc && p.set_tags)
		rc = tags_set(fs, who, row->number, buf_text(&p.tags));
	return rc ? err_wrap(rc, "facts of %s", row->name) : 0;
}
