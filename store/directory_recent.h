/*
 * directory_recent: the entries of a directory that are in memory: open-addressing tables of 32 bytes a slot.
 *
 * Threads: any; the table is cut into shards that are locked one at a time, for a few memory accesses.
 */
#ifndef TOMOFS_DIRECTORY_RECENT_H
#define TOMOFS_DIRECTORY_RECENT_H

#include "store/directory.h"

struct recent;

int recent_new(struct recent **out); /* 0 or -ENOMEM */
void recent_free(struct recent *r);

/* Of two entries with a key the one further behind (in a newer pack, or later in it) is kept. 0: the key is new; 1: it
 * was there, the entry in *before; -ENOMEM. */
int recent_set(struct recent *r, const struct key *key, const struct directory_entry *entry,
	       struct directory_entry *before);
/* The same for what is read from a footer: counts it in, and out what it takes the place of. sums may be NULL. 0 or
 * -ENOMEM. */
int recent_load(struct recent *r, const struct key *key, const struct directory_entry *entry,
		struct directory_sums *sums);
bool recent_get(struct recent *r, const struct key *key, struct directory_entry *entry);
/* Forgets the entries of the packs whose byte in gone[], of `count`, is not 0. Best effort: what there is no memory for
 * stays. */
void recent_forget(struct recent *r, const uint8_t *gone, size_t count);

#endif
