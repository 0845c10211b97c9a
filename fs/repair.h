/*
 * repair: makes a damaged store whole again, as far as what is in it allows. Nothing is destroyed: what is damaged goes to
 * STORE/quarantine/ when everything whole in it stands elsewhere, on the disk. It can be killed anywhere and called again.
 *
 *     packs     every whole chunk is copied into new packs                                          (store/salvage.h)
 *     journal   damaged: every whole record that still makes sense is written to a new journal; what an index that is ahead of the journal
 *               knows is added to it
 *     index     lost, damaged, or not what the journal says: made anew from the journal
 *     files     with files that are offered: missing chunks are taken from those whose bytes have the right key
 *
 * Threads: one; the store must not be in use.
 */
#ifndef TOMOFS_FS_REPAIR_H
#define TOMOFS_FS_REPAIR_H

#include "fs/verify.h"
#include "store/salvage.h"

struct repair_listener {
	void (*say)(void *ctx, const char *sentence); /* what was found, and what was done */
	void (*hurt)(void *ctx, const struct verify_hurt *hurt); /* what is still missing at the end */
	void *ctx;
};

struct repair_counts {
	struct salvage_counts packs;
	uint64_t records;      /* of the journal, when it was written anew; 0: it was whole */
	uint64_t records_lost; /* that were whole, and make no sense without those that are damaged */
	bool index_made;
	uint64_t chunks_taken; /* from offered files */
	struct verify_counts left; /* what is still hurt: named files_hurt ... */
};

/* offered: folders (or files) to take missing chunks from, NULL at the end; may be NULL. 0: the store can be mounted; left says what is
 * missing. -errno: not done, the sentence says why. */
int fs_repair(const char *store, char *const *offered, const struct repair_listener *listener, struct repair_counts *counts);

/* ---- repair_offer.c: files that are offered ---- */

struct offers;
/* 0 or -errno. Folders are walked; symlinks are not followed. */
int offers_new(struct offers **out, struct store *store, char *const *paths);
void offers_free(struct offers *offers);
/* Looks for a chunk of len bytes at off of a file of `size` bytes, called `name` (its last part; "" not known), and puts it into the
 * store. 1: done; 0: no offered file has it; -errno of the store. */
int offers_take(struct offers *offers, const char *name, uint64_t size, uint64_t off, const struct key *key, size_t len);

#endif
