/* What the directory's own thread does: makes runs of settled packs, merges runs, and makes damaged ones again. */
#include "store/directory_internal.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <time.h>

#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

enum { AGAIN_SECONDS = 60, NICE = 10, TIERS_MAX = 24 };
#define RESERVE_BYTES (UINT64_C(1) << 30) /* is left to data when runs are merged */

bool directory_flush_due(struct directory *d)
{
	scope_lock(&d->lock);
	return d->settled_count >= directory_limits.flush_packs ||
	       (d->settled_count && d->settled_entries >= directory_limits.flush_entries);
}

/* Filters of small runs, which are asked for nearly every key, are kept in memory. */
static void load_filter(struct directory *d, struct keyrun *run)
{
	struct run_list *list = directory_list(d);
	uint64_t used = keyrun_filter_bytes(run);

	for (size_t i = 0; i < list->count; i++)
		if (list->runs[i]->filter)
			used += keyrun_filter_bytes(list->runs[i]);
	run_list_drop(list);
	if (keyrun_filter_bytes(run) <= directory_limits.filter_bytes && used <= directory_limits.filters_bytes)
		keyrun_load_filter(run);
}

/* ---- runs from footers ---- */

/* No run has the pack. */
static void keep_in_memory(struct directory *d, uint32_t index)
{
	scope_lock(&d->lock);
	if (index < d->note_cap)
		d->notes[index].state = PACK_OPEN;
}

/* Adds what a settled pack's footer says. 1; 0: it is not as it should be, its entries must stay in memory, where they
 * are put; -errno: this time it could not be done. */
static int gather(struct directory *d, uint32_t index, struct keyrun_builder *b)
{
	struct pack_name name = directory_pack_name(d, index);
	struct recovered pack;
	int rc = recover_pack(d->place.io, d->place.settings, d->place.packs_folder, name, 0, &pack);

	if (directory_transient(rc))
		return rc;
	if (rc)
		log_error("%s; its chunks cannot be listed", err_text());
	if (rc || !pack.sealed)
		keep_in_memory(d, index);
	if (rc)
		return 0;
	rc = pack.sealed ? keyrun_builder_add(b, index, name, &pack) : directory_load(d, index, &pack, NULL);
	buf_free(&pack.entries);
	return rc ? rc : pack.sealed;
}

static int write_run(struct directory *d, struct keyrun_builder *b, struct keyrun **run)
{
	int rc = keyrun_builder_write(b, &d->place, directory_number(d), run);

	if (!rc)
		load_filter(d, *run);
	return rc;
}

static int by_index(const void *a, const void *b)
{
	const uint32_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* The settled packs, oldest first, in a new array. */
static int take_settled(struct directory *d, uint32_t **indexes, size_t *count)
{
	scope_lock(&d->lock);
	*indexes = malloc((d->settled_count + 1) * sizeof **indexes);
	if (!*indexes)
		return err_set(ENOMEM, "no memory for a run of keys");
	*count = d->settled_count;
	memcpy(*indexes, d->settled, *count * sizeof **indexes);
	qsort(*indexes, *count, sizeof **indexes, by_index);
	return 0;
}

/* Called with the lock held. */
static void forget_settled(struct directory *d, uint32_t index)
{
	for (size_t i = 0; i < d->settled_count; i++) {
		if (d->settled[i] != index)
			continue;
		d->settled[i] = d->settled[--d->settled_count];
		d->settled_entries -=
		    d->notes[index].entries < d->settled_entries ? d->notes[index].entries : d->settled_entries;
		break;
	}
	if (!d->settled_count)
		d->settled_entries = 0;
}

/* These packs are in a run now (or cannot be); what memory holds of packs that are in a run goes. */
static void settle(struct directory *d, const uint32_t *indexes, size_t count, const bool *covered)
{
	scope_free uint8_t *gone = NULL;
	size_t notes;

	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < count; i++) {
		forget_settled(d, indexes[i]);
		d->notes[indexes[i]].state = covered[i] ? PACK_COVERED : PACK_OPEN;
	}
	notes = d->note_cap;
	gone = malloc(notes);
	for (size_t i = 0; gone && i < notes; i++)
		gone[i] = d->notes[i].state == PACK_COVERED;
	pthread_mutex_unlock(&d->lock);
	if (gone)
		recent_forget(d->recent, gone, notes);
}

