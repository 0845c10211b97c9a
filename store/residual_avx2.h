/* Vectors of GROUP lanes of 32 bits, for the encoder and the decoder of residuals on processors with AVX2. */
#ifndef TOMOFS_RESIDUAL_AVX2_H
#define TOMOFS_RESIDUAL_AVX2_H

#include <immintrin.h>

#include "store/residual_internal.h"

typedef __m256i lanes;

#define VECTOR_CODE RESIDUAL_FAST static ALWAYS_INLINE

VECTOR_CODE lanes lanes_all(uint32_t v)
{
	return _mm256_set1_epi32((int)v);
}

VECTOR_CODE lanes lanes_load_16(const uint16_t *from)
{
	return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from));
}

VECTOR_CODE lanes lanes_load_8(const uint8_t *from)
{
	return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from));
}

/* The lower `count` bits of each. */
VECTOR_CODE lanes lanes_low_bits(lanes v, lanes count)
{
	return _mm256_andnot_si256(_mm256_sllv_epi32(lanes_all(UINT32_MAX), count), v);
}

VECTOR_CODE __m128i two_from(const uint32_t *table, uint64_t index)
{
	return _mm_insert_epi32(_mm_cvtsi32_si128((int)table[(uint32_t)index]), (int)table[index >> 32], 1);
}

/* table[index] of each lane. Single loads: the gather instruction is not faster on some processors, and much slower on those
 * that were protected against data sampling. */
VECTOR_CODE lanes lanes_gather(const uint32_t *table, lanes index)
{
	__m128i low = _mm256_castsi256_si128(index), high = _mm256_extracti128_si256(index, 1);
	__m128i a = two_from(table, (uint64_t)_mm_cvtsi128_si64(low));
	__m128i b = two_from(table, (uint64_t)_mm_extract_epi64(low, 1));
	__m128i c = two_from(table, (uint64_t)_mm_cvtsi128_si64(high));
	__m128i d = two_from(table, (uint64_t)_mm_extract_epi64(high, 1));

	return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi64(a, b)), _mm_unpacklo_epi64(c, d), 1);
}

#endif
