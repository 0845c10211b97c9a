/*
 * codec_bits: the payload of CODEC_BITS, packed bits of predicted pixels (bitpack.h):
 *
 *     u8 predictor   u8 sample_bytes   u8 order (1: big-endian, 2: IEEE numbers)   u8 step   u8 shift   u8[3] 0
 *     u32 row_bytes   u32 bytes of the packed widths
 *     the bytes at the end that do not fill a sample   the packed widths   the packed samples
 *
 * Part of codec (codec_internal.h).
 */
#ifndef TOMOFS_CODEC_BITS_H
#define TOMOFS_CODEC_BITS_H

#include "store/bitpack.h"
#include "store/buf.h"

enum { BITS_HEAD_BYTES = 16 };

struct bits_room { /* of one thread; zeroed: empty */
	struct buf widths, samples;
};
void bits_room_free(struct bits_room *room);

/* Appends the payload. 0 or -ENOMEM. */
int bits_encode(struct bits_room *room, const struct bitpack *b, const uint8_t *bytes, size_t len, struct buf *out);
/* As codec_decode_first(). */
int bits_decode(struct bits_room *room, const uint8_t *payload, size_t payload_len, uint8_t *to, size_t len, size_t want);
/* 1: the payload decodes to these bytes; 0: to others; -errno as bits_decode(). */
int bits_matches(struct bits_room *room, const uint8_t *payload, size_t payload_len, const uint8_t *bytes, size_t len);
/* The head; false: not one that this version knows. */
bool bits_head_get(struct cursor *from, struct bitpack *b, uint32_t *widths_len);

#endif
