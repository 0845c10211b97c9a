#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "index/field_internal.h"
#include "index/utf8.h"
#include "store/buf.h"
#include "store/err.h"

enum { TEXT_MAX = 64 << 10, FOLDER_NAME_MAX = 255, SHOWN_MAX = 100 };

/* What a text field takes beyond being one line of UTF-8. */
enum shape { ONE_LINE, MANY_LINES, FOLDER_NAME, CHOICE };

static const struct rule {
	const char *field;
	enum shape shape;
	const char *choices; /* between blanks */
} rules[] = {
	{ "description", MANY_LINES, NULL },
	{ "comment", MANY_LINES, NULL },
	{ "parameters", MANY_LINES, NULL },
	{ "registered_to", MANY_LINES, NULL },
	{ "sample", FOLDER_NAME, NULL },
	{ "project", FOLDER_NAME, NULL },
	{ "instrument", FOLDER_NAME, NULL },
	{ "kind", CHOICE, " volume projections labels image mosaic table report movie model tool other " },
	{ "look", CHOICE, " private groups all " },
};

static const struct rule *rule_of(const struct field *f)
{
	static const struct rule one_line = { "", ONE_LINE, NULL };

	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (strcmp(rules[i].field, f->name) == 0)
			return &rules[i];
	return &one_line;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A copy without blanks at its ends. */
static char *trimmed(const char *text, size_t len)
{
	while (len && is_blank(*text))
		text++, len--;
	while (len && is_blank(text[len - 1]))
		len--;
	return strndup(text, len);
}

static int check_characters(const struct field *f, const char *text, bool many_lines)
{
	if (strlen(text) > TEXT_MAX)
		return err_set(EINVAL, "%s: at most %d bytes of text, not %zu", f->name, TEXT_MAX, strlen(text));
	if (!utf8_valid(text))
		return err_set(EINVAL, "%s: the text is not UTF-8", f->name);
	for (const char *c = text; *c; c++)
		if (((unsigned char)*c < 0x20 || *c == 0x7f) && !(many_lines && is_blank(*c)))
			return err_set(EINVAL, "%s: expected one line of text without control characters", f->name);
	return 0;
}

static int check_folder_name(const struct field *f, const char *text)
{
	if (strchr(text, '/') || *text == '.')
		return err_set(EINVAL, "%s: \"%.*s\" is also a folder's name: no '/' in it and no '.' in front",
			       f->name, SHOWN_MAX, text);
	if (strlen(text) > FOLDER_NAME_MAX)
		return err_set(EINVAL, "%s: at most %d bytes, since it is also a folder's name", f->name,
			       FOLDER_NAME_MAX);
	return 0;
}

static int check_choice(const struct field *f, const char *choices, char *text)
{
	char word[64];

	for (char *c = text; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + 32);
	snprintf(word, sizeof word, " %s ", text);
	if (strchr(text, ' ') || strlen(text) > sizeof word - 3 || !strstr(choices, word))
		return err_set(EINVAL, "%s: \"%.*s\" is none of:%.*s", f->name, SHOWN_MAX, text,
			       (int)strlen(choices) - 1, choices);
	return 0;
}

static int normal_text(const struct field *f, const char *text, struct buf *out)
{
	const struct rule *rule = rule_of(f);
	scope_free char *copy = strdup(text);
	int rc = check_characters(f, text, rule->shape == MANY_LINES);

	if (!copy)
		return err_set(ENOMEM, "no memory");
	if (!rc && rule->shape == FOLDER_NAME)
		rc = check_folder_name(f, copy);
	if (!rc && rule->shape == CHOICE)
		rc = check_choice(f, rule->choices, copy);
	buf_put(out, copy, strlen(copy));
	return rc;
}

static int normal_list(const struct field *f, const char *text, struct buf *out)
{
	int rc = check_characters(f, text, false);

	for (const char *end; !rc; text = end + 1) {
		scope_free char *item = NULL;

		end = strchrnul(text, ',');
		item = trimmed(text, (size_t)(end - text));
		if (!item)
			return err_set(ENOMEM, "no memory");
		if (*item)
			buf_printf(out, "%s%s", out->len ? "," : "", item);
		if (!*end)
			break;
	}
	return rc;
}

static int not_a_number(const struct field *f, const char *text)
{
	const char *units = field_units(f);

	return err_set(EINVAL, "%s: \"%.*s\" is not %s%s%s%s", f->name, SHOWN_MAX, text,
		       *units ? "a number in " : "a whole number, 0 or more", units,
		       f->kind == FIELD_NUMBERS ? ", or three of them joined by commas: z,y,x" : "",
		       strchr(text, ',') && f->kind == FIELD_NUMBER ? " (decimals are written with a point)" : "");
}

/* Fields without a unit count something; sizes are not zero; nothing here is negative. */
static bool sensible(const struct field *f, double value)
{
	if (!*f->unit && (value < 0 || value > 0x1p53 || value != (double)(int64_t)value))
		return false;
	return f->kind == FIELD_NUMBERS ? value > 0 : value >= 0;
}

static void put_number(const struct field *f, double value, struct buf *out)
{
	buf_printf(out, *f->unit ? "%.10g" : "%.0f", value);
}

static int normal_number(const struct field *f, const char *text, struct buf *out)
{
	double value;

	if (!field_number(f, text, &value) || !sensible(f, value))
		return not_a_number(f, text);
	put_number(f, value, out);
	return 0;
}

/* "2", "2 um", "1,1,2 mm", "1 um, 1 um, 2 um": a unit that stands only behind the last number is that of all. */
static int normal_numbers(const struct field *f, const char *text, struct buf *out)
{
	double value[3];
	char unit[3][UNIT_ROOM];
	const char *at = text;
	size_t count = 0;

	for (const char *end;; at = end + 1) {
		scope_free char *item = NULL;

		end = strchrnul(at, ',');
		item = trimmed(at, (size_t)(end - at));
		if (!item)
			return err_set(ENOMEM, "no memory");
		if (count == 3 || !number_split(item, &value[count], unit[count]))
			return not_a_number(f, text);
		count++;
		if (!*end)
			break;
	}
	if (count == 2)
		return not_a_number(f, text);
	for (size_t i = 0; i < 3; i++) {
		size_t from = count == 1 ? 0 : i;
		double v = value[from];
		bool last_only = count == 3 && !*unit[0] && !*unit[1];

		if (!number_convert(f, last_only ? unit[2] : unit[from], &v) || !sensible(f, v))
			return not_a_number(f, text);
		buf_printf(out, "%s", i ? "," : "");
		put_number(f, v, out);
	}
	return 0;
}

/* The parts as they were written, in RFC 3339's punctuation. */
static int normal_time(const struct field *f, const char *text, struct buf *out)
{
	struct field_span span;
	size_t clock, digits;
	int zone;

	if (!field_time(text, &span) || strlen(text) < 10)
		return err_set(EINVAL, "%s: \"%.*s\" is not a date (2026-11-23) or time (2026-11-23T10:30:00+01:00)",
			       f->name, SHOWN_MAX, text);
	buf_put(out, text, 10);
	if (strlen(text) == 10)
		return 0;
	clock = strspn(text + 11, "0123456789:.");
	if (clock == 5) {
		buf_printf(out, "T%.2s:%.2s:00", text + 11, text + 14);
	} else {
		digits = clock - 8; /* the point and the fraction */
		buf_printf(out, "T%.2s:%.2s:%.2s%.*s", text + 11, text + 14, text + 17, (int)digits, text + 19);
	}
	zone = abs(span.zone_minutes);
	if (span.zoned && !zone)
		buf_printf(out, "Z");
	else if (span.zoned)
		buf_printf(out, "%c%02d:%02d", span.zone_minutes < 0 ? '-' : '+', zone / 60, zone % 60);
	return 0;
}

static int (*const by_kind[])(const struct field *, const char *, struct buf *) = {
	[FIELD_TEXT] = normal_text,	  [FIELD_LIST] = normal_list, [FIELD_NUMBER] = normal_number,
	[FIELD_NUMBERS] = normal_numbers, [FIELD_TIME] = normal_time,
};

int field_normal(const struct field *f, const char *text, char **normal)
{
	scope_free char *plain = trimmed(text, strlen(text));
	scope_buf struct buf out = { 0 };
	int rc;

	*normal = NULL;
	if (!plain)
		return err_set(ENOMEM, "no memory");
	rc = *plain ? by_kind[f->kind](f, plain, &out) : 0;
	if (rc)
		return rc;
	*normal = strdup(buf_text(&out));
	return *normal && !buf_failed(&out) ? 0 : err_set(ENOMEM, "no memory");
}
