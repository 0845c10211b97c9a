#include "store/pack.h"

#include <errno.h>
#include <stdio.h>

#include "store/err.h"
#include "store/xxh3.h"

static const uint8_t header_magic[8] = { 'T', 'O', 'M', 'O', 'P', 'A', 'C', 'K' };
static const uint8_t trailer_magic[8] = { 'T', 'O', 'M', 'O', 'S', 'E', 'A', 'L' };
const uint8_t pack_magic[4] = { 0xc7, 'R', 'e', 'c' };

enum { HEADER_CHECKED = PACK_HEADER_BYTES - 8, HEAD_CHECKED = PACK_HEAD_BYTES - 8 };

static void put_u64_at(uint8_t *to, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t u64_at(const uint8_t *from)
{
	struct cursor c = cursor_of(from, 8);

	return cursor_u64(&c);
}

void pack_name_text(struct pack_name name, char text[PACK_NAME_MAX])
{
	snprintf(text, PACK_NAME_MAX, "%010u-%010u.pack", (unsigned)name.epoch, (unsigned)name.number);
}

static bool parse_number(const char *text, uint64_t *number)
{
	*number = 0;
	for (int i = 0; i < 10; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*number = *number * 10 + (uint64_t)(text[i] - '0');
	}
	return *number <= UINT32_MAX;
}

bool pack_name_parse(const char *text, struct pack_name *name)
{
	return strlen(text) == 26 && text[10] == '-' && strcmp(text + 21, ".pack") == 0 &&
	       parse_number(text, &name->epoch) && parse_number(text + 11, &name->number);
}

int pack_name_compare(struct pack_name a, struct pack_name b)
{
	if (a.epoch != b.epoch)
		return a.epoch < b.epoch ? -1 : 1;
	return (a.number > b.number) - (a.number < b.number);
}

void pack_header(const struct settings *s, struct pack_name name, uint8_t header[PACK_HEADER_BYTES])
{
	memset(header, 0, PACK_HEADER_BYTES);
	memcpy(header, header_magic, sizeof header_magic);
	put_u64_at(header + 8, (uint64_t)PACK_HEADER_BYTES << 32 | PACK_VERSION);
	memcpy(header + 16, s->id, STORE_ID_BYTES);
	put_u64_at(header + 32, name.epoch);
	put_u64_at(header + 40, name.number);
	pack_name_text(name, (char *)header + 48);
	put_u64_at(header + 96, XXH3_64bits(s->secret, KEY_SECRET_BYTES));
	memcpy(header + 104, s->secret, KEY_SECRET_BYTES);
	put_u64_at(header + HEADER_CHECKED, XXH3_64bits(header, HEADER_CHECKED));
}

uint64_t pack_seed(const uint8_t header[PACK_HEADER_BYTES])
{
	return XXH3_64bits_withSeed(header, HEADER_CHECKED, 1);
}

int pack_header_check(const struct settings *s, const uint8_t header[PACK_HEADER_BYTES], struct pack_name *name)
{
	uint8_t expected[PACK_HEADER_BYTES];
	uint64_t form = u64_at(header + 8);

	if (memcmp(header, header_magic, sizeof header_magic) != 0)
		return err_set(EBADMSG, "the header is damaged: no magic");
	if (u64_at(header + HEADER_CHECKED) != XXH3_64bits(header, HEADER_CHECKED))
		return err_set(EBADMSG, "the header does not match its check");
	/* Only now: a flipped bit is not a newer version. */
	if ((uint32_t)form > PACK_VERSION)
		return err_set(EINVAL, "the pack has format version %u, this version of tomofs reads up to %d",
			       (uint32_t)form, PACK_VERSION);
	if (memcmp(header + 16, s->id, STORE_ID_BYTES) != 0)
		return err_set(EXDEV, "the pack belongs to another store");
	*name = (struct pack_name) { u64_at(header + 32), u64_at(header + 40) };
	pack_header(s, *name, expected);
	if (memcmp(expected, header, PACK_HEADER_BYTES) != 0)
		return err_set(EXDEV, "the pack was written under another hash secret or in another form");
	return 0;
}

uint64_t pack_check(const void *payload, size_t len)
{
	return XXH3_64bits(payload, len);
}

void pack_head_put(struct buf *b, const struct pack_head *head, uint64_t seed, uint64_t off)
{
	size_t at = b->len;

	buf_put(b, pack_magic, sizeof pack_magic);
	buf_u8(b, head->kind);
	buf_u8(b, head->version);
	buf_u8(b, head->codec);
	buf_u8(b, 0);
	buf_u16(b, head->domain);
	buf_u16(b, 0);
	buf_u32(b, head->plain_len);
	buf_u32(b, head->stored_len);
	buf_u32(b, 0);
	buf_put(b, head->key.bytes, KEY_BYTES);
	buf_u64(b, head->payload_check);
	if (!buf_failed(b))
		buf_u64(b, XXH3_64bits_withSeed(b->data + at, HEAD_CHECKED, seed + off));
}

bool pack_head_get(const uint8_t bytes[PACK_HEAD_BYTES], uint64_t seed, uint64_t off, struct pack_head *head)
{
	struct cursor c = cursor_of(bytes + sizeof pack_magic, PACK_HEAD_BYTES - sizeof pack_magic);

	if (memcmp(bytes, pack_magic, sizeof pack_magic) != 0 ||
	    u64_at(bytes + HEAD_CHECKED) != XXH3_64bits_withSeed(bytes, HEAD_CHECKED, seed + off))
		return false;
	*head = (struct pack_head) { .kind = cursor_u8(&c), .version = 0 };
	head->version = cursor_u8(&c);
	head->codec = cursor_u8(&c);
	cursor_u8(&c);
	head->domain = cursor_u16(&c);
	cursor_u16(&c);
	head->plain_len = cursor_u32(&c);
	head->stored_len = cursor_u32(&c);
	cursor_u32(&c);
	memcpy(head->key.bytes, cursor_bytes(&c, KEY_BYTES), KEY_BYTES);
	head->payload_check = cursor_u64(&c);
	if (head->stored_len > PACK_PAYLOAD_MAX)
		return false;
	return head->kind != PACK_CHUNK ||
	       (head->plain_len && head->plain_len <= CHUNK_MAX && head->stored_len && !key_is_hole(&head->key));
}

void pack_note_put(uint8_t payload[PACK_NOTE_BYTES], struct pack_head *head, uint32_t coding)
{
	for (int i = 0; i < PACK_NOTE_BYTES; i++)
		payload[i] = (uint8_t)(coding >> (8 * i));
	*head = (struct pack_head) {
		.kind = PACK_NOTE, .version = 1, .plain_len = PACK_NOTE_BYTES, .stored_len = PACK_NOTE_BYTES
	};
}

bool pack_note_get(const uint8_t record[PACK_NOTE_RECORD], uint64_t seed, uint32_t *coding)
{
	struct cursor c = cursor_of(record + PACK_HEAD_BYTES, PACK_NOTE_BYTES);
	struct pack_head head;

	if (!pack_head_get(record, seed, PACK_HEADER_BYTES, &head) || head.kind != PACK_NOTE || head.version != 1 ||
	    head.stored_len != PACK_NOTE_BYTES ||
	    head.payload_check != pack_check(record + PACK_HEAD_BYTES, PACK_NOTE_BYTES))
		return false;
	*coding = cursor_u32(&c);
	return true;
}

void pack_entry_put(struct buf *entries, const struct pack_head *head, uint64_t off)
{
	buf_put(entries, head->key.bytes, KEY_BYTES);
	buf_u64(entries, off);
	buf_u32(entries, head->plain_len);
	buf_u32(entries, head->stored_len);
	buf_u8(entries, head->kind);
	buf_u8(entries, head->version);
	buf_u8(entries, head->codec);
	buf_u8(entries, 0);
	buf_u16(entries, head->domain);
	buf_u16(entries, 0);
}

/* False when it is too short to be said; then nothing was put. */
bool pack_gap_put(struct buf *entries, uint64_t from, uint64_t to, uint64_t *records)
{
	while (to - from >= PACK_HEAD_BYTES) {
		struct pack_head head = { .kind = PACK_GAP, .version = 1 };
		uint64_t len = to - from - PACK_HEAD_BYTES;

		if (len > PACK_PAYLOAD_MAX) /* what is left is long enough for another */
			len = PACK_PAYLOAD_MAX - PACK_HEAD_BYTES;
		head.stored_len = (uint32_t)len;
		pack_entry_put(entries, &head, from);
		++*records;
		from += PACK_HEAD_BYTES + len;
	}
	return from == to;
}

struct pack_entry pack_entry_get(const uint8_t *entries, uint64_t i)
{
	struct cursor c = cursor_of(entries + i * PACK_ENTRY_BYTES, PACK_ENTRY_BYTES);
	struct pack_entry e = { .off = 0 };

	memcpy(e.head.key.bytes, cursor_bytes(&c, KEY_BYTES), KEY_BYTES);
	e.off = cursor_u64(&c);
	e.head.plain_len = cursor_u32(&c);
	e.head.stored_len = cursor_u32(&c);
	e.head.kind = cursor_u8(&c);
	e.head.version = cursor_u8(&c);
	e.head.codec = cursor_u8(&c);
	cursor_u8(&c);
	e.head.domain = cursor_u16(&c);
	return e;
}

void pack_footer_put(struct buf *b, const struct buf *entries, uint64_t seed, uint64_t off)
{
	struct pack_head head = { .kind = PACK_FOOTER, .version = 1 };
	uint8_t trailer[PACK_TRAILER_BYTES];

	if (entries->failed || entries->len > PACK_PAYLOAD_MAX) {
		b->failed = true;
		return;
	}
	head.plain_len = head.stored_len = (uint32_t)entries->len;
	head.payload_check = pack_check(entries->data, entries->len);
	pack_head_put(b, &head, seed, off);
	buf_put(b, entries->data, entries->len);
	memcpy(trailer, trailer_magic, sizeof trailer_magic);
	put_u64_at(trailer + 8, off);
	put_u64_at(trailer + 16, entries->len / PACK_ENTRY_BYTES);
	put_u64_at(trailer + 24, off + PACK_HEAD_BYTES + entries->len + PACK_TRAILER_BYTES);
	put_u64_at(trailer + 32, XXH3_64bits_withSeed(trailer, 32, seed));
	buf_put(b, trailer, sizeof trailer);
}

bool pack_trailer_get(const uint8_t bytes[PACK_TRAILER_BYTES], uint64_t seed, uint64_t size, uint64_t *footer_off,
		      uint64_t *records)
{
	const uint64_t fixed = PACK_HEADER_BYTES + PACK_HEAD_BYTES + PACK_TRAILER_BYTES;

	if (size < fixed || memcmp(bytes, trailer_magic, sizeof trailer_magic) != 0 ||
	    u64_at(bytes + 32) != XXH3_64bits_withSeed(bytes, 32, seed) || u64_at(bytes + 24) != size)
		return false;
	*footer_off = u64_at(bytes + 8);
	*records = u64_at(bytes + 16);
	return *records <= PACK_PAYLOAD_MAX / PACK_ENTRY_BYTES && *footer_off >= PACK_HEADER_BYTES &&
	       *footer_off < size &&
	       size - *footer_off == PACK_HEAD_BYTES + *records * PACK_ENTRY_BYTES + PACK_TRAILER_BYTES;
}

static bool entry_plausible(const struct pack_entry *e, uint64_t from, uint64_t end)
{
	return e->off >= from && e->off <= UINT32_MAX && e->off + PACK_HEAD_BYTES + e->head.stored_len <= end &&
	       e->head.kind && e->head.kind != PACK_FOOTER && e->head.stored_len <= PACK_PAYLOAD_MAX &&
	       (e->head.kind != PACK_CHUNK ||
		(e->head.plain_len && e->head.plain_len <= CHUNK_MAX && !key_is_hole(&e->head.key)));
}

bool pack_footer_check(const uint8_t *footer, uint64_t seed, uint64_t footer_off, uint64_t records)
{
	const uint8_t *entries = footer + PACK_HEAD_BYTES;
	uint64_t from = PACK_HEADER_BYTES;
	struct pack_head head;

	if (!pack_head_get(footer, seed, footer_off, &head) || head.kind != PACK_FOOTER ||
	    head.stored_len != records * PACK_ENTRY_BYTES || head.payload_check != pack_check(entries, head.stored_len))
		return false;
	for (uint64_t i = 0; i < records; i++) {
		struct pack_entry e = pack_entry_get(entries, i);

		if (!entry_plausible(&e, from, footer_off))
			return false;
		from = e.off + PACK_HEAD_BYTES + e.head.stored_len;
	}
	return true;
}
