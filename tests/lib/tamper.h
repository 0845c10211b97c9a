/*
 * tamper: changes one thing in a key run and makes all its checks anew, as when memory changed it before they were made.
 */
#ifndef TOMOFS_TAMPER_H
#define TOMOFS_TAMPER_H

#include <fcntl.h>
#include <unistd.h>

#include "store/keyrun.h"
#include "store/xxh3.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"

enum { TAMPER_KEY, TAMPER_PLACE, TAMPER_OFFSET, TAMPER_LENGTH, TAMPER_FILTER, TAMPER_SEED, TAMPER_SUMS, TAMPERINGS };

struct tampering {
	struct settings settings;
	int kind;
	uint64_t random; /* state */
	uint8_t bytes[64 << 10]; /* the run */
	struct keyrun_head head;
};
static struct tampering tampering; /* settings and kind are the caller's to set */

static inline void tamper_entry(struct tampering *t)
{
	uint64_t at = random_below(&t->random, t->head.entries), number = at / KEYRUN_PAGE_ENTRIES;
	uint8_t *page = t->bytes + (1 + number) * KEYRUN_PAGE_BYTES;
	uint8_t *bytes = page + KEYRUN_PAGE_HEAD + at % KEYRUN_PAGE_ENTRIES * KEYRUN_ENTRY_BYTES;
	struct keyrun_entry e = keyrun_entry_get(bytes);

	e.key.bytes[KEY_BYTES - 1] ^= t->kind == TAMPER_KEY;
	e.at.off ^= t->kind == TAMPER_OFFSET;
	e.at.plain_len ^= t->kind == TAMPER_LENGTH;
	if (t->kind == TAMPER_PLACE)
		e.at.pack = (uint32_t)((e.at.pack + 1) % t->head.packs);
	keyrun_entry_put(bytes, &e);
	keyrun_page_seal(page, t->head.nonce, number);
}

static inline void tamper_filter(struct tampering *t)
{
	uint64_t number;
	uint8_t *block;
	uint32_t first, end;

	do {
		number = random_below(&t->random, t->head.blocks);
		block = t->bytes + t->head.filter_off + number * KEYRUN_BLOCK_BYTES;
		keyrun_block_range(block, &first, &end);
	} while (first == end);
	for (size_t i = KEYRUN_BLOCK_HEAD; i < KEYRUN_BLOCK_BYTES; i++)
		block[i] &= 0x55;
	keyrun_block_seal(block, t->head.nonce, number, first, end);
}

static inline void tamper_seed(struct tampering *t)
{
	uint8_t *packs = t->bytes + t->head.packs_off;

	packs[random_below(&t->random, t->head.packs) * KEYRUN_PACK_BYTES + 24] ^= 1;
	t->head.packs_check = XXH3_64bits_withSeed(packs, t->head.packs * KEYRUN_PACK_BYTES, t->head.nonce);
}

/* Of the run at this path. */
static inline void tamper(const char *path)
{
	struct tampering *t = &tampering;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	ssize_t size = pread(fd, t->bytes, sizeof t->bytes, 0);

	CHECK(size > 0 && size < (ssize_t)sizeof t->bytes && !keyrun_head_get(&t->settings, t->bytes, &t->head));
	if (t->kind == TAMPER_FILTER)
		tamper_filter(t);
	else if (t->kind == TAMPER_SEED)
		tamper_seed(t);
	else if (t->kind == TAMPER_SUMS)
		t->head.sums.codec[1].chunks++;
	else
		tamper_entry(t);
	keyrun_head_put(&t->settings, &t->head, t->bytes);
	CHECK(pwrite(fd, t->bytes, (size_t)size, 0) == size);
	close(fd);
}

#endif
