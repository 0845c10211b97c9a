#include "index/catalog_mend_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "index/catalog_aside.h"
#include "store/journal_internal.h"
#include "store/salvage.h"

enum { COMMIT_RECORDS = 20000 };

#define INDEX_BEFORE "index.before" /* the old one, while the journal is exchanged: found again when that was cut short */

void mend_say(struct mend *m, const char *fmt, ...)
{
	scope_buf struct buf text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	m->say(m->ctx, buf_text(&text));
}

/* ---- the old index, without its journal ---- */

static int open_bare(struct store *store, const char *name, struct catalog **out)
{
	scope_free char *dir = NULL, *data = NULL;
	struct catalog *c;
	struct stat st;
	int rc;

	if (asprintf(&dir, "%s/%s", store_path(store), name) < 0 || asprintf(&data, "%s/data.mdb", dir) < 0)
		return err_set(ENOMEM, "no memory for a path");
	if (stat(data, &st)) /* to open it would make it */
		return err_sys("%s", data);
	c = calloc(1, sizeof *c);
	if (!c)
		return err_set(ENOMEM, "no memory for the index");
	c->store = store;
	pthread_mutex_init(&c->gate, NULL);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->sweep, NULL);
	pthread_cond_init(&c->wake, NULL);
	rc = kv_open(&c->kv, dir, 0);
	if (!rc) {
		kv_read_begin(c->kv);
		rc = counters_get(c);
		kv_read_end(c->kv);
	}
	if (rc)
		catalog_free(c);
	else
		*out = c;
	return rc;
}

static bool is_ours(struct catalog *c)
{
	struct table_key k = key_of_text(TABLE_META, "identity");
	scope_buf struct buf value = { 0 };
	struct cursor at;
	const uint8_t *id;
	uint32_t version;
	int rc;

	kv_read_begin(c->kv);
	rc = table_get(c, &k, &value);
	kv_read_end(c->kv);
	at = cursor_of(value.data, value.len);
	version = rc ? 0 : cursor_u32(&at);
	id = rc ? NULL : cursor_bytes(&at, STORE_ID_BYTES);
	return version == SCHEMA_VERSION && id && !memcmp(id, store_id(c->store), STORE_ID_BYTES);
}

int catalog_noted_seq(struct store *store, uint64_t *seq)
{
	struct catalog *c = NULL;
	int rc = open_bare(store, "index", &c);

	if (!rc && !is_ours(c))
		rc = err_set(EIO, "the index belongs to another store");
	if (!rc)
		*seq = c->counters.seq;
	catalog_free(c);
	return rc;
}

static void on_damaged_row(void *ctx, const char *sentence)
{
	struct mend *m = ctx;

	m->old_seq = 0;
	m->say(m->ctx, sentence);
}

/* What of it cannot be read whole is not believed at all. */
static int open_old_index(struct mend *m)
{
	uint64_t rows;
	int rc = open_bare(m->store, "index", &m->old);

	if (rc == -ENOENT)
		rc = open_bare(m->store, INDEX_BEFORE, &m->old);
	if (rc)
		return rc == -ENOMEM ? rc : 0;
	if (is_ours(m->old))
		m->old_seq = m->old->counters.seq;
	return m->old_seq ? catalog_check_rows(m->old, on_damaged_row, m, &rows) : 0;
}

/* ---- records ---- */

static int take_record(struct mend *m, const struct stored *s)
{
	char user[RECORD_NAME_MAX + 1], program[RECORD_NAME_MAX + 1];
	struct journal_record r = { .time_ns = s->time_ns,
				    .uid = s->uid,
				    .user = user,
				    .program = program,
				    .kind = s->kind,
				    .version = s->version,
				    .body = s->body,
				    .body_len = s->body_len };
	int rc;

	if (s->flags & RECORD_ERASED || s->seq <= m->last)
		return 0;
	memcpy(user, s->names, s->user_len);
	user[s->user_len] = 0;
	memcpy(program, s->names + s->user_len, s->program_len);
	program[s->program_len] = 0;
	m->counts->lost += s->seq - m->last - 1;
	m->last = s->seq;
	if (r.kind == REC_EXPIRE && m->counts->lost + m->counts->restored)
		return 0; /* it names a record by its old number */
	rc = journal_append(m->journal, &r);
	if (rc)
		return rc;
	m->counts->records++;
	kv_write_begin(m->now->kv);
	rc = change_replay(m->now, &r);
	kv_write_end(m->now->kv);
	return rc || m->counts->records % COMMIT_RECORDS ? rc : catalog_commit(m->now);
}

/* Records are missing. Does the index know what they said? */
static int bridge(struct mend *m)
{
	uint64_t known = m->old_seq, restored = m->counts->restored;
	int rc;

	if (known <= m->last) {
		m->old_seq = 0;
		return 0;
	}
	rc = mend_from_index(m);
	if (rc)
		return rc;
	mend_say(m, "what the index knows up to record %llu was written down again: %llu records", (unsigned long long)known,
		 (unsigned long long)(m->counts->restored - restored));
	m->last = known;
	m->old_seq = 0;
	return 0;
}

