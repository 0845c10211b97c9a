/* node_gallery: gallery/NAME.png, a picture of the main image of every dataset that can be shown. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/access.h"
#include "fs/node_dataset.h"
#include "fs/node_view.h"
#include "fs/view/picture.h"
#include "fs/volumes.h"
#include "store/err.h"

static const char ending[] = ".png";
enum { ENDING = sizeof ending - 1 };

static int gallery_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	node_attr_folder(fs, 0555, st);
	return 0;
}

/* The main image of a dataset (images_free()). -ENOENT: it has none that can be shown. */
static int main_image(struct fs *fs, uint32_t dataset, struct images *images, const struct record_image **image)
{
	int rc = catalog_images(fs->catalog, dataset, images);

	if (rc)
		return rc;
	*image = images->list;
	if (!images->count || !viewed_possible(*image))
		return err_set(ENOENT, "the dataset has no image that can be shown");
	return 0;
}

/* NAME.png; a name without room for it is shortened, and kept apart by the dataset's id. */
static void picture_name(const struct dataset_row *row, char name[NAME_BYTES_MAX + 1])
{
	size_t len = strlen(row->name);

	if (len + ENDING <= NAME_BYTES_MAX) {
		snprintf(name, NAME_BYTES_MAX + 1, "%s%s", row->name, ending);
		return;
	}
	len = NAME_BYTES_MAX - ENDING - strlen(row->id) - 1;
	while (len && ((uint8_t)row->name[len] & 0xc0) == 0x80)
		len--;
	snprintf(name, NAME_BYTES_MAX + 1, "%.*s~%s%s", (int)len, row->name, row->id, ending);
}

/* The dataset whose picture has that name. */
static int find_dataset(struct fs *fs, const struct caller *who, const char *name, struct dataset_row *row)
{
	char stem[NAME_BYTES_MAX + 1], right[NAME_BYTES_MAX + 1];
	size_t len = strlen(name);
	const char *id;
	int rc;

	if (name_is_junk(name) || len <= ENDING || strcmp(name + len - ENDING, ending) != 0)
		return err_set(ENOENT, "%s: not found", name);
	snprintf(stem, sizeof stem, "%.*s", (int)(len - ENDING), name);
	rc = dataset_named(fs, who, stem, SCOPE_SCANS, row);
	id = strrchr(stem, '~');
	if (rc == -ENOENT && id) {
		rc = catalog_dataset_by_id(fs->catalog, id + 1, row);
		if (!rc)
			rc = dataset_for(fs, who, row->number, SCOPE_SCANS, row);
	}
	if (rc)
		return rc;
	picture_name(row, right);
	return strcmp(right, name) == 0 ? 0 : err_set(ENOENT, "%s: not found", name);
}

static int gallery_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			  struct node *out)
{
	scope_images struct images images = { 0 };
	const struct record_image *image;
	struct dataset_row row;
	int rc = find_dataset(fs, who, name, &row);

	(void)folder;
	if (rc)
		return rc;
	viewed_catch_up(fs, row.number);
	rc = main_image(fs, row.number, &images, &image);
	if (!rc)
		*out = (struct node) { .number = thing_number(THING_PICTURE, row.number), .ops = &node_ops_picture };
	return rc;
}

struct emitting {
	struct fs *fs;
	node_emit emit;
	void *ctx;
};

static int emit_picture(void *ctx, const struct dataset_row *row)
{
	scope_images struct images images = { 0 };
	const struct record_image *image;
	char name[NAME_BYTES_MAX + 1];
	struct emitting *e = ctx;
	int rc;

	viewed_catch_up(e->fs, row->number);
	rc = main_image(e->fs, row->number, &images, &image);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	picture_name(row, name);
	return node_emit_one(e->emit, e->ctx, &node_ops_picture, thing_number(THING_PICTURE, row->number), name);
}

static int gallery_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	struct emitting e = { .fs = fs, .emit = emit, .ctx = ctx };
	scope_free uint32_t *list = NULL;
	size_t count = 0;
	int rc = catalog_datasets(fs->catalog, &list, &count);

	(void)folder;
	if (!rc)
		rc = dataset_each(fs, who, list, count, SCOPE_SCANS, emit_picture, &e);
	return rc < 0 ? rc : 0;
}

const struct node_ops node_ops_gallery = {
	.kind = "gallery",
	.type = S_IFDIR,
	.attr = gallery_attr,
	.lookup = gallery_lookup,
	.list = gallery_list,
};

/* ---- gallery/NAME.png ---- */

static int picture_attr(struct fs *fs, const struct node *node, struct stat *st, struct acl *acl)
{
	scope_images struct images images = { 0 };
	const struct record_image *image;
	struct dataset_row row;
	int rc = catalog_dataset(fs->catalog, number_dataset(node->number), &row);

	if (!rc && row.removed)
		rc = err_set(ENOENT, "%s: the dataset was removed", row.name);
	if (!rc)
		rc = main_image(fs, row.number, &images, &image);
	if (!rc)
		rc = viewed_times(fs, image, st);
	if (rc)
		return rc;
	st->st_size = (off_t)picture_size(&image->geo);
	return access_of_image(fs, &row, image, SHOW_LOOK, st, acl);
}

static int64_t picture_read(struct fs *fs, const struct node *node, uint64_t off, void *to, size_t len)
{
	scope_images struct images images = { 0 };
	const struct record_image *image;
	struct volume_ref *ref;
	int64_t n = main_image(fs, number_dataset(node->number), &images, &image);

	if (!n)
		n = volumes_get(fs->volumes, image->id, &ref);
	if (n)
		return viewed_read_result(n);
	n = volumes_picture(fs->volumes, ref, off, to, len);
	volumes_drop(fs->volumes, ref);
	return viewed_read_result(n);
}

const struct node_ops node_ops_picture = {
	.kind = "a picture",
	.type = S_IFREG,
	.shown = picture_attr,
	.read = picture_read,
};
