/*
 * Key runs, written by one who knows all checks. u8: 0 bytes as they are (may be sealed, below); else a run is made:
 *     u8 flags, u8 entries, u8 packs, u8 blocks; then a list of changes: u16 place (of 16 bytes), u8 of what
 *     (0 head, 1 page, 2 filter, 3 table of packs, 4 the end of the file), u8 value; checks are made to fit again unless
 *     flag 1 is set; flags from 4 on: which read fails
 * The run is opened, its packs read, each key looked up, and all entries gone through.
 */
#include <xxhash.h>

#include "store/keyrun.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/memio.h"

const unsigned fuzz_failing_allocations = 8;

enum { NUMBER = 12, UNSEALED = 1, WITH_FILTER = 2, FAIL_SHIFT = 2 };
#define FILE_NAME "0000000012.keys"

static const struct settings settings = { .id = { 1 }, .secret = { 2 } };

static struct key key_number(unsigned i)
{
	struct key k = { .bytes = { (uint8_t)(i >> 3), (uint8_t)(i << 5), 7 } };

	return k;
}

struct run {
	struct keyrun_head head;
	uint8_t *bytes;
	size_t len, pages;
};

static void make_entries(struct run *r, unsigned entries, unsigned packs)
{
	for (unsigned i = 0; i < entries; i++) {
		struct keyrun_entry e = { key_number(i), { i % (packs + 1), 400 + i, 100, 200, (uint8_t)(i % 5) } };

		keyrun_entry_put(r->bytes + (1 + i / KEYRUN_PAGE_ENTRIES) * KEYRUN_PAGE_BYTES + KEYRUN_PAGE_HEAD +
					 i % KEYRUN_PAGE_ENTRIES * KEYRUN_ENTRY_BYTES,
				 &e);
	}
	for (unsigned b = 0, i = 0; b < r->head.blocks; b++) {
		uint8_t *block = r->bytes + r->head.filter_off + b * KEYRUN_BLOCK_BYTES;
		unsigned first = i;

		for (; i < entries; i++) {
			struct key k = key_number(i);

			if (keyrun_block_of(&k, r->head.blocks) != b)
				break;
			keyrun_block_add(block, &k);
		}
		keyrun_block_seal(block, r->head.nonce, b, first, i);
	}
	for (unsigned i = 0; i < packs; i++)
		keyrun_pack_put(r->bytes + r->head.packs_off + i * KEYRUN_PACK_BYTES,
				&(struct keyrun_pack){ { 1, i + 1 }, 5000, i });
}

static bool make(struct run *r, unsigned entries, unsigned packs, unsigned blocks)
{
	struct keyrun_head *h = &r->head;

	r->pages = (entries + KEYRUN_PAGE_ENTRIES - 1) / KEYRUN_PAGE_ENTRIES;
	*h = (struct keyrun_head){ .number = NUMBER, .nonce = 99, .entries = entries, .blocks = blocks, .packs = packs };
	h->filter_off = (1 + r->pages) * KEYRUN_PAGE_BYTES;
	h->packs_off = h->filter_off + blocks * KEYRUN_BLOCK_BYTES;
	h->size = r->len = h->packs_off + packs * KEYRUN_PACK_BYTES;
	r->bytes = calloc(1, r->len);
	if (r->bytes)
		make_entries(r, entries, packs);
	return r->bytes;
}

/* The head's numbers are changed as numbers, for it is made from them. */
static void change_head(struct run *r, unsigned place, unsigned value)
{
	uint64_t *numbers[] = { &r->head.number, &r->head.nonce, &r->head.entries, &r->head.filter_off, &r->head.blocks,
				&r->head.packs_off, &r->head.packs, &r->head.packs_check, &r->head.size };
	uint64_t *v = numbers[place % 9];

	*v = place & 0x80 ? *v + value : place & 0x40 ? *v - value : (uint64_t)value << place / 9 % 64;
}

