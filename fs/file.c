#include <errno.h>
#include <string.h>

#include "fs/file_internal.h"
#include "store/err.h"
#include "store/log.h"

int file_with_path(struct file *f, int rc)
{
	scope_free char *path = NULL, *text = strdup(err_text());

	if (!text || catalog_path(f->files->catalog, f->ino, &path))
		return rc;
	return err_set(-rc, "datasets/%s: %s", path, text);
}

bool file_is_pending(const struct file *f)
{
	return f->changed || f->committing || f->dirty_count || f->moving;
}

/* All of it is new and the disk has room: nothing that the writer has to be told is to be expected. Lock held. */
static bool can_promise(struct file *f)
{
	return f->fresh && !file_hand_over(f) && !store_room(f->files->store, files_dirty(f->files));
}

static void promise(struct file *f, const struct caller *caller)
{
	f->flushed = true;
	if (f->promised)
		return;
	f->promised = true;
	f->promised_to = *caller;
	f->promised_ns = now_ns();
}

void file_told(struct file *f)
{
	f->error_told |= f->error && f->writers;
}

int file_flush(struct file *f, const struct caller *caller)
{
	bool promised = false;
	int rc;

	pthread_mutex_lock(&f->lock);
	rc = file_failed(f);
	if (!rc && file_is_pending(f) && can_promise(f)) {
		promise(f, caller);
		promised = true;
	} else if (!rc) {
		rc = file_commit(f, caller);
	}
	if (rc)
		file_told(f);
	pthread_mutex_unlock(&f->lock);
	if (promised) {
		files_queue_later(f->files, f); /* or at the release, if that comes first */
		files_wait_for_room(f->files);	/* a full disk is said to the next write: what is here will be kept */
	}
	return rc ? file_with_path(f, rc) : 0;
}

int file_fsync(struct file *f, const struct caller *caller)
{
	int rc;

	pthread_mutex_lock(&f->lock);
	rc = file_commit(f, caller);
	if (rc)
		file_told(f);
	pthread_mutex_unlock(&f->lock);
	return rc ? file_with_path(f, rc) : catalog_sync(f->files->catalog);
}

/* The last writer is gone and what it wrote could not be kept: the file is what the catalog says again, for those who still have it
 * open. Lock held. */
static void back_to_saved(struct file *f)
{
	struct content_map *map;
	struct node_row row;

	file_processing_begin(f);
	if (!content_open(&map, f->files->store, &f->saved)) {
		file_drop_kept(f);
		file_drop_runs(f);
		content_free(f->map);
		f->map = map;
		f->size = f->committed = f->saved.size;
		f->changed = f->promised = f->error_told = false;
		f->fresh = !f->size;
		file_cut_reset(f, !f->size);
		f->sha_off = 0;
		f->sha_valid = !f->size;
		f->error = 0;
		if (!catalog_node(f->files->catalog, f->ino, &row))
			f->mtime_ns = row.mtime_ns;
	} /* else the error stays: nothing may be committed from a map that cannot be made again */
	file_processing_end(f);
}

/* The last writer went: what is left to be done is for a flusher. Lock held. Returns the failure that the file has. */
static int last_release(struct file *f, const struct caller *caller)
{
	int rc = file_failed(f);

	if (rc && f->error_told && !f->lost) {
		scope_free char *text = strdup(err_text());

		back_to_saved(f);
		err_set(-rc, "%s", text ? text : "");
	} else if (!rc && file_is_pending(f)) {
		promise(f, caller);
	}
	f->closing |= f->told_written;
	f->told_written = false;
	return rc;
}

int file_release(struct file *f, const struct caller *caller, bool writable)
{
	bool queue = false;
	int rc = 0;

	if (writable) {
		pthread_mutex_lock(&f->lock);
		if (--f->writers == 0) {
			rc = last_release(f, caller);
			queue = f->closing || f->promised || f->error || file_needs_hash(f);
		}
		pthread_mutex_unlock(&f->lock);
		if (rc)
			file_with_path(f, rc);
	}
	if (queue)
		files_queue(f->files, f);
	file_unref(f);
	return rc;
}

/* dst, which is empty, gets the content of another file. Lock held. */
static int take_content(struct file *dst, const struct caller *caller, const struct content *content)
{
	struct record r = { .kind = REC_CONTENT };
	struct actor actor = caller_actor(caller);
	struct content_map *map;
	int rc = content_open(&map, dst->files->store, content);

	if (rc)
		return rc;
	dst->mtime_ns = now_ns();
	r.content.ino = dst->ino;
	r.content.mtime_ns = dst->mtime_ns;
	r.content.content = *content;
	rc = catalog_apply(dst->files->catalog, &actor, &r);
	if (rc) {
		content_free(map);
		return rc;
	}
	content_free(dst->map);
	dst->map = map;
	dst->saved = *content;
	dst->size = dst->committed = content->size;
	dst->changed = dst->fresh = false;
	file_cut_reset(dst, false);
	dst->sha_valid = false;
	return 0;
}

static int clone_content(struct file *src, struct file *dst, const struct caller *caller)
{
	struct content content;
	bool tell;
	int rc;

	if (src == dst)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&src->lock);
	rc = file_commit(src, caller);
	content = src->saved;
	pthread_mutex_unlock(&src->lock);
	if (rc)
		return rc;
	pthread_mutex_lock(&dst->lock);
	file_processing_begin(dst);
	rc = file_failed(dst);
	if (!rc)
		rc = dst->size || dst->dirty_count || dst->moving ? -EOPNOTSUPP : take_content(dst, caller, &content);
	file_processing_end(dst);
	tell = !rc && !dst->told_written;
	if (tell)
		dst->told_written = true;
	pthread_mutex_unlock(&dst->lock);
	if (tell && dst->files->written)
		dst->files->written(dst->files->ctx, dst->ino);
	return rc;
}

int file_clone(struct file *src, struct file *dst, const struct caller *caller)
{
	int rc;

	pthread_rwlock_rdlock(&src->files->cloning); /* on the way the content may be named nowhere */
	rc = clone_content(src, dst, caller);
	pthread_rwlock_unlock(&src->files->cloning);
	return rc;
}
