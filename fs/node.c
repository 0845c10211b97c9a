#include "fs/node.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fs/file.h"
#include "fs/history.h"
#include "fs/protect.h"
#include "index/acl.h"
#include "store/err.h"

uint64_t node_number(enum node_class class, uint64_t what)
{
	return NODE_VIRTUAL | (uint64_t)class << NODE_VIRTUAL_SHIFT | what;
}

struct node node_make(const struct node_ops *ops, enum node_class class, uint64_t what)
{
	return (struct node){ .number = node_number(class, what), .ops = ops };
}

/* Each class has one file that knows which of its numbers mean what. */
static const struct node_ops *ops_of(uint64_t number)
{
	uint64_t what = node_what(number);

	if (!(number & NODE_VIRTUAL) && number & NODE_PAST)
		return node_past_resolve(number);
	if (!(number & NODE_VIRTUAL))
		return number == INO_ROOT ? &node_ops_root : &node_ops_real;
	switch (node_class_of(number)) {
	case CLASS_FIXED:
		return node_root_resolve(what);
	case CLASS_TERM:
		return &node_ops_term;
	case CLASS_LINK:
		return &node_ops_link;
	case CLASS_DATASET:
		return node_dataset_resolve(what);
	case CLASS_VIEW:
		return node_view_resolve(what);
	case CLASS_SEARCH:
		return node_search_resolve(what);
	case CLASS_DATE:
		return &node_ops_dates;
	case CLASS_PARTS:
		return &node_ops_image_folder;
	}
	return NULL;
}

int node_resolve(struct fs *fs, uint64_t number, struct node *out)
{
	(void)fs;
	out->number = number;
	out->ops = ops_of(number);
	return out->ops ? 0 : err_set(ESTALE, "node %llx is of no known kind", (unsigned long long)number);
}

int node_emit_one(node_emit emit, void *ctx, const struct node_ops *ops, uint64_t number, const char *name)
{
	struct node_entry entry = { .node = { .number = number, .ops = ops }, .name = name };

	return emit(ctx, &entry);
}

void node_attr_folder(struct fs *fs, uint32_t mode, struct stat *st)
{
	st->st_mode = S_IFDIR | mode;
	st->st_nlink = 2;
	st->st_mtim.tv_sec = st->st_atim.tv_sec = st->st_ctim.tv_sec = fs->mounted_ns / 1000000000;
}

int node_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	int rc;

	memset(st, 0, sizeof *st);
	st->st_mode = node->ops->type;
	st->st_nlink = S_ISDIR(st->st_mode) ? 2 : 1;
	rc = node->ops->attr ? node->ops->attr(fs, node, st) : node->ops->shown(fs, node, st, NULL);
	st->st_ino = node->number;
	/* As cp and cat do by themselves: a block that stays in a core's cache between its copies is faster than fewer requests. */
	st->st_blksize = st->st_size ? 64 << 10 : 128 << 10;
	st->st_blocks = (st->st_size - st->st_blocks + 511) / 512;
	return rc;
}

int node_shown_acl(struct fs *fs, const struct node *node, struct buf *value)
{
	struct stat st = { .st_mode = node->ops->type };
	struct acl acl = { .count = 0 };
	int rc = node->ops->shown ? node->ops->shown(fs, node, &st, &acl) : -ENODATA;

	if (!rc && !acl.count)
		rc = -ENODATA;
	if (!rc)
		acl_encode(value, &acl);
	return rc;
}

static int truncate_text(struct handle *h, uint64_t size);

static int name_fits(const char *name)
{
	if (strlen(name) > NAME_BYTES_MAX)
		return err_set(ENAMETOOLONG, "name is longer than %d bytes", NAME_BYTES_MAX);
	return 0;
}

int node_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name, struct node *out)
{
	int rc;

	if (!folder->ops->lookup)
		return err_set(ENOTDIR, "%s: not a folder", folder->ops->kind);
	rc = name_fits(name);
	if (rc)
		return rc;
	return folder->ops->lookup(fs, who, folder, name, out);
}

int node_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	if (!folder->ops->list)
		return err_set(ENOTDIR, "%s: not a folder", folder->ops->kind);
	return folder->ops->list(fs, who, folder, emit, ctx);
}

