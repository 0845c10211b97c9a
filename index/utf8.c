#include "index/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { NOT_UTF8 = 0x110000 };

/* Bytes of the character that lead begins, 0 for none; *min is the least character that needs so many. */
static unsigned length_of(uint8_t lead, uint32_t *min)
{
	if (lead < 0x80)
		return *min = 0, 1;
	if (lead >= 0xc2 && lead < 0xe0)
		return *min = 0x80, 2;
	if (lead >= 0xe0 && lead < 0xf0)
		return *min = 0x800, 3;
	if (lead >= 0xf0 && lead < 0xf5)
		return *min = 0x10000, 4;
	return 0;
}

uint32_t utf8_next(const char **text)
{
	const uint8_t *at = (const uint8_t *)*text;
	uint32_t min, c = *at;
	unsigned len = length_of(*at, &min);

	if (!c)
		return 0;
	++*text;
	if (len == 1)
		return c;
	if (len)
		c &= 0x7fU >> len;
	for (unsigned i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return NOT_UTF8 + *at;
		c = c << 6 | (at[i] & 0x3f);
	}
	if (!len || c < min || c >= NOT_UTF8 || (c >= 0xd800 && c < 0xe000))
		return NOT_UTF8 + *at;
	*text = (const char *)at + len;
	return c;
}

bool utf8_valid(const char *text)
{
	for (;;) {
		uint32_t c = utf8_next(&text);

		if (!c)
			return true;
		if (c >= NOT_UTF8)
			return false;
	}
}

static uint32_t fold_latin(uint32_t c)
{
	if (c == 0xb5)
		return 0x3bc; /* the micro sign is a mu */
	if (c >= 0xc0 && c <= 0xde && c != 0xd7)
		return c + 32;
	if (c == 0x130 || c == 0x131)
		return 'i'; /* the Turkish i with and without dot */
	if (c == 0x178)
		return 0xff;
	if (c == 0x17f)
		return 's';
	if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
		return c & 1 ? c + 1 : c;
	if ((c >= 0x100 && c <= 0x137) || (c >= 0x14a && c <= 0x177) || (c >= 0x1e00 && c <= 0x1e95) ||
	    (c >= 0x1ea0 && c <= 0x1eff))
		return c | 1;
	return c == 0x1e9e ? 0xdf : c;
}

static uint32_t fold_greek(uint32_t c)
{
	static const uint32_t accents[][2] = { { 0x386, 0x3ac }, { 0x388, 0x3ad }, { 0x389, 0x3ae }, { 0x38a, 0x3af },
					       { 0x38c, 0x3cc }, { 0x38e, 0x3cd }, { 0x38f, 0x3ce } };

	if (c == 0x3c2)
		return 0x3c3; /* the sigma at the end of a word */
	if (c >= 0x391 && c <= 0x3ab)
		return c + 32;
	for (size_t i = 0; i < sizeof accents / sizeof *accents; i++)
		if (accents[i][0] == c)
			return accents[i][1];
	return c;
}

static uint32_t fold_cyrillic(uint32_t c)
{
	if (c <= 0x40f)
		return c + 80;
	if (c <= 0x42f)
		return c + 32;
	if ((c >= 0x460 && c <= 0x481) || (c >= 0x48a && c <= 0x4bf) || (c >= 0x4d0 && c <= 0x52f))
		return c | 1;
	if (c >= 0x4c1 && c <= 0x4ce)
		return c & 1 ? c + 1 : c;
	return c == 0x4c0 ? 0x4cf : c;
}

uint32_t utf8_fold(uint32_t c)
{
	if (c < 0x80)
		return c >= 'A' && c <= 'Z' ? c + 32 : c;
	if (c < 0x250 || (c >= 0x1e00 && c <= 0x1eff))
		return fold_latin(c);
	if (c >= 0x370 && c < 0x400)
		return fold_greek(c);
	if (c >= 0x400 && c < 0x530)
		return fold_cyrillic(c);
	return c;
}

static char *put(char *to, uint32_t c)
{
	if (c >= NOT_UTF8 || c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	return to;
}

char *utf8_folded(const char *text)
{
	char *folded = malloc(2 * strlen(text) + 1), *to = folded;
	uint32_t c;

	while (folded && (c = utf8_next(&text)))
		to = put(to, utf8_fold(c));
	if (folded)
		*to = 0;
	return folded;
}

/* Does text, folded, begin with folded? *whole: and is it no longer. */
static bool begins(const char *text, const char *folded, bool *whole)
{
	while (*folded)
		if (utf8_fold(utf8_next(&text)) != utf8_next(&folded))
			return false;
	*whole = !*text;
	return true;
}

bool utf8_contains(const char *text, const char *folded)
{
	bool whole;

	do {
		if (begins(text, folded, &whole))
			return true;
	} while (utf8_next(&text));
	return false;
}

bool utf8_equal(const char *text, const char *folded)
{
	bool whole;

	return begins(text, folded, &whole) && whole;
}
