/*
 * run_memory: the memory of bytes that wait to be stored. Fresh pages cost as much as copying into them, so all but small buffers
 * lie in one stretch of memory that is used again and again (store/arena.h).
 *
 * Threads: any.
 */
#ifndef TOMOFS_RUN_MEMORY_H
#define TOMOFS_RUN_MEMORY_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct run_memory {
	pthread_mutex_t lock;
	struct arena *arena;
	size_t usual; /* size of the run that was given back last: the slices of a stack are alike */
};

/* For about so many bytes; more are taken from malloc(). 0 or -ENOMEM; destroy it in both cases. */
int run_memory_init(struct run_memory *m, size_t bytes);
void run_memory_destroy(struct run_memory *m);

/* At least want bytes; *cap: how many. NULL without memory. A buffer of a growing run is made as large as such runs have become lately. */
uint8_t *run_memory_take(struct run_memory *m, size_t want, size_t *cap);
/* used: the bytes that it held. data may be NULL. */
void run_memory_give(struct run_memory *m, uint8_t *data, size_t cap, size_t used);

#endif
