#include "fs/image/ini.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fs/image/text.h"
#include "store/err.h"

enum { LINES_MAX = 100000 };

static int add_line(struct ini *ini, size_t *cap, const char *section, char *line, char separator)
{
	char *at = strchr(line, separator);

	if (!at || *line == ';' || *line == '#')
		return 0;
	*at = 0;
	if (ini->count == *cap) {
		size_t more = *cap ? *cap * 2 : 128;
		struct ini_line *lines = reallocarray(ini->lines, more, sizeof *lines);

		if (!lines)
			return err_set(ENOMEM, "no memory to read a text");
		ini->lines = lines;
		*cap = more;
	}
	ini->lines[ini->count++] =
	    (struct ini_line) { .section = section, .key = text_unquote(line), .value = text_unquote(at + 1) };
	return 0;
}

int ini_parse(struct ini *ini, const uint8_t *bytes, size_t len, char separator)
{
	const char *section = "";
	size_t cap = 0;
	char *line, *next;

	*ini = (struct ini) { .text = text_utf8(bytes, len) };
	if (!ini->text)
		return err_set(ENOMEM, "no memory to read a text");
	for (line = ini->text; line && ini->count < LINES_MAX; line = next) {
		char *end = strpbrk(line, "\r\n");
		int rc;

		next = end ? end + 1 : NULL;
		if (end)
			*end = 0;
		line = text_trim(line);
		end = strchr(line, ']');
		if (*line == '[' && end) {
			*end = 0;
			section = text_trim(line + 1);
			continue;
		}
		rc = add_line(ini, &cap, section, line, separator);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void ini_free(struct ini *ini)
{
	free(ini->lines);
	free(ini->text);
	*ini = (struct ini) { 0 };
}

const char *ini_get(const struct ini *ini, const char *section, const char *key)
{
	for (size_t i = 0; i < ini->count; i++) {
		const struct ini_line *line = &ini->lines[i];

		if (*line->value && !strcasecmp(line->key, key) && (!section || !strcasecmp(line->section, section)))
			return line->value;
	}
	return NULL;
}

bool ini_number(const struct ini *ini, const char *section, const char *key, double *value)
{
	const char *text = ini_get(ini, section, key);

	return text && text_number(text, value, NULL);
}

bool ini_count(const struct ini *ini, const char *section, const char *key, uint64_t *value)
{
	const char *text = ini_get(ini, section, key);

	return text && text_count(text, value);
}

const char *ini_vendor_key(char *to, size_t len, const char *section, const char *key)
{
	if (section && *section)
		snprintf(to, len, "[%s] %s", section, key);
	else
		snprintf(to, len, "%s", key);
	return to;
}

void ini_findings(const struct ini *ini, const struct ini_rule *rules, size_t count, struct findings *facts)
{
	for (size_t i = 0; i < count; i++) {
		const struct ini_rule *rule = &rules[i];
		const char *text = ini_get(ini, rule->section, rule->key);
		char key[128], when[TEXT_TIME_MAX];
		double number;

		if (!text || findings_get(facts, rule->field))
			continue;
		ini_vendor_key(key, sizeof key, rule->section, rule->key);
		if (rule->kind == INI_TEXT)
			findings_add(facts, rule->field, text, key, text);
		else if (rule->kind == INI_TIME && text_time(text, when))
			findings_add(facts, rule->field, when, key, text);
		else if (rule->kind == INI_NUMBER && text_number(text, &number, NULL))
			findings_add_number(facts, rule->field, number * (rule->factor ? rule->factor : 1), key, text);
	}
}
