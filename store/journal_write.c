#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "store/err.h"
#include "store/journal_internal.h"
#include "store/log.h"

enum {
	PENDING_MAX = 64 << 20, /* an appender that is so far ahead of the disk flushes itself */
	PENDING_KEEP = 4 << 20, /* buffers above this are given back after a flush */
};

/* --- append ------------------------------------------------------------------------------------------------ */

static int sticky(const struct journal *j)
{
	return err_set(-j->failed, "%s", j->why);
}

static int append_locked(struct journal *j, struct journal_record *r, const uint8_t digest[SHA_BYTES])
{
	struct record_place place = { .prev = j->head, .body_digest = digest };
	uint8_t head[SHA_BYTES];

	if (j->failed)
		return sticky(j);
	if (!j->active.len) {
		if (!buf_reserve(&j->active, SEGMENT_HEAD))
			goto no_memory;
		j->active.len = SEGMENT_HEAD;
		j->batch_first = j->last + 1;
		memcpy(j->batch_prev, j->head, SHA_BYTES);
	}
	r->seq = j->last + 1;
	place.batch = (uint32_t)(r->seq - j->batch_first);
	if (!journal_record_encode(r, &place, &j->sha, &j->active, head))
		goto no_memory;
	memcpy(j->head, head, SHA_BYTES);
	j->last = r->seq;
	return 0;
no_memory:
	j->active.failed = false; /* nothing was put; a later, smaller record may fit */
	return err_set(ENOMEM, "no memory for a journal record of %zu bytes", r->body_len);
}

int journal_flush_all(struct journal *j)
{
	int rc = store_sync(j->store);

	return rc ? rc : journal_flush(j);
}

int journal_append(struct journal *j, struct journal_record *r)
{
	uint8_t digest[SHA_BYTES];
	size_t pending;
	int rc;

	if (r->body_len > JOURNAL_BODY_MAX)
		return err_set(EFBIG, "a journal record of %zu bytes is too large (limit %d)", r->body_len,
			       JOURNAL_BODY_MAX);
	if (!EVP_Digest(r->body_len ? r->body : (const uint8_t *)"", r->body_len, digest, NULL, j->sha.md, NULL))
		return err_set(ENOMEM, "libcrypto cannot compute a SHA-256");
	pthread_mutex_lock(&j->lock);
	rc = append_locked(j, r, digest);
	pending = j->active.len;
	pthread_mutex_unlock(&j->lock);
	/* When this fails, the next call says so: the record has its number already. */
	if (!rc && pending > PENDING_MAX)
		journal_flush_all(j);
	return rc;
}

/* --- segments ---------------------------------------------------------------------------------------------- */

static char *segment_path(const struct journal *j, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", j->dir, name) < 0 ? NULL : path;
}

static int write_failed(int rc, const char *name, const char *what)
{
	if (rc == -ENOSPC || rc == -EDQUOT)
		return err_set(
		    ENOSPC,
		    "the disk is full: journal segment %s: %s; nothing more is taken until there is room and the store "
		    "was opened again",
		    name, what);
	return err_set(EIO, "journal segment %s: %s: %s; nothing more is taken until the store was opened again", name,
		       what, strerror(-rc));
}

