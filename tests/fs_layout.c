/* Where files are cut: the same slice becomes the same chunks in whatever file, and hostile headers do no harm. */
#include "fs/image/layout.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "fs/image/layout_internal.h"
#include "fs/image/tiff_page.h"
#include "fs/image/tiff_pages.h"
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

static size_t piece_bytes(enum feeding how, uint64_t *seed, size_t left)
{
	static const size_t sizes[] = { SIZE_MAX, 64 << 10, 1000, 3 };
	size_t n = how == RANDOM_PIECES ? 1 + (size_t)random_below(seed, 300000) : sizes[how];

	return n < left ? n : left;
}

/* As the write pipeline does it. give_up_at: how much it can hold. */
static void cut_held(struct layout *l, const uint8_t *bytes, size_t len, enum feeding how, size_t room,
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

static void cut_file(const char *name, const struct layout_hint *hint, const uint8_t *bytes, size_t len,
		     enum feeding how, struct cuts *out)
{
	struct layout *l = NULL;

	CHECK_RC(layout_new(&l, name, hint));
	cut_held(l, bytes, len, how, 64 << 20, out);
	layout_free(l);
}

static bool same_cuts(const struct cuts *a, const struct cuts *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++)
		if (a->list[i].off != b->list[i].off || a->list[i].len != b->list[i].len ||
		    a->list[i].plan.row_bytes != b->list[i].plan.row_bytes)
			return false;
	return a->count == b->count;
}

static bool has(const struct cuts *cuts, uint64_t hash)
{
	for (size_t i = 0; i < cuts->count; i++)
		if (cuts->list[i].hash == hash)
			return true;
	return false;
}

/* Bytes in chunks that `known` has not. */
static uint64_t new_bytes(const struct cuts *known, const struct cuts *cuts)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < cuts->count; i++)
		if (!has(known, cuts->list[i].hash))
			bytes += cuts->list[i].len;
	return bytes;
}

static uint8_t *random_bytes(size_t len, uint64_t seed)
{
	uint8_t *bytes = malloc(len);

	random_fill(bytes, len, seed);
	return bytes;
}

/* Every slice alone, as chunker.h cuts it. */
static struct cuts *slices_alone(const struct tiff_pixels *px, size_t row)
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

static const struct geometry raw_geo = {
	.format = IMAGE_RAW, .type = VOXEL_U16, .samples = 1, .width = WIDTH, .height = HEIGHT, .depth = DEPTH
};

