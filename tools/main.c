/* tomofs: the program. `tomofs COMMAND ...`; `tomofs STORE MNT` is `tomofs mount STORE MNT`, as mount(8) calls it. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fs/texts.h"
#include "store/err.h"
#include "tools/command.h"

static const struct command commands[] = {
	{ "init", "[-o OPTS] STORE",
	  "Makes a new, empty store in a folder that is empty or not there yet. OPTS: what each mount of it begins with, as of mount.",
	  "o:", 1, 1, cmd_init },
	{ "mount", "STORE MNT [-f] [-v] [-o OPTS]",
	  "Mounts a store. -f stays in the foreground; -v says more.\n"
	  "OPTS: cache=SIZE (memory, as 512M; default a quarter of RAM, at most 2G), settle=SECONDS (quiet time until a dataset\n"
	  "is ready; default 60), dense_after=SECONDS|never (rest until data is coded anew, smaller, when nobody reads or writes;\n"
	  "default 86400), keep=TIME (removed and overwritten data is kept so long, as 30d; default), keep_min=TIME (also when the\n"
	  "disk is full; default 1d), protect=ready (what a dataset held when it became ready stays as it is; it leaves by mv\n"
	  "into trash/), nonempty, allow_other, ro and what mount(8) and fstab add.",
	  "fvo:", 2, 2, cmd_mount },
	{ "umount", "MNT", "Unmounts, and waits until everything is safely in the store.", "", 1, 1, cmd_umount },
	{ "ls", "[-m MNT] [NAME...]", "Lists datasets: name, state, size, date, tags.", "m:", 0, -1, cmd_ls },
	{ "search", "[-m MNT] QUERY", "Lists the datasets that match, as the folder search/QUERY does.", "m:", 1, -1, cmd_search },
	{ "tag", "[-m MNT] [-d] NAME TAG...", "Gives a dataset tags; -d takes them away.", "m:d", 2, -1, cmd_tag },
	{ "set", "[-m MNT] NAME FIELD=VALUE...", "Sets facts of a dataset, as voltage_kV=80 or voxel_size_um='1.5 mm'; FIELD= clears.",
	  "m:", 2, -1, cmd_set },
	{ "ready", "[-m MNT] NAME...", "Says that a dataset is complete, without waiting for the settle time.", "m:", 1, -1, cmd_ready },
	{ "freeze", "[-m MNT] [-d] NAME [REASON]",
	  "Makes a dataset refuse changes of content and facts; tags and comments go on. -d ends that (root only), with a reason.", "m:d",
	  1, 2, cmd_freeze },
	{ "info", "[-m MNT] NAME", "Shows what is known of a dataset.", "m:", 1, 1, cmd_info },
	{ "history", "[-m MNT] [NAME | PATH]", "Lists what was removed from a dataset or folder, and what its files held before.", "m:", 0, 1,
	  cmd_history },
	{ "restore", "[-m MNT] PATH [--at TIME] [--to PATH]",
	  "Brings back what was removed (with its dataset, tags and facts), or what a file held before. --at TIME (UTC, as 2026-11-20,\n"
	  "2026-11-20T10:00): as it was then. --to PATH: there, and not in its old place.",
	  "m:@:>:", 1, 1, cmd_restore },
	{ "verify", "STORE", "Reads everything in a store, checks it and names the files that are hurt. Works beside a mount. Changes nothing.", "", 1, 1, cmd_verify },
	{ "repair", "STORE [--from FILE|DIR...]",
	  "Mends a damaged store as far as what is in it allows, and says what is still missing. Nothing is destroyed: what is damaged\n"
	  "goes to STORE/quarantine/ when everything whole in it stands elsewhere. --from: takes missing chunks from these files, if\n"
	  "they are the ones that were stored. The store must not be mounted.",
	  "", 1, -1, cmd_repair },
	{ "rebuild", "STORE", "Makes the index anew from the journal. The store must not be mounted.", "", 1, 1, cmd_rebuild },
	{ "densify", "[MNT | STORE]",
	  "Codes what is stored anew, as small as it gets, without waiting until it has been at rest for a day. A mount goes on\n"
	  "working meanwhile. It can be interrupted at any time.",
	  "m:", 0, 1, cmd_densify },
	{ "backup", "STORE DEST",
	  "Copies a store into another folder, also while it is mounted and written to; a later one copies what is new. What is\n"
	  "copied is read back. The copy is a store: tomofs mount DEST MNT makes its index from the journal.",
	  "", 2, 2, cmd_backup },
	{ "gc", "[MNT | STORE] [--expire-now]",
	  "Gives back the room of what is not kept any more: removed and overwritten data older than the mount option keep=TIME\n"
	  "says (30 days). --expire-now: whatever its age; it cannot be restored then. A mount goes on working meanwhile. It can\n"
	  "be interrupted at any time.",
	  "m:x", 0, 1, cmd_gc },
	{ "stats", "[MNT | STORE]", "Shows how much is stored, and how.", "m:", 0, 1, cmd_stats },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL },
};

static void say(const char *fmt, va_list ap)
{
	fputs("tomofs: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return EXIT_NO;
}

int fail_usage(const struct command *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	fprintf(stderr, "usage: tomofs %s %s\n", command->name, command->synopsis);
	return EXIT_USAGE;
}

int fail_err(void)
{
	return fail("%s", err_text());
}

static int help(FILE *out)
{
	fputs("tomofs " TOMOFS_VERSION ": keeps a CT lab's data in one mounted folder.\n\n", out);
	for (const struct command *c = commands; c->name; c++)
		fprintf(out, "  tomofs %s %s\n", c->name, c->synopsis);
	fputs("\n`tomofs COMMAND --help` says more. -m MNT names the mount; without it $TOMOFS_MOUNT, the mount that the\n"
	      "current folder is in, or the only one there is. --json prints for programs.\n",
	      out);
	return EXIT_FINE;
}

static const struct command *find_command(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static int parse_option(struct invocation *in, int letter)
{
	switch (letter) {
	case 'j':
		in->json = true;
		return 0;
	case 'F': /* what follows STORE */
		return strcmp(in->command->name, "repair") ? -1 : 0;
	case 'm':
		in->mount = optarg;
		return 0;
	case 'o':
		in->options = optarg;
		return 0;
	case 'f':
		in->foreground = true;
		return 0;
	case 'd':
		in->remove = true;
		return 0;
	case 'x':
		in->expire = true;
		return 0;
	case 'v':
		in->verbose++;
		return 0;
	case '@':
		in->at = optarg;
		return 0;
	case '>':
		in->to = optarg;
		return 0;
	}
	return -1;
}

