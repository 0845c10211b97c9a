#include "fs/image/tiff_facts.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fs/image/ini.h"
#include "fs/image/text.h"
#include "fs/image/xml.h"

enum { DESCRIPTION = 270, MODEL = 272, X_RESOLUTION = 282, Y_RESOLUTION = 283, RESOLUTION_UNIT = 296 };
enum { SOFTWARE = 305, ARTIST = 315, ZEISS_SEM = 34118, FEI_SFEG = 34680, FEI_HELIOS = 34682 };
enum { TEXT_MAX = 8 << 20, VENDOR_MAX = 1 << 20, SHORT_MAX = 4096 };
enum { UNIT_NONE = 1, UNIT_INCH = 2, UNIT_CM = 3 };

static bool is_length(double um)
{
	return isfinite(um) && um >= 1e-7 && um <= 1e7;
}

void tiff_voxel_finding(const double voxel_um[3], struct findings *facts, const char *vendor_key,
			const char *vendor_text)
{
	char value[100];

	if (!voxel_um[1] || !voxel_um[2] || findings_get(facts, "voxel_size_um"))
		return;
	snprintf(value, sizeof value, "%.10g,%.10g,%.10g", voxel_um[0], voxel_um[1], voxel_um[2]);
	findings_add(facts, "voxel_size_um", value, vendor_key, vendor_text);
}

static void set_voxel(struct geometry *geo, double z, double y, double x)
{
	if (!is_length(y) || !is_length(x))
		return;
	geo->voxel_um[0] = is_length(z) ? z : 0;
	geo->voxel_um[1] = y;
	geo->voxel_um[2] = x;
}

/* --- ImageJ --- */

static void imagej(const char *text, double x_resolution, double y_resolution, struct geometry *geo,
		   struct findings *facts, struct tiff_said *said)
{
	struct ini ini scope_ini = { 0 };
	const char *unit, *z_unit, *version;
	double um, z_um, spacing = 1;

	if (ini_parse(&ini, (const uint8_t *)text, strlen(text), '=') < 0)
		return;
	ini_count(&ini, NULL, "images", &said->images);
	version = ini_get(&ini, NULL, "ImageJ");
	if (version) {
		char name[64];

		snprintf(name, sizeof name, "ImageJ %s", version);
		findings_add(facts, "software", name, "ImageDescription ImageJ", version);
	}
	unit = ini_get(&ini, NULL, "unit");
	um = unit ? text_length_um(unit) : 0;
	if (!um || !(x_resolution > 0) || !(y_resolution > 0))
		return;
	z_unit = ini_get(&ini, NULL, "zunit");
	z_um = z_unit ? text_length_um(z_unit) : um;
	/* ImageJ leaves spacing out when it is 1 */
	if (!ini_number(&ini, NULL, "spacing", &spacing) && said->images < 2)
		spacing = 0;
	set_voxel(geo, fabs(spacing) * z_um, um / y_resolution, um / x_resolution);
	tiff_voxel_finding(geo->voxel_um, facts, "ImageDescription unit, spacing; XResolution", unit);
}

/* --- OME-XML --- */

struct ome {
	struct geometry *geo;
	struct findings *facts;
	double size[3]; /* z y x */
	char unit[3][32];
	bool done; /* only the first Pixels count */
};

static int ome_visit(void *ctx, const char *path, const char *value)
{
	static const char axes[] = "ZYX";
	struct ome *ome = ctx;
	const char *at = strrchr(path, '@');
	char when[TEXT_TIME_MAX];

	if (!strcmp(path, "OME/Image/AcquisitionDate") && value && text_time(value, when) &&
	    !findings_get(ome->facts, "start_time"))
		findings_add(ome->facts, "start_time", when, path, value);
	if (strncmp(path, "OME/Image/Pixels", 16))
		return 0;
	if (!value && path[16] == '/') /* what is inside of the first Pixels */
		ome->done = true;
	if (!value || ome->done || path[16] != '@' || strncmp(at + 1, "PhysicalSize", 12))
		return 0;
	for (int i = 0; i < 3; i++) {
		if (at[13] != axes[i])
			continue;
		if (!at[14])
			text_number(value, &ome->size[i], NULL);
		else if (!strcmp(at + 14, "Unit"))
			snprintf(ome->unit[i], sizeof ome->unit[i], "%s", value);
	}
	return 0;
}

