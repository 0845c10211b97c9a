/*
 * The codec for samples of images. Its payload: the head of a prediction; the values, if samples are ranks among them; what does
 * not fill a sample at the end of the bytes; the coded residuals (residual.h).
 */
#include <errno.h>
#include <string.h>

#include "store/codec_internal.h"
#include "store/err.h"
#include "store/residual.h"

/* ---- head ---- */

static void prediction_put(struct buf *out, const struct prediction *p, bool ranked)
{
	buf_u8(out, 1);
	buf_u8(out, p->width);
	buf_u8(out, p->big_endian);
	buf_u8(out, p->order);
	buf_u8(out, p->shift);
	buf_u8(out, ranked);
	buf_u16(out, 0);
	buf_u32(out, p->row);
	for (int k = 0; k < PREDICT_TAPS; k++)
		buf_u16(out, (uint16_t)p->weight[k]);
}

/* False: not one that this version knows. */
static bool prediction_get(struct cursor *from, struct prediction *p, bool *ranked)
{
	bool known = cursor_u8(from) == 1;
	uint8_t flag;

	p->width = cursor_u8(from);
	p->big_endian = cursor_u8(from);
	p->order = cursor_u8(from);
	p->shift = cursor_u8(from);
	flag = cursor_u8(from);
	*ranked = flag;
	known &= flag <= 1 && !cursor_u16(from);
	p->row = cursor_u32(from);
	for (int k = 0; k < PREDICT_TAPS; k++)
		p->weight[k] = (int16_t)cursor_u16(from);
	return known && !cursor_failed(from) && predict_valid(p);
}

/* ---- encode ---- */

static int encode_predicted(struct coder *c, const struct way *way, const void *bytes, size_t len, struct buf *filtered,
			    struct buf *out)
{
	const struct prediction *p = &way->prediction;
	size_t width = way->ranked ? c->values.type.width : p->width, count = len / width;
	uint8_t *residuals = coder_scratch(filtered, len);
	int rc;

	if (!residuals)
		return coder_no_memory();
	rc = predict_apply(p, way->ranked ? c->ranks.data : bytes, count, residuals);
	if (rc)
		return rc;
	prediction_put(out, p, way->ranked);
	if (way->ranked)
		values_put(out, &c->values);
	buf_put(out, (const uint8_t *)bytes + count * width, len % width);
	rc = residual_encode(residuals, p->width, count, p->row, out);
	return !rc && buf_failed(out) ? coder_no_memory() : rc;
}

/* ---- decode ---- */

static int decode_samples(struct coder *c, const struct prediction *p, struct cursor *from, size_t count, uint8_t *to)
{
	uint8_t *residuals = coder_scratch(&c->filtered, count * p->width);
	int rc;

	if (!residuals)
		return coder_no_memory();
	rc = residual_decode(from->at, cursor_left(from), p->width, count, p->row, residuals);
	return rc ? rc : predict_undo(p, residuals, count, to);
}

static int decode_ranks(struct coder *c, const struct prediction *p, struct cursor *from, size_t count, uint8_t *to)
{
	uint8_t *ranks = coder_scratch(&c->ranks, count * p->width);
	int rc;

	if (!ranks)
		return coder_no_memory();
	rc = decode_samples(c, p, from, count, ranks);
	if (!rc)
		values_unrank(&c->values, ranks, count, to);
	return rc;
}

static int decode_predicted(struct coder *c, const void *payload, size_t payload_len, void *to, size_t len)
{
	struct cursor from = cursor_of(payload, payload_len);
	struct prediction p = { 0 };
	size_t width, rest;
	const uint8_t *left_over;
	bool ranked;
	int rc = 0;

	if (!prediction_get(&from, &p, &ranked))
		return err_set(EBADMSG, "it has an unknown prediction");
	if (ranked)
		rc = values_get(&from, &c->values);
	if (rc == -ENOMEM)
		return coder_no_memory();
	if (rc || (ranked && p.width != values_rank_width(&c->values)))
		return err_set(EBADMSG, "its values are damaged");
	width = ranked ? c->values.type.width : p.width;
	rest = len % width;
	left_over = cursor_bytes(&from, rest);
	if (cursor_failed(&from))
		return err_set(EBADMSG, "its payload is too short");
	if (rest)
		memcpy((uint8_t *)to + len - rest, left_over, rest);
	return ranked ? decode_ranks(c, &p, &from, len / width, to) : decode_samples(c, &p, &from, len / width, to);
}

/* ---- plan ---- */

static bool plan_predicted(struct cursor *head, struct chunk_plan *plan)
{
	struct prediction p = { 0 };
	bool ranked;
	uint64_t row;

	if (!prediction_get(head, &p, &ranked))
		return false;
	row = p.row;
	if (ranked && !values_get_type(head, &p))
		return false;
	plan->is_float = p.order == ORDER_FLOAT;
	return codec_plan_rows(plan, p.width, p.big_endian, row * p.width);
}

const struct codec_row codec_predict = { "predict", encode_predicted, decode_predicted, plan_predicted };
