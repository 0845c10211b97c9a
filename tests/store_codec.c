/* Filters and codecs: exact inverses for any bytes, the right choice for well-known kinds of data, and no trust in
 * payloads. */
#include "store/codec.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "store/filter.h"
#include "store/predict.h"
#include "store/residual_internal.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"

/* ---- filter ---- */

static uint64_t sample_at(const struct filter *f, const uint8_t *bytes, size_t index)
{
	uint64_t v = 0;

	for (size_t k = 0; k < f->sample_bytes; k++) {
		size_t at = f->big_endian ? f->sample_bytes - 1u - k : k;

		v |= (uint64_t)bytes[index * f->sample_bytes + at] << (8 * k);
	}
	return v;
}

static uint64_t predict(const struct filter *f, const uint8_t *bytes, size_t i)
{
	size_t row = f->row_bytes / f->sample_bytes;
	uint64_t left = i ? sample_at(f, bytes, i - 1) : 0, up;

	if (f->predictor == PREDICT_LEFT || i < row)
		return left;
	up = sample_at(f, bytes, i - row);
	if (f->predictor == PREDICT_UP || i % row == 0)
		return up;
	return (uint64_t)(((unsigned __int128)left + up) / 2);
}

/* The definition, one sample at a time. */
static void apply_slowly(const struct filter *f, const uint8_t *from, size_t len, uint8_t *to)
{
	size_t count = len / f->sample_bytes;
	unsigned bits = 8u * f->sample_bytes;
	uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;

	for (size_t i = 0; i < count; i++) {
		uint64_t v = sample_at(f, from, i);

		if (f->predictor != PREDICT_NONE) {
			uint64_t d = (v - predict(f, from, i)) & mask;

			v = d >> (bits - 1) ? 2 * (~d & mask) + 1 : 2 * d;
		}
		for (size_t k = 0; k < f->sample_bytes; k++)
			to[k * count + i] = (uint8_t)(v >> (8 * k));
	}
	memcpy(to + count * f->sample_bytes, from + count * f->sample_bytes, len % f->sample_bytes);
}

static const uint32_t rows[] = { 1, 2, 7, 8, 9, 64, 100, 333, 1024, 1500, 2048, 100000 }; /* in samples */

#ifdef __SANITIZE_THREAD__
enum { EVERY = 61 }; /* lengths; the filters have no threads to look for, only many loops */
#else
enum { EVERY = 1 };
#endif
enum { FILTER_LEN = 4097, ROWS = sizeof rows / sizeof *rows };

static void test_filter(const struct filter *f, const uint8_t *data, size_t len, bool slowly)
{
	static uint8_t there[FILTER_LEN + 1], back[FILTER_LEN + 1], slow[FILTER_LEN];
	bool same;

	there[len] = back[len] = 0xa5;
	filter_apply(f, data, len, there);
	filter_undo(f, there, len, back);
	same = memcmp(data, back, len) == 0 && there[len] == 0xa5 && back[len] == 0xa5;
	if (slowly) {
		apply_slowly(f, data, len, slow);
		same &= memcmp(there, slow, len) == 0;
	}
	if (!same)
		fprintf(stderr, "predictor %d width %d order %d row %u length %zu\n", f->predictor, f->sample_bytes,
			f->big_endian, f->row_bytes, len);
	CHECK(same);
}

static void test_filters(void)
{
	static uint8_t data[FILTER_LEN + 1];
	struct filter f;

	random_fill(data, sizeof data, 1);
	memset(data + 1000, 0, 300); /* extremes too */
	memset(data + 1300, 255, 300);
	for (unsigned width = 1; width <= 8; width *= 2)
		for (unsigned predictor = 0; predictor < PREDICTORS; predictor++)
			for (size_t len = 0; len <= FILTER_LEN; len += EVERY) {
				uint32_t row = rows[(len + width + predictor) % ROWS] * width;

				f = (struct filter) { (uint8_t)predictor, (uint8_t)width, len / 3 % 2, row };
				CHECK(filter_valid(&f));
				test_filter(&f, data + len % 2, len, len % 17 == 0);
			}
	for (unsigned i = 0; i < 4 * PREDICTORS * 2 * ROWS; i++) {
		unsigned width = 1u << i % 4;

		f = (struct filter) { (uint8_t)(i / 8 % PREDICTORS), (uint8_t)width, i / 4 % 2,
				      rows[i / 8 / PREDICTORS] * width };
		test_filter(&f, data, FILTER_LEN, true);
	}
}

