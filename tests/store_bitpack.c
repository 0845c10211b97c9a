/*
 * bitpack and the payload of CODEC_BITS: exact inverses for any bytes, any length and any parameters; the same bytes from the
 * portable loops and the vector ones; never a step beyond the given bytes, however wrong they are.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/bitpack_internal.h"
#include "store/codec_bits.h"
#include "tests/lib/check.h"

enum { LEN_MAX = 4096 + 1, LONG = 300000 };

static uint64_t random_state = 7;

static uint64_t random64(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Bytes whose samples have values of any size, with runs of small ones: blocks of every width occur. */
static void fill(uint8_t *to, size_t len, unsigned sample_bytes)
{
	unsigned bits = 0;

	for (size_t at = 0; at < len; at++) {
		if (at % 64 == 0)
			bits = (unsigned)(random64() % (8 * sample_bytes + 1));
		to[at] = 0;
		if (8 * (at % sample_bytes) < bits)
			to[at] = (uint8_t)(random64() & ((1u << (bits - 8 * (at % sample_bytes) > 7 ? 8
									      : bits - 8 * (at % sample_bytes))) -
							 1));
	}
}

/* In memory of exactly its length, so that a sanitizer sees a step beyond. */
static uint8_t *exactly(const uint8_t *bytes, size_t len)
{
	uint8_t *p = malloc(len ? len : 1);

	if (p && len)
		memcpy(p, bytes, len);
	return p;
}

static void check_round_trip(const struct bitpack *b, const uint8_t *bytes, size_t len)
{
	struct bits_room room = { 0 };
	struct buf vector = { 0 }, portable = { 0 };
	size_t first;
	uint8_t *from = exactly(bytes, len), *to = malloc(len + 1), *payload;

	CHECK(bitpack_valid(b));
	CHECK_RC(bits_encode(&room, b, from, len, &vector));
	bitpack_use_vectors(false);
	CHECK_RC(bits_encode(&room, b, from, len, &portable));
	CHECK(vector.len == portable.len && !memcmp(vector.data, portable.data, vector.len));
	payload = exactly(vector.data, vector.len);
	for (int vectors = 0; vectors < 2; vectors++) {
		bitpack_use_vectors(vectors);
		memset(to, 0xa5, len + 1);
		CHECK_RC(bits_decode(&room, payload, vector.len, to, len, len));
		CHECK(!memcmp(to, bytes, len) && to[len] == 0xa5);
		first = 1 + random64() % len;
		memset(to, 0xa5, len + 1);
		CHECK_RC(bits_decode(&room, payload, vector.len, to, len, first)); /* only the beginning */
		CHECK(!memcmp(to, bytes, first) && to[len] == 0xa5);
		CHECK(bits_matches(&room, payload, vector.len, from, len) == 1);
		from[random64() % len] ^= (uint8_t)(1u << random64() % 8);
		CHECK(bits_matches(&room, payload, vector.len, from, len) == 0);
		memcpy(from, bytes, len);
	}
	free(payload);
	free(from);
	free(to);
	buf_free(&vector);
	buf_free(&portable);
	bits_room_free(&room);
}

/* The i-th of all kinds of parameters, with rows of any length. */
static struct bitpack kind(unsigned i)
{
	static const uint8_t sizes[] = { 1, 2, 4, 4 };
	struct bitpack b = { .predictor = (uint8_t)(i % BITPACK_PREDICTORS) };

	i /= BITPACK_PREDICTORS;
	b.sample_bytes = sizes[i % 4];
	b.is_float = i % 4 == 3;
	b.big_endian = i / 4 % 2;
	b.step = (uint8_t)(1 + random64() % BITPACK_STEP_MAX);
	b.row_bytes = (uint32_t)((64 + random64() % 300) * b.sample_bytes);
	return b;
}
enum { KINDS = BITPACK_PREDICTORS * 8 };

static void test_every_length(void)
{
	static uint8_t bytes[LEN_MAX];

	for (size_t len = 1; len <= LEN_MAX; len++) {
		struct bitpack b = kind((unsigned)(random64() % KINDS));

		fill(bytes, len, b.sample_bytes);
		check_round_trip(&b, bytes, len);
	}
}

