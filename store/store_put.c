#include <errno.h>

#include "store/codec.h"
#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"
#include "store/store_internal.h"

/* What is known about a key. */
enum known { KNOWN_NOT, KNOWN_SAME, KNOWN_DAMAGED };

static int collision(const struct key *key)
{
	char text[KEY_TEXT_MAX];

	key_text(key, text);
	return err_set(EIO, "chunk %s: other bytes with the same key are in the store already; these cannot be stored",
		       text);
}

/* Compares the bytes with what is held under the key; the key alone proves nothing. A held chunk that cannot be read
 * back is to be replaced by these good bytes. enum known or -errno. */
static int compare(struct store *s, const struct key *key, const struct directory_entry *held, const void *bytes,
		   size_t len)
{
	struct cache_chunk *chunk;
	int rc = 0;

	if (held->plain_len != len)
		return collision(key);
	rc = store_get(s, key, len, &chunk);
	if (rc == -ENOMEM)
		return rc;
	if (rc) {
		log_warn("%s; it is stored again", err_text());
		return KNOWN_DAMAGED;
	}
	rc = memcmp(chunk->bytes, bytes, len) == 0 ? KNOWN_SAME : collision(key);
	cache_drop(s->cache, chunk);
	return rc;
}

static bool claimed(const struct store *s, const struct key *key)
{
	for (const struct claim *c = s->claims; c; c = c->next)
		if (key_equal(&c->key, key))
			return true;
	return false;
}

/* Waits until nobody else puts this key. */
static void claim_take(struct store *s, struct claim *claim)
{
	scope_lock(&s->lock);
	while (claimed(s, &claim->key))
		pthread_cond_wait(&s->unclaimed, &s->lock);
	claim->next = s->claims;
	s->claims = claim;
}

static void claim_drop(struct store *s, struct claim *claim)
{
	struct claim **at;

	scope_lock(&s->lock);
	for (at = &s->claims; *at != claim; at = &(*at)->next)
		;
	*at = claim->next;
	pthread_cond_broadcast(&s->unclaimed);
}

static bool same_place(const struct directory_entry *a, const struct directory_entry *b)
{
	return a->pack == b->pack && a->off == b->off;
}

/* KNOWN_SAME: nothing to write. KNOWN_NOT: the claim is taken, write it. -errno. */
static int find_or_claim(struct store *s, struct claim *claim, const void *bytes, size_t len)
{
	for (;;) {
		struct directory_entry held, now;
		bool known = directory_get(s->directory, &claim->key, &held), still;
		int rc = known ? compare(s, &claim->key, &held, bytes, len) : KNOWN_NOT;

		if (rc < 0 || rc == KNOWN_SAME)
			return rc;
		claim_take(s, claim);
		still = directory_get(s->directory, &claim->key, &now);
		if (still == known && (!still || same_place(&held, &now)))
			return KNOWN_NOT;
		claim_drop(s, claim); /* somebody was faster: look at what was written */
	}
}

static int enter(struct store *s, const struct key *key, const struct directory_entry *entry)
{
	struct directory_entry before;
	int rc = directory_set(s->directory, key, entry, &before);

	if (rc < 0)
		return rc;
	scope_lock(&s->lock);
	if (rc)
		store_count(s, &before, -1);
	store_count(s, entry, 1);
	return 0;
}

static int write_chunk(struct store *s, const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len,
		       const struct key *key)
{
	scope_buf struct buf payload = { 0 };
	enum codec codec;
	struct pack_head head;
	struct directory_entry entry;
	int rc = codec_encode(plan, off, bytes, len, &payload, &codec);

	if (rc)
		return rc;
	head = (struct pack_head) { .kind = PACK_CHUNK,
				    .version = 1,
				    .codec = (uint8_t)codec,
				    .plain_len = (uint32_t)len,
				    .stored_len = (uint32_t)payload.len,
				    .key = *key };
	entry = (struct directory_entry) { .stored_len = head.stored_len,
					   .plain_len = head.plain_len,
					   .codec = head.codec };
	rc = store_room(s, PACK_HEAD_BYTES + payload.len);
	if (!rc)
		rc = store_append(s, &head, payload.data, &entry);
	if (!rc)
		rc = enter(s, key, &entry);
	if (!rc)
		store_room_used(s, PACK_HEAD_BYTES + payload.len);
	return rc;
}

int store_put(struct store *s, const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len,
	      struct key *key)
{
	struct claim claim;
	int rc;

	if (!len || len > CHUNK_MAX)
		return err_set(EINVAL, "a chunk of %zu bytes cannot be stored", len);
	if (s->read_only)
		return err_set(EROFS, "the store %s is open for reading only", s->path);
	rc = store_check_failed(s);
	if (rc)
		return rc;
	*key = claim.key = key_of(s->settings.secret, bytes, len);
	rc = find_or_claim(s, &claim, bytes, len);
	if (rc < 0)
		return rc;
	if (rc == KNOWN_NOT) {
		int written = write_chunk(s, plan, off, bytes, len, key);

		claim_drop(s, &claim);
		if (written)
			return written;
	}
	scope_lock(&s->lock);
	s->stats.put_bytes += len;
	s->stats.duplicate_bytes += rc == KNOWN_SAME ? len : 0;
	return 0;
}
