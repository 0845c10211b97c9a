#include "index/catalog_internal.h"

#include <time.h>

#include "store/log.h"

static int (*const appliers[REC_KINDS])(struct change *ch) = {
	[REC_NODE] = apply_node,     [REC_ATTR] = apply_attr,	  [REC_CONTENT] = apply_content,
	[REC_RENAME] = apply_rename, [REC_REMOVE] = apply_remove, [REC_XATTR] = apply_xattr,
	[REC_PROBE] = apply_probe,   [REC_IMAGES] = apply_images, [REC_DATASET] = apply_dataset,
	[REC_FACT] = apply_fact,     [REC_TAG] = apply_tag,	  [REC_TERM] = apply_term,
	[REC_QUERY] = apply_query,   [REC_EXPIRE] = apply_expire, [REC_RESTORE] = apply_restore, [REC_LINK] = apply_link,
};

static struct table_key counters_key(void)
{
	return key_of_text(TABLE_META, "counters");
}

void counters_put(struct catalog *catalog)
{
	const struct counters *n = &catalog->counters;
	const uint64_t values[] = { n->seq, n->ino, n->image, n->dataset, n->term, n->second, n->horizon };
	struct table_key k = counters_key();
	uint8_t raw[sizeof values];

	for (size_t i = 0; i < sizeof raw; i++)
		raw[i] = (uint8_t)(values[i / 8] >> (8 * (i % 8)));
	kv_put(catalog->kv, k.bytes, k.len, raw, sizeof raw);
}

int counters_get(struct catalog *catalog)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = counters_key();
	struct counters *n = &catalog->counters;
	struct cursor c;
	int rc = table_get(catalog, &k, &value);

	if (rc)
		return rc;
	c = cursor_of(value.data, value.len);
	n->seq = cursor_u64(&c);
	n->ino = cursor_u64(&c);
	n->image = (uint32_t)cursor_u64(&c);
	n->dataset = (uint32_t)cursor_u64(&c);
	n->term = (uint32_t)cursor_u64(&c);
	n->second = (uint32_t)cursor_u64(&c);
	n->horizon = cursor_u64(&c);
	return cursor_failed(&c) ? table_damaged(catalog, TABLE_META) : 0;
}

int change_accept(struct change *ch)
{
	int rc = 0;

	if (ch->entry) {
		rc = journal_append(ch->catalog->journal, ch->entry);
		if (!rc && ch->entry->seq != ch->catalog->counters.seq + 1) {
			ch->catalog->sick = true;
			rc = err_set(EIO, "journal record %llu follows %llu: somebody else writes the journal",
				     (unsigned long long)ch->entry->seq, (unsigned long long)ch->catalog->counters.seq);
		}
	}
	ch->accepted = !rc;
	return rc;
}

/* Numbers that others gave out before a crash are not given again. */
static void follow_counters(struct catalog *catalog)
{
	uint64_t ino = atomic_load(&catalog->next_ino);
	uint32_t image = atomic_load(&catalog->next_image);

	while (ino < catalog->counters.ino &&
	       !atomic_compare_exchange_weak(&catalog->next_ino, &ino, catalog->counters.ino))
		;
	while (image < catalog->counters.image &&
	       !atomic_compare_exchange_weak(&catalog->next_image, &image, catalog->counters.image))
		;
}

