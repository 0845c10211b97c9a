#include "fs/collector_mark.h"

#include <errno.h>

#include "fs/file_internal.h"
#include "index/catalog_history.h"
#include "store/err.h"

enum { WALKED = 1 << 15 };

struct walked { /* a tree node all below which is marked */
	struct key key;
	unsigned depth;
};

struct marks {
	struct store_gc *gc;
	struct store *store;
	bool (*stop)(void *ctx);
	void *ctx;
	struct walked *walked; /* the last ones, by hash: versions of a large file share nearly all of their trees */
};

/* True: what is below the node is to be marked too. */
static bool mark(void *ctx, const struct key *key, unsigned depth)
{
	struct marks *m = ctx;
	struct walked *w;
	uint32_t hash;

	store_gc_mark(m->gc, key);
	if (!depth)
		return false;
	memcpy(&hash, key->bytes, sizeof hash);
	w = &m->walked[hash % WALKED];
	if (w->depth == depth && key_equal(&w->key, key))
		return false;
	*w = (struct walked){ *key, depth };
	return true;
}

static int mark_content(void *ctx, const struct content *content)
{
	struct marks *m = ctx;

	if (m->stop && m->stop(m->ctx))
		return err_set(EINTR, "interrupted");
	return content_walk(m->store, content, mark, m);
}

/*
 * A removed file that nobody has open, and that is here only because something was still to be done to it. Not one whose bytes the
 * catalog does not have yet: they will be in its history. Lock and processing held.
 */
static bool waits_for_nothing(struct file *f)
{
	struct files *files = f->files;
	struct node_row row;
	unsigned held;
	int rc;

	if (file_is_pending(f))
		return false;
	pthread_mutex_lock(&files->lock);
	held = f->later + f->queued + f->serving + f->hash_queued + f->hash_running; /* each has a reference */
	rc = held && f->refs == 1 + held; /* ours */
	pthread_mutex_unlock(&files->lock);
	if (!rc)
		return false;
	rc = catalog_node(files->catalog, f->ino, &row);
	return rc == -ENOENT || (!rc && !row.nlink);
}

static int mark_file(struct marks *m, struct file *f)
{
	int rc = 0;

	scope_lock(&f->lock);
	file_processing_begin(f);
	if (!waits_for_nothing(f)) {
		rc = content_map_walk(f->map, mark, m);
		if (!rc)
			rc = mark_content(m, &f->saved); /* what a clone takes */
	}
	file_processing_end(f);
	return rc;
}

static int mark_files(struct marks *m, struct files *files)
{
	size_t count;
	scope_free struct file **list = files_all(files, &count);
	int rc = list ? 0 : err_set(ENOMEM, "no memory for a list of open files");

	for (size_t i = 0; i < count; i++) {
		if (!rc)
			rc = mark_file(m, list[i]);
		file_unref(list[i]);
	}
	return rc;
}

int collector_mark(struct fs *fs, struct store_gc *gc, bool (*stop)(void *ctx), void *ctx)
{
	scope_free struct walked *walked = calloc(WALKED, sizeof *walked);
	struct marks m = { gc, fs->store, stop, ctx, walked };
	int rc;

	if (!walked)
		return err_set(ENOMEM, "no memory to collect garbage");
	pthread_rwlock_wrlock(&fs->files->cloning); /* those under way */
	pthread_rwlock_unlock(&fs->files->cloning);
	rc = mark_files(&m, fs->files);
	return rc ? rc : catalog_live_contents(fs->catalog, mark_content, &m);
}
