/* Where files are cut: the same slice becomes the same chunks in whatever file. */
#include "fs/image/layout.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/image/layout_internal.h"
#include "fs/image/tiff_page.h"
#include "fs/image/tiff_pages.h"
#include "tests/lib/layout_lab.h"

static void test_tiffs(void)
{
	uint8_t *pixels = random_bytes((size_t)SLICE * DEPTH, 1);
	struct tiff_pixels px = { WIDTH, HEIGHT, DEPTH, SLICE, pixels };
	struct cuts *known = slices_alone(&px, WIDTH * 2), *cuts = calloc(2, sizeof *cuts);

	for (size_t i = 0; i < sizeof tiffs / sizeof *tiffs; i++) {
		struct tiff_writer w;

		tiff_write(&w, &tiffs[i], &px);
		cut_file("scan.tif", NULL, w.b.data, w.b.len, AT_ONCE, &cuts[0]);
		if (new_bytes(known, &cuts[0]) != w.b.len - (size_t)SLICE * DEPTH)
			printf("layout %zu: %llu of %zu\n", i, (unsigned long long)new_bytes(known, &cuts[0]), w.b.len);
		CHECK(new_bytes(known, &cuts[0]) == w.b.len - (size_t)SLICE * DEPTH);
		for (enum feeding how = BY_64K; how <= RANDOM_PIECES; how++) {
			if (how == BY_3 && i % 5)
				continue;
			cut_file("scan.tif", NULL, w.b.data, w.b.len, how, &cuts[1]);
			if (!same_cuts(&cuts[0], &cuts[1]))
				printf("layout %zu, feeding %d\n", i, how);
			CHECK(same_cuts(&cuts[0], &cuts[1]));
			CHECK(cuts[1].held_most < SLICE + 400000);
		}
		buf_free(&w.b);
	}
	free(cuts);
	free(known);
	free(pixels);
}
static void test_raw(void)
{
	uint8_t *file = random_bytes(300 + (size_t)SLICE * DEPTH, 1);
	struct tiff_pixels px = { WIDTH, HEIGHT, DEPTH, SLICE, file + 300 };
	struct cuts *known = slices_alone(&px, WIDTH * 2), *cuts = calloc(1, sizeof *cuts);
	struct layout_hint hint = { raw_geo, true }, shifted = { raw_geo, false };

	shifted.geo.offset = 300;
	check_raw("bone_700x600x5_16bit.raw", NULL, known, file + 300, 0);
	check_raw("bone.vol", &hint, known, file + 300, 0);
	check_raw("bone.vol", &shifted, known, file, 300);
	/* whatever the name says, a hint comes first */
	check_raw("bone_10x10x2_8bit.raw", &hint, known, file + 300, 0);
	/* a crop in z: all known */
	cut_file("700x600x3_16bit.raw", NULL, file + 300 + SLICE, (size_t)SLICE * 3, BY_64K, cuts);
	CHECK(new_bytes(known, cuts) == 0);
	/* more and less than was said */
	hint.geo.depth = 2;
	cut_file("a.raw", &hint, file + 300, (size_t)SLICE * DEPTH, BY_64K, cuts);
	CHECK(new_bytes(known, cuts) == (size_t)SLICE * 3);
	hint.geo.depth = 7;
	cut_file("a.raw", &hint, file + 300, (size_t)SLICE * DEPTH, BY_64K, cuts);
	CHECK(new_bytes(known, cuts) == 0);
	free(cuts);
	free(known);
	free(file);
}

/* Blobs and noise that change little from one slice to the next. */
static uint8_t *blobs(uint32_t slices)
{
	uint8_t *bytes = malloc((size_t)SLICE * slices);
	uint64_t seed = 3;

	for (uint32_t z = 0; z < slices; z++)
		for (uint32_t y = 0; y < HEIGHT; y++)
			for (uint32_t x = 0; x < WIDTH; x++) {
				double r = hypot(x - WIDTH / 2.0 - z * 0.05, y - HEIGHT / 2.0), v = 20000;
				uint8_t *at = bytes + 2 * ((size_t)z * WIDTH * HEIGHT + (size_t)y * WIDTH + x);
				unsigned value;

				v += 6000 * sin(x / 19.0 + z * 0.05) * cos(y / 31.0) + (r < 230 ? 9000 : 0);
				value = (unsigned)v + (unsigned)random_below(&seed, 300);
				at[0] = (uint8_t)value;
				at[1] = (uint8_t)(value >> 8);
			}
	return bytes;
}

