#include "store/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "store/scope.h"

static int sys_open(const struct io *io, const char *path, int flags, mode_t mode)
{
	int fd;

	(void)io;
	/* A pipe in place of a file is not waited for; to files it makes no difference. */
	do
		fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static int sys_close(const struct io *io, int fd)
{
	(void)io;
	/* Linux has let go of the descriptor even when it says EINTR. */
	return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

static int64_t sys_pread(const struct io *io, int fd, void *to, size_t len, uint64_t off)
{
	ssize_t n = pread(fd, to, len, (off_t)off);

	(void)io;
	return n < 0 ? -errno : n;
}

static int64_t sys_pwrite(const struct io *io, int fd, const void *from, size_t len, uint64_t off)
{
	ssize_t n = pwrite(fd, from, len, (off_t)off);

	(void)io;
	return n < 0 ? -errno : n;
}

/* The disk begins at once with what was written, and by the time WRITTEN_BEHIND more is written it has it: then its pages are given back.
 * RWF_DONTCACHE does nearly the same and takes a tenth longer for all of a copy. All hints: what fails is told to the sync. */
enum { WRITTEN_BEHIND = 64 << 20 };

static int64_t sys_pwrite_once(const struct io *io, int fd, const void *from, size_t len, uint64_t off)
{
	int64_t n = sys_pwrite(io, fd, from, len, off);

	if (n <= 0)
		return n;
	sync_file_range(fd, (off_t)off, n, SYNC_FILE_RANGE_WRITE);
	if (off >= WRITTEN_BEHIND)
		posix_fadvise(fd, (off_t)(off - WRITTEN_BEHIND), n, POSIX_FADV_DONTNEED);
	return n;
}

/* EINTR says that nothing was reported yet, so asking again is sound; no other failure is ever asked again. */
static int sync_fd(int fd, int (*sync)(int fd))
{
	int rc;

	do
		rc = sync(fd);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

static int sys_fdatasync(const struct io *io, int fd)
{
	(void)io;
	return sync_fd(fd, fdatasync);
}

static int sys_fsync_dir(const struct io *io, const char *path)
{
	scope_fd int fd = sys_open(io, path, O_RDONLY | O_DIRECTORY, 0);

	return fd < 0 ? fd : sync_fd(fd, fsync);
}

static int sys_rename(const struct io *io, const char *from, const char *to)
{
	(void)io;
	return rename(from, to) < 0 ? -errno : 0;
}

static int sys_unlink(const struct io *io, const char *path)
{
	(void)io;
	return unlink(path) < 0 ? -errno : 0;
}

static int sys_truncate(const struct io *io, int fd, uint64_t size)
{
	int rc;

	(void)io;
	do
		rc = ftruncate(fd, (off_t)size);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

static int64_t sys_size(const struct io *io, int fd)
{
	struct stat st;

	(void)io;
	return fstat(fd, &st) < 0 ? -errno : st.st_size;
}

const struct io io_system = {
	.open = sys_open,
	.close = sys_close,
	.pread = sys_pread,
	.pwrite = sys_pwrite,
	.pwrite_once = sys_pwrite_once,
	.fdatasync = sys_fdatasync,
	.fsync_dir = sys_fsync_dir,
	.rename = sys_rename,
	.unlink = sys_unlink,
	.truncate = sys_truncate,
	.size = sys_size,
};

int io_read_all(const struct io *io, int fd, void *to, size_t len, uint64_t off)
{
	uint8_t *at = to;

	while (len) {
		int64_t n = io->pread(io, fd, at, len, off);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EBADMSG;
		at += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_all(const struct io *io, int fd, const void *from, size_t len, uint64_t off,
		     int64_t (*write)(const struct io *io, int fd, const void *from, size_t len, uint64_t off))
{
	const uint8_t *at = from;

	while (len) {
		int64_t n = write(io, fd, at, len, off);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO; /* no progress and no reason given: do not spin */
		at += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int io_write_all(const struct io *io, int fd, const void *from, size_t len, uint64_t off)
{
	return write_all(io, fd, from, len, off, io->pwrite);
}

int io_write_once(const struct io *io, int fd, const void *from, size_t len, uint64_t off)
{
	return write_all(io, fd, from, len, off, io->pwrite_once ? io->pwrite_once : io->pwrite);
}

static int write_new(const struct io *io, const char *path, const void *bytes, size_t len)
{
	/* Only the owner may read: the files of a store hold its hash secret and everybody's data. */
	int fd = io->open(io, path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
	int rc, closed;

	if (fd < 0)
		return fd;
	rc = io_write_all(io, fd, bytes, len, 0);
	if (!rc)
		rc = io->fdatasync(io, fd);
	closed = io->close(io, fd);
	return rc ? rc : closed;
}

static int sync_folder_of(const struct io *io, const char *path)
{
	const char *slash = strrchr(path, '/');
	scope_free char *folder = NULL;

	if (!slash)
		return io->fsync_dir(io, ".");
	if (slash == path)
		return io->fsync_dir(io, "/");
	folder = strndup(path, (size_t)(slash - path));
	return folder ? io->fsync_dir(io, folder) : -ENOMEM;
}

int io_write_file(const struct io *io, const char *path, const void *bytes, size_t len)
{
	scope_free char *temporary = NULL;
	int rc;

	/* A fixed name, so that what a crash leaves behind is overwritten by the next try. */
	if (asprintf(&temporary, "%s.tmp", path) < 0) {
		temporary = NULL;
		return -ENOMEM;
	}
	rc = write_new(io, temporary, bytes, len);
	if (!rc)
		rc = io->rename(io, temporary, path);
	if (rc) {
		io->unlink(io, temporary);
		return rc;
	}
	return sync_folder_of(io, path);
}

static int read_open(const struct io *io, int fd, size_t max, void **bytes, size_t *len)
{
	int64_t size = io->size(io, fd);
	scope_free uint8_t *all = NULL;
	int rc;

	if (size < 0)
		return (int)size;
	if ((uint64_t)size > max)
		return -EFBIG;
	all = malloc((size_t)size + 1);
	if (!all)
		return -ENOMEM;
	rc = io_read_all(io, fd, all, (size_t)size, 0);
	if (rc)
		return rc;
	all[size] = 0; /* beyond len: a text can be used as a string */
	*len = (size_t)size;
	*bytes = take(&all);
	return 0;
}

int io_read_file(const struct io *io, const char *path, size_t max, void **bytes, size_t *len)
{
	int fd = io->open(io, path, O_RDONLY, 0);
	int rc;

	if (fd < 0)
		return fd;
	rc = read_open(io, fd, max, bytes, len);
	io->close(io, fd);
	return rc;
}
