/*
 * layout_lab: cuts whole files as the write pipeline does, in pieces of any size, and compares the chunks; for the tests of layouts.
 */
#ifndef TOMOFS_LAYOUT_LAB_H
#define TOMOFS_LAYOUT_LAB_H

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "fs/image/layout.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"
#include "tests/lib/tiff_writer.h"

enum { WIDTH = 700, HEIGHT = 600, DEPTH = 5, SLICE = WIDTH * HEIGHT * 2, CHUNKS_MAX = 4096 };

struct chunk {
	uint64_t off, len, hash;
	struct chunk_plan plan;
};

struct cuts {
	struct chunk list[CHUNKS_MAX];
	size_t count;
	uint64_t held_most; /* bytes that had to be kept */
};

enum feeding { AT_ONCE, BY_64K, BY_1000, BY_3, RANDOM_PIECES };

static inline size_t piece_bytes(enum feeding how, uint64_t *seed, size_t left)
{
	static const size_t sizes[] = { SIZE_MAX, 64 << 10, 1000, 3 };
	size_t n = how == RANDOM_PIECES ? 1 + (size_t)random_below(seed, 300000) : sizes[how];

	return n < left ? n : left;
}

/* As the write pipeline does it. give_up_at: how much it can hold. */
static inline void cut_held(struct layout *l, const uint8_t *bytes, size_t len, enum feeding how, size_t room,
		     struct cuts *out)
{
	uint64_t fed = 0, at = 0, until = 0, seed = 1;

	out->count = 0;
	out->held_most = 0;
	do {
		size_t n = piece_bytes(how, &seed, len - (size_t)fed);

		layout_feed(l, fed, bytes + fed, n, fed + n == len);
		fed += n;
		if (fed - at > room) {
			layout_give_up(l);
			until = 0;
		}
		while (at < fed && out->count < CHUNKS_MAX && (fed >= until || fed == len)) {
			struct chunk *c = &out->list[out->count];
			size_t cut = layout_cut(l, at, bytes + at, (size_t)(fed - at), fed == len, &c->plan, &until);

			CHECK(cut <= fed - at && cut <= CHUNK_MAX);
			if (!cut)
				break;
			*c = (struct chunk) { at, cut, XXH3_64bits(bytes + at, cut), c->plan };
			out->count++;
			at += cut;
			until = 0;
		}
		if (fed - at > out->held_most)
			out->held_most = fed - at;
	} while (fed < len);
	CHECK(at == len);
}

static inline void cut_file(const char *name, const struct layout_hint *hint, const uint8_t *bytes, size_t len,
		     enum feeding how, struct cuts *out)
{
	struct layout *l = NULL;

	CHECK_RC(layout_new(&l, name, hint));
	cut_held(l, bytes, len, how, 64 << 20, out);
	layout_free(l);
}

static inline bool same_cuts(const struct cuts *a, const struct cuts *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++)
		if (a->list[i].off != b->list[i].off || a->list[i].len != b->list[i].len ||
		    a->list[i].plan.row_bytes != b->list[i].plan.row_bytes)
			return false;
	return a->count == b->count;
}

static inline bool has(const struct cuts *cuts, uint64_t hash)
{
	for (size_t i = 0; i < cuts->count; i++)
		if (cuts->list[i].hash == hash)
			return true;
	return false;
}

/* Bytes in chunks that `known` has not. */
static inline uint64_t new_bytes(const struct cuts *known, const struct cuts *cuts)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < cuts->count; i++)
		if (!has(known, cuts->list[i].hash))
			bytes += cuts->list[i].len;
	return bytes;
}

static inline uint8_t *random_bytes(size_t len, uint64_t seed)
{
	uint8_t *bytes = malloc(len);

	random_fill(bytes, len, seed);
	return bytes;
}

/* Every slice alone, as chunker.h cuts it. */
static inline struct cuts *slices_alone(const struct tiff_pixels *px, size_t row)
{
	struct cuts *cuts = calloc(1, sizeof *cuts);
	struct chunk_plan plan = { 0, px->slice_bytes, 1, (uint32_t)row, 2, .samples = 1 };

	for (uint32_t z = 0; z < px->depth; z++)
		for (size_t at = 0, n; at < px->slice_bytes; at += n) {
			const uint8_t *from = px->bytes + z * px->slice_bytes + at;

			n = chunker_cut(&plan, at, from, px->slice_bytes - at, false);
			if (!n || cuts->count == CHUNKS_MAX)
				return cuts;
			cuts->list[cuts->count++] = (struct chunk) { .len = n, .hash = XXH3_64bits(from, n) };
		}
	return cuts;
}

/* Ways in which programs write the pages of a TIFF. */
static const struct tiff_how tiffs[] = {
	{ PIXELS_THEN_IFD },
	{ IFD_THEN_PIXELS },
	{ ALL_PIXELS_FIRST },
	{ ONE_IFD, .description = "ImageJ=1.53t\nimages=5\nslices=5\nloop=false\n" },
	{ ONE_IFD, .description = "{\"shape\": [5, 600, 700], \"truncated\": true}" },
	{ ALL_IFDS_FIRST },
	{ TABLES_THEN_IFD, .rows = 100 },
	{ PIXELS_THEN_IFD, .big_endian = true },
	{ IFD_THEN_PIXELS, .big_endian = true },
	{ PIXELS_THEN_IFD, .big = true },
	{ IFD_THEN_PIXELS, .big = true, .big_endian = true },
	{ ALL_PIXELS_FIRST, .big = true },
	{ PIXELS_THEN_IFD, .rows = 1 },
	{ IFD_THEN_PIXELS, .rows = 1 },
	{ PIXELS_THEN_IFD, .rows = 7, .big = true },
	{ ALL_PIXELS_FIRST, .rows = 64 },
	{ ALL_IFDS_FIRST, .rows = 64 },
	{ PIXELS_THEN_IFD, .unlinked = true },
	{ IFD_THEN_PIXELS, .unlinked = true, .rows = 64 },
};

static const struct geometry raw_geo = {
	.format = IMAGE_RAW, .type = VOXEL_U16, .samples = 1, .width = WIDTH, .height = HEIGHT, .depth = DEPTH
};

/* bytes: a file with all slices from `offset` on, and nothing behind. */
static inline void check_raw(const char *name, const struct layout_hint *hint, const struct cuts *known, const uint8_t *bytes,
		      size_t offset)
{
	struct cuts *cuts = calloc(2, sizeof *cuts);
	size_t len = offset + (size_t)SLICE * DEPTH;

	cut_file(name, hint, bytes, len, AT_ONCE, &cuts[0]);
	CHECK(new_bytes(known, &cuts[0]) == offset);
	cut_file(name, hint, bytes, len, RANDOM_PIECES, &cuts[1]);
	CHECK(same_cuts(&cuts[0], &cuts[1]));
	CHECK(cuts[1].held_most < CHUNK_MAX + 300000);
	free(cuts);
}

#endif
