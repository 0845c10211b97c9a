/* node_info: info/NAME/ of every dataset: facts.json, sha256, and error.txt when something is wrong. */
#include <errno.h>
#include <string.h>

#include "fs/access.h"
#include "fs/arrival.h"
#include "fs/facts_internal.h"
#include "fs/node_dataset.h"
#include "index/acl.h"
#include "store/err.h"
#include "store/log.h"

/* ---- info/ ---- */

static int infos_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	node_attr_folder(fs, 0555, st);
	return 0;
}

static int infos_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			struct node *out)
{
	struct dataset_row row;
	int rc = dataset_named(fs, who, name, SCOPE_ALL, &row);

	(void)folder;
	if (!rc)
		*out = (struct node){ .number = thing_number(THING_INFO, row.number), .ops = &node_ops_info };
	return rc;
}

static int infos_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	(void)folder;
	return dataset_emit_things(fs, who, SCOPE_ALL, THING_INFO, &node_ops_info, emit, ctx);
}

const struct node_ops node_ops_infos = {
	.kind = "info",
	.type = S_IFDIR,
	.attr = infos_attr,
	.lookup = infos_lookup,
	.list = infos_list,
};

/* ---- the texts ---- */

static int row_of(struct fs *fs, const struct node *node, struct dataset_row *row)
{
	int rc = catalog_dataset(fs->catalog, number_dataset(node->number), row);

	return !rc && row->removed ? err_set(ENOENT, "%s: the dataset was removed", row->name) : rc;
}

/* What just came in is looked at first. What could not be is no reason to show nothing. */
static void catch_up(struct fs *fs, uint32_t dataset)
{
	if (arrival_catch_up(fs->arrival, dataset))
		log_error("%s", err_text());
}

static int put_broken(void *ctx, const char *path, const char *error)
{
	buf_printf(ctx, "%s: %s\n", path, error);
	return 0;
}

/* Nothing is put when nothing is wrong. */
static int error_text(struct fs *fs, const struct dataset_row *row, struct buf *out)
{
	scope_images struct images images = { 0 };
	struct node_row top;
	int rc = catalog_node(fs->catalog, row->ino, &top);

	if (!rc)
		rc = catalog_images(fs->catalog, row->number, &images);
	if (rc && rc != -ENOENT)
		return rc;
	if (row->state == STATE_INCOMPLETE)
		buf_printf(out, "incomplete%s%s\n", *row->note ? ": " : "", row->note);
	for (size_t i = 0; i < images.count; i++)
		if (*images.list[i].error && !access_hides(fs, row, images.list[i].ino))
			buf_printf(out, "%s: %s\n", facts_part(&images.list[i], &top), images.list[i].error);
	return facts_broken(fs, row, put_broken, out);
}

/* A line as sha256sum writes it: it begins with a backslash when the name holds a backslash or line end, which are escaped. */
static void put_sum(struct buf *out, const uint8_t sha[32], const char *path)
{
	buf_printf(out, "%s", strpbrk(path, "\\\n\r") ? "\\" : "");
	for (size_t i = 0; i < 32; i++)
		buf_printf(out, "%02x", sha[i]);
	buf_printf(out, "  ");
	for (; *path; path++) {
		const char *two = *path == '\\' ? "\\\\" : *path == '\n' ? "\\n" : *path == '\r' ? "\\r" : NULL;

		buf_put(out, two ? two : path, two ? 2 : 1);
	}
	buf_printf(out, "\n");
}

struct sums {
	struct fs *fs;
	struct buf *out;
};

static int add_sum(void *ctx, const char *path, uint64_t ino)
{
	struct sums *s = ctx;
	struct content content;
	int rc = catalog_content(s->fs->catalog, ino, &content);

	if (!rc && content.sha256_known)
		put_sum(s->out, content.sha256, path);
	return rc == -ENOENT ? 0 : rc; /* removed, or never written */
}

static int sha256_text(struct fs *fs, const struct dataset_row *row, struct buf *out)
{
	struct sums s = { .fs = fs, .out = out };

	return facts_files(fs, row, true, add_sum, &s);
}

static int thing_text(struct fs *fs, const struct node *node, struct buf *out)
{
	uint32_t thing = number_upper(node->number), number = number_dataset(node->number);
	struct dataset_row row;
	int rc;

	if (thing != THING_SHA256)
		catch_up(fs, number);
	rc = row_of(fs, node, &row);
	if (rc)
		return rc;
	if (thing == THING_FACTS)
		rc = facts_json(fs, &row, out);
	else
		rc = thing == THING_ERROR ? error_text(fs, &row, out) : sha256_text(fs, &row, out);
	return !rc && buf_failed(out) ? err_set(ENOMEM, "%s: no memory for a text", row.name) : rc;
}

static void set_times(const struct dataset_row *row, struct stat *st)
{
	st->st_mtim.tv_sec = row->arrived_ns / 1000000000;
	st->st_mtim.tv_nsec = row->arrived_ns % 1000000000;
	st->st_atim = st->st_ctim = st->st_mtim;
}

