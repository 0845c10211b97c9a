/*
 * source: random access to the plain bytes of one file, wherever they are. Image readers and sidecar parsers see files
 * only through this, never a path or a descriptor, so that they can be moved into a confined process, and be tested on
 * bytes in memory.
 *
 * A source is used by one thread at a time. The one who made it closes it (source_close), after everything that reads it.
 */
#ifndef TOMOFS_SOURCE_H
#define TOMOFS_SOURCE_H

#include <stddef.h>
#include <stdint.h>

struct source {
	/* Reads up to len bytes at off into to. Returns the number read, short only at the end, or -errno (-EIO: damaged). */
	int64_t (*read)(void *ctx, uint64_t off, void *to, size_t len);
	void (*close)(void *ctx); /* may be NULL */
	void *ctx;
	uint64_t size;
};

/* Reads exactly len bytes: 0, -EBADMSG when the file ends before, or the reader's -errno. */
int source_read(struct source *src, uint64_t off, void *to, size_t len);
void source_close(struct source *src);

/* Over bytes in memory, which must outlive it. */
struct source source_of_memory(const void *bytes, size_t len);
/* Over a descriptor (tests, tools); source_close() closes it. 0 or -errno. */
int source_of_fd(struct source *src, int fd);

#endif
