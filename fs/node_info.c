/* node_info: info/NAME: facts.json (editable), error.txt (when something is wrong), sha256 (for sha256sum -c). */
#include <errno.h>
#include <string.h>

#include "fs/access.h"
#include "fs/arrival.h"
#include "fs/facts_internal.h"
#include "fs/node_dataset.h"
#include "store/err.h"
#include "store/log.h"

static void catch_up(struct fs *fs, uint32_t dataset)
{
	if (arrival_catch_up(fs->arrival, dataset))
		log_error("%s", err_text());
}

/* ---- info/ ---- */

static int infos_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	node_attr_folder(fs, 0555, st);
	return 0;
}

static int infos_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name, struct node *out)
{
	struct dataset_row row;
	int rc = dataset_named(fs, who, name, SCOPE_ALL, &row);

	(void)folder;
	if (!rc)
		*out = (struct node){ .number = thing_number(THING_INFO, row.number), .ops = &node_ops_info };
	return rc;
}

struct listing_to {
	node_emit emit;
	void *ctx;
};

static int emit_info(void *ctx, const struct dataset_row *row)
{
	struct listing_to *l = ctx;

	return node_emit_one(l->emit, l->ctx, &node_ops_info, thing_number(THING_INFO, row->number), row->name);
}

static int infos_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	struct listing_to l = { .emit = emit, .ctx = ctx };
	scope_free uint32_t *list = NULL;
	size_t count = 0;
	int rc = catalog_datasets(fs->catalog, &list, &count);

	(void)folder;
	if (!rc)
		rc = dataset_each(fs, who, list, count, SCOPE_ALL, emit_info, &l);
	return rc < 0 ? rc : 0;
}

const struct node_ops node_ops_infos = {
	.kind = "info",
	.type = S_IFDIR,
	.attr = infos_attr,
	.lookup = infos_lookup,
	.list = infos_list,
};

/* ---- the texts ---- */

static int put_broken(void *ctx, const char *path, const char *error)
{
	struct buf *out = ctx;

	buf_printf(out, "%s: %s\n", path, error);
	return out->len > 1 << 20; /* enough to see what is wrong */
}

static int make_error(struct fs *fs, const struct dataset_row *row, struct buf *out)
{
	scope_images struct images images = { 0 };
	int rc;

	if (row->state == STATE_INCOMPLETE)
		buf_printf(out, "incomplete: %s\n", row->note);
	rc = catalog_images(fs->catalog, row->number, &images);
	for (size_t i = 0; !rc && i < images.count; i++)
		if (*images.list[i].error)
			buf_printf(out, "%s\n", images.list[i].error);
	rc = facts_broken(fs, row, put_broken, out);
	return rc < 0 ? rc : 0;
}

struct sums {
	struct fs *fs;
	struct buf *out;
};

/* As sha256sum writes it: a name with a newline or backslash is escaped, and the line begins with a backslash. */
static int put_sum(void *ctx, const char *path, uint64_t ino)
{
	struct sums *s = ctx;
	struct content content;

	if (catalog_content(s->fs->catalog, ino, &content) || !content.sha256_known)
		return 0;
	if (strpbrk(path, "\\\n\r"))
		buf_u8(s->out, '\\');
	for (size_t i = 0; i < sizeof content.sha256; i++)
		buf_printf(s->out, "%02x", content.sha256[i]);
	buf_printf(s->out, "  ");
	for (; *path; path++) {
		if (*path == '\\' || *path == '\n' || *path == '\r')
			buf_printf(s->out, "\\%c", *path == '\n' ? 'n' : *path == '\r' ? 'r' : '\\');
		else
			buf_u8(s->out, (uint8_t)*path);
	}
	buf_u8(s->out, '\n');
	return 0;
}

static int make_sums(struct fs *fs, const struct dataset_row *row, struct buf *out)
{
	struct sums s = { .fs = fs, .out = out };
	int rc = facts_files(fs, row, true, put_sum, &s);

	return rc < 0 ? rc : 0;
}

static int make_text(struct fs *fs, const struct node *node, struct buf *out)
{
	struct dataset_row row;
	int rc = catalog_dataset(fs->catalog, number_dataset(node->number), &row);

	if (rc)
		return rc;
	switch ((enum dataset_thing)number_upper(node->number)) {
	case THING_FACTS:
		catch_up(fs, row.number);
		rc = catalog_dataset(fs->catalog, row.number, &row);
		return rc ? rc : facts_json(fs, &row, out);
	case THING_ERROR:
		return make_error(fs, &row, out);
	case THING_SHA256:
		return make_sums(fs, &row, out);
	default:
		return err_set(ENOENT, "there is no such text");
	}
}