static void test_filter_valid(void)
{
	static const struct filter bad[] = {
		{ PREDICTORS, 2, 0, 4 },   { 255, 2, 0, 4 },	    { PREDICT_UP, 0, 0, 4 }, { PREDICT_UP, 3, 0, 3 },
		{ PREDICT_UP, 16, 0, 16 }, { PREDICT_UP, 2, 2, 4 }, { PREDICT_UP, 2, 0, 0 }, { PREDICT_UP, 2, 0, 5 },
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(!filter_valid(&bad[i]));
}

/* Fixed by the format. */
static void test_filter_bytes(void)
{
	static const uint8_t from[] = { 0x10, 0x01, 0x12, 0x01, 0x0f, 0x01, 0x14, 0x01, 0x77 };
	static const uint8_t up[] = { 0x20, 4, 1, 4, 2, 0, 0, 0, 0x77 };
	uint8_t to[sizeof from];

	filter_apply(&(struct filter) { PREDICT_UP, 2, 0, 4 }, from, sizeof from, to);
	CHECK(memcmp(to, up, sizeof up) == 0);
}

/* ---- codec ---- */

enum { WIDTH = 700, HEIGHT = 300, PIXELS_LEN = WIDTH * HEIGHT * 2 };

static void fill_random(uint8_t *to, size_t len)
{
	random_fill(to, len, 9);
}

static void fill_zero(uint8_t *to, size_t len)
{
	memset(to, 0, len);
}

static void fill_text(uint8_t *to, size_t len)
{
	static const char *const words[] = { "scan ", "voltage=", "80 kV\n", "porosity ", "bone-1 ", "0.1 " };
	uint64_t seed = 4;

	for (size_t at = 0; at < len;) {
		const char *word = words[random_below(&seed, 6)];

		for (; *word && at < len; word++)
			to[at++] = (uint8_t)*word;
	}
}

/* A smooth object and noise, 16-bit little-endian. */
static void fill_scan(uint8_t *to, size_t len)
{
	uint64_t seed = 5;

	for (size_t i = 0; i < len / 2; i++) {
		size_t x = i % WIDTH, y = i / WIDTH;
		unsigned v = (unsigned)(20000 + 50 * x + 30 * (y % HEIGHT) + random_below(&seed, 200));

		to[2 * i] = (uint8_t)v;
		to[2 * i + 1] = (uint8_t)(v >> 8);
	}
	if (len % 2)
		to[len - 1] = 0;
}

/* Black bars where a small sample is taken. */
static void fill_bars(uint8_t *to, size_t len)
{
	fill_scan(to, len);
	for (size_t y = 0; y < len / (WIDTH * 2); y++)
		if ((y + 36) % 71 < 18)
			memset(to + y * WIDTH * 2, 0, WIDTH * 2);
}

/* A segmentation: few values, large areas. */
static void fill_labels(uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		size_t x = i / 2 % WIDTH, y = i / 2 / WIDTH;

		to[i] = i % 2 ? 0 : (uint8_t)(((x - 300) * (x - 300) + y * y < 40000) + 2 * (x / 100 == y / 100));
	}
}

/* Noise that comes again and again, 100,000 bytes later: no short sample shows it. */
static void fill_far_repetition(uint8_t *to, size_t len)
{
	enum { PERIOD = 100000 };

	random_fill(to, len < PERIOD ? len : PERIOD, 10);
	for (size_t i = PERIOD; i < len; i++)
		to[i] = to[i - PERIOD];
}

