/* Makes key runs out of packs' footers: of packs that settled, and again of those in a damaged run. */
#include <errno.h>
#include <malloc.h>

#include "store/directory_internal.h"
#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

bool directory_flush_due(struct directory *d)
{
	scope_lock(&d->lock);
	return d->settled_count >= directory_limits.flush_packs ||
	       (d->settled_count && d->settled_entries >= directory_limits.flush_entries);
}

void directory_load_filters(struct directory *d)
{
	struct run_list *list = directory_list(d);
	uint64_t used = 0;

	for (size_t i = 0; i < list->count; i++)
		used += list->runs[i]->filter ? keyrun_filter_bytes(list->runs[i]) : 0;
	for (size_t i = 0; i < list->count; i++) {
		struct keyrun *run = list->runs[i];
		uint64_t bytes = keyrun_filter_bytes(run);

		if (run->filter || bytes > directory_limits.filter_bytes ||
		    used + bytes > directory_limits.filters_bytes)
			continue;
		keyrun_load_filter(run);
		used += bytes;
	}
	run_list_drop(list);
}

/* No run has the pack. */
static void keep_in_memory(struct directory *d, uint32_t index)
{
	scope_lock(&d->lock);
	if (index < d->note_cap && d->notes[index].state != PACK_GONE)
		d->notes[index].state = PACK_OPEN;
}

/* Adds what a pack's footer says. 1; 0: it has none, and its entries were put into memory (*listed), or it was removed
 * (likewise), or it cannot be read, or not whole; -errno: this time it could not be done. */
static int gather(struct directory *d, uint32_t index, struct keyrun_builder *b, bool *listed)
{
	struct pack_name name = directory_pack_name(d, index);
	struct recovered pack;
	int rc = recover_pack(d->place.io, d->place.settings, d->place.packs_folder, name, 0, &pack);

	if (directory_transient(rc))
		return rc;
	*listed = rc && directory_gone(d, index);
	if (rc && !*listed)
		log_error("%s; its chunks cannot be listed", err_text());
	if (rc || !pack.sealed)
		keep_in_memory(d, index);
	if (rc)
		return 0;
	rc = pack.sealed ? keyrun_builder_add(b, index, name, &pack) : directory_load(d, index, &pack, NULL);
	buf_free(&pack.entries);
	*listed = !rc && !pack.partial;
	return rc ? rc : pack.sealed;
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

/* These packs are in a run now (or cannot be); what memory holds of packs that are in a run goes. */
static void settle(struct directory *d, const uint32_t *indexes, size_t count, const bool *covered)
{
	scope_free uint8_t *gone = NULL;
	size_t notes;

	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < count; i++) {
		directory_forget_settled(d, indexes[i]);
		if (d->notes[indexes[i]].state != PACK_GONE)
			d->notes[indexes[i]].state = covered[i] ? PACK_COVERED : PACK_OPEN;
	}
	notes = d->note_cap;
	gone = malloc(notes);
	for (size_t i = 0; gone && i < notes; i++)
		gone[i] = d->notes[i].state >= PACK_COVERED;
	pthread_mutex_unlock(&d->lock);
	if (gone)
		recent_forget(d->recent, gone, notes);
}

/* What was freed here are many MiB that nobody asks for soon. */
static void give_back(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

static int flush_packs(struct directory *d, const uint32_t *indexes, size_t count)
{
	scope_free bool *covered = calloc(count, sizeof *covered);
	struct keyrun_builder b = { 0 };
	struct keyrun *run;
	size_t done = 0;
	int rc = covered ? 0 : err_set(ENOMEM, "no memory for a run of keys");

	while (!rc && done < count && keyrun_builder_entries(&b) < directory_limits.batch_entries) {
		bool listed; /* else what memory holds of it stays there */

		rc = gather(d, indexes[done], &b, &listed);
		if (rc >= 0)
			covered[done++] = rc;
		rc = rc < 0 ? rc : 0;
	}
	if (!rc && keyrun_builder_packs(&b)) {
		rc = keyrun_builder_write(&b, &d->place, directory_number(d), &run);
		if (!rc && directory_swap(d, &run, 1, NULL, 0)) {
			directory_discard(d, run);
			rc = -ENOMEM;
		}
	}
	keyrun_builder_clear(&b);
	directory_load_filters(d);
	if (!rc)
		settle(d, indexes, done, covered);
	give_back();
	return rc;
}

int directory_flush(struct directory *d)
{
	scope_free uint32_t *indexes = NULL;
	size_t count = 0;
	int rc = take_settled(d, &indexes, &count);

	return rc ? rc : flush_packs(d, indexes, count);
}

/* ---- a damaged run ---- */

struct again { /* a run is made again, as several: their packs are in order, their keys must be sorted in memory */
	struct keyrun_builder b;
	struct buf runs; /* struct keyrun * */
};

static int again_write(struct directory *d, struct again *a)
{
	struct keyrun *run;
	int rc = keyrun_builder_write(&a->b, &d->place, directory_number(d), &run);

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
	struct directory_break breaks = { d, false };
	int rc = 0;

	for (uint64_t i = 0; rc >= 0 && i < run->head.packs; i++) {
		uint32_t index = keyrun_index(run->packs, i);
		bool listed = false;

		rc = directory_pause(&breaks);
		if (rc || index == KEYRUN_GONE)
			continue;
		rc = gather(d, index, &a->b, &listed);
		if (!rc && !listed) /* only the damaged run still knows of it; it is tried again */
			return err_set(EIO, "%s cannot be made again: a pack cannot be listed", run->path);
		if (rc > 0 && keyrun_builder_entries(&a->b) >= directory_limits.batch_entries)
			rc = again_write(d, a);
	}
	if (rc >= 0 && keyrun_builder_packs(&a->b))
		rc = again_write(d, a);
	return rc < 0 ? rc : 0;
}

int directory_make_again(struct directory *d, struct keyrun *run)
{
	struct again a = { 0 };
	int rc = again_gather(d, run, &a);
	struct keyrun *const *runs = (void *)a.runs.data;
	size_t count = a.runs.len / sizeof *runs;

	if (!rc)
		rc = directory_swap(d, runs, count, &run, 1);
	if (!rc) {
		directory_discard(d, keyrun_ref(run));
		directory_load_filters(d);
	}
	for (size_t i = 0; rc && i < count; i++)
		directory_discard(d, runs[i]);
	keyrun_builder_clear(&a.b);
	buf_free(&a.runs);
	return rc;
}
