#include "tools/where.h"

#include <errno.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_within(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == '/' || !path[n]);
}

/* The tomofs that path lies in; with NULL the only one. *count: how many there are. */
static char *mounted(const char *path, int *count)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	char memory[2 * PATH_MAX + 256], *found = NULL;
	struct mntent entry;

	*count = 0;
	while (f && getmntent_r(f, &entry, memory, sizeof memory)) {
		if (strcmp(entry.mnt_type, "fuse.tomofs") != 0)
			continue;
		++*count;
		if (path && !is_within(path, entry.mnt_dir))
			continue;
		free(found);
		found = strdup(entry.mnt_dir);
	}
	if (f)
		endmntent(f);
	return found;
}

static char *named(const char *mount)
{
	char path[PATH_MAX], *real = realpath(mount, NULL);

	if (real && snprintf(path, sizeof path, "%s/.tomofs/version", real) < (int)sizeof path && !access(path, R_OK))
		return real;
	fail("%s: no tomofs is mounted there", mount);
	free(real);
	return NULL;
}

char *where_mount(const struct invocation *in)
{
	const char *name = in->mount ? in->mount : getenv("TOMOFS_MOUNT");
	char cwd[PATH_MAX], *found = NULL;
	int count;

	if (name)
		return named(name);
	if (getcwd(cwd, sizeof cwd))
		found = mounted(cwd, &count);
	if (found)
		return found;
	found = mounted(NULL, &count);
	if (count == 1)
		return found;
	free(found);
	fail(count ? "there is more than one mount; say which with -m MNT" : "no tomofs is mounted; see tomofs mount --help");
	return NULL;
}

/* NAME, datasets/NAME, by-tag/x/NAME, an absolute path of either: what counts is the last part. */
static const char *short_name(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash && slash[1] ? slash + 1 : name;
}

json_t *where_facts(const char *mount, const char *name)
{
	char path[PATH_MAX];
	json_error_t error;
	json_t *facts = NULL;

	name = short_name(name);
	if (snprintf(path, sizeof path, "%s/info/%s/facts.json", mount, name) >= (int)sizeof path || access(path, R_OK)) {
		fail("%s: there is no dataset of that name, or it is not for you (tomofs ls shows them)", name);
		return NULL;
	}
	facts = json_load_file(path, 0, &error);
	if (!facts)
		fail("%s: %s", path, error.text);
	return facts;
}

json_t *where_dataset(const char *mount, const char *name, char **path)
{
	json_t *facts = where_facts(mount, name);
	const char *place = json_string_value(json_object_get(facts, "place"));

	if (!facts)
		return NULL;
	if (place && asprintf(path, "%s/datasets/%s", mount, place) >= 0)
		return facts;
	fail("%s: facts.json does not say its place", name);
	json_decref(facts);
	return NULL;
}
