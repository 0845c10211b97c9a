/*
 * The C library's functions that change files, with notes for disk.c. Linked only into programs that want it: these
 * names take the place of the library's, also for LMDB.
 */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/disk.h"
#include "tests/lib/random.h"

/* ---- files ---- */

static int open_noted(const char *path, int flags, mode_t mode)
{
	bool changes = flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR), existed, half;
	int fd, code;
	struct stat st;

	if (!disk_is_below(path))
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	disk_lock();
	code = changes ? disk_enter(DISK_OPEN, &half) : 0;
	existed = lstat(path, &st) == 0;
	fd = code ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	if (!code && fd < 0)
		code = errno;
	if (fd >= 0)
		disk_note_open(fd, path, flags, existed);
	disk_unlock();
	errno = code;
	return fd;
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(args, mode_t);
	va_end(args);
	return open_noted(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(args, mode_t);
	va_end(args);
	return open_noted(path, flags, mode);
}

int close(int fd)
{
	if (!disk_fd_is_noted(fd))
		return (int)syscall(SYS_close, fd);
	disk_lock();
	disk_note_close(fd);
	disk_unlock();
	return (int)syscall(SYS_close, fd);
}

static ssize_t write_noted(int fd, const void *bytes, size_t len, off_t off)
{
	bool half = false;
	ssize_t n = -1;
	int code;

	disk_lock();
	code = disk_enter(DISK_WRITE, &half);
	if (!code) {
		n = syscall(SYS_pwrite64, fd, bytes, half && len > 1 ? len / 2 : len, off);
		code = n < 0 ? errno : 0;
	}
	if (n > 0)
		disk_note_write(fd, bytes, (size_t)n, (uint64_t)off);
	disk_unlock();
	errno = code;
	return n;
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t off)
{
	return disk_fd_is_noted(fd) ? write_noted(fd, bytes, len, off) : syscall(SYS_pwrite64, fd, bytes, len, off);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t off)
{
	return pwrite(fd, bytes, len, off);
}

/* At the file's own place, which moves on. */
static ssize_t write_here(int fd, const void *bytes, size_t len)
{
	off_t at = lseek(fd, 0, SEEK_CUR);
	ssize_t n = write_noted(fd, bytes, len, at);

	if (n > 0)
		lseek(fd, at + n, SEEK_SET);
	return n;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	return disk_fd_is_noted(fd) ? write_here(fd, bytes, len) : syscall(SYS_write, fd, bytes, len);
}

static ssize_t gather(int fd, const struct iovec *list, int count, off_t off)
{
	size_t len = 0, at = 0;
	uint8_t *all;
	ssize_t n;

	for (int i = 0; i < count; i++)
		len += list[i].iov_len;
	all = malloc(len + 1);
	for (int i = 0; all && i < count; i++) {
		memcpy(all + at, list[i].iov_base, list[i].iov_len);
		at += list[i].iov_len;
	}
	n = off < 0 ? write_here(fd, all, at) : write_noted(fd, all, at, off);
	free(all);
	return n;
}

ssize_t writev(int fd, const struct iovec *list, int count)
{
	return disk_fd_is_noted(fd) ? gather(fd, list, count, -1) : syscall(SYS_writev, fd, list, count);
}

ssize_t pwritev2(int fd, const struct iovec *list, int count, off_t off, int flags)
{
	if (disk_fd_is_noted(fd))
		return gather(fd, list, count, off);
	return syscall(SYS_pwritev2, fd, list, count, (unsigned long)off, 0ul, flags);
}

ssize_t pwritev64v2(int fd, const struct iovec *list, int count, off64_t off, int flags)
{
	return pwritev2(fd, list, count, off, flags);
}

int ftruncate(int fd, off_t size)
{
	bool half;
	int code;

	if (!disk_fd_is_noted(fd))
		return (int)syscall(SYS_ftruncate, fd, size);
	disk_lock();
	code = disk_enter(DISK_TRUNCATE, &half);
	if (!code && syscall(SYS_ftruncate, fd, size) < 0)
		code = errno;
	if (!code)
		disk_note_truncate(fd, (uint64_t)size);
	disk_unlock();
	errno = code;
	return code ? -1 : 0;
}

int ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

static int sync_noted(int fd)
{
	bool half;
	int code;

	disk_lock();
	code = disk_enter(DISK_SYNC, &half);
	disk_note_sync(fd, !code);
	disk_unlock();
	errno = code;
	return code ? -1 : 0;
}

int fdatasync(int fd)
{
	return disk_fd_is_noted(fd) ? sync_noted(fd) : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	return disk_fd_is_noted(fd) ? sync_noted(fd) : (int)syscall(SYS_fsync, fd);
}

int sync_file_range(int fd, off64_t off, off64_t len, unsigned flags)
{
	return disk_fd_is_noted(fd) ? 0 : (int)syscall(SYS_sync_file_range, fd, off, len, flags);
}

/* ---- names ---- */

