#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fs/file.h"
#include "fs/mount_internal.h"
#include "fs/recoder.h"
#include "store/err.h"

/* Whoever wants bytes of data goes before what is done to data at rest; who only watches the file system does not. */
static void touch(const struct request *r, const struct node *node)
{
	if (!node->ops->text)
		recoder_touch(r->fs->recoder);
}

/* Pages stay valid across opens where content changes only through the kernel, or under another node number. What comes into an empty
 * file by a handle that cannot read goes past them: half of the time of a copy into a mount is new pages and the copy into them,
 * of bytes that the daemon has anyhow. */
static void choose_pages(const struct mount *mount, const struct node *node, bool empty, struct fuse_file_info *fi)
{
	fi->keep_cache = node->ops->real_file || node->ops->read;
	fi->direct_io = mount->past_pages && node->ops->real_file && empty && (fi->flags & O_ACCMODE) == O_WRONLY;
}

static bool is_empty(struct fs *fs, const struct node *node, int flags)
{
	struct stat st;

	return (flags & O_ACCMODE) == O_WRONLY && node->ops->real_file &&
	       (flags & O_TRUNC || (!node_attr(fs, node, &st) && !st.st_size));
}

void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct request r;
	int rc;

	if (!request_begin(req, ino, &r))
		return;
	touch(&r, &r.node);
	rc = suid_asked(fi) ? suid_drop(&r) : 0;
	if (!rc)
		rc = handles_open(r.mount->handles, &r.who, &r.node, fi->flags, &fi->fh);
	if (rc) {
		reply_error(req, rc);
		return;
	}
	choose_pages(r.mount, &r.node, is_empty(r.fs, &r.node, fi->flags), fi);
	fi->noflush = (fi->flags & O_ACCMODE) == O_RDONLY; /* closing it has nothing to say */
	if (fuse_reply_open(req, fi) == -ENOENT) /* the open was interrupted: no release will come */
		handles_drop(r.mount->handles, &r.who, fi->fh);
}

void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fuse_entry_param entry;
	struct request r;
	struct node made;
	int rc;

	if (!request_begin(req, parent, &r))
		return;
	touch(&r, &r.node);
	rc = node_create(r.fs, &r.who, &r.node, name, mode, &made);
	if (!rc)
		rc = entry_of(r.fs, &made, &entry);
	if (!rc)
		rc = handles_open(r.mount->handles, &r.who, &made, fi->flags & ~O_TRUNC, &fi->fh);
	if (rc) {
		reply_error(req, rc);
		return;
	}
	if (!r.node.ops->stable)
		entry.entry_timeout = 0;
	choose_pages(r.mount, &made, true, fi);
	if (fuse_reply_create(req, &entry, fi) == -ENOENT)
		handles_drop(r.mount->handles, &r.who, fi->fh);
}

/* Bytes of a stored file go to the kernel from where they were decoded. */
static void read_file(fuse_req_t req, struct file *file, size_t len, off_t off)
{
	struct file_bytes bytes;
	int64_t n = file_read_bytes(file, (uint64_t)off, len, &bytes);

	if (n < 0)
		reply_error(req, (int)n);
	else
		fuse_reply_iov(req, bytes.list, (int)bytes.count);
	file_bytes_free(&bytes);
}

static void read_other(fuse_req_t req, struct fs *fs, struct handle *h, size_t len, off_t off)
{
	scope_free char *bytes = malloc(len ? len : 1);
	int64_t n = bytes ? node_read(fs, h, (uint64_t)off, bytes, len) : err_set(ENOMEM, "no memory to read");

	if (n < 0)
		reply_error(req, (int)n);
	else
		fuse_reply_buf(req, bytes, (size_t)n);
}

void ops_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off, struct fuse_file_info *fi)
{
	struct request r;
	struct handle *h;
	int rc;

	if (!request_begin(req, ino, &r))
		return;
	touch(&r, &r.node);
	rc = handles_get(r.mount->handles, &r.who, &r.node, fi->fh, &h);
	if (rc)
		reply_error(req, rc);
	else if (h->file)
		read_file(req, h->file, len, off);
	else
		read_other(req, r.fs, h, len, off);
}

