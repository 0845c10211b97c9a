#include <errno.h>
#include <string.h>

#include "fs/file_source.h"
#include "fs/image/image.h"
#include "fs/volumes_internal.h"
#include "store/err.h"

enum { IDLE_MAX = 16 };

struct open_image {
	struct open_image *next; /* idle ones, the last used first */
	uint64_t id, ino;	 /* of the volume and the file */
	struct source source;
	struct image *image;
};

struct pool_of_images {
	struct fs *fs;
	pthread_mutex_t lock;
	struct open_image *idle;
};

static void close_one(struct open_image *o)
{
	if (o->image)
		image_close(o->image);
	source_close(&o->source);
	free(o);
}

struct pool_of_images *images_pool_new(struct fs *fs)
{
	struct pool_of_images *pool = calloc(1, sizeof *pool);

	if (!pool)
		return NULL;
	pool->fs = fs;
	pthread_mutex_init(&pool->lock, NULL);
	return pool;
}

void images_pool_free(struct pool_of_images *pool)
{
	if (!pool)
		return;
	for (struct open_image *o = pool->idle, *next; o; o = next) {
		next = o->next;
		close_one(o);
	}
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

/* What the file itself holds; a stack's files have their own depth, offset and byte order. */
static int geometry_in(struct fs *fs, const struct record_image *image, uint64_t ino, struct geometry *geo)
{
	struct record_memory *memory = NULL;
	struct record_probe probe;
	int rc;

	*geo = image->geo;
	if (image->kind != IMAGE_STACK)
		return 0;
	rc = catalog_probe(fs->catalog, ino, &probe, &memory);
	if (rc)
		return rc;
	*geo = probe.geo;
	if (!probe.has_geometry || !geometry_same_slice(geo, &image->geo))
		rc = err_set(EIO, "is no slice of this stack any more");
	record_memory_free(memory);
	return rc;
}

static int open_one(struct fs *fs, const struct volume_ref *ref, uint64_t ino, struct open_image **out)
{
	struct open_image *o = calloc(1, sizeof *o);
	struct geometry geo;
	int rc;

	if (!o)
		return err_set(ENOMEM, "no memory");
	o->id = ref->volume.id;
	o->ino = ino;
	rc = file_source_open(fs, ino, &o->source);
	if (rc) {
		free(o);
		return rc;
	}
	rc = geometry_in(fs, &ref->image, ino, &geo);
	if (!rc)
		rc = image_open(&o->image, &o->source, &geo);
	if (rc) {
		close_one(o);
		return rc;
	}
	*out = o;
	return 0;
}

/* Takes an idle one for this file, or NULL. */
static struct open_image *check_out(struct pool_of_images *pool, uint64_t id, uint64_t ino)
{
	scope_lock(&pool->lock);
	for (struct open_image **at = &pool->idle; *at; at = &(*at)->next) {
		struct open_image *o = *at;

		if (o->id != id || o->ino != ino)
			continue;
		*at = o->next;
		return o;
	}
	return NULL;
}

/* Puts one back; the one that was idle longest is closed when there are too many. */
static void check_in(struct pool_of_images *pool, struct open_image *o)
{
	struct open_image **at, *old;
	size_t n = 0;

	pthread_mutex_lock(&pool->lock);
	o->next = pool->idle;
	pool->idle = o;
	for (at = &pool->idle; *at && n < IDLE_MAX; at = &(*at)->next)
		n++;
	old = *at;
	*at = NULL;
	pthread_mutex_unlock(&pool->lock);
	if (old)
		close_one(old);
}

int images_pool_read(struct pool_of_images *pool, const struct volume_ref *ref, const struct member *member,
		     uint64_t page, uint64_t row, uint64_t rows, void *to)
{
	struct open_image *o = check_out(pool, ref->volume.id, member->ino);
	int rc = o ? 0 : open_one(pool->fs, ref, member->ino, &o);

	if (rc)
		return rc;
	rc = image_read_rows(o->image, page, row, rows, to);
	if (rc)
		close_one(o);
	else
		check_in(pool, o);
	return rc;
}
