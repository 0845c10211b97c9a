/*
 * Which way to encode a chunk at rest.
 *
 * What a prediction would make of it is estimated by predict_fit(), which costs a few per cent of encoding. What zstd would make
 * of it is tried: in pixels on a sample, elsewhere on all of it. Since noise holds no matches, a fast probe comes first and often
 * ends it there. Where the estimates are near each other and small, both ways are encoded and the smaller one is kept. What zstd
 * is chosen for is encoded at a high level too.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "store/codec_internal.h"

enum { TABLES = 300 /* bytes that a prediction's coder needs for its tables, about */ };

struct trial {
	struct coder *coder;
	const uint8_t *bytes;
	size_t len;
	struct sample sample;
	struct way zstd, predicted;	      /* the best of either kind */
	double zstd_cost, predicted_cost;     /* about how many bytes, with handicap; INFINITY: none yet */
	int rc;
};

/* ---- trials ---- */

/* The sample, encoded in this way, is in sample_out. */
static void encode_sample(struct trial *t, const struct way *way)
{
	if (!t->rc)
		t->rc = codec_sample_encode(t->coder, &t->sample, way);
}

static void try_zstd(struct trial *t, const struct way *way, unsigned handicap)
{
	double cost;

	encode_sample(t, way);
	cost = (double)t->coder->sample_out.len * (double)t->len / (double)t->sample.len * (1 + handicap / 1000.0);
	if (t->rc || cost >= t->zstd_cost)
		return;
	t->zstd_cost = cost;
	t->zstd = *way;
}

/* What the prediction would make of bytes, that are the chunk's samples or their ranks; < 0 without memory. */
static double fit(struct trial *t, struct prediction *p, const struct planes *planes, const uint8_t *bytes, size_t count)
{
	uint8_t *split;

	if (planes->samples <= 1)
		return predict_fit(p, bytes, count);
	split = coder_scratch(&t->coder->planes, count * p->width);
	if (!split)
		return -1;
	planes_split(planes, p, bytes, count, split);
	return predict_fit(p, split, count);
}

/* like: width, order and row (of a plane). */
static void try_prediction(struct trial *t, const struct prediction *like, struct planes planes)
{
	struct prediction p = *like;
	size_t count = t->len / p.width;
	double bits = t->rc ? 0 : fit(t, &p, &planes, t->bytes, count), cost = bits * (double)count / 8 + TABLES;

	if (bits < 0)
		t->rc = coder_no_memory();
	if (t->rc || cost >= t->predicted_cost)
		return;
	t->predicted_cost = cost;
	t->predicted = (struct way) { .codec = CODEC_PREDICT, .prediction = p, .planes = planes };
}

/* The same with planes that are differences. */
static void try_differences(struct trial *t)
{
	struct prediction like = t->predicted.prediction;
	struct planes planes = t->predicted.planes;

	planes.differences = planes_differences(planes.samples, &like, t->bytes, t->len / like.width);
	if (planes.differences)
		try_prediction(t, &like, planes);
}

/* Whether ranks are better than the samples, which were tried. They are left in the coder. */
static void try_ranks(struct trial *t)
{
	struct prediction type = t->predicted.prediction, p;
	struct planes planes = t->predicted.planes;
	struct values *v = &t->coder->values;
	size_t count = t->len / type.width;
	uint8_t *ranks;
	double bits, cost;
	int rc;

	if (t->rc || !values_sparse(v, &type, t->sample.bytes, t->sample.len / type.width))
		return;
	rc = values_find(v, &type, t->bytes, count);
	ranks = rc ? NULL : coder_scratch(&t->coder->ranks, count * 2);
	if (!ranks) {
		t->rc = rc == -ERANGE ? 0 : coder_no_memory();
		return;
	}
	values_rank(v, t->bytes, count, ranks);
	p = (struct prediction) { .width = (uint8_t)values_rank_width(v), .row = type.row };
	bits = fit(t, &p, &planes, ranks, count);
	buf_clear(&t->coder->sample_out);
	values_put(&t->coder->sample_out, v);
	cost = bits * (double)count / 8 + TABLES + (double)t->coder->sample_out.len;
	if (bits < 0)
		t->rc = coder_no_memory();
	if (bits < 0 || cost >= t->predicted_cost)
		return;
	t->predicted_cost = cost;
	t->predicted = (struct way) { .codec = CODEC_PREDICT, .prediction = p, .planes = planes, .ranked = true };
}

/* Is a 32nd of the sample a repetition? */
static bool has_matches(struct trial *t)
{
	static const struct way probe = { .codec = CODEC_ZSTD, .setup = ZSTD_PROBE };

	encode_sample(t, &probe);
	return t->coder->sample_out.len < t->sample.len - t->sample.len / 32;
}

static void choose_zstd(const struct trial *t, struct choice *choice)
{
	struct way way = t->zstd;

	choice->way[choice->count++] = way;
	way.setup = ZSTD_DENSE;
	way.must_gain = way.must_be_near = true;
	choice->way[choice->count++] = way;
}

