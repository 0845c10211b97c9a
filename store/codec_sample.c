/* What a trial looks at: 16 KiB that stand for a chunk. */
#include <string.h>

#include "store/codec_internal.h"

enum {
	SAMPLE_BYTES_MAX = 16384,
	SAMPLE_ROWS = 16,
	SAMPLE_PIECES = 4,
	RANDOM_LEAST = 8192, /* fewer bytes do not tell */
	PLACES = 4,
};
#define UNEVEN 0.15 /* a byte: so about 0.15 / (2 ln 2) of its 8 bits could be saved, which is not worth it */

/* Pieces of the chunk, evenly spread. */
struct sample codec_sample_bytes(struct coder *c, const uint8_t *bytes, size_t len)
{
	enum { PIECE = SAMPLE_BYTES_MAX / SAMPLE_PIECES };
	uint8_t *to;

	if (len <= 2 * SAMPLE_BYTES_MAX)
		return (struct sample) { bytes, len, 0 };
	to = coder_scratch(&c->sample, SAMPLE_BYTES_MAX);
	for (size_t i = 0; to && i < SAMPLE_PIECES; i++) {
		size_t from = (len - PIECE) / (SAMPLE_PIECES - 1) * i & ~(size_t)7; /* numbers stay whole */

		memcpy(to + i * PIECE, bytes + from, PIECE);
	}
	return (struct sample) { to, SAMPLE_BYTES_MAX, 0 };
}

/*
 * A small picture of some neighbouring rows, so that all predictors find the neighbours that they will find in the chunk: of
 * short rows all, of long ones four pieces side by side, each from another height of the chunk and another place in the row.
 */
struct sample codec_sample_pixels(struct coder *c, const struct pixels *px, const uint8_t *bytes, size_t len)
{
	size_t row = px->row_bytes, rows = len / row, piece, at_row, at_column;
	size_t pieces = row >= SAMPLE_BYTES_MAX / SAMPLE_ROWS ? SAMPLE_PIECES : 1;
	size_t take_rows = pieces > 1 ? SAMPLE_ROWS : SAMPLE_BYTES_MAX / row;
	uint8_t *to = coder_scratch(&c->sample, SAMPLE_BYTES_MAX);

	if (take_rows > rows)
		take_rows = rows;
	piece = pieces > 1 ? SAMPLE_BYTES_MAX / (SAMPLE_PIECES * SAMPLE_ROWS) : row;
	for (size_t i = 0; to && i < pieces; i++) {
		at_row = (rows - take_rows) * (2 * i + 1) / (2 * pieces);
		at_column = pieces > 1 ? (row - piece) * ((i * 2 + 1) % pieces + 1) / (pieces + 1) : 0;
		at_column -= at_column % px->sample_bytes;
		for (size_t r = 0; r < take_rows; r++)
			memcpy(to + (r * pieces + i) * piece, bytes + (at_row + r) * row + at_column, piece);
	}
	return (struct sample) { to, take_rows * piece * pieces, (uint32_t)(piece * pieces) };
}

/* How far from even the counts of n values are (chi-squared): of noise, about 255 with a standard deviation of 23. */
static double unevenness(const uint32_t count[256], size_t n)
{
	uint64_t squares = 0;

	for (size_t v = 0; v < 256; v++)
		squares += (uint64_t)count[v] * count[v];
	return 256.0 * (double)squares / (double)n - (double)n;
}

/* Are all values equally often at each place of four: of the bytes (lag 0), or of their differences to those before? */
static bool all_even(const struct sample *s, size_t lag)
{
	uint32_t count[PLACES][256] = { 0 };
	const uint8_t *b = s->bytes;
	size_t n = s->len / PLACES - 1;
	double sum = 0;

	for (size_t i = PLACES; i < PLACES * (n + 1); i += PLACES)
		for (size_t k = 0; k < PLACES; k++)
			count[k][(uint8_t)(b[i + k] - (lag ? b[i + k - lag] : 0))]++;
	for (size_t k = 0; k < PLACES; k++)
		sum += unevenness(count[k], n);
	return sum < PLACES * (255 + UNEVEN * (double)n);
}

bool codec_looks_random(const struct sample *s)
{
	return s->len >= RANDOM_LEAST && all_even(s, 0) && all_even(s, 1) && all_even(s, 2) && all_even(s, 4);
}

int codec_sample_encode(struct coder *c, const struct sample *sample, const struct way *way)
{
	struct way on_sample = *way;

	if (sample->row_bytes)
		on_sample.filter.row_bytes = sample->row_bytes;
	buf_clear(&c->sample_out);
	return way_encode(c, &on_sample, sample->bytes, sample->len, &c->sample_filtered, &c->sample_out);
}

bool codec_pixels(const struct chunk_plan *plan, uint64_t off, size_t len, struct pixels *px)
{
	struct filter f;

	if (!chunker_in_pixels(plan, off) || plan->row_bytes > len / 2)
		return false;
	f = (struct filter) { PREDICT_UP, plan->sample_bytes, plan->big_endian != 0, plan->row_bytes };
	*px = (struct pixels) { f.sample_bytes, f.big_endian, plan->is_float != 0, plan->samples ? plan->samples : 1, f.row_bytes };
	return filter_valid(&f);
}
