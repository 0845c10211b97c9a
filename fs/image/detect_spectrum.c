/*
 * The autocorrelation of the samples, by the Fourier transform (Wiener-Khinchin): the mean power spectrum of some
 * windows, transformed back. Two spectra go back at once, as the real and the imaginary part:
 * - alike: from the square root of the power: between the plain autocorrelation, whose peaks are broad, and a whitened
 *   one, which is all noise (Tolonen and Karjalainen, IEEE Trans. Speech Audio Proc. 8, 2000, use the 0.67th power);
 * - steps: that of the differences of neighbours, made from the plain one: sharp peaks.
 * The transform is radix 2, decimation in frequency, and leaves its result in bit-reversed order; the way back begins
 * there, so nothing is ever reordered. In that order the partner -k of place j in [2^m, 2^(m+1)) is 3 * 2^m - 1 - j.
 */
#include "fs/image/detect_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* vectorise */
#endif

struct complexes {
	float *re, *im;
};

/* turn.re[half + i] + i turn.im[half + i] = exp(-i pi i / half) for each power of two half < n. */
static void make_turns(struct complexes turn, size_t n)
{
	size_t top = n / 2;

	for (size_t half = 1; half < n && half <= 256; half *= 2)
		for (size_t i = 0; i < half; i++) {
			turn.re[half + i] = (float)cos(M_PI * (double)i / (double)half);
			turn.im[half + i] = (float)-sin(M_PI * (double)i / (double)half);
		}
	for (size_t half = 512; half <= top; half *= 2) {
		double sr = cos(M_PI / (double)half), si = -sin(M_PI / (double)half);

		for (size_t i = 0; i < half; i++) { /* even ones are in the row before; odd ones are one step on */
			double r = turn.re[half / 2 + i / 2], m = turn.im[half / 2 + i / 2];

			turn.re[half + i] = (float)(i & 1 ? r * sr - m * si : r);
			turn.im[half + i] = (float)(i & 1 ? r * si + m * sr : m);
		}
	}
}

static void butterflies(float *restrict ar, float *restrict ai, float *restrict br, float *restrict bi,
			const float *restrict tr, const float *restrict ti, size_t half)
{
	for (size_t i = 0; i < half; i++) {
		float xr = ar[i] - br[i], xi = ai[i] - bi[i];

		ar[i] += br[i];
		ai[i] += bi[i];
		br[i] = xr * tr[i] - xi * ti[i];
		bi[i] = xr * ti[i] + xi * tr[i];
	}
}

static void butterflies_back(float *restrict ar, float *restrict ai, float *restrict br, float *restrict bi,
			     const float *restrict tr, const float *restrict ti, size_t half)
{
	for (size_t i = 0; i < half; i++) {
		float xr = br[i] * tr[i] + bi[i] * ti[i], xi = bi[i] * tr[i] - br[i] * ti[i];

		br[i] = ar[i] - xr;
		bi[i] = ai[i] - xi;
		ar[i] += xr;
		ai[i] += xi;
	}
}

/* The last two steps of the transform of four numbers at once: the turns are 1 and -i. */
static void forward_four(float *re, float *im)
{
	float ar = re[0] + re[2], ai = im[0] + im[2], br = re[1] + re[3], bi = im[1] + im[3];
	float cr = re[0] - re[2], ci = im[0] - im[2], dr = im[1] - im[3], di = re[3] - re[1];

	re[0] = ar + br, im[0] = ai + bi;
	re[1] = ar - br, im[1] = ai - bi;
	re[2] = cr + dr, im[2] = ci + di;
	re[3] = cr - dr, im[3] = ci - di;
}

static void back_four(float *re, float *im)
{
	float ar = re[0] + re[1], ai = im[0] + im[1], br = re[0] - re[1], bi = im[0] - im[1];
	float cr = re[2] + re[3], ci = im[2] + im[3], dr = im[3] - im[2], di = re[2] - re[3];

	re[0] = ar + cr, im[0] = ai + ci;
	re[2] = ar - cr, im[2] = ai - ci;
	re[1] = br + dr, im[1] = bi + di;
	re[3] = br - dr, im[3] = bi - di;
}

