#include "fs/node_real.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/access.h"
#include "fs/arrival.h"
#include "fs/file.h"
#include "fs/history.h"
#include "fs/xattr.h"
#include "index/acl.h"
#include "store/err.h"

static struct timespec timespec_of(int64_t ns)
{
	int64_t s = ns / 1000000000, rest = ns % 1000000000;

	if (rest < 0)
		s--, rest += 1000000000;
	return (struct timespec){ .tv_sec = s, .tv_nsec = rest };
}

enum { WORTH_ASKING = 64 << 10 }; /* smaller files count as whole */

/* Of a file with few chunks; a larger one counts as whole, which no program minds. */
static uint64_t holes_of(struct fs *fs, const struct node_row *row)
{
	struct content content;
	uint64_t holes = 0;

	if (!S_ISREG(row->mode) || catalog_content(fs->catalog, row->ino, &content) || content.depth)
		return 0;
	for (uint32_t i = 0; i < content.count; i++)
		holes += key_is_hole(&content.extents[i].key) ? content.extents[i].len : 0;
	return holes;
}

static int real_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	struct node_row row;
	uint64_t size, holes = 0;
	int64_t mtime;
	bool live = files_peek(fs->files, node->number, &size, &mtime); /* first: once it is not live, the catalog has it */
	int rc = catalog_node(fs->catalog, node->number, &row);

	if (rc)
		return rc;
	if (!live) {
		size = row.size;
		mtime = row.mtime_ns;
	}
	st->st_mode = row.mode;
	st->st_uid = row.uid;
	st->st_gid = row.gid;
	st->st_nlink = row.nlink;
	st->st_size = S_ISDIR(row.mode) ? 0 : (off_t)size;
	if (size >= WORTH_ASKING)
		holes = live ? files_holes(fs->files, node->number) : holes_of(fs, &row);
	st->st_blocks = holes < size ? (blkcnt_t)holes : st->st_size;
	st->st_atim = timespec_of(row.atime_ns);
	st->st_mtim = timespec_of(mtime);
	st->st_ctim = timespec_of(mtime > row.ctime_ns ? mtime : row.ctime_ns);
	return 0;
}

static int real_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		       struct node *out)
{
	struct node_row row;
	int rc = catalog_lookup(fs->catalog, folder->number, name, &row);

	(void)who;
	if (!rc)
		*out = (struct node){ .number = row.ino, .ops = &node_ops_real };
	return rc;
}

static int real_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	scope_entries struct entries entries = { 0 };
	int rc = catalog_list(fs->catalog, folder->number, &entries);

	(void)who;
	for (size_t i = 0; !rc && i < entries.count; i++) {
		const struct entry *e = &entries.list[i];
		struct node_entry entry = { .node = { .number = e->ino, .ops = &node_ops_real }, .name = e->name, .type = e->mode };

		rc = emit(ctx, &entry);
	}
	return rc < 0 ? rc : 0;
}

/* A folder's default list stands in the place of the umask. What is kept as the new node's own list follows from both in the index. */
static int mode_of_new(struct fs *fs, const struct caller *who, uint64_t folder, uint32_t *mode)
{
	struct acl acl;
	int rc = S_ISLNK(*mode) ? 0 : catalog_acl(fs->catalog, folder, ACL_NAME_DEFAULT, &acl);

	if (rc && rc != -ENODATA)
		return rc;
	if (!S_ISLNK(*mode))
		*mode &= rc ? ~who->umask : ~0777U | acl_mode(&acl);
	return 0;
}

int real_make(struct fs *fs, const struct caller *who, uint64_t folder, const char *name, uint32_t mode,
	      const char *target, struct node *out)
{
	struct node_row parent;
	struct record r = { .kind = REC_NODE };
	struct actor actor = caller_actor(who);
	int rc = catalog_node(fs->catalog, folder, &parent);

	if (rc)
		return rc;
	if (strlen(name) > NAME_BYTES_MAX)
		return err_set(ENAMETOOLONG, "name is longer than %d bytes", NAME_BYTES_MAX);
	rc = store_room(fs->store, 0);
	if (rc)
		return rc;
	r.node.ino = catalog_new_ino(fs->catalog);
	r.node.parent = folder;
	r.node.name = name;
	rc = mode_of_new(fs, who, folder, &mode);
	if (rc)
		return rc;
	r.node.mode = mode;
	r.node.uid = who->uid;
	r.node.gid = who->gid;
	if (parent.mode & S_ISGID) {
		r.node.gid = parent.gid;
		if (S_ISDIR(mode))
			r.node.mode |= S_ISGID;
	}
	r.node.owner = who->user;
	r.node.target = target ? target : "";
	rc = catalog_apply(fs->catalog, &actor, &r);
	if (rc)
		return rc;
	arrival_changed(fs->arrival, r.node.ino);
	*out = (struct node){ .number = r.node.ino, .ops = &node_ops_real };
	return 0;
}

