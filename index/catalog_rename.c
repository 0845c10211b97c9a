#include "index/catalog_internal.h"

struct moving {
	struct node_row row;
	uint32_t from; /* the dataset it belonged to */
};

/* Does the chain of folders from `folder` up to datasets/ pass through `ino`? */
static int lies_in(struct catalog *catalog, uint64_t folder, uint64_t ino, bool *inside)
{
	struct node_row row;
	int rc = 0;

	*inside = false;
	for (unsigned level = 0; !rc && folder && folder != INO_DATASETS; level++) {
		*inside = folder == ino;
		if (*inside)
			break;
		rc = level < LEVELS_MAX ? node_load(catalog, folder, &row) : table_damaged(catalog, TABLE_NODE);
		folder = row.parent;
	}
	return rc;
}

static int check_not_into_itself(struct catalog *catalog, const struct node_row *row, uint64_t folder)
{
	bool inside = false;
	int rc = S_ISDIR(row->mode) ? lies_in(catalog, folder, row->ino, &inside) : 0;

	return rc || !inside ? rc : err_set(EINVAL, "%s: a folder cannot be moved into itself", row->name);
}

static int moving_load(struct catalog *catalog, uint64_t parent, const char *name, struct moving *m)
{
	struct node_row folder;
	uint64_t ino;
	int rc = folder_load(catalog, parent, &folder);

	if (!rc)
		rc = entry_load(catalog, parent, name, &ino, NULL);
	if (!rc)
		rc = node_load(catalog, ino, &m->row);
	if (!rc)
		rc = dataset_above(catalog, &m->row, &m->from);
	return rc == -ENOENT ? err_set(ENOENT, "%s: no such file or folder", name) : rc;
}

static int check_replace(const struct node_row *row, const struct node_row *target, bool no_replace)
{
	if (no_replace)
		return err_set(EEXIST, "%s: is there already", target->name);
	if (S_ISDIR(row->mode) && !S_ISDIR(target->mode))
		return err_set(ENOTDIR, "%s: is a file; a folder cannot take its place", target->name);
	if (!S_ISDIR(row->mode) && S_ISDIR(target->mode))
		return err_set(EISDIR, "%s: is a folder; a file cannot take its place", target->name);
	if (S_ISDIR(target->mode) && target->size)
		return err_set(ENOTEMPTY, "%s: the folder is not empty", target->name);
	return 0;
}

static int check_links(struct change *ch, const struct moving *m, const struct moving *target)
{
	const struct record *r = ch->record;
	int rc = has_links(&m->row) ? link_check(ch->catalog, &m->row, r->rename.new_parent, r->rename.new_name) : 0;

	return rc || !r->rename.exchange || !has_links(&target->row)
		       ? rc
		       : link_check(ch->catalog, &target->row, r->rename.parent, r->rename.name);
}

/* there: is something at the new place? */
static int check_rename(struct change *ch, struct moving *m, struct moving *target, bool *there)
{
	const struct record *r = ch->record;
	struct catalog *catalog = ch->catalog;
	int rc = name_check(r->rename.new_name);

	if (!rc && r->rename.exchange && r->rename.no_replace)
		rc = err_set(EINVAL, "a rename either exchanges or does not replace");
	if (!rc)
		rc = moving_load(catalog, r->rename.parent, r->rename.name, m);
	if (rc)
		return rc;
	rc = folder_load(catalog, r->rename.new_parent, &target->row);
	if (!rc)
		rc = check_not_into_itself(catalog, &m->row, r->rename.new_parent);
	if (rc)
		return rc;
	rc = moving_load(catalog, r->rename.new_parent, r->rename.new_name, target);
	*there = !rc;
	if (rc && (rc != -ENOENT || r->rename.exchange))
		return rc;
	if (*there && target->row.ino == m->row.ino && !r->rename.no_replace)
		return 0;
	rc = 0;
	if (*there)
		rc = r->rename.exchange ? check_not_into_itself(catalog, &target->row, r->rename.parent)
					: check_replace(&m->row, &target->row, r->rename.no_replace);
	return rc ? rc : check_links(ch, m, target);
}

/* Gives the row its new place; its entry there is written, the old one is the caller's. */
static int place(struct change *ch, struct node_row *row, uint64_t old_parent, const char *old_name, uint64_t parent,
		 const char *name)
{
	int rc = folder_touch(ch, old_parent, row, -1);

	if (!rc)
		rc = folder_touch(ch, parent, row, 1);
	if (name_is_further(row, old_parent, old_name)) {
		link_move(ch, row, old_parent, old_name, parent, name);
	} else {
		row->parent = parent;
		strcpy(row->name, name);
		entry_store(ch->catalog, parent, name, row);
	}
	row->ctime_ns = ch->time_ns;
	return rc ? rc : node_store(ch->catalog, row);
}

