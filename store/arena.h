/*
 * arena: memory for decoded chunks and for records on their way. One stretch of addresses in huge pages where the system has them,
 * used again and again: fresh memory costs a page fault every 4 KiB, which together take longer than to decode a chunk, and what
 * malloc() cannot give back for being in pieces comes on top of the cache's budget.
 *
 * Places are whole units, the lowest that is free and large enough. What finds no place there, or is small, comes from malloc().
 *
 * Threads: any.
 */
#ifndef TOMOFS_ARENA_H
#define TOMOFS_ARENA_H

#include <stddef.h>

struct arena;

enum {
	ARENA_UNIT = 64 << 10, /* bytes */
	ARENA_ALIGN = 4096,    /* of memory of at least ARENA_UNIT / 2 bytes */
};

/* For about so many bytes. Only addresses are taken; memory as it is used. 0 or -ENOMEM. */
int arena_new(struct arena **out, size_t bytes);
/* Everything must have been put back. NULL is fine. */
void arena_free(struct arena *arena);

/* len bytes, which may hold anything; NULL: no memory. */
void *arena_get(struct arena *arena, size_t len);
/* Gives them back; len as it was asked for. NULL is fine. */
void arena_put(struct arena *arena, void *bytes, size_t len);
/* How many bytes of memory such a piece takes. */
size_t arena_cost(size_t len);

#endif
