/*
 * Choosing the weights. From a few pieces of rows, evenly spread over the image, the normal equations of the least squares
 * problem "what lacks from N to the sample, from what lacks from N to its other neighbours" are summed up and solved. The
 * fitted weights and some well-known sets then predict these pieces, and the set with the smallest residuals wins.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/predict.h"
#include "store/predict_internal.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* vectorise */
#endif

enum {
	PIECES = 12,
	PIECES_MOST = 64,
	PIECE = 512, /* samples */
	UNKNOWNS = PREDICT_TAPS,
	SUMS = UNKNOWNS + 1,
	BLOCK = 16,
	OUTLIER = 8,
	PART = 24, /* of a small image */
	SHIFTED_BITS = 9,
};

typedef float floats __attribute__((vector_size(16)));

/* A piece of a row of the image and what stands above it. */
struct piece {
	size_t count;
	union {
		struct lines16 l16;
		struct lines32 l32;
	};
};

struct fit {
	struct prediction *p;
	size_t pieces, samples;
	struct piece piece[PIECES_MOST];
	int32_t room[PIECES * 3 * (LINE_BEFORE + PIECE + LINE_AFTER)]; /* for the lines */
	uint8_t residuals[PIECE * 4 + PREDICT_SLACK] __attribute__((aligned(16)));
	float difference[SUMS][PIECE] __attribute__((aligned(16)));
	double sum[SUMS][SUMS]; /* the upper half */
};

/* ---- pieces ---- */

/* room: three lines. */
static void piece_load(const struct prediction *p, struct piece *piece, int32_t *room, const uint8_t *bytes, size_t at,
		       size_t pitch, size_t count)
{
	size_t above = at - pitch, far = above >= pitch ? above - pitch : above, line = LINE_BEFORE + count + LINE_AFTER;

	piece->count = count;
	if (p->width == 4) {
		piece->l32.own = room + LINE_BEFORE;
		piece->l32.up = piece->l32.own + line;
		piece->l32.upup = piece->l32.up + line;
		predict_load32(p, bytes + at * 4, count, piece->l32.own);
		predict_load32(p, bytes + above * 4, count, piece->l32.up);
		predict_load32(p, bytes + far * 4, count, piece->l32.upup);
		predict_edges32(&piece->l32, count);
		return;
	}
	piece->l16.own = (int16_t *)room + LINE_BEFORE;
	piece->l16.up = piece->l16.own + line;
	piece->l16.upup = piece->l16.up + line;
	predict_load16(p, bytes + at * p->width, count, piece->l16.own);
	predict_load16(p, bytes + above * p->width, count, piece->l16.up);
	predict_load16(p, bytes + far * p->width, count, piece->l16.upup);
	predict_edges16(&piece->l16, count);
}

/* Each from another height and another place in its row. Of a single row, as if every sample stood below the one before. */
static void pieces_load(struct fit *f, const uint8_t *bytes, size_t count)
{
	bool single = count / 2 < f->p->row;
	size_t row = single ? count - 1 : f->p->row, rows = single ? PIECES : count / row - 1;
	size_t length = row < PIECE ? row : PIECE, room = 3 * (LINE_BEFORE + length + LINE_AFTER);
	size_t most = sizeof f->room / sizeof *f->room / room, enough = 2 + count / PART / length;

	most = most < PIECES_MOST ? most : PIECES_MOST;
	most = most < enough ? most : enough;
	f->pieces = rows < most ? rows : most;
	f->samples = f->pieces * length;
	for (size_t i = 0; i < f->pieces; i++) {
		size_t y = single ? 0 : 1 + rows * (2 * i + 1) / (2 * f->pieces);
		size_t x = (row - length) * (i * 5 % f->pieces) / f->pieces;

		piece_load(f->p, &f->piece[i], f->room + i * room, bytes, single ? 1 + x : y * row + x, single ? 1 : row,
			   length);
	}
}

