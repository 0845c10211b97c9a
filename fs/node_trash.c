/*
 * node_trash: history/trash/..., the tree of datasets/ with what was removed from it. Folders that are there now lead on to what was
 * removed in them; a removed folder holds what went with it; a removed file is what it was before (node_past.c). A name that is
 * taken again carries the time of the removal.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/arrival.h"
#include "fs/file.h"
#include "fs/history.h"
#include "fs/node_real.h"
#include "fs/protect.h"
#include "store/err.h"

static int trash_of(const struct node *node, uint64_t *folder)
{
	enum past_place place;
	uint64_t seq;

	if (past_of_number(node->number, &place, &seq, folder) && place == PLACE_TRASH)
		return 0;
	return err_set(ESTALE, "no such folder of the trash");
}

/* As it was before its removal. */
static int attr_of_removed(struct fs *fs, struct node_row *row)
{
	struct node_row then;
	uint64_t began;
	int rc = history_began(fs, row, &began);

	if (!rc)
		rc = catalog_node_at(fs->catalog, began, row->ino, &then);
	if (!rc)
		*row = then;
	return rc;
}

static int trash_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	struct node_row row;
	uint64_t folder;
	int rc = trash_of(node, &folder);

	if (!rc)
		rc = catalog_node(fs->catalog, folder, &row);
	if (!rc && folder == INO_DATASETS) {
		node_attr_folder(fs, 01777, st); /* things are moved in; only their owners move them out again */
		return 0;
	}
	if (!rc && !row.nlink)
		rc = attr_of_removed(fs, &row);
	/* Writing is what the kernel asks for before something is moved out, and of a folder that is moved. */
	if (!rc)
		rc = past_permission(fs, catalog_version(fs->catalog), &row, true, st);
	if (rc)
		return rc;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = row.mtime_ns / 1000000000;
	return 0;
}

/* What a removed thing is called here. False: it is not shown. */
static bool shown_name(const struct removed *r, char name[NAME_BYTES_MAX + 1])
{
	char when[32];
	int len;

	if (!r->hidden) {
		strcpy(name, r->name);
		return true;
	}
	history_time_text(r->second, when);
	len = snprintf(name, NAME_BYTES_MAX + 1, "%s (%s)", r->name, when);
	return len > 0 && len <= NAME_BYTES_MAX;
}

/* The same name and second twice: the later one is shown. */
static bool shown_later(const struct removed_list *list, size_t i)
{
	return i + 1 < list->count && list->list[i].hidden && list->list[i + 1].hidden &&
	       list->list[i].second == list->list[i + 1].second && strcmp(list->list[i].name, list->list[i + 1].name) == 0;
}

static int removed_node(const struct removed *r, struct node *out)
{
	out->ops = S_ISDIR(r->mode) ? &node_ops_trash : &node_ops_past;
	return S_ISDIR(r->mode) ? place_number(PLACE_TRASH, r->ino, &out->number)
				: past_number(r->seq - 1, r->ino, &out->number);
}

/* -ENOENT: nothing that was removed is called so here. */
static int find_removed(struct fs *fs, uint64_t folder, const char *name, struct removed *found)
{
	scope_removed struct removed_list list = { 0 };
	char shown[NAME_BYTES_MAX + 1];
	uint64_t began;
	int rc = history_removed(fs, folder, &list, &began);

	for (size_t i = 0; !rc && i < list.count; i++) {
		if (shown_later(&list, i) || !shown_name(&list.list[i], shown) || strcmp(shown, name) != 0)
			continue;
		*found = list.list[i];
		found->name = NULL;
		return 0;
	}
	return rc ? rc : err_set(ENOENT, "%s: was not removed from here, or is not kept any more", name);
}

static int trash_lookup(struct fs *fs, const struct caller *who, const struct node *node, const char *name,
			struct node *out)
{
	struct removed removed;
	struct node_row row;
	uint64_t folder;
	int rc = trash_of(node, &folder);

	(void)who;
	if (rc)
		return rc;
	if (!catalog_lookup(fs->catalog, folder, name, &row) && S_ISDIR(row.mode)) {
		rc = history_has(fs, HISTORY_REMOVED, row.ino);
		out->ops = &node_ops_trash;
		if (rc)
			return rc < 0 ? rc : place_number(PLACE_TRASH, row.ino, &out->number);
	}
	rc = find_removed(fs, folder, name, &removed);
	return rc ? rc : removed_node(&removed, out);
}

static int list_removed(struct fs *fs, uint64_t folder, node_emit emit, void *ctx)
{
	scope_removed struct removed_list list = { 0 };
	char name[NAME_BYTES_MAX + 1];
	struct node node;
	uint64_t began;
	int rc = history_removed(fs, folder, &list, &began);

	for (size_t i = 0; !rc && i < list.count; i++) {
		if (shown_later(&list, i) || !shown_name(&list.list[i], name))
			continue;
		rc = removed_node(&list.list[i], &node);
		if (!rc)
			rc = node_emit_one(emit, ctx, node.ops, node.number, name);
	}
	return rc;
}

