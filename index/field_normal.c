/* field_normal: a person's text -> the normal form of a field. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "index/field.h"
#include "index/utf8.h"
#include "store/buf.h"
#include "store/err.h"

enum { TEXT_MAX = 64 << 10, NUMBER_MAX = 64 };

struct unit {
	const char *of, *name; /* a field's unit, and one that can be written for it */
	double factor;
};

static const struct unit units[] = {
	{ "kV", "kV", 1 },	 { "kV", "kVp", 1 },   { "kV", "V", 1e-3 },    { "kV", "MV", 1e3 },
	{ "uA", "uA", 1 },	 { "uA", "\xc2\xb5" "A", 1 }, { "uA", "\xce\xbc" "A", 1 }, { "uA", "mA", 1e3 },
	{ "uA", "A", 1e6 },	 { "uA", "nA", 1e-3 }, { "um", "um", 1 },      { "um", "\xc2\xb5" "m", 1 },
	{ "um", "\xce\xbc" "m", 1 }, { "um", "micron", 1 }, { "um", "microns", 1 }, { "um", "nm", 1e-3 },
	{ "um", "mm", 1e3 },	 { "um", "cm", 1e4 },  { "um", "m", 1e6 },     { "mm", "mm", 1 },
	{ "mm", "cm", 10 },	 { "mm", "m", 1e3 },   { "mm", "um", 1e-3 },   { "ms", "ms", 1 },
	{ "ms", "s", 1e3 },	 { "ms", "sec", 1e3 }, { "ms", "us", 1e-3 },   { "ms", "min", 6e4 },
};

/* True when rest is a unit of the field (or nothing); *factor brings the number to the field's own. */
static bool unit_factor(const struct field *f, const char *rest, double *factor)
{
	*factor = 1;
	if (!*rest)
		return true;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(units[i].of, f->unit) != 0)
			continue;
		/* Case decides between mV and MV, but nobody means another thing by KV or UM. */
		if (strcmp(units[i].name, rest) == 0 ||
		    (strcmp(units[i].name, f->unit) == 0 && strcasecmp(units[i].name, rest) == 0)) {
			*factor = units[i].factor;
			return true;
		}
	}
	return false;
}

bool field_number(const struct field *f, const char *text, double *value)
{
	char copy[NUMBER_MAX], *end, *rest;
	double factor;
	size_t n;

	while (isspace((unsigned char)*text))
		text++;
	n = strlen(text);
	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	/* Decimal numbers only: strtod would take hex, inf and nan too. */
	if (!n || n >= sizeof copy || !strchr("+-.0123456789", *text) || (n > 1 && strchr("xX", text[1])))
		return false;
	memcpy(copy, text, n);
	copy[n] = 0;
	*value = strtod(copy, &end);
	if (end == copy || !isfinite(*value))
		return false;
	for (rest = end; isspace((unsigned char)*rest); rest++)
		;
	if (!unit_factor(f, rest, &factor))
		return false;
	*value *= factor;
	return true;
}

static int give(const char *text, char **normal)
{
	*normal = strdup(text);
	return *normal ? 0 : err_set(ENOMEM, "no memory");
}

static int normal_number(const struct field *f, const char *text, char **normal)
{
	char out[NUMBER_MAX];
	double v;

	if (!field_number(f, text, &v))
		return err_set(EINVAL, "%s: \"%.80s\" is no number%s%s", f->name, text, *f->unit ? " in " : "", f->unit);
	if (v < 0)
		return err_set(EINVAL, "%s: \"%.80s\" is negative", f->name, text);
	snprintf(out, sizeof out, "%.10g", v);
	return give(out, normal);
}

/* "z,y,x", "z x y x x", one number for all three; a unit behind the last is everybody's. */
static int normal_numbers(const struct field *f, const char *text, char **normal)
{
	char copy[4 * NUMBER_MAX], out[4 * NUMBER_MAX], *part, *save = NULL, *unit;
	double v[3], factor;
	int n = 0;

	if (strlen(text) >= sizeof copy)
		return err_set(EINVAL, "%s: expected one or three numbers", f->name);
	strcpy(copy, text);
	for (unit = copy + strlen(copy); unit > copy && !isdigit((unsigned char)unit[-1]) && unit[-1] != '.'; unit--)
		;
	scope_free char *unit_text = strdup(unit);

	*unit = 0;
	for (part = unit_text; part && isspace((unsigned char)*part); part++)
		;
	if (!part || !unit_factor(f, part, &factor))
		return err_set(EINVAL, "%s: \"%.40s\" is no unit for it", f->name, part ? part : "");
	for (part = strtok_r(copy, ",; ", &save); part; part = strtok_r(NULL, ",; ", &save)) {
		if (n == 3 || !field_number(f, part, &v[n]) || v[n] < 0)
			return err_set(EINVAL, "%s: \"%.80s\": expected one number, or three as z,y,x%s%s", f->name, text,
				       *f->unit ? ", in " : "", f->unit);
		n++;
	}
	if (n == 1)
		v[1] = v[2] = v[0];
	else if (n != 3)
		return err_set(EINVAL, "%s: \"%.80s\": expected one number, or three as z,y,x", f->name, text);
	snprintf(out, sizeof out, "%.10g,%.10g,%.10g", v[0] * factor, v[1] * factor, v[2] * factor);
	return give(out, normal);
}

static bool digits(const char **at, int count, int *value)
{
	*value = 0;
	for (int i = 0; i < count; i++, (*at)++) {
		if (!isdigit((unsigned char)**at))
			return false;
		*value = *value * 10 + (**at - '0');
	}
	return true;
}

