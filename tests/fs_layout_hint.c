/* What stands beside a raw file says how it is laid out: sidecars of usual and unusual names, neighbours, and nothing.
 */
#include "fs/layout_hint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/file_lab.h"

static struct layout_hints *hints;

static void write_text(struct rig *r, uint64_t folder, const char *name, const char *text)
{
	struct file *f = NULL;

	CHECK_RC(file_open(r->files, make_node(r, folder, name, S_IFREG | 0644), true, &f));
	if (!f)
		return;
	CHECK(file_write(f, &caller_self, 0, text, strlen(text), false) == (int64_t)strlen(text));
	CHECK_RC(file_release(f, &caller_self, true));
}

static uint64_t folder(struct rig *r, const char *name)
{
	return make_node(r, INO_DATASETS, name, S_IFDIR | 0755);
}

/* The width that is known for the name; 0: nothing is. */
static uint64_t width(uint64_t at, const char *name, bool depth_known)
{
	struct layout_hint hint;

	if (!layout_hints_find(hints, at, name, &hint) || hint.geo.type == VOXEL_NONE)
		return 0;
	CHECK(hint.depth_known == depth_known);
	CHECK(geometry_sane(&hint.geo) && hint.geo.format == IMAGE_RAW);
	return hint.geo.width;
}

#define JSON(w) "{ \"shape\": [50, 40, " #w "], \"dtype\": \"uint16\" }"
#define MHD(w, file) "NDims = 3\nDimSize = " #w " 40 50\nElementType = MET_USHORT\nElementDataFile = " file "\n"

static void test_usual_names(struct rig *r)
{
	uint64_t at = folder(r, "usual");

	CHECK(width(at, "bone.raw", true) == 0);
	write_text(r, at, "bone.json", JSON(31));
	write_text(r, at, "tooth.raw.json", JSON(32));
	write_text(r, at, "skull.mhd", MHD(33, "skull.vol"));
	CHECK(width(at, "bone.raw", true) == 31);
	CHECK(width(at, "tooth.raw", true) == 32);
	CHECK(width(at, "skull.vol", true) == 33);
	CHECK(width(at, "SKULL.VOL", true) == 33);
	CHECK(width(at, "skull.raw", true) == 0);
	CHECK(width(folder(r, "elsewhere"), "bone.raw", true) == 0);
}

static void test_unusual_names(struct rig *r)
{
	uint64_t at = folder(r, "unusual");

	write_text(r, at, "note.txt", "nothing about pixels");
	write_text(r, at, "scan of Monday.mhd", MHD(34, "data_0001.bin"));
	CHECK(width(at, "data_0001.bin", true) == 34);
	CHECK(width(at, "data_0002.bin", false) == 34);
	CHECK(width(at, "data_0002.raw", false) == 0);
	CHECK(width(at, "other.bin", false) == 0);
	/* one that comes later counts too */
	write_text(r, at, "another.mhd", MHD(35, "other.bin"));
	CHECK(width(at, "other.bin", true) == 35);
	/* so does one in a folder that has become large */
	for (int i = 0; i < 600; i++) {
		char name[32];

		snprintf(name, sizeof name, "%04d.txt", i);
		make_node(r, at, name, S_IFREG | 0644);
	}
	write_text(r, at, "third.mhd", MHD(36, "third.bin"));
	CHECK(width(at, "third.bin", true) == 36);
}

static void test_learned(struct rig *r)
{
	struct layout_hint hint = {
		{ .format = IMAGE_RAW, .type = VOXEL_U16, .samples = 1, .width = 37, .height = 40, .depth = 1 }, true
	};
	uint64_t at = folder(r, "learned");
	struct layout *l = NULL;

	CHECK_RC(layout_new(&l, "frame_1.raw", &hint));
	layout_feed(l, 0, "0123456789abcdef", 16, true);
	layout_hints_learn(hints, at, "frame_1.raw", l);
	layout_free(l);
	CHECK(width(at, "frame_02.raw", false) == 37);
	CHECK(width(at, "dark_02.raw", false) == 0);
	/* a sidecar says more */
	write_text(r, at, "frame_3.json", JSON(38));
	CHECK(width(at, "frame_3.raw", true) == 38);
	CHECK(width(at, "frame_4.raw", false) == 37);
}

/* Slices of any file are remembered, the last ones first. */
static void test_shapes(struct rig *r)
{
	struct layout_hint hint = { .depth_known = true };
	uint64_t at = folder(r, "shapes");

	for (uint64_t w = 100; w <= 112; w++) {
		struct layout *l = NULL;

		hint.geo = (struct geometry) { .format = IMAGE_RAW,
					       .type = VOXEL_F32,
					       .samples = 1,
					       .width = w < 112 ? w : 110,
					       .height = 50,
					       .depth = 3 };
		CHECK_RC(layout_new(&l, "some.raw", &hint));
		layout_feed(l, 0, "0123456789abcdef", 16, true);
		layout_hints_learn(hints, at, "some.raw", l);
		layout_free(l);
	}
	CHECK(layout_hints_find(hints, folder(r, "away"), "other.bin", &hint) && hint.geo.type == VOXEL_NONE);
	for (size_t i = 0; i < LAYOUT_SHAPES; i++) {
		static const uint64_t widths[] = { 110, 111, 109, 108, 107, 106, 105, 104 };

		CHECK(hint.shapes[i].row_bytes == widths[i] * 4 && hint.shapes[i].slice_bytes == widths[i] * 200);
		CHECK(hint.shapes[i].sample_bytes == 4);
	}
}

/* More folders and files than are remembered. */
static void test_many(struct rig *r)
{
	uint64_t first = folder(r, "many");

	for (int i = 0; i < 100; i++) {
		char name[32];
		uint64_t at;

		snprintf(name, sizeof name, "f%d", i);
		at = folder(r, name);
		write_text(r, at, "a.json", JSON(39));
		CHECK(width(at, "a.raw", true) == 39);
		snprintf(name, sizeof name, "x%c.json", 'a' + i % 26);
		if (i < 26)
			write_text(r, first, name, JSON(40));
	}
	for (int i = 0; i < 26; i++) {
		char name[32];

		snprintf(name, sizeof name, "x%c.raw", 'a' + i);
		CHECK(width(first, name, true) == 40);
	}
}

int main(void)
{
	struct rig r = { .budget = 16 << 20 };

	rig_new(&r, "store");
	hints = layout_hints_new(r.catalog, r.files);
	CHECK(hints);
	test_usual_names(&r);
	test_unusual_names(&r);
	test_learned(&r);
	test_shapes(&r);
	test_many(&r);
	layout_hints_free(hints);
	rig_close(&r);
	return check_done();
}