/* The same 1000 bytes of noise all over. */
static void fill_near_repetition(uint8_t *to, size_t len)
{
	enum { PERIOD = 1000 };

	random_fill(to, len < PERIOD ? len : PERIOD, 13);
	for (size_t i = PERIOD; i < len; i++)
		to[i] = to[i - PERIOD];
}

/* 16-bit samples of all values, equally often, that only resemble their neighbours. */
static void fill_walk(uint8_t *to, size_t len)
{
	uint64_t seed = 14;
	unsigned v = 0;

	memset(to, 0, len);
	for (size_t i = 0; i < len / 2; i++) {
		v += (unsigned)random_below(&seed, 4000);
		to[2 * i] = (uint8_t)v;
		to[2 * i + 1] = (uint8_t)(v >> 8);
	}
}

/* Sixteen shades of noise, 997 apart. */
static void fill_stretched(uint8_t *to, size_t len)
{
	uint64_t seed = 6;

	memset(to, 0, len);
	for (size_t i = 0; i < len / 2; i++) {
		unsigned v = 997 * (unsigned)(i % WIDTH / 40 + random_below(&seed, 8));

		to[2 * i] = (uint8_t)v;
		to[2 * i + 1] = (uint8_t)(v >> 8);
	}
}

static void fill_float(uint8_t *to, size_t len, float step)
{
	uint64_t seed = 7;

	memset(to, 0, len);
	for (size_t i = 0; i < len / 4; i++) {
		float v = step * ((float)(i % WIDTH) / 8 + (float)random_below(&seed, 50) - 10);

		v = step == 1 ? (float)(int)v : v;
		memcpy(to + 4 * i, &v, 4);
	}
}

static void fill_floats(uint8_t *to, size_t len)
{
	fill_float(to, len, 1);
}

static void fill_fractions(uint8_t *to, size_t len)
{
	uint64_t seed = 8;

	fill_float(to, len, 0.37f);
	for (size_t i = 0; i < len; i += 4) /* some of the digits are noise */
		to[i] = (uint8_t)random_next(&seed);
}

/* Colours that resemble each other, 8 bits each. */
static void fill_colours(uint8_t *to, size_t len)
{
	uint64_t seed = 11;
	unsigned grey = 0;

	for (size_t i = 0; i < len; i++) {
		size_t x = i / 3 % (WIDTH * 2 / 3), y = i / (WIDTH * 2 / 3 * 3);

		if (i % 3 == 0)
			grey = (unsigned)(20 + (x * x / 500 + 2 * y) % 160 + random_below(&seed, 40));
		to[i] = (uint8_t)(grey + 10 * (i % 3) + random_below(&seed, 4));
	}
}

/* Two-dimensional vectors, 16-bit, that have nothing in common. */
static void fill_vectors(uint8_t *to, size_t len)
{
	uint64_t seed = 12;

	memset(to, 0, len);
	for (size_t i = 0; i < len / 2; i++) {
		size_t x = i % WIDTH / 2, y = i / WIDTH;
		unsigned v = (unsigned)(i % 2 ? 20000 + 50 * x + 9 * y : 60000 - 30 * x - 7 * y) +
			     (unsigned)random_below(&seed, 100);

		to[2 * i] = (uint8_t)v;
		to[2 * i + 1] = (uint8_t)(v >> 8);
	}
}

static const struct chunk_plan plan = { 0, PIXELS_LEN, 100, WIDTH * 2, 2, 0, 0, 1 };
static const struct chunk_plan float_plan = { 0, PIXELS_LEN, 100, WIDTH * 4, 4, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__, 1, 1 };

static const struct chunk_plan colour_plan = { 0, PIXELS_LEN, 100, WIDTH * 2 / 3 * 3, 1, 0, 0, 3 };
static const struct chunk_plan vector_plan = { 0, PIXELS_LEN, 100, WIDTH * 2, 2, 0, 0, 2 };

typedef int encoder(const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len, struct buf *payload,
		    enum codec *codec);

