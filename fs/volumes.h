/*
 * volumes: the images of datasets (REC_IMAGES), ready to be read by views: a stack of files, the pages of one file, a raw volume
 * behind its sidecar. Keeps a few images open, so that reading on in the same file does not parse its header again; no
 * descriptor or memory is held for each node.
 *
 * Threads: any. volumes_get() returns a counted value that several threads may read from at once.
 */
#ifndef TOMOFS_VOLUMES_H
#define TOMOFS_VOLUMES_H

#include "fs/fs.h"
#include "fs/view/volume.h"

struct volumes;

struct volumes *volumes_new(struct fs *fs);
void volumes_free(struct volumes *volumes);

struct volume_ref {
	struct volume volume; /* id is the image's; name the dataset's short name, or the last name of the part */
	struct record_image image;
	uint32_t dataset;
};

/* 0 and *out (volumes_drop()); -ENOENT: no such image (any more); -ENOTSUP with a sentence: it cannot be viewed; -EIO.
 * Touches no pixel. */
int volumes_get(struct volumes *volumes, uint32_t image, struct volume_ref **out);
void volumes_drop(struct volumes *volumes, struct volume_ref *ref);

#endif
