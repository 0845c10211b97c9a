/*
 * encode_sample() for groups of samples of one or two bytes, in vectors. Included by residual_encode.c.
 */
#include "store/residual_avx2.h"

/* The bits of two neighbouring lanes one above the other: the first lane's above. */
VECTOR_CODE void write_lanes(struct bit_writer *b, lanes bits, lanes count)
{
	const lanes first = _mm256_set1_epi64x(UINT32_MAX);
	lanes second_count = _mm256_srli_epi64(count, 32);
	uint64_t pair[GROUP / 2], pair_count[GROUP / 2];

	bits = _mm256_or_si256(_mm256_srli_epi64(bits, 32),
			       _mm256_sllv_epi64(_mm256_and_si256(bits, first), second_count));
	count = _mm256_add_epi32(count, second_count);
	_mm256_storeu_si256((lanes *)pair, bits);
	_mm256_storeu_si256((lanes *)pair_count, _mm256_and_si256(count, first));
	for (size_t k = GROUP / 2; k-- > 0;) {
		b->held |= pair[k] << b->count;
		b->count += (unsigned)pair_count[k];
		writer_flush(b);
	}
}

VECTOR_CODE void encode_lanes(const struct encoder *e, struct bit_writer *b, lanes v, const uint16_t *coding,
			      lanes *state)
{
	lanes c = lanes_gather(e->codings, lanes_load_16(coding));
	lanes extra = _mm256_and_si256(c, lanes_all(31));
	lanes bits = _mm256_and_si256(_mm256_srli_epi32(c, 5), lanes_all(15));
	lanes share = _mm256_and_si256(_mm256_srli_epi32(c, 9), lanes_all(1023));
	lanes next = _mm256_srli_epi32(c, 19), taken;

	bits = _mm256_add_epi32(bits, _mm256_cmpgt_epi32(_mm256_sllv_epi32(share, bits), *state));
	taken = _mm256_sllv_epi32(lanes_low_bits(*state, bits), extra);
	write_lanes(b, _mm256_or_si256(lanes_low_bits(v, extra), taken), _mm256_add_epi32(extra, bits));
	*state = lanes_gather(e->next, _mm256_add_epi32(_mm256_srlv_epi32(*state, bits), next));
}

/* columns: a multiple of GROUP; the last one first. */
VECTOR_CODE void encode_groups(struct encoder *e, struct bit_writer *b, const void *x, size_t width,
			       const uint16_t *coding, size_t columns)
{
	for (size_t i = columns; i;) {
		lanes *at, state, v;

		i -= GROUP;
		at = (lanes *)(e->states + i % LANES);
		state = _mm256_loadu_si256(at);
		v = width == 1 ? lanes_load_8((const uint8_t *)x + i) : lanes_load_16((const uint16_t *)x + i);
		encode_lanes(e, b, v, coding + i, &state);
		_mm256_storeu_si256(at, state);
	}
}
