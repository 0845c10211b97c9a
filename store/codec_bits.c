#include <errno.h>
#include <string.h>

#include "store/codec_internal.h"
#include "store/err.h"

enum { ORDER_BIG_ENDIAN = 1, ORDER_IEEE = 2 };

void bits_room_free(struct bits_room *room)
{
	buf_free(&room->widths);
	buf_free(&room->samples);
}

static uint8_t *room_of(struct buf *b, size_t len)
{
	buf_clear(b);
	return buf_reserve(b, len + 1); /* also for none */
}

static void head_put(struct buf *out, const struct bitpack *b)
{
	buf_u8(out, b->predictor);
	buf_u8(out, b->sample_bytes);
	buf_u8(out, (uint8_t)((b->big_endian ? ORDER_BIG_ENDIAN : 0) | (b->is_float ? ORDER_IEEE : 0)));
	buf_u8(out, b->step);
	buf_u32(out, b->shift); /* and three zero bytes */
	buf_u32(out, b->row_bytes);
}

bool bits_head_get(struct cursor *from, struct bitpack *b, uint32_t *widths_len)
{
	uint32_t order, shift;

	b->predictor = cursor_u8(from);
	b->sample_bytes = cursor_u8(from);
	order = cursor_u8(from);
	b->step = cursor_u8(from);
	shift = cursor_u32(from);
	b->row_bytes = cursor_u32(from);
	*widths_len = cursor_u32(from);
	b->big_endian = (order & ORDER_BIG_ENDIAN) != 0;
	b->is_float = (order & ORDER_IEEE) != 0;
	b->shift = (uint8_t)shift;
	return !cursor_failed(from) && order <= (ORDER_BIG_ENDIAN | ORDER_IEEE) && shift <= UINT8_MAX && bitpack_valid(b);
}

/* Room for the whole payload is there: nothing is copied again. */
static void encode_body(const struct bitpack *b, const uint8_t *bytes, size_t len, uint8_t *widths, uint8_t *samples,
			struct buf *out)
{
	size_t blocks = bitpack_blocks(b, len), rest = len % b->sample_bytes, packed;
	uint8_t *to = out->data + out->len + sizeof(uint32_t) + rest;
	size_t widths_len;

	/* The samples go where they end up when their widths take all of their room, and are moved up then. */
	packed = bitpack_pack(b, bytes, len, widths, to + bitpack_widths_room(blocks), samples);
	widths_len = bitpack_pack_widths(widths, blocks, to);
	memmove(to + widths_len, to + bitpack_widths_room(blocks), packed);
	buf_u32(out, (uint32_t)widths_len);
	buf_put(out, bytes + len - rest, rest);
	out->len += widths_len + packed;
}

int bits_encode(struct bits_room *room, const struct bitpack *b, const uint8_t *bytes, size_t len, struct buf *out)
{
	size_t blocks = bitpack_blocks(b, len);
	uint8_t *widths = room_of(&room->widths, blocks), *samples = room_of(&room->samples, len);

	if (!widths || !samples ||
	    !buf_reserve(out, BITS_HEAD_BYTES + sizeof(uint64_t) + bitpack_widths_room(blocks) + len + BITPACK_SLACK))
		return coder_no_memory();
	head_put(out, b);
	encode_body(b, bytes, len, widths, samples, out);
	return buf_failed(out) ? coder_no_memory() : 0;
}

/* A payload's parts. */
struct parts {
	struct bitpack b;
	const uint8_t *rest, *widths, *packed;
	size_t rest_len, packed_len;
};

/* 0; -EBADMSG or -ENOMEM with a sentence. The widths are in room. */
static int take_apart(struct bits_room *room, const uint8_t *payload, size_t payload_len, size_t len, struct parts *parts)
{
	struct cursor from = cursor_of(payload, payload_len);
	const uint8_t *packed_widths;
	uint32_t widths_len;
	uint8_t *widths;
	size_t blocks;

	if (!bits_head_get(&from, &parts->b, &widths_len))
		return err_set(EBADMSG, "it has an unknown packing");
	parts->rest_len = len % parts->b.sample_bytes;
	parts->rest = cursor_bytes(&from, parts->rest_len);
	packed_widths = cursor_bytes(&from, widths_len);
	blocks = bitpack_blocks(&parts->b, len);
	widths = room_of(&room->widths, blocks + BITPACK_BLOCK);
	if (!widths)
		return coder_no_memory();
	parts->widths = widths;
	parts->packed = from.at;
	parts->packed_len = cursor_left(&from);
	if (cursor_failed(&from) || bitpack_unpack_widths(packed_widths, widths_len, widths, blocks) != widths_len ||
	    bitpack_size(&parts->b, widths, blocks) != parts->packed_len)
		return err_set(EBADMSG, "its packing is damaged");
	return 0;
}

int bits_decode(struct bits_room *room, const uint8_t *payload, size_t payload_len, uint8_t *to, size_t len, size_t want)
{
	struct parts parts;
	int rc = take_apart(room, payload, payload_len, len, &parts);
	size_t block;

	if (rc)
		return rc;
	block = (size_t)BITPACK_BLOCK * parts.b.sample_bytes;
	want = (want + block - 1) / block * block; /* no sample depends on later ones */
	bitpack_unpack(&parts.b, parts.widths, parts.packed, parts.packed_len, to, want < len ? want : len);
	if (want >= len)
		memcpy(to + len - parts.rest_len, parts.rest, parts.rest_len);
	return 0;
}

int bits_matches(struct bits_room *room, const uint8_t *payload, size_t payload_len, const uint8_t *bytes, size_t len)
{
	struct parts parts;
	uint8_t *scratch = room_of(&room->samples, len);
	int rc = scratch ? take_apart(room, payload, payload_len, len, &parts) : coder_no_memory();

	if (rc)
		return rc;
	return bitpack_matches(&parts.b, parts.widths, parts.packed, parts.packed_len, bytes, len, scratch) &&
	       memcmp(bytes + len - parts.rest_len, parts.rest, parts.rest_len) == 0;
}

/* ---- as a codec ---- */

static int encode_bits(struct coder *c, const struct way *way, const void *bytes, size_t len, struct buf *filtered,
		       struct buf *out)
{
	(void)filtered;
	return bits_encode(&c->bits, &way->bitpack, bytes, len, out);
}

static int decode_bits(struct coder *c, const void *payload, size_t payload_len, void *to, size_t len, size_t want)
{
	return bits_decode(&c->bits, payload, payload_len, to, len, want);
}

static bool plan_bits(struct cursor *head, struct chunk_plan *plan)
{
	struct bitpack b;
	uint32_t widths_len;

	if (!bits_head_get(head, &b, &widths_len) || !codec_plan_rows(plan, b.sample_bytes, b.big_endian, b.row_bytes))
		return false;
	plan->is_float = b.is_float;
	plan->samples = b.step;
	return true;
}

static int matches_bits(struct coder *c, const void *payload, size_t payload_len, const void *bytes, size_t len)
{
	return bits_matches(&c->bits, payload, payload_len, bytes, len);
}

const struct codec_row codec_bits = { "bits", encode_bits, decode_bits, plan_bits, matches_bits };
