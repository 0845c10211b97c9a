#include <errno.h>
#include <string.h>

#include "index/record.h"
#include "store/err.h"

enum { CONTENT_VERSION = 1, FLAG_SHA256 = 1 };

static void put_extents(struct buf *out, const struct extent *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		buf_put(out, list[i].key.bytes, KEY_BYTES);
		buf_varint(out, list[i].len);
	}
}

/* Sum of the lengths in *sum; false: not enough bytes, an empty extent, or a sum that overflows. */
static bool get_extents(struct cursor *in, struct extent *list, size_t count, uint64_t *sum)
{
	*sum = 0;
	for (size_t i = 0; i < count; i++) {
		const uint8_t *key = cursor_bytes(in, KEY_BYTES);

		list[i].len = cursor_varint(in);
		if (cursor_failed(in) || !list[i].len || __builtin_add_overflow(*sum, list[i].len, sum))
			return false;
		memcpy(list[i].key.bytes, key, KEY_BYTES);
	}
	return true;
}

void content_encode(struct buf *out, const struct content *c)
{
	buf_u8(out, CONTENT_VERSION);
	buf_varint(out, c->size);
	buf_u8(out, c->sha256_known ? FLAG_SHA256 : 0);
	if (c->sha256_known)
		buf_put(out, c->sha256, sizeof c->sha256);
	buf_u8(out, c->depth);
	buf_u8(out, (uint8_t)c->count);
	put_extents(out, c->extents, c->count);
}

int content_decode(struct cursor *in, struct content *c)
{
	uint8_t version = cursor_u8(in), flags;
	const uint8_t *sha;
	uint64_t sum = 0;

	memset(c, 0, sizeof *c);
	c->size = cursor_varint(in);
	flags = cursor_u8(in);
	c->sha256_known = flags & FLAG_SHA256;
	if (c->sha256_known) {
		sha = cursor_bytes(in, sizeof c->sha256);
		if (sha)
			memcpy(c->sha256, sha, sizeof c->sha256);
	}
	c->depth = cursor_u8(in);
	c->count = cursor_u8(in);
	if (cursor_failed(in) || version != CONTENT_VERSION || flags & ~FLAG_SHA256 || c->depth > CONTENT_DEPTH_MAX ||
	    c->count > CONTENT_INLINE_MAX || !get_extents(in, c->extents, c->count, &sum) || sum != c->size) {
		memset(c, 0, sizeof *c);
		return err_set(EBADMSG, "the content of a file makes no sense");
	}
	return 0;
}

void content_node_encode(struct buf *out, const struct extent *extents, size_t count)
{
	buf_u8(out, CONTENT_VERSION);
	buf_varint(out, count);
	put_extents(out, extents, count);
}

int content_node_decode(const void *bytes, size_t len, struct extent *extents, size_t *count)
{
	struct cursor in = cursor_of(bytes, len);
	uint8_t version = cursor_u8(&in);
	uint64_t n = cursor_varint(&in), sum;

	if (cursor_failed(&in) || version != CONTENT_VERSION || !n || n > CONTENT_NODE_MAX ||
	    !get_extents(&in, extents, (size_t)n, &sum) || cursor_left(&in))
		return err_set(EBADMSG, "a node of a file's tree makes no sense");
	*count = (size_t)n;
	return 0;
}
