/*
 * command: what every command of the tomofs program is made of: a row of the table in main.c and one function in a file
 * cmd_*.c. Commands parse, call, print; nothing that anybody else would want to call lives here.
 *
 * Exit status: 0 fine, 1 the answer is no, something failed or data is damaged, 2 wrong usage.
 */
#ifndef TOMOFS_COMMAND_H
#define TOMOFS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

enum { EXIT_FINE = 0, EXIT_NO = 1, EXIT_USAGE = 2 };

struct invocation;

struct command {
	const char *name;
	const char *synopsis; /* what follows the name */
	const char *help;     /* a few lines */
	const char *options;  /* getopt letters of its own; -h and --json are everybody's */
	int min_args, max_args; /* positional; max -1: any number */
	int (*run)(const struct invocation *in);
};

/* A parsed command line. */
struct invocation {
	const struct command *command;
	bool json;            /* --json */
	const char *mount;    /* -m MNT; NULL */
	const char *options;  /* -o OPTS; NULL */
	bool foreground;      /* -f */
	bool remove;          /* -d */
	const char *at, *to;  /* --at TIME, --to PATH; NULL */
	bool expire;          /* --expire-now */
	int verbose;          /* -v, twice: debug */
	char **args;
	int count;
};

/* "tomofs: sentence" on stderr; returns EXIT_NO, or EXIT_USAGE. */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int fail_usage(const struct command *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* With err_text(). */
int fail_err(void);

int cmd_init(const struct invocation *in);
int cmd_mount(const struct invocation *in);
int cmd_umount(const struct invocation *in);
int cmd_ls(const struct invocation *in);
int cmd_search(const struct invocation *in);
int cmd_tag(const struct invocation *in);
int cmd_set(const struct invocation *in);
int cmd_ready(const struct invocation *in);
int cmd_history(const struct invocation *in);
int cmd_restore(const struct invocation *in);
int cmd_freeze(const struct invocation *in);
int cmd_info(const struct invocation *in);
int cmd_verify(const struct invocation *in);
int cmd_repair(const struct invocation *in);
int cmd_rebuild(const struct invocation *in);
int cmd_densify(const struct invocation *in);
int cmd_backup(const struct invocation *in);
int cmd_gc(const struct invocation *in);
int cmd_stats(const struct invocation *in);

#endif
