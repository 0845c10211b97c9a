#include "store/compact_internal.h"

#include <errno.h>

#include "store/err.h"
#include "store/scope.h"

int compaction_new(struct compaction **out, struct store *store, const struct compact_rule *rule)
{
	struct compaction *c = calloc(1, sizeof *c);

	if (!c)
		return err_set(ENOMEM, "no memory to compact packs");
	*c = (struct compaction) { .store = store, .rule = *rule };
	if (ring_new(&c->ring, c, true) || (rule->coders && pool_new(&c->coders, rule->coders))) {
		ring_free(&c->ring);
		free(c);
		return err_set(ENOMEM, "no memory to compact packs");
	}
	*out = c;
	return 0;
}

void compaction_free(struct compaction *c)
{
	if (!c)
		return;
	pool_free(c->coders);
	compaction_drop(c);
	pool_free(c->disk);
	ring_free(&c->ring);
	buf_free(&c->moved);
	buf_free(&c->sources);
	buf_free(&c->proven);
	free(c);
}

const struct compact_counts *compaction_counts(const struct compaction *c)
{
	return &c->counts;
}

void compact_name(struct compaction *c, uint32_t index, char text[PACK_NAME_MAX])
{
	packs_name(c->store->packs, index, text);
}

/* ---- what is in a pack ---- */

/* The records must lie one behind another up to the footer: what stands between them may be a damaged chunk. And each must be
 * of a kind that is understood. */
static int check_list(const struct recovered *pack, const char *name)
{
	uint64_t at = PACK_HEADER_BYTES;

	for (uint64_t i = 0; i < pack->records; i++) {
		struct pack_entry e = pack_entry_get(pack->entries.data, i);
		bool known = e.head.version == 1 && !e.head.domain &&
			     (e.head.kind == PACK_CHUNK || e.head.kind == PACK_GAP || (e.head.kind == PACK_NOTE && i == 0));

		if (!known)
			return err_set(EBADMSG, "pack %s: the record at %llu is of a kind that is not known", name,
				       (unsigned long long)e.off);
		if (e.off != at)
			return err_set(EBADMSG, "pack %s: the bytes at %llu are no record", name, (unsigned long long)at);
		at = e.off + PACK_HEAD_BYTES + e.head.stored_len;
	}
	if (at + PACK_HEAD_BYTES + pack->records * PACK_ENTRY_BYTES + PACK_TRAILER_BYTES != pack->size)
		return err_set(EBADMSG, "pack %s: the bytes at %llu are no record", name, (unsigned long long)at);
	return 0;
}

int compact_list(struct compaction *c, uint32_t index, struct recovered *pack)
{
	struct store *s = c->store;
	char text[PACK_NAME_MAX];
	struct pack_name name;
	int rc;

	compact_name(c, index, text);
	if (!pack_name_parse(text, &name))
		return err_set(EBADMSG, "%s is no name of a pack", text);
	rc = recover_pack(s->io, &s->settings, s->packs_folder, name, 0, pack);
	if (rc)
		return io_is_passing(rc) ? rc : err_set(EBADMSG, "%s", err_text());
	rc = pack->sealed ? check_list(pack, text) : err_set(EBADMSG, "pack %s is not sealed", text);
	if (rc)
		buf_free(&pack->entries);
	return rc;
}

bool compact_lists(const struct recovered *pack, const struct key *key, uint64_t off)
{
	uint64_t from = 0, end = pack->records;

	while (from < end) {
		uint64_t middle = from + (end - from) / 2;
		struct pack_entry e = pack_entry_get(pack->entries.data, middle);

		if (e.off == off)
			return e.head.kind == PACK_CHUNK && key_equal(&e.head.key, key);
		if (e.off < off)
			from = middle + 1;
		else
			end = middle;
	}
	return false;
}

/* ---- all chunks of a pack ---- */

static struct source *last_source(struct compaction *c)
{
	return c->sources.len ? (struct source *)(void *)(c->sources.data + c->sources.len) - 1 : NULL;
}

static bool is_gain(const struct slot *slot)
{
	return slot->payload.len && slot->payload.len < slot->at.stored_len;
}

static int append(struct slot *slot)
{
	struct moved moved = { .key = slot->key, .from = slot->at, .to = slot->at };

	if (!is_gain(slot))
		return compact_append(slot->c, &moved, slot->record + PACK_HEAD_BYTES);
	moved.to.stored_len = (uint32_t)slot->payload.len;
	moved.to.codec = (uint8_t)slot->codec;
	return compact_append(slot->c, &moved, slot->payload.data);
}

/* Waits for the oldest chunk in flight and appends it. -EINTR: its coding had not begun when all was to stop. */
static int collect(struct compaction *c)
{
	struct slot *slot = ring_take(&c->ring);
	int rc = slot->rc;

	if (!rc)
		rc = append(slot);
	if (!rc)
		last_source(c)->next = slot->number + 1;
	return rc;
}