static bool can_be_dataset(const struct node_row *row)
{
	return !row->dataset && !has_links(row) && (S_ISREG(row->mode) || S_ISDIR(row->mode));
}

/* What the new place makes of the node. */
static int settle(struct change *ch, struct node_row *row, uint64_t old_parent, const char *old_name)
{
	bool done = false;
	int rc = 0;

	if (row->dataset)
		return strcmp(old_name, row->name) == 0 ? 0 : dataset_follow_name(ch, row->dataset, row);
	if (!can_be_dataset(row))
		return 0;
	if (old_parent == row->parent)
		rc = dataset_revive(ch, row, old_name, &done);
	return !rc && !done && dataset_wanted(row) ? dataset_create(ch, row) : rc;
}

/* What is in the node goes to the dataset that it belongs to now. */
static int carry_over(struct change *ch, const struct moving *m)
{
	uint32_t to;
	int rc = dataset_above(ch->catalog, &m->row, &to);

	return rc || to == m->from ? rc : subtree_move(ch, m->row.ino, m->from, to);
}

static int move(struct change *ch, struct moving *m, struct moving *target)
{
	const struct record *r = ch->record;
	uint32_t inherits = target && can_be_dataset(&m->row) ? target->row.dataset : 0;
	int rc = 0;

	if (target)
		rc = has_links(&target->row) ? link_drop(ch, &target->row, r->rename.new_parent, r->rename.new_name)
					     : node_drop(ch, &target->row, inherits != 0);
	if (rc)
		return rc;
	entry_drop(ch->catalog, r->rename.parent, r->rename.name);
	rc = place(ch, &m->row, r->rename.parent, r->rename.name, r->rename.new_parent, r->rename.new_name);
	if (rc)
		return rc;
	rc = inherits ? dataset_adopt(ch, inherits, &m->row) : settle(ch, &m->row, r->rename.parent, r->rename.name);
	return rc ? rc : carry_over(ch, m);
}

/* a is a dataset's top, b a temporary file that takes its place: the dataset stays where it was. */
static bool exchange_inherits(const struct node_row *a, const struct node_row *b)
{
	return a->dataset && can_be_dataset(b) && name_never_dataset(b->name);
}

static int hand_over(struct change *ch, struct node_row *a, struct node_row *b)
{
	uint32_t number = a->dataset;
	int rc;

	a->dataset = 0;
	rc = node_store(ch->catalog, a);
	return rc ? rc : dataset_adopt(ch, number, b);
}

/* Two datasets that swap leaf names must both let go of their short names first. */
static int settle_both(struct change *ch, struct node_row *a, struct node_row *b)
{
	const struct record *r = ch->record;
	int rc = 0;

	if (strcmp(r->rename.name, r->rename.new_name) != 0) {
		rc = dataset_release_name(ch, a->dataset);
		if (!rc)
			rc = dataset_release_name(ch, b->dataset);
	}
	if (!rc)
		rc = settle(ch, a, 0, r->rename.name);
	return rc ? rc : settle(ch, b, 0, r->rename.new_name);
}

static int exchange(struct change *ch, struct moving *a, struct moving *b)
{
	const struct record *r = ch->record;
	bool a_to_b = exchange_inherits(&a->row, &b->row), b_to_a = exchange_inherits(&b->row, &a->row);
	int rc = place(ch, &a->row, r->rename.parent, r->rename.name, r->rename.new_parent, r->rename.new_name);

	if (!rc)
		rc = place(ch, &b->row, r->rename.new_parent, r->rename.new_name, r->rename.parent, r->rename.name);
	if (!rc && a_to_b)
		rc = hand_over(ch, &a->row, &b->row);
	else if (!rc && b_to_a)
		rc = hand_over(ch, &b->row, &a->row);
	if (!rc && !a_to_b && !b_to_a)
		rc = settle_both(ch, &a->row, &b->row);
	if (!rc)
		rc = carry_over(ch, a);
	return rc ? rc : carry_over(ch, b);
}

int apply_rename(struct change *ch)
{
	struct moving m, target;
	bool there = false;
	int rc = check_rename(ch, &m, &target, &there);

	if (rc || (there && target.row.ino == m.row.ino))
		return rc;
	rc = change_accept(ch);
	if (rc)
		return rc;
	return ch->record->rename.exchange ? exchange(ch, &m, &target) : move(ch, &m, there ? &target : NULL);
}