static void ome_xml(const char *text, struct geometry *geo, struct findings *facts)
{
	struct ome ome = { .geo = geo, .facts = facts };
	double um[3];

	for (int i = 0; i < 3; i++)
		strcpy(ome.unit[i], "um");		/* the schema's default */
	xml_visit(text, strlen(text), ome_visit, &ome); /* what was said before an error counts */
	for (int i = 0; i < 3; i++)
		um[i] = ome.size[i] * text_length_um(ome.unit[i]);
	set_voxel(geo, um[0], um[1], um[2]);
	tiff_voxel_finding(geo->voxel_um, facts, "OME Pixels PhysicalSize", ome.unit[2]);
}

/* --- microscopes --- */

static void fei(const char *text, struct geometry *geo, struct findings *facts)
{
	static const struct ini_rule rules[] = {
		{ "voltage_kV", "Beam", "HV", INI_NUMBER, 1e-3 },
		{ "voltage_kV", "EBeam", "HV", INI_NUMBER, 1e-3 },
		{ "current_uA", "EBeam", "BeamCurrent", INI_NUMBER, 1e6 },
		{ "exposure_ms", "Scan", "FrameTime", INI_NUMBER, 1e3 },
		{ "instrument", "System", "SystemType", INI_TEXT, 0 },
		{ "software", "System", "Software", INI_TEXT, 0 },
		{ "operator", "User", "User", INI_TEXT, 0 },
		{ "description", "User", "UserText", INI_TEXT, 0 },
	};
	struct ini ini scope_ini = { 0 };
	const char *date, *clock;
	double x, y;

	if (ini_parse(&ini, (const uint8_t *)text, strlen(text), '=') < 0)
		return;
	ini_findings(&ini, rules, sizeof rules / sizeof *rules, facts);
	date = ini_get(&ini, "User", "Date");
	clock = ini_get(&ini, "User", "Time");
	if (date) {
		char both[128], when[TEXT_TIME_MAX];

		snprintf(both, sizeof both, "%s %s", date, clock ? clock : "");
		if (text_time(both, when))
			findings_add(facts, "start_time", when, "[User] Date, Time", both);
	}
	if (ini_number(&ini, "Scan", "PixelWidth", &x) && ini_number(&ini, "Scan", "PixelHeight", &y)) {
		set_voxel(geo, 0, y * 1e6, x * 1e6);
		tiff_voxel_finding(geo->voxel_um, facts, "[Scan] PixelWidth", ini_get(&ini, "Scan", "PixelWidth"));
	}
}

/* "EHT = 5.00 kV" after the line AP_ACTUALKV: the value of the line behind a name, or NULL. */
static char *zeiss_value(char **lines, size_t count, const char *name)
{
	for (size_t i = 0; i + 1 < count; i++) {
		char *at;

		if (strcasecmp(lines[i], name) != 0)
			continue;
		at = strpbrk(lines[i + 1], "=:");
		return at ? text_trim(at + 1) : NULL;
	}
	return NULL;
}

static void zeiss(char *text, struct geometry *geo, struct findings *facts)
{
	enum { LINES = 4096 };
	scope_free char **lines = calloc(LINES, sizeof *lines);
	size_t count = 0;
	char *value, *date, *save = NULL;
	const char *unit;
	double number;

	if (!lines)
		return;
	for (char *line = strtok_r(text, "\r\n", &save); line && count < LINES; line = strtok_r(NULL, "\r\n", &save))
		lines[count++] = text_trim(line);
	value = zeiss_value(lines, count, "AP_ACTUALKV");
	if (value && text_number(value, &number, NULL))
		findings_add_number(facts, "voltage_kV", number, "AP_ACTUALKV", value);
	value = zeiss_value(lines, count, "AP_IMAGE_PIXEL_SIZE");
	if (!value)
		value = zeiss_value(lines, count, "AP_PIXEL_SIZE");
	if (value && text_number(value, &number, &unit)) {
		char name[8] = "";

		sscanf(unit, " %7[^ ]", name);
		number *= text_length_um(name);
		set_voxel(geo, 0, number, number);
		tiff_voxel_finding(geo->voxel_um, facts, "AP_IMAGE_PIXEL_SIZE", value);
	}
	date = zeiss_value(lines, count, "AP_DATE");
	value = zeiss_value(lines, count, "AP_TIME");
	if (date) {
		char both[128], when[TEXT_TIME_MAX];

		snprintf(both, sizeof both, "%s %s", date, value ? value : "");
		if (text_time(both, when))
			findings_add(facts, "start_time", when, "AP_DATE, AP_TIME", both);
	}
	value = zeiss_value(lines, count, "SV_USER_NAME");
	findings_add(facts, "operator", value, "SV_USER_NAME", value);
	value = zeiss_value(lines, count, "DP_SEM");
	findings_add(facts, "instrument", value, "DP_SEM", value);
	value = zeiss_value(lines, count, "SV_SAMPLE_ID");
	findings_add(facts, "sample", value, "SV_SAMPLE_ID", value);
}