/* CODEC_COUNT: whichever. */
static const struct content {
	const char *name;
	void (*fill)(uint8_t *to, size_t len);
	const struct chunk_plan *plan;
	enum codec arrival, dense;
	double arrival_ratio, dense_ratio; /* at least */
} contents[] = {
	{ "random", fill_random, NULL, CODEC_NONE, CODEC_NONE, 1, 1 },
	{ "random pixels", fill_random, &plan, CODEC_NONE, CODEC_NONE, 1, 1 },
	{ "zero", fill_zero, NULL, CODEC_ZSTD, CODEC_ZSTD, 1000, 1000 },
	{ "text", fill_text, NULL, CODEC_ZSTD, CODEC_ZSTD, 3, 5 },
	{ "far repetition", fill_far_repetition, NULL, CODEC_COUNT, CODEC_ZSTD, 1, 3 },
	{ "near repetition", fill_near_repetition, NULL, CODEC_ZSTD, CODEC_ZSTD, 50, 50 },
	{ "walk", fill_walk, NULL, CODEC_FILTER_ZSTD, CODEC_PREDICT, 1.2, 1.2 },
	{ "scan", fill_scan, &plan, CODEC_BITS, CODEC_PREDICT, 1.75, 1.95 },
	{ "scan without a plan", fill_scan, NULL, CODEC_FILTER_ZSTD, CODEC_PREDICT, 1.6, 1.8 },
	{ "bars", fill_bars, &plan, CODEC_COUNT, CODEC_PREDICT, 1.7, 2.3 },
	{ "stretched", fill_stretched, &plan, CODEC_COUNT, CODEC_PREDICT, 2, 4 },
	{ "whole numbers in floats", fill_floats, &float_plan, CODEC_COUNT, CODEC_PREDICT, 2.5, 4 },
	{ "fractions in floats", fill_fractions, &float_plan, CODEC_COUNT, CODEC_PREDICT, 1, 1.25 },
	{ "colours", fill_colours, &colour_plan, CODEC_COUNT, CODEC_PREDICT, 1, 1.8 },
	{ "vectors", fill_vectors, &vector_plan, CODEC_COUNT, CODEC_PREDICT, 1.5, 2.2 },
	{ "labels", fill_labels, &plan, CODEC_COUNT, CODEC_COUNT, 50, 50 },
	{ "text taken for pixels", fill_text, &plan, CODEC_COUNT, CODEC_COUNT, 3, 5 },
};

enum { CONTENTS = sizeof contents / sizeof *contents };

/* A part from the beginning is the beginning of the whole, and nothing is written behind the chunk. */
static void check_first(enum codec codec, const struct buf *payload, const uint8_t *bytes, size_t len)
{
	static uint64_t seed = 7;
	size_t wants[] = { 1 + random_below(&seed, len), 1 + random_below(&seed, (len + 15) / 16), len };
	scope_free uint8_t *back = malloc(len + 1);

	for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
		memset(back, 0xa5, len + 1);
		CHECK_RC(codec_decode_first(codec, payload->data, payload->len, back, len, wants[i]));
		CHECK(memcmp(back, bytes, wants[i]) == 0 && back[len] == 0xa5);
	}
}

/* Encodes, decodes, and compares. */
static enum codec round_trip(encoder *encode, const struct chunk_plan *p, uint64_t off, const uint8_t *bytes, size_t len,
			     struct buf *payload)
{
	enum codec codec = CODEC_COUNT;
	uint8_t *back = malloc(len + 1);

	back[len] = 0xa5;
	CHECK_RC(encode(p, off, bytes, len, payload, &codec));
	CHECK(codec < CODEC_COUNT && payload->len <= len);
	CHECK_RC(codec_decode(codec, payload->data, payload->len, back, len));
	CHECK(memcmp(back, bytes, len) == 0 && back[len] == 0xa5);
	check_first(codec, payload, bytes, len);
	free(back);
	return codec;
}

