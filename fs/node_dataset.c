#include "fs/node_dataset.h"

#include <errno.h>

#include "fs/access.h"
#include "store/err.h"

const struct node_ops *node_dataset_resolve(uint64_t what)
{
	switch ((enum dataset_thing)(what >> DATASET_BITS)) {
	case THING_VIEWS:
		return &node_ops_image_folder;
	case THING_PICTURE:
		return &node_ops_picture;
	case THING_INFO:
		return &node_ops_info;
	case THING_FACTS:
		return &node_ops_facts;
	case THING_ERROR:
	case THING_SHA256:
		return &node_ops_info_text;
	}
	return NULL;
}

static bool in_scope(const struct dataset_row *row, enum dataset_scope scope)
{
	return !row->removed && (scope == SCOPE_ALL || row->role == ROLE_DATASET);
}

static int checked(struct fs *fs, const struct caller *who, enum dataset_scope scope, const struct dataset_row *row)
{
	if (!in_scope(row, scope) || may(fs, row, who, VERB_LOOK))
		return err_set(ENOENT, "there is no such dataset");
	return 0;
}

int dataset_for(struct fs *fs, const struct caller *who, uint32_t number, enum dataset_scope scope,
		struct dataset_row *row)
{
	int rc = catalog_dataset(fs->catalog, number, row);

	return rc ? rc : checked(fs, who, scope, row);
}

int dataset_named(struct fs *fs, const struct caller *who, const char *name, enum dataset_scope scope,
		  struct dataset_row *row)
{
	int rc = catalog_dataset_by_name(fs->catalog, name, row);

	return rc ? rc : checked(fs, who, scope, row);
}

int dataset_each(struct fs *fs, const struct caller *who, const uint32_t *list, size_t count, enum dataset_scope scope,
		 int (*each)(void *ctx, const struct dataset_row *row), void *ctx)
{
	struct dataset_row row;
	int rc = 0;

	for (size_t i = 0; !rc && i < count; i++) {
		rc = dataset_for(fs, who, list[i], scope, &row);
		if (rc == -ENOENT)
			rc = 0;
		else if (!rc)
			rc = each(ctx, &row);
	}
	return rc;
}

struct links {
	uint32_t where;
	node_emit emit;
	void *ctx;
};

static int emit_link(void *ctx, const struct dataset_row *row)
{
	struct links *l = ctx;
	const char *name = l->where == LINK_ID ? row->id : row->name;

	return node_emit_one(l->emit, l->ctx, &node_ops_link, link_number(l->where, row->number), name);
}

int dataset_emit_links(struct fs *fs, const struct caller *who, const uint32_t *list, size_t count,
		       enum dataset_scope scope, uint32_t where, node_emit emit, void *ctx)
{
	struct links l = { .where = where, .emit = emit, .ctx = ctx };

	return dataset_each(fs, who, list, count, scope, emit_link, &l);
}

struct things {
	enum dataset_thing thing;
	const struct node_ops *ops;
	node_emit emit;
	void *ctx;
};

static int emit_thing(void *ctx, const struct dataset_row *row)
{
	struct things *t = ctx;

	return node_emit_one(t->emit, t->ctx, t->ops, thing_number(t->thing, row->number), row->name);
}

int dataset_emit_things(struct fs *fs, const struct caller *who, enum dataset_scope scope, enum dataset_thing thing,
			const struct node_ops *ops, node_emit emit, void *ctx)
{
	struct things t = { .thing = thing, .ops = ops, .emit = emit, .ctx = ctx };
	scope_free uint32_t *list = NULL;
	size_t count = 0;
	int rc = catalog_datasets(fs->catalog, &list, &count);

	if (!rc)
		rc = dataset_each(fs, who, list, count, scope, emit_thing, &t);
	return rc < 0 ? rc : 0;
}
