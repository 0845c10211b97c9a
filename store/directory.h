/*
 * directory: where each chunk is: key -> pack, place and sizes. In memory, 32 bytes an entry, filled from the packs'
 * footers when the store is opened; meant for up to some 10^7 chunks (about 40 bytes of memory each). Nothing outside
 * this file knows how the entries are kept, so that sorted runs on disk can take its place.
 *
 * Threads: any; the table is cut into shards that are locked one at a time, for a few memory accesses.
 */
#ifndef TOMOFS_DIRECTORY_H
#define TOMOFS_DIRECTORY_H

#include "store/key.h"

struct directory;

struct directory_entry {
	uint32_t pack;	     /* index in the table of packs (packs.h) */
	uint32_t off;	     /* of the record in the pack */
	uint32_t stored_len; /* of the payload */
	uint32_t plain_len;  /* at most 2^24 - 1 */
	uint8_t codec;
};

int directory_new(struct directory **out);
void directory_free(struct directory *d);

/* Room for about this many more entries at once, so that filling it does not grow it step by step. 0 or -ENOMEM. */
int directory_expect(struct directory *d, uint64_t more);

/* A later entry of the same key takes the place of the one before. 0, or 1 when there was one (then in *before, unless
 * before is NULL); -ENOMEM. */
int directory_set(struct directory *d, const struct key *key, const struct directory_entry *entry,
		  struct directory_entry *before);
bool directory_get(struct directory *d, const struct key *key, struct directory_entry *entry);
uint64_t directory_count(struct directory *d);

#endif
