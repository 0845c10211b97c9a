/* The I/O table, its helpers, and the table that fails. */
#include "store/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/scope.h"
#include "tests/lib/check.h"
#include "tests/lib/faultio.h"

static char path_a[300], path_b[300];
static const char *dir;

/* The file's content as text, in a buffer that the next call overwrites; "-" when there is no such file. */
static const char *content(const char *path)
{
	static char text[256];
	FILE *in = fopen(path, "re");
	size_t n;

	if (!in)
		return "-";
	n = fread(text, 1, sizeof text - 1, in);
	text[n] = 0;
	fclose(in);
	return text;
}

static bool holds(const char *path, const char *expected)
{
	return strcmp(content(path), expected) == 0;
}

static int open_a(const struct io *io, int flags)
{
	int fd = io->open(io, path_a, flags, 0600);

	CHECK(fd >= 0);
	return fd;
}

static void test_system(void)
{
	const struct io *io = &io_system;
	char back[16];
	int fd = open_a(io, O_RDWR | O_CREAT | O_EXCL);

	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK(io_write_all(io, fd, "hello", 5, 3) == 0);
	CHECK(io->size(io, fd) == 8);
	CHECK(io_read_all(io, fd, back, 8, 0) == 0 && memcmp(back, "\0\0\0hello", 8) == 0);
	CHECK(io_read_all(io, fd, back, 9, 0) == -EBADMSG);
	CHECK(io_write_once(io, fd, "HE", 2, 3) == 0 && io_write_once(io, -1, "HE", 2, 3) == -EBADF);
	CHECK(io_read_all(io, fd, back, 8, 0) == 0 && memcmp(back, "\0\0\0HEllo", 8) == 0);
	CHECK(io->truncate(io, fd, 4) == 0 && io->size(io, fd) == 4);
	CHECK(io->fdatasync(io, fd) == 0);
	CHECK(io->close(io, fd) == 0);
	CHECK(io->close(io, fd) == -EBADF);
	CHECK(io->fsync_dir(io, dir) == 0 && io->fsync_dir(io, path_a) == -ENOTDIR);
	CHECK(io->open(io, path_a, O_CREAT | O_EXCL | O_WRONLY, 0600) == -EEXIST);
	CHECK(io->rename(io, path_a, path_b) == 0 && io->rename(io, path_a, path_b) == -ENOENT);
	CHECK(io->unlink(io, path_b) == 0 && io->unlink(io, path_b) == -ENOENT);
}

