/*
 * Journal segments, written by one who knows all checks. A list of commands makes the file:
 *     0  bytes as they are: u16 length, bytes
 *     1  a record: u8 kind, u8 version, u8 what is wrong (1 number, 2 chain, 4 body's digest, 8 a batch that makes no
 *        sense), u8 length of the user's name, u16 length of the body, bytes
 *     2  zeros: u16 length
 *     3  a changed byte: u16 offset, u8 added to it
 *     4  the last record without its body, as if it had been erased
 *     5  a changed byte of the last record, with a check that fits: u16 offset, u8 value
 *     6  a read fails: u8 which from the beginning on
 * It is read to its end, resynced over whatever is damaged, and asked whether its end is torn.
 */
#include <errno.h>
#include <xxhash.h>

#include "store/journal_internal.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/memio.h"

const unsigned fuzz_failing_allocations = 6;

enum { BAD_NUMBER = 1, BAD_CHAIN = 2, BAD_DIGEST = 4, BAD_BATCH = 8 };

static const uint8_t id[STORE_ID_BYTES] = { 9, 8, 7 };

struct making {
	struct buf *file;
	struct sha sha;
	uint64_t next;
	uint8_t prev[SHA_BYTES];
	size_t last; /* where the last record begins */
};

static void record(struct making *m, struct cursor *c)
{
	static const char user[RECORD_NAME_MAX + 1] = { [0 ... RECORD_NAME_MAX - 1] = 'u' };
	struct journal_record r = { .seq = m->next, .time_ns = 5, .program = "p", .kind = cursor_u8(c) };
	uint8_t digest[SHA_BYTES], prev[SHA_BYTES];
	struct record_place place = { .prev = prev, .body_digest = digest };
	unsigned wrong;

	r.version = cursor_u8(c);
	wrong = cursor_u8(c);
	r.user = user + RECORD_NAME_MAX - cursor_u8(c);
	r.body_len = cursor_u16(c);
	if (r.body_len > cursor_left(c))
		r.body_len = cursor_left(c);
	r.body = cursor_bytes(c, r.body_len);
	r.seq += !!(wrong & BAD_NUMBER);
	memcpy(prev, m->prev, sizeof prev);
	prev[0] ^= !!(wrong & BAD_CHAIN);
	sha_of(&m->sha, r.body ? r.body : (const uint8_t *)"", r.body_len, digest);
	digest[3] ^= !!(wrong & BAD_DIGEST);
	place.batch = wrong & BAD_BATCH ? 0xffffffff : 0;
	m->last = m->file->len;
	if (journal_record_encode(&r, &place, &m->sha, m->file, m->prev))
		m->next = r.seq + 1;
}

static void fit_check(struct making *m)
{
	uint8_t *p = m->file->data + m->last;
	size_t len = m->file->len - m->last;
	uint64_t seed, check;

	memcpy(&seed, p, 8);
	check = XXH3_64bits_withSeed(p + 16, len - 16, seed);
	memcpy(p + 8, &check, 8);
}

static void erase(struct making *m)
{
	uint8_t *p = m->file->data + m->last;
	uint32_t len = RECORD_HEAD;

	len += (uint32_t)p[52] + p[53];
	p[20] |= RECORD_ERASED;
	memcpy(p + 4, &len, 4);
	m->file->len = m->last + len;
	fit_check(m);
}

static void change_byte(struct making *m, size_t from, size_t at, uint8_t value, bool add)
{
	if (at < m->file->len - from)
		m->file->data[from + at] = add ? (uint8_t)(m->file->data[from + at] + value) : value;
}

static void command(struct memio *disk, struct making *m, struct cursor *c)
{
	size_t len, at;
	const uint8_t *bytes;
	uint8_t *zeros;
	bool there = m->last && m->file->len >= m->last + RECORD_HEAD;

	switch (cursor_u8(c) % 7) {
	case 0:
		len = cursor_u16(c);
		len = len < cursor_left(c) ? len : cursor_left(c);
		bytes = cursor_bytes(c, len);
		if (len)
			buf_put(m->file, bytes, len);
		break;
	case 1:
		record(m, c);
		break;
	case 2:
		len = cursor_u16(c);
		zeros = buf_reserve(m->file, len);
		if (zeros) {
			memset(zeros, 0, len);
			m->file->len += len;
		}
		break;
	case 3:
		at = cursor_u16(c);
		change_byte(m, 0, at, cursor_u8(c), true);
		break;
	case 4:
		if (there)
			erase(m);
		break;
	case 6:
		disk->fail_read = cursor_u8(c);
		break;
	default:
		at = cursor_u16(c);
		if (there) {
			change_byte(m, m->last, at, cursor_u8(c), false);
			fit_check(m);
		}
	}
}

static void read_all(struct memio *disk, const struct segment *segment)
{
	struct reader r;
	struct stored s;
	unsigned resyncs = 0;
	int rc = reader_open(&r, &disk->io, "journal", segment);

	if (!rc)
		rc = reader_head(&r, segment, id);
	while (!rc || resyncs) {
		uint64_t before = r.off;

		rc = reader_next(&r, &s);
		if (rc == 1) {
			must(r.off > before && r.off <= r.size && s.length == r.off - before, "it does not go on");
			must(!s.body || s.body_len <= JOURNAL_BODY_MAX, "a body is too long");
			must((size_t)s.user_len + s.program_len + RECORD_HEAD <= s.length, "names are outside the record");
			rc = 0;
			continue;
		}
		if (!rc || rc == -ENOMEM)
			break;
		if (rc == -EBADMSG && !resyncs)
			reader_torn(&r);
		must(r.off == before, "it moved");
		resyncs++;
		if (reader_resync(&r) != 1)
			break;
	}
	reader_close(&r);
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	struct segment_head head = { .epoch = 2, .first = 10, .version = SEGMENT_VERSION };
	struct making m = { .next = head.first };
	uint8_t bytes[SEGMENT_HEAD];
	struct segment segment;
	struct memio disk;

	segment_name(&segment, head.epoch, head.first);
	memcpy(head.id, id, sizeof id);
	segment_head_encode(&head, bytes);
	memio_init(&disk);
	if (!sha_open(&m.sha)) {
		m.file = memio_put(&disk, segment.name, bytes, sizeof bytes);
		while (cursor_left(&c) && !cursor_failed(&c) && !buf_failed(m.file) && m.file->len < 1 << 20)
			command(&disk, &m, &c);
		if (!buf_failed(m.file))
			read_all(&disk, &segment);
		sha_close(&m.sha);
	}
	must(!disk.open, "a file stays open");
	memio_free(&disk);
}
