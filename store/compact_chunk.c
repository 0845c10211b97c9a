/* The chunks of a compaction that are in flight: read by the caller; decoded, checked and coded anew by the coders. */
#include "store/compact_internal.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "store/err.h"
#include "store/scratch.h"

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
	if (io_is_passing(rc))
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

/* The bytes as they were put, in the thread's own memory. */
static int decode(struct slot *slot, const uint8_t **bytes)
{
	struct buf *plain = scratch_take(SCRATCH_PLAIN);
	struct key found;
	int rc;

	if (!plain || !buf_reserve(plain, slot->at.plain_len))
		return err_set(ENOMEM, "no memory to copy a chunk");
	rc = codec_decode(slot->at.codec, slot->record + PACK_HEAD_BYTES, slot->at.stored_len, plain->data, slot->at.plain_len);
	if (rc)
		return rc == -ENOMEM ? rc : damaged(slot, err_text());
	found = key_of(slot->c->store->settings.secret, plain->data, slot->at.plain_len);
	if (!key_equal(&found, &slot->key))
		return damaged(slot, "the decoded bytes do not match the key");
	*bytes = plain->data;
	return 0;
}

static bool is_stopping(const struct slot *slot)
{
	return __atomic_load_n(&slot->ring->stopping, __ATOMIC_RELAXED);
}

static int code(struct slot *slot)
{
	const struct compact_rule *rule = &slot->c->rule;
	struct compact_record record = { .key = slot->key,
					 .at = slot->at,
					 .payload = slot->record + PACK_HEAD_BYTES };
	int rc = decode(slot, &record.plain);

	buf_clear(&slot->payload);
	if (rc || !rule->code || !slot->ring->codes)
		return rc;
	return is_stopping(slot) ? -EINTR : rule->code(rule->ctx, &record, &slot->payload, &slot->codec);
}

enum { IOPRIO_IDLE = 3 << 13, IOPRIO_THREAD = 1, NICEST = 19 };

/* For this thread, until it ends. Not SCHED_IDLE: somebody may be waiting for what was begun, and it could wait for ever. */
static void become_idle(void)
{
	static __thread bool done;

	if (done)
		return;
	done = true;
	sched_setscheduler(0, SCHED_BATCH, &(struct sched_param) { 0 });
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICEST);
	syscall(SYS_ioprio_set, IOPRIO_THREAD, 0, IOPRIO_IDLE);
}

static int code_job(void *arg)
{
	struct slot *slot = arg;

	if (slot->c->rule.idle)
		become_idle();
	return is_stopping(slot) ? -EINTR : code(slot);
}

/* ---- those in flight ---- */

int ring_new(struct ring *ring, struct compaction *c, bool codes)
{
	*ring = (struct ring) { .count = c->rule.coders + 1, .codes = codes };
	ring->slots = calloc(ring->count, sizeof *ring->slots);
	if (!ring->slots) {
		ring->count = 0;
		return err_set(ENOMEM, "no memory to compact packs");
	}
	for (size_t i = 0; i < ring->count; i++) {
		ring->slots[i].c = c;
		ring->slots[i].ring = ring;
		pool_group_init(&ring->slots[i].group);
	}
	return 0;
}

void ring_free(struct ring *ring)
{
	for (size_t i = 0; i < ring->count; i++) {
		free(ring->slots[i].room);
		buf_free(&ring->slots[i].payload);
		pool_group_destroy(&ring->slots[i].group);
	}
	free(ring->slots);
	*ring = (struct ring) { 0 };
}

int ring_begin(struct ring *ring, const struct key *key, const struct directory_entry *at, uint64_t number)
{
	struct slot *slot = &ring->slots[(ring->first + ring->busy) % ring->count];
	struct pool *coders = slot->c->coders;
	int rc;

	slot->key = *key;
	slot->at = *at;
	slot->number = number;
	rc = read_record(slot);
	if (rc)
		return rc;
	ring->busy++;
	if (coders) {
		pool_submit(coders, &slot->group, code_job, slot);
		return 0;
	}
	slot->group.rc = code(slot);
	if (slot->group.rc)
		snprintf(slot->group.text, sizeof slot->group.text, "%s", err_text());
	return 0;
}

struct slot *ring_take(struct ring *ring)
{
	struct slot *slot = &ring->slots[ring->first];

	slot->rc = pool_group_wait(&slot->group);
	ring->first = (ring->first + 1) % ring->count;
	ring->busy--;
	return slot;
}
