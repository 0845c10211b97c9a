#include "store/appender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

/*
 *     file:   | synced | written, not synced |
 *     memory:                                | flight | flight | flight that grows |
 *                                            `- the oldest: the one that is written
 *
 * One thread at a time writes, always the oldest flight; the others go on filling the last one. They do not wait until
 * all flights are full. Who writes: a thread of the background pool when there is one, else, and when that does not keep
 * up, the thread that needs room or a sync. A flight that found the disk full, or no descriptor, stays and is written again by whoever
 * comes next. Records never straddle two flights.
 *
 * What was written is synced in the background every now and then, so that the disk is never idle while chunks
 * are encoded, the kernel never holds back a writer for having too many dirty pages, and the last sync has little to
 * wait for.
 */
enum { FLIGHTS = 4, FLIGHT_BYTES = 2 << 20, SMALL_BYTES = 64 << 10 };

struct flight {
	struct buf bytes;
	uint64_t off;
};

struct appender {
	const struct io *io;
	struct pool *background; /* NULL: none */
	uint64_t sync_every;
	char *folder, *path;
	uint64_t seed;
	int refs; /* atomic */

	pthread_mutex_t lock; /* of all below */
	pthread_cond_t change;
	int fd; /* -1 until the first write; used by the one thread that writes or syncs, and to close */
	struct flight flights[FLIGHTS];
	unsigned oldest, full; /* full ones wait to be written; the one behind them grows */
	struct buf entries;
	uint64_t synced;
	uint64_t footer_off; /* once it is sealed */
	bool flying, syncing;		      /* a thread does it */
	bool writing_behind, syncing_behind;  /* a job of the background pool is queued or runs */
	bool named, sealed;
	bool waits; /* for room on the disk, or for a descriptor */
	int broken; /* -EIO once something failed for good */
	char why[512];
};

static struct flight *growing(struct appender *a)
{
	return &a->flights[(a->oldest + a->full) % FLIGHTS];
}

/* Called with the lock held: where the next byte goes. */
static uint64_t end_of(struct appender *a)
{
	const struct flight *f = growing(a);

	return f->off + f->bytes.len;
}

/* Called with the lock held: everything before is in the file. */
static uint64_t written(struct appender *a)
{
	return a->flights[a->oldest].off;
}

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
	buf_put(&a->flights[0].bytes, header, PACK_HEADER_BYTES);
	if (!a->folder || !a->path || buf_failed(&a->flights[0].bytes)) {
		appender_drop(a);
		return err_set(ENOMEM, "no memory for a new pack");
	}
	*out = a;
	return 0;
}

void appender_write_behind(struct appender *a, struct pool *pool, uint64_t sync_every)
{
	a->background = pool;
	a->sync_every = sync_every;
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
	for (size_t i = 0; i < FLIGHTS; i++)
		buf_free(&a->flights[i].bytes);
	buf_free(&a->entries);
	pthread_cond_destroy(&a->change);
	pthread_mutex_destroy(&a->lock);
	free(a->folder);
	free(a->path);
	free(a);
}

/* Nothing is lost yet. Descriptors and memory are wanted to open the file, before anything is written. */
static bool is_passing(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || io_is_passing(rc);
}

/* Called with the lock held. */
static int say_broken(const struct appender *a)
{
	return err_set(-a->broken, "%s", a->why);
}

/* Called with the lock held, which is given up meanwhile. Whatever is behind the last synced byte may or may not be on
 * the disk, and reading it back from the page cache proves nothing; so it is cut off, as far as the disk still obeys. */
static int cut_back(struct appender *a)
{
	uint64_t synced = a->synced;

	if (a->fd >= 0) {
		pthread_mutex_unlock(&a->lock);
		a->io->truncate(a->io, a->fd, synced);
		pthread_mutex_lock(&a->lock);
	}
	return say_broken(a);
}

/* Called with the lock held, which is given up meanwhile. */
static int breaks(struct appender *a, const char *deed, int rc)
{
	if (a->broken)
		return say_broken(a);
	a->broken = -EIO;
	snprintf(a->why, sizeof a->why, "%s: %s failed: %s; nothing more is taken until the store is opened again",
		 a->path, deed, strerror(-rc));
	log_error("%s", a->why);
	return cut_back(a);
}

/* Records before a footer are on the disk before it is written, so that a whole footer proves that what it lists is whole. */
static int write_footer(struct appender *a, const struct flight *f, size_t records_len)
{
	int rc = io_write_all(a->io, a->fd, f->bytes.data, records_len, f->off);

	if (!rc && a->io->fdatasync(a->io, a->fd))
		return -EIO; /* for good, whatever it says: another try would succeed and lie */
	if (!rc)
		rc = io_write_all(a->io, a->fd, f->bytes.data + records_len, f->bytes.len - records_len, f->off + records_len);
	return rc;
}

