#include "store/directory.h"

#include <errno.h>

#include "store/err.h"
#include "store/scope.h"

/*
 * Sixteen open-addressing tables with linear probing. The first byte of a key chooses the table, its second half the
 * slot; keys are hashes under a secret, so nobody can make them crowd. Tables grow by half; one at a time, so that a
 * put waits for a sixteenth of the whole at most. The all-zero key, which no chunk has, marks an empty slot.
 */
enum { SHARDS = 16, FIRST_CAP = 64 };

struct slot {
	struct key key;
	uint32_t pack, off, stored_len;
	uint32_t plain_codec; /* plain_len | codec << 24 */
};
_Static_assert(sizeof(struct slot) == 32, "the directory's memory bound is stated in its header");

struct shard {
	pthread_mutex_t lock;
	struct slot *slots;
	size_t cap, used;
};

struct directory {
	struct shard shards[SHARDS];
};

int directory_new(struct directory **out)
{
	struct directory *d = calloc(1, sizeof *d);

	if (!d)
		return err_set(ENOMEM, "no memory for the chunk directory");
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&d->shards[i].lock, NULL);
	*out = d;
	return 0;
}

void directory_free(struct directory *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		free(d->shards[i].slots);
		pthread_mutex_destroy(&d->shards[i].lock);
	}
	free(d);
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

static int grow(struct shard *s, size_t cap)
{
	struct slot *slots = calloc(cap, sizeof *slots);

	if (!slots)
		return err_set(ENOMEM, "no memory for a chunk directory of %zu entries", s->used);
	for (size_t i = 0; i < s->cap; i++)
		if (!key_is_hole(&s->slots[i].key))
			*probe(slots, cap, &s->slots[i].key) = s->slots[i];
	free(s->slots);
	s->slots = slots;
	s->cap = cap;
	return 0;
}

int directory_expect(struct directory *d, uint64_t more)
{
	uint64_t share = more / SHARDS + more / (SHARDS * 16) + FIRST_CAP;

	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &d->shards[i];
		uint64_t cap;

		scope_lock(&s->lock);
		cap = (s->used + share) / 3 * 4;
		if (cap > s->cap && grow(s, cap))
			return -ENOMEM;
	}
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

int directory_set(struct directory *d, const struct key *key, const struct directory_entry *entry,
		  struct directory_entry *before)
{
	struct shard *s = &d->shards[key->bytes[0] % SHARDS];
	struct slot *slot;
	int known;

	scope_lock(&s->lock);
	if (s->used >= s->cap / 4 * 3 && grow(s, s->cap ? s->cap / 2 * 3 : FIRST_CAP))
		return -ENOMEM;
	slot = probe(s->slots, s->cap, key);
	known = !key_is_hole(&slot->key);
	if (known && before)
		*before = entry_of(slot);
	s->used += !known;
	*slot = (struct slot) { *key, entry->pack, entry->off, entry->stored_len,
				entry->plain_len | (uint32_t)entry->codec << 24 };
	return known;
}

bool directory_get(struct directory *d, const struct key *key, struct directory_entry *entry)
{
	struct shard *s = &d->shards[key->bytes[0] % SHARDS];
	const struct slot *slot;

	if (key_is_hole(key))
		return false;
	scope_lock(&s->lock);
	if (!s->cap)
		return false;
	slot = probe(s->slots, s->cap, key);
	if (key_is_hole(&slot->key))
		return false;
	*entry = entry_of(slot);
	return true;
}

uint64_t directory_count(struct directory *d)
{
	uint64_t count = 0;

	for (size_t i = 0; i < SHARDS; i++) {
		scope_lock(&d->shards[i].lock);
		count += d->shards[i].used;
	}
	return count;
}