/*
 * Where much is alike the estimate for a prediction is too high, up to eight times, and in a sample there may be more repetitions
 * than elsewhere. If that may make a difference both ways are chosen, the prediction first.
 */
static void end_trial(const struct trial *t, struct choice *choice)
{
	bool predicted = t->predicted_cost < t->zstd_cost, small = t->predicted_cost < (double)t->len / 6;
	bool sampled = t->sample.len < t->len && isfinite(t->predicted_cost);
	double cost = predicted ? t->predicted_cost : t->zstd_cost;

	if (cost > (double)(t->len - t->len / WORTH))
		return;
	if (predicted || sampled || (small && t->predicted_cost < 8 * t->zstd_cost))
		choice->way[choice->count++] = t->predicted;
	if (!predicted || (small && t->zstd_cost < 1.3 * t->predicted_cost))
		choose_zstd(t, choice);
}

/* ---- pixels ---- */

static void try_filters(struct trial *t, const struct pixels *px)
{
	struct way way = { .codec = CODEC_FILTER_ZSTD,
			   .filter = { PREDICT_NONE, px->sample_bytes, px->big_endian, px->row_bytes } };

	if (px->sample_bytes > 1)
		try_zstd(t, &way, 10);
	way.filter.predictor = PREDICT_UP;
	try_zstd(t, &way, 10);
	if (px->sample_bytes < 8)
		return;
	way.filter.predictor = PREDICT_LEFT;
	try_zstd(t, &way, 10);
	way.filter.predictor = PREDICT_AVERAGE;
	try_zstd(t, &way, 10);
}

/*
 * Pixels that are mostly noise hold no matches. Bytes of long samples may: those of numbers with fewer digits than their
 * type can hold.
 */
static void choose_for_pixels(struct trial *t, const struct pixels *px)
{
	struct prediction like = { .width = px->sample_bytes,
				   .big_endian = px->big_endian,
				   .order = px->is_float && px->sample_bytes == 4 ? ORDER_FLOAT : ORDER_UNSIGNED,
				   .row = px->row_bytes / px->sample_bytes };
	struct planes planes = { .samples = like.row % px->samples ? 1 : px->samples };
	bool long_samples = px->sample_bytes >= 4;

	like.row /= planes.samples;
	t->sample = codec_sample_pixels(t->coder, px, t->bytes, t->len);
	if (!t->sample.bytes)
		t->rc = coder_no_memory();
	if (px->sample_bytes <= 4) {
		try_prediction(t, &like, planes);
		if (planes.samples > 1)
			try_differences(t);
		try_ranks(t);
	}
	if (!has_matches(t) && !long_samples)
		return;
	try_zstd(t, &(struct way) { .codec = CODEC_ZSTD }, 0);
	if (long_samples || t->zstd_cost < 1.25 * t->predicted_cost)
		try_filters(t, px);
}

/* ---- anything ---- */

/* Nothing is known: plain, or as 16-bit or 32-bit numbers. Both byte orders, since a chunk may begin within a number, and then
 * its halves lie as in the other order. A single row: where the rows are nobody knows. */
static void choose_unplanned(struct trial *t)
{
	static const struct prediction like[] = {
		{ .width = 1, .row = CHUNK_MAX },
		{ .width = 2, .row = CHUNK_MAX },
		{ .width = 2, .row = CHUNK_MAX, .big_endian = 1 },
		{ .width = 4, .row = CHUNK_MAX, .order = ORDER_FLOAT },
		{ .width = 4, .row = CHUNK_MAX, .order = ORDER_FLOAT, .big_endian = 1 },
	};
	static const struct way planes[] = {
		{ .codec = CODEC_FILTER_ZSTD, .filter = { PREDICT_NONE, 2, 0, 2 } },
		{ .codec = CODEC_FILTER_ZSTD, .filter = { PREDICT_NONE, 4, 0, 4 } },
	};

	t->sample = (struct sample) { t->bytes, t->len, 0 }; /* all: what repeats itself may be far apart */
	if (codec_looks_random(&t->sample) && !has_matches(t))
		return;
	for (size_t i = 0; i < sizeof like / sizeof *like; i++)
		try_prediction(t, &like[i], (struct planes) { 0 });
	try_zstd(t, &(struct way) { .codec = CODEC_ZSTD }, 0);
	for (size_t i = 0; i < sizeof planes / sizeof *planes; i++)
		try_zstd(t, &planes[i], 20);
}

int codec_choose_dense(struct coder *c, const struct chunk_plan *plan, uint64_t off, const uint8_t *bytes, size_t len,
		       struct choice *choice)
{
	struct trial t = { .coder = c, .bytes = bytes, .len = len, .zstd_cost = INFINITY, .predicted_cost = INFINITY };
	struct pixels px;

	choice->count = 0;
	if (codec_pixels(plan, off, len, &px))
		choose_for_pixels(&t, &px);
	else
		choose_unplanned(&t);
	if (!t.rc)
		end_trial(&t, choice);
	return t.rc;
}
