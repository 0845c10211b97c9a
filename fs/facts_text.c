/* facts_text: walks over the files of a dataset, for what is said of each. */
#include <errno.h>
#include <string.h>

#include "fs/access.h"
#include "fs/facts_internal.h"
#include "store/err.h"

struct walk {
	struct fs *fs;
	struct node_row top;
	bool junk;
	facts_each each;
	void *ctx;
	struct buf path; /* of the folder that is read, with a '/' at its end */
};

static int walk_folder(struct walk *w, uint64_t folder, unsigned depth);

static int walk_entry(struct walk *w, const struct entry *e, unsigned depth)
{
	size_t len = w->path.len;
	struct node_row row;
	int rc;

	if ((!S_ISREG(e->mode) && !S_ISDIR(e->mode)) || (!w->junk && name_is_hidden(e->name)))
		return 0;
	rc = catalog_node(w->fs->catalog, e->ino, &row);
	if (rc || row.dataset) /* gone, or a dataset of its own */
		return rc == -ENOENT ? 0 : rc;
	if (access_is_stricter(w->fs, &w->top, &row))
		return 0;
	buf_printf(&w->path, "%s%s", e->name, S_ISDIR(e->mode) ? "/" : "");
	if (buf_failed(&w->path))
		return err_set(ENOMEM, "no memory for a path");
	if (S_ISDIR(e->mode))
		rc = walk_folder(w, e->ino, depth + 1);
	else
		rc = w->each(w->ctx, buf_text(&w->path), e->ino);
	w->path.len = len;
	return rc;
}

static int walk_folder(struct walk *w, uint64_t folder, unsigned depth)
{
	scope_entries struct entries entries = { 0 };
	int rc = depth > FACTS_DEPTH_MAX ? 0 : catalog_list(w->fs->catalog, folder, &entries);

	for (size_t i = 0; !rc && i < entries.count; i++)
		rc = walk_entry(w, &entries.list[i], depth);
	return rc == -ENOENT ? 0 : rc; /* removed meanwhile */
}

int facts_files(struct fs *fs, const struct dataset_row *row, bool junk, facts_each each, void *ctx)
{
	struct walk w = { .fs = fs, .junk = junk, .each = each, .ctx = ctx };
	struct node_row top;
	int rc = catalog_node(fs->catalog, row->ino, &top);

	if (rc)
		return rc;
	if (!S_ISDIR(top.mode))
		return each(ctx, top.name, top.ino);
	w.top = top;
	rc = walk_folder(&w, top.ino, 0);
	buf_free(&w.path);
	return rc;
}

struct broken {
	struct fs *fs;
	facts_broken_each each;
	void *ctx;
};

static int look_at_probe(void *ctx, const char *path, uint64_t ino)
{
	struct broken *b = ctx;
	struct record_memory *memory = NULL;
	struct record_probe probe;
	int rc = catalog_probe(b->fs->catalog, ino, &probe, &memory);

	if (rc)
		return rc == -ENOENT ? 0 : rc; /* not looked into, nothing found */
	if (probe.error && *probe.error)
		rc = b->each(b->ctx, path, probe.error);
	record_memory_free(memory);
	return rc;
}

int facts_broken(struct fs *fs, const struct dataset_row *row, facts_broken_each each, void *ctx)
{
	struct broken b = { .fs = fs, .each = each, .ctx = ctx };

	return facts_files(fs, row, false, look_at_probe, &b);
}
