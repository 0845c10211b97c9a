/* Raw volumes: by a hint, by the file's name, by what its bytes look like. */

#include <string.h>

#include "fs/image/detect.h"
#include "fs/image/layout_internal.h"
#include "fs/image/sidecar.h"

bool raw_magic(const uint8_t *head, size_t len)
{
	static const struct {
		uint8_t len;
		char bytes[8];
	} known[] = {
		{ 4, "\x89HDF" },
		{ 4, "\x89PNG" },
		{ 4, "PK\3\4" },
		{ 3, "\x1f\x8b\b" },
		{ 3, "\xff\xd8\xff" },
		{ 4, "\x28\xb5\x2f\xfd" },
		{ 6, "\xfd"
		     "7zXZ" },
		{ 6, "7z\xbc\xaf\x27\x1c" },
		{ 3, "BZh" },
		{ 4, "%PDF" },
		{ 4, "\x7f"
		     "ELF" },
		{ 4, "\4\x22\x4d\x18" },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (len >= known[i].len && !memcmp(head, known[i].bytes, known[i].len))
			return true;
	return len >= 8 && !memcmp(head + 4, "ftyp", 4);
}

static struct chunk_plan plan_of(const struct layout_hint *hint)
{
	const struct geometry *g = &hint->geo;
	struct chunk_plan plan = {
		.slice_bytes = geometry_slice_bytes(g),
		.slices = g->depth,
		.sample_bytes = (uint8_t)voxel_bytes(g->type),
		.big_endian = g->big_endian,
		.is_float = g->type == VOXEL_F32 || g->type == VOXEL_F64,
		.samples = g->samples,
	};

	if (geometry_row_bytes(g) <= UINT32_MAX)
		plan.row_bytes = (uint32_t)geometry_row_bytes(g);
	if (!hint->depth_known)
		plan.slices = (LAYOUT_FILE_MAX - g->offset % LAYOUT_FILE_MAX) / plan.slice_bytes;
	return plan;
}

static bool lay_out(struct layout *l, const struct geometry *geo, bool depth_known)
{
	struct layout_hint hint = { .geo = *geo, .depth_known = depth_known };
	struct chunk_plan plan = plan_of(&hint);

	if (!plan.row_bytes)
		return false;
	l->hint.geo = *geo;
	l->hint.depth_known = depth_known;
	map_add(&l->map, geo->offset, &plan, 0);
	return true;
}

void raw_begin(struct layout *l)
{
	struct geometry geo = l->hint.geo;

	if (geo.type != VOXEL_NONE && lay_out(l, &geo, l->hint.depth_known))
		return;
	l->hint.geo.type = VOXEL_NONE;
	if (!header_likely(l->head, l->head_len) && sidecar_said_by_name(l->name, &geo) == 0 &&
	    geo.type != VOXEL_NONE && lay_out(l, &geo, true))
		return;
	l->sniff = 0;
	l->sniff_end = UINT64_MAX;
}

uint64_t raw_sniff_bytes(const struct layout *l)
{
	if (l->kind == KIND_RAW && header_likely(l->head, l->head_len))
		return HEADER_MOST;
	return DETECT_MOST; /* large slices are only recognised when two of them are seen */
}

static bool by_header(struct layout *l, const uint8_t *bytes, size_t len)
{
	struct geometry geo;

	if (l->kind != KIND_RAW || !header_likely(l->head, l->head_len))
		return false;
	return header_read(l->name, bytes, len < HEADER_MOST ? len : HEADER_MOST, &geo) && lay_out(l, &geo, true);
}

static enum voxel_type type_of(unsigned bytes, bool is_float)
{
	switch (bytes) {
	case 1:
		return VOXEL_U8;
	case 2:
		return VOXEL_U16;
	case 4:
		return is_float ? VOXEL_F32 : VOXEL_U32;
	case 8:
		return is_float ? VOXEL_F64 : VOXEL_U64;
	default:
		return VOXEL_NONE;
	}
}

/* The name says the sizes and not the type: that follows from the size of the file, or the length of a row. */
static bool by_name(struct layout *l, const struct detected *d)
{
	struct geometry geo;

	if (l->kind != KIND_RAW || sidecar_said_by_name(l->name, &geo) < 0)
		return false;
	if (l->ended && sidecar_from_name(l->name, l->fed, &geo) == 0)
		return lay_out(l, &geo, true);
	if (!d || d->row_bytes % geo.width)
		return false;
	geo.type = type_of((unsigned)(d->row_bytes / geo.width), d->is_float);
	geo.big_endian = d->big_endian;
	return geometry_sane(&geo) && lay_out(l, &geo, true);
}

/* Rows without slices: are there files whose slices have such rows? bytes: of the pixels, 0: not known. */
static uint64_t slice_like(const struct layout *l, const struct detected *d, uint64_t bytes)
{
	for (size_t i = 0; i < LAYOUT_SHAPES; i++) {
		const struct layout_shape *s = &l->hint.shapes[i];

		if (s->slice_bytes && s->row_bytes == d->row_bytes && s->sample_bytes == d->sample_bytes &&
		    bytes % s->slice_bytes == 0)
			return s->slice_bytes;
	}
	return 0;
}

/* size: of the file from where the bytes are, 0: not known. */
static void by_bytes(struct layout *l, const struct detected *d, uint64_t size)
{
	uint64_t start = l->sniff + d->header_bytes,
		 end = l->sniff_end < LAYOUT_FILE_MAX ? l->sniff_end : LAYOUT_FILE_MAX;
	uint64_t slice =
	    d->slice_bytes ? d->slice_bytes : slice_like(l, d, size > d->header_bytes ? size - d->header_bytes : 0);
	struct chunk_plan plan = {
		.slice_bytes = slice ? slice : d->row_bytes,
		.row_bytes = d->row_bytes,
		.sample_bytes = d->sample_bytes,
		.big_endian = d->big_endian,
		.is_float = d->is_float,
		.samples = 1,
	};
	struct geometry geo = {
		.format = IMAGE_RAW,
		.type = slice ? type_of(d->sample_bytes, d->is_float) : VOXEL_NONE,
		.samples = 1,
		.big_endian = d->big_endian,
		.width = d->row_bytes / d->sample_bytes,
		.height = plan.slice_bytes / plan.row_bytes,
		.depth = 1,
		.offset = d->header_bytes,
	};

	if (start >= end)
		return;
	plan.slices = (end - start) / plan.slice_bytes;
	if (l->kind == KIND_TIFF) {
		map_guess(&l->map, start, &plan);
		return;
	}
	map_add(&l->map, start, &plan, 0);
	l->hint.depth_known = false;
	if (geometry_sane(&geo))
		l->hint.geo = geo;
}

void raw_sniff(struct layout *l, const uint8_t *bytes, size_t len)
{
	struct detected found;
	uint64_t size = l->ended ? l->fed - l->sniff : 0;
	bool any;

	if (l->kind == KIND_TIFF && l->sniff_end != UINT64_MAX)
		size = l->sniff_end - l->sniff;
	if (by_header(l, bytes, len))
		return;
	any = detect_raw(bytes, len, size, &found) == 0 && found.sample_bytes && found.row_bytes;
	if (!by_name(l, any ? &found : NULL) && any)
		by_bytes(l, &found, size);
}