/* argv[0] is the command's name. Returns an exit status, or -1 to go on. */
static int parse(struct invocation *in, int argc, char **argv)
{
	static const struct option longs[] = { { "help", no_argument, NULL, 'h' }, { "json", no_argument, NULL, 'j' },
						{ "expire-now", no_argument, NULL, 'x' },
						{ "at", required_argument, NULL, '@' }, { "to", required_argument, NULL, '>' },
						{ "from", no_argument, NULL, 'F' }, { 0 } };
	const struct command *c = in->command;
	char letters[32];
	int letter;

	snprintf(letters, sizeof letters, ":h%s", c->options);
	opterr = 0;
	while ((letter = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (letter == 'h') {
			printf("usage: tomofs %s %s\n\n%s\n", c->name, c->synopsis, c->help);
			return EXIT_FINE;
		}
		if (letter == ':')
			return fail_usage(c, "option %s needs a value", argv[optind - 1]);
		if (((letter == '@' || letter == '>') && !strchr(c->options, letter)) || parse_option(in, letter))
			return fail_usage(c, "%s: option \"%s\" is not known", c->name, argv[optind - 1]);
	}
	in->args = argv + optind;
	in->count = argc - optind;
	if (in->count < c->min_args || (c->max_args >= 0 && in->count > c->max_args))
		return fail_usage(c, "%s: %s arguments", c->name, in->count < c->min_args ? "too few" : "too many");
	return -1;
}

int main(int argc, char **argv)
{
	struct invocation in = { 0 };
	int status;

	if (argc < 2)
		return help(stderr), EXIT_USAGE;
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return help(stdout);
	if (strcmp(argv[1], "--version") == 0)
		return puts("tomofs " TOMOFS_VERSION) < 0;
	in.command = find_command(argv[1]);
	if (in.command) {
		argc--, argv++;
	} else if (argc >= 3 && argv[1][0] != '-' && (strchr(argv[1], '/') || argv[2][0] != '-')) {
		in.command = find_command("mount");
	} else {
		return fail("\"%s\" is no command; tomofs --help lists them", argv[1]), EXIT_USAGE;
	}
	status = parse(&in, argc, argv);
	return status >= 0 ? status : in.command->run(&in);
}
