/*
 * catalog_acl: access control lists of nodes. They are attributes of the two names that the kernel knows, kept in step with the mode:
 * a list that says no more than a mode is none, a chmod changes the list, and setting a list sets the mode. What is made in a
 * folder with a default list gets its own from it in the same record.
 */
#include "index/catalog_internal.h"

#include "index/acl.h"

static int acl_load(struct catalog *catalog, uint64_t ino, const char *name, struct acl *acl)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64_text(TABLE_XATTR, ino, name);
	int rc = table_get(catalog, &k, &value);

	if (rc)
		return rc;
	return acl_decode(value.data, value.len, acl) ? table_damaged(catalog, TABLE_XATTR) : 0;
}

/* access: a list that is a mode is not kept, the mode says it. */
static int acl_store(struct change *ch, uint64_t ino, const char *name, const struct acl *acl, bool access)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64_text(TABLE_XATTR, ino, name);

	if (!acl->count || (access && acl_is_mode(acl))) {
		table_del(ch->catalog, &k);
		return 0;
	}
	acl_encode(&value, acl);
	return table_put(ch->catalog, &k, &value);
}

int acl_inherit(struct change *ch, const struct node_row *row)
{
	struct acl acl;
	int rc = S_ISLNK(row->mode) ? -ENOENT : acl_load(ch->catalog, row->parent, ACL_NAME_DEFAULT, &acl);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if (S_ISDIR(row->mode))
		rc = acl_store(ch, row->ino, ACL_NAME_DEFAULT, &acl, false);
	acl_chmod(&acl, row->mode);
	return rc ? rc : acl_store(ch, row->ino, ACL_NAME_ACCESS, &acl, true);
}

int acl_follow_mode(struct change *ch, const struct node_row *row)
{
	struct acl acl;
	int rc = acl_load(ch->catalog, row->ino, ACL_NAME_ACCESS, &acl);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	acl_chmod(&acl, row->mode);
	return acl_store(ch, row->ino, ACL_NAME_ACCESS, &acl, true);
}

int apply_acl(struct change *ch, struct node_row *row)
{
	const struct record *r = ch->record;
	bool access = strcmp(r->xattr.name, ACL_NAME_ACCESS) == 0;
	struct acl acl = { .count = 0 };
	int rc = 0;

	if (S_ISLNK(row->mode))
		return err_set(EOPNOTSUPP, "%s: a symlink has no access control list", row->name);
	if (!r->xattr.remove)
		rc = acl_decode(r->xattr.value, r->xattr.value_len, &acl);
	if (!rc && acl.count && !access && !S_ISDIR(row->mode))
		rc = err_set(EACCES, "%s: only a folder has a default list", row->name);
	if (!rc)
		rc = change_accept(ch);
	if (!rc)
		rc = acl_store(ch, row->ino, r->xattr.name, &acl, access);
	if (rc)
		return rc;
	if (access && acl.count)
		row->mode = (row->mode & ~0777U) | acl_mode(&acl);
	row->ctime_ns = ch->time_ns;
	return node_store(ch->catalog, row);
}

int catalog_acl(struct catalog *catalog, uint64_t ino, const char *name, struct acl *acl)
{
	int rc;

	kv_read_begin(catalog->kv);
	rc = acl_load(catalog, ino, name, acl);
	kv_read_end(catalog->kv);
	return rc == -ENOENT ? -ENODATA : rc;
}
