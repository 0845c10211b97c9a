/*
 * directory: where each chunk is: key -> pack, place and sizes. For any number of chunks in bounded memory.
 *
 * The keys of packs that are being written, and of those sealed lately, are in memory (directory_recent.h); those of
 * all other packs are in sorted files, the key runs (keyrun.h, STORE/keys/). A thread of the directory's own makes runs
 * out of the footers of settled packs and merges runs of like size, so that a chunk is written about eight times at 10^8
 * chunks and there are at most some twenty runs: a size-tiered log-structured merge tree (O'Neil, Cheng, Gawlick, O'Neil, "The
 * log-structured merge-tree", 1996). A look-up asks the memory, then the filter of each run, and reads one page of a
 * run that may have the key.
 *
 * Runs hold nothing that the packs' footers do not say. One that is damaged, stale or gone is made again, meanwhile
 * the footers answer; it costs time, never a chunk. What memory did to a key before its page got its check is found by comparing the
 * run with the footers, which is done when a chunk is looked for in vain (directory_search()), and by directory_check().
 *
 * Memory: about 45 bytes for each chunk of packs that are not in a run yet (some 10^5 chunks), 32 MiB for filters, 8
 * bytes a pack, and some 50 MiB while runs are made. A store without runs that is opened for reading only keeps all in memory.
 *
 * Threads: any, once directory_begin() has returned. No lock is held across I/O, but while runs are compared with footers.
 */
#ifndef TOMOFS_DIRECTORY_H
#define TOMOFS_DIRECTORY_H

#include "store/packs.h"
#include "store/pool.h"
#include "store/recover.h"

struct directory;

struct directory_entry {
	uint32_t pack;	     /* index in the table of packs (packs.h) */
	uint32_t off;	     /* of the record in the pack */
	uint32_t stored_len; /* of the payload */
	uint32_t plain_len;  /* at most 2^24 - 1 */
	uint8_t codec;
};

/* Is the first of two entries the one that counts? (Pack indexes grow with pack names, oldest first.) */
static inline bool directory_newer(const struct directory_entry *a, const struct directory_entry *b)
{
	return a->pack != b->pack ? a->pack > b->pack : a->off > b->off;
}

/* What a footer says of a chunk. */
static inline struct directory_entry directory_entry_of(const struct pack_entry *e, uint32_t pack)
{
	return (struct directory_entry) { .pack = pack,
					  .off = (uint32_t)e->off,
					  .stored_len = e->head.stored_len,
					  .plain_len = e->head.plain_len,
					  .codec = e->head.codec };
}

struct directory_place { /* all but folder must outlive the directory */
	const struct io *io;
	const char *folder;	  /* STORE/keys; copied; made when there is something to put in */
	const char *packs_folder; /* STORE/packs */
	const struct settings *settings;
	struct packs *packs;
	bool read_only; /* changes nothing on the disk, and works beside a writer */
};

enum { DIRECTORY_CODECS = 8 };

struct directory_sum {
	uint64_t chunks, plain_bytes, stored_bytes; /* stored: with record heads */
};
struct directory_sums {
	struct directory_sum all;
	struct directory_sum codec[DIRECTORY_CODECS]; /* by number; others only in `all` */
};
/* Counts an entry in (sign 1) or out (-1). */
void directory_sums_add(struct directory_sums *sums, const struct directory_entry *entry, int sign);

/* 0 or -ENOMEM. */
int directory_new(struct directory **out, const struct directory_place *place);
/* Ends the thread; what it was at is dropped and made again another time. NULL is fine. */
void directory_free(struct directory *d);

/* ---- While the store is opened, by one thread, in this order ---- */

/* names: all packs in the folder, oldest first; must stay until directory_begin(). Finds out which of them are in
 * a run that can be used. 0 or -ENOMEM: damage is logged and is no failure. */
int directory_find(struct directory *d, const struct pack_name *names, size_t count, struct pool *pool);
/* Is the i-th pack in a run? Then its footer need not be read; *seed is what packs_add() wants. */
bool directory_covers(const struct directory *d, size_t i, uint64_t *seed);
/* Now each pack in the order of names, so that indexes grow with names. A pack that is in a run: */
int directory_place_pack(struct directory *d, size_t i, uint32_t index);
/* Any other: enters its chunks. Both 0 or -ENOMEM. */
int directory_enter(struct directory *d, uint32_t index, struct pack_name name, const struct recovered *pack);
/* What all chunks come to. A chunk that stands in two packs is counted once when it was left there by a recoding that was cut short
 * (as far as its packs are not in runs yet, and have no more chunks than directory_limits says). One that was stored again after damage is
 * counted in each run that has it, until these are merged. 0 or -errno. */
int directory_begin(struct directory *d, struct directory_sums *sums);

/* ---- Then ---- */

/* 1: found; 0: no pack has it; -EIO: none that could be read has it, and there are others; -ENOMEM, -EMFILE, -ENFILE. Of several records with a key the one in the newest pack
 * counts. The pack may be removed before its record is read (-ESTALE, packs.h): then ask again. */
int directory_get(struct directory *d, const struct key *key, struct directory_entry *entry);
/* The same for a chunk that was looked for in vain, or was not where directory_get() said: does not believe what runs say against
 * packs. The first call compares each run with the packs, which takes as long as reading both; runs that are wrong are made again. */
int directory_search(struct directory *d, const struct key *key, struct directory_entry *entry);
/* Compares each run with the packs' footers. Calls tell() for each one that is wrong, with a sentence. 0 or -errno. */
int directory_check(struct directory *d, void (*tell)(void *ctx, const char *sentence), void *ctx);
/* Enters a chunk of a pack that is being written. 0 or -ENOMEM. */
int directory_set(struct directory *d, const struct key *key, const struct directory_entry *entry);
/* Enters into memory what a pack holds that another process writes, for those who only read; again is fine. What is new is
 * added to sums, which may be NULL. 0 or -ENOMEM. */
int directory_load(struct directory *d, uint32_t index, const struct recovered *pack, struct directory_sums *sums);
/* The pack is sealed and on the disk: from now on its footer may stand for its entries. Never waits. */
void directory_settled(struct directory *d, uint32_t index);
/* The pack goes away: its entries count no longer. Those of its chunks that are wanted are in newer packs, which the directory
 * knows already. Before the file is removed. Never waits. */
void directory_remove(struct directory *d, uint32_t index);
/* Waits until the thread has nothing more to do, or cannot. For tests and measurements. */
void directory_idle(struct directory *d);

#endif