/* Of pairs on different sides of the middle of their range: the sum of how far they are apart, and their number. */
static void apart16(const struct lines16 *l, size_t count, int32_t middle, double *sum, double *pairs)
{
	uint32_t far = 0, n = 0;

	for (size_t i = 0; i < count; i++) {
		int32_t a = l->own[i] - middle, b = l->up[i] - middle, opposite = (a ^ b) >> 31;

		far += (uint32_t)((a < b ? b - a : a - b) & opposite);
		n -= (uint32_t)opposite;
	}
	*sum += far;
	*pairs += n;
}

static void apart32(const struct lines32 *l, size_t count, double *sum, double *pairs)
{
	for (size_t i = 0; i < count; i++)
		if ((l->own[i] ^ l->up[i]) < 0) {
			*sum += fabs((double)l->own[i] - l->up[i]);
			*pairs += 1;
		}
}

/* Are they nearer across the ends of the range than across its middle? */
static bool looks_signed(const struct fit *f)
{
	double sum = 0, pairs = 0;

	for (size_t k = 0; k < f->pieces; k++)
		if (f->p->width == 4)
			apart32(&f->piece[k].l32, f->piece[k].count, &sum, &pairs);
		else
			apart16(&f->piece[k].l16, f->piece[k].count, f->p->width == 1 ? 128 : 0, &sum, &pairs);
	return sum > pairs * (double)(UINT32_C(1) << (8 * f->p->width - 1));
}

/* ---- least squares ---- */

static void differences16(const struct lines16 *l, size_t count, float to[SUMS][PIECE])
{
	for (ptrdiff_t i = 0; i < (ptrdiff_t)count; i++) {
		int32_t n = l->up[i];

		to[TAP_W][i] = (float)(l->own[i - 1] - n);
		to[TAP_WW][i] = (float)(l->own[i - 2] - n);
		to[TAP_NW][i] = (float)(l->up[i - 1] - n);
		to[TAP_NE][i] = (float)(l->up[i + 1] - n);
		to[TAP_NN][i] = (float)(l->upup[i] - n);
		to[TAP_NNW][i] = (float)(l->upup[i - 1] - n);
		to[TAP_NWW][i] = (float)(l->up[i - 2] - n);
		to[PREDICT_TAPS][i] = (float)(l->own[i] - n);
	}
}

static inline float difference(int32_t v, int32_t n)
{
	return (float)(int32_t)((uint32_t)v - (uint32_t)n);
}

static void differences32(const struct lines32 *l, size_t count, float to[SUMS][PIECE])
{
	for (ptrdiff_t i = 0; i < (ptrdiff_t)count; i++) {
		int32_t n = l->up[i];

		to[TAP_W][i] = difference(l->own[i - 1], n);
		to[TAP_WW][i] = difference(l->own[i - 2], n);
		to[TAP_NW][i] = difference(l->up[i - 1], n);
		to[TAP_NE][i] = difference(l->up[i + 1], n);
		to[TAP_NN][i] = difference(l->upup[i], n);
		to[TAP_NNW][i] = difference(l->upup[i - 1], n);
		to[TAP_NWW][i] = difference(l->up[i - 2], n);
		to[PREDICT_TAPS][i] = difference(l->own[i], n);
	}
}

/* Products of one line of differences with itself and those behind it. */
static void add_products(const float d[SUMS][PIECE], size_t a, size_t count, double sum[SUMS])
{
	floats s[SUMS] = { 0 };

	for (size_t i = 0; i < count; i += 4) {
		floats v = *(const floats *)(d[a] + i);

#pragma GCC unroll 8
		for (size_t b = 0; b < SUMS; b++)
			s[b] += v * *(const floats *)(d[b] + i);
	}
	for (size_t b = a; b < SUMS; b++)
		sum[b] += (double)(s[b][0] + s[b][1] + s[b][2] + s[b][3]);
}

/*
 * Hot pixels and the edges of the object must not rule the sums: samples that lie in much more activity than the piece has
 * on average are left out.
 */
