#include "store/compact_internal.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "store/err.h"
#include "store/scope.h"
#include "store/scratch.h"

int compaction_new(struct compaction **out, struct store *store, const struct compact_rule *rule)
{
	struct compaction *c = calloc(1, sizeof *c);

	if (!c)
		return err_set(ENOMEM, "no memory to compact packs");
	*c = (struct compaction) { .store = store, .rule = *rule, .slot_count = rule->coders + 1 };
	c->slots = calloc(c->slot_count, sizeof *c->slots);
	if (!c->slots || (rule->coders && pool_new(&c->coders, rule->coders))) {
		free(c->slots);
		free(c);
		return err_set(ENOMEM, "no memory to compact packs");
	}
	for (size_t i = 0; i < c->slot_count; i++) {
		c->slots[i].c = c;
		pool_group_init(&c->slots[i].group);
	}
	*out = c;
	return 0;
}

void compaction_free(struct compaction *c)
{
	if (!c)
		return;
	pool_free(c->coders);
	pool_free(c->disk);
	appender_drop(c->out.appender);
	for (size_t i = 0; i < c->slot_count; i++) {
		free(c->slots[i].room);
		buf_free(&c->slots[i].payload);
		pool_group_destroy(&c->slots[i].group);
	}
	buf_free(&c->moved);
	buf_free(&c->sources);
	free(c->slots);
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
			     (e.head.kind == PACK_CHUNK || (e.head.kind == PACK_NOTE && i == 0));

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
		return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE ? rc : err_set(EBADMSG, "%s", err_text());
	rc = pack->sealed ? check_list(pack, text) : err_set(EBADMSG, "pack %s is not sealed", text);
	if (rc)
		buf_free(&pack->entries);
	return rc;
}

/* ---- one chunk ---- */

static int damaged(struct slot *slot, const char *what)
{
	char key[KEY_TEXT_MAX], name[PACK_NAME_MAX];

	key_text(&slot->key, key);
	compact_name(slot->c, slot->at.pack, name);
	return err_set(EBADMSG, "chunk %s in pack %s at %u: %s", key, name, slot->at.off, what);
}

static bool make_room(struct slot *slot, size_t len)
{
	if (len <= slot->room_len)
		return true;
	free(slot->room);
	slot->room_len = (len + PACKS_ALIGN - 1) / PACKS_ALIGN * PACKS_ALIGN;
	slot->room = aligned_alloc(PACKS_ALIGN, slot->room_len);
	if (!slot->room)
		slot->room_len = 0;
	return slot->room;
}

static int read_record(struct slot *slot)
{
	const struct directory_entry *at = &slot->at;
	size_t len = PACK_HEAD_BYTES + (size_t)at->stored_len;
	struct pack_head head;
	uint64_t seed;
	int rc;

	if (!make_room(slot, packs_room(len)))
		return err_set(ENOMEM, "no memory to copy a chunk");
	rc = packs_fetch(slot->c->store->packs, at->pack, at->off, slot->room, len, &slot->record, &seed);
	if (rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE)
		return rc;
	if (rc)
		return damaged(slot, err_text());
	if (!pack_head_get(slot->record, seed, at->off, &head) || head.kind != PACK_CHUNK || head.version != 1 ||
	    !key_equal(&head.key, &slot->key) || head.stored_len != at->stored_len || head.plain_len != at->plain_len ||
	    head.codec != at->codec)
		return damaged(slot, "the record's head is damaged");
	if (head.payload_check != pack_check(slot->record + PACK_HEAD_BYTES, head.stored_len))
		return damaged(slot, "the bytes do not match their check");
	return 0;
}

enum { IOPRIO_IDLE = 3 << 13, IOPRIO_THREAD = 1 };

/* For this thread, until it ends. Coders hold no lock that others wait for, so nobody has to wait for one that gets no
 * turn. */
static void become_idle(void)
{
	static __thread bool done;

	if (done)
		return;
	done = true;
	sched_setscheduler(0, SCHED_IDLE, &(struct sched_param) { 0 });
	syscall(SYS_ioprio_set, IOPRIO_THREAD, 0, IOPRIO_IDLE);
}