static void test_choice(const struct content *c, bool dense)
{
	scope_buf struct buf payload = { 0 };
	scope_free uint8_t *bytes = malloc(PIXELS_LEN);
	enum codec codec, expected = dense ? c->dense : c->arrival;
	double ratio, least = dense ? c->dense_ratio : c->arrival_ratio;

	c->fill(bytes, PIXELS_LEN);
	codec = round_trip(dense ? codec_encode_dense : codec_encode, c->plan, 0, bytes, PIXELS_LEN, &payload);
	ratio = (double)PIXELS_LEN / (double)payload.len;
	if (ratio < least || (expected != CODEC_COUNT && codec != expected))
		fprintf(stderr, "%s%s: %s, ratio %.2f\n", c->name, dense ? ", dense" : "", codec_name(codec), ratio);
	CHECK(ratio >= least);
	CHECK(expected == CODEC_COUNT || codec == expected);
	CHECK(dense || codec != CODEC_PREDICT); /* too slow for what arrives */
}

/* Only what is not coded may be left out of the payload. */
static void test_unless_plain(const struct content *c)
{
	scope_buf struct buf payload = { 0 }, other = { 0 };
	scope_free uint8_t *bytes = malloc(PIXELS_LEN);
	enum codec codec, expected;

	c->fill(bytes, PIXELS_LEN);
	CHECK_RC(codec_encode(c->plan, 0, bytes, PIXELS_LEN, &payload, &expected));
	CHECK_RC(codec_encode_unless_plain(c->plan, 0, bytes, PIXELS_LEN, &other, &codec));
	CHECK(codec == expected);
	if (codec == CODEC_NONE)
		CHECK(!other.len && payload.len == PIXELS_LEN);
	else
		CHECK(other.len == payload.len && memcmp(other.data, payload.data, other.len) == 0);
}

static void test_lengths(const struct content *c)
{
	static const size_t lengths[] = { 1,	2,    3,     13,    100,   1399,   1400,      2801,
					  4200, 9999, 16383, 32768, 32769, 100000, CHUNK_MIN, CHUNK_MAX };
	scope_buf struct buf payload = { 0 };
	scope_free uint8_t *bytes = malloc(CHUNK_MAX);

	c->fill(bytes, CHUNK_MAX);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		round_trip(codec_encode, c->plan, 0, bytes, lengths[i], &payload);
		round_trip(codec_encode_dense, c->plan, 0, bytes, lengths[i], &payload);
	}
}

/* Plans that say something else than the bytes, or nonsense. */
static void test_plans(void)
{
	static const uint32_t row_bytes[] = {
		0, 1, 2, 3, 200, 1023, 1024, 1400, 4096, 30000, 65536, 1 << 20, UINT32_MAX
	};
	static const uint8_t widths[] = { 0, 1, 2, 3, 4, 8, 255 };
	scope_buf struct buf payload = { 0 };
	scope_free uint8_t *bytes = malloc(70001);

	fill_scan(bytes, 70001);
	for (size_t i = 0; i < sizeof row_bytes / sizeof *row_bytes; i++)
		for (size_t k = 0; k < sizeof widths; k++) {
			struct chunk_plan p = { 100, 1 << 30, 10, row_bytes[i], widths[k], k % 2, 0, (uint8_t)k };

			round_trip(codec_encode, &p, 100, bytes, 70001, &payload);
			round_trip(codec_encode, &p, 101, bytes, 4099, &payload);
			round_trip(codec_encode_dense, &p, 100, bytes, 70001, &payload);
			round_trip(codec_encode_dense, &p, 101, bytes, 4099, &payload);
		}
}

