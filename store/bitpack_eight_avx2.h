/* bitpack_eight.h with AVX2: the same bytes. For each width a row of a table says which bits go where. */
#include <immintrin.h>

#define WIDTHS(ROW)                                                                                                  \
	{                                                                                                             \
		ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7), ROW(8), ROW(9), ROW(10), ROW(11),     \
			ROW(12), ROW(13), ROW(14), ROW(15), ROW(16)                                                   \
	}

/* The bits of the largest of eight numbers. */
static inline unsigned width8(v8x16 v)
{
	__m128i least = _mm_minpos_epu16(_mm_xor_si128((__m128i)v, _mm_set1_epi16(-1)));

	return 32 - _lzcnt_u32(~(unsigned)_mm_cvtsi128_si32(least) & 0xffff);
}

struct pack_row { /* of width w */
	uint16_t up[8];	      /* even numbers to the top of their 16 bits, so that odd ones follow them */
	uint32_t down[4];     /* ... and each two to the bottom of 32 bits */
	uint32_t up_two[4];   /* the same with twos in 64 bits */
	uint64_t down_two[2];
	uint64_t odd[2];      /* the upper four begin in the middle of a byte */
	uint8_t upper[16];    /* bytes of the upper four to their place */
} __attribute__((aligned(32)));

#define UPPER(w, k) ((k) >= (w) / 2 && (k) < (w) / 2 + 8 ? 8 + (k) - (w) / 2 : 0x80)
#define PACK_ROW(w)                                                                                                           \
	{                                                                                                                      \
		.up = { 1u << (16 - (w)) & 0xffff, 1, 1u << (16 - (w)) & 0xffff, 1, 1u << (16 - (w)) & 0xffff, 1,              \
			1u << (16 - (w)) & 0xffff, 1 },                                                                        \
		.down = { 16 - (w), 16 - (w), 16 - (w), 16 - (w) }, .up_two = { 32 - 2 * (w), 0, 32 - 2 * (w), 0 },            \
		.down_two = { 32 - 2 * (w), 32 - 2 * (w) }, .odd = { 0, (w) % 2 * 4 },                                         \
		.upper = { UPPER(w, 0), UPPER(w, 1), UPPER(w, 2), UPPER(w, 3), UPPER(w, 4), UPPER(w, 5), UPPER(w, 6),          \
			   UPPER(w, 7), UPPER(w, 8), UPPER(w, 9), UPPER(w, 10), UPPER(w, 11), UPPER(w, 12), UPPER(w, 13),      \
			   UPPER(w, 14), UPPER(w, 15) }                                                                        \
	}
static const struct pack_row pack_rows[] = WIDTHS(PACK_ROW);

#define LOAD_ROW(x) _mm_load_si128((const __m128i *)(x))

/* Writes w bytes, and some behind them that do not count. */
static inline void pack8(uint8_t *p, v8x16 v, unsigned w)
{
	const struct pack_row *row = &pack_rows[w];
	__m128i x = _mm_mullo_epi16((__m128i)v, LOAD_ROW(row->up));

	x = _mm_srlv_epi32(x, LOAD_ROW(row->down));
	x = _mm_sllv_epi32(x, LOAD_ROW(row->up_two));
	x = _mm_srlv_epi64(x, LOAD_ROW(row->down_two));
	x = _mm_sllv_epi64(x, LOAD_ROW(row->odd));
	x = _mm_or_si128(_mm_move_epi64(x), _mm_shuffle_epi8(x, LOAD_ROW(row->upper)));
	_mm_storeu_si128((__m128i *)p, x);
}

struct unpack_row {
	uint8_t bytes[32];  /* those that a number begins in and that follow, to its 32 bits */
	uint32_t shift[8];
	uint32_t mask[8];
} __attribute__((aligned(32)));

#define BYTE(w, i, j) ((i) * (w) / 8 + (j) < 16 ? (i) * (w) / 8 + (j) : 0x80)
#define BYTES(w, i) BYTE(w, i, 0), BYTE(w, i, 1), BYTE(w, i, 2), BYTE(w, i, 3)
#define MASK(w) ((1u << (w)) - 1)
#define UNPACK_ROW(w)                                                                                                         \
	{                                                                                                                      \
		.bytes = { BYTES(w, 0), BYTES(w, 1), BYTES(w, 2), BYTES(w, 3), BYTES(w, 4), BYTES(w, 5), BYTES(w, 6),          \
			   BYTES(w, 7) },                                                                                      \
		.shift = { 0, (w) % 8, 2 * (w) % 8, 3 * (w) % 8, 4 * (w) % 8, 5 * (w) % 8, 6 * (w) % 8, 7 * (w) % 8 },         \
		.mask = { MASK(w), MASK(w), MASK(w), MASK(w), MASK(w), MASK(w), MASK(w), MASK(w) }                             \
	}
static const struct unpack_row unpack_rows[] = WIDTHS(UNPACK_ROW);

/* Reads 16 bytes. */
static inline v8x16 unpack8(const uint8_t *p, unsigned w)
{
	const struct unpack_row *row = &unpack_rows[w];
	__m256i x = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));

	x = _mm256_shuffle_epi8(x, _mm256_load_si256((const __m256i *)row->bytes));
	x = _mm256_srlv_epi32(x, _mm256_load_si256((const __m256i *)row->shift));
	x = _mm256_and_si256(x, _mm256_load_si256((const __m256i *)row->mask));
	return (v8x16)_mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}
