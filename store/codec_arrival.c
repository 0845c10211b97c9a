/*
 * Which way to encode a chunk that arrives. Pixels that are mostly noise are packed as bits, which costs a sixth of the time that
 * any use of zstd does and makes them hardly larger; a look at a small sample tells them from those with repetitions. For the
 * others some ways (rows of a table) are tried on the sample, and the one with the smallest result wins, where a way that is slow to
 * encode or to decode must win by its handicap.
 *
 * Residuals of noisy pixels hold no matches, so ZSTD_HUFFMAN keeps them as small as level 1 does, in two thirds of the time.
 */
#include <string.h>

#include "store/codec_internal.h"

enum {
	PROBE_BYTES = 8192,
	BITS_ADVANTAGE = 100, /* thousandths that another way must be smaller to be taken for pixels */
};
#define BITS_FOR_WIDTHS 0.4 /* of a sample, about */

struct arrival_way {
	struct way way;	   /* in pixels, what the plan says of the samples is filled in */
	unsigned handicap; /* thousandths */
};

struct trial {
	struct coder *coder;
	struct sample sample;
	struct arrival_way best;
	struct way bits; /* for pixels; CODEC_NONE: they cannot be packed */
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

/* Is a 64th of the sample a repetition? */
static bool has_matches(struct trial *t)
{
	static const struct way probe = { .codec = CODEC_ZSTD, .setup = ZSTD_PROBE };

	if (!t->rc)
		t->rc = codec_sample_encode(t->coder, &t->sample, &probe);
	return codec_worth(t->coder->sample_out.len, t->sample.len);
}

static void choose_unplanned(struct trial *t, const uint8_t *bytes, size_t len)
{
	t->sample = codec_sample_bytes(t->coder, bytes, len);
	if (!t->sample.bytes)
		t->rc = coder_no_memory();
	t->best_size = t->sample.len;
	if (!t->rc && codec_looks_random(&t->sample) && !has_matches(t))
		return;
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

/* What zstd alone makes of a part of the sample, of 1; it finds repetitions and values that are rare. */
static double zstd_share(struct trial *t)
{
	static const struct way zstd = { CODEC_ZSTD };
	struct sample part = t->sample;

	if (part.len > PROBE_BYTES)
		part.len = PROBE_BYTES;
	if (!t->rc)
		t->rc = codec_sample_encode(t->coder, &part, &zstd);
	return t->rc ? 1 : (double)t->coder->sample_out.len / (double)part.len;
}

/* Bits as the first candidate; true: it needs no other. */
static bool try_bits(struct trial *t, const struct pixels *px, const uint8_t *bytes, size_t len)
{
	struct way way = { .codec = CODEC_BITS };
	double share;

	if (px->sample_bytes > 4)
		return false;
	way.bitpack = (struct bitpack) { .sample_bytes = px->sample_bytes,
					 .big_endian = px->big_endian,
					 .is_float = px->is_float && px->sample_bytes == 4,
					 .step = px->samples <= BITPACK_STEP_MAX ? px->samples : 1,
					 .row_bytes = px->row_bytes };
	share = (bitpack_fit(&way.bitpack, bytes, len) + BITS_FOR_WIDTHS) / (8.0 * px->sample_bytes);
	t->bits = t->best.way = way;
	t->best_size = (size_t)(share * (double)t->sample.len);
	t->best_score = t->best_size * (1000 - BITS_ADVANTAGE);
	return codec_worth(t->best_size, t->sample.len) && zstd_share(t) > share * (1 + BITS_ADVANTAGE / 1000.0);
}

static void choose_for_pixels(struct trial *t, const struct pixels *px, const uint8_t *bytes, size_t len)
{
	struct arrival_way way;

	t->sample = codec_sample_pixels(t->coder, px, bytes, len);
	if (!t->sample.bytes)
		t->rc = coder_no_memory();
	if (!t->rc && try_bits(t, px, bytes, len))
		return;
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
	/* The sample does not always tell the truth about repetitions, and bits cost little. */
	if (choice->count && t.best.way.codec != CODEC_BITS && t.bits.codec == CODEC_BITS)
		choice->way[choice->count++] = t.bits;
	return t.rc;
}
