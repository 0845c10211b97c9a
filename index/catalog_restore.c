/*
 * catalog_restore: a removed node gets a name again, with its number, content, xattrs and what was found in it; a dataset's top
 * brings its dataset back, with id, tags and facts.
 */
#include "index/catalog_internal.h"

static int check_node(struct change *ch, struct node_row *row)
{
	const struct record *r = ch->record;
	struct node_row folder;
	uint64_t there;
	int rc = name_check(r->restore.name);

	if (!rc)
		rc = node_load(ch->catalog, r->restore.ino, row);
	if (!rc)
		rc = folder_load(ch->catalog, r->restore.parent, &folder);
	if (rc)
		return rc;
	if (row->nlink || !row->removed)
		return err_set(EEXIST, "%s: was not removed", row->name);
	if (row->removed <= ch->catalog->counters.horizon)
		return err_set(ENOENT, "%s: was removed too long ago", row->name);
	rc = entry_load(ch->catalog, r->restore.parent, r->restore.name, &there, NULL);
	if (!rc)
		return err_set(EEXIST, "%s: is there already", r->restore.name);
	return rc == -ENOENT ? 0 : rc;
}

/* The dataset may have gone on with another node. */
static int check_dataset(struct change *ch, const struct node_row *row, struct dataset *d, bool *returns)
{
	int rc = ch->record->restore.dataset ? dataset_load(ch->catalog, ch->record->restore.dataset, d) : -ENOENT;

	*returns = !rc && d->row.removed && d->row.ino == row->ino && !S_ISLNK(row->mode);
	return rc == -ENOENT ? 0 : rc;
}

/* A file is counted in its dataset and its facts are the dataset's again. */
static int join_dataset(struct change *ch, const struct node_row *row)
{
	uint32_t dataset;
	int rc = S_ISREG(row->mode) ? dataset_above(ch->catalog, row, &dataset) : 0;

	if (rc || !S_ISREG(row->mode) || !dataset)
		return rc;
	rc = dataset_count(ch, dataset, row->size, 1);
	if (!rc)
		rc = facts_move(ch, row->ino, 0, dataset);
	return rc ? rc : facts_derive(ch, dataset);
}

int apply_restore(struct change *ch)
{
	const struct record *r = ch->record;
	struct node_row row;
	struct dataset d;
	bool returns = false;
	int rc = check_node(ch, &row);

	if (!rc)
		rc = check_dataset(ch, &row, &d, &returns);
	if (!rc)
		rc = change_accept(ch);
	if (rc)
		return rc;
	row.parent = r->restore.parent;
	strcpy(row.name, r->restore.name);
	row.nlink = S_ISDIR(row.mode) ? 2 : 1;
	row.ctime_ns = ch->time_ns;
	entry_store(ch->catalog, row.parent, row.name, &row);
	rc = folder_touch(ch, row.parent, &row, 1);
	if (!rc)
		rc = node_store(ch->catalog, &row);
	row.removed = 0;
	if (!rc && returns)
		rc = dataset_return(ch, &d, &row);
	else if (!rc && dataset_wanted(&row))
		rc = dataset_create(ch, &row);
	return rc ? rc : join_dataset(ch, &row);
}