/* The directory, which comes first, is still zeros: pixels are recognised by themselves. */
static void test_unwritten_ifd(const struct tiff_pixels *px, struct cuts *cuts)
{
	static const struct tiff_how how = { ALL_PIXELS_FIRST };
	struct layout *l = NULL;
	struct tiff_writer w;
	size_t rows = 0;

	tiff_write(&w, &how, px);
	memset(w.b.data + 8, 0, 100);
	CHECK_RC(layout_new(&l, "a.tif", NULL));
	cut_held(l, w.b.data, w.b.len, BY_64K, 3 << 20, cuts);
	layout_free(l);
	for (size_t i = 0; i < cuts->count; i++)
		rows += cuts->list[i].plan.row_bytes == WIDTH * 2 ? cuts->list[i].len : 0;
	CHECK(rows > w.b.len - 10000);
	buf_free(&w.b);
}

/* Nobody says what it is. With memory for less than two slices only the rows are recognised: then slices that were seen
 * elsewhere count. */
static void test_detected(void)
{
	enum { SLICES = 6 };
	struct layout_hint hint = { .shapes = { { 5000, 100, 2 }, { SLICE, WIDTH * 2, 2 } } };
	uint8_t *bytes = blobs(SLICES);
	struct tiff_pixels px = { WIDTH, HEIGHT, SLICES, SLICE, bytes };
	struct cuts *known = slices_alone(&px, WIDTH * 2), *cuts = calloc(1, sizeof *cuts);

	for (int held = 0; held < 3; held++) {
		struct layout *l = NULL;

		CHECK_RC(layout_new(&l, "data", held == 1 ? &hint : NULL));
		cut_held(l, bytes, (size_t)SLICE * SLICES, BY_64K, held ? SLICE * 3 / 2 : 64 << 20, cuts);
		layout_free(l);
		CHECK((new_bytes(known, cuts) == 0) == (held < 2));
		for (size_t i = 0; i < cuts->count; i++)
			CHECK(cuts->list[i].plan.row_bytes == WIDTH * 2 && cuts->list[i].off % (WIDTH * 2) == 0);
	}
	test_unwritten_ifd(&px, cuts);
	free(bytes);
	free(known);
	free(cuts);
}

/* Small slices: in groups, and in the same ones after a crop. */
static void test_tiny_slices(void)
{
	enum { TINY = 60 * 20, COUNT = 8000 };
	uint8_t *file = random_bytes(TINY * COUNT, 3);
	struct cuts *whole = calloc(2, sizeof *whole), *crop = whole + 1;

	cut_file("60x20x8000_u8.raw", NULL, file, TINY * COUNT, BY_64K, whole);
	CHECK(whole->count > TINY * COUNT / CHUNK_MAX && whole->count < TINY * COUNT / CHUNK_MIN);
	for (size_t i = 0; i < whole->count; i++)
		CHECK(whole->list[i].off % TINY == 0);
	cut_file("60x20x6001_u8.raw", NULL, file + TINY * 1999, TINY * 6001, BY_64K, crop);
	CHECK(new_bytes(whole, crop) < 3 << 20);
	free(whole);
	free(file);
}

/* A header that became longer, and one that says another date. */
static void test_changed_header(void)
{
	static const char *const texts[] = { "scan of Monday", "scan of Tuesday",
					     "scan of Wednesday, repeated twice since" };
	uint8_t *pixels = random_bytes((size_t)SLICE * DEPTH, 4);
	struct tiff_pixels px = { WIDTH, HEIGHT, DEPTH, SLICE, pixels };
	struct cuts *first = calloc(2, sizeof *first);

	for (enum tiff_order order = PIXELS_THEN_IFD; order <= TABLES_THEN_IFD; order++)
		for (size_t i = 0; i < 3; i++) {
			struct tiff_how how = { order, .description = texts[i], .rows = 10 };
			struct tiff_writer w;

			if (order == ONE_IFD)
				how.rows = 0;
			tiff_write(&w, &how, &px);
			cut_file("a.tif", NULL, w.b.data, w.b.len, BY_64K, &first[i > 0]);
			CHECK(i == 0 || new_bytes(&first[0], &first[1]) < w.b.len / 100 || order == ONE_IFD);
			buf_free(&w.b);
		}
	free(first);
	free(pixels);
}

