/*
 * TESCAN / XRE (Acquila): "... XRE.txt" (INI with quoted values; the same sections for acquisition, import and
 * reconstruction) and "scan settings.txt" ("key : value").
 *
 * Source: files of a UniTOM XL, Acquila 2727. Times of the first say UTC. The one that describes the reconstruction is
 * no acquisition record: it lies in a folder of its own.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/image/sidecar_tools.h"
#include "fs/image/text.h"
#include "store/err.h"

static bool is_xre(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".txt") && text_contains(head, head_len, "[Scan info]") &&
	       text_contains(head, head_len, "[Tube settings]");
}

static int parse_xre(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	static const struct ini_rule rules[] = {
		{ "sample", "Sample info", "Sample name", INI_TEXT, 0 },
		{ "project", "Sample info", "Project", INI_TEXT, 0 },
		{ "description", "Sample info", "Comment", INI_TEXT, 0 },
		{ "operator", "Scan info", "Operator", INI_TEXT, 0 },
		{ "start_time", "Scan info", "Start", INI_TIME, 0 },
		{ "end_time", "Scan info", "Stop", INI_TIME, 0 },
		{ "voltage_kV", "Tube settings", "kV set value", INI_NUMBER, 0 },
		{ "voltage_kV", "Acquisition settings", "tube kV", INI_NUMBER, 0 },
		{ "current_uA", "Tube settings", "Target current actual value", INI_NUMBER, 0 },
		{ "current_uA", "Tube settings", "Current actual value", INI_NUMBER, 0 },
		{ "exposure_ms", "Camera settings", "Exposure time (ms)", INI_NUMBER, 0 },
		{ "projections", "Acquisition settings", "total projections", INI_NUMBER, 0 },
		{ "source_object_mm", "CT-parameters IN", "SOD", INI_NUMBER, 0 },
		{ "source_detector_mm", "CT-parameters IN", "SDD", INI_NUMBER, 0 },
		{ "filter", "Tube settings", "Filter", INI_TEXT, 0 },
	};
	struct ini ini scope_ini = { 0 };
	scope_free char *lower = text_lower(name);
	const char *version;
	double mm;
	int rc = ini_parse(&ini, bytes, len, '=');

	if (rc < 0)
		return rc;
	ini_findings(&ini, rules, sizeof rules / sizeof *rules, &out->facts);
	sidecar_joined(out, "instrument", ini_get(&ini, "Scan info", "scanner type"),
		       ini_get(&ini, "Scan info", "scanner S/N"), "[Scan info] scanner type");
	version = ini_get(&ini, "Scan info", "Acquila version");
	if (version)
		sidecar_joined(out, "software", "Acquila", version, "[Scan info] Acquila version");
	if (ini_number(&ini, "CT-parameters IN", "Voxel size", &mm))
		sidecar_voxel(out, mm * 1e3, mm * 1e3, mm * 1e3, "[CT-parameters IN] Voxel size",
			      ini_get(&ini, "CT-parameters IN", "Voxel size"));
	out->acquisition = lower && !strstr(lower, "recon");
	if (out->acquisition)
		out->images_declared = sidecar_number(out, "projections");
	return 0;
}

static bool is_scan(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".txt") && head_len > 6 && text_contains(head, 6, "ScanID") &&
	       text_contains(head, head_len, "Acquila version");
}

/* "date: 11/6/2020; time: 9:34:16 AM": the first is the start. */
static void start_time(const struct ini *ini, struct sidecar *out)
{
	const char *text = ini_get(ini, NULL, "date"), *clock;
	char both[80], when[TEXT_TIME_MAX];

	clock = text ? strstr(text, "time:") : NULL;
	if (!clock)
		return;
	snprintf(both, sizeof both, "%.*s %.40s", (int)strcspn(text, ";"), text, clock + 5);
	if (text_time(both, when))
		findings_add(&out->facts, "start_time", when, "START date, time", text);
}

static int parse_scan(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	static const struct ini_rule rules[] = {
		{ "sample", NULL, "Sample name", INI_TEXT, 0 },
		{ "project", NULL, "Project", INI_TEXT, 0 },
		{ "description", NULL, "Comment", INI_TEXT, 0 },
		{ "operator", NULL, "Operator", INI_TEXT, 0 },
		{ "instrument", NULL, "Scanner name", INI_TEXT, 0 },
		{ "voltage_kV", NULL, "Tube voltage", INI_NUMBER, 0 },
		{ "current_uA", NULL, "Target current", INI_NUMBER, 0 },
		{ "exposure_ms", NULL, "Exposure time (ms)", INI_NUMBER, 0 },
		{ "source_object_mm", NULL, "SOD", INI_NUMBER, 0 },
		{ "source_detector_mm", NULL, "SDD", INI_NUMBER, 0 },
		{ "filter", NULL, "Filter", INI_TEXT, 0 },
	};
	struct ini ini scope_ini = { 0 };
	double um;
	int rc = ini_parse(&ini, bytes, len, ':');

	(void)name;
	if (rc < 0)
		return rc;
	ini_findings(&ini, rules, sizeof rules / sizeof *rules, &out->facts);
	start_time(&ini, out);
	if (ini_get(&ini, NULL, "Acquila version"))
		sidecar_joined(out, "software", "Acquila", ini_get(&ini, NULL, "Acquila version"), "Acquila version");
	if (ini_number(&ini, NULL, "Voxel size", &um))
		sidecar_voxel(out, um, um, um, "Voxel size", ini_get(&ini, NULL, "Voxel size"));
	out->acquisition = true;
	return 0;
}

const struct sidecar_ops sidecar_tescan_xre = { .name = "TESCAN XRE", .detect = is_xre, .parse = parse_xre };
const struct sidecar_ops sidecar_tescan_scan = { .name = "TESCAN scan settings",
						 .detect = is_scan,
						 .parse = parse_scan };
