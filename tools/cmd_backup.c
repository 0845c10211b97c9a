/* backup: a copy of a store, beside its mount. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/backup.h"
#include "store/err.h"
#include "store/lock.h"
#include "store/scope.h"
#include "tools/command.h"

enum { HOLD_SECONDS = 7 * 86400 };

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

struct source {
	int lock;             /* of a store that nobody has open; -1 */
	char mount[PATH_MAX]; /* of one that is mounted; "" */
	double drawn;         /* seconds */
};

static bool must_stop(void *ctx)
{
	(void)ctx;
	return interrupted;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void draw(void *ctx, uint64_t done, uint64_t all)
{
	struct source *s = ctx;
	double now = seconds();

	if (!all || now - s->drawn < 0.2 || !isatty(STDERR_FILENO))
		return;
	s->drawn = now;
	fprintf(stderr, "\r%3.0f %% of %.1f GB \033[K", 100 * (double)done / (double)all, (double)all / 1e9);
}

/* What the journal names by now is in the packs after this. */
static int settle(void *ctx)
{
	const struct source *s = ctx;
	char path[PATH_MAX + 16];
	scope_fd int fd = -1;

	snprintf(path, sizeof path, "%s/datasets", s->mount);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		return err_sys("cannot sync %s", path);
	return 0;
}

/* Packs stay until this process has ended, or says so. A mount that is read-only removes none. */
static int hold(const struct source *s, unsigned time)
{
	char path[PATH_MAX + 16], text[64];
	int fd, rc = 0, len = snprintf(text, sizeof text, "%u %ld\n", time, time ? (long)getpid() : 0);

	snprintf(path, sizeof path, "%s/.tomofs/hold", s->mount);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 && errno == EROFS)
		return 0;
	if (fd < 0 || write(fd, text, (size_t)len) != len)
		rc = err_sys("cannot write %s", path);
	if (fd >= 0 && close(fd) && !rc)
		rc = err_sys("cannot write %s", path);
	return rc;
}

/* "PID\nMOUNT\n" in the lock. */
static int find_mount(const char *store, struct source *s)
{
	char path[PATH_MAX], text[PATH_MAX + 64], *line, *end;
	scope_fd int fd = -1;
	ssize_t n;

	snprintf(path, sizeof path, "%s/lock", store);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	text[n > 0 ? n : 0] = 0;
	line = strchr(text, '\n');
	end = line ? strchr(line + 1, '\n') : NULL;
	if (!end || end == line + 1 || end - line > PATH_MAX)
		return -EBUSY; /* the sentence is there */
	*end = 0;
	snprintf(s->mount, sizeof s->mount, "%s", line + 1);
	return hold(s, HOLD_SECONDS);
}

static int begin(const char *store, struct source *s)
{
	char path[PATH_MAX];
	int rc;

	if (snprintf(path, sizeof path, "%s/tomofs.json", store) >= (int)sizeof path || access(path, R_OK))
		return err_set(ENOENT, "%s is no tomofs store", store);
	rc = lock_take(store, &s->lock);
	return rc == -EBUSY ? find_mount(store, s) : rc;
}

static int copy(const struct invocation *in, struct source *s, struct backup_result *result)
{
	struct backup_options options = { .settle = s->mount[0] ? settle : NULL, .stop = must_stop, .progress = draw, .ctx = s };
	int rc = store_backup(in->args[0], in->args[1], &options, result);
	int status = EXIT_FINE;

	if (s->drawn > 0)
		fputs("\r\033[K", stderr);
	if (rc)
		status = fail_err();
	if (s->mount[0] && hold(s, 0))
		status = fail_err();
	return status;
}

int cmd_backup(const struct invocation *in)
{
	struct sigaction action = { .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND };
	struct source source = { .lock = -1 };
	struct backup_result r = { 0 };
	int status;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (begin(in->args[0], &source))
		return fail_err();
	status = copy(in, &source, &r);
	lock_release(source.lock);
	if (in->json)
		printf("{\"files\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"same\": %" PRIu64 ", \"removed\": %" PRIu64
		       ", \"whole\": %s}\n",
		       r.files, r.bytes, r.same, r.removed, status == EXIT_FINE ? "true" : "false");
	else
		printf("%" PRIu64 " files copied (%.1f MB), %" PRIu64 " were there, %" PRIu64 " packs removed that are gone: %s\n", r.files,
		       (double)r.bytes / 1e6, r.same, r.removed, status == EXIT_FINE ? "the backup is whole" : "NOT FINISHED");
	return status;
}
