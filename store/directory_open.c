/* What a directory holds, when a store is opened, besides the runs that were found: the packs that are in none. */
#include <errno.h>

#include "store/directory_internal.h"
#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

/* When there is no room on the disk, or it fails, the memory must do. */
static int load_pending(struct directory *d)
{
	struct opening *o = d->opening;
	const struct keyrun_built *packs = (const void *)o->pending.packs.data;
	const struct keyrun_entry *entries = (const void *)o->pending.entries.data;
	int rc = 0;

	for (uint64_t i = 0; !rc && i < keyrun_builder_entries(&o->pending); i++) {
		struct directory_entry entry = entries[i].at;

		entry.pack = packs[entry.pack].index;
		rc = recent_load(d->recent, &entries[i].key, &entry, &o->sums);
		if (!rc)
			rc = directory_note(d, entry.pack, 1, PACK_OPEN);
	}
	for (uint64_t i = 0; !rc && i < keyrun_builder_packs(&o->pending); i++)
		rc = directory_note(d, packs[i].index, 0, PACK_SETTLED);
	keyrun_builder_clear(&o->pending);
	return rc;
}

static int write_pending(struct directory *d)
{
	struct opening *o = d->opening;
	const struct keyrun_built *packs = (const void *)o->pending.packs.data;
	struct keyrun *run;
	int rc = keyrun_builder_write(&o->pending, &d->place, directory_number(d), &run);

	if (rc) {
		log_warn("%s", err_text());
		return load_pending(d);
	}
	buf_put(&o->runs, &run, sizeof run);
	if (buf_failed(&o->runs)) {
		keyrun_drop(run);
		return err_set(ENOMEM, "no memory to open a store");
	}
	for (uint64_t i = 0; !rc && i < keyrun_builder_packs(&o->pending); i++)
		rc = directory_note(d, packs[i].index, 0, PACK_COVERED);
	keyrun_builder_clear(&o->pending);
	return rc;
}

static bool is_copies(const struct recovered *pack)
{
	return pack->records && pack_entry_get(pack->entries.data, 0).head.kind == PACK_NOTE;
}

int directory_enter(struct directory *d, uint32_t index, struct pack_name name, const struct recovered *pack)
{
	struct opening *o = d->opening;
	int rc;

	if (is_copies(pack) && (pack->sealed || d->place.read_only) &&
	    keyrun_builder_entries(&o->copies) + pack->records <= directory_limits.copies_entries)
		return keyrun_builder_add(&o->copies, index, name, pack);
	if (d->place.read_only || !pack->sealed)
		return directory_load(d, index, pack, &o->sums);
	rc = keyrun_builder_add(&o->pending, index, name, pack);
	if (rc || keyrun_builder_entries(&o->pending) < directory_limits.batch_entries)
		return rc;
	return write_pending(d);
}

/* ---- the end ---- */

static void add_sums(struct directory_sums *to, const struct directory_sums *more)
{
	uint64_t *a = (uint64_t *)(void *)to;
	const uint64_t *b = (const uint64_t *)(const void *)more;

	for (size_t i = 0; i < sizeof *to / sizeof *a; i++)
		a[i] += b[i];
}

/* What is left of a run whose head counts packs that are gone. Few runs are like that: packs that go away are mostly new ones,
 * in small runs, and a run that has lost many packs is made again. */
static int count_left(struct keyrun *run, struct directory_sums *sums)
{
	struct keyrun_cursor cursor;
	struct key last = { .bytes = { 0 } };
	int rc;

	*sums = (struct directory_sums) { 0 };
	keyrun_cursor_open(&cursor, run);
	while ((rc = keyrun_next(&cursor)) == 1) {
		if (!key_equal(&last, &cursor.entry.key)) /* the first of a key is the one that counts */
			directory_sums_add(sums, &cursor.entry.at, 1);
		last = cursor.entry.key;
	}
	keyrun_cursor_close(&cursor);
	return rc;
}

