/*
 * view: names, counts and sizes; every file read in odd pieces is as long as it says, and libtiff finds in it the
 * pixels, types and sizes that the levels have.
 */
#include "fs/view/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tiffio.h>

#include "tests/lib/check.h"

static int read_rows(void *ctx, uint64_t z, uint64_t row, uint64_t rows, void *to)
{
	const struct geometry *g = ctx;
	uint64_t bytes = geometry_row_bytes(g), at = row * bytes;

	for (uint64_t i = 0; i < rows * bytes; i++)
		((uint8_t *)to)[i] = (uint8_t)((z * 0x9e3779b97f4a7c15 + (at + i) * 0xbf58476d1ce4e5b9) >> 40);
	return 0;
}

static struct geometry geometry_of(enum voxel_type type, unsigned samples, uint64_t w, uint64_t h, uint64_t d)
{
	return (struct geometry) { .format = IMAGE_RAW,
				   .type = type,
				   .samples = (uint8_t)samples,
				   .width = w,
				   .height = h,
				   .depth = d,
				   .voxel_um = { 10, 5.2, 5.2 } };
}

static struct volume volume_of(struct geometry *g, const char *name)
{
	return (struct volume) { .id = 0xabc, .name = name, .geo = *g, .read_rows = read_rows, .ctx = g };
}

/* Writes a view to a file, in pieces of changing length. */
static void write_out(struct levels *levels, const struct volume *v, const struct view_ops *view, unsigned level,
		      uint64_t item, const char *path)
{
	uint64_t size = view->size(v, level, item), off = 0, step = 1;
	scope_free uint8_t *piece = malloc(1 << 18);
	FILE *f = fopen(path, "we");
	int64_t n;

	while ((n = view->read(levels, v, level, item, off, piece, step)) > 0) {
		if (off + step <= size)
			CHECK((uint64_t)n == step);
		fwrite(piece, 1, (size_t)n, f);
		off += (uint64_t)n;
		step = (step * 7 + 3) % (1 << 18);
	}
	CHECK(n == 0 && off == size);
	fclose(f);
}

static uint32_t number_tag(TIFF *tif, uint32_t tag)
{
	uint16_t v = 0;

	TIFFGetFieldDefaulted(tif, tag, &v);
	return v;
}

static unsigned sample_format(enum voxel_type type)
{
	if (type == VOXEL_F32 || type == VOXEL_F64)
		return SAMPLEFORMAT_IEEEFP;
	return type == VOXEL_I8 || type == VOXEL_I16 || type == VOXEL_I32 || type == VOXEL_I64 ? SAMPLEFORMAT_INT
											       : SAMPLEFORMAT_UINT;
}

static void check_page(TIFF *tif, const struct geometry *g, const uint8_t *want)
{
	uint64_t bytes = geometry_slice_bytes(g);
	scope_free uint8_t *got = malloc(bytes);
	uint32_t w = 0, h = 0;
	float x = 0, y = 0;

	TIFFGetField(tif, TIFFTAG_IMAGEWIDTH, &w);
	TIFFGetField(tif, TIFFTAG_IMAGELENGTH, &h);
	TIFFGetField(tif, TIFFTAG_XRESOLUTION, &x);
	TIFFGetField(tif, TIFFTAG_YRESOLUTION, &y);
	CHECK(w == g->width && h == g->height);
	CHECK(number_tag(tif, TIFFTAG_BITSPERSAMPLE) == voxel_bytes(g->type) * 8);
	CHECK(number_tag(tif, TIFFTAG_SAMPLESPERPIXEL) == g->samples);
	CHECK(number_tag(tif, TIFFTAG_SAMPLEFORMAT) == sample_format(g->type));
	CHECK(number_tag(tif, TIFFTAG_RESOLUTIONUNIT) == RESUNIT_NONE);
	CHECK(number_tag(tif, TIFFTAG_PHOTOMETRIC) == (g->samples == 3 || g->samples == 4 ? 2 : 1));
	CHECK(x == (float)(1 / g->voxel_um[2]) && y == (float)(1 / g->voxel_um[1]));
	CHECK(TIFFNumberOfStrips(tif) == 1);
	CHECK(TIFFReadEncodedStrip(tif, 0, got, (tmsize_t)bytes) == (tmsize_t)bytes);
	CHECK(memcmp(got, want, bytes) == 0);
}

