/*
 * Pack files: header, records, footer, trailer, as an attacker who knows all checks would write them. A list of commands
 * makes the file; then it is recovered, gone through, and each chunk in it decoded.
 *     0  bytes as they are: u16 length, bytes
 *     1  a record: u8 kind, u8 version, u8 codec, u32 plain length, u8 what is wrong (1 payload check, 2 stored length
 *        one more, 4 all-zero key, 8 claims the largest payload), u16 length, bytes
 *     2  a footer over the records so far: u8 what is wrong (1 one entry left out, 2 entries in another order, 4 without
 *        the trailer)
 *     3  a changed byte: u16 offset, u8 added to it
 *     4  a note: u32 coding
 * The first byte says how to recover (enum recover_flags), with 4 the header is another store's; its upper half: that many
 * reads from the beginning on one fails.
 */
#include <errno.h>

#include "store/codec.h"
#include "store/pack.h"
#include "store/recover.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/memio.h"

const unsigned fuzz_failing_allocations = 12;

enum { BAD_CHECK = 1, BAD_LENGTH = 2, NO_KEY = 4, HUGE_LENGTH = 8 };
enum { OTHER_STORE = 4 };

static const struct pack_name name = { 3, 1 };
static const struct settings settings = { .id = { 1, 2, 3 }, .secret = { 4, 5, 6 }, .chunk_min = CHUNK_MIN,
					  .chunk_avg = CHUNK_AVG, .chunk_max = CHUNK_MAX };

struct making {
	struct buf *file;
	struct buf entries;
	uint64_t seed;
};

static const uint8_t *block(struct cursor *c, size_t *len)
{
	*len = cursor_u16(c);
	if (*len > cursor_left(c))
		*len = cursor_left(c);
	return cursor_bytes(c, *len);
}

static void record(struct making *m, struct cursor *c)
{
	struct pack_head head = { .kind = cursor_u8(c), .version = cursor_u8(c), .codec = cursor_u8(c),
				  .plain_len = cursor_u32(c) };
	unsigned wrong = cursor_u8(c);
	uint64_t off = m->file->len;
	const uint8_t *payload;
	size_t len;

	payload = block(c, &len);
	head.stored_len = (uint32_t)len + !!(wrong & BAD_LENGTH);
	if (wrong & HUGE_LENGTH)
		head.stored_len = PACK_PAYLOAD_MAX;
	if (!(wrong & NO_KEY))
		head.key.bytes[0] = (uint8_t)(1 + off);
	head.payload_check = pack_check(payload ? payload : (const uint8_t *)"", len) + !!(wrong & BAD_CHECK);
	pack_head_put(m->file, &head, m->seed, off);
	if (len)
		buf_put(m->file, payload, len);
	pack_entry_put(&m->entries, &head, off);
}

static void note(struct making *m, struct cursor *c)
{
	uint8_t payload[PACK_NOTE_BYTES];
	struct pack_head head;

	pack_note_put(payload, &head, cursor_u32(c));
	head.payload_check = pack_check(payload, sizeof payload);
	pack_head_put(m->file, &head, m->seed, m->file->len);
	buf_put(m->file, payload, sizeof payload);
}

static void footer(struct making *m, unsigned wrong)
{
	size_t count = m->entries.len / PACK_ENTRY_BYTES;
	uint8_t first[PACK_ENTRY_BYTES];

	if (count && wrong & 1)
		m->entries.len -= PACK_ENTRY_BYTES;
	if (count > 1 && wrong & 2) {
		memcpy(first, m->entries.data, sizeof first);
		memmove(m->entries.data, m->entries.data + sizeof first, m->entries.len - sizeof first);
		memcpy(m->entries.data + m->entries.len - sizeof first, first, sizeof first);
	}
	pack_footer_put(m->file, &m->entries, m->seed, m->file->len);
	if (wrong & 4 && m->file->len > PACK_TRAILER_BYTES)
		m->file->len -= PACK_TRAILER_BYTES;
}

