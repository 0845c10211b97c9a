/*
 * catalog_link: files of several names (hard links).
 *
 * A node's row says one of its names, the first: where its path leads, and which dataset it belongs to. The further names are rows of
 * the table of links, and their entries are marked as such, so that a walk over folders meets each file once. When the first name goes,
 * the least of the others (by number of the folder, then by bytes) takes its place. A name is given only in the dataset that the file
 * belongs to, and a file of several names does not leave it by itself; so such a file is never the top of a dataset.
 */
#include "index/catalog_internal.h"

enum { OWN_DATASET = UINT32_MAX };

static struct table_key link_key(uint64_t ino, uint64_t folder, const char *name)
{
	struct table_key k = key_of_u64(TABLE_LINK, ino);

	key_u64(&k, folder);
	key_put_text(&k, name);
	return k;
}

bool name_is_further(const struct node_row *row, uint64_t folder, const char *name)
{
	return row->parent != folder || strcmp(row->name, name) != 0;
}

bool has_links(const struct node_row *row)
{
	return !S_ISDIR(row->mode) && row->nlink > 1;
}

/* The dataset that the node would belong to by this name. */
static int dataset_by_name(struct catalog *catalog, const struct node_row *row, uint64_t folder, const char *name, uint32_t *number)
{
	struct node_row above;
	int rc;

	if (folder == INO_DATASETS) {
		*number = S_ISREG(row->mode) && !name_never_dataset(name) ? OWN_DATASET : 0;
		return 0;
	}
	rc = node_load(catalog, folder, &above);
	return rc ? rc : dataset_above(catalog, &above, number);
}

int link_check(struct catalog *catalog, const struct node_row *row, uint64_t folder, const char *name)
{
	uint32_t from, to;
	int rc = dataset_above(catalog, row, &from);

	if (!rc)
		rc = dataset_by_name(catalog, row, folder, name, &to);
	return rc || from == to ? rc : err_set(EXDEV, "%s: the names of a file stay in one dataset", name);
}

static int check_new_name(struct change *ch, struct node_row *row)
{
	const struct record *r = ch->record;
	struct node_row folder;
	uint64_t there;
	int rc = name_check(r->link.name);

	if (!rc)
		rc = folder_load(ch->catalog, r->link.parent, &folder);
	if (!rc)
		rc = node_load(ch->catalog, r->link.ino, row);
	if (rc)
		return rc;
	if (S_ISDIR(row->mode))
		return err_set(EPERM, "%s: a folder has one name only", row->name);
	if (!row->nlink)
		return err_set(ENOENT, "%s: was removed", row->name);
	if (row->nlink >= LINKS_MAX)
		return err_set(EMLINK, "%s: a file has at most %d names", row->name, LINKS_MAX);
	rc = entry_load(ch->catalog, r->link.parent, r->link.name, &there, NULL);
	if (rc != -ENOENT)
		return rc ? rc : err_set(EEXIST, "%s: is there already", r->link.name);
	return link_check(ch->catalog, row, r->link.parent, r->link.name);
}

int apply_link(struct change *ch)
{
	const struct record *r = ch->record;
	struct table_key k;
	struct node_row row;
	int rc = check_new_name(ch, &row);

	if (!rc)
		rc = change_accept(ch);
	if (rc)
		return rc;
	k = link_key(row.ino, r->link.parent, r->link.name);
	table_put_empty(ch->catalog, &k);
	entry_store(ch->catalog, r->link.parent, r->link.name, &row);
	rc = folder_touch(ch, r->link.parent, &row, 1);
	row.nlink++;
	row.ctime_ns = ch->time_ns;
	return rc ? rc : node_store(ch->catalog, &row);
}

/* The least of the further names becomes the first. */
static int promote(struct change *ch, struct node_row *row)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix = key_of_u64(TABLE_LINK, row->ino), k;
	int rc = scan_begin(&w, ch->catalog, &prefix);

	if (!rc)
		rc = scan_next(&w);
	if (rc != 1 || w.key_len < 9 || w.key_len - 8 > NAME_BYTES_MAX)
		return rc < 0 ? rc : table_damaged(ch->catalog, TABLE_LINK);
	row->parent = read_u64(w.key);
	memcpy(row->name, w.key + 8, w.key_len - 8);
	row->name[w.key_len - 8] = 0;
	scan_end(&w);
	k = link_key(row->ino, row->parent, row->name);
	table_del(ch->catalog, &k);
	entry_store(ch->catalog, row->parent, row->name, row);
	return 0;
}

int link_drop(struct change *ch, struct node_row *row, uint64_t folder, const char *name)
{
	struct table_key k = link_key(row->ino, folder, name);
	uint32_t from, to;
	int rc = dataset_above(ch->catalog, row, &from);

	if (rc)
		return rc;
	entry_drop(ch->catalog, folder, name);
	rc = folder_touch(ch, folder, row, -1);
	if (rc)
		return rc;
	if (name_is_further(row, folder, name))
		table_del(ch->catalog, &k);
	else
		rc = promote(ch, row);
	row->nlink--;
	row->ctime_ns = ch->time_ns;
	if (!rc)
		rc = node_store(ch->catalog, row);
	if (!rc)
		rc = dataset_above(ch->catalog, row, &to);
	return rc || from == to ? rc : subtree_move(ch, row->ino, from, to);
}

void link_move(struct change *ch, const struct node_row *row, uint64_t folder, const char *name, uint64_t to, const char *new_name)
{
	struct table_key old = link_key(row->ino, folder, name), new = link_key(row->ino, to, new_name);

	table_del(ch->catalog, &old);
	table_put_empty(ch->catalog, &new);
	entry_store(ch->catalog, to, new_name, row);
}
