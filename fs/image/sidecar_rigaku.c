/*
 * Rigaku CT Lab: DataInfo.xml (sample, study, series) and CT_DATE_TIME.xml (the volume beside it).
 *
 * Source: files of a CT Lab HX. Lengths are micrometres; -1 means not said. The .VOX volume has a header of its own
 * whose length these files do not say, so it is not declared as raw data.
 */

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "fs/image/sidecar_tools.h"
#include "fs/image/text.h"
#include "fs/image/xml.h"
#include "store/err.h"

static bool is_datainfo(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".xml") && text_contains(head, head_len, "<CtAllInfo");
}

static int datainfo_visit(void *ctx, const char *path, const char *value)
{
	const struct path_rules *rules = ctx;

	if (value && strcmp(value, "-1") != 0 && strcasecmp(value, "None") != 0)
		path_finding(rules, path, value);
	return 0;
}

/* One number in micrometres that stands for all axes: becomes voxel_size_um. */
struct pitch {
	struct path_rules rules;
	const char *path;
	char said[64];
};

static int pitch_visit(void *ctx, const char *path, const char *value)
{
	struct pitch *pitch = ctx;

	if (value && !strcmp(path, pitch->path) && strlen(value) < sizeof pitch->said)
		strcpy(pitch->said, value);
	return datainfo_visit(&pitch->rules, path, value);
}

static int parse_xml(const uint8_t *bytes, size_t len, struct pitch *pitch, struct sidecar *out)
{
	scope_free char *text = text_utf8(bytes, len);
	double um;
	int rc;

	if (!text)
		return err_set(ENOMEM, "no memory to read XML");
	rc = xml_visit(text, strlen(text), pitch_visit, pitch);
	if (rc == 0 && text_number(pitch->said, &um, NULL))
		sidecar_voxel(out, um, um, um, pitch->path, pitch->said);
	return rc;
}

static int parse_datainfo(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	static const struct path_rule rules[] = {
		{ "sample", "CtAllInfo/SampleInfo/SampleName1", INI_TEXT, 0 },
		{ "description", "CtAllInfo/SeriesInfo/SeriesComment", INI_TEXT, 0 },
		{ "start_time", "CtAllInfo/SeriesInfo/SeriesCreateDate", INI_TIME, 0 },
		{ "voltage_kV", "CtAllInfo/SeriesInfo/KV", INI_NUMBER, 0 },
		{ "current_uA", "CtAllInfo/SeriesInfo/UA", INI_NUMBER, 0 },
		{ "exposure_ms", "CtAllInfo/SeriesInfo/ExposureTime", INI_NUMBER, 0 },
		{ "projections", "CtAllInfo/SeriesInfo/TotalView", INI_NUMBER, 0 },
		{ "filter", "CtAllInfo/SeriesInfo/XrayFilter", INI_TEXT, 0 },
	};
	struct pitch pitch = {
		.rules = { rules, sizeof rules / sizeof *rules, &out->facts },
		.path = "CtAllInfo/SeriesInfo/VoxelSize",
	};

	(void)name;
	out->acquisition = true;
	return parse_xml(bytes, len, &pitch, out);
}

static bool is_volume(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".xml") && text_contains(head, head_len, "<data_info") &&
	       text_contains(head, head_len, "<volume");
}

static int parse_volume(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	struct pitch pitch = { .rules = { NULL, 0, &out->facts }, .path = "data_info/volume@pitch" };

	(void)name;
	return parse_xml(bytes, len, &pitch, out);
}

const struct sidecar_ops sidecar_rigaku_datainfo = { .name = "Rigaku DataInfo.xml",
						     .detect = is_datainfo,
						     .parse = parse_datainfo };
const struct sidecar_ops sidecar_rigaku_volume = { .name = "Rigaku volume description",
						   .detect = is_volume,
						   .parse = parse_volume };
