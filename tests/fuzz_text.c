/* Words, numbers and times of foreign headers, and texts of sections and lines. u8: which; then the text. */
#include <math.h>

#include "fs/image/ini.h"
#include "fs/image/text.h"
#include "tests/lib/fuzz.h"

const unsigned fuzz_failing_allocations = 8;

static void numbers(const char *text)
{
	double v = 0, list[8];
	const char *end = NULL;
	uint64_t n = 0;

	if (text_number(text, &v, &end))
		must(isfinite(v) && end > text && end <= text + strlen(text), "a number");
	if (text_count(text, &n))
		must(n <= UINT64_C(1) << 53, "a count is too large");
	must(text_numbers(text, list, 8) <= 8, "too many numbers");
	must(text_length_um(text) >= 0, "a negative length");
}

static void times(const char *text)
{
	char out[TEXT_TIME_MAX];

	if (text_time(text, out))
		must(strlen(out) < TEXT_TIME_MAX && strlen(out) >= 10 && out[4] == '-', "a time");
}

static void words(char *text)
{
	char *lower = text_lower(text), *copy = strdup(text);

	if (lower)
		must(strlen(lower) == strlen(text), "lower case is longer");
	if (copy) {
		text_leaf(text_unquote(copy));
		strcpy(copy, text);
		text_trim(copy);
		text_contains((const uint8_t *)text, strlen(text), "scan");
	}
	free(lower);
	free(copy);
}

static void utf8(const uint8_t *bytes, size_t len)
{
	char *a = text_utf8(bytes, len), *b = text_utf8_or_latin1((const char *)bytes, len);

	if (a)
		must(text_is_utf8((const uint8_t *)a, strlen(a)), "not UTF-8");
	if (b)
		must(text_is_utf8((const uint8_t *)b, strlen(b)), "not UTF-8");
	free(a);
	free(b);
}

static void ini(const uint8_t *bytes, size_t len, char separator)
{
	static const struct ini_rule rules[] = {
		{ "sample", NULL, "name", INI_TEXT },
		{ "voltage_kV", "xray", "voltage", INI_NUMBER, 0.001 },
		{ "start_time", NULL, "time", INI_TIME },
	};
	scope_findings struct findings facts = { 0 };
	scope_ini struct ini lines = { 0 };
	double v;
	uint64_t n;

	if (ini_parse(&lines, bytes, len, separator))
		return;
	for (size_t i = 0; i < lines.count; i++)
		must(lines.lines[i].section && lines.lines[i].key && lines.lines[i].value, "a line of NULL");
	ini_findings(&lines, rules, sizeof rules / sizeof *rules, &facts);
	ini_number(&lines, NULL, "n", &v);
	ini_count(&lines, "xray", "n", &n);
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	unsigned what = cursor_u8(&c) % 5;
	size_t len;
	uint8_t *bytes = fuzz_rest(&c, &len);
	struct cursor again = cursor_of(bytes, len);
	char *text = bytes && what < 3 ? fuzz_line(&again, len) : NULL;

	if (text && what == 0)
		numbers(text);
	if (text && what == 1)
		times(text);
	if (text && what == 2)
		words(text);
	if (bytes && what == 3)
		utf8(bytes, len);
	if (bytes && what == 4)
		ini(bytes, len, size % 2 ? '=' : ':');
	free(text);
	free(bytes);
}
