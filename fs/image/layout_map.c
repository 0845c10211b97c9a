#include <stdlib.h>
#include <string.h>

#include "fs/image/layout_internal.h"

uint64_t plan_bytes(const struct chunk_plan *plan)
{
	uint64_t bytes;

	return __builtin_mul_overflow(plan->slice_bytes, plan->slices, &bytes) ? UINT64_MAX : bytes;
}

static uint64_t region_end(const struct region *r)
{
	return r->first + r->stride * (r->count - 1) + plan_bytes(&r->plan);
}

static bool same_pixels(const struct chunk_plan *a, const struct chunk_plan *b)
{
	return a->slice_bytes == b->slice_bytes && a->row_bytes == b->row_bytes && a->sample_bytes == b->sample_bytes &&
	       a->big_endian == b->big_endian && a->is_float == b->is_float && a->samples == b->samples;
}

/* The first region that ends behind off. */
static size_t find(const struct layout_map *map, uint64_t off)
{
	size_t low = 0, high = map->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (region_end(&map->regions[middle]) > off)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Does start go on where the region's pixels end, or one stride on? Then they are one. */
static bool join(struct region *r, uint64_t start, const struct chunk_plan *plan)
{
	uint64_t bytes = plan_bytes(&r->plan);

	if (!same_pixels(&r->plan, plan))
		return false;
	if (r->count == 1 && start == r->first + bytes) {
		r->plan.slices += plan->slices;
		r->stride = plan_bytes(&r->plan);
		return true;
	}
	if (r->plan.slices != plan->slices)
		return false;
	if (r->count == 1)
		r->stride = start - r->first;
	if (start != r->first + r->stride * r->count)
		return false;
	r->count++;
	return true;
}

/* Room for one more. */
static bool make_room(struct layout_map *map, uint64_t asked)
{
	size_t cap = map->cap ? 2 * map->cap : 4;
	struct region *more;

	if (map->count < map->cap)
		return true;
	if (cap <= REGIONS_MAX) {
		more = realloc(map->regions, cap * sizeof *more);
		if (more) {
			map->regions = more;
			map->cap = cap;
			return true;
		}
	}
	if (!map->count || region_end(&map->regions[0]) > asked)
		return false;
	map->count--;
	memmove(map->regions, map->regions + 1, map->count * sizeof *map->regions);
	return true;
}

bool map_add(struct layout_map *map, uint64_t start, const struct chunk_plan *plan, uint64_t asked)
{
	size_t i = find(map, start);
	uint64_t bytes = plan_bytes(plan);

	if (!bytes || bytes > LAYOUT_FILE_MAX || start > LAYOUT_FILE_MAX - bytes)
		return false;
	if (i < map->count && map->regions[i].first < start + bytes)
		return false;
	if (i && i == map->count && join(&map->regions[i - 1], start, plan))
		return true;
	if ((i < map->count && start + bytes <= asked) || !make_room(map, asked))
		return false;
	i = find(map, start);
	memmove(map->regions + i + 1, map->regions + i, (map->count - i) * sizeof *map->regions);
	map->regions[i] = (struct region) { .first = start, .stride = bytes, .count = 1, .plan = *plan };
	map->count++;
	return false;
}

void map_guess(struct layout_map *map, uint64_t start, const struct chunk_plan *plan)
{
	uint64_t bytes = plan_bytes(plan);

	map->guess = (struct region) { .first = start, .stride = bytes, .plan = *plan };
	map->guess.count = bytes && bytes <= LAYOUT_FILE_MAX && start <= LAYOUT_FILE_MAX - bytes;
}

/* The pixels of r at or behind off. False: there are none, or too few to count. */
static bool pixels_of(const struct region *r, uint64_t off, struct chunk_plan *plan)
{
	uint64_t bytes = plan_bytes(&r->plan), k = 0;

	if (!r->count || bytes < LAYOUT_LEAST || off >= region_end(r))
		return false;
	if (off > r->first)
		k = (off - r->first) / r->stride;
	if (off >= r->first + k * r->stride + bytes)
		k++;
	*plan = r->plan;
	plan->first_pixel = r->first + k * r->stride;
	return k < r->count;
}

bool map_pixels(const struct layout_map *map, uint64_t off, struct chunk_plan *plan, uint64_t *next)
{
	struct chunk_plan guess;

	*next = UINT64_MAX;
	for (size_t i = find(map, off); i < map->count; i++) {
		if (!pixels_of(&map->regions[i], off, plan))
			continue;
		if (plan->first_pixel <= off)
			return true;
		*next = plan->first_pixel;
		break;
	}
	if (!pixels_of(&map->guess, off, &guess) || guess.first_pixel + plan_bytes(&guess) > *next)
		return false; /* none, or not so */
	if (guess.first_pixel > off) {
		*next = guess.first_pixel;
		return false;
	}
	*plan = guess;
	return true;
}

static void drop_extent(struct layout_map *map, size_t i)
{
	map->extent_count--;
	memmove(map->extents + i, map->extents + i + 1, (map->extent_count - i) * sizeof *map->extents);
}

/* Room for one more; *i is where it goes. */
static bool extent_room(struct layout_map *map, uint64_t asked, size_t *i)
{
	size_t cap = map->extent_cap ? 2 * map->extent_cap : 16;
	struct extent_of *more;

	if (map->extent_count < map->extent_cap)
		return true;
	if (cap <= EXTENTS_MAX) {
		more = realloc(map->extents, cap * sizeof *more);
		if (more) {
			map->extents = more;
			map->extent_cap = cap;
			return true;
		}
	}
	if (!*i || map->extents[0].end > asked)
		return false;
	drop_extent(map, 0);
	--*i;
	return true;
}

void map_add_extent(struct layout_map *map, uint64_t start, uint64_t len, uint64_t asked)
{
	uint64_t end = start + len;
	size_t i = map->extent_count;
	struct extent_of *x;

	if (!len || len > LAYOUT_FILE_MAX || start > LAYOUT_FILE_MAX)
		return;
	while (i && map->extents[i - 1].end + LAYOUT_NEAR >= start)
		i--;
	while (i < map->extent_count && map->extents[i].start <= end + LAYOUT_NEAR) {
		x = &map->extents[i];
		start = x->start < start ? x->start : start;
		end = x->end > end ? x->end : end;
		drop_extent(map, i);
	}
	if (!extent_room(map, asked, &i))
		return;
	x = map->extents + i;
	memmove(x + 1, x, (map->extent_count - i) * sizeof *x);
	*x = (struct extent_of) { start, end };
	map->extent_count++;
}

uint64_t map_extent_end(const struct layout_map *map, uint64_t off, uint64_t *next)
{
	const struct extent_of *x = map->extents;
	uint64_t end = off;
	size_t i = 0, high = map->extent_count;

	*next = UINT64_MAX;
	while (i < high) {
		size_t middle = i + (high - i) / 2;

		if (x[middle].end > off)
			high = middle;
		else
			i = middle + 1;
	}
	if (i < map->extent_count && x[i].start <= off + LAYOUT_NEAR)
		end = x[i++].end;
	if (i < map->extent_count)
		*next = x[i].start;
	return end;
}

void map_free(struct layout_map *map)
{
	free(map->regions);
	free(map->extents);
}
