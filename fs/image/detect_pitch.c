/*
 * Where the pixel above is: the lag at which the samples are most alike. Proofs that the lag is a row and nothing else:
 *   alone    no lag away from its multiples comes near. A tone or a random walk is alike at many lags; so is a table of
 *            short records.
 *   columns  the steps from sample to sample have a profile over the columns (the jump from the end of a row to the next,
 *            the padding around a reconstruction, the vignette), and that of one half of the windows comes back in the
 *            other. The columns are counted from the beginning of the file, so a lag that is off by a fraction of a
 *            sample in a row smears over all columns and fails.
 *   changes  rows are not copies of one another: that is a periodic signal.
 */
#include "fs/image/detect_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 512, LOOK = 256, LAG_LEAST = 16, ROW_LEAST = 24 };

/* Share of a window's samples that differ from their predecessor. */
static double activity(const struct samples *s, size_t first, size_t count)
{
	float v[LOOK];
	size_t changed = 0;

	for (size_t part = 0; part < 8; part++) {
		samples_read(s, first + part * (count / 8), LOOK, v);
		for (size_t i = 1; i < LOOK; i++)
			changed += v[i] != v[i - 1];
	}
	return (double)changed / (8 * (LOOK - 1));
}

/* Windows where something happens, spread over the samples: a volume often begins with empty slices. */
static void choose_windows(const struct samples *s, struct windows *w)
{
	size_t parts = s->count / w->length, good = 0, seen = 0, wanted;
	double share[PARTS], most = 0;

	parts = parts < PARTS ? parts : PARTS;
	for (size_t i = 0; i < parts; i++) {
		share[i] = activity(s, i * w->length, w->length);
		most = share[i] > most ? share[i] : most;
	}
	for (size_t i = 0; i < parts; i++)
		good += share[i] >= most / 4;
	wanted = good < WINDOWS ? good : WINDOWS;
	for (size_t i = 0; i < parts && w->count < wanted; i++) {
		if (share[i] < most / 4)
			continue;
		if (seen * wanted / good >= w->count)
			w->start[w->count++] = i * w->length;
		seen++;
	}
}

int windows_make(const struct samples *s, struct windows *w)
{
	*w = (struct windows) { .length = WINDOW_SAMPLES };
	while (w->length > s->count)
		w->length /= 2;
	choose_windows(s, w);
	w->value = malloc((w->count + 2) * w->length * sizeof *w->value);
	if (!w->value)
		return -ENOMEM;
	w->alike = w->value + w->count * w->length;
	w->steps = w->alike + w->length;
	for (size_t i = 0; i < w->count; i++)
		samples_read(s, w->start[i], w->length, w->value + i * w->length);
	if (spectrum_make(w->value, w->count, w->length, w->alike, w->steps) < 0) {
		windows_drop(w);
		return -ENOMEM;
	}
	return 0;
}

void windows_drop(struct windows *w)
{
	free(w->value);
	w->value = NULL;
}

static bool is_peak(const float *x, size_t i)
{
	return x[i] >= x[i - 1] && x[i] > x[i + 1];
}

/* The best among the lags that divide another: a slice may be more like the next slice than a row like the next row. */
static size_t highest(const struct windows *w, size_t multiple)
{
	size_t end = multiple ? multiple / 2 + 1 : w->length / 2 - 1, best = 0;

	for (size_t i = LAG_LEAST; i < end; i++)
		if (is_peak(w->alike, i) && (!multiple || multiple % i == 0) && (!best || w->alike[i] > w->alike[best]))
			best = i;
	return best;
}

static bool near_multiple(size_t lag, size_t pitch)
{
	size_t column = lag % pitch;

	return column <= pitch / 8 || column >= pitch - pitch / 8;
}

/*
 * How high the highest peak is that is no multiple of the pitch, as a share of the one at the pitch. Beyond the first
 * row any step that is as much alike counts, peak or not: a tone is alike over a good part of its period.
 */
static double rival(const struct windows *w, size_t pitch)
{
	float most = 0, step = 0;

	for (size_t i = LAG_LEAST; i + 1 < w->length / 2; i++) {
		/* The transform is circular: lag i also holds a part of lag length - i. */
		if (near_multiple(i, pitch) || near_multiple(w->length - i, pitch))
			continue;
		if (w->alike[i] > most && is_peak(w->alike, i))
			most = w->alike[i];
		if (i > pitch && w->steps[i] > step)
			step = w->steps[i];
	}
	return (double)fmaxf(most / w->alike[pitch], step / fmaxf(w->steps[pitch], 0.05f));
}

/*
 * The mean step to each column from the one before, in one half of the windows' halves: those of even or odd parity, for
 * slices are often a power of two long, and then taking every second would compare tops with bottoms.
 */
