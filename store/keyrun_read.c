#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <xxhash.h>

#include "store/err.h"
#include "store/keyrun.h"

enum { NUMBER_DIGITS = 10 };

char *keyrun_path(const struct directory_place *place, uint64_t number)
{
	char *path;

	return asprintf(&path, "%s/%010llu.keys", place->folder, (unsigned long long)number) < 0 ? NULL : path;
}

bool keyrun_parse(const char *name, uint64_t *number)
{
	if (strspn(name, "0123456789") != NUMBER_DIGITS || strcmp(name + NUMBER_DIGITS, ".keys") != 0)
		return false;
	*number = strtoull(name, NULL, 10);
	return true;
}

static int damaged(struct keyrun *run, const char *what)
{
	__atomic_store_n(&run->damaged, true, __ATOMIC_RELAXED);
	return err_set(EBADMSG, "%s: %s", run->path, what);
}

/* Reads a part of the file. A part that cannot be read is as good as damaged: the packs' footers have it all. */
static int read_part(struct keyrun *run, void *to, size_t len, uint64_t off)
{
	int rc = io_read_all(run->place->io, run->fd, to, len, off);

	if (rc == -ENOMEM)
		return err_set(ENOMEM, "%s: no memory to read it", run->path);
	return rc ? damaged(run, rc == -EBADMSG ? "the file ends too early" : strerror(-rc)) : 0;
}

static int read_head(struct keyrun *run)
{
	uint8_t page[KEYRUN_PAGE_BYTES];
	int64_t size = run->place->io->size(run->place->io, run->fd);
	int rc;

	if (size < 0)
		return err_set((int)-size, "%s: %s", run->path, strerror((int)-size));
	rc = read_part(run, page, sizeof page, 0);
	if (rc)
		return rc;
	rc = keyrun_head_get(run->place->settings, page, &run->head);
	if (rc)
		return err_wrap(rc, "%s", run->path);
	return run->head.size == (uint64_t)size ? 0 : damaged(run, "the file has another size than it should have");
}

int keyrun_open(struct keyrun **out, const struct directory_place *place, uint64_t number)
{
	struct keyrun *run = calloc(1, sizeof *run);
	int rc;

	if (!run)
		return err_set(ENOMEM, "no memory to open a run of keys");
	*run = (struct keyrun) { .place = place, .fd = -1, .refs = 1, .path = keyrun_path(place, number) };
	if (!run->path) {
		keyrun_drop(run);
		return err_set(ENOMEM, "no memory to open a run of keys");
	}
	run->fd = place->io->open(place->io, run->path, O_RDONLY, 0);
	rc = run->fd < 0 ? err_set(-run->fd, "%s: %s", run->path, strerror(-run->fd)) : read_head(run);
	if (!rc && run->head.number != number)
		rc = err_set(EBADMSG, "%s: the file was renamed", run->path);
	if (rc) {
		keyrun_drop(run);
		return rc;
	}
	*out = run;
	return 0;
}

int keyrun_reopen(struct keyrun **out, const struct directory_place *place, uint64_t number)
{
	int rc = keyrun_open(out, place, number);
	char *path = rc ? keyrun_path(place, number) : NULL;

	if (path)
		place->io->unlink(place->io, path);
	free(path);
	return rc;
}

struct keyrun *keyrun_ref(struct keyrun *run)
{
	__atomic_add_fetch(&run->refs, 1, __ATOMIC_RELAXED);
	return run;
}