static int add_run(struct opening *o, struct keyrun *run)
{
	struct directory_sums left;
	int rc = run->gone ? count_left(run, &left) : 0;

	if (directory_transient(rc))
		return rc;
	if (rc)
		log_warn("%s; what it counts is not exact", err_text());
	add_sums(&o->sums, run->gone && !rc ? &left : &run->head.sums);
	return 0;
}

static int use_runs(struct directory *d)
{
	struct opening *o = d->opening;
	size_t count;
	struct keyrun **runs = opening_runs(o, &count);
	int rc = 0;

	for (size_t i = 0; !rc && i < count; i++) {
		keyrun_set_packs(runs[i], runs[i]->packs); /* the indexes are there now */
		rc = add_run(o, runs[i]);
	}
	if (!rc)
		rc = directory_swap(d, runs, count, NULL, 0);
	if (rc)
		return rc;
	buf_clear(&o->runs); /* the list has them */
	directory_load_filters(d);
	return 0;
}

/* ---- packs of copies ---- */

/* Counts the record that does not count out of the sums. *found: some run has the chunk too. */
static int count_out(struct directory *d, const struct keyrun_entry *copy, bool *found)
{
	const struct run_list *list = d->list; /* nobody changes it yet */
	struct directory_entry now, other;
	bool counted = recent_get(d->recent, &copy->key, &now) && now.pack == copy->at.pack && now.off == copy->at.off;

	for (size_t i = 0; counted && i < list->count; i++) {
		int rc = keyrun_get(list->runs[i], &copy->key, &other);

		if (directory_transient(rc))
			return rc;
		if (rc != 1)
			continue;
		*found = true;
		counted = directory_newer(&now, &other);
		directory_sums_add(&d->opening->sums, counted ? &other : &now, -1);
	}
	return 0;
}

/* A recoding may have been cut short before the packs went away that it copied. So that each chunk is counted once, also when the
 * store is opened again, such copies stay in memory and in no run until a recoding has removed those packs. */
static int load_copies(struct directory *d)
{
	const struct keyrun_built *packs = (const void *)d->opening->copies.packs.data;
	struct keyrun_entry *entries = (void *)d->opening->copies.entries.data;
	uint64_t count = keyrun_builder_entries(&d->opening->copies), pack_count = keyrun_builder_packs(&d->opening->copies);
	scope_free bool *twice = calloc(pack_count + 1, sizeof *twice);
	int rc = twice ? 0 : err_set(ENOMEM, "no memory to open a store");

	for (uint64_t i = 0; !rc && i < count; i++) {
		struct directory_entry entry = entries[i].at;

		entry.pack = packs[entry.pack].index;
		rc = recent_load(d->recent, &entries[i].key, &entry, &d->opening->sums);
		if (!rc)
			rc = directory_note(d, entry.pack, 1, PACK_OPEN);
	}
	for (uint64_t i = 0; !rc && i < count; i++) {
		struct keyrun_entry copy = entries[i];

		copy.at.pack = packs[copy.at.pack].index;
		rc = count_out(d, &copy, &twice[entries[i].at.pack]);
	}
	for (uint64_t i = 0; !rc && i < pack_count; i++)
		rc = directory_note(d, packs[i].index, 0, twice[i] || d->place.read_only ? PACK_OPEN : PACK_SETTLED);
	return rc;
}

int directory_begin(struct directory *d, struct directory_sums *sums)
{
	struct opening *o = d->opening;
	uint64_t packs = keyrun_builder_packs(&o->pending);
	bool many = keyrun_builder_entries(&o->pending) >= directory_limits.flush_entries ||
		    packs >= directory_limits.flush_packs;
	int rc = !packs ? 0 : many ? write_pending(d) : load_pending(d);

	if (!rc)
		rc = use_runs(d);
	if (!rc)
		rc = load_copies(d);
	if (rc)
		return rc;
	*sums = o->sums;
	opening_free(o);
	d->opening = NULL;
	return d->place.read_only ? 0 : directory_start(d);
}
