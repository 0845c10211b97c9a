#include "fs/view/picture.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "fs/view/png.h"
#include "store/err.h"

enum { READ_BYTES = 1 << 20, ROW_BYTES_MAX = 256 << 20, MID_GRAY = 128 };

/* What is drawn: the slice in boxes of factor x factor pixels, smaller at the right and lower edge. */
struct plan {
	uint64_t factor;
	uint32_t width, height;
	unsigned samples; /* that are drawn: 1 or 3 */
};

static struct plan plan_of(const struct geometry *g)
{
	uint64_t edge = g->width > g->height ? g->width : g->height;
	struct plan p = { .factor = (edge + PICTURE_EDGE - 1) / PICTURE_EDGE };

	p.width = (uint32_t)((g->width + p.factor - 1) / p.factor);
	p.height = (uint32_t)((g->height + p.factor - 1) / p.factor);
	p.samples = g->samples == 3 || g->samples == 4 ? 3 : 1;
	return p;
}

static size_t values(const struct plan *p)
{
	return (size_t)p->width * p->height * p->samples;
}

uint64_t picture_size(const struct geometry *g)
{
	struct plan p = plan_of(g);

	return png_size(p.width, p.height, p.samples);
}

/* One sum of finite samples and their number for each value of a row of the picture. */
struct sums {
	double *sum;
	uint64_t *count;
};

/* Adds one row of the slice. Samples that are no number, or infinite, are left out. */
#define ADD_ROW(name, sample, usable)                                                                                  \
	static void name(const struct geometry *g, const struct plan *p, const void *row, struct sums *to)             \
	{                                                                                                              \
		const sample *in = row;                                                                                \
		size_t at = 0;                                                                                         \
                                                                                                                       \
		for (uint64_t x = 0, left = p->factor; x < g->width; x++, in += g->samples) {                          \
			for (unsigned s = 0; s < p->samples; s++) {                                                    \
				double v = (double)in[s];                                                              \
                                                                                                                       \
				if (!(usable))                                                                         \
					continue;                                                                      \
				to->sum[at + s] += v;                                                                  \
				to->count[at + s]++;                                                                   \
			}                                                                                              \
			if (--left)                                                                                    \
				continue;                                                                              \
			left = p->factor;                                                                              \
			at += p->samples;                                                                              \
		}                                                                                                      \
	}

ADD_ROW(add_u8, uint8_t, true)
ADD_ROW(add_i8, int8_t, true)
ADD_ROW(add_u16, uint16_t, true)
ADD_ROW(add_i16, int16_t, true)
ADD_ROW(add_u32, uint32_t, true)
ADD_ROW(add_i32, int32_t, true)
ADD_ROW(add_f32, float, isfinite(v))
ADD_ROW(add_u64, uint64_t, true)
ADD_ROW(add_i64, int64_t, true)
ADD_ROW(add_f64, double, isfinite(v))

typedef void (*add_row)(const struct geometry *g, const struct plan *p, const void *row, struct sums *to);

static const add_row add_rows[VOXEL_TYPES] = {
	[VOXEL_U8] = add_u8,   [VOXEL_I8] = add_i8,   [VOXEL_U16] = add_u16, [VOXEL_I16] = add_i16,
	[VOXEL_U32] = add_u32, [VOXEL_I32] = add_i32, [VOXEL_F32] = add_f32, [VOXEL_U64] = add_u64,
	[VOXEL_I64] = add_i64, [VOXEL_F64] = add_f64,
};

/* The means of a finished row of boxes; NAN where nothing could be used. */
static void finish_row(const struct plan *p, struct sums *sums, double *to)
{
	size_t n = (size_t)p->width * p->samples;

	for (size_t i = 0; i < n; i++)
		to[i] = sums->count[i] ? sums->sum[i] / (double)sums->count[i] : NAN;
	memset(sums->sum, 0, n * sizeof *sums->sum);
	memset(sums->count, 0, n * sizeof *sums->count);
}

