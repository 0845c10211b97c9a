/*
 * ahead_internal: what the files of ahead share.
 *
 *     ahead.c         the queue of chunks, its thread, readers within a file
 *     ahead_order.c   the files of a folder in order
 *     ahead_stream.c  readers that go from file to file
 */
#ifndef TOMOFS_AHEAD_INTERNAL_H
#define TOMOFS_AHEAD_INTERNAL_H

#include "fs/ahead.h"

enum order_kind { ORDER_NATURAL, ORDER_BYTES, ORDER_KINDS };

struct place { /* where a file stands */
	uint64_t ino;
	uint32_t rank[ORDER_KINDS];
};

/* The files of a folder. */
struct order {
	uint64_t folder; /* 0: empty */
	int64_t mtime_ns, made_ns;
	uint64_t used;
	uint64_t *list[ORDER_KINDS]; /* node numbers; the second is NULL when both orders are one */
	struct place *places;        /* by node number */
	size_t count;
};

enum { ORDER_FILES_MAX = 1 << 18 };

/* Reads a folder. A folder of more files than ORDER_FILES_MAX is taken as empty. 0 or -errno. */
int order_load(struct order *order, struct catalog *catalog, uint64_t folder);
void order_free(struct order *order);
/* NULL when it is not there. */
const struct place *order_find(const struct order *order, uint64_t ino);

struct streams;
/* Gives a chunk to the pool; may wait for room there. */
typedef void (*streams_send)(void *ctx, const struct extent *extent);
int streams_new(struct streams **out, struct store *store, struct catalog *catalog, size_t bound, streams_send send, void *ctx);
void streams_free(struct streams *streams);
/* Most of a file was read. */
void streams_note(struct streams *streams, uint64_t ino);
/* Asks for the next file of a reader who wants one. False when nothing is to do. */
bool streams_step(struct streams *streams);

#endif
