/* The steps one after another, where the first pixel is, and what the file's size says to it. */
#include "fs/image/detect.h"

#include <errno.h>
#include <math.h>

#include "fs/image/detect_internal.h"

enum { HEADER_MOST = 64 << 10, LOOK = 1024 };

/* Lengths of headers that programs write: none, blocks, and NIfTI (352), Analyze and EM (348, 512), MRC (1024). */
static const uint32_t headers[] = { 0, 512, 1024, 2048, 4096, 352, 348, 256, 128, 8192, 16384, 32768, 65536, 16, 8 };

struct guess {
	uint64_t file_size;
	uint32_t row_bytes;
	uint8_t width;
	bool edge; /* rows seem to begin at phase: six standard deviations are one column in 5e8 by chance */
	size_t phase;
};

static bool at_edge(const struct guess *g, uint64_t header)
{
	return header % g->width == 0 && header / g->width % (g->row_bytes / g->width) == g->phase;
}

/* What a header may be long: as usual, or anything short before the place where rows seem to begin. */
static bool is_header(const struct guess *g, uint64_t header, uint64_t slice_bytes)
{
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
		if (headers[i] == header)
			return header % g->width == 0;
	return header <= HEADER_MOST && header < slice_bytes / 64 && g->edge && at_edge(g, header);
}

/* What is left of the file after whole slices is the header. */
static bool fits(const void *arg, size_t rows)
{
	const struct guess *g = arg;
	uint64_t slice_bytes = (uint64_t)rows * g->row_bytes;

	return is_header(g, g->file_size % slice_bytes, slice_bytes);
}

/* How much the rows that begin at header + n slices differ from the rows before them. */
static double border(const struct samples *s, const struct guess *g, uint64_t slice_bytes, uint64_t header)
{
	size_t row = g->row_bytes / g->width, n = row < LOOK ? row : LOOK, slices = 0;
	float here[LOOK], before[LOOK];
	double sum = 0;

	for (uint64_t at = (header + slice_bytes) / g->width; at + row <= s->count && slices < 8; slices++) {
		samples_read(s, at + (row - n) / 2, n, here);
		samples_read(s, at - row + (row - n) / 2, n, before);
		for (size_t i = 0; i < n; i++)
			sum += (double)fabsf(here[i] - before[i]);
		at += slice_bytes / g->width;
	}
	return slices ? sum / (double)(slices * n) : 0;
}

/*
 * Without a size: the usual header that begins a row where rows seem to begin, and a slice where rows differ most, by
 * half as much again as for a shorter header. Where rows seem to begin at none of those, it is an edge in the image.
 */
static uint64_t choose_header(const struct samples *s, const struct guess *g, uint64_t slice_bytes)
{
	uint64_t best = 0;
	double most = 0;

	for (size_t i = 0; g->edge && i < sizeof headers / sizeof *headers; i++) {
		double here;

		if (!at_edge(g, headers[i]))
			continue;
		here = slice_bytes ? border(s, g, slice_bytes, headers[i]) : 1;
		if (here > 1.5 * most) {
			most = here;
			best = headers[i];
		}
	}
	return best;
}

/* A slice longer than the bytes: square, if the file is a whole number of such (one in row_bytes is, by chance). */
static void guess_square(const struct guess *g, size_t len, struct detected *out)
{
	uint64_t slice = (uint64_t)(g->row_bytes / g->width) * g->row_bytes;

	if (g->file_size >= slice && slice > len / 8 * 7 && is_header(g, g->file_size % slice, slice))
		out->slice_bytes = slice;
}

static int find_slice(const struct samples *s, const struct pitch *p, const struct guess *g, struct detected *out)
{
	struct rows rows;
	struct slice slice;
	int rc = rows_make(s, p, &rows);

	if (rc < 0)
		return rc;
	rc = detect_slice(&rows, g->file_size ? &(struct file_fit) { fits, g } : NULL, &slice);
	rows_drop(&rows);
	if (rc < 0 || slice.proof < 1)
		return rc;
	out->slice_bytes = (uint64_t)slice.rows * g->row_bytes;
	out->confidence = fmin(out->confidence, slice.proof / 4);
	return 0;
}

static int find_rows(const struct samples *s, struct pitch *p)
{
	struct windows w;
	int rc = windows_make(s, &w);

	if (rc < 0)
		return rc;
	rc = detect_pitch(&w, p);
	windows_drop(&w);
	return rc;
}

int detect_raw(const uint8_t *bytes, size_t len, uint64_t file_size, struct detected *out)
{
	struct samples s;
	struct pitch p;
	struct guess g;
	int rc;

	*out = (struct detected) { 0 };
	len = len < DETECT_MOST ? len : DETECT_MOST;
	if (len < DETECT_LEAST || detect_refuse(bytes, len) || !detect_lanes(bytes, len, &s))
		return -ENOENT;
	rc = find_rows(&s, &p);
	if (rc < 0)
		return rc;
	g = (struct guess) { .file_size = file_size,
			     .width = s.width,
			     .row_bytes = (uint32_t)(p.samples * s.width),
			     .edge = p.edge > 6,
			     .phase = p.phase };
	*out = (struct detected) { .sample_bytes = s.width,
				   .big_endian = s.big_endian,
				   .is_float = s.is_float,
				   .row_bytes = g.row_bytes,
				   .confidence = p.proof / 4 };
	rc = find_slice(&s, &p, &g, out);
	if (rc < 0)
		return rc;
	if (!out->slice_bytes && file_size)
		guess_square(&g, len, out);
	if (out->slice_bytes && file_size)
		out->header_bytes = file_size % out->slice_bytes;
	else
		out->header_bytes = choose_header(&s, &g, out->slice_bytes);
	out->confidence = fmin(out->confidence, 1);
	return 0;
}
