/* How many rows a slice has: the lag at which whole rows are most alike, for the slice above is like this one. */
#include "fs/image/detect_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MOST = 1 << 14, SAMPLES_MOST = 1 << 19, BIN_MOST = 64, SLICE_LEAST = 16 };

/*
 * A row becomes ROW_BINS means of n samples each, and as many shares of samples equal to their neighbour: where noise
 * ends and padding begins.
 */
static void describe(const struct samples *s, size_t first, size_t pitch, size_t n, float *to, size_t stride)
{
	float v[BIN_MOST];

	for (size_t b = 0; b < ROW_BINS; b++) {
		float sum = 0, still = 0;

		samples_read(s, first + (2 * b + 1) * pitch / (2 * ROW_BINS) - n / 2, n, v);
		for (size_t i = 0; i < n; i++) {
			sum += v[i];
			still += i && v[i] == v[i - 1];
		}
		to[b * stride] = sum / (float)n;
		to[(ROW_BINS + b) * stride] = still / (float)n;
	}
}

/* Samples a bin: all of them if there are not too many for the time there is. */
static size_t bin_samples(size_t pitch, size_t rows)
{
	size_t n = SAMPLES_MOST / ROW_BINS / (rows + 1);

	n = n < pitch / ROW_BINS ? n : pitch / ROW_BINS;
	return n < 1 ? 1 : n < BIN_MOST ? n : BIN_MOST;
}

static void center(float *v, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)v[i];
	for (size_t i = 0; i < n; i++)
		v[i] -= (float)(sum / (double)n);
}

/* The last rows of the bytes: the first slices of a volume are often empty. */
int rows_make(const struct samples *s, const struct pitch *p, struct rows *r)
{
	size_t phase = p->phase, most = (s->count - phase) / p->samples, n;

	*r = (struct rows) { .count = most < ROWS_MOST ? most : ROWS_MOST, .length = 64 };
	n = bin_samples(p->samples, r->count);
	r->first = phase + (most - r->count) * p->samples;
	while (r->length < 2 * r->count)
		r->length *= 2;
	r->value = calloc((ROW_CHANNELS + 2) * r->length, sizeof *r->value);
	if (!r->value)
		return -ENOMEM;
	r->alike = r->value + ROW_CHANNELS * r->length;
	r->steps = r->alike + r->length;
	for (size_t i = 0; i < r->count; i++)
		describe(s, r->first + i * p->samples, p->samples, n, r->value + i, r->length);
	for (size_t b = 0; b < ROW_CHANNELS; b++)
		center(r->value + b * r->length, r->count);
	if (spectrum_make(r->value, ROW_CHANNELS, r->length, r->alike, r->steps) < 0) {
		rows_drop(r);
		return -ENOMEM;
	}
	return 0;
}

void rows_drop(struct rows *r)
{
	free(r->value);
	r->value = NULL;
}

/* The lags at which rows are alike, as far as they overlap by an eighth. */
struct lags {
	size_t end;
	float *value; /* likeness; chance grows as the overlap shrinks, so only half of the loss is made good */
	float *rise;  /* of a local peak: how far above the lowest value before it; else 0 */
	float most;   /* the highest rise */
	float chance; /* the standard deviation of value, robustly */
};

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/*
 * Peaks on the slope from lag 0 are rows near each other, not slices. The first lags do not count: the steps of noise
 * have a pit there.
 */
static void find_rises(struct lags *l)
{
	float low = 1;

	for (size_t k = 1; k + 1 < l->end; k++) {
		if (k >= SLICE_LEAST && low < 3 * l->chance && l->value[k] >= l->value[k - 1] &&
		    l->value[k] > l->value[k + 1])
			l->rise[k] = l->value[k] - low;
		l->most = l->rise[k] > l->most ? l->rise[k] : l->most;
		if (k >= SLICE_LEAST / 2 && l->value[k] < low)
			low = l->value[k];
	}
}

/* part: of the rows, the longest lag. */
static int lags_make(const struct rows *r, double part, struct lags *l)
{
	*l = (struct lags) { .end = (size_t)((double)r->count * part) + 2 };
	l->value = calloc(2 * l->end, sizeof *l->value);
	if (!l->value)
		return -ENOMEM;
	l->rise = l->value + l->end;
	for (size_t k = 1; k < l->end; k++) {
		l->value[k] = (r->alike[k] + r->steps[k]) * sqrtf((float)r->count / (float)(r->count - k));
		l->rise[k] = fabsf(l->value[k]);
	}
	qsort(l->rise, l->end, sizeof *l->rise, by_size);
	l->chance = 1.48f * l->rise[l->end / 2];
	memset(l->rise, 0, l->end * sizeof *l->rise);
	find_rises(l);
	return 0;
}

/* The mean over the multiples of a lag, up to four. */
static float comb(const struct lags *l, size_t k)
{
	float sum = 0;
	size_t n = 0;

	for (size_t m = k; m < l->end && n < 4; m += k, n++)
		sum += l->value[m];
	return n ? sum / (float)n : 0;
}

/* The rise at a lag, or with a known size, which is exact, at a peak close by: noise may have moved it a little. */
static float rise_near(const struct lags *l, const struct file_fit *fit, size_t k)
{
	float most = l->rise[k];

	for (size_t d = 1; fit && k >= 128 && d <= 2; d++)
		most = fmaxf(most, fmaxf(l->rise[k - d], k + d < l->end ? l->rise[k + d] : 0));
	return most;
}

static bool is_candidate(const struct lags *l, const struct file_fit *fit, size_t k, float share)
{
	return rise_near(l, fit, k) > share * l->most && (!fit || fit->fits(fit->arg, k));
}

static size_t best_lag(const struct lags *l, const struct file_fit *fit)
{
	size_t best = 0;
	float score = 0;

	for (size_t k = SLICE_LEAST; k < l->end; k++)
		if (is_candidate(l, fit, k, 0.3f) && comb(l, k) > score) {
			best = k;
			score = comb(l, k);
		}
	for (size_t k = SLICE_LEAST; k < best; k++) /* every fourth slice may be more alike than every slice */
		if (best % k == 0 && is_candidate(l, fit, k, 0.2f) && l->value[k] > 0.2f * l->value[best])
			return k;
	return best;
}

/*
 * Limits, in standard deviations of what chance makes of a lag: 9 when nothing else speaks for it. Of lags around k one
 * in k divides the file, so from 128 rows on, where that says something, 4 do. Where slices are few and short most lags
 * hold something and chance is overrated; then a fifth of the greatest likeness there can be, which is 2, is enough.
 */
static double proof_of(const struct lags *l, const struct file_fit *fit, size_t k)
{
	double likeness = (double)fminf(comb(l, k), rise_near(l, fit, k));

	return fmax(likeness / (double)l->chance / (fit && k >= 128 ? 4 : 9), likeness / 0.4);
}

int detect_slice(const struct rows *r, const struct file_fit *fit, struct slice *out)
{
	struct lags l;

	*out = (struct slice) { 0 };
	if (r->count < 4 * SLICE_LEAST)
		return 0;
	if (lags_make(r, fit ? 7.0 / 8 : 1.0 / 2, &l) < 0)
		return -ENOMEM;
	out->rows = best_lag(&l, fit);
	out->proof = out->rows && l.chance > 0 ? proof_of(&l, fit, out->rows) : 0;
	free(l.value);
	return 0;
}
