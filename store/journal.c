#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "store/journal_internal.h"

/* Makes what is in the page cache durable before it is believed, and then reads it from the disk: after a failed sync
 * of a former process the cache may show bytes that the disk does not have. */
static int settle(struct reader *r)
{
	int rc = r->io->fdatasync(r->io, r->fd);

	if (rc && rc != -EROFS && rc != -EINVAL)
		return err_set(-rc, "journal segment %s: syncing: %s", r->name, strerror(-rc));
	posix_fadvise(r->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

/* Reads a segment to its last whole record. 0: r->next and r->prev say where the journal ends, r->off is 0 when not
 * even the header is whole. -EIO: damage, not an interrupted write. */
static int find_end(struct journal *j, struct reader *r, const struct segment *segment)
{
	struct stored s;
	int rc;

	rc = reader_open(r, j->io, j->dir, segment);
	if (!rc)
		rc = settle(r);
	if (!rc)
		rc = reader_head(r, segment, store_id(j->store));
	if (!rc)
		while ((rc = reader_next(r, &s)) == 1)
			continue;
	return rc == -EBADMSG ? reader_torn(r) : rc;
}

/* Keeps segments i and up, which an interrupted write left, to be cut before the first new record is written. */
static int remember_torn(struct journal *j, const struct segments *all, size_t i, uint64_t end)
{
	size_t count = all->count - i;
	struct segment *list = malloc(count * sizeof *list);

	if (!list)
		return err_set(ENOMEM, "no memory to open the journal");
	memcpy(list, all->list + i, count * sizeof *list);
	j->torn = (struct segments) { .list = list, .count = count };
	j->tail_end = end;
	return 0;
}

/* Looks at segment i, behind which there is no whole record; sets the end of the journal when there is one in it. 1: it
 * has none, 0, -errno. */
static int end_in(struct journal *j, const struct segments *all, size_t i)
{
	scope_reader struct reader r = { .fd = -1 };
	int rc = find_end(j, &r, &all->list[i]);
	bool later = i + 1 < all->count;

	if (rc)
		return rc;
	if (r.off <= SEGMENT_HEAD)
		return 1;
	/* A segment was whole and durable before the next one was begun. */
	if (later && (r.next != all->list[i + 1].first || r.off < r.size))
		return err_set(EIO,
			       "journal segment %s is damaged behind record %" PRIu64 " at byte %" PRIu64
			       ", and segment %s goes on with record %" PRIu64,
			       r.name, r.next - 1, r.off, all->list[i + 1].name, all->list[i + 1].first);
	j->last = j->durable = r.next - 1;
	memcpy(j->head, r.prev, SHA_BYTES);
	if (r.off < r.size)
		return remember_torn(j, all, i, r.off);
	return later ? remember_torn(j, all, i + 1, 0) : 0;
}

/* Finds the end of the journal without writing anything. */
static int find_journal_end(struct journal *j)
{
	scope_segments struct segments all = { 0 };
	int rc = segments_list(j->dir, &all);

	if (rc || !all.count)
		return rc;
	rc = j->io->fsync_dir(j->io, j->dir);
	if (rc && rc != -EROFS && rc != -EINVAL)
		return err_set(-rc, "syncing the folder %s: %s", j->dir, strerror(-rc));
	for (size_t i = all.count; i-- > 0;) {
		rc = end_in(j, &all, i);
		if (rc <= 0)
			return rc;
	}
	if (all.list[0].first != 1)
		return err_set(EIO, "the journal's segments before %s are missing", all.list[0].name);
	return remember_torn(j, &all, 0, 0);
}

static int start(struct journal *j, struct store *store, const char *folder)
{
	int rc;

	j->store = store;
	j->io = store_io(store);
	j->fd = -1;
	j->seal_bytes = SEGMENT_SEAL;
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->flushed, NULL);
	if (asprintf(&j->dir, "%s/%s", store_path(store), folder) < 0) {
		j->dir = NULL;
		return err_set(ENOMEM, "no memory to open the journal");
	}
	rc = sha_open(&j->sha);
	return rc ? rc : find_journal_end(j);
}

int journal_open(struct journal **out, struct store *store)
{
	return journal_open_folder(out, store, "journal");
}

int journal_open_folder(struct journal **out, struct store *store, const char *folder)
{
	struct journal *j = calloc(1, sizeof *j);
	int rc;

	if (!j)
		return err_set(ENOMEM, "no memory to open the journal");
	rc = start(j, store, folder);
	if (rc) {
		journal_close(j);
		return rc;
	}
	*out = j;
	return 0;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	if (j->durable < j->last)
		journal_flush_all(j);
	if (j->fd >= 0)
		j->io->close(j->io, j->fd);
	segments_free(&j->torn);
	buf_free(&j->active);
	buf_free(&j->writing);
	sha_close(&j->sha);
	pthread_cond_destroy(&j->flushed);
	pthread_mutex_destroy(&j->lock);
	free(j->dir);
	free(j);
}

uint64_t journal_last(struct journal *j)
{
	scope_lock(&j->lock);
	return j->last;
}

uint64_t journal_durable(struct journal *j)
{
	scope_lock(&j->lock);
	return j->durable;
}

void journal_head(struct journal *j, uint8_t sha256[32])
{
	scope_lock(&j->lock);
	memcpy(sha256, j->head, SHA_BYTES);
}