int rename(const char *from, const char *to)
{
	bool half;
	int code;

	if (!disk_is_below(from))
		return (int)syscall(SYS_rename, from, to);
	disk_lock();
	code = disk_enter(DISK_RENAME, &half);
	if (!code && syscall(SYS_rename, from, to) < 0)
		code = errno;
	if (!code)
		disk_note_rename(from, to);
	disk_unlock();
	errno = code;
	return code ? -1 : 0;
}

int unlink(const char *path)
{
	bool half;
	int code;

	if (!disk_is_below(path))
		return (int)syscall(SYS_unlink, path);
	disk_lock();
	code = disk_enter(DISK_UNLINK, &half);
	if (!code && syscall(SYS_unlink, path) < 0)
		code = errno;
	if (!code)
		disk_note_unlink(path);
	disk_unlock();
	errno = code;
	return code ? -1 : 0;
}

int rmdir(const char *path)
{
	int rc;

	disk_lock();
	rc = (int)syscall(SYS_rmdir, path);
	if (!rc && disk_is_below(path))
		disk_note_unlink(path);
	disk_unlock();
	return rc;
}

int unlinkat(int dir, const char *name, int flags)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	if (flags || dir < 0 || *name == '/')
		return (int)syscall(SYS_unlinkat, dir, name, flags);
	snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
	n = readlink(link, path, sizeof path - 300);
	if (n <= 0)
		return (int)syscall(SYS_unlinkat, dir, name, flags);
	snprintf(path + n, sizeof path - (size_t)n, "/%s", name);
	return unlink(path);
}

int mkdir(const char *path, mode_t mode)
{
	int rc;

	disk_lock();
	rc = (int)syscall(SYS_mkdir, path, mode);
	if (!rc && disk_is_below(path))
		disk_note_mkdir(path);
	disk_unlock();
	return rc;
}

/* ---- the clock ---- */

enum { WAITING_MAX = 64 };

static int64_t passed; /* atomic */
static pthread_mutex_t waiting_lock = PTHREAD_MUTEX_INITIALIZER;
static struct waiting {
	pthread_cond_t *cond;
	pthread_mutex_t *mutex;
} waiting[WAITING_MAX];

int clock_gettime(clockid_t id, struct timespec *to)
{
	int64_t more = __atomic_load_n(&passed, __ATOMIC_RELAXED);

	if (syscall(SYS_clock_gettime, id, to) < 0)
		return -1;
	if (id != CLOCK_REALTIME && id != CLOCK_MONOTONIC)
		return 0;
	to->tv_sec += more / 1000000000;
	to->tv_nsec += more % 1000000000;
	if (to->tv_nsec >= 1000000000) {
		to->tv_nsec -= 1000000000;
		to->tv_sec++;
	}
	return 0;
}

static struct waiting *wait_enter(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	struct waiting *w = NULL;

	pthread_mutex_lock(&waiting_lock);
	for (size_t i = 0; i < WAITING_MAX && !w; i++)
		if (!waiting[i].cond)
			w = &waiting[i];
	if (w)
		*w = (struct waiting) { cond, mutex };
	pthread_mutex_unlock(&waiting_lock);
	return w;
}

static void wait_leave(struct waiting *w)
{
	pthread_mutex_lock(&waiting_lock);
	if (w)
		w->cond = NULL;
	pthread_mutex_unlock(&waiting_lock);
}

typedef int wait_function(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until);

/* Returns now and then for no reason, as it may. */
int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
	static wait_function *real;
	struct waiting *w = wait_enter(cond, mutex); /* first: who lets time pass afterwards wakes this one */
	int64_t more = __atomic_load_n(&passed, __ATOMIC_SEQ_CST);
	struct timespec t = *until;
	int rc;

	if (!real) {
		real = (wait_function *)dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
		if (!real)
			real = (wait_function *)dlsym(RTLD_NEXT, "pthread_cond_timedwait");
	}
	t.tv_sec -= more / 1000000000;
	t.tv_nsec -= more % 1000000000;
	if (t.tv_nsec < 0) {
		t.tv_nsec += 1000000000;
		t.tv_sec--;
	}
	if (t.tv_sec < 0)
		t = (struct timespec) { 0 };
	rc = real(cond, mutex, &t);
	wait_leave(w);
	return rc;
}

void disk_pass(int64_t ns)
{
	struct waiting now[WAITING_MAX];

	__atomic_add_fetch(&passed, ns, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&waiting_lock);
	memcpy(now, waiting, sizeof now);
	pthread_mutex_unlock(&waiting_lock);
	for (size_t i = 0; i < WAITING_MAX; i++) {
		if (!now[i].cond)
			continue;
		pthread_mutex_lock(now[i].mutex); /* else it could be just about to wait */
		pthread_cond_broadcast(now[i].cond);
		pthread_mutex_unlock(now[i].mutex);
	}
}

/* ---- random numbers ---- */

static bool seeded;
static uint64_t random_state;

void disk_seed(uint64_t seed)
{
	seeded = true;
	random_state = seed;
}

ssize_t getrandom(void *to, size_t len, unsigned flags)
{
	if (!seeded)
		return syscall(SYS_getrandom, to, len, flags);
	random_fill(to, len, random_next(&random_state));
	return (ssize_t)len;
}