static void leave_out(float d[SUMS][PIECE], size_t count)
{
	float activity[PIECE], sums[8] = { 0 }, sum = 0;

	for (size_t i = 0; i < count; i++)
		activity[i] = fabsf(d[TAP_W][i]) + fabsf(d[TAP_NW][i]) + fabsf(d[TAP_NE][i]) + fabsf(d[TAP_NN][i]) +
			      fabsf(d[PREDICT_TAPS][i]);
	for (size_t i = 0; i < count / 8 * 8; i += 8)
		for (size_t k = 0; k < 8; k++)
			sums[k] += activity[i + k];
	for (size_t k = 0; k < 8; k++)
		sum += sums[k];
	sum *= (float)OUTLIER / (float)count;
	for (size_t i = 0; i < count; i++)
		activity[i] = activity[i] > sum ? 0 : 1;
	for (size_t k = 0; k < SUMS; k++)
		for (size_t i = 0; i < count; i++)
			d[k][i] *= activity[i];
}

static void add_up(struct fit *f)
{
	for (size_t k = 0; k < f->pieces; k++) {
		size_t count = f->piece[k].count, whole = (count + 7) & ~(size_t)7;

		if (f->p->width == 4)
			differences32(&f->piece[k].l32, count, f->difference);
		else
			differences16(&f->piece[k].l16, count, f->difference);
		leave_out(f->difference, count);
		for (size_t a = 0; a < SUMS; a++)
			memset(f->difference[a] + count, 0, (whole - count) * sizeof(float));
		for (size_t a = 0; a < UNKNOWNS; a++)
			add_products(f->difference, a, whole, f->sum[a]);
	}
}

/* Gauss, without pivoting: the matrix is positive definite, since a little is added to its diagonal. */
static bool solve(double sum[SUMS][SUMS], double solution[UNKNOWNS])
{
	double m[UNKNOWNS][SUMS], most = 0;

	for (int a = 0; a < UNKNOWNS; a++) {
		for (int b = 0; b < SUMS; b++)
			m[a][b] = b < a ? sum[b][a] : sum[a][b];
		if (m[a][a] > most)
			most = m[a][a];
	}
	for (int a = 0; a < UNKNOWNS; a++)
		m[a][a] += 1e-5 * most + 1e-3;
	for (int a = 0; a < UNKNOWNS; a++)
		for (int r = a + 1; r < UNKNOWNS; r++)
			for (int b = SUMS - 1; b >= a; b--)
				m[r][b] -= m[a][b] * (m[r][a] / m[a][a]);
	for (int a = UNKNOWNS - 1; a >= 0; a--) {
		solution[a] = m[a][UNKNOWNS];
		for (int b = a + 1; b < UNKNOWNS; b++)
			solution[a] -= m[a][b] * solution[b];
		solution[a] /= m[a][a];
		if (!isfinite(solution[a]))
			return false;
	}
	return true;
}

/* False: no weights that are allowed. */
static bool fit_weights(struct fit *f, int16_t weight[PREDICT_TAPS])
{
	struct prediction trial = *f->p;
	double solution[UNKNOWNS];

	add_up(f);
	if (!solve(f->sum, solution))
		return false;
	for (int k = 0; k < UNKNOWNS; k++) {
		if (fabs(solution[k]) > 7)
			return false;
		trial.weight[k] = (int16_t)(solution[k] * PREDICT_UNIT + (solution[k] < 0 ? -0.5 : 0.5));
	}
	memcpy(weight, trial.weight, sizeof trial.weight);
	return predict_valid(&trial);
}

/* ---- the trial ---- */

/* About log2(v), v > 0: the exponent of a float, and its mantissa taken as a straight line. */
static inline float about_log2(float v)
{
	uint32_t bits;

	memcpy(&bits, &v, sizeof bits);
	return (float)bits * (1.0f / (1 << 23)) - 126.94f;
}

/* Bits for count residuals whose sum is given, if they are distributed geometrically. */
static inline float bits_of(float sum, size_t count)
{
	float mean = sum / (float)count, bits;

	if (mean > 64)
		bits = about_log2(mean) + 1.4427f;
	else
		bits = (1 + mean) * about_log2(1 + mean) - (mean > 0 ? mean * about_log2(mean) : 0);
	return (float)count * bits;
}

