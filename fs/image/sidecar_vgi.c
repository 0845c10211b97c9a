/*
 * Volume Graphics .vgi: declares one or more raw files (.vol).
 *
 * Sources: .vgi files of VGStudio MAX 1.2 and of Nikon and GE scanners. [file1] says what is on the disk;
 * [representation] says what the program makes of it, and may name another type and another size.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fs/image/sidecar_tools.h"
#include "fs/image/text.h"
#include "store/err.h"

enum { FILES_MAX = 64 };

static bool detect(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".vgi") && text_contains(head, head_len, "[");
}

static enum voxel_type type_of(const struct ini *ini, const char *section)
{
	static const enum voxel_type whole[4] = { VOXEL_U8, VOXEL_U16, VOXEL_U32, VOXEL_U64 };
	static const enum voxel_type with_sign[4] = { VOXEL_I8, VOXEL_I16, VOXEL_I32, VOXEL_I64 };
	const char *name = ini_get(ini, section, "Datatype");
	uint64_t bits = 0;
	int size;

	ini_count(ini, section, "BitsPerElement", &bits);
	size = bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : bits == 64 ? 3 : -1;
	if (size < 0)
		return VOXEL_NONE;
	if (!name || !strcasecmp(name, "unsigned integer"))
		return whole[size];
	if (!strcasecmp(name, "float"))
		return bits == 32 ? VOXEL_F32 : bits == 64 ? VOXEL_F64 : VOXEL_NONE;
	return !strcasecmp(name, "signed integer") || !strcasecmp(name, "integer") ? with_sign[size] : VOXEL_NONE;
}

static void declare_file(const struct ini *ini, const char *section, const double voxel_um[3], struct sidecar *out)
{
	const char *name = ini_get(ini, section, "Name"), *size = ini_get(ini, section, "Size");
	const char *format = ini_get(ini, section, "FileFormat"), *order = ini_get(ini, section, "ByteOrder");
	struct geometry geo = { .samples = 1, .type = type_of(ini, section) };
	double xyz[3];

	if (!name || !size || text_numbers(size, xyz, 3) != 3 || (format && strcasecmp(format, "raw") != 0))
		return;
	for (int i = 0; i < 3; i++)
		if (!(xyz[i] >= 1 && xyz[i] < 2147483648.0))
			return;
	geo.width = (uint64_t)xyz[0];
	geo.height = (uint64_t)xyz[1];
	geo.depth = (uint64_t)xyz[2];
	geo.big_endian = order && strcasestr(order, "big");
	ini_count(ini, section, "SkipHeader", &geo.offset);
	memcpy(geo.voxel_um, voxel_um, sizeof geo.voxel_um);
	sidecar_declare(out, name, NULL, geo);
}

static int parse(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	struct ini ini scope_ini = { 0 };
	const char *resolution, *unit, *text;
	double xyz[3], voxel_um[3] = { 0 };
	int rc = ini_parse(&ini, bytes, len, '=');

	(void)name;
	if (rc < 0)
		return rc;
	resolution = ini_get(&ini, "geometry", "resolution");
	unit = ini_get(&ini, "geometry", "unit");
	if (resolution && text_numbers(resolution, xyz, 3) == 3) {
		double um = text_length_um(unit ? unit : "mm");

		for (int i = 0; i < 3; i++)
			voxel_um[i] = xyz[2 - i] * um;
		sidecar_voxel(out, voxel_um[0], voxel_um[1], voxel_um[2], "[geometry] resolution", resolution);
	}
	text = ini_get(&ini, "description", "text");
	findings_add(&out->facts, "description", text, "[description] text", text);
	text = ini_get(&ini, "version", "release");
	findings_add(&out->facts, "software", text, "[version] release", text);
	for (int i = 1; i <= FILES_MAX; i++) {
		char section[16];

		snprintf(section, sizeof section, "file%d", i);
		if (!ini_get(&ini, section, "Name"))
			break;
		declare_file(&ini, section, voxel_um, out);
	}
	if (!out->facts.count && !out->data_count)
		return err_set(EBADMSG, "names neither a raw file nor a resolution");
	return 0;
}

const struct sidecar_ops sidecar_vgi = { .name = "Volume Graphics .vgi", .detect = detect, .parse = parse };