/* Writes the oldest flight; opens the file before the first one. footer: it is in this flight and what stands before it is not yet
 * synced. Called without the lock by the one thread that set a->flying. */
static int write_flight(struct appender *a, bool footer)
{
	const struct flight *f = &a->flights[a->oldest];
	int rc;

	if (a->fd < 0) {
		rc = a->io->open(a->io, a->path, O_RDWR | O_CREAT | O_EXCL, 0600);
		if (rc < 0)
			return rc;
		a->fd = rc;
	}
	if (footer)
		return write_footer(a, f, a->footer_off - f->off);
	if (f->bytes.len < SMALL_BYTES)
		return io_write_all(a->io, a->fd, f->bytes.data, f->bytes.len, f->off);
	return io_write_once(a->io, a->fd, f->bytes.data, f->bytes.len, f->off);
}

/* Called with the lock held: the flight that grows is full, the next one begins. Not when all are full. */
static void push(struct appender *a)
{
	uint64_t end = end_of(a);

	a->full++;
	growing(a)->off = end;
}

/* Called with the lock held: the oldest flight is in the file. */
static void landed(struct appender *a)
{
	struct buf *bytes = &a->flights[a->oldest].bytes;

	if (a->sealed)
		buf_free(bytes);
	else
		buf_clear(bytes);
	a->oldest = (a->oldest + 1) % FLIGHTS;
	a->full--;
	a->waits = false;
}

static void sync_behind(struct appender *a);

static bool has_footer(const struct appender *a, const struct flight *f)
{
	return f->off <= a->footer_off && a->footer_off - f->off < f->bytes.len;
}

/* Called with the lock held, which is given up meanwhile: brings one flight to the disk, or waits for the one under
 * way. 0 or why it failed. */
static int fly(struct appender *a)
{
	bool footer;
	int rc;

	if (a->flying) {
		pthread_cond_wait(&a->change, &a->lock);
		return a->broken ? say_broken(a) : 0;
	}
	if (a->broken)
		return say_broken(a);
	if (!a->full)
		push(a);
	footer = a->sealed && a->synced < a->footer_off && has_footer(a, &a->flights[a->oldest]);
	a->flying = true;
	pthread_mutex_unlock(&a->lock);
	rc = write_flight(a, footer);
	pthread_mutex_lock(&a->lock);
	a->flying = false;
	if (a->broken)
		rc = cut_back(a);
	else if (!rc)
		landed(a);
	else if (is_passing(rc))
		a->waits = true;
	else
		rc = breaks(a, "writing", rc);
	if (a->waits && is_passing(rc))
		err_set(-rc, "%s: %s", a->path, strerror(-rc));
	sync_behind(a);
	pthread_cond_broadcast(&a->change);
	return rc;
}

/* A job: writes what is full. What fails is told to those who append or sync next. */
static int write_job(void *arg)
{
	struct appender *a = arg;

	pthread_mutex_lock(&a->lock);
	while (a->full && !a->waits && !a->broken)
		if (fly(a))
			break;
	a->writing_behind = false;
	pthread_mutex_unlock(&a->lock);
	appender_drop(a);
	return 0;
}

/* Called with the lock held. */
static void write_behind(struct appender *a)
{
	if (!a->background || a->writing_behind || !a->full || a->waits)
		return;
	appender_ref(a);
	a->writing_behind = pool_try_submit(a->background, NULL, write_job, a);
	if (!a->writing_behind)
		__atomic_sub_fetch(&a->refs, 1, __ATOMIC_RELAXED); /* not the last: the caller has one */
}

/* Called with the lock held (given up meanwhile): room for so many bytes in the flight that grows. */
static int make_room(struct appender *a, size_t need)
{
	int rc = 0;

	while (!rc && !a->broken && !a->sealed) {
		size_t len = growing(a)->bytes.len;

		if (!len || len + need <= FLIGHT_BYTES)
			return 0;
		if (!a->waits && a->full < FLIGHTS - 1) {
			push(a);
			write_behind(a);
			if (a->background)
				continue;
		}
		rc = fly(a); /* a full disk: perhaps there is room again */
	}
	if (rc)
		return rc;
	return a->broken ? say_broken(a) : -EAGAIN;
}

