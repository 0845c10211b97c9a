/*
 * Files that are a header and then a volume as it is: where the volume starts, and how it is laid out. Only what
 * decides about borders is read; what is compressed or unusual is left alone.
 *
 * Sources: numpy.lib.format (npy 1.0 to 3.0); CCP4/MRC2014 (ccpem.ac.uk/mrc_format); NIfTI-1 (nifti.nimh.nih.gov);
 * DICOM PS3.5 sections 7 and 10; NRRD and MetaImage by their sidecar parsers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/image/layout_internal.h"
#include "fs/image/sidecar.h"
#include "fs/image/text.h"

static uint64_t number(const uint8_t *at, size_t width, bool big_endian)
{
	uint64_t v = 0;

	for (size_t i = 0; i < width; i++)
		v |= (uint64_t)at[i] << 8 * (big_endian ? width - 1 - i : i);
	return v;
}

/* ---- numpy ---- */

static bool is_npy(const uint8_t *head, size_t len)
{
	return len >= 12 && !memcmp(head, "\x93NUMPY", 6) && head[6] >= 1 && head[6] <= 3;
}

static enum voxel_type npy_type(char kind, char bytes)
{
	static const char codes[] = "u1i1u2i2u4i4f4u8i8f8";
	static const enum voxel_type types[] = { VOXEL_U8,  VOXEL_I8,  VOXEL_U16, VOXEL_I16, VOXEL_U32,
						 VOXEL_I32, VOXEL_F32, VOXEL_U64, VOXEL_I64, VOXEL_F64 };

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (codes[2 * i] == kind && codes[2 * i + 1] == bytes)
			return types[i];
	return VOXEL_NONE;
}

