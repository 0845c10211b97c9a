#include "store/buf.h"

#include <stdio.h>
#include <string.h>

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
}

bool buf_failed(const struct buf *b)
{
	return b->failed;
}

uint8_t *buf_reserve(struct buf *b, size_t more)
{
	size_t need, cap = b->cap ? b->cap : 64;
	uint8_t *data;

	if (b->failed || __builtin_add_overflow(b->len, more, &need)) {
		b->failed = true;
		return NULL;
	}
	if (need <= b->cap)
		return b->data + b->len;
	while (cap < need)
		cap += cap / 2;
	data = realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return NULL;
	}
	b->data = data;
	b->cap = cap;
	return b->data + b->len;
}

void buf_put(struct buf *b, const void *bytes, size_t len)
{
	uint8_t *to;

	if (!len)
		return;
	to = buf_reserve(b, len);
	if (!to)
		return;
	memcpy(to, bytes, len);
	b->len += len;
}

static void put_le(struct buf *b, uint64_t v, size_t bytes)
{
	uint8_t raw[8];

	for (size_t i = 0; i < bytes; i++)
		raw[i] = (uint8_t)(v >> (8 * i));
	buf_put(b, raw, bytes);
}

void buf_u8(struct buf *b, uint8_t v)
{
	put_le(b, v, 1);
}

void buf_u16(struct buf *b, uint16_t v)
{
	put_le(b, v, 2);
}

void buf_u32(struct buf *b, uint32_t v)
{
	put_le(b, v, 4);
}

void buf_u64(struct buf *b, uint64_t v)
{
	put_le(b, v, 8);
}

void buf_varint(struct buf *b, uint64_t v)
{
	while (v >= 0x80) {
		buf_u8(b, (uint8_t)(v | 0x80));
		v >>= 7;
	}
	buf_u8(b, (uint8_t)v);
}

void buf_block(struct buf *b, const void *bytes, size_t len)
{
	buf_varint(b, len);
	buf_put(b, bytes, len);
}

void buf_string(struct buf *b, const char *text)
{
	buf_block(b, text, text ? strlen(text) : 0);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int len;

	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	if (len >= 0 && buf_reserve(b, (size_t)len + 1)) {
		vsnprintf((char *)b->data + b->len, (size_t)len + 1, fmt, again);
		b->len += (size_t)len;
	} else {
		b->failed = true;
	}
	va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

const char *buf_text(struct buf *b)
{
	uint8_t *end = buf_reserve(b, 1);

	if (!end)
		return "";
	*end = 0;
	return (const char *)b->data;
}

struct cursor cursor_of(const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	return (struct cursor){ .at = at, .end = at ? at + len : at };
}

bool cursor_failed(const struct cursor *c)
{
	return c->failed;
}

size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

const uint8_t *cursor_bytes(struct cursor *c, size_t len)
{
	const uint8_t *at = c->at;

	if (c->failed || cursor_left(c) < len) {
		c->failed = true;
		return NULL;
	}
	c->at += len;
	return at;
}

static uint64_t get_le(struct cursor *c, size_t bytes)
{
	const uint8_t *raw = cursor_bytes(c, bytes);
	uint64_t v = 0;

	for (size_t i = 0; raw && i < bytes; i++)
		v |= (uint64_t)raw[i] << (8 * i);
	return v;
}

uint8_t cursor_u8(struct cursor *c)
{
	return (uint8_t)get_le(c, 1);
}

uint16_t cursor_u16(struct cursor *c)
{
	return (uint16_t)get_le(c, 2);
}

uint32_t cursor_u32(struct cursor *c)
{
	return (uint32_t)get_le(c, 4);
}

uint64_t cursor_u64(struct cursor *c)
{
	return get_le(c, 8);
}

uint64_t cursor_varint(struct cursor *c)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = cursor_u8(c);

		if (shift == 63 && byte > 1)
			break;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return c->failed ? 0 : v;
	}
	c->failed = true;
	return 0;
}

const uint8_t *cursor_block(struct cursor *c, size_t *len)
{
	uint64_t n = cursor_varint(c);
	const uint8_t *at = cursor_bytes(c, n);

	*len = at ? n : 0;
	return at;
}

char *cursor_string(struct cursor *c)
{
	size_t len;
	const uint8_t *at = cursor_block(c, &len);
	char *text;

	if (!at || memchr(at, 0, len)) {
		c->failed = true;
		return NULL;
	}
	text = malloc(len + 1);
	if (!text) {
		c->failed = true;
		return NULL;
	}
	memcpy(text, at, len);
	text[len] = 0;
	return text;
}
