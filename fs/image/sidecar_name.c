/*
 * The geometry of a raw volume from its file name, as people write it: "bone_1000x1000x500_16bit.raw" (x, y, z),
 * "scan-512x512x300-float32-be.vol", "bone 5.2um 64x32x16.raw". Without a type it follows from the size when that can
 * only be one. Where the size of the file is known, the product must be it exactly.
 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/image/sidecar.h"
#include "fs/image/text.h"

static bool is_times(const char *c, size_t *len)
{
	*len = *c == 'x' || *c == '*' ? 1 : !strncmp(c, "\303\227", 2) ? 2 : 0;
	return *len;
}

/* "1000x1000x500" at text; the end, or NULL. */
static const char *scan_sizes(const char *text, uint64_t xyz[3])
{
	for (int i = 0; i < 3; i++) {
		size_t times, digits = strspn(text, "0123456789");

		if (digits == 0 || digits > 9)
			return NULL;
		xyz[i] = strtoull(text, NULL, 10);
		text += digits;
		if (i == 2)
			return text;
		if (!is_times(text, &times))
			return NULL;
		text += times;
	}
	return NULL;
}

struct words { /* what the name says beside the sizes */
	enum voxel_type type;
	unsigned bits;
	bool big, is_signed, is_unsigned, is_float;
	double um;
};

static void take_word(const char *word, struct words *said)
{
	enum voxel_type type = voxel_from_name(word);
	const char *end;
	double number;

	if (!strcmp(word, "be") || !strcmp(word, "bigendian") || !strcmp(word, "msb") || !strcmp(word, "big"))
		said->big = true;
	else if (!strcmp(word, "signed"))
		said->is_signed = true;
	else if (!strcmp(word, "unsigned"))
		said->is_unsigned = true;
	else if (!strcmp(word, "float") || !strcmp(word, "real"))
		said->is_float = true;
	else if (isdigit((unsigned char)*word) && text_number(word, &number, &end)) {
		if ((!strcmp(end, "bit") || !strcmp(end, "bits") || !strcmp(end, "b")) && number >= 8 && number <= 64)
			said->bits = (unsigned)number;
		else if (!strcmp(end, "um") || !strcmp(end, "\302\265m") || !strcmp(end, "\316\274m"))
			said->um = number;
		else if (!strcmp(end, "nm"))
			said->um = number / 1e3;
	} else if (type != VOXEL_NONE && strlen(word) > 1) {
		said->type = type;
		if (text_ends(word, "be"))
			said->big = true;
	} else if (strlen(word) > 4 && (text_ends(word, "be") || text_ends(word, "le"))) { /* "uint16be" */
		char stem[32];

		snprintf(stem, sizeof stem, "%.*s", (int)(strlen(word) - 2), word);
		type = voxel_from_name(stem);
		if (type != VOXEL_NONE) {
			said->type = type;
			said->big = text_ends(word, "be");
		}
	}
}

/* Splits at what is neither a letter, a digit nor a decimal point between digits; "16-bit" and "16_bit" are one word.
 */
static void take_words(char *name, struct words *said)
{
	while (*name) {
		char *end = name, *next;
		char kept;

		for (; *end; end++) {
			bool point = *end == '.' && end > name && isdigit((unsigned char)end[-1]) &&
				     isdigit((unsigned char)end[1]);

			if (!isalnum((unsigned char)*end) && !((unsigned char)*end & 0x80) && !point)
				break;
		}
		if (end > name && strspn(name, "0123456789") == (size_t)(end - name) && *end &&
		    !strncmp(end + 1, "bit", 3)) {
			memmove(end, end + 1, strlen(end + 1) + 1);
			while (isalnum((unsigned char)*end))
				end++;
		}
		kept = *end;
		next = kept ? end + 1 : end;
		*end = 0;
		if (*name)
			take_word(name, said);
		*end = kept;
		name = next;
	}
}

static enum voxel_type type_said(const struct words *said)
{
	if (said->type != VOXEL_NONE)
		return said->type;
	switch (said->bits) {
	case 8:
		return said->is_signed ? VOXEL_I8 : VOXEL_U8;
	case 16:
		return said->is_signed ? VOXEL_I16 : VOXEL_U16;
	case 32: /* a volume of 32 bits is float, unless it says that it is not */
		return said->is_signed ? VOXEL_I32 : said->is_unsigned ? VOXEL_U32 : VOXEL_F32;
	case 64:
		return said->is_signed ? VOXEL_I64 : said->is_unsigned ? VOXEL_U64 : VOXEL_F64;
	default:
		return said->is_float ? VOXEL_F32 : VOXEL_NONE;
	}
}

static void say(struct geometry *geo, const uint64_t xyz[3], const struct words *said)
{
	*geo = (struct geometry) {
		.format = IMAGE_RAW,
		.type = type_said(said),
		.samples = 1,
		.big_endian = said->big,
		.width = xyz[0],
		.height = xyz[1],
		.depth = xyz[2],
		.voxel_um = { said->um, said->um, said->um },
	};
}

static bool fits(struct geometry *geo, const uint64_t xyz[3], const struct words *said, uint64_t size)
{
	static const enum voxel_type by_bytes[9] = {
		[1] = VOXEL_U8, [2] = VOXEL_U16, [4] = VOXEL_F32, [8] = VOXEL_F64
	};
	uint64_t voxels;

	if (!xyz[0] || !xyz[1] || !xyz[2] || __builtin_mul_overflow(xyz[0], xyz[1], &voxels) ||
	    __builtin_mul_overflow(voxels, xyz[2], &voxels))
		return false;
	say(geo, xyz, said);
	if (geo->type == VOXEL_NONE && size % voxels == 0 && size / voxels <= 8)
		geo->type = by_bytes[size / voxels];
	return geometry_sane(geo) && geometry_slice_bytes(geo) * geo->depth == size;
}

/* Without a size any type will do to see whether there could be such a volume. */
static bool possible(struct geometry *geo, const uint64_t xyz[3], const struct words *said)
{
	struct geometry check;

	say(geo, xyz, said);
	check = *geo;
	if (check.type == VOXEL_NONE)
		check.type = VOXEL_U8;
	return geometry_sane(&check);
}

/* size NULL: not known. */
static int read_name(const char *name, const uint64_t *size, struct geometry *geo)
{
	scope_free char *lower = text_lower(text_leaf(name));
	scope_free char *words = lower ? strdup(lower) : NULL;
	struct words said = { 0 };
	struct geometry found;
	uint64_t xyz[3];

	if (!lower || !words)
		return -ENOENT;
	take_words(words, &said);
	for (const char *at = lower; *at; at++) {
		const char *end;

		if (!isdigit((unsigned char)*at) || (at > lower && isdigit((unsigned char)at[-1])))
			continue;
		end = scan_sizes(at, xyz);
		if (end && (size ? fits(&found, xyz, &said, *size) : possible(&found, xyz, &said))) {
			*geo = found;
			return 0;
		}
	}
	return -ENOENT;
}

int sidecar_from_name(const char *name, uint64_t size, struct geometry *geo)
{
	return read_name(name, &size, geo);
}

int sidecar_said_by_name(const char *name, struct geometry *geo)
{
	return read_name(name, NULL, geo);
}
