/* Commands that list: ls, search, stats. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/err.h"
#include "store/store.h"
#include "tools/where.h"

static const char *text_of(const json_t *facts, const char *key)
{
	const char *text = json_string_value(json_object_get(facts, key));

	return text ? text : "";
}

static void print_bytes(double bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	size_t i = 0;

	while (bytes >= 1000 && i < 5)
		bytes /= 1000, i++;
	printf(i ? "%7.1f %-2s" : "%7.0f %-2s", bytes, units[i]);
}

static void print_row(const json_t *facts)
{
	const json_t *tags = json_object_get(facts, "tags"), *tag;
	const char *date = text_of(facts, "start_time");
	size_t i;

	printf("%-32s %-10s ", text_of(facts, "name"), text_of(facts, "state"));
	print_bytes(json_number_value(json_object_get(facts, "bytes")));
	printf("  %.10s ", *date ? date : text_of(facts, "arrived"));
	json_array_foreach(tags, i, tag)
		printf("%s%s", i ? "," : " ", json_string_value(tag));
	putchar('\n');
}

/* One dataset: printed now, or added to *all for --json. */
static int show(const struct invocation *in, const char *mount, const char *name, json_t *all)
{
	json_t *facts = where_facts(mount, name);

	if (!facts)
		return EXIT_NO;
	if (in->json)
		json_array_append(all, facts);
	else
		print_row(facts);
	json_decref(facts);
	return EXIT_FINE;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All names in a folder of the mount, sorted; what a bad query says goes to stderr. */
static int show_folder(const struct invocation *in, const char *mount, const char *folder, json_t *all)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	char **names = NULL;
	size_t count = 0;
	int status = EXIT_FINE;

	if (!d)
		return fail("%s: %s", folder, strerror(errno));
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		if (!(count & (count - 1))) {
			char **more = realloc(names, (count ? count * 2 : 1) * sizeof *names);

			if (!more)
				break;
			names = more;
		}
		names[count++] = strdup(e->d_name);
	}
	closedir(d);
	if (count)
		qsort(names, count, sizeof *names, by_name);
	for (size_t i = 0; i < count; i++) {
		if (names[i] && show(in, mount, names[i], all))
			status = EXIT_NO;
		free(names[i]);
	}
	free(names);
	return status;
}

static int finish(const struct invocation *in, json_t *all, int status)
{
	if (in->json) {
		json_dumpf(all, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
		putchar('\n');
	}
	json_decref(all);
	return status;
}

int cmd_ls(const struct invocation *in)
{
	char *mount = where_mount(in), folder[PATH_MAX];
	json_t *all = json_array();
	int status = mount ? EXIT_FINE : EXIT_NO;

	for (int i = 0; mount && i < in->count; i++)
		if (show(in, mount, in->args[i], all))
			status = EXIT_NO;
	if (mount && !in->count) {
		snprintf(folder, sizeof folder, "%s/info", mount);
		status = show_folder(in, mount, folder, all);
	}
	free(mount);
	return finish(in, all, status);
}

/* Prints search/QUERY/ERROR.txt when there is one. */
static bool print_bad_query(const char *folder)
{
	char path[2 * PATH_MAX + 16], line[1024];
	FILE *f;

	snprintf(path, sizeof path, "%s/ERROR.txt", folder);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof line, f))
		fputs(line, stderr);
	fclose(f);
	return true;
}

int cmd_search(const struct invocation *in)
{
	char query[PATH_MAX] = "", folder[2 * PATH_MAX], *mount;
	json_t *all;
	int status;

	for (int i = 0; i < in->count; i++) {
		size_t n = strlen(query);

		snprintf(query + n, sizeof query - n, "%s%s", i ? " " : "", in->args[i]);
	}
	if (strchr(query, '/') || strlen(query) > NAME_MAX)
		return fail("a query is at most %d bytes long and has no '/'", NAME_MAX), EXIT_USAGE;
	mount = where_mount(in);
	if (!mount)
		return EXIT_NO;
	snprintf(folder, sizeof folder, "%s/search/%s", mount, query);
	all = json_array();
	if (print_bad_query(folder))
		status = EXIT_USAGE;
	else
		status = show_folder(in, mount, folder, all);
	free(mount);
	return finish(in, all, status);
}

