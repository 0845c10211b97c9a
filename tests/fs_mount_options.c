/* The words of `-o`: what is taken, what is refused, and what they come to in any order. */
#include "fs/mount_internal.h"
#include "fs/recoder.h"
#include "fs/collector.h"
#include "tests/lib/check.h"

struct example {
	const char *text;
	uint32_t dense_after; /* what it comes to */
};

static void test_dense(void)
{
	static const struct example examples[] = { { NULL, 0 },
						   { "", 0 },
						   { "dense_after=60", 60 },
						   { "dense_after=never", RECODER_NEVER },
						   { "ro", RECODER_NEVER },
						   { "rw", 0 },
						   { "ro,dense_after=60", RECODER_NEVER },
						   { "dense_after=60,ro", RECODER_NEVER },
						   { "ro,noatime,dense_after=60,cache=64M", RECODER_NEVER },
						   { "ro,rw,dense_after=60", 60 },
						   { "rw,dense_after=60,ro", RECODER_NEVER } };

	for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
		struct options o = { 0 };

		CHECK_RC(options_parse(examples[i].text, &o));
		CHECK(o.dense_after == examples[i].dense_after);
		buf_free(&o.fuse);
	}
}

static void test_keep(void)
{
	static const struct {
		const char *text;
		uint32_t keep, keep_min;
		bool ready;
	} examples[] = {
		{ "keep=30d", 2592000, 0, false },
		{ "keep=7d,keep_min=12h", 604800, 43200, false },
		{ "keep=90m,keep=600s", 600, 0, false },
		{ "keep=forever,protect=ready", KEEP_FOREVER, 0, true },
		{ "protect=ready,protect=none", 0, 0, false },
		{ "keep=1d,ro", KEEP_FOREVER, 0, false },
	};

	for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
		struct options o = { 0 };

		CHECK_RC(options_parse(examples[i].text, &o));
		CHECK(o.keep == examples[i].keep && o.keep_min == examples[i].keep_min && o.protect_ready == examples[i].ready);
		buf_free(&o.fuse);
	}
}

static void test_refused(void)
{
	static const char *const refused[] = { "dense_after=",	  "dense_after=0",	    "dense_after=-1", "dense_after=1h",
					       "dense_after=soon", "dense_after=4294967295", "keep=", "keep=-1", "keep=1w",
					       "keep=1dd", "keep=never", "keep_min=x", "protect=", "protect=all", "cache=1",	      "settle=0",
					       "readonly" };

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct options o = { 0 };

		CHECK(options_parse(refused[i], &o) < 0);
		buf_free(&o.fuse);
	}
}

int main(void)
{
	test_dense();
	test_keep();
	test_refused();
	return check_done();
}