/* A segment, stepping over what is damaged. */
static int take_segment(struct mend *m, const char *dir, const struct segment *segment)
{
	scope_reader struct reader r = { .fd = -1 };
	struct stored s;
	int rc = reader_open(&r, store_io(m->store), dir, segment);

	if (!rc) {
		rc = reader_head(&r, segment, store_id(m->store));
		if (rc == -EIO) { /* another store's, or a newer format: none of ours to take apart */
			mend_say(m, "%s; left out", err_text());
			return 0;
		}
		if (!rc && segment->first > m->last + 1)
			r.adopt = true;
	}
	while (rc != -ENOMEM) {
		if (!rc)
			rc = reader_next(&r, &s);
		if (!rc)
			return 0;
		if (rc < 0) {
			mend_say(m, "%s", err_text());
			rc = reader_resync(&r);
			if (rc <= 0)
				return rc == -EIO ? 0 : rc;
			rc = 0;
			continue;
		}
		rc = s.seq > m->last + 1 ? bridge(m) : 0;
		if (!rc)
			rc = take_record(m, &s);
		if (rc)
			return rc;
	}
	return rc;
}

static int take_all(struct mend *m)
{
	scope_segments struct segments all = { 0 };
	scope_free char *dir = NULL;
	int rc;

	if (asprintf(&dir, "%s/journal", store_path(m->store)) < 0)
		return err_set(ENOMEM, "no memory for a path");
	rc = segments_list(dir, &all);
	for (size_t i = 0; !rc && i < all.count; i++)
		rc = take_segment(m, dir, &all.list[i]);
	if (!rc)
		rc = bridge(m);
	return rc;
}

/* ---- the new ones take their places ---- */

static int rename_in(struct store *store, const char *from, const char *to, unsigned flags)
{
	scope_free char *a = NULL, *b = NULL;
	int rc;

	if (asprintf(&a, "%s/%s", store_path(store), from) < 0 || asprintf(&b, "%s/%s", store_path(store), to) < 0)
		return err_set(ENOMEM, "no memory for a path");
	if (renameat2(AT_FDCWD, a, AT_FDCWD, b, flags))
		return err_sys("%s cannot be renamed to %s", a, to);
	rc = store_io(store)->fsync_dir(store_io(store), store_path(store));
	return rc ? err_set(-rc, "%s: cannot be synced", store_path(store)) : 0;
}

/* Moves it away if it is there. */
static int put_away(struct mend *m, const char *name)
{
	scope_free char *to = NULL;
	int rc = store_quarantine(m->store, name, &to);

	if (!rc)
		mend_say(m, "%s as it was is now %s", name, to);
	return rc == -ENOENT ? 0 : rc;
}

static int exchange(struct mend *m)
{
	int rc = put_away(m, "index.old");

	/* An index that does not fit the journal must never be found beside it. */
	if (!rc)
		rc = rename_in(m->store, "index", INDEX_BEFORE, RENAME_NOREPLACE);
	if (rc == -ENOENT || rc == -EEXIST)
		rc = 0;
	if (!rc)
		rc = rename_in(m->store, "journal.new", "journal", RENAME_EXCHANGE);
	if (rc == -ENOENT) /* there was no journal at all */
		rc = rename_in(m->store, "journal.new", "journal", 0);
	else if (!rc)
		rc = put_away(m, "journal.new");
	if (!rc)
		rc = rename_in(m->store, "index.mend", "index", RENAME_NOREPLACE);
	return rc ? rc : put_away(m, INDEX_BEFORE);
}

static int mend(struct mend *m)
{
	scope_free char *journal = NULL, *aside = NULL;
	int rc, closed;

	if (asprintf(&journal, "%s/journal.new", store_path(m->store)) < 0 || asprintf(&aside, "%s/index.mend", store_path(m->store)) < 0)
		return err_set(ENOMEM, "no memory for a path");
	rc = folder_remove(journal);
	if (!rc)
		rc = folder_remove(aside);
	if (!rc && mkdir(journal, 0700))
		rc = err_sys("%s", journal);
	if (!rc)
		rc = journal_open_folder(&m->journal, m->store, "journal.new");
	if (!rc)
		rc = catalog_open_dir(&m->now, m->store, m->journal, aside);
	if (!rc)
		rc = open_old_index(m);
	if (!rc)
		rc = take_all(m);
	if (!rc)
		rc = catalog_commit(m->now);
	m->counts->records = m->journal ? journal_last(m->journal) : 0;
	catalog_free(m->now);
	catalog_free(m->old);
	closed = rc;
	journal_close(m->journal);
	return closed ? closed : exchange(m);
}

int catalog_mend(struct store *store, void (*say)(void *ctx, const char *sentence), void *ctx, struct mend_counts *counts)
{
	struct mend m = { .store = store, .say = say, .ctx = ctx, .counts = counts };
	int rc;

	*counts = (struct mend_counts) { 0 };
	rc = mend(&m);
	if (!rc)
		mend_say(&m, "a new journal was written: %llu records, %llu of them from the index; %llu are lost",
			 (unsigned long long)counts->records, (unsigned long long)counts->restored, (unsigned long long)counts->lost);
	return rc;
}