static void change(struct run *r, struct cursor *c)
{
	size_t place = cursor_u16(c), at = place, from, to;
	unsigned what = cursor_u8(c) % 5, value = cursor_u8(c);

	if (what == 0) {
		change_head(r, (unsigned)place, value);
		return;
	}
	if (what == 4) {
		r->len -= at < r->len ? at : r->len;
		return;
	}
	if (r->len <= 640)
		return;
	from = what == 1 ? KEYRUN_PAGE_BYTES : what == 2 ? (1 + r->pages) * KEYRUN_PAGE_BYTES : r->len - place % 640;
	to = what == 1 ? (1 + r->pages) * KEYRUN_PAGE_BYTES : r->len;
	at = what == 3 ? from : from + place;
	if (at < to && at < r->len)
		r->bytes[at] = (uint8_t)value;
}

/* All checks fit what was changed. */
static void seal(struct run *r)
{
	size_t made = (1 + r->pages) * KEYRUN_PAGE_BYTES;

	for (size_t i = 0; i < r->pages && (2 + i) * KEYRUN_PAGE_BYTES <= r->len; i++)
		keyrun_page_seal(r->bytes + (1 + i) * KEYRUN_PAGE_BYTES, r->head.nonce, i);
	for (size_t i = 0; made + (i + 1) * KEYRUN_BLOCK_BYTES <= r->len && i < r->head.blocks; i++) {
		uint8_t *block = r->bytes + made + i * KEYRUN_BLOCK_BYTES;
		uint32_t first, end;

		keyrun_block_range(block, &first, &end);
		keyrun_block_seal(block, r->head.nonce, i, first, end);
	}
	if (r->head.packs_off <= r->len && r->head.packs * KEYRUN_PACK_BYTES <= r->len - r->head.packs_off)
		r->head.packs_check = XXH3_64bits_withSeed(r->bytes + r->head.packs_off,
							   r->head.packs * KEYRUN_PACK_BYTES, r->head.nonce);
}

static void use(struct keyrun *run, bool filter)
{
	uint32_t *packs;
	struct keyrun_cursor cursor;
	struct keyrun_pack pack;
	struct directory_entry e;

	if (keyrun_packs(run, NULL, NULL) || run->head.packs > 1 << 16)
		return;
	packs = malloc((run->head.packs + 1) * sizeof *packs);
	if (!packs)
		return;
	for (uint32_t i = 0; i < run->head.packs; i++)
		packs[i] = i == 1 ? KEYRUN_GONE : i;
	keyrun_set_packs(run, packs);
	if (run->head.packs)
		keyrun_pack(run, 0, &pack);
	if (filter && keyrun_filter_bytes(run) <= 1 << 20)
		keyrun_load_filter(run);
	for (unsigned i = 0; i < 520; i += 3) {
		struct key k = key_number(i);

		keyrun_expect(run, &k);
		if (keyrun_get(run, &k, &e) == 1)
			must(e.pack < run->head.packs && e.plain_len && e.plain_len <= CHUNK_MAX, "an entry makes no sense");
	}
	keyrun_cursor_open(&cursor, run);
	while (keyrun_next(&cursor) == 1)
		must(cursor.entry.at.pack < run->head.packs, "a pack that is not there");
	keyrun_cursor_close(&cursor);
	keyrun_forget(run, 0);
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	unsigned flags = cursor_u8(&c), entries = cursor_u8(&c) * 2, packs = cursor_u8(&c) % 20, blocks = 1 + cursor_u8(&c) % 40;
	struct memio disk;
	struct directory_place place = { .io = &disk.io, .folder = "keys", .settings = &settings };
	struct keyrun *run = NULL;
	struct run r;
	uint64_t number;

	memio_init(&disk);
	if (make(&r, entries, packs, blocks)) {
		while (cursor_left(&c) >= 4)
			change(&r, &c);
		if (!(flags & UNSEALED))
			seal(&r);
		if (r.len >= KEYRUN_PAGE_BYTES)
			keyrun_head_put(&settings, &r.head, r.bytes);
		memio_put(&disk, FILE_NAME, r.bytes, r.len);
		must(keyrun_parse(FILE_NAME, &number) && number == NUMBER, "a name");
		disk.fail_read = flags >> FAIL_SHIFT;
		if (!keyrun_open(&run, &place, NUMBER)) {
			use(run, flags & WITH_FILTER);
			keyrun_drop(run);
		}
	}
	must(!disk.open, "a file stays open");
	free(r.bytes);
	memio_free(&disk);
}
