#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fs/mount_internal.h"
#include "index/acl.h"
#include "store/err.h"
#include "store/log.h"

/* Everything below datasets/ changes only through the kernel, or is invalidated by name. */
enum { STABLE_SECONDS = 3600 };

void reply_error(fuse_req_t req, int rc)
{
	if (rc == -EIO || rc == -EBADMSG || rc == -ENOSPC || io_is_passing(rc))
		log_error("%s", err_text());
	else
		log_debug("%s: %s", strerror(-rc), err_text());
	if (rc == -EBADMSG)
		rc = -EIO;
	fuse_reply_err(req, -rc);
}

void reply_rc(fuse_req_t req, int rc)
{
	if (rc)
		reply_error(req, rc);
	else
		fuse_reply_err(req, 0);
}

bool request_begin(fuse_req_t req, fuse_ino_t ino, struct request *r)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	int rc;

	r->mount = fuse_req_userdata(req);
	r->fs = r->mount->fs;
	callers_fill(r->mount->callers, ctx->uid, ctx->gid, ctx->pid, &r->who);
	r->who.umask = ctx->umask;
	rc = node_resolve(r->fs, ino, &r->node);
	if (rc)
		reply_error(req, rc);
	return !rc;
}

double node_timeout(const struct node *node)
{
	return node->ops->stable ? STABLE_SECONDS : 0;
}

int entry_of(struct fs *fs, const struct node *node, struct fuse_entry_param *entry)
{
	memset(entry, 0, sizeof *entry);
	entry->ino = node->number;
	entry->entry_timeout = entry->attr_timeout = node_timeout(node);
	return node_attr(fs, node, &entry->attr);
}

/* r->node is the folder that the name stands in. A name in a folder that may change unseen is never kept, even when what it names
 * is stable. */
static void reply_node(fuse_req_t req, const struct request *r, int rc, const struct node *made)
{
	struct fuse_entry_param entry;

	if (!rc)
		rc = entry_of(r->fs, made, &entry);
	if (rc) {
		reply_error(req, rc);
		return;
	}
	if (!r->node.ops->stable)
		entry.entry_timeout = 0;
	fuse_reply_entry(req, &entry);
}

/* Asks the kernel for something, if it can do it, or for leaving it. */
static void want(struct fuse_conn_info *conn, uint64_t what, bool yes)
{
#if FUSE_VERSION >= 317
	if (yes)
		fuse_set_feature_flag(conn, what);
	else
		fuse_unset_feature_flag(conn, what);
#else
	conn->want = yes ? conn->want | ((unsigned)what & conn->capable) : conn->want & ~(unsigned)what;
#endif
}

static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
	struct mount *mount = userdata;

	want(conn, FUSE_CAP_HANDLE_KILLPRIV, false);
#ifdef FUSE_CAP_HANDLE_KILLPRIV_V2
	want(conn, FUSE_CAP_HANDLE_KILLPRIV_V2, suid_is_ours());
#endif
	/* Access control lists are enforced by the kernel, which then leaves the umask to us: a default list stands in its place. */
	want(conn, FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK, true);
	/* Replies are sent from the memory where they were decoded; passthrough (FUSE_CAP_PASSTHROUGH) has no use either, since no file
	 * is stored as it is read. */
	want(conn, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE, false);
	if (conn->max_write > 1 << 20)
		conn->max_write = 1 << 20; /* libfuse 3.14 ends the session above that (FACTS section 7) */
	/* Before 7.40 (Linux 6.9) the kernel does not drop the pages that others have read of what is written past them. */
	mount->past_pages = conn->proto_major > 7 || (conn->proto_major == 7 && conn->proto_minor >= 40);
	conn->time_gran = 1;
	mount_settle_conn(mount, conn);
	if (mount->ready)
		mount->ready(mount->ready_ctx);
}

static void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct request r;
	struct node found;
	int rc;

	if (!request_begin(req, parent, &r))
		return;
	rc = node_lookup(r.fs, &r.who, &r.node, name, &found);
	if (rc == -ENOENT)
		fuse_reply_err(req, ENOENT);
	else
		reply_node(req, &r, rc, &found);
}

