/*
 * io: the only way the store, the journal and the index's own files touch the disk. A table of calls, so that a test
 * can put one in between that fails the n-th call, writes short, or forgets what was not synced.
 *
 * Every call returns >= 0 or -errno; none sets err_text(): the caller knows the noun. Any thread may call.
 */
#ifndef TOMOFS_IO_H
#define TOMOFS_IO_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct io {
	int (*open)(const struct io *io, const char *path, int flags, mode_t mode); /* O_CLOEXEC is added */
	int (*close)(const struct io *io, int fd);
	int64_t (*pread)(const struct io *io, int fd, void *to, size_t len, uint64_t off);
	int64_t (*pwrite)(const struct io *io, int fd, const void *from, size_t len, uint64_t off);
	/* The same for much that goes to the disk at once and is hardly read soon: the disk begins, and when it has them the pages are
	 * given back, so that they push out nothing that is used. NULL: pwrite() does. */
	int64_t (*pwrite_once)(const struct io *io, int fd, const void *from, size_t len, uint64_t off);
	int (*fdatasync)(const struct io *io, int fd);
	int (*fsync_dir)(const struct io *io, const char *path);
	int (*rename)(const struct io *io, const char *from, const char *to);
	int (*unlink)(const struct io *io, const char *path);
	int (*truncate)(const struct io *io, int fd, uint64_t size);
	int64_t (*size)(const struct io *io, int fd);
	void *ctx; /* for tables that keep state */
};

/* The real one. */
extern const struct io io_system;

/* Was there no memory or no free descriptor? That says nothing about the file: the same may work the next time. */
static inline bool io_is_passing(int rc)
{
	return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE;
}

/* All of len bytes: loops over short results and EINTR. 0 or -errno; reading past the end is -EBADMSG. */
int io_read_all(const struct io *io, int fd, void *to, size_t len, uint64_t off);
int io_write_all(const struct io *io, int fd, const void *from, size_t len, uint64_t off);
int io_write_once(const struct io *io, int fd, const void *from, size_t len, uint64_t off);

/* Writes a small file whole or not at all: temporary name, fdatasync, rename, fsync of the folder. 0 or -errno.
 * Mode 0600; the temporary name is path with ".tmp" behind it, so one caller at a time for one path. */
int io_write_file(const struct io *io, const char *path, const void *bytes, size_t len);
/* Reads a whole small file (at most max bytes, else -EFBIG) into a new buffer that the caller frees; a NUL follows the
 * bytes. 0 or -errno. */
int io_read_file(const struct io *io, const char *path, size_t max, void **bytes, size_t *len);

#endif
