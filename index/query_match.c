#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/query_internal.h"
#include "index/utf8.h"

static bool text_matches(const struct query *q, const char *value)
{
	return q->op == OP_EXACT ? utf8_equal(value, q->text) : utf8_contains(value, q->text);
}

/* The number of a value in normal form; of three (z,y,x) the last. What is no number is NAN, which no comparison is true of. */
static double number_of(const char *value)
{
	const char *comma = strrchr(value, ',');
	const char *text = comma ? comma + 1 : value;
	char *end;
	double v = strtod(text, &end);

	return end == text ? NAN : v;
}

/* Borders are compared with a relative tolerance: 0.08 MV is 80 kV. */
static bool number_matches(const struct query *q, const char *value)
{
	double v = number_of(value), slack = 1e-9 * fabs(v);

	if (isnan(v))
		return false;
	if (q->low_open ? v <= q->low + slack : v < q->low - slack)
		return false;
	return q->high_open ? v < q->high - slack : v <= q->high + slack;
}

/* Times in normal form sort as text; a border stands for all that begins with it. */
static bool time_matches(const struct query *q, const char *value)
{
	if (q->time_low) {
		int c = strncmp(value, q->time_low, strlen(q->time_low));

		if (q->low_open ? c <= 0 : c < 0)
			return false;
	}
	if (q->time_high) {
		int c = strncmp(value, q->time_high, strlen(q->time_high));

		if (q->high_open ? c >= 0 : c > 0)
			return false;
	}
	return true;
}

static bool value_matches(const struct query *q, const struct query_value *v)
{
	if (q->field && strcmp(q->field, v->field) != 0)
		return false;
	switch (q->op) {
	case OP_NUMBER:
		return number_matches(q, v->value);
	case OP_TIME:
		return time_matches(q, v->value);
	default:
		return text_matches(q, v->value);
	}
}

bool query_match(const struct query *q, const struct query_subject *s)
{
	switch (q->op) {
	case OP_ALL:
		return true;
	case OP_AND:
		return query_match(q->left, s) && query_match(q->right, s);
	case OP_OR:
		return query_match(q->left, s) || query_match(q->right, s);
	case OP_NOT:
		return !query_match(q->left, s);
	default:
		break;
	}
	for (size_t i = 0; i < s->count; i++)
		if (value_matches(q, &s->values[i]))
			return true;
	return false;
}