/* --- resolution --- */

/* Programs that know nothing write what printers like: 72, 96, 150, 300, 600 ... dots an inch, often as dots a cm. */
static bool is_default_dpi(double dpi)
{
	double near = round(dpi);

	if (dpi < 30)
		return true;
	if (fabs(dpi - near) > 0.02 * (dpi > 250 ? 10 : 1))
		return false;
	return dpi <= 5000 && (fmod(near, 10) == 0 || fmod(near, 12) == 0 || near == 75 || near == 254);
}

static void resolution(double x, double y, uint64_t unit, struct geometry *geo, struct findings *facts)
{
	double um = unit == UNIT_INCH ? 25400 : unit == UNIT_CM ? 10000 : 0, dpi;
	char said[64];

	if (!um || !(x > 0) || !(y > 0))
		return;
	dpi = x * (25400 / um);
	if (is_default_dpi(dpi) || um / x > 1000 || um / x < 1e-4)
		return;
	set_voxel(geo, 0, um / y, um / x);
	snprintf(said, sizeof said, "%.10g per %s", x, unit == UNIT_INCH ? "inch" : "cm");
	tiff_voxel_finding(geo->voxel_um, facts, "XResolution", said);
}

static void plain_text(struct tiff_file *file, const struct tiff_ifd *ifd, uint16_t tag, const char *field,
		       const char *key, struct findings *facts)
{
	scope_free char *text = tiff_text(file, ifd, tag, SHORT_MAX);

	if (text && !findings_get(facts, field) && strncasecmp(text, "Copyright", 9) != 0)
		findings_add(facts, field, text, key, text);
}

static bool is_prose(const char *text)
{
	size_t len = strlen(text), odd = 0;

	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 && !isspace((unsigned char)*c))
			odd++;
	return len && odd == 0 && *text != '<' && *text != '{';
}

void tiff_facts(struct tiff_file *file, const struct tiff_ifd *ifd, struct geometry *geo, struct findings *facts,
		struct tiff_said *said)
{
	scope_free char *text = tiff_text(file, ifd, DESCRIPTION, TEXT_MAX);
	scope_free char *zeiss_text = tiff_text(file, ifd, ZEISS_SEM, VENDOR_MAX);
	scope_free char *fei_text = tiff_text(file, ifd, FEI_HELIOS, VENDOR_MAX);
	uint64_t unit = UNIT_INCH;
	double x = 0, y = 0;

	*said = (struct tiff_said) { 0 };
	if (!fei_text)
		fei_text = tiff_text(file, ifd, FEI_SFEG, VENDOR_MAX);
	if (tiff_real(file, ifd, X_RESOLUTION, &x) && !tiff_real(file, ifd, Y_RESOLUTION, &y))
		y = x;
	tiff_number(file, ifd, RESOLUTION_UNIT, &unit);
	if (zeiss_text)
		zeiss(zeiss_text, geo, facts);
	if (fei_text)
		fei(fei_text, geo, facts);
	if (text && !strncmp(text, "ImageJ=", 7))
		imagej(text, x, y, geo, facts, said);
	else if (text && strstr(text, "<OME"))
		ome_xml(text, geo, facts);
	else if (text && is_prose(text))
		findings_add(facts, "description", text, "ImageDescription", text);
	if (!geo->voxel_um[2] && !(text && !strncmp(text, "ImageJ=", 7)))
		resolution(x, y, unit, geo, facts);
	plain_text(file, ifd, SOFTWARE, "software", "Software", facts);
	plain_text(file, ifd, ARTIST, "operator", "Artist", facts);
	plain_text(file, ifd, MODEL, "instrument", "Model", facts);
}
