/*
 * Which way to encode a chunk that arrives. Some ways (rows of a table), all of them fast, are tried on the sample, and the one with
 * the smallest result wins, where a way that is slow to encode or to decode must win by its handicap.
 *
 * Residuals of noisy pixels hold no matches, so ZSTD_HUFFMAN keeps them as small as level 1 does, in two thirds of the time.
 */
#include <string.h>

#include "store/codec_internal.h"

struct arrival_way {
	struct way way;	   /* in pixels, what the plan says of the samples is filled in */
	unsigned handicap; /* thousandths */
};

struct trial {
	struct coder *coder;
	struct sample sample;
	struct arrival_way best;
	size_t best_size; /* without handicap */
	size_t best_score;
	int rc;
};

/* When nothing is known: plain, or as 16-bit or 32-bit numbers. Both byte orders, since a chunk may begin within a
 * number, and then its halves lie as in the other order. */
static const struct arrival_way unplanned_ways[] = {
	{ { CODEC_ZSTD }, 0 },
	{ { CODEC_FILTER_ZSTD, ZSTD_LEVEL1, { PREDICT_NONE, 2, 0, 2 } }, 20 },
	{ { CODEC_FILTER_ZSTD, ZSTD_HUFFMAN, { PREDICT_LEFT, 2, 0, 2 } }, 20 },
	{ { CODEC_FILTER_ZSTD, ZSTD_HUFFMAN, { PREDICT_LEFT, 2, 1, 2 } }, 20 },
	{ { CODEC_FILTER_ZSTD, ZSTD_LEVEL1, { PREDICT_NONE, 4, 0, 4 } }, 20 },
};

static const struct arrival_way pixel_ways[] = {
	{ { CODEC_ZSTD }, 20 },
	{ { CODEC_FILTER_ZSTD, ZSTD_LEVEL1, { PREDICT_NONE } }, 30 },
	{ { CODEC_FILTER_ZSTD, ZSTD_HUFFMAN, { PREDICT_LEFT } }, 10 },
	{ { CODEC_FILTER_ZSTD, ZSTD_HUFFMAN, { PREDICT_UP } }, 0 },
	{ { CODEC_FILTER_ZSTD, ZSTD_HUFFMAN, { PREDICT_AVERAGE } }, 5 },
};

static void try_way(struct trial *t, const struct arrival_way *way)
{
	size_t size, score;

	if (!t->rc)
		t->rc = codec_sample_encode(t->coder, &t->sample, &way->way);
	if (t->rc)
		return;
	size = t->coder->sample_out.len;
	score = size * (1000 + way->handicap);
	if (score < t->best_score) {
		t->best = *way;
		t->best_size = size;
		t->best_score = score;
	}
}

static void choose_unplanned(struct trial *t, const uint8_t *bytes, size_t len)
{
	t->sample = codec_sample_bytes(t->coder, bytes, len);
	if (!t->sample.bytes)
		t->rc = coder_no_memory();
	for (size_t i = 0; i < sizeof unplanned_ways / sizeof *unplanned_ways; i++)
		try_way(t, &unplanned_ways[i]);
}

/* The way of the table with what is known of these pixels; false: it is the same as another one. */
static bool way_for(const struct arrival_way *row, const struct pixels *px, struct arrival_way *way)
{
	*way = *row;
	if (way->way.codec != CODEC_FILTER_ZSTD)
		return true;
	way->way.filter.sample_bytes = px->sample_bytes;
	way->way.filter.big_endian = px->big_endian;
	way->way.filter.row_bytes = px->row_bytes;
	return way->way.filter.predictor != PREDICT_NONE || px->sample_bytes > 1;
}

static void choose_for_pixels(struct trial *t, const struct pixels *px, const uint8_t *bytes, size_t len)
{
	struct arrival_way way;

	t->sample = codec_sample_pixels(t->coder, px, bytes, len);
	if (!t->sample.bytes)
		t->rc = coder_no_memory();
	for (size_t i = 0; i < sizeof pixel_ways / sizeof *pixel_ways; i++)
		if (way_for(&pixel_ways[i], px, &way))
			try_way(t, &way);
	if (t->rc || t->best.way.setup != ZSTD_HUFFMAN)
		return;
	way = t->best;
	way.way.setup = ZSTD_LEVEL1; /* are there matches after all? */
	way.handicap += 30;
	try_way(t, &way);
}

int codec_choose_arrival(struct coder *c, const struct chunk_plan *plan, uint64_t off, const uint8_t *bytes, size_t len,
			 struct choice *choice)
{
	struct trial t = { .coder = c, .best_score = SIZE_MAX };
	struct pixels px;

	if (codec_pixels(plan, off, len, &px))
		choose_for_pixels(&t, &px, bytes, len);
	else
		choose_unplanned(&t, bytes, len);
	*choice = (struct choice) { 0 };
	if (!t.rc && codec_worth(t.best_size, t.sample.len))
		choice->way[choice->count++] = t.best.way;
	return t.rc;
}
