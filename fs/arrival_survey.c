#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/arrival_internal.h"
#include "fs/natural.h"
#include "fs/node_dataset.h"
#include "store/err.h"

/* Parts that hold the result, and parts that only led to it or came out of it; looked for in the lower-cased path of a part. */
static const char *const result_words[] = { "recon", "_rec", "rec/", "slices", "volume", NULL };
static const char *const other_words[] = { "proj", "flat", "dark", "seg", "label", "mask", "thumb", "preview", "sinogram", NULL };

void survey_free(struct survey *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->files[i].name);
		record_memory_free(s->files[i].memory);
	}
	for (size_t i = 0; i < s->path_count; i++)
		free(s->paths[i]);
	for (size_t i = 0; i < s->image_count; i++) {
		free(s->images[i].part);
		free(s->images[i].error);
	}
	free(s->files);
	free(s->paths);
	free(s->images);
	*s = (struct survey){ 0 };
}

static void *grown(void *list, size_t count, size_t item)
{
	return count & (count - 1) ? list : realloc(list, (count ? count * 2 : 1) * item);
}

static char *path_add(struct survey *s, const char *above, const char *name)
{
	size_t n = strlen(above) + strlen(name) + 2;
	char **paths = grown(s->paths, s->path_count, sizeof *paths);
	char *path = malloc(n);

	if (paths)
		s->paths = paths;
	if (!paths || !path) {
		free(path);
		return NULL;
	}
	snprintf(path, n, "%s%s%s", above, *above ? "/" : "", name);
	s->paths[s->path_count++] = path;
	return path;
}

static uint64_t stamp_of(struct fs *fs, const struct node_row *row)
{
	struct content content;
	uint64_t stamp = 0;

	if (!catalog_content(fs->catalog, row->ino, &content) && content.sha256_known)
		memcpy(&stamp, content.sha256, sizeof stamp);
	else
		stamp = row->size * 0x9e3779b97f4a7c15 ^ (uint64_t)row->mtime_ns;
	return stamp;
}

static int add_file(struct survey *s, const struct node_row *row, char *path)
{
	struct survey_file *list = grown(s->files, s->count, sizeof *list);
	struct survey_file *f;
	int rc;

	if (!list)
		return err_set(ENOMEM, "no memory to survey a dataset");
	s->files = list;
	f = &list[s->count];
	*f = (struct survey_file){ .ino = row->ino, .folder = row->parent, .size = row->size, .path = path };
	f->name = strdup(row->name);
	if (!f->name)
		return err_set(ENOMEM, "no memory to survey a dataset");
	s->count++;
	f->stamp = stamp_of(s->fs, row);
	rc = catalog_probe(s->fs->catalog, row->ino, &f->probe, &f->memory);
	f->probed = !rc;
	return rc == -ENOENT ? 0 : rc;
}

