/*
 * Where the pixel above is: the lag at which the samples are most alike. Proofs that the lag is a row and nothing else:
 * - rival: no lag away from its multiples comes near. A tone or a random walk is alike at many lags; so is a table of
 *   short records.
 * - columns: the steps from sample to sample have a profile over the columns (the jump from the end of a row to the
 *   next, the padding around a reconstruction, the vignette), and that of one half of the windows comes back in the
 *   other. Columns are counted from the beginning of the file: a lag that is off by a part of a sample smears them.
 * - changes: rows are not copies of one another; those are a periodic signal.
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
 * The mean step to each column from the one before, in one half of the windows' halves: those of even or odd parity,
 * for slices are often a power of two long, and then taking every second would compare tops with bottoms.
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

/* The peak is higher than its neighbours by more than chance, which is 1 / sqrt(samples) a lag: not off by one. */
static bool is_exact(const struct windows *w, size_t pitch)
{
	float chance = 4 / sqrtf((float)(w->count * w->length)), beside = 0;

	for (size_t d = 1; d <= 2; d++)
		beside = fmaxf(beside, fmaxf(w->alike[pitch - d], w->alike[pitch + d]));
	return w->alike[pitch] > beside + chance;
}

static int compare_columns(const struct windows *w, size_t pitch, struct pitch *p, double *columns)
{
	float *a = malloc(2 * pitch * sizeof *a);

	if (!a)
		return -ENOMEM;
	profile(w, 0, pitch, a);
	profile(w, 1, pitch, a + pitch);
	*columns = correlation(a, a + pitch, pitch) * sqrt((double)pitch);
	find_edge(a, a + pitch, p);
	free(a);
	return 0;
}

/*
 * Limits:
 * - alike: chance gives 0.001 (a million samples), at most 0.005 over all lags. Twice that is taken when nothing else
 *   comes near, five times otherwise.
 * - next: the sample beside is as much like this one as the one below, in images of things: within a factor 6. In a
 *   table the fields of a record have nothing in common.
 * - lasts: where rows are nearly the same, those eight apart are less so; not in what is periodic.
 * - changes: one sample in a hundred.
 * - rival: half as high, and the pitch may be something else.
 * - columns: the correlation of n independent numbers has a standard deviation of 1 / sqrt(n); four of them. Without it
 *   (white noise, and borders that drown in it) the other proofs must be twice as good.
 */
static int prove(const struct windows *w, size_t pitch, struct pitch *p)
{
	double columns, alone;
	float alike = w->alike[pitch], next = w->alike[1];
	bool strict;

	*p = (struct pitch) { .samples = pitch };
	if (pitch < ROW_LEAST || pitch > w->length / 4 || alike < 0.01f || next < alike / 6 ||
	    (w->steps[pitch] > 0.9f && lasts(w, pitch) > 0.97) || changes(w, pitch) < 0.01)
		return -ENOENT;
	alone = rival(w, pitch);
	if (!(alone < (alike < 0.025f ? 0.25 : 0.5)))
		return -ENOENT;
	if (compare_columns(w, pitch, p, &columns) < 0)
		return -ENOMEM;
	strict = alone < 0.25 && next > alike / 3 && next < alike * 3 && is_exact(w, pitch);
	p->proof = fmin(strict ? fmax(columns / 4, 1.1) : columns / 4, 0.5 / fmax(alone, 0.01));
	return p->proof > 1 ? 0 : -ENOENT;
}

/*
 * Of two lags of which one divides the other, is the shorter one the row? A whole slice may be more like the next slice
 * than a row is like the next row; in noise that stays (a detector's pattern) much more. But half a row may also be
 * like the other half, and a texture's period may divide the row. So it must be a third as high, or a tenth and as high
 * as it should be where the image is the same along and down, and not less than its own double.
 */
static bool is_row_within(const struct windows *w, size_t part, size_t top)
{
	float a = w->alike[part];

	if (top == 2 * part)
		return a > 0.75f * w->alike[top];
	return (a > w->alike[top] / 3 || (a > w->alike[top] / 10 && a > w->alike[1] / 2)) &&
	       a > 0.9f * w->alike[2 * part];
}

/* How much the two profiles agree in their fine structure: their covariance, of the differences from column to column.
 */
static double sharpness(const float *a, const float *b, size_t n, double *correlated)
{
	double aa = 0, bb = 0, ab = 0;

	for (size_t c = 1; c < n; c++) {
		double x = (double)(a[c] - a[c - 1]), y = (double)(b[c] - b[c - 1]);

		aa += x * x;
		bb += y * y;
		ab += x * y;
	}
	*correlated = aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
	return ab / (double)n;
}

/*
 * Structures that lean all one way move the peak by a sample; then the columns tell: at a wrong pitch they drift, and
 * what is sharp in their profile is blurred. Another lag must be twice as sharp, and by more than chance (four
 * deviations).
 */
static int settle(const struct windows *w, size_t pitch, size_t *settled)
{
	float *a = malloc(2 * (pitch + 2) * sizeof *a);
	double sharp[5] = { 0 }, here = 0;

	if (!a)
		return -ENOMEM;
	for (size_t l = pitch - 2; l <= pitch + 2; l++) {
		double correlated;

		if (l < ROW_LEAST || (l != pitch && w->alike[l] < 0.9f * w->alike[pitch]))
			continue;
		profile(w, 0, l, a);
		profile(w, 1, l, a + l);
		sharp[l + 2 - pitch] = sharpness(a, a + l, l, &correlated);
		if (correlated * sqrt((double)l) < 4)
			sharp[l + 2 - pitch] = 0;
	}
	free(a);
	*settled = pitch;
	here = sharp[2];
	for (size_t d = 0; d < 5; d++)
		if (sharp[d] > 2 * here) {
			here = sharp[d] / 2;
			*settled = pitch + d - 2;
		}
	return 0;
}

int detect_pitch(const struct windows *w, struct pitch *out)
{
	size_t top = highest(w, 0), part = top ? highest(w, top) : 0;
	int rc = -ENOENT;

	if (!top || top > w->length / 4)
		return -ENOENT;
	if (settle(w, top, &top) < 0)
		return -ENOMEM;
	if (part && is_row_within(w, part, top))
		rc = prove(w, part, out);
	return rc == -ENOENT ? prove(w, top, out) : rc;
}
