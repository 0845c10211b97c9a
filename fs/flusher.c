/*
 * flusher: the threads that work behind the writers. A file with something to do waits in a queue; whoever takes it brings its runs
 * into the map, commits what was promised, hashes what could not be hashed on the way, and tells that it was closed. Large files
 * that have to be read for their SHA-256 wait until nothing else is to be done, one at a time.
 *
 * When the disk is full, what was promised is kept in memory and tried again; writers are refused meanwhile.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/file_internal.h"
#include "store/err.h"
#include "store/log.h"

enum {
	QUEUE_MAX = 2048,         /* files that may wait */
	RETRY_MS = 500,           /* after a full disk */
	HASH_INLINE = 64 << 20,   /* files up to this size are hashed at once */
};
/* Writers wait when a file has waited for this long: what was closed 5 s ago has to survive power loss, and the catalog's own commit
 * and the disk take their time too. */
#define PROMISE_NS 2000000000
/* A file that was flushed and stays open is committed after this time. */
#define LATER_NS 500000000
#define STALLED_SAY_NS (60 * INT64_C(1000000000))

/* files->lock held. */
static void queue_locked(struct files *files, struct file *f)
{
	if (f->serving) {
		f->again = true;
		return;
	}
	if (f->queued)
		return;
	f->queued = true;
	f->queued_ns = now_ns();
	f->refs++;
	f->queue_next = NULL;
	*files->queue_end = f;
	files->queue_end = &f->queue_next;
	__atomic_add_fetch(&files->queue_count, 1, __ATOMIC_RELAXED);
	pthread_cond_signal(&files->work);
}

bool files_are_many(const struct files *files)
{
	return __atomic_load_n(&files->queue_count, __ATOMIC_RELAXED) > 0 || __atomic_load_n(&files->working, __ATOMIC_RELAXED) > 1;
}

void files_queue(struct files *files, struct file *f)
{
	scope_lock(&files->lock);
	queue_locked(files, f);
}

static void later_locked(struct files *files, struct file *f)
{
	if (f->later)
		return;
	f->later = true;
	f->later_ns = now_ns() + LATER_NS;
	f->refs++;
	f->later_next = NULL;
	*files->later_end = f;
	files->later_end = &f->later_next;
	pthread_cond_signal(&files->work);
}

void files_queue_later(struct files *files, struct file *f)
{
	scope_lock(&files->lock);
	later_locked(files, f);
}

/* The first of those that were to be served later is due. files->lock held, let go of meanwhile. */
static void serve_now(struct files *files)
{
	struct file *f = files->later_first;

	files->later_first = f->later_next;
	if (!files->later_first)
		files->later_end = &files->later_first;
	f->later = false;
	queue_locked(files, f);
	pthread_mutex_unlock(&files->lock);
	file_unref(f);
	pthread_mutex_lock(&files->lock);
}

/* What was promised is lost: the file stays in the table, so that whoever reads it is told, until the next mount. */
static void pin(struct file *f)
{
	struct files *files = f->files;

	{
		scope_lock(&f->lock);
		if (f->pinned || f->writers || !f->error || (f->error_told && !f->lost))
			return;
		f->pinned = true;
		file_failed(f);
	}
	pthread_mutex_lock(&files->lock);
	f->refs++;
	pthread_mutex_unlock(&files->lock);
	file_with_path(f, -EIO);
	log_error("%s; what was written last is not stored", err_text());
	if (files->lost)
		files->lost(files->lost_ctx, f->ino);
}

/* Tells that the file was closed, once the catalog has it. Lock held, let go of meanwhile. */
static void tell_closed(struct file *f)
{
	struct files *files = f->files;
	bool at_hand;

	while (f->telling)
		pthread_cond_wait(&f->idle, &f->lock);
	if (!f->closing || f->writers || (file_is_pending(f) && !f->error))
		return;
	f->closing = false;
	f->telling = true;
	at_hand = f->kept;
	pthread_mutex_unlock(&f->lock);
	if (files->closed)
		files->closed(files->ctx, f->ino, at_hand);
	pthread_mutex_lock(&f->lock);
	file_drop_kept(f);
	f->telling = false;
	pthread_cond_broadcast(&f->idle);
}