/* The pages of a file against slices first, first + 1, ... of a level. */
static void check_tiff(struct levels *levels, const struct volume *v, unsigned level, uint64_t first, uint64_t pages,
		       const char *path)
{
	struct geometry g = level_geometry(&v->geo, level);
	uint64_t bytes = geometry_slice_bytes(&g), n = 0;
	scope_free uint8_t *want = malloc(bytes);
	TIFF *tif = TIFFOpen(path, "rc"); /* c: strips as they are in the file */

	CHECK(tif != NULL);
	if (!tif)
		return;
	do {
		CHECK_RC(levels_read(levels, v, level, first + n, 0, g.height, want));
		check_page(tif, &g, want);
	} while (++n < pages && TIFFReadDirectory(tif));
	CHECK(n == pages && !TIFFReadDirectory(tif));
	TIFFClose(tif);
}

static void check_folder(struct levels *levels, const struct volume *v, const struct view_ops *view, unsigned level,
			 const char *path)
{
	char name[VIEW_NAME_MAX + 1];
	uint64_t count = view->count(v, level);

	CHECK(count == level_shape(&v->geo, level).depth);
	for (uint64_t i = 0; i < count; i++) {
		view->item_name(v, level, i, name);
		CHECK(view->item_find(v, level, name) == (int64_t)i);
		write_out(levels, v, view, level, i, path);
		check_tiff(levels, v, level, i, 1, path);
	}
	view->item_name(v, level, count, name);
	CHECK(view->item_find(v, level, name) == -1);
}

static void check_volume(struct geometry g, const char *dir)
{
	struct volume v = volume_of(&g, "made");
	struct levels *levels = levels_new(64 << 20);
	char path[300];

	snprintf(path, sizeof path, "%s/view.tif", dir);
	CHECK_RC(view_supported(&g));
	for (unsigned number = 0; number < VIEW_COUNT; number++) {
		const struct view_ops *view = view_by_number(number);

		CHECK(view->number == number);
		CHECK(!view->exists(&v, levels_of(&g) + 1));
		for (unsigned level = 0; level <= levels_of(&g); level++) {
			CHECK(view->exists(&v, level) == (level > 0 || !view->folder));
			if (!view->exists(&v, level))
				continue;
			if (view->folder) {
				check_folder(levels, &v, view, level, path);
				continue;
			}
			write_out(levels, &v, view, level, 0, path);
			check_tiff(levels, &v, level, 0, level_shape(&g, level).depth, path);
		}
	}
	levels_free(levels);
}

static void every_type(void)
{
	const char *dir = check_tmpdir();

	for (unsigned type = VOXEL_U8; type < VOXEL_TYPES; type++)
		check_volume(geometry_of(type, 1, 301, 37, 5), dir);
	check_volume(geometry_of(VOXEL_U8, 3, 280, 31, 3), dir);
	check_volume(geometry_of(VOXEL_U8, 4, 33, 31, 1), dir);
	check_volume(geometry_of(VOXEL_U16, 3, 33, 31, 2), dir);
	check_volume(geometry_of(VOXEL_U16, 2, 33, 31, 2), dir);
	check_volume(geometry_of(VOXEL_U8, 7, 9, 8, 2), dir);
	check_volume(geometry_of(VOXEL_U16, 1, 3, 2, 1200), dir);
	check_volume(geometry_of(VOXEL_U8, 1, 1, 1, 1), dir);
}

