#include "fs/image/finding.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fs/image/text.h"

enum { TEXT_MAX = 4096, FINDINGS_MAX = 512 };

/* A clean copy: UTF-8, no control characters, trimmed, at most TEXT_MAX bytes of whole characters. NULL: no memory. */
static char *clean(const char *text)
{
	char *copy, *start;
	size_t len;

	if (!text)
		text = "";
	len = strnlen(text, (size_t)TEXT_MAX * 4);
	copy = text_utf8_or_latin1(text, len);
	if (!copy)
		return NULL;
	for (uint8_t *at = (uint8_t *)copy; *at; at++)
		if (*at < 0x20 || *at == 0x7f)
			*at = ' ';
	start = text_trim(copy);
	memmove(copy, start, strlen(start) + 1);
	len = strlen(copy);
	if (len > TEXT_MAX) {
		len = TEXT_MAX;
		while (len && ((uint8_t)copy[len] & 0xc0) == 0x80)
			len--;
		copy[len] = 0;
		text_trim(copy);
	}
	return copy;
}

static void finding_clear(struct finding *f)
{
	free(f->field);
	free(f->value);
	free(f->vendor_key);
	free(f->vendor_text);
}

void findings_add(struct findings *f, const char *field, const char *value, const char *vendor_key,
		  const char *vendor_text)
{
	struct finding new;
	struct finding *list;

	if (f->count == FINDINGS_MAX)
		return;
	new = (struct finding) {
		.field = clean(field),
		.value = clean(value),
		.vendor_key = clean(vendor_key),
		.vendor_text = clean(vendor_text),
	};
	if (!new.field || !new.value || !new.vendor_key || !new.vendor_text || !*new.value) {
		finding_clear(&new);
		return;
	}
	list = reallocarray(f->list, f->count + 1, sizeof *list);
	if (!list) {
		finding_clear(&new);
		return;
	}
	f->list = list;
	f->list[f->count++] = new;
}

void findings_add_number(struct findings *f, const char *field, double value, const char *vendor_key,
			 const char *vendor_text)
{
	char text[40];

	if (!isfinite(value))
		return;
	snprintf(text, sizeof text, "%.10g", value);
	findings_add(f, field, text, vendor_key, vendor_text);
}

const char *findings_get(const struct findings *f, const char *field)
{
	for (size_t i = 0; i < f->count; i++)
		if (!strcmp(f->list[i].field, field))
			return f->list[i].value;
	return NULL;
}

void findings_free(struct findings *f)
{
	for (size_t i = 0; i < f->count; i++)
		finding_clear(&f->list[i]);
	free(f->list);
	*f = (struct findings) { 0 };
}
