/* node_date: by-date/2026/11/23/NAME, by the day a dataset was acquired, else the day it arrived (UTC). Read-only. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "fs/node_dataset.h"
#include "store/err.h"

/* What a folder covers; 0 = not told yet: (0,0,0) is by-date itself. */
struct date {
	int year, month, day;
};

static struct date date_of_number(uint64_t number)
{
	uint64_t what = node_what(number);

	return (struct date){ .year = (int)(what >> 16), .month = (int)(what >> 8 & 0xff), .day = (int)(what & 0xff) };
}

static uint64_t number_of_date(struct date d)
{
	return node_number(CLASS_DATE, (uint64_t)d.year << 16 | (uint64_t)d.month << 8 | (uint64_t)d.day);
}

static struct date date_of_days(int32_t days)
{
	time_t t = (time_t)days * 86400;
	struct tm tm;

	gmtime_r(&t, &tm);
	return (struct date){ .year = tm.tm_year + 1900, .month = tm.tm_mon + 1, .day = tm.tm_mday };
}

static int32_t days_of_date(struct date d)
{
	struct tm tm = { .tm_year = d.year - 1900, .tm_mon = d.month - 1, .tm_mday = d.day };

	return (int32_t)(timegm(&tm) / 86400);
}

static bool covers(struct date folder, struct date d)
{
	return (!folder.year || folder.year == d.year) && (!folder.month || folder.month == d.month) &&
	       (!folder.day || folder.day == d.day);
}

/* The folder one step down from `folder` towards d. */
static struct date step(struct date folder, struct date d)
{
	if (!folder.year)
		return (struct date){ .year = d.year };
	if (!folder.month)
		return (struct date){ .year = d.year, .month = d.month };
	return d;
}

static void step_name(struct date child, char name[16])
{
	if (child.day)
		snprintf(name, 16, "%02d", child.day);
	else if (child.month)
		snprintf(name, 16, "%02d", child.month);
	else
		snprintf(name, 16, "%04d", child.year);
}

static int date_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	node_attr_folder(fs, 0555, st);
	return 0;
}

/* Does the caller see a dataset of this day? */
static bool day_visible(struct fs *fs, const struct caller *who, int32_t day)
{
	scope_free uint32_t *list = NULL;
	struct dataset_row row;
	size_t count = 0;

	if (catalog_datasets_of_day(fs->catalog, day, &list, &count))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!dataset_for(fs, who, list[i], SCOPE_SCANS, &row))
			return true;
	return false;
}

static int list_steps(struct fs *fs, const struct caller *who, struct date folder, node_emit emit, void *ctx)
{
	scope_free int32_t *days = NULL;
	uint64_t last = 0;
	size_t count = 0;
	char name[16];
	int rc = catalog_days(fs->catalog, &days, &count);

	for (size_t i = 0; !rc && i < count; i++) {
		struct date d = date_of_days(days[i]), child = step(folder, d);
		uint64_t number = number_of_date(child);

		if (number == last || !covers(folder, d) || !day_visible(fs, who, days[i]))
			continue;
		last = number;
		step_name(child, name);
		rc = node_emit_one(emit, ctx, &node_ops_dates, number, name);
	}
	return rc;
}

static int date_list(struct fs *fs, const struct caller *who, const struct node *node, node_emit emit, void *ctx)
{
	struct date folder = date_of_number(node->number);
	scope_free uint32_t *list = NULL;
	size_t count = 0;
	int rc;

	if (!folder.day) {
		rc = list_steps(fs, who, folder, emit, ctx);
	} else {
		rc = catalog_datasets_of_day(fs->catalog, days_of_date(folder), &list, &count);
		if (!rc)
			rc = dataset_emit_links(fs, who, list, count, SCOPE_SCANS, LINK_DATE, emit, ctx);
	}
	return rc < 0 ? rc : 0;
}

struct wanted {
	const char *name;
	struct node *out;
};

static int match(void *ctx, const struct node_entry *entry)
{
	struct wanted *w = ctx;

	if (strcmp(entry->name, w->name) != 0)
		return 0;
	*w->out = entry->node;
	return 1;
}

static int date_lookup(struct fs *fs, const struct caller *who, const struct node *node, const char *name,
		       struct node *out)
{
	struct date folder = date_of_number(node->number);
	struct wanted w = { .name = name, .out = out };
	struct dataset_row row;
	int rc;

	if (!folder.day) {
		rc = list_steps(fs, who, folder, match, &w);
		return rc == 1 ? 0 : rc ? rc : err_set(ENOENT, "%s: no dataset of that date", name);
	}
	rc = dataset_named(fs, who, name, SCOPE_SCANS, &row);
	if (rc)
		return rc;
	if (row.day != days_of_date(folder))
		return err_set(ENOENT, "%s: is of another day", name);
	*out = (struct node){ .number = link_number(LINK_DATE, row.number), .ops = &node_ops_link };
	return 0;
}

const struct node_ops node_ops_dates = {
	.kind = "by-date",
	.type = S_IFDIR,
	.attr = date_attr,
	.lookup = date_lookup,
	.list = date_list,
};