static void test_damage(const struct content *c, encoder *encode)
{
	enum { LEN = 14000 };
	scope_buf struct buf payload = { 0 };
	uint8_t bytes[LEN], back[LEN + 1];
	struct chunk_plan any;
	enum codec codec;
	uint64_t seed = 1;

	c->fill(bytes, LEN);
	codec = round_trip(encode, c->plan, 0, bytes, LEN, &payload);
	for (size_t len = 0; len < payload.len; len += 1 + len / 50)
		CHECK(codec_decode(codec, payload.data, len, back, LEN) == -EBADMSG && *err_text());
	CHECK(codec_decode(codec, payload.data, payload.len, back, LEN + 1) == -EBADMSG);
	CHECK(codec_decode(codec, payload.data, payload.len, back, LEN - 1) == -EBADMSG);
	CHECK(codec_decode_first(codec, payload.data, payload.len, back, LEN, 0) == -EBADMSG);
	CHECK(codec_decode_first(codec, payload.data, payload.len, back, LEN, LEN + 1) == -EBADMSG);
	for (int i = 0; i < 500; i++) { /* the pack's checksum finds these; here they only must do no harm */
		size_t at = random_below(&seed, i % 2 ? payload.len : 24) % payload.len;
		uint8_t before = payload.data[at];
		int rc;

		payload.data[at] = (uint8_t)random_next(&seed);
		rc = codec_decode(codec, payload.data, payload.len, back, LEN);
		CHECK(rc == 0 || rc == -EBADMSG);
		rc = codec_decode_first(codec, payload.data, payload.len, back, LEN, 1 + random_below(&seed, LEN));
		CHECK(rc == 0 || rc == -EBADMSG);
		codec_plan(codec, payload.data, payload.len, &any);
		payload.data[at] = before;
	}
	buf_put(&payload, "\x50\x2a\x4d\x18\0\0\0\0", 8); /* an empty skippable frame behind it */
	CHECK(codec_decode(codec, payload.data, payload.len, back, LEN) == -EBADMSG);
	payload.len -= 7; /* a zero */
	payload.data[payload.len - 1] = 0;
	CHECK(codec_decode(codec, payload.data, payload.len, back, LEN) == -EBADMSG);
}

static void test_foreign(void)
{
	uint8_t payload[200], back[4096];
	uint64_t seed = 2;

	for (int i = 0; i < 3000; i++) {
		size_t len = random_below(&seed, sizeof payload), frame = i % 2 ? 8 : 0;
		unsigned codec = i % 2 ? CODEC_FILTER_ZSTD : CODEC_ZSTD;
		int rc;

		random_fill(payload, sizeof payload, random_next(&seed));
		memcpy(payload + frame, "\x28\xb5\x2f\xfd", 4);
		if (frame)
			memcpy(payload, "\2\2\0\0\144\0\0\0", 8);
		rc = codec_decode(codec, payload, len, back, 1 + random_below(&seed, sizeof back));
		CHECK(rc == 0 || rc == -EBADMSG);
	}
	for (int i = 0; i < 3000; i++) { /* plausible heads, with and without values */
		size_t len = random_below(&seed, sizeof payload);
		static const uint8_t head[] = { 1, 2, 0, 0, 0, 0, 0, 0, 50, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
		int rc;

		random_fill(payload, sizeof payload, random_next(&seed));
		memcpy(payload, head, sizeof head);
		payload[1] = (uint8_t)(1 << random_below(&seed, 3));
		payload[5] = i % 2;
		if (i % 2)
			memcpy(payload + sizeof head, "\2\0\0\0\5\0", 6);
		rc = codec_decode(CODEC_PREDICT, payload, len, back, 1 + random_below(&seed, sizeof back));
		CHECK(rc == 0 || rc == -EBADMSG);
	}
	for (unsigned codec = CODEC_COUNT; codec < 300; codec++)
		CHECK(!codec_name(codec) && codec_decode(codec, payload, 10, back, 10) == -EBADMSG);
	CHECK(codec_decode(CODEC_NONE, payload, 0, back, 0) == -EBADMSG);
	CHECK(codec_decode(CODEC_ZSTD, payload, 10, back, (size_t)CHUNK_MAX + 1) == -EBADMSG);
	for (unsigned codec = 0; codec < CODEC_COUNT; codec++)
		CHECK(codec_name(codec) && *codec_name(codec));
}

/* Planes that a head cannot have. */
static void test_bad_planes(void)
{
	static const uint8_t bad[][2] = { { 1, 0 }, { 0, 2 }, { 3, 1 }, { 3, 8 } };
	scope_buf struct buf payload = { 0 };
	scope_free uint8_t *bytes = malloc(PIXELS_LEN);
	struct chunk_plan any;

	fill_colours(bytes, PIXELS_LEN);
	CHECK(round_trip(codec_encode_dense, &colour_plan, 0, bytes, PIXELS_LEN, &payload) == CODEC_PREDICT);
	CHECK(payload.data[6] == 3 && payload.data[7] == 6);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		memcpy(payload.data + 6, bad[i], 2);
		CHECK(codec_decode(CODEC_PREDICT, payload.data, payload.len, bytes, PIXELS_LEN) == -EBADMSG);
		CHECK(!codec_plan(CODEC_PREDICT, payload.data, payload.len, &any));
	}
}

