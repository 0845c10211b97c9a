/* Commands about single datasets: tag, set, ready, info. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "index/field.h"
#include "store/err.h"
#include "tools/where.h"

static int change_tag(const char *mount, const char *name, const char *id, const char *tag, bool remove)
{
	char folder[PATH_MAX], link[PATH_MAX + NAME_MAX + 2], target[PATH_MAX];

	if (strchr(tag, '/') || strchr(tag, ','))
		return fail("tag \"%s\": no '/' or ',' in a tag", tag);
	if (snprintf(folder, sizeof folder, "%s/by-tag/%s", mount, tag) >= (int)sizeof folder)
		return fail("tag \"%s\": too long", tag);
	snprintf(link, sizeof link, "%s/%s", folder, name);
	if (remove)
		return unlink(link) && errno != ENOENT ? fail("%s: tag %s: %s", name, tag, strerror(errno)) : EXIT_FINE;
	if (mkdir(folder, 0777) && errno != EEXIST)
		return fail("tag \"%s\": %s", tag, strerror(errno));
	snprintf(target, sizeof target, "../../by-id/%s", id);
	if (symlink(target, link) && errno != EEXIST)
		return fail("%s: tag %s: %s", name, tag, strerror(errno));
	return EXIT_FINE;
}

int cmd_tag(const struct invocation *in)
{
	char *mount = where_mount(in);
	json_t *facts = mount ? where_facts(mount, in->args[0]) : NULL;
	int status = facts ? EXIT_FINE : EXIT_NO;

	for (int i = 1; i < in->count && status == EXIT_FINE; i++)
		status = change_tag(mount, json_string_value(json_object_get(facts, "name")),
				    json_string_value(json_object_get(facts, "id")), in->args[i], in->remove);
	json_decref(facts);
	free(mount);
	return status;
}

/* The kernel carries only an errno back, so what can be checked is checked here, where the sentence is. */
static int set_field(const char *path, char *assignment)
{
	char attribute[128], *value = strchr(assignment, '='), *normal = NULL;
	const struct field *field;
	int rc;

	if (!value)
		return fail("\"%s\": expected FIELD=VALUE", assignment), EXIT_USAGE;
	*value++ = 0;
	field = field_find(assignment);
	if (!field)
		return fail("\"%s\" is no field; README.txt in the mount lists them", assignment);
	if (field->origin == FIELD_DERIVED)
		return fail("%s follows from the data and cannot be set", field->name);
	if (*value && field_normal(field, value, &normal))
		return fail_err();
	snprintf(attribute, sizeof attribute, "user.tomofs.%s", field->name);
	rc = normal ? setxattr(path, attribute, normal, strlen(normal), 0) : removexattr(path, attribute);
	free(normal);
	if (rc && !(errno == ENODATA && !*value))
		return fail("%s: %s: %s", path, field->name, strerror(errno));
	return EXIT_FINE;
}

int cmd_set(const struct invocation *in)
{
	char *mount = where_mount(in), *path = NULL;
	json_t *facts = mount ? where_dataset(mount, in->args[0], &path) : NULL;
	int status = facts ? EXIT_FINE : EXIT_NO;

	for (int i = 1; i < in->count && status == EXIT_FINE; i++)
		status = set_field(path, in->args[i]);
	json_decref(facts);
	free(path);
	free(mount);
	return status;
}

int cmd_ready(const struct invocation *in)
{
	char *mount = where_mount(in);
	int status = mount ? EXIT_FINE : EXIT_NO;

	for (int i = 0; i < in->count && status == EXIT_FINE; i++) {
		char *path = NULL;
		json_t *facts = where_dataset(mount, in->args[i], &path);

		if (!facts)
			status = EXIT_NO;
		else if (setxattr(path, "user.tomofs.state", "ready", 5, 0))
			status = errno == EBUSY ? fail("%s: a file in it is still being written, or has a temporary name", in->args[i])
						: fail("%s: %s", in->args[i], strerror(errno));
		json_decref(facts);
		free(path);
	}
	free(mount);
	return status;
}

int cmd_freeze(const struct invocation *in)
{
	const char *text = in->remove ? in->args[1] : "1";
	char *mount, *path = NULL;
	json_t *facts;
	int status = EXIT_FINE;

	if (in->remove && (in->count < 2 || !*text || *text == '1'))
		return fail_usage(in->command, "why does \"%s\" have to be changed? The reason is kept", in->args[0]);
	mount = where_mount(in);
	facts = mount ? where_dataset(mount, in->args[0], &path) : NULL;
	if (!facts)
		status = EXIT_NO;
	else if (setxattr(path, "user.tomofs.frozen", text, strlen(text), 0))
		status = fail("%s: %s", in->args[0], errno == EPERM ? (in->remove ? "only root ends that it is frozen"
										       : "only its owner freezes it")
								     : strerror(errno));
	json_decref(facts);
	free(path);
	free(mount);
	return status;
}

static void print_value(const char *key, const json_t *value)
{
	char *text;

	if (json_is_object(json_array_get(value, 0))) { /* images, broken files: --json has them all */
		printf("%-20s %zu (see --json)\n", key, json_array_size(value));
		return;
	}
	text = json_is_string(value) ? strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

	if (text && *text && strcmp(text, "null") != 0)
		printf("%-20s %s\n", key, text);
	free(text);
}

int cmd_info(const struct invocation *in)
{
	char *mount = where_mount(in);
	json_t *facts = mount ? where_facts(mount, in->args[0]) : NULL, *value;
	const char *key;

	free(mount);
	if (!facts)
		return EXIT_NO;
	if (in->json) {
		json_dumpf(facts, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
		putchar('\n');
	} else {
		json_object_foreach(facts, key, value)
			if (!json_is_object(value) && strcmp(key, "found") != 0)
				print_value(key, value);
	}
	json_decref(facts);
	return EXIT_FINE;
}
