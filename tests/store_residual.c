/* The residual coder: exact for all widths, lengths, rows and distributions; the same bytes from vector and portable code; no
 * trust in coded bytes; as small as it claims. */
#include "store/residual.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/residual_fit.h"
#include "store/residual_internal.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { EVERY_LENGTH = 397 }; /* which lengths are tried: no other memory is touched by those between */
#else
enum { EVERY_LENGTH = 83 };
#endif
enum { LARGE = 300000 };

/* ---- distributions ---- */

/* About geometric: mean * -ln(u), with straight lines between the powers of 2 of u. */
static uint32_t geometric(uint64_t *state, double mean)
{
	uint64_t u = random_next(state) | 1;
	int octave = __builtin_clzll(u);
	double upper = (double)(u << octave) / 18446744073709551616.0; /* 0.5 to 1 */

	return (uint32_t)((octave + 2 * (1 - upper)) * 0.6931 * mean);
}

static uint32_t zeros(uint64_t *state, size_t i)
{
	(void)state, (void)i;
	return 0;
}

static uint32_t constant(uint64_t *state, size_t i)
{
	(void)state, (void)i;
	return 0xfedcba98;
}

static uint32_t random_all(uint64_t *state, size_t i)
{
	(void)i;
	return (uint32_t)random_next(state);
}

static uint32_t noise(uint64_t *state, size_t i)
{
	(void)i;
	return geometric(state, 20);
}

static uint32_t wide_noise(uint64_t *state, size_t i)
{
	(void)i;
	return geometric(state, 3e6);
}

/* Quiet and loud areas, of 64 columns each in rows of 512. */
static uint32_t patches(uint64_t *state, size_t i)
{
	return geometric(state, i / 64 % 2 ? 100 : 0.3);
}

static uint32_t outliers(uint64_t *state, size_t i)
{
	(void)i;
	return random_below(state, 500) ? geometric(state, 3) : (uint32_t)random_next(state);
}

static uint32_t sparse(uint64_t *state, size_t i)
{
	(void)i;
	return random_below(state, 300) ? 0 : (uint32_t)random_below(state, 9);
}

/* Each octave once, so that all symbols are rare. */
static uint32_t octaves(uint64_t *state, size_t i)
{
	return (uint32_t)(random_next(state) >> (32 + i % 32));
}

static const struct distribution {
	const char *name;
	uint32_t (*sample)(uint64_t *state, size_t i);
} distributions[] = {
	{ "zeros", zeros },	  { "constant", constant }, { "random", random_all }, { "noise", noise },
	{ "wide noise", wide_noise }, { "patches", patches },   { "outliers", outliers }, { "sparse", sparse },
	{ "octaves", octaves },
};
enum { DISTRIBUTIONS = sizeof distributions / sizeof *distributions };

static void fill(void *to, unsigned width, size_t count, const struct distribution *d, uint64_t seed)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t v = d->sample(&seed, i);

		if (width == 1)
			((uint8_t *)to)[i] = (uint8_t)v;
		else if (width == 2)
			((uint16_t *)to)[i] = (uint16_t)v;
		else
			((uint32_t *)to)[i] = v;
	}
}

/* ---- exact, and the same from all code ---- */

static bool decodes_to(const struct buf *coded, unsigned width, size_t count, size_t row, const void *expected)
{
	uint8_t *back = malloc(count * width + 1);
	bool same;

	back[count * width] = 0xa5;
	same = residual_decode(coded->data, coded->len, width, count, row, back) == 0 &&
	       memcmp(back, expected, count * width) == 0 && back[count * width] == 0xa5;
	free(back);
	return same;
}

/* The coded length; 0 when something was wrong. */
static size_t round_trip(const void *residuals, unsigned width, size_t count, size_t row)
{
	scope_buf struct buf fast = { 0 }, portable = { 0 };
	bool right;

	buf_put(&portable, "before", 6); /* what is there stays */
	right = residual_encode(residuals, width, count, row, &fast) == 0 &&
		decodes_to(&fast, width, count, row, residuals);
	residual_portable_only(true);
	right = right && residual_encode(residuals, width, count, row, &portable) == 0 &&
		portable.len == fast.len + 6 && memcmp(portable.data, "before", 6) == 0 &&
		(!fast.len || memcmp(portable.data + 6, fast.data, fast.len) == 0) &&
		decodes_to(&fast, width, count, row, residuals);
	residual_portable_only(false);
	return right ? fast.len : 0;
}

