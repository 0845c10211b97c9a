/*
 * node_views: views/ and the folders in it that stand for images:
 *
 *     views/NAME/               the views of the dataset's main image, and parts/ when it has other images
 *     views/NAME/parts/A/B/     the views of the image whose part is "A/B", and the folders of the parts below it
 *
 * A folder below parts/ has the number of an image and a depth: it stands for the first `depth` names of that image's
 * part. Of all images below such a folder the one whose part ends there gives the number, else the first. Should
 * several have the very same part, the others stand as "(2)", "(3)" ... inside.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/access.h"
#include "fs/node_dataset.h"
#include "fs/node_view.h"
#include "store/err.h"

/* ---- views/ ---- */

static int views_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	node_attr_folder(fs, 0555, st);
	return 0;
}

static int views_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			struct node *out)
{
	struct dataset_row row;
	int rc = dataset_named(fs, who, name, SCOPE_SCANS, &row);

	(void)folder;
	if (!rc)
		*out = (struct node) { .number = thing_number(THING_VIEWS, row.number), .ops = &node_ops_image_folder };
	return rc;
}

static int views_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	(void)folder;
	return dataset_emit_things(fs, who, SCOPE_SCANS, THING_VIEWS, &node_ops_image_folder, emit, ctx);
}

const struct node_ops node_ops_views = {
	.kind = "views",
	.type = S_IFDIR,
	.attr = views_attr,
	.lookup = views_lookup,
	.list = views_list,
};

/* ---- paths of parts ---- */

static unsigned names_in(const char *part)
{
	unsigned n = *part != 0;

	for (; *part; part++)
		n += *part == '/';
	return n;
}

/* Bytes of the first n names, without a slash behind the last. */
static size_t length_of(const char *part, unsigned n)
{
	const char *c = part;

	while (n && *c)
		if (*++c == '/' || !*c)
			n--;
	return (size_t)(c - part);
}

/* ---- a folder of images ---- */

struct place {
	struct dataset_row dataset;
	struct images images;
	bool top;	/* views/NAME itself */
	size_t own;	/* whose views stand here; images.count: nobody's */
	size_t like;	/* below parts/: the image that the folder's number names */
	unsigned depth; /* and how many names of its part lead here */
	bool again;	/* this is one of the "(2)": only its own views */
};

static void place_free(struct place *p)
{
	images_free(&p->images);
}
#define scope_place SCOPE_CLEANUP(place_free)

/* Does the image stand below parts/? */
static bool in_parts(const struct place *p, size_t i)
{
	const struct record_image *image = &p->images.list[i];

	return i > 0 && names_in(image->part) <= PARTS_DEPTH_MAX && viewed_possible(image);
}

static bool same_names(const struct place *p, size_t i, size_t k, unsigned n)
{
	const char *a = p->images.list[i].part, *b = p->images.list[k].part;
	size_t len = length_of(a, n);

	return names_in(a) >= n && names_in(b) >= n && len == length_of(b, n) && memcmp(a, b, len) == 0;
}

/* Does its part end with the n-th name? */
static bool ends_at(const struct place *p, size_t i, unsigned n)
{
	return names_in(p->images.list[i].part) == n;
}

/* The first image whose part is exactly that of image i. */
static size_t first_like(const struct place *p, size_t i)
{
	unsigned n = names_in(p->images.list[i].part);

	for (size_t k = 1; k < i; k++)
		if (in_parts(p, k) && ends_at(p, k, n) && same_names(p, k, i, n))
			return k;
	return i;
}

static uint32_t parts_image(uint64_t number)
{
	return (uint32_t)(node_what(number) >> PARTS_DEPTH_BITS);
}

static struct node parts_node(uint32_t image, unsigned depth)
{
	return node_make(&node_ops_image_folder, CLASS_PARTS, (uint64_t)image << PARTS_DEPTH_BITS | depth);
}

/* The dataset that a folder belongs to. */
static int dataset_of(struct fs *fs, const struct node *folder, struct dataset_row *row)
{
	scope_viewed struct viewed viewed = { 0 };
	int rc;

	if (node_class_of(folder->number) == CLASS_PARTS) {
		rc = viewed_get(fs, parts_image(folder->number), &viewed);
		*row = viewed.dataset;
		return rc;
	}
	rc = catalog_dataset(fs->catalog, number_dataset(folder->number), row);
	return rc || !row->removed ? rc : err_set(ENOENT, "%s: the dataset was removed", row->name);
}

