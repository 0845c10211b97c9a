/* history, restore: what was removed or overwritten. All they do is done through the files of history/. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/where.h"

extern char **environ;

/* A place below datasets/, as each part of the mount has it. */
struct place {
	char mount[PATH_MAX];
	char rel[PATH_MAX];	 /* behind datasets/; "" is datasets/ itself */
	char original[PATH_MAX]; /* MNT/datasets/REL */
};

static bool join(char to[PATH_MAX], const char *a, const char *b, const char *c)
{
	char *at;

	if (strlen(a) + strlen(b) + strlen(c) + 3 > PATH_MAX)
		return false;
	at = stpcpy(to, a);
	*at++ = '/';
	at = stpcpy(at, b);
	if (*c) {
		*at++ = '/';
		strcpy(at, c);
	}
	return true;
}

static const char *behind(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	if (strncmp(path, folder, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	path += len;
	while (*path == '/')
		path++;
	return path;
}

static bool is_there(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

/* name: a path into the mount, or one below datasets/ (the thing itself may be gone). */
static int place_find(const struct invocation *in, const char *name, struct place *p)
{
	char *mount = where_mount(in), cwd[PATH_MAX], full[2 * PATH_MAX], folder[PATH_MAX];
	const char *rel = NULL;
	size_t len;

	if (!mount)
		return EXIT_NO;
	if (!realpath(mount, p->mount))
		snprintf(p->mount, sizeof p->mount, "%s", mount);
	free(mount);
	if (*name == '/')
		snprintf(full, sizeof full, "%s", name);
	else if (getcwd(cwd, sizeof cwd) && behind(cwd, p->mount))
		snprintf(full, sizeof full, "%s/%s", cwd, name);
	else
		snprintf(full, sizeof full, "%s/datasets/%s", p->mount,
			 strncmp(name, "datasets/", 9) == 0 ? name + 9 : name);
	join(folder, p->mount, "datasets", "");
	rel = behind(full, folder);
	if (!rel)
		return fail("%s: is not below %s", name, folder);
	snprintf(p->rel, sizeof p->rel, "%.*s", PATH_MAX - 1, rel);
	for (len = strlen(p->rel); len && p->rel[len - 1] == '/'; len--)
		p->rel[len - 1] = 0;
	if (!join(p->original, p->mount, "datasets", p->rel))
		return fail("%s: the path is too long", name);
	return EXIT_FINE;
}

/* ---- history ---- */

struct listing {
	const struct place *place;
	json_t *old, *removed; /* for --json, else NULL */
	size_t count;
};

/* Calls each for the names of a folder, in order. A folder that is not there has none. */
static void each_name(const char *folder, void (*each)(struct listing *l, const char *rel, const char *name),
		      struct listing *l, const char *rel)
{
	struct dirent **names;
	int n = scandir(folder, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0)
			each(l, rel, names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static void show(struct listing *l, bool removed, const char *rel, const char *when, const char *path, const struct stat *st)
{
	json_t *list = removed ? l->removed : l->old;

	l->count++;
	if (list)
		json_array_append_new(list, json_pack("{s:s*, s:s*, s:s*, s:I}", "name", rel, "time", when, "path", path, "bytes",
						      (json_int_t)(S_ISDIR(st->st_mode) ? 0 : st->st_size)));
	else if (removed)
		printf("removed  %12lld  %s%s\n", (long long)st->st_size, rel, S_ISDIR(st->st_mode) ? "/" : "");
	else
		printf("held     %12lld  %s  since %.20s\n", (long long)st->st_size, rel, when);
}

static void show_versions(struct listing *l, const char *rel, const char *name)
{
	char at[PATH_MAX], sub[PATH_MAX], now[PATH_MAX];
	struct stat st;

	if (snprintf(sub, sizeof sub, "%s%s%s", rel, *rel ? "/" : "", name) >= PATH_MAX ||
	    !join(at, l->place->mount, "history/versions", sub) || !join(now, l->place->mount, "datasets", sub))
		return;
	if (!lstat(at, &st) && S_ISREG(st.st_mode))
		show(l, false, rel, name, at, &st);
	else
		each_name(at, show_versions, l, sub);
}

static void show_removed(struct listing *l, const char *rel, const char *name)
{
	char at[PATH_MAX], sub[PATH_MAX], now[PATH_MAX];
	struct stat st;

	if (snprintf(sub, sizeof sub, "%s%s%s", rel, *rel ? "/" : "", name) >= PATH_MAX ||
	    !join(at, l->place->mount, "history/trash", sub) || !join(now, l->place->mount, "datasets", sub) ||
	    lstat(at, &st))
		return;
	if (S_ISDIR(st.st_mode) && is_there(now))
		each_name(at, show_removed, l, sub); /* only leads to what was removed in it */
	else
		show(l, true, sub, NULL, at, &st);
}

int cmd_history(const struct invocation *in)
{
	struct place place = { 0 };
	struct listing l = { .place = &place };
	char path[PATH_MAX];
	int status = place_find(in, in->count ? in->args[0] : "", &place);

	if (status)
		return status;
	if (in->json) {
		l.old = json_array();
		l.removed = json_array();
	}
	if (join(path, place.mount, "history/versions", place.rel))
		each_name(path, show_versions, &l, place.rel);
	if (join(path, place.mount, "history/trash", place.rel) && is_there(path) && !is_there(place.original))
		show_removed(&l, "", place.rel);
	else
		each_name(path, show_removed, &l, place.rel);
	if (in->json) {
		json_t *all = json_pack("{s:o, s:o}", "old", l.old, "removed", l.removed);

		json_dumpf(all, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
		putchar('\n');
		json_decref(all);
	} else if (!l.count) {
		printf("%s: nothing was removed or overwritten that is still kept\n", *place.rel ? place.rel : "datasets");
	}
	return EXIT_FINE;
}

/* ---- restore ---- */

static int copy(const char *from, const char *to)
{
	char *args[] = { "cp", "-aT", "--", (char *)from, (char *)to, NULL };
	pid_t pid;
	int status, rc = posix_spawnp(&pid, "cp", NULL, NULL, args, environ);

	if (rc)
		return fail("cannot run cp: %s", strerror(rc));
	if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return fail("cp was interrupted");
	return WEXITSTATUS(status) ? EXIT_NO : EXIT_FINE;
}

static int done(const char *to, const char *from)
{
	printf("%s is what it was (%s)\n", to, from);
	return EXIT_FINE;
}

/* Read-only copies of a file's past keep their mode; a writable one is what people expect to get back. */
static int restore_copy(const char *from, const char *to)
{
	struct stat st, now;
	int status;

	if (lstat(from, &st))
		return fail("%s: %s", from, strerror(errno));
	if (is_there(to) && S_ISDIR(st.st_mode))
		return fail("%s: is there; say with --to where the old one goes", to);
	if (stat(to, &now))
		now.st_mode = st.st_mode | 0200;
	status = copy(from, to);
	if (status == EXIT_FINE && S_ISREG(st.st_mode) && chmod(to, now.st_mode & 07777))
		return fail("%s: %s", to, strerror(errno));
	return status ? status : done(to, from);
}

/* The last thing that the file held before what it holds now. */
static int restore_version(const struct place *place, const char *to)
{
	char folder[PATH_MAX], from[PATH_MAX];
	struct dirent **names;
	int n, status = EXIT_NO;

	join(folder, place->mount, "history/versions", place->rel);
	n = scandir(folder, &names, NULL, alphasort);
	if (n < 0)
		return fail("%s: nothing of it is kept but what is there", place->rel);
	if (n > 0 && *names[n - 1]->d_name != '.' && join(from, folder, names[n - 1]->d_name, ""))
		status = restore_copy(from, to);
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return status;
}

int cmd_restore(const struct invocation *in)
{
	struct place place = { 0 };
	char from[PATH_MAX], at[PATH_MAX];
	const char *to;
	int status = place_find(in, in->args[0], &place);

	if (status)
		return status;
	to = in->to ? in->to : place.original;
	if (in->at) {
		if (snprintf(at, sizeof at, "history/at/%s/datasets", in->at) >= PATH_MAX ||
		    !join(from, place.mount, at, place.rel))
			return fail("the path is too long");
		if (!is_there(from))
			return fail("%s: was not there at %s (UTC), or is not kept any more", place.rel, in->at);
		return restore_copy(from, to);
	}
	if (!join(from, place.mount, "history/trash", place.rel))
		return fail("the path is too long");
	if (!is_there(place.original) && is_there(from)) {
		if (is_there(to))
			return fail("%s: is there already", to);
		return rename(from, to) ? (errno == EXDEV ? restore_copy(from, to) : fail("%s: %s", to, strerror(errno)))
					: done(to, from);
	}
	return restore_version(&place, to);
}
