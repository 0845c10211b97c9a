#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "fs/mount_internal.h"
#include "store/err.h"
#include "store/log.h"
#include "store/settings_words.h"

/* Is the folder at path, which is absolute, the other one or somewhere in it? Asked of the folders themselves, not of their names: a bind
 * mount gives them others. */
static bool is_within(const char *path, const char *folder)
{
	scope_free char *at = strdup(path);
	struct stat up, wanted;
	char *slash;

	if (!at || stat(folder, &wanted))
		return false;
	for (;;) {
		if (!stat(*at ? at : "/", &up) && up.st_dev == wanted.st_dev && up.st_ino == wanted.st_ino)
			return true;
		slash = strrchr(at, '/');
		if (!slash || !*at)
			return false;
		*slash = 0;
	}
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

static int session_new(struct mount *m)
{
	struct buf text = { 0 };
	const char *argv[] = { "tomofs", "-o", NULL, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(3, (char **)argv);

	buf_put(&text, m->options->fuse.data, m->options->fuse.len);
	if (m->read_only)
		buf_printf(&text, ",ro");
	put_source(&text, m->store);
	argv[2] = buf_text(&text);
	m->session = fuse_session_new(&args, &mount_ops, sizeof mount_ops, m);
	fuse_opt_free_args(&args);
	buf_free(&text);
	return m->session ? 0 : err_set(EINVAL, "libfuse refused the options \"%.*s\"", (int)m->options->fuse.len,
					(const char *)m->options->fuse.data);
}

static int session_mount(struct mount *m)
{
	int rc;

	errno = 0;
	if (!fuse_session_mount(m->session, m->point))
		return 0;
	rc = errno ? errno : EPERM;
	return err_set(rc, "mount point %s: cannot mount (is /dev/fuse there? an ordinary user needs fusermount3, and "
			   "user_allow_other in /etc/fuse.conf for -o allow_other)", m->point);
}

/* The session takes a descriptor that is mounted already; it owns a copy, so that it can be passed on once more. */
static int session_inherit(struct mount *m)
{
	char name[32];
	int fd = fcntl(m->takeover.fuse, F_DUPFD_CLOEXEC, 3);

	snprintf(name, sizeof name, "/dev/fd/%d", fd);
	if (fd < 0 || fuse_session_mount(m->session, name))
		return err_set(EIO, "cannot go on with the mount that was passed on");
	takeover_greet(m, &m->takeover);
	return 0;
}

static bool is_connected(const struct mount *m)
{
	struct pollfd p = { .fd = fuse_session_fd(m->session), .events = 0 };

	return p.fd >= 0 && poll(&p, 1, 0) >= 0 && !(p.revents & (POLLERR | POLLNVAL));
}

/* What programs changed through mmap() lies in the kernel; it is asked for while requests are still served. */
static void fetch_pages(const struct mount *m)
{
	scope_fd int fd = is_connected(m) ? open(m->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0 && syncfs(fd))
		log_warn("%s: %s", m->point, strerror(errno));
}

/* Also while programs use it: what they ask from now on fails (ENOTCONN). */
static void session_unmount(struct mount *m)
{
	scope_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (is_connected(m) && mount_detach(m->point, true))
		log_warn("%s", err_text());
	/* libfuse closes the descriptor only at the very end, and until then they would wait. */
	if (null >= 0 && fuse_session_fd(m->session) >= 0)
		dup3(null, fuse_session_fd(m->session), O_CLOEXEC);
	fuse_session_exit(m->session);
}

/* The new program may come: everything is committed and the state is in m->takeover. false: we go on. */
static bool hand_over(struct mount *m, struct loop **loop)
{
	struct takeover t = TAKEOVER_NONE;
	int rc = takeover_check(m);

	if (!rc) {
		notifier_pause(m->notifier);
		rc = loop_stop(*loop);
		*loop = NULL;
		if (!rc && !fuse_session_exited(m->session))
			rc = takeover_save(m, &t);
	}
	if (!rc && t.fuse >= 0) {
		takeover_free(&m->takeover);
		m->takeover = t;
		return true;
	}
	if (rc)
		log_error("%s: the program that is installed now does not take over; this one goes on: %s", m->point, err_text());
	takeover_free(&t);
	notifier_resume(m->notifier);
	return false;
}

/* 0 or -errno: it ended; HANDED_OVER: it is to go on in a new process. */
enum { HANDED_OVER = 1 };
static int serve(struct mount *m)
{
	struct loop *loop = NULL;
	int rc;

	for (;;) {
		rc = loop ? 0 : loop_start(&loop, m);
		if (rc)
			return rc;
		switch (loop_wait(loop)) {
		case LOOP_UPGRADE:
			if (hand_over(m, &loop))
				return HANDED_OVER;
			break;
		case LOOP_SIGNAL:
			fetch_pages(m);
			return loop_stop(loop);
		case LOOP_ENDED:
			return loop_stop(loop);
		}
	}
}

static int connect_fs(struct mount *m)
{
	int rc = notifier_start(&m->notifier, m->session);

	if (!rc)
		rc = notifier_load(m->notifier, m->takeover.notes.data, m->takeover.notes.len);
	m->fs->kernel = m;
	m->fs->forget_entry = notifier_entry;
	m->fs->forget_node = notifier_node;
	return rc;
}

/* On a disk that cannot be written: for reading. */
static int open_fs(struct mount *m, struct fs_options *fo)
{
	int rc;

	if (m->takeover.lock >= 0) {
		fo->lock = fcntl(m->takeover.lock, F_DUPFD_CLOEXEC, 3);
		fo->read_only = (fcntl(m->takeover.lock, F_GETFL) & O_ACCMODE) == O_RDONLY;
	}
	rc = fs_open(&m->fs, fo);
	if (rc == -EROFS && !fo->read_only) {
		fo->read_only = true;
		rc = fs_open(&m->fs, fo);
		if (!rc && m->takeover.fuse < 0)
			log_warn("the disk of the store %s cannot be written: it is mounted for reading only", m->store);
	}
	m->read_only = fo->read_only;
	return rc;
}

static int open_store(struct mount *m)
{
	struct fs_options fo = { .store = m->store, .cache_bytes = m->options->cache_bytes,
				 .settle_seconds = m->options->settle_seconds, .dense_after = m->options->dense_after,
				 .keep = m->options->keep, .keep_min = m->options->keep_min,
				 .protect_ready = m->options->protect_ready };
	int rc = open_fs(m, &fo);

	if (rc)
		return rc;
	m->callers = callers_new();
	rc = m->callers ? handles_new(&m->handles, m->fs) : err_set(ENOMEM, "no memory");
	if (!rc)
		rc = listed_new(&m->listed);
	if (!rc && m->takeover.fuse >= 0)
		rc = takeover_restore(m, &m->takeover);
	return rc;
}

static int open_mount(struct mount *m)
{
	int rc = open_store(m);

	if (!rc)
		rc = session_new(m);
	if (!rc)
		rc = m->takeover.fuse >= 0 ? session_inherit(m) : session_mount(m);
	if (!rc)
		rc = connect_fs(m);
	if (!rc) {
		store_note_mount(m->fs->store, m->point);
		takeover_free(&m->takeover);
	}
	return rc;
}

/* Closes what open_mount() opened, all of it or some. */
static int close_mount(struct mount *m, bool handed_over)
{
	int rc;

	if (!handed_over) {
		handles_free(m->handles);
		m->handles = NULL;
	}
	rc = fs_close(m->fs);
	if (m->notifier && handed_over && notifier_save(m->notifier, &m->takeover.notes))
		log_error("%s", err_text());
	notifier_stop(m->notifier);
	handles_forget(m->handles);
	if (m->session)
		fuse_session_destroy(m->session);
	listed_free(m->listed);
	callers_free(m->callers);
	m->notifier = NULL;
	m->listed = NULL;
	m->handles = NULL;
	m->fs = NULL;
	m->session = NULL;
	m->callers = NULL;
	return rc;
}

/* Opens, serves and closes. Its own failure goes before that of closing. */
static int run_once(struct mount *m)
{
	scope_free char *text = NULL;
	int rc = open_mount(m), rc2;

	if (!rc) {
		rc = serve(m);
		if (rc != HANDED_OVER)
			session_unmount(m);
	}
	text = rc < 0 ? strdup(err_text()) : NULL;
	rc2 = close_mount(m, rc == HANDED_OVER);
	if (rc2 && rc == HANDED_OVER)
		log_error("%s", err_text());
	return text ? err_set(-rc, "%s", text) : rc ? rc : rc2;
}

/* Those of the store, then those of this mount. */
static int parse_words(const struct mount_options *options, struct options *o)
{
	scope_buf struct buf words = { 0 };

	if (settings_words_read(options->store, &words)) /* what is wrong with the store is said when it is opened */
		buf_clear(&words);
	buf_printf(&words, ",%s", options->options ? options->options : "");
	return options_parse(buf_text(&words), o);
}

/* The mount that was passed on cannot be served: by the old program then, or by none. */
static int give_back(struct mount *m, const char *point, int rc)
{
	scope_free char *text = strdup(err_text());

	log_error("%s: the mount cannot be taken over: %s", point, text ? text : "");
	if (m->again && m->takeover.old >= 0)
		takeover_back(&m->takeover, m->again);
	if (mount_detach(point, true))
		log_error("%s", err_text());
	return err_set(-rc, "%s", text ? text : "");
}

static int run(struct mount *m)
{
	int rc;

	for (;;) {
		rc = run_once(m);
		if (rc != HANDED_OVER)
			return rc;
		takeover_execute(&m->takeover, m->again);
		m->ready = NULL; /* it was told */
		log_error("%s: %s; this program goes on", m->point, err_text());
	}
}

/* Where, from the state that was passed on: to look at the mount point would be a request to ourselves. */
static int places(struct mount *m, const struct mount_options *options, bool nonempty, char **point, char **store)
{
	int rc;

	if (m->takeover.fuse >= 0) {
		*point = strdup(m->takeover.point);
		*store = strdup(m->takeover.store);
		rc = *point && *store ? 0 : err_set(ENOMEM, "no memory");
	} else {
		rc = check_places(options, nonempty, point, store);
	}
	m->point = *point;
	m->store = *store;
	return rc;
}

int mount_serve(const struct mount_options *options, void (*ready)(void *ctx), void *ctx)
{
	struct options o = { 0 };
	struct mount m = { .ready = ready, .ready_ctx = ctx, .options = &o, .again = options->again };
	scope_free char *point = NULL, *store = NULL;
	sigset_t before;
	int rc;

	if (takeover_asked())
		return 0;
	loop_signals(&before);
	/* Memory for our work must not wait for pages that we ourselves are to write. Not allowed to everybody, and inherited by threads. */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	log_set_level((enum log_level)options->log_level);
	/* Buffers of requests and chunks are reused, not given back and mapped anew each time. */
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 20);
	rc = takeover_receive(&m.takeover);
	if (!rc)
		rc = parse_words(options, &o);
	if (!rc)
		rc = places(&m, options, o.nonempty, &point, &store);
	if (!rc)
		rc = run(&m);
	if (rc < 0 && m.takeover.memory >= 0)
		rc = give_back(&m, options->mount_point, rc);
	takeover_free(&m.takeover);
	buf_free(&m.init);
	buf_free(&o.fuse);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}
