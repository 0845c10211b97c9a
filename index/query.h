/*
 * query: the text of a search folder, parsed to a tree and matched against one dataset at a time.
 *
 *     word            must occur in some text of the dataset (names, tags, comment, facts), case-insensitive (UTF-8, simple
 *                     folding); "two words" or 'two words' as one
 *     field:text      the field's value contains text, case-insensitive; of a tag: is text, whole
 *     field=value     the same for texts; numbers (with units) and times: equals, and a time stands for all that begins with
 *                     it: date=2026-11 is that month
 *     < <= > >=       numbers with units, times: voxel<2um date>2026-10-01 (of z,y,x the last one counts: x)
 *     a b             both;  a or b;  -a or not a;  ( )   brackets, 64 deep at most
 * and the spellings that Windows allows in a folder name: voxel=..2um, kV=80.., kV=80..120 (borders belong to it), lt le gt ge
 * (kV lt 80), not, single quotes. A field that a dataset does not have matches no comparison.
 * An unknown field, a missing bracket, a number without sense: -EINVAL, err_text() says what and where, and *at is the byte.
 *
 * A parsed query is immutable: any number of threads may match with it.
 */
#ifndef TOMOFS_QUERY_H
#define TOMOFS_QUERY_H

#include <stdbool.h>
#include <stddef.h>

struct query;

enum { QUERY_TEXT_MAX = 1024 };

/* One dataset as a query sees it: field values as text in normal form. */
struct query_value {
	const char *field; /* a name of the field table ("tag" once for each tag), or "name", "place" */
	const char *value;
};
struct query_subject {
	const struct query_value *values;
	size_t count;
};

/* 0 and *out (query_free); -EINVAL as above. The empty query matches everything. */
int query_parse(const char *text, struct query **out, size_t *at);
bool query_match(const struct query *q, const struct query_subject *subject);
void query_free(struct query *q);

#endif
