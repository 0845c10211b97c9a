/* mount, umount. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/mount.h"
#include "store/err.h"
#include "store/log.h"
#include "tools/command.h"

enum { AGAIN_MAX = 12 };

/* How this program, or what is installed in its place by then, is run with the same arguments. program: owned by the caller. */
static void make_again(const struct invocation *in, char *program, char *again[AGAIN_MAX])
{
	size_t n = 0;

	again[n++] = program;
	again[n++] = (char *)in->command->name;
	again[n++] = (char *)"-f";
	for (int i = 0; i < in->verbose && i < 2; i++)
		again[n++] = (char *)"-v";
	if (in->options) {
		again[n++] = (char *)"-o";
		again[n++] = (char *)in->options;
	}
	again[n++] = (char *)"--";
	again[n++] = in->args[0];
	again[n++] = in->args[1];
	again[n] = NULL;
}

/* Where this program is installed, though another one may be there by now. */
static bool find_program(char *path, size_t room)
{
	static const char gone[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", path, room - 1), rest;

	if (n <= 0)
		return false;
	path[n] = 0;
	rest = n - (ssize_t)strlen(gone);
	if (rest > 0 && strcmp(path + rest, gone) == 0)
		path[rest] = 0;
	return true;
}

static struct mount_options options_of(const struct invocation *in)
{
	return (struct mount_options){
		.store = in->args[0],
		.mount_point = in->args[1],
		.options = in->options,
		.log_level = in->verbose > 1 ? LOG_DEBUG : in->verbose ? LOG_INFO : LOG_WARN,
	};
}

static int serve(const struct invocation *in, void (*ready)(void *ctx), void *ctx)
{
	struct mount_options options = options_of(in);
	char program[4096], *again[AGAIN_MAX];

	if (find_program(program, sizeof program)) {
		make_again(in, program, again);
		options.again = again;
	}
	return mount_serve(&options, ready, ctx) ? fail_err() : EXIT_FINE;
}

/* The daemon lets its parent go: the mount answers. From here on nobody reads its terminal. */
static void tell_parent(void *ctx)
{
	int *fd = ctx;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (write(*fd, "r", 1) != 1)
		log_warn("the program that started the mount is gone");
	close(*fd);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		close(null);
	}
}

/* stderr stays open: the daemon's complaints reach the terminal or the log that it was started with. */
static int serve_in_background(const struct invocation *in)
{
	int fds[2], status;
	char byte;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return fail("cannot make a pipe: %s", strerror(errno));
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return fail("cannot start a process: %s", strerror(errno));
	if (pid == 0) {
		close(fds[0]);
		setsid();
		if (chdir("/"))
			_exit(EXIT_NO);
		status = serve(in, tell_parent, &fds[1]);
		_exit(status);
	}
	close(fds[1]);
	if (read(fds[0], &byte, 1) == 1) {
		close(fds[0]);
		return EXIT_FINE;
	}
	close(fds[0]);
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return fail("the daemon ended before the mount was ready");
	return WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_NO;
}

/* Also of a mount point that answers nothing because its daemon died. Caller frees. */
static char *absolute(const char *path)
{
	char *real = realpath(path, NULL), cwd[4096];

	if (!real && *path != '/' && getcwd(cwd, sizeof cwd) && asprintf(&real, "%s/%s", cwd, path) < 0)
		real = NULL;
	return real ? real : strdup(path);
}

int cmd_mount(const struct invocation *in)
{
	char *args[2] = { absolute(in->args[0]), absolute(in->args[1]) }; /* the daemon leaves this folder */
	struct invocation moved = *in;
	int status;

	moved.args = args;
	status = in->foreground ? serve(&moved, NULL, NULL) : serve_in_background(&moved);
	free(args[0]);
	free(args[1]);
	return status;
}

int cmd_umount(const struct invocation *in)
{
	enum { WAIT_SECONDS = 600 };

	return mount_end(in->args[0], WAIT_SECONDS) ? fail_err() : EXIT_FINE;
}
