/*
 * decode_window() for a group of samples of one or two bytes, in vectors. Included by residual_decode.c.
 */
#include "store/residual_avx2.h"

/* Entries of a group, and how many bits those of the lower and of the upper lanes take in all. */
struct entries {
	lanes e;
	ptrdiff_t low, high;
};

/* *sum: of entries; its upper byte becomes the sum of theirs, entry_total(). Of four lanes no sum of entry_extra(), with what is
 * carried into it, is more than a byte, nor is that of entry_total(). Left to the compiler, an entry would be loaded once and
 * moved from one kind of register to the other, which takes longer than two loads. */
VECTOR_CODE __m128i entries_two(const struct decoder *d, const uint32_t *places, uint32_t *sum)
{
	const uint32_t *a = &d->tables[places[0]], *b = &d->tables[places[1]];

	__asm__("addl %1, %0" : "+r"(*sum) : "m"(*a));
	__asm__("addl %1, %0" : "+r"(*sum) : "m"(*b));
	return _mm_insert_epi32(_mm_cvtsi32_si128((int)*a), (int)*b, 1);
}

/*
 * Where the bits of a group lie is what all that follows waits for. So the sums are left to the scalar units, which are done
 * with them before all entries are in a vector.
 */
VECTOR_CODE struct entries entries_find(const struct decoder *d, const uint32_t *places)
{
	uint32_t low = 0, high = 0;
	__m128i a = entries_two(d, places, &low), b = entries_two(d, places + 2, &low);
	__m128i c = entries_two(d, places + 4, &high), e = entries_two(d, places + 6, &high);
	lanes half = _mm256_castsi128_si256(_mm_unpacklo_epi64(a, b));

	return (struct entries) { _mm256_inserti128_si256(half, _mm_unpacklo_epi64(c, e), 1), low >> 24, high >> 24 };
}

/* Each lane becomes the sum of those behind it in its half. */
VECTOR_CODE lanes lanes_sum_behind(lanes v)
{
	lanes sum = _mm256_add_epi32(v, _mm256_srli_si256(v, 4));

	sum = _mm256_add_epi32(sum, _mm256_srli_si256(sum, 8));
	return _mm256_sub_epi32(sum, v);
}

/*
 * The 25 bits at each place, which is counted from the first bit of *last. The places fall from lane to lane, by 25 at most,
 * down to one in the first byte. near: all of them lie within 16 bytes, as is most often so; those of four lanes always do.
 */
VECTOR_CODE lanes lanes_bits(const uint8_t *last, lanes place, bool near)
{
	const lanes four = lanes_all(0x03020100);
	const lanes spread = _mm256_broadcastsi128_si256(
	    _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
	lanes offset = _mm256_srli_epi32(place, 3), all;

	if (__builtin_expect(near, true)) {
		all = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)last));
	} else {
		const uint8_t *fourth = last + _mm256_extract_epi32(offset, 3);

		all = _mm256_loadu2_m128i((const __m128i *)last, (const __m128i *)fourth);
		offset = _mm256_sub_epi32(offset, _mm256_shuffle_epi32(offset, 0xff));
	}
	all = _mm256_shuffle_epi8(all, _mm256_add_epi8(_mm256_shuffle_epi8(offset, spread), four));
	return _mm256_srlv_epi32(all, _mm256_and_si256(place, lanes_all(7)));
}

enum { NEAR = 96 /* bits: a group of so many lies within 16 bytes, with what its last loads touch */ };

/* *at: the bits left. places: where in all tables the entries are, and then those of the samples LANES on, in the tables that
 * begin at `tables`. */
VECTOR_CODE lanes decode_lanes(const struct decoder *d, ptrdiff_t *at, const uint16_t *tables, uint32_t *places)
{
	const lanes extra_byte = _mm256_broadcastsi128_si256(
	    _mm_setr_epi8(2, -1, -1, -1, 6, -1, -1, -1, 10, -1, -1, -1, 14, -1, -1, -1));
	struct entries s = entries_find(d, places);
	lanes total = _mm256_srli_epi32(s.e, 24);
	lanes extra = _mm256_shuffle_epi8(s.e, extra_byte);
	lanes mantissa = _mm256_and_si256(_mm256_srli_epi32(s.e, STATE_BITS), lanes_all(127));
	lanes next = _mm256_and_si256(s.e, lanes_all(STATES - 1));
	lanes place = _mm256_zextsi128_si256(_mm_set1_epi32((int)s.high)), bits;

	*at -= s.low + s.high;
	place = _mm256_add_epi32(place, lanes_all((uint32_t)*at & 7));
	place = _mm256_add_epi32(place, lanes_sum_behind(total));
	bits = lanes_bits(d->bits + (*at >> 3), place, s.low + s.high <= NEAR);
	next = _mm256_add_epi32(next, _mm256_srlv_epi32(lanes_low_bits(bits, total), extra));
	_mm256_storeu_si256((lanes *)places, _mm256_add_epi32(next, lanes_load_16(tables)));
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

/*
 * At most as many columns as given, a multiple of two groups; how many. Fewer when the bits run out, which is looked at after
 * two groups: by then they lack 2 * GROUP * 25 at most, and HEAD_BYTES are readable before them. Behind the tables of the
 * columns are LANES zeros, so that in the end places are states again, but those of the columns that are left.
 */
VECTOR_CODE size_t decode_groups(struct decoder *d, const uint16_t *tables, uint8_t *to, size_t width, size_t columns)
{
	uint32_t *places = d->states;
	ptrdiff_t at = d->at;
	size_t i = 0;

	for (size_t k = 0; k < LANES; k++)
		places[k] += tables[k];
	tables += LANES;
	while (columns - i >= 2 * GROUP && at >= 0) {
		lanes a = decode_lanes(d, &at, tables + i, places);
		lanes b = decode_lanes(d, &at, tables + i + GROUP, places + GROUP);

		lanes_store_two(to + i * width, width, a, b);
		i += 2 * GROUP;
		if (columns - i < 2 * GROUP || at < 0)
			break;
		a = decode_lanes(d, &at, tables + i, places + 2 * GROUP);
		b = decode_lanes(d, &at, tables + i + GROUP, places + 3 * GROUP);
		lanes_store_two(to + i * width, width, a, b);
		i += 2 * GROUP;
	}
	for (size_t k = i; k < columns; k++)
		places[k % LANES] -= tables[k - LANES];
	d->at = at;
	return i;
}