static int by_name(const void *a, const void *b)
{
	return natural_compare(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int read_folder(struct survey *s, uint64_t folder, char *path, unsigned depth);

static int read_entries(struct survey *s, const struct entries *entries, char *path, bool folders, unsigned depth)
{
	struct node_row row;
	int rc = 0;

	for (size_t i = 0; !rc && i < entries->count; i++) {
		const struct entry *e = &entries->list[i];

		if (S_ISDIR(e->mode) != folders || (!folders && !S_ISREG(e->mode)) || name_is_hidden(e->name))
			continue;
		rc = catalog_node(s->fs->catalog, e->ino, &row);
		if (rc == -ENOENT || (!rc && row.dataset)) { /* gone, or a dataset of its own */
			rc = 0;
			continue;
		}
		if (rc)
			break;
		if (!folders) {
			rc = add_file(s, &row, path);
		} else {
			char *inner = path_add(s, path, e->name);

			rc = inner ? read_folder(s, e->ino, inner, depth + 1) : err_set(ENOMEM, "no memory");
		}
	}
	return rc;
}

enum { FOLDER_DEPTH_MAX = 128 };

/* Files first, then folders, so that the files of a folder stand together. */
static int read_folder(struct survey *s, uint64_t folder, char *path, unsigned depth)
{
	scope_entries struct entries entries = { 0 };
	int rc = depth > FOLDER_DEPTH_MAX ? 0 : catalog_list(s->fs->catalog, folder, &entries);

	if (rc)
		return rc;
	if (entries.count)
		qsort(entries.list, entries.count, sizeof *entries.list, by_name);
	rc = read_entries(s, &entries, path, false, depth);
	return rc ? rc : read_entries(s, &entries, path, true, depth);
}

int survey_read(struct fs *fs, uint32_t dataset, struct survey *s)
{
	struct node_row top;
	char *path;
	int rc;

	*s = (struct survey){ .fs = fs };
	rc = catalog_dataset(fs->catalog, dataset, &s->dataset);
	if (!rc && s->dataset.removed)
		rc = err_set(ENOENT, "%s: the dataset was removed", s->dataset.name);
	if (!rc)
		rc = catalog_node(fs->catalog, s->dataset.ino, &top);
	if (rc)
		return rc;
	path = path_add(s, "", "");
	if (!path)
		return err_set(ENOMEM, "no memory");
	if (S_ISDIR(top.mode))
		return read_folder(s, top.ino, path, 0);
	return S_ISREG(top.mode) ? add_file(s, &top, path) : 0;
}

int survey_images(struct survey *s)
{
	int rc = 0;

	for (size_t i = 0, n; !rc && i < s->count; i += n) {
		for (n = 1; i + n < s->count && s->files[i + n].folder == s->files[i].folder; n++)
			;
		rc = survey_group(s, i, n);
	}
	return rc;
}

static bool has_word(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcasestr(text, *words))
			return true;
	return false;
}

/* Lower is more main: a result, then what says nothing, then what led to it; what cannot be viewed comes last. */
static int class_of(const struct survey_image *image)
{
	if (*image->record.error)
		return 3;
	if (has_word(image->part, other_words))
		return 2;
	return has_word(image->part, result_words) ? 0 : 1;
}

static int by_importance(const void *a, const void *b)
{
	const struct survey_image *x = a, *y = b;
	int cx = class_of(x), cy = class_of(y);

	if (cx != cy)
		return cx - cy;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return strcmp(x->part, y->part);
}

/* The voxel size that counts: what a person or a record of the acquisition says outranks the pixels' own header. */
static void settle_voxel(struct survey *s, struct geometry *geo)
{
	scope_free char *text = catalog_fact(s->fs->catalog, s->dataset.number, "voxel_size_um");
	double z, y, x;

	if (text && sscanf(text, "%lf,%lf,%lf", &z, &y, &x) == 3) {
		geo->voxel_um[0] = z;
		geo->voxel_um[1] = y;
		geo->voxel_um[2] = x;
	} else if (text && sscanf(text, "%lf", &z) == 1) {
		geo->voxel_um[0] = geo->voxel_um[1] = geo->voxel_um[2] = z;
	}
}

/* Of a stack only the first file's header is a source of facts: all say the same, and a thousand copies help nobody. */
static int take_header_facts(struct survey *s)
{
	const struct survey_image *main = &s->images[0];

	if (*main->record.error || main->record.geo.format != IMAGE_TIFF)
		return 0;
	for (size_t i = 0; i < s->count; i++)
		if (s->files[i].ino == main->first && s->files[i].probe.fact_count)
			return 0;
	return probe_file(s->fs, main->first, true);
}

/* Keeps the number of an image whose pixels are what they were; gives a new one to all others. */
static void number_images(struct survey *s, const struct images *old, struct record_image *list)
{
	for (size_t i = 0; i < s->image_count; i++) {
		struct record_image *image = &list[i];

		*image = s->images[i].record;
		image->part = s->images[i].part;
		for (size_t k = 0; k < old->count; k++)
			if (old->list[k].signature == image->signature && strcmp(old->list[k].part, image->part) == 0)
				image->id = old->list[k].id;
		if (!image->id)
			image->id = catalog_new_image(s->fs->catalog);
	}
}

static bool same_images(const struct images *old, const struct record_image *list, size_t count)
{
	if (old->count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (old->list[i].id != list[i].id || strcmp(old->list[i].error, list[i].error) != 0)
			return false;
	return true;
}

static int record_images(struct survey *s)
{
	struct record r = { .kind = REC_IMAGES };
	struct actor self = caller_actor(&caller_self);
	scope_free struct record_image *list = calloc(s->image_count + 1, sizeof *list);
	scope_images struct images old = { 0 };
	int rc = list ? catalog_images(s->fs->catalog, s->dataset.number, &old) : err_set(ENOMEM, "no memory");

	if (rc == -ENOENT)
		rc = 0;
	if (rc)
		return rc;
	number_images(s, &old, list);
	if (same_images(&old, list, s->image_count))
		return 0;
	r.images.dataset = s->dataset.number;
	r.images.list = list;
	r.images.count = s->image_count;
	rc = catalog_apply(s->fs->catalog, &self, &r);
	/* The picture keeps its number when the main image is another one: the kernel's pages of it are old. */
	if (!rc && s->fs->forget_node)
		s->fs->forget_node(s->fs, thing_number(THING_PICTURE, s->dataset.number));
	return rc;
}

static uint64_t mix(uint64_t a, double b)
{
	uint64_t bits;

	memcpy(&bits, &b, sizeof bits);
	a = (a ^ bits) * 0x9e3779b97f4a7c15;
	return a ^ a >> 29;
}

int survey_dataset(struct fs *fs, uint32_t dataset)
{
	struct survey s;
	int rc = survey_read(fs, dataset, &s);

	if (!rc)
		rc = survey_images(&s);
	if (!rc && s.image_count) {
		struct geometry *geo;

		qsort(s.images, s.image_count, sizeof *s.images, by_importance);
		rc = take_header_facts(&s);
		geo = &s.images[0].record.geo;
		settle_voxel(&s, geo);
		for (size_t i = 0; i < 3; i++)
			s.images[0].record.signature = mix(s.images[0].record.signature, geo->voxel_um[i]);
	}
	if (!rc)
		rc = record_images(&s);
	survey_free(&s);
	return rc == -ENOENT ? 0 : rc;
}
