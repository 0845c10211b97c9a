/*
 * When the end of the journal is lost although it was synced, an index that knows more is found out; made again from the journal,
 * everything it names is whole. And: can the tests of power cuts fail? A disk that says "synced" and is not must be found out, whichever file it lies about that
 * matters.
 */
#include <stdio.h>

#include "tests/lib/check.h"
#include "tests/lib/disk.h"
#include "tests/lib/disk_run.h"

static void test_lost_tail(void)
{
	static const struct crash_kind kind = { .cut_journal = true, .forgive = true, .tries = 2, .failures_max = 1 };
	struct crash_total total;

	crash_run(&kind, 300, &total);
	CHECK(!total.failures);
	CHECK(total.count.ahead);
}

int main(void)
{
	static const struct {
		const char *what;
		unsigned kinds;
		const char *below;
	} lies[] = {
		{ "syncs of packs do nothing", DISK_SYNC, "packs/" },
		{ "syncs of the journal do nothing", DISK_SYNC, "journal/" },
		{ "syncs of the folder of packs do nothing", DISK_SYNC_DIR, "packs" },
		{ "syncs of the journal's folder do nothing", DISK_SYNC_DIR, "journal" },
	};

	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		struct crash_kind kind = {
			.lie_kinds = lies[i].kinds, .lie_below = lies[i].below, .silent = true, .failures_max = 1
		};
		struct crash_total total;

		crash_run(&kind, 3000, &total);
		if (!total.failures)
			printf("not found out: %s\n", lies[i].what);
		CHECK(total.failures);
	}
	test_lost_tail();
	return check_done();
}
