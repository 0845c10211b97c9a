/*
 * The activity around samples and their classes, for one sample width: SAMPLE (an unsigned type), NAME(x), TARGET. Included by
 * the encoder and the decoder, which must agree on every value.
 */

static ALWAYS_INLINE uint32_t NAME(capped)(SAMPLE v, unsigned shift)
{
	uint32_t part = (uint32_t)v >> shift;

	return part < CAP ? part : CAP;
}

/* For `columns` samples of a row from column `at` on, by the row above. What is beyond the ends of the row is as the sample
 * at the end. */
TARGET static ALWAYS_INLINE void NAME(activity_of_tile)(const SAMPLE *above, size_t row, size_t at, size_t columns,
							unsigned shift, int16_t *restrict activity)
{
	int16_t line[TILE + 4]; /* from column at - 2 on */
	size_t before = at < 2 ? 2 - at : 0;
	size_t end = row - at < columns + 2 ? row - at + 2 : columns + 4;
	const SAMPLE *from = above + at - (2 - before);

	for (size_t i = 0; i < end - before; i++)
		line[before + i] = (int16_t)NAME(capped)(from[i], shift);
	for (size_t i = 0; i < before; i++)
		line[i] = (int16_t)NAME(capped)(from[0], shift);
	for (size_t i = end; i < columns + 4; i++)
		line[i] = (int16_t)NAME(capped)(from[end - before - 1], shift);
	for (size_t i = 0; i < columns; i++)
		activity[i] = (int16_t)(line[i] + line[i + 4] + 2 * (line[i + 1] + line[i + 2] + line[i + 3]));
}

/* In the first row: the same for a whole segment, by the one before it. The first segment has a level of its own. */
TARGET static ALWAYS_INLINE unsigned NAME(activity_of_segment)(const struct head *h, const SAMPLE *x, size_t at)
{
	unsigned sum = 0;

	if (!at)
		return level_floor(h->first_level);
	for (size_t i = 1; i <= SEGMENT; i++)
		sum += NAME(capped)(x[at - i], h->activity_shift);
	return sum / (SEGMENT / 8);
}

/* For a tile of the row that begins at sample `start`, or a segment of the first row. */
TARGET static ALWAYS_INLINE void NAME(activity)(const struct head *h, const SAMPLE *x, size_t start, size_t row,
						size_t at, size_t columns, int16_t *restrict activity)
{
	if (start) {
		NAME(activity_of_tile)(x + start - row, row, at, columns, h->activity_shift, activity);
	} else {
		int16_t same = (int16_t)NAME(activity_of_segment)(h, x, at);

		for (size_t i = 0; i < columns; i++)
			activity[i] = same;
	}
}

/* Class times scale of each. */
TARGET static ALWAYS_INLINE void NAME(classes)(const int16_t *activity, const int16_t *class_floor, size_t columns,
					       unsigned scale, uint16_t *restrict scaled)
{
	int16_t floors[CLASSES_MAX - 1];

	memcpy(floors, class_floor, sizeof floors);
	for (size_t i = 0; i < columns; i++) {
		int16_t class = 0;

		for (size_t k = 0; k < CLASSES_MAX - 1; k++)
			class = (int16_t)(class + (activity[i] > floors[k]));
		scaled[i] = (uint16_t)(class * (int16_t)scale);
	}
}
