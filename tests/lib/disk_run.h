/*
 * disk_run: many sequences of disk_work.h, each in a process of its own, with a cut at every call and several states of the disk for
 * each cut, looked at by disk_check.h. Deterministic but for the order in which the store's threads come to the disk.
 *
 * Environment of the programs that use it:
 *     POINTS=2000   how many different states (disk, promises) to look at     SEED=1   of the first sequence     JOBS=1
 *     MOST_SECONDS= after which no more sequences are begun
 *     SEQUENCE=17 [CUT=123 [TRY=2]]   only this sequence, cut, state of the disk
 *     KEEP=DIR      what the first cut that failed left, and calls.txt
 * What fails is said with its sequence, cut and try, and with the fewest steps that were found to fail as well.
 */
#ifndef TOMOFS_DISK_RUN_H
#define TOMOFS_DISK_RUN_H

#include "tests/lib/disk_check.h"

struct crash_kind {
	bool failing;	       /* calls fail, too */
	unsigned lie_kinds;    /* enum disk_kind: calls that do nothing ... */
	const char *lie_below; /* ... for files below this path */
	bool cut_journal;      /* everything is there but the end of the journal, which was promised */
	bool forgive;	       /* what was promised may be lost then, but nothing may be wrong */
	uint64_t tries;	       /* states of the disk for each cut; 0: the usual number */
	bool silent;	       /* failures are expected */
	uint64_t failures_max; /* then it ends */
};

struct crash_total {
	struct check_count count;
	uint64_t sequences, calls, index_lost, index_old, failures;
	uint64_t points; /* different states that were looked at */
	double seconds;
};

void crash_run(const struct crash_kind *kind, uint64_t points, struct crash_total *total);
void crash_print(const struct crash_total *total);

#endif
