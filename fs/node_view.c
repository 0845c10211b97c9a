/* node_view: the top entries of views/NAME/ - folders like 4x/ and files like NAME_4x.tif - and the files in the
 * folders. */
#include "fs/node_view.h"

#include <errno.h>
#include <string.h>

#include "fs/access.h"
#include "fs/arrival.h"
#include "fs/volumes.h"
#include "store/err.h"
#include "store/log.h"

/* ---- what views have in common ---- */

void viewed_free(struct viewed *viewed)
{
	record_memory_free(viewed->memory);
	viewed->memory = NULL;
}

int viewed_get(struct fs *fs, uint32_t image, struct viewed *out)
{
	uint32_t dataset;
	int rc;

	out->memory = NULL;
	rc = catalog_image(fs->catalog, image, &out->image, &dataset, &out->memory);
	if (!rc)
		rc = catalog_dataset(fs->catalog, dataset, &out->dataset);
	if (!rc && out->dataset.removed)
		rc = err_set(ENOENT, "%s: the dataset was removed", out->dataset.name);
	return rc;
}

bool viewed_possible(const struct record_image *image)
{
	return !*image->error && view_supported(&image->geo) == 0;
}

struct volume viewed_volume(const struct record_image *image, const char *name)
{
	return (struct volume) { .id = image->id, .name = name, .geo = image->geo };
}

int viewed_times(struct fs *fs, const struct record_image *image, struct stat *st)
{
	struct node_row row;
	int rc = catalog_node(fs->catalog, image->ino, &row);

	if (rc)
		return rc;
	st->st_mtim.tv_sec = row.mtime_ns / 1000000000;
	st->st_mtim.tv_nsec = row.mtime_ns % 1000000000;
	if (st->st_mtim.tv_nsec < 0) { /* before 1970 */
		st->st_mtim.tv_sec--;
		st->st_mtim.tv_nsec += 1000000000;
	}
	st->st_atim = st->st_ctim = st->st_mtim;
	return 0;
}

void viewed_catch_up(struct fs *fs, uint32_t dataset)
{
	if (fs->arrival && arrival_catch_up(fs->arrival, dataset))
		log_warn("%s", err_text());
}

int64_t viewed_read_result(int64_t n)
{
	if (n >= 0 || n == -EIO || n == -ENOMEM || n == -ENOENT)
		return n;
	return -EIO; /* the sentence stays */
}

/* ---- numbers ---- */

/* What a node number of CLASS_VIEW says. */
struct what {
	uint32_t image;
	const struct view_ops *view; /* NULL: unknown */
	unsigned level;
	bool top;
	uint64_t item;
};

static struct what parse(uint64_t number)
{
	uint64_t what = node_what(number), item = what & ((1ULL << VIEW_ITEM_BITS) - 1);
	unsigned level = what >> VIEW_ITEM_BITS & ((1U << VIEW_LEVEL_BITS) - 1);
	unsigned view = what >> (VIEW_ITEM_BITS + VIEW_LEVEL_BITS) & ((1U << VIEW_VIEW_BITS) - 1);

	return (struct what) {
		.image = (uint32_t)(what >> (VIEW_ITEM_BITS + VIEW_LEVEL_BITS + VIEW_VIEW_BITS)),
		.view = view_by_number(view),
		.level = level,
		.top = item == 0,
		.item = item ? item - 1 : 0,
	};
}

static uint64_t number_of(uint32_t image, const struct view_ops *view, unsigned level, uint64_t item_and_1)
{
	uint64_t what = image;

	what = what << VIEW_VIEW_BITS | view->number;
	what = what << VIEW_LEVEL_BITS | level;
	return node_number(CLASS_VIEW, what << VIEW_ITEM_BITS | item_and_1);
}

struct node view_top_node(uint32_t image, const struct view_ops *view, unsigned level)
{
	return (struct node) {
		.number = number_of(image, view, level, 0),
		.ops = view->folder ? &node_ops_view_folder : &node_ops_view_file,
	};
}

const struct node_ops *node_view_resolve(uint64_t number)
{
	struct what w = parse(number);

	if (!w.view || (!w.view->folder && !w.top))
		return NULL;
	return w.view->folder && w.top ? &node_ops_view_folder : &node_ops_view_file;
}

/* ---- nodes ---- */