static int trash_list(struct fs *fs, const struct caller *who, const struct node *node, node_emit emit, void *ctx)
{
	scope_entries struct entries entries = { 0 };
	uint64_t folder, number;
	int rc = trash_of(node, &folder);

	(void)who;
	if (!rc)
		rc = catalog_list(fs->catalog, folder, &entries);
	for (size_t i = 0; !rc && i < entries.count; i++) {
		if (!S_ISDIR(entries.list[i].mode))
			continue;
		rc = history_has(fs, HISTORY_REMOVED, entries.list[i].ino);
		if (rc != 1)
			continue;
		rc = place_number(PLACE_TRASH, entries.list[i].ino, &number);
		if (!rc)
			rc = node_emit_one(emit, ctx, &node_ops_trash, number, entries.list[i].name);
	}
	if (!rc)
		rc = list_removed(fs, folder, emit, ctx);
	return rc < 0 ? rc : 0;
}

/* ---- into the trash ---- */

static int remove_one(struct fs *fs, const struct caller *who, uint64_t folder, const char *name, bool is_folder)
{
	struct record r = { .kind = REC_REMOVE };
	struct actor actor = caller_actor(who);

	r.remove.parent = folder;
	r.remove.name = name;
	r.remove.folder = is_folder;
	return catalog_apply(fs->catalog, &actor, &r);
}

enum { TRIES = 4, DEPTH_MAX = 1000 };

/* From inside out, as rm -r does; what somebody puts into it meanwhile goes too. */
static int remove_tree(struct fs *fs, const struct caller *who, uint64_t folder, const char *name,
		       const struct node_row *row, unsigned depth)
{
	int rc = -ENOTEMPTY;

	if (!S_ISDIR(row->mode))
		return remove_one(fs, who, folder, name, false);
	if (depth > DEPTH_MAX)
		return err_set(ELOOP, "%s: lies too deep", name);
	for (int tries = 0; rc == -ENOTEMPTY && tries < TRIES; tries++) {
		scope_entries struct entries entries = { 0 };

		rc = catalog_list(fs->catalog, row->ino, &entries);
		for (size_t i = 0; !rc && i < entries.count; i++) {
			struct node_row below;

			rc = catalog_lookup(fs->catalog, row->ino, entries.list[i].name, &below);
			if (!rc)
				rc = remove_tree(fs, who, row->ino, entries.list[i].name, &below, depth + 1);
			if (rc == -ENOENT)
				rc = 0;
		}
		if (!rc)
			rc = remove_one(fs, who, folder, name, true);
	}
	return rc;
}

int trash_move(struct fs *fs, const struct caller *who, uint64_t folder, const char *name)
{
	struct node_row row;
	int rc = catalog_lookup(fs->catalog, folder, name, &row);

	if (!rc)
		rc = protect_change(fs, row.ino);
	if (!rc)
		rc = protect_whole(fs, &row);
	if (!rc)
		rc = files_commit_all(fs->files); /* what was just written is kept too */
	if (!rc)
		rc = remove_tree(fs, who, folder, name, &row, 0);
	arrival_changed(fs->arrival, folder);
	return rc;
}

static int trash_rename_into(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			     const struct node *to, const char *new_name, unsigned flags)
{
	int rc;

	if (folder->ops != &node_ops_real)
		return err_set(EPERM, "%s: only what is below datasets/ is moved to the trash", name);
	if (flags & RENAME_EXCHANGE)
		return err_set(EINVAL, "what is in the trash cannot be exchanged");
	rc = trash_move(fs, who, folder->number, name);
	/* The kernel has moved its entry; here it stands where it was removed from. */
	real_forget(fs, to->number, new_name);
	real_forget(fs, folder->number, name);
	return rc;
}

/* rm in the trash would be the way to be rid of something; that is not a user's. */
const struct node_ops node_ops_trash = {
	.kind = "the trash",
	.type = S_IFDIR,
	.attr = trash_attr,
	.lookup = trash_lookup,
	.list = trash_list,
	.rename_into = trash_rename_into,
};

/* ---- out of the trash, and out of the past ---- */

int history_rename_out(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		       const struct node *to, const char *new_name, unsigned flags)
{
	struct removed removed;
	struct node_row row;
	uint64_t at;
	int rc;

	if (folder->ops == &node_ops_past || folder->ops == &node_ops_old || folder->ops == &node_ops_moment)
		return err_set(EPERM, "%s: the past stays as it is; copy it (cp -a)", name);
	if (folder->ops != &node_ops_trash)
		return 1;
	if (flags & RENAME_EXCHANGE)
		return err_set(EINVAL, "what is in the trash cannot be exchanged");
	rc = trash_of(folder, &at);
	if (!rc)
		rc = find_removed(fs, at, name, &removed);
	if (!rc && !catalog_lookup(fs->catalog, to->number, new_name, &row))
		rc = err_set(EEXIST, "%s: is there already", new_name);
	if (!rc)
		rc = restore_removed(fs, who, &removed, to->number, new_name);
	real_forget(fs, to->number, new_name);
	real_forget(fs, folder->number, name);
	return rc;
}

/* ---- /trash ---- */

static const char trash_path[] = "history/trash";

static int link_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	st->st_mode = S_IFLNK | 0777;
	st->st_size = sizeof trash_path - 1;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = fs->mounted_ns / 1000000000;
	return 0;
}

static int link_readlink(struct fs *fs, const struct node *node, struct buf *target)
{
	(void)fs, (void)node;
	buf_put(target, trash_path, sizeof trash_path - 1);
	return 0;
}

const struct node_ops node_ops_trash_link = {
	.kind = "the way to the trash",
	.type = S_IFLNK,
	.stable = true,
	.attr = link_attr,
	.readlink = link_readlink,
};
