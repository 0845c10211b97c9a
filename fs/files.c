#include <errno.h>
#include <string.h>

#include "fs/file_internal.h"
#include "store/err.h"
#include "store/log.h"

static void file_free(struct file *f)
{
	file_drop_kept(f); /* nobody else has it: no lock needed */
	file_drop_runs(f);
	free(f->dirty);
	content_free(f->map);
	layout_free(f->layout);
	EVP_MD_CTX_free(f->sha);
	pthread_cond_destroy(&f->idle);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static struct file **bucket_of(struct files *files, uint64_t ino)
{
	return &files->buckets[ino % FILE_BUCKETS];
}

static struct file *find_locked(struct files *files, uint64_t ino)
{
	struct file *f = *bucket_of(files, ino);

	while (f && f->ino != ino)
		f = f->next;
	return f;
}

struct file *files_find(struct files *files, uint64_t ino)
{
	struct file *f;

	scope_lock(&files->lock);
	f = find_locked(files, ino);
	if (f)
		f->refs++;
	return f;
}

void file_unref(struct file *f)
{
	struct files *files = f->files;
	struct file **at;

	pthread_mutex_lock(&files->lock);
	if (--f->refs) {
		pthread_mutex_unlock(&files->lock);
		return;
	}
	for (at = bucket_of(files, f->ino); *at != f; at = &(*at)->next)
		;
	*at = f->next;
	files->closes[f->ino % FILE_BUCKETS]++;
	pthread_mutex_unlock(&files->lock);
	file_free(f);
}

/* From the catalog. */
static int file_load(struct files *files, uint64_t ino, struct file **out)
{
	struct node_row row;
	struct file *f;
	int rc = catalog_node(files->catalog, ino, &row);

	if (!rc && !S_ISREG(row.mode))
		rc = err_set(S_ISDIR(row.mode) ? EISDIR : EINVAL, "%s: not a file", row.name);
	if (rc)
		return rc;
	f = calloc(1, sizeof *f);
	if (!f)
		return err_set(ENOMEM, "no memory to open a file");
	f->files = files;
	f->ino = ino;
	f->mtime_ns = row.mtime_ns;
	f->moving_end = &f->moving;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->idle, NULL);
	rc = catalog_content(files->catalog, ino, &f->saved);
	if (rc == -ENOENT || rc == -ENODATA) {
		memset(&f->saved, 0, sizeof f->saved);
		rc = 0;
	}
	if (!rc)
		rc = content_open(&f->map, files->store, &f->saved);
	if (rc) {
		file_free(f);
		return err_wrap(rc, "%s", row.name);
	}
	f->size = f->committed = f->saved.size;
	f->sha_valid = f->fresh = f->size == 0;
	f->cut_off = f->size ? UINT64_MAX : 0;
	*out = f;
	return 0;
}

/* Puts a loaded file into the table. False: it was opened by somebody else, or perhaps opened and closed, while it was loaded, so it
 * may be old; *there: the other one, with a reference. */
static bool insert(struct files *files, struct file *f, uint64_t closes, struct file **there)
{
	scope_lock(&files->lock);
	*there = find_locked(files, f->ino);
	if (*there)
		(*there)->refs++;
	if (*there || files->closes[f->ino % FILE_BUCKETS] != closes)
		return false;
	f->refs = 1;
	f->next = *bucket_of(files, f->ino);
	*bucket_of(files, f->ino) = f;
	return true;
}

/* The open file, with a reference; loaded when it is not open. */
static int find_or_load(struct files *files, uint64_t ino, struct file **out)
{
	struct file *f = files_find(files, ino), *there;
	uint64_t closes;
	int rc;

	while (!f) {
		pthread_mutex_lock(&files->lock);
		closes = files->closes[ino % FILE_BUCKETS];
		pthread_mutex_unlock(&files->lock);
		rc = file_load(files, ino, &f);
		if (rc)
			return rc;
		if (insert(files, f, closes, &there))
			break;
		file_free(f);
		f = there;
	}
	*out = f;
	return 0;
}

int file_open(struct files *files, uint64_t ino, bool writable, struct file **out)
{
	struct file *f;
	int rc = find_or_load(files, ino, &f);

	if (rc)
		return rc;
	if (writable) {
		scope_lock(&f->lock);
		f->writers++;
	}
	*out = f;
	return 0;
}

void files_add_dirty(struct files *files, int64_t bytes)
{
	scope_lock(&files->lock);
	files->dirty_bytes = (size_t)((int64_t)files->dirty_bytes + bytes);
	if (bytes < 0)
		pthread_cond_broadcast(&files->room);
}

size_t files_dirty(struct files *files)
{
	scope_lock(&files->lock);
	return files->dirty_bytes;
}

struct file **files_all(struct files *files, size_t *count)
{
	struct file **list = NULL;
	size_t n = 0;

	scope_lock(&files->lock);
	for (size_t i = 0; i < FILE_BUCKETS; i++)
		for (struct file *f = files->buckets[i]; f; f = f->next)
			n++;
	list = malloc((n + 1) * sizeof(*list));
	*count = 0;
	for (size_t i = 0; list && i < FILE_BUCKETS; i++) {
		for (struct file *f = files->buckets[i]; f; f = f->next) {
			f->refs++;
			list[(*count)++] = f;
		}
	}
	return list;
}

void files_on_close(struct files *files, void (*closed)(void *ctx, uint64_t ino, bool at_hand),
		    void (*written)(void *ctx, uint64_t ino), void *ctx)
{
	files->closed = closed;
	files->written = written;
	files->ctx = ctx;
}

void files_use_hints(struct files *files, struct layout_hints *hints)
{
	files->hints = hints;
}

