/* The set of keys that stay, and which packs are copied. */
#include "store/gc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/compact_internal.h"
#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

enum {
	BITS_A_KEY = 12,
	PROBES = 6,
	THREADS_MAX = 8,
	PASSES = 2, /* the second one takes packs whose chunks came again in the first */
};
#define BITS_MIN (1ULL << 19)
#define BITS_MAX (1ULL << 31)

struct store_gc {
	struct store *store;
	uint64_t *words; /* atomic */
	uint64_t bits;
};

/* ---- the set ---- */

static uint64_t bits_for(uint64_t chunks)
{
	uint64_t bits = chunks < BITS_MAX / BITS_A_KEY ? chunks * BITS_A_KEY : BITS_MAX;

	bits = (bits + 63) / 64 * 64;
	return bits < BITS_MIN ? BITS_MIN : bits;
}

/* The i-th bit of a key: keys are hashes already (A. Kirsch, M. Mitzenmacher, 2006: two are as good as many). */
static uint64_t bit_of(const struct store_gc *gc, const struct key *key, unsigned i)
{
	uint64_t a, b;

	memcpy(&a, key->bytes, sizeof a);
	memcpy(&b, key->bytes + sizeof a, sizeof b);
	return (a + i * (b | 1)) % gc->bits;
}

void store_gc_mark(struct store_gc *gc, const struct key *key)
{
	if (key_is_hole(key))
		return;
	for (unsigned i = 0; i < PROBES; i++) {
		uint64_t bit = bit_of(gc, key, i), mask = 1ULL << bit % 64;

		if (!(__atomic_load_n(&gc->words[bit / 64], __ATOMIC_RELAXED) & mask))
			__atomic_fetch_or(&gc->words[bit / 64], mask, __ATOMIC_RELAXED);
	}
}

static bool is_marked(void *ctx, const struct key *key)
{
	const struct store_gc *gc = ctx;

	for (unsigned i = 0; i < PROBES; i++) {
		uint64_t bit = bit_of(gc, key, i);

		if (!(__atomic_load_n(&gc->words[bit / 64], __ATOMIC_RELAXED) & 1ULL << bit % 64))
			return false;
	}
	return true;
}

/* ---- beginning and end ---- */

void store_gc_claimed(struct store *s, struct claim *claim)
{
	claim->round = s->gc_round;
	if (s->gc)
		store_gc_mark(s->gc, &claim->key);
}

static bool has_older_claim(const struct store *s)
{
	for (const struct claim *c = s->claims; c; c = c->next)
		if (c->round != s->gc_round)
			return true;
	return false;
}

/* From here on puts enter their keys; those that did not are waited for. False: there is one already. */
static bool attach(struct store *s, struct store_gc *gc)
{
	scope_lock(&s->lock);
	if (s->gc)
		return false;
	s->gc = gc;
	s->gc_round++;
	while (has_older_claim(s))
		pthread_cond_wait(&s->unclaimed, &s->lock);
	return true;
}

static void gc_free(struct store_gc *gc)
{
	free(gc->words);
	free(gc);
}

/* What was put so far is to be looked at too. A full disk may have no room for the footer: then that pack stays. */
static int seal_current(struct store *s)
{
	int rc = store_sync_packs(s, true);

	return rc == -ENOSPC || rc == -EDQUOT ? 0 : rc;
}

int store_gc_begin(struct store *s, struct store_gc **out)
{
	struct store_stats stats;
	struct store_gc *gc;
	int rc;

	if (s->read_only)
		return err_set(EROFS, "the store %s is open for reading only", s->path);
	rc = store_check_failed(s);
	if (rc)
		return rc;
	store_stats(s, &stats);
	gc = calloc(1, sizeof *gc);
	if (gc) {
		gc->store = s;
		gc->bits = bits_for(stats.chunks);
		gc->words = calloc(gc->bits / 64, sizeof *gc->words);
	}
	if (!gc || !gc->words) {
		free(gc);
		return err_set(ENOMEM, "no memory to collect garbage");
	}
	if (!attach(s, gc)) {
		gc_free(gc);
		return err_set(EBUSY, "garbage of the store %s is being collected already", s->path);
	}
	rc = seal_current(s);
	if (rc) {
		store_gc_end(gc);
		return rc;
	}
	*out = gc;
	return 0;
}

