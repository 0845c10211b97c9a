/*
 * JSON beside data: NAME.raw.json or NAME.json with "shape" and "dtype" as numpy names them, and the records of a
 * SciCat catalogue ("scientificMetadata").
 *
 * The first is what people write for raw volumes:
 *
 *     { "shape": [500, 1000, 1000], "dtype": "uint16", "byteorder": "little", "offset": 0, "voxel_size_um": 5.2,
 *       "file": "bone.raw", "sample": "bone", "voltage_kV": 80 }
 *
 * shape is z, y, x; without "file" the data file is NAME.raw. Source of the second: scicatproject.github.io, and
 * records of the TOMCAT beamline.
 */

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "fs/image/sidecar_tools.h"
#include "fs/image/text.h"
#include "store/err.h"

static void scope_json_free(json_t **json)
{
	json_decref(*json);
}
#define scope_json SCOPE_CLEANUP(scope_json_free)

static json_t *load(const uint8_t *bytes, size_t len)
{
	scope_free char *text = text_utf8(bytes, len);
	json_error_t error;
	json_t *json;

	if (!text) {
		err_set(ENOMEM, "no memory to read JSON");
		return NULL;
	}
	json = json_loads(text, 0, &error);
	if (!json)
		err_set(EBADMSG, "line %d: %s", error.line, error.text);
	return json;
}

/* "uint16", "<u2", ">f4", "|u1". */
static enum voxel_type dtype(const char *text, bool *big_endian)
{
	static const struct {
		const char *code;
		enum voxel_type type;
	} codes[] = {
		{ "u1", VOXEL_U8 },  { "i1", VOXEL_I8 },  { "u2", VOXEL_U16 }, { "i2", VOXEL_I16 }, { "u4", VOXEL_U32 },
		{ "i4", VOXEL_I32 }, { "f4", VOXEL_F32 }, { "u8", VOXEL_U64 }, { "i8", VOXEL_I64 }, { "f8", VOXEL_F64 },
	};

	if (*text && strchr("<>|=", *text)) {
		*big_endian = *text++ == '>';
		for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
			if (!strcmp(text, codes[i].code))
				return codes[i].type;
	}
	return voxel_from_name(text);
}

static bool shape(const json_t *json, struct geometry *geo)
{
	uint64_t axes[4] = { 0 };
	size_t n = json_array_size(json);

	if (n < 2 || n > 4)
		return false;
	for (size_t i = 0; i < n; i++) {
		json_int_t length = json_integer_value(json_array_get(json, i));

		if (length < 1 || length > INT32_MAX)
			return false;
		axes[i] = (uint64_t)length;
	}
	if (n == 4 && axes[3] > 4)
		return false;
	geo->depth = n > 2 ? axes[0] : 1;
	geo->height = axes[n > 2 ? 1 : 0];
	geo->width = axes[n > 2 ? 2 : 1];
	geo->samples = n == 4 ? (uint8_t)axes[3] : 1;
	return true;
}

static void voxel(const json_t *json, const char *key, struct geometry *geo, struct sidecar *out)
{
	if (!json)
		return;
	for (size_t i = 0; i < 3; i++)
		geo->voxel_um[i] = json_number_value(json_is_array(json) ? json_array_get(json, i) : json);
	sidecar_voxel(out, geo->voxel_um[0], geo->voxel_um[1], geo->voxel_um[2], key, NULL);
}

/* A scalar under the name of a field is that field's value. */
static void plain_facts(const json_t *json, struct sidecar *out)
{
	static const char *const numbers[] = {
		"voltage_kV", "current_uA", "exposure_ms", "projections", "source_object_mm", "source_detector_mm",
	};
	static const char *const texts[] = {
		"title",      "description", "project", "sample",   "operator", "instrument",
		"start_time", "end_time",    "filter",	"software", "license",
	};

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		const json_t *value = json_object_get(json, numbers[i]);

		if (json_is_number(value))
			findings_add_number(&out->facts, numbers[i], json_number_value(value), numbers[i], NULL);
	}
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		const char *value = json_string_value(json_object_get(json, texts[i]));
		char when[TEXT_TIME_MAX];

		if (!value)
			continue;
		if (text_ends(texts[i], "_time"))
			findings_add(&out->facts, texts[i], text_time(value, when) ? when : "", texts[i], value);
		else
			findings_add(&out->facts, texts[i], value, texts[i], value);
	}
}

