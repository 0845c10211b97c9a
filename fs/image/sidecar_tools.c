#include "fs/image/sidecar_tools.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/image/text.h"

enum { DATA_MAX = 64 };

static bool is_length(double um)
{
	return isfinite(um) && um >= 1e-7 && um <= 1e7;
}

void sidecar_voxel(struct sidecar *s, double z, double y, double x, const char *vendor_key, const char *vendor_text)
{
	char value[100];

	if (!is_length(z) || !is_length(y) || !is_length(x) || findings_get(&s->facts, "voxel_size_um"))
		return;
	snprintf(value, sizeof value, "%.10g,%.10g,%.10g", z, y, x);
	findings_add(&s->facts, "voxel_size_um", value, vendor_key, vendor_text);
}

static bool is_file_name(const char *name)
{
	return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

void sidecar_declare(struct sidecar *s, const char *name, const char *suffix, struct geometry geo)
{
	struct sidecar_data *data;
	char *copy;

	geo.format = IMAGE_RAW;
	if (name)
		name = text_leaf(name);
	for (int i = 0; i < 3; i++)
		if (!is_length(geo.voxel_um[i]))
			geo.voxel_um[i] = 0;
	if (!geometry_sane(&geo) || s->data_count == DATA_MAX || (name ? !is_file_name(name) : !suffix))
		return;
	data = reallocarray(s->data, s->data_count + 1, sizeof *data);
	if (!data)
		return;
	s->data = data;
	copy = strdup(name ? name : suffix);
	if (!copy)
		return;
	data[s->data_count++] = (struct sidecar_data) {
		.name = name ? copy : NULL,
		.suffix = name ? NULL : copy,
		.geo = geo,
	};
}

void sidecar_joined(struct sidecar *s, const char *field, const char *first, const char *second, const char *vendor_key)
{
	char text[512];

	if ((!first && !second) || findings_get(&s->facts, field))
		return;
	snprintf(text, sizeof text, "%s%s%s", first ? first : "", first && second ? " " : "", second ? second : "");
	findings_add(&s->facts, field, text, vendor_key, text);
}

void path_finding(const struct path_rules *rules, const char *path, const char *value)
{
	char when[TEXT_TIME_MAX];
	double number;

	for (size_t i = 0; value && i < rules->count; i++) {
		const struct path_rule *rule = &rules->rules[i];

		if (strcmp(rule->path, path) != 0 || findings_get(rules->facts, rule->field))
			continue;
		if (rule->kind == INI_TEXT)
			findings_add(rules->facts, rule->field, value, path, value);
		else if (rule->kind == INI_TIME && text_time(value, when))
			findings_add(rules->facts, rule->field, when, path, value);
		else if (rule->kind == INI_NUMBER && text_number(value, &number, NULL))
			findings_add_number(rules->facts, rule->field, number * (rule->factor ? rule->factor : 1), path,
					    value);
	}
}

uint64_t sidecar_number(const struct sidecar *s, const char *field)
{
	const char *text = findings_get(&s->facts, field);
	uint64_t value;

	return text && text_count(text, &value) ? value : 0;
}
