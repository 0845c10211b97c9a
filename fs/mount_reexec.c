/*
 * SIGHUP: the program that is installed now takes the mount over, and whoever has files open notices nothing but a short wait.
 *
 * Everything written is committed, what only lives in memory is put into a sealed memfd, and the new program is executed in
 * this process's place with that memfd, /dev/fuse and the store's lock open. It finds the memfd's number in the environment.
 * Meanwhile the kernel keeps the requests. Whatever fails on the way leads back: before the exec into this program, after it into
 * the old one, whose file is passed along open.
 *
 * The state, which starts with MAGIC and VERSION (a program takes over what it was made for, and nothing else):
 *
 *     u32 descriptor of /dev/fuse   u32 of the lock   block INIT request   u32 want   u32 max_write
 *     string store   string mount point
 *     block searches (node_search.c)   block open files (handles.c)   block notes to the kernel (mount_notify.c)
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fs/file.h"
#include "fs/mount_internal.h"
#include "fs/node_search.h"
#include "store/err.h"
#include "store/log.h"

enum { VERSION = 1, ANSWER_MS = 5000 };
#define MAGIC "tomofs takeover"
#define VARIABLE "TOMOFS_TAKEOVER" /* "ask", or descriptors: "STATE,OLD-PROGRAM" */
#define ANSWER "tomofs takes over version 1\n"
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

extern char **environ;

bool takeover_asked(void)
{
	const char *value = getenv(VARIABLE);

	if (!value || strcmp(value, "ask") != 0)
		return false;
	fputs(ANSWER, stdout);
	return true;
}

/* ---- before: does the program that is installed now know how? ---- */