static void profile(const struct windows *w, int parity, size_t pitch, float *mean)
{
	size_t half = w->length / 2, n = 0;

	memset(mean, 0, pitch * sizeof *mean);
	for (size_t k = 0; k < 2 * w->count; k++) {
		const float *v = w->value + k * half;
		size_t column = (w->start[k / 2] + k % 2 * half + 1) % pitch;

		if (__builtin_parityl(k) != parity)
			continue;
		n += half;
		for (size_t i = 1; i < half; i++) {
			mean[column] += fabsf(v[i] - v[i - 1]);
			column = column + 1 == pitch ? 0 : column + 1;
		}
	}
	for (size_t c = 0; c < pitch; c++)
		mean[c] *= (float)pitch / (float)n;
}

static double correlation(const float *a, const float *b, size_t n)
{
	double sa = 0, sb = 0, aa = 0, bb = 0, ab = 0;

	for (size_t i = 0; i < n; i++) {
		sa += (double)a[i];
		sb += (double)b[i];
	}
	sa /= (double)n;
	sb /= (double)n;
	for (size_t i = 0; i < n; i++) {
		double x = (double)a[i] - sa, y = (double)b[i] - sb;

		aa += x * x;
		bb += y * y;
		ab += x * y;
	}
	return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* Where the steps are greatest, and by how many standard deviations of the profile. */
static void find_edge(const float *a, const float *b, struct pitch *p)
{
	double sum = 0, squares = 0, most = 0, mean, spread;

	for (size_t c = 0; c < p->samples; c++) {
		double v = (double)a[c] + (double)b[c];

		sum += v;
		squares += v * v;
		if (v > most) {
			most = v;
			p->phase = c;
		}
	}
	mean = sum / (double)p->samples;
	spread = sqrt(fmax(squares / (double)p->samples - mean * mean, 0));
	p->edge = spread > 0 ? (most - mean) / spread : 0;
}

/* Share of the samples that change from row to row, among those that change from column to column. */
static double changes(const struct windows *w, size_t pitch)
{
	size_t down = 0, along = 0;

	for (size_t k = 0; k < w->count; k++) {
		const float *v = w->value + k * w->length;

		for (size_t i = pitch; i < w->length; i += 7) {
			bool step = v[i] != v[i - 1];

			along += step;
			down += step && v[i] != v[i - pitch];
		}
	}
	return along ? (double)down / (double)along : 0;
}

/* How much of the likeness of the next row is left eight rows further, or as far as the window goes. */
static double lasts(const struct windows *w, size_t pitch)
{
	size_t rows = w->length / 2 / pitch - 1;

	return (double)(w->steps[pitch * (rows < 8 ? rows : 8)] / fmaxf(w->steps[pitch], 1e-6f));
}

/*
 * Limits. alike: chance alone gives 0.001 (a million samples), at most 0.005 over all lags. Rows at least
 * rival: a peak half as high that is no multiple of the pitch means that the pitch is something else; rows of
 * images keep below 0.3 as a rule. columns: the correlation of n independent numbers has a standard deviation of
 * 1 / sqrt(n); four of them. changes: one sample in a hundred.
 */
static int prove(const struct windows *w, size_t pitch, struct pitch *p)
{
	float *a;
	double columns, alone;

	*p = (struct pitch) { .samples = pitch };
	if (pitch < ROW_LEAST || pitch > w->length / 4 || w->alike[pitch] < 0.025f || w->alike[1] < w->alike[pitch] / 20 ||
	    lasts(w, pitch) > 0.97 || changes(w, pitch) < 0.01 || !((alone = rival(w, pitch)) < 0.5))
		return -ENOENT;
	a = malloc(2 * pitch * sizeof *a);
	if (!a)
		return -ENOMEM;
	profile(w, 0, pitch, a);
	profile(w, 1, pitch, a + pitch);
	columns = correlation(a, a + pitch, pitch) * sqrt((double)pitch) / 4;
	find_edge(a, a + pitch, p);
	free(a);
	p->proof = fmin(columns, 0.5 / fmax(alone, 0.01));
	return columns > 1 ? 0 : -ENOENT;
}

int detect_pitch(const struct windows *w, struct pitch *out)
{
	size_t top = highest(w, 0), part = top ? highest(w, top) : 0;
	int rc = -ENOENT;

	if (!top)
		return -ENOENT;
	/* A third: a row below the next is often that much alike; a texture with a period that divides the row is not. */
	if (part && w->alike[part] > w->alike[top] / 3)
		rc = prove(w, part, out);
	return rc == -ENOENT ? prove(w, top, out) : rc;
}
