/*
 * Prediction and packing of one sample width; bitpack_loops.h includes this file once for each, with SAMPLE (an unsigned type), SIGNED,
 * SHIFT_ADD(v) (each lane of a vector plus all lanes before it) and NAME(x) defined. Samples are in the machine's byte order; indexes
 * count samples.
 */

typedef SAMPLE NAME(any) __attribute__((aligned(1), may_alias));
typedef SAMPLE NAME(vec) __attribute__((vector_size(16)));

static inline SAMPLE NAME(zigzag)(SAMPLE d)
{
	return (SAMPLE)((SAMPLE)(d << 1) ^ (SAMPLE)(0 - (SAMPLE)(d >> (8 * sizeof(SAMPLE) - 1))));
}

static inline SAMPLE NAME(unzigzag)(SAMPLE z)
{
	return (SAMPLE)((SAMPLE)(z >> 1) ^ (SAMPLE)(0 - (SAMPLE)(z & 1)));
}

/* floor((N - NW) / 2) as signed numbers, modulo. */
static inline SAMPLE NAME(half)(SAMPLE n, SAMPLE nw)
{
	return (SAMPLE)((SIGNED)(SAMPLE)(n - nw) >> 1);
}

/* floor((NW + 2 N + NE + 2) / 4) within the bits of a sample: the floor of half the sum of two is in each. */
static inline SAMPLE NAME(above)(SAMPLE nw, SAMPLE n, SAMPLE ne)
{
	SAMPLE side = (SAMPLE)((nw & ne) + ((SAMPLE)(nw ^ ne) >> 1)); /* floor of the mean */

	return (SAMPLE)((side | n) - ((SAMPLE)(side ^ n) >> 1)); /* ceiling of the mean */
}

/* Samples at .. at+count-1; what they are predicted from exists. */
static inline __attribute__((always_inline)) void NAME(residuals)(unsigned how, const NAME(any) *restrict x, size_t row,
								   size_t step, size_t count, NAME(any) *restrict r)
{
	const NAME(any) *w = x - step, *n = x - row;

	switch (how) {
	case BITPACK_NONE:
		for (size_t i = 0; i < count; i++)
			r[i] = x[i];
		break;
	case BITPACK_LEFT:
		for (size_t i = 0; i < count; i++)
			r[i] = NAME(zigzag)((SAMPLE)(x[i] - w[i]));
		break;
	case BITPACK_UP:
		for (size_t i = 0; i < count; i++)
			r[i] = NAME(zigzag)((SAMPLE)(x[i] - n[i]));
		break;
	case BITPACK_HALF:
		for (size_t i = 0; i < count; i++)
			r[i] = NAME(zigzag)((SAMPLE)(x[i] - w[i] - NAME(half)(n[i], (n - step)[i])));
		break;
	default:
		for (size_t i = 0; i < count; i++)
			r[i] = NAME(zigzag)((SAMPLE)(x[i] - NAME(above)((n - step)[i], n[i], n[i + step])));
	}
}

static inline NAME(vec) NAME(vec_load)(const NAME(any) * from)
{
	NAME(vec) v;

	memcpy(&v, from, sizeof v);
	return v;
}

/* x[i] = r[i] + x[i - 1] for the differences that x holds, with what was added to each beforehand. */
static inline void NAME(sum_up)(NAME(any) * x, size_t count)
{
	enum { LANES = 16 / sizeof(SAMPLE) };
	SAMPLE last = x[-1];
	size_t i = 0;
	NAME(vec) carry = (NAME(vec)){ 0 } + last, v, sum;

	for (; i + LANES <= count; i += LANES) {
		v = NAME(vec_load)(x + i);
		SHIFT_ADD(v);
		sum = v + carry;
		memcpy(x + i, &sum, sizeof sum);
		carry += (NAME(vec)){ 0 } + v[LANES - 1]; /* does not wait for the sum */
	}
	for (last = carry[0]; i < count; i++)
		x[i] = last = (SAMPLE)(x[i] + last);
}

/* The inverse, in place. count <= row - step, so that all that is above is there. */
static inline __attribute__((always_inline)) void NAME(undo)(unsigned how, NAME(any) * restrict x,
							      const NAME(any) *restrict n, size_t step, size_t count)
{
	switch (how) {
	case BITPACK_NONE:
		break;
	case BITPACK_LEFT:
		for (size_t i = 0; i < count; i++)
			x[i] = NAME(unzigzag)(x[i]);
		break;
	case BITPACK_UP:
		for (size_t i = 0; i < count; i++)
			x[i] = (SAMPLE)(NAME(unzigzag)(x[i]) + n[i]);
		break;
	case BITPACK_HALF:
		for (size_t i = 0; i < count; i++)
			x[i] = (SAMPLE)(NAME(unzigzag)(x[i]) + NAME(half)(n[i], (n - step)[i]));
		break;
	default:
		for (size_t i = 0; i < count; i++)
			x[i] = (SAMPLE)(NAME(unzigzag)(x[i]) + NAME(above)((n - step)[i], n[i], n[i + step]));
	}
}

static inline void NAME(undo_left)(NAME(any) * x, size_t step, size_t count)
{
	if (step == 1)
		NAME(sum_up)(x, count);
	else
		for (size_t i = 0; i < count; i++)
			x[i] = (SAMPLE)(x[i] + (x - step)[i]);
}

/* ---- what the table has ---- */

