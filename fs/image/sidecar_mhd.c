/*
 * MetaImage: .mhd (header with a detached data file) and .mha (header and data in one).
 *
 * Source: itk.org/Wiki/ITK/MetaIO/Documentation and MetaIO's metaImage.cxx. Lengths are millimetres. MET_LONG has 4
 * bytes.
 */

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "fs/image/sidecar_tools.h"
#include "fs/image/text.h"
#include "store/err.h"

enum { AXES_MAX = 4 };

static bool detect(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return (text_ends(lower_name, ".mhd") || text_ends(lower_name, ".mha")) &&
	       text_contains(head, head_len, "DimSize");
}

static enum voxel_type type_of(const char *name)
{
	if (!name || strncasecmp(name, "MET_", 4) != 0)
		return VOXEL_NONE;
	if (!strcasecmp(name, "MET_LONG"))
		return VOXEL_I32;
	if (!strcasecmp(name, "MET_ULONG"))
		return VOXEL_U32;
	return voxel_from_name(name + 4);
}

static bool is_true(const struct ini *ini, const char *key)
{
	const char *text = ini_get(ini, NULL, key);

	return text && (!strcasecmp(text, "True") || !strcmp(text, "1"));
}

/* Where the data begin in a file whose header ends with the line "ElementDataFile = LOCAL"; 0: there is no such line.
 */
static uint64_t end_of_header(const uint8_t *bytes, size_t len)
{
	static const char word[] = "ElementDataFile";

	for (size_t i = 0; i + sizeof word < len; i++) {
		const uint8_t *end;

		if ((i && bytes[i - 1] != '\n') || memcmp(bytes + i, word, sizeof word - 1) != 0)
			continue;
		end = memchr(bytes + i, '\n', len - i);
		return end ? (uint64_t)(end + 1 - bytes) : 0;
	}
	return 0;
}

/* The header of a .mha ends before its data, in which anything may stand. */
static size_t header_len(const uint8_t *bytes, size_t len)
{
	uint64_t end = end_of_header(bytes, len);

	return end ? (size_t)end : len;
}

static bool sizes(const struct ini *ini, struct geometry *geo)
{
	double axes[AXES_MAX] = { 1, 1, 1, 1 };
	const char *text = ini_get(ini, NULL, "DimSize");
	size_t n = text ? text_numbers(text, axes, AXES_MAX) : 0;

	for (size_t i = 0; i < AXES_MAX; i++)
		if (!(axes[i] >= 1 && axes[i] < 2147483648.0))
			return false;
	if (n < 2 || axes[3] != 1)
		return false;
	geo->width = (uint64_t)axes[0];
	geo->height = (uint64_t)axes[1];
	geo->depth = (uint64_t)axes[2];
	return true;
}

static void spacing(const struct ini *ini, struct geometry *geo, struct sidecar *out)
{
	const char *key = "ElementSpacing", *text = ini_get(ini, NULL, key);
	double xyz[3] = { 0 };
	size_t n;

	if (!text) {
		key = "ElementSize";
		text = ini_get(ini, NULL, key);
	}
	n = text ? text_numbers(text, xyz, 3) : 0;
	if (n < 2)
		return;
	for (int i = 0; i < 3; i++)
		geo->voxel_um[i] = xyz[2 - i] * 1e3;
	if (n == 3)
		sidecar_voxel(out, xyz[2] * 1e3, xyz[1] * 1e3, xyz[0] * 1e3, key, text);
}

static int parse(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	struct ini ini scope_ini = { 0 };
	struct geometry geo = { .samples = 1 };
	const char *file, *comment, *skip;
	uint64_t channels = 1;
	int rc = ini_parse(&ini, bytes, header_len(bytes, len), '=');

	if (rc < 0)
		return rc;
	if (!sizes(&ini, &geo))
		return err_set(EBADMSG, "DimSize is not two or three sizes");
	spacing(&ini, &geo, out);
	comment = ini_get(&ini, NULL, "Comment");
	findings_add(&out->facts, "description", comment, "Comment", comment);
	ini_count(&ini, NULL, "ElementNumberOfChannels", &channels);
	geo.samples = channels >= 1 && channels <= 4 ? (uint8_t)channels : 0;
	geo.type = type_of(ini_get(&ini, NULL, "ElementType"));
	geo.big_endian = is_true(&ini, "BinaryDataByteOrderMSB") || is_true(&ini, "ElementByteOrderMSB");
	skip = ini_get(&ini, NULL, "HeaderSize");
	file = ini_get(&ini, NULL, "ElementDataFile");
	/* compressed data, lists and patterns of files are no raw volume; HeaderSize -1 counts from the end of a file
	 * that is not known here */
	if (!file || is_true(&ini, "CompressedData") || strchr(file, '%') || !strncasecmp(file, "LIST", 4) ||
	    (skip && !text_count(skip, &geo.offset)))
		return 0;
	if (!strcasecmp(file, "LOCAL")) {
		geo.offset = end_of_header(bytes, len);
		file = name;
	}
	sidecar_declare(out, file, NULL, geo);
	return 0;
}

const struct sidecar_ops sidecar_mhd = { .name = "MetaImage header", .detect = detect, .parse = parse };