/* [T or space]HH:MM[:SS[.fraction]][Z or +HH:MM]. False when it is not. A time without a zone is UTC. */
static bool clock_and_zone(const char *at, char *out, size_t room)
{
	int h, m, s = 0, zh = 0, zm = 0;
	const char *zone;

	if (!digits(&at, 2, &h) || *at++ != ':' || !digits(&at, 2, &m))
		return false;
	if (*at == ':') {
		at++;
		if (!digits(&at, 2, &s))
			return false;
	}
	if (*at == '.')
		for (at++; isdigit((unsigned char)*at); at++)
			;
	while (*at == ' ')
		at++;
	zone = at;
	if (*at == 'Z' || *at == 'z' || !*at) {
		zone = "Z";
		at += *at ? 1 : 0;
	} else if (*at == '+' || *at == '-') {
		at++;
		if (!digits(&at, 2, &zh) || zh > 14)
			return false;
		at += *at == ':';
		if (!digits(&at, 2, &zm) || zm > 59)
			return false;
	}
	if (*at || h > 23 || m > 59 || s > 60)
		return false;
	if (*zone == 'Z')
		snprintf(out, room, "T%02d:%02d:%02dZ", h, m, s);
	else
		snprintf(out, room, "T%02d:%02d:%02d%c%02d:%02d", h, m, s, *zone, zh, zm);
	return true;
}

static int normal_time(const struct field *f, const char *text, char **normal)
{
	static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	char out[64], rest[40] = "";
	const char *at = text;
	int y, m, d;

	if (!digits(&at, 4, &y) || *at++ != '-' || !digits(&at, 2, &m) || *at++ != '-' || !digits(&at, 2, &d) || m < 1 ||
	    m > 12 || d < 1 || d > days[m - 1] || (m == 2 && d == 29 && (y % 4 || (y % 100 == 0 && y % 400))))
		return err_set(EINVAL, "%s: \"%.80s\": expected a date as 2026-11-23 or a time as 2026-11-23T14:05:00Z", f->name,
			       text);
	if (*at && ((*at != 'T' && *at != 't' && *at != ' ') || !clock_and_zone(at + 1, rest, sizeof rest)))
		return err_set(EINVAL, "%s: \"%.80s\": expected a time as 2026-11-23T14:05:00Z or ...+02:00", f->name, text);
	snprintf(out, sizeof out, "%04d-%02d-%02d%s", y, m, d, rest);
	return give(out, normal);
}

/* Elements trimmed, empty ones dropped. */
static int normal_list(const char *text, char **normal)
{
	scope_free char *copy = strdup(text);
	scope_buf struct buf out = { 0 };
	char *save = NULL;

	if (!copy)
		return err_set(ENOMEM, "no memory");
	for (char *part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
		size_t n;

		while (isspace((unsigned char)*part))
			part++;
		for (n = strlen(part); n && isspace((unsigned char)part[n - 1]); n--)
			;
		if (n)
			buf_printf(&out, "%s%.*s", out.len ? "," : "", (int)n, part);
	}
	return give(buf_text(&out), normal);
}

struct choice {
	const char *field;
	const char *words; /* a space around each */
};

static const struct choice choices[] = {
	{ "kind", " volume projections labels image mosaic table report movie model tool other " },
	{ "look", " private groups all " },
};

static int normal_text(const struct field *f, const char *text, char **normal)
{
	char word[NUMBER_MAX];
	int rc = give(text, normal);

	for (size_t i = 0; !rc && i < sizeof choices / sizeof *choices; i++) {
		if (strcmp(choices[i].field, f->name) != 0)
			continue;
		for (char *c = *normal; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		snprintf(word, sizeof word, " %.60s ", *normal);
		if (strstr(choices[i].words, word))
			continue;
		rc = err_set(EINVAL, "%s: \"%.60s\": expected one of%s", f->name, text, choices[i].words);
	}
	if (rc) {
		free(*normal);
		*normal = NULL;
	}
	return rc;
}

/* Trimmed; control characters (but newline and tab in long texts) are not text. */
static int clean(const struct field *f, const char *text, char **out)
{
	size_t n;

	while (isspace((unsigned char)*text))
		text++;
	for (n = strlen(text); n && isspace((unsigned char)text[n - 1]); n--)
		;
	if (!n)
		return err_set(EINVAL, "%s: is empty", f->name);
	if (n > TEXT_MAX)
		return err_set(EINVAL, "%s: is longer than 64 KiB", f->name);
	*out = strndup(text, n);
	if (!*out)
		return err_set(ENOMEM, "no memory");
	for (const char *c = *out; *c; c++)
		if (((unsigned char)*c < 0x20 && *c != '\n' && *c != '\t') || *c == 0x7f)
			return err_set(EINVAL, "%s: holds a control character", f->name);
	return utf8_valid(*out) ? 0 : err_set(EINVAL, "%s: is not UTF-8", f->name);
}

int field_normal(const struct field *f, const char *text, char **normal)
{
	scope_free char *trimmed = NULL;
	int rc = clean(f, text, &trimmed);

	*normal = NULL;
	if (rc)
		return rc;
	switch (f->kind) {
	case FIELD_TEXT:
		return normal_text(f, trimmed, normal);
	case FIELD_LIST:
		return normal_list(trimmed, normal);
	case FIELD_NUMBER:
		return normal_number(f, trimmed, normal);
	case FIELD_NUMBERS:
		return normal_numbers(f, trimmed, normal);
	case FIELD_TIME:
		return normal_time(f, trimmed, normal);
	}
	return err_set(EINVAL, "%s: cannot be set", f->name);
}