/* {'descr': '<u2', 'fortran_order': False, 'shape': (40, 300, 500), } */
static bool npy(const uint8_t *head, size_t len, struct geometry *g)
{
	size_t fixed = head[6] == 1 ? 10 : 12, text_len = (size_t)number(head + 8, fixed - 8, false);
	scope_free char *text = text_len < len && fixed + text_len <= len ? calloc(1, text_len + 1) : NULL;
	const char *descr, *shape;
	double axes[4];
	size_t n;

	if (!text)
		return false;
	memcpy(text, head + fixed, text_len);
	descr = strstr(text, "'descr': '");
	shape = strstr(text, "'shape': (");
	if (!descr || !shape || !strstr(text, "'fortran_order': False") || strlen(descr) < 13)
		return false;
	n = text_numbers(shape + 9, axes, 4);
	if (n < 2 || (n == 4 && axes[3] > 4) || !strchr("<>|", descr[10]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!(axes[i] >= 1 && axes[i] <= INT32_MAX))
			return false;
	g->samples = n == 4 ? (uint8_t)axes[--n] : 1;
	g->type = npy_type(descr[11], descr[12]);
	g->big_endian = descr[10] == '>';
	g->depth = n == 3 ? (uint64_t)axes[0] : 1;
	g->height = (uint64_t)axes[n - 2];
	g->width = (uint64_t)axes[n - 1];
	g->offset = fixed + text_len;
	return true;
}

/* ---- MRC ---- */

static bool is_mrc(const uint8_t *head, size_t len)
{
	return len >= 216 && !memcmp(head + 208, "MAP", 3) && (head[212] == 0x44 || head[212] == 0x11);
}

static bool mrc(const uint8_t *head, size_t len, struct geometry *g)
{
	static const enum voxel_type types[] = { [0] = VOXEL_I8, [1] = VOXEL_I16, [2] = VOXEL_F32, [6] = VOXEL_U16 };
	uint64_t mode;

	(void)len;
	g->big_endian = head[212] == 0x11;
	g->width = number(head, 4, g->big_endian);
	g->height = number(head + 4, 4, g->big_endian);
	g->depth = number(head + 8, 4, g->big_endian);
	mode = number(head + 12, 4, g->big_endian);
	g->offset = 1024 + number(head + 92, 4, g->big_endian);
	g->type = mode < sizeof types / sizeof *types ? types[mode] : VOXEL_NONE;
	return true;
}

/* ---- NIfTI-1, one file ---- */

static bool is_nifti(const uint8_t *head, size_t len)
{
	return len >= 348 && !memcmp(head + 344, "n+1", 4) && (head[0] == 92 || head[3] == 92); /* 348: its length */
}

static bool nifti(const uint8_t *head, size_t len, struct geometry *g)
{
	static const struct {
		uint16_t code, type;
	} types[] = { { 2, VOXEL_U8 },	 { 4, VOXEL_I16 },  { 8, VOXEL_I32 },	{ 16, VOXEL_F32 },
		      { 64, VOXEL_F64 }, { 256, VOXEL_I8 }, { 512, VOXEL_U16 }, { 768, VOXEL_U32 } };
	bool big = head[0] != 92;
	uint64_t code = number(head + 70, 2, big);
	uint32_t bits = (uint32_t)number(head + 108, 4, big);
	float offset;

	(void)len;
	memcpy(&offset, &bits, sizeof offset);
	if (!(offset >= 348 && offset <= 16 << 20))
		return false;
	g->big_endian = big;
	g->width = number(head + 42, 2, big);
	g->height = number(head + 44, 2, big);
	g->depth = number(head + 46, 2, big) * (number(head + 40, 2, big) > 3 ? number(head + 48, 2, big) : 1);
	g->offset = (uint64_t)offset;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (types[i].code == code)
			g->type = (enum voxel_type)types[i].type;
	return true;
}

/* ---- DICOM ---- */

static bool is_dicom(const uint8_t *head, size_t len)
{
	return len >= 132 && !memcmp(head + 128, "DICM", 4);
}

struct dicom {
	const uint8_t *at, *end;
	bool implicit, big_endian; /* of what follows the first group */
	bool plain;		   /* no compression */
	unsigned depth;		   /* sequences we are in */
	uint64_t rows, columns, bits, samples, planar, frames;
	uint64_t pixels; /* bytes; 0: not met yet */
};

struct dicom_element {
	uint32_t tag;
	uint64_t len;
	const uint8_t *value;
};

enum { DICOM_UNDEFINED = -1 };

static bool is_long_vr(const uint8_t *vr)
{
	static const char names[] = "OBODOFOLOVOWSQSVUCUNURUTUV";

	for (size_t i = 0; i + 1 < sizeof names; i += 2)
		if (!memcmp(vr, names + i, 2))
			return true;
	return false;
}

static bool dicom_next(struct dicom *d, struct dicom_element *e)
{
	size_t left = (size_t)(d->end - d->at), head = 8;
	bool first = left >= 2 && number(d->at, 2, false) == 2, big = d->big_endian && !first;

	if (left < 12)
		return false;
	e->tag = (uint32_t)(number(d->at, 2, big) << 16 | number(d->at + 2, 2, big));
	if ((d->implicit && !first) || e->tag >> 16 == 0xfffe) {
		e->len = number(d->at + 4, 4, big);
	} else if (is_long_vr(d->at + 4)) {
		e->len = number(d->at + 8, 4, big);
		head = 12;
	} else {
		e->len = number(d->at + 6, 2, big);
	}
	d->at += head;
	e->value = d->at;
	return true;
}

static void dicom_syntax(struct dicom *d, const struct dicom_element *e)
{
	static const char base[] = "1.2.840.10008.1.2";
	char uid[64] = { 0 };

	memcpy(uid, e->value, e->len < sizeof uid ? (size_t)e->len : sizeof uid - 1);
	d->implicit = !strcmp(uid, base);
	d->big_endian = !strcmp(uid, "1.2.840.10008.1.2.2");
	d->plain = d->implicit || d->big_endian || !strcmp(uid, "1.2.840.10008.1.2.1");
}

static void dicom_take(struct dicom *d, const struct dicom_element *e)
{
	uint64_t v = e->len >= 2 ? number(e->value, 2, d->big_endian) : 0;
	char text[16] = { 0 };

	switch (e->tag) {
	case 0x00020010:
		dicom_syntax(d, e);
		break;
	case 0x00280002:
		d->samples = v;
		break;
	case 0x00280006:
		d->planar = v;
		break;
	case 0x00280008:
		memcpy(text, e->value, e->len < sizeof text ? (size_t)e->len : sizeof text - 1);
		d->frames = strtoull(text, NULL, 10);
		break;
	case 0x00280010:
		d->rows = v;
		break;
	case 0x00280011:
		d->columns = v;
		break;
	case 0x00280100:
		d->bits = v;
		break;
	default:
		break;
	}
}

/* Goes through the elements up to the pixels. */
static bool dicom_walk(struct dicom *d)
{
	struct dicom_element e;

	while (dicom_next(d, &e)) {
		bool open = e.len == (uint32_t)DICOM_UNDEFINED;

		if (e.tag == 0x7fe00010 && !d->depth) {
			d->pixels = e.len;
			return !open;
		}
		if (e.tag == 0xfffee0dd || e.tag == 0xfffee00d) {
			d->depth -= d->depth > 0;
		} else if (open) {
			d->depth++;
		} else if (e.len > (size_t)(d->end - d->at)) {
			return false;
		} else {
			if (!d->depth)
				dicom_take(d, &e);
			d->at += e.len;
		}
	}
	return false;
}

static bool dicom(const uint8_t *head, size_t len, struct geometry *g)
{
	struct dicom d = { .at = head + 132, .end = head + len, .samples = 1, .frames = 1 };

	if (!dicom_walk(&d) || !d.plain || (d.bits != 8 && d.bits != 16 && d.bits != 32))
		return false;
	if (d.planar && d.samples > 1) {
		d.frames *= d.samples;
		d.samples = 1;
	}
	g->samples = d.samples <= 4 ? (uint8_t)d.samples : 0;
	g->type = d.bits == 8 ? VOXEL_U8 : d.bits == 16 ? VOXEL_U16 : VOXEL_U32;
	g->big_endian = d.big_endian;
	g->width = d.columns;
	g->height = d.rows;
	g->depth = d.frames;
	g->offset = (uint64_t)(d.at - head);
	return true;
}

/* ---- headers in words ---- */

static bool is_text(const uint8_t *head, size_t len)
{
	return len >= 8 && (!memcmp(head, "NRRD000", 7) || !memcmp(head, "ObjectType", 8) || !memcmp(head, "NDims", 5));
}

static bool by_sidecar(const char *name, const uint8_t *head, size_t len, struct geometry *g)
{
	scope_sidecar struct sidecar s = { 0 };

	if (sidecar_parse(name, head, len, &s))
		return false;
	for (size_t i = 0; i < s.data_count; i++)
		if (s.data[i].name && !strcmp(s.data[i].name, name) && s.data[i].geo.offset) {
			*g = s.data[i].geo;
			return true;
		}
	return false;
}

/* ---- all ---- */

static const struct {
	bool (*is)(const uint8_t *head, size_t len); /* from the first LAYOUT_HEAD bytes */
	bool (*read)(const uint8_t *head, size_t len, struct geometry *g);
} kinds[] = { { is_npy, npy }, { is_mrc, mrc }, { is_nifti, nifti }, { is_dicom, dicom } };

bool header_likely(const uint8_t *head, size_t len)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].is(head, len))
			return true;
	return is_text(head, len);
}

bool header_read(const char *name, const uint8_t *head, size_t len, struct geometry *g)
{
	*g = (struct geometry) { .samples = 1 };
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].is(head, len) && kinds[i].read(head, len, g)) {
			g->format = IMAGE_RAW;
			return geometry_sane(g);
		}
	return is_text(head, len) && by_sidecar(name, head, len, g) && geometry_sane(g);
}