/* Finds the image that a folder below parts/ names among those of its dataset. */
static int find_part(struct place *p, const struct node *folder)
{
	uint32_t id = parts_image(folder->number);
	size_t i = 1;

	while (i < p->images.count && p->images.list[i].id != id)
		i++;
	p->depth = node_what(folder->number) & PARTS_DEPTH_MAX;
	if (i >= p->images.count || !in_parts(p, i) || p->depth > names_in(p->images.list[i].part))
		return err_set(ENOENT, "%s: this image was replaced; open its folder again", p->dataset.name);
	p->like = i;
	if (ends_at(p, i, p->depth)) {
		p->own = i;
		p->again = first_like(p, i) != i;
	}
	return 0;
}

/* Names are open to all who see the dataset, so images in folders that are closed more tightly are left out. */
static void drop_hidden(struct fs *fs, struct place *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->images.count; i++)
		if (!access_hides(fs, &p->dataset, p->images.list[i].ino))
			p->images.list[n++] = p->images.list[i];
	p->images.count = n;
}

/* Brings the dataset up to date, and says what stands in the folder. */
static int place_get(struct fs *fs, const struct node *folder, struct place *p)
{
	int rc;

	*p = (struct place) { 0 };
	rc = dataset_of(fs, folder, &p->dataset);
	if (rc)
		return rc;
	viewed_catch_up(fs, p->dataset.number);
	rc = catalog_images(fs->catalog, p->dataset.number, &p->images);
	if (rc)
		return rc;
	drop_hidden(fs, p);
	p->own = p->images.count;
	p->top = node_class_of(folder->number) != CLASS_PARTS;
	if (!p->top)
		return find_part(p, folder);
	if (p->images.count && viewed_possible(&p->images.list[0]))
		p->own = 0;
	return 0;
}

/* The name that an image's view files have: see volumes.h. */
static const char *own_name(const struct place *p)
{
	const char *part = p->images.list[p->own].part, *last = strrchr(part, '/');

	last = last ? last + 1 : part;
	return p->own == 0 || !*last ? p->dataset.name : last;
}

/* Every function that shows entries goes through one of these; listing and look-up thus cannot disagree. */
typedef int (*each_entry)(void *ctx, const char *name, struct node node);

static int each_view(const struct place *p, each_entry each, void *ctx)
{
	char name[VIEW_NAME_MAX + 1];
	struct volume v;
	int rc = 0;

	if (p->own == p->images.count)
		return 0;
	v = viewed_volume(&p->images.list[p->own], own_name(p));
	for (unsigned number = 0; number < VIEW_COUNT; number++) {
		const struct view_ops *view = view_by_number(number);

		for (unsigned level = 0; !rc && level <= levels_of(&v.geo); level++) {
			if (!view->exists(&v, level))
				continue;
			view->name(&v, level, name);
			rc = each(ctx, name, view_top_node((uint32_t)v.id, view, level));
		}
	}
	return rc;
}

static int is_that(void *ctx, const char *name, struct node node)
{
	(void)node;
	return strcmp(ctx, name) == 0;
}

/* A folder of the next name, that of image i. A view of the same name goes before it ("2x" is a good name for a scan,
 * too). */
static int each_folder(const struct place *p, size_t i, each_entry each, void *ctx)
{
	const char *part = p->images.list[i].part;
	size_t before = length_of(part, p->depth) + (p->depth > 0), len = length_of(part, p->depth + 1) - before;
	char name[VIEW_NAME_MAX + 1];

	snprintf(name, sizeof name, "%.*s", (int)len, part + before);
	if (each_view(p, is_that, name) && len + 9 <= VIEW_NAME_MAX)
		snprintf(name, sizeof name, "%.*s (folder)", (int)len, part + before);
	return each(ctx, name, parts_node(p->images.list[i].id, p->depth + 1));
}

struct inner { /* an image below this folder */
	const struct place *place;
	size_t image;
};

/* By the next name; of one name, the image whose part ends there first, then in their own order. */
static int compare_inner(const void *a, const void *b)
{
	const struct inner *x = a, *y = b;
	const struct place *p = x->place;
	const char *s = p->images.list[x->image].part, *t = p->images.list[y->image].part;
	size_t before = length_of(s, p->depth), m = length_of(s, p->depth + 1), n = length_of(t, p->depth + 1);
	int order = memcmp(s + before, t + before, (m < n ? m : n) - before);
	bool ends_x = ends_at(p, x->image, p->depth + 1), ends_y = ends_at(p, y->image, p->depth + 1);

	if (order || m != n)
		return order ? order : m < n ? -1 : 1;
	if (ends_x != ends_y)
		return ends_x ? -1 : 1;
	return (x->image > y->image) - (x->image < y->image);
}

