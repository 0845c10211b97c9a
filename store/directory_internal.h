/* The inside of a directory, shared by the directory*.c files; tests make the limits small. */
#ifndef TOMOFS_DIRECTORY_INTERNAL_H
#define TOMOFS_DIRECTORY_INTERNAL_H

#include <errno.h>

#include "store/directory_recent.h"
#include "store/keyrun.h"

struct directory_limits {
	uint64_t flush_entries; /* of settled packs in memory: then a run is made of them ... */
	uint64_t flush_packs;	/* ... or when there are so many packs */
	uint64_t batch_entries; /* a run made from footers holds about so many at most */
	uint64_t copies_entries; /* packs of copies with so many at most are looked up when a store is opened */
	uint64_t tier_entries;	/* runs of up to 4 times so many are the lowest tier; each tier has 4 times more */
	size_t tier_runs;	/* so many runs of a tier are merged, at most KEYRUN_MERGE_MAX ... */
	uint64_t large_entries; /* ... two in tiers of runs of so many: their filters have no room in memory */
	uint64_t filter_bytes;	/* filters up to this are kept in memory ... */
	uint64_t filters_bytes; /* ... up to so many bytes together */
};
extern struct directory_limits directory_limits;

/* Never changed once others can see it. */
struct run_list {
	unsigned refs; /* atomic */
	size_t count;
	struct keyrun *runs[]; /* a reference to each; the one with the newest pack first */
};

struct note { /* about a pack, by its index */
	uint32_t entries;
	enum { PACK_OPEN, PACK_SETTLED, PACK_COVERED, PACK_GONE } state; /* covered: by a run */
};

struct cover {		    /* of one pack, by a run */
	struct keyrun *run; /* NULL: none */
	uint32_t place;	    /* in its table */
	uint64_t size, seed;
};

struct opening {
	const struct pack_name *names;
	size_t count;
	struct cover *covers;
	struct buf runs; /* struct keyrun *, a reference to each */
	struct keyrun_builder pending;
	struct keyrun_builder copies; /* packs of copies: what they were copied from may still be there */
	struct directory_sums sums;
};
/* The runs and their number. */
struct keyrun **opening_runs(struct opening *o, size_t *count);
void opening_free(struct opening *o);

struct directory {
	struct directory_place place;
	char *folder; /* place.folder */
	struct recent *recent;
	struct opening *opening; /* NULL once it is open */
	pthread_mutex_t check_lock; /* runs are compared with footers: across I/O */

	pthread_mutex_t lock; /* of all below; never held across I/O */
	struct run_list *list;
	uint64_t next_number;
	struct note *notes;
	size_t note_cap;
	uint32_t *settled; /* packs in this state */
	size_t settled_count, settled_cap;
	uint64_t settled_entries;
	uint64_t removals; /* of packs; atomic, so that it can be read without the lock */

	pthread_t thread;
	pthread_cond_t wake;   /* wanted or stopping */
	pthread_cond_t rested; /* resting */
	bool started, stopping, wanted, resting;
};

struct run_list *directory_list(struct directory *d); /* a reference */
void run_list_drop(struct run_list *list);
/* Puts runs in and takes others out whose entries they have; takes the caller's references to the fresh ones. 0 or
 * -ENOMEM: nothing was done. One thread at a time. */
int directory_swap(struct directory *d, struct keyrun *const *fresh, size_t fresh_count, struct keyrun *const *old,
		   size_t old_count);
/* Removes the file of a run that is no longer needed, and lets go of it. */
void directory_discard(struct directory *d, struct keyrun *run);

/* Failures that say nothing about the file. */
static inline bool directory_transient(int rc)
{
	return io_is_passing(rc);
}

struct pack_name directory_pack_name(struct directory *d, uint32_t index);
int directory_note(struct directory *d, uint32_t index, uint32_t more, int state);
bool directory_gone(struct directory *d, uint32_t index); /* was the pack removed? */
void directory_forget_settled(struct directory *d, uint32_t index); /* called with the lock held */
uint64_t directory_number(struct directory *d); /* for a new run */

/* directory_check.c: compares each run once; those that are wrong are marked damaged. 0; -ENOMEM and the like. */
int directory_check_once(struct directory *d);

/* directory_make.c */
bool directory_flush_due(struct directory *d);
/* Makes a run of the packs that settled, or of some of them. 0 or -errno. */
int directory_flush(struct directory *d);
/* Puts runs in the place of a damaged one. 0 or -errno. */
int directory_make_again(struct directory *d, struct keyrun *run);
/* Takes filters of small runs, which are asked for nearly every key, into memory, as far as there is room. */
void directory_load_filters(struct directory *d);

/* directory_tend.c */
struct directory_break { /* in long work */
	struct directory *d;
	bool flush_failed;
};
/* To be called now and then in long work, ctx: struct directory_break. Not 0: the work must end. */
int directory_pause(void *ctx);
int directory_start(struct directory *d); /* the thread */
void directory_stop(struct directory *d);
void directory_want(struct directory *d); /* wakes it */

#endif
