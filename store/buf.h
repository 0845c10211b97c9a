/*
 * buf: a growing byte buffer to write into, and a cursor to read from. All numbers are little-endian.
 *
 * Both have sticky failure, so that an encoder or a parser is straight-line code with one check at its end:
 * a buf whose growth failed (no memory, or above its limit) drops further bytes and buf_failed() says so; a cursor that
 * was asked for more than is there returns zeros and cursor_failed() says so.
 *
 * No locks: one thread at a time.
 */
#ifndef TOMOFS_BUF_H
#define TOMOFS_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/scope.h"

struct buf {
	uint8_t *data; /* owned; NULL when nothing was put */
	size_t len;
	size_t cap;
	bool failed;
};

/* Frees the bytes and makes it empty again. A zeroed struct buf is empty and valid. */
void buf_free(struct buf *b);
#define scope_buf SCOPE_CLEANUP(buf_free)

/* len = 0, memory kept. */
void buf_clear(struct buf *b);
bool buf_failed(const struct buf *b);

/* Room for more bytes; returns where they go (then set b->len yourself), or NULL when failed. */
uint8_t *buf_reserve(struct buf *b, size_t more);

void buf_put(struct buf *b, const void *bytes, size_t len);
void buf_u8(struct buf *b, uint8_t v);
void buf_u16(struct buf *b, uint16_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
/* LEB128: 7 bits a byte, low bits first. */
void buf_varint(struct buf *b, uint64_t v);
/* varint length, then the bytes. */
void buf_block(struct buf *b, const void *bytes, size_t len);
/* As buf_block() with strlen(); NULL is the empty string. */
void buf_string(struct buf *b, const char *text);
/* Appends formatted text without a terminating NUL. */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);
/* A NUL-terminated view of the content (the NUL is not counted in len); "" when failed. Owned by the buf. */
const char *buf_text(struct buf *b);

struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

struct cursor cursor_of(const void *bytes, size_t len);
bool cursor_failed(const struct cursor *c);
size_t cursor_left(const struct cursor *c);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
uint64_t cursor_varint(struct cursor *c);
/* The next len bytes in place (not copied), or NULL. */
const uint8_t *cursor_bytes(struct cursor *c, size_t len);
/* A block written by buf_block(), in place; *len is 0 and the result NULL when failed. */
const uint8_t *cursor_block(struct cursor *c, size_t *len);
/* A block as a new NUL-terminated string (caller frees); NULL when failed. Fails when it holds a NUL byte. */
char *cursor_string(struct cursor *c);

#endif
