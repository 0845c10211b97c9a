#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "fs/file.h"
#include "fs/natural.h"
#include "fs/volumes_internal.h"
#include "store/err.h"

void members_free(struct members *members)
{
	free(members->list);
	*members = (struct members) { 0 };
}

const struct member *members_find(const struct members *members, uint64_t z)
{
	size_t low = 0, high = members->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (members->list[middle].first <= z)
			low = middle;
		else
			high = middle;
	}
	return &members->list[low];
}

/* content: the whole file's SHA-256 when it is known (the same bytes cut otherwise are the same content), else where its bytes are;
 * extents: where they are, whether it is known or not, since the SHA-256 of a large file comes later. */
int member_content(struct fs *fs, struct member *member)
{
	scope_buf struct buf bytes = { 0 };
	struct content c;
	int rc = catalog_content(fs->catalog, member->ino, &c);
	bool known = c.sha256_known;

	if (rc)
		return rc;
	member->content = XXH3_64bits(c.sha256, sizeof c.sha256);
	c.sha256_known = false;
	memset(c.sha256, 0, sizeof c.sha256);
	content_encode(&bytes, &c);
	if (buf_failed(&bytes))
		return err_set(ENOMEM, "no memory");
	member->extents = XXH3_64bits(bytes.data, bytes.len);
	if (!known)
		member->content = member->extents;
	return 0;
}

int member_check(struct fs *fs, const struct member *member)
{
	struct member now = { .ino = member->ino };
	int rc;

	if (files_writing(fs->files, member->ino))
		return err_set(EIO, "is being written; it can be viewed when it is closed");
	rc = member_content(fs, &now);
	if (rc)
		return rc;
	return now.content == member->content || now.extents == member->extents ? 0 : err_set(EIO, "was changed while it was read; open the view again");
}

static int by_name(const void *a, const void *b)
{
	return natural_compare(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* Slices in a file of a stack; 0: it belongs to another. */
static int slices_in(struct fs *fs, uint64_t ino, const struct geometry *stack, uint64_t *slices)
{
	struct record_memory *memory = NULL;
	struct record_probe probe;
	int rc = catalog_probe(fs->catalog, ino, &probe, &memory);

	*slices = 0;
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if (probe.has_geometry && geometry_same_slice(&probe.geo, stack))
		*slices = probe.geo.depth;
	record_memory_free(memory);
	return 0;
}

/* Is this file an image, or a dataset, of its own? */
static bool stands_alone(struct fs *fs, const struct images *images, uint64_t ino)
{
	struct node_row row;

	for (size_t i = 0; i < images->count; i++)
		if (images->list[i].kind != IMAGE_STACK && images->list[i].ino == ino)
			return true;
	return catalog_node(fs->catalog, ino, &row) == 0 && row.dataset;
}

/*
 * Fills members with the files of the folder whose slices are like the stack's. images NULL: all of them; else without
 * those that stand alone.
 */
static int collect(struct fs *fs, const struct record_image *image, const struct entries *entries,
		   const struct images *images, struct members *members, uint64_t *depth)
{
	int rc = 0;

	members->count = 0;
	*depth = 0;
	for (size_t i = 0; !rc && i < entries->count; i++) {
		const struct entry *e = &entries->list[i];
		struct member *m = &members->list[members->count];
		uint64_t slices;

		if (!S_ISREG(e->mode) || name_is_hidden(e->name))
			continue;
		rc = slices_in(fs, e->ino, &image->geo, &slices);
		if (rc || !slices || (images && stands_alone(fs, images, e->ino)))
			continue;
		*m = (struct member) { .ino = e->ino, .first = *depth };
		rc = member_content(fs, m);
		members->count++;
		*depth += slices;
	}
	return rc;
}

static int list_stack(struct fs *fs, uint32_t dataset, const struct record_image *image, struct members *members)
{
	scope_entries struct entries entries = { 0 };
	scope_images struct images images = { 0 };
	uint64_t depth;
	int rc = catalog_list(fs->catalog, image->ino, &entries);

	if (rc)
		return rc;
	if (entries.count)
		qsort(entries.list, entries.count, sizeof *entries.list, by_name);
	members->list = calloc(entries.count + 1, sizeof *members->list);
	if (!members->list)
		return err_set(ENOMEM, "no memory for %zu files", entries.count);
	rc = collect(fs, image, &entries, NULL, members, &depth);
	if (!rc && depth != image->geo.depth) {
		rc = catalog_images(fs->catalog, dataset, &images);
		if (!rc)
			rc = collect(fs, image, &entries, &images, members, &depth);
	}
	if (!rc && (depth != image->geo.depth || !depth))
		rc = err_set(EIO, "the files of the stack have %llu slices now and had %llu when it was looked at",
			     (unsigned long long)depth, (unsigned long long)image->geo.depth);
	return rc;
}

static int list_one(struct fs *fs, const struct record_image *image, struct members *members)
{
	members->list = calloc(1, sizeof *members->list);
	if (!members->list)
		return err_set(ENOMEM, "no memory");
	members->list[0].ino = image->ino;
	members->count = 1;
	return member_content(fs, &members->list[0]);
}

int members_list(struct fs *fs, uint32_t dataset, const struct record_image *image, struct members *out)
{
	int rc;

	*out = (struct members) { 0 };
	rc = image->kind == IMAGE_STACK ? list_stack(fs, dataset, image, out) : list_one(fs, image, out);
	if (rc)
		members_free(out);
	return rc;
}
