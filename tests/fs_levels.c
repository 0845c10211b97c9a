/* levels: shapes, every byte of every level against shrinking the whole volume, threads, budget, failures. */
#include "fs/view/levels.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/view/shrink.h"
#include "tests/lib/check.h"

struct pixels { /* a made-up volume */
	struct geometry geo;
	atomic_uint reads;
	uint64_t fail_z; /* reading this slice fails */
};

static uint8_t byte_at(uint64_t z, uint64_t at)
{
	uint64_t v = (z * 0x9e3779b97f4a7c15 + at) * 0xbf58476d1ce4e5b9;

	return (uint8_t)(v >> 40);
}

static int read_rows(void *ctx, uint64_t z, uint64_t row, uint64_t rows, void *to)
{
	struct pixels *p = ctx;
	uint64_t bytes = geometry_row_bytes(&p->geo);

	atomic_fetch_add(&p->reads, 1);
	if (z == p->fail_z)
		return err_set(EIO, "slice %d is damaged", (int)z);
	for (uint64_t i = 0; i < rows * bytes; i++)
		((uint8_t *)to)[i] = byte_at(z, row * bytes + i);
	return 0;
}

static struct volume volume_of(struct pixels *p, uint64_t id)
{
	p->fail_z = UINT64_MAX;
	return (struct volume) { .id = id, .name = "made", .geo = p->geo, .read_rows = read_rows, .ctx = p };
}

static struct geometry geometry_of(enum voxel_type type, unsigned samples, uint64_t w, uint64_t h, uint64_t d)
{
	return (struct geometry) { .format = IMAGE_RAW,
				   .type = type,
				   .samples = (uint8_t)samples,
				   .width = w,
				   .height = h,
				   .depth = d,
				   .voxel_um = { 3, 2, 1 } };
}

/* The whole next level from the whole of one. */
static uint8_t *halve(const struct geometry *g, const uint8_t *from)
{
	struct geometry to = level_geometry(g, 1);
	uint64_t slice = geometry_slice_bytes(g), to_slice = geometry_slice_bytes(&to);
	uint8_t *out = malloc(to_slice * to.depth);

	for (uint64_t z = 0; z < to.depth; z++)
		shrink_slices(g->type, g->samples, g->width, g->height, from + 2 * z * slice,
			      2 * z + 1 < g->depth ? from + (2 * z + 1) * slice : NULL, out + z * to_slice);
	return out;
}

static void check_level(struct levels *levels, const struct volume *v, unsigned level, const uint8_t *want)
{
	struct geometry g = level_geometry(&v->geo, level);
	uint64_t slice = geometry_slice_bytes(&g), whole = slice * g.depth, row = g.height / 3;
	scope_free uint8_t *got = malloc(whole);

	memset(got, 0xee, whole);
	CHECK_RC(levels_read_bytes(levels, v, level, 0, got, whole));
	CHECK(memcmp(got, want, whole) == 0);
	CHECK_RC(levels_read(levels, v, level, g.depth - 1, row, g.height - row, got));
	CHECK(memcmp(got, want + (g.depth - 1) * slice + row * geometry_row_bytes(&g),
		     (g.height - row) * geometry_row_bytes(&g)) == 0);
	CHECK_RC(levels_read_bytes(levels, v, level, whole / 2, got, whole - whole / 2));
	CHECK(memcmp(got, want + whole / 2, whole - whole / 2) == 0);
	CHECK(levels_read_bytes(levels, v, level, 1, got, whole) == -EINVAL);
	CHECK(levels_read(levels, v, level, g.depth, 0, 1, got) == -EINVAL);
	CHECK(levels_read(levels, v, level, 0, 1, g.height, got) == -EINVAL);
}

static void check_volume(struct geometry g, size_t budget)
{
	struct pixels p = { .geo = g };
	struct volume v = volume_of(&p, 7);
	struct levels *levels = levels_new(budget);
	uint8_t *all = malloc(geometry_slice_bytes(&g) * g.depth);

	for (uint64_t z = 0; z < g.depth; z++)
		read_rows(&p, z, 0, g.height, all + z * geometry_slice_bytes(&g));
	for (unsigned level = 0; level <= levels_of(&g); level++) {
		struct geometry at = level_geometry(&g, level);
		uint8_t *next = halve(&at, all);

		check_level(levels, &v, level, all);
		free(all);
		all = next;
	}
	free(all);
	CHECK(levels_read_bytes(levels, &v, levels_of(&g) + 1, 0, NULL, 0) == -EINVAL);
	CHECK(levels_bytes(levels) <= budget);
	levels_free(levels);
}

static void every_byte(void)
{
	check_volume(geometry_of(VOXEL_U16, 1, 601, 1003, 5), 64 << 20); /* two bands a slice */
	check_volume(geometry_of(VOXEL_U8, 3, 65, 33, 7), 64 << 20);
	check_volume(geometry_of(VOXEL_U8, 1, 1100000, 5, 2), 8 << 20); /* a row is more than a band */
	check_volume(geometry_of(VOXEL_I16, 1, 3, 2, 300), 64 << 20);
	check_volume(geometry_of(VOXEL_U16, 1, 1200, 900, 3), 4 << 20); /* small budget */
	check_volume(geometry_of(VOXEL_U8, 1, 1, 1, 1), 1 << 20);
}