static void test_every_kind(void)
{
	static uint8_t bytes[LONG];
	static const size_t lens[] = { 1, 7, 4096, 70001, LONG };

	for (unsigned i = 0; i < KINDS; i++)
		for (size_t k = 0; k < sizeof lens / sizeof *lens; k++) {
			struct bitpack b = kind(i);

			fill(bytes, lens[k], b.sample_bytes);
			check_round_trip(&b, bytes, lens[k]);
			for (size_t at = 0; at < lens[k]; at++)
				bytes[at] = (uint8_t)random64();
			check_round_trip(&b, bytes, lens[k]);
			memset(bytes, i % 2 ? 0xff : 0, lens[k]);
			check_round_trip(&b, bytes, lens[k]);
		}
}

/* A picture with noise: bitpack_fit() takes a predictor of neighbours, and tells the size. */
static void test_fit(void)
{
	enum { WIDTH = 400, HEIGHT = 300, SHIFT = 4 };
	static uint8_t widths[WIDTH * HEIGHT], packed[2 * WIDTH * HEIGHT + BITPACK_SLACK], scratch[2 * WIDTH * HEIGHT];

	for (unsigned big_endian = 0; big_endian < 2; big_endian++) {
		static uint16_t x[WIDTH * HEIGHT];
		struct bitpack b = { .sample_bytes = 2, .big_endian = (uint8_t)big_endian, .step = 1, .row_bytes = 2 * WIDTH };
		double bits, really;

		for (size_t i = 0; i < WIDTH * HEIGHT; i++) {
			uint16_t v = (uint16_t)((1000 + i % WIDTH * 3 + i / WIDTH * 5 + random64() % 32) << SHIFT);

			x[i] = big_endian ? htobe16(v) : htole16(v);
		}
		bits = bitpack_fit(&b, (uint8_t *)x, sizeof x);
		really = (double)bitpack_pack(&b, (uint8_t *)x, sizeof x, widths, packed, scratch) * 8 / (WIDTH * HEIGHT);
		CHECK(b.shift == SHIFT);
		CHECK(b.predictor != BITPACK_NONE);
		CHECK(bits > 4 && bits < 8);
		CHECK(bits > really * 0.9 && bits < really * 1.1);
		check_round_trip(&b, (uint8_t *)x, sizeof x);
	}
}

static void test_wrong_parameters(void)
{
	const struct bitpack good = { .predictor = BITPACK_UP, .sample_bytes = 2, .step = 1, .row_bytes = 200 };
	struct bitpack b;

	CHECK(bitpack_valid(&good));
	b = good, b.predictor = BITPACK_PREDICTORS;
	CHECK(!bitpack_valid(&b));
	b = good, b.sample_bytes = 3;
	CHECK(!bitpack_valid(&b));
	b = good, b.sample_bytes = 8;
	CHECK(!bitpack_valid(&b));
	b = good, b.step = 0;
	CHECK(!bitpack_valid(&b));
	b = good, b.shift = 16;
	CHECK(!bitpack_valid(&b));
	b = good, b.row_bytes = 100;
	CHECK(!bitpack_valid(&b));
	b = good, b.row_bytes = 201;
	CHECK(!bitpack_valid(&b));
	b = good, b.is_float = 1;
	CHECK(!bitpack_valid(&b));
}

/* Any change of a payload decodes to something or is refused; nothing is read or written outside. */
static void test_damage(void)
{
	static uint8_t bytes[9001], to[sizeof bytes];
	struct bits_room room = { 0 };
	struct buf out = { 0 };
	size_t refused = 0;

	for (unsigned i = 0; i < 4000; i++) {
		struct bitpack b = kind(i % KINDS);
		size_t len;
		uint8_t *payload;

		fill(bytes, sizeof bytes, b.sample_bytes);
		buf_clear(&out);
		CHECK_RC(bits_encode(&room, &b, bytes, sizeof bytes, &out));
		len = i % 3 ? out.len : random64() % out.len;
		payload = exactly(out.data, len);
		if (len)
			payload[random64() % (i % 2 && len > 40 ? 40 : len)] = (uint8_t)random64();
		bitpack_use_vectors(i % 4 < 2);
		size_t plain = i % 5 ? sizeof bytes : 1 + random64() % sizeof bytes;

		if (bits_decode(&room, payload, len, to, plain, i % 7 ? plain : 1 + random64() % plain) == -EBADMSG)
			refused++;
		CHECK(bits_matches(&room, payload, len, bytes, sizeof bytes) <= 1);
		free(payload);
	}
	CHECK(refused > 1000);
	buf_free(&out);
	bits_room_free(&room);
}

int main(void)
{
	test_every_length();
	test_every_kind();
	test_fit();
	test_wrong_parameters();
	test_damage();
	return check_done();
}
