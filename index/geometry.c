#include "index/geometry.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "store/err.h"

enum { GEOMETRY_VERSION = 1 };
enum { AXIS_MAX = 0x7fffffff, SAMPLES_MAX = 16, SLICE_BITS = 40, WHOLE_BITS = 44, FILE_BITS = 62 };
enum { FLAG_BIG_ENDIAN = 1, FLAG_PALETTE = 2, FLAGS_KNOWN = 3 };

/* Other spellings: lower case, without blanks, '_' and '-'; C, MetaImage, NRRD, NIfTI and the tools of vendors. */
static const struct {
	const char *name;
	size_t bytes;
	const char *spellings;
} types[VOXEL_TYPES] = {
	[VOXEL_NONE] = { "", 0, "" },
	[VOXEL_U8] = { "uint8", 1, " u8 uchar unsignedchar byte ubyte unsignedbyte uint8t 8bit 8bitunsigned " },
	[VOXEL_I8] = { "int8", 1, " i8 s8 char schar signedchar int8t 8bitsigned " },
	[VOXEL_U16] = { "uint16", 2, " u16 ushort unsignedshort unsignedshortint uint16t 16bit 16bitunsigned " },
	[VOXEL_I16] = { "int16", 2, " i16 s16 short shortint signedshort signedshortint int16t 16bitsigned " },
	[VOXEL_U32] = { "uint32", 4, " u32 uint unsignedint uint32t 32bitunsigned " },
	[VOXEL_I32] = { "int32", 4, " i32 s32 int signedint int32t 32bitsigned " },
	[VOXEL_F32] = { "float32", 4, " f32 float single 32bitfloat " },
	[VOXEL_U64] = { "uint64", 8, " u64 ulong ulonglong unsignedlong unsignedlonglong uint64t " },
	[VOXEL_I64] = { "int64", 8, " i64 s64 long longlong signedlong signedlonglong int64t " },
	[VOXEL_F64] = { "float64", 8, " f64 double 64bitfloat " },
};

size_t voxel_bytes(enum voxel_type type)
{
	return (unsigned)type < VOXEL_TYPES ? types[type].bytes : 0;
}

const char *voxel_name(enum voxel_type type)
{
	return (unsigned)type < VOXEL_TYPES ? types[type].name : "";
}

enum voxel_type voxel_from_name(const char *name)
{
	char word[32] = " ";
	size_t n = 1;

	for (const char *c = name; *c; c++) {
		if (isspace((unsigned char)*c) || *c == '_' || *c == '-')
			continue;
		if (n == sizeof word - 2)
			return VOXEL_NONE;
		word[n++] = (char)tolower((unsigned char)*c);
	}
	if (n == 1)
		return VOXEL_NONE;
	for (unsigned i = 1; i < VOXEL_TYPES; i++)
		if (strcmp(types[i].name, word + 1) == 0)
			return (enum voxel_type)i;
	word[n] = ' ';
	for (unsigned i = 1; i < VOXEL_TYPES; i++)
		if (strstr(types[i].spellings, word))
			return (enum voxel_type)i;
	return VOXEL_NONE;
}

uint64_t geometry_row_bytes(const struct geometry *g)
{
	return g->width * g->samples * voxel_bytes(g->type);
}

uint64_t geometry_slice_bytes(const struct geometry *g)
{
	return geometry_row_bytes(g) * g->height;
}

/* No field beyond its bound, and the bytes of a slice and of the whole neither; zeros (not known) are fine. */
static bool within_bounds(const struct geometry *g)
{
	uint64_t slice, whole;

	if ((unsigned)g->format >= IMAGE_FORMATS || (unsigned)g->type >= VOXEL_TYPES || g->samples > SAMPLES_MAX)
		return false;
	if (g->width > AXIS_MAX || g->height > AXIS_MAX || g->depth > AXIS_MAX || g->offset > 1ULL << FILE_BITS)
		return false;
	for (size_t i = 0; i < 3; i++)
		if (!isfinite(g->voxel_um[i]) || g->voxel_um[i] < 0)
			return false;
	/* A row is below 2^31 * 16 * 8 = 2^38 bytes. */
	return !__builtin_mul_overflow(geometry_row_bytes(g), g->height, &slice) && slice <= 1ULL << SLICE_BITS &&
	       !__builtin_mul_overflow(slice, g->depth, &whole) && whole <= 1ULL << WHOLE_BITS;
}

bool geometry_sane(const struct geometry *g)
{
	return within_bounds(g) && g->format != IMAGE_NONE && g->type != VOXEL_NONE && g->samples && g->width &&
	       g->height && g->depth;
}

bool geometry_same_slice(const struct geometry *a, const struct geometry *b)
{
	return a->format == b->format && a->width == b->width && a->height == b->height && a->type == b->type &&
	       a->samples == b->samples;
}

static void put_double(struct buf *out, double v)
{
	uint64_t bits;

	memcpy(&bits, &v, sizeof bits);
	buf_u64(out, bits);
}

static double get_double(struct cursor *in)
{
	uint64_t bits = cursor_u64(in);
	double v;

	memcpy(&v, &bits, sizeof v);
	return v;
}

void geometry_encode(struct buf *out, const struct geometry *g)
{
	buf_u8(out, GEOMETRY_VERSION);
	buf_u8(out, (uint8_t)g->format);
	buf_u8(out, (uint8_t)g->type);
	buf_u8(out, g->samples);
	buf_u8(out, (uint8_t)((g->big_endian ? FLAG_BIG_ENDIAN : 0) | (g->palette ? FLAG_PALETTE : 0)));
	buf_varint(out, g->width);
	buf_varint(out, g->height);
	buf_varint(out, g->depth);
	buf_varint(out, g->offset);
	for (size_t i = 0; i < 3; i++)
		put_double(out, g->voxel_um[i]);
}

int geometry_decode(struct cursor *in, struct geometry *g)
{
	uint8_t version = cursor_u8(in), flags;

	*g = (struct geometry) { 0 };
	g->format = (enum image_format)cursor_u8(in);
	g->type = (enum voxel_type)cursor_u8(in);
	g->samples = cursor_u8(in);
	flags = cursor_u8(in);
	g->big_endian = flags & FLAG_BIG_ENDIAN;
	g->palette = flags & FLAG_PALETTE;
	g->width = cursor_varint(in);
	g->height = cursor_varint(in);
	g->depth = cursor_varint(in);
	g->offset = cursor_varint(in);
	for (size_t i = 0; i < 3; i++)
		g->voxel_um[i] = get_double(in);
	if (cursor_failed(in) || version != GEOMETRY_VERSION || flags & ~FLAGS_KNOWN || !within_bounds(g)) {
		*g = (struct geometry) { 0 };
		return err_set(EBADMSG, "the geometry of an image makes no sense");
	}
	return 0;
}
