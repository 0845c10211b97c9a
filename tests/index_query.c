/* Queries: what matches, what is refused and where, and that no text of any kind does harm. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "index/query.h"
#include "tests/lib/check.h"

static const struct query_value femur_values[] = {
	{ "name", "femur-17" },	       { "place", "mice/femur-17" },	 { "id", "k7m2q-9x4wd" },
	{ "tag", "porosity" },	       { "tag", "Bone" },		 { "voltage_kV", "80" },
	{ "voxel_size_um", "2,2,1.5" }, { "sample", "Mouse 7 L\xc3\xa4ngsschnitt" }, { "owner", "ada" },
	{ "start_time", "2026-11-23T14:05:00Z" }, { "date", "2026-11-23" }, { "bytes", "67108864" },
};
static const struct query_subject femur = { femur_values, sizeof femur_values / sizeof *femur_values };

static const struct {
	const char *text;
	bool matches;
} answers[] = {
	{ "", true },
	{ "femur", true },
	{ "FEMUR", true },
	{ "tibia", false },
	{ "l\xc3\x84ngs", true }, /* folds umlauts */
	{ "mouse porosity", true },
	{ "mouse tibia", false },
	{ "tibia or femur", true },
	{ "tibia OR skull", false },
	{ "-tibia", true },
	{ "-femur", false },
	{ "not tibia", true },
	{ "not (tibia or femur)", false },
	{ "(tibia or femur) mouse", true },
	{ "\"mouse 7\"", true },
	{ "'mouse 7'", true },
	{ "\"7 mouse\"", false },
	{ "sample:mouse", true },
	{ "sample=mouse", true },
	{ "sample:'mouse 7'", true },
	{ "owner:mouse", false },
	{ "tag:porosity", true },
	{ "tag=bone", true },
	{ "tag:poro", false }, /* a tag is meant whole */
	{ "voltage=80", true },
	{ "voltage=0.08MV", true },
	{ "kV=80", true },
	{ "voltage>=80kV", true },
	{ "voltage>80", false },
	{ "voltage<80", false },
	{ "voltage<=80", true },
	{ "kV lt 100", true },
	{ "kV gt 100", false },
	{ "kV ge 80 voxel le 2", true },
	{ "voxel<2um", true }, /* x, the last axis */
	{ "voxel=..2um", true },
	{ "voxel=0.0015mm", true },
	{ "kV=80..", true },
	{ "kV=81..", false },
	{ "kV=60..100", true },
	{ "kV=10..20", false },
	{ "current>0", false }, /* not known: no comparison is true */
	{ "-current>0", true },
	{ "date=2026-11", true },
	{ "date:2026-11-23", true },
	{ "date=2026-10", false },
	{ "date>2026-10-01", true },
	{ "date>2026-11-23", false },
	{ "date>=2026-11-23", true },
	{ "date<2026-12", true },
	{ "date=2026-01..2026-06", false },
	{ "size>60000000", true },
	{ "12:30", false }, /* no name of a field: a word */
};

static const struct {
	const char *text;
	size_t at;
} refused[] = {
	{ "voltag=80", 0 },
	{ "femur voltag=80", 6 },
	{ "voltage=fast", 0 },
	{ "voltage=80mm", 0 },
	{ "date=yesterday", 0 },
	{ "sample<3", 0 },
	{ "(femur", 0 },
	{ "femur)", 5 },
	{ "femur (", 7 },
	{ "\"femur", 0 },
	{ "femur or", 8 },
	{ "not", 3 },
	{ "voltage=", 0 },
	{ "kV=..", 0 },
};

static uint64_t seed = 99;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void random_texts(void)
{
	static const char *const bits[] = { "femur", " ", "(", ")", "or ", "not ", "-", "kV", "=", "..", "<", ":", "\"", "'", "80", "tag",
					    "\xff", "date", "2026", " lt ", "\xc3" };
	char text[QUERY_TEXT_MAX + 64];

	for (int i = 0; i < 20000; i++) {
		struct query *q = NULL;
		size_t at = 0, len = 0;

		for (uint64_t n = rnd(30); n; n--) {
			const char *bit = bits[rnd(sizeof bits / sizeof *bits)];

			memcpy(text + len, bit, strlen(bit));
			len += strlen(bit);
		}
		text[len] = 0;
		if (query_parse(text, &q, &at))
			CHECK(!q && at <= len && *err_text());
		else
			query_match(q, &femur);
		query_free(q);
	}
}

int main(void)
{
	struct query *q;
	size_t at;
	char deep[400] = "";

	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		int rc = query_parse(answers[i].text, &q, &at);

		check_that(rc == 0, __FILE__, __LINE__, answers[i].text, rc ? err_text() : "");
		if (!rc)
			check_that(query_match(q, &femur) == answers[i].matches, __FILE__, __LINE__, answers[i].text, "the answer is wrong");
		query_free(q);
	}
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		check_that(query_parse(refused[i].text, &q, &at) == -EINVAL, __FILE__, __LINE__, refused[i].text, "is accepted");
		check_that(at == refused[i].at, __FILE__, __LINE__, refused[i].text, "points at another place");
		query_free(q);
	}
	memset(deep, '(', 300);
	CHECK(query_parse(deep, &q, &at) == -EINVAL);
	random_texts();
	return check_done();
}
