#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/err.h"
#include "store/scope.h"

enum { NOTE_MAX = 4200, DYING_WAIT_MS = 10000, DYING_STEP_MS = 20 };

/* A sentence out of what the holder wrote: "PID\nMOUNT\n". */
static int say_busy(const char *path, int fd)
{
	char text[NOTE_MAX], *mount, *end;
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = 0;
	mount = strchr(text, '\n');
	if (!mount)
		return err_set(EBUSY, "the store %s is open in another process", path);
	*mount++ = 0;
	end = strchr(mount, '\n');
	if (!end || end == mount)
		return err_set(EBUSY, "the store %s is open in process %.20s", path, text);
	*end = 0;
	return err_set(EBUSY, "the store %s is open in process %.20s, mounted at %s", path, text, mount);
}

/* A process that was killed keeps its lock until its last thread has come back from the disk. */
static bool holder_is_dying(int fd)
{
	char text[256], name[64], *state;
	scope_fd int stat_fd = -1;
	ssize_t n = pread(fd, text, 32, 0);

	text[n > 0 ? n : 0] = 0;
	snprintf(name, sizeof name, "/proc/%ld/stat", strtol(text, NULL, 10));
	stat_fd = open(name, O_RDONLY | O_CLOEXEC);
	n = stat_fd < 0 ? -1 : read(stat_fd, text, sizeof text - 1);
	if (n <= 0)
		return true; /* it is gone by now */
	text[n] = 0;
	state = strrchr(text, ')');
	return state && (state[2] == 'Z' || state[2] == 'X');
}

/* 0 or -1 with errno. */
static int set_lock(int fd, short type)
{
	struct flock whole = { .l_type = type, .l_whence = SEEK_SET };

	for (int waited = 0;; waited += DYING_STEP_MS) {
		if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return -1;
		if (waited >= DYING_WAIT_MS || !holder_is_dying(fd)) {
			errno = EAGAIN;
			return -1;
		}
		usleep(DYING_STEP_MS * 1000);
	}
}

int lock_take(const char *path, int *out)
{
	scope_free char *file = NULL;
	scope_fd int fd = -1;

	if (asprintf(&file, "%s/lock", path) < 0) {
		file = NULL;
		return err_set(ENOMEM, "no memory for a path");
	}
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return err_sys("cannot open %s", file);
	if (set_lock(fd, F_WRLCK) < 0) {
		if (errno == EAGAIN || errno == EACCES)
			return say_busy(path, fd);
		return err_sys("cannot lock %s", file);
	}
	lock_note(fd, ""); /* the lock holds without it */
	*out = fd;
	fd = -1;
	return 0;
}

int lock_share(const char *path, int *out)
{
	scope_free char *file = NULL;
	scope_fd int fd = -1;

	*out = -1;
	if (asprintf(&file, "%s/lock", path) < 0) {
		file = NULL;
		return err_set(ENOMEM, "no memory for a path");
	}
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys("cannot open %s", file);
	if (set_lock(fd, F_RDLCK) < 0)
		return errno == EAGAIN || errno == EACCES ? say_busy(path, fd) : err_sys("cannot lock %s", file);
	*out = fd;
	fd = -1;
	return 0;
}

int lock_adopt(const char *path, int fd)
{
	scope_free char *file = NULL;
	struct stat ours, there;

	if (asprintf(&file, "%s/lock", path) < 0) {
		file = NULL;
		return err_set(ENOMEM, "no memory for a path");
	}
	if (stat(file, &there) < 0)
		return err_sys("cannot look at %s", file);
	if (fstat(fd, &ours) < 0 || ours.st_dev != there.st_dev || ours.st_ino != there.st_ino)
		return err_set(EINVAL, "the lock that was passed on is not %s", file);
	return set_lock(fd, F_WRLCK) < 0 ? say_busy(path, fd) : 0;
}

int lock_note(int fd, const char *mount_point)
{
	char text[NOTE_MAX];
	int len = snprintf(text, sizeof text, "%ld\n%s\n", (long)getpid(), mount_point);

	if (len >= (int)sizeof text || strchr(mount_point, '\n'))
		return err_set(EINVAL, "the mount point's name cannot be noted in the store's lock");
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len)
		return err_sys("cannot write the store's lock file");
	return 0;
}

void lock_release(int fd)
{
	if (fd >= 0)
		close(fd);
}
