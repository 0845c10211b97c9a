/*
 * Content-defined borders: FastCDC with a gear hash, h = 2 h + gear[byte] (mod 2^64), started at 0 after the first
 * CHUNK_MIN bytes of a chunk. The chunk ends after the first byte that makes the top 21 bits of h zero, or from
 * CHUNK_AVG on the top 17 bits ("normalised chunking"), or after CHUNK_MAX bytes. gear[0..255] are the first 256
 * numbers of splitmix64 (Steele, Lea, Flood 2014; Vigna's constants) started at GEAR_SEED.
 *
 * Borders in pixels: a slice of b bytes has n = max(1, round(b / CHUNK_AVG)) runs, at most one for each row; run k ends
 * before row floor((k + 1) rows / n), the last one with the slice. A row longer than CHUNK_MAX is a run of its own, cut
 * into ceil(row / CHUNK_AVG) equal pieces at whole pixels. Slices smaller than TINY_SLICE, and rows whose slices are not
 * known, are taken in groups: a content-defined chunk, rounded up to whole ones (down where it would pass CHUNK_MAX), so
 * that a crop of the volume soon has the same borders as the whole.
 */
#include "store/chunker.h"

enum {
	STRICT_BITS = 21, /* before CHUNK_AVG */
	LOOSE_BITS = 17,  /* after it */
	TINY_SLICE = 4096,
	STEP = 8, /* bytes a turn of the loop: as plain a loop takes twice as long */
};

/* splitmix64 as constant expressions, so that the table is one. */
#define GEAR_SEED UINT64_C(0x746f6d6f66730001) /* "tomofs", 1 */
#define MIX0(i) (GEAR_SEED + ((i) + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15))
#define MIX1(i) ((MIX0(i) ^ (MIX0(i) >> 30)) * UINT64_C(0xbf58476d1ce4e5b9))
#define MIX2(i) ((MIX1(i) ^ (MIX1(i) >> 27)) * UINT64_C(0x94d049bb133111eb))
#define GEAR(i) (MIX2(i) ^ (MIX2(i) >> 31))
#define GEAR4(i) GEAR(i), GEAR((i) + 1), GEAR((i) + 2), GEAR((i) + 3)
#define GEAR16(i) GEAR4(i), GEAR4((i) + 4), GEAR4((i) + 8), GEAR4((i) + 12)
#define GEAR64(i) GEAR16(i), GEAR16((i) + 16), GEAR16((i) + 32), GEAR16((i) + 48)

static const uint64_t gear[256] = { GEAR64(0), GEAR64(64), GEAR64(128), GEAR64(192) };

/* Goes on from *at to end; true when a border was found, then *at is behind it. */
static bool scan(const uint8_t *data, size_t *at, size_t end, unsigned bits, uint64_t *hash)
{
	uint64_t h = *hash, below = UINT64_C(1) << (64 - bits);
	size_t i = *at;
	bool found = false;

	for (; end - i >= STEP; i += STEP) {
#pragma GCC unroll 8
		for (size_t k = 0; k < STEP; k++) {
			h = 2 * h + gear[data[i + k]];
			if (h < below) {
				*at = i + k + 1;
				return true;
			}
		}
	}
	while (i < end && !found) {
		h = 2 * h + gear[data[i++]];
		found = h < below;
	}
	*at = i;
	*hash = h;
	return found;
}

static size_t cut_by_content(const uint8_t *data, size_t len, bool last)
{
	size_t end = len < CHUNK_MAX ? len : CHUNK_MAX, at = CHUNK_MIN;
	uint64_t hash = 0;

	if (len <= CHUNK_MIN)
		return last ? len : 0;
	if (scan(data, &at, end < CHUNK_AVG ? end : CHUNK_AVG, STRICT_BITS, &hash) ||
	    scan(data, &at, end, LOOSE_BITS, &hash))
		return at;
	return last || end == CHUNK_MAX ? end : 0;
}

static uint64_t mul_cap(uint64_t a, uint64_t b)
{
	uint64_t r;

	return __builtin_mul_overflow(a, b, &r) ? UINT64_MAX : r;
}

/* Plans come from image headers and may say anything. */
static bool plan_usable(const struct chunk_plan *plan)
{
	return plan && plan->slice_bytes && plan->slices && plan->row_bytes && plan->sample_bytes;
}

