/*
 * salvage: packs in which something is damaged are replaced by new ones with everything in them that is whole. Nothing is destroyed:
 * the old file goes to STORE/quarantine/ when all of that is on the disk, was read back, and the directory names it.
 *
 * What a damaged record held is in no pack afterwards: reading it is -EIO, and store_put() takes the same bytes again.
 */
#ifndef TOMOFS_SALVAGE_H
#define TOMOFS_SALVAGE_H

#include "store/store.h"

struct salvage_counts {
	uint64_t packs;	 /* that went to the quarantine */
	uint64_t left;	 /* damaged, and left where they are: of a newer tomofs, or they cannot be read now */
	uint64_t chunks; /* whole, copied */
};

/* After store_verify(), on a store that is open for writing and that nobody else uses. say(): a sentence for each pack. Key runs that
 * are damaged are made again. 0; -ENOSPC; -errno: the rest is as it was, and can be salvaged by another call. */
int store_salvage(struct store *store, void (*say)(void *ctx, const char *sentence), void *ctx, struct salvage_counts *counts);

/* Moves STORE/NAME (a file or a folder) to STORE/quarantine/, under its last name, or with .1, .2 ... behind it. Durable. *to: where
 * it is now, relative to STORE; the caller frees it. 0 or -errno. */
int store_quarantine(struct store *store, const char *name, char **to);

/* Puts a chunk that is missed, if these are its bytes: 1; 0: they have another key; -errno. */
int store_put_missing(struct store *store, const struct key *key, const void *bytes, size_t len);

#endif
