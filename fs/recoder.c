#include "fs/recoder.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

enum { LOOK_SECONDS = 300, AGAIN_SECONDS = 3600 }; /* when there was nothing to do; after a failure */
enum { IOPRIO_IDLE = 3 << 13, IOPRIO_THREAD = 1 };

#define SECOND_NS 1000000000LL
#define TICK_NS 10000000LL

struct recoder {
	struct store *store;
	uint32_t after;
	int64_t touched_ns; /* atomic; CLOCK_MONOTONIC_COARSE */

	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t wake;  /* waits by CLOCK_MONOTONIC */
	bool started, stopping, halted;
	unsigned held;        /* by how many */
	int64_t next_ns;      /* the next round is not before */
	struct recoder_state state;
};

static int64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

void recoder_touch(struct recoder *r)
{
	int64_t ns = now(CLOCK_MONOTONIC_COARSE);

	/* Written once a tick, so that the processors do not fight for the line. */
	if (r && __atomic_load_n(&r->touched_ns, __ATOMIC_RELAXED) != ns)
		__atomic_store_n(&r->touched_ns, ns, __ATOMIC_RELAXED);
}

int64_t recoder_quiet_ns(const struct recoder *r)
{
	return r ? now(CLOCK_MONOTONIC_COARSE) - __atomic_load_n(&r->touched_ns, __ATOMIC_RELAXED) : 0;
}

static int64_t quiet_from(const struct recoder *r)
{
	return __atomic_load_n(&r->touched_ns, __ATOMIC_RELAXED) + RECODER_QUIET_SECONDS * SECOND_NS;
}

/* ---- a round ---- */

struct round {
	struct recoder *r;
	bool asked;
};

static bool must_stop(void *ctx)
{
	const struct round *round = ctx;
	struct recoder *r = round->r;
	bool busy = !round->asked && now(CLOCK_MONOTONIC_COARSE) < quiet_from(r);

	scope_lock(&r->lock);
	return busy || r->stopping || r->halted || r->held || (r->state.asked && !round->asked);
}

static void note_progress(void *ctx, uint64_t done, uint64_t all)
{
	const struct round *round = ctx;

	scope_lock(&round->r->lock);
	round->r->state.done = done;
	round->r->state.all = all;
}

/* Called with the lock held: what comes after a round. */
static void plan_next(struct recoder *r, const struct round *round, int rc, bool stopped)
{
	int64_t pause = rc ? AGAIN_SECONDS : LOOK_SECONDS;

	snprintf(r->state.error, sizeof r->state.error, "%s", rc ? err_text() : "");
	if (r->halted || (round->asked && !stopped))
		r->state.asked = false;
	r->next_ns = stopped && !r->halted ? 0 : now(CLOCK_MONOTONIC) + pause * SECOND_NS;
	r->halted = r->state.running = false;
	pthread_cond_broadcast(&r->wake);
}

static void work_once(struct recoder *r, bool asked)
{
	struct round round = { r, asked };
	struct store_recode_options options = {
		.age_s = asked ? 0 : r->after, .idle = true, .stop = must_stop, .progress = note_progress, .ctx = &round
	};
	struct store_recode_result result;
	int rc = store_recode(r->store, &options, &result);

	if (rc)
		log_warn("recoding data at rest: %s", err_text());
	scope_lock(&r->lock);
	r->state.packs += result.packs;
	r->state.packs_left += result.packs_left;
	r->state.packs_dense = asked ? result.packs_dense : r->state.packs_dense;
	r->state.chunks += result.chunks;
	r->state.bytes_before += result.bytes_before;
	r->state.bytes_after += result.bytes_after;
	plan_next(r, &round, rc, result.stopped);
}

/* ---- the thread ---- */

/* Called with the lock held: until there may be work. */
static void wait_for_turn(struct recoder *r)
{
	while (!r->stopping && (r->held || !r->state.asked)) {
		int64_t quiet = quiet_from(r), due = quiet > r->next_ns ? quiet : r->next_ns;
		struct timespec until = { due / SECOND_NS, due % SECOND_NS };

		if (r->held || r->after == RECODER_NEVER) {
			pthread_cond_wait(&r->wake, &r->lock);
			continue;
		}
		if (due <= now(CLOCK_MONOTONIC_COARSE)) /* which is a little behind */
			return;
		until.tv_nsec += until.tv_nsec < SECOND_NS - TICK_NS ? TICK_NS : 0;
		pthread_cond_timedwait(&r->wake, &r->lock, &until);
	}
}

static void *work(void *arg)
{
	struct recoder *r = arg;

	syscall(SYS_ioprio_set, IOPRIO_THREAD, 0, IOPRIO_IDLE);
	pthread_mutex_lock(&r->lock);
	for (;;) {
		bool asked;

		wait_for_turn(r);
		if (r->stopping)
			break;
		asked = r->state.asked;
		r->state.running = true;
		r->state.done = r->state.all = 0;
		pthread_mutex_unlock(&r->lock);
		work_once(r, asked);
		pthread_mutex_lock(&r->lock);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static int start(struct recoder *r)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&r->thread, NULL, work, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	r->started = !rc;
	return rc ? err_set(rc, "cannot start the thread that recodes: %s", strerror(rc)) : 0;
}

int recoder_new(struct recoder **out, struct store *store, uint32_t after)
{
	struct recoder *r = calloc(1, sizeof *r);
	pthread_condattr_t attr;
	int rc;

	if (!r)
		return err_set(ENOMEM, "no memory");
	r->store = store;
	r->after = after;
	r->touched_ns = now(CLOCK_MONOTONIC_COARSE);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&r->lock, NULL);
	rc = start(r);
	if (rc) {
		recoder_free(r);
		return rc;
	}
	*out = r;
	return 0;
}

void recoder_free(struct recoder *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_broadcast(&r->wake);
	pthread_mutex_unlock(&r->lock);
	if (r->started)
		pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void recoder_ask(struct recoder *r)
{
	scope_lock(&r->lock);
	r->state.asked = true;
	r->halted = false;
	pthread_cond_broadcast(&r->wake);
}

void recoder_halt(struct recoder *r)
{
	scope_lock(&r->lock);
	r->halted = r->state.running;
	r->state.asked = false;
}

void recoder_hold(struct recoder *r)
{
	scope_lock(&r->lock);
	r->held++;
	while (r->state.running)
		pthread_cond_wait(&r->wake, &r->lock);
}

void recoder_go_on(struct recoder *r)
{
	scope_lock(&r->lock);
	r->held--;
	pthread_cond_broadcast(&r->wake);
}

void recoder_state(struct recoder *r, struct recoder_state *state)
{
	scope_lock(&r->lock);
	*state = r->state;
}
