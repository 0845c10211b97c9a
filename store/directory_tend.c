/* What the directory's own thread does: makes runs of settled packs, merges runs, and makes damaged ones again. */
#include "store/directory_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <time.h>

#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

enum { AGAIN_SECONDS = 60, AGAIN_DOUBLED = 6 /* times at most: about an hour */ };
#define RESERVE_BYTES (UINT64_C(1) << 30) /* is left to data when runs are merged */

/* Packs that settle are not left waiting for a long merge to end. */
int directory_pause(void *ctx)
{
	struct directory_break *p = ctx;
	struct directory *d = p->d;
	bool stopping;

	pthread_mutex_lock(&d->lock);
	stopping = d->stopping;
	pthread_mutex_unlock(&d->lock);
	if (stopping)
		return err_set(ECANCELED, "the store is being closed");
	if (!p->flush_failed && directory_flush_due(d) && directory_flush(d)) {
		log_warn("%s", err_text());
		p->flush_failed = true;
	}
	return 0;
}

/* Another's room is worth more than a merge. */
static bool room_for(struct directory *d, uint64_t entries)
{
	uint64_t need = entries * (KEYRUN_ENTRY_BYTES + 3) + RESERVE_BYTES;
	struct statvfs disk;

	return statvfs(d->place.folder, &disk) < 0 || (uint64_t)disk.f_bavail * disk.f_frsize >= need;
}

static int merge(struct directory *d, struct keyrun *const *runs, size_t count)
{
	struct directory_break breaks = { d, false };
	struct keyrun *run;
	int rc = keyrun_merge(runs, count, directory_number(d), directory_pause, &breaks, &run);

	if (rc)
		return rc;
	rc = directory_swap(d, &run, 1, runs, count);
	if (rc) {
		directory_discard(d, run);
		return rc;
	}
	for (size_t i = 0; i < count; i++)
		directory_discard(d, keyrun_ref(runs[i]));
	directory_load_filters(d);
	return 0;
}

/* The runs of one tier, as many as are merged at once. Their number; *entries of them all. */
static size_t runs_of_tier(const struct run_list *list, uint64_t from, uint64_t to,
			   struct keyrun *chosen[KEYRUN_MERGE_MAX], uint64_t *entries)
{
	size_t count = 0;

	*entries = 0;
	for (size_t i = 0; i < list->count && count < KEYRUN_MERGE_MAX; i++) {
		uint64_t more = list->runs[i]->head.entries;

		if (more < from || more >= to || *entries + more > UINT32_MAX ||
		    __atomic_load_n(&list->runs[i]->damaged, __ATOMIC_RELAXED))
			continue;
		*entries += more;
		chosen[count++] = list->runs[i];
	}
	return count;
}

/* The runs to merge next, those of the lowest tier that has enough. Their number or 0. */
static size_t choose(struct directory *d, const struct run_list *list, struct keyrun *chosen[KEYRUN_MERGE_MAX])
{
	uint64_t to = directory_limits.tier_entries * 4, entries;

	for (uint64_t from = 0; from <= UINT32_MAX; from = to, to *= 4) {
		size_t enough = from >= directory_limits.large_entries ? 2 : directory_limits.tier_runs;
		size_t count = runs_of_tier(list, from, to, chosen, &entries);

		if (count >= enough && room_for(d, entries))
			return count;
	}
	return 0;
}

/* 1: merged, or found out that one of them must be made again first. */
static int try_merge(struct directory *d, struct keyrun *const *runs, size_t count)
{
	int rc = merge(d, runs, count);

	for (size_t i = 0; rc && i < count; i++) {
		if (!__atomic_load_n(&runs[i]->damaged, __ATOMIC_RELAXED))
			continue;
		log_warn("%s; it is made again from the packs", err_text());
		return 1;
	}
	return rc ? rc : 1;
}

/* Nothing is left of the run. */
static int drop(struct directory *d, struct keyrun *run)
{
	int rc = directory_swap(d, NULL, 0, &run, 1);

	if (rc)
		return rc;
	directory_discard(d, keyrun_ref(run));
	return 1;
}

