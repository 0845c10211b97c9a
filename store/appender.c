#include "store/appender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

/*
 *     file: | synced | written, not synced |
 *     memory:                              | flight (being written) | buffer (growing) |
 *                                          flight_off               start
 *
 * One thread at a time writes the flight; the others go on filling the buffer, and wait when that is full too. A flight
 * that found the disk full stays and is written again by whoever comes next. Records never straddle flight and buffer.
 */
enum { BUFFER_BYTES = 4 << 20 };

struct appender {
	const struct io *io;
	char *folder, *path;
	uint64_t seed;
	int refs; /* atomic */

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t change;
	int fd; /* -1 until the first write; used by the one thread that writes or syncs, and to close */
	struct buf buffer, flight, entries;
	uint64_t start, flight_off, synced;
	bool flying, syncing, named, sealed;
	int broken; /* -EIO once something failed for good */
	char why[512];
};

int appender_new(struct appender **out, const struct io *io, const char *folder, const char *path,
		 const uint8_t header[PACK_HEADER_BYTES])
{
	struct appender *a = calloc(1, sizeof *a);

	if (!a)
		return err_set(ENOMEM, "no memory for a new pack");
	*a = (struct appender) { .io = io, .refs = 1, .fd = -1, .seed = pack_seed(header) };
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->change, NULL);
	a->folder = strdup(folder);
	a->path = strdup(path);
	buf_put(&a->buffer, header, PACK_HEADER_BYTES);
	if (!a->folder || !a->path || buf_failed(&a->buffer)) {
		appender_drop(a);
		return err_set(ENOMEM, "no memory for a new pack");
	}
	*out = a;
	return 0;
}

struct appender *appender_ref(struct appender *a)
{
	__atomic_add_fetch(&a->refs, 1, __ATOMIC_RELAXED);
	return a;
}

