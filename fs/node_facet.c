/*
 * node_facet: by-tag, by-sample, by-instrument, by-project and by-user, and the folders in them. One mechanism: a folder T is a
 * term; a link in it is a dataset that has it. mkdir T makes the term; ln -s, cp -r, mv or mkdir of a dataset into T gives the
 * dataset the term; rm of a link takes it away; mv T U renames it; rmdir removes an empty one. by-user is read-only.
 */
#include <errno.h>
#include <string.h>

#include "fs/access.h"
#include "fs/arrival.h"
#include "fs/facet.h"
#include "fs/node_dataset.h"
#include "fs/node_real.h"
#include "fs/xattr.h"
#include "store/err.h"

const struct facet_row facet_rows[] = {
	{ FACET_TAG, "by-tag", NULL },
	{ FACET_SAMPLE, "by-sample", "sample" },
	{ FACET_INSTRUMENT, "by-instrument", "instrument" },
	{ FACET_PROJECT, "by-project", "project" },
	{ FACET_OWNER, "by-user", NULL },
};
const size_t facet_row_count = sizeof facet_rows / sizeof *facet_rows;

static const struct facet_row *row_of(enum facet facet)
{
	for (size_t i = 0; i < facet_row_count; i++)
		if (facet_rows[i].facet == facet)
			return &facet_rows[i];
	return NULL;
}

/* by-user and the rest of what a facet is: its number is CLASS_FIXED, FACET_FIXED_FIRST + facet. */
static enum facet facet_of(const struct node *folder)
{
	return (enum facet)(node_what(folder->number) - FACET_FIXED_FIRST);
}

static uint32_t term_of(const struct node *folder)
{
	return (uint32_t)node_what(folder->number);
}

static bool writable(enum facet facet)
{
	return facet != FACET_OWNER;
}

/* Collections stand only where a person put them. */
static enum dataset_scope scope_of(enum facet facet)
{
	return facet == FACET_TAG ? SCOPE_ALL : SCOPE_SCANS;
}

static int refuse(enum facet facet)
{
	return writable(facet) ? 0 : err_set(EPERM, "by-user follows the owner of a dataset (chown changes it)");
}

/* Does the caller see the folder? When it is kept, or a dataset in it may be seen. */
static bool term_visible(struct fs *fs, const struct caller *who, const struct term *term)
{
	scope_free uint32_t *list = NULL;
	struct dataset_row row;
	size_t count = 0;

	if (term->kept)
		return true;
	if (catalog_term_members(fs->catalog, term->id, &list, &count))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!dataset_for(fs, who, list[i], scope_of(term->facet), &row))
			return true;
	return false;
}

/* ---- by-X: a folder of terms ---- */

static int facet_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	node_attr_folder(fs, writable(facet_of(node)) ? 0777 : 0555, st);
	return 0;
}

static int facet_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			struct node *out)
{
	struct term term;
	int rc;

	arrival_look_into_new(fs->arrival); /* so that what was just copied in is found */
	if (name[0] == '.')
		return err_set(ENOENT, "%s: no such folder", name);
	rc = catalog_term_find(fs->catalog, facet_of(folder), name, &term);
	if (rc)
		return rc;
	if (!term_visible(fs, who, &term))
		return err_set(ENOENT, "%s: no such folder", name);
	*out = node_make(&node_ops_term, CLASS_TERM, term.id);
	return 0;
}

static int facet_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	scope_free struct term *list = NULL;
	size_t count = 0;
	int rc;

	arrival_look_into_new(fs->arrival); /* so that what was just copied in is found */
	rc = catalog_terms(fs->catalog, facet_of(folder), &list, &count);
	for (size_t i = 0; !rc && i < count; i++)
		if (term_visible(fs, who, &list[i]))
			rc = node_emit_one(emit, ctx, &node_ops_term, node_number(CLASS_TERM, list[i].id), list[i].text);
	return rc < 0 ? rc : 0;
}

static int facet_mkdir(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		       uint32_t mode, struct node *out)
{
	struct actor actor = caller_actor(who);
	struct record r = { .kind = REC_TERM };
	struct term term;
	int rc = refuse(facet_of(folder));

	(void)mode;
	if (!rc)
		rc = tag_check(name);
	if (rc)
		return rc;
	r.term.facet = facet_of(folder);
	r.term.change = TERM_KEEP;
	r.term.text = name;
	r.term.new_text = "";
	rc = catalog_apply(fs->catalog, &actor, &r);
	if (!rc)
		rc = catalog_term_find(fs->catalog, r.term.facet, name, &term);
	if (!rc)
		*out = node_make(&node_ops_term, CLASS_TERM, term.id);
	return rc;
}

