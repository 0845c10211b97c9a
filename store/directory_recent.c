#include "store/directory_recent.h"

#include <errno.h>

#include "store/err.h"
#include "store/scope.h"

/*
 * Sixteen tables with linear probing. The first byte of a key chooses the table, its second half the slot; keys are
 * hashes under a secret, so nobody can make them crowd. Tables grow by half; one at a time, so that a put waits for
 * a sixteenth of the whole at most. The all-zero key, which no chunk has, marks an empty slot.
 */
enum { SHARDS = 16, FIRST_CAP = 64 };

struct slot {
	struct key key;
	uint32_t pack, off, stored_len;
	uint32_t plain_codec; /* plain_len | codec << 24 */
};
_Static_assert(sizeof(struct slot) == 32, "the header says so");

struct shard {
	pthread_mutex_t lock;
	struct slot *slots;
	size_t cap, used;
};

struct recent {
	struct shard shards[SHARDS];
};

int recent_new(struct recent **out)
{
	struct recent *r = calloc(1, sizeof *r);

	if (!r)
		return err_set(ENOMEM, "no memory for the chunk directory");
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&r->shards[i].lock, NULL);
	*out = r;
	return 0;
}

void recent_free(struct recent *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		free(r->shards[i].slots);
		pthread_mutex_destroy(&r->shards[i].lock);
	}
	free(r);
}

/* The slot of the key, or the empty one where it would go. The table is never full. */
static struct slot *probe(struct slot *slots, size_t cap, const struct key *key)
{
	uint64_t hash;
	size_t i;

	memcpy(&hash, key->bytes + 8, sizeof hash);
	i = (size_t)(((unsigned __int128)hash * cap) >> 64);
	while (!key_is_hole(&slots[i].key) && !key_equal(&slots[i].key, key))
		i = i + 1 == cap ? 0 : i + 1;
	return &slots[i];
}

static bool stays(const struct slot *slot, const uint8_t *gone, size_t count)
{
	return !key_is_hole(&slot->key) && (slot->pack >= count || !gone[slot->pack]);
}

/* A table of another size, without the packs that are gone. */
static int rebuild(struct shard *s, size_t cap, const uint8_t *gone, size_t count)
{
	struct slot *slots = calloc(cap, sizeof *slots);

	if (!slots)
		return err_set(ENOMEM, "no memory for a chunk directory of %zu entries", s->used);
	s->used = 0;
	for (size_t i = 0; i < s->cap; i++) {
		if (!stays(&s->slots[i], gone, count))
			continue;
		*probe(slots, cap, &s->slots[i].key) = s->slots[i];
		s->used++;
	}
	free(s->slots);
	s->slots = slots;
	s->cap = cap;
	return 0;
}

static struct directory_entry entry_of(const struct slot *slot)
{
	return (struct directory_entry) { .pack = slot->pack,
					  .off = slot->off,
					  .stored_len = slot->stored_len,
					  .plain_len = slot->plain_codec & 0xffffff,
					  .codec = (uint8_t)(slot->plain_codec >> 24) };
}

int recent_set(struct recent *r, const struct key *key, const struct directory_entry *entry,
	       struct directory_entry *before)
{
	struct shard *s = &r->shards[key->bytes[0] % SHARDS];
	struct slot *slot;
	bool known;

	scope_lock(&s->lock);
	if (s->used >= s->cap / 4 * 3 && rebuild(s, s->cap ? s->cap / 2 * 3 : FIRST_CAP, NULL, 0))
		return -ENOMEM;
	slot = probe(s->slots, s->cap, key);
	known = !key_is_hole(&slot->key);
	if (known)
		*before = entry_of(slot);
	if (known && directory_newer(before, entry))
		return 1;
	s->used += !known;
	*slot = (struct slot) { *key, entry->pack, entry->off, entry->stored_len,
				entry->plain_len | (uint32_t)entry->codec << 24 };
	return known;
}

int recent_load(struct recent *r, const struct key *key, const struct directory_entry *entry,
		struct directory_sums *sums)
{
	struct directory_entry before;
	int known = recent_set(r, key, entry, &before);

	if (known < 0)
		return known;
	if (!sums || (known && directory_newer(&before, entry)))
		return 0;
	if (known)
		directory_sums_add(sums, &before, -1);
	directory_sums_add(sums, entry, 1);
	return 0;
}

bool recent_get(struct recent *r, const struct key *key, struct directory_entry *entry)
{
	struct shard *s = &r->shards[key->bytes[0] % SHARDS];
	const struct slot *slot;

	scope_lock(&s->lock);
	if (!s->cap)
		return false;
	slot = probe(s->slots, s->cap, key);
	if (key_is_hole(&slot->key))
		return false;
	*entry = entry_of(slot);
	return true;
}

void recent_forget(struct recent *r, const uint8_t *gone, size_t count)
{
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &r->shards[i];
		size_t left = 0;

		scope_lock(&s->lock);
		for (size_t k = 0; k < s->cap; k++)
			left += stays(&s->slots[k], gone, count);
		if (left < s->used)
			rebuild(s, left / 2 * 3 + FIRST_CAP, gone, count);
	}
}
