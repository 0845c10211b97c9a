#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "store/err.h"
#include "store/keyrun.h"

enum { PART_BYTES = 256 << 10 };

struct part { /* of the file that is written from its begin to its end */
	struct buf bytes;
	uint64_t off; /* where they go */
};

struct keyrun_writer {
	const struct directory_place *place;
	struct keyrun_head head;
	char *path, *temporary;
	int fd;
	bool listed; /* all entries are written */
	uint64_t limit;

	struct part pages, blocks, packs;
	uint8_t page[KEYRUN_PAGE_BYTES];
	uint8_t block[KEYRUN_BLOCK_BYTES];
	uint64_t page_number, block_number;
	uint64_t in_page;     /* entries so far */
	uint32_t block_first; /* entry */
	struct key last;
	XXH3_state_t *packs_state;
};

static int write_part(struct keyrun_writer *w, struct part *part)
{
	int rc;

	if (buf_failed(&part->bytes))
		return err_set(ENOMEM, "no memory to write a run of keys");
	rc = io_write_all(w->place->io, w->fd, part->bytes.data, part->bytes.len, part->off);
	if (rc)
		return err_set(-rc, "cannot write %s: %s", w->temporary, strerror(-rc));
	/* Only a hint that the kernel may begin, so that a large run does not come as one flood in the end. */
	if (w->place->io == &io_system)
		sync_file_range(w->fd, (off_t)part->off, (off_t)part->bytes.len, SYNC_FILE_RANGE_WRITE);
	part->off += part->bytes.len;
	buf_clear(&part->bytes);
	return 0;
}

static int put_part(struct keyrun_writer *w, struct part *part, const void *bytes, size_t len)
{
	buf_put(&part->bytes, bytes, len);
	return part->bytes.len >= PART_BYTES || buf_failed(&part->bytes) ? write_part(w, part) : 0;
}

static int put_page(struct keyrun_writer *w)
{
	size_t used = KEYRUN_PAGE_HEAD + w->in_page * KEYRUN_ENTRY_BYTES;

	memset(w->page + used, 0, sizeof w->page - used);
	keyrun_page_seal(w->page, w->head.nonce, w->page_number++);
	w->in_page = 0;
	return put_part(w, &w->pages, w->page, sizeof w->page);
}

/* Ends the present block, and empty ones up to the next one with a key. */
static int put_blocks(struct keyrun_writer *w, uint64_t next)
{
	int rc = 0;

	for (; !rc && w->block_number < next; w->block_number++) {
		keyrun_block_seal(w->block, w->head.nonce, w->block_number, w->block_first, (uint32_t)w->head.entries);
		rc = put_part(w, &w->blocks, w->block, sizeof w->block);
		memset(w->block, 0, sizeof w->block);
		w->block_first = (uint32_t)w->head.entries;
	}
	return rc;
}

static int make_folder(const struct directory_place *place)
{
	return mkdir(place->folder, 0700) < 0 && errno != EEXIST ? err_sys("cannot make %s", place->folder) : 0;
}

