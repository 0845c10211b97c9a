/* Whether key runs say what the packs' footers say. A run's own checks do not find what memory did to it before they were made. */
#include <errno.h>
#include <stdio.h>
#include <xxhash.h>

#include "store/directory_internal.h"
#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

/* Of a pack's chunks, in any order: the sum of their entries' hashes. Seeded with the run's random number. */
struct tally {
	uint64_t chunks, sum;
};

struct comparison {
	struct directory *d;
	struct keyrun *run;
	uint32_t *packs; /* the run's, as they were at the beginning */
	struct tally *said; /* by place: what the run says */
	struct directory_sums sums;
	bool complete; /* no pack was gone */
};

static void count_in(struct tally *t, const struct key *key, struct directory_entry at, uint32_t place, uint64_t seed)
{
	struct keyrun_entry entry = { *key, at };
	uint8_t bytes[KEYRUN_ENTRY_BYTES];

	entry.at.pack = place;
	keyrun_entry_put(bytes, &entry);
	t->chunks++;
	t->sum += XXH3_64bits_withSeed(bytes, sizeof bytes, seed);
}

static int wrong(struct keyrun *run, const char *what)
{
	__atomic_store_n(&run->damaged, true, __ATOMIC_RELAXED);
	return err_set(EBADMSG, "%s: %s", run->path, what);
}

/* All entries, and that the filter lets each of them be found. */
static int tally_run(struct comparison *c)
{
	struct keyrun_finder finder = { .run = c->run, .number = UINT64_MAX };
	struct key last = { .bytes = { 0 } };
	struct keyrun_cursor cursor;
	bool hidden = false;
	int rc = 0;

	keyrun_cursor_open(&cursor, c->run);
	cursor.packs = c->packs;
	while (!hidden && (rc = keyrun_next(&cursor)) == 1) {
		rc = keyrun_finds(&finder, &cursor.entry.key, cursor.next - 1);
		hidden = rc != 1;
		count_in(&c->said[cursor.place], &cursor.entry.key, cursor.entry.at, cursor.place, c->run->head.nonce);
		if (!key_equal(&last, &cursor.entry.key)) /* the first of a key is the one that counts */
			directory_sums_add(&c->sums, &cursor.entry.at, 1);
		last = cursor.entry.key;
	}
	keyrun_cursor_close(&cursor);
	return rc || !hidden ? rc : wrong(c->run, "the filter hides a chunk");
}

/* A pack of the run. One that is gone, or has no whole footer, says nothing about it. */
static int compare_pack(struct comparison *c, uint32_t place)
{
	struct directory *d = c->d;
	struct pack_name name = directory_pack_name(d, c->packs[place]);
	struct tally *said = &c->said[place], listed = { 0, 0 };
	char text[PACK_NAME_MAX], what[100];
	struct keyrun_pack noted;
	struct recovered pack;
	int rc = recover_pack(d->place.io, d->place.settings, d->place.packs_folder, name, 0, &pack);

	if (rc)
		return directory_transient(rc) ? rc : 0;
	for (uint64_t i = 0; i < pack.records; i++) {
		struct pack_entry e = pack_entry_get(pack.entries.data, i);

		if (e.head.kind == PACK_CHUNK)
			count_in(&listed, &e.head.key, directory_entry_of(&e, place), place, c->run->head.nonce);
	}
	buf_free(&pack.entries);
	rc = keyrun_pack(c->run, place, &noted);
	if (rc || !pack.sealed)
		return rc;
	if (noted.seed == pack.seed && said->chunks == listed.chunks && said->sum == listed.sum)
		return 0;
	packs_correct_seed(d->place.packs, c->packs[place], pack.seed);
	pack_name_text(name, text);
	snprintf(what, sizeof what, "it does not list the chunks of pack %s as they are", text);
	return wrong(c->run, what);
}

static int compare(struct comparison *c)
{
	scope_free char *why = NULL; /* of the first one */
	int rc = tally_run(c);

	for (uint64_t i = 0; !rc && i < c->run->head.packs; i++) {
		if (c->packs[i] != KEYRUN_GONE)
			rc = compare_pack(c, (uint32_t)i);
		if (rc != -EBADMSG)
			continue;
		if (!why && !(why = strdup(err_text())))
			return err_set(ENOMEM, "no memory to check a run of keys");
		rc = 0; /* the others too: seeds are put right */
	}
	if (!rc && why)
		return err_set(EBADMSG, "%s", why);
	if (!rc && c->complete && memcmp(&c->sums, &c->run->head.sums, sizeof c->sums) != 0)
		return wrong(c->run, "it does not count its chunks as they are");
	return rc;
}

/* 0; -EBADMSG: the run is not what the packs say, or damaged; -errno. */
static int check_run(struct directory *d, struct keyrun *run)
{
	struct comparison c = { .d = d, .run = run, .complete = true };
	scope_free uint32_t *packs = malloc((run->head.packs + 1) * sizeof *packs);
	scope_free struct tally *said = calloc(run->head.packs + 1, sizeof *said);

	if (!packs || !said)
		return err_set(ENOMEM, "no memory to check a run of keys");
	for (uint64_t i = 0; i < run->head.packs; i++) {
		packs[i] = keyrun_index(run->packs, i);
		c.complete &= packs[i] != KEYRUN_GONE;
	}
	c.packs = packs;
	c.said = said;
	return compare(&c);
}

int directory_check(struct directory *d, void (*tell)(void *ctx, const char *sentence), void *ctx)
{
	struct run_list *list;
	int rc = 0;

	scope_lock(&d->check_lock);
	list = directory_list(d);
	for (size_t i = 0; !rc && i < list->count; i++) {
		rc = check_run(d, list->runs[i]);
		list->runs[i]->checked = true;
		if (rc != -EBADMSG)
			continue;
		if (tell)
			tell(ctx, err_text());
		directory_want(d);
		rc = 0;
	}
	run_list_drop(list);
	return rc;
}

/* Each run once. */
int directory_check_once(struct directory *d)
{
	struct run_list *list;
	int rc = 0;

	scope_lock(&d->check_lock);
	list = directory_list(d);
	for (size_t i = 0; !directory_transient(rc) && i < list->count; i++) {
		struct keyrun *run = list->runs[i];

		rc = run->checked ? 0 : check_run(d, run);
		run->checked |= !directory_transient(rc);
		if (!rc)
			continue;
		log_warn("%s; it is made again from the packs", err_text());
		directory_want(d);
	}
	run_list_drop(list);
	return directory_transient(rc) ? rc : 0;
}