void keyrun_drop(struct keyrun *run)
{
	if (!run || __atomic_sub_fetch(&run->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (run->fd >= 0)
		run->place->io->close(run->place->io, run->fd);
	free(run->packs);
	free(run->filter);
	free(run->path);
	free(run);
}

/* ---- the table of packs ---- */

/* Hands out some records of the table, and adds them to its check. */
static int some_packs(struct keyrun *run, uint64_t from, uint64_t count, XXH3_state_t *state,
		      int (*each)(void *ctx, uint32_t place, const struct keyrun_pack *pack), void *ctx)
{
	uint8_t bytes[128 * KEYRUN_PACK_BYTES];
	int rc = read_part(run, bytes, count * KEYRUN_PACK_BYTES, run->head.packs_off + from * KEYRUN_PACK_BYTES);

	if (!rc)
		XXH3_64bits_update(state, bytes, count * KEYRUN_PACK_BYTES);
	for (uint64_t i = 0; !rc && each && i < count; i++) {
		struct keyrun_pack pack = keyrun_pack_get(bytes + i * KEYRUN_PACK_BYTES);

		rc = each(ctx, (uint32_t)(from + i), &pack);
	}
	return rc;
}

int keyrun_packs(struct keyrun *run, int (*each)(void *ctx, uint32_t place, const struct keyrun_pack *pack), void *ctx)
{
	XXH3_state_t *state = XXH3_createState();
	int rc = 0;

	if (!state)
		return err_set(ENOMEM, "no memory to read a run of keys");
	XXH3_64bits_reset_withSeed(state, run->head.nonce);
	for (uint64_t i = 0; !rc && i < run->head.packs; i += 128) {
		uint64_t left = run->head.packs - i;

		rc = some_packs(run, i, left < 128 ? left : 128, state, each, ctx);
	}
	if (!rc && XXH3_64bits_digest(state) != run->head.packs_check)
		rc = damaged(run, "the table of packs is damaged");
	XXH3_freeState(state);
	return rc;
}

int keyrun_pack(struct keyrun *run, uint32_t place, struct keyrun_pack *pack)
{
	uint8_t bytes[KEYRUN_PACK_BYTES];
	int rc = read_part(run, bytes, sizeof bytes, run->head.packs_off + (uint64_t)place * KEYRUN_PACK_BYTES);

	if (!rc)
		*pack = keyrun_pack_get(bytes);
	return rc;
}

void keyrun_set_packs(struct keyrun *run, uint32_t *packs)
{
	run->packs = packs;
	run->newest = 0;
	for (uint64_t i = 0; i < run->head.packs; i++)
		if (packs[i] != KEYRUN_GONE && packs[i] > run->newest)
			run->newest = packs[i];
}

bool keyrun_forget(struct keyrun *run, uint32_t index)
{
	for (uint64_t i = 0; i < run->head.packs; i++) {
		if (keyrun_index(run->packs, i) != index)
			continue;
		__atomic_store_n(&run->packs[i], KEYRUN_GONE, __ATOMIC_RELEASE);
		__atomic_add_fetch(&run->gone, 1, __ATOMIC_RELAXED);
		return true;
	}
	return false;
}

/* ---- the filter ---- */

uint64_t keyrun_filter_bytes(const struct keyrun *run)
{
	return run->head.blocks * KEYRUN_BLOCK_BYTES;
}

void keyrun_load_filter(struct keyrun *run)
{
	/* A block lies in one line of the processor's cache. */
	uint8_t *bytes = aligned_alloc(KEYRUN_BLOCK_BYTES, keyrun_filter_bytes(run));
	int rc = bytes ? io_read_all(run->place->io, run->fd, bytes, keyrun_filter_bytes(run), run->head.filter_off)
		       : -ENOMEM;

	for (uint64_t i = 0; !rc && i < run->head.blocks; i++)
		if (!keyrun_block_whole(bytes + i * KEYRUN_BLOCK_BYTES, run->head.nonce, i))
			rc = -EBADMSG;
	if (rc)
		free(bytes);
	else
		__atomic_store_n(&run->filter, bytes, __ATOMIC_RELEASE);
}

void keyrun_expect(const struct keyrun *run, const struct key *key)
{
	const uint8_t *filter = __atomic_load_n(&run->filter, __ATOMIC_ACQUIRE);

	if (filter)
		__builtin_prefetch(filter + keyrun_block_of(key, run->head.blocks) * KEYRUN_BLOCK_BYTES);
}

/* The block of a filter that stands for a key: from memory, or into bytes[]. 0 or -errno. */
static int find_block(struct keyrun *run, uint64_t number, uint8_t bytes[KEYRUN_BLOCK_BYTES], const uint8_t **block)
{
	const uint8_t *filter = __atomic_load_n(&run->filter, __ATOMIC_ACQUIRE);
	int rc;

	*block = filter ? filter + number * KEYRUN_BLOCK_BYTES : bytes;
	if (filter)
		return 0;
	rc = read_part(run, bytes, KEYRUN_BLOCK_BYTES, run->head.filter_off + number * KEYRUN_BLOCK_BYTES);
	if (rc)
		return rc;
	return keyrun_block_whole(bytes, run->head.nonce, number) ? 0 : damaged(run, "the filter is damaged");
}

int keyrun_finds(struct keyrun_finder *f, const struct key *key, uint64_t at)
{
	uint64_t number = keyrun_block_of(key, f->run->head.blocks);
	uint32_t first, end;
	int rc = number == f->number ? 0 : find_block(f->run, number, f->bytes, &f->block);

	f->number = rc ? UINT64_MAX : number;
	if (rc)
		return rc;
	keyrun_block_range(f->block, &first, &end);
	return keyrun_block_may_hold(f->block, key) && at >= first && at < end;
}

/* Which entries have the key if any has. 1; 0: none. */
static int range_of(struct keyrun *run, const struct key *key, uint32_t *first, uint32_t *end)
{
	uint64_t number = keyrun_block_of(key, run->head.blocks);
	uint8_t bytes[KEYRUN_BLOCK_BYTES];
	const uint8_t *block;
	int rc = find_block(run, number, bytes, &block);

	if (rc == -ENOMEM)
		return rc;
	if (!rc && !keyrun_block_may_hold(block, key))
		return 0;
	if (!rc)
		keyrun_block_range(block, first, end);
	if (!rc && (*end > run->head.entries || *first > *end))
		rc = damaged(run, "the filter makes no sense");
	if (rc) { /* any entry may have it */
		*first = 0;
		*end = (uint32_t)run->head.entries;
	}
	return *end > *first;
}

/* ---- pages ---- */

static int read_page(struct keyrun *run, uint64_t number, uint8_t page[KEYRUN_PAGE_BYTES])
{
	int rc = read_part(run, page, KEYRUN_PAGE_BYTES, (1 + number) * KEYRUN_PAGE_BYTES);

	if (rc)
		return rc;
	return keyrun_page_whole(page, run->head.nonce, number) ? 0 : damaged(run, "a page is damaged");
}

static uint64_t entries_in(const struct keyrun *run, uint64_t page)
{
	uint64_t left = run->head.entries - page * KEYRUN_PAGE_ENTRIES;

	return left < KEYRUN_PAGE_ENTRIES ? left : KEYRUN_PAGE_ENTRIES;
}

static const uint8_t *entry_at(const uint8_t *page, uint64_t i)
{
	return page + KEYRUN_PAGE_HEAD + i * KEYRUN_ENTRY_BYTES;
}

/* The first entry of a page that is not less than the key. */
static uint64_t lower_bound(const uint8_t *page, uint64_t count, const struct key *key)
{
	uint64_t from = 0;

	while (count) {
		uint64_t half = count / 2;

		if (memcmp(entry_at(page, from + half), key->bytes, KEY_BYTES) < 0) {
			from += half + 1;
			count -= half + 1;
		} else {
			count = half;
		}
	}
	return from;
}

/* Takes an entry off its page. 1, 0: its pack is gone, -EBADMSG: no writer made it. */
static int take_entry(struct keyrun *run, const uint32_t *packs, const uint8_t *from, struct keyrun_entry *entry,
		      uint32_t *place)
{
	*entry = keyrun_entry_get(from);
	if (entry->at.pack >= run->head.packs || !entry->at.plain_len || entry->at.plain_len > CHUNK_MAX ||
	    entry->at.stored_len > PACK_PAYLOAD_MAX)
		return damaged(run, "an entry makes no sense");
	*place = entry->at.pack;
	entry->at.pack = keyrun_index(packs, *place);
	return entry->at.pack != KEYRUN_GONE;
}

/* 1: found; 0: not there; -EAGAIN: look on at the next page; -EBADMSG. */
static int look_in(struct keyrun *run, const uint8_t *page, uint64_t count, const struct key *key,
		   struct directory_entry *entry)
{
	for (uint64_t i = lower_bound(page, count, key); i < count; i++) {
		struct keyrun_entry found;
		uint32_t place;
		int rc;

		if (memcmp(entry_at(page, i), key->bytes, KEY_BYTES) != 0)
			return 0;
		rc = take_entry(run, run->packs, entry_at(page, i), &found, &place);
		if (!rc)
			continue;
		*entry = found.at;
		return rc;
	}
	return -EAGAIN;
}

int keyrun_get(struct keyrun *run, const struct key *key, struct directory_entry *entry)
{
	uint8_t page[KEYRUN_PAGE_BYTES];
	uint32_t first, end;
	uint64_t low, high;
	int rc = range_of(run, key, &first, &end);

	if (rc <= 0)
		return rc;
	low = first / KEYRUN_PAGE_ENTRIES;
	high = (end - 1) / KEYRUN_PAGE_ENTRIES;
	/* One page, or two, when keys are spread evenly. */
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		rc = read_page(run, middle, page);
		if (rc)
			return rc;
		if (memcmp(entry_at(page, 0), key->bytes, KEY_BYTES) < 0)
			low = middle;
		else
			high = middle;
	}
	high = (end - 1) / KEYRUN_PAGE_ENTRIES;
	for (rc = -EAGAIN; rc == -EAGAIN && low <= high; low++) {
		rc = read_page(run, low, page);
		if (!rc)
			rc = look_in(run, page, entries_in(run, low), key, entry);
	}
	return rc == -EAGAIN ? 0 : rc;
}

/* ---- going through all ---- */

enum { CURSOR_PAGES = 64 };

void keyrun_cursor_open(struct keyrun_cursor *cursor, struct keyrun *run)
{
	*cursor = (struct keyrun_cursor) { .run = run, .packs = run->packs };
}

void keyrun_cursor_close(struct keyrun_cursor *cursor)
{
	free(cursor->bytes);
	cursor->bytes = NULL;
}

/* The next pages, which begin with the entry `next`. */
static int read_ahead(struct keyrun_cursor *c)
{
	struct keyrun *run = c->run;
	uint64_t all = (run->head.entries + KEYRUN_PAGE_ENTRIES - 1) / KEYRUN_PAGE_ENTRIES;
	int rc;

	if (!c->bytes && !(c->bytes = malloc((size_t)CURSOR_PAGES * KEYRUN_PAGE_BYTES)))
		return err_set(ENOMEM, "no memory to go through a run of keys");
	c->first_page = c->next / KEYRUN_PAGE_ENTRIES;
	c->pages = all - c->first_page < CURSOR_PAGES ? all - c->first_page : CURSOR_PAGES;
	rc = read_part(run, c->bytes, c->pages * KEYRUN_PAGE_BYTES, (1 + c->first_page) * KEYRUN_PAGE_BYTES);
	for (uint64_t i = 0; !rc && i < c->pages; i++)
		if (!keyrun_page_whole(c->bytes + i * KEYRUN_PAGE_BYTES, run->head.nonce, c->first_page + i))
			rc = damaged(run, "a page is damaged");
	return rc;
}

int keyrun_next(struct keyrun_cursor *c)
{
	while (c->next < c->run->head.entries) {
		uint64_t page = c->next / KEYRUN_PAGE_ENTRIES;
		struct key last = c->entry.key;
		int rc = !c->pages || page >= c->first_page + c->pages ? read_ahead(c) : 0;

		if (rc)
			return rc;
		rc = take_entry(
		    c->run, c->packs,
		    entry_at(c->bytes + (page - c->first_page) * KEYRUN_PAGE_BYTES, c->next++ % KEYRUN_PAGE_ENTRIES),
		    &c->entry, &c->place);
		if (rc >= 0 && memcmp(last.bytes, c->entry.key.bytes, KEY_BYTES) > 0)
			return damaged(c->run, "the keys are not in order");
		if (rc)
			return rc;
	}
	return 0;
}
