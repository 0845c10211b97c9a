/* What persons write as the value of a field: u8 field; a line: the text. Then what they call a field. */
#include <math.h>

#include "index/field.h"
#include "index/utf8.h"
#include "tests/lib/fuzz.h"

const unsigned fuzz_failing_allocations = 8;

static void value(const struct field *f, const char *text)
{
	char *normal = NULL, *again = NULL;
	double v;
	struct field_span span;

	if (field_normal(f, text, &normal) == 0) {
		int rc = field_normal(f, normal, &again);

		must(rc == 0 || rc == -12 /* ENOMEM */, "a normal form is refused");
		if (!rc)
			must(strcmp(normal, again) == 0, "a normal form has another one");
	}
	if (field_number(f, text, &v))
		must(isfinite(v), "a number is not finite");
	if (field_time(text, &span))
		must(span.from_us < span.until_us && abs(span.zone_minutes) < 24 * 60, "a span of time");
	field_units(f);
	free(normal);
	free(again);
}

static void folding(const char *text)
{
	char *folded = utf8_folded(text);

	if (folded) {
		must(strlen(folded) <= 2 * strlen(text), "folded is more than twice as long");
		must(utf8_contains(text, folded) && utf8_equal(text, folded), "a text does not contain itself");
	}
	utf8_valid(text);
	free(folded);
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	const struct field *f = &fields[cursor_u8(&c) % field_count];
	scope_free char *text = fuzz_line(&c, 5000), *name = fuzz_line(&c, 5000);

	if (text) {
		value(f, text);
		folding(text);
	}
	if (name)
		field_find(name);
}