static void test_whole_files(void)
{
	const struct io *io = &io_system;
	void *bytes = NULL;
	size_t len = 0;
	struct stat st;

	CHECK(io_write_file(io, path_a, "first", 5) == 0);
	CHECK(io_write_file(io, path_a, "second", 6) == 0);
	CHECK(stat(path_a, &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK(io_read_file(io, path_a, 6, &bytes, &len) == 0);
	CHECK(len == 6 && strcmp(bytes, "second") == 0);
	free(bytes);
	CHECK(io_read_file(io, path_a, 5, &bytes, &len) == -EFBIG);
	CHECK(io_read_file(io, path_b, 5, &bytes, &len) == -ENOENT);
	CHECK(io_read_file(io, dir, 1 << 20, &bytes, &len) == -EISDIR);
	CHECK(io_write_file(io, path_a, NULL, 0) == 0);
	CHECK(io_read_file(io, path_a, 0, &bytes, &len) == 0 && len == 0);
	free(bytes);
	CHECK(io->unlink(io, path_a) == 0);
}

static void test_short_transfers(struct faultio *f)
{
	const struct io *io = faultio_io(f);
	void *bytes = NULL;
	size_t len;

	faultio_reset(f);
	faultio_short(f, 3);
	CHECK(io_write_file(io, path_a, "0123456789", 10) == 0);
	CHECK(faultio_calls(f, FAULT_WRITE) == 4);
	CHECK(io_read_file(io, path_a, 100, &bytes, &len) == 0 && len == 10 && memcmp(bytes, "0123456789", 10) == 0);
	CHECK(faultio_calls(f, FAULT_READ) == 4);
	free(bytes);
	CHECK(io->unlink(io, path_a) == 0 && io->fsync_dir(io, dir) == 0);
}

/* Each call of io_write_file() fails in turn: the error is told, and the old file or the new one is there. */
static void test_write_file_fails(struct faultio *f)
{
	const struct io *io = faultio_io(f);
	int rc = -1;

	CHECK(io_write_file(&io_system, path_a, "old", 3) == 0);
	for (uint64_t n = 1; rc && n < 20; n++) {
		faultio_reset(f);
		faultio_fail(f, FAULT_ALL & ~(unsigned)FAULT_UNLINK, n, ENOSPC);
		rc = io_write_file(io, path_a, "new", 3);
		CHECK(rc == 0 || rc == -ENOSPC);
		CHECK(holds(path_a, "old") || holds(path_a, "new"));
	}
	CHECK(rc == 0 && holds(path_a, "new"));
	CHECK(faultio_calls(f, FAULT_ALL) == 6); /* open, write, sync, close, rename, sync of the folder */
	CHECK(io_system.unlink(&io_system, path_a) == 0);
}

/* Power goes away at each call; afterwards the file is old or new, and new when that was promised. */
static void test_write_file_power(struct faultio *f, uint64_t seed)
{
	const struct io *io = faultio_io(f);
	bool done = false;

	for (uint64_t n = 1; !done && n < 20; n++) {
		int rc;

		CHECK(io_write_file(&io_system, path_a, "old", 3) == 0);
		faultio_power_off(f, n);
		rc = io_write_file(io, path_a, "newer", 5);
		done = !faultio_is_off(f);
		CHECK(done == (rc == 0));
		faultio_crash(f, seed);
		CHECK(holds(path_a, rc ? "old" : "newer"));
	}
	CHECK(done);
	CHECK(io_system.unlink(&io_system, path_a) == 0);
}

static void test_crash_of_content(struct faultio *f)
{
	const struct io *io = faultio_io(f);
	int fd;

	CHECK(io_write_file(&io_system, path_a, "0123456789", 10) == 0);
	fd = open_a(io, O_RDWR);
	CHECK(io_write_all(io, fd, "AB", 2, 0) == 0 && io->fdatasync(io, fd) == 0);
	CHECK(io_write_all(io, fd, "xyz", 3, 1) == 0 && io->truncate(io, fd, 5) == 0 && io->truncate(io, fd, 8) == 0);
	CHECK(io_write_all(io, fd, "tail", 4, 12) == 0 && io->size(io, fd) == 16);
	CHECK(io->close(io, fd) == 0);
	faultio_crash(f, 0);
	CHECK(holds(path_a, "AB23456789"));

	fd = open_a(io, O_RDWR | O_TRUNC);
	CHECK(io_write_all(io, fd, "fresh", 5, 0) == 0);
	CHECK(io->truncate(io, fd, 7) == 0 && io_write_all(io, fd, "!", 1, 7) == 0);
	CHECK(io->fdatasync(io, fd) == 0 && io->close(io, fd) == 0);
	faultio_crash(f, 0);
	CHECK(memcmp(content(path_a), "fresh\0\0!", 9) == 0);

	fd = open_a(io, O_RDWR | O_TRUNC);
	CHECK(io->close(io, fd) == 0);
	faultio_crash(f, 0);
	CHECK(memcmp(content(path_a), "fresh\0\0!", 9) == 0);
	CHECK(io_system.unlink(&io_system, path_a) == 0);
}

/* The second sync says "ok", and what the first one could not write is gone. */
static void test_sync_lies(struct faultio *f)
{
	const struct io *io = faultio_io(f);
	int fd;

	CHECK(io_write_file(&io_system, path_a, "aaaa", 4) == 0);
	fd = open_a(io, O_RDWR);
	CHECK(io_write_all(io, fd, "b", 1, 0) == 0);
	faultio_fail(f, FAULT_SYNC, 1, EIO);
	CHECK(io->fdatasync(io, fd) == -EIO);
	CHECK(io_write_all(io, fd, "c", 1, 3) == 0);
	CHECK(io->fdatasync(io, fd) == 0 && io->close(io, fd) == 0);
	CHECK(holds(path_a, "baac"));
	faultio_crash(f, 0);
	CHECK(holds(path_a, "aaac"));
	CHECK(io_system.unlink(&io_system, path_a) == 0);
}

static void test_crash_of_names(struct faultio *f)
{
	const struct io *io = faultio_io(f);
	int fd = open_a(io, O_RDWR | O_CREAT);

	CHECK(io_write_all(io, fd, "a", 1, 0) == 0 && io->fdatasync(io, fd) == 0 && io->close(io, fd) == 0);
	faultio_crash(f, 0);
	CHECK(holds(path_a, "-")); /* synced, but the folder was not */

	CHECK(io_write_file(&io_system, path_a, "a", 1) == 0 && io_write_file(&io_system, path_b, "b", 1) == 0);
	CHECK(io->rename(io, path_a, path_b) == 0 && io->unlink(io, path_b) == 0);
	CHECK(holds(path_a, "-") && holds(path_b, "-"));
	faultio_crash(f, 0);
	CHECK(holds(path_a, "a") && holds(path_b, "b"));

	CHECK(io->rename(io, path_a, path_b) == 0 && io->fsync_dir(io, dir) == 0 && io->unlink(io, path_b) == 0);
	faultio_crash(f, 0);
	CHECK(holds(path_a, "-") && holds(path_b, "a"));
	CHECK(io->unlink(io, path_b) == 0 && io->fsync_dir(io, dir) == 0);
	faultio_crash(f, 0);
	CHECK(holds(path_b, "-"));
}

static void test_faults(struct faultio *f)
{
	const struct io *io = faultio_io(f);
	int fd = open_a(io, O_RDWR | O_CREAT);

	faultio_reset(f);
	faultio_fail(f, FAULT_WRITE | FAULT_TRUNCATE, 2, ENOSPC);
	CHECK(io->pwrite(io, fd, "1", 1, 0) == 1);
	CHECK(io->truncate(io, fd, 0) == -ENOSPC && io->size(io, fd) == 1);
	CHECK(io->truncate(io, fd, 0) == 0);
	faultio_fail_from(f, FAULT_WRITE, 1, EIO);
	CHECK(io->pwrite(io, fd, "1", 1, 0) == -EIO && io->pwrite(io, fd, "1", 1, 0) == -EIO);
	CHECK(faultio_calls(f, FAULT_WRITE) == 3 && faultio_calls(f, FAULT_WRITE | FAULT_TRUNCATE) == 5);
	faultio_power_off(f, 1);
	CHECK(io->size(io, fd) == 0 && !faultio_is_off(f));
	CHECK(io->pwrite(io, fd, "abcd", 4, 0) == -EIO && faultio_is_off(f) && holds(path_a, "ab"));
	CHECK(io->size(io, fd) == -EIO && io->close(io, fd) == -EIO && fcntl(fd, F_GETFD) < 0);
	faultio_crash(f, 0);
	CHECK(holds(path_a, "-") && !faultio_is_off(f));
}

int main(void)
{
	struct faultio *f = faultio_new();

	dir = check_tmpdir();
	snprintf(path_a, sizeof path_a, "%s/a", dir);
	snprintf(path_b, sizeof path_b, "%s/b", dir);
	test_system();
	test_whole_files();
	test_short_transfers(f);
	test_write_file_fails(f);
	for (uint64_t seed = 0; seed < 8; seed++)
		test_write_file_power(f, seed);
	test_crash_of_content(f);
	test_sync_lies(f);
	test_crash_of_names(f);
	test_faults(f);
	faultio_free(f);
	return check_done();
}