static int real_mkdir(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		      uint32_t mode, struct node *out)
{
	return real_make(fs, who, folder->number, name, S_IFDIR | (mode & 07777), NULL, out);
}

static int real_create(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		       uint32_t mode, struct node *out)
{
	return real_make(fs, who, folder->number, name, S_IFREG | (mode & 07777), NULL, out);
}

static int real_symlink(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			const char *target, struct node *out)
{
	return real_make(fs, who, folder->number, name, S_IFLNK | 0777, target, out);
}

static int real_mknod(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		      uint32_t mode, struct node *out)
{
	return real_make(fs, who, folder->number, name, mode & (S_IFMT | 07777), NULL, out);
}

static int real_link(struct fs *fs, const struct caller *who, const struct node *node, const struct node *folder,
		     const char *name)
{
	struct record r = { .kind = REC_LINK };
	struct actor actor = caller_actor(who);
	int rc;

	if (node->ops != &node_ops_real)
		return err_set(EXDEV, "%s: a file that is computed gets no name in datasets/", name);
	rc = store_room(fs->store, 0);
	if (rc)
		return rc;
	r.link.ino = node->number;
	r.link.parent = folder->number;
	r.link.name = name;
	rc = catalog_apply(fs->catalog, &actor, &r);
	if (!rc)
		arrival_changed(fs->arrival, node->number);
	return rc;
}

static int real_remove(struct fs *fs, const struct caller *who, uint64_t folder, const char *name, bool is_folder)
{
	struct record r = { .kind = REC_REMOVE };
	struct actor actor = caller_actor(who);
	int rc;

	r.remove.parent = folder;
	r.remove.name = name;
	r.remove.folder = is_folder;
	rc = catalog_apply(fs->catalog, &actor, &r);
	if (!rc)
		arrival_changed(fs->arrival, folder);
	return rc;
}

static int real_unlink(struct fs *fs, const struct caller *who, const struct node *folder, const char *name)
{
	return real_remove(fs, who, folder->number, name, false);
}

static int real_rmdir(struct fs *fs, const struct caller *who, const struct node *folder, const char *name)
{
	return real_remove(fs, who, folder->number, name, true);
}

/* What takes the place of another file must be there whole before the other one goes: programs replace a file by writing a new one
 * and renaming it, and after a power cut one of the two has to be left. */
static int commit_before_replacing(struct fs *fs, uint64_t folder, const char *name, uint64_t to, const char *new_name)
{
	struct node_row source, target;

	if (catalog_lookup(fs->catalog, to, new_name, &target) || catalog_lookup(fs->catalog, folder, name, &source))
		return 0;
	return files_commit_one(fs->files, source.ino);
}

int real_rename(struct fs *fs, const struct caller *who, uint64_t folder, const char *name, uint64_t to,
		const char *new_name, unsigned flags)
{
	struct record r = { .kind = REC_RENAME };
	struct actor actor = caller_actor(who);
	struct node_row moved;
	int rc;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return err_set(EINVAL, "rename flags %x are not known", flags);
	r.rename.parent = folder;
	r.rename.name = name;
	r.rename.new_parent = to;
	r.rename.new_name = new_name;
	r.rename.no_replace = flags & RENAME_NOREPLACE;
	r.rename.exchange = flags & RENAME_EXCHANGE;
	rc = commit_before_replacing(fs, folder, name, to, new_name);
	if (!rc && r.rename.exchange)
		rc = commit_before_replacing(fs, to, new_name, folder, name);
	if (!rc)
		rc = catalog_apply(fs->catalog, &actor, &r);
	if (rc)
		return rc;
	arrival_changed(fs->arrival, folder);
	arrival_changed(fs->arrival, to);
	if (!catalog_lookup(fs->catalog, to, new_name, &moved))
		arrival_moved(fs->arrival, moved.ino);
	return 0;
}

static int real_rename_into(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			    const struct node *to, const char *new_name, unsigned flags)
{
	int rc = history_rename_out(fs, who, folder, name, to, new_name, flags);

	if (rc != 1)
		return rc;
	if (folder->ops != &node_ops_real)
		return err_set(EPERM, "%s: only what is below datasets/ can be moved there", name);
	return real_rename(fs, who, folder->number, name, to->number, new_name, flags);
}

void real_forget(struct fs *fs, uint64_t folder, const char *name)
{
	if (fs->forget_entry)
		fs->forget_entry(fs, folder, name);
	if (fs->forget_node)
		fs->forget_node(fs, folder); /* and the listing that it has, by the folder's new time */
}

static int real_readlink(struct fs *fs, const struct node *node, struct buf *target)
{
	scope_free char *text = NULL;
	int rc = catalog_symlink(fs->catalog, node->number, &text);

	if (!rc)
		buf_put(target, text, strlen(text));
	return rc;
}