/* Does the directory point here, and is the chunk wanted? 1, 0, -errno. A newer record that is damaged does not count: this one
 * is copied then, and becomes the newest. So it does when the directory does not know of it, or says a place where it is not. */
static int is_live(struct compaction *c, const struct pack_entry *e, uint32_t index, const struct recovered *pack)
{
	struct directory_entry at;
	int rc = directory_get(c->store->directory, &e->head.key, &at);

	if (rc < 0)
		return rc;
	if (c->rule.wanted && !c->rule.wanted(c->rule.ctx, &e->head.key))
		return 0;
	if (!rc)
		return 1;
	if (at.pack == index)
		return at.off == e->off || !compact_lists(pack, &e->head.key, at.off);
	rc = compact_is_whole(c, &e->head.key, &at);
	return rc < 0 ? rc : !rc;
}

static int begin_chunk(struct compaction *c, const struct pack_entry *e, uint32_t index, uint64_t number)
{
	struct directory_entry at = directory_entry_of(e, index);

	return ring_begin(&c->ring, &e->head.key, &at, number);
}

/* Those in flight. keep: and appends them, up to one that was not begun. 0; -EINTR; -errno. */
static int collect_all(struct compaction *c, bool keep)
{
	int rc = 0;

	while (c->ring.busy) {
		if (keep && !rc)
			rc = collect(c);
		else
			ring_take(&c->ring);
	}
	return rc;
}

static int copy(struct compaction *c, uint32_t index, const struct recovered *pack, bool (*stop)(void *ctx), void *ctx)
{
	uint64_t i = last_source(c)->next;
	bool stopped = false;
	int rc = 0, rc2;

	for (; rc >= 0 && i < pack->records; i++) {
		struct pack_entry e = pack_entry_get(pack->entries.data, i);

		if (e.head.kind != PACK_CHUNK)
			continue;
		stopped = stop && stop(ctx);
		if (stopped)
			break;
		rc = is_live(c, &e, index, pack);
		if (rc != 1)
			continue;
		rc = c->ring.busy == c->ring.count ? collect(c) : 0;
		if (!rc)
			rc = begin_chunk(c, &e, index, i);
	}
	__atomic_store_n(&c->ring.stopping, stopped, __ATOMIC_RELAXED);
	rc2 = collect_all(c, rc >= 0);
	__atomic_store_n(&c->ring.stopping, false, __ATOMIC_RELAXED);
	rc = rc < 0 ? rc : rc2;
	if (!rc)
		last_source(c)->next = i;
	return rc ? rc : stopped ? -EINTR : 0;
}

/* Remembers the pack, unless it is the one that was begun. */
static int begin_source(struct compaction *c, uint32_t index)
{
	struct source *last = last_source(c), fresh = { .index = index };

	if (last && last->index == index && !last->whole)
		return 0;
	buf_put(&c->sources, &fresh, sizeof fresh);
	if (!buf_failed(&c->sources))
		return 0;
	c->sources.failed = false;
	return err_set(ENOMEM, "no memory to compact packs");
}

/* One record, to be coded for nothing. */
static int probe(struct compaction *c, const struct pack_entry *e, uint32_t index, const struct recovered *pack, uint64_t *before,
		 uint64_t *after)
{
	const struct slot *slot;
	int rc = is_live(c, e, index, pack);

	if (rc != 1)
		return rc;
	rc = begin_chunk(c, e, index, 0);
	if (rc)
		return rc;
	slot = ring_take(&c->ring);
	if (slot->rc)
		return slot->rc;
	*before += slot->at.stored_len;
	*after += is_gain(slot) ? slot->payload.len : slot->at.stored_len;
	return 0;
}

int compaction_probe(struct compaction *c, uint32_t index, unsigned records, uint64_t *before, uint64_t *after)
{
	struct recovered pack;
	int rc = compact_list(c, index, &pack);

	*before = *after = 0;
	if (rc)
		return rc;
	for (uint64_t k = 0; !rc && k < records && pack.records; k++) {
		struct pack_entry e = pack_entry_get(pack.entries.data, (2 * k + 1) * pack.records / (2 * records));

		if (e.head.kind == PACK_CHUNK)
			rc = probe(c, &e, index, &pack, before, after);
	}
	buf_free(&pack.entries);
	return rc;
}

int compaction_pack(struct compaction *c, uint32_t index, bool (*stop)(void *ctx), void *ctx)
{
	struct recovered pack;
	int rc = 0;

	if (c->out.appender && index > c->out.index) /* a copy in an older pack would not count */
		rc = compaction_finish(c);
	if (!rc)
		rc = compact_list(c, index, &pack);
	if (rc)
		return rc;
	rc = begin_source(c, index);
	if (!rc)
		rc = copy(c, index, &pack, stop, ctx);
	buf_free(&pack.entries);
	if (!rc)
		last_source(c)->whole = true;
	else if (rc == -EBADMSG) /* what was copied of it stays copied */
		c->sources.len -= sizeof(struct source);
	return rc;
}
