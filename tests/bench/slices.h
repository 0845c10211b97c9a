/*
 * slices: what the codec programs share: raw slices in memory, a clock of the thread's own processor time, and one line of result.
 *
 *     PROGRAM FILE.raw WIDTH HEIGHT SAMPLE_BYTES SLICES BITS        as `pixels` prints it
 *
 * The line is "PLAIN_BYTES STORED_BYTES ENCODE_MBPS DECODE_MBPS": one core, the best of several passes, decoded bytes compared with
 * the original ones.
 */
#ifndef TOMOFS_BENCH_SLICES_H
#define TOMOFS_BENCH_SLICES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct slices {
	uint8_t *data;
	size_t bytes, slice_bytes;
	unsigned width, height, sample_bytes, count, bits;
};

static inline double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline int slices_load(struct slices *s, int argc, char **argv)
{
	FILE *f = argc == 7 ? fopen(argv[1], "rb") : NULL;
	unsigned *numbers[] = { &s->width, &s->height, &s->sample_bytes, &s->count, &s->bits };
	size_t got = 0;

	if (!f) {
		fprintf(stderr, "usage: %s FILE.raw WIDTH HEIGHT SAMPLE_BYTES SLICES BITS\n", argv[0]);
		return -1;
	}
	for (int i = 0; i < 5; i++)
		*numbers[i] = (unsigned)strtoul(argv[i + 2], NULL, 10);
	s->slice_bytes = (size_t)s->width * s->height * s->sample_bytes;
	s->bytes = s->slice_bytes * s->count;
	s->data = malloc(s->bytes + 1);
	if (s->data)
		got = fread(s->data, 1, s->bytes, f);
	fclose(f);
	if (!s->bytes || got != s->bytes || (s->sample_bytes != 1 && s->sample_bytes != 2)) {
		fprintf(stderr, "%s: %s does not hold these slices\n", argv[0], argv[1]);
		return -1;
	}
	return 0;
}

static inline void slices_result(const struct slices *s, size_t stored, double encode, double decode)
{
	printf("%zu %zu %.1f %.1f\n", s->bytes, stored, (double)s->bytes / 1e6 / encode, (double)s->bytes / 1e6 / decode);
}

#endif