/* What is below datasets/ may refuse changes; all other kinds know themselves. */
static int may_change(struct fs *fs, const struct node *node)
{
	return node->ops == &node_ops_real ? protect_change(fs, node->number) : 0;
}

static int may_drop(struct fs *fs, const struct node *folder, const char *name)
{
	return folder->ops == &node_ops_real ? protect_entry(fs, folder->number, name) : 0;
}

static int refused(const struct node *folder, const char *name)
{
	return err_set(EPERM, "%s: nothing can be made or removed in %s", name, folder->ops->kind);
}

int node_mkdir(struct fs *fs, const struct caller *who, const struct node *folder, const char *name, uint32_t mode,
	       struct node *out)
{
	int rc = name_fits(name);

	if (!rc)
		rc = may_change(fs, folder);
	if (rc)
		return rc;
	return folder->ops->mkdir ? folder->ops->mkdir(fs, who, folder, name, mode, out) : refused(folder, name);
}

int node_create(struct fs *fs, const struct caller *who, const struct node *folder, const char *name, uint32_t mode,
		struct node *out)
{
	int rc = name_fits(name);

	if (!rc)
		rc = may_change(fs, folder);
	if (rc)
		return rc;
	return folder->ops->create ? folder->ops->create(fs, who, folder, name, mode, out) : refused(folder, name);
}

int node_symlink(struct fs *fs, const struct caller *who, const struct node *folder, const char *name, const char *target,
		 struct node *out)
{
	int rc = name_fits(name);

	if (!rc)
		rc = may_change(fs, folder);
	if (rc)
		return rc;
	return folder->ops->symlink ? folder->ops->symlink(fs, who, folder, name, target, out) : refused(folder, name);
}

int node_mknod(struct fs *fs, const struct caller *who, const struct node *folder, const char *name, uint32_t mode,
	       struct node *out)
{
	int rc = name_fits(name);

	if (!rc)
		rc = may_change(fs, folder);
	if (rc)
		return rc;
	if (S_ISREG(mode))
		return node_create(fs, who, folder, name, mode, out);
	if (!S_ISFIFO(mode) && !S_ISSOCK(mode))
		return err_set(EPERM, "%s: devices are not kept", name);
	return folder->ops->mknod ? folder->ops->mknod(fs, who, folder, name, mode, out) : refused(folder, name);
}

int node_link(struct fs *fs, const struct caller *who, const struct node *node, const struct node *folder, const char *name)
{
	int rc = name_fits(name);

	if (!rc)
		rc = may_change(fs, folder);
	if (!rc)
		rc = may_change(fs, node);
	if (rc)
		return rc;
	return folder->ops->link ? folder->ops->link(fs, who, node, folder, name) : refused(folder, name);
}

int node_unlink(struct fs *fs, const struct caller *who, const struct node *folder, const char *name)
{
	int rc = may_drop(fs, folder, name);

	if (rc)
		return rc;
	return folder->ops->unlink ? folder->ops->unlink(fs, who, folder, name) : refused(folder, name);
}

int node_rmdir(struct fs *fs, const struct caller *who, const struct node *folder, const char *name)
{
	int rc = may_drop(fs, folder, name);

	if (rc)
		return rc;
	return folder->ops->rmdir ? folder->ops->rmdir(fs, who, folder, name) : refused(folder, name);
}

int node_set_attr(struct fs *fs, const struct caller *who, const struct node *node, const struct attr_change *change)
{
	if (node->ops == &node_ops_real) {
		int rc = change->set & CHANGE_SIZE ? protect_content(fs, node->number) : protect_change(fs, node->number);

		if (rc)
			return rc;
	}
	if (node->ops->set_attr)
		return node->ops->set_attr(fs, who, node, change);
	/* An open for writing truncates first; the text is replaced when it is flushed. */
	if (node->ops->text_write && change->set == CHANGE_SIZE)
		return change->handle ? truncate_text(change->handle, change->size) : 0;
	if (!(change->set & ~(unsigned)(CHANGE_ATIME | CHANGE_MTIME)))
		return 0; /* times of what is computed are not kept; cp -p must not fail for that */
	return err_set(EPERM, "%s is made by the file system and cannot be changed", node->ops->kind);
}