static void ops_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct request r;
	struct stat st;
	int rc;

	(void)fi;
	if (!request_begin(req, ino, &r))
		return;
	rc = node_attr(r.fs, &r.node, &st);
	if (rc)
		reply_error(req, rc);
	else
		fuse_reply_attr(req, &st, node_timeout(&r.node));
}

static int64_t ns_of(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static struct attr_change change_of(const struct stat *attr, int to_set)
{
	struct attr_change c = { .mode = attr->st_mode, .uid = attr->st_uid, .gid = attr->st_gid,
				 .size = (uint64_t)attr->st_size, .atime_ns = ns_of(&attr->st_atim),
				 .mtime_ns = ns_of(&attr->st_mtim) };

	if (to_set & FUSE_SET_ATTR_MODE)
		c.set |= CHANGE_MODE;
	if (to_set & FUSE_SET_ATTR_UID)
		c.set |= CHANGE_UID;
	if (to_set & FUSE_SET_ATTR_GID)
		c.set |= CHANGE_GID;
	if (to_set & FUSE_SET_ATTR_SIZE)
		c.set |= CHANGE_SIZE;
	if (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW))
		c.set |= CHANGE_ATIME;
	if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))
		c.set |= CHANGE_MTIME;
	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		c.atime_ns = now_ns();
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		c.mtime_ns = now_ns();
	return c;
}

static void ops_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct attr_change change = change_of(attr, to_set);
	struct request r;
	int rc = 0;

	if (!request_begin(req, ino, &r))
		return;
	if (change.set & CHANGE_SIZE) {
		if (attr->st_size < 0)
			rc = err_set(EINVAL, "a size cannot be negative");
		else if (fi)
			rc = handles_get(r.mount->handles, &r.who, &r.node, fi->fh, &change.handle);
	}
#ifdef FUSE_SET_ATTR_KILL_SUID
	if (!rc && (to_set & FUSE_SET_ATTR_KILL_SUID) && suid_is_ours())
		rc = suid_change(r.fs, &r.node, &change);
#endif
	if (!rc)
		rc = node_set_attr(r.fs, &r.who, &r.node, &change);
	if (rc)
		reply_error(req, rc);
	else
		ops_getattr(req, ino, NULL);
}

static void ops_readlink(fuse_req_t req, fuse_ino_t ino)
{
	scope_buf struct buf target = { 0 };
	struct request r;
	int rc;

	if (!request_begin(req, ino, &r))
		return;
	rc = r.node.ops->readlink ? r.node.ops->readlink(r.fs, &r.node, &target) : err_set(EINVAL, "not a link");
	if (rc)
		reply_error(req, rc);
	else
		fuse_reply_readlink(req, buf_text(&target));
}

static void ops_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct request r;
	struct node made;
	int rc;

	if (!request_begin(req, parent, &r))
		return;
	rc = node_mkdir(r.fs, &r.who, &r.node, name, mode, &made);
	reply_node(req, &r, rc, &made);
}

static void ops_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	struct request r;
	struct node made;
	int rc;

	(void)dev;
	if (!request_begin(req, parent, &r))
		return;
	rc = node_mknod(r.fs, &r.who, &r.node, name, mode, &made);
	reply_node(req, &r, rc, &made);
}

static void ops_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct request r;
	struct node made;
	int rc;

	if (!request_begin(req, parent, &r))
		return;
	rc = node_symlink(r.fs, &r.who, &r.node, name, target, &made);
	reply_node(req, &r, rc, &made);
}

static void ops_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct request r;
	struct node node;
	int rc;

	if (!request_begin(req, parent, &r))
		return;
	rc = node_resolve(r.fs, ino, &node);
	if (!rc)
		rc = node_link(r.fs, &r.who, &node, &r.node, name);
	reply_node(req, &r, rc, &node);
}

static void ops_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct request r;

	if (request_begin(req, parent, &r))
		reply_rc(req, node_unlink(r.fs, &r.who, &r.node, name));
}

static void ops_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct request r;

	if (request_begin(req, parent, &r))
		reply_rc(req, node_rmdir(r.fs, &r.who, &r.node, name));
}

