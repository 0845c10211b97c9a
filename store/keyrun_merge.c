/* Makes one run out of several. */
#include <errno.h>

#include "store/err.h"
#include "store/keyrun.h"

enum { PAUSE_EVERY = 1 << 15 };

struct source {
	struct keyrun_cursor cursor;
	uint32_t *packs;  /* the run's, as they were at the beginning */
	uint32_t *places; /* of these in the table of the new one */
	uint32_t next_pack;
	bool ended;
};

struct merge {
	struct source sources[KEYRUN_MERGE_MAX];
	size_t count;
	uint32_t *indexes; /* of the packs of the new run */
	uint64_t packs;
	struct keyrun_writer *writer;
};

static void merge_end(struct merge *m)
{
	for (size_t i = 0; i < m->count; i++) {
		keyrun_cursor_close(&m->sources[i].cursor);
		free(m->sources[i].packs);
		free(m->sources[i].places);
	}
	keyrun_writer_drop(m->writer);
	free(m->indexes);
}

/* The next pack of a source that is not gone; KEYRUN_GONE at its end. */
static uint32_t peek_pack(struct source *s)
{
	uint64_t packs = s->cursor.run->head.packs;

	while (s->next_pack < packs && s->packs[s->next_pack] == KEYRUN_GONE)
		s->next_pack++;
	return s->next_pack < packs ? s->packs[s->next_pack] : KEYRUN_GONE;
}

/* The source whose next pack is the oldest, or NULL. Each pack is in one run. */
static struct source *oldest_pack(struct merge *m)
{
	struct source *best = NULL;
	uint32_t index = KEYRUN_GONE;

	for (size_t i = 0; i < m->count; i++) {
		uint32_t next = peek_pack(&m->sources[i]);

		if (next < index) {
			index = next;
			best = &m->sources[i];
		}
	}
	return best;
}

static int begin(struct merge *m, struct keyrun *const *runs, size_t count)
{
	uint64_t packs = 0;
	int rc;

	for (size_t i = 0; i < count; i++) {
		struct source *s = &m->sources[m->count++];

		keyrun_cursor_open(&s->cursor, runs[i]);
		s->places = malloc((runs[i]->head.packs + 1) * sizeof *s->places);
		s->packs = malloc((runs[i]->head.packs + 1) * sizeof *s->packs);
		if (!s->places || !s->packs)
			return err_set(ENOMEM, "no memory to merge runs of keys");
		for (uint64_t k = 0; k < runs[i]->head.packs; k++)
			s->packs[k] = keyrun_index(runs[i]->packs, k);
		s->cursor.packs = s->packs;
		packs += runs[i]->head.packs;
		rc = keyrun_packs(runs[i], NULL, NULL); /* what is copied from it must be right */
		if (rc)
			return rc;
	}
	m->indexes = malloc((packs + 1) * sizeof *m->indexes);
	if (!m->indexes)
		return err_set(ENOMEM, "no memory to merge runs of keys");
	for (struct source *s; (s = oldest_pack(m)); s->next_pack++) {
		s->places[s->next_pack] = (uint32_t)m->packs;
		m->indexes[m->packs++] = s->packs[s->next_pack];
	}
	return 0;
}

static int step(struct source *s)
{
	int rc = keyrun_next(&s->cursor);

	s->ended = rc != 1;
	return rc < 0 ? rc : 0;
}

static bool comes_first(const struct keyrun_entry *a, const struct keyrun_entry *b)
{
	int order = memcmp(a->key.bytes, b->key.bytes, KEY_BYTES);

	return order ? order < 0 : directory_newer(&a->at, &b->at);
}

static struct source *smallest(struct merge *m)
{
	struct source *best = NULL;

	for (size_t i = 0; i < m->count; i++) {
		struct source *s = &m->sources[i];

		if (!s->ended && (!best || comes_first(&s->cursor.entry, &best->cursor.entry)))
			best = s;
	}
	return best;
}

static int merge_entries(struct merge *m, int (*pause)(void *ctx), void *ctx)
{
	uint64_t done = 0;
	int rc = 0;

	for (size_t i = 0; !rc && i < m->count; i++)
		rc = step(&m->sources[i]);
	for (struct source *s; !rc && (s = smallest(m));) {
		struct keyrun_entry entry = s->cursor.entry;

		entry.at.pack = s->places[s->cursor.place];
		rc = keyrun_writer_add(m->writer, &entry);
		if (!rc)
			rc = step(s);
		if (!rc && ++done % PAUSE_EVERY == 0 && pause)
			rc = pause(ctx);
	}
	return rc;
}

static int merge_packs(struct merge *m)
{
	int rc = 0;

	for (size_t i = 0; i < m->count; i++)
		m->sources[i].next_pack = 0;
	for (struct source *s; !rc && (s = oldest_pack(m)); s->next_pack++) {
		struct keyrun_pack pack;

		rc = keyrun_pack(s->cursor.run, s->next_pack, &pack);
		if (!rc)
			rc = keyrun_writer_pack(m->writer, &pack);
	}
	return rc ? rc : keyrun_writer_finish(m->writer);
}

static int write_it(struct merge *m, struct keyrun *const *runs, size_t count, uint64_t number, int (*pause)(void *ctx),
		    void *ctx)
{
	uint64_t entries = 0;
	int rc;

	for (size_t i = 0; i < count; i++)
		entries += runs[i]->head.entries;
	rc = begin(m, runs, count);
	if (!rc)
		rc = keyrun_writer_open(&m->writer, runs[0]->place, number, entries);
	if (!rc)
		rc = merge_entries(m, pause, ctx);
	return rc ? rc : merge_packs(m);
}

int keyrun_merge(struct keyrun *const *runs, size_t count, uint64_t number, int (*pause)(void *ctx), void *ctx,
		 struct keyrun **out)
{
	struct merge m = { .count = 0 };
	int rc = write_it(&m, runs, count, number, pause, ctx);

	if (!rc)
		rc = keyrun_reopen(out, runs[0]->place, number);
	if (!rc) {
		keyrun_set_packs(*out, m.indexes);
		m.indexes = NULL;
	}
	merge_end(&m);
	return rc;
}
