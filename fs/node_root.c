/*
 * node_root: the root of the mount and its fixed children. One table answers listing and look-up of every fixed folder, so they
 * cannot disagree.
 */
#include <errno.h>
#include <string.h>

#include "fs/facet.h"
#include "fs/history.h"
#include "fs/node_dataset.h"
#include "fs/texts.h"
#include "store/err.h"

/* Numbers in node numbers (CLASS_FIXED): never renumber. The facets stand at FACET_FIXED_FIRST + facet. */
enum fixed {
	FIXED_README = 1,
	FIXED_SEARCH = 2,
	FIXED_VIEWS = 3,
	FIXED_GALLERY = 4,
	FIXED_INFO = 5,
	FIXED_IDS = 6,
	FIXED_TOMOFS = 7,
	FIXED_VERSION = 8,
	FIXED_STATUS = 9,
	FIXED_DENSIFY = 10,
	FIXED_HISTORY = 11,
	FIXED_AT = 12,
	FIXED_TRASH_LINK = 13,
	FIXED_HISTORY_README = 14,
	FIXED_GC = 20,
	FIXED_HOLD = 21,
};

struct row {
	const char *name;
	const struct node_ops *ops;
	uint64_t number;
	int (*text)(struct fs *fs, struct buf *out); /* of text files */
};

#define FIXED(row) (NODE_VIRTUAL | (uint64_t)(row))
#define FACET(facet) (NODE_VIRTUAL | (uint64_t)(FACET_FIXED_FIRST + (facet)))

static const struct row root_rows[] = {
	{ "README.txt", &node_ops_text, FIXED(FIXED_README), text_readme },
	{ "datasets", &node_ops_real, INO_DATASETS, NULL },
	{ "by-sample", &node_ops_facet, FACET(FACET_SAMPLE), NULL },
	{ "by-instrument", &node_ops_facet, FACET(FACET_INSTRUMENT), NULL },
	{ "by-project", &node_ops_facet, FACET(FACET_PROJECT), NULL },
	{ "by-user", &node_ops_facet, FACET(FACET_OWNER), NULL },
	{ "by-date", &node_ops_dates, NODE_VIRTUAL | (uint64_t)CLASS_DATE << NODE_VIRTUAL_SHIFT, NULL },
	{ "by-id", &node_ops_ids, FIXED(FIXED_IDS), NULL },
	{ "by-tag", &node_ops_facet, FACET(FACET_TAG), NULL },
	{ "search", &node_ops_searches, FIXED(FIXED_SEARCH), NULL },
	{ "views", &node_ops_views, FIXED(FIXED_VIEWS), NULL },
	{ "gallery", &node_ops_gallery, FIXED(FIXED_GALLERY), NULL },
	{ "info", &node_ops_infos, FIXED(FIXED_INFO), NULL },
	{ "history", &node_ops_root, FIXED(FIXED_HISTORY), NULL },
	{ "trash", &node_ops_trash_link, FIXED(FIXED_TRASH_LINK), NULL },
	{ ".tomofs", &node_ops_root, FIXED(FIXED_TOMOFS), NULL },
	{ NULL, NULL, 0, NULL },
};

static const struct row tomofs_rows[] = {
	{ "version", &node_ops_text, FIXED(FIXED_VERSION), text_version },
	{ "status.json", &node_ops_text, FIXED(FIXED_STATUS), text_status },
	{ "densify", &node_ops_densify, FIXED(FIXED_DENSIFY), NULL },
	{ "gc", &node_ops_gc, FIXED(FIXED_GC), NULL },
	{ "hold", &node_ops_hold, FIXED(FIXED_HOLD), NULL },
	{ NULL, NULL, 0, NULL },
};

#define PLACE(place) (NODE_PAST | (uint64_t)(place) << PAST_INO_BITS | INO_DATASETS)

static const struct row history_rows[] = {
	{ "README.txt", &node_ops_text, FIXED(FIXED_HISTORY_README), text_history },
	{ "at", &node_ops_at, FIXED(FIXED_AT), NULL },
	{ "trash", &node_ops_trash, PLACE(PLACE_TRASH), NULL },
	{ "versions", &node_ops_versions, PLACE(PLACE_VERSIONS), NULL },
	{ NULL, NULL, 0, NULL },
};

static const struct row *const tables[] = { root_rows, tomofs_rows, history_rows };

static const struct row *rows_of(const struct node *folder)
{
	if (folder->number == FIXED(FIXED_HISTORY))
		return history_rows;
	return folder->number == FIXED(FIXED_TOMOFS) ? tomofs_rows : root_rows;
}

static const struct row *row_of_number(uint64_t number)
{
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (const struct row *r = tables[i]; r->name; r++)
			if (r->number == number)
				return r;
	return NULL;
}

const struct node_ops *node_root_resolve(uint64_t what)
{
	const struct row *r = row_of_number(FIXED(what));

	return r ? r->ops : NULL;
}

static int root_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	node_attr_folder(fs, 0555, st);
	return 0;
}

static int root_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		       struct node *out)
{
	(void)fs, (void)who;
	for (const struct row *r = rows_of(folder); r->name; r++) {
		if (strcmp(r->name, name) != 0)
			continue;
		*out = (struct node){ .number = r->number, .ops = r->ops };
		return 0;
	}
	return err_set(ENOENT, "%s: not found", name);
}

static int root_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	int rc = 0;

	(void)fs, (void)who;
	for (const struct row *r = rows_of(folder); r->name && !rc; r++)
		rc = node_emit_one(emit, ctx, r->ops, r->number, r->name);
	return rc < 0 ? rc : 0;
}

const struct node_ops node_ops_root = {
	.kind = "the mount's root",
	.type = S_IFDIR,
	.stable = true,
	.attr = root_attr,
	.lookup = root_lookup,
	.list = root_list,
};

/* ---- fixed text files ---- */

static int fixed_text(struct fs *fs, const struct node *node, struct buf *out)
{
	return row_of_number(node->number)->text(fs, out);
}

static int fixed_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	scope_buf struct buf text = { 0 };
	int rc = fixed_text(fs, node, &text);

	st->st_mode = S_IFREG | 0444;
	st->st_size = (off_t)text.len;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = fs->mounted_ns / 1000000000;
	return rc;
}

const struct node_ops node_ops_text = {
	.kind = "a text of the file system",
	.type = S_IFREG,
	.attr = fixed_attr,
	.text = fixed_text,
};