/* The memory is taken once; it is as large as a flight can become, records above that size apart. */
static bool add_bytes(struct appender *a, const struct pack_head *head, const void *payload)
{
	struct buf *to = &growing(a)->bytes;
	uint64_t off = end_of(a);
	size_t before = to->len;

	if (to->cap < FLIGHT_BYTES && before + PACK_HEAD_BYTES + head->stored_len > SMALL_BYTES)
		buf_reserve(to, FLIGHT_BYTES - before);
	pack_head_put(to, head, a->seed, off);
	buf_put(to, payload, head->stored_len);
	if (!buf_failed(to))
		pack_entry_put(&a->entries, head, off);
	if (!buf_failed(to) && !buf_failed(&a->entries))
		return true;
	to->failed = false;
	to->len = before;
	a->entries.failed = false;
	a->entries.len -= a->entries.len % PACK_ENTRY_BYTES;
	return false;
}

int appender_add(struct appender *a, struct pack_head *head, const void *payload, uint64_t *off)
{
	int rc;

	head->payload_check = pack_check(payload, head->stored_len);
	scope_lock(&a->lock);
	rc = make_room(a, PACK_HEAD_BYTES + head->stored_len);
	if (rc)
		return rc;
	*off = end_of(a);
	return add_bytes(a, head, payload) ? 0 : err_set(ENOMEM, "no memory to append to %s", a->path);
}

uint64_t appender_bytes(struct appender *a)
{
	scope_lock(&a->lock);
	return end_of(a);
}

uint64_t appender_records(struct appender *a)
{
	scope_lock(&a->lock);
	return a->entries.len / PACK_ENTRY_BYTES;
}

int appender_seal(struct appender *a)
{
	struct buf *to;
	size_t before;

	scope_lock(&a->lock);
	if (a->broken)
		return say_broken(a);
	if (a->sealed)
		return 0;
	to = &growing(a)->bytes;
	before = to->len;
	a->footer_off = end_of(a);
	pack_footer_put(to, &a->entries, a->seed, end_of(a));
	if (buf_failed(to)) {
		to->failed = false;
		to->len = before;
		return err_set(ENOMEM, "no memory for the footer of %s", a->path);
	}
	a->sealed = true;
	buf_free(&a->entries);
	return 0;
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
	if (!named && (rc == -EMFILE || rc == -ENFILE) && !a->broken) /* the folder was not even opened */
		return err_set(-rc, "%s: %s", a->folder, strerror(-rc));
	if (rc || a->broken)
		return breaks(a, "syncing", rc);
	a->synced = goal;
	a->named = true;
	return 0;
}

/* Called with the lock held (given up meanwhile); not while another thread syncs. */
static int sync_to(struct appender *a, uint64_t goal)
{
	int rc;

	a->syncing = true;
	rc = write_and_sync(a, goal);
	a->syncing = false;
	pthread_cond_broadcast(&a->change);
	return rc;
}

/* A job. */
static int sync_job(void *arg)
{
	struct appender *a = arg;

	pthread_mutex_lock(&a->lock);
	if (!a->broken && !a->syncing)
		sync_to(a, written(a));
	a->syncing_behind = false;
	pthread_mutex_unlock(&a->lock);
	appender_drop(a);
	return 0;
}

/* Called with the lock held. */
static void sync_behind(struct appender *a)
{
	if (!a->background || a->broken || a->syncing || a->syncing_behind || written(a) - a->synced < a->sync_every)
		return;
	appender_ref(a);
	a->syncing_behind = pool_try_submit(a->background, NULL, sync_job, a);
	if (!a->syncing_behind)
		__atomic_sub_fetch(&a->refs, 1, __ATOMIC_RELAXED); /* as above */
}

int appender_sync(struct appender *a)
{
	uint64_t goal;
	int rc = 0;

	scope_lock(&a->lock);
	goal = end_of(a);
	while (!rc && a->synced < goal) {
		if (a->broken)
			return say_broken(a);
		if (a->syncing) {
			pthread_cond_wait(&a->change, &a->lock);
			continue;
		}
		rc = sync_to(a, end_of(a));
	}
	return rc;
}

bool appender_peek(struct appender *a, uint64_t off, void *to, size_t len)
{
	scope_lock(&a->lock);
	for (unsigned i = 0; i <= a->full; i++) {
		const struct flight *f = &a->flights[(a->oldest + i) % FLIGHTS];

		if (off < f->off || off - f->off > f->bytes.len || len > f->bytes.len - (off - f->off))
			continue;
		memcpy(to, f->bytes.data + (off - f->off), len);
		return true;
	}
	return false;
}
