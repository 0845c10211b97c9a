#include "index/geometry.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "tests/lib/check.h"

static const struct geometry good[] = {
	{ .format = IMAGE_TIFF, .type = VOXEL_U16, .samples = 1, .width = 1, .height = 1, .depth = 1 },
	{ .format = IMAGE_TIFF,
	  .type = VOXEL_U8,
	  .samples = 3,
	  .width = 640,
	  .height = 480,
	  .depth = 20,
	  .palette = true },
	{ .format = IMAGE_RAW,
	  .type = VOXEL_F32,
	  .samples = 1,
	  .big_endian = true,
	  .width = 1000,
	  .height = 1001,
	  .depth = 1002,
	  .offset = 512,
	  .voxel_um = { 1.5, 2.25, 0.1 } },
	{ .format = IMAGE_RAW, .type = VOXEL_U8, .samples = 1, .width = 0x7fffffff, .height = 512, .depth = 16 },
	{ .format = IMAGE_RAW, .type = VOXEL_F64, .samples = 1, .width = 1, .height = 1, .depth = 0x7fffffff },
};

static void check_bytes(const struct geometry *g)
{
	CHECK(geometry_row_bytes(g) == g->width * g->samples * voxel_bytes(g->type));
	CHECK(geometry_slice_bytes(g) == geometry_row_bytes(g) * g->height);
}

/* What was encoded comes back, every shorter text is refused, and no flipped bit does harm. */
static void check_coding(const struct geometry *g)
{
	scope_buf struct buf b = { 0 };
	struct geometry back;
	struct cursor in;

	geometry_encode(&b, g);
	in = cursor_of(b.data, b.len);
	CHECK_RC(geometry_decode(&in, &back));
	CHECK(cursor_left(&in) == 0);
	CHECK(memcmp(back.voxel_um, g->voxel_um, sizeof back.voxel_um) == 0);
	CHECK(geometry_same_slice(&back, g) && back.depth == g->depth && back.offset == g->offset);
	CHECK(back.big_endian == g->big_endian && back.palette == g->palette);
	for (size_t len = 0; len < b.len; len++) {
		in = cursor_of(b.data, len);
		CHECK(geometry_decode(&in, &back) == -EBADMSG);
	}
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
		in = cursor_of(b.data, b.len);
		if (geometry_decode(&in, &back) == 0 && geometry_sane(&back))
			CHECK(geometry_slice_bytes(&back) <= 1ULL << 40);
		b.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

static void check_insane(void)
{
	struct geometry g = good[2];

#define INSANE(field, value)                                                                                           \
	do {                                                                                                           \
		g = good[2];                                                                                           \
		g.field = (value);                                                                                     \
		CHECK(!geometry_sane(&g));                                                                             \
	} while (0)
	INSANE(format, IMAGE_NONE);
	INSANE(format, (enum image_format)77);
	INSANE(type, VOXEL_NONE);
	INSANE(type, (enum voxel_type)99);
	INSANE(samples, 0);
	INSANE(samples, 255);
	INSANE(width, 0);
	INSANE(height, 0);
	INSANE(depth, 0);
	INSANE(width, 1ULL << 31);
	INSANE(height, UINT64_MAX);
	INSANE(depth, 1ULL << 31);
	INSANE(offset, UINT64_MAX);
	INSANE(voxel_um[0], NAN);
	INSANE(voxel_um[1], INFINITY);
	INSANE(voxel_um[2], -1);
	INSANE(width, 1ULL << 30); /* a slice above 2^40 bytes */
	INSANE(depth, 1ULL << 23); /* the whole above 2^44 bytes */
}

static void check_names(void)
{
	static const struct {
		const char *name;
		enum voxel_type type;
	} names[] = {
		{ "uint16", VOXEL_U16 },
		{ "u16", VOXEL_U16 },
		{ "ushort", VOXEL_U16 },
		{ "float", VOXEL_F32 },
		{ "unsigned short", VOXEL_U16 },
		{ "Unsigned_Short", VOXEL_U16 },
		{ "FLOAT32", VOXEL_F32 },
		{ "double", VOXEL_F64 },
		{ "signed char", VOXEL_I8 },
		{ "uint8_t", VOXEL_U8 },
		{ "", VOXEL_NONE },
		{ "complex64", VOXEL_NONE },
		{ "a name that is far longer than any of a sample type", VOXEL_NONE },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		CHECK(voxel_from_name(names[i].name) == names[i].type);
	for (unsigned t = 1; t < VOXEL_TYPES; t++) {
		CHECK(voxel_from_name(voxel_name((enum voxel_type)t)) == (enum voxel_type)t);
		CHECK(voxel_bytes((enum voxel_type)t) > 0);
	}
	CHECK(voxel_bytes(VOXEL_NONE) == 0 && voxel_bytes((enum voxel_type)1000) == 0);
	CHECK(*voxel_name(VOXEL_NONE) == 0 && *voxel_name((enum voxel_type)1000) == 0);
}

int main(void)
{
	struct geometry none = { 0 };

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		CHECK(geometry_sane(&good[i]));
		check_bytes(&good[i]);
		check_coding(&good[i]);
	}
	check_coding(&none); /* an image that cannot be viewed has none */
	CHECK(!geometry_sane(&none));
	check_insane();
	check_names();
	return check_done();
}