static int read_answer(int fd, char *text, size_t room)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len < room - 1 && poll(&p, 1, ANSWER_MS) == 1) {
		n = read(fd, text + len, room - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = 0;
	return n < 0 ? -errno : 0;
}

/* The environment and one more; setenv() is not for a process with threads. */
static char **environ_with(const char *entry)
{
	size_t n = 0;
	char **list;

	while (environ[n])
		n++;
	list = malloc((n + 2) * sizeof *list);
	if (!list)
		return NULL;
	memcpy(list, environ, n * sizeof *list);
	list[n] = (char *)entry;
	list[n + 1] = NULL;
	return list;
}

static int start_asking(char *const *again, int out, pid_t *pid)
{
	scope_free char **env = environ_with(VARIABLE "=ask");
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	int rc;

	if (!env)
		return err_set(ENOMEM, "no memory");
	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	rc = posix_spawn(pid, again[0], &files, &attr, again, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return rc ? err_set(rc, "%s cannot be started: %s", again[0], strerror(rc)) : 0;
}

static int ask_program(char *const *again)
{
	char text[sizeof ANSWER + 1];
	int fds[2], rc;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return err_sys("cannot make a pipe");
	rc = start_asking(again, fds[1], &pid);
	close(fds[1]);
	if (!rc)
		rc = read_answer(fds[0], text, sizeof text);
	close(fds[0]);
	if (rc)
		return rc;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (strcmp(text, ANSWER) != 0)
		return err_set(EINVAL, "%s is not a tomofs that can take over from this one", again[0]);
	return 0;
}

/* ---- leaving ---- */

void takeover_free(struct takeover *t)
{
	scope_close_fd(&t->memory);
	scope_close_fd(&t->fuse);
	scope_close_fd(&t->lock);
	scope_close_fd(&t->old);
	free(t->store);
	free(t->point);
	buf_free(&t->init);
	buf_free(&t->searches);
	buf_free(&t->files);
	buf_free(&t->notes);
	*t = TAKEOVER_NONE;
}

int takeover_check(const struct mount *m)
{
	if (!m->again)
		return err_set(ENOTSUP, "this program does not know where it is installed");
	if (m->options->auto_unmount)
		return err_set(ENOTSUP, "with -o auto_unmount a helper would unmount it");
	return ask_program(m->again);
}

int takeover_save(struct mount *m, struct takeover *t)
{
	int rc = files_commit_all(m->fs->files);

	*t = TAKEOVER_NONE;
	if (!rc)
		rc = catalog_sync(m->fs->catalog);
	if (!rc)
		rc = searches_save(m->fs->searches, &t->searches);
	if (!rc)
		rc = handles_save(m->handles, &t->files);
	t->lock = store_keep_lock(m->fs->store);
	t->fuse = fcntl(fuse_session_fd(m->session), F_DUPFD_CLOEXEC, 3);
	t->store = strdup(m->store);
	t->point = strdup(m->point);
	buf_put(&t->init, m->init.data, m->init.len);
	t->want = m->want;
	t->max_write = m->max_write;
	if (!rc && (t->fuse < 0 || (t->lock < 0 && !m->read_only)))
		rc = err_sys("cannot keep the descriptors");
	if (!rc && (!t->store || !t->point || buf_failed(&t->init)))
		rc = err_set(ENOMEM, "no memory to pass the mount on");
	if (!rc && !t->init.len)
		rc = err_set(EAGAIN, "the kernel has not greeted yet");
	return rc;
}

static void encode(struct takeover *t, struct buf *b)
{
	buf_string(b, MAGIC);
	buf_u32(b, VERSION);
	buf_u32(b, (uint32_t)t->fuse);
	buf_u32(b, (uint32_t)t->lock);
	buf_block(b, t->init.data, t->init.len);
	buf_u32(b, t->want);
	buf_u32(b, t->max_write);
	buf_string(b, t->store);
	buf_string(b, t->point);
	buf_block(b, t->searches.data, t->searches.len);
	buf_block(b, t->files.data, t->files.len);
	buf_block(b, t->notes.data, t->notes.len);
}

static int put_into_memory(struct takeover *t)
{
	scope_buf struct buf b = { 0 };
	size_t done = 0;

	encode(t, &b);
	if (buf_failed(&b))
		return err_set(ENOMEM, "no memory to pass the mount on");
	t->memory = memfd_create("tomofs-takeover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (t->memory < 0)
		return err_sys("cannot make a memfd");
	while (done < b.len) {
		ssize_t n = write(t->memory, b.data + done, b.len - done);

		if (n <= 0)
			return err_sys("cannot write the state to be passed on");
		done += (size_t)n;
	}
	return fcntl(t->memory, F_ADD_SEALS, SEALS) ? err_sys("cannot seal a memfd") : 0;
}

static void keep_across(const struct takeover *t, bool yes)
{
	int fds[] = { t->memory, t->fuse, t->lock, t->old };

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			fcntl(fds[i], F_SETFD, yes ? 0 : FD_CLOEXEC);
}

static int execute(struct takeover *t, const char *program, char *const *again)
{
	char entry[64];
	scope_free char **env = NULL;
	int rc;

	snprintf(entry, sizeof entry, VARIABLE "=%d,%d", t->memory, t->old);
	env = environ_with(entry);
	if (!env)
		return err_set(ENOMEM, "no memory");
	keep_across(t, true);
	fflush(NULL);
	execve(program, again, env);
	rc = err_sys("cannot execute %s", program);
	keep_across(t, false);
	return rc;
}

int takeover_execute(struct takeover *t, char *const *again)
{
	int rc;

	scope_close_fd(&t->memory);
	scope_close_fd(&t->old);
	t->memory = -1;
	t->old = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	rc = put_into_memory(t);
	return rc ? rc : execute(t, again[0], again);
}

int takeover_back(struct takeover *t, char *const *again)
{
	scope_fd int old = t->old;
	char program[64];
	int rc;

	if (old < 0)
		return err_set(ENOENT, "there is no older program to go back to");
	snprintf(program, sizeof program, "/proc/self/fd/%d", old);
	t->old = -1;
	rc = execute(t, program, again); /* the old program's descriptor is closed by the exec */
	return rc;
}

/* ---- arriving ---- */

static int take_block(struct cursor *c, struct buf *to)
{
	size_t len;
	const uint8_t *bytes = cursor_block(c, &len);

	if (bytes)
		buf_put(to, bytes, len);
	return buf_failed(to) ? -ENOMEM : 0;
}

static int decode(struct takeover *t, const void *bytes, size_t len)
{
	struct cursor c = cursor_of(bytes, len);
	scope_free char *magic = cursor_string(&c);

	if (!magic || strcmp(magic, MAGIC) != 0 || cursor_u32(&c) != VERSION)
		return err_set(EINVAL, "the state of the mount is not one that this version can take over");
	t->fuse = (int)cursor_u32(&c);
	t->lock = (int)cursor_u32(&c);
	take_block(&c, &t->init);
	t->want = cursor_u32(&c);
	t->max_write = cursor_u32(&c);
	t->store = cursor_string(&c);
	t->point = cursor_string(&c);
	take_block(&c, &t->searches);
	take_block(&c, &t->files);
	take_block(&c, &t->notes);
	if (cursor_failed(&c) || cursor_left(&c) || buf_failed(&t->files) || buf_failed(&t->notes) || buf_failed(&t->searches))
		return err_set(EINVAL, "the state of the mount is not whole");
	return 0;
}

/* The state's bytes. Only a sealed memfd is believed. */
static int read_memory(struct takeover *t)
{
	struct stat st;
	void *bytes;
	int rc;

	if (fcntl(t->memory, F_GET_SEALS) != SEALS || fstat(t->memory, &st) || st.st_size <= 0)
		return err_set(EINVAL, "%s names no state of a mount", VARIABLE);
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, t->memory, 0);
	if (bytes == MAP_FAILED)
		return err_sys("cannot read the state of the mount");
	rc = decode(t, bytes, (size_t)st.st_size);
	munmap(bytes, (size_t)st.st_size);
	return rc;
}

int takeover_receive(struct takeover *t)
{
	const char *value = getenv(VARIABLE);
	int rc;

	*t = TAKEOVER_NONE;
	if (!value)
		return 0;
	if (sscanf(value, "%d,%d", &t->memory, &t->old) != 2 || t->memory < 3)
		return err_set(EINVAL, "%s is not understood", VARIABLE);
	unsetenv(VARIABLE);
	prctl(PR_SET_NAME, "tomofs"); /* an old program is run by its descriptor's number */
	rc = read_memory(t);
	if (!rc)
		keep_across(t, false);
	return rc;
}

int takeover_restore(struct mount *m, struct takeover *t)
{
	int rc = searches_load(m->fs->searches, t->searches.data, t->searches.len);

	if (!rc)
		rc = handles_load(m->handles, t->files.data, t->files.len);
	return rc;
}

/* libfuse is told what the kernel offered, and its answer goes nowhere: no request of that number waits any more. */
void takeover_greet(struct mount *m, struct takeover *t)
{
	struct fuse_buf request = { .size = t->init.len, .mem = t->init.data };

	buf_clear(&m->init);
	buf_put(&m->init, t->init.data, t->init.len);
	fuse_session_process_buf(m->session, &request);
}

void mount_settle_conn(struct mount *m, struct fuse_conn_info *conn)
{
	if (m->takeover.fuse >= 0) { /* settled with the kernel by the process before */
		conn->want = m->takeover.want;
		conn->max_write = m->takeover.max_write;
	}
	m->want = conn->want;
	m->max_write = conn->max_write;
}