static int facet_rmdir(struct fs *fs, const struct caller *who, const struct node *folder, const char *name)
{
	struct actor actor = caller_actor(who);
	struct record r = { .kind = REC_TERM };
	int rc = refuse(facet_of(folder));

	if (rc)
		return rc;
	r.term.facet = facet_of(folder);
	r.term.change = TERM_DROP;
	r.term.text = name;
	r.term.new_text = "";
	return catalog_apply(fs->catalog, &actor, &r);
}

/* Renaming a term changes every dataset in it: the caller must be allowed to write them all. */
static int may_write_members(struct fs *fs, const struct caller *who, const struct term *term)
{
	scope_free uint32_t *list = NULL;
	struct dataset_row row;
	size_t count = 0;
	int rc = catalog_term_members(fs->catalog, term->id, &list, &count);

	for (size_t i = 0; !rc && i < count; i++) {
		rc = catalog_dataset(fs->catalog, list[i], &row);
		if (!rc)
			rc = may(fs, &row, who, VERB_WRITE);
	}
	return rc;
}

static int facet_rename_into(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			     const struct node *to, const char *new_name, unsigned flags)
{
	struct actor actor = caller_actor(who);
	struct record r = { .kind = REC_TERM };
	struct term term, there;
	int rc = refuse(facet_of(to));

	if (!rc && folder->number != to->number)
		rc = err_set(EPERM, "%s: only a folder of the same kind can be moved here", name);
	if (!rc && (flags & RENAME_EXCHANGE))
		rc = err_set(EINVAL, "two folders here cannot be exchanged");
	if (!rc)
		rc = tag_check(new_name);
	if (!rc)
		rc = catalog_term_find(fs->catalog, facet_of(folder), name, &term);
	if (!rc && (flags & RENAME_NOREPLACE) && !catalog_term_find(fs->catalog, facet_of(to), new_name, &there) &&
	    (there.kept || there.members))
		rc = err_set(EEXIST, "%s: is there already", new_name);
	if (!rc)
		rc = may_write_members(fs, who, &term);
	if (rc)
		return rc;
	r.term.facet = facet_of(to);
	r.term.change = TERM_RENAME;
	r.term.text = name;
	r.term.new_text = new_name;
	return catalog_apply(fs->catalog, &actor, &r);
}

const struct node_ops node_ops_facet = {
	.kind = "a by-folder",
	.type = S_IFDIR,
	.attr = facet_attr,
	.lookup = facet_lookup,
	.list = facet_list,
	.mkdir = facet_mkdir,
	.rmdir = facet_rmdir,
	.rename_into = facet_rename_into,
};

/* ---- by-X/T: links to the datasets that have it ---- */

static int term_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	struct term term;
	int rc = catalog_term(fs->catalog, term_of(node), &term);

	if (!rc)
		node_attr_folder(fs, writable(term.facet) ? 0777 : 0555, st);
	return rc;
}

static int term_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		       struct node *out)
{
	struct dataset_row row;
	struct term term;
	int rc = catalog_term(fs->catalog, term_of(folder), &term);

	if (!rc)
		rc = dataset_named(fs, who, name, scope_of(term.facet), &row);
	if (rc)
		return rc;
	if (!catalog_term_has(fs->catalog, term.id, row.number))
		return err_set(ENOENT, "%s: is not in %s", name, term.text);
	*out = (struct node){ .number = link_number(term.id, row.number), .ops = &node_ops_link };
	return 0;
}

static int term_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	scope_free uint32_t *list = NULL;
	struct term term;
	size_t count = 0;
	int rc = catalog_term(fs->catalog, term_of(folder), &term);

	arrival_look_into_new(fs->arrival); /* so that what was just copied in is found */
	if (!rc)
		rc = catalog_term_members(fs->catalog, term.id, &list, &count);
	if (!rc)
		rc = dataset_emit_links(fs, who, list, count, scope_of(term.facet), term.id, emit, ctx);
	return rc < 0 ? rc : 0;
}

/* Gives a dataset the term, or takes it away. Tags need reading, the fields writing. */
static int change_member(struct fs *fs, const struct caller *who, const struct term *term,
			 const struct dataset_row *row, bool remove)
{
	int rc = refuse(term->facet);

	if (!rc)
		rc = may(fs, row, who, term->facet == FACET_TAG ? VERB_READ : VERB_WRITE);
	if (rc)
		return rc;
	if (term->facet == FACET_TAG)
		return tag_change(fs, who, row->number, term->text, remove);
	rc = fact_set(fs, who, row->number, row_of(term->facet)->field, remove ? "" : term->text);
	if (!rc && remove && catalog_term_has(fs->catalog, term->id, row->number))
		rc = err_set(EPERM, "%s: its %s is what the record of the scanner says; give it another one instead", row->name,
			     row_of(term->facet)->field);
	return rc;
}

