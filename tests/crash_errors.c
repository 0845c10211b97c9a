/*
 * A disk whose n-th call fails, once or from then on, or writes less than it should, and a power cut later: what was promised
 * before or after the failure holds, and on a good disk the store is sound again. See tests/lib/disk_run.h.
 */
#include "tests/lib/check.h"
#include "tests/lib/disk_run.h"

int main(void)
{
	static const struct crash_kind kind = { .failing = true, .tries = 3, .failures_max = 3 };
	struct crash_total total;

	crash_run(&kind, 1000, &total);
	crash_print(&total);
	CHECK(!total.failures);
	return check_done();
}
