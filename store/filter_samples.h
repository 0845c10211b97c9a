/*
 * The filter for one sample width; filter.c includes this file once for each, with SAMPLE (an unsigned type), WIDE (one
 * that holds the sum of two samples), SWAP and NAME(x) defined. All loops work on the machine's own byte order; samples
 * of the other one are swapped on the way in and out.
 */

/* Samples lie in chunks at any address. */
typedef SAMPLE NAME(any) __attribute__((aligned(1), may_alias));

static inline SAMPLE NAME(zigzag)(SAMPLE d)
{
	return (SAMPLE)((SAMPLE)(d << 1) ^ (SAMPLE)(0 - (SAMPLE)(d >> (8 * sizeof(SAMPLE) - 1))));
}

static inline SAMPLE NAME(unzigzag)(SAMPLE z)
{
	return (SAMPLE)((SAMPLE)(z >> 1) ^ (SAMPLE)(0 - (SAMPLE)(z & 1)));
}

static inline SAMPLE NAME(mean)(SAMPLE a, SAMPLE b)
{
	return (SAMPLE)(((WIDE)a + b) >> 1);
}

static void NAME(swap)(NAME(any) * x, size_t count)
{
	for (size_t i = 0; i < count; i++)
		x[i] = (SAMPLE)SWAP(x[i]);
}

static void NAME(load)(SAMPLE *to, const NAME(any) * from, size_t count, bool swap)
{
	memcpy(to, from, count * sizeof *to);
	if (swap)
		NAME(swap)((NAME(any) *)to, count);
}

/* planes + k * plane_len receives byte k of each sample, the lowest first. */
static void NAME(split)(const SAMPLE *restrict x, size_t count, uint8_t *restrict planes, size_t plane_len)
{
#pragma GCC unroll 8
	for (size_t k = 0; k < sizeof(SAMPLE); k++)
		for (size_t i = 0; i < count; i++)
			planes[k * plane_len + i] = (uint8_t)(x[i] >> (8 * k));
}

static void NAME(join)(SAMPLE *restrict x, size_t count, const uint8_t *restrict planes, size_t plane_len)
{
	for (size_t i = 0; i < count; i++)
		x[i] = planes[i];
#pragma GCC unroll 8
	for (size_t k = 1; k < sizeof(SAMPLE); k++)
		for (size_t i = 0; i < count; i++)
			x[i] = (SAMPLE)(x[i] | (SAMPLE)((SAMPLE)planes[k * plane_len + i] << (8 * k)));
}

/* left[i] and up[i] are the neighbours of x[i]. */
static void NAME(residuals)(unsigned how, const SAMPLE *restrict x, const SAMPLE *restrict left,
			    const SAMPLE *restrict up, size_t count, SAMPLE *restrict r)
{
	if (how == PREDICT_LEFT)
		for (size_t i = 0; i < count; i++)
			r[i] = NAME(zigzag)((SAMPLE)(x[i] - left[i]));
	else if (how == PREDICT_UP)
		for (size_t i = 0; i < count; i++)
			r[i] = NAME(zigzag)((SAMPLE)(x[i] - up[i]));
	else
		for (size_t i = 0; i < count; i++)
			r[i] = NAME(zigzag)((SAMPLE)(x[i] - NAME(mean)(left[i], up[i])));
}

/* Samples start .. end-1, a whole row, or less of it at the end of the chunk. */
static void NAME(apply_row)(const struct filter *f, const NAME(any) * from, size_t start, size_t end, size_t row,
			    size_t plane_len, uint8_t *planes)
{
	SAMPLE x[1 + BLOCK], up[BLOCK], r[BLOCK];
	bool swap = f->big_endian != HOST_BIG_ENDIAN;
	unsigned how = start ? f->predictor : PREDICT_LEFT;

	for (size_t at = start, count; at < end; at += count) {
		count = end - at < BLOCK ? end - at : BLOCK;
		NAME(load)(x + 1, from + at, count, swap);
		if (how != PREDICT_LEFT)
			NAME(load)(up, from + at - row, count, swap);
		if (at == start)
			x[0] = start ? up[0] : 0; /* the mean of twice up is up */
		NAME(residuals)(how, x + 1, x, up, count, r);
		NAME(split)(r, count, planes + at, plane_len);
		x[0] = x[count];
	}
}

static void NAME(apply)(const struct filter *f, const uint8_t *bytes, size_t count, uint8_t *planes)
{
	const NAME(any) *from = (const NAME(any) *)bytes;
	size_t row = row_samples(f, count);
	SAMPLE x[BLOCK];

	if (f->predictor != PREDICT_NONE) {
		for (size_t at = 0; at < count; at += row)
			NAME(apply_row)(f, from, at, count - at < row ? count : at + row, row, count, planes);
		return;
	}
	for (size_t at = 0, some; at < count; at += some) {
		some = count - at < BLOCK ? count - at : BLOCK;
		NAME(load)(x, from + at, some, f->big_endian != HOST_BIG_ENDIAN);
		NAME(split)(x, some, planes + at, count);
	}
}