/* Depth first, so that the inner parts stay in the cache. */
static void forward(struct complexes x, struct complexes turn, size_t n)
{
	size_t half = n / 2;

	if (n == 4) {
		forward_four(x.re, x.im);
		return;
	}
	butterflies(x.re, x.im, x.re + half, x.im + half, turn.re + half, turn.im + half, half);
	forward(x, turn, half);
	forward((struct complexes) { x.re + half, x.im + half }, turn, half);
}

static void back(struct complexes x, struct complexes turn, size_t n)
{
	size_t half = n / 2;

	if (n == 4) {
		back_four(x.re, x.im);
		return;
	}
	back(x, turn, half);
	back((struct complexes) { x.re + half, x.im + half }, turn, half);
	butterflies_back(x.re, x.im, x.re + half, x.im + half, turn.re + half, turn.im + half, half);
}

static void take_mean(const float *from, float *to, size_t n)
{
	double sum = 0;
	float mean;

	for (size_t i = 0; i < n; i++)
		sum += (double)from[i];
	mean = (float)(sum / (double)n);
	for (size_t i = 0; i < n; i++)
		to[i] = from[i] - mean;
}

/* power += of both parts of x, which are two real signals; with the sum of squares, which windows are equal in. */
static void add_power(struct complexes x, size_t n, float *power)
{
	for (size_t m = 1; m < n; m *= 2)
		for (size_t j = m; j < 2 * m; j++) {
			size_t k = 3 * m - 1 - j;

			power[j] += x.re[j] * x.re[j] + x.im[j] * x.im[j] + x.re[k] * x.re[k] + x.im[k] * x.im[k];
		}
}

static size_t reversed(size_t k, size_t n)
{
	size_t j = 0;

	for (; n > 1; n /= 2, k /= 2)
		j = j * 2 + (k & 1);
	return j;
}

/* The lowest frequencies (slow change over the window) are left out. */
static void drop_lowest(float *power, size_t n)
{
	power[0] = 0;
	for (size_t k = 1; k < 4; k++) {
		power[reversed(k, n)] = 0;
		power[reversed(n - k, n)] = 0;
	}
}

/* The autocorrelation of differences of neighbours is minus the second difference of the autocorrelation. */
static void to_steps(float *x, size_t n)
{
	float first = x[0], before = x[n - 1];

	for (size_t i = 0; i < n; i++) {
		float here = x[i], after = i + 1 < n ? x[i + 1] : first;

		x[i] = 2 * here - before - after;
		before = here;
	}
}

static void to_one(float *x, size_t n)
{
	float unit = x[0] > 0 ? 1 / x[0] : 0;

	for (size_t i = 0; i < n; i++)
		x[i] *= unit;
}

int spectrum_make(const float *value, size_t windows, size_t n, float *alike, float *steps)
{
	struct complexes x = { alike, steps };
	float *work = calloc(3 * n, sizeof *work), *power = work;
	struct complexes turn = { work + n, work + 2 * n };

	if (!work)
		return -ENOMEM;
	make_turns(turn, n);
	for (size_t w = 0; w < windows; w += 2) {
		take_mean(value + w * n, x.re, n);
		if (w + 1 < windows)
			take_mean(value + (w + 1) * n, x.im, n);
		else
			memset(x.im, 0, n * sizeof *x.im);
		forward(x, turn, n);
		add_power(x, n, power);
	}
	drop_lowest(power, n);
	for (size_t j = 0; j < n; j++) {
		x.re[j] = sqrtf(power[j]);
		x.im[j] = power[j];
	}
	back(x, turn, n);
	free(work);
	to_steps(steps, n);
	to_one(alike, n);
	to_one(steps, n);
	return 0;
}
