/*
 * arrival_group: which images the files of one folder are. Files of one geometry are a stack; a file with several pages or a raw
 * volume is an image of its own. A raw file is an image when a sidecar beside it declares it, or when its name does.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "fs/arrival_internal.h"
#include "store/err.h"

static struct survey_image *image_add(struct survey *s)
{
	if (!(s->image_count & (s->image_count - 1))) {
		size_t room = s->image_count ? s->image_count * 2 : 1;
		struct survey_image *list = realloc(s->images, room * sizeof *list);

		if (!list)
			return NULL;
		s->images = list;
	}
	s->images[s->image_count] = (struct survey_image){ .record = { .error = "" } };
	return &s->images[s->image_count++];
}

/* The path of a part: that of a folder, a file in it, or, for further stacks of one folder, a name made of their geometry. */
static char *part_of(const char *path, const char *name)
{
	size_t n = strlen(path) + strlen(name) + 2;
	char *part = malloc(n);

	if (part)
		snprintf(part, n, "%s%s%s", path, *path && *name ? "/" : "", name);
	return part;
}

static uint64_t pixel_bytes(const struct geometry *g)
{
	return geometry_slice_bytes(g) * g->depth;
}

static uint64_t signature_of(const struct survey_file *const *files, size_t count, const struct geometry *geo)
{
	scope_buf struct buf b = { 0 };

	geometry_encode(&b, geo);
	for (size_t i = 0; i < count; i++) {
		buf_u64(&b, files[i]->ino);
		buf_u64(&b, files[i]->stamp);
	}
	return XXH3_64bits(b.data, b.len);
}

/* A single file. declared_by: the sidecar, or NULL. */
static int add_single(struct survey *s, const struct survey_file *f, enum image_kind kind, const struct geometry *geo,
		      const struct survey_file *declared_by)
{
	const struct survey_file *files[] = { f, declared_by };
	struct survey_image *image = image_add(s);

	if (!image)
		return err_set(ENOMEM, "no memory");
	image->part = f->ino == s->dataset.ino ? strdup("") : part_of(f->path, f->name);
	image->first = declared_by ? declared_by->ino : f->ino;
	image->bytes = pixel_bytes(geo);
	image->record.kind = kind;
	image->record.ino = f->ino;
	image->record.geo = *geo;
	image->record.signature = signature_of(files, declared_by ? 2 : 1, geo);
	return image->part ? 0 : err_set(ENOMEM, "no memory");
}

static int add_stack(struct survey *s, const struct survey_file *const *files, size_t count, bool first_in_folder)
{
	struct survey_image *image = image_add(s);
	struct geometry geo = files[0]->probe.geo;
	char shape[64];

	if (!image)
		return err_set(ENOMEM, "no memory");
	geo.depth = count;
	if (!geo.voxel_um[0])
		geo.voxel_um[0] = geo.voxel_um[1]; /* a slice says nothing of its distance; CT voxels are cubes */
	snprintf(shape, sizeof shape, "%llux%llu-%s%s", (unsigned long long)geo.width, (unsigned long long)geo.height,
		 voxel_name(geo.type), geo.samples > 1 ? "-colour" : "");
	image->part = part_of(files[0]->path, first_in_folder ? "" : shape);
	image->first = files[0]->ino;
	image->bytes = pixel_bytes(&geo);
	image->record.kind = IMAGE_STACK;
	image->record.ino = files[0]->folder;
	image->record.geo = geo;
	image->record.signature = signature_of(files, count, &geo);
	return image->part ? 0 : err_set(ENOMEM, "no memory");
}

/* The file of this folder that a sidecar means. Names are compared without case: scanners write on Windows. */
static const struct survey_file *find_declared(const struct survey_file *files, size_t count, const struct survey_file *sidecar,
					       const struct record_declared *d)
{
	const char *dot = strrchr(sidecar->name, '.');
	size_t stem = dot ? (size_t)(dot - sidecar->name) : strlen(sidecar->name);

	for (size_t i = 0; i < count; i++) {
		const char *name = files[i].name;

		if (*d->name ? strcasecmp(name, d->name) == 0
			     : strncasecmp(name, sidecar->name, stem) == 0 && strcasecmp(name + stem, d->suffix) == 0)
			return &files[i];
	}
	return NULL;
}

