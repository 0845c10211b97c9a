/* Files that cannot be held, and files that are not what they say: all is cut, in the same way every time, and quickly. */
#include "fs/image/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/image/layout_internal.h"
#include "tests/lib/layout_lab.h"

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

int main(void)
{
	test_large_imagej();
	test_long_pages(50000, 4);
	test_long_pages(500, 1500);
	test_flipped_bytes();
	test_costly();
	test_short_files();
	return check_done();
}