void store_gc_end(struct store_gc *gc)
{
	if (!gc)
		return;
	pthread_mutex_lock(&gc->store->lock);
	gc->store->gc = NULL;
	pthread_mutex_unlock(&gc->store->lock);
	gc_free(gc);
}

/* ---- which packs ---- */

struct candidate {
	uint32_t index, coding;
	uint64_t bytes, garbage; /* of its records; those that can go */
};

struct sweep {
	struct store_gc *gc;
	const struct store_gc_options *options;
	struct store_gc_result *result;
	struct compaction *compaction;
	struct buf list; /* struct candidate */
	uint64_t done, all;
};

static bool must_stop(void *ctx)
{
	struct sweep *w = ctx;

	if (!w->result->stopped && w->options->stop && w->options->stop(w->options->ctx))
		w->result->stopped = true;
	return w->result->stopped;
}

static void tell(struct sweep *w, uint64_t more)
{
	w->done += more;
	if (w->options->progress)
		w->options->progress(w->options->ctx, w->done, w->all);
}

/* How the pack's chunks were coded, as its note says. */
static uint32_t coding_of(struct store *s, uint32_t index)
{
	uint8_t record[PACK_NOTE_RECORD];
	uint32_t coding;
	uint64_t seed;

	if (packs_read(s->packs, index, PACK_HEADER_BYTES, record, sizeof record, &seed) || !pack_note_get(record, seed, &coding))
		return 0;
	return coding;
}

/* Adds what is garbage in the pack: chunks that nobody names, and old records of those that are elsewhere too. */
static int measure(struct sweep *w, const struct recovered *pack, struct candidate *c)
{
	for (uint64_t i = 0; i < pack->records; i++) {
		struct pack_entry e = pack_entry_get(pack->entries.data, i);
		uint64_t bytes = PACK_HEAD_BYTES + (uint64_t)e.head.stored_len;
		struct directory_entry at;
		int rc;

		if (e.head.kind != PACK_CHUNK)
			continue;
		c->bytes += bytes;
		if (!is_marked(w->gc, &e.head.key)) {
			c->garbage += bytes;
			continue;
		}
		rc = directory_get(w->gc->store->directory, &e.head.key, &at);
		if (rc < 0)
			return rc;
		if (rc && (at.pack != c->index || at.off != e.off))
			c->garbage += bytes;
	}
	return 0;
}

/* Looks at a pack's footer. What is damaged stays, and is no reason not to go on. */
static int look_at(struct sweep *w, uint32_t index)
{
	struct candidate c = { .index = index };
	struct recovered pack;
	int rc = compact_list(w->compaction, index, &pack);

	if (rc == -EBADMSG) {
		log_warn("%s; its garbage stays", err_text());
		return 0;
	}
	if (rc)
		return rc;
	rc = measure(w, &pack, &c);
	buf_free(&pack.entries);
	if (rc == -EIO)
		log_warn("%s; its garbage stays", err_text());
	if (rc)
		return rc == -EIO ? 0 : rc;
	w->result->garbage_bytes += c.garbage;
	if (c.bytes && (!c.garbage || c.garbage < c.bytes / 100 * w->options->percent))
		return 0;
	c.coding = coding_of(w->gc->store, index);
	w->all += c.bytes;
	buf_put(&w->list, &c, sizeof c);
	return buf_failed(&w->list) ? err_set(ENOMEM, "no memory to collect garbage") : 0;
}

static int look_at_all(struct sweep *w)
{
	struct packs *packs = w->gc->store->packs;
	uint32_t end = packs_end(packs);
	int rc = 0;

	for (uint32_t i = 0; !rc && i < end && !must_stop(w); i++)
		if (packs_is_there(packs, i) && packs_is_written(packs, i))
			rc = look_at(w, i);
	return rc;
}

/* ---- copying ---- */

static unsigned threads_of(const struct sweep *w)
{
	unsigned threads = w->options->threads ? w->options->threads : pool_threads(w->gc->store->pool);

	return threads < THREADS_MAX ? threads : THREADS_MAX;
}

