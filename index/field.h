/*
 * field: the table of fact fields: name, kind of value, unit, other spellings. One row is all it takes to add one.
 * Names and units: DESIGN section 6 (after NXtomo, SciCat, DataCite, OME).
 */
#ifndef TOMOFS_FIELD_H
#define TOMOFS_FIELD_H

#include <stdbool.h>
#include <stddef.h>

enum field_kind {
	FIELD_TEXT,
	FIELD_LIST,    /* texts joined by "," */
	FIELD_NUMBER,  /* decimal, in `unit` */
	FIELD_NUMBERS, /* three numbers joined by ",": z,y,x */
	FIELD_TIME,    /* RFC 3339; a date alone is allowed */
};

enum field_origin {
	FIELD_FACT,    /* extracted or set by a person */
	FIELD_DERIVED, /* computed by the file system: arrived, shape, dtype, state, bytes, owner, tag; cannot be set */
};

struct field {
	const char *name;
	enum field_kind kind;
	enum field_origin origin;
	const char *unit;           /* "kV", "um"; "" for none */
	const char *const *aliases; /* NULL-terminated spellings in queries: "kV", "voltage" */
	const char *help;           /* one line for README.txt and facts.json */
};

extern const struct field fields[];
extern const size_t field_count;

/* By name or alias, case-insensitive; NULL when unknown. */
const struct field *field_find(const char *name);

/*
 * Brings a person's text into the field's normal form (new string; caller frees): trims, converts a unit that is
 * written ("80 keV" is refused for kV; "0.08 MV" -> "80"; "1.5 mm" -> "1500" for um), checks dates and choices (kind).
 * 0; -EINVAL and a sentence that names the field and what is expected.
 */
int field_normal(const struct field *f, const char *text, char **normal);

/* Number with an optional unit -> the field's unit. False when it is not one. */
bool field_number(const struct field *f, const char *text, double *value);

#endif
