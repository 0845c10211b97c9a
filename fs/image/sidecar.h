/*
 * sidecar: the small text or XML files that scanners and programs write beside the pixels. A kind is one struct
 * sidecar_ops in a file of its own and a row of the table in sidecar.c.
 *
 * A sidecar may say facts, may declare the geometry of a data file beside it (raw volumes have no header), and may be an
 * acquisition record: the file that makes a folder a scan of its own (DESIGN: collections).
 *
 * Sources of the formats: FACTS "Where the facts stand in input files"; each .c names its own.
 */
#ifndef TOMOFS_SIDECAR_H
#define TOMOFS_SIDECAR_H

#include "fs/image/finding.h"
#include "index/geometry.h"

enum { SIDECAR_BYTES_MAX = 4 << 20 }; /* larger files are not sidecars */

struct sidecar_data {          /* a data file whose geometry the sidecar declares */
	char *name;            /* file name as the sidecar writes it, last path component only, UTF-8; owned */
	char *suffix;          /* or, when it names none: the suffix of the sidecar's own stem (".vol"); owned */
	struct geometry geo;   /* IMAGE_RAW, sane */
};

struct sidecar {               /* zeroed = empty */
	struct findings facts;
	struct sidecar_data *data; /* owned */
	size_t data_count;
	bool acquisition;      /* this is an acquisition record */
	uint64_t images_declared; /* projections or slices that should be there; 0 = not said */
};

struct sidecar_ops {
	const char *name;
	/* By lower-cased file name and the first 4 KiB. */
	bool (*detect)(const char *lower_name, const uint8_t *head, size_t head_len);
	/* bytes: the whole file. 0; -EBADMSG and a sentence when it cannot be understood. */
	int (*parse)(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out);
};

/* Could this file be a sidecar at all? (name and size only: decides whether it is read) */
bool sidecar_wanted(const char *name, uint64_t size);

/* 0 and *out filled; -ENOENT: no known sidecar; -EBADMSG: known, but broken. Any thread. */
int sidecar_parse(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out);
void sidecar_free(struct sidecar *s);
#define scope_sidecar SCOPE_CLEANUP(sidecar_free)

/* Geometry from a raw file's own name ("bone_1000x1000x500_16bit.raw": x, y, z). Checks that it fits size.
 * 0, or -ENOENT when the name says nothing that fits. */
int sidecar_from_name(const char *name, uint64_t size, struct geometry *geo);

/* The same while the size is not known yet: what the name says is believed. The type is VOXEL_NONE when it says none (then
 * only width, height and depth count). 0, or -ENOENT. */
int sidecar_said_by_name(const char *name, struct geometry *geo);

#endif
