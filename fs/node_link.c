/* node_link: a relative symlink to a dataset's place below datasets/, from any of the virtual folders. */
#include <errno.h>
#include <string.h>

#include "fs/access.h"
#include "fs/node_dataset.h"
#include "store/err.h"

static const char *way_up(uint32_t where)
{
	switch (where) {
	case LINK_ID:
		return "../datasets/";
	case LINK_DATE:
		return "../../../../datasets/";
	default:
		return "../../datasets/";
	}
}

static int link_readlink(struct fs *fs, const struct node *node, struct buf *target)
{
	scope_free char *path = NULL;
	struct dataset_row row;
	int rc = catalog_dataset(fs->catalog, number_dataset(node->number), &row);

	if (!rc && row.removed)
		rc = err_set(ENOENT, "%s: the dataset was removed", row.name);
	if (!rc)
		rc = catalog_path(fs->catalog, row.ino, &path);
	if (rc)
		return rc;
	buf_printf(target, "%s%s", way_up(number_upper(node->number)), path);
	return 0;
}

static int link_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	scope_buf struct buf target = { 0 };
	struct dataset_row row;
	struct node_row top;
	int rc = link_readlink(fs, node, &target);

	if (!rc)
		rc = catalog_dataset(fs->catalog, number_dataset(node->number), &row);
	if (!rc)
		rc = catalog_node(fs->catalog, row.ino, &top);
	if (rc)
		return rc;
	st->st_mode = S_IFLNK | 0777;
	st->st_uid = top.uid;
	st->st_gid = top.gid;
	st->st_size = (off_t)target.len;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = row.arrived_ns / 1000000000;
	return 0;
}

/* cp -a of a scan into a tag ends with chown and utimens on the entry that it made, which is a link by then: the dataset is meant. */
static int link_set_attr(struct fs *fs, const struct caller *who, const struct node *node, const struct attr_change *change)
{
	struct node top = { .ops = &node_ops_real };
	struct attr_change of_top = *change;
	struct dataset_row row;
	int rc = catalog_dataset(fs->catalog, number_dataset(node->number), &row);

	if (rc)
		return rc;
	rc = may(fs, &row, who, VERB_WRITE);
	if (rc)
		return rc;
	top.number = row.ino;
	of_top.set &= (unsigned)(CHANGE_UID | CHANGE_GID | CHANGE_ATIME | CHANGE_MTIME);
	rc = node_set_attr(fs, who, &top, &of_top);
	if (!rc && fs->forget_node)
		fs->forget_node(fs, row.ino);
	return rc;
}

const struct node_ops node_ops_link = {
	.kind = "a link to a dataset",
	.type = S_IFLNK,
	.attr = link_attr,
	.readlink = link_readlink,
	.set_attr = link_set_attr,
};