struct left { /* to do for a file after it was served */
	bool more;  /* what could not be stored this time */
	bool later; /* a promise that is not due yet */
	bool hash;  /* when nothing else is to be done */
};

/* now: what is promised is due. */
static int serve(struct file *f, bool now, struct left *left)
{
	bool due, again = false;
	int rc;

	pthread_mutex_lock(&f->lock);
	file_processing_begin(f);
	due = f->promised && (now || !f->writers || now_ns() - f->promised_ns >= LATER_NS);
	rc = due ? file_commit_processing(f, &f->promised_to) : file_put_moving(f, false);
	if (!rc && file_needs_hash(f) && f->saved.size <= HASH_INLINE)
		rc = file_hash_processing(f, false);
	again = rc == 1;
	rc = again ? 0 : rc;
	file_processing_end(f);
	tell_closed(f);
	left->more = rc && f->promised && !f->error;
	left->later = !rc && f->promised;
	left->hash = !rc && file_needs_hash(f) && (again || f->saved.size > HASH_INLINE);
	pthread_mutex_unlock(&f->lock);
	if (rc)
		pin(f);
	return rc;
}

int file_serve(struct file *f)
{
	struct left left;

	return serve(f, true, &left);
}

/* The disk is full, or the memory. files->lock held. */
static void stalled(struct files *files)
{
	files->stalled_ns = now_ns();
	if (files->stalled_ns - files->stalled_said_ns < STALLED_SAY_NS)
		return;
	files->stalled_said_ns = files->stalled_ns;
	log_error("%s; what was written waits in memory and is tried again", err_text());
}

/* files->lock held. */
static void queue_hash(struct files *files, struct file *f)
{
	if (f->hash_queued)
		return;
	f->hash_queued = true;
	f->refs++;
	f->hash_next = NULL;
	*files->hash_end = f;
	files->hash_end = &f->hash_next;
	pthread_cond_signal(&files->work);
}

/* One turn of a flusher at the first file of the queue. files->lock held, let go of meanwhile. */
static void turn(struct files *files)
{
	struct file *f = files->queue;
	struct left left;

	files->queue = f->queue_next;
	if (!files->queue)
		files->queue_end = &files->queue;
	f->queued = false;
	f->serving = true;
	__atomic_sub_fetch(&files->queue_count, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&files->working, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&files->lock);
	(void)serve(f, false, &left); /* a failure is kept in the file, or tried again */
	pthread_mutex_lock(&files->lock);
	__atomic_sub_fetch(&files->working, 1, __ATOMIC_RELAXED);
	f->serving = false;
	if (left.more)
		stalled(files);
	else
		files->stalled_ns = 0;
	if (left.more || f->again)
		queue_locked(files, f);
	else if (left.later)
		later_locked(files, f);
	f->again = false;
	if (left.hash)
		queue_hash(files, f);
	pthread_cond_broadcast(&files->room);
	pthread_mutex_unlock(&files->lock);
	file_unref(f);
	pthread_mutex_lock(&files->lock);
}

/* As turn(), for a file that is only to be hashed. */
static void hash_turn(struct files *files)
{
	struct file *f = files->hash_first;
	int rc = 0;

	files->hash_first = f->hash_next;
	if (!files->hash_first)
		files->hash_end = &files->hash_first;
	f->hash_queued = false;
	f->hash_running = files->hashing = true;
	pthread_mutex_unlock(&files->lock);
	pthread_mutex_lock(&f->lock);
	file_processing_begin(f);
	if (file_needs_hash(f))
		rc = file_hash_processing(f, true);
	if (rc < 0)
		log_error("%s", err_text());
	file_processing_end(f);
	pthread_mutex_unlock(&f->lock);
	pthread_mutex_lock(&files->lock);
	if (rc == 1)
		queue_hash(files, f);
	f->hash_running = files->hashing = false;
	pthread_mutex_unlock(&files->lock);
	file_unref(f);
	pthread_mutex_lock(&files->lock);
}