static double NAME(cost)(const struct bitpack *b, const void *x, size_t row, size_t count)
{
	SAMPLE r[SEGMENT];
	uint8_t widths[SEGMENT / 8], packed[sizeof r + BITPACK_SLACK];

	NAME(residuals)(b->predictor, x, row, b->step, count, (NAME(any) *)r);
	return (double)(NAME(pack_run)(r, count / 8, widths, packed) - packed);
}

/* The differences of a segment, filled up to whole blocks. */
static void NAME(segment_residuals)(const struct bitpack *b, const struct bitpack_segment *s, const NAME(any) * x,
				    NAME(any) * r)
{
	size_t alone = s->at ? 0 : s->alone;

	for (size_t i = 0; i < alone; i++)
		r[i] = NAME(zigzag)(x[i]);
	NAME(residuals)(s->predictor, x + s->at + alone, s->row, b->step, s->count - alone, r + alone);
	for (size_t i = s->count; i % 8; i++)
		r[i] = 0;
}

static size_t NAME(pack)(const struct bitpack *b, const uint8_t *bytes, size_t count, uint8_t *widths, uint8_t *packed)
{
	SAMPLE r[SEGMENT];
	uint8_t *p = packed;

	for (struct bitpack_segment s = bitpack_first(b, count); s.count; bitpack_next(&s)) {
		NAME(segment_residuals)(b, &s, (const NAME(any) *)bytes, (NAME(any) *)r);
		p = NAME(pack_run)(r, (s.count + 7) / 8, widths + s.at / 8, p);
	}
	return (size_t)(p - packed);
}

/* x: the segment's differences; what is left of it stands before it, and what is above its first sample at n. */
static void NAME(undo_segment)(const struct bitpack *b, const struct bitpack_segment *s, NAME(any) * x,
			       const NAME(any) * n)
{
	size_t alone = s->at ? 0 : s->alone, count = s->count - alone;

	for (size_t i = 0; i < alone; i++)
		x[i] = NAME(unzigzag)(x[i]);
	NAME(undo)(s->predictor, x + alone, n + alone, b->step, count);
	if (s->predictor == BITPACK_LEFT || s->predictor == BITPACK_HALF)
		NAME(undo_left)(x + alone, b->step, count);
}

/* What a segment's bytes, p and on, say; the last block may be less than whole. */
static void NAME(unpack_segment)(const uint8_t *widths, const uint8_t *p, uint8_t *to, size_t count)
{
	uint8_t last[8 * sizeof(SAMPLE)];
	size_t whole = count / 8;

	p = NAME(unpack_run)(widths, whole, p, to);
	if (count % 8) {
		NAME(unpack_run)(widths + whole, 1, p, last);
		memcpy(to + whole * sizeof last, last, count % 8 * sizeof(SAMPLE));
	}
}

enum { NAME(padded_bytes) = SEGMENT * sizeof(SAMPLE) + BITPACK_SLACK };

/* The segment's differences to x. *p goes on to the next one's bytes. Near the end they are read from a copy that is longer. */
static void NAME(take_segment)(const struct bitpack_segment *s, const uint8_t *widths, const uint8_t **p, const uint8_t *end,
			       uint8_t *padded, NAME(any) * x)
{
	const uint8_t *w = widths + s->at / 8, *from = *p;
	size_t bytes = bitpack_sum(w, (s->count + 7) / 8);

	if ((size_t)(end - from) < bytes + BITPACK_SLACK) {
		memcpy(padded, from, bytes);
		memset(padded + bytes, 0, BITPACK_SLACK);
		from = padded;
	}
	NAME(unpack_segment)(w, from, (uint8_t *)x, s->count);
	*p += bytes;
}

static void NAME(unpack)(const struct bitpack *b, const uint8_t *widths, const uint8_t *p, const uint8_t *end, uint8_t *to,
			 size_t count)
{
	uint8_t padded[NAME(padded_bytes)];

	for (struct bitpack_segment s = bitpack_first(b, count); s.count; bitpack_next(&s)) {
		NAME(any) *x = (NAME(any) *)to + s.at;

		NAME(take_segment)(&s, widths, &p, end, padded, x);
		NAME(undo_segment)(b, &s, x, x - s.row);
	}
}

/* As unpack, but each segment is compared and forgotten, while it is in the first-level cache. What is left of it and above it is
 * taken from the samples that it was compared with. */
static bool NAME(matches)(const struct bitpack *b, const uint8_t *widths, const uint8_t *p, const uint8_t *end,
			  const uint8_t *bytes, size_t count)
{
	uint8_t padded[NAME(padded_bytes)];
	SAMPLE room[BITPACK_STEP_MAX + SEGMENT];
	NAME(any) *x = (NAME(any) *)room + BITPACK_STEP_MAX;

	for (struct bitpack_segment s = bitpack_first(b, count); s.count; bitpack_next(&s)) {
		const NAME(any) *same = (const NAME(any) *)bytes + s.at;

		if (s.at >= b->step)
			memcpy(x - b->step, same - b->step, b->step * sizeof *x);
		NAME(take_segment)(&s, widths, &p, end, padded, x);
		NAME(undo_segment)(b, &s, x, same - s.row);
		if (memcmp(x, same, s.count * sizeof *x))
			return false;
	}
	return true;
}

#undef SAMPLE
#undef SIGNED
#undef SHIFT_ADD
#undef NAME