static void change_byte(struct making *m, struct cursor *c)
{
	size_t at = cursor_u16(c);
	uint8_t add = cursor_u8(c);

	if (at < m->file->len)
		m->file->data[at] += add;
}

static void make(struct making *m, struct cursor *c)
{
	size_t len;
	const uint8_t *bytes;

	while (cursor_left(c) && !cursor_failed(c) && m->file->len < 1 << 20)
		switch (cursor_u8(c) % 5) {
		case 0:
			bytes = block(c, &len);
			if (len)
				buf_put(m->file, bytes, len);
			break;
		case 1:
			record(m, c);
			break;
		case 2:
			footer(m, cursor_u8(c));
			break;
		case 3:
			change_byte(m, c);
			break;
		default:
			note(m, c);
		}
}

static int decode(void *ctx, const struct pack_head *head, uint64_t off, const uint8_t *payload)
{
	uint8_t *to = head->kind == PACK_CHUNK ? malloc(head->plain_len) : NULL;
	uint64_t *end = ctx;

	must(off >= *end, "records overlap");
	*end = off + PACK_HEAD_BYTES + head->stored_len;
	must(head->kind != PACK_CHUNK || head->plain_len <= CHUNK_MAX, "a chunk is too long");
	if (to)
		codec_decode(head->codec, payload, head->stored_len, to, head->plain_len);
	free(to);
	return 0;
}

static void walk(struct memio *m, uint64_t seed)
{
	uint64_t end = 0;
	struct walk walk = { .io = &m->io, .seed = seed, .record = decode, .ctx = &end };

	walk.fd = m->io.open(&m->io, "0000000003-0000000001.pack", 0, 0);
	if (walk.fd < 0)
		return;
	walk.size = (uint64_t)m->io.size(&m->io, walk.fd);
	pack_walk(&walk);
	must(walk.whole_end <= walk.size || walk.size < PACK_HEADER_BYTES, "the end is behind the file");
	m->io.close(&m->io, walk.fd);
}

static void recover(struct memio *m, unsigned flags, uint64_t seed)
{
	struct recovered r, again;
	uint64_t from = PACK_HEADER_BYTES;
	int rc = recover_pack(&m->io, &settings, "packs", name, flags, &r);

	if (rc)
		return;
	m->fail_read = 0;
	must(r.entries.len == r.records * PACK_ENTRY_BYTES, "entries");
	for (uint64_t i = 0; i < r.records; i++) {
		struct pack_entry e = pack_entry_get(r.entries.data, i);

		must(e.off >= from && e.off + PACK_HEAD_BYTES + e.head.stored_len <= r.size, "an entry outside the pack");
		from = e.off + PACK_HEAD_BYTES + e.head.stored_len;
	}
	walk(m, seed);
	if (flags & RECOVER_WRITE && r.sealed && !recover_pack(&m->io, &settings, "packs", name, 0, &again)) {
		must(again.records == r.records, "a sealed pack says something else");
		buf_free(&again.entries);
	}
	buf_free(&r.entries);
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	unsigned how = cursor_u8(&c);
	uint8_t header[PACK_HEADER_BYTES], text[PACK_NOTE_RECORD] = { 0 };
	struct settings own = settings;
	struct making m = { 0 };
	struct memio disk;
	uint32_t coding;

	own.id[0] += !!(how & OTHER_STORE);
	pack_header(&own, name, header);
	m.seed = pack_seed(header);
	memio_init(&disk);
	m.file = memio_put(&disk, "0000000003-0000000001.pack", header, sizeof header);
	make(&m, &c);
	if (!buf_failed(m.file)) {
		if (m.file->len >= PACK_HEADER_BYTES + sizeof text)
			memcpy(text, m.file->data + PACK_HEADER_BYTES, sizeof text);
		pack_note_get(text, m.seed, &coding);
		disk.fail_read = how >> 4;
		recover(&disk, how & (RECOVER_WRITE | RECOVER_SETTLE), m.seed);
	}
	must(!disk.open, "a file stays open");
	buf_free(&m.entries);
	memio_free(&disk);
}
