/*
 * Sidecars of all kinds: a line with the file's name, which decides about the parser, then the file.
 *
 * What a sidecar says is used as a file name and as geometry, so these must be harmless whatever stood in it.
 */
#include "fs/image/sidecar.h"
#include "fs/image/text.h"
#include "tests/lib/fuzz.h"

const unsigned fuzz_failing_allocations = 40;

enum { NAME_MAX_BYTES = 300 };

static void check_name(const char *name, const char *own)
{
	must(*name && !strchr(name, '/') && !strchr(name, '\\'), "a declared file is a path");
	must(strcmp(name, ".") && strcmp(name, ".."), "a declared file is a folder");
	/* Header and data in one file: its own name, whose bytes may be any. */
	must(strcmp(name, text_leaf(own)) == 0 || text_is_utf8((const uint8_t *)name, strlen(name)),
	     "a declared name is not UTF-8");
}

static void check_finding(const struct finding *f)
{
	must(f->field && *f->field && f->value && *f->value && f->vendor_key && f->vendor_text, "an empty finding");
	must(text_is_utf8((const uint8_t *)f->value, strlen(f->value)), "a value is not UTF-8");
	must(text_is_utf8((const uint8_t *)f->vendor_text, strlen(f->vendor_text)), "a vendor's text is not UTF-8");
	must(strlen(f->value) <= 4096 && strlen(f->vendor_text) <= 4096 && strlen(f->vendor_key) <= 4096,
	     "a text is too long");
}

static void check(const struct sidecar *s, const char *own)
{
	must(s->facts.count <= 512 && s->data_count <= 64, "too much is said");
	for (size_t i = 0; i < s->facts.count; i++)
		check_finding(&s->facts.list[i]);
	for (size_t i = 0; i < s->data_count; i++) {
		must(s->data[i].name || s->data[i].suffix, "a declared file without a name");
		must(geometry_sane(&s->data[i].geo) && s->data[i].geo.format == IMAGE_RAW, "a geometry is not sane");
		if (s->data[i].name)
			check_name(s->data[i].name, own);
	}
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	scope_free char *name = fuzz_line(&c, NAME_MAX_BYTES);
	scope_sidecar struct sidecar s = { 0 };
	struct geometry geo;
	size_t len;
	uint8_t *bytes;

	if (!name)
		return;
	bytes = fuzz_rest(&c, &len);
	sidecar_wanted(name, len);
	if (bytes && sidecar_parse(name, bytes, len, &s) == 0)
		check(&s, name);
	if (sidecar_from_name(name, len, &geo) == 0)
		must(geometry_sane(&geo), "a name's geometry is not sane");
	if (sidecar_said_by_name(name, &geo) == 0 && geo.type)
		must(geometry_sane(&geo), "a name's geometry is not sane");
	free(bytes);
}
