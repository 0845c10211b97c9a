/* Which packs are recoded, and how. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "store/codec.h"
#include "store/compact.h"
#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

enum {
	CODING = 1, /* what notes say of packs that were coded by code_dense(); a coder that is worth another round has 2 */
	THREADS_MAX = 8,
	PROBES = 8,
	PROBE_BYTES = 64 << 20, /* smaller packs are copied anyhow, which makes one large one of them */
	GAIN_PERCENT = 2,	/* for less a large pack is not copied */
};

/* Of a pack. AGED: old enough, though sealing has just changed its file. DENSE: its note says so. DONE: copied, or not worth it. LEFT:
 * it cannot be copied whole. */
enum known { UNKNOWN, AGED, DENSE, DONE, LEFT };

struct recode {
	struct compaction *compaction;
	unsigned threads; /* of it */
	bool idle;
	uint8_t *known; /* enum known, by index */
	uint32_t known_count;
};

struct round { /* one call */
	struct store *store;
	struct recode *recode;
	const struct store_recode_options *options;
	struct store_recode_result *result;
	struct compact_counts before;
	uint64_t done, all; /* bytes of packs, for those who watch */
	uint64_t pack_begun; /* bytes copied before the present one */
};

/* What the record's payload says of its rows serves as plan. */
static int code_dense(void *ctx, const struct compact_record *record, struct buf *payload, enum codec *codec)
{
	struct chunk_plan plan;
	bool planned = codec_plan(record->at.codec, record->payload, record->at.stored_len, &plan);

	(void)ctx;
	return codec_encode_dense(planned ? &plan : NULL, 0, record->plain, record->at.plain_len, payload, codec);
}

/* ---- the compaction ---- */

static unsigned threads_of(const struct store *s, const struct store_recode_options *o)
{
	unsigned threads = o->threads ? o->threads : pool_threads(s->pool);

	return threads < THREADS_MAX ? threads : THREADS_MAX;
}

/* A new pack that failed is gone, and the old ones are as they were. */
static void forget(struct recode *r)
{
	for (uint32_t i = 0; i < r->known_count; i++)
		if (r->known[i] == DONE)
			r->known[i] = UNKNOWN;
}

/* The one under way, when it has these threads. */
static int get_compaction(struct store *s, const struct store_recode_options *o)
{
	struct recode *r = s->recode;
	struct compact_rule rule = {
		.code = code_dense, .coding = CODING, .coders = threads_of(s, o), .idle = o->idle
	};
	int rc = 0;

	if (r->compaction && (r->threads != rule.coders || r->idle != rule.idle)) {
		rc = compaction_finish(r->compaction);
		compaction_free(r->compaction);
		r->compaction = NULL;
		if (rc)
			forget(r);
	}
	if (!rc && !r->compaction)
		rc = compaction_new(&r->compaction, s, &rule);
	r->threads = rule.coders;
	r->idle = rule.idle;
	return rc;
}

static int get_recode(struct store *s, const struct store_recode_options *o)
{
	if (!s->recode && !(s->recode = calloc(1, sizeof *s->recode)))
		return err_set(ENOMEM, "no memory to recode packs");
	return get_compaction(s, o);
}

void store_recode_end(struct store *s, bool finish)
{
	struct recode *r = s->recode;

	if (!r)
		return;
	if (finish && r->compaction && compaction_finish(r->compaction))
		log_warn("%s", err_text());
	compaction_free(r->compaction);
	free(r->known);
	free(r);
	s->recode = NULL;
}

/* ---- the packs ---- */

static int room_for_known(struct recode *r, uint32_t count)
{
	uint8_t *known;

	if (count <= r->known_count)
		return 0;
	known = realloc(r->known, count);
	if (!known)
		return err_set(ENOMEM, "no memory to recode packs");
	memset(known + r->known_count, UNKNOWN, count - r->known_count);
	r->known = known;
	r->known_count = count;
	return 0;
}