void appender_drop(struct appender *a)
{
	if (!a || __atomic_sub_fetch(&a->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (a->fd >= 0)
		a->io->close(a->io, a->fd);
	buf_free(&a->buffer);
	buf_free(&a->flight);
	buf_free(&a->entries);
	pthread_cond_destroy(&a->change);
	pthread_mutex_destroy(&a->lock);
	free(a->folder);
	free(a->path);
	free(a);
}

static bool disk_full(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT;
}

/* Called with the lock held. */
static int say_broken(const struct appender *a)
{
	return err_set(-a->broken, "%s", a->why);
}

/* Called with the lock held, which is given up meanwhile. Whatever is behind the last synced byte may or may not be on
 * the disk, and reading it back from the page cache proves nothing; so it is cut off, as far as the disk still obeys.
 */
static int breaks(struct appender *a, const char *deed, int rc)
{
	if (a->broken)
		return say_broken(a);
	a->broken = -EIO;
	snprintf(a->why, sizeof a->why, "%s: %s failed: %s; nothing more is taken until the store is opened again",
		 a->path, deed, strerror(-rc));
	log_error("%s", a->why);
	if (a->fd >= 0) {
		uint64_t synced = a->synced;

		pthread_mutex_unlock(&a->lock);
		a->io->truncate(a->io, a->fd, synced);
		pthread_mutex_lock(&a->lock);
	}
	return say_broken(a);
}

/* Writes the flight; opens the file before its first one. Called without the lock by the one thread that set a->flying.
 */
static int write_flight(struct appender *a)
{
	int rc;

	if (a->fd < 0) {
		rc = a->io->open(a->io, a->path, O_RDWR | O_CREAT | O_EXCL, 0600);
		if (rc < 0)
			return rc;
		a->fd = rc;
	}
	rc = io_write_all(a->io, a->fd, a->flight.data, a->flight.len, a->flight_off);
	/* Only a hint that the kernel may begin: what is old when the sync comes need not be waited for. */
	if (!rc && a->io == &io_system)
		sync_file_range(a->fd, (off_t)a->flight_off, (off_t)a->flight.len, SYNC_FILE_RANGE_WRITE);
	return rc;
}

/* Called with the lock held, which is given up meanwhile: brings one flight to the disk, or waits for the one under
 * way. 0 or why it failed. */
static int fly(struct appender *a)
{
	int rc;

	if (a->flying) {
		pthread_cond_wait(&a->change, &a->lock);
		return a->broken ? say_broken(a) : 0;
	}
	if (a->broken)
		return say_broken(a);
	if (!a->flight.len) {
		struct buf empty = a->flight;

		a->flight = a->buffer;
		a->flight_off = a->start;
		a->start += a->flight.len;
		a->buffer = empty;
	}
	a->flying = true;
	pthread_mutex_unlock(&a->lock);
	rc = write_flight(a);
	pthread_mutex_lock(&a->lock);
	a->flying = false;
	if (!rc)
		buf_clear(&a->flight);
	else if (disk_full(rc))
		err_set(-rc, "%s: %s", a->path, strerror(-rc));
	else
		rc = breaks(a, "writing", rc);
	pthread_cond_broadcast(&a->change);
	return rc;
}

int appender_add(struct appender *a, struct pack_head *head, const void *payload, uint64_t *off)
{
	size_t before, need = PACK_HEAD_BYTES + head->stored_len;

	head->payload_check = pack_check(payload, head->stored_len);
	scope_lock(&a->lock);
	while (!a->broken && !a->sealed && a->buffer.len && a->buffer.len + need > BUFFER_BYTES) {
		int rc = fly(a);

		if (rc)
			return rc;
	}
	if (a->broken)
		return say_broken(a);
	if (a->sealed)
		return -EAGAIN;
	before = a->buffer.len;
	*off = a->start + before;
	pack_head_put(&a->buffer, head, a->seed, *off);
	buf_put(&a->buffer, payload, head->stored_len);
	if (!buf_failed(&a->buffer))
		pack_entry_put(&a->entries, head, *off);
	if (buf_failed(&a->buffer) || buf_failed(&a->entries)) {
		a->buffer.failed = false;
		a->buffer.len = before;
		a->entries.failed = false;
		a->entries.len -= a->entries.len % PACK_ENTRY_BYTES;
		return err_set(ENOMEM, "no memory to append to %s", a->path);
	}
	return 0;
}

uint64_t appender_bytes(struct appender *a)
{
	scope_lock(&a->lock);
	return a->start + a->buffer.len;
}

uint64_t appender_records(struct appender *a)
{
	scope_lock(&a->lock);
	return a->entries.len / PACK_ENTRY_BYTES;
}

int appender_seal(struct appender *a)
{
	size_t before;

	scope_lock(&a->lock);
	if (a->broken)
		return say_broken(a);
	if (a->sealed)
		return 0;
	before = a->buffer.len;
	pack_footer_put(&a->buffer, &a->entries, a->seed, a->start + before);
	if (buf_failed(&a->buffer)) {
		a->buffer.failed = false;
		a->buffer.len = before;
		return err_set(ENOMEM, "no memory for the footer of %s", a->path);
	}
	a->sealed = true;
	buf_free(&a->entries);
	return 0;
}

/* Called with the lock held. */
static uint64_t written(const struct appender *a)
{
	return a->flight.len ? a->flight_off : a->start;
}

/* Called with the lock held (given up meanwhile) and a->syncing set: everything before goal written and synced. */
static int write_and_sync(struct appender *a, uint64_t goal)
{
	bool named = a->named;
	int rc = 0;

	while (!rc && written(a) < goal)
		rc = fly(a);
	if (rc)
		return rc;
	pthread_mutex_unlock(&a->lock);
	rc = a->io->fdatasync(a->io, a->fd);
	if (!rc && !named)
		rc = a->io->fsync_dir(a->io, a->folder);
	pthread_mutex_lock(&a->lock);
	if (rc || a->broken)
		return breaks(a, "syncing", rc);
	a->synced = goal;
	a->named = true;
	return 0;
}

int appender_sync(struct appender *a)
{
	uint64_t goal;
	int rc = 0;

	scope_lock(&a->lock);
	goal = a->start + a->buffer.len;
	while (!rc && a->synced < goal) {
		if (a->broken)
			return say_broken(a);
		if (a->syncing) {
			pthread_cond_wait(&a->change, &a->lock);
			continue;
		}
		a->syncing = true;
		rc = write_and_sync(a, a->start + a->buffer.len);
		a->syncing = false;
		pthread_cond_broadcast(&a->change);
	}
	return rc;
}

bool appender_peek(struct appender *a, uint64_t off, void *to, size_t len)
{
	scope_lock(&a->lock);
	if (off >= a->start && off - a->start <= a->buffer.len && len <= a->buffer.len - (off - a->start)) {
		memcpy(to, a->buffer.data + (off - a->start), len);
		return true;
	}
	if (a->flight.len && off >= a->flight_off && off - a->flight_off <= a->flight.len &&
	    len <= a->flight.len - (off - a->flight_off)) {
		memcpy(to, a->flight.data + (off - a->flight_off), len);
		return true;
	}
	return false;
}