/* The reduced middle slice into mean; rows is room for `room` rows of the slice. */
static int reduce(const struct volume *v, const struct plan *p, uint8_t *rows, uint64_t room, struct sums *sums,
		  double *mean)
{
	const struct geometry *g = &v->geo;
	uint64_t row_bytes = geometry_row_bytes(g);

	for (uint64_t y = 0, n; y < g->height; y += n) {
		int rc;

		n = g->height - y < room ? g->height - y : room;
		rc = v->read_rows(v->ctx, g->depth / 2, y, n, rows);
		if (rc)
			return rc;
		for (uint64_t i = y; i < y + n; i++) {
			add_rows[g->type](g, p, rows + (i - y) * row_bytes, sums);
			if ((i + 1) % p->factor == 0 || i + 1 == g->height) {
				finish_row(p, sums, mean);
				mean += (size_t)p->width * p->samples;
			}
		}
	}
	return 0;
}

static int reduce_slice(const struct volume *v, const struct plan *p, double *mean)
{
	uint64_t row_bytes = geometry_row_bytes(&v->geo);
	uint64_t room = row_bytes < READ_BYTES ? READ_BYTES / row_bytes : 1;
	size_t n = (size_t)p->width * p->samples;
	scope_free double *sum = calloc(n, sizeof *sum);
	scope_free uint64_t *count = calloc(n, sizeof *count);
	scope_free uint8_t *rows = NULL;
	struct sums sums = { .sum = sum, .count = count };

	if (row_bytes > ROW_BYTES_MAX)
		return err_set(ENOTSUP, "%s: a row of %llu bytes is too long for a picture", v->name,
			       (unsigned long long)row_bytes);
	if (room > v->geo.height)
		room = v->geo.height;
	rows = malloc(room * row_bytes);
	if (!sum || !count || !rows)
		return err_set(ENOMEM, "no memory for a picture");
	return reduce(v, p, rows, room, &sums, mean);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* From black to white. */
struct window {
	double low, high;
};

/*
 * The 0.5 and 99.5 percentile of what is there; the extremes where those two are equal (a few bright grains in black).
 * sorted: as many numbers as mean has.
 */
static struct window find_window(const double *mean, size_t n, double *sorted)
{
	struct window w = { 0 };
	size_t used = 0;

	for (size_t i = 0; i < n; i++)
		if (isfinite(mean[i]))
			sorted[used++] = mean[i];
	if (!used)
		return w;
	qsort(sorted, used, sizeof *sorted, compare);
	w.low = sorted[(used - 1) / 200];
	w.high = sorted[used - 1 - (used - 1) / 200];
	if (!(w.low < w.high)) {
		w.low = sorted[0];
		w.high = sorted[used - 1];
	}
	return w;
}

/* Halved, so that the span of the largest doubles does not overflow. */
static uint8_t level_in(const struct window *w, double v)
{
	double span = w->high / 2 - w->low / 2, at;

	if (!isfinite(v))
		return 0;
	if (!(span > 0))
		return MID_GRAY;
	at = (v / 2 - w->low / 2) / span * 255;
	return at <= 0 ? 0 : at >= 255 ? 255 : (uint8_t)(at + 0.5);
}

/* Colours of 8 bits are shown as they are. */
static struct window window_of(const struct geometry *g, const struct plan *p, const double *mean, double *sorted)
{
	if (p->samples == 3 && g->type == VOXEL_U8)
		return (struct window) { .low = 0, .high = 255 };
	return find_window(mean, values(p), sorted);
}

int picture_make(const struct volume *v, struct buf *out)
{
	struct plan p = plan_of(&v->geo);
	size_t n = values(&p);
	scope_free double *mean = calloc(n, sizeof *mean), *sorted = calloc(n, sizeof *sorted);
	scope_free uint8_t *pixels = malloc(n);
	struct window window;
	int rc;

	if (!mean || !sorted || !pixels)
		return err_set(ENOMEM, "no memory for a picture");
	rc = reduce_slice(v, &p, mean);
	if (rc)
		return rc;
	window = window_of(&v->geo, &p, mean, sorted);
	for (size_t i = 0; i < n; i++)
		pixels[i] = level_in(&window, mean[i]);
	return png_write(out, p.width, p.height, p.samples, pixels);
}
