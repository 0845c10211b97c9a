/*
 * The codec for samples of images. Its payload: a head; the values, if samples are ranks among them; what does not fill a sample
 * at the end of the bytes; the coded residuals (residual.h). Of the samples, or their ranks, planes are made where a pixel has more
 * than one, and these are predicted as one tall image.
 */
#include <errno.h>
#include <string.h>

#include "store/codec_internal.h"
#include "store/err.h"
#include "store/residual.h"

/* ---- head ---- */

struct head {
	struct prediction prediction;
	struct planes planes;
	bool ranked;
};

static void head_put(struct buf *out, const struct head *h)
{
	const struct prediction *p = &h->prediction;

	buf_u8(out, 1);
	buf_u8(out, p->width);
	buf_u8(out, p->big_endian);
	buf_u8(out, p->order);
	buf_u8(out, p->shift);
	buf_u8(out, h->ranked);
	buf_u8(out, h->planes.samples > 1 ? h->planes.samples : 0);
	buf_u8(out, h->planes.differences);
	buf_u32(out, p->row);
	for (int k = 0; k < PREDICT_TAPS; k++)
		buf_u16(out, (uint16_t)p->weight[k]);
}

/* False: not one that this version knows. */
static bool head_get(struct cursor *from, struct head *h)
{
	struct prediction *p = &h->prediction;
	bool known = cursor_u8(from) == 1;
	uint8_t flag;

	p->width = cursor_u8(from);
	p->big_endian = cursor_u8(from);
	p->order = cursor_u8(from);
	p->shift = cursor_u8(from);
	flag = cursor_u8(from);
	h->ranked = flag;
	h->planes.samples = cursor_u8(from);
	h->planes.differences = cursor_u8(from);
	p->row = cursor_u32(from);
	for (int k = 0; k < PREDICT_TAPS; k++)
		p->weight[k] = (int16_t)cursor_u16(from);
	return known && flag <= 1 && !cursor_failed(from) && predict_valid(p) && h->planes.samples != 1 &&
	       planes_valid(&h->planes, p);
}

/* ---- encode ---- */

/* The samples, or their ranks, or planes of these; NULL without memory. */
static const uint8_t *what_is_predicted(struct coder *c, const struct way *way, const void *bytes, size_t count)
{
	const uint8_t *from = way->ranked ? c->ranks.data : bytes;
	uint8_t *planes;

	if (way->planes.samples <= 1)
		return from;
	planes = coder_scratch(&c->planes, count * way->prediction.width);
	if (planes)
		planes_split(&way->planes, &way->prediction, from, count, planes);
	return planes;
}

static int encode_predicted(struct coder *c, const struct way *way, const void *bytes, size_t len, struct buf *filtered,
			    struct buf *out)
{
	const struct prediction *p = &way->prediction;
	size_t width = way->ranked ? c->values.type.width : p->width, count = len / width;
	uint8_t *residuals = coder_scratch(filtered, len);
	const uint8_t *from = what_is_predicted(c, way, bytes, count);
	int rc;

	if (!residuals || !from)
		return coder_no_memory();
	rc = predict_apply(p, from, count, residuals);
	if (rc)
		return rc;
	head_put(out, &(struct head) { *p, way->planes, way->ranked });
	if (way->ranked)
		values_put(out, &c->values);
	buf_put(out, (const uint8_t *)bytes + count * width, len % width);
	rc = residual_encode(residuals, p->width, count, p->row, out);
	return !rc && buf_failed(out) ? coder_no_memory() : rc;
}

/* ---- decode ---- */

/* No sample depends on a later row. */
static size_t in_whole_rows(const struct prediction *p, size_t count, size_t first)
{
	size_t rows = first / p->row + (first % p->row != 0);

	return rows < count / p->row ? rows * p->row : count;
}

static int decode_plane(struct coder *c, const struct prediction *p, struct cursor *from, size_t count, size_t first, uint8_t *to)
{
	uint8_t *residuals = coder_scratch(&c->filtered, count * p->width);
	int rc;

	if (!residuals)
		return coder_no_memory();
	first = in_whole_rows(p, count, first);
	rc = residual_decode_first(from->at, cursor_left(from), p->width, count, p->row, first, residuals);
	return rc ? rc : predict_undo(p, residuals, first, to);
}

/* The first samples, and maybe more. */
static int decode_samples(struct coder *c, const struct head *h, struct cursor *from, size_t count, size_t first, uint8_t *to)
{
	const struct prediction *p = &h->prediction;
	uint8_t *planes;
	int rc;

	if (h->planes.samples <= 1)
		return decode_plane(c, p, from, count, first, to);
	planes = coder_scratch(&c->planes, count * p->width);
	if (!planes)
		return coder_no_memory();
	rc = decode_plane(c, p, from, count, count, planes);
	if (!rc)
		planes_merge(&h->planes, p, planes, count, to);
	return rc;
}

static int decode_ranks(struct coder *c, const struct head *h, struct cursor *from, size_t count, size_t first, uint8_t *to)
{
	uint8_t *ranks = coder_scratch(&c->ranks, count * h->prediction.width);
	int rc;

	if (!ranks)
		return coder_no_memory();
	rc = decode_samples(c, h, from, count, first, ranks);
	if (!rc)
		values_unrank(&c->values, ranks, first, to);
	return rc;
}

static int decode_predicted(struct coder *c, const void *payload, size_t payload_len, void *to, size_t len, size_t want)
{
	struct cursor from = cursor_of(payload, payload_len);
	struct head h = { 0 };
	size_t width, rest, count, first;
	const uint8_t *left_over;
	int rc = 0;

	if (!head_get(&from, &h))
		return err_set(EBADMSG, "it has an unknown prediction");
	if (h.ranked)
		rc = values_get(&from, &c->values);
	if (rc == -ENOMEM)
		return coder_no_memory();
	if (rc || (h.ranked && h.prediction.width != values_rank_width(&c->values)))
		return err_set(EBADMSG, "its values are damaged");
	width = h.ranked ? c->values.type.width : h.prediction.width;
	rest = len % width;
	left_over = cursor_bytes(&from, rest);
	if (cursor_failed(&from))
		return err_set(EBADMSG, "its payload is too short");
	if (rest)
		memcpy((uint8_t *)to + len - rest, left_over, rest);
	count = len / width;
	first = want < len - rest ? (want + width - 1) / width : count;
	return (h.ranked ? decode_ranks : decode_samples)(c, &h, &from, count, first, to);
}

/* ---- plan ---- */

static bool plan_predicted(struct cursor *head, struct chunk_plan *plan)
{
	struct head h = { 0 };
	struct prediction *p = &h.prediction;
	unsigned samples;
	uint64_t row;

	if (!head_get(head, &h))
		return false;
	samples = h.planes.samples > 1 ? h.planes.samples : 1;
	row = (uint64_t)p->row * samples;
	if (h.ranked && !values_get_type(head, p))
		return false;
	if (!codec_plan_rows(plan, p->width, p->big_endian, row * p->width))
		return false;
	plan->is_float = p->order == ORDER_FLOAT;
	plan->samples = (uint8_t)samples;
	return true;
}

const struct codec_row codec_predict = { "predict", encode_predicted, decode_predicted, plan_predicted };