static void check_round_trip(const struct distribution *d, const void *residuals, unsigned width, size_t count,
			     size_t row)
{
	bool right = round_trip(residuals, width, count, row) > 0;

	CHECK(right);
	if (!right)
		fprintf(stderr, "  %s, %u bytes, %zu samples in rows of %zu\n", d->name, width, count, row);
}

static void test_lengths(void)
{
	static const size_t rows[] = { 0, 1, 2, 3, 7, 8, 31, 32, 33, 100, 1000, 4097 };
	static uint32_t data[4098];
	size_t turn = 0;

	for (unsigned k = 0; k < DISTRIBUTIONS; k++)
		for (unsigned width = 1; width <= 4; width *= 2) {
			fill(data, width, 4098, &distributions[k], k + 1);
			for (size_t count = 1; count <= 70; count++, turn++)
				check_round_trip(&distributions[k], data, width, count, rows[turn % 12]);
			for (size_t count = 71; count <= 4097; count += EVERY_LENGTH, turn++)
				check_round_trip(&distributions[k], data, width, count, rows[turn % 12]);
			check_round_trip(&distributions[k], data, width, 4097, 61);
		}
}

/* Many rows (only some are counted then), rows of several tiles, a last row that is not whole. */
static void test_large(void)
{
	static const size_t rows[] = { 512, 5000, 2049, 0, 17 };
	uint32_t *data = malloc(LARGE * sizeof *data);

	for (unsigned k = 0; k < DISTRIBUTIONS; k++)
		for (unsigned width = 1; width <= 4; width *= 2) {
			fill(data, width, LARGE, &distributions[k], k + 100);
			check_round_trip(&distributions[k], data, width, LARGE, rows[(k + width) % 5]);
		}
	free(data);
}

/* A symbol that no counted row has must be coded all the same. */
static void test_uncounted(void)
{
	enum { ROW = 64, COUNT = ROW * 200 };
	static uint16_t data[COUNT];

	for (size_t i = 0; i < COUNT; i++)
		data[i] = i / ROW % 2 ? (uint16_t)(i * 40503) : 3;
	CHECK(round_trip(data, 2, COUNT, ROW) > 0);
}

/* ---- as small as it can be ---- */

static double bits_a_sample(unsigned k, unsigned width, size_t row)
{
	uint32_t *data = malloc(LARGE * sizeof *data);
	size_t len;

	fill(data, width, LARGE, &distributions[k], 7);
	len = round_trip(data, width, LARGE, row);
	free(data);
	return len ? 8.0 * (double)len / LARGE : 1000;
}

static void test_size(void)
{
	CHECK(bits_a_sample(0, 2, 512) < 0.01);	    /* zeros */
	CHECK(bits_a_sample(2, 2, 512) < 16.05);    /* random */
	CHECK(bits_a_sample(3, 2, 512) < 5.76 * 1.01); /* log2(20 e): the entropy of the noise */
	CHECK(bits_a_sample(3, 1, 512) < 5.76 * 1.01);
	CHECK(bits_a_sample(4, 4, 512) < 22.96 * 1.01); /* log2(3e6 e) */
	CHECK(bits_a_sample(5, 2, 512) < 0.5 * (8.09 + 0.22) * 1.03); /* patches: the mean of the two entropies */
	CHECK(bits_a_sample(7, 2, 512) < 0.05);	    /* sparse */
}

/* ---- the parts ---- */

static void test_levels(void)
{
	unsigned last = 0;

	for (unsigned activity = 0; activity <= 8 * CAP; activity++) {
		unsigned level = level_of(activity);

		if (level < last || level > last + 1 || level >= LEVELS || level_floor(level) > activity ||
		    (level > last && level_floor(level) != activity))
			CHECK(!"levels rise one by one from their floors");
		last = level;
	}
}

static void test_spread(void)
{
	uint8_t seen[STATES] = { 0 };
	unsigned state = 0, visited = 0;

	for (unsigned i = 0; i < STATES; i++, state = spread_next(state))
		visited += !seen[state]++;
	CHECK(visited == STATES && state == 0);
}

