/* XML as pairs of path and value. u8: after so many pairs the visitor has enough (0: never); then the text. */
#include "fs/image/xml.h"
#include "tests/lib/fuzz.h"

const unsigned fuzz_failing_allocations = 8;

struct visitor {
	unsigned left, seen;
};

static int visit(void *ctx, const char *path, const char *value)
{
	struct visitor *v = ctx;

	must(strlen(path) <= XML_PATH_MAX && (!value || strlen(value) <= XML_TEXT_MAX), "a text is too long");
	v->seen++;
	return v->left && !--v->left;
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	struct visitor v = { .left = cursor_u8(&c) };
	size_t len;
	uint8_t *bytes = fuzz_rest(&c, &len);

	if (bytes)
		xml_visit((const char *)bytes, len, visit, &v);
	must(v.seen <= 2 * size + 1, "more is seen than stands there");
	free(bytes);
}