void ops_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t len, off_t off, struct fuse_file_info *fi)
{
	struct request r;
	struct handle *h;
	int64_t n;
	int rc;

	if (!request_begin(req, ino, &r))
		return;
	touch(&r, &r.node);
	rc = handles_get(r.mount->handles, &r.who, &r.node, fi->fh, &h);
	/* Past its pages the kernel leaves it to us without saying so. */
	if (!rc && (suid_asked(fi) || (r.mount->past_pages && r.who.uid && handles_write_only(fi->fh))))
		rc = suid_drop(&r);
	n = rc ? rc : node_write(r.fs, &r.who, h, (uint64_t)off, bytes, len);
	if (n < 0)
		reply_error(req, (int)n);
	else
		fuse_reply_write(req, (size_t)n);
}

void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct request r;
	struct handle *h;
	int rc;

	if (!request_begin(req, ino, &r))
		return;
	rc = handles_get(r.mount->handles, &r.who, &r.node, fi->fh, &h);
	reply_rc(req, rc ? rc : node_flush(r.fs, &r.who, h));
}

void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct request r;
	struct handle *h;
	int rc;

	(void)datasync;
	if (!request_begin(req, ino, &r))
		return;
	rc = handles_get(r.mount->handles, &r.who, &r.node, fi->fh, &h);
	reply_rc(req, rc ? rc : node_fsync(r.fs, &r.who, h));
}

void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct request r;

	if (request_begin(req, ino, &r))
		reply_rc(req, handles_drop(r.mount->handles, &r.who, fi->fh));
}

/* What is computed has no holes but the one at its end. */
static int64_t seek_computed(const struct request *r, off_t off, int whence)
{
	struct stat st;
	int rc = node_attr(r->fs, &r->node, &st);

	if (rc)
		return rc;
	if (off >= st.st_size)
		return err_set(ENXIO, "there is nothing from there on");
	return whence == SEEK_DATA ? off : st.st_size;
}

void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi)
{
	struct request r;
	struct handle *h;
	int rc;

	if (!request_begin(req, ino, &r))
		return;
	touch(&r, &r.node);
	rc = handles_get(r.mount->handles, &r.who, &r.node, fi->fh, &h);
	if (!rc && (!h->file || !h->writable))
		rc = h->file ? err_set(EBADF, "not open for writing") : err_set(EOPNOTSUPP, "%s: nothing to allocate", r.node.ops->kind);
	reply_rc(req, rc ? rc : file_allocate(h->file, &r.who, mode, (uint64_t)off, (uint64_t)len));
}

void ops_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	struct request r;
	struct handle *h;
	int64_t at;
	int rc;

	if (!request_begin(req, ino, &r))
		return;
	rc = handles_get(r.mount->handles, &r.who, &r.node, fi->fh, &h);
	if (rc)
		at = rc;
	else if (h->file)
		at = file_seek(h->file, (uint64_t)off, whence);
	else
		at = seek_computed(&r, off, whence);
	if (at < 0)
		reply_error(req, (int)at);
	else
		fuse_reply_lseek(req, at);
}

/* cp inside the mount asks for the whole file at once: the content is shared, no byte is copied. Everything else falls back to
 * reads and writes. */
void ops_copy(fuse_req_t req, fuse_ino_t from, off_t from_off, struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_off,
	      struct fuse_file_info *to_fi, size_t len, int flags)
{
	struct handle *src = NULL, *dst = NULL;
	struct stat st = { 0 };
	struct request r;
	struct node target;
	int rc;

	(void)flags;
	if (!request_begin(req, from, &r))
		return;
	rc = node_resolve(r.fs, to, &target);
	if (!rc)
		rc = handles_get(r.mount->handles, &r.who, &r.node, from_fi->fh, &src);
	if (!rc)
		rc = handles_get(r.mount->handles, &r.who, &target, to_fi->fh, &dst);
	if (!rc)
		rc = node_attr(r.fs, &r.node, &st);
	if (!rc && (from_off || to_off || !src->file || !dst->file || len < (uint64_t)st.st_size))
		rc = -EOPNOTSUPP;
	if (!rc)
		rc = file_clone(src->file, dst->file, &r.who);
	if (rc)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_write(req, (size_t)st.st_size);
}

