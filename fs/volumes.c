#include "fs/arrival.h"
#include "fs/volumes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "fs/view/picture.h"
#include "fs/view/view.h"
#include "fs/volumes_internal.h"
#include "store/cache.h"
#include "store/err.h"

enum { KEPT_MAX = 32, PICTURES_BYTES = 32 << 20 };
enum { CONTENT_BITS = 38 };

struct made { /* a volume, its files, and what it was made from */
	struct volume_ref ref;
	struct made *next; /* those that are kept, the last used first */
	struct volumes *volumes;
	struct members members;
	struct record_memory *memory;
	char name[NAME_BYTES_MAX + 1];
	size_t refs;	     /* under the lock */
	uint64_t version;    /* of the catalog, when it was last seen to be right; under the lock */
	atomic_bool changed; /* a file was written since */
};

struct volumes {
	struct fs *fs;
	struct pool_of_images *open;
	struct cache *pictures;
	pthread_mutex_t lock;
	struct made *kept;
};

struct volumes *volumes_new(struct fs *fs)
{
	struct volumes *v = calloc(1, sizeof *v);

	if (!v)
		return NULL;
	v->fs = fs;
	pthread_mutex_init(&v->lock, NULL);
	v->open = images_pool_new(fs);
	if (!v->open || cache_new(&v->pictures, PICTURES_BYTES)) {
		volumes_free(v);
		return NULL;
	}
	return v;
}

static void made_free(struct made *m)
{
	members_free(&m->members);
	record_memory_free(m->memory);
	free(m);
}

void volumes_free(struct volumes *volumes)
{
	if (!volumes)
		return;
	for (struct made *m = volumes->kept, *next; m; m = next) {
		next = m->next;
		made_free(m);
	}
	cache_free(volumes->pictures);
	images_pool_free(volumes->open);
	pthread_mutex_destroy(&volumes->lock);
	free(volumes);
}

/* ---- pixels ---- */

/* Says which slice of which file, and makes every failure an I/O error: the reader asked for nothing wrong. */
static int failed(struct made *m, const struct member *member, uint64_t z, int rc)
{
	scope_free char *path = NULL;
	scope_free char *text = strdup(err_text());

	if (catalog_path(m->volumes->fs->catalog, member->ino, &path))
		path = NULL;
	return err_set(rc == -ENOMEM ? ENOMEM : EIO, "%s: slice %llu: %s%s%s", m->name, (unsigned long long)z,
		       path ? path : "", path ? ": " : "", text ? text : "cannot be read");
}

static int read_rows(void *ctx, uint64_t z, uint64_t row, uint64_t rows, void *to)
{
	struct made *m = ctx;
	const struct member *member = members_find(&m->members, z);
	struct fs *fs = m->volumes->fs;
	int rc = images_pool_read(m->volumes->open, &m->ref, member, z - member->first, row, rows, to), changed;
	scope_free char *damage = rc == -EBADMSG ? strdup(err_text()) : NULL;

	if (rc)
		rc = failed(m, member, z, rc);
	/* Damage that is only seen because the file was written meanwhile is told as that. */
	changed = member_check(fs, member);
	if (changed) {
		atomic_store(&m->changed, true);
		return failed(m, member, z, changed);
	}
	if (damage && fs->arrival) {
		arrival_damaged(fs->arrival, member->ino, damage);
		err_set(EIO, "%s", damage);
		rc = failed(m, member, z, -EIO);
	}
	return rc;
}

/* ---- making volumes ---- */

/* The name that its files have: the dataset's for the main image, else the last one of its part. */
static int name_of(struct fs *fs, const struct dataset_row *row, const struct record_image *image,
		   char name[NAME_BYTES_MAX + 1])
{
	scope_images struct images images = { 0 };
	const char *last = strrchr(image->part, '/');
	int rc = catalog_images(fs->catalog, row->number, &images);
	bool main_one = images.count && images.list[0].id == image->id;

	last = last ? last + 1 : image->part;
	snprintf(name, NAME_BYTES_MAX + 1, "%s", main_one || !*last ? row->name : last);
	return rc;
}

/* The image as the catalog has it now. -ENOENT, -ENOTSUP. */
static int look_up(struct fs *fs, uint32_t id, struct made *m)
{
	struct volume_ref *ref = &m->ref;
	struct dataset_row row;
	int rc = catalog_image(fs->catalog, id, &ref->image, &ref->dataset, &m->memory);

	if (!rc)
		rc = catalog_dataset(fs->catalog, ref->dataset, &row);
	if (!rc && row.removed)
		rc = err_set(ENOENT, "%s: the dataset was removed", row.name);
	if (!rc)
		rc = name_of(fs, &row, &ref->image, m->name);
	if (!rc && *ref->image.error)
		rc = err_set(ENOTSUP, "%s: %s", m->name, ref->image.error);
	if (!rc) {
		rc = view_supported(&ref->image.geo);
		if (rc)
			err_wrap(rc, "%s", m->name);
	}
	return rc;
}

/* Of all that the files hold, so that pixels of two contents are never kept under one id. */
static uint64_t volume_id(uint32_t image, const struct members *members)
{
	uint64_t hash = XXH3_64bits(members->list, members->count * sizeof *members->list);

	return (uint64_t)image << CONTENT_BITS | hash >> (64 - CONTENT_BITS);
}

