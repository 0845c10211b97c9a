/*
 * Content-defined borders: FastCDC with a gear hash, h = 2 h + gear[byte] (mod 2^64), started at 0 after the first
 * CHUNK_MIN bytes of a chunk. The chunk ends after the first byte that makes the top 21 bits of h zero, or from
 * CHUNK_AVG on the top 17 bits ("normalised chunking"), or after CHUNK_MAX bytes. gear[0..255] are the first 256
 * numbers of splitmix64 (Steele, Lea, Flood 2014; Vigna's constants) started at GEAR_SEED.
 *
 * Borders in pixels: a slice of b bytes has n = max(1, round(b / CHUNK_AVG)) runs, at most one for each row; run k ends
 * before row floor((k + 1) rows / n), the last one with the slice. A row longer than CHUNK_MAX is a run of its own, cut
 * into ceil(row / CHUNK_AVG) equal pieces at whole pixels. Slices smaller than TINY_SLICE are taken in groups.
 */
#include "store/chunker.h"

enum {
	STRICT_BITS = 21, /* before CHUNK_AVG */
	LOOSE_BITS = 17,  /* after it */
	TINY_SLICE = 4096,
};

#define GEAR_SEED UINT64_C(0x746f6d6f66730001) /* "tomofs", 1 */

/* 256 steps take as long as a few hundred bytes of hashing, so that no table need be kept anywhere. */
static void make_gear(uint64_t gear[256])
{
	uint64_t state = GEAR_SEED;

	for (size_t i = 0; i < 256; i++) {
		uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		gear[i] = z ^ (z >> 31);
	}
}

/* Goes on from *at to end; true when a border was found, then *at is behind it. */
static bool scan(const uint64_t gear[256], const uint8_t *data, size_t *at, size_t end, unsigned bits, uint64_t *hash)
{
	uint64_t h = *hash, below = UINT64_C(1) << (64 - bits);
	size_t i = *at;
	bool found = false;

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
	uint64_t gear[256], hash = 0;

	if (len <= CHUNK_MIN)
		return last ? len : 0;
	make_gear(gear);
	if (scan(gear, data, &at, end < CHUNK_AVG ? end : CHUNK_AVG, STRICT_BITS, &hash) ||
	    scan(gear, data, &at, end, LOOSE_BITS, &hash))
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

/* The first border behind pos, a place in pixels of `total` bytes. */
static uint64_t next_in_pixels(const struct chunk_plan *plan, uint64_t total, uint64_t pos)
{
	bool tiny = plan->slice_bytes < TINY_SLICE;
	uint64_t unit = tiny ? CHUNK_MIN / plan->slice_bytes * plan->slice_bytes : plan->slice_bytes;
	uint64_t start = pos - pos % unit, len = total - start < unit ? total - start : unit;

	return start + (tiny ? len : next_in_slice(plan, len, pos - start));
}

static size_t cut_pixels(const struct chunk_plan *plan, uint64_t pos, size_t len, bool last)
{
	uint64_t total = mul_cap(plan->slice_bytes, plan->slices), want = next_in_pixels(plan, total, pos) - pos;

	if (want > CHUNK_MAX)
		want = CHUNK_MAX;
	if (want <= len)
		return (size_t)want;
	return last ? len : 0;
}

bool chunker_in_pixels(const struct chunk_plan *plan, uint64_t off)
{
	return plan_usable(plan) && off >= plan->first_pixel &&
	       off - plan->first_pixel < mul_cap(plan->slice_bytes, plan->slices);
}

size_t chunker_cut(const struct chunk_plan *plan, uint64_t off, const uint8_t *data, size_t len, bool last)
{
	if (chunker_in_pixels(plan, off))
		return cut_pixels(plan, off - plan->first_pixel, len, last);
	if (plan_usable(plan) && off < plan->first_pixel && plan->first_pixel - off <= len)
		return cut_by_content(data, (size_t)(plan->first_pixel - off), true); /* the header ends there */
	return cut_by_content(data, len, last);
}