static int cut_one(struct journal *j, const struct segment *s, uint64_t end)
{
	scope_free char *path = segment_path(j, s->name);
	int fd, rc;

	if (!path)
		return -ENOMEM;
	if (!end) {
		log_warn("journal segment %s holds no whole record and is removed", s->name);
		return j->io->unlink(j->io, path);
	}
	fd = j->io->open(j->io, path, O_WRONLY | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	log_warn("journal segment %s: cut at byte %" PRIu64 ", after its last whole record", s->name, end);
	rc = j->io->truncate(j->io, fd, end);
	if (!rc)
		rc = j->io->fdatasync(j->io, fd);
	j->io->close(j->io, fd);
	return rc;
}

/* Cuts what an interrupted write left behind, durably, before anything comes after it. */
static int cut_torn(struct journal *j)
{
	int rc = 0;

	for (size_t i = 0; i < j->torn.count; i++) {
		rc = cut_one(j, &j->torn.list[i], i ? 0 : j->tail_end);
		if (rc)
			return write_failed(rc, j->torn.list[i].name, "its torn end cannot be cut");
	}
	if (j->torn.count)
		rc = j->io->fsync_dir(j->io, j->dir);
	if (rc)
		return write_failed(rc, j->torn.list[0].name, "syncing the folder");
	segments_free(&j->torn);
	return 0;
}

static int make_folder(struct journal *j)
{
	int rc;

	if (mkdir(j->dir, 0700) < 0)
		return errno == EEXIST ? 0 : err_sys("making the folder %s", j->dir);
	rc = j->io->fsync_dir(j->io, store_path(j->store));
	return rc ? err_set(-rc, "syncing the folder %s: %s", store_path(j->store), strerror(-rc)) : 0;
}

/* A writer that slept while another one took the store over must not write beside it. */
static int check_alone(struct journal *j, uint64_t epoch)
{
	scope_segments struct segments all = { 0 };
	int rc = segments_list(j->dir, &all);

	for (size_t i = 0; !rc && i < all.count; i++)
		if (all.list[i].epoch > epoch || all.list[i].first >= j->segment.first)
			rc = err_set(EIO, "another process writes this journal (segment %s); nothing more is taken",
				     all.list[i].name);
	return rc;
}

/* Opens a new segment for the batch that begins with record `first`, and puts its header in front of the batch. */
static int start_segment(struct journal *j, uint64_t first, const uint8_t prev[SHA_BYTES])
{
	struct segment_head head = { .version = SEGMENT_VERSION, .epoch = store_epoch(j->store), .first = first };
	scope_free char *path = NULL;
	struct timespec now;
	int rc;

	rc = cut_torn(j);
	if (!rc)
		rc = make_folder(j);
	segment_name(&j->segment, head.epoch, first);
	if (!rc)
		rc = check_alone(j, head.epoch);
	if (rc)
		return rc;
	path = segment_path(j, j->segment.name);
	if (!path)
		return write_failed(-ENOMEM, j->segment.name, "cannot be made");
	if (j->fd >= 0)
		j->io->close(j->io, j->fd);
	j->fd = j->io->open(j->io, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (j->fd < 0)
		return write_failed(j->fd, j->segment.name, "cannot be made");
	clock_gettime(CLOCK_REALTIME, &now);
	head.time_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	memcpy(head.id, store_id(j->store), STORE_ID_BYTES);
	memcpy(head.prev, prev, SHA_BYTES);
	segment_head_encode(&head, j->writing.data);
	j->segment_size = 0;
	return 0;
}

/* Writes the batch in j->writing with one call and syncs it. Without lock; the caller is the only flusher. */
static int write_batch(struct journal *j, uint64_t first, const uint8_t prev[SHA_BYTES])
{
	bool fresh = j->fd < 0 || j->segment_size >= j->seal_bytes;
	size_t skip = fresh ? 0 : SEGMENT_HEAD;
	int rc;

	if (fresh) {
		rc = start_segment(j, first, prev);
		if (rc)
			return rc;
	}
	rc = io_write_all(j->io, j->fd, j->writing.data + skip, j->writing.len - skip, j->segment_size);
	if (rc)
		return write_failed(rc, j->segment.name, "writing");
	rc = j->io->fdatasync(j->io, j->fd);
	if (rc)
		return write_failed(rc, j->segment.name, "syncing");
	rc = fresh ? j->io->fsync_dir(j->io, j->dir) : 0;
	if (rc)
		return write_failed(rc, j->segment.name, "syncing the folder");
	j->segment_size += j->writing.len - skip;
	return 0;
}

/* --- flush ------------------------------------------------------------------------------------------------- */

static void recycle(struct buf *b)
{
	if (b->cap > PENDING_KEEP)
		buf_free(b);
	else
		buf_clear(b);
}

/* One batch to the disk; called with the lock held, which is let go meanwhile. */
static void flush_batch(struct journal *j)
{
	struct buf batch = j->active;
	uint64_t last = j->last, first = j->batch_first;
	uint8_t prev[SHA_BYTES];
	int rc;

	memcpy(prev, j->batch_prev, SHA_BYTES);
	j->active = j->writing;
	j->writing = batch;
	j->flushing = true;
	pthread_mutex_unlock(&j->lock);
	rc = write_batch(j, first, prev);
	recycle(&j->writing);
	pthread_mutex_lock(&j->lock);
	j->flushing = false;
	if (rc) {
		j->failed = rc;
		snprintf(j->why, sizeof j->why, "%s", err_text());
	} else {
		j->durable = last;
	}
	pthread_cond_broadcast(&j->flushed);
}

int journal_flush(struct journal *j)
{
	scope_lock(&j->lock);
	uint64_t target = j->last;

	while (j->durable < target) {
		if (j->failed)
			return sticky(j);
		if (j->flushing)
			pthread_cond_wait(&j->flushed, &j->lock);
		else
			flush_batch(j);
	}
	return 0;
}
