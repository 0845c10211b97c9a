/*
 * field: the table of fact fields: name, kind of value, unit, other spellings. One row is all it takes to add one.
 * Names and units: DESIGN section 6 (after NXtomo, SciCat, DataCite, OME).
 */
#ifndef TOMOFS_FIELD_H
#define TOMOFS_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
 * written ("80 keV" is refused for kV; "0.08 MV" -> "80"; "1.5 mm" -> "1500" for um), checks dates and choices (kind, look).
 * Numbers come out as "%.10g"; three numbers as z,y,x, and one number stands for all three; lists joined by "," without
 * blanks or empty items; dates as YYYY-MM-DD, times as RFC 3339 (seconds and their fraction as written; without a
 * zone when none was written: the instrument's own clock). Blank text is the empty string.
 * 0; -EINVAL and a sentence that names the field and what is expected.
 */
int field_normal(const struct field *f, const char *text, char **normal);

/*
 * Number with an optional unit -> the field's unit. False when it is not one. Units may be written in any case where
 * that says enough ("KV", "Mm" is mm; "mV" and "MV" differ). Of z,y,x the last one counts: x.
 */
bool field_number(const struct field *f, const char *text, double *value);

/* The units that a field's numbers may have, for a sentence: "V, kV or MV"; "" for none. */
const char *field_units(const struct field *f);

/*
 * The stretch of time that a date or time means, as its clock shows it: "2026", "2026-11", "2026-11-23",
 * "2026-11-23T10:30", "2026-11-23 10.30.00Z", "...+01:00" ('.' for ':' where a file name may not have one).
 */
struct field_span {
	int64_t from_us, until_us; /* microseconds since 1970-01-01 by that clock; until is the first one after it */
	bool zoned;                /* a zone is written; then UTC is clock - zone_minutes */
	int zone_minutes;
};
bool field_time(const char *text, struct field_span *span);

#endif