static int tend_run(struct directory *d, struct keyrun *run)
{
	uint64_t gone;
	int rc;

	if (__atomic_load_n(&run->damaged, __ATOMIC_RELAXED)) {
		rc = directory_make_again(d, run);
		return rc ? rc : 1;
	}
	gone = __atomic_load_n(&run->gone, __ATOMIC_RELAXED);
	if (gone == run->head.packs)
		return drop(d, run);
	return gone >= run->head.packs / 4 + 1 && room_for(d, run->head.entries) ? try_merge(d, &run, 1) : 0;
}

/* One piece of work. 1: there may be more; 0: there was none; -errno. */
static int tend_once(struct directory *d)
{
	struct keyrun *chosen[KEYRUN_MERGE_MAX];
	struct run_list *list;
	size_t count;
	int rc = 0, failed = 0;

	if (directory_flush_due(d)) {
		rc = directory_flush(d);
		return rc ? rc : 1;
	}
	list = directory_list(d);
	for (size_t i = 0; rc <= 0 && i < list->count; i++) { /* a pack that cannot be read holds up its own run only */
		rc = tend_run(d, list->runs[i]);
		failed = rc < 0 ? rc : failed;
	}
	count = rc > 0 || failed == -ECANCELED ? 0 : choose(d, list, chosen);
	if (count)
		rc = try_merge(d, chosen, count);
	run_list_drop(list);
	return rc ? rc : failed;
}

/* Called with the lock held: until there is work, or another try is worth it. failed: so many tries in a row did. */
static void rest(struct directory *d, unsigned failed)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += AGAIN_SECONDS << (failed < AGAIN_DOUBLED ? failed : AGAIN_DOUBLED);
	d->resting = true;
	pthread_cond_broadcast(&d->rested);
	while (!d->stopping && !d->wanted)
		if (!failed)
			pthread_cond_wait(&d->wake, &d->lock);
		else if (pthread_cond_timedwait(&d->wake, &d->lock, &until) == ETIMEDOUT)
			break;
	d->wanted = d->resting = false;
}

/* Large filters are read block by block, so they are better in the page cache before the first put. */
static void warm_filters(struct directory *d)
{
	struct run_list *list = directory_list(d);

	for (size_t i = 0; d->place.io == &io_system && i < list->count; i++)
		if (!list->runs[i]->filter)
			posix_fadvise(list->runs[i]->fd, (off_t)list->runs[i]->head.filter_off,
				      (off_t)keyrun_filter_bytes(list->runs[i]), POSIX_FADV_WILLNEED);
	run_list_drop(list);
}

static void *tend(void *arg)
{
	struct directory *d = arg;
	unsigned failed = 0; /* times in a row */
	int rc = 1;

	warm_filters(d);
	pthread_mutex_lock(&d->lock);
	while (!d->stopping) {
		if (rc <= 0)
			rest(d, failed);
		if (d->stopping)
			break;
		pthread_mutex_unlock(&d->lock);
		rc = tend_once(d);
		failed = rc < 0 ? failed + 1 : 0;
		pthread_mutex_lock(&d->lock);
		if (rc < 0 && !d->stopping)
			log_warn("%s; tried again later", err_text());
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

int directory_start(struct directory *d)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&d->thread, NULL, tend, d);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc)
		return err_set(rc, "cannot start the thread of the chunk directory: %s", strerror(rc));
	d->started = true;
	return 0;
}

void directory_stop(struct directory *d)
{
	if (!d->started)
		return;
	pthread_mutex_lock(&d->lock);
	d->stopping = true;
	pthread_cond_broadcast(&d->wake);
	pthread_mutex_unlock(&d->lock);
	pthread_join(d->thread, NULL);
}

void directory_want(struct directory *d)
{
	scope_lock(&d->lock);
	d->wanted = true;
	pthread_cond_broadcast(&d->wake);
}

void directory_idle(struct directory *d)
{
	scope_lock(&d->lock);
	while (d->started && (d->wanted || !d->resting))
		pthread_cond_wait(&d->rested, &d->lock);
}
