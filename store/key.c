#include "store/key.h"

#include "store/xxh3.h"

struct key key_of(const uint8_t secret[KEY_SECRET_BYTES], const void *bytes, size_t len)
{
	XXH128_canonical_t canonical;
	struct key key;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSecret(bytes, len, secret, KEY_SECRET_BYTES));
	_Static_assert(sizeof canonical.digest == KEY_BYTES, "a key is one XXH128");
	memcpy(key.bytes, canonical.digest, KEY_BYTES);
	if (key_is_hole(&key))
		key.bytes[KEY_BYTES - 1] = 1;
	return key;
}

void key_text(const struct key *k, char text[KEY_TEXT_MAX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < KEY_BYTES; i++) {
		text[2 * i] = digits[k->bytes[i] >> 4];
		text[2 * i + 1] = digits[k->bytes[i] & 15];
	}
	text[2 * KEY_BYTES] = 0;
}
