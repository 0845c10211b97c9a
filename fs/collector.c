#include "fs/collector.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "fs/collector_mark.h"
#include "fs/file.h"
#include "fs/recoder.h"
#include "index/catalog_history.h"
#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

enum {
	LOOK_SECONDS = 30,
	EXPIRE_SECONDS = 3600, /* how often history is given up by itself */
	COLLECT_SECONDS = 86400, /* how often garbage is collected by itself */
	AGAIN_SECONDS = 3600,  /* after a failure */
	SCARCE_SECONDS = 300,  /* when the disk is full */
	SWEEP_ROWS = 20000,
	PERCENT = 25, /* of a pack that is garbage: less is not copied unless a person asks or the disk is full */
};
enum { IOPRIO_IDLE = 3 << 13, IOPRIO_THREAD = 1 };

#define SECOND_NS 1000000000LL

struct collector {
	struct fs *fs;
	uint32_t keep, keep_min;
	uint64_t collected; /* the horizon of the last round that came to its end; thread's own */
	int64_t expired_ns; /* when history was given up last; thread's own */
	int64_t ended_ns;   /* when the last round came to its end; 0: none did; thread's own */

	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t wake;
	bool started, stopping, halted, expire;
	int64_t next_ns;
	int64_t held_until_ns; /* 0: not held */
	int32_t held_by;
	struct collector_state state;
};

static int64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

/* ---- history ---- */

static bool is_open(void *ctx, uint64_t ino)
{
	struct fs *fs = ctx;

	return files_is_open(fs->files, ino);
}

static int sweep_rows(struct fs *fs)
{
	int rc;

	do
		rc = catalog_sweep(fs->catalog, is_open, fs, SWEEP_ROWS);
	while (rc == 1);
	return rc;
}

/* keep_s 0: all of it, what was done in this second included. */
static int horizon_for(struct fs *fs, uint64_t keep_s, uint64_t *seq)
{
	int rc;

	if (!keep_s) {
		*seq = journal_last(fs->journal);
		return 0;
	}
	rc = catalog_moment(fs->catalog, now_ns() - (int64_t)keep_s * SECOND_NS, seq);
	if (rc == -ENOENT)
		*seq = 0;
	return rc == -ENOENT ? 0 : rc;
}

int collector_expire(struct fs *fs, uint64_t keep_s)
{
	struct record r = { .kind = REC_EXPIRE };
	struct actor actor = caller_actor(&caller_self);
	int rc = horizon_for(fs, keep_s, &r.expire.seq);

	if (!rc && r.expire.seq > catalog_horizon(fs->catalog))
		rc = catalog_apply(fs->catalog, &actor, &r);
	return rc ? rc : sweep_rows(fs);
}

/* ---- a round ---- */

int collector_run(struct fs *fs, uint64_t keep_s, const struct store_gc_options *o, struct store_gc_result *result)
{
	struct store_gc *gc;
	int rc = collector_expire(fs, keep_s);

	*result = (struct store_gc_result){ 0 };
	if (!rc)
		rc = store_gc_begin(fs->store, &gc);
	if (rc)
		return rc;
	rc = collector_mark(fs, gc, o->stop, o->ctx);
	if (!rc)
		rc = catalog_sync(fs->catalog); /* else a power cut might bring names back */
	if (!rc)
		rc = store_gc_sweep(gc, o, result);
	store_gc_end(gc);
	if (rc == -EINTR) {
		result->stopped = true;
		return 0;
	}
	return rc;
}

struct round {
	struct collector *c;
	bool asked, scarce; /* scarce: the disk is at its reserve */
};

static bool is_busy(const struct collector *c)
{
	return recoder_quiet_ns(c->fs->recoder) < RECODER_QUIET_SECONDS * SECOND_NS;
}

/* Is the hold still on? Called with the lock held. */
static bool is_held(struct collector *c)
{
	if (c->held_until_ns && (clock_ns() >= c->held_until_ns || (c->held_by && kill(c->held_by, 0) && errno == ESRCH))) {
		c->held_until_ns = 0;
		c->state.held = false;
		recoder_go_on(c->fs->recoder);
	}
	return c->held_until_ns;
}

static bool must_stop(void *ctx)
{
	const struct round *round = ctx;
	struct collector *c = round->c;
	bool busy = !round->asked && !round->scarce && is_busy(c);

	scope_lock(&c->lock);
	return busy || c->stopping || c->halted || c->held_until_ns;
}

