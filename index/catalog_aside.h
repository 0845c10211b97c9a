/*
 * catalog_aside: an index that is opened only to be looked at, by those who check a store or mend it. Nothing is committed to it by
 * itself, and nothing of it is promised.
 *
 * Threads: one.
 */
#ifndef TOMOFS_CATALOG_ASIDE_H
#define TOMOFS_CATALOG_ASIDE_H

#include "index/catalog.h"

/* What the journal adds up to, in a new index in folder dir, which is made. The store's own index is not touched, so this works
 * beside a mount. It takes as long as `tomofs rebuild`. 0 or -errno. */
int catalog_open_replayed(struct catalog **out, struct store *store, struct journal *journal, const char *dir);

/* STORE/index as it is, with the journal's tail in memory. The caller has the store's lock. 0; -ENOENT: there is none;
 * -ESTALE: an older tomofs made it; -EIO: damaged, or ahead of the journal. */
int catalog_open_as_is(struct catalog **out, struct store *store, struct journal *journal);

/* Nothing is committed. NULL is fine. */
void catalog_drop(struct catalog *catalog);

/* Reads every row and compares it with its check. Calls damaged() for each that is wrong (some, then it ends). 0 and how many
 * were whole; -ENOMEM. */
int catalog_check_rows(struct catalog *catalog, void (*damaged)(void *ctx, const char *sentence), void *ctx, uint64_t *rows);

#endif