/* Truncation by path: as an open, a truncate and a close of its own. */
static int truncate_path(struct fs *fs, const struct caller *who, uint64_t ino, uint64_t size)
{
	struct file *file;
	int rc = file_open(fs->files, ino, true, &file), rc2;

	if (rc)
		return rc;
	rc = file_truncate(file, who, size);
	rc2 = file_release(file, who, true);
	return rc ? rc : rc2;
}

/* Takes off what is so already: cp -a sets the owner and mode that a file was made with, and the journal need not say it again. */
static int drop_unchanged(struct fs *fs, uint64_t ino, const struct attr_change *change, uint32_t *set)
{
	struct node_row row;
	int rc = catalog_node(fs->catalog, ino, &row);

	if (rc)
		return rc;
	if (change->uid == row.uid && (!(*set & ATTR_GID) || change->gid == row.gid))
		*set &= ~(uint32_t)ATTR_UID;
	if (change->gid == row.gid && !(*set & ATTR_UID))
		*set &= ~(uint32_t)ATTR_GID;
	if ((change->mode & 07777) == (row.mode & 07777) && !(*set & (ATTR_UID | ATTR_GID)))
		*set &= ~(uint32_t)ATTR_MODE;
	return 0;
}

static int real_set_attr(struct fs *fs, const struct caller *who, const struct node *node,
			 const struct attr_change *change)
{
	struct record r = { .kind = REC_ATTR };
	struct actor actor = caller_actor(who);
	char owner[64] = "";
	int rc = 0;

	if (change->set & CHANGE_SIZE) {
		struct handle *h = change->handle;

		rc = h && h->file ? file_truncate(h->file, who, change->size)
				  : truncate_path(fs, who, node->number, change->size);
	}
	r.attr.ino = node->number;
	r.attr.set = (change->set & CHANGE_MODE ? ATTR_MODE : 0) | (change->set & CHANGE_UID ? ATTR_UID : 0) |
		     (change->set & CHANGE_GID ? ATTR_GID : 0) | (change->set & CHANGE_ATIME ? ATTR_ATIME : 0) |
		     (change->set & CHANGE_MTIME ? ATTR_MTIME : 0);
	if (!rc)
		rc = drop_unchanged(fs, node->number, change, &r.attr.set);
	if (rc || !r.attr.set)
		return rc;
	r.attr.mode = change->mode & 07777;
	r.attr.uid = change->uid;
	r.attr.gid = change->gid;
	r.attr.atime_ns = change->atime_ns;
	r.attr.mtime_ns = change->mtime_ns;
	if (change->set & CHANGE_UID)
		user_name(change->uid, owner, sizeof owner);
	r.attr.owner = owner;
	/* First, so that a commit in between (rsync sets times while its close is under way) does not bring back the old time. */
	if (change->set & CHANGE_MTIME)
		files_set_mtime(fs->files, node->number, change->mtime_ns);
	return catalog_apply(fs->catalog, &actor, &r);
}

int real_dataset_of_target(struct fs *fs, const char *target, struct dataset_row *row)
{
	scope_free char *path = strdup(target);
	char *at, *part, *save = NULL;
	uint64_t ino = INO_DATASETS;
	struct node_row node;
	int rc = 0;

	if (!path)
		return err_set(ENOMEM, "no memory");
	at = strstr(path, "by-id/");
	if (at)
		return catalog_dataset_by_id(fs->catalog, strtok_r(at + 6, "/", &save), row);
	at = strstr(path, "datasets/");
	if (!at || (at != path && at[-1] != '/')) {
		if (strchr(path, '/') || catalog_dataset_by_name(fs->catalog, path, row))
			return err_set(EINVAL, "%s: a link here must lead to a dataset, as ../../datasets/NAME", target);
		return 0;
	}
	for (part = strtok_r(at + 9, "/", &save); part && !rc; part = strtok_r(NULL, "/", &save)) {
		rc = catalog_lookup(fs->catalog, ino, part, &node);
		ino = node.ino;
	}
	if (rc || ino == INO_DATASETS || !node.dataset)
		return err_set(EINVAL, "%s: there is no dataset of that name in datasets/", target);
	return catalog_dataset(fs->catalog, node.dataset, row);
}

const struct node_ops node_ops_real = {
	.kind = "datasets",
	.stable = true,
	.attr = real_attr,
	.lookup = real_lookup,
	.list = real_list,
	.mkdir = real_mkdir,
	.create = real_create,
	.symlink = real_symlink,
	.mknod = real_mknod,
	.link = real_link,
	.unlink = real_unlink,
	.rmdir = real_rmdir,
	.rename_into = real_rename_into,
	.readlink = real_readlink,
	.real_file = true,
	.set_attr = real_set_attr,
	.xattr_get = xattr_real_get,
	.xattr_list = xattr_real_list,
	.xattr_set = xattr_real_set,
	.xattr_remove = xattr_real_remove,
};
