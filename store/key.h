/*
 * key: the name of a chunk: XXH3-128 of its plain bytes under the store's own secret (DESIGN section 3).
 *
 * A key is a hint and not a proof of equality: whoever finds a key that is already there compares the bytes.
 * The all-zero key is never given to a chunk (a hash that comes out zero becomes 1); it means a hole in an extent.
 */
#ifndef TOMOFS_KEY_H
#define TOMOFS_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { KEY_BYTES = 16, KEY_SECRET_BYTES = 192, KEY_TEXT_MAX = 33 };

struct key {
	uint8_t bytes[KEY_BYTES]; /* canonical (big-endian) XXH128, so that memcmp() orders keys */
};

struct key key_of(const uint8_t secret[KEY_SECRET_BYTES], const void *bytes, size_t len);

static inline bool key_equal(const struct key *a, const struct key *b)
{
	return memcmp(a->bytes, b->bytes, KEY_BYTES) == 0;
}
static inline bool key_is_hole(const struct key *k)
{
	static const struct key zero;

	return key_equal(k, &zero);
}
/* 32 hex digits and NUL. */
void key_text(const struct key *k, char text[KEY_TEXT_MAX]);

#endif
