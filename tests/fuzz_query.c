/* Query texts: a line with the query, then lines of "field=value" that a dataset has. */
#include "index/query.h"
#include "index/utf8.h"
#include "store/err.h"
#include "tests/lib/fuzz.h"

const unsigned fuzz_failing_allocations = 40;

enum { VALUES_MOST = 16, LINE_MAX_BYTES = 2000 };

static size_t values_from(struct cursor *c, struct query_value *values, char **lines)
{
	size_t n = 0;

	while (n < VALUES_MOST && cursor_left(c)) {
		char *line = fuzz_line(c, LINE_MAX_BYTES), *value = line ? strchr(line, '=') : NULL;

		if (value) {
			*value = 0;
			values[n] = (struct query_value){ line, value + 1 };
			lines[n++] = line;
		} else {
			free(line);
		}
	}
	return n;
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	scope_free char *text = fuzz_line(&c, LINE_MAX_BYTES);
	struct query_value values[VALUES_MOST];
	char *lines[VALUES_MOST];
	struct query *q = NULL;
	size_t at = 0, count;
	int rc;

	if (!text)
		return;
	count = values_from(&c, values, lines);
	rc = query_parse(text, &q, &at);
	if (!rc) {
		bool yes = query_match(q, &(struct query_subject){ values, count });

		must(yes == query_match(q, &(struct query_subject){ values, count }), "a query matches by chance");
		query_free(q);
	} else {
		must(at <= strlen(text), "the error is behind the text");
		must(*err_text(), "an error without a sentence");
	}
	while (count)
		free(lines[--count]);
}