/* Attributes that change also on a frozen dataset. */
static bool goes_on_frozen(const char *name)
{
	return strcmp(name, "user.xdg.tags") == 0 || strcmp(name, "user.xdg.comment") == 0 ||
	       strcmp(name, "user.tomofs.comment") == 0 || strcmp(name, "user.tomofs.frozen") == 0;
}

int node_xattr_get(struct fs *fs, const struct caller *who, const struct node *node, const char *name, struct buf *value)
{
	if (node->ops->xattr_get)
		return node->ops->xattr_get(fs, who, node, name, value);
	return strcmp(name, ACL_NAME_ACCESS) == 0 ? node_shown_acl(fs, node, value) : -ENODATA;
}

int node_xattr_list(struct fs *fs, const struct caller *who, const struct node *node, struct buf *names)
{
	return node->ops->xattr_list ? node->ops->xattr_list(fs, who, node, names) : 0;
}

int node_xattr_set(struct fs *fs, const struct caller *who, const struct node *node, const char *name, const void *value,
		   size_t len, int flags)
{
	int rc = 0;

	if (!node->ops->xattr_set)
		return err_set(EOPNOTSUPP, "%s keeps no attributes", node->ops->kind);
	if (!goes_on_frozen(name))
		rc = may_change(fs, node);
	if (rc)
		return rc;
	return node->ops->xattr_set(fs, who, node, name, value, len, flags);
}

int node_xattr_remove(struct fs *fs, const struct caller *who, const struct node *node, const char *name)
{
	int rc = goes_on_frozen(name) ? 0 : may_change(fs, node);

	if (rc)
		return rc;
	return node->ops->xattr_remove ? node->ops->xattr_remove(fs, who, node, name) : -ENODATA;
}

int node_rename(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		const struct node *to, const char *new_name, unsigned flags)
{
	int rc = name_fits(new_name);

	if (rc)
		return rc;
	if (!to->ops->rename_into)
		return err_set(EPERM, "nothing can be moved into %s", to->ops->kind);
	/* A way into the trash is open to what is not frozen. */
	rc = to->ops == &node_ops_trash ? may_change(fs, folder) : to->ops == &node_ops_real ? may_drop(fs, folder, name) : 0;
	if (!rc)
		rc = may_drop(fs, to, new_name);
	if (rc)
		return rc;
	return to->ops->rename_into(fs, who, folder, name, to, new_name, flags);
}

static int open_real(struct fs *fs, const struct caller *who, int flags, struct handle *h)
{
	int rc;

	h->writable = (flags & O_ACCMODE) != O_RDONLY;
	h->append = flags & O_APPEND;
	rc = h->writable ? protect_content(fs, h->node.number) : 0;
	if (!rc)
		rc = file_open(fs->files, h->node.number, h->writable, &h->file);
	if (!rc && h->writable && (flags & O_TRUNC))
		rc = file_truncate(h->file, who, 0);
	return rc;
}

static int open_text(struct fs *fs, int flags, struct handle *h)
{
	h->writable = (flags & O_ACCMODE) != O_RDONLY;
	h->append = flags & O_APPEND;
	if (h->writable && !h->node.ops->text_write)
		return err_set(EACCES, "%s is made by the file system and cannot be written", h->node.ops->kind);
	if (h->writable && (flags & O_TRUNC)) {
		h->text_changed = true;
		return 0;
	}
	return h->node.ops->text(fs, &h->node, &h->text);
}

static int open_any(struct fs *fs, const struct caller *who, int flags, struct handle *h)
{
	const struct node_ops *ops = h->node.ops;

	if (ops->real_file)
		return open_real(fs, who, flags, h);
	if (ops->text)
		return open_text(fs, flags, h);
	if (!ops->read)
		return err_set(EISDIR, "%s: not a file", ops->kind);
	if ((flags & O_ACCMODE) != O_RDONLY)
		return err_set(EACCES, "%s is computed and cannot be written", ops->kind);
	return 0;
}

