/*
 * node_search: search/QUERY. A look-up of any text is a folder of links to the datasets that match; it makes no state on
 * disk. mkdir keeps a query listed, rmdir drops it. A query that cannot be understood is a folder with one file, ERROR.txt.
 *
 * A query's node number is a hash of its text, so the texts that the kernel may still name are remembered here, the one
 * table of live nodes in the file system. It is bounded: the longest unused ones are forgotten (their nodes become ESTALE
 * and are looked up again by name).
 */
#ifndef TOMOFS_NODE_SEARCH_H
#define TOMOFS_NODE_SEARCH_H

#include "fs/node.h"

struct searches;

struct searches *searches_new(void);
void searches_free(struct searches *searches);

/* The texts, for a process that takes the mount over; and back. 0; -ENOMEM; -EINVAL. */
struct buf;
int searches_save(struct searches *searches, struct buf *to);
int searches_load(struct searches *searches, const void *bytes, size_t len);

#endif
