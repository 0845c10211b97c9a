#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "store/err.h"
#include "store/journal_internal.h"

/* Where one walk over the segments stands. */
struct walk {
	struct journal *journal;
	uint64_t durable; /* at the start; what lies behind is none of our business */
	uint64_t next;	  /* record that the next segment must begin with; 0: not known */
	uint8_t prev[SHA_BYTES];
};

static int walk_start(struct walk *w, struct journal *journal, struct segments *segments)
{
	*w = (struct walk) { .journal = journal, .durable = journal_durable(journal) };
	return segments_list(journal->dir, segments);
}

static int as_damage(int rc)
{
	return rc == -EBADMSG ? -EIO : rc;
}

/* Does the segment go on where the one before ended? */
static int check_joint(const struct walk *w, const struct reader *r)
{
	if (!w->next)
		return 0;
	if (r->head.first > w->next)
		return err_set(
		    EIO, "journal segment %s begins with record %" PRIu64 "; records from %" PRIu64 " on are missing",
		    r->name, r->head.first, w->next);
	if (r->head.first < w->next)
		return err_set(EIO,
			       "journal segment %s begins with record %" PRIu64
			       ", which an earlier segment has as well: two "
			       "writers were at work",
			       r->name, r->head.first);
	if (memcmp(r->head.prev, w->prev, SHA_BYTES))
		return err_set(EIO, "journal segment %s: its header is not chained to record %" PRIu64, r->name,
			       w->next - 1);
	return 0;
}

static void walk_leave(struct walk *w, const struct reader *r)
{
	w->next = r->next;
	memcpy(w->prev, r->prev, SHA_BYTES);
}

/* --- replay ------------------------------------------------------------------------------------------------ */

struct visitor {
	uint64_t from;
	int (*visit)(void *ctx, const struct journal_record *record);
	void *ctx;
};

static int visit_record(const struct visitor *v, const struct stored *s)
{
	char user[RECORD_NAME_MAX + 1], program[RECORD_NAME_MAX + 1];
	struct journal_record record = {
		.seq = s->seq,
		.time_ns = s->time_ns,
		.uid = s->uid,
		.user = user,
		.program = program,
		.kind = s->kind,
		.version = s->version,
		.body = s->body,
		.body_len = s->body_len,
	};

	memcpy(user, s->names, s->user_len);
	user[s->user_len] = 0;
	memcpy(program, s->names + s->user_len, s->program_len);
	program[s->program_len] = 0;
	return v->visit(v->ctx, &record);
}

static int replay_segment(struct walk *w, const struct segment *segment, const struct visitor *v)
{
	scope_reader struct reader r = { .fd = -1 };
	struct stored s;
	int rc;

	rc = reader_open(&r, w->journal->io, w->journal->dir, segment);
	if (!rc)
		rc = reader_head(&r, segment, store_id(w->journal->store));
	if (!rc)
		rc = check_joint(w, &r);
	if (rc)
		return as_damage(rc);
	while (r.next <= w->durable && (rc = reader_next(&r, &s)) == 1) {
		if (s.seq < v->from || s.flags & RECORD_ERASED)
			continue;
		rc = visit_record(v, &s);
		if (rc)
			return rc;
	}
	if (rc < 0)
		return as_damage(rc);
	walk_leave(w, &r);
	return 0;
}

/* The last segment that begins at or before a record; the first one when none does. */
static size_t segment_of(const struct segments *segments, uint64_t seq)
{
	size_t i = segments->count;

	while (i > 1 && segments->list[i - 1].first > seq)
		i--;
	return i ? i - 1 : 0;
}

int journal_replay(struct journal *journal, uint64_t from, int (*visit)(void *ctx, const struct journal_record *record),
		   void *ctx)
{
	struct visitor v = { .from = from ? from : 1, .visit = visit, .ctx = ctx };
	scope_segments struct segments segments = { 0 };
	struct walk w;
	int rc = walk_start(&w, journal, &segments);

	if (rc || v.from > w.durable)
		return rc;
	for (size_t i = segment_of(&segments, v.from); i < segments.count && segments.list[i].first <= w.durable; i++) {
		if (!w.next && segments.list[i].first > v.from)
			return err_set(
			    EIO, "the journal begins with record %" PRIu64 " in segment %s; earlier ones are missing",
			    segments.list[i].first, segments.list[i].name);
		rc = replay_segment(&w, &segments.list[i], &v);
		if (rc)
			return rc;
	}
	if (w.next <= w.durable)
		return err_set(EIO, "the journal ends before record %" PRIu64 ": a segment is missing or was cut",
			       w.durable);
	return 0;
}

/* --- verify ------------------------------------------------------------------------------------------------ */

struct verdict {
	void (*damaged)(void *ctx, const char *sentence);
	void *ctx;
	uint64_t records;
};

/* Tells of what is in err_text(). */
static void tell(struct verdict *v)
{
	v->damaged(v->ctx, err_text());
}

/* Reads the records of one segment, stepping over what is damaged. */
static int verify_records(struct walk *w, struct reader *r, struct verdict *v)
{
	struct stored s;
	int rc;

	while (r->next <= w->durable && (rc = reader_next(r, &s)) != 0) {
		if (rc == 1) {
			v->records++;
			continue;
		}
		if (rc != -EBADMSG && rc != -EIO)
			return rc;
		tell(v);
		rc = reader_resync(r);
		if (rc == -EIO)
			tell(v);
		if (rc <= 0) {
			w->next = 0; /* where this segment should have ended is not known */
			return rc == -EIO ? 0 : rc;
		}
	}
	walk_leave(w, r);
	return 0;
}

static int verify_segment(struct walk *w, const struct segment *segment, struct verdict *v)
{
	scope_reader struct reader r = { .fd = -1 };
	int rc;

	rc = reader_open(&r, w->journal->io, w->journal->dir, segment);
	if (rc)
		return rc;
	rc = reader_head(&r, segment, store_id(w->journal->store));
	if (!rc && check_joint(w, &r))
		tell(v);
	if (rc) {
		if (rc != -EBADMSG && rc != -EIO)
			return rc;
		tell(v);
		w->next = 0;
		rc = reader_resync(&r);
		if (rc == -EIO)
			tell(v);
		if (rc <= 0)
			return rc == -EIO ? 0 : rc;
	}
	return verify_records(w, &r, v);
}

int journal_verify(struct journal *journal, void (*damaged)(void *ctx, const char *sentence), void *ctx,
		   uint64_t *records)
{
	struct verdict v = { .damaged = damaged, .ctx = ctx };
	scope_segments struct segments segments = { 0 };
	struct walk w;
	int rc = walk_start(&w, journal, &segments);

	if (rc)
		return rc;
	w.next = 1;
	for (size_t i = 0; !rc && i < segments.count && segments.list[i].first <= w.durable; i++)
		rc = verify_segment(&w, &segments.list[i], &v);
	if (!rc && w.next && w.next <= w.durable) {
		err_set(EIO, "the journal ends before record %" PRIu64 ": a segment is missing or was cut", w.durable);
		tell(&v);
	}
	*records = v.records;
	return rc;
}
