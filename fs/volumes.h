/*
 * volumes: the images of datasets (REC_IMAGES), ready to be read by views: a stack of files, the pages of one file, a
 * raw volume behind its sidecar. Keeps a few images open, so that reading on in the same file does not parse its header
 * again; no descriptor or memory is held for each node.
 *
 * What was read is checked against what the files held when the volume was made: when one of them was written since, or
 * is being written, reading fails (-EIO) and the next volumes_get() makes a volume with another id. So bytes of two
 * contents never meet in one cache.
 *
 * Threads: any. volumes_get() returns a counted value that several threads may read from at once.
 */
#ifndef TOMOFS_VOLUMES_H
#define TOMOFS_VOLUMES_H

#include "fs/fs.h"
#include "fs/view/volume.h"

struct volumes;

struct volumes *volumes_new(struct fs *fs);
/* Everything must have been dropped. NULL is fine. */
void volumes_free(struct volumes *volumes);

struct volume_ref {
	struct volume volume; /* id: the image's in the upper 26 bits, below it a hash of what its files hold; name: the
			       * dataset's short name (main image), else the last name of the part */
	struct record_image image;
	uint32_t dataset;
};

/* 0 and *out (volumes_drop()); -ENOENT: no such image (any more); -ENOTSUP with a sentence: it cannot be viewed; -EIO:
 * its files are no longer those that it was made of. Touches no pixel. */
int volumes_get(struct volumes *volumes, uint32_t image, struct volume_ref **out);
void volumes_drop(struct volumes *volumes, struct volume_ref *ref);

/* Up to len bytes at off of the volume's picture (view/picture.h); the last ones made are kept. Returns the number
 * (short only at the end) or -errno. */
int64_t volumes_picture(struct volumes *volumes, const struct volume_ref *ref, uint64_t off, void *to, size_t len);

#endif