/* A plain cut of what has no rows to cut at: equal pieces of whole pixels. */
static uint64_t next_in_row(const struct chunk_plan *plan, uint64_t row_len, uint64_t pos)
{
	uint64_t pieces = (row_len - 1) / CHUNK_AVG + 1, pixel = (uint64_t)plan->sample_bytes * plan->samples, next;

	if (!pixel)
		pixel = plan->sample_bytes;
	for (uint64_t k = (uint64_t)((unsigned __int128)pos * pieces / row_len);; k++) {
		next = k + 1 >= pieces ? row_len : (uint64_t)((unsigned __int128)row_len * (k + 1) / pieces);
		if (k + 1 < pieces)
			next -= next % pixel;
		if (next > pos)
			return next;
	}
}

/* The first border behind pos, a place in a slice of `bytes` bytes. */
static uint64_t next_in_slice(const struct chunk_plan *plan, uint64_t bytes, uint64_t pos)
{
	uint64_t rows = (bytes - 1) / plan->row_bytes + 1, row = pos / plan->row_bytes;
	uint64_t runs = bytes / CHUNK_AVG + (bytes % CHUNK_AVG >= CHUNK_AVG / 2), start = row * plan->row_bytes;
	uint64_t end;

	if (plan->row_bytes > CHUNK_MAX) {
		end = bytes - start < plan->row_bytes ? bytes - start : plan->row_bytes;
		return start + next_in_row(plan, end, pos - start);
	}
	if (runs > rows)
		runs = rows;
	if (runs < 2)
		return bytes;
	for (uint64_t k = (uint64_t)((unsigned __int128)row * runs / rows);; k++) {
		if (k + 1 >= runs)
			return bytes;
		end = (uint64_t)((unsigned __int128)rows * (k + 1) / runs) * plan->row_bytes;
		if (end > pos)
			return end;
	}
}

/* Slices that are too small for a chunk each, or rows of which nobody knows how many make a slice. */
static bool in_groups(const struct chunk_plan *plan)
{
	return plan->slice_bytes < TINY_SLICE ||
	       (plan->slice_bytes == plan->row_bytes && plan->slice_bytes <= CHUNK_MIN);
}

/* A chunk of whole slices from pos on; left: bytes of pixels. */
static size_t cut_group(const struct chunk_plan *plan, uint64_t pos, uint64_t left, const uint8_t *data, size_t len,
			bool last)
{
	bool ends = left <= len;
	size_t have = ends ? (size_t)left : len, cut = cut_by_content(data, have, ends || last);
	uint64_t in_slice = (pos + cut) % plan->slice_bytes, more = in_slice ? plan->slice_bytes - in_slice : 0;

	if (!cut)
		return 0;
	if (cut + more > CHUNK_MAX)
		return cut - (size_t)in_slice;
	if (cut + more <= have)
		return cut + (size_t)more;
	return ends || last ? have : 0;
}

/* The bytes of the chunk at pos, in pixels that are not taken in groups. */
static uint64_t chunk_bytes(const struct chunk_plan *plan, uint64_t pos)
{
	uint64_t left = mul_cap(plan->slice_bytes, plan->slices) - pos, in_slice = pos % plan->slice_bytes;
	uint64_t bytes = left < plan->slice_bytes - in_slice ? in_slice + left : plan->slice_bytes;
	uint64_t want = next_in_slice(plan, bytes, in_slice) - in_slice;

	return want < CHUNK_MAX ? want : CHUNK_MAX;
}

static size_t cut_pixels(const struct chunk_plan *plan, uint64_t pos, const uint8_t *data, size_t len, bool last)
{
	uint64_t want;

	if (in_groups(plan))
		return cut_group(plan, pos, mul_cap(plan->slice_bytes, plan->slices) - pos, data, len, last);
	want = chunk_bytes(plan, pos);
	if (want <= len)
		return (size_t)want;
	return last ? len : 0;
}

bool chunker_in_pixels(const struct chunk_plan *plan, uint64_t off)
{
	return plan_usable(plan) && off >= plan->first_pixel &&
	       off - plan->first_pixel < mul_cap(plan->slice_bytes, plan->slices);
}

uint64_t chunker_border(const struct chunk_plan *plan, uint64_t off)
{
	if (!chunker_in_pixels(plan, off) || in_groups(plan))
		return 0;
	return off + chunk_bytes(plan, off - plan->first_pixel);
}

size_t chunker_cut(const struct chunk_plan *plan, uint64_t off, const uint8_t *data, size_t len, bool last)
{
	if (chunker_in_pixels(plan, off))
		return cut_pixels(plan, off - plan->first_pixel, data, len, last);
	if (plan_usable(plan) && off < plan->first_pixel && plan->first_pixel - off <= len)
		return cut_by_content(data, (size_t)(plan->first_pixel - off), true); /* the header ends there */
	return cut_by_content(data, len, last);
}
