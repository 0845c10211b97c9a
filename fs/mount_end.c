#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fs/mount_internal.h"
#include "store/err.h"

extern char **environ;

char *mount_source_at(const char *path)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char memory[2 * PATH_MAX + 256], *source = NULL;

	while (f && getmntent_r(f, &entry, memory, sizeof memory)) {
		if (strcmp(entry.mnt_dir, path) != 0)
			continue;
		free(source); /* the last one mounted at a path is the one that shows */
		source = strcmp(entry.mnt_type, "fuse.tomofs") == 0 ? strdup(entry.mnt_fsname) : NULL;
	}
	if (f)
		endmntent(f);
	return source;
}

static int run_fusermount(const char *path, bool lazy)
{
	char *const argv[] = { "fusermount3", "-u", "-q", lazy ? "-z" : "--", (char *)path, NULL };
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int status, rc;

	sigemptyset(&none); /* ours are blocked */
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	rc = posix_spawnp(&pid, argv[0], NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (rc)
		return err_set(rc, "cannot run fusermount3: %s", strerror(rc));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return err_set(EBUSY, "%s: cannot be unmounted; a program still uses a file or folder in it", path);
	return 0;
}

int mount_detach(const char *path, bool lazy)
{
	if (geteuid() != 0)
		return run_fusermount(path, lazy);
	if (!umount2(path, lazy ? MNT_DETACH : 0))
		return 0;
	if (errno == EBUSY)
		return err_set(EBUSY, "%s: cannot be unmounted; a program still uses a file or folder in it "
				      "(fuser -m %s names it)", path, path);
	return err_sys("%s: cannot be unmounted", path);
}

/* The process that has a store open, from the first line of its lock file; 0: none. */
static pid_t pid_of_store(const char *store)
{
	char path[PATH_MAX], text[64] = "";
	ssize_t n;

	snprintf(path, sizeof path, "%s/lock", store);
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof text - 1);
	return n > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

static int wait_for(int pidfd, unsigned seconds, const char *store)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (poll(&p, 1, (int)seconds * 1000) == 0)
		return err_set(EBUSY, "the mount is gone, but its daemon is still writing to %s after %u s", store, seconds);
	return 0;
}

int mount_end(const char *mount_point, unsigned seconds)
{
	scope_free char *path = realpath(mount_point, NULL), *source = NULL;
	pid_t pid;
	int rc;

	if (!path && errno == ENOTCONN)
		path = strdup(mount_point);
	if (!path)
		return err_sys("%s", mount_point);
	source = mount_source_at(path);
	if (!source)
		return err_set(EINVAL, "%s: no tomofs is mounted there", path);
	pid = pid_of_store(source);
	scope_fd int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	rc = mount_detach(path, false);
	return rc || pidfd < 0 ? rc : wait_for(pidfd, seconds, source);
}