static int add_declared_error(struct survey *s, const struct survey_file *sidecar, const struct record_declared *d,
			      const struct survey_file *data)
{
	uint64_t want = d->geo.offset + pixel_bytes(&d->geo);
	struct survey_image *image = image_add(s);
	char text[512];

	if (!image)
		return err_set(ENOMEM, "no memory");
	if (data)
		snprintf(text, sizeof text, "%s declares %llu bytes for %s, which has %llu", sidecar->name,
			 (unsigned long long)want, data->name, (unsigned long long)data->size);
	else
		snprintf(text, sizeof text, "%s declares the data file %s%s, which is not there", sidecar->name,
			 *d->name ? d->name : "its own name with ", d->suffix);
	image->part = part_of(sidecar->path, sidecar->name);
	image->error = strdup(text);
	image->first = sidecar->ino;
	image->record.kind = IMAGE_DECLARED;
	image->record.ino = sidecar->ino;
	image->record.geo = d->geo;
	image->record.error = image->error ? image->error : "";
	image->record.signature = signature_of(&sidecar, 1, &d->geo) ^ (data ? data->stamp : 0);
	return image->part ? 0 : err_set(ENOMEM, "no memory");
}

/* done: one flag a file; set for data files that became an image here. */
static int add_declared(struct survey *s, const struct survey_file *files, size_t count, bool *done)
{
	int rc = 0;

	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; !rc && k < files[i].probe.declared_count; k++) {
			const struct record_declared *d = &files[i].probe.declared[k];
			const struct survey_file *data = find_declared(files, count, &files[i], d);

			if (data && done[data - files])
				continue;
			if (!data || data->size < d->geo.offset + pixel_bytes(&d->geo)) {
				rc = add_declared_error(s, &files[i], d, data);
				continue;
			}
			done[data - files] = true;
			rc = add_single(s, data, IMAGE_DECLARED, &d->geo, &files[i]);
		}
	}
	return rc;
}

/* All files like files[i] that are not done yet. */
static size_t alike(const struct survey_file *files, size_t count, size_t i, const bool *done, const struct survey_file **out)
{
	size_t n = 0;

	for (size_t k = i; k < count; k++)
		if (!done[k] && files[k].probe.has_geometry && files[k].probe.geo.depth == 1 &&
		    files[k].probe.geo.format != IMAGE_RAW && geometry_same_slice(&files[i].probe.geo, &files[k].probe.geo))
			out[n++] = &files[k];
	return n;
}

static int add_stacks(struct survey *s, const struct survey_file *files, size_t count, bool *done)
{
	scope_free const struct survey_file **stack = calloc(count + 1, sizeof(*stack));
	bool first = true;
	int rc = stack ? 0 : err_set(ENOMEM, "no memory");

	for (size_t i = 0; !rc && i < count; i++) {
		const struct geometry *geo = &files[i].probe.geo;
		size_t n;

		if (done[i] || !files[i].probe.has_geometry)
			continue;
		n = geo->depth == 1 && geo->format != IMAGE_RAW ? alike(files, count, i, done, stack) : 1;
		if (n == 1) {
			rc = add_single(s, &files[i], geo->format == IMAGE_RAW ? IMAGE_DECLARED : IMAGE_FILE, geo, NULL);
			done[i] = true;
			continue;
		}
		for (size_t k = 0; k < n; k++)
			done[stack[k] - files] = true;
		rc = add_stack(s, stack, n, first);
		first = false;
	}
	return rc;
}

int survey_group(struct survey *s, size_t first, size_t count)
{
	const struct survey_file *files = s->files + first;
	scope_free bool *done = calloc(count + 1, sizeof *done);
	int rc = done ? add_declared(s, files, count, done) : err_set(ENOMEM, "no memory");

	return rc ? rc : add_stacks(s, files, count, done);
}