void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct request r;
	int rc;

	if (!request_begin(req, ino, &r))
		return;
	rc = handles_open_folder(r.mount->handles, &r.who, &r.node, &fi->fh);
	if (rc) {
		reply_error(req, rc);
		return;
	}
	if (r.node.ops->real_file) {
		fi->keep_cache = listed_same(r.mount->listed, r.fs, &r.node);
		fi->cache_readdir = true;
	}
	if (fuse_reply_open(req, fi) == -ENOENT)
		handles_drop_folder(r.mount->handles, fi->fh);
}

enum { DOTS = 2 }; /* entries before the first of a folder's own */

/* The folder above; of what is computed it is of no interest. */
static uint64_t above(const struct request *r)
{
	struct node_row row;

	return r->node.ops == &node_ops_real && !catalog_node(r->fs->catalog, r->node.number, &row) && row.parent ? row.parent
														  : INO_ROOT;
}

/* "." and "..": the kernel takes nothing but the name and the number from them. */
static size_t add_dot(fuse_req_t req, const struct request *r, size_t i, bool plus, char *to, size_t room)
{
	struct fuse_entry_param entry = { .attr.st_ino = r->node.number, .attr.st_mode = S_IFDIR };

	if (i)
		entry.attr.st_ino = above(r);
	if (!plus)
		return fuse_add_direntry(req, to, room, i ? ".." : ".", &entry.attr, (off_t)i + 1);
	return fuse_add_direntry_plus(req, to, room, i ? ".." : ".", &entry, (off_t)i + 1);
}

/* Adds one entry; returns the bytes it takes, more than room when it does not fit. A node that is gone by now is passed over (0). */
static size_t add_entry(fuse_req_t req, struct request *r, const struct listing *l, size_t i, bool plus, char *to, size_t room)
{
	struct fuse_entry_param entry = { .ino = l->nodes[i].number };

	if (!plus) {
		entry.attr.st_ino = l->nodes[i].number;
		entry.attr.st_mode = l->types[i];
		return fuse_add_direntry(req, to, room, l->names[i], &entry.attr, (off_t)i + 1 + DOTS);
	}
	if (entry_of(r->fs, &l->nodes[i], &entry))
		return 0;
	if (!r->node.ops->stable)
		entry.entry_timeout = 0;
	return fuse_add_direntry_plus(req, to, room, l->names[i], &entry, (off_t)i + 1 + DOTS);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off, struct fuse_file_info *fi, bool plus)
{
	struct listing *l;
	struct request r;
	size_t used = 0;
	int rc;

	if (!request_begin(req, ino, &r))
		return;
	scope_free char *bytes = malloc(len);
	rc = bytes ? handles_get_folder(r.mount->handles, &r.who, &r.node, fi->fh, &l) : err_set(ENOMEM, "no memory");
	if (rc) {
		reply_error(req, rc);
		return;
	}
	if (!off && l->begun)
		rc = handles_read_folder_anew(r.mount->handles, &r.who, &r.node, fi->fh, &l);
	if (rc) {
		reply_error(req, rc);
		return;
	}
	l->begun = true;
	for (size_t i = (size_t)off; i < l->count + DOTS; i++) {
		size_t n = i < DOTS ? add_dot(req, &r, i, plus, bytes + used, len - used)
				    : add_entry(req, &r, l, i - DOTS, plus, bytes + used, len - used);

		if (n > len - used)
			break;
		used += n;
	}
	fuse_reply_buf(req, bytes, used);
}

void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, len, off, fi, false);
}

void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off, struct fuse_file_info *fi)
{
	list(req, ino, len, off, fi, true);
}

void ops_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct mount *mount = fuse_req_userdata(req);

	(void)ino;
	handles_drop_folder(mount->handles, fi->fh);
	fuse_reply_err(req, 0);
}

void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct mount *mount = fuse_req_userdata(req);
	int rc = files_commit_all(mount->fs->files);

	(void)ino, (void)datasync, (void)fi;
	reply_rc(req, rc ? rc : catalog_sync(mount->fs->catalog));
}
