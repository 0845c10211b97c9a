/*
 * geometry: what a file of pixels holds, as its header, its sidecar or its name declares it. Plain values; nothing here
 * reads a pixel. One geometry describes one file; a stack of single-slice files has one geometry each, all alike.
 *
 * Axes are always named and ordered z (slices or pages), y (rows), x (columns).
 */
#ifndef TOMOFS_GEOMETRY_H
#define TOMOFS_GEOMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"

/* Sample types. The numbers are stored in the journal: add at the end, never renumber. */
enum voxel_type {
	VOXEL_NONE = 0,
	VOXEL_U8 = 1,
	VOXEL_I8 = 2,
	VOXEL_U16 = 3,
	VOXEL_I16 = 4,
	VOXEL_U32 = 5,
	VOXEL_I32 = 6,
	VOXEL_F32 = 7,
	VOXEL_U64 = 8,
	VOXEL_I64 = 9,
	VOXEL_F64 = 10,
	VOXEL_TYPES
};

/* Which reader understands the file. Stored in the journal: add at the end, never renumber. */
enum image_format { IMAGE_NONE = 0, IMAGE_TIFF = 1, IMAGE_RAW = 2, IMAGE_FORMATS };

struct geometry {
	enum image_format format;
	enum voxel_type type;
	uint8_t samples;     /* samples per pixel: 1 gray, 3 RGB, 4 RGBA; interleaved */
	bool big_endian;     /* byte order of the samples in the file */
	bool palette;        /* samples are indices into a colour table */
	uint64_t width;      /* pixels of a row, 1 to 2^31-1 */
	uint64_t height;     /* rows of a slice, 1 to 2^31-1 */
	uint64_t depth;      /* slices (pages) in this file, 1 to 2^31-1 */
	uint64_t offset;     /* IMAGE_RAW: byte offset of the first pixel */
	double voxel_um[3];  /* size of a voxel in micrometres, z y x; 0 = not known */
};

/* 1, 2, 4 or 8; 0 for VOXEL_NONE and unknown numbers. */
size_t voxel_bytes(enum voxel_type type);
/* The numpy name, "uint16"; "" for VOXEL_NONE. */
const char *voxel_name(enum voxel_type type);
/* From a numpy name, or a common spelling ("uint16", "u16", "ushort", "float", "unsigned short"); VOXEL_NONE when unknown. */
enum voxel_type voxel_from_name(const char *name);

/* Bytes of one row and of one slice of pixels. The geometry is sane, so these do not overflow. */
uint64_t geometry_row_bytes(const struct geometry *g);
uint64_t geometry_slice_bytes(const struct geometry *g);

/* True when type, samples and sizes are within bounds, a slice is at most 2^40 bytes and the whole at most 2^44 bytes.
 * Every geometry that comes from foreign bytes passes this once, where it is made. */
bool geometry_sane(const struct geometry *g);

/* Could both be slices of one stack: same format, width, height, type and samples. */
bool geometry_same_slice(const struct geometry *a, const struct geometry *b);

/* Versioned encoding for journal records and index values (see index/SCHEMA.md). */
void geometry_encode(struct buf *out, const struct geometry *g);
int geometry_decode(struct cursor *in, struct geometry *g); /* 0, or -EBADMSG */

#endif
