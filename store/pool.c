#include "store/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "store/scope.h"

enum { QUEUE_PER_THREAD = 4, THREADS_MAX = 256 };

struct task {
	int (*job)(void *arg);
	void *arg;
	struct pool_group *group;
};

/* Signals are given without the lock: whoever is woken would only wait for it. */
struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work; /* a task was queued, or the pool ends */
	pthread_cond_t room; /* a task was taken */
	struct task *ring;
	size_t cap, first, count;
	size_t waiting; /* workers without work; written under the lock, read without */
	size_t submitting; /* those who wait for room */
	pthread_t *threads;
	unsigned thread_count;
	bool ending;
};

static void run(const struct task *task)
{
	struct pool_group *group = task->group;
	int rc = task->job(task->arg);

	if (!group)
		return;
	scope_lock(&group->lock);
	if (rc && !group->rc) {
		group->rc = rc;
		snprintf(group->text, sizeof group->text, "%s", err_text());
	}
	if (--group->open == 0)
		pthread_cond_broadcast(&group->idle);
}

/* Waits for the next task; false when the pool ends and none is left. */
static bool next_task(struct pool *pool, struct task *task)
{
	bool found, tell;

	pthread_mutex_lock(&pool->lock);
	while (!pool->count && !pool->ending) {
		__atomic_add_fetch(&pool->waiting, 1, __ATOMIC_RELAXED);
		pthread_cond_wait(&pool->work, &pool->lock);
		__atomic_sub_fetch(&pool->waiting, 1, __ATOMIC_RELAXED);
	}
	found = pool->count;
	tell = found && pool->submitting;
	if (found) {
		*task = pool->ring[pool->first];
		pool->first = (pool->first + 1) % pool->cap;
		pool->count--;
	}
	pthread_mutex_unlock(&pool->lock);
	if (tell)
		pthread_cond_signal(&pool->room);
	return found;
}

static void *worker(void *arg)
{
	struct pool *pool = arg;
	struct task task;

	while (next_task(pool, &task))
		run(&task);
	return NULL;
}

static void end_threads(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->ending = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->thread_count; i++)
		pthread_join(pool->threads[i], NULL);
}

/* Signals are for the threads that expect them; workers start with all blocked. */
static int start_threads(struct pool *pool, unsigned count)
{
	sigset_t all, before;
	int rc = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (!rc && pool->thread_count < count) {
		rc = pthread_create(&pool->threads[pool->thread_count], NULL, worker, pool);
		if (!rc)
			pool->thread_count++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc ? err_set(rc, "cannot start a worker thread: %s", strerror(rc)) : 0;
}

static unsigned core_count(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores > 0 ? (unsigned)cores : 1;
}

int pool_new(struct pool **out, unsigned threads)
{
	struct pool *pool = calloc(1, sizeof *pool);
	int rc;

	if (!threads)
		threads = core_count();
	if (threads > THREADS_MAX)
		threads = THREADS_MAX;
	if (pool) {
		pthread_mutex_init(&pool->lock, NULL);
		pthread_cond_init(&pool->work, NULL);
		pthread_cond_init(&pool->room, NULL);
		pool->cap = (size_t)threads * QUEUE_PER_THREAD;
		pool->ring = calloc(pool->cap, sizeof *pool->ring);
		pool->threads = calloc(threads, sizeof *pool->threads);
	}
	rc = pool && pool->ring && pool->threads ? start_threads(pool, threads)
						 : err_set(ENOMEM, "no memory for worker threads");
	if (rc) {
		pool_free(pool);
		return rc;
	}
	*out = pool;
	return 0;
}

void pool_free(struct pool *pool)
{
	if (!pool)
		return;
	end_threads(pool);
	pthread_cond_destroy(&pool->room);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool->threads);
	free(pool->ring);
	free(pool);
}

unsigned pool_threads(const struct pool *pool)
{
	return pool->thread_count;
}

void pool_group_init(struct pool_group *group)
{
	memset(group, 0, sizeof *group);
	pthread_mutex_init(&group->lock, NULL);
	pthread_cond_init(&group->idle, NULL);
}

static void group_open(struct pool_group *group)
{
	if (!group)
		return;
	scope_lock(&group->lock);
	group->open++;
}

static void group_take_back(struct pool_group *group)
{
	if (!group)
		return;
	scope_lock(&group->lock);
	if (--group->open == 0)
		pthread_cond_broadcast(&group->idle);
}

/* Called with the lock held, when there is room; lets go of it. */
static void queue(struct pool *pool, const struct task *task)
{
	bool tell = pool->waiting;

	pool->ring[(pool->first + pool->count) % pool->cap] = *task;
	pool->count++;
	pthread_mutex_unlock(&pool->lock);
	if (tell)
		pthread_cond_signal(&pool->work);
}

void pool_submit(struct pool *pool, struct pool_group *group, int (*job)(void *arg), void *arg)
{
	struct task task = { job, arg, group };

	group_open(group);
	pthread_mutex_lock(&pool->lock);
	while (pool->count == pool->cap) {
		pool->submitting++;
		pthread_cond_wait(&pool->room, &pool->lock);
		pool->submitting--;
	}
	queue(pool, &task);
}

/* Queues the task when there is room; only_idle: when there are fewer tasks than workers that wait for one. */
static bool try_queue(struct pool *pool, const struct task *task, bool only_idle)
{
	pthread_mutex_lock(&pool->lock);
	if (pool->count >= (only_idle ? pool->waiting : pool->cap)) {
		pthread_mutex_unlock(&pool->lock);
		return false;
	}
	queue(pool, task);
	return true;
}

static bool try(struct pool *pool, const struct task *task, bool only_idle)
{
	group_open(task->group);
	if (try_queue(pool, task, only_idle))
		return true;
	group_take_back(task->group);
	return false;
}

bool pool_try_submit(struct pool *pool, struct pool_group *group, int (*job)(void *arg), void *arg)
{
	return try(pool, &(struct task) { job, arg, group }, false);
}

bool pool_offer(struct pool *pool, struct pool_group *group, int (*job)(void *arg), void *arg)
{
	return pool_has_idle(pool) && try(pool, &(struct task) { job, arg, group }, true);
}

bool pool_has_idle(const struct pool *pool)
{
	return __atomic_load_n(&pool->waiting, __ATOMIC_RELAXED) > 0;
}

int pool_group_wait(struct pool_group *group)
{
	int rc;

	scope_lock(&group->lock);
	while (group->open)
		pthread_cond_wait(&group->idle, &group->lock);
	rc = group->rc;
	if (rc)
		err_set(-rc, "%s", group->text);
	group->rc = 0;
	group->text[0] = 0;
	return rc;
}

void pool_group_destroy(struct pool_group *group)
{
	pthread_cond_destroy(&group->idle);
	pthread_mutex_destroy(&group->lock);
}