void files_on_lost(struct files *files, void (*lost)(void *ctx, uint64_t ino), void *ctx)
{
	files->lost = lost;
	files->lost_ctx = ctx;
}

void files_set_mtime(struct files *files, uint64_t ino, int64_t mtime_ns)
{
	struct file *f = files_find(files, ino);

	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->mtime_ns = mtime_ns;
	pthread_mutex_unlock(&f->lock);
	file_unref(f);
}

bool files_peek(struct files *files, uint64_t ino, uint64_t *size, int64_t *mtime_ns)
{
	struct file *f = files_find(files, ino);
	bool known = false;

	if (!f)
		return false;
	pthread_mutex_lock(&f->lock);
	if (f->writers || file_is_pending(f)) {
		*size = f->size;
		*mtime_ns = f->mtime_ns;
		known = true;
	}
	pthread_mutex_unlock(&f->lock);
	file_unref(f);
	return known;
}

uint64_t files_holes(struct files *files, uint64_t ino)
{
	struct file *f = files_find(files, ino);
	uint64_t holes;

	if (!f)
		return 0;
	pthread_mutex_lock(&f->lock);
	holes = file_holes(f);
	pthread_mutex_unlock(&f->lock);
	file_unref(f);
	return holes;
}

bool files_writing(struct files *files, uint64_t ino)
{
	struct file *f = files_find(files, ino);
	bool writing;

	if (!f)
		return false;
	pthread_mutex_lock(&f->lock);
	writing = f->writers > 0 || file_is_pending(f);
	pthread_mutex_unlock(&f->lock);
	file_unref(f);
	return writing;
}

bool files_is_open(struct files *files, uint64_t ino)
{
	scope_lock(&files->lock);
	return find_locked(files, ino) != NULL;
}

/* For each file in the table: do(file). The first failure, with the file's path. */
static int for_all(struct files *files, int (*deed)(struct file *f))
{
	size_t count;
	scope_free struct file **list = files_all(files, &count);
	scope_free char *text = NULL;
	int rc = list ? 0 : err_set(ENOMEM, "no memory for a list of open files");

	for (size_t i = 0; i < count; i++) {
		int rc2 = deed(list[i]);

		if (rc2 && !rc) {
			file_with_path(list[i], rc2);
			text = strdup(err_text());
			rc = rc2;
		}
		file_unref(list[i]);
	}
	return rc ? err_set(-rc, "%s", text ? text : err_text()) : 0;
}

static int commit_locked(struct file *f)
{
	scope_lock(&f->lock);
	return file_commit(f, &caller_self);
}

int files_commit_one(struct files *files, uint64_t ino)
{
	struct file *f = files_find(files, ino);
	int rc = f ? commit_locked(f) : 0;

	if (rc)
		file_with_path(f, rc);
	if (f)
		file_unref(f);
	return rc;
}

int files_commit_all(struct files *files)
{
	return for_all(files, commit_locked);
}

static int serve_closed(struct file *f)
{
	bool waiting;

	pthread_mutex_lock(&f->lock);
	waiting = f->promised || f->closing || f->telling;
	pthread_mutex_unlock(&f->lock);
	return waiting ? file_serve(f) : 0;
}

int files_settle(struct files *files)
{
	return for_all(files, serve_closed);
}

static void files_drop(struct files *files)
{
	for (size_t i = 0; i < FILE_BUCKETS; i++) {
		while (files->buckets[i]) {
			struct file *f = files->buckets[i];

			files->buckets[i] = f->next;
			file_free(f);
		}
	}
	ahead_free(files->ahead);
	run_memory_destroy(&files->memory);
	pthread_cond_destroy(&files->work);
	pthread_cond_destroy(&files->room);
	pthread_rwlock_destroy(&files->cloning);
	pthread_mutex_destroy(&files->lock);
	free(files);
}

/* A small part of the cache of decoded chunks, so that several readers fit in it. */
static size_t ahead_bound(size_t dirty_budget)
{
	return dirty_budget / 16 < AHEAD_MAX ? dirty_budget / 16 : AHEAD_MAX;
}

/* Who waits for all clones to end is not passed by more of them. */
static void init_cloning(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
#ifdef __GLIBC__
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
	pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

int files_new(struct files **out, struct store *store, struct catalog *catalog, size_t dirty_budget)
{
	struct files *files = calloc(1, sizeof *files);
	int rc;

	if (!files)
		return err_set(ENOMEM, "no memory");
	files->store = store;
	files->catalog = catalog;
	files->budget = dirty_budget > 2 * RUN_FLUSH ? dirty_budget : 2 * RUN_FLUSH;
	files->queue_end = &files->queue;
	files->later_end = &files->later_first;
	files->hash_end = &files->hash_first;
	pthread_mutex_init(&files->lock, NULL);
	pthread_cond_init(&files->work, NULL);
	pthread_cond_init(&files->room, NULL);
	init_cloning(&files->cloning);
	rc = run_memory_init(&files->memory, 2 * files->budget);
	if (!rc)
		rc = ahead_new(&files->ahead, store, catalog, ahead_bound(dirty_budget));
	if (!rc)
		rc = flushers_start(files);
	if (rc) {
		flushers_stop(files);
		files_drop(files);
		return rc;
	}
	*out = files;
	return 0;
}

int files_stop(struct files *files)
{
	int rc = files_settle(files), rc2 = files_commit_all(files);

	flushers_stop(files);
	files_on_close(files, NULL, NULL, NULL);
	return rc ? rc : rc2;
}

int files_free(struct files *files)
{
	int rc;

	if (!files)
		return 0;
	rc = files_stop(files);
	files_drop(files);
	return rc;
}
