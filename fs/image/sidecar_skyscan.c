/*
 * Bruker SkyScan: NAME.log of a scan, NAME_rec.log of a reconstruction (NRecon), which repeats the scan's.
 *
 * Sources: logs of a SkyScan 1173 and a 1272. Keys differ in case and blanks between instruments ("Number of Files",
 * "Number Of Files"; "Exposure (ms)"), dates in spelling ("Jul 20, 2023  11:26:30", "14 Mar 2023  09h:00m:40s").
 */

#include "fs/image/sidecar_tools.h"
#include "fs/image/text.h"

static bool detect(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".log") && text_contains(head, head_len, "[Acquisition]") &&
	       text_contains(head, head_len, "Scanner=");
}

static void voxel(const struct ini *ini, bool reconstruction, struct sidecar *out)
{
	const char *section = reconstruction ? "Reconstruction" : "Acquisition";
	const char *key = reconstruction ? "Pixel Size (um)" : "Image Pixel Size (um)";
	const char *said = ini_get(ini, section, key);
	char vendor_key[80];
	double um, step = 1;

	if (!said || !text_number(said, &um, NULL))
		return;
	if (reconstruction)
		ini_number(ini, section, "Section to Section Step", &step);
	sidecar_voxel(out, um * step, um, um, ini_vendor_key(vendor_key, sizeof vendor_key, section, key), said);
}

static int parse(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	static const struct ini_rule rules[] = {
		{ "voltage_kV", "Acquisition", "Source Voltage (kV)", INI_NUMBER, 0 },
		{ "current_uA", "Acquisition", "Source Current (uA)", INI_NUMBER, 0 },
		{ "exposure_ms", "Acquisition", "Exposure (ms)", INI_NUMBER, 0 },
		{ "projections", "Acquisition", "Number Of Files", INI_NUMBER, 0 },
		{ "source_object_mm", "Acquisition", "Object to Source (mm)", INI_NUMBER, 0 },
		{ "source_detector_mm", "Acquisition", "Camera to Source (mm)", INI_NUMBER, 0 },
		{ "filter", "Acquisition", "Filter", INI_TEXT, 0 },
		{ "sample", "Acquisition", "Filename Prefix", INI_TEXT, 0 },
		{ "operator", "User", "User Name", INI_TEXT, 0 },
		{ "start_time", "Acquisition", "Study Date and Time", INI_TIME, 0 },
	};
	struct ini ini scope_ini = { 0 };
	scope_free char *lower = text_lower(name);
	bool reconstruction = lower && text_ends(lower, "_rec.log");
	int rc = ini_parse(&ini, bytes, len, '=');

	if (rc < 0)
		return rc;
	ini_findings(&ini, rules, sizeof rules / sizeof *rules, &out->facts);
	sidecar_joined(out, "instrument", ini_get(&ini, "System", "Scanner"), ini_get(&ini, "System", "Instrument S/N"),
		       "[System] Scanner");
	if (reconstruction) {
		sidecar_joined(out, "software", ini_get(&ini, "Reconstruction", "Reconstruction Program"),
			       ini_get(&ini, "Reconstruction", "Program Version"),
			       "[Reconstruction] Reconstruction Program");
		ini_count(&ini, "Reconstruction", "Sections Count", &out->images_declared);
	} else {
		const char *version = ini_get(&ini, "System", "Software Version");

		sidecar_joined(out, "software", version ? version : ini_get(&ini, "System", "Software"), NULL,
			       "[System] Software");
		out->acquisition = true;
		out->images_declared = sidecar_number(out, "projections");
	}
	voxel(&ini, reconstruction, out);
	return 0;
}

const struct sidecar_ops sidecar_skyscan = { .name = "SkyScan log", .detect = detect, .parse = parse };
