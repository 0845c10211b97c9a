#include "index/field.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "index/utf8.h"
#include "store/scope.h"
#include "tests/lib/check.h"

static const struct {
	const char *field, *text, *normal; /* normal NULL: refused */
} normals[] = {
	{ "voltage_kV", "80", "80" },
	{ "voltage_kV", "  80 kV ", "80" },
	{ "voltage_kV", "80kv", "80" },
	{ "voltage_kV", "0.08 MV", "80" },
	{ "voltage_kV", "80000 V", "80" },
	{ "voltage_kV", "8e1", "80" },
	{ "voltage_kV", "80.", "80" },
	{ "voltage_kV", ".5", "0.5" },
	{ "voltage_kV", "80 keV", NULL },
	{ "voltage_kV", "80,5", NULL },
	{ "voltage_kV", "-80", NULL },
	{ "voltage_kV", "0x50", NULL },
	{ "voltage_kV", "nan", NULL },
	{ "voltage_kV", "inf", NULL },
	{ "voltage_kV", "1e999", NULL },
	{ "voltage_kV", "80 mm", NULL },
	{ "voltage_kV", "80 mv", NULL }, /* milli or mega? */
	{ "voltage_kV", "kV", NULL },
	{ "voltage_kV", "", "" },
	{ "voltage_kV", " \t", "" },
	{ "current_uA", "0.1 mA", "100" },
	{ "current_uA", "100 µA", "100" },
	{ "current_uA", "100 μA", "100" },
	{ "exposure_ms", "0.5 s", "500" },
	{ "exposure_ms", "1 min", "60000" },
	{ "exposure_ms", "250 us", "0.25" },
	{ "source_object_mm", "12.5 cm", "125" },
	{ "projections", "1600", "1600" },
	{ "projections", "1600.5", NULL },
	{ "projections", "-1", NULL },
	{ "projections", "-1e300", NULL },
	{ "projections", "10 um", NULL },
	{ "voxel_size_um", "1.5 mm", "1500,1500,1500" },
	{ "voxel_size_um", "0.1", "0.1,0.1,0.1" },
	{ "voxel_size_um", "1, 1.5 ,2", "1,1.5,2" },
	{ "voxel_size_um", "1,1,2 mm", "1000,1000,2000" },
	{ "voxel_size_um", "1 mm, 1 mm, 200 um", "1000,1000,200" },
	{ "voxel_size_um", "3.30000001", "3.30000001,3.30000001,3.30000001" },
	{ "voxel_size_um", "0", NULL },
	{ "voxel_size_um", "1,2", NULL },
	{ "voxel_size_um", "1,2,3,4", NULL },
	{ "voxel_size_um", "1,2,", NULL },
	{ "kind", "Volume", "volume" },
	{ "kind", "banana", NULL },
	{ "kind", "volume projections", NULL },
	{ "look", "ALL", "all" },
	{ "look", "everybody", NULL },
	{ "keywords", " bone , porosity,,trabecula ", "bone,porosity,trabecula" },
	{ "keywords", ",", "" },
	{ "title", "  Mouse femur  ", "Mouse femur" },
	{ "title", "two\nlines", NULL },
	{ "comment", "two\nlines", "two\nlines" },
	{ "comment", "bell\a", NULL },
	{ "comment", "\xff\xfe", NULL },
	{ "sample", "Femur 12", "Femur 12" },
	{ "sample", "a/b", NULL },
	{ "sample", ".hidden", NULL },
	{ "start_time", "2026-11-23", "2026-11-23" },
	{ "start_time", "2026-11-23 10:30", "2026-11-23T10:30:00" },
	{ "start_time", "2026-11-23T10:30:05.25z", "2026-11-23T10:30:05.25Z" },
	{ "start_time", "2026-11-23T10:30:05+0100", "2026-11-23T10:30:05+01:00" },
	{ "start_time", "2026-11-23T10.30.05 -05", "2026-11-23T10:30:05-05:00" },
	{ "start_time", "2024-02-29", "2024-02-29" },
	{ "start_time", "2026-02-29", NULL },
	{ "start_time", "2026-13-01", NULL },
	{ "start_time", "2026-11", NULL },
	{ "start_time", "23.11.2026", NULL },
	{ "start_time", "2026-11-23T25:00", NULL },
	{ "start_time", "2026-11-23T10:30:05.", NULL },
	{ "start_time", "2026-11-23T10:30:05 CET", NULL },
};

static void check_normals(void)
{
	for (size_t i = 0; i < sizeof normals / sizeof *normals; i++) {
		const struct field *f = field_find(normals[i].field);
		scope_free char *normal = NULL, *again = NULL;
		int rc;

		CHECK(f);
		rc = field_normal(f, normals[i].text, &normal);
		if (!normals[i].normal) {
			check_that(rc == -EINVAL && !normal, __FILE__, __LINE__, normals[i].field, normals[i].text);
			CHECK(strncmp(err_text(), f->name, strlen(f->name)) == 0);
			continue;
		}
		check_that(!rc && normal && strcmp(normal, normals[i].normal) == 0, __FILE__, __LINE__, normals[i].text,
			   normal ? normal : err_text());
		/* What is normal stays as it is. */
		CHECK_RC(field_normal(f, normals[i].normal, &again));
		CHECK(again && strcmp(again, normals[i].normal) == 0);
	}
}

