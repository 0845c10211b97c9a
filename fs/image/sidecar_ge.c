/*
 * GE / phoenix datos|x: .pca (acquisition) and .pcr (reconstruction) are INI texts in Latin-1, .dtxml is a form that
 * the operator fills in.
 *
 * Sources: files of datos|x 2.4 of the Smithsonian's scanner; [VolumeData] Format numbers as SlicerMorph's GEVolImport
 * (github.com/SlicerMorph/SlicerMorph) reads them: 1 = 8-bit, 5 = 16-bit, 10 = float.
 */

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "fs/image/sidecar_tools.h"
#include "fs/image/text.h"
#include "fs/image/xml.h"
#include "store/err.h"

static bool is_pca(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".pca") && text_contains(head, head_len, "[General]");
}

static int parse_pca(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	static const struct ini_rule rules[] = {
		{ "voltage_kV", "Xray", "Voltage", INI_NUMBER, 0 },
		{ "current_uA", "Xray", "Current", INI_NUMBER, 0 },
		{ "exposure_ms", "Detector", "TimingVal", INI_NUMBER, 0 },
		{ "source_object_mm", "Geometry", "FOD", INI_NUMBER, 0 },
		{ "source_detector_mm", "Geometry", "FDD", INI_NUMBER, 0 },
		{ "projections", "CT", "NumberImages", INI_NUMBER, 0 },
		{ "instrument", "General", "SystemName", INI_TEXT, 0 },
		{ "description", "General", "Comment", INI_TEXT, 0 },
	};
	struct ini ini scope_ini = { 0 };
	const char *filter;
	double x, y;
	int rc = ini_parse(&ini, bytes, len, '=');

	(void)name;
	if (rc < 0)
		return rc;
	ini_findings(&ini, rules, sizeof rules / sizeof *rules, &out->facts);
	filter = ini_get(&ini, "Xray", "Filter");
	if (filter && strcasecmp(filter, "Unknown") != 0)
		findings_add(&out->facts, "filter", filter, "[Xray] Filter", filter);
	if (ini_get(&ini, "General", "Version"))
		sidecar_joined(out, "software", "datos|x", ini_get(&ini, "General", "Version"), "[General] Version");
	if (ini_number(&ini, "Geometry", "VoxelSizeX", &x)) {
		if (!ini_number(&ini, "Geometry", "VoxelSizeY", &y))
			y = x;
		sidecar_voxel(out, y * 1e3, x * 1e3, x * 1e3, "[Geometry] VoxelSizeX",
			      ini_get(&ini, "Geometry", "VoxelSizeX"));
	}
	out->acquisition = true;
	out->images_declared = sidecar_number(out, "projections");
	return 0;
}

static bool is_pcr(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".pcr") && text_contains(head, head_len, "[VolumeData]");
}

static int parse_pcr(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	struct ini ini scope_ini = { 0 };
	struct geometry geo = { 0 };
	const char *vol;
	double voxel = 0;
	uint64_t format = 0;
	int rc = ini_parse(&ini, bytes, len, '=');

	(void)name;
	if (rc < 0)
		return rc;
	if (!ini_count(&ini, "VolumeData", "Volume_SizeX", &geo.width) ||
	    !ini_count(&ini, "VolumeData", "Volume_SizeY", &geo.height) ||
	    !ini_count(&ini, "VolumeData", "Volume_SizeZ", &geo.depth))
		return err_set(EBADMSG, "[VolumeData] says no Volume_SizeX, Volume_SizeY and Volume_SizeZ");
	if (ini_number(&ini, "VolumeData", "VoxelSizeRec", &voxel))
		sidecar_voxel(out, voxel * 1e3, voxel * 1e3, voxel * 1e3, "[VolumeData] VoxelSizeRec",
			      ini_get(&ini, "VolumeData", "VoxelSizeRec"));
	for (int i = 0; i < 3; i++)
		geo.voxel_um[i] = voxel * 1e3;
	ini_count(&ini, "VolumeData", "Format", &format);
	geo.samples = 1;
	geo.type = format == 1 ? VOXEL_U8 : format == 5 ? VOXEL_U16 : format == 10 ? VOXEL_F32 : VOXEL_NONE;
	vol = ini_get(&ini, "VolumeData", "VOL_File");
	if (vol && geo.type != VOXEL_NONE)
		sidecar_declare(out, vol, NULL, geo);
	if (ini_get(&ini, "Versions", "Version-datos|x"))
		sidecar_joined(out, "software", "datos|x", ini_get(&ini, "Versions", "Version-datos|x"),
			       "[Versions] Version-datos|x");
	return 0;
}

static bool is_dtxml(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".dtxml") && text_contains(head, head_len, "<project");
}

/* <property name="Operator" ... value="..."/>: attributes come in the order they were written. */
struct form {
	struct sidecar *out;
	char name[128];
};

static int form_visit(void *ctx, const char *path, const char *value)
{
	static const struct {
		const char *name, *field;
	} properties[] = {
		{ "Operator", "operator" },	  { "Sample ID", "sample" },	 { "Sample Name", "title" },
		{ "Description", "description" }, { "Project Name", "project" }, { "Project Number", "project" },
	};
	static const char element[] = "project/additional_project_info/property";
	struct form *form = ctx;
	char key[160] = "property ";

	if (strncmp(path, element, sizeof element - 1) != 0)
		return 0;
	path += sizeof element - 1;
	if (!*path && !value)
		*form->name = 0;
	if (!strcmp(path, "@name") && value)
		strncat(form->name, value, sizeof form->name - 1 - strlen(form->name));
	if (strcmp(path, "@value") != 0 || !value)
		return 0;
	strcat(key, form->name);
	for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
		if (!strcasecmp(form->name, properties[i].name) &&
		    !findings_get(&form->out->facts, properties[i].field))
			findings_add(&form->out->facts, properties[i].field, value, key, value);
	return 0;
}

static int parse_dtxml(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	scope_free char *text = text_utf8(bytes, len);
	struct form form = { .out = out };

	(void)name;
	if (!text)
		return err_set(ENOMEM, "no memory to read a form");
	return xml_visit(text, strlen(text), form_visit, &form);
}

const struct sidecar_ops sidecar_ge_pca = { .name = "GE .pca", .detect = is_pca, .parse = parse_pca };
const struct sidecar_ops sidecar_ge_pcr = { .name = "GE .pcr", .detect = is_pcr, .parse = parse_pcr };
const struct sidecar_ops sidecar_ge_dtxml = { .name = "GE .dtxml", .detect = is_dtxml, .parse = parse_dtxml };
