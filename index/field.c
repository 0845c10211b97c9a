#include "index/field.h"

#include <string.h>
#include <strings.h>

#define ALSO(...)                                                                                                      \
	(const char *const[])                                                                                          \
	{                                                                                                              \
		__VA_ARGS__, NULL                                                                                      \
	}
#define NO_ALIAS                                                                                                       \
	(const char *const[])                                                                                          \
	{                                                                                                              \
		NULL                                                                                                   \
	}

const struct field fields[] = {
	{ "title", FIELD_TEXT, FIELD_FACT, "", NO_ALIAS, "a short name for people" },
	{ "description", FIELD_TEXT, FIELD_FACT, "", NO_ALIAS, "what it is, in sentences" },
	{ "comment", FIELD_TEXT, FIELD_FACT, "", ALSO("comments", "notes"), "remarks; also user.xdg.comment" },
	{ "kind", FIELD_TEXT, FIELD_FACT, "", NO_ALIAS,
	  "volume, projections, labels, image, mosaic, table, report, movie, model, tool or other" },
	{ "keywords", FIELD_LIST, FIELD_FACT, "", ALSO("keyword"), "words for a publication, joined by commas" },
	{ "license", FIELD_TEXT, FIELD_FACT, "", ALSO("licence"), "e.g. CC-BY-4.0" },
	{ "project", FIELD_TEXT, FIELD_FACT, "", NO_ALIAS, "what it was measured for; the folder in by-project" },
	{ "sample", FIELD_TEXT, FIELD_FACT, "", ALSO("specimen"), "what was measured; the folder in by-sample" },
	{ "operator", FIELD_TEXT, FIELD_FACT, "", NO_ALIAS, "who measured" },
	{ "instrument", FIELD_TEXT, FIELD_FACT, "", ALSO("scanner"), "the machine; the folder in by-instrument" },
	{ "start_time", FIELD_TIME, FIELD_FACT, "", ALSO("start", "acquired"), "begin of the measurement" },
	{ "end_time", FIELD_TIME, FIELD_FACT, "", ALSO("end"), "end of the measurement" },
	{ "voxel_size_um", FIELD_NUMBERS, FIELD_FACT, "um", ALSO("voxel", "voxel_size", "voxelsize", "pixel_size"),
	  "size of a voxel: z,y,x; one number when all are alike" },
	{ "voltage_kV", FIELD_NUMBER, FIELD_FACT, "kV", ALSO("kV", "voltage"), "voltage of the source" },
	{ "current_uA", FIELD_NUMBER, FIELD_FACT, "uA", ALSO("uA", "µA", "current"), "current of the source" },
	{ "exposure_ms", FIELD_NUMBER, FIELD_FACT, "ms", ALSO("exposure", "exposure_time"), "time of one exposure" },
	{ "projections", FIELD_NUMBER, FIELD_FACT, "", ALSO("projection_count"), "number of projections" },
	{ "filter", FIELD_TEXT, FIELD_FACT, "", NO_ALIAS, "material in the beam, e.g. 0.5 mm Cu" },
	{ "source_object_mm", FIELD_NUMBER, FIELD_FACT, "mm", ALSO("source_object", "SOD"), "source to object" },
	{ "source_detector_mm", FIELD_NUMBER, FIELD_FACT, "mm", ALSO("source_detector", "SDD"), "source to detector" },
	{ "software", FIELD_TEXT, FIELD_FACT, "", NO_ALIAS, "the program that made it, with its version" },
	{ "parameters", FIELD_TEXT, FIELD_FACT, "", NO_ALIAS, "settings of that program" },
	{ "inputs", FIELD_LIST, FIELD_FACT, "", ALSO("input"), "ids of the datasets it was made from" },
	{ "registered_to", FIELD_TEXT, FIELD_FACT, "", NO_ALIAS, "id of another dataset, and the affine matrix to it" },
	{ "look", FIELD_TEXT, FIELD_FACT, "", NO_ALIAS,
	  "private, groups or all: who else may see picture, facts and small levels" },
	{ "name", FIELD_TEXT, FIELD_DERIVED, "", NO_ALIAS, "its name in the folders of links" },
	{ "place", FIELD_TEXT, FIELD_DERIVED, "", ALSO("path", "folder"), "where it is below datasets/" },
	{ "id", FIELD_TEXT, FIELD_DERIVED, "", NO_ALIAS, "permanent, for papers; the link in by-id" },
	{ "tag", FIELD_TEXT, FIELD_DERIVED, "", ALSO("tags"), "a tag (by-tag, user.xdg.tags)" },
	{ "owner", FIELD_TEXT, FIELD_DERIVED, "", ALSO("user"), "whose it is; the folder in by-user" },
	{ "role", FIELD_TEXT, FIELD_DERIVED, "", NO_ALIAS, "dataset, or collection of datasets" },
	{ "state", FIELD_TEXT, FIELD_DERIVED, "", NO_ALIAS, "receiving, ready or incomplete" },
	{ "arrived", FIELD_TIME, FIELD_DERIVED, "", ALSO("arrival"), "when it came in" },
	{ "date", FIELD_TIME, FIELD_DERIVED, "", ALSO("day"), "day of the measurement, else of arrival" },
	{ "shape", FIELD_NUMBERS, FIELD_DERIVED, "", ALSO("dimensions"), "slices,rows,columns of the main image" },
	{ "dtype", FIELD_TEXT, FIELD_DERIVED, "", ALSO("type"), "sample type of the main image, e.g. uint16" },
	{ "bytes", FIELD_NUMBER, FIELD_DERIVED, "B", ALSO("size"), "size of its files" },
	{ "stored_bytes", FIELD_NUMBER, FIELD_DERIVED, "B", NO_ALIAS, "what they take in the store" },
};
const size_t field_count = sizeof fields / sizeof *fields;

static bool has_alias(const struct field *f, const char *name)
{
	for (const char *const *a = f->aliases; *a; a++)
		if (strcasecmp(*a, name) == 0)
			return true;
	return false;
}

const struct field *field_find(const char *name)
{
	for (size_t i = 0; i < field_count; i++)
		if (strcasecmp(fields[i].name, name) == 0)
			return &fields[i];
	for (size_t i = 0; i < field_count; i++)
		if (has_alias(&fields[i], name))
			return &fields[i];
	return NULL;
}
