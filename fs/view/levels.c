#include "fs/view/levels.h"

#include <errno.h>
#include <string.h>

#include "fs/view/shrink.h"
#include "store/cache.h"
#include "store/err.h"

/*
 * Every level of a volume has the same number of rows in a band, and that number is even. So a band is made from whole
 * bands of the level below: its upper half from band 2b of the slices 2z and 2z+1, its lower half from band 2b+1.
 *
 *     level n    slice z     band b   = [ upper half ] <- level n-1, slices 2z and 2z+1, band 2b
 *                                       [ lower half ] <-                               band 2b+1
 */

struct levels {
	size_t budget;
	struct cache *bands;
};

/* One band, and where it stands. */
struct band {
	struct levels *levels;
	const struct volume *volume;
	unsigned level;
	uint64_t z, number;
	struct level_shape shape; /* of the level */
	uint64_t row_bytes, first, rows;
};

static bool fits(struct level_shape s, uint64_t edge)
{
	return s.width <= edge && s.height <= edge && s.depth <= edge;
}

unsigned levels_of(const struct geometry *g)
{
	unsigned level = 0;

	if (fits(level_shape(g, 0), 1))
		return 0;
	do
		level++;
	while (level < LEVELS_MAX && !fits(level_shape(g, level), level < LEVELS_MIN ? 1 : LEVEL_FITS));
	return level;
}

/* Halving n times, rounding up each time, is dividing by 2^n and rounding up. */
static uint64_t axis_at(uint64_t size, unsigned level)
{
	return (size + (1ULL << level) - 1) >> level;
}

struct level_shape level_shape(const struct geometry *g, unsigned level)
{
	return (struct level_shape) {
		.width = axis_at(g->width, level),
		.height = axis_at(g->height, level),
		.depth = axis_at(g->depth, level),
	};
}

/* A voxel of an axis that is one voxel long is not doubled any more. */
static double voxel_at(double um, uint64_t size, unsigned level)
{
	for (unsigned i = 0; i < level && axis_at(size, i) > 1; i++)
		um *= 2;
	return um;
}

struct geometry level_geometry(const struct geometry *g, unsigned level)
{
	struct level_shape shape = level_shape(g, level);
	struct geometry at = *g;

	at.width = shape.width;
	at.height = shape.height;
	at.depth = shape.depth;
	at.voxel_um[0] = voxel_at(g->voxel_um[0], g->depth, level);
	at.voxel_um[1] = voxel_at(g->voxel_um[1], g->height, level);
	at.voxel_um[2] = voxel_at(g->voxel_um[2], g->width, level);
	return at;
}

struct levels *levels_new(size_t budget)
{
	struct levels *levels = calloc(1, sizeof *levels);

	if (!levels)
		return NULL;
	levels->budget = budget;
	if (cache_new(&levels->bands, budget)) {
		free(levels);
		return NULL;
	}
	return levels;
}

void levels_free(struct levels *levels)
{
	if (!levels)
		return;
	cache_free(levels->bands);
	free(levels);
}

size_t levels_bytes(struct levels *levels)
{
	return cache_bytes(levels->bands);
}

/* Rows of a band: the same at each level, even. */
static uint64_t band_rows(const struct volume *v)
{
	uint64_t rows = LEVEL_BAND_BYTES / geometry_row_bytes(&v->geo) & ~1ULL;

	return rows ? rows : 2;
}

static struct band band_of(struct levels *levels, const struct volume *v, unsigned level, uint64_t z, uint64_t number)
{
	struct band b = { .levels = levels, .volume = v, .level = level, .z = z, .number = number };

	b.shape = level_shape(&v->geo, level);
	b.row_bytes = b.shape.width * v->geo.samples * voxel_bytes(v->geo.type);
	b.first = number * band_rows(v);
	b.rows = b.first >= b.shape.height ? 0 : b.shape.height - b.first;
	if (b.rows > band_rows(v))
		b.rows = band_rows(v);
	return b;
}

/* Any number to any other, one to one, all bits of it depending on all. (The finalizer of splitmix64.) */
static uint64_t stir(uint64_t v)
{
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
	v = (v ^ v >> 27) * 0x94d049bb133111eb;
	return v ^ v >> 31;
}

enum { Z_BITS = 30, BAND_BITS = 30, LEVEL_BITS = 4 };

/* No two bands have the same key: place and id are each spread one to one. A cache may use any bits of it as its hash.
 */
static struct key band_key(const struct band *b)
{
	uint64_t word[2];
	struct key key;

	word[0] = stir((uint64_t)b->level << (Z_BITS + BAND_BITS) | b->z << BAND_BITS | b->number);
	word[1] = stir(b->volume->id ^ word[0]);
	_Static_assert(sizeof word == sizeof key.bytes && Z_BITS + BAND_BITS + LEVEL_BITS == 64, "a key is two words");
	memcpy(key.bytes, word, sizeof word);
	return key;
}