static bool stat_pack(struct store *s, uint32_t index, struct stat *st)
{
	char text[PACK_NAME_MAX], path[4096];

	packs_name(s->packs, index, text);
	return snprintf(path, sizeof path, "%s/%s", s->packs_folder, text) < (int)sizeof path && !stat(path, st);
}

static bool is_old(const struct stat *st, uint64_t age_s)
{
	int64_t age = (int64_t)time(NULL) - (int64_t)st->st_mtime;

	return !age_s || (age >= 0 && (uint64_t)age >= age_s);
}

/* Was the pack written by a recoding like this one? A damaged one is not: then it is looked at. */
static bool is_dense(struct store *s, uint32_t index)
{
	uint8_t record[PACK_NOTE_RECORD];
	uint32_t coding;
	uint64_t seed;

	return !packs_read(s->packs, index, PACK_HEADER_BYTES, record, sizeof record, &seed) &&
	       pack_note_get(record, seed, &coding) && coding >= CODING;
}

/* Is the pack one to recode now? *size: of its file. */
static bool is_due(struct round *r, uint32_t index, uint64_t *size)
{
	uint8_t *known = &r->recode->known[index];
	struct store *s = r->store;
	struct stat st;

	if (*known >= DENSE || !packs_is_there(s->packs, index) || !packs_is_written(s->packs, index) ||
	    !stat_pack(s, index, &st) || !(*known == AGED || is_old(&st, r->options->age_s)))
		return false;
	if (is_dense(s, index))
		*known = DENSE;
	*size = (uint64_t)st.st_size;
	return *known < DENSE;
}

/* The pack that grows is sealed when nothing was added to it for so long: what comes begins another one. */
static int seal_current(struct round *r)
{
	uint64_t age_s = r->options->age_s;
	struct written_pack current;
	struct store *s = r->store;
	struct stat st;
	int rc;

	pthread_mutex_lock(&s->lock);
	current = s->current;
	pthread_mutex_unlock(&s->lock);
	if (!current.appender || (age_s && (!stat_pack(s, current.index, &st) || !is_old(&st, age_s))))
		return 0;
	rc = store_sync_packs(s, true);
	if (!rc)
		rc = room_for_known(r->recode, packs_end(s->packs));
	if (!rc)
		r->recode->known[current.index] = AGED;
	return rc;
}

/* ---- a call ---- */

static void tell_progress(struct round *r, uint64_t more)
{
	if (r->options->progress)
		r->options->progress(r->options->ctx, r->done + more, r->all);
}

/* Asked before each chunk. */
static bool must_stop(void *ctx)
{
	struct round *r = ctx;
	uint64_t now = compaction_counts(r->recode->compaction)->bytes_before, read = now - r->before.bytes_before;

	tell_progress(r, now - r->pack_begun);
	return (r->options->bytes_max && read >= r->options->bytes_max) ||
	       (r->options->stop && r->options->stop(r->options->ctx));
}

/* Would next to nothing be gained? It is asked again after the next mount only. */
static int is_poor(struct round *r, uint32_t index, bool *poor)
{
	uint64_t before, after;
	int rc = compaction_probe(r->recode->compaction, index, PROBES, &before, &after);

	*poor = !rc && before && before - after < before / 100 * GAIN_PERCENT;
	return rc;
}

/* 0; 1: stopped; -errno. */
static int recode_pack(struct round *r, uint32_t index, uint64_t size)
{
	bool poor = false;
	int rc = store_room_spare(r->store, size);

	if (!rc && size >= PROBE_BYTES)
		rc = is_poor(r, index, &poor);
	if (!rc && !poor)
		rc = compaction_pack(r->recode->compaction, index, must_stop, r);
	if (rc == -EINTR)
		return 1;
	if (rc && rc != -EBADMSG)
		return rc;
	if (rc)
		log_warn("%s; the pack is not recoded", err_text());
	r->recode->known[index] = rc ? LEFT : DONE;
	r->result->packs_left += rc && r->options->age_s; /* else they are counted at the end */
	return 0;
}

