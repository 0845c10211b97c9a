/* Volumes with a header that tells their sizes are cut at their slices. */
#include "fs/image/layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/layout_lab.h"

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

int main(void)
{
	test_headers();
	return check_done();
}
