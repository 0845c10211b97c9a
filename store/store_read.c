#include <errno.h>

#include "store/arena.h"
#include "store/codec.h"
#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"
#include "store/store_internal.h"

/* "chunk KEY in pack NAME: what" */
static int damaged(struct store *s, const struct key *key, const struct directory_entry *entry, const char *what)
{
	char text[KEY_TEXT_MAX], name[PACK_NAME_MAX];

	key_text(key, text);
	packs_name(s->packs, entry->pack, name);
	return err_set(EIO, "chunk %s in pack %s at %u: %s", text, name, entry->off, what);
}

/* Reads a record into room, compares its head with what the directory says, and the payload with its check. */
static int read_record(struct store *s, const struct key *key, const struct directory_entry *entry, void *room,
		       const uint8_t **payload)
{
	size_t len = PACK_HEAD_BYTES + (size_t)entry->stored_len;
	const uint8_t *record;
	struct pack_head head;
	uint64_t seed;
	int rc;

	rc = packs_fetch(s->packs, entry->pack, entry->off, room, len, &record, &seed);
	if (io_is_passing(rc) || rc == -ESTALE)
		return rc;
	if (rc)
		return damaged(s, key, entry, err_text());
	if (!pack_head_get(record, seed, entry->off, &head) || head.kind != PACK_CHUNK ||
	    !key_equal(&head.key, key) || head.stored_len != entry->stored_len || head.plain_len != entry->plain_len ||
	    head.codec != entry->codec)
		return damaged(s, key, entry, "the record's head is damaged");
	if (head.version != 1)
		return damaged(s, key, entry, "the record was written by a newer version of tomofs");
	*payload = record + PACK_HEAD_BYTES;
	if (head.payload_check != pack_check(*payload, head.stored_len))
		return damaged(s, key, entry, "the bytes do not match their check");
	return 0;
}

static int fetch(struct store *s, const struct key *key, const struct directory_entry *entry, void *to, size_t want)
{
	size_t len = packs_room(PACK_HEAD_BYTES + (size_t)entry->stored_len);
	void *room = arena_get(s->records, len);
	const uint8_t *payload = NULL;
	int rc;

	if (!room)
		return err_set(ENOMEM, "no memory to read a chunk");
	rc = read_record(s, key, entry, room, &payload);
	if (!rc) {
		rc = codec_decode_first(entry->codec, payload, entry->stored_len, to, entry->plain_len, want);
		if (rc && rc != -ENOMEM)
			rc = damaged(s, key, entry, err_text());
	}
	arena_put(s->records, room, len);
	return rc;
}

/* When a pack was removed, its chunks are in a newer one, which the directory knows. */
static bool moved(struct store *s, const struct key *key, struct directory_entry *entry)
{
	struct directory_entry now;

	if (directory_get(s->directory, key, &now) != 1 || now.plain_len != entry->plain_len ||
	    (now.pack == entry->pack && now.off == entry->off))
		return false;
	*entry = now;
	return true;
}

/* The same where another process removed it. */
static bool moved_beside(struct store *s, const struct key *key, struct directory_entry *entry)
{
	if (!s->read_only)
		return false;
	scope_lock(&s->follow_lock);
	return moved(s, key, entry) || (!store_follow(s, NULL) && moved(s, key, entry));
}

int store_fetch(struct store *s, const struct key *key, const struct directory_entry *entry, void *to)
{
	return store_fetch_first(s, key, entry, to, entry->plain_len);
}

int store_fetch_first(struct store *s, const struct key *key, const struct directory_entry *entry, void *to, size_t want)
{
	struct directory_entry at = *entry;
	int rc;

	do
		rc = fetch(s, key, &at, to, want);
	while (rc == -ESTALE && (moved(s, key, &at) || moved_beside(s, key, &at)));
	return rc == -ESTALE ? damaged(s, key, &at, "its pack is gone") : rc;
}

int store_fetch_check(struct store *s, const struct key *key, const struct directory_entry *entry, const void *bytes)
{
	struct key found = key_of(s->settings.secret, bytes, entry->plain_len);

	return key_equal(&found, key) ? 0 : damaged(s, key, entry, "the decoded bytes do not match the key");
}

/* found: what the directory said. */
static int load_from(struct store *s, const struct key *key, int found, const struct directory_entry *entry, void *to, size_t len)
{
	char text[KEY_TEXT_MAX];
	int rc;

	if (found < 0)
		return found;
	if (!found) {
		key_text(key, text);
		return err_set(EIO, "chunk %s is in no pack of the store", text);
	}
	if (entry->plain_len != len)
		return damaged(s, key, entry, "it has another length than the one asked for");
	rc = store_fetch(s, key, entry, to);
	return rc ? rc : store_fetch_check(s, key, entry, to);
}

