/*
 * detect: is this a volume without a header that anybody declared, and how long are its rows and slices? Told from the
 * bytes alone, for choosing chunk borders and filters. A wrong answer costs room, never a byte; so what is not clear
 * is refused.
 *
 * How: the byte lanes tell the sample's width and byte order; the autocorrelation of the samples has its peaks at the
 * row pitch, for the pixel above is like this one; the step from the end of one row to the beginning of the next comes
 * back once a row; the same again with whole rows tells the slice's length. What is known to be something else (text,
 * compressed, a format with a magic number) is refused first.
 *
 * Pure function; any thread; no state.
 */
#ifndef TOMOFS_DETECT_H
#define TOMOFS_DETECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DETECT_LEAST = 256 << 10, /* fewer bytes are always refused: too few rows to be sure of anything */
	DETECT_BEST = 8 << 20,	  /* two whole slices should lie in the bytes, or slice_bytes stays 0 */
	DETECT_MOST = 16 << 20,	  /* more are not looked at */
};

struct detected {
	uint64_t header_bytes; /* offset of the first pixel, modulo slice_bytes (row_bytes when that is 0) */
	uint8_t sample_bytes;  /* 1, 2 or 4 */
	bool big_endian;
	bool is_float;
	uint32_t row_bytes;   /* a multiple of sample_bytes */
	uint64_t slice_bytes; /* a multiple of row_bytes; 0: rows found, but no slice length */
	double confidence;    /* 0 to 1: how far the weakest proof was above its limit */
};

/*
 * bytes: the file from its beginning, len of them. file_size: 0 when not known yet.
 * 0; -ENOENT: not a raw volume, or nothing is clear (no err_text()); -ENOMEM. Allocates at most 16 MiB while it runs.
 */
int detect_raw(const uint8_t *bytes, size_t len, uint64_t file_size, struct detected *out);

#endif
