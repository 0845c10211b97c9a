#include "store/keyrun_format.h"

#include <errno.h>
#include <xxhash.h>

#include "store/err.h"

static const uint8_t magic[8] = { 'T', 'O', 'M', 'O', 'K', 'E', 'Y', 'S' };

enum { HEAD_CHECKED = KEYRUN_PAGE_BYTES - 8, PROBES = 6 };
#define BLOCK_SEED (UINT64_C(1) << 63) /* blocks and pages of the same number have different checks */

static inline void put_u32(uint8_t *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static inline uint32_t get_u32(const uint8_t *from)
{
	return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static inline void put_u64(uint8_t *to, uint64_t v)
{
	put_u32(to, (uint32_t)v);
	put_u32(to + 4, (uint32_t)(v >> 32));
}

static inline uint64_t get_u64(const uint8_t *from)
{
	return get_u32(from) | (uint64_t)get_u32(from + 4) << 32;
}

static inline uint64_t big_u64(const uint8_t *from)
{
	return __builtin_bswap64(get_u64(from));
}

/* ---- head ---- */

enum { AT_VERSION = 8, AT_ID = 16, AT_SECRET = 32, AT_NUMBERS = 40 };

/* All that is a plain number, in the order in which it stands in the head. */
#define NUMBERS(head)                                                                                                  \
	{                                                                                                              \
		&(head)->number, &(head)->nonce, &(head)->entries, &(head)->filter_off, &(head)->blocks,               \
		    &(head)->packs_off, &(head)->packs, &(head)->packs_check, &(head)->size                            \
	}
#define COUNT(array) (sizeof(array) / sizeof *(array))

static void put_sum(uint8_t *to, const struct directory_sum *sum)
{
	put_u64(to, sum->chunks);
	put_u64(to + 8, sum->plain_bytes);
	put_u64(to + 16, sum->stored_bytes);
}

static struct directory_sum get_sum(const uint8_t *from)
{
	return (struct directory_sum) { get_u64(from), get_u64(from + 8), get_u64(from + 16) };
}

void keyrun_head_put(const struct settings *settings, const struct keyrun_head *head, uint8_t page[KEYRUN_PAGE_BYTES])
{
	const uint64_t *const numbers[] = NUMBERS(head);
	uint8_t *to = page + AT_NUMBERS;

	memset(page, 0, KEYRUN_PAGE_BYTES);
	memcpy(page, magic, sizeof magic);
	put_u32(page + AT_VERSION, KEYRUN_VERSION);
	put_u32(page + AT_VERSION + 4, KEYRUN_PAGE_BYTES);
	memcpy(page + AT_ID, settings->id, STORE_ID_BYTES);
	put_u64(page + AT_SECRET, XXH3_64bits(settings->secret, KEY_SECRET_BYTES));
	for (size_t i = 0; i < COUNT(numbers); i++, to += 8)
		put_u64(to, *numbers[i]);
	put_sum(to, &head->sums.all);
	for (size_t i = 0; i < DIRECTORY_CODECS; i++)
		put_sum(to += 24, &head->sums.codec[i]);
	put_u64(page + HEAD_CHECKED, XXH3_64bits(page, HEAD_CHECKED));
}

/* Do the parts lie in the file as they should, and is there enough of each? */
static bool plausible(const struct keyrun_head *h)
{
	uint64_t pages = (h->entries + KEYRUN_PAGE_ENTRIES - 1) / KEYRUN_PAGE_ENTRIES;

	return h->entries <= UINT32_MAX && h->size <= INT64_MAX && h->filter_off <= h->size &&
	       h->packs_off <= h->size && h->filter_off % KEYRUN_PAGE_BYTES == 0 &&
	       h->filter_off >= (1 + pages) * KEYRUN_PAGE_BYTES && h->packs_off >= h->filter_off && h->blocks &&
	       h->blocks <= (h->packs_off - h->filter_off) / KEYRUN_BLOCK_BYTES && h->packs <= UINT32_MAX &&
	       h->packs * KEYRUN_PACK_BYTES == h->size - h->packs_off;
}

int keyrun_head_get(const struct settings *settings, const uint8_t page[KEYRUN_PAGE_BYTES], struct keyrun_head *head)
{
	uint64_t *const numbers[] = NUMBERS(head);
	const uint8_t *from = page + AT_NUMBERS;

	if (memcmp(page, magic, sizeof magic) != 0 || get_u64(page + HEAD_CHECKED) != XXH3_64bits(page, HEAD_CHECKED))
		return err_set(EBADMSG, "the head is damaged");
	if (get_u32(page + AT_VERSION) != KEYRUN_VERSION)
		return err_set(EINVAL, "it has format version %u", get_u32(page + AT_VERSION));
	if (memcmp(page + AT_ID, settings->id, STORE_ID_BYTES) != 0 ||
	    get_u64(page + AT_SECRET) != XXH3_64bits(settings->secret, KEY_SECRET_BYTES))
		return err_set(EXDEV, "it belongs to another store");
	for (size_t i = 0; i < COUNT(numbers); i++, from += 8)
		*numbers[i] = get_u64(from);
	head->sums.all = get_sum(from);
	for (size_t i = 0; i < DIRECTORY_CODECS; i++)
		head->sums.codec[i] = get_sum(from += 24);
	return plausible(head) ? 0 : err_set(EBADMSG, "the head makes no sense");
}

/* ---- entries and pages ---- */

void keyrun_entry_put(uint8_t to[KEYRUN_ENTRY_BYTES], const struct keyrun_entry *entry)
{
	memcpy(to, entry->key.bytes, KEY_BYTES);
	put_u32(to + 16, entry->at.pack);
	put_u32(to + 20, entry->at.off);
	put_u32(to + 24, entry->at.stored_len);
	put_u32(to + 28, entry->at.plain_len | (uint32_t)entry->at.codec << 24);
}

struct keyrun_entry keyrun_entry_get(const uint8_t from[KEYRUN_ENTRY_BYTES])
{
	struct keyrun_entry entry;

	memcpy(entry.key.bytes, from, KEY_BYTES);
	entry.at = (struct directory_entry) { .pack = get_u32(from + 16),
					      .off = get_u32(from + 20),
					      .stored_len = get_u32(from + 24),
					      .plain_len = get_u32(from + 28) & 0xffffff,
					      .codec = from[31] };
	return entry;
}

static uint64_t page_check(const uint8_t *page, uint64_t nonce, uint64_t number)
{
	return XXH3_64bits_withSeed(page + 8, KEYRUN_PAGE_BYTES - 8, nonce + number);
}

void keyrun_page_seal(uint8_t page[KEYRUN_PAGE_BYTES], uint64_t nonce, uint64_t number)
{
	memset(page, 0, KEYRUN_PAGE_HEAD);
	put_u64(page + 8, number);
	put_u64(page, page_check(page, nonce, number));
}

bool keyrun_page_whole(const uint8_t page[KEYRUN_PAGE_BYTES], uint64_t nonce, uint64_t number)
{
	return get_u64(page) == page_check(page, nonce, number);
}

/* ---- the filter ---- */

static uint32_t block_check(const uint8_t *block, uint64_t nonce, uint64_t number)
{
	return (uint32_t)XXH3_64bits_withSeed(block + 4, KEYRUN_BLOCK_BYTES - 4, nonce + BLOCK_SEED + number);
}

void keyrun_block_seal(uint8_t block[KEYRUN_BLOCK_BYTES], uint64_t nonce, uint64_t number, uint32_t first, uint32_t end)
{
	put_u32(block + 4, first);
	put_u32(block + 8, end);
	put_u32(block, block_check(block, nonce, number));
}

bool keyrun_block_whole(const uint8_t block[KEYRUN_BLOCK_BYTES], uint64_t nonce, uint64_t number)
{
	return get_u32(block) == block_check(block, nonce, number);
}

void keyrun_block_range(const uint8_t block[KEYRUN_BLOCK_BYTES], uint32_t *first, uint32_t *end)
{
	*first = get_u32(block + 4);
	*end = get_u32(block + 8);
}

/* The i-th bit that a key sets in its block: double hashing with the half of the key that did not choose the block. */
static uint32_t bit_of(const struct key *key, uint32_t i)
{
	uint32_t start = get_u32(key->bytes + 8), step = get_u32(key->bytes + 12) | 1;

	return (uint32_t)((uint64_t)(start + i * step) * KEYRUN_BLOCK_BITS >> 32);
}

void keyrun_block_add(uint8_t block[KEYRUN_BLOCK_BYTES], const struct key *key)
{
	for (uint32_t i = 0; i < PROBES; i++) {
		uint32_t bit = bit_of(key, i);

		block[KEYRUN_BLOCK_HEAD + bit / 8] |= (uint8_t)(1 << bit % 8);
	}
}

bool keyrun_block_may_hold(const uint8_t block[KEYRUN_BLOCK_BYTES], const struct key *key)
{
	for (uint32_t i = 0; i < PROBES; i++) {
		uint32_t bit = bit_of(key, i);

		if (!(block[KEYRUN_BLOCK_HEAD + bit / 8] & 1 << bit % 8))
			return false;
	}
	return true;
}

uint64_t keyrun_block_of(const struct key *key, uint64_t blocks)
{
	return (uint64_t)((unsigned __int128)big_u64(key->bytes) * blocks >> 64);
}

/* ---- the table of packs ---- */

void keyrun_pack_put(uint8_t to[KEYRUN_PACK_BYTES], const struct keyrun_pack *pack)
{
	put_u64(to, pack->name.epoch);
	put_u64(to + 8, pack->name.number);
	put_u64(to + 16, pack->size);
	put_u64(to + 24, pack->seed);
}

struct keyrun_pack keyrun_pack_get(const uint8_t from[KEYRUN_PACK_BYTES])
{
	return (struct keyrun_pack) { { get_u64(from), get_u64(from + 8) }, get_u64(from + 16), get_u64(from + 24) };
}
