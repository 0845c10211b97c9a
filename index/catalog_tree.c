#include "index/catalog_internal.h"

#include "index/acl.h"

int folder_load(struct catalog *catalog, uint64_t ino, struct node_row *row)
{
	int rc = node_load(catalog, ino, row);

	if (rc)
		return rc;
	if (!S_ISDIR(row->mode))
		return err_set(ENOTDIR, "%s: is not a folder", row->name);
	if (!row->nlink)
		return err_set(ENOENT, "%s: the folder was removed", row->name);
	if (ino == INO_ROOT)
		return err_set(EPERM, "files are made below datasets/, not here");
	return 0;
}

int folder_touch(struct change *ch, uint64_t folder, const struct node_row *entry, int sign)
{
	struct node_row row;
	int rc = node_load(ch->catalog, folder, &row);

	if (rc)
		return rc;
	row.size += (uint64_t)(int64_t)sign;
	if (S_ISDIR(entry->mode))
		row.nlink += (uint32_t)sign;
	row.mtime_ns = row.ctime_ns = ch->time_ns;
	return node_store(ch->catalog, &row);
}

/* What a file is to its dataset. */
static int count_file(struct change *ch, const struct node_row *row, uint32_t dataset, int sign)
{
	if (!S_ISREG(row->mode))
		return 0;
	return dataset_count(ch, dataset, sign > 0 ? row->size : -row->size, (uint64_t)(int64_t)sign);
}

static int check_new_node(struct change *ch, struct node_row *row)
{
	const struct record *r = ch->record;
	uint32_t type = r->node.mode & S_IFMT;
	struct node_row folder;
	uint64_t there;
	int rc = name_check(r->node.name);

	if (!rc)
		rc = folder_load(ch->catalog, r->node.parent, &folder);
	if (rc)
		return rc;
	if (strlen(r->node.target) > TARGET_BYTES_MAX)
		return err_set(ENAMETOOLONG, "%s: the target of a symlink is at most %d bytes long", r->node.name,
			       TARGET_BYTES_MAX);
	if (r->node.ino < INO_FIRST || r->node.ino >> NODE_BITS ||
	    node_load(ch->catalog, r->node.ino, &folder) != -ENOENT)
		return err_set(EINVAL, "node %llu cannot be made again", (unsigned long long)r->node.ino);
	rc = entry_load(ch->catalog, r->node.parent, r->node.name, &there, NULL);
	if (rc != -ENOENT)
		return rc ? rc : err_set(EEXIST, "%s: is there already", r->node.name);
	*row = (struct node_row) { .ino = r->node.ino,
				   .parent = r->node.parent,
				   .mode = r->node.mode & (S_IFMT | 07777),
				   .uid = r->node.uid,
				   .gid = r->node.gid,
				   .nlink = type == S_IFDIR ? 2 : 1,
				   .size = type == S_IFLNK ? strlen(r->node.target) : 0,
				   .atime_ns = ch->time_ns,
				   .mtime_ns = ch->time_ns,
				   .ctime_ns = ch->time_ns };
	strcpy(row->name, r->node.name);
	return 0;
}

static int put_target(struct change *ch)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64(TABLE_TARGET, ch->record->node.ino);

	buf_put(&value, ch->record->node.target, strlen(ch->record->node.target));
	return table_put(ch->catalog, &k, &value);
}

int apply_node(struct change *ch)
{
	const struct record *r = ch->record;
	struct node_row row;
	uint32_t dataset;
	int rc = check_new_node(ch, &row);

	if (!rc)
		rc = change_accept(ch);
	if (rc)
		return rc;
	if (row.ino >= ch->catalog->counters.ino)
		ch->catalog->counters.ino = row.ino + 1;
	entry_store(ch->catalog, row.parent, row.name, &row);
	rc = folder_touch(ch, row.parent, &row, 1);
	if (!rc)
		rc = user_store(ch, row.uid, r->node.owner);
	if (!rc && S_ISLNK(row.mode))
		rc = put_target(ch);
	if (!rc)
		rc = acl_inherit(ch, &row);
	if (!rc)
		rc = dataset_wanted(&row) ? dataset_create(ch, &row) : node_store(ch->catalog, &row);
	if (!rc && S_ISREG(row.mode)) {
		rc = dataset_above(ch->catalog, &row, &dataset);
		if (!rc)
			rc = dataset_count(ch, dataset, 0, 1);
	}
	return rc;
}

int apply_attr(struct change *ch)
{
	const struct record *r = ch->record;
	struct node_row row;
	struct dataset d;
	int rc = node_load(ch->catalog, r->attr.ino, &row);

	if (!rc)
		rc = change_accept(ch);
	if (rc)
		return rc;
	if (r->attr.set & ATTR_MODE)
		row.mode = (row.mode & S_IFMT) | (r->attr.mode & 07777);
	if (r->attr.set & ATTR_UID)
		row.uid = r->attr.uid;
	if (r->attr.set & ATTR_GID)
		row.gid = r->attr.gid;
	if (r->attr.set & ATTR_ATIME)
		row.atime_ns = r->attr.atime_ns;
	if (r->attr.set & ATTR_MTIME)
		row.mtime_ns = r->attr.mtime_ns;
	row.ctime_ns = ch->time_ns;
	rc = node_store(ch->catalog, &row);
	if (!rc && r->attr.set & ATTR_MODE)
		rc = acl_follow_mode(ch, &row);
	if (rc || !(r->attr.set & ATTR_UID))
		return rc;
	rc = user_store(ch, row.uid, r->attr.owner);
	if (rc || !row.dataset || !row.nlink)
		return rc;
	rc = dataset_load(ch->catalog, row.dataset, &d);
	if (!rc)
		rc = dataset_own(ch, &d, row.uid);
	return rc ? rc : dataset_store(ch->catalog, &d);
}