static bool is_json(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".json") && text_contains(head, head_len, "\"shape\"") &&
	       text_contains(head, head_len, "\"dtype\"");
}

static int parse_json(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	json_t *json scope_json = load(bytes, len);
	struct geometry geo = { 0 };
	scope_free char *own = strdup(name);
	const char *type, *order, *file;
	json_int_t offset;

	if (!json || !own)
		return json ? -ENOMEM : -EBADMSG;
	type = json_string_value(json_object_get(json, "dtype"));
	geo.type = type ? dtype(type, &geo.big_endian) : VOXEL_NONE;
	if (!shape(json_object_get(json, "shape"), &geo) || geo.type == VOXEL_NONE)
		return err_set(EBADMSG, "shape is not z, y and x, or dtype is not a sample type");
	order = json_string_value(json_object_get(json, "byteorder"));
	if (order)
		geo.big_endian = !strcmp(order, "big") || !strcmp(order, ">");
	offset = json_integer_value(json_object_get(json, "offset"));
	if (offset < 0)
		return err_set(EBADMSG, "offset is negative");
	geo.offset = (uint64_t)offset;
	voxel(json_object_get(json, "voxel_size_um"), "voxel_size_um", &geo, out);
	plain_facts(json, out);
	file = json_string_value(json_object_get(json, "file"));
	own[strlen(own) - strlen(".json")] = 0;
	if (file)
		sidecar_declare(out, file, NULL, geo);
	else if (strchr(own, '.') && strchr(own, '.') != own) /* bone.raw.json */
		sidecar_declare(out, own, NULL, geo);
	else
		sidecar_declare(out, NULL, ".raw", geo);
	return 0;
}

static bool is_scicat(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".json") && text_contains(head, head_len, "\"scientificMetadata\"");
}

/* { "u": "ms", "v": 2 } or a plain number; as text for the finding. */
static bool quantity(const json_t *json, const char *group, const char *key, double *value, const char **unit)
{
	const json_t *one = json_object_get(json_object_get(json, group), key);

	*unit = json_string_value(json_object_get(one, "u"));
	if (json_is_object(one))
		one = json_object_get(one, "v");
	*value = json_number_value(one);
	return json_is_number(one);
}

static int parse_scicat(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	static const struct {
		const char *key, *field;
	} texts[] = {
		{ "datasetName", "title" }, { "description", "description" }, { "creationLocation", "instrument" },
		{ "license", "license" },   { "sampleId", "sample" },	      { "proposalId", "project" },
	};
	json_t *json scope_json = load(bytes, len);
	const char *unit, *type, *when_said;
	char when[TEXT_TIME_MAX];
	const json_t *facts;
	double value;

	(void)name;
	if (!json)
		return -EBADMSG;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		const char *text = json_string_value(json_object_get(json, texts[i].key));

		findings_add(&out->facts, texts[i].field, text, texts[i].key, text);
	}
	facts = json_object_get(json, "scientificMetadata");
	if (quantity(facts, "detectorParameters", "Exposure time", &value, &unit))
		findings_add_number(&out->facts, "exposure_ms", value * (unit && !strcmp(unit, "s") ? 1e3 : 1),
				    "detectorParameters: Exposure time", unit);
	if (quantity(facts, "detectorParameters", "Actual pixel size", &value, &unit)) {
		value *= unit ? text_length_um(unit) : 1;
		sidecar_voxel(out, value, value, value, "detectorParameters: Actual pixel size", unit);
	}
	if (quantity(facts, "scanParameters", "Number of projections", &value, &unit))
		findings_add_number(&out->facts, "projections", value, "scanParameters: Number of projections", NULL);
	type = json_string_value(json_object_get(json, "type"));
	out->acquisition = type && !strcmp(type, "raw");
	when_said = json_string_value(json_object_get(json, "creationTime"));
	if (out->acquisition && when_said && text_time(when_said, when))
		findings_add(&out->facts, "start_time", when, "creationTime", when_said);
	return 0;
}

const struct sidecar_ops sidecar_json = { .name = "JSON", .detect = is_json, .parse = parse_json };
const struct sidecar_ops sidecar_scicat = { .name = "SciCat record", .detect = is_scicat, .parse = parse_scicat };
