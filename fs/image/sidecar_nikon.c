/*
 * Nikon Metrology (X-Tek): .xtekct (INI, what the reconstruction is told), _ctdata.txt (a table of angles and times
 * whose first two lines name the exposure) and .ctprofile.xml (settings of the scan).
 *
 * Sources: files of a Nikon XT H 225 (Inspect-X 5.4, CT Pro 3D). A value of the .xtekct holds XML that claims to be
 * UTF-16; it is not looked at.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/image/sidecar_tools.h"
#include "fs/image/text.h"
#include "fs/image/xml.h"
#include "store/err.h"

static bool is_xtekct(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".xtekct") && text_contains(head, head_len, "[XTekCT]");
}

static void filter_finding(struct sidecar *out, const char *material, const char *thickness, const char *key)
{
	char text[128];
	double mm;

	if (!material || !strcmp(material, "None") || !thickness || !text_number(thickness, &mm, NULL) || mm <= 0)
		return;
	snprintf(text, sizeof text, "%.10g mm %s", mm, material);
	findings_add(&out->facts, "filter", text, key, text);
}

static int parse_xtekct(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	static const struct ini_rule rules[] = {
		{ "sample", "XTekCT", "Name", INI_TEXT, 0 },
		{ "operator", "XTekCT", "OperatorID", INI_TEXT, 0 },
		{ "voltage_kV", "Xrays", "XraykV", INI_NUMBER, 0 },
		{ "current_uA", "Xrays", "XrayuA", INI_NUMBER, 0 },
		{ "projections", "XTekCT", "Projections", INI_NUMBER, 0 },
		{ "source_object_mm", "XTekCT", "SrcToObject", INI_NUMBER, 0 },
		{ "source_detector_mm", "XTekCT", "SrcToDetector", INI_NUMBER, 0 },
	};
	struct ini ini scope_ini = { 0 };
	double x, y, z;
	int rc = ini_parse(&ini, bytes, len, '=');

	(void)name;
	if (rc < 0)
		return rc;
	ini_findings(&ini, rules, sizeof rules / sizeof *rules, &out->facts);
	filter_finding(out, ini_get(&ini, "CTPro", "Filter_Material"), ini_get(&ini, "CTPro", "Filter_ThicknessMM"),
		       "[CTPro] Filter_Material");
	if (ini_get(&ini, "CTPro", "Version"))
		sidecar_joined(out, "software", "Nikon CT Pro", ini_get(&ini, "CTPro", "Version"), "[CTPro] Version");
	if (ini_number(&ini, "XTekCT", "VoxelSizeX", &x) && ini_number(&ini, "XTekCT", "VoxelSizeY", &y) &&
	    ini_number(&ini, "XTekCT", "VoxelSizeZ", &z)) {
		const char *unit = ini_get(&ini, "XTekCT", "Units");
		double um = unit ? text_length_um(unit) : 1e3;

		sidecar_voxel(out, z * um, y * um, x * um, "[XTekCT] VoxelSizeX",
			      ini_get(&ini, "XTekCT", "VoxelSizeX"));
	}
	out->acquisition = true;
	out->images_declared = sidecar_number(out, "projections");
	return 0;
}

static bool is_ctdata(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, "_ctdata.txt") && text_contains(head, head_len, "Exposure(ms)");
}

static int parse_ctdata(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	scope_free char *text = text_utf8(bytes, len < 4096 ? len : 4096);
	const char *line;
	double values[3];

	(void)name;
	if (!text)
		return err_set(ENOMEM, "no memory to read a table");
	line = strstr(text, "Exposure(ms)");
	line = line ? line + strcspn(line, "\r\n") : NULL;
	if (!line || text_numbers(line, values, 3) != 3)
		return err_set(EBADMSG, "its second line is not projections, frames and exposure");
	findings_add_number(&out->facts, "projections", values[0], "Projections", NULL);
	findings_add_number(&out->facts, "exposure_ms", values[2], "Exposure(ms)", NULL);
	return 0;
}

static bool is_ctprofile(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".ctprofile.xml") && text_contains(head, head_len, "<CTProfile");
}

struct profile {
	struct path_rules rules;
	struct sidecar *out;
	char material[64];
};

static int profile_visit(void *ctx, const char *path, const char *value)
{
	struct profile *profile = ctx;

	path_finding(&profile->rules, path, value);
	if (value && !strcmp(path, "CTProfile/XrayFilterMaterial"))
		snprintf(profile->material, sizeof profile->material, "%s", value);
	if (value && !strcmp(path, "CTProfile/XrayFilterThickness"))
		filter_finding(profile->out, profile->material, value, path);
	return 0;
}

static int parse_ctprofile(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	static const struct path_rule rules[] = {
		{ "voltage_kV", "CTProfile/XraySettings/kV", INI_NUMBER, 0 },
		{ "current_uA", "CTProfile/XraySettings/uA", INI_NUMBER, 0 },
		{ "exposure_ms", "CTProfile/ImagingSettings@exposure", INI_NUMBER, 0 },
		{ "projections", "CTProfile/Projections", INI_NUMBER, 0 },
		{ "sample", "CTProfile/DataSetName", INI_TEXT, 0 },
	};
	scope_free char *text = text_utf8(bytes, len);
	struct profile profile = {
		.rules = { rules, sizeof rules / sizeof *rules, &out->facts },
		.out = out,
	};

	(void)name;
	if (!text)
		return err_set(ENOMEM, "no memory to read a profile");
	return xml_visit(text, strlen(text), profile_visit, &profile);
}

const struct sidecar_ops sidecar_nikon_xtekct = { .name = "Nikon .xtekct", .detect = is_xtekct, .parse = parse_xtekct };
const struct sidecar_ops sidecar_nikon_ctdata = { .name = "Nikon _ctdata.txt",
						  .detect = is_ctdata,
						  .parse = parse_ctdata };
const struct sidecar_ops sidecar_nikon_ctprofile = { .name = "Nikon .ctprofile.xml",
						     .detect = is_ctprofile,
						     .parse = parse_ctprofile };
