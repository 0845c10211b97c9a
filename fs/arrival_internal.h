/*
 * arrival_internal: what the files of arrival share.
 *
 *     arrival.c          the queue of closed files, the thread, catch-up
 *     arrival_probe.c    one file: what is in it (REC_PROBE)
 *     arrival_survey.c   one dataset: which images it has (REC_IMAGES)
 *     arrival_group.c    the files of one folder -> images
 *     arrival_state.c    one dataset: receiving, ready or incomplete; collections
 */
#ifndef TOMOFS_ARRIVAL_INTERNAL_H
#define TOMOFS_ARRIVAL_INTERNAL_H

#include "fs/arrival.h"

/* Looks into one file. with_facts: what its own header says is recorded too (of a stack, only the first slice's is). Not
 * being able to look (damaged, gone) is no failure of arrival: it is logged and kept as the probe's error. */
int probe_file(struct fs *fs, uint64_t ino, bool with_facts);

/* Adds an error to what was found in a file. */
int probe_add_error(struct fs *fs, uint64_t ino, const char *sentence);

/* A file of a dataset, with what was found in it. */
struct survey_file {
	uint64_t ino, folder, size;
	char *name;
	char *path; /* of its folder inside the dataset; "" for the top; shared by the files of a folder */
	uint64_t stamp; /* of its content: another one means other bytes */
	struct record_probe probe; /* strings in memory */
	struct record_memory *memory;
	bool probed;
};

struct survey {
	struct fs *fs;
	struct dataset_row dataset;
	struct survey_file *files; /* folder by folder, in natural order of names */
	size_t count;
	char **paths; /* owned paths of folders */
	size_t path_count;
	struct survey_image *images;
	size_t image_count;
};

/* An image as it is found, before it gets its number. */
struct survey_image {
	struct record_image record; /* part is owned; error points to text or "" */
	char *part;
	char *error;
	uint64_t first; /* node of its first file */
	uint64_t bytes; /* of pixels */
};

/* Reads all files of a dataset and their probes; not those of datasets inside it. survey_free() in any case. */
int survey_read(struct fs *fs, uint32_t dataset, struct survey *s);
void survey_free(struct survey *s);
/* Fills s->images from its files, folder by folder. 0 or -ENOMEM. */
int survey_images(struct survey *s);
/* Turns files first .. first+count-1, which lie in one folder, into images of s. 0 or -ENOMEM. */
int survey_group(struct survey *s, size_t first, size_t count);

/* Brings the images of a dataset up to date. */
int survey_dataset(struct fs *fs, uint32_t dataset);

/* A dataset was quiet for the settle time, or somebody says it is ready: sets its state, applies the rule for collections.
 * *again: it cannot be ready yet (a writer, a temporary name); ask again later. */
int state_settle(struct fs *fs, uint32_t dataset, bool *again);
/* Makes it receiving when it is not. */
int state_receiving(struct fs *fs, const struct dataset_row *row);

#endif