static bool same_entry(const struct directory_entry *a, const struct directory_entry *b)
{
	return a->pack == b->pack && a->off == b->off && a->stored_len == b->stored_len && a->plain_len == b->plain_len &&
	       a->codec == b->codec;
}

/* It was looked for in vain. Are the keys to blame? Then the packs say where it is. */
static int load_again(struct store *s, const struct key *key, int found, const struct directory_entry *entry, void *to, size_t len)
{
	scope_free char *why = strdup(err_text());
	struct directory_entry other;
	uint64_t seed = packs_seed(s->packs, found == 1 ? entry->pack : UINT32_MAX);
	int rc = directory_search(s->directory, key, &other);
	bool new = rc == 1 && (found != 1 || !same_entry(entry, &other) || packs_seed(s->packs, entry->pack) != seed);

	return new ? load_from(s, key, rc, &other, to, len) : err_set(EIO, "%s", why ? why : "");
}

/* For the cache. */
static int load(void *ctx, const struct key *key, void *to, size_t len)
{
	struct store *s = ctx;
	struct directory_entry entry;
	int found = directory_get(s->directory, key, &entry);
	int rc = load_from(s, key, found, &entry, to, len);

	return rc == -EIO ? load_again(s, key, found, &entry, to, len) : rc;
}

int store_get(struct store *s, const struct key *key, size_t chunk_len, struct cache_chunk **chunk)
{
	if (!chunk_len || chunk_len > CHUNK_MAX)
		return err_set(EIO, "a chunk cannot be %zu bytes long", chunk_len);
	return cache_get(s->cache, key, chunk_len, load, s, chunk);
}

void store_drop(struct store *s, struct cache_chunk *chunk, bool done)
{
	(done ? cache_drop_done : cache_drop)(s->cache, chunk);
}

int store_read(struct store *s, const struct key *key, size_t chunk_len, size_t skip, void *to, size_t len)
{
	struct cache_chunk *chunk;
	int rc;

	if (skip > chunk_len || len > chunk_len - skip)
		return err_set(EIO, "bytes %zu to %zu of a chunk of %zu bytes do not exist", skip, skip + len,
			       chunk_len);
	rc = store_get(s, key, chunk_len, &chunk);
	if (rc)
		return rc;
	memcpy(to, chunk->bytes + skip, len);
	cache_drop(s->cache, chunk);
	return 0;
}

uint64_t store_moment(struct store *s)
{
	return cache_moment(s->cache);
}

bool store_wants(struct store *s, const struct key *key, uint64_t moment)
{
	return cache_wants(s->cache, key, moment);
}

void store_prepare(struct store *s, const struct key *key, size_t chunk_len, uint64_t moment)
{
	struct cache_chunk *chunk;

	if (store_wants(s, key, moment) && !store_get(s, key, chunk_len, &chunk))
		cache_drop(s->cache, chunk);
}

struct ahead {
	struct store *store;
	struct key key;
	size_t len;
	uint64_t moment;
};

static int read_ahead(void *arg)
{
	struct ahead *a = arg;
	struct store *s = a->store;

	store_prepare(s, &a->key, a->len, a->moment);
	free(a);
	__atomic_sub_fetch(&s->ahead, 1, __ATOMIC_RELEASE);
	return 0;
}

void store_read_ahead(struct store *s, const struct key *key, size_t chunk_len)
{
	uint64_t moment = store_moment(s);
	struct ahead *a;

	if (!chunk_len || chunk_len > CHUNK_MAX || !store_wants(s, key, moment))
		return;
	a = __atomic_add_fetch(&s->ahead, 1, __ATOMIC_ACQUIRE) <= s->ahead_max ? malloc(sizeof *a) : NULL;
	if (!a) {
		__atomic_sub_fetch(&s->ahead, 1, __ATOMIC_RELEASE);
		return;
	}
	*a = (struct ahead) { s, *key, chunk_len, moment };
	if (pool_try_submit(s->pool, &s->ahead_group, read_ahead, a))
		return;
	free(a);
	__atomic_sub_fetch(&s->ahead, 1, __ATOMIC_RELEASE);
}

bool store_has(struct store *s, const struct key *key)
{
	struct directory_entry entry;

	return directory_get(s->directory, key, &entry) == 1;
}