static int flush_packs(struct directory *d, const uint32_t *indexes, size_t count)
{
	scope_free bool *covered = calloc(count, sizeof *covered);
	struct keyrun_builder b = { 0 };
	struct keyrun *run;
	size_t done = 0;
	int rc = covered ? 0 : err_set(ENOMEM, "no memory for a run of keys");

	while (!rc && done < count && keyrun_builder_entries(&b) < directory_limits.batch_entries) {
		rc = gather(d, indexes[done], &b);
		if (rc >= 0)
			covered[done++] = rc;
		rc = rc < 0 ? rc : 0;
	}
	if (!rc && keyrun_builder_packs(&b)) {
		rc = write_run(d, &b, &run);
		if (!rc && directory_swap(d, &run, 1, NULL, 0)) {
			directory_discard(d, run);
			rc = -ENOMEM;
		}
	}
	keyrun_builder_clear(&b);
	if (!rc)
		settle(d, indexes, done, covered);
	return rc;
}

static int flush(struct directory *d)
{
	scope_free uint32_t *indexes = NULL;
	size_t count = 0;
	int rc = take_settled(d, &indexes, &count);

	return rc ? rc : flush_packs(d, indexes, count);
}

/* ---- merging ---- */

struct breaks { /* in long work */
	struct directory *d;
	bool flush_failed;
};

