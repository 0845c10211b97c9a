/*
 * NRRD: .nhdr (header with a detached data file) and .nrrd (header, an empty line, then the data).
 *
 * Source: teem.sourceforge.net/nrrd/format.html. Only raw encoding is declared as data. Axes are named fastest first.
 */

#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "fs/image/sidecar_tools.h"
#include "fs/image/text.h"
#include "store/err.h"

enum { AXES_MAX = 4 };

static bool detect(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return (text_ends(lower_name, ".nhdr") || text_ends(lower_name, ".nrrd")) && head_len > 8 &&
	       !memcmp(head, "NRRD000", 7);
}

static enum voxel_type type_of(const char *name)
{
	char word[40];
	size_t len = strlen(name);

	if (len >= sizeof word)
		return VOXEL_NONE;
	memcpy(word, name, len + 1);
	if (voxel_from_name(word) == VOXEL_NONE && len > 4 && !strcmp(word + len - 4, " int"))
		word[len - 4] = 0; /* "unsigned long long int" */
	return voxel_from_name(word);
}

/* The header is what stands before the first empty line. */
static size_t header_len(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++) {
		if (bytes[i] != '\n')
			continue;
		if (bytes[i + 1] == '\n')
			return i + 2;
		if (i + 2 < len && bytes[i + 1] == '\r' && bytes[i + 2] == '\n')
			return i + 3;
	}
	return len;
}

/* Axis lengths: 2 or 3, or 4 when the fastest one is the samples of a pixel. */
static int sizes(const struct ini *ini, struct geometry *geo, size_t *first_axis)
{
	double axes[AXES_MAX] = { 1, 1, 1, 1 };
	const char *text = ini_get(ini, NULL, "sizes");
	size_t n = text ? text_numbers(text, axes, AXES_MAX) : 0, at = 0;

	for (size_t i = 0; i < AXES_MAX; i++)
		if (!(axes[i] >= 1 && axes[i] < 2147483648.0))
			n = 0;
	if (n < 2 || (n == 4 && axes[0] > 4))
		return err_set(EBADMSG, "sizes are not two or three lengths");
	if (n == 4)
		geo->samples = (uint8_t)axes[at++];
	*first_axis = at;
	geo->width = (uint64_t)axes[at];
	geo->height = (uint64_t)axes[at + 1];
	geo->depth = n - at == 3 ? (uint64_t)axes[at + 2] : 1;
	return 0;
}

/* Millimetres when nothing else is said: that is what the named spaces ("left-posterior-superior") mean. */
static double unit_um(const struct ini *ini)
{
	const char *text = ini_get(ini, NULL, "space units");
	char unit[32];
	size_t len;

	if (!text)
		text = ini_get(ini, NULL, "units");
	if (!text)
		return ini_get(ini, NULL, "space") ? 1e3 : 0;
	text += strspn(text, "\" "); /* "mm" "mm" "mm", of which the outermost quotes are gone */
	len = strcspn(text, "\"");
	if (len >= sizeof unit)
		return 0;
	memcpy(unit, text, len);
	unit[len] = 0;
	return text_length_um(unit);
}

static void spacing(const struct ini *ini, size_t first_axis, struct geometry *geo, struct sidecar *out)
{
	const char *key = "spacings", *text = ini_get(ini, NULL, key);
	double um = unit_um(ini), xyz[3] = { 0 }, v[12];
	size_t n = 0;

	if (text) {
		char *skip = strstr(text, "nan");

		n = text_numbers(first_axis && skip ? skip + 3 : text, xyz, 3);
	} else {
		key = "space directions";
		text = ini_get(ini, NULL, key);
		while (text && *text && strncmp(text, "none", 4) == 0)
			text += 4 + strspn(text + 4, " ");
		for (size_t got = text ? text_numbers(text, v, 9) : 0; n < got / 3; n++)
			xyz[n] = sqrt(v[3 * n] * v[3 * n] + v[3 * n + 1] * v[3 * n + 1] + v[3 * n + 2] * v[3 * n + 2]);
	}
	if (n < 2 || !um)
		return;
	for (int i = 0; i < 3; i++)
		geo->voxel_um[i] = xyz[2 - i] * um;
	if (n == 3)
		sidecar_voxel(out, xyz[2] * um, xyz[1] * um, xyz[0] * um, key, text);
}

static int parse(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	size_t head = header_len(bytes, len), first_axis = 0;
	struct geometry geo = { .samples = 1 };
	struct ini ini scope_ini = { 0 };
	const char *type, *encoding, *file, *endian, *skip, *content;
	int rc = ini_parse(&ini, bytes, head, ':');

	if (rc < 0)
		return rc;
	rc = sizes(&ini, &geo, &first_axis);
	if (rc < 0)
		return rc;
	spacing(&ini, first_axis, &geo, out);
	content = ini_get(&ini, NULL, "content");
	findings_add(&out->facts, "description", content, "content", content);
	type = ini_get(&ini, NULL, "type");
	geo.type = type ? type_of(type) : VOXEL_NONE;
	endian = ini_get(&ini, NULL, "endian");
	geo.big_endian = endian && !strcasecmp(endian, "big");
	encoding = ini_get(&ini, NULL, "encoding");
	skip = ini_get(&ini, NULL, "byte skip");
	if (!skip)
		skip = ini_get(&ini, NULL, "byteskip");
	/* lines to skip, and bytes counted from the end, need the data file, which is not known here */
	if (!encoding || strcasecmp(encoding, "raw") != 0 || ini_get(&ini, NULL, "line skip") ||
	    ini_get(&ini, NULL, "lineskip") || (skip && !text_count(skip, &geo.offset)))
		return 0;
	file = ini_get(&ini, NULL, "data file");
	if (!file)
		file = ini_get(&ini, NULL, "datafile");
	if (!file && head < len) {
		if (__builtin_add_overflow(geo.offset, head, &geo.offset))
			return 0;
		file = name;
	}
	if (file && !strchr(file, '%') && strncmp(file, "LIST", 4) != 0)
		sidecar_declare(out, file, NULL, geo);
	return 0;
}

const struct sidecar_ops sidecar_nrrd = { .name = "NRRD header", .detect = detect, .parse = parse };