/* Seconds since 1970; a clock that stands before that is not one. */
static uint32_t second_of(int64_t time_ns)
{
	int64_t s = time_ns / 1000000000;

	return s < 0 ? 0 : s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

/* The first record of each second is noted, so that a time leads to a record. A clock that was set back notes nothing until
 * it is where it was. */
static void moment_note(struct catalog *catalog, uint64_t seq, uint32_t second)
{
	struct table_key k = key_of_u32(TABLE_MOMENT, second);

	if (second <= catalog->counters.second)
		return;
	table_put_u64(catalog, &k, seq);
	catalog->counters.second = second;
}

/* In a kv write section. */
static int change_run(struct change *ch)
{
	struct catalog *catalog = ch->catalog;
	struct stamp now = { .seq = catalog->counters.seq + 1, .second = second_of(ch->time_ns) };
	int rc = table_seen_begin(catalog);

	if (rc)
		return rc;
	catalog->now = now;
	rc = appliers[ch->record->kind](ch);
	catalog->now = (struct stamp) { 0 };
	if (!ch->accepted)
		return rc;
	if (rc || catalog->sick) {
		catalog->sick = true;
		return rc ? rc : err_set(EIO, "a change failed half-way; unmount and run: tomofs rebuild %s",
					 store_path(catalog->store));
	}
	catalog->counters.seq++;
	moment_note(catalog, now.seq, now.second);
	counters_put(catalog);
	follow_counters(catalog);
	atomic_store(&catalog->version, catalog->counters.seq);
	return 0;
}

static bool kind_known(unsigned kind)
{
	return kind < REC_KINDS && appliers[kind];
}

int change_replay(struct catalog *catalog, const struct journal_record *entry)
{
	struct record_memory *memory = NULL;
	struct record record;
	struct change ch = { .catalog = catalog, .record = &record, .time_ns = entry->time_ns };
	int rc = record_decode(entry, &record, &memory);

	if (!rc && !kind_known(record.kind))
		rc = err_set(ENOTSUP, "kind %u is not known", record.kind);
	if (!rc) {
		record.time_ns = entry->time_ns;
		rc = change_run(&ch);
		if (!ch.accepted && rc != -EIO && rc != -ENOMEM) {
			if (rc)
				log_warn("journal record %llu does not fit and is skipped: %s",
					 (unsigned long long)entry->seq, err_text());
			catalog->counters.seq++;
			counters_put(catalog);
			atomic_store(&catalog->version, catalog->counters.seq);
			rc = 0;
		}
	}
	record_memory_free(memory);
	return rc ? err_wrap(rc, "journal record %llu", (unsigned long long)entry->seq) : 0;
}

static int ready_for_changes(struct catalog *catalog)
{
	if (catalog->read_only)
		return err_set(EROFS, "the store %s is open for reading only", store_path(catalog->store));
	if (catalog->sick)
		return err_set(EIO, "a change failed half-way; unmount and run: tomofs rebuild %s",
			       store_path(catalog->store));
	if (kv_pending(catalog->kv) > PENDING_REFUSE)
		return err_set(ENOSPC, "the index cannot be written to the disk; too much waits in memory");
	return 0;
}

static void hurry_commit(struct catalog *catalog)
{
	if (kv_pending(catalog->kv) < PENDING_COMMIT)
		return;
	scope_lock(&catalog->lock);
	catalog->hurry = true;
	pthread_cond_signal(&catalog->wake);
}

static int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The record as the journal will give it back: what cannot be read again must not get in, and live and replayed changes
 * see the very same values. */
static int through_encoding(const struct record *from, struct journal_record *entry, struct buf *body,
			    struct record *record, struct record_memory **memory)
{
	int rc;

	if (from->kind == REC_CONTENT && from->content.content.count > CONTENT_INLINE_MAX)
		return err_set(EINVAL, "a content has at most %d extents at its root", CONTENT_INLINE_MAX);
	record_encode(body, from);
	if (buf_failed(body))
		return err_set(ENOMEM, "no memory to write down a change");
	entry->body = body->data ? body->data : (const uint8_t *)"";
	entry->body_len = body->len;
	if (body->len > JOURNAL_BODY_MAX)
		return err_set(EFBIG, "a change of %zu bytes is too large for the journal", body->len);
	rc = record_decode(entry, record, memory);
	if (rc == -EBADMSG || rc == -ENOTSUP)
		return err_set(EINVAL, "the change is not valid: %s", err_text());
	return rc;
}

int catalog_apply(struct catalog *catalog, const struct actor *actor, struct record *from)
{
	scope_buf struct buf body = { 0 };
	struct record_memory *memory = NULL;
	struct record record;
	struct journal_record entry = { .uid = actor->uid,
					.user = actor->user ? actor->user : "",
					.program = actor->program ? actor->program : "",
					.kind = (uint16_t)from->kind,
					.version = RECORD_VERSION };
	struct change ch = { .catalog = catalog, .record = &record, .entry = &entry };
	int rc;

	if (!kind_known(from->kind))
		return err_set(EINVAL, "a change of kind %u is not known", (unsigned)from->kind);
	if (!from->time_ns)
		from->time_ns = clock_ns();
	entry.time_ns = ch.time_ns = from->time_ns;
	rc = through_encoding(from, &entry, &body, &record, &memory);
	if (!rc) {
		record.time_ns = from->time_ns;
		scope_lock(&catalog->gate);
		rc = ready_for_changes(catalog);
		if (!rc) {
			kv_write_begin(catalog->kv);
			rc = change_run(&ch);
			kv_write_end(catalog->kv);
		}
	}
	record_memory_free(memory);
	hurry_commit(catalog);
	return rc;
}
