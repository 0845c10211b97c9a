#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/arrival_internal.h"
#include "fs/file.h"
#include "store/err.h"
#include "store/log.h"

static int apply_state(struct fs *fs, uint64_t ino, enum dataset_state state, enum dataset_role role, const char *note)
{
	struct record r = { .kind = REC_DATASET };
	struct actor self = caller_actor(&caller_self);

	r.dataset.ino = ino;
	r.dataset.state = state;
	r.dataset.role = role;
	r.dataset.note = note;
	return catalog_apply(fs->catalog, &self, &r);
}

int state_receiving(struct fs *fs, const struct dataset_row *row)
{
	if (row->state == STATE_RECEIVING || row->removed)
		return 0;
	return apply_state(fs, row->ino, STATE_RECEIVING, 0, "");
}

/* ---- is everything there that a sidecar declares? ---- */

/* The most slices or projections that an image of the dataset in this folder, or below it, has. */
static uint64_t most_images(const struct survey *s, const char *path)
{
	size_t n = strlen(path);
	uint64_t most = 0;

	for (size_t i = 0; i < s->image_count; i++) {
		const struct survey_image *image = &s->images[i];

		if (strncmp(image->part, path, n) == 0 && !*image->record.error && image->record.geo.depth > most)
			most = image->record.geo.depth;
	}
	return most;
}

/* Writes why it is incomplete; "" when it is not. */
static void check_complete(const struct survey *s, char *note, size_t room)
{
	*note = 0;
	for (size_t i = 0; i < s->count && !*note; i++) {
		const struct survey_file *f = &s->files[i];
		uint64_t there;

		if (!f->probe.images_declared)
			continue;
		there = most_images(s, f->path);
		if (there < f->probe.images_declared)
			snprintf(note, room, "%llu of %llu images that %.60s declares", (unsigned long long)there,
				 (unsigned long long)f->probe.images_declared, f->name);
	}
	for (size_t i = 0; i < s->image_count && !*note; i++)
		if (*s->images[i].record.error)
			snprintf(note, room, "%.120s", s->images[i].record.error);
}

/* ---- collections ---- */

/* The first name of a path below the top: "scan1" of "scan1/projections". */
static size_t first_name(const char *path)
{
	return strcspn(path, "/");
}

static bool same_first(const char *a, const char *b)
{
	size_t n = first_name(a);

	return n == first_name(b) && strncmp(a, b, n) == 0;
}

/*
 * A folder with only folders (and notes) in it, two or more of them each with an acquisition record of its own. Fills scans
 * with one path of a file in each such folder (not owned; room for s->count). Files of one top folder stand together.
 */
static size_t find_scans(const struct survey *s, const char **scans)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct survey_file *f = &s->files[i];

		if (!*f->path && (f->probe.has_geometry || f->probe.acquisition || f->probe.declared_count))
			return 0; /* data of its own, not only folders and notes */
		if (f->probe.acquisition && (!n || !same_first(scans[n - 1], f->path)))
			scans[n++] = f->path;
	}
	return n >= 2 ? n : 0;
}

/* Did a person say what this folder is? */
static bool role_was_set(struct fs *fs, uint64_t ino)
{
	scope_buf struct buf value = { 0 };

	return catalog_xattr(fs->catalog, ino, "user.tomofs.role", &value) == 0;
}

static int split(struct fs *fs, const struct survey *s, const char *const *scans, size_t count)
{
	char name[NAME_BYTES_MAX + 1];
	struct node_row folder;
	int rc = 0;

	log_info("%s: holds %zu scans and becomes a collection", s->dataset.name, count);
	if (s->dataset.role != ROLE_COLLECTION)
		rc = apply_state(fs, s->dataset.ino, 0, ROLE_COLLECTION, "");
	for (size_t i = 0; i < count && !rc; i++) {
		snprintf(name, sizeof name, "%.*s", (int)first_name(scans[i]), scans[i]);
		rc = catalog_lookup(fs->catalog, s->dataset.ino, name, &folder);
		if (!rc && !folder.dataset && !role_was_set(fs, folder.ino))
			rc = apply_state(fs, folder.ino, STATE_RECEIVING, ROLE_DATASET, "");
		if (rc == -ENOENT)
			rc = 0; /* moved away meanwhile */
		if (!rc)
			arrival_changed(fs->arrival, folder.ino);
	}
	return rc;
}

/* In a collection the scans that are there already are datasets and not among its files: one more is enough. */
static int apply_collection_rule(struct fs *fs, const struct survey *s)
{
	scope_free const char **scans = calloc(s->count + 1, sizeof(*scans));
	size_t count;

	if (!scans)
		return err_set(ENOMEM, "no memory");
	if (role_was_set(fs, s->dataset.ino))
		return 0;
	count = find_scans(s, scans);
	if (!count && s->dataset.role == ROLE_COLLECTION) {
		for (size_t i = 0; i < s->count; i++)
			if (s->files[i].probe.acquisition && *s->files[i].path)
				scans[count++] = s->files[i].path;
	}
	return count ? split(fs, s, scans, count) : 0;
}

/* ---- settle ---- */

static bool is_settled(struct fs *fs, const struct survey *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (files_writing(fs->files, s->files[i].ino) || name_is_temporary(s->files[i].name))
			return false;
	return true;
}

int state_settle(struct fs *fs, uint32_t dataset, bool *again)
{
	char note[128] = "";
	struct survey s;
	int rc = survey_read(fs, dataset, &s);
	enum dataset_state state = STATE_READY;

	*again = false;
	if (!rc && !is_settled(fs, &s)) {
		*again = true;
		goto out;
	}
	if (!rc)
		rc = survey_images(&s);
	if (!rc)
		rc = apply_collection_rule(fs, &s);
	if (!rc)
		rc = catalog_dataset(fs->catalog, dataset, &s.dataset);
	if (rc)
		goto out;
	if (s.dataset.role != ROLE_COLLECTION)
		check_complete(&s, note, sizeof note);
	if (*note)
		state = STATE_INCOMPLETE;
	if (s.dataset.state != state || strcmp(s.dataset.note, note) != 0)
		rc = apply_state(fs, s.dataset.ino, state, 0, note);
out:
	survey_free(&s);
	return rc == -ENOENT ? 0 : rc;
}
