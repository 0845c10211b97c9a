/*
 * volumes_internal: what volumes.c (volumes by image), volumes_members.c (the files of an image) and volumes_pool.c
 * (files that are open) share.
 */
#ifndef TOMOFS_VOLUMES_INTERNAL_H
#define TOMOFS_VOLUMES_INTERNAL_H

#include "fs/volumes.h"

/* A file of an image. */
struct member {
	uint64_t ino;
	uint64_t first;	  /* its first slice, counted through all files */
	uint64_t content; /* what it held when the volume was made, as a number */
	uint64_t extents; /* where its bytes were then, likewise */
};

struct members {
	struct member *list;
	size_t count;
};

/* The files of an image of a dataset, in the order of their slices. 0; -EIO with a sentence when they do not add up to
 * its depth; -errno. */
int members_list(struct fs *fs, uint32_t dataset, const struct record_image *image, struct members *out);
void members_free(struct members *members);
/* The one that holds slice z. */
const struct member *members_find(const struct members *members, uint64_t z);
/* Fills content and extents with what the file holds now; another content has other numbers. 0 or -errno. */
int member_content(struct fs *fs, struct member *member);
/* Is the file still as it was? 0; -EIO with a sentence: being written, or changed. */
int member_check(struct fs *fs, const struct member *member);

/* Files of images that are open, each used by one thread at a time. */
struct pool_of_images;
struct pool_of_images *images_pool_new(struct fs *fs);
void images_pool_free(struct pool_of_images *pool);
/* Rows of a page of a file. 0 or -errno with a sentence without the file's name. */
int images_pool_read(struct pool_of_images *pool, const struct volume_ref *ref, const struct member *member,
		     uint64_t page, uint64_t row, uint64_t rows, void *to);

#endif
