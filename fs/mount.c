#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "fs/mount_internal.h"
#include "store/err.h"
#include "store/log.h"

enum { THREADS_MAX = 32 };

static bool is_within(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == 0 || strcmp(folder, "/") == 0);
}

static bool is_empty(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	bool empty = true;

	while (d && empty && (e = readdir(d)))
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	if (d)
		closedir(d);
	return empty;
}

/* A mount whose daemon died answers ENOTCONN to everything: it is taken away. */
static int replace_dead(const char *path)
{
	struct statvfs st;

	/* stat() may be answered from the kernel's cache; this always asks the daemon. */
	if (!statvfs(path, &st) || errno != ENOTCONN)
		return 0;
	log_warn("%s: a dead mount was left here (its daemon ended without unmounting); it is replaced", path);
	return mount_detach(path, true);
}

/* A daemon that was killed takes a moment to let go of its mount. The store mounted at path; NULL when there is none (any more). */
static char *still_mounted(const char *path, int *rc)
{
	enum { TRIES = 20, WAIT_US = 100000 };
	char *source = NULL;

	for (int i = 0; i < TRIES; i++) {
		free(source);
		*rc = replace_dead(path);
		source = mount_source_at(path);
		if (*rc || !source)
			break;
		usleep(WAIT_US);
	}
	return source;
}

/* Checks the mount point; *point and *store: absolute paths, owned by the caller. */
static int check_places(const struct mount_options *o, bool nonempty, char **point, char **store)
{
	scope_free char *there = NULL;
	struct stat st;
	int rc = replace_dead(o->mount_point);

	if (rc)
		return rc;
	*store = realpath(o->store, NULL);
	if (!*store)
		return err_sys("store %s", o->store);
	*point = realpath(o->mount_point, NULL);
	if (!*point || stat(*point, &st))
		return err_sys("mount point %s", o->mount_point);
	if (!S_ISDIR(st.st_mode))
		return err_set(ENOTDIR, "mount point %s: is not a folder", *point);
	there = still_mounted(*point, &rc);
	if (rc)
		return rc;
	if (there)
		return err_set(EBUSY, "mount point %s: is in use, the store %s is mounted there", *point, there);
	if (is_within(*store, *point))
		return err_set(EINVAL, "store %s: is inside the mount point %s; it would hide itself", *store, *point);
	if (is_within(*point, *store))
		return err_set(EINVAL, "mount point %s: is inside the store; choose a folder outside of it", *point);
	if (!nonempty && !is_empty(*point))
		return err_set(EBUSY, "mount point %s: is not empty, and the mount would hide what is in it; choose an empty "
				      "folder, or add -o nonempty", *point);
	return 0;
}

/* The source that /proc/mounts shows. A comma would end the option: libfuse wants it escaped. */
static void put_source(struct buf *b, const char *store)
{
	buf_printf(b, ",fsname=");
	for (; *store; store++) {
		if (*store == ',' || *store == '\\')
			buf_u8(b, '\\');
		buf_u8(b, (uint8_t)*store);
	}
}

static int session_open(struct mount *m, struct options *o, const char *point)
{
	const char *argv[] = { "tomofs", "-o", buf_text(&o->fuse), NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, (char **)argv);
	int rc = 0;

	m->session = fuse_session_new(&args, &mount_ops, sizeof mount_ops, m);
	fuse_opt_free_args(&args);
	if (!m->session)
		return err_set(EINVAL, "libfuse refused the options \"%s\"", buf_text(&o->fuse));
	errno = 0;
	if (fuse_session_mount(m->session, point)) {
		rc = errno ? errno : EPERM;
		fuse_session_destroy(m->session);
		return err_set(rc, "mount point %s: cannot mount (is /dev/fuse there? an ordinary user needs fusermount3, and "
				   "user_allow_other in /etc/fuse.conf for -o allow_other)", point);
	}
	return 0;
}

static int serve(struct mount *m)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int rc;

	if (!config)
		return err_set(ENOMEM, "no memory");
	fuse_loop_cfg_set_clone_fd(config, 0);
	fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
	rc = fuse_set_signal_handlers(m->session);
	if (rc) {
		fuse_loop_cfg_destroy(config);
		return err_set(EIO, "cannot set signal handlers");
	}
	rc = fuse_session_loop_mt(m->session, config);
	fuse_loop_cfg_destroy(config);
	fuse_remove_signal_handlers(m->session);
	/* > 0: ended by a signal, which is a good end */
	return rc < 0 ? err_set(-rc, "the FUSE session ended: %s", strerror(-rc)) : 0;
}

static int serve_mounted(struct mount *m, struct options *o, const char *point)
{
	int rc = session_open(m, o, point);

	if (rc)
		return rc;
	store_note_mount(m->fs->store, point);
	rc = notifier_start(&m->notifier, m->session);
	if (!rc) {
		m->fs->kernel = m;
		m->fs->forget_entry = notifier_entry;
		m->fs->forget_node = notifier_node;
		rc = serve(m);
	}
	fuse_session_unmount(m->session);
	m->fs->forget_entry = NULL;
	m->fs->forget_node = NULL;
	notifier_stop(m->notifier);
	m->notifier = NULL;
	return rc;
}

static int serve_store(struct mount *m, struct options *o, const char *store, const char *point)
{
	struct fs_options fo = { .store = store, .cache_bytes = o->cache_bytes, .settle_seconds = o->settle_seconds,
				 .dense_after = o->dense_after };
	scope_free char *text = NULL;
	int rc = fs_open(&m->fs, &fo), rc2;

	if (rc)
		return rc;
	m->callers = callers_new();
	rc = m->callers ? handles_new(&m->handles, m->fs) : err_set(ENOMEM, "no memory");
	if (!rc)
		rc = serve_mounted(m, o, point);
	text = rc ? strdup(err_text()) : NULL;
	handles_free(m->handles);
	rc2 = fs_close(m->fs);
	if (m->session)
		fuse_session_destroy(m->session);
	callers_free(m->callers);
	return text ? err_set(-rc, "%s", text) : rc ? rc : rc2;
}

int mount_serve(const struct mount_options *options, void (*ready)(void *ctx), void *ctx)
{
	struct mount m = { .ready = ready, .ready_ctx = ctx };
	scope_free char *point = NULL, *store = NULL;
	struct options o = { 0 };
	int rc;

	log_set_level((enum log_level)options->log_level);
	/* Buffers of requests and chunks are reused, not given back and mapped anew each time. */
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	rc = options_parse(options->options, &o);
	if (!rc)
		rc = check_places(options, o.nonempty, &point, &store);
	if (!rc)
		put_source(&o.fuse, store);
	if (!rc)
		rc = serve_store(&m, &o, store, point);
	buf_free(&o.fuse);
	return rc;
}
