/*
 * pool: a bounded set of worker threads, and groups of jobs to wait for.
 *
 * pool_submit() blocks while the queue is full (back-pressure instead of growing memory). Never submit from inside a
 * job and wait for it there: that can deadlock; a job that wants help does the work itself.
 */
#ifndef TOMOFS_POOL_H
#define TOMOFS_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct pool;

/* threads 0: one for each core. 0 or -errno. */
int pool_new(struct pool **out, unsigned threads);
/* Waits for every job, then ends the threads. */
void pool_free(struct pool *pool);

unsigned pool_threads(const struct pool *pool);

struct pool_group { /* one caller's jobs; zero-initialise with pool_group_init */
	pthread_mutex_t lock;
	pthread_cond_t idle;
	size_t open;
	int rc; /* first failure */
	char text[256]; /* its sentence */
};

void pool_group_init(struct pool_group *group);
/* job(arg) returns 0 or -errno (err_text() of the worker is carried over to the waiter). group NULL: nobody waits, and the
 * result is dropped; pool_free() still runs the job. */
void pool_submit(struct pool *pool, struct pool_group *group, int (*job)(void *arg), void *arg);
/* The same without ever waiting: false when the queue is full, and the job is not taken. May be called from inside a job. */
bool pool_try_submit(struct pool *pool, struct pool_group *group, int (*job)(void *arg), void *arg);
/* As pool_try_submit(), but only when a worker has nothing to do: for work that the caller can do as well. */
bool pool_offer(struct pool *pool, struct pool_group *group, int (*job)(void *arg), void *arg);
/* Would pool_offer() be taken? Only a hint; cheap. */
bool pool_has_idle(const struct pool *pool);
/* Waits until all jobs of the group ended; returns the first failure (err_text() set) or 0, and resets the group. */
int pool_group_wait(struct pool_group *group);
void pool_group_destroy(struct pool_group *group);

#endif
