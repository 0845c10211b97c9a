/*
 * North Star Imaging .nsipro: looks like XML, but "<key>value" is never closed, and only groups are:
 *
 *     <Source>
 *       <kV>150
 *     </Source>
 *
 * Source: a file of efX-CT 2.4. A key without a value is a group when the line behind it is indented further. Distances
 * are millimetres, dates month first.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/image/sidecar_tools.h"
#include "fs/image/text.h"
#include "store/err.h"

enum { DEPTH_MAX = 32, PATH_MAX_BYTES = 512 };

static bool detect(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".nsipro") && text_contains(head, head_len, "<NSI Reconstruction Project>");
}

struct tree {
	char path[PATH_MAX_BYTES + 1];
	size_t len[DEPTH_MAX + 1]; /* of path at each depth */
	size_t depth;
};

/* Leaves the innermost group of this name, and what was left open within. */
static void leave(struct tree *tree, const char *name)
{
	for (size_t d = tree->depth; d > 0; d--) {
		const char *group = tree->path + tree->len[d - 1] + (d > 1);

		if (strncmp(group, name, strlen(name)) == 0 && group[strlen(name)] == (d < tree->depth ? '/' : 0)) {
			tree->depth = d - 1;
			tree->path[tree->len[d - 1]] = 0;
			return;
		}
	}
}

static bool enter(struct tree *tree, const char *name)
{
	size_t at = tree->len[tree->depth], len = strlen(name);

	if (tree->depth == DEPTH_MAX || at + len + 1 > PATH_MAX_BYTES)
		return false;
	sprintf(tree->path + at, "%s%s", at ? "/" : "", name);
	tree->len[++tree->depth] = at + (at > 0) + len;
	return true;
}

static size_t indent_of(const char *line)
{
	return strspn(line, " \t");
}

/* Calls visit() for each key that has a value. */
static int walk(char *text, void (*visit)(void *ctx, const char *path, const char *value), void *ctx)
{
	struct tree *tree = calloc(1, sizeof *tree);
	char *line, *next;

	if (!tree)
		return err_set(ENOMEM, "no memory to read a project");
	for (line = text; line; line = next) {
		char *end = strpbrk(line, "\r\n"), *name, *value;
		size_t indent = indent_of(line);

		next = end ? end + strspn(end, "\r\n") : NULL;
		if (end)
			*end = 0;
		name = text_trim(line);
		value = strchr(name, '>');
		if (*name != '<' || !value)
			continue;
		*value++ = 0;
		value = text_trim(value);
		if (name[1] == '/') {
			leave(tree, name + 2);
		} else if (enter(tree, name + 1)) {
			if (*value)
				visit(ctx, tree->path, value);
			if (*value || !next || indent_of(next) <= indent)
				leave(tree, name + 1);
		}
	}
	free(tree);
	return 0;
}

#define PROJECT "NSI Reconstruction Project/"
#define CT PROJECT "CT Project Configuration/"
#define TECHNIQUE CT "Technique Configuration/"

struct project {
	struct path_rules rules;
	char model[128], serial[64];
	double low[3], high[3], steps[3];
	bool has_low, has_high, has_steps;
};

static void visit_key(void *ctx, const char *path, const char *value)
{
	struct project *p = ctx;

	path_finding(&p->rules, path, value);
	if (!strcmp(path, TECHNIQUE "System Info/Model Name"))
		snprintf(p->model, sizeof p->model, "%s", value);
	else if (!strcmp(path, TECHNIQUE "System Info/Serial"))
		snprintf(p->serial, sizeof p->serial, "%s", value);
	else if (!strcmp(path, PROJECT "Volume/min"))
		p->has_low = text_numbers(value, p->low, 3) == 3;
	else if (!strcmp(path, PROJECT "Volume/max"))
		p->has_high = text_numbers(value, p->high, 3) == 3;
	else if (!strcmp(path, PROJECT "Volume/resolution"))
		p->has_steps = text_numbers(value, p->steps, 3) == 3;
}

static int parse(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	static const struct path_rule rules[] = {
		{ "sample", CT "Part name", INI_TEXT, 0 },
		{ "title", PROJECT "Project Name", INI_TEXT, 0 },
		{ "description", PROJECT "Comments", INI_TEXT, 0 },
		{ "start_time", CT "acquisition begin", INI_TIME, 0 },
		{ "start_time", PROJECT "Creation Date", INI_TIME, 0 },
		{ "end_time", CT "acquisition end", INI_TIME, 0 },
		{ "projections", CT "Number of projections", INI_NUMBER, 0 },
		{ "projections", PROJECT "Object Radiograph/number", INI_NUMBER, 0 },
		{ "software", TECHNIQUE "Acquisition Software", INI_TEXT, 0 },
		{ "voltage_kV", TECHNIQUE "Source/kV", INI_NUMBER, 0 },
		{ "current_uA", TECHNIQUE "Source/uA", INI_NUMBER, 0 },
		{ "exposure_ms", TECHNIQUE "Detector/integration time ms", INI_NUMBER, 0 },
		{ "source_detector_mm", TECHNIQUE "Setup/source to detector distance", INI_NUMBER, 0 },
		{ "source_object_mm", TECHNIQUE "Setup/source to table distance", INI_NUMBER, 0 },
		{ "filter", TECHNIQUE "Setup/phys filter", INI_TEXT, 0 },
	};
	scope_free char *text = text_utf8(bytes, len);
	struct project project = { .rules = { rules, sizeof rules / sizeof *rules, &out->facts } };
	double um[3];
	int rc;

	(void)name;
	if (!text)
		return err_set(ENOMEM, "no memory to read a project");
	rc = walk(text, visit_key, &project);
	if (rc < 0)
		return rc;
	sidecar_joined(out, "instrument", *project.model ? project.model : NULL,
		       *project.serial ? project.serial : NULL, TECHNIQUE "System Info/Model Name");
	if (project.has_low && project.has_high && project.has_steps) {
		for (int i = 0; i < 3; i++)
			um[i] = project.steps[i] >= 1 ? (project.high[i] - project.low[i]) / project.steps[i] * 1e3 : 0;
		sidecar_voxel(out, um[2], um[1], um[0], PROJECT "Volume/min, max, resolution", NULL);
	}
	out->acquisition = true;
	out->images_declared = sidecar_number(out, "projections");
	return 0;
}

const struct sidecar_ops sidecar_nsi = { .name = "North Star .nsipro", .detect = detect, .parse = parse };