static int make(struct volumes *volumes, uint32_t id, struct made **out)
{
	struct made *m = calloc(1, sizeof *m);
	int rc;

	if (!m)
		return err_set(ENOMEM, "no memory");
	m->volumes = volumes;
	m->refs = 1;
	m->version = catalog_version(volumes->fs->catalog);
	rc = look_up(volumes->fs, id, m);
	if (!rc) {
		rc = members_list(volumes->fs, m->ref.dataset, &m->ref.image, &m->members);
		if (rc)
			rc = err_wrap(rc == -ENOMEM ? rc : -EIO, "%s", m->name);
	}
	if (rc) {
		made_free(m);
		return rc;
	}
	m->ref.volume = (struct volume) {
		.id = volume_id(id, &m->members),
		.name = m->name,
		.geo = m->ref.image.geo,
		.read_rows = read_rows,
		.ctx = m,
	};
	*out = m;
	return 0;
}

/* ---- those that are kept; each is referred to once by the list ---- */

/* Takes one reference away; returns what is to be freed, without the lock. */
static struct made *unref(struct made *m)
{
	return --m->refs ? NULL : m;
}

/* Takes it out of the list. */
static struct made *unlink_kept(struct made **at)
{
	struct made *m = *at;

	*at = m->next;
	m->next = NULL;
	return unref(m);
}

static struct made *find_kept(struct volumes *volumes, uint32_t id)
{
	scope_lock(&volumes->lock);
	for (struct made **at = &volumes->kept; *at; at = &(*at)->next) {
		struct made *m = *at;

		if (m->ref.image.id != id || atomic_load(&m->changed))
			continue;
		*at = m->next;
		m->next = volumes->kept;
		volumes->kept = m;
		m->refs++;
		return m;
	}
	return NULL;
}

/* Keeps it in place of an older one of the same image, or of the one that was not used for longest. */
static void keep(struct volumes *volumes, struct made *m)
{
	struct made *old = NULL, **at;
	size_t n = 0;

	pthread_mutex_lock(&volumes->lock);
	for (at = &volumes->kept; *at; at = &(*at)->next)
		if ((*at)->ref.image.id == m->ref.image.id || ++n == KEPT_MAX)
			break;
	if (*at)
		old = unlink_kept(at);
	m->refs++;
	m->next = volumes->kept;
	volumes->kept = m;
	pthread_mutex_unlock(&volumes->lock);
	if (old)
		made_free(old);
}

/* Is what is kept still what the catalog says? A new catalog version alone does not mean that this image changed. */
static int still_right(struct volumes *volumes, struct made *m)
{
	uint64_t version = catalog_version(volumes->fs->catalog), seen;
	struct made now = { 0 };
	int rc;

	pthread_mutex_lock(&volumes->lock);
	seen = m->version;
	pthread_mutex_unlock(&volumes->lock);
	if (seen == version)
		return 1;
	rc = look_up(volumes->fs, m->ref.image.id, &now);
	record_memory_free(now.memory);
	if (rc)
		return rc;
	if (strcmp(now.name, m->name) != 0)
		return 0;
	pthread_mutex_lock(&volumes->lock);
	m->version = version;
	pthread_mutex_unlock(&volumes->lock);
	return 1;
}

int volumes_get(struct volumes *volumes, uint32_t image, struct volume_ref **out)
{
	struct made *m = find_kept(volumes, image);
	int rc = m ? still_right(volumes, m) : 0;

	if (rc == 1) {
		*out = &m->ref;
		return 0;
	}
	if (m)
		volumes_drop(volumes, &m->ref);
	if (!rc)
		rc = make(volumes, image, &m);
	if (rc)
		return rc;
	keep(volumes, m);
	*out = &m->ref;
	return 0;
}

void volumes_drop(struct volumes *volumes, struct volume_ref *ref)
{
	struct made *m = ref->volume.ctx;

	pthread_mutex_lock(&volumes->lock);
	m = unref(m);
	pthread_mutex_unlock(&volumes->lock);
	if (m)
		made_free(m);
}

/* ---- pictures ---- */

static int make_picture(void *ctx, const struct key *key, void *to, size_t len)
{
	scope_buf struct buf png = { 0 };
	int rc = picture_make(ctx, &png);

	(void)key;
	if (rc)
		return rc;
	if (png.len != len)
		return err_set(EIO, "a picture of %zu bytes came out with %zu", len, png.len);
	memcpy(to, png.data, len);
	return 0;
}

int64_t volumes_picture(struct volumes *volumes, const struct volume_ref *ref, uint64_t off, void *to, size_t len)
{
	size_t size = picture_size(&ref->volume.geo);
	struct cache_chunk *png = NULL;
	struct key key = { 0 };
	int rc;

	if (off >= size)
		return 0;
	memcpy(key.bytes, &ref->volume.id, sizeof ref->volume.id);
	rc = cache_get(volumes->pictures, &key, size, make_picture, (void *)(uintptr_t)&ref->volume, &png);
	if (rc)
		return rc;
	if (len > size - off)
		len = size - off;
	memcpy(to, png->bytes + off, len);
	cache_drop(volumes->pictures, png);
	return (int64_t)len;
}