static void check_table(void)
{
	for (size_t i = 0; i < field_count; i++) {
		CHECK(field_find(fields[i].name) == &fields[i]);
		for (const char *const *a = fields[i].aliases; *a; a++)
			check_that(field_find(*a) == &fields[i], __FILE__, __LINE__, "alias", *a);
		CHECK(*fields[i].help && !*fields[i].unit == !*field_units(&fields[i]));
	}
	CHECK(field_find("KV") == field_find("voltage_kv"));
	CHECK(field_find("µA") == field_find("current_uA"));
	CHECK(!field_find("") && !field_find("banana"));
}

static void check_numbers(void)
{
	double v = 0;

	CHECK(field_number(field_find("voxel"), "1,2,3", &v) && v == 3);
	CHECK(field_number(field_find("voxel"), "2um", &v) && v == 2);
	CHECK(field_number(field_find("bytes"), "17592186044416", &v) && v == 17592186044416.0);
	CHECK(field_number(field_find("size"), "1.2 GB", &v) && v == 1.2e9);
	CHECK(field_number(field_find("bytes"), "2 KiB", &v) && v == 2048);
	CHECK(!field_number(field_find("kV"), "80 90", &v));
	CHECK(!field_number(field_find("kV"), "", &v));
}

static void check_spans(void)
{
	static const struct {
		const char *text;
		int64_t from_s, until_s;
	} spans[] = {
		{ "1970", 0, 365 * 86400 },
		{ "1970-01", 0, 31 * 86400 },
		{ "1970-01-01", 0, 86400 },
		{ "1970-01-02T00:01", 86460, 86520 },
		{ "1970-01-02 00.01.30", 86490, 86491 },
		{ "2000-12", 975628800, 978307200 },
		{ "1969-12-31", -86400, 0 },
	};
	struct field_span s;

	for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
		CHECK(field_time(spans[i].text, &s) && !s.zoned);
		check_that(s.from_us == spans[i].from_s * 1000000 && s.until_us == spans[i].until_s * 1000000, __FILE__,
			   __LINE__, "span", spans[i].text);
	}
	CHECK(field_time("2026-11-23T10:00:00-05:30", &s) && s.zoned && s.zone_minutes == -330);
	CHECK(field_time("1970-01-01T00:00:00.123456789Z", &s) && s.from_us == 123456 && s.until_us == 123457);
	CHECK(!field_time("", &s) && !field_time("2026-", &s) && !field_time("2026-11-23T", &s));
	CHECK(!field_time("0000-01-01", &s) && !field_time("2026-1-1", &s));
}

static void check_utf8(void)
{
	static const struct {
		const char *text, *folded;
	} folds[] = {
		{ "BONE", "bone" },
		{ "Größe", "größe" },
		{ "ÄÖÜ", "äöü" },
		{ "Ångström", "ångström" },
		{ "ŁÓDŹ", "łódź" },
		{ "ΌΣΤΟΎΝ", "όστούν" },
		{ "КОСТЬ Ё", "кость ё" },
		{ "µm", "μm" },
		{ "\xff"
		  "A",
		  "\xff"
		  "a" },
		{ "\xe2\x82", "\xe2\x82" },
		{ "骨", "骨" },
		{ "\xf0\x9f\xa6\xb4", "\xf0\x9f\xa6\xb4" },
	};

	for (size_t i = 0; i < sizeof folds / sizeof *folds; i++) {
		scope_free char *folded = utf8_folded(folds[i].text);

		check_that(folded && strcmp(folded, folds[i].folded) == 0, __FILE__, __LINE__, "fold", folds[i].text);
		CHECK(utf8_equal(folds[i].text, folds[i].folded) && utf8_contains(folds[i].text, folds[i].folded));
	}
	CHECK(utf8_contains("Mouse FEMUR 12", "femur") && !utf8_contains("Mouse", "mousetrap") &&
	      utf8_contains("", ""));
	CHECK(!utf8_equal("Mouse", "mous") && !utf8_equal("Mous", "mouse"));
	CHECK(utf8_valid("größe") && !utf8_valid("\xc0\x80") && !utf8_valid("\xed\xa0\x80") &&
	      !utf8_valid("\xf4\x90\x80\x80"));
}

/* Any bytes as a value: refused or brought to a normal form that stays, never a crash. */
static void check_random(void)
{
	static const char alphabet[] = "0123456789.,eE+-:TZ kVmMuAs\xc2\xb5\xff\n/";
	uint64_t seed = 42;

	for (unsigned round = 0; round < 20000; round++) {
		const struct field *f = &fields[round % field_count];
		char text[32];
		scope_free char *normal = NULL, *again = NULL;
		size_t len;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		len = seed >> 59;
		for (size_t i = 0; i < len; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			text[i] = alphabet[(seed >> 33) % (sizeof alphabet - 1)];
		}
		text[len] = 0;
		if (field_normal(f, text, &normal))
			continue;
		CHECK_RC(field_normal(f, normal, &again));
		check_that(again && strcmp(normal, again) == 0, __FILE__, __LINE__, f->name, text);
	}
}

int main(void)
{
	check_table();
	check_normals();
	check_numbers();
	check_spans();
	check_utf8();
	check_random();
	return check_done();
}
