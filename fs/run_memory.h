/*
 * run_memory: the memory of bytes that wait to be stored. Fresh pages cost as much as copying into them, so buffers of 64 KiB and
 * more are kept when they are given back, up to a bound, and used again.
 *
 * Threads: any.
 */
#ifndef TOMOFS_RUN_MEMORY_H
#define TOMOFS_RUN_MEMORY_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

enum { RUN_MEMORY_CLASSES = 20 };

struct run_memory {
	pthread_mutex_t lock;
	struct run_buffer *free[RUN_MEMORY_CLASSES]; /* by size */
	size_t kept, keep; /* bytes */
	size_t usual;      /* size of the run that was given back last: the slices of a stack are alike */
};

/* keep: bytes to hold back at most. */
void run_memory_init(struct run_memory *m, size_t keep);
void run_memory_destroy(struct run_memory *m);

/* At least want bytes; *cap: how many. NULL without memory. A buffer of a growing run is made as large as such runs have become lately. */
uint8_t *run_memory_take(struct run_memory *m, size_t want, size_t *cap);
/* used: the bytes that it held. data may be NULL. */
void run_memory_give(struct run_memory *m, uint8_t *data, size_t cap, size_t used);

#endif