/* There is nothing to do for the pack; whether all of it is understood its footer says. Its chunks are not read. */
static int look_into_dense(struct round *r, uint32_t index)
{
	uint64_t before, after;
	int rc = compaction_probe(r->recode->compaction, index, 0, &before, &after);

	if (rc && rc != -EBADMSG)
		return rc;
	if (rc)
		log_warn("%s; the pack is left as it is", err_text());
	r->result->packs_left += rc != 0;
	r->result->packs_dense += !rc;
	return 0;
}

/* Who asked for all packs is told of those that stay as they are, also when it was found out earlier. */
static int name_rest(struct round *r, uint32_t end)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && !r->options->age_s && i < end; i++) {
		char name[PACK_NAME_MAX];

		if (!packs_is_there(r->store->packs, i))
			continue;
		if (r->recode->known[i] == DENSE)
			rc = look_into_dense(r, i);
		if (r->recode->known[i] != LEFT)
			continue;
		packs_name(r->store->packs, i, name);
		log_warn("pack %s cannot be copied whole; it stays as it is", name);
		r->result->packs_left++;
	}
	return rc;
}

static void sum_sizes(struct round *r, uint32_t end)
{
	uint64_t size;

	for (uint32_t i = 0; r->options->progress && i < end && !must_stop(r); i++)
		if (is_due(r, i, &size))
			r->all += size;
}

static int recode_packs(struct round *r)
{
	uint32_t end = packs_end(r->store->packs);
	uint64_t size;
	int rc = room_for_known(r->recode, end);

	r->pack_begun = r->before.bytes_before;
	if (!rc)
		sum_sizes(r, end);
	for (uint32_t i = 0; !rc && i < end; i++) {
		r->pack_begun = compaction_counts(r->recode->compaction)->bytes_before;
		if (must_stop(r))
			return 1;
		if (!is_due(r, i, &size))
			continue;
		rc = recode_pack(r, i, size);
		r->done += size;
		tell_progress(r, 0);
	}
	return rc ? rc : name_rest(r, end);
}

/* The copies that are finished give the room of their old packs back. */
static int run_out_of_room(struct round *r)
{
	scope_free char *why = strdup(err_text());

	if (compaction_finish(r->recode->compaction))
		log_warn("%s", err_text());
	return err_set(ENOSPC, "%s", why ? why : "");
}

static int run(struct round *r)
{
	int rc = seal_current(r);

	if (!rc)
		rc = recode_packs(r);
	if (!rc)
		rc = compaction_finish(r->recode->compaction);
	else if (rc == -ENOSPC)
		rc = run_out_of_room(r);
	r->result->stopped = rc == 1;
	if (rc < 0) {
		compaction_drop(r->recode->compaction); /* a full disk needs its room back */
		forget(r->recode);
	}
	return rc < 0 ? rc : 0;
}

/* All is done: what was kept for going on is given back. */
static void rest(struct recode *r)
{
	compaction_free(r->compaction);
	r->compaction = NULL;
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

int store_recode(struct store *s, const struct store_recode_options *options, struct store_recode_result *result)
{
	struct round r = { .store = s, .options = options, .result = result };
	const struct compact_counts *now;
	int rc;

	*result = (struct store_recode_result) { 0 };
	if (s->read_only)
		return err_set(EROFS, "the store %s is open for reading only", s->path);
	rc = store_check_failed(s);
	if (rc)
		return rc;
	if (pthread_mutex_trylock(&s->recode_lock))
		return err_set(EBUSY, "the store %s is being recoded already", s->path);
	rc = get_recode(s, options);
	if (!rc) {
		r.recode = s->recode;
		r.before = *compaction_counts(s->recode->compaction);
		rc = run(&r);
		now = compaction_counts(s->recode->compaction);
		result->packs = now->packs - r.before.packs;
		result->packs_left += now->packs_left - r.before.packs_left;
		result->chunks = now->chunks - r.before.chunks;
		result->bytes_before = now->bytes_before - r.before.bytes_before;
		result->bytes_after = now->bytes_after - r.before.bytes_after;
		if (!rc && !result->stopped)
			rest(s->recode);
	}
	pthread_mutex_unlock(&s->recode_lock);
	return rc;
}