/* ---- odd layouts ---- */

static void test_kinds(void)
{
	static const struct {
		struct tiff_how how;
		uint32_t width, height;
		size_t slice_bytes;
		struct chunk_plan plan;
		unsigned slices; /* that begin a page */
	} kinds[] = {
		{ { .samples = 3, .bits = 8 }, 301, 200, 301 * 3 * 200, { .row_bytes = 903, 1, .samples = 3 }, 1 },
		{ { .samples = 3, .planar = 2 }, 301, 200, 301 * 6 * 200, { .row_bytes = 602, 2, .samples = 1 }, 3 },
		{ { .samples = 4, .bits = 8, .rows = 9 },
		  301,
		  200,
		  301 * 4 * 200,
		  { .row_bytes = 1204, 1, .samples = 4 },
		  1 },
		{ { .bits = 1 }, 1001, 700, 126 * 700, { .row_bytes = 126, 1, .samples = 1 }, 1 },
		{ { .bits = 12, .rows = 3 }, 301, 200, 452 * 200, { .row_bytes = 452, 1, .samples = 1 }, 1 },
		{ { .bits = 24 }, 301, 200, 903 * 200, { .row_bytes = 903, 1, .samples = 3 }, 1 },
		{ { .bits = 32, .format = 3, .big_endian = true },
		  301,
		  200,
		  1204 * 200,
		  { .row_bytes = 1204, 4, true, true, 1 },
		  1 },
		{ { .bits = 64, .format = 3 }, 301, 200, 2408 * 200, { .row_bytes = 2408, 8, false, true, 1 }, 1 },
		{ { .tile = 64 }, 301, 200, 5 * 4 * 64 * 128, { .row_bytes = 128, 2, .samples = 1 }, 1 },
		{ { .tile = 256, .big = true }, 301, 200, 2 * 256 * 512, { .row_bytes = 512, 2, .samples = 1 }, 1 },
	};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		for (enum tiff_order order = PIXELS_THEN_IFD; order <= IFD_THEN_PIXELS; order++) {
			size_t slice = kinds[i].slice_bytes;
			uint8_t *bytes = random_bytes(slice * 3, i + 10);
			struct tiff_pixels px = { kinds[i].width, kinds[i].height, 3, slice, bytes };
			struct tiff_how how = kinds[i].how;
			struct cuts *cuts = calloc(1, sizeof *cuts);
			unsigned found = 0, with_plan = 0;
			struct tiff_writer w;

			how.order = order;
			tiff_write(&w, &how, &px);
			cut_file("a.tif", NULL, w.b.data, w.b.len, RANDOM_PIECES, cuts);
			for (size_t c = 0; c < cuts->count; c++) {
				struct chunk_plan p = cuts->list[c].plan;

				if (!p.slice_bytes)
					continue;
				with_plan++;
				CHECK(p.slice_bytes == slice / kinds[i].slices && p.slices == kinds[i].slices);
				p.first_pixel = p.slice_bytes = p.slices = 0;
				CHECK(memcmp(&p, &kinds[i].plan, sizeof p) == 0);
			}
			CHECK(with_plan >= 3);
			for (size_t z = 0; z < 3; z++) { /* somewhere, whole */
				struct cuts *alone = calloc(1, sizeof *alone);
				struct tiff_pixels one = { px.width, px.height, 1, slice, bytes + z * slice };

				buf_free(&w.b);
				tiff_write(&w, &how, &one);
				cut_file("b.tif", NULL, w.b.data, w.b.len, AT_ONCE, alone);
				found += new_bytes(cuts, alone) <= w.b.len - slice;
				free(alone);
			}
			CHECK(found == 3);
			buf_free(&w.b);
			free(cuts);
			free(bytes);
		}
}

