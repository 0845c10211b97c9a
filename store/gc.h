/*
 * gc: gives back the room of chunks that nothing names any more. What is named is the caller's knowledge; here are the set of
 * keys that are to stay, and the packs.
 *
 *     store_gc_begin()      from here on each store_put() enters its key into the set, before it answers
 *     store_gc_mark() ...   every key that anything names which was put before store_gc_begin() returned
 *     (the caller makes durable what it looked at: else a power cut brings back names of chunks that are gone)
 *     store_gc_sweep()      packs with garbage are copied without it (compact.h), or go as a whole
 *     store_gc_end()
 *
 * The set is a Bloom filter (B. Bloom, CACM 13, 1970): it may hold keys that nobody entered, so some garbage stays until the
 * next time, and never misses one that somebody did. 12 bits a chunk, at most 256 MiB.
 *
 * A chunk that is garbage may come again at any moment: its put enters the set first and then looks for the chunk. A pack that
 * is about to go is announced first and then asked for chunks in the set. So one of both sees the other: the pack stays,
 * or the put waits until it has gone and stores the chunk anew.
 *
 * If anything that might name chunks cannot be read, the caller must not sweep.
 *
 * Safe to be killed at any point, as compact.h says. Threads: one gc at a time; marks from any thread.
 */
#ifndef TOMOFS_GC_H
#define TOMOFS_GC_H

#include "store/store.h"

struct store_gc;

/* Waits for the puts under way. 0; -EBUSY: there is one already; -EROFS; -ENOMEM; -errno. */
int store_gc_begin(struct store *store, struct store_gc **out);
/* Holes are fine. */
void store_gc_mark(struct store_gc *gc, const struct key *key);

struct store_gc_options {
	unsigned percent; /* packs with less garbage than this share of their bytes stay as they are; 0: none does */
	unsigned threads; /* that read back and check; 0: one a core, at most 8 */
	bool idle;        /* they leave the processor to nearly everybody else */
	bool (*stop)(void *ctx); /* asked before each chunk and pack; true ends the call soon. NULL: never */
	void (*progress)(void *ctx, uint64_t done, uint64_t all); /* bytes of packs; NULL */
	void *ctx;
};
struct store_gc_result {
	uint64_t packs;         /* removed */
	uint64_t packs_left;    /* with garbage, which could not be copied whole or whose chunks came again; logged */
	uint64_t chunks;        /* copied */
	uint64_t garbage_bytes; /* found, in sealed packs */
	uint64_t freed_bytes;   /* of these, gone from the disk */
	bool stopped;
};
/* 0; -ENOSPC: too little room for copies (packs that were all garbage have gone); -EBUSY: data is being recoded; -ENOMEM; -errno. The
 * result is set in any case. */
int store_gc_sweep(struct store_gc *gc, const struct store_gc_options *options, struct store_gc_result *result);
/* NULL is fine. */
void store_gc_end(struct store_gc *gc);

#endif