static void note_progress(void *ctx, uint64_t done, uint64_t all)
{
	const struct round *round = ctx;

	scope_lock(&round->c->lock);
	round->c->state.done = done;
	round->c->state.all = all;
}

static uint64_t seconds_of(uint32_t option, uint32_t otherwise)
{
	return option == KEEP_NOTHING ? 0 : option ? option : otherwise;
}

static int collect(struct round *round, uint64_t keep_s, struct store_gc_result *result)
{
	struct collector *c = round->c;
	struct store_gc_options o = { .percent = round->asked || round->scarce ? 0 : PERCENT, .idle = !round->scarce,
				      .stop = must_stop, .progress = note_progress, .ctx = round };
	uint64_t horizon;
	int rc;

	rc = collector_run(c->fs, keep_s, &o, result);
	horizon = catalog_horizon(c->fs->catalog);
	if (!rc && !result->stopped) {
		c->collected = horizon;
		c->ended_ns = clock_ns();
	}
	scope_lock(&c->lock);
	c->state.packs += result->packs;
	c->state.chunks += result->chunks;
	c->state.freed_bytes += result->freed_bytes;
	c->state.garbage_bytes = result->garbage_bytes;
	c->state.packs_left = result->packs_left;
	c->state.rounds += !rc && !result->stopped;
	return rc;
}

/* The disk is at its reserve: the oldest half of what is kept goes, then half of the rest, down to keep_min. */
static int collect_until_room(struct round *round, uint64_t keep_s, uint64_t min_s, struct store_gc_result *result)
{
	struct collector *c = round->c;
	int rc = collect(round, keep_s, result);

	while (round->scarce && !result->stopped && (!rc || rc == -ENOSPC) && store_room_spare(c->fs->store, 1) == -ENOSPC &&
	       keep_s > min_s) {
		keep_s = keep_s / 2 > min_s ? keep_s / 2 : min_s;
		log_warn("the disk is full: history older than %llu seconds is given up", (unsigned long long)keep_s);
		pthread_mutex_lock(&c->lock);
		c->state.shortened_s = keep_s;
		pthread_mutex_unlock(&c->lock);
		rc = collect(round, keep_s, result);
	}
	return rc;
}

static void finish_round(struct collector *c, const struct round *round, int rc, bool stopped)
{
	scope_lock(&c->lock);
	snprintf(c->state.error, sizeof c->state.error, "%s", rc ? err_text() : "");
	if (c->halted || (round->asked && !stopped))
		c->state.asked = c->expire = false;
	if (!round->scarce && !rc && !stopped)
		c->state.shortened_s = 0;
	c->next_ns = clock_ns() + (round->scarce ? SCARCE_SECONDS : rc ? AGAIN_SECONDS : LOOK_SECONDS) * SECOND_NS;
	c->halted = c->state.running = false;
	pthread_cond_broadcast(&c->wake);
}

static void work_once(struct collector *c, bool asked, bool expire, bool scarce)
{
	struct round round = { c, asked, scarce };
	struct store_gc_result result = { 0 };
	uint64_t keep_s = seconds_of(c->keep, KEEP_DEFAULT_SECONDS), min_s = seconds_of(c->keep_min, KEEP_MIN_SECONDS);
	int rc;

	recoder_hold(c->fs->recoder);
	if (expire)
		rc = collect(&round, 0, &result);
	else
		rc = collect_until_room(&round, keep_s, min_s < keep_s ? min_s : keep_s, &result);
	recoder_go_on(c->fs->recoder);
	c->expired_ns = clock_ns();
	if (rc)
		log_warn("collecting garbage: %s", err_text());
	finish_round(c, &round, rc, result.stopped);
}

/* ---- the thread ---- */

/* Is there anything to do by itself? History is given up now and then, and what that leaves behind is collected when it is quiet. Called
 * without the lock. */