/* Until there is something new, or for this long. files->lock held. */
static void wait_for_work(struct files *files, int64_t ns)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	ns += until.tv_nsec;
	until.tv_sec += ns / 1000000000;
	until.tv_nsec = ns % 1000000000;
	pthread_cond_timedwait(&files->work, &files->lock, &until);
}

static void *flusher_loop(void *arg)
{
	struct files *files = arg;

	pthread_mutex_lock(&files->lock);
	for (;;) {
		int64_t now = now_ns(), retry = files->stalled_ns + RETRY_MS * INT64_C(1000000);

		if (files->stop && (!files->queue || files->stalled_ns))
			break;
		if (files->later_first && files->later_first->later_ns <= now)
			serve_now(files);
		else if (files->stalled_ns && now < retry)
			wait_for_work(files, retry - now);
		else if (files->queue)
			turn(files);
		else if (files->hash_first && !files->hashing)
			hash_turn(files);
		else if (files->later_first)
			wait_for_work(files, files->later_first->later_ns - now);
		else
			pthread_cond_wait(&files->work, &files->lock);
	}
	pthread_mutex_unlock(&files->lock);
	return NULL;
}

int flushers_start(struct files *files)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (cores < 2)
		cores = 2; /* a slow file must not hold up the others */
	for (long i = 0; i < (cores < FLUSHERS_MAX ? cores : FLUSHERS_MAX); i++) {
		int rc = pthread_create(&files->flushers[i], NULL, flusher_loop, files);

		if (rc)
			return err_set(rc, "cannot start a thread: %s", strerror(rc));
		files->flusher_count++;
	}
	return 0;
}

void flushers_stop(struct files *files)
{
	pthread_mutex_lock(&files->lock);
	files->stop = true;
	pthread_cond_broadcast(&files->work);
	pthread_mutex_unlock(&files->lock);
	while (files->flusher_count)
		pthread_join(files->flushers[--files->flusher_count], NULL);
}

/* Hands over what idle writers hold, and what waits for better borders, so that others get room. False: there is nothing. */
static bool flush_idle(struct files *files)
{
	size_t count;
	scope_free struct file **list = files_all(files, &count);
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		bool dirty;

		pthread_mutex_lock(&list[i]->lock);
		dirty = list[i]->dirty_count || list[i]->moving;
		(void)file_hand_over(list[i]); /* what stays dirty is tried again */
		list[i]->hurry |= dirty;
		pthread_mutex_unlock(&list[i]->lock);
		if (dirty)
			files_queue(files, list[i]);
		file_unref(list[i]);
		any |= dirty;
	}
	return any;
}

/* files->lock held. */
static bool crowded(const struct files *files)
{
	return files->dirty_bytes > files->budget || files->queue_count > QUEUE_MAX ||
	       (files->queue && now_ns() - files->queue->queued_ns > PROMISE_NS);
}

int files_wait_for_room(struct files *files)
{
	bool more = true;

	scope_lock(&files->lock);
	while (more && crowded(files)) {
		if (files->stalled_ns)
			return files->dirty_bytes > files->budget
				       ? err_set(ENOSPC, "the store's disk is full, and what was written before waits")
				       : 0;
		if (files->queue || files->working) {
			pthread_cond_wait(&files->room, &files->lock);
			continue;
		}
		pthread_mutex_unlock(&files->lock);
		more = flush_idle(files);
		pthread_mutex_lock(&files->lock);
	}
	return 0;
}
