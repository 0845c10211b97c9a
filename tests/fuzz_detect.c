/*
 * Detection of raw volumes from their bytes. A quarter of a million bytes are too many to make up one by one, so the
 * input says how they are made: u8 sample type, u8 log2 of the length above 256 KiB, u16 row, u16 rows of a slice, u16
 * header bytes, u8 noise; then bytes that are laid over the header and repeated in the pixels.
 */
#include "fs/image/detect.h"
#include "tests/lib/fuzz.h"

const unsigned fuzz_failing_allocations = 8;

struct shape {
	unsigned width, row, rows, header, noise;
	bool big_endian;
};

static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Slopes in x, y and z, with a step at the border of each row and slice, noise, and the input's own bytes here and there. */
static void make(uint8_t *to, size_t len, const struct shape *s, const uint8_t *own, size_t own_len)
{
	uint32_t state = 2463534242u;

	for (size_t i = 0; i < len; i++) {
		size_t n = i < s->header ? 0 : (i - s->header) / s->width, x = n % s->row, y = n / s->row % s->rows;
		unsigned lane = (unsigned)((i < s->header ? i : i - s->header) % s->width);
		uint32_t v = (uint32_t)(x * 37 + y * 11 + n / s->row / s->rows * 5);

		if (s->noise)
			v += next(&state) % (s->noise + 1u);
		if (own_len && next(&state) % 64 == 0)
			v += own[(x + y) % own_len];
		to[i] = (uint8_t)(v >> 8 * (s->big_endian ? s->width - 1 - lane : lane));
		if (s->width == 4 && lane == (s->big_endian ? 0 : 3))
			to[i] = 0x3f + (v >> 16 & 3); /* as a float near one */
	}
	memcpy(to, own, own_len < len ? own_len : len);
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	unsigned type = cursor_u8(&c), longer = cursor_u8(&c) % 3;
	size_t len = (size_t)DETECT_LEAST << longer;
	struct shape s = { .width = 1u << type % 3, .big_endian = type & 4 };
	struct detected found;
	uint8_t *bytes;

	s.row = 1 + cursor_u16(&c) % 4096;
	s.rows = 1 + cursor_u16(&c) % 4096;
	s.header = cursor_u16(&c);
	s.noise = cursor_u8(&c);
	len -= type & 8 ? 1 + s.header : 0;
	bytes = malloc(len);
	if (!bytes || cursor_failed(&c)) {
		free(bytes);
		return;
	}
	make(bytes, len, &s, c.at, cursor_left(&c));
	if (detect_raw(bytes, len, type & 16 ? 0 : len, &found) == 0) {
		must(found.sample_bytes == 1 || found.sample_bytes == 2 || found.sample_bytes == 4, "sample bytes");
		must(found.row_bytes && found.row_bytes % found.sample_bytes == 0, "row bytes");
		must(found.slice_bytes % found.row_bytes == 0, "slice bytes");
	}
	free(bytes);
}
