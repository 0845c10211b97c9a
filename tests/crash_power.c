/*
 * Power cuts at every call of whole sequences of work (fs, index, journal, packs, LMDB): what a disk may hold then is opened,
 * verified and compared with what was promised. See tests/lib/disk_run.h for how to look at one that fails.
 */
#include "tests/lib/check.h"
#include "tests/lib/disk_run.h"

int main(void)
{
	static const struct crash_kind kind = { .failures_max = 3 };
	struct crash_total total;

	crash_run(&kind, 2000, &total);
	crash_print(&total);
	CHECK(!total.failures);
	return check_done();
}