/* Processors with vector code and without make the same bytes, and each reads the other's. */
static void test_portable(const struct content *c)
{
	scope_buf struct buf fast = { 0 }, portable = { 0 };
	scope_free uint8_t *bytes = malloc(PIXELS_LEN), *back = malloc(PIXELS_LEN);
	enum codec codec = CODEC_COUNT, portable_codec = CODEC_COUNT;

	c->fill(bytes, PIXELS_LEN);
	CHECK_RC(codec_encode_dense(c->plan, 0, bytes, PIXELS_LEN, &fast, &codec));
	residual_portable_only(true);
	CHECK(predict_use(PREDICT_PORTABLE));
	CHECK_RC(codec_encode_dense(c->plan, 0, bytes, PIXELS_LEN, &portable, &portable_codec));
	CHECK_RC(codec_decode(codec, fast.data, fast.len, back, PIXELS_LEN));
	CHECK(memcmp(bytes, back, PIXELS_LEN) == 0);
	check_first(codec, &fast, bytes, PIXELS_LEN);
	residual_portable_only(false);
	CHECK(predict_use(PREDICT_AVX2) || predict_use(PREDICT_SSE2) || predict_use(PREDICT_PORTABLE));
	CHECK(codec == portable_codec && fast.len == portable.len && memcmp(fast.data, portable.data, fast.len) == 0);
}

/* ---- what a payload says of the rows ---- */

static void test_plan(const struct content *c, encoder *encode, bool says)
{
	scope_buf struct buf payload = { 0 };
	scope_free uint8_t *bytes = malloc(PIXELS_LEN);
	static const struct chunk_plan zeros;
	struct chunk_plan found;
	enum codec codec;

	c->fill(bytes, PIXELS_LEN);
	codec = round_trip(encode, c->plan, 0, bytes, PIXELS_LEN, &payload);
	memset(&found, 0xa5, sizeof found);
	CHECK(codec_plan(codec, payload.data, payload.len, &found) == says);
	if (!says) {
		CHECK(memcmp(&found, &zeros, sizeof found) == 0);
		return;
	}
	CHECK(chunker_in_pixels(&found, 0) && chunker_in_pixels(&found, CHUNK_MAX));
	CHECK(found.row_bytes == c->plan->row_bytes && found.sample_bytes == c->plan->sample_bytes);
	CHECK(found.big_endian == c->plan->big_endian && found.samples == c->plan->samples);
	CHECK(codec != CODEC_PREDICT || found.is_float == c->plan->is_float);
	for (size_t len = 0; len < 26; len++) /* heads that end too soon; the shortest one has 8 bytes */
		CHECK(!codec_plan(codec, payload.data, len, &found) || len >= 8);
}

