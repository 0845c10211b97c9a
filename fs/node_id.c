/* node_id: by-id/ID, the link that never breaks: for papers, mails and macros. Read-only. */
#include "fs/node_dataset.h"

static int ids_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	node_attr_folder(fs, 0555, st);
	return 0;
}

static int ids_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		      struct node *out)
{
	struct dataset_row row;
	int rc = catalog_dataset_by_id(fs->catalog, name, &row);

	(void)folder;
	if (!rc)
		rc = dataset_for(fs, who, row.number, SCOPE_ALL, &row);
	if (!rc)
		*out = (struct node){ .number = link_number(LINK_ID, row.number), .ops = &node_ops_link };
	return rc;
}

static int ids_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	scope_free uint32_t *list = NULL;
	size_t count = 0;
	int rc = catalog_datasets(fs->catalog, &list, &count);

	(void)folder;
	if (!rc)
		rc = dataset_emit_links(fs, who, list, count, SCOPE_ALL, LINK_ID, emit, ctx);
	return rc < 0 ? rc : 0;
}

const struct node_ops node_ops_ids = {
	.kind = "by-id",
	.type = S_IFDIR,
	.attr = ids_attr,
	.lookup = ids_lookup,
	.list = ids_list,
};
