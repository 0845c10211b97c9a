/* node_past: history/at/TIME/datasets/..., the tree as it was, read-only. */
#include <errno.h>
#include <string.h>

#include "fs/history.h"
#include "store/err.h"

enum { DATE_LEN = 10 };
#define DAY_NS (86400LL * 1000000000)

static struct timespec timespec_of(int64_t ns)
{
	int64_t s = ns / 1000000000, rest = ns % 1000000000;

	if (rest < 0)
		s--, rest += 1000000000;
	return (struct timespec){ .tv_sec = s, .tv_nsec = rest };
}

static int past_of(const struct node *node, uint64_t *seq, uint64_t *ino)
{
	enum past_place place;

	if (past_of_number(node->number, &place, seq, ino))
		return 0;
	return err_set(ESTALE, "no such node of the past");
}

static int past_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	struct node_row row;
	uint64_t seq, ino;
	int rc = past_of(node, &seq, &ino);

	if (!rc)
		rc = catalog_node_at(fs->catalog, seq, ino, &row);
	if (!rc)
		rc = past_permission(fs, seq, &row, false, st);
	if (rc)
		return rc;
	st->st_nlink = row.nlink ? row.nlink : 1;
	st->st_size = S_ISDIR(row.mode) ? 0 : (off_t)row.size;
	st->st_atim = timespec_of(row.atime_ns);
	st->st_mtim = timespec_of(row.mtime_ns);
	st->st_ctim = timespec_of(row.ctime_ns);
	return 0;
}

static int past_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		       struct node *out)
{
	struct node_row row;
	uint64_t seq, ino;
	int rc = past_of(folder, &seq, &ino);

	(void)who;
	if (!rc)
		rc = catalog_lookup_at(fs->catalog, seq, ino, name, &row);
	out->ops = &node_ops_past;
	return rc ? rc : past_number(seq, row.ino, &out->number);
}

static int past_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	scope_entries struct entries entries = { 0 };
	uint64_t seq, ino, number;
	int rc = past_of(folder, &seq, &ino);

	(void)who;
	if (!rc)
		rc = catalog_list_at(fs->catalog, seq, ino, &entries);
	for (size_t i = 0; !rc && i < entries.count; i++) {
		rc = past_number(seq, entries.list[i].ino, &number);
		if (!rc)
			rc = node_emit_one(emit, ctx, &node_ops_past, number, entries.list[i].name);
	}
	return rc < 0 ? rc : 0;
}

static int past_readlink(struct fs *fs, const struct node *node, struct buf *target)
{
	scope_free char *text = NULL;
	uint64_t seq, ino;
	int rc = past_of(node, &seq, &ino);

	if (!rc)
		rc = catalog_symlink_at(fs->catalog, seq, ino, &text);
	if (!rc)
		buf_put(target, text, strlen(text));
	return rc;
}

static int64_t past_bytes(struct fs *fs, const struct node *node, uint64_t off, void *to, size_t len)
{
	uint64_t seq, ino;
	int64_t n = past_of(node, &seq, &ino);

	if (!n)
		n = past_read(fs, seq, ino, node->number, off, to, len);
	return n;
}

static int past_xattr_get(struct fs *fs, const struct caller *who, const struct node *node, const char *name,
			  struct buf *value)
{
	uint64_t seq, ino;
	int rc = past_of(node, &seq, &ino);

	(void)who;
	if (strncmp(name, "user.", 5) != 0)
		return -ENODATA;
	return rc ? rc : catalog_xattr_at(fs->catalog, seq, ino, name, value);
}

static int past_xattr_list(struct fs *fs, const struct caller *who, const struct node *node, struct buf *names)
{
	scope_buf struct buf all = { 0 };
	uint64_t seq, ino;
	int rc = past_of(node, &seq, &ino);

	(void)who;
	if (!rc)
		rc = catalog_xattr_list_at(fs->catalog, seq, ino, &all);
	for (size_t at = 0, len; !rc && at < all.len; at += len + 1) {
		const char *name = (const char *)all.data + at;

		len = strlen(name);
		if (strncmp(name, "user.", 5) == 0)
			buf_put(names, name, len + 1);
	}
	return rc;
}

const struct node_ops node_ops_past = {
	.kind = "the past",
	.attr = past_attr,
	.lookup = past_lookup,
	.list = past_list,
	.readlink = past_readlink,
	.read = past_bytes,
	.xattr_get = past_xattr_get,
	.xattr_list = past_xattr_list,
};

/* ---- history/at/TIME: holds datasets/ ---- */

static int moment_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	uint64_t seq, ino;
	int rc = past_of(node, &seq, &ino);

	if (!rc)
		node_attr_folder(fs, 0555, st);
	return rc;
}

static int moment_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			 struct node *out)
{
	uint64_t seq, ino;
	int rc = past_of(folder, &seq, &ino);

	(void)fs, (void)who;
	if (!rc && strcmp(name, "datasets") != 0)
		rc = err_set(ENOENT, "%s: of the past there is datasets/ only", name);
	out->ops = &node_ops_past;
	return rc ? rc : past_number(seq, INO_DATASETS, &out->number);
}

static int moment_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	struct node datasets;
	int rc = moment_lookup(fs, who, folder, "datasets", &datasets);

	if (!rc)
		rc = node_emit_one(emit, ctx, datasets.ops, datasets.number, "datasets");
	return rc < 0 ? rc : 0;
}

const struct node_ops node_ops_moment = {
	.kind = "a moment of the past",
	.type = S_IFDIR,
	.attr = moment_attr,
	.lookup = moment_lookup,
	.list = moment_list,
};

/* ---- history/at: nothing is listed, a look-up of a time finds it ---- */

static int at_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	node_attr_folder(fs, 0555, st);
	return 0;
}

static int at_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		     struct node *out)
{
	int64_t time_ns;
	uint64_t seq;
	int rc;

	(void)who, (void)folder;
	if (!history_time(name, &time_ns))
		return err_set(ENOENT, "%s: is not a time, as 2026-11-20, 2026-11-20T10:00 or @GMT-2026.11.20-10.00.00 (UTC)", name);
	if (time_ns - (strlen(name) == DATE_LEN ? DAY_NS : 0) > now_ns()) /* today is a date, and has begun */
		return err_set(ENOENT, "%s: is in the future", name);
	rc = catalog_moment(fs->catalog, time_ns, &seq);
	out->ops = &node_ops_moment;
	return rc ? rc : past_number(seq, INO_ROOT, &out->number);
}

static int at_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	(void)fs, (void)who, (void)folder, (void)emit, (void)ctx;
	return 0;
}

const struct node_ops node_ops_at = {
	.kind = "moments of the past",
	.type = S_IFDIR,
	.attr = at_attr,
	.lookup = at_lookup,
	.list = at_list,
};

const struct node_ops *node_past_resolve(uint64_t number)
{
	uint64_t moment = number >> PAST_INO_BITS & ((1ULL << PAST_MOMENT_BITS) - 1);

	switch (moment) {
	case PLACE_TRASH:
		return &node_ops_trash;
	case PLACE_VERSIONS:
		return &node_ops_versions;
	case PLACE_OLD:
		return &node_ops_old;
	default:
		if (moment < PLACE_MOMENTS)
			return NULL;
		return (number & ((1ULL << PAST_INO_BITS) - 1)) == INO_ROOT ? &node_ops_moment : &node_ops_past;
	}
}