/* Compressed pages: borders at the directories, and no plan. */
static void test_compressed(void)
{
	uint8_t *bytes = random_bytes(3 * 500000, 20);
	struct tiff_pixels px = { 500, 500, 3, 500000, bytes };
	struct cuts *a = calloc(2, sizeof *a);

	for (enum tiff_order order = PIXELS_THEN_IFD; order <= IFD_THEN_PIXELS; order++) {
		struct tiff_how how = { order, .compression = 8, .rows = 50 }, longer = how;
		struct tiff_writer w;

		longer.description = "a much longer description, so that all is shifted";
		tiff_write(&w, &how, &px);
		cut_file("a.tif", NULL, w.b.data, w.b.len, BY_64K, &a[0]);
		for (size_t i = 0; i < a[0].count; i++)
			CHECK(!a[0].list[i].plan.slice_bytes);
		buf_free(&w.b);
		tiff_write(&w, &longer, &px);
		cut_file("a.tif", NULL, w.b.data, w.b.len, BY_64K, &a[1]);
		CHECK(new_bytes(&a[0], &a[1]) < 5000);
		buf_free(&w.b);
	}
	free(a);
	free(bytes);
}

/* ---- real files ---- */

/* Does a chunk begin where libtiff says that an uncompressed page does? */
static void check_pages(const uint8_t *bytes, size_t len, const struct cuts *cuts, const char *path)
{
	struct source src = source_of_memory(bytes, len);
	struct tiff_pages pages;
	struct tiff_page page;
	uint64_t slice = 0, at, run;

	if (tiff_pages_init(&pages, &src) == 0)
		for (; slice < 300 && tiff_pages_find(&pages, slice, &at) == 0; slice++) {
			bool found = false, whole;

			run = tiff_page_open(&page, &pages.file, at) ? 0 : tiff_page_run(&page);
			whole = run && run < len && geometry_slice_bytes(&page.geo) <= len - run;
			if (whole && geometry_slice_bytes(&page.geo) >= LAYOUT_LEAST) {
				for (size_t i = 0; i < cuts->count && !found; i++)
					found = cuts->list[i].off == run && cuts->list[i].plan.slice_bytes;
				if (!found)
					printf("%s: slice %llu\n", path, (unsigned long long)slice);
				CHECK(found);
			}
			tiff_page_close(&page);
		}
	tiff_pages_free(&pages);
	source_close(&src);
}

static void check_real(const char *path, const struct stat *st, struct cuts *cuts)
{
	int fd = open(path, O_RDONLY);
	size_t len = (size_t)st->st_size;
	uint8_t *bytes = malloc(len + 1);
	const char *name = strrchr(path, '/') + 1;

	if (fd >= 0 && len && read(fd, bytes, len) == (ssize_t)len) {
		cut_file(name, NULL, bytes, len, AT_ONCE, &cuts[0]);
		cut_file(name, NULL, bytes, len, RANDOM_PIECES, &cuts[1]);
		CHECK(same_cuts(&cuts[0], &cuts[1]));
		check_pages(bytes, len, &cuts[0], path);
	}
	close(fd);
	free(bytes);
}

/* Every file of at most 3 MiB: all is cut, in the same way in any pieces; the borders are where libtiff sees slices. */
static void test_folder(const char *path, struct cuts *cuts)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		char full[4096];
		struct stat st;

		snprintf(full, sizeof full, "%s/%s", path, e->d_name);
		if (*e->d_name == '.' || lstat(full, &st))
			continue;
		if (S_ISDIR(st.st_mode))
			test_folder(full, cuts);
		else if (S_ISREG(st.st_mode) && st.st_size <= 3 << 20)
			check_real(full, &st, cuts);
	}
	if (dir)
		closedir(dir);
}

static void test_real(void)
{
	const char *data = getenv("TOMOFS_DATA");
	struct cuts *cuts = calloc(2, sizeof *cuts);

	if (data)
		test_folder(data, cuts);
	free(cuts);
}

int main(void)
{
	test_tiffs();
	test_raw();
	test_detected();
	test_tiny_slices();
	test_changed_header();
	test_kinds();
	test_compressed();
	test_real();
	return check_done();
}
