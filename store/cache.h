/*
 * cache: a bounded cache of decoded chunks by key. Several threads that ask for the same chunk cause one load. One big
 * sequential read does not flush what is used again and again (a chunk enters on probation and is protected from its
 * second use on; uses close together, as one sequential reader's, count as one).
 *
 * Threads: any. load() is called without locks held.
 */
#ifndef TOMOFS_CACHE_H
#define TOMOFS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/key.h"

struct cache;

struct cache_chunk { /* counted; stays valid until cache_drop() */
	const uint8_t *bytes;
	size_t len;
};

int cache_new(struct cache **out, size_t budget);
/* All chunks must have been dropped. NULL is fine. */
void cache_free(struct cache *cache);

/* The chunk, from the cache or through load(ctx, key, to, len), which fills exactly len bytes and returns 0 or -errno
 * (err_text() set). Waits when another thread is loading it; its failure is this caller's too (sentence included). 0
 * and *out (cache_drop() it); -EIO when a chunk of another length is known under the key; -ENOMEM; what load()
 * returned. */
int cache_get(struct cache *cache, const struct key *key, size_t len,
	      int (*load)(void *ctx, const struct key *key, void *to, size_t len), void *ctx, struct cache_chunk **out);
void cache_drop(struct cache *cache, struct cache_chunk *chunk);
/* Likewise, and what was wanted of the chunk was read: unless it is protected its memory is soon given to others, while it is
 * still in the processor's caches. */
void cache_drop_done(struct cache *cache, struct cache_chunk *chunk);

/* The chunk when it is there, whole and of this length: cache_drop() it. Counts as no use and loads nothing. */
bool cache_peek(struct cache *cache, const struct key *key, size_t len, struct cache_chunk **chunk);
/* Is it there, or being loaded? */
/* True when this chunk is not here and nobody asked so about it before, as far as is remembered (of some hundred chunks): who takes a
 * small part of it need not have all of it decoded for others. */
bool cache_is_new(struct cache *cache, const struct key *key);
bool cache_has(struct cache *cache, const struct key *key);
/* Shall a chunk be loaded for a reader who wanted it at that moment (cache_moment())? Not when it is there or being loaded, or when
 * cache_drop_done() gave it away since, or very many others: then he is past it. */
uint64_t cache_moment(struct cache *cache);
bool cache_wants(struct cache *cache, const struct key *key, uint64_t moment);
/* Bytes held now, bookkeeping included. Above the budget only by what is being loaded or not dropped yet. */
size_t cache_bytes(struct cache *cache);

#endif