static int each_inner(const struct place *p, each_entry each, void *ctx)
{
	scope_free struct inner *inner = calloc(p->images.count + 1, sizeof *inner);
	size_t n = 0;
	int rc = 0;

	if (!inner)
		return err_set(ENOMEM, "no memory");
	for (size_t i = 1; i < p->images.count; i++)
		if (in_parts(p, i) && !ends_at(p, i, p->depth) && same_names(p, p->like, i, p->depth))
			inner[n++] = (struct inner) { .place = p, .image = i };
	qsort(inner, n, sizeof *inner, compare_inner);
	for (size_t i = 0; !rc && i < n; i++)
		if (i == 0 || !same_names(p, inner[i - 1].image, inner[i].image, p->depth + 1))
			rc = each_folder(p, inner[i].image, each, ctx);
	return rc;
}

/* Other images with the very same part. */
static int each_again(const struct place *p, each_entry each, void *ctx)
{
	char name[32];
	unsigned number = 2;
	int rc = 0;

	for (size_t i = p->own + 1; !rc && i < p->images.count; i++) {
		if (!in_parts(p, i) || !ends_at(p, i, p->depth) || !same_names(p, p->own, i, p->depth))
			continue;
		snprintf(name, sizeof name, "(%u)", number++);
		rc = each(ctx, name, parts_node(p->images.list[i].id, p->depth));
	}
	return rc;
}

/* views/NAME/parts, when there are other images. */
static int each_parts(const struct place *p, each_entry each, void *ctx)
{
	size_t like = 0;

	for (size_t i = 1; i < p->images.count; i++)
		if (in_parts(p, i) && (!like || (ends_at(p, i, 0) && !ends_at(p, like, 0))))
			like = i;
	return like ? each(ctx, "parts", parts_node(p->images.list[like].id, 0)) : 0;
}

static int each_in(const struct place *p, each_entry each, void *ctx)
{
	int rc = each_view(p, each, ctx);

	if (!rc && p->top)
		return each_parts(p, each, ctx);
	if (!rc && !p->again)
		rc = each_inner(p, each, ctx);
	if (!rc && !p->again && p->own < p->images.count)
		rc = each_again(p, each, ctx);
	return rc;
}

/* ---- nodes ---- */

static int image_folder_attr(struct fs *fs, const struct node *node, struct stat *st, struct acl *acl)
{
	struct dataset_row row;
	int rc = dataset_of(fs, node, &row);

	if (rc)
		return rc;
	st->st_mtim.tv_sec = st->st_atim.tv_sec = st->st_ctim.tv_sec = row.arrived_ns / 1000000000;
	return access_of_dataset(fs, &row, SHOW_LOOK, st, acl);
}

struct searching {
	const char *name;
	struct node *out;
};

static int found(void *ctx, const char *name, struct node node)
{
	struct searching *s = ctx;

	if (strcmp(s->name, name) != 0)
		return 0;
	*s->out = node;
	return 1;
}

static int image_folder_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			       struct node *out)
{
	struct searching s = { .name = name, .out = out };
	scope_place struct place p = { 0 };
	int rc;

	(void)who;
	if (name_is_junk(name)) /* a look-up is not a wish */
		return err_set(ENOENT, "%s: not found", name);
	rc = place_get(fs, folder, &p);
	if (!rc)
		rc = each_in(&p, found, &s);
	if (rc)
		return rc < 0 ? rc : 0;
	return err_set(ENOENT, "%s: %s has no such view", name, p.dataset.name);
}

struct emitting {
	node_emit emit;
	void *ctx;
};

static int emit_entry(void *ctx, const char *name, struct node node)
{
	struct emitting *e = ctx;

	return node_emit_one(e->emit, e->ctx, node.ops, node.number, name);
}

static int image_folder_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit,
			     void *ctx)
{
	struct emitting e = { .emit = emit, .ctx = ctx };
	scope_place struct place p = { 0 };
	int rc = place_get(fs, folder, &p);

	(void)who;
	if (!rc)
		rc = each_in(&p, emit_entry, &e);
	return rc < 0 ? rc : 0;
}

const struct node_ops node_ops_image_folder = {
	.kind = "a folder of views",
	.type = S_IFDIR,
	.shown = image_folder_attr,
	.lookup = image_folder_lookup,
	.list = image_folder_list,
};