static bool is_due(struct collector *c, bool *scarce)
{
	if (c->keep == KEEP_FOREVER)
		return false;
	*scarce = store_room_spare(c->fs->store, 1) == -ENOSPC;
	if (*scarce)
		return true;
	if (clock_ns() - c->expired_ns >= EXPIRE_SECONDS * SECOND_NS) {
		c->expired_ns = clock_ns();
		if (collector_expire(c->fs, seconds_of(c->keep, KEEP_DEFAULT_SECONDS)))
			log_warn("giving up old history: %s", err_text());
	}
	return c->collected != catalog_horizon(c->fs->catalog) && !is_busy(c) &&
	       (!c->ended_ns || clock_ns() - c->ended_ns >= COLLECT_SECONDS * SECOND_NS);
}

/* Called with the lock held. */
static void wait_a_while(struct collector *c)
{
	int64_t due = c->next_ns > clock_ns() ? c->next_ns : clock_ns() + LOOK_SECONDS * SECOND_NS;
	struct timespec until = { due / SECOND_NS, due % SECOND_NS };

	if (is_held(c)) /* is looked at now and then */
		until = (struct timespec){ clock_ns() / SECOND_NS + 1, 0 };
	pthread_cond_timedwait(&c->wake, &c->lock, &until);
}

static void *work(void *arg)
{
	struct collector *c = arg;

	syscall(SYS_ioprio_set, IOPRIO_THREAD, 0, IOPRIO_IDLE);
	pthread_mutex_lock(&c->lock);
	while (!c->stopping) {
		bool asked = c->state.asked, expire = asked && c->expire, scarce = false, due;

		if (is_held(c) || (!asked && clock_ns() < c->next_ns)) {
			wait_a_while(c);
			continue;
		}
		c->state.running = true;
		pthread_mutex_unlock(&c->lock);
		due = is_due(c, &scarce) || asked;
		if (due)
			work_once(c, asked, expire, scarce);
		pthread_mutex_lock(&c->lock);
		if (!due) {
			c->state.running = false;
			c->next_ns = clock_ns() + LOOK_SECONDS * SECOND_NS;
			pthread_cond_broadcast(&c->wake);
		}
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static int start(struct collector *c)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&c->thread, NULL, work, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	c->started = !rc;
	return rc ? err_set(rc, "cannot start the thread that collects garbage: %s", strerror(rc)) : 0;
}

int collector_new(struct collector **out, struct fs *fs, uint32_t keep, uint32_t keep_min)
{
	struct collector *c = calloc(1, sizeof *c);
	pthread_condattr_t attr;
	int rc;

	if (!c)
		return err_set(ENOMEM, "no memory");
	c->fs = fs;
	c->keep = keep;
	c->keep_min = keep_min;
	c->collected = catalog_horizon(fs->catalog);
	c->expired_ns = clock_ns();
	c->next_ns = clock_ns() + LOOK_SECONDS * SECOND_NS;
	c->state.keep_s = seconds_of(keep, KEEP_DEFAULT_SECONDS);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&c->lock, NULL);
	rc = start(c);
	if (rc) {
		collector_free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void collector_free(struct collector *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_cond_broadcast(&c->wake);
	pthread_mutex_unlock(&c->lock);
	if (c->started)
		pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ---- what others want ---- */

void collector_ask(struct collector *c, bool expire)
{
	scope_lock(&c->lock);
	c->state.asked = true;
	c->expire = c->expire || expire;
	c->state.done = c->state.all = 0;
	c->halted = false;
	pthread_cond_broadcast(&c->wake);
}

void collector_halt(struct collector *c)
{
	scope_lock(&c->lock);
	c->halted = c->state.running;
	c->state.asked = c->expire = false;
}

int collector_hold(struct collector *c, uint32_t seconds, int32_t pid)
{
	if (seconds > HOLD_MAX_SECONDS || pid < 0)
		return err_set(EINVAL, "packs can be held for %d seconds at most", HOLD_MAX_SECONDS);
	scope_lock(&c->lock);
	if (seconds && !c->held_until_ns)
		recoder_hold(c->fs->recoder);
	c->held_by = pid;
	c->held_until_ns = seconds ? clock_ns() + seconds * SECOND_NS : c->held_until_ns ? 1 : 0;
	c->state.held = is_held(c); /* a time that has passed ends it */
	pthread_cond_broadcast(&c->wake);
	while (c->held_until_ns && c->state.running)
		pthread_cond_wait(&c->wake, &c->lock);
	return 0;
}

void collector_state(struct collector *c, struct collector_state *state)
{
	scope_lock(&c->lock);
	*state = c->state;
	state->held = is_held(c);
}