static int begin(struct sweep *w, uint32_t coding)
{
	struct compact_rule rule = {
		.wanted = is_marked, .ctx = w->gc, .coding = coding, .coders = threads_of(w), .idle = w->options->idle
	};

	return compaction_new(&w->compaction, w->gc->store, &rule);
}

static int end(struct sweep *w, int rc)
{
	int rc2 = !rc || rc == -ENOSPC ? compaction_finish(w->compaction) : 0;

	w->result->packs += compaction_counts(w->compaction)->packs;
	w->result->chunks += compaction_counts(w->compaction)->chunks;
	compaction_free(w->compaction);
	w->compaction = NULL;
	return rc ? rc : rc2;
}

/* Packs that are all garbage (live: the others) whose chunks were coded in this way. */
static int copy_some(struct sweep *w, uint32_t coding, bool live)
{
	struct candidate *c = (void *)w->list.data;
	int rc = begin(w, coding);

	if (rc)
		return rc;
	for (size_t i = 0; !rc && i < w->list.len / sizeof *c && !must_stop(w); i++) {
		if (c[i].coding != coding || (c[i].garbage < c[i].bytes) != live ||
		    !packs_is_there(w->gc->store->packs, c[i].index))
			continue;
		rc = compaction_pack(w->compaction, c[i].index, must_stop, w);
		if (rc == -EBADMSG)
			log_warn("%s; its garbage stays", err_text());
		if (rc == -EBADMSG || rc == -EINTR)
			rc = 0;
		tell(w, c[i].bytes);
	}
	return end(w, rc);
}

static bool next_coding(const struct sweep *w, uint32_t *coding, bool first)
{
	const struct candidate *c = (const void *)w->list.data;
	bool found = false;
	uint32_t next = 0;

	for (size_t i = 0; i < w->list.len / sizeof *c; i++) {
		if ((!first && c[i].coding <= *coding) || (found && c[i].coding >= next))
			continue;
		next = c[i].coding;
		found = true;
	}
	*coding = next;
	return found;
}

/* Those first that give room and take none. A pack keeps saying how its chunks were coded. */
static int copy_all(struct sweep *w)
{
	uint32_t coding = 0;
	int rc = 0;

	for (int live = 0; live < 2; live++)
		for (bool first = true; !rc && next_coding(w, &coding, first); first = false)
			rc = copy_some(w, coding, live);
	return rc;
}

static uint64_t count_left(struct sweep *w)
{
	const struct candidate *c = (const void *)w->list.data;
	uint64_t left = 0;

	for (size_t i = 0; i < w->list.len / sizeof *c; i++)
		left += packs_is_there(w->gc->store->packs, c[i].index);
	return left;
}

static void sum_up(struct sweep *w)
{
	const struct candidate *c = (const void *)w->list.data;

	w->result->packs_left = w->result->stopped ? 0 : count_left(w);
	for (size_t i = 0; i < w->list.len / sizeof *c; i++)
		if (!packs_is_there(w->gc->store->packs, c[i].index))
			w->result->freed_bytes += c[i].garbage;
}

static int sweep(struct sweep *w)
{
	int rc = begin(w, 0);

	if (rc)
		return rc;
	rc = look_at_all(w);
	compaction_free(w->compaction);
	w->compaction = NULL;
	tell(w, 0);
	for (int pass = 0; !rc && pass < PASSES && !w->result->stopped && count_left(w); pass++)
		rc = copy_all(w);
	sum_up(w);
	return rc;
}

int store_gc_sweep(struct store_gc *gc, const struct store_gc_options *options, struct store_gc_result *result)
{
	struct sweep w = { .gc = gc, .options = options, .result = result };
	struct store *s = gc->store;
	int rc;

	*result = (struct store_gc_result) { 0 };
	rc = store_check_failed(s);
	if (rc)
		return rc;
	if (pthread_mutex_trylock(&s->recode_lock))
		return err_set(EBUSY, "the store %s is being recoded", s->path);
	store_recode_end(s, true); /* what it copied and did not publish yet might be garbage */
	rc = sweep(&w);
	buf_free(&w.list);
	pthread_mutex_unlock(&s->recode_lock);
	return rc;
}
