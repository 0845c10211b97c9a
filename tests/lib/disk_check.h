/*
 * disk_check: opens what a power cut left and looks whether everything that was promised is there and nothing is that never was.
 */
#ifndef TOMOFS_DISK_CHECK_H
#define TOMOFS_DISK_CHECK_H

#include "tests/lib/disk_work.h"

struct check_count {
	uint64_t cuts;	    /* states looked at */
	uint64_t files;	    /* contents compared */
	uint64_t bytes;
	uint64_t journal_cut; /* of these states: those whose journal ended before the last record */
	uint64_t ahead;	    /* an index that knew more than the journal was found out, and made again */
	uint64_t recoveries;  /* cuts while a store was opened after a cut, or used again */
};

enum check_flags {
	CHECK_REBUILD = 1, /* also make the index anew from the journal and compare */
	CHECK_USE = 2,	   /* also write more, and cut again while it was opened, used and closed */
	CHECK_LOOK = 8,	   /* first verify without writing */
	CHECK_LIED = 4,	   /* the disk lied: what was promised may be lost, but nothing may be wrong */
};

/* The folder is changed (the store in it is opened). step: that the cut was in. NULL, or what is wrong, which the caller
 * frees. Deterministic by seed. scratch: a name for a folder that is not there. */
char *check_left(const char *folder, const char *scratch, const struct deeds *history, size_t step, unsigned flags,
		 uint64_t seed, struct check_count *count);

/* Removes a folder and everything in it. */
void remove_folder(const char *path);

#endif
