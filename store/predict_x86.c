/* Vector code for x86-64: SSE2, which all of them have, and AVX2. */
#include "store/predict_internal.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("schedule-insns", "sched-pressure") /* otherwise it runs out of registers */
#endif

enum {
	SKEW = 3,	  /* the shorter the more a lane waits for the one before it */
	ROW_LEAST = 64,	  /* samples: long enough for all lanes to be within their rows */
	ROW_MOST = 32000, /* columns are counted in 16 bits */
};

#define INLINE static inline __attribute__((always_inline))

/* ---- SSE2: eight lanes ---- */

#define LANES 8
#define V __m128i
#define HERE
#define NAME(x) x##_sse2

#define V_LOAD(from) _mm_loadu_si128((const __m128i *)(from))
#define V_STORE(to, v) _mm_storeu_si128((__m128i *)(to), v)
#define V_STORE_NARROW(to, v) _mm_storel_epi64((__m128i *)(to), _mm_packus_epi16(v, v))
#define V_SET1_16 _mm_set1_epi16
#define V_SET1_32 _mm_set1_epi32
#define V_ADD _mm_add_epi16
#define V_ADDS _mm_adds_epi16
#define V_SUB _mm_sub_epi16
#define V_SUBS _mm_subs_epi16
#define V_ADD32 _mm_add_epi32
#define V_MADD _mm_madd_epi16
#define V_UNPACKLO16 _mm_unpacklo_epi16
#define V_UNPACKHI16 _mm_unpackhi_epi16
#define V_PACKS32 _mm_packs_epi32
#define V_MIN _mm_min_epi16
#define V_MAX _mm_max_epi16
#define V_SRAI16 _mm_srai_epi16
#define V_SRAI32 _mm_srai_epi32
#define V_SRLI16 _mm_srli_epi16
#define V_SLLI16 _mm_slli_epi16
#define V_AND _mm_and_si128
#define V_OR _mm_or_si128
#define V_XOR _mm_xor_si128
#define V_CMPEQ16 _mm_cmpeq_epi16
#define V_BLEND(a, b, mask) _mm_or_si128(_mm_andnot_si128(mask, a), _mm_and_si128(mask, b))
/* Each level one lane on; first comes in. */
#define V_MOVE(v, first) _mm_insert_epi16(_mm_slli_si128(v, 2), *(first), 0)
/* Eight samples of a row; longer vectors take eight more of the row that lies far behind it. */
#define V_LOAD_ROWS load_rows_sse2
#define V_STORE_ROWS store_rows_sse2

static inline __m128i load_rows_sse2(const uint8_t *in, ptrdiff_t far, bool narrow)
{
	(void)far;
	return narrow ? _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)in), _mm_setzero_si128()) : V_LOAD(in);
}

static inline void store_rows_sse2(uint8_t *out, ptrdiff_t far, __m128i v, bool narrow)
{
	(void)far;
	if (narrow)
		V_STORE_NARROW(out, v);
	else
		V_STORE(out, v);
}

#include "store/predict_x86.h"

#undef V_LOAD
#undef V_STORE
#undef V_STORE_NARROW
#undef V_SET1_16
#undef V_SET1_32
#undef V_ADD
#undef V_ADDS
#undef V_SUB
#undef V_SUBS
#undef V_ADD32
#undef V_MADD
#undef V_UNPACKLO16
#undef V_UNPACKHI16
#undef V_PACKS32
#undef V_MIN
#undef V_MAX
#undef V_SRAI16
#undef V_SRAI32
#undef V_SRLI16
#undef V_SLLI16
#undef V_AND
#undef V_OR
#undef V_XOR
#undef V_CMPEQ16
#undef V_BLEND
#undef V_MOVE
#undef V_LOAD_ROWS
#undef V_STORE_ROWS

/* ---- AVX2: sixteen lanes ---- */

#define LANES 16
#define V __m256i
#define HERE __attribute__((target("avx2")))
#define NAME(x) x##_avx2

#define V_LOAD(from) _mm256_loadu_si256((const __m256i *)(from))
#define V_STORE(to, v) _mm256_storeu_si256((__m256i *)(to), v)
#define V_STORE_NARROW store_narrow_avx2
#define V_SET1_16 _mm256_set1_epi16
#define V_SET1_32 _mm256_set1_epi32
#define V_ADD _mm256_add_epi16
#define V_ADDS _mm256_adds_epi16
#define V_SUB _mm256_sub_epi16
#define V_SUBS _mm256_subs_epi16
#define V_ADD32 _mm256_add_epi32
#define V_MADD _mm256_madd_epi16
#define V_UNPACKLO16 _mm256_unpacklo_epi16
#define V_UNPACKHI16 _mm256_unpackhi_epi16
#define V_PACKS32 _mm256_packs_epi32
#define V_MIN _mm256_min_epi16
#define V_MAX _mm256_max_epi16
#define V_SRAI16 _mm256_srai_epi16
#define V_SRAI32 _mm256_srai_epi32
#define V_SRLI16 _mm256_srli_epi16
#define V_SLLI16 _mm256_slli_epi16
#define V_AND _mm256_and_si256
#define V_OR _mm256_or_si256
#define V_XOR _mm256_xor_si256
#define V_CMPEQ16 _mm256_cmpeq_epi16
#define V_BLEND _mm256_blendv_epi8
#define V_MOVE move_avx2
#define V_LOAD_ROWS load_rows_avx2
#define V_STORE_ROWS store_rows_avx2

/* What stands before first comes along: with it, the load is part of an instruction. */
HERE INLINE __m256i move_avx2(__m256i v, const int16_t *first)
{
	__m256i before = _mm256_permute2x128_si256(v, V_LOAD(first - 7), 0x02);

	return _mm256_alignr_epi8(v, before, 14);
}

HERE INLINE void store_narrow_avx2(uint8_t *to, __m256i v)
{
	__m128i low = _mm256_castsi256_si128(v), high = _mm256_extracti128_si256(v, 1);

	_mm_storeu_si128((__m128i *)to, _mm_packus_epi16(low, high));
}

HERE INLINE __m256i load_rows_avx2(const uint8_t *in, ptrdiff_t far, bool narrow)
{
	__m128i low, high;

	if (narrow) {
		low = _mm_loadl_epi64((const __m128i *)in);
		high = _mm_loadl_epi64((const __m128i *)(in + far));
		return _mm256_cvtepu8_epi16(_mm_unpacklo_epi64(low, high));
	}
	low = _mm_loadu_si128((const __m128i *)in);
	high = _mm_loadu_si128((const __m128i *)(in + far));
	return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

HERE INLINE void store_rows_avx2(uint8_t *out, ptrdiff_t far, __m256i v, bool narrow)
{
	if (narrow)
		v = _mm256_packus_epi16(v, v);
	if (narrow) {
		_mm_storel_epi64((__m128i *)out, _mm256_castsi256_si128(v));
		_mm_storel_epi64((__m128i *)(out + far), _mm256_extracti128_si256(v, 1));
	} else {
		_mm_storeu_si128((__m128i *)out, _mm256_castsi256_si128(v));
		_mm_storeu_si128((__m128i *)(out + far), _mm256_extracti128_si256(v, 1));
	}
}

#include "store/predict_x86.h"

#endif
