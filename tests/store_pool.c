/* Worker pool: every job runs once, the queue is bounded, and a failure reaches the one who waits. */
#include "store/pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "tests/lib/check.h"

enum { JOBS = 2000 };

struct job {
	atomic_int *sum;
	int number;
	int rc;
};

static int add(void *arg)
{
	struct job *job = arg;

	atomic_fetch_add(job->sum, job->number);
	return job->rc ? err_set(-job->rc, "job %d failed", job->number) : 0;
}

static void test_all_run(unsigned threads)
{
	static struct job jobs[JOBS];
	struct pool_group group;
	struct pool *pool = NULL;
	atomic_int sum = 0;

	CHECK_RC(pool_new(&pool, threads));
	pool_group_init(&group);
	CHECK_RC(pool_group_wait(&group)); /* nothing to wait for */
	for (int round = 1; round <= 2; round++) {
		for (int i = 0; i < JOBS; i++) {
			jobs[i] = (struct job) { &sum, i, 0 };
			pool_submit(pool, &group, add, &jobs[i]);
		}
		CHECK_RC(pool_group_wait(&group));
		CHECK(sum == round * (JOBS * (JOBS - 1) / 2));
	}
	pool_group_destroy(&group);
	pool_free(pool);
}

static void test_failure(void)
{
	struct pool_group group, other;
	struct pool *pool = NULL;
	atomic_int sum = 0;
	struct job good = { &sum, 1, 0 }, bad = { &sum, 2, -ENOSPC };

	CHECK_RC(pool_new(&pool, 2));
	pool_group_init(&group);
	pool_group_init(&other);
	err_set(EIO, "what this thread said before");
	for (int i = 0; i < 10; i++) {
		pool_submit(pool, &group, add, i == 5 ? &bad : &good);
		pool_submit(pool, &other, add, &good);
	}
	CHECK_RC(pool_group_wait(&other)); /* one group's failure is not another's */
	CHECK(pool_group_wait(&group) == -ENOSPC);
	CHECK(strcmp(err_text(), "job 2 failed") == 0);
	CHECK(sum == 21);
	pool_submit(pool, &group, add, &good);
	CHECK_RC(pool_group_wait(&group)); /* it is told once */
	pool_group_destroy(&group);
	pool_group_destroy(&other);
	pool_free(pool);
}

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool open;
	atomic_int ran, submitted;
	struct pool *pool;
	struct pool_group *group;
};

static int pass(void *arg)
{
	struct gate *gate = arg;

	pthread_mutex_lock(&gate->lock);
	while (!gate->open)
		pthread_cond_wait(&gate->opened, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
	atomic_fetch_add(&gate->ran, 1);
	return 0;
}

static void *submit_many(void *arg)
{
	struct gate *gate = arg;

	for (int i = 0; i < 100; i++) {
		pool_submit(gate->pool, gate->group, pass, gate);
		atomic_fetch_add(&gate->submitted, 1);
	}
	return NULL;
}

/* With all workers busy, who submits has to wait; and pool_free() still runs what was queued. */
static void test_bounded(void)
{
	struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };
	struct timespec moment = { 0, 20000000 };
	struct pool_group group;
	pthread_t thread;

	CHECK_RC(pool_new(&gate.pool, 2));
	pool_group_init(&group);
	gate.group = &group;
	pthread_create(&thread, NULL, submit_many, &gate);
	nanosleep(&moment, NULL);
	CHECK(gate.submitted < 50);
	pthread_mutex_lock(&gate.lock);
	gate.open = true;
	pthread_cond_broadcast(&gate.opened);
	pthread_mutex_unlock(&gate.lock);
	pthread_join(thread, NULL);
	pool_free(gate.pool);
	CHECK(gate.ran == 100);
	CHECK_RC(pool_group_wait(&group));
	pool_group_destroy(&group);
}

/* With all workers busy a try is refused after a while, without waiting; what was taken is run, what was not is not. */
static void test_try(void)
{
	struct gate gate = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };
	struct pool_group group;
	int taken = 0;

	CHECK_RC(pool_new(&gate.pool, 2));
	pool_group_init(&group);
	while (taken < 100 && pool_try_submit(gate.pool, taken % 2 ? &group : NULL, pass, &gate))
		taken++;
	CHECK(taken >= 2 && taken < 50);
	CHECK(!pool_try_submit(gate.pool, &group, pass, &gate));
	CHECK(!pool_offer(gate.pool, &group, pass, &gate)); /* nobody is idle */
	pthread_mutex_lock(&gate.lock);
	gate.open = true;
	pthread_cond_broadcast(&gate.opened);
	pthread_mutex_unlock(&gate.lock);
	CHECK_RC(pool_group_wait(&group));
	pool_free(gate.pool);
	CHECK(gate.ran == taken);
	pool_group_destroy(&group);
}

/* What is offered is taken when a worker is idle, and run. */
static void test_offer(void)
{
	struct timespec moment = { 0, 1000000 };
	struct pool *pool;
	struct pool_group group;
	atomic_int sum = 0;
	struct job job = { .sum = &sum, .number = 7 };
	int tries = 0;

	CHECK_RC(pool_new(&pool, 2));
	CHECK(pool_threads(pool) == 2);
	pool_group_init(&group);
	while (!pool_offer(pool, &group, add, &job) && ++tries < 5000)
		nanosleep(&moment, NULL); /* the workers have not come up yet */
	CHECK(tries < 5000);
	CHECK_RC(pool_group_wait(&group));
	CHECK(sum == 7);
	pool_free(pool);
	pool_group_destroy(&group);
}

int main(void)
{
	test_all_run(1);
	test_all_run(3);
	test_all_run(0);
	test_failure();
	test_bounded();
	test_try();
	test_offer();
	pool_free(NULL);
	return check_done();
}
