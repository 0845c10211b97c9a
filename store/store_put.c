#include <errno.h>

#include "store/codec.h"
#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"
#include "store/scratch.h"
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

/* The held bytes differ from the given ones: two chunks with one key, or one that did not come back as it was stored?
 */
static int differs(struct store *s, const struct key *key, const struct directory_entry *held, const void *found)
{
	if (!store_fetch_check(s, key, held, found))
		return collision(key);
	log_warn("%s; it is stored again", err_text());
	return KNOWN_DAMAGED;
}

/* Reads what is held into the thread's own memory: data that comes again must not push out of the cache what is read.
 */
static int compare_stored(struct store *s, const struct key *key, const struct directory_entry *held, const void *bytes,
			  size_t len)
{
	struct buf *plain = scratch_take(SCRATCH_PLAIN);
	uint8_t *found = plain ? buf_reserve(plain, len) : NULL;
	int rc = found ? store_fetch(s, key, held, found) : err_set(ENOMEM, "no memory to compare a chunk");

	if (io_is_passing(rc))
		return rc;
	if (rc) {
		log_warn("%s; it is stored again", err_text());
		return KNOWN_DAMAGED;
	}
	return memcmp(found, bytes, len) == 0 ? KNOWN_SAME : differs(s, key, held, found);
}

/* The directory says another length. So does the pack? */
static int compare_found(struct store *s, const struct key *key, const void *bytes, size_t len)
{
	struct directory_entry held;
	int rc = directory_search(s->directory, key, &held);

	if (rc < 0)
		return rc;
	return rc && held.plain_len == len ? compare_stored(s, key, &held, bytes, len) : collision(key);
}

/* Compares the bytes with what is held under the key; the key alone proves nothing. A held chunk that cannot be read
 * back is to be replaced by these good bytes. enum known or -errno. */
static int compare(struct store *s, const struct key *key, const struct directory_entry *held, const void *bytes,
		   size_t len)
{
	struct cache_chunk *chunk;
	int rc;

	if (held->plain_len != len)
		return compare_found(s, key, bytes, len);
	if (!cache_peek(s->cache, key, len, &chunk))
		return compare_stored(s, key, held, bytes, len);
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
void store_claim(struct store *s, struct claim *claim)
{
	scope_lock(&s->lock);
	while (claimed(s, &claim->key))
		pthread_cond_wait(&s->unclaimed, &s->lock);
	claim->next = s->claims;
	s->claims = claim;
	store_gc_claimed(s, claim);
}

void store_unclaim(struct store *s, struct claim *claim)
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

/* The pack that the chunk is held in may be about to go with what is garbage in it (gc.h): waits until that is decided. False: it
 * has gone. */
static bool will_stay(struct store *s, const struct directory_entry *held)
{
	scope_lock(&s->lock);
	while (s->leaving && s->leaving_pack == held->pack)
		pthread_cond_wait(&s->unclaimed, &s->lock);
	return packs_is_there(s->packs, held->pack);
}

/* KNOWN_SAME: nothing to write. KNOWN_NOT: the claim is taken, write it. -errno. Nobody has to wait while bytes are
 * compared; after that the directory is asked again, for somebody may have been faster. */
static int find_or_claim(struct store *s, struct claim *claim, const void *bytes, size_t len)
{
	claim->replaces = false;
	for (;;) {
		struct directory_entry held;
		int known, rc;

		store_claim(s, claim);
		known = directory_get(s->directory, &claim->key, &held);
		if (known == -EIO)
			known = 0; /* a pack that cannot be read may have it: once more does no harm */
		if (!known)
			claim->replaces = false;
		if (!known || (known > 0 && claim->replaces && same_place(&held, &claim->before)))
			return KNOWN_NOT;
		store_unclaim(s, claim);
		rc = known < 0 ? known : compare(s, &claim->key, &held, bytes, len);
		if (rc == KNOWN_SAME && !will_stay(s, &held))
			rc = KNOWN_DAMAGED;
		if (rc < 0 || rc == KNOWN_SAME)
			return rc;
		claim->replaces = true;
		claim->before = held;
	}
}

/* Of two records the one in the newer pack counts: was the good one taken in place of the damaged one? */
static int check_taken(struct store *s, const struct claim *claim)
{
	char text[KEY_TEXT_MAX];
	struct directory_entry now;
	int rc = directory_get(s->directory, &claim->key, &now);

	if (rc < 0)
		return rc;
	if (rc && !same_place(&now, &claim->before))
		return 0;
	key_text(&claim->key, text);
	return err_set(EIO, "chunk %s: its damaged record could not be replaced", text);
}

static int enter(struct store *s, const struct claim *claim, const struct directory_entry *entry)
{
	int rc = directory_set(s->directory, &claim->key, entry);

	if (!rc && claim->replaces)
		rc = check_taken(s, claim);
	if (rc)
		return rc;
	scope_lock(&s->lock);
	if (claim->replaces)
		store_count(s, &claim->before, -1);
	store_count(s, entry, 1);
	return 0;
}

static int append_chunk(struct store *s, const struct claim *claim, size_t len, const void *payload, size_t payload_len,
			enum codec codec)
{
	struct pack_head head = { .kind = PACK_CHUNK,
				  .version = 1,
				  .codec = (uint8_t)codec,
				  .plain_len = (uint32_t)len,
				  .stored_len = (uint32_t)payload_len,
				  .key = claim->key };
	struct directory_entry entry = { .stored_len = head.stored_len,
					 .plain_len = head.plain_len,
					 .codec = head.codec };
	int rc = store_room(s, PACK_HEAD_BYTES + payload_len);

	if (!rc)
		rc = store_need_features(s, settings_codec_feature(codec));
	if (!rc && claim->replaces)
		rc = store_append_not_before(s, claim->before.pack);
	if (!rc)
		rc = store_append(s, &head, payload, &entry);
	if (!rc)
		rc = enter(s, claim, &entry);
	if (!rc)
		store_room_used(s, PACK_HEAD_BYTES + payload_len);
	return rc;
}

static int write_chunk(struct store *s, const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len,
		       const struct claim *claim)
{
	struct buf *payload = scratch_take(SCRATCH_PAYLOAD);
	enum codec codec;
	int rc = payload ? codec_encode_unless_plain(plan, off, bytes, len, payload, &codec) : -ENOMEM;

	if (rc)
		return rc;
	if (codec == CODEC_NONE)
		return append_chunk(s, claim, len, bytes, len, codec);
	return append_chunk(s, claim, len, payload->data, payload->len, codec);
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
		int written = write_chunk(s, plan, off, bytes, len, &claim);

		store_unclaim(s, &claim);
		if (written)
			return written;
	}
	scope_lock(&s->lock);
	s->stats.put_bytes += len;
	s->stats.duplicate_bytes += rc == KNOWN_SAME ? len : 0;
	return 0;
}