static void handle_free(struct handle *h)
{
	buf_free(&h->text);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

int node_open(struct fs *fs, const struct caller *who, const struct node *node, int flags, struct handle **out)
{
	struct handle *h = calloc(1, sizeof *h);
	int rc;

	if (!h)
		return err_set(ENOMEM, "no memory to open a file");
	h->node = *node;
	pthread_mutex_init(&h->lock, NULL);
	rc = open_any(fs, who, flags, h);
	if (rc) {
		if (h->file)
			file_release(h->file, who, h->writable);
		handle_free(h);
		return rc;
	}
	*out = h;
	return 0;
}

int node_close(struct fs *fs, const struct caller *who, struct handle *h)
{
	int rc = 0;

	if (h->file) {
		rc = file_release(h->file, who, h->writable);
		if (rc && fs->forget_node)
			fs->forget_node(fs, h->node.number); /* the kernel's pages hold what could not be kept */
	} else if (h->text_changed) {
		rc = node_flush(fs, who, h);
	}
	handle_free(h);
	return rc;
}

static int64_t read_text(struct handle *h, uint64_t off, void *to, size_t len)
{
	scope_lock(&h->lock);
	if (off >= h->text.len)
		return 0;
	if (len > h->text.len - off)
		len = h->text.len - off;
	memcpy(to, h->text.data + off, len);
	return (int64_t)len;
}

int64_t node_read(struct fs *fs, struct handle *h, uint64_t off, void *to, size_t len)
{
	if (h->file)
		return file_read(h->file, off, to, len);
	if (h->node.ops->text)
		return read_text(h, off, to, len);
	return h->node.ops->read(fs, &h->node, off, to, len);
}

enum { TEXT_WRITE_MAX = 4 << 20 };

static int truncate_text(struct handle *h, uint64_t size)
{
	scope_lock(&h->lock);
	if (size > TEXT_WRITE_MAX)
		return err_set(EFBIG, "%s: more than %d bytes", h->node.ops->kind, TEXT_WRITE_MAX);
	if (size > h->text.len) {
		uint8_t *at = buf_reserve(&h->text, size - h->text.len);

		if (!at)
			return err_set(ENOMEM, "%s: no memory", h->node.ops->kind);
		memset(at, 0, size - h->text.len);
	}
	h->text.len = size;
	h->text_changed = true;
	return 0;
}

static int64_t write_text(struct handle *h, uint64_t off, const void *from, size_t len)
{
	uint8_t *at;

	scope_lock(&h->lock);
	if (h->append)
		off = h->text.len;
	if (off > TEXT_WRITE_MAX || len > TEXT_WRITE_MAX - off)
		return err_set(EFBIG, "%s: more than %d bytes", h->node.ops->kind, TEXT_WRITE_MAX);
	if (off + len > h->text.len) {
		size_t more = off + len - h->text.len;

		at = buf_reserve(&h->text, more);
		if (!at)
			return err_set(ENOMEM, "%s: no memory", h->node.ops->kind);
		memset(at, 0, more);
		h->text.len += more;
	}
	memcpy(h->text.data + off, from, len);
	h->text_changed = true;
	return (int64_t)len;
}

int64_t node_write(struct fs *fs, const struct caller *who, struct handle *h, uint64_t off, const void *from,
		   size_t len)
{
	(void)fs;
	if (!h->writable)
		return err_set(EBADF, "not open for writing");
	return h->file ? file_write(h->file, who, off, from, len, h->append) : write_text(h, off, from, len);
}

int node_flush(struct fs *fs, const struct caller *who, struct handle *h)
{
	int rc = 0;

	if (h->file)
		return h->writable ? file_flush(h->file, who) : 0;
	pthread_mutex_lock(&h->lock);
	if (h->text_changed) {
		rc = h->node.ops->text_write(fs, who, &h->node, &h->text);
		h->text_changed = false;
	}
	pthread_mutex_unlock(&h->lock);
	return rc;
}

int node_fsync(struct fs *fs, const struct caller *who, struct handle *h)
{
	int rc;

	if (h->file)
		return file_fsync(h->file, who);
	rc = node_flush(fs, who, h);
	return rc ? rc : catalog_sync(fs->catalog);
}