/* A job: decodes, checks, and codes anew. */
static int code(void *arg)
{
	struct slot *slot = arg;
	const struct compact_rule *rule = &slot->c->rule;
	struct buf *plain = scratch_take(SCRATCH_PLAIN);
	struct compact_record record = { .key = slot->key,
					 .at = slot->at,
					 .payload = slot->record + PACK_HEAD_BYTES };
	struct key found;
	int rc;

	if (!plain || !buf_reserve(plain, slot->at.plain_len))
		return err_set(ENOMEM, "no memory to copy a chunk");
	rc = codec_decode(slot->at.codec, record.payload, slot->at.stored_len, plain->data, slot->at.plain_len);
	if (rc)
		return rc == -ENOMEM ? rc : damaged(slot, err_text());
	found = key_of(slot->c->store->settings.secret, plain->data, slot->at.plain_len);
	if (!key_equal(&found, &slot->key))
		return damaged(slot, "the decoded bytes do not match the key");
	record.plain = plain->data;
	buf_clear(&slot->payload);
	return rule->code ? rule->code(rule->ctx, &record, &slot->payload, &slot->codec) : 0;
}

static int code_idly(void *arg)
{
	become_idle();
	return code(arg);
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

/* ---- all chunks of a pack ---- */

static struct source *last_source(struct compaction *c)
{
	return c->sources.len ? (struct source *)(void *)(c->sources.data + c->sources.len) - 1 : NULL;
}

/* Waits for the oldest chunk in flight; keep: and appends it. */
static int collect(struct compaction *c, bool keep)
{
	struct slot *slot = &c->slots[c->first];
	int rc = pool_group_wait(&slot->group);

	c->first = (c->first + 1) % c->slot_count;
	c->busy--;
	if (rc || !keep)
		return rc;
	rc = append(slot);
	if (!rc)
		last_source(c)->next = slot->number + 1;
	return rc;
}

/* Does the directory point here, and is the chunk wanted? 1, 0, -errno. */
static int is_live(struct compaction *c, const struct pack_entry *e, uint32_t index)
{
	struct directory_entry at;
	int rc = directory_get(c->store->directory, &e->head.key, &at);

	if (rc <= 0)
		return rc; /* one that the directory does not know is found again before the pack is removed */
	if (at.pack != index || at.off != e->off)
		return 0;
	return !c->rule.wanted || c->rule.wanted(c->rule.ctx, &e->head.key);
}

/* There is a free slot. */
static int begin_chunk(struct compaction *c, const struct pack_entry *e, uint32_t index, uint64_t number)
{
	struct slot *slot = &c->slots[(c->first + c->busy) % c->slot_count];
	int rc;

	slot->key = e->head.key;
	slot->at = directory_entry_of(e, index);
	slot->number = number;
	rc = read_record(slot);
	if (rc)
		return rc;
	c->busy++;
	if (c->coders) {
		pool_submit(c->coders, &slot->group, c->rule.idle ? code_idly : code, slot);
		return 0;
	}
	slot->group.rc = code(slot);
	if (slot->group.rc)
		snprintf(slot->group.text, sizeof slot->group.text, "%s", err_text());
	return 0;
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
		rc = is_live(c, &e, index);
		if (rc != 1)
			continue;
		rc = c->busy == c->slot_count ? collect(c, true) : 0;
		if (!rc)
			rc = begin_chunk(c, &e, index, i);
	}
	while (c->busy) {
		rc2 = collect(c, rc >= 0);
		rc = rc < 0 ? rc : rc2;
	}
	if (rc < 0)
		return rc;
	last_source(c)->next = i;
	return stopped ? -EINTR : 0;
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
static int probe(struct compaction *c, const struct pack_entry *e, uint32_t index, uint64_t *before, uint64_t *after)
{
	const struct slot *slot = &c->slots[c->first];
	int rc = is_live(c, e, index);

	if (rc != 1)
		return rc;
	rc = begin_chunk(c, e, index, 0);
	if (!rc)
		rc = collect(c, false);
	if (rc)
		return rc;
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
			rc = probe(c, &e, index, before, after);
	}
	buf_free(&pack.entries);
	return rc;
}

int compaction_pack(struct compaction *c, uint32_t index, bool (*stop)(void *ctx), void *ctx)
{
	struct recovered pack;
	int rc = compact_list(c, index, &pack);

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