/* Symbols follow each other without gaps, and tokens belong to the symbol that has their samples. */
static void test_symbols(void)
{
	struct head h = { .finest = 3, .octave = 15 };
	unsigned tokens = symbols_at_most(h.finest, h.octave);
	uint32_t counts[SYMBOLS_MAX] = { 900, 500, 100, 70, 3, 0, 2, 5, 1 };
	uint8_t symbol_of_token[SYMBOLS_MAX];
	struct symbols s;
	unsigned sum = 0;
	uint64_t next = 0;

	counts[tokens - 1] = 1;
	fit_symbols(&h, counts, tokens, false, &s, symbol_of_token);
	for (unsigned i = 0; i < s.count; i++) {
		CHECK((uint64_t)s.at[i].mantissa << s.at[i].extra == next);
		next += UINT64_C(1) << s.at[i].extra;
		sum += s.at[i].share;
	}
	CHECK(next == 65536 && sum == STATES);
	for (unsigned t = 0; t < tokens; t++)
		CHECK(!counts[t] || s.at[symbol_of_token[t]].share);
}

/* ---- hostile bytes ---- */

/* At the end of a block of its own, so that a sanitizer sees each byte that is read too much. */
static int decode_copy(const uint8_t *coded, size_t len, unsigned width, size_t count, size_t row, uint8_t *to)
{
	uint8_t *copy = malloc(len ? len : 1);
	int rc;

	memcpy(copy, coded, len);
	rc = residual_decode(copy, len, width, count, row, to);
	free(copy);
	return rc;
}

/* Vector and portable code agree on what is damaged and on what comes out. */
static void decode_both(const uint8_t *coded, size_t len, unsigned width, size_t count, size_t row)
{
	uint8_t *a = malloc(count * width), *b = malloc(count * width);
	int rc = decode_copy(coded, len, width, count, row, a), portable;

	residual_portable_only(true);
	portable = decode_copy(coded, len, width, count, row, b);
	residual_portable_only(false);
	CHECK(rc == portable && (rc == 0 || rc == -EBADMSG));
	CHECK(rc || memcmp(a, b, count * width) == 0);
	free(a);
	free(b);
}

static void test_damage_of(unsigned width, const struct distribution *d)
{
	enum { COUNT = 1500, ROW = 50 };
	static uint32_t data[COUNT], back[COUNT];
	scope_buf struct buf coded = { 0 };
	uint64_t state = width;

	fill(data, width, COUNT, d, 3);
	CHECK_RC(residual_encode(data, width, COUNT, ROW, &coded));
	for (size_t len = 0; len < coded.len; len += len < HEAD_BYTES ? 1 : 13)
		CHECK(decode_copy(coded.data, len, width, COUNT, ROW, (uint8_t *)back) == -EBADMSG);
	for (size_t i = 0; i < coded.len; i += i < HEAD_BYTES ? 1 : 37) {
		uint8_t was = coded.data[i];

		for (unsigned k = 0; k < 4; k++) {
			coded.data[i] = (uint8_t)(k < 2 ? k * 255 : random_next(&state));
			decode_both(coded.data, coded.len, width, COUNT, ROW);
		}
		coded.data[i] = was;
	}
	decode_both(coded.data, coded.len, width, COUNT - 1, ROW);
	decode_both(coded.data, coded.len, width, COUNT * 40, ROW);
	decode_both(coded.data, coded.len, width, COUNT, 1);
	decode_both(coded.data, coded.len, width, COUNT, 0);
	decode_both(coded.data, coded.len, width == 4 ? 1 : width * 2, COUNT, ROW);
}

static void test_damage(void)
{
	uint8_t junk[600];

	for (unsigned width = 1; width <= 4; width *= 2)
		for (unsigned k = 0; k < DISTRIBUTIONS; k++)
			test_damage_of(width, &distributions[k]);
	for (uint64_t seed = 0; seed < 300; seed++) {
		random_fill(junk, sizeof junk, seed);
		junk[0] %= FINEST_MAX + 1; /* so that some get further than the head */
		junk[1] %= 8;
		junk[2] = 1;
		memset(junk + 3, 0, 9);
		junk[13] = junk[14] = junk[15] = 0;
		decode_both(junk, sizeof junk, 1, 1000, 40);
	}
}

static void test_nothing(void)
{
	scope_buf struct buf coded = { 0 };
	uint8_t byte;

	CHECK_RC(residual_encode(&byte, 1, 0, 10, &coded));
	CHECK(!coded.len);
	CHECK_RC(residual_decode(NULL, 0, 1, 0, 10, &byte));
	CHECK(residual_decode(NULL, 0, 1, 1, 10, &byte) == -EBADMSG);
	CHECK(residual_decode(&byte, 1, 1, 0, 10, &byte) == -EBADMSG);
}

int main(void)
{
	test_levels();
	test_spread();
	test_symbols();
	test_nothing();
	test_lengths();
	test_large();
	test_uncounted();
	test_size();
	test_damage();
	return check_done();
}
