/*
 * The codecs and the residual coder: nothing crashes on any payload, and what was encoded comes back.
 *
 * An input begins with what to do; then come parameters and bytes:
 *     0  codec_decode, codec_plan:  codec, u16 length (0: 65536)
 *     1  codec_encode, codec_encode_dense:  sample bytes, big-endian, samples a pixel, u16 samples in a row, u16 offset of the
 *        first pixel
 *     2  residuals:     width, u16 samples in a row, u16 samples (0: 65536). The bytes are decoded, and also encoded
 */
#include "store/codec.h"
#include "store/residual.h"
#include "store/residual_internal.h"
#include "tests/lib/fuzz.h"

const unsigned fuzz_failing_allocations = 0; /* what cannot be encoded for lack of memory is kept plain */

enum { LENGTH_MAX = 65536 };

static size_t length_of(uint16_t v)
{
	return v ? v : LENGTH_MAX;
}

static void fuzz_decode(struct cursor *c)
{
	unsigned codec = cursor_u8(c);
	size_t len = length_of(cursor_u16(c));
	uint8_t *to = malloc(len), *first = malloc(len);
	struct chunk_plan plan;

	if (!cursor_failed(c)) {
		int rc = codec_decode(codec, c->at, cursor_left(c), to, len);

		must(!codec_decode_first(codec, c->at, cursor_left(c), first, len, len / 3 + 1) || rc, "only a part fails");
		must(rc || memcmp(to, first, len / 3 + 1) == 0, "a part has other bytes");
		if (codec_plan(codec, c->at, cursor_left(c), &plan))
			must(chunker_in_pixels(&plan, 0) && plan.row_bytes <= CHUNK_MAX / 2, "a plan makes no sense");
	}
	free(to);
	free(first);
}

static void round_trip(const struct chunk_plan *plan, bool dense, const uint8_t *bytes, size_t len)
{
	scope_buf struct buf payload = { 0 };
	uint8_t *back = malloc(len);
	enum codec codec;

	must((dense ? codec_encode_dense : codec_encode)(plan, 0, bytes, len, &payload, &codec) == 0, "codec_encode fails");
	must(codec_decode(codec, payload.data, payload.len, back, len) == 0, "codec_decode fails");
	must(memcmp(bytes, back, len) == 0, "codec_decode gives other bytes");
	must(payload.len <= len, "a payload is longer than its chunk");
	free(back);
}

static void fuzz_encode(struct cursor *c)
{
	struct chunk_plan plan = { .slices = 1000 };

	plan.sample_bytes = (uint8_t)(1 << cursor_u8(c) % 4);
	plan.big_endian = cursor_u8(c) % 2;
	plan.samples = (uint8_t)(1 + cursor_u8(c) % 4);
	plan.row_bytes = (uint32_t)plan.sample_bytes * plan.samples * (1u + cursor_u16(c));
	plan.slice_bytes = plan.row_bytes * UINT64_C(1000);
	plan.first_pixel = cursor_u16(c) % 64 ? 0 : 7;
	if (cursor_failed(c) || !cursor_left(c) || cursor_left(c) > LENGTH_MAX)
		return;
	for (int dense = 0; dense < 2; dense++) {
		round_trip(&plan, dense, c->at, cursor_left(c));
		round_trip(NULL, dense, c->at, cursor_left(c));
	}
}

static void residual_round_trip(const uint8_t *bytes, unsigned width, size_t count, size_t row)
{
	scope_buf struct buf fast = { 0 }, portable = { 0 };
	uint8_t *samples = malloc(count * width), *back = malloc(count * width);

	memcpy(samples, bytes, count * width); /* aligned */
	must(residual_encode(samples, width, count, row, &fast) == 0, "residual_encode fails");
	must(residual_decode(fast.data, fast.len, width, count, row, back) == 0, "residual_decode fails");
	must(memcmp(samples, back, count * width) == 0, "residual_decode gives other samples");
	residual_portable_only(true);
	must(residual_encode(samples, width, count, row, &portable) == 0, "portable residual_encode fails");
	residual_portable_only(false);
	must(fast.len == portable.len && memcmp(fast.data, portable.data, fast.len) == 0,
	     "portable residual_encode gives other bytes");
	free(samples);
	free(back);
}

static void fuzz_residual(struct cursor *c)
{
	unsigned width = 1u << cursor_u8(c) % 3;
	size_t row = cursor_u16(c), count = length_of(cursor_u16(c)), given;
	uint8_t *a = malloc(count * width), *b = malloc(count * width);
	int rc, portable;

	rc = residual_decode(c->at, cursor_left(c), width, count, row, a);
	residual_portable_only(true);
	portable = residual_decode(c->at, cursor_left(c), width, count, row, b);
	residual_portable_only(false);
	must(rc == portable && (rc || memcmp(a, b, count * width) == 0), "portable residual_decode differs");
	free(a);
	free(b);
	given = cursor_left(c) / width;
	if (given)
		residual_round_trip(c->at, width, given, row);
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);

	switch (cursor_u8(&c) % 3) {
	case 0:
		fuzz_decode(&c);
		break;
	case 1:
		fuzz_encode(&c);
		break;
	default:
		fuzz_residual(&c);
		break;
	}
}
