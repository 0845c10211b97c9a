/*
 * query_internal: the tree that a query is.
 */
#ifndef TOMOFS_QUERY_INTERNAL_H
#define TOMOFS_QUERY_INTERNAL_H

#include "index/field.h"
#include "index/query.h"

enum query_op {
	OP_AND, OP_OR, OP_NOT, /* of left and right; NOT of left */
	OP_ALL,                /* the empty query */
	OP_WORD,               /* text somewhere */
	OP_CONTAINS,           /* field:text, and field=text of texts */
	OP_EXACT,              /* tag=text: whole value */
	OP_NUMBER,             /* low <= value <= high; open ends are infinite */
	OP_TIME,               /* low and high as text prefixes */
};

struct query {
	enum query_op op;
	struct query *left, *right;
	char *field;      /* name in the field table */
	char *text;       /* folded */
	enum field_kind kind;
	double low, high; /* OP_NUMBER */
	bool low_open, high_open; /* the border itself is out */
	char *time_low, *time_high; /* OP_TIME; NULL: no border */
};

struct query *query_node(enum query_op op, struct query *left, struct query *right);

#endif