static int begin(struct keyrun_writer *w)
{
	int rc = make_folder(w->place);

	if (rc)
		return rc;
	if (getrandom(&w->head.nonce, sizeof w->head.nonce, 0) != sizeof w->head.nonce)
		return err_sys("no random numbers");
	w->fd = w->place->io->open(w->place->io, w->temporary, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
	return w->fd < 0 ? err_set(-w->fd, "cannot make %s: %s", w->temporary, strerror(-w->fd)) : 0;
}

int keyrun_writer_open(struct keyrun_writer **out, const struct directory_place *place, uint64_t number,
		       uint64_t entries)
{
	struct keyrun_writer *w = calloc(1, sizeof *w);
	uint64_t pages = (entries + KEYRUN_PAGE_ENTRIES - 1) / KEYRUN_PAGE_ENTRIES;
	int rc;

	if (!w)
		return err_set(ENOMEM, "no memory to write a run of keys");
	*w = (struct keyrun_writer) { .place = place, .fd = -1, .limit = entries, .head.number = number };
	w->head.blocks = entries / KEYRUN_BLOCK_KEYS + 1;
	w->head.filter_off = w->blocks.off = (1 + pages) * KEYRUN_PAGE_BYTES;
	w->head.packs_off = w->packs.off = w->head.filter_off + w->head.blocks * KEYRUN_BLOCK_BYTES;
	w->pages.off = KEYRUN_PAGE_BYTES;
	w->packs_state = XXH3_createState();
	w->path = keyrun_path(place, number);
	if (!w->path || !w->packs_state || asprintf(&w->temporary, "%s.tmp", w->path) < 0) {
		w->temporary = NULL;
		rc = err_set(ENOMEM, "no memory to write a run of keys");
	} else {
		rc = entries > UINT32_MAX ? err_set(EFBIG, "too many keys for a run") : begin(w);
	}
	if (rc) {
		keyrun_writer_drop(w);
		return rc;
	}
	XXH3_64bits_reset_withSeed(w->packs_state, w->head.nonce);
	*out = w;
	return 0;
}

int keyrun_writer_add(struct keyrun_writer *w, const struct keyrun_entry *entry)
{
	uint64_t block = keyrun_block_of(&entry->key, w->head.blocks);
	int order = w->head.entries ? memcmp(w->last.bytes, entry->key.bytes, KEY_BYTES) : -1;
	int rc;

	if (order > 0 || w->listed || w->head.entries == w->limit)
		return err_set(EINVAL, "%s: keys are out of order", w->temporary);
	rc = put_blocks(w, block);
	if (rc)
		return rc;
	keyrun_block_add(w->block, &entry->key);
	keyrun_entry_put(w->page + KEYRUN_PAGE_HEAD + w->in_page * KEYRUN_ENTRY_BYTES, entry);
	w->head.entries++;
	w->last = entry->key;
	if (order) /* the first of a key is the one that counts */
		directory_sums_add(&w->head.sums, &entry->at, 1);
	return ++w->in_page == KEYRUN_PAGE_ENTRIES ? put_page(w) : 0;
}

static int end_entries(struct keyrun_writer *w)
{
	int rc = w->in_page ? put_page(w) : 0;

	if (!rc)
		rc = put_blocks(w, w->head.blocks);
	if (!rc)
		rc = write_part(w, &w->pages);
	if (!rc)
		rc = write_part(w, &w->blocks);
	w->listed = true;
	return rc;
}

int keyrun_writer_pack(struct keyrun_writer *w, const struct keyrun_pack *pack)
{
	uint8_t bytes[KEYRUN_PACK_BYTES];
	int rc = w->listed ? 0 : end_entries(w);

	if (rc)
		return rc;
	keyrun_pack_put(bytes, pack);
	XXH3_64bits_update(w->packs_state, bytes, sizeof bytes);
	w->head.packs++;
	return put_part(w, &w->packs, bytes, sizeof bytes);
}

static int write_head(struct keyrun_writer *w)
{
	uint8_t page[KEYRUN_PAGE_BYTES];
	int rc;

	w->head.packs_check = XXH3_64bits_digest(w->packs_state);
	w->head.size = w->packs.off;
	keyrun_head_put(w->place->settings, &w->head, page);
	rc = io_write_all(w->place->io, w->fd, page, sizeof page, 0);
	return rc ? err_set(-rc, "cannot write %s: %s", w->temporary, strerror(-rc)) : 0;
}

/* Content, then name, then folder. */
static int name_it(struct keyrun_writer *w)
{
	const struct io *io = w->place->io;
	int rc = io->fdatasync(io, w->fd);
	int closed = io->close(io, w->fd);

	w->fd = -1;
	if (!rc)
		rc = closed;
	if (!rc)
		rc = io->rename(io, w->temporary, w->path);
	if (rc)
		return err_set(-rc, "cannot finish %s: %s", w->path, strerror(-rc));
	free(w->temporary);
	w->temporary = NULL;
	rc = io->fsync_dir(io, w->place->folder);
	if (!rc)
		return 0;
	io->unlink(io, w->path); /* nobody may think that it is there and remove what it was made from */
	return err_set(-rc, "cannot sync %s: %s", w->place->folder, strerror(-rc));
}

int keyrun_writer_finish(struct keyrun_writer *w)
{
	int rc = w->listed ? 0 : end_entries(w);

	if (!rc)
		rc = write_part(w, &w->packs);
	if (!rc)
		rc = write_head(w);
	return rc ? rc : name_it(w);
}

void keyrun_writer_drop(struct keyrun_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		w->place->io->close(w->place->io, w->fd);
	if (w->temporary)
		w->place->io->unlink(w->place->io, w->temporary);
	buf_free(&w->pages.bytes);
	buf_free(&w->blocks.bytes);
	buf_free(&w->packs.bytes);
	XXH3_freeState(w->packs_state);
	free(w->path);
	free(w->temporary);
	free(w);
}
