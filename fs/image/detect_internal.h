/* detect_*.c among themselves; see detect.h for the whole. */
#ifndef TOMOFS_DETECT_INTERNAL_H
#define TOMOFS_DETECT_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct samples { /* bytes read as numbers */
	const uint8_t *bytes;
	size_t count; /* whole samples */
	uint8_t width;
	bool big_endian, is_float, is_signed;
	float low, scale; /* a sample's value is cut to [low, low + 1 / scale] and becomes 0 to 1 */
};

/* detect_refuse.c: true for what is known to be no raw volume: a magic number, text, nothing but one value, or bytes as
 * even as a compressor makes them. */
bool detect_refuse(const uint8_t *bytes, size_t len);

/* detect_lanes.c: the sample type from the statistics of the byte lanes; fills all of *s. False: none fits. */
bool detect_lanes(const uint8_t *bytes, size_t len, struct samples *s);
/* count values from sample number first on. */
void samples_read(const struct samples *s, size_t first, size_t count, float *to);

/* detect_spectrum.c: the mean autocorrelation of windows of n values each (a power of two, >= 8), 1 at lag 0; alike and
 * steps: n values each, as that file says. Lags from n / 2 on are those before it, backwards. 0 or -ENOMEM. */
int spectrum_make(const float *value, size_t windows, size_t n, float *alike, float *steps);

/* detect_pitch.c: stretches of samples where something happens, and the row pitch in them. */
enum { WINDOWS = 8, WINDOW_SAMPLES = 1 << 17 };
struct windows {
	size_t length, count;  /* samples a window, a power of two; windows */
	size_t start[WINDOWS]; /* first sample */
	float *value;	       /* count * length, as samples_read() gives them */
	float *alike, *steps;  /* spectrum_make() of them */
};
struct pitch {
	size_t samples; /* a row */
	size_t phase;	/* where rows begin, modulo samples; meaningful when edge > 0 */
	double edge;	/* how far the step between two rows stands out */
	double proof;	/* 1: just enough */
};
int windows_make(const struct samples *s, struct windows *out);
void windows_drop(struct windows *w);
/* 0, -ENOENT, -ENOMEM */
int detect_pitch(const struct windows *w, struct pitch *out);

/* detect_slice.c: rows a slice; 0 when none is clear. */
struct rows {
	size_t count, length; /* rows; a power of two >= 2 * count */
	size_t first;	      /* sample where the first one begins */
	float *value;	      /* ROW_CHANNELS * length */
	float *alike, *steps; /* autocorrelation over rows */
};
enum { ROW_BINS = 8, ROW_CHANNELS = 2 * ROW_BINS };
int rows_make(const struct samples *s, const struct pitch *p, struct rows *out);
void rows_drop(struct rows *r);
struct slice {
	size_t rows;  /* 0: none found */
	double proof; /* 1: just enough */
};
struct file_fit { /* whether a slice of so many rows goes with the size of the file */
	bool (*fits)(const void *arg, size_t rows);
	const void *arg;
};
/* fit: NULL when the size is not known; then two whole slices are needed. 0 or -ENOMEM. */
int detect_slice(const struct rows *r, const struct file_fit *fit, struct slice *out);

#endif
