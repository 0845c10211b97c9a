/*
 * keyrun_format: the bytes of a key run (keyrun.h): pure functions from values to bytes and back. Format:
 * store/FORMAT.md.
 *
 *     head (4096) | pages of entries, in the order of keys (4096 each) | filter (64 a block) | table of packs (32 each)
 *
 * A block of the filter stands for a range of keys that holds about 40 of them. It says which entries these are, and
 * whether a key may be one of them (a blocked Bloom filter: Putze, Sanders, Singler, "Cache-, hash- and space-efficient
 * Bloom filters", 2007). As blocks follow the order of keys, a run is written in one pass, and one block and one page
 * are all that a look-up reads.
 *
 * Nothing is believed that does not match its check. The checks depend on a random number of the run's, so that no
 * block of an older file can stand in for one of this.
 */
#ifndef TOMOFS_KEYRUN_FORMAT_H
#define TOMOFS_KEYRUN_FORMAT_H

#include "store/directory.h"

enum {
	KEYRUN_VERSION = 1,
	KEYRUN_PAGE_BYTES = 4096, /* of the head too */
	KEYRUN_PAGE_HEAD = 32,
	KEYRUN_ENTRY_BYTES = 32,
	KEYRUN_PAGE_ENTRIES = 127,
	KEYRUN_BLOCK_BYTES = 64,
	KEYRUN_BLOCK_HEAD = 12,
	KEYRUN_BLOCK_BITS = 416,
	KEYRUN_BLOCK_KEYS = 40, /* on the average */
	KEYRUN_PACK_BYTES = 32,
};

struct keyrun_head {
	uint64_t number;     /* of the run; later ones are made later */
	uint64_t nonce;	     /* seed of all checks but the head's own */
	uint64_t entries;    /* below 2^32 */
	uint64_t filter_off; /* in bytes, as below */
	uint64_t blocks;
	uint64_t packs_off;
	uint64_t packs;	      /* number of them */
	uint64_t packs_check; /* XXH3-64 of the table, seeded with nonce */
	uint64_t size;	      /* of the file */
	struct directory_sums sums;
};

struct keyrun_entry {
	struct key key;
	struct directory_entry at; /* pack: place in the run's own table of packs */
};

struct keyrun_pack { /* in the table: of all packs whose chunks the run lists, in the order of their names */
	struct pack_name name;
	uint64_t size; /* of the file, sealed */
	uint64_t seed; /* as its records have it */
};

void keyrun_head_put(const struct settings *settings, const struct keyrun_head *head, uint8_t page[KEYRUN_PAGE_BYTES]);
/* 0; -EBADMSG: damaged; -EXDEV: of another store; -EINVAL: of another version. With a sentence that wants a noun. */
int keyrun_head_get(const struct settings *settings, const uint8_t page[KEYRUN_PAGE_BYTES], struct keyrun_head *head);

void keyrun_entry_put(uint8_t to[KEYRUN_ENTRY_BYTES], const struct keyrun_entry *entry);
struct keyrun_entry keyrun_entry_get(const uint8_t from[KEYRUN_ENTRY_BYTES]);

/* Fills in the head of a page, or of a block. */
void keyrun_page_seal(uint8_t page[KEYRUN_PAGE_BYTES], uint64_t nonce, uint64_t number);
bool keyrun_page_whole(const uint8_t page[KEYRUN_PAGE_BYTES], uint64_t nonce, uint64_t number);

void keyrun_block_seal(uint8_t block[KEYRUN_BLOCK_BYTES], uint64_t nonce, uint64_t number, uint32_t first,
		       uint32_t end);
bool keyrun_block_whole(const uint8_t block[KEYRUN_BLOCK_BYTES], uint64_t nonce, uint64_t number);
/* Entries first .. end-1 are those of the block. */
void keyrun_block_range(const uint8_t block[KEYRUN_BLOCK_BYTES], uint32_t *first, uint32_t *end);
void keyrun_block_add(uint8_t block[KEYRUN_BLOCK_BYTES], const struct key *key);
bool keyrun_block_may_hold(const uint8_t block[KEYRUN_BLOCK_BYTES], const struct key *key);
/* Which of so many blocks stands for the key; grows with it. */
uint64_t keyrun_block_of(const struct key *key, uint64_t blocks);

void keyrun_pack_put(uint8_t to[KEYRUN_PACK_BYTES], const struct keyrun_pack *pack);
struct keyrun_pack keyrun_pack_get(const uint8_t from[KEYRUN_PACK_BYTES]);

#endif