static void shapes(void)
{
	struct geometry g = geometry_of(VOXEL_U8, 1, 1, 1, 1);

	CHECK(levels_of(&g) == 0);
	g.width = 2;
	CHECK(levels_of(&g) == 1); /* 2x is one pixel */
	g.width = 256;
	CHECK(levels_of(&g) == LEVELS_MIN);
	g.width = 1025;
	CHECK(levels_of(&g) == 3);
	g.width = 0x7fffffff;
	CHECK(levels_of(&g) == LEVELS_MAX);
	CHECK(level_shape(&g, LEVELS_MAX).width == 65536);
	g = level_geometry(&g, 3);
	CHECK(g.voxel_um[0] == 3 && g.voxel_um[1] == 2 && g.voxel_um[2] == 8 && g.depth == 1);
	g = geometry_of(VOXEL_U8, 1, 3, 2, 1000);
	g = level_geometry(&g, 2); /* 3 2 1; 2 1 1 */
	CHECK(g.voxel_um[2] == 4 && g.voxel_um[1] == 4 && g.voxel_um[0] == 12 && g.width == 1 && g.depth == 250);
}

struct reader {
	struct levels *levels;
	const struct volume *volume;
	const uint8_t *want;
	uint64_t whole;
	unsigned start;
	int wrong;
};

static void *read_concurrently(void *arg)
{
	struct reader *r = arg;
	uint8_t *got = malloc(r->whole);
	uint64_t step = r->whole / 9 + 1;

	for (unsigned i = 0; i < 9; i++) {
		uint64_t off = (i + r->start) % 9 * step, n = off + step > r->whole ? r->whole - off : step;

		if (levels_read_bytes(r->levels, r->volume, 2, off, got, n) || memcmp(got, r->want + off, n) != 0)
			r->wrong++;
	}
	free(got);
	return NULL;
}

/* Threads get the bytes that a serial run gives, and no band of level 0 is read twice. */
static void threads(void)
{
	struct pixels p = { .geo = geometry_of(VOXEL_U16, 1, 700, 1600, 16) };
	struct volume v = volume_of(&p, 1);
	struct geometry g = level_geometry(&p.geo, 2);
	uint64_t whole = geometry_slice_bytes(&g) * g.depth;
	struct levels *serial = levels_new(64 << 20), *shared = levels_new(64 << 20);
	uint8_t *want = malloc(whole);
	struct reader readers[4];
	pthread_t thread[4];
	unsigned serial_reads;

	CHECK_RC(levels_read_bytes(serial, &v, 2, 0, want, whole));
	serial_reads = atomic_exchange(&p.reads, 0);
	for (unsigned i = 0; i < 4; i++) {
		readers[i] =
		    (struct reader) { .levels = shared, .volume = &v, .want = want, .whole = whole, .start = i * 2 };
		pthread_create(&thread[i], NULL, read_concurrently, &readers[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		CHECK(readers[i].wrong == 0);
	}
	CHECK(serial_reads == 16 * 3);
	CHECK(atomic_load(&p.reads) == serial_reads);
	free(want);
	levels_free(serial);
	levels_free(shared);
}

/* A screen of a large mosaic reads what it shows. */
static void reads_little(void)
{
	struct pixels p = { .geo = geometry_of(VOXEL_U8, 1, 40000, 40000, 1) };
	struct volume v = volume_of(&p, 1);
	struct levels *levels = levels_new(64 << 20);
	static uint8_t rows[26 * 10000];

	CHECK_RC(levels_read(levels, &v, 2, 0, 26 * 100, 26, rows));
	CHECK(atomic_load(&p.reads) == 4);
	CHECK_RC(levels_read(levels, &v, 0, 0, 26 * 401, 1, rows));
	CHECK(atomic_load(&p.reads) == 4);
	levels_free(levels);
}

static void failures(void)
{
	struct pixels p = { .geo = geometry_of(VOXEL_U8, 1, 40, 40, 4) };
	struct volume v = volume_of(&p, 1), other = v;
	struct levels *levels = levels_new(1 << 20), *tiny = levels_new(16);
	uint8_t got[40 * 40], again[40 * 40];

	p.fail_z = 3;
	CHECK(levels_read(levels, &v, 1, 1, 0, 20, got) == -EIO);
	CHECK(strcmp(err_text(), "slice 3 is damaged") == 0);
	CHECK_RC(levels_read(levels, &v, 1, 0, 0, 20, got));
	p.fail_z = UINT64_MAX; /* a failure is not remembered */
	CHECK_RC(levels_read(levels, &v, 1, 1, 0, 20, got));
	CHECK(levels_read(tiny, &v, 1, 1, 0, 20, got) == -E2BIG);
	/* Another id is another volume. */
	other.id = 2;
	p.fail_z = 0;
	CHECK_RC(levels_read(levels, &v, 0, 0, 0, 40, again));
	CHECK(levels_read(levels, &other, 0, 0, 0, 40, got) == -EIO);
	levels_free(levels);
	levels_free(tiny);
	levels_free(NULL);
}

int main(void)
{
	shapes();
	every_byte();
	threads();
	reads_little();
	failures();
	return check_done();
}