/* Who may write the dataset's top may write its facts. */
static int add_write_bits(struct fs *fs, const struct dataset_row *row, struct stat *st)
{
	struct node_row top;
	int rc = catalog_node(fs->catalog, row->ino, &top);

	if (!rc)
		st->st_mode |= top.mode & 0222 & (st->st_mode & 0444) >> 1;
	return rc;
}

static int text_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	scope_buf struct buf text = { 0 };
	struct dataset_row row;
	enum dataset_thing thing = (enum dataset_thing)number_upper(node->number);
	int rc = make_text(fs, node, &text);

	if (!rc)
		rc = catalog_dataset(fs->catalog, number_dataset(node->number), &row);
	st->st_mode = S_IFREG;
	if (!rc)
		rc = access_of_dataset(fs, &row, thing == THING_SHA256 ? SHOW_FULL : SHOW_LOOK, st);
	if (!rc && thing == THING_FACTS)
		rc = add_write_bits(fs, &row, st);
	if (rc)
		return rc;
	st->st_size = (off_t)text.len;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = row.arrived_ns / 1000000000;
	return 0;
}

static int facts_write(struct fs *fs, const struct caller *who, const struct node *node, const struct buf *text)
{
	struct dataset_row row;
	int rc = catalog_dataset(fs->catalog, number_dataset(node->number), &row);

	if (!rc)
		rc = may(fs, &row, who, VERB_WRITE);
	return rc ? rc : facts_edit(fs, who, &row, text->data, text->len);
}

const struct node_ops node_ops_facts = {
	.kind = "facts.json",
	.type = S_IFREG,
	.attr = text_attr,
	.text = make_text,
	.text_write = facts_write,
};

const struct node_ops node_ops_info_text = {
	.kind = "a text about a dataset",
	.type = S_IFREG,
	.attr = text_attr,
	.text = make_text,
};

/* ---- info/NAME ---- */

struct text_row {
	const char *name;
	enum dataset_thing thing;
	const struct node_ops *ops;
};

static const struct text_row text_rows[] = {
	{ "facts.json", THING_FACTS, &node_ops_facts },
	{ "error.txt", THING_ERROR, &node_ops_info_text },
	{ "sha256", THING_SHA256, &node_ops_info_text },
	{ NULL, 0, NULL },
};

/* error.txt is there only when something is wrong. */
static bool is_there(struct fs *fs, const struct text_row *r, uint32_t dataset)
{
	scope_buf struct buf text = { 0 };
	struct dataset_row row;

	if (r->thing != THING_ERROR)
		return true;
	return !catalog_dataset(fs->catalog, dataset, &row) && !make_error(fs, &row, &text) && text.len;
}

static int info_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	struct dataset_row row;
	int rc = catalog_dataset(fs->catalog, number_dataset(node->number), &row);

	st->st_mode = S_IFDIR;
	if (!rc)
		rc = access_of_dataset(fs, &row, SHOW_LOOK, st);
	if (rc)
		return rc;
	st->st_nlink = 2;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = row.arrived_ns / 1000000000;
	return 0;
}

static int info_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name, struct node *out)
{
	uint32_t dataset = number_dataset(folder->number);

	(void)who;
	for (const struct text_row *r = text_rows; r->name; r++) {
		if (strcmp(r->name, name) != 0)
			continue;
		catch_up(fs, dataset);
		if (!is_there(fs, r, dataset))
			break;
		*out = (struct node){ .number = thing_number(r->thing, dataset), .ops = r->ops };
		return 0;
	}
	return err_set(ENOENT, "%s: not found", name);
}

static int info_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	uint32_t dataset = number_dataset(folder->number);
	int rc = 0;

	(void)who;
	catch_up(fs, dataset);
	for (const struct text_row *r = text_rows; r->name && !rc; r++)
		if (is_there(fs, r, dataset))
			rc = node_emit_one(emit, ctx, r->ops, thing_number(r->thing, dataset), r->name);
	return rc < 0 ? rc : 0;
}

const struct node_ops node_ops_info = {
	.kind = "info of a dataset",
	.type = S_IFDIR,
	.attr = info_attr,
	.lookup = info_lookup,
	.list = info_list,
};
