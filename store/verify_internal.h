/*
 * The inside of store_verify(): jobs of the pool walk through one pack each and decode what they find. When there are fewer
 * packs than workers, the idle ones get chunks from those that walk, in batches.
 */
#ifndef TOMOFS_VERIFY_INTERNAL_H
#define TOMOFS_VERIFY_INTERNAL_H

#include "store/pack.h"
#include "store/pool.h"
#include "store/store_internal.h"

struct batch;

struct verify { /* the whole run */
	struct store *store;
	void (*damaged)(void *ctx, const char *sentence);
	void *ctx;
	uint64_t epoch; /* packs of earlier ones have been sealed */
	struct pool_group group;
	pthread_mutex_t lock; /* of all below, and around damaged() */
	const struct pack_name *names;
	size_t name_count, next_name;
	struct buf growing; /* struct pack_name: those that were not sealed */
	bool vanished;	    /* packs went away since they were listed */
	struct batch *batches, *free_batches;
	struct store_verify *counts;
	uint64_t done, all; /* bytes of packs, for those who watch */
};

/* A sentence to the caller of store_verify(). ctx: struct verify. Any thread. */
void verify_tell(void *ctx, const char *sentence);
/* "pack NAME: ..." to the caller of store_verify(). Any thread. */
void verify_complain(struct verify *run, const char *pack, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Chunks of this pack are suspect from now on (suspect.h). Any thread. */
void suspect_add(struct verify *run, const char *pack);

/* The batches: a bounded number, so that memory is. 0 or -ENOMEM. */
int verify_batches(struct verify *run);
void verify_batches_free(struct verify *run);

/* A chunk to be decoded and compared with its key; its record is whole. *batch: the caller's, NULL at first. Waits for
 * nothing. 0 or -ENOMEM. */
int verify_chunk(struct verify *run, struct batch **batch, const char *pack, const struct pack_head *head, uint64_t off,
		 const uint8_t *payload);
/* What is in the batch is on its way or done; *batch is NULL. 0 or -ENOMEM. */
int verify_chunks_end(struct verify *run, struct batch **batch);

#endif