static void ops_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to, const char *new_name,
		       unsigned flags)
{
	struct request r;
	struct node target;
	int rc;

	if (!request_begin(req, parent, &r))
		return;
	rc = node_resolve(r.fs, to, &target);
	if (!rc)
		rc = node_rename(r.fs, &r.who, &r.node, name, &target, new_name, flags);
	reply_rc(req, rc);
}

static void ops_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct mount *mount = fuse_req_userdata(req);
	struct statvfs st;

	(void)ino;
	if (statvfs(store_path(mount->fs->store), &st)) {
		reply_error(req, err_sys("%s", store_path(mount->fs->store)));
		return;
	}
	st.f_namemax = NAME_BYTES_MAX;
	fuse_reply_statfs(req, &st);
}

/* What getxattr says of a name of which nothing is kept, without looking anything up (the kernel asks for security.capability before
 * nearly every write); 0: it may be kept. Told that there are no labels here, `ls -l` asks for the first file's only. */
static int foreign_xattr(const char *name)
{
	if (strcmp(name, "security.capability") == 0)
		return ENODATA;
	return strncmp(name, "user.", 5) == 0 || strncmp(name, "trusted.", 8) == 0 || acl_is_name(name) ? 0 : EOPNOTSUPP;
}

static void reply_xattr(fuse_req_t req, int rc, const struct buf *value, size_t room)
{
	if (rc == -ENODATA)
		fuse_reply_err(req, ENODATA);
	else if (rc)
		reply_error(req, rc);
	else if (!room)
		fuse_reply_xattr(req, value->len);
	else if (value->len > room)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, (const char *)value->data, value->len);
}

static void ops_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t room)
{
	scope_buf struct buf value = { 0 };
	struct request r;

	if (foreign_xattr(name))
		fuse_reply_err(req, foreign_xattr(name));
	else if (request_begin(req, ino, &r))
		reply_xattr(req, node_xattr_get(r.fs, &r.who, &r.node, name, &value), &value, room);
}

static void ops_listxattr(fuse_req_t req, fuse_ino_t ino, size_t room)
{
	scope_buf struct buf names = { 0 };
	struct request r;

	if (request_begin(req, ino, &r))
		reply_xattr(req, node_xattr_list(r.fs, &r.who, &r.node, &names), &names, room);
}

static void ops_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t len, int flags)
{
	struct request r;

	if (foreign_xattr(name))
		fuse_reply_err(req, EOPNOTSUPP);
	else if (request_begin(req, ino, &r))
		reply_rc(req, node_xattr_set(r.fs, &r.who, &r.node, name, value, len, flags));
}

static void ops_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct request r;
	int rc;

	if (foreign_xattr(name)) {
		fuse_reply_err(req, foreign_xattr(name));
		return;
	}
	if (!request_begin(req, ino, &r))
		return;
	rc = node_xattr_remove(r.fs, &r.who, &r.node, name);
	if (rc == -ENODATA)
		fuse_reply_err(req, ENODATA);
	else
		reply_rc(req, rc);
}

const struct fuse_lowlevel_ops mount_ops = {
	.init = ops_init,
	.lookup = ops_lookup,
	.getattr = ops_getattr,
	.setattr = ops_setattr,
	.readlink = ops_readlink,
	.mknod = ops_mknod,
	.mkdir = ops_mkdir,
	.unlink = ops_unlink,
	.rmdir = ops_rmdir,
	.symlink = ops_symlink,
	.rename = ops_rename,
	.link = ops_link,
	.open = ops_open,
	.create = ops_create,
	.read = ops_read,
	.write = ops_write,
	.flush = ops_flush,
	.fsync = ops_fsync,
	.release = ops_release,
	.copy_file_range = ops_copy,
	.fallocate = ops_fallocate,
	.lseek = ops_lseek,
	.opendir = ops_opendir,
	.readdir = ops_readdir,
	.readdirplus = ops_readdirplus,
	.releasedir = ops_releasedir,
	.fsyncdir = ops_fsyncdir,
	.statfs = ops_statfs,
	.getxattr = ops_getxattr,
	.listxattr = ops_listxattr,
	.setxattr = ops_setxattr,
	.removexattr = ops_removexattr,
};
