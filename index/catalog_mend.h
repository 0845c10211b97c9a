/*
 * catalog_mend: a new journal out of one that is damaged, and the index that goes with it.
 *
 * Kept are, in this order: the records in front of the damage, as they are, so that the chain up to there is the one that was signed; what
 * an index that was ahead of the damage knows beyond them (names, contents, attributes, tags: as new records); the whole records behind
 * the damage, with new numbers, as far as they still make sense. What was between is missing from the history.
 *
 * Nothing is destroyed: the old journal and the old index go to STORE/quarantine/. Until the new journal is whole and on the disk
 * nothing is changed; it takes the old one's place by one exchange of names.
 *
 * Threads: one; no journal or catalog of the store may be open.
 */
#ifndef TOMOFS_CATALOG_MEND_H
#define TOMOFS_CATALOG_MEND_H

#include "index/catalog.h"

struct mend_counts {
	uint64_t records; /* of the new journal */
	uint64_t lost;	  /* numbers of old records that are in neither, or do not fit any more */
	uint64_t restored; /* records made from what the index knew */
};

/* say(): a sentence for each thing that was found and done. 0 or -errno. */
int catalog_mend(struct store *store, void (*say)(void *ctx, const char *sentence), void *ctx, struct mend_counts *counts);

/* The last record that STORE/index has seen, without the journal. 0; -ENOENT: no index; -EIO. */
int catalog_noted_seq(struct store *store, uint64_t *seq);

#endif