/* Who may write the top may write facts.json. Where there is an access control list, only the owner; others set facts as attributes. */
static int add_write_bits(struct fs *fs, const struct dataset_row *row, struct stat *st, struct acl *acl)
{
	struct node_row top;
	int rc = catalog_node(fs->catalog, row->ino, &top);

	if (rc)
		return rc;
	st->st_mode |= top.mode & (acl->count ? 0200 : 0222) & (st->st_mode & 0444) >> 1;
	if (acl->count)
		acl->list[0].perm |= st->st_mode >> 6 & 2;
	return 0;
}

static int thing_attr(struct fs *fs, const struct node *node, struct stat *st, struct acl *acl)
{
	uint32_t thing = number_upper(node->number);
	scope_buf struct buf text = { 0 };
	struct acl own;
	struct dataset_row row;
	int rc = thing_text(fs, node, &text);

	if (!rc)
		rc = row_of(fs, node, &row);
	if (rc)
		return rc;
	st->st_mode = S_IFREG;
	st->st_size = (off_t)text.len;
	set_times(&row, st);
	rc = access_of_dataset(fs, &row, thing == THING_SHA256 ? SHOW_FULL : SHOW_LOOK, st, acl ? acl : &own);
	return !rc && thing == THING_FACTS ? add_write_bits(fs, &row, st, acl ? acl : &own) : rc;
}

static int facts_write(struct fs *fs, const struct caller *who, const struct node *node, const struct buf *text)
{
	struct dataset_row row;
	int rc = row_of(fs, node, &row);

	if (!rc)
		rc = facts_edit(fs, who, &row, text->data, text->len);
	if (!rc && fs->forget_node)
		fs->forget_node(fs, node->number);
	return rc;
}

const struct node_ops node_ops_facts = {
	.kind = "facts.json",
	.type = S_IFREG,
	.shown = thing_attr,
	.text = thing_text,
	.text_write = facts_write,
};

const struct node_ops node_ops_info_text = {
	.kind = "a text of a dataset",
	.type = S_IFREG,
	.shown = thing_attr,
	.text = thing_text,
};

/* ---- info/NAME ---- */

static const struct thing {
	const char *name;
	enum dataset_thing thing;
	const struct node_ops *ops;
} things[] = {
	{ "error.txt", THING_ERROR, &node_ops_info_text },
	{ "facts.json", THING_FACTS, &node_ops_facts },
	{ "sha256", THING_SHA256, &node_ops_info_text },
};
enum { THINGS = sizeof things / sizeof *things };

static int info_attr(struct fs *fs, const struct node *node, struct stat *st, struct acl *acl)
{
	struct dataset_row row;
	int rc = row_of(fs, node, &row);

	if (rc)
		return rc;
	st->st_mode = S_IFDIR;
	set_times(&row, st);
	return access_of_dataset(fs, &row, SHOW_LOOK, st, acl);
}

/* error.txt is there only when something is wrong. 0: it is there, -ENOENT: it is not. */
static int is_there(struct fs *fs, const struct dataset_row *row, const struct thing *thing)
{
	scope_buf struct buf text = { 0 };
	int rc = thing->thing == THING_ERROR ? error_text(fs, row, &text) : 0;

	if (!rc && thing->thing == THING_ERROR && !text.len && !buf_failed(&text))
		return err_set(ENOENT, "nothing is wrong with %s", row->name);
	return rc;
}

/* The dataset, brought up to date. */
static int info_of(struct fs *fs, const struct caller *who, const struct node *folder, struct dataset_row *row)
{
	uint32_t number = number_dataset(folder->number);
	int rc = dataset_for(fs, who, number, SCOPE_ALL, row);

	if (rc)
		return rc;
	catch_up(fs, number);
	return catalog_dataset(fs->catalog, number, row);
}

static int info_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		       struct node *out)
{
	struct dataset_row row;

	for (size_t i = 0; i < THINGS; i++) {
		int rc;

		if (strcmp(things[i].name, name) != 0)
			continue;
		rc = info_of(fs, who, folder, &row);
		if (!rc)
			rc = is_there(fs, &row, &things[i]);
		if (!rc)
			*out = (struct node){ .number = thing_number(things[i].thing, row.number), .ops = things[i].ops };
		return rc;
	}
	return err_set(ENOENT, "%s: not found", name);
}

static int info_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	struct dataset_row row;
	int rc = info_of(fs, who, folder, &row);

	for (size_t i = 0; !rc && i < THINGS; i++) {
		rc = is_there(fs, &row, &things[i]);
		if (!rc)
			rc = node_emit_one(emit, ctx, things[i].ops, thing_number(things[i].thing, row.number),
					   things[i].name);
		else if (rc == -ENOENT)
			rc = 0;
	}
	return rc < 0 ? rc : 0;
}

const struct node_ops node_ops_info = {
	.kind = "a folder of info",
	.type = S_IFDIR,
	.shown = info_attr,
	.lookup = info_lookup,
	.list = info_list,
};