int apply_content(struct change *ch)
{
	const struct record *r = ch->record;
	struct node_row row;
	uint64_t old;
	int64_t written;
	uint32_t dataset;
	int rc = node_load(ch->catalog, r->content.ino, &row);

	if (!rc && !S_ISREG(row.mode))
		rc = err_set(S_ISDIR(row.mode) ? EISDIR : EINVAL, "%s: is not a file", row.name);
	if (!rc)
		rc = dataset_above(ch->catalog, &row, &dataset);
	if (!rc)
		rc = change_accept(ch);
	if (rc)
		return rc;
	old = row.size;
	row.size = r->content.content.size;
	row.mtime_ns = r->content.mtime_ns;
	/* The change was made when it was written; its record may come later, when somebody has seen the time already. */
	written = row.mtime_ns < ch->time_ns ? row.mtime_ns : ch->time_ns;
	if (row.ctime_ns < written)
		row.ctime_ns = written;
	rc = content_store(ch->catalog, r->content.ino, &r->content.content);
	if (!rc)
		rc = node_store(ch->catalog, &row);
	return rc || row.size == old ? rc : dataset_count(ch, dataset, row.size - old, 0);
}

int apply_xattr(struct change *ch)
{
	const struct record *r = ch->record;
	struct node_row row;
	struct table_key k;
	int rc = node_load(ch->catalog, r->xattr.ino, &row);

	if (rc)
		return rc;
	if (acl_is_name(r->xattr.name))
		return apply_acl(ch, &row);
	if (!*r->xattr.name || strlen(r->xattr.name) > NAME_BYTES_MAX)
		return err_set(ERANGE, "the name of an attribute has 1 to %d bytes", NAME_BYTES_MAX);
	if (r->xattr.value_len > XATTR_VALUE_MAX)
		return err_set(E2BIG, "%s: an attribute is at most 64 KiB", r->xattr.name);
	k = key_of_u64_text(TABLE_XATTR, row.ino, r->xattr.name);
	if (r->xattr.remove) {
		rc = table_has(ch->catalog, &k);
		if (rc != 1)
			return rc ? rc : err_set(ENODATA, "%s: is not set", r->xattr.name);
	}
	rc = change_accept(ch);
	if (rc)
		return rc;
	if (r->xattr.remove)
		table_del(ch->catalog, &k);
	else
		rc = table_put_kept(ch->catalog, &k, r->xattr.value, r->xattr.value_len, KEEP_ALWAYS);
	if (rc)
		return rc;
	row.ctime_ns = ch->time_ns;
	return node_store(ch->catalog, &row);
}

int node_drop(struct change *ch, struct node_row *row, bool keep_dataset)
{
	uint32_t dataset, number = row->dataset;
	int rc = dataset_above(ch->catalog, row, &dataset);

	if (!rc)
		rc = count_file(ch, row, dataset, -1);
	if (!rc && S_ISREG(row->mode)) {
		rc = facts_move(ch, row->ino, dataset, 0);
		if (!rc && dataset && (dataset != number || keep_dataset))
			rc = facts_derive(ch, dataset);
	}
	if (rc)
		return rc;
	entry_drop(ch->catalog, row->parent, row->name);
	rc = folder_touch(ch, row->parent, row, -1);
	if (rc)
		return rc;
	row->nlink = 0;
	row->dataset = 0;
	row->ctime_ns = ch->time_ns;
	rc = node_store(ch->catalog, row);
	return rc || !number || keep_dataset ? rc : dataset_remove(ch, number, row);
}

int apply_remove(struct change *ch)
{
	const struct record *r = ch->record;
	struct node_row folder, row;
	uint64_t ino;
	int rc = folder_load(ch->catalog, r->remove.parent, &folder);

	if (!rc)
		rc = entry_load(ch->catalog, r->remove.parent, r->remove.name, &ino, NULL);
	if (rc == -ENOENT)
		return err_set(ENOENT, "%s: no such file or folder", r->remove.name);
	if (!rc)
		rc = node_load(ch->catalog, ino, &row);
	if (rc)
		return rc;
	if (r->remove.folder && !S_ISDIR(row.mode))
		return err_set(ENOTDIR, "%s: is not a folder", row.name);
	if (!r->remove.folder && S_ISDIR(row.mode))
		return err_set(EISDIR, "%s: is a folder", row.name);
	if (S_ISDIR(row.mode) && row.size)
		return err_set(ENOTEMPTY, "%s: the folder is not empty", row.name);
	rc = change_accept(ch);
	if (rc)
		return rc;
	return has_links(&row) ? link_drop(ch, &row, r->remove.parent, r->remove.name) : node_drop(ch, &row, false);
}
