/*
 * arrival: what happens to data after it was written. A closed file is looked into once (its header or text: REC_PROBE); when a
 * dataset was quiet for the settle time it is surveyed (which images has it? REC_IMAGES), its state becomes ready or
 * incomplete, and a project folder with several scans in it is split into datasets.
 *
 * Nothing waits for ready: arrival_catch_up() brings one dataset up to date at once, and views and facts call it.
 *
 * Threads: all calls from any thread; the work is done by a thread of its own and, for catch-up and for files that are still at hand, by the
 * caller.
 */
#ifndef TOMOFS_ARRIVAL_H
#define TOMOFS_ARRIVAL_H

#include "fs/fs.h"

struct arrival;

int arrival_new(struct arrival **out, struct fs *fs);
/* Looks into what is still waiting, then ends. NULL is fine. */
void arrival_free(struct arrival *arrival);

/* A file is being written; a file was closed and its content is in the catalog (the callbacks of file.h). */
void arrival_written(void *arrival, uint64_t ino);
void arrival_closed(void *arrival, uint64_t ino, bool at_hand);
/* Something was made, removed or moved in this folder, or this node itself. */
void arrival_changed(struct arrival *arrival, uint64_t ino);
/* A file or folder has a new name or place: what its name says is looked at again. */
void arrival_moved(struct arrival *arrival, uint64_t ino);
/* A person changed facts that images depend on (the voxel size). */
void arrival_facts_changed(struct arrival *arrival, uint32_t dataset);

/* Looks into all closed files of a dataset and surveys it, if something changed. Waits until done. 0 or -errno. */
int arrival_catch_up(struct arrival *arrival, uint32_t dataset);

/* A reader of views met damage in a file's pixels that its header did not show: kept beside what was found, so that facts.json and
 * error.txt say it, until the file is written again. */
void arrival_damaged(struct arrival *arrival, uint64_t ino, const char *sentence);

/* Looks into all files that were closed before the call, of all datasets, so that a search finds what was just copied in. */
void arrival_look_into_new(struct arrival *arrival);

/* `ready` by hand: now, without waiting for the settle time. 0; -EBUSY: somebody is writing a file in it. */
int arrival_ready(struct arrival *arrival, uint32_t dataset);

/* user.tomofs.role: a folder becomes a dataset of its own, or a collection. */
int arrival_set_role(struct arrival *arrival, const struct caller *who, uint64_t ino, enum dataset_role role);

#endif
