/*
 * node_versions: history/versions/..., the tree of datasets/ with a folder for each file that had other contents:
 *
 *     history/versions/scan/notes.txt/2026-11-25T10.00.00Z.txt    what it held from then on, until something else came
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/history.h"
#include "store/err.h"

static int place_of(const struct node *node, uint64_t *ino)
{
	enum past_place place;
	uint64_t seq;

	if (past_of_number(node->number, &place, &seq, ino) && (place == PLACE_VERSIONS || place == PLACE_OLD))
		return 0;
	return err_set(ESTALE, "no such folder of old contents");
}

/* As the folder or file, less writing; who may read a file may look into its folder. */
static int versions_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	struct node_row row;
	uint64_t ino;
	int rc = place_of(node, &ino);

	if (!rc)
		rc = catalog_node(fs->catalog, ino, &row);
	if (!rc && !row.nlink)
		rc = err_set(ENOENT, "%s: was removed; see history/trash", row.name);
	if (!rc)
		rc = past_permission(fs, catalog_version(fs->catalog), &row, false, st);
	if (rc)
		return rc;
	st->st_mode = S_IFDIR | (st->st_mode & 0555);
	if (!S_ISDIR(row.mode))
		st->st_mode = S_IFDIR | (st->st_mode & 0444) | (st->st_mode & 0444) >> 2;
	st->st_nlink = 2;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = row.mtime_ns / 1000000000;
	return 0;
}

static int has_versions(struct fs *fs, uint64_t folder, const char *name)
{
	scope_free struct version *list = NULL;
	size_t count = 0;
	int rc = catalog_versions(fs->catalog, folder, name, &list, &count);

	return rc ? rc : count > 0;
}

/* What stands here for an entry of the folder. 1; 0: nothing; -errno. */
static int entry_node(struct fs *fs, uint64_t folder, const char *name, uint64_t ino, uint32_t type, struct node *out)
{
	bool is_folder = S_ISDIR(type);
	int rc = 0;

	if (is_folder)
		rc = history_has(fs, HISTORY_VERSIONS, ino);
	else if (S_ISREG(type))
		rc = has_versions(fs, folder, name);
	if (rc != 1)
		return rc;
	out->ops = is_folder ? &node_ops_versions : &node_ops_old;
	rc = place_number(is_folder ? PLACE_VERSIONS : PLACE_OLD, ino, &out->number);
	return rc ? rc : 1;
}

static int versions_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			   struct node *out)
{
	struct node_row row;
	uint64_t ino;
	int rc = place_of(folder, &ino);

	(void)who;
	if (!rc)
		rc = catalog_lookup(fs->catalog, ino, name, &row);
	if (!rc)
		rc = entry_node(fs, ino, name, row.ino, row.mode, out);
	if (!rc)
		return err_set(ENOENT, "%s: there are no old contents of it", name);
	return rc < 0 ? rc : 0;
}

static int versions_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	scope_entries struct entries entries = { 0 };
	struct node node;
	uint64_t ino;
	int rc = place_of(folder, &ino);

	(void)who;
	if (!rc)
		rc = catalog_list(fs->catalog, ino, &entries);
	for (size_t i = 0; rc >= 0 && i < entries.count; i++) {
		const struct entry *e = &entries.list[i];

		rc = entry_node(fs, ino, e->name, e->ino, e->mode, &node);
		if (rc == 1 && node_emit_one(emit, ctx, node.ops, node.number, e->name))
			break;
	}
	return rc < 0 ? rc : 0;
}

const struct node_ops node_ops_versions = {
	.kind = "old contents",
	.type = S_IFDIR,
	.attr = versions_attr,
	.lookup = versions_lookup,
	.list = versions_list,
};

/* ---- the old contents of one file ---- */

/* ".tif" of "a.tif"; "" when there is none (or too long to be one). */
static const char *extension(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot != name && strlen(dot) <= 16 ? dot : "";
}

/* Of those of one second all but the first carry a number. */
static void version_name(const struct version *list, size_t i, const char *ext, char name[64])
{
	unsigned nth = 1;
	char when[32];

	for (size_t k = i; k > 0 && list[k - 1].since_second == list[i].since_second; k--)
		nth++;
	history_time_text(list[i].since_second, when);
	if (nth > 1)
		snprintf(name, 64, "%s_%u%s", when, nth, ext);
	else
		snprintf(name, 64, "%s%s", when, ext);
}

static int versions_of(struct fs *fs, const struct node *node, struct node_row *row, struct version **list, size_t *count)
{
	uint64_t ino;
	int rc = place_of(node, &ino);

	if (!rc)
		rc = catalog_node(fs->catalog, ino, row);
	if (!rc && !row->nlink)
		rc = err_set(ENOENT, "%s: was removed", row->name);
	return rc ? rc : catalog_versions(fs->catalog, row->parent, row->name, list, count);
}

static int old_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		      struct node *out)
{
	scope_free struct version *list = NULL;
	struct node_row row;
	size_t count = 0;
	char is[64];
	int rc = versions_of(fs, folder, &row, &list, &count);

	(void)who;
	for (size_t i = 0; !rc && i < count; i++) {
		version_name(list, i, extension(row.name), is);
		if (strcmp(is, name) != 0)
			continue;
		out->ops = &node_ops_past;
		return past_number(list[i].until - 1, list[i].ino, &out->number);
	}
	return rc ? rc : err_set(ENOENT, "%s: there is no such content of %s", name, row.name);
}

static int old_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	scope_free struct version *list = NULL;
	struct node_row row;
	uint64_t number;
	size_t count = 0;
	char name[64];
	int rc = versions_of(fs, folder, &row, &list, &count);

	(void)who;
	for (size_t i = 0; !rc && i < count; i++) {
		version_name(list, i, extension(row.name), name);
		rc = past_number(list[i].until - 1, list[i].ino, &number);
		if (!rc)
			rc = node_emit_one(emit, ctx, &node_ops_past, number, name);
	}
	return rc < 0 ? rc : 0;
}

const struct node_ops node_ops_old = {
	.kind = "old contents of a file",
	.type = S_IFDIR,
	.attr = versions_attr,
	.lookup = old_lookup,
	.list = old_list,
};
