/*
 * Lines of levels, and whole images of them. predict.c includes this file twice, with SAMPLE (an unsigned type), LEVEL (the
 * signed one) and NAME(x) defined: for 16-bit levels, which also stand for 8-bit samples, and for 32-bit levels.
 */

static inline SAMPLE NAME(zigzag)(SAMPLE d)
{
	return (SAMPLE)((SAMPLE)(d << 1) ^ (SAMPLE)(0 - (SAMPLE)(d >> (8 * sizeof(SAMPLE) - 1))));
}

static inline SAMPLE NAME(unzigzag)(SAMPLE z)
{
	return (SAMPLE)((SAMPLE)(z >> 1) ^ (SAMPLE)(0 - (SAMPLE)(z & 1)));
}

static inline void NAME(residual_put)(bool narrow, void *residuals, size_t i, SAMPLE d)
{
	if (narrow)
		((uint8_t *)residuals)[i] = (uint8_t)NAME(zigzag)((SAMPLE)(int8_t)d);
	else
		((SAMPLE *)residuals)[i] = NAME(zigzag)(d);
}

/* The level that differs from another one by residual i. */
static inline LEVEL NAME(level_at)(bool narrow, LEVEL expected, const void *residuals, size_t i)
{
	SAMPLE z = narrow ? ((const uint8_t *)residuals)[i] : ((const SAMPLE *)residuals)[i];
	SAMPLE v = (SAMPLE)((SAMPLE)expected + NAME(unzigzag)(z));

	return (LEVEL)(narrow ? v & 0xff : v);
}

/* What the first sample is predicted as. */
static LEVEL NAME(level_of_zero)(const struct prediction *p)
{
	static const uint8_t zero[sizeof(LEVEL)];
	LEVEL level;

	NAME(predict_load)(p, zero, 1, &level);
	return level;
}

static void NAME(apply_first)(const struct prediction *p, const struct NAME(lines) * l, size_t count, void *residuals)
{
	bool narrow = p->width == 1;

	l->own[-1] = NAME(level_of_zero)(p);
	for (ptrdiff_t i = 0; i < (ptrdiff_t)count; i++)
		NAME(residual_put)(narrow, residuals, (size_t)i, (SAMPLE)((SAMPLE)l->own[i] - (SAMPLE)l->own[i - 1]));
}

static void NAME(undo_first)(const struct prediction *p, const struct NAME(lines) * l, size_t count,
			     const void *residuals)
{
	bool narrow = p->width == 1;
	LEVEL level = NAME(level_of_zero)(p);

	for (size_t i = 0; i < count; i++)
		l->own[i] = level = NAME(level_at)(narrow, level, residuals, i);
}

static void NAME(apply_row)(const struct prediction *p, const struct NAME(lines) * l, size_t count, void *residuals)
{
	bool narrow = p->width == 1;

	for (ptrdiff_t i = 0; i < (ptrdiff_t)count; i++)
		NAME(residual_put)(narrow, residuals, (size_t)i,
				   (SAMPLE)((SAMPLE)l->own[i] - (SAMPLE)NAME(expect)(p, l, i)));
}

static void NAME(undo_row)(const struct prediction *p, const struct NAME(lines) * l, size_t count,
			   const void *residuals)
{
	bool narrow = p->width == 1;

	for (ptrdiff_t i = 0; i < (ptrdiff_t)count; i++)
		l->own[i] = NAME(level_at)(narrow, NAME(expect)(p, l, i), residuals, (size_t)i);
}

void NAME(predict_edges)(const struct NAME(lines) * l, size_t row)
{
	l->own[-1] = l->own[-2] = l->up[-1] = l->up[-2] = l->up[0];
	l->upup[-1] = l->upup[0];
	l->up[row] = l->up[row - 1];
}

/* Three lines for rows of so many levels. Release what it returns with free(). */
static LEVEL *NAME(lines_new)(struct NAME(lines) * l, size_t row)
{
	size_t line = LINE_BEFORE + row + LINE_AFTER;
	LEVEL *memory = calloc(3 * line, sizeof *memory);

	if (memory) {
		l->own = memory + LINE_BEFORE;
		l->up = l->own + line;
		l->upup = l->up + line;
	}
	return memory;
}

/* The line that was a row's own is above the next one. Above the second row the first stands twice. */
static void NAME(lines_next)(struct NAME(lines) * l, bool first, size_t row)
{
	LEVEL *unused = l->upup;

	l->upup = l->up;
	l->up = l->own;
	l->own = unused;
	if (first)
		memcpy(l->upup, l->up, row * sizeof *l->up);
}

static int NAME(apply)(const struct prediction *p, const uint8_t *bytes, size_t count, uint8_t *residuals)
{
	const struct predict_loops *loops = predict_loops();
	size_t row = p->row < count ? p->row : count, some;
	struct NAME(lines) l;
	LEVEL *memory = NAME(lines_new)(&l, row);

	if (!memory)
		return -ENOMEM;
	for (size_t at = 0; at < count; at += some) {
		some = count - at < row ? count - at : row;
		NAME(predict_load)(p, bytes + at * p->width, some, l.own);
		if (at) {
			NAME(predict_edges)(&l, row);
			loops->NAME(apply)(p, &l, some, residuals + at * p->width);
		} else {
			NAME(apply_first)(p, &l, some, residuals);
		}
		NAME(lines_next)(&l, !at, row);
	}
	free(memory);
	return 0;
}

static int NAME(undo)(const struct prediction *p, const uint8_t *residuals, size_t count, uint8_t *bytes)
{
	const struct predict_loops *loops = predict_loops();
	size_t row = p->row < count ? p->row : count, pitch = row * p->width, done = 1, some;
	struct NAME(lines) l;
	LEVEL *memory = NAME(lines_new)(&l, row);

	if (!memory)
		return -ENOMEM;
	NAME(undo_first)(p, &l, row, residuals);
	NAME(predict_store)(p, l.own, row, bytes);
	if (loops->NAME(undo) && count > row)
		done = loops->NAME(undo)(p, &l, count / row, residuals, bytes);
	if (done * row < count) {
		NAME(predict_load)(p, bytes + (done - 1) * pitch, row, l.up);
		NAME(predict_load)(p, bytes + (done > 1 ? done - 2 : 0) * pitch, row, l.upup);
	}
	for (size_t at = done * row; at < count; at += some) {
		some = count - at < row ? count - at : row;
		NAME(predict_edges)(&l, row);
		NAME(undo_row)(p, &l, some, residuals + at * p->width);
		NAME(predict_store)(p, l.own, some, bytes + at * p->width);
		NAME(lines_next)(&l, false, row);
	}
	free(memory);
	return 0;
}

#undef SAMPLE
#undef LEVEL
#undef NAME