/* bytes: a file with all slices from `offset` on, and nothing behind. */
static void check_raw(const char *name, const struct layout_hint *hint, const struct cuts *known, const uint8_t *bytes,
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

/* ---- headers of volumes; WIDTH x HEIGHT x DEPTH, 16 bits ---- */

static void put_npy(struct buf *b)
{
	buf_put(b, "\x93NUMPY\1\0\x76\0", 10);
	buf_printf(b, "%-117s\n", "{'descr': '<u2', 'fortran_order': False, 'shape': (5, 600, 700), }");
}

static void put_mrc(struct buf *b)
{
	memset(buf_reserve(b, 1124), 0, 1124);
	buf_u32(b, WIDTH);
	buf_u32(b, HEIGHT);
	buf_u32(b, DEPTH);
	buf_u32(b, 6);
	b->len = 92;
	buf_u32(b, 100);
	b->len = 208;
	buf_put(b, "MAP \x44\x44", 6);
	b->len = 1124;
}

static void put_nifti(struct buf *b)
{
	memset(buf_reserve(b, 352), 0, 352);
	buf_u32(b, 348);
	b->len = 40;
	buf_u16(b, 3);
	buf_u16(b, WIDTH);
	buf_u16(b, HEIGHT);
	buf_u16(b, DEPTH);
	b->len = 70;
	buf_u16(b, 512);
	b->len = 108;
	buf_u32(b, 0x43b00000); /* 352.0 */
	b->len = 344;
	buf_put(b, "n+1", 4);
	b->len = 352;
}

static void put_element(struct buf *b, uint16_t group, uint16_t element, const char *vr, uint32_t len)
{
	buf_u16(b, group);
	buf_u16(b, element);
	buf_put(b, vr, strlen(vr));
	if (!strcmp(vr, "OW") || !strcmp(vr, "SQ"))
		buf_u16(b, 0);
	if (strcmp(vr, "US") && strcmp(vr, "UI") && strcmp(vr, "IS"))
		buf_u32(b, len);
	else
		buf_u16(b, (uint16_t)len);
}

static void put_dicom(struct buf *b)
{
	memset(buf_reserve(b, 128), 0, 128);
	b->len = 128;
	buf_put(b, "DICM", 4);
	put_element(b, 2, 0x10, "UI", 20);
	buf_put(b, "1.2.840.10008.1.2.1\0", 20);
	put_element(b, 8, 0x1140, "SQ", 0xffffffff);
	put_element(b, 0xfffe, 0xe000, "", 0xffffffff);
	put_element(b, 0x28, 0x10, "US", 2); /* of something else */
	buf_u16(b, 9);
	put_element(b, 0xfffe, 0xe00d, "", 0);
	put_element(b, 0xfffe, 0xe0dd, "", 0);
	put_element(b, 0x28, 8, "IS", 2);
	buf_put(b, "5 ", 2);
	put_element(b, 0x28, 0x10, "US", 2);
	buf_u16(b, HEIGHT);
	put_element(b, 0x28, 0x11, "US", 2);
	buf_u16(b, WIDTH);
	put_element(b, 0x28, 0x100, "US", 2);
	buf_u16(b, 16);
	put_element(b, 0x7fe0, 0x10, "OW", SLICE * DEPTH);
}

static void put_nrrd(struct buf *b)
{
	buf_printf(b, "NRRD0004\ntype: ushort\ndimension: 3\nsizes: 700 600 5\nendian: little\nencoding: raw\n\n");
}

static void put_mha(struct buf *b)
{
	buf_printf(b, "ObjectType = Image\nNDims = 3\nDimSize = 700 600 5\nElementType = MET_USHORT\n"
		      "ElementDataFile = LOCAL\n");
}

static const struct {
	const char *name;
	void (*put)(struct buf *b);
} headers[] = { { "a.npy", put_npy },	{ "a.mrc", put_mrc },	{ "a.nii", put_nifti },
		{ "a.dcm", put_dicom }, { "a.nrrd", put_nrrd }, { "a.mha", put_mha } };

static void test_headers(void)
{
	uint8_t *pixels = random_bytes((size_t)SLICE * DEPTH, 1);
	struct tiff_pixels px = { WIDTH, HEIGHT, DEPTH, SLICE, pixels };
	struct cuts *known = slices_alone(&px, WIDTH * 2), *cuts = calloc(2, sizeof *cuts);
	uint64_t seed = 9;

	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		scope_buf struct buf b = { 0 };
		size_t head;

		headers[i].put(&b);
		head = b.len;
		buf_put(&b, pixels, (size_t)SLICE * DEPTH);
		check_raw(headers[i].name, NULL, known, b.data, head);
		b.len = head + 1000;
		for (int round = 0; round < 200; round++) {
			size_t len = round % 4 ? b.len : 1 + (size_t)random_below(&seed, b.len),
			       at = random_below(&seed, head);
			uint8_t *copy = malloc(len), old = b.data[at];

			b.data[at] = (uint8_t)random_next(&seed);
			memcpy(copy, b.data, len);
			cut_file(headers[i].name, NULL, copy, len, AT_ONCE, &cuts[0]);
			if (round % 3)
				b.data[at] = old;
			free(copy);
		}
	}
	free(cuts);
	free(known);
	free(pixels);
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

/* ---- what cannot be held ---- */

/* Feeds `bytes` of a file of which only the directories are real; the layout passes over all else. */
struct fake {
	struct layout *l;
	uint64_t fed;
	uint8_t *zeros;
};

enum { FAKE_PIECE = 8 << 20 };

static void fake_skip(struct fake *f, uint64_t until)
{
	while (f->fed < until) {
		size_t n = until - f->fed < FAKE_PIECE ? (size_t)(until - f->fed) : FAKE_PIECE;

		layout_feed(f->l, f->fed, f->zeros, n, false);
		f->fed += n;
	}
}

static void fake_bytes(struct fake *f, const struct buf *b, size_t from, size_t to, bool last)
{
	layout_feed(f->l, f->fed, b->data + from, to - from, last);
	f->fed += to - from;
}

/* One directory, and pixels of more than 4 GiB behind it. */
static void test_large_imagej(void)
{
	static const struct tiff_how how = { ONE_IFD, .description = "ImageJ=1.53t\nimages=6000\nslices=6000\n" };
	struct tiff_pixels px = { 1000, 1000, 1, 2000000, NULL };
	struct fake f = { .zeros = calloc(1, FAKE_PIECE) };
	struct chunk_plan plan;
	struct tiff_writer w;
	uint64_t until, start;

	px.bytes = f.zeros;
	tiff_write(&w, &how, &px);
	start = w.b.len - px.slice_bytes;
	CHECK_RC(layout_new(&f.l, "big.tif", NULL));
	fake_bytes(&f, &w.b, 0, w.b.len, false);
	for (uint64_t z = 0; z < 6000; z += 1999) {
		uint64_t at = start + z * px.slice_bytes + 77;

		fake_skip(&f, at);
		CHECK(layout_at(f.l, at, &plan, &until) == LAYOUT_PIXELS);
		CHECK(plan.first_pixel == start && plan.slice_bytes == px.slice_bytes && plan.slices == 6000);
	}
	CHECK(layout_at(f.l, start + 6000 * px.slice_bytes, &plan, &until) == LAYOUT_OTHER);
	layout_free(f.l);
	buf_free(&w.b);
	free(f.zeros);
}

/* Pages of 100 MB before their directories: the second and later ones are predicted. Pages that are as long, but many:
 * nothing grows. */
static void test_long_pages(uint32_t height, unsigned pages)
{
	static const struct tiff_how how = { PIXELS_THEN_IFD, .big = true };
	struct tiff_pixels px = { 1000, height, 1, (size_t)height * 2000, NULL };
	struct fake f = { .zeros = calloc(1, FAKE_PIECE) };
	uint64_t until, slice = (uint64_t)height * 2000, step;
	struct chunk_plan plan;
	struct buf head = { 0 };
	struct tiff_writer w = { .how = &how, .px = &px };
	size_t ifd;

	tw_header(&w);
	ifd = w.b.len;
	tw_patch(&w, w.link, ifd + slice, 8);
	tw_ifd(&w, 0, true); /* linked and placed below */
	tw_patch(&w, 8, ifd + slice, 8);
	step = slice + w.b.len - ifd;
	buf_put(&head, w.b.data, ifd);
	CHECK_RC(layout_new(&f.l, "big.tif", NULL));
	fake_bytes(&f, &head, 0, head.len, false);
	for (unsigned i = 0; i < pages; i++) {
		uint64_t at = ifd + i * step;
		enum layout_kind kind;

		kind = layout_at(f.l, at, &plan, &until);
		if (i >= 2 || (i == 1 && slice > LAYOUT_WAIT_MAX))
			CHECK(kind == LAYOUT_PIXELS && plan.first_pixel == at && plan.slice_bytes == slice);
		else
			CHECK(kind != LAYOUT_PIXELS);
		fake_skip(&f, at + slice);
		/* the place of the pixels, of the next directory */
		for (size_t e = 0; e < 11; e++)
			if (w.b.data[ifd + 8 + 20 * e] == (273 & 255) && w.b.data[ifd + 9 + 20 * e] == 273 >> 8)
				tw_patch(&w, ifd + 8 + 20 * e + 12, at, 8);
		tw_patch(&w, ifd + 8 + 20 * 4 + 12, at + slice + 8 + 20 * 11 + 8, 8);
		tw_patch(&w, w.link, i + 1 < pages ? at + step + slice : 0, 8);
		fake_bytes(&f, &w.b, ifd, w.b.len, false);
		if (i % 100 == 0) {
			CHECK(layout_at(f.l, at, &plan, &until) == LAYOUT_PIXELS);
			CHECK(plan.first_pixel == at && plan.slice_bytes == slice);
		}
	}
	CHECK(f.l->map.count <= 2);
	layout_free(f.l);
	buf_free(&w.b);
	buf_free(&head);
	free(f.zeros);
}

/* ---- hostile files ---- */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Any bytes: all is cut, and in the same way every time. */
static void check_any(const uint8_t *bytes, size_t len, struct cuts *cuts)
{
	cut_file("a.tif", NULL, bytes, len, AT_ONCE, &cuts[0]);
	cut_file("a.tif", NULL, bytes, len, RANDOM_PIECES, &cuts[1]);
	cut_file("a.tif", NULL, bytes, len, BY_1000, &cuts[1]);
}

static void test_flipped_bytes(void)
{
	uint8_t *pixels = random_bytes(100 * 120 * 5, 5);
	struct tiff_pixels px = { 100, 60, 5, 100 * 120, pixels };
	struct cuts *cuts = calloc(2, sizeof *cuts);
	uint64_t seed = 6;

	for (size_t i = 0; i < sizeof tiffs / sizeof *tiffs; i++) {
		struct tiff_writer w;

		tiff_write(&w, &tiffs[i], &px);
		for (int round = 0; round < 60; round++) {
			size_t len = w.b.len - (round % 5 ? 0 : (size_t)random_below(&seed, w.b.len));
			uint8_t *copy = malloc(len + 1);

			memcpy(copy, w.b.data, len);
			for (int k = 0; k < 1 + round % 4 && len; k++)
				copy[random_below(&seed, round % 3 ? len < 400 ? len : 400 : len)] =
				    (uint8_t)random_next(&seed);
			check_any(copy, len, cuts);
			free(copy);
		}
		buf_free(&w.b);
	}
	free(cuts);
	free(pixels);
}

/* Directories without end, each as costly as can be. */
static void test_costly(void)
{
	enum { LEN = 1 << 20, ENTRIES = 5 };
	static const struct tiff_how how = { PIXELS_THEN_IFD };
	struct tiff_pixels px = { 0 };
	struct cuts *cuts = calloc(2, sizeof *cuts);
	double start = seconds();

	for (int kind = 0; kind < 4; kind++) {
		struct tiff_writer w = { .how = &how, .px = &px };

		tw_header(&w);
		tw_patch(&w, 4, 8, 4);
		while (w.b.len < LEN) {
			size_t at = w.b.len;
			struct tw_entry e[ENTRIES] = {
				{ 256, 3, 1, 1 },
				{ 257, 4, 1, kind == 3 ? 1 << 28 : 1 << 20 },
				{ 273, 3, 1 << 20,
				  kind == 0   ? at - 5000
				  : kind == 1 ? 8
					      : at + 70 },
				{ 278, 3, 1, 1 },
				{ 279, 4, 100, kind == 2 ? 0xffffffff : at },
			};

			tw_number(&w, ENTRIES, 2);
			for (size_t i = 0; i < ENTRIES; i++)
				tw_entry(&w, &e[i]);
			tw_number(&w, w.b.len + 4, 4);
		}
		check_any(w.b.data, w.b.len, cuts);
		tw_patch(&w, 4, LEN / 2 + 1, 4);
		check_any(w.b.data, w.b.len, cuts);
		buf_free(&w.b);
	}
	CHECK(seconds() - start < 10);
	free(cuts);
}

static void test_short_files(void)
{
	static const char heads[][16] = { "",	"I", "II*", "II*\0", "II*\0\10\0\0", "MM\0*\0\0\0\10", "II+\0\10\0\0\0",
					  "raw" };
	struct cuts *cuts = calloc(2, sizeof *cuts);

	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
		for (size_t len = 0; len < 20; len++) {
			uint8_t bytes[20] = { 0 };

			memcpy(bytes, heads[i], sizeof heads[i]);
			if (len)
				check_any(bytes, len, cuts);
		}
	free(cuts);
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
	test_headers();
	test_tiny_slices();
	test_changed_header();
	test_kinds();
	test_compressed();
	test_large_imagej();
	test_long_pages(50000, 4);
	test_long_pages(500, 1500);
	test_flipped_bytes();
	test_costly();
	test_short_files();
	test_real();
	return check_done();
}