/* ---- stats ---- */

static json_t *stats_of_store(const char *path)
{
	struct store_options options = { .flags = STORE_READ_ONLY };
	struct store_stats s = { 0 };
	struct store *store = NULL;
	json_t *codecs = json_object(), *stats;

	if (store_open(&store, path, &options)) {
		json_decref(codecs);
		fail_err();
		return NULL;
	}
	store_stats(store, &s);
	for (unsigned i = 0; store_codec_name(i); i++)
		json_object_set_new(codecs, store_codec_name(i),
				    json_pack("{s:I, s:I, s:I}", "chunks", (json_int_t)s.codec[i].chunks, "plain_bytes",
					      (json_int_t)s.codec[i].plain_bytes, "stored_bytes",
					      (json_int_t)s.codec[i].stored_bytes));
	stats = json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "store", path, "chunks", (json_int_t)s.chunks, "unique_bytes",
			  (json_int_t)s.plain_bytes, "stored_bytes", (json_int_t)s.stored_bytes, "packs", (json_int_t)s.packs,
			  "codecs", codecs);
	store_close(store);
	return stats;
}

static json_t *stats_of_mount(const char *mount)
{
	char path[PATH_MAX];
	json_error_t error;
	json_t *stats;

	snprintf(path, sizeof path, "%s/.tomofs/status.json", mount);
	stats = json_load_file(path, 0, &error);
	if (!stats)
		fail("%s: %s", path, error.text);
	return stats;
}

static void print_line(const json_t *stats, const char *key, const char *words)
{
	const json_t *value = json_object_get(stats, key);

	if (!value)
		return;
	printf("%-34s", words);
	if (strstr(key, "bytes"))
		print_bytes(json_number_value(value));
	else
		printf("%7" JSON_INTEGER_FORMAT, json_integer_value(value));
	putchar('\n');
}

static void print_stats(json_t *stats)
{
	json_t *codecs = json_object_get(stats, "codecs"), *codec;
	double logical = json_number_value(json_object_get(stats, "logical_bytes"));
	double saved = json_number_value(json_object_get(stats, "saved_bytes"));
	const char *name;

	printf("%s\n", text_of(stats, "store"));
	print_line(stats, "datasets", "datasets");
	print_line(stats, "files", "files");
	print_line(stats, "logical_bytes", "bytes of the files");
	print_line(stats, "deduplicated_bytes", "of these stored already");
	print_line(stats, "unique_bytes", "bytes after deduplication");
	print_line(stats, "stored_bytes", "bytes in packs");
	print_line(stats, "chunks", "chunks");
	print_line(stats, "packs", "packs");
	print_line(stats, "saved_bytes", "bytes saved");
	if (logical > 0)
		printf("%-34s%7.1f %%\n", "saved", 100 * saved / logical);
	json_object_foreach(codecs, name, codec) {
		double plain = json_number_value(json_object_get(codec, "plain_bytes"));
		double stored = json_number_value(json_object_get(codec, "stored_bytes"));

		printf("  %-12s %9" JSON_INTEGER_FORMAT " chunks ", name, json_integer_value(json_object_get(codec, "chunks")));
		print_bytes(plain);
		fputs(" as ", stdout);
		print_bytes(stored);
		if (plain > 0)
			printf(" (%+.1f %%)", 100 * stored / plain - 100);
		putchar('\n');
	}
}

int cmd_stats(const struct invocation *in)
{
	char *mount = NULL, path[PATH_MAX];
	json_t *stats;

	if (in->count) {
		snprintf(path, sizeof path, "%s/tomofs.json", in->args[0]);
		stats = access(path, F_OK) ? stats_of_mount(in->args[0]) : stats_of_store(in->args[0]);
	} else {
		mount = where_mount(in);
		stats = mount ? stats_of_mount(mount) : NULL;
	}
	free(mount);
	if (!stats)
		return EXIT_NO;
	if (in->json) {
		json_dumpf(stats, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
		putchar('\n');
	} else {
		print_stats(stats);
	}
	json_decref(stats);
	return EXIT_FINE;
}
