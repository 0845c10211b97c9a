/*
 * node_dataset: what the kinds of folders that hold one entry for each dataset have in common.
 */
#ifndef TOMOFS_NODE_DATASET_H
#define TOMOFS_NODE_DATASET_H

#include "fs/node.h"

enum { DATASET_BITS = 30 };

/* Things of one dataset (CLASS_DATASET). */
enum dataset_thing {
	THING_VIEWS = 0,   /* views/NAME */
	THING_PICTURE = 1, /* gallery/NAME.png */
	THING_INFO = 2,    /* info/NAME */
	THING_FACTS = 3,   /* info/NAME/facts.json */
	THING_ERROR = 4,   /* info/NAME/error.txt */
	THING_SHA256 = 5,  /* info/NAME/sha256 */
};

/* Where a link to a dataset stands (CLASS_LINK); smaller numbers are terms. */
enum link_place {
	LINK_ID = 1 << 29, /* by-id/ID */
	LINK_DATE,         /* by-date/Y/M/D/NAME */
	LINK_SEARCH,       /* search/QUERY/NAME */
};

static inline uint64_t thing_number(enum dataset_thing thing, uint32_t dataset)
{
	return node_number(CLASS_DATASET, (uint64_t)thing << DATASET_BITS | dataset);
}
static inline uint64_t link_number(uint32_t where, uint32_t dataset)
{
	return node_number(CLASS_LINK, (uint64_t)where << DATASET_BITS | dataset);
}
static inline uint32_t number_dataset(uint64_t number)
{
	return (uint32_t)(node_what(number) & ((1U << DATASET_BITS) - 1));
}
static inline uint32_t number_upper(uint64_t number)
{
	return (uint32_t)(node_what(number) >> DATASET_BITS);
}

enum dataset_scope {
	SCOPE_ALL,   /* collections too */
	SCOPE_SCANS, /* datasets only */
};

/* The row, when it is there, in scope, and may be listed by the caller; else -ENOENT (so that its existence does not show). */
int dataset_for(struct fs *fs, const struct caller *who, uint32_t number, enum dataset_scope scope,
		struct dataset_row *row);
/* The same by short name. */
int dataset_named(struct fs *fs, const struct caller *who, const char *name, enum dataset_scope scope,
		  struct dataset_row *row);

/* Calls each() for those datasets of list that the caller may see; frees nothing. Stops at non-zero. */
int dataset_each(struct fs *fs, const struct caller *who, const uint32_t *list, size_t count, enum dataset_scope scope,
		 int (*each)(void *ctx, const struct dataset_row *row), void *ctx);

/* Emits a link for each. where: enum link_place or a term. */
int dataset_emit_links(struct fs *fs, const struct caller *who, const uint32_t *list, size_t count,
		       enum dataset_scope scope, uint32_t where, node_emit emit, void *ctx);

/* Emits the thing of each dataset that the caller may see, under the dataset's short name. */
int dataset_emit_things(struct fs *fs, const struct caller *who, enum dataset_scope scope, enum dataset_thing thing,
			const struct node_ops *ops, node_emit emit, void *ctx);

#endif