/* An arrived chunk of which nothing but its payload is known becomes as small as one with its plan. */
static void test_recoding(const struct content *c)
{
	scope_buf struct buf arrived = { 0 }, planned = { 0 }, recoded = { 0 };
	scope_free uint8_t *bytes = malloc(PIXELS_LEN);
	struct chunk_plan found;
	enum codec codec;

	c->fill(bytes, PIXELS_LEN);
	codec = round_trip(codec_encode, c->plan, 0, bytes, PIXELS_LEN, &arrived);
	CHECK(codec_plan(codec, arrived.data, arrived.len, &found));
	round_trip(codec_encode_dense, c->plan, 0, bytes, PIXELS_LEN, &planned);
	round_trip(codec_encode_dense, &found, 0, bytes, PIXELS_LEN, &recoded);
	CHECK(recoded.len <= planned.len + planned.len / 100);
}

static const struct content *content_named(const char *name)
{
	for (size_t i = 0; i < CONTENTS; i++)
		if (strcmp(contents[i].name, name) == 0)
			return &contents[i];
	CHECK(!"there is such a content");
	return contents;
}

static void test_plans_of_payloads(void)
{
	uint8_t payload[64];
	struct chunk_plan any;
	uint64_t seed = 3;

	test_plan(content_named("scan"), codec_encode, true);
	test_plan(content_named("scan"), codec_encode_dense, true);
	test_plan(content_named("stretched"), codec_encode_dense, true);
	test_plan(content_named("whole numbers in floats"), codec_encode_dense, true);
	test_plan(content_named("fractions in floats"), codec_encode_dense, true);
	test_plan(content_named("colours"), codec_encode_dense, true);
	test_plan(content_named("vectors"), codec_encode_dense, true);
	test_plan(content_named("scan without a plan"), codec_encode, false);
	test_plan(content_named("scan without a plan"), codec_encode_dense, false);
	test_plan(content_named("text"), codec_encode, false);
	test_plan(content_named("random"), codec_encode, false);
	test_recoding(content_named("scan"));
	test_recoding(content_named("fractions in floats"));
	for (int i = 0; i < 20000; i++) {
		random_fill(payload, sizeof payload, random_next(&seed));
		for (int k = 0; i % 2 && k < 8; k++)
			payload[k] %= 3;
		if (codec_plan((unsigned)random_below(&seed, 10), payload, random_below(&seed, sizeof payload + 1), &any))
			CHECK(chunker_in_pixels(&any, 0) && any.row_bytes <= CHUNK_MAX / 2);
	}
	CHECK(!codec_plan(CODEC_FILTER_ZSTD, NULL, 0, &any) && !codec_plan(UINT32_MAX, payload, 64, &any));
}

/* Another thread makes the same bytes, and lets go of its contexts when it ends. */
static void *encode_all(void *arg)
{
	struct buf *payloads = arg;
	scope_free uint8_t *bytes = malloc(PIXELS_LEN);
	enum codec codec;

	for (size_t i = 0; i < CONTENTS; i++) {
		contents[i].fill(bytes, PIXELS_LEN);
		CHECK_RC(codec_encode_dense(contents[i].plan, 0, bytes, PIXELS_LEN, &payloads[i], &codec));
	}
	return NULL;
}

static void test_threads(void)
{
	struct buf payloads[3][CONTENTS] = { 0 };
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, encode_all, payloads[i]);
	encode_all(payloads[2]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < CONTENTS; i++) {
		for (int k = 0; k < 2; k++)
			CHECK(payloads[k][i].len == payloads[2][i].len &&
			      memcmp(payloads[k][i].data, payloads[2][i].data, payloads[2][i].len) == 0);
		for (int k = 0; k < 3; k++)
			buf_free(&payloads[k][i]);
	}
}

int main(void)
{
	test_filters();
	test_filter_valid();
	test_filter_bytes();
	for (size_t i = 0; i < CONTENTS; i++) {
		test_choice(&contents[i], false);
		test_choice(&contents[i], true);
		test_unless_plain(&contents[i]);
		test_lengths(&contents[i]);
		test_damage(&contents[i], codec_encode);
		test_damage(&contents[i], codec_encode_dense);
		test_portable(&contents[i]);
	}
	test_plans();
	test_foreign();
	test_bad_planes();
	test_plans_of_payloads();
	test_threads();
	return check_done();
}