/* Called now and then: packs that settle are not left waiting for a long merge to end. */
static int pause_for(void *ctx)
{
	struct breaks *p = ctx;
	struct directory *d = p->d;
	bool stopping;

	pthread_mutex_lock(&d->lock);
	stopping = d->stopping;
	pthread_mutex_unlock(&d->lock);
	if (stopping)
		return err_set(ECANCELED, "the store is being closed");
	if (!p->flush_failed && directory_flush_due(d) && flush(d)) {
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
	struct breaks breaks = { d, false };
	struct keyrun *run;
	int rc = keyrun_merge(runs, count, directory_number(d), pause_for, &breaks, &run);

	if (rc)
		return rc;
	load_filter(d, run);
	rc = directory_swap(d, &run, 1, runs, count);
	if (rc)
		directory_discard(d, run);
	for (size_t i = 0; !rc && i < count; i++)
		directory_discard(d, keyrun_ref(runs[i]));
	return rc;
}

static unsigned tier_of(const struct keyrun *run)
{
	uint64_t below = directory_limits.tier_entries * 4;
	unsigned tier = 0;

	while (run->head.entries >= below && tier < TIERS_MAX - 1) {
		below *= 4;
		tier++;
	}
	return tier;
}

/* The runs to merge next, those of the lowest tier that has enough. Their number or 0. */
static size_t choose(struct directory *d, const struct run_list *list, struct keyrun *chosen[KEYRUN_MERGE_MAX])
{
	for (unsigned tier = 0; tier < TIERS_MAX; tier++) {
		uint64_t entries = 0;
		size_t count = 0;

		for (size_t i = 0; i < list->count && count < KEYRUN_MERGE_MAX; i++) {
			struct keyrun *run = list->runs[i];

			if (tier_of(run) != tier || entries + run->head.entries > UINT32_MAX)
				continue;
			entries += run->head.entries;
			chosen[count++] = run;
		}
		if (count >= directory_limits.tier_runs && room_for(d, entries))
			return count;
	}
	return 0;
}

/* ---- a damaged run ---- */

struct again { /* a run is made again, as several: their packs are in order, their keys must be sorted in memory */
	struct keyrun_builder b;
	struct buf runs; /* struct keyrun * */
};

static int again_write(struct directory *d, struct again *a)
{
	struct keyrun *run;
	int rc = write_run(d, &a->b, &run);

	keyrun_builder_clear(&a->b);
	if (rc)
		return rc;
	buf_put(&a->runs, &run, sizeof run);
	if (!buf_failed(&a->runs))
		return 0;
	directory_discard(d, run);
	return err_set(ENOMEM, "no memory for a list of key runs");
}

static int again_gather(struct directory *d, struct keyrun *run, struct again *a)
{
	struct breaks breaks = { d, false };
	int rc = 0;

	for (uint64_t i = 0; rc >= 0 && i < run->head.packs; i++) {
		rc = pause_for(&breaks);
		if (rc || run->packs[i] == KEYRUN_GONE)
			continue;
		rc = gather(d, run->packs[i], &a->b);
		if (rc > 0 && keyrun_builder_entries(&a->b) >= directory_limits.batch_entries)
			rc = again_write(d, a);
	}
	if (rc >= 0 && keyrun_builder_packs(&a->b))
		rc = again_write(d, a);
	return rc < 0 ? rc : 0;
}

static int make_again(struct directory *d, struct keyrun *run)
{
	struct again a = { 0 };
	int rc = again_gather(d, run, &a);
	struct keyrun *const *runs = (void *)a.runs.data;
	size_t count = a.runs.len / sizeof *runs;

	if (!rc)
		rc = directory_swap(d, runs, count, &run, 1);
	if (!rc)
		directory_discard(d, keyrun_ref(run));
	for (size_t i = 0; rc && i < count; i++)
		directory_discard(d, runs[i]);
	keyrun_builder_clear(&a.b);
	buf_free(&a.runs);
	return rc;
}

/* ---- the thread ---- */

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

static int tend_run(struct directory *d, struct keyrun *run)
{
	int rc;

	if (__atomic_load_n(&run->damaged, __ATOMIC_RELAXED)) {
		rc = make_again(d, run);
		return rc ? rc : 1;
	}
	return __atomic_load_n(&run->shrunk, __ATOMIC_RELAXED) && room_for(d, run->head.entries) ? try_merge(d, &run, 1)
												 : 0;
}

/* One piece of work. 1: there may be more; 0: there was none; -errno. */
static int tend_once(struct directory *d)
{
	struct keyrun *chosen[KEYRUN_MERGE_MAX];
	struct run_list *list;
	size_t count;
	int rc = 0;

	if (directory_flush_due(d)) {
		rc = flush(d);
		return rc ? rc : 1;
	}
	list = directory_list(d);
	for (size_t i = 0; !rc && i < list->count; i++)
		rc = tend_run(d, list->runs[i]);
	count = rc ? 0 : choose(d, list, chosen);
	if (count)
		rc = try_merge(d, chosen, count);
	run_list_drop(list);
	return rc;
}

/* Called with the lock held: until there is work, or another try is worth it. */
static void rest(struct directory *d, bool failed)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += AGAIN_SECONDS;
	d->resting = true;
	pthread_cond_broadcast(&d->rested);
	while (!d->stopping && !d->wanted)
		if (!failed)
			pthread_cond_wait(&d->wake, &d->lock);
		else if (pthread_cond_timedwait(&d->wake, &d->lock, &until) == ETIMEDOUT)
			break;
	d->wanted = d->resting = false;
}

static void *tend(void *arg)
{
	struct directory *d = arg;
	int rc = 1;

	setpriority(PRIO_PROCESS, 0, NICE); /* on Linux of this thread only */
	pthread_mutex_lock(&d->lock);
	while (!d->stopping) {
		if (rc <= 0)
			rest(d, rc < 0);
		if (d->stopping)
			break;
		pthread_mutex_unlock(&d->lock);
		rc = tend_once(d);
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