/* The node's image as it is now, and what its number says; -ENOENT when there is no such view of it. */
static int get(struct fs *fs, const struct node *node, struct what *w, struct viewed *viewed)
{
	struct volume v;
	int rc;

	*w = parse(node->number);
	rc = viewed_get(fs, w->image, viewed);
	if (rc)
		return rc;
	v = viewed_volume(&viewed->image, "");
	if (!viewed_possible(&viewed->image) || !w->view->exists(&v, w->level) ||
	    (!w->top && w->item >= w->view->count(&v, w->level)))
		return err_set(ENOENT, "%s: has no such view", viewed->dataset.name);
	return 0;
}

static enum show show_of(const struct geometry *g, unsigned level)
{
	struct level_shape s = level_shape(g, level);

	return s.width <= SHOW_LOOK_PIXELS && s.height <= SHOW_LOOK_PIXELS && s.depth <= SHOW_LOOK_PIXELS ? SHOW_LOOK
													  : SHOW_FULL;
}

static int view_attr(struct fs *fs, const struct node *node, struct stat *st, struct acl *acl)
{
	scope_viewed struct viewed viewed = { 0 };
	struct volume v;
	struct what w;
	int rc = get(fs, node, &w, &viewed);

	if (!rc)
		rc = viewed_times(fs, &viewed.image, st);
	if (rc)
		return rc;
	v = viewed_volume(&viewed.image, "");
	if (S_ISREG(st->st_mode))
		st->st_size = (off_t)w.view->size(&v, w.level, w.item);
	/* What single files of the image forbid is said by the folder, through which every way to its slices leads: it
	 * takes a look at each file of a stack, which is too much to do for each slice while arriving data changes the
	 * catalog. */
	if (w.top)
		return access_of_image(fs, &viewed.dataset, &viewed.image, show_of(&v.geo, w.level), st, acl);
	return access_of_dataset(fs, &viewed.dataset, show_of(&v.geo, w.level), st, acl);
}

static int folder_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			 struct node *out)
{
	scope_viewed struct viewed viewed = { 0 };
	struct volume v;
	struct what w;
	int64_t item;
	int rc = get(fs, folder, &w, &viewed);

	(void)who;
	if (rc)
		return rc;
	v = viewed_volume(&viewed.image, "");
	item = w.view->item_find(&v, w.level, name);
	if (item < 0)
		return err_set(ENOENT, "%s: not found", name);
	*out = (struct node) {
		.number = number_of(w.image, w.view, w.level, (uint64_t)item + 1),
		.ops = &node_ops_view_file,
	};
	return 0;
}

static int folder_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	scope_viewed struct viewed viewed = { 0 };
	char name[VIEW_NAME_MAX + 1];
	struct volume v;
	struct what w;
	uint64_t count;
	int rc = get(fs, folder, &w, &viewed);

	(void)who;
	if (rc)
		return rc;
	v = viewed_volume(&viewed.image, "");
	count = w.view->count(&v, w.level);
	for (uint64_t i = 0; !rc && i < count; i++) {
		w.view->item_name(&v, w.level, i, name);
		rc = node_emit_one(emit, ctx, &node_ops_view_file, number_of(w.image, w.view, w.level, i + 1), name);
	}
	return rc < 0 ? rc : 0;
}

static int64_t file_view_read(struct fs *fs, const struct node *node, uint64_t off, void *to, size_t len)
{
	struct what w = parse(node->number);
	struct volume_ref *ref;
	int64_t n = volumes_get(fs->volumes, w.image, &ref);

	if (n)
		return viewed_read_result(n);
	if (!w.view->exists(&ref->volume, w.level) || (!w.top && w.item >= w.view->count(&ref->volume, w.level)))
		n = err_set(ENOENT, "%s: has no such view", ref->volume.name);
	else
		n = w.view->read(fs->levels, &ref->volume, w.level, w.item, off, to, len);
	volumes_drop(fs->volumes, ref);
	return viewed_read_result(n);
}

const struct node_ops node_ops_view_folder = {
	.kind = "a folder of slices",
	.type = S_IFDIR,
	.shown = view_attr,
	.lookup = folder_lookup,
	.list = folder_list,
};

const struct node_ops node_ops_view_file = {
	.kind = "a view",
	.type = S_IFREG,
	.shown = view_attr,
	.read = file_view_read,
};
