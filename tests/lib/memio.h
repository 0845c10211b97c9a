/*
 * memio: a few files in memory behind a struct io (store/io.h), for fuzz targets: quick, and nothing is left on a disk.
 * Files are told apart by the last component of their path. One thread.
 */
#ifndef TOMOFS_MEMIO_H
#define TOMOFS_MEMIO_H

#include "store/buf.h"
#include "store/io.h"

enum { MEMIO_FILES = 8, MEMIO_NAME_MAX = 64, MEMIO_BYTES_MAX = 64 << 20 };

struct memio {
	struct io io; /* of this one; set by memio_init() */
	struct memio_file {
		char name[MEMIO_NAME_MAX]; /* "": no file */
		struct buf bytes;
	} files[MEMIO_FILES];
	unsigned open;      /* descriptors that are not closed */
	unsigned fail_read; /* that many reads from now on one gives -EIO; 0: none does */
};

void memio_init(struct memio *m);
void memio_free(struct memio *m);
/* A file of this name and content; NULL when there is no room. Replaces one that is there. */
struct buf *memio_put(struct memio *m, const char *name, const void *bytes, size_t len);
/* NULL: there is none. */
struct buf *memio_get(struct memio *m, const char *name);

#endif
