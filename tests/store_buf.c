/* Buffers and cursors: what was put comes back; foreign bytes end in failure and never beyond their end. Keys,
 * sentences. */
#include "store/buf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/key.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"

static const uint64_t numbers[] = { 0,	       1,     127,   128,     255,	  256,	      16383,
				    16384,     65535, 65536, 1 << 24, UINT32_MAX, 1ULL << 32, UINT64_MAX / 2,
				    UINT64_MAX };
static const char *const texts[] = { "", "a", "slice_0412.tif", "\xc3\xa9\n\t\"" };

enum { NUMBERS = sizeof numbers / sizeof *numbers, TEXTS = sizeof texts / sizeof *texts };

static void put_all(struct buf *b)
{
	for (size_t i = 0; i < NUMBERS; i++) {
		buf_u8(b, (uint8_t)numbers[i]);
		buf_u16(b, (uint16_t)numbers[i]);
		buf_u32(b, (uint32_t)numbers[i]);
		buf_u64(b, numbers[i]);
		buf_varint(b, numbers[i]);
	}
	for (size_t i = 0; i < TEXTS; i++)
		buf_string(b, texts[i]);
	buf_string(b, NULL);
}

/* True when all of it is there and as it was put. */
static bool get_all(struct cursor *c)
{
	bool same = true;

	for (size_t i = 0; i < NUMBERS; i++) {
		same &= cursor_u8(c) == (uint8_t)numbers[i];
		same &= cursor_u16(c) == (uint16_t)numbers[i];
		same &= cursor_u32(c) == (uint32_t)numbers[i];
		same &= cursor_u64(c) == numbers[i];
		same &= cursor_varint(c) == numbers[i];
	}
	for (size_t i = 0; i <= TEXTS; i++) {
		scope_free char *text = cursor_string(c);

		same &= text && strcmp(text, i < TEXTS ? texts[i] : "") == 0;
	}
	return same && !cursor_failed(c);
}

static void test_round_trip(void)
{
	scope_buf struct buf b = { 0 };
	struct cursor c;

	put_all(&b);
	CHECK(!buf_failed(&b));
	c = cursor_of(b.data, b.len);
	CHECK(get_all(&c) && cursor_left(&c) == 0);
	CHECK(cursor_u8(&c) == 0 && cursor_failed(&c) && cursor_bytes(&c, 0) == NULL);
	for (size_t len = 0; len < b.len; len++) { /* a shorter one fails, wherever it ends */
		c = cursor_of(b.data, len);
		CHECK(!get_all(&c) && cursor_failed(&c));
	}
}

static void test_foreign_bytes(void)
{
	uint8_t bytes[64];
	uint64_t seed = 1;

	for (int i = 0; i < 20000; i++) {
		size_t len = random_below(&seed, sizeof bytes + 1), block_len;
		struct cursor c = cursor_of(bytes, len);
		const uint8_t *block;
		char *text;

		random_fill(bytes, len, random_next(&seed));
		cursor_varint(&c);
		block = cursor_block(&c, &block_len);
		CHECK(block ? block >= bytes && block + block_len <= bytes + len : block_len == 0);
		text = cursor_string(&c);
		CHECK(!text || strlen(text) < len);
		free(text);
		CHECK(cursor_left(&c) <= len);
	}
}

static void test_varint_limits(void)
{
	static const uint8_t most[] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 1 };
	static const uint8_t too_big[] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 2 };
	static const uint8_t too_long[] = { 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0 };
	struct cursor c = cursor_of(most, sizeof most);

	CHECK(cursor_varint(&c) == UINT64_MAX && !cursor_failed(&c));
	c = cursor_of(too_big, sizeof too_big);
	CHECK(cursor_varint(&c) == 0 && cursor_failed(&c));
	c = cursor_of(too_long, sizeof too_long);
	CHECK(cursor_varint(&c) == 0 && cursor_failed(&c));
}

static void test_strings(void)
{
	scope_buf struct buf b = { 0 };
	struct cursor c;

	buf_printf(&b, "%s has %d of %d", "scan", 7, 9);
	CHECK(strcmp(buf_text(&b), "scan has 7 of 9") == 0 && b.len == 15);
	buf_clear(&b);
	CHECK(strcmp(buf_text(&b), "") == 0 && b.len == 0);
	buf_block(&b, "a\0b", 3);
	c = cursor_of(b.data, b.len);
	CHECK(cursor_string(&c) == NULL && cursor_failed(&c)); /* a name with a NUL is no name */
	CHECK(buf_reserve(&b, SIZE_MAX) == NULL && buf_failed(&b));
	buf_u8(&b, 1);
	CHECK(b.len == 4 && strcmp(buf_text(&b), "") == 0);
}

static void test_err(void)
{
	CHECK(err_set(ENOENT, "strip %d", 3) == -ENOENT);
	CHECK(err_wrap(-ENOENT, "slice_%04d.tif", 412) == -ENOENT);
	CHECK(strcmp(err_text(), "slice_0412.tif: strip 3") == 0);
	errno = EACCES;
	CHECK(err_sys("open %s", err_text()) == -EACCES);
	CHECK(strcmp(err_text(), "open slice_0412.tif: strip 3: Permission denied") == 0);
	for (int i = 0; i < 300; i++)
		err_wrap(-EIO, "a long noun");
	CHECK(strlen(err_text()) == 1023);
}

static void test_key(void)
{
	uint8_t secret[KEY_SECRET_BYTES], other[KEY_SECRET_BYTES], bytes[1000];
	struct key a, b;
	char text[KEY_TEXT_MAX];

	random_fill(secret, sizeof secret, 1);
	random_fill(other, sizeof other, 2);
	random_fill(bytes, sizeof bytes, 3);
	for (size_t len = 1; len < sizeof bytes; len += 13) {
		a = key_of(secret, bytes, len);
		b = key_of(secret, bytes, len);
		CHECK(key_equal(&a, &b) && !key_is_hole(&a));
		b = key_of(other, bytes, len);
		CHECK(!key_equal(&a, &b));
		b = key_of(secret, bytes, len - 1);
		CHECK(!key_equal(&a, &b));
	}
	a = key_of(secret, bytes, sizeof bytes);
	key_text(&a, text);
	CHECK(strcmp(text, "542059964723ffea5fa1c89f8d909fa6") == 0); /* fixed by the format */
	a = (struct key) { { 0 } };
	CHECK(key_is_hole(&a));
}

int main(void)
{
	test_round_trip();
	test_foreign_bytes();
	test_varint_limits();
	test_strings();
	test_err();
	test_key();
	return check_done();
}