static float sum_of(const struct fit *f, size_t at, size_t count)
{
	const uint8_t *r8 = f->residuals + at;
	const uint16_t *r16 = (const uint16_t *)f->residuals + at;
	const uint32_t *r32 = (const uint32_t *)f->residuals + at;
	uint32_t sum = 0;
	float large = 0;

	for (size_t i = 0; f->p->width == 1 && i < count; i++)
		sum += r8[i];
	for (size_t i = 0; f->p->width == 2 && i < count; i++)
		sum += r16[i];
	for (size_t i = 0; f->p->width == 4 && i < count; i++)
		large += (float)r32[i];
	return large + (float)sum;
}

static double bits_of_piece(const struct fit *f, const struct piece *piece)
{
	size_t at = 0;
	double bits = 0;

	for (; at + BLOCK <= piece->count; at += BLOCK)
		bits += (double)bits_of(sum_of(f, at, BLOCK), BLOCK);
	if (at < piece->count)
		bits += (double)bits_of(sum_of(f, at, piece->count - at), piece->count - at);
	return bits;
}

static double bits_with(struct fit *f, const int16_t weight[PREDICT_TAPS])
{
	const struct predict_loops *loops = predict_loops();
	struct prediction trial = *f->p;
	double bits = 0;

	memcpy(trial.weight, weight, sizeof trial.weight);
	for (size_t k = 0; k < f->pieces; k++) {
		if (trial.width == 4)
			loops->apply32(&trial, &f->piece[k].l32, f->piece[k].count, f->residuals);
		else
			loops->apply16(&trial, &f->piece[k].l16, f->piece[k].count, f->residuals);
		bits += bits_of_piece(f, &f->piece[k]);
	}
	return bits;
}

/* Samples of 32 bits: differences of usual size get so many bits. */
static uint8_t shift_for(const struct fit *f)
{
	double sum = 0;
	int shift;

	for (size_t k = 0; k < f->pieces; k++)
		for (size_t i = 0; i < f->piece[k].count; i++)
			sum += (double)about_log2(1 + fabsf(difference(f->piece[k].l32.own[i], f->piece[k].l32.up[i])));
	shift = (int)(sum / (double)f->samples) - SHIFTED_BITS;
	return (uint8_t)(shift < 0 ? 0 : shift > 12 ? 12 : shift);
}

static const int16_t known[][PREDICT_TAPS] = {
	{ [TAP_W] = PREDICT_UNIT },
	{ 0 }, /* above */
	{ [TAP_W] = PREDICT_UNIT / 2 },
	{ [TAP_W] = PREDICT_UNIT, [TAP_NW] = -PREDICT_UNIT }, /* the median edge detector, or nearly */
};

enum { KNOWN = sizeof known / sizeof *known };

/* The best of the known weights and the fitted ones. */
static double choose(struct fit *f)
{
	int16_t weight[PREDICT_TAPS];
	double bits, least = INFINITY;

	for (size_t k = 0; k <= KNOWN; k++) {
		if (k < KNOWN)
			memcpy(weight, known[k], sizeof weight);
		else if (!fit_weights(f, weight))
			break;
		bits = bits_with(f, weight);
		if (bits < least) {
			least = bits;
			memcpy(f->p->weight, weight, sizeof weight);
		}
	}
	return least;
}

double predict_fit(struct prediction *p, const uint8_t *bytes, size_t count)
{
	struct fit *f;
	double bits;

	p->shift = 0;
	memcpy(p->weight, known[0], sizeof p->weight);
	if (p->order != ORDER_FLOAT)
		p->order = ORDER_UNSIGNED;
	if (count < 2)
		return 8 * p->width;
	f = malloc(sizeof *f);
	if (!f)
		return -1;
	f->p = p;
	memset(f->sum, 0, sizeof f->sum);
	pieces_load(f, bytes, count);
	if (p->order == ORDER_UNSIGNED && looks_signed(f)) {
		p->order = ORDER_SIGNED;
		pieces_load(f, bytes, count);
	}
	if (p->width == 4)
		p->shift = shift_for(f);
	bits = count / 2 < p->row ? bits_with(f, p->weight) : choose(f);
	bits /= (double)f->samples;
	free(f);
	return bits;
}