static int term_symlink(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			const char *target, struct node *out)
{
	struct dataset_row row;
	struct term term;
	int rc = catalog_term(fs->catalog, term_of(folder), &term);

	(void)name; /* the link is listed under the dataset's short name */
	if (!rc)
		rc = real_dataset_of_target(fs, target, &row);
	if (!rc)
		rc = change_member(fs, who, &term, &row, false);
	if (rc)
		return rc;
	*out = (struct node){ .number = link_number(term.id, row.number), .ops = &node_ops_link };
	return 0;
}

/* mkdir or create here makes it in datasets/ and gives it the term; the kernel is given the real one. mkdir of a dataset that is
 * there already gives it the term. */
static int term_make(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		     uint32_t mode, struct node *out)
{
	struct dataset_row row;
	struct node_row node;
	struct term term;
	int rc = catalog_term(fs->catalog, term_of(folder), &term);

	if (!rc)
		rc = refuse(term.facet);
	if (!rc && (name_is_junk(name) || name_is_temporary(name)))
		rc = err_set(EPERM, "%s: this name is never a dataset", name);
	if (rc)
		return rc;
	if (S_ISDIR(mode) && !dataset_named(fs, who, name, SCOPE_ALL, &row)) {
		*out = (struct node){ .number = row.ino, .ops = &node_ops_real };
		return change_member(fs, who, &term, &row, false);
	}
	rc = access_may_make(fs, who, INO_DATASETS);
	if (!rc)
		rc = real_make(fs, who, INO_DATASETS, name, mode, NULL, out);
	if (!rc)
		rc = catalog_node(fs->catalog, out->number, &node);
	if (!rc)
		rc = catalog_dataset(fs->catalog, node.dataset, &row);
	if (!rc)
		rc = change_member(fs, &caller_self, &term, &row, false);
	if (!rc && fs->forget_node)
		fs->forget_node(fs, INO_DATASETS);
	return rc;
}

static int term_mkdir(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		      uint32_t mode, struct node *out)
{
	return term_make(fs, who, folder, name, S_IFDIR | (mode & 07777), out);
}

static int term_create(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		       uint32_t mode, struct node *out)
{
	return term_make(fs, who, folder, name, S_IFREG | (mode & 07777), out);
}

static int term_unlink(struct fs *fs, const struct caller *who, const struct node *folder, const char *name)
{
	struct dataset_row row;
	struct term term;
	int rc = catalog_term(fs->catalog, term_of(folder), &term);

	if (!rc)
		rc = dataset_named(fs, who, name, SCOPE_ALL, &row);
	if (!rc && !catalog_term_has(fs->catalog, term.id, row.number))
		rc = err_set(ENOENT, "%s: is not in %s", name, term.text);
	return rc ? rc : change_member(fs, who, &term, &row, true);
}

/* The dataset that is being moved: a link of another term, or a dataset's top below datasets/. */
static int moved_dataset(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			 struct dataset_row *row)
{
	struct node_row node;
	int rc;

	if (folder->ops == &node_ops_term)
		return dataset_named(fs, who, name, SCOPE_ALL, row);
	if (folder->ops != &node_ops_real)
		return err_set(EPERM, "%s: only datasets and links to them can be moved here", name);
	rc = catalog_lookup(fs->catalog, folder->number, name, &node);
	if (!rc && !node.dataset)
		rc = err_set(EPERM, "%s: is not a dataset, but a part of one", name);
	return rc ? rc : catalog_dataset(fs->catalog, node.dataset, row);
}

static int term_rename_into(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			    const struct node *to, const char *new_name, unsigned flags)
{
	struct dataset_row row;
	struct term term, from;
	int rc = catalog_term(fs->catalog, term_of(to), &term);

	if (!rc && (flags & RENAME_EXCHANGE))
		rc = err_set(EINVAL, "links to datasets cannot be exchanged");
	if (!rc)
		rc = moved_dataset(fs, who, folder, name, &row);
	if (!rc && folder->number == to->number && strcmp(name, new_name) != 0)
		rc = err_set(EPERM, "%s: links carry the name of their dataset; rename it in datasets/", name);
	if (!rc && folder->number != to->number)
		rc = change_member(fs, who, &term, &row, false);
	if (rc || folder->number == to->number)
		return rc;
	if (folder->ops == &node_ops_term) {
		rc = catalog_term(fs->catalog, term_of(folder), &from);
		if (!rc && (from.facet == FACET_TAG || from.facet != term.facet))
			rc = change_member(fs, who, &from, &row, true);
	}
	/* The kernel has moved its entry; the dataset stays where it is. */
	real_forget(fs, to->number, new_name);
	real_forget(fs, folder->number, name);
	return rc;
}

const struct node_ops node_ops_term = {
	.kind = "a folder of links to datasets",
	.type = S_IFDIR,
	.attr = term_attr,
	.lookup = term_lookup,
	.list = term_list,
	.mkdir = term_mkdir,
	.create = term_create,
	.symlink = term_symlink,
	.unlink = term_unlink,
	.rename_into = term_rename_into,
};
