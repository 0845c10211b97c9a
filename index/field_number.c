/* field_number: numbers with units. A unit belongs to a dimension; a field's own unit says which one it has. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "index/field.h"
#include "index/field_internal.h"

enum dimension { VOLTAGE, CURRENT, LENGTH, TIME, BYTES, PLAIN };

static const char *const units_text[] = {
	[VOLTAGE] = "V, kV or MV",
	[CURRENT] = "nA, uA, mA or A",
	[LENGTH] = "nm, um, mm, cm or m",
	[TIME] = "us, ms, s, min or h",
	[BYTES] = "B, kB, MB, GB, TB or KiB, MiB, GiB, TiB",
	[PLAIN] = "",
};

static const struct unit {
	const char *name;
	enum dimension dimension;
	double factor;
} units[] = {
	{ "V", VOLTAGE, 1 },	    { "kV", VOLTAGE, 1e3 },	 { "MV", VOLTAGE, 1e6 },
	{ "mV", VOLTAGE, 1e-3 },    { "volt", VOLTAGE, 1 },	 { "nA", CURRENT, 1e-9 },
	{ "uA", CURRENT, 1e-6 },    { "µA", CURRENT, 1e-6 },	 { "μA", CURRENT, 1e-6 },
	{ "mA", CURRENT, 1e-3 },    { "A", CURRENT, 1 },	 { "nm", LENGTH, 1e-9 },
	{ "um", LENGTH, 1e-6 },	    { "µm", LENGTH, 1e-6 },	 { "μm", LENGTH, 1e-6 },
	{ "micron", LENGTH, 1e-6 }, { "microns", LENGTH, 1e-6 }, { "micrometer", LENGTH, 1e-6 },
	{ "mm", LENGTH, 1e-3 },	    { "cm", LENGTH, 1e-2 },	 { "m", LENGTH, 1 },
	{ "ns", TIME, 1e-9 },	    { "us", TIME, 1e-6 },	 { "µs", TIME, 1e-6 },
	{ "μs", TIME, 1e-6 },	    { "ms", TIME, 1e-3 },	 { "s", TIME, 1 },
	{ "sec", TIME, 1 },	    { "min", TIME, 60 },	 { "h", TIME, 3600 },
	{ "B", BYTES, 1 },	    { "kB", BYTES, 1e3 },	 { "MB", BYTES, 1e6 },
	{ "GB", BYTES, 1e9 },	    { "TB", BYTES, 1e12 },	 { "KiB", BYTES, 0x1p10 },
	{ "MiB", BYTES, 0x1p20 },   { "GiB", BYTES, 0x1p30 },	 { "TiB", BYTES, 0x1p40 },
};
enum { UNITS = sizeof units / sizeof *units };

/* As written; else in any case, when only one unit of that dimension could be meant. */
static const struct unit *unit_find(const char *name, enum dimension dimension)
{
	const struct unit *found = NULL;

	for (size_t i = 0; i < UNITS; i++)
		if (units[i].dimension == dimension && strcmp(units[i].name, name) == 0)
			return &units[i];
	for (size_t i = 0; i < UNITS; i++) {
		if (units[i].dimension != dimension || strcasecmp(units[i].name, name) != 0)
			continue;
		if (found)
			return NULL;
		found = &units[i];
	}
	return found;
}

static const struct unit *own_unit(const struct field *f)
{
	for (size_t i = 0; i < UNITS; i++)
		if (strcmp(units[i].name, f->unit) == 0)
			return &units[i];
	return NULL;
}

const char *field_units(const struct field *f)
{
	const struct unit *own = own_unit(f);

	return units_text[own ? own->dimension : PLAIN];
}

static const char *digits(const char *at)
{
	while (*at >= '0' && *at <= '9')
		at++;
	return at;
}

/* Behind a decimal number (strtod() would also take hexadecimal ones, "inf", "nan" and the locale's comma); NULL: none.
 */
static const char *number_end(const char *text)
{
	const char *at = text + (*text == '+' || *text == '-');
	const char *point = digits(at), *end = point;

	if (*point == '.') {
		end = digits(point + 1);
		if (end == point + 1 && point == at)
			return NULL;
	} else if (point == at) {
		return NULL;
	}
	if (*end == 'e' || *end == 'E') {
		const char *power = end + 1 + (end[1] == '+' || end[1] == '-');

		if (digits(power) > power)
			end = digits(power);
	}
	return end;
}

static double decimal(const char *text, size_t len)
{
	char copy[64];

	if (len >= sizeof copy)
		return NAN;
	memcpy(copy, text, len);
	copy[len] = 0;
	return strtod(copy, NULL);
}

bool number_split(const char *text, double *value, char unit[UNIT_ROOM])
{
	const char *end, *last;

	while (*text == ' ' || *text == '\t')
		text++;
	end = number_end(text);
	if (!end)
		return false;
	*value = decimal(text, (size_t)(end - text));
	while (*end == ' ' || *end == '\t')
		end++;
	last = end + strlen(end);
	while (last > end && (last[-1] == ' ' || last[-1] == '\t'))
		last--;
	if (last - end >= UNIT_ROOM)
		return false;
	memcpy(unit, end, (size_t)(last - end));
	unit[last - end] = 0;
	return isfinite(*value);
}

/* Every ratio of two units is a whole number below 2^53. */
static double whole(double ratio)
{
	return (double)(int64_t)(ratio + 0.5);
}

bool number_convert(const struct field *f, const char *unit, double *value)
{
	const struct unit *own = own_unit(f), *from;

	if (!*unit)
		return true;
	from = own ? unit_find(unit, own->dimension) : NULL;
	if (!from)
		return false;
	/* One rounding, so that 1.5 mm is 1500 um and not 1499.9999999999998. */
	if (from->factor >= own->factor)
		*value *= whole(from->factor / own->factor);
	else
		*value /= whole(own->factor / from->factor);
	return isfinite(*value);
}

bool field_number(const struct field *f, const char *text, double *value)
{
	const char *comma = f->kind == FIELD_NUMBERS ? strrchr(text, ',') : NULL;
	char unit[UNIT_ROOM];

	return number_split(comma ? comma + 1 : text, value, unit) && number_convert(f, unit, value);
}