static int band_get(const struct band *b, struct cache_chunk **out);

/* Shrinks one band of the slice (and its neighbour, when there is one) of the level below into to. */
static int shrink_band(const struct band *a, uint8_t *to)
{
	struct band b = band_of(a->levels, a->volume, a->level, a->z + 1, a->number);
	const struct geometry *g = &a->volume->geo;
	struct cache *cache = a->levels->bands;
	struct cache_chunk *upper = NULL, *lower = NULL;
	int rc = band_get(a, &upper);

	if (!rc && b.z < b.shape.depth)
		rc = band_get(&b, &lower);
	if (!rc)
		shrink_slices(g->type, g->samples, a->shape.width, a->rows, upper->bytes, lower ? lower->bytes : NULL,
			      to);
	if (upper)
		cache_drop(cache, upper);
	if (lower)
		cache_drop(cache, lower);
	return rc;
}

static int band_load(void *ctx, const struct key *key, void *to, size_t len)
{
	const struct band *b = ctx;
	const struct volume *v = b->volume;
	size_t half = band_rows(v) / 2 * b->row_bytes;
	int rc = 0;

	(void)key, (void)len;
	if (b->level == 0)
		return v->read_rows(v->ctx, b->z, b->first, b->rows, to);
	for (unsigned i = 0; !rc && i < 2; i++) {
		struct band below = band_of(b->levels, v, b->level - 1, b->z * 2, b->number * 2 + i);

		if (below.rows)
			rc = shrink_band(&below, (uint8_t *)to + i * half);
	}
	return rc;
}

static int band_get(const struct band *b, struct cache_chunk **out)
{
	struct key key = band_key(b);

	return cache_get(b->levels->bands, &key, b->rows * b->row_bytes, band_load, (void *)(uintptr_t)b, out);
}

static int check_place(struct levels *levels, const struct volume *v, unsigned level, uint64_t z)
{
	if (level > levels_of(&v->geo) || z >= level_shape(&v->geo, level).depth || z >> Z_BITS)
		return err_set(EINVAL, "%s: has no slice %llu at level %u", v->name, (unsigned long long)z, level);
	if (geometry_row_bytes(&v->geo) > levels->budget)
		return err_set(E2BIG, "%s: a row of %llu bytes is larger than the cache", v->name,
			       (unsigned long long)geometry_row_bytes(&v->geo));
	return 0;
}

/* len bytes at off of one slice, all inside it. */
static int read_slice(struct levels *levels, const struct volume *v, unsigned level, uint64_t z, uint64_t off,
		      uint8_t *to, size_t len)
{
	int rc = check_place(levels, v, level, z);

	while (!rc && len) {
		struct band b = band_of(levels, v, level, z, 0);
		uint64_t full = band_rows(v) * b.row_bytes, in_band = off % full;
		struct cache_chunk *chunk = NULL;
		size_t n;

		b = band_of(levels, v, level, z, off / full);
		rc = band_get(&b, &chunk);
		if (rc)
			return rc;
		n = chunk->len - in_band < len ? chunk->len - in_band : len;
		memcpy(to, chunk->bytes + in_band, n);
		cache_drop(levels->bands, chunk);
		to += n;
		off += n;
		len -= n;
	}
	return rc;
}

int levels_read(struct levels *levels, const struct volume *volume, unsigned level, uint64_t z, uint64_t row,
		uint64_t rows, void *to)
{
	struct level_shape shape;
	uint64_t row_bytes;
	int rc = check_place(levels, volume, level, z);

	if (rc)
		return rc;
	shape = level_shape(&volume->geo, level);
	if (row > shape.height || rows > shape.height - row)
		return err_set(EINVAL, "%s: has no rows %llu to %llu at level %u", volume->name,
			       (unsigned long long)row, (unsigned long long)(row + rows), level);
	row_bytes = shape.width * volume->geo.samples * voxel_bytes(volume->geo.type);
	return read_slice(levels, volume, level, z, row * row_bytes, to, rows * row_bytes);
}

int levels_read_bytes(struct levels *levels, const struct volume *volume, unsigned level, uint64_t off, void *to,
		      size_t len)
{
	struct geometry g = level_geometry(&volume->geo, level > LEVELS_MAX ? LEVELS_MAX : level);
	uint64_t slice = geometry_slice_bytes(&g), whole = slice * g.depth;
	int rc = 0;

	if (level > levels_of(&volume->geo) || off > whole || len > whole - off)
		return err_set(EINVAL, "%s: has no bytes %llu to %llu at level %u", volume->name,
			       (unsigned long long)off, (unsigned long long)(off + len), level);
	for (size_t n; !rc && len; off += n, len -= n, to = (uint8_t *)to + n) {
		n = slice - off % slice < len ? slice - off % slice : len;
		rc = read_slice(levels, volume, level, off / slice, off % slice, to, n);
	}
	return rc;
}