/* Planes to samples, or to differences where there was a predictor. */
static void NAME(gather)(const struct filter *f, const uint8_t *planes, size_t count, NAME(any) * to)
{
	SAMPLE x[BLOCK];

	for (size_t at = 0, some; at < count; at += some) {
		some = count - at < BLOCK ? count - at : BLOCK;
		NAME(join)(x, some, planes + at, count);
		if (f->predictor != PREDICT_NONE)
			for (size_t i = 0; i < some; i++)
				x[i] = NAME(unzigzag)(x[i]);
		memcpy(to + at, x, some * sizeof *to);
	}
}

static void NAME(undo_left)(NAME(any) * x, size_t count)
{
	SAMPLE sum = 0;

	for (size_t i = 0; i < count; i++)
		x[i] = sum = (SAMPLE)(sum + x[i]);
}

/* count is at most the length of a row, so the two do not overlap. */
static void NAME(undo_up)(NAME(any) *restrict x, const NAME(any) *restrict up, size_t count)
{
	for (size_t i = 0; i < count; i++)
		x[i] = (SAMPLE)(x[i] + up[i]);
}

/* Columns begin .. end-1 of the row x. */
static void NAME(undo_mean)(NAME(any) * x, const NAME(any) * up, size_t begin, size_t end)
{
	SAMPLE left = begin ? x[begin - 1] : end ? up[0] : 0;

	for (size_t i = begin; i < end; i++)
		x[i] = left = (SAMPLE)(x[i] + NAME(mean)(left, up[i]));
}

#ifdef LANES
static inline lanes NAME(lanes_load)(const NAME(any) * from)
{
	SAMPLE eight __attribute__((vector_size(8 * sizeof(SAMPLE))));

	memcpy(&eight, from, sizeof eight);
	return __builtin_convertvector(eight, lanes);
}

static inline void NAME(lanes_store)(NAME(any) * to, lanes v)
{
	SAMPLE eight __attribute__((vector_size(8 * sizeof(SAMPLE)))) = __builtin_convertvector(v, __typeof__(eight));

	memcpy(to, &eight, sizeof eight);
}

/* Eight steps; see filter.c. x is the row above, t the column of lane 0. */
static inline lanes NAME(undo_mean_tile)(NAME(any) * x, size_t row, size_t t, lanes last)
{
	lanes v[8];

	for (size_t k = 0; k < 8; k++)
		v[k] = NAME(lanes_load)(x + k * row + t - k);
	v[0] -= NAME(lanes_load)(x + t - 1) >> 1;
	lanes_transpose(v);
	for (size_t i = 0; i < 8; i++) {
		lanes up = lanes_up(last);

		last = v[i] = ((v[i] + (last & up)) + ((last ^ up) >> 1)) & (SAMPLE)-1;
	}
	lanes_transpose(v);
	for (size_t k = 1; k < 8; k++)
		NAME(lanes_store)(x + k * row + t - k, v[k]);
	return last;
}

/* The seven whole rows below x. */
static void NAME(undo_mean_seven)(NAME(any) * x, size_t row)
{
	lanes last = { 0 };
	size_t t = 8;

	for (size_t k = 1; k < 8; k++)
		NAME(undo_mean)(x + k * row, x + (k - 1) * row, 0, 8 - k);
	for (size_t k = 0; k < 8; k++)
		last[k] = x[k * row + 7 - k];
	for (; t + 8 <= row; t += 8)
		last = NAME(undo_mean_tile)(x, row, t, last);
	for (size_t k = 1; k < 8; k++)
		NAME(undo_mean)(x + k * row, x + (k - 1) * row, t - k, row);
}
#endif

static void NAME(undo)(const struct filter *f, const uint8_t *planes, size_t count, uint8_t *bytes)
{
	NAME(any) *to = (NAME(any) *)bytes;
	size_t row = row_samples(f, count), at = row;

	NAME(gather)(f, planes, count, to);
	if (f->predictor != PREDICT_NONE)
		NAME(undo_left)(to, row);
#ifdef LANES
	if (f->predictor == PREDICT_AVERAGE && row >= 16)
		for (; (count - at) / 7 >= row; at += 7 * row)
			NAME(undo_mean_seven)(to + at - row, row);
#endif
	for (; at < count; at += row) {
		size_t some = count - at < row ? count - at : row;

		if (f->predictor == PREDICT_UP)
			NAME(undo_up)(to + at, to + at - row, some);
		else
			NAME(undo_mean)(to + at, to + at - row, 0, some);
	}
	if (f->big_endian != HOST_BIG_ENDIAN)
		NAME(swap)(to, count);
}

#undef SAMPLE
#undef WIDE
#undef SWAP
#undef NAME
