/*
 * disk_work: what people do in datasets/, step by step as a seed has it, on a store whose packs, journal segments and key runs are
 * tiny, so that all of them are sealed, merged and recoded all the time. It remembers what was there after each step and what
 * was promised, for disk_check.h.
 */
#ifndef TOMOFS_DISK_WORK_H
#define TOMOFS_DISK_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "index/catalog.h"

struct version { /* of a file's bytes */
	uint64_t hash, size;
};

struct tracked { /* a file */
	uint64_t ino;
	struct version *list; /* after each write, oldest first; the first is the empty file */
	size_t count;
	size_t promised; /* this version, or a later one, survives */
	bool any;	 /* what a failed write left is not known */
	char name[64];
};

struct work_bounds {
	size_t from, to; /* versions that may be found */
	bool any;
};

/* One for each step; disk_mark() gives its number at the beginning of the step. */
struct work_step {
	char text[200];
	size_t names_from, names_to; /* states of the names that may be found */
	uint64_t seq;		     /* of the journal: so much must be there */
	struct work_bounds *files;
	size_t file_count;
	int rc; /* what the step said; only with a failing disk is it not 0 */
};

struct deeds {
	struct tracked *files;
	size_t file_count;
	uint64_t *names; /* hashes of all names, modes, xattrs and tags */
	size_t name_count;
	struct work_step *steps;
	size_t step_count;
	uint64_t *records; /* hash of each journal record from the first on */
	size_t record_count;
};

enum { WORK_SKIP_MAX = 256 };

struct work_plan {
	uint64_t seed;
	size_t steps;
	bool skip[WORK_SKIP_MAX]; /* steps that are left out: to find the shortest sequence that fails */
	/* With a failing disk: before this step (SIZE_MAX: never) disk_fail() is called with these. */
	size_t fail_step;
	unsigned fail_kinds;
	uint64_t fail_nth;
	int fail_code;
	bool fail_on;
};

struct disk_trace;

/* Makes a store in the folder (which is not there yet), works, closes it. NULL, or a sentence about a step that failed although
 * the disk did not, or a promise not kept in time. The trace begins after the store was made. Caller frees all three. */
char *work_run(const char *folder, const struct work_plan *plan, struct deeds *history, struct disk_trace **trace);
void deeds_free(struct deeds *history);

/* For those who open a store: its limits become those of the work. */
struct store;
struct journal;
void work_tiny(struct store *store, struct journal *journal, uint64_t seed);

/* A number for everything that has a name in datasets/; names in its top folder that begin with "again" are left out. 0 or -errno. */
int work_names(struct catalog *catalog, uint64_t *hash);
/* Hashes of all records of a journal, appended to a list that the caller frees. 0 or -errno. */
int work_records(struct journal *journal, uint64_t **list, size_t *count);

#endif
