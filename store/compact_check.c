/* Whether records are whole on the disk, before a pack goes away because of them. */
#include "store/compact_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"
#include "store/scratch.h"

/* The page cache shows what was written, not what the disk has. Large records are read past it; this is for the others, and for
 * the memory. */
static void forget_pages(struct compaction *c)
{
	struct store *s = c->store;
	scope_free char *path = NULL;
	char text[PACK_NAME_MAX];
	int fd;

	if (s->io != &io_system)
		return;
	compact_name(c, c->out.index, text);
	if (asprintf(&path, "%s/%s", s->packs_folder, text) < 0) {
		path = NULL;
		return;
	}
	fd = s->io->open(s->io, path, O_RDONLY, 0);
	if (fd < 0)
		return;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	s->io->close(s->io, fd);
}

/* Waits for the oldest one in flight. */
static int take_checked(struct compaction *c, struct ring *ring)
{
	const struct slot *slot = ring_take(ring);

	if (!slot->rc)
		c->read_back = slot->number + 1;
	return slot->rc;
}

static int read_moved(struct compaction *c, struct ring *ring)
{
	const struct moved *moved = (const void *)c->moved.data;
	size_t count = c->moved.len / sizeof *moved;
	int rc = 0;

	for (size_t i = c->read_back; !rc && i < count; i++) {
		rc = ring->busy == ring->count ? take_checked(c, ring) : 0;
		if (!rc)
			rc = ring_begin(ring, &moved[i].key, &moved[i].to, i);
	}
	while (!rc && ring->busy)
		rc = take_checked(c, ring);
	while (ring->busy)
		ring_take(ring);
	return rc;
}

int compact_read_back(struct compaction *c)
{
	struct ring ring;
	int rc = ring_new(&ring, c, false);

	if (rc)
		return rc;
	forget_pages(c);
	rc = read_moved(c, &ring);
	ring_free(&ring);
	forget_pages(c);
	if (!rc) {
		buf_put(&c->proven, &c->out.index, sizeof c->out.index);
		c->proven.failed = false; /* then its records are read once more when they are asked for */
		return 0;
	}
	if (io_is_passing(rc))
		return err_set(ENOMEM, "%s", err_text());
	return err_set(EIO, "a new pack did not come back from the disk as it was written: %s", err_text());
}

static bool is_proven(const struct compaction *c, uint32_t index)
{
	const uint32_t *proven = (const void *)c->proven.data;

	for (size_t i = c->proven.len / sizeof *proven; i-- > 0;)
		if (proven[i] == index)
			return true;
	return false;
}

int compact_is_whole(struct compaction *c, const struct key *key, const struct directory_entry *at)
{
	struct buf *plain;
	int rc;

	if (is_proven(c, at->pack))
		return 1;
	plain = scratch_take(SCRATCH_PLAIN);
	if (!plain || !buf_reserve(plain, at->plain_len))
		return err_set(ENOMEM, "no memory to compact packs");
	rc = store_fetch(c->store, key, at, plain->data);
	if (!rc)
		rc = store_fetch_check(c->store, key, at, plain->data);
	return io_is_passing(rc) ? rc : !rc;
}
