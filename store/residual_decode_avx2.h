/*
 * decode_window() for a group of samples of one or two bytes, in vectors. Included by residual_decode.c.
 */
#include "store/residual_avx2.h"

/* Each lane becomes the sum of itself and the lanes before it. */
VECTOR_CODE lanes lanes_running_sum(lanes v)
{
	lanes half;

	v = _mm256_add_epi32(v, _mm256_slli_si256(v, 4));
	v = _mm256_add_epi32(v, _mm256_slli_si256(v, 8));
	half = _mm256_permute2x128_si256(v, v, 0x08); /* zeros, then the lower lanes */
	return _mm256_add_epi32(v, _mm256_shuffle_epi32(half, 0xff));
}

/*
 * The bits at each place, 25 of them. The places fall from lane to lane, by 25 at most. low: the last one, in all lanes. Most
 * often all of them lie within 16 bytes; those of four lanes always do.
 */
VECTOR_CODE lanes lanes_bits(const uint8_t *bits, lanes from, lanes low)
{
	const lanes four = lanes_all(0x03020100);
	const lanes spread = _mm256_broadcastsi128_si256(
	    _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
	lanes offset = _mm256_sub_epi32(_mm256_srai_epi32(from, 3), _mm256_srai_epi32(low, 3)), all;
	const uint8_t *last = bits + (_mm256_extract_epi32(low, 0) >> 3);

	if (__builtin_expect(_mm256_extract_epi32(offset, 0) <= 12, true)) {
		all = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)last));
	} else {
		const uint8_t *fourth = last + _mm256_extract_epi32(offset, 3);

		all = _mm256_loadu2_m128i((const __m128i *)last, (const __m128i *)fourth);
		offset = _mm256_sub_epi32(offset, _mm256_shuffle_epi32(offset, 0xff));
	}
	all = _mm256_shuffle_epi8(all, _mm256_add_epi8(_mm256_shuffle_epi8(offset, spread), four));
	return _mm256_srlv_epi32(all, _mm256_and_si256(from, lanes_all(7)));
}

/* *at: the bits left, in all lanes. */
VECTOR_CODE lanes decode_lanes(const struct decoder *d, lanes *at, const uint16_t *tables, uint32_t *states)
{
	const lanes extra_byte = _mm256_broadcastsi128_si256(
	    _mm_setr_epi8(2, -1, -1, -1, 6, -1, -1, -1, 10, -1, -1, -1, 14, -1, -1, -1));
	lanes e = lanes_gather_sums(d->tables, tables, states);
	lanes total = _mm256_srli_epi32(e, 24);
	lanes extra = _mm256_shuffle_epi8(e, extra_byte);
	lanes mantissa = _mm256_and_si256(_mm256_srli_epi32(e, STATE_BITS), lanes_all(127));
	lanes next = _mm256_and_si256(e, lanes_all(STATES - 1));
	lanes from = _mm256_sub_epi32(*at, lanes_running_sum(total));
	lanes low = _mm256_permutevar8x32_epi32(from, lanes_all(GROUP - 1));
	lanes bits = lanes_bits(d->bits, from, low);

	*at = low;
	next = _mm256_add_epi32(next, _mm256_srlv_epi32(lanes_low_bits(bits, total), extra));
	_mm256_storeu_si256((lanes *)states, next);
	return _mm256_add_epi32(_mm256_sllv_epi32(mantissa, extra), lanes_low_bits(bits, extra));
}

/* Samples of two groups, in their own width. */
VECTOR_CODE void lanes_store_two(void *to, size_t width, lanes a, lanes b)
{
	lanes both = _mm256_permute4x64_epi64(_mm256_packus_epi32(a, b), 0xd8);

	if (width == 2)
		_mm256_storeu_si256(to, both);
	else
		_mm_storeu_si128(to, _mm_packus_epi16(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)));
}

/* At most as many columns as given, a multiple of two groups; how many. Fewer when the bits run out. */
VECTOR_CODE size_t decode_groups(struct decoder *d, const uint16_t *tables, uint8_t *to, size_t width, size_t columns)
{
	lanes at = lanes_all((uint32_t)d->at);
	size_t i = 0;

	while (columns - i >= 2 * GROUP && _mm256_movemask_epi8(at) >= 0) {
		lanes a = decode_lanes(d, &at, tables + i, d->states);
		lanes b = decode_lanes(d, &at, tables + i + GROUP, d->states + GROUP);

		lanes_store_two(to + i * width, width, a, b);
		i += 2 * GROUP;
		if (columns - i < 2 * GROUP || _mm256_movemask_epi8(at) < 0)
			break;
		a = decode_lanes(d, &at, tables + i, d->states + 2 * GROUP);
		b = decode_lanes(d, &at, tables + i + GROUP, d->states + 3 * GROUP);
		lanes_store_two(to + i * width, width, a, b);
		i += 2 * GROUP;
	}
	d->at = _mm256_extract_epi32(at, 0);
	return i;
}