static void names(void)
{
	static const struct {
		const char *name, *full, *half;
	} rows[] = {
		{ "bone", "bone.tif", "bone_2x.tif" },	    { "bone.tif", "bone.tif", "bone_2x.tif" },
		{ "bone.TIFF", "bone.tif", "bone_2x.tif" }, { ".tif", ".tif.tif", ".tif_2x.tif" },
		{ "a.vol", "a.vol.tif", "a.vol_2x.tif" },
	};
	struct geometry g = geometry_of(VOXEL_U8, 1, 600, 600, 20002);
	const struct view_ops *stack = view_by_number(VIEW_IMAGEJ), *slices = view_by_number(VIEW_SLICES);
	char name[VIEW_NAME_MAX + 1], long_name[256];
	struct volume v = volume_of(&g, long_name);

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		v.name = rows[i].name;
		stack->name(&v, 0, name);
		CHECK(strcmp(name, rows[i].full) == 0);
		stack->name(&v, 1, name);
		CHECK(strcmp(name, rows[i].half) == 0);
	}
	/* 254 bytes of two-byte characters: cut between two of them. */
	for (size_t i = 0; i < 254; i += 2)
		memcpy(long_name + i, "\xc3\xa9", 2);
	long_name[254] = 0;
	v.name = long_name;
	stack->name(&v, 2, name);
	CHECK(strlen(name) <= VIEW_NAME_MAX && strlen(name) > 250);
	CHECK(strcmp(strchr(name, '~'), "~abc_4x.tif") == 0 && (strchr(name, '~') - name) % 2 == 0);

	slices->name(&v, 3, name);
	CHECK(strcmp(name, "8x") == 0);
	slices->item_name(&v, 1, 12, name);
	CHECK(strcmp(name, "z00012.tif") == 0 || strcmp(name, "z0012.tif") == 0);
	CHECK(slices->item_find(&v, 2, "z0012.tif") == 12);
	CHECK(slices->item_find(&v, 2, "z012.tif") == -1);
	CHECK(slices->item_find(&v, 2, "z00012.tif") == -1);
	CHECK(slices->item_find(&v, 2, "z0012.tiff") == -1);
	CHECK(slices->item_find(&v, 2, "z.tif") == -1);
	CHECK(slices->item_find(&v, 2, "") == -1);
	CHECK(slices->item_find(&v, 2, "z99999999999999999999999999.tif") == -1);
	CHECK(view_by_number(VIEW_COUNT) == NULL);
}

static void large(void)
{
	const struct view_ops *stack = view_by_number(VIEW_IMAGEJ), *slices = view_by_number(VIEW_SLICES);
	struct geometry g = geometry_of(VOXEL_U16, 1, 2000, 2000, 2000);
	struct volume v = volume_of(&g, "large");
	struct levels *levels = levels_new(64 << 20);
	uint8_t head[4096], pixel[8], want[8];

	/* 16 GB: one IFD, and the rest of the slices behind it. */
	CHECK(stack->size(&v, 0, 0) == 4096 + 16000000000);
	CHECK(stack->read(levels, &v, 0, 0, 0, head, sizeof head) == sizeof head);
	CHECK(memmem(head, sizeof head, "images=2000\nslices=2000\nunit=micron\nspacing=10\n", 46) != NULL);
	CHECK(stack->read(levels, &v, 0, 0, 4096 + 15999999996, pixel, 8) == 4);
	CHECK_RC(levels_read_bytes(levels, &v, 0, 15999999996, want, 4));
	CHECK(memcmp(pixel, want, 4) == 0);
	CHECK(stack->read(levels, &v, 0, 0, 1ULL << 60, pixel, 8) == 0);
	/* 2 GB at level 1: 1000 IFDs. */
	CHECK(stack->size(&v, 1, 0) > 2000000000 + 1000 * 174 && stack->size(&v, 1, 0) < 2000000000 + 1000 * 220);

	/* A slice of 4 GiB and more: only the levels where it fits. */
	v.geo = geometry_of(VOXEL_U16, 1, 100000, 100000, 1);
	CHECK(!stack->exists(&v, 0) && !stack->exists(&v, 1) && stack->exists(&v, 2));
	CHECK(!slices->exists(&v, 1) && slices->exists(&v, 2));
	CHECK(slices->size(&v, 2, 0) == 4096 + 1250000000);
	v.geo = geometry_of(VOXEL_U8, 1, 0x7fffffff, 500, 16);
	CHECK(!stack->exists(&v, 0) && slices->exists(&v, 7));
	CHECK(stack->exists(&v, LEVELS_MAX) && stack->size(&v, LEVELS_MAX, 0) == 4096 + 65536);
	v.geo = geometry_of(VOXEL_U8, 1, 1000, 10, 0xfffff);
	CHECK_RC(view_supported(&v.geo));
	CHECK(stack->size(&v, 0, 0) == 4096 + 10000ULL * 0xfffff);
	v.geo.depth++;
	CHECK(view_supported(&v.geo) == -ENOTSUP);
	v.geo = geometry_of(VOXEL_NONE, 1, 10, 10, 10);
	CHECK(view_supported(&v.geo) == -ENOTSUP);
	levels_free(levels);
}

int main(void)
{
	TIFFSetWarningHandler(NULL);
	names();
	large();
	every_type();
	return check_done();
}
