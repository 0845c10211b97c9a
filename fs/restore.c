/*
 * restore: what was removed gets a place below datasets/ again: the nodes themselves come back, with numbers, contents, attributes and
 * what was found in them; and with a dataset's top the dataset. A folder brings what went with it.
 */
#include <errno.h>
#include <string.h>

#include "fs/arrival.h"
#include "fs/history.h"
#include "store/err.h"

enum { DEPTH_MAX = 1000 };

struct restore {
	struct fs *fs;
	struct actor actor;
};

/* The number of the dataset that comes back with this node. */
static uint32_t dataset_of(struct restore *r, const struct removed *removed)
{
	struct dataset_row row;

	if (!removed->dataset || catalog_dataset(r->fs->catalog, removed->dataset, &row) || !row.removed ||
	    row.ino != removed->ino)
		return 0;
	return row.number;
}

static int come_back(struct restore *r, const struct removed *removed, uint64_t parent, const char *name)
{
	struct record record = { .kind = REC_RESTORE };

	record.restore.ino = removed->ino;
	record.restore.parent = parent;
	record.restore.name = name;
	record.restore.dataset = dataset_of(r, removed);
	return catalog_apply(r->fs->catalog, &r->actor, &record);
}

/* A folder has the times that it had; what came back into it changed them. */
static int restore_times(struct restore *r, uint64_t ino, uint64_t began)
{
	struct record record = { .kind = REC_ATTR };
	struct node_row row;
	int rc = catalog_node_at(r->fs->catalog, began, ino, &row);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	record.attr.ino = ino;
	record.attr.set = ATTR_ATIME | ATTR_MTIME;
	record.attr.atime_ns = row.atime_ns;
	record.attr.mtime_ns = row.mtime_ns;
	record.attr.owner = "";
	return catalog_apply(r->fs->catalog, &r->actor, &record);
}

static int restore_tree(struct restore *r, const struct removed *removed, uint64_t parent, const char *name,
			unsigned depth)
{
	scope_removed struct removed_list list = { 0 };
	uint64_t began = 0;
	int rc;

	if (depth > DEPTH_MAX)
		return err_set(ELOOP, "%s: lies too deep", name);
	if (!S_ISDIR(removed->mode))
		return come_back(r, removed, parent, name);
	rc = history_removed(r->fs, removed->ino, &list, &began); /* before it comes back */
	if (!rc)
		rc = come_back(r, removed, parent, name);
	for (size_t i = 0; !rc && i < list.count; i++)
		if (!list.list[i].hidden)
			rc = restore_tree(r, &list.list[i], removed->ino, list.list[i].name, depth + 1);
	if (!rc)
		rc = restore_times(r, removed->ino, began);
	arrival_changed(r->fs->arrival, removed->ino);
	return rc;
}

int restore_removed(struct fs *fs, const struct caller *who, const struct removed *removed, uint64_t parent,
		    const char *name)
{
	struct restore r = { .fs = fs, .actor = caller_actor(who) };
	int rc = store_room(fs->store, 0);

	if (!rc)
		rc = restore_tree(&r, removed, parent, name, 0);
	arrival_changed(fs->arrival, parent);
	arrival_moved(fs->arrival, removed->ino);
	return rc;
}
