/*
 * A part of a chunk: decoded alone where that is worth it. Whatever goes wrong with it, the whole chunk is tried then, which says
 * what it is.
 */
#include <errno.h>

#include "store/arena.h"
#include "store/err.h"
#include "store/store_internal.h"

enum { SHARE = 4 }; /* for a part of more than a fourth of a chunk, or one that reaches into its last fourth, all of it is decoded */

/* Whoever takes a chunk apart piece by piece has it decoded twice at most: from the second piece on it comes from the cache. */
static bool is_worth_it(struct store *s, const struct key *key, size_t chunk_len, size_t skip, size_t len)
{
	return chunk_len <= CHUNK_MAX && len && len <= chunk_len / SHARE && skip + len <= chunk_len - chunk_len / SHARE &&
	       cache_is_new(s->cache, key);
}

static bool decode(struct store *s, const struct key *key, size_t chunk_len, size_t skip, size_t len, struct store_part *part)
{
	struct directory_entry entry;

	part->room = arena_get(s->records, chunk_len);
	if (!part->room)
		return false;
	part->room_len = chunk_len;
	if (directory_get(s->directory, key, &entry) == 1 && entry.plain_len == chunk_len &&
	    !store_fetch_first(s, key, &entry, part->room, skip + len)) {
		part->bytes = (uint8_t *)part->room + skip;
		return true;
	}
	store_drop_part(s, part, false);
	return false;
}

int store_get_part(struct store *s, const struct key *key, size_t chunk_len, size_t skip, size_t len, struct store_part *part)
{
	int rc;

	*part = (struct store_part){ 0 };
	if (skip > chunk_len || len > chunk_len - skip)
		return err_set(EIO, "bytes %zu to %zu of a chunk of %zu bytes do not exist", skip, skip + len, chunk_len);
	if (is_worth_it(s, key, chunk_len, skip, len) && decode(s, key, chunk_len, skip, len, part))
		return 0;
	rc = store_get(s, key, chunk_len, &part->chunk);
	if (!rc)
		part->bytes = part->chunk->bytes + skip;
	return rc;
}

void store_drop_part(struct store *s, struct store_part *part, bool done)
{
	if (part->chunk)
		store_drop(s, part->chunk, done);
	if (part->room)
		arena_put(s->records, part->room, part->room_len);
	*part = (struct store_part){ 0 };
}
