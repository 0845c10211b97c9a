/*
 * Rows of the index as somebody else may have written them (checksums of the table below are right): a list of commands
 * changes rows of a small catalog, u8 number of a row among all that it has:
 *     0  its value: u16 length, bytes
 *     1  a byte of its value: u8 offset, u8 value
 *     2  it is deleted
 *     3  a new row: the first (u8) bytes of its key, then u8 length of more bytes, u16 length, value
 *     4  a change is made: u8 kind of record, body (to the end)
 * Then everything is asked for.
 */
#include "tests/lib/fuzz_catalog.h"

const unsigned fuzz_failing_allocations = 0; /* the index ends the process without memory */

enum { ROWS_MAX = 512 };

static struct row {
	size_t key_len, value_len;
	uint8_t key[KV_KEY_MAX], value[4096];
} rows[ROWS_MAX];
static size_t row_count;

static void learn(struct kv *kv)
{
	const uint8_t *key, *value;
	size_t key_len, value_len;
	struct kv_cursor *c;

	kv_read_begin(kv);
	c = kv_seek(kv, "", 0, "", 0);
	while (row_count < ROWS_MAX && kv_next(c, &key, &key_len, &value, &value_len) == 1) {
		struct row *r = &rows[row_count++];

		must(key_len <= sizeof r->key && value_len <= sizeof r->value, "a row of the small catalog is large");
		r->key_len = key_len;
		r->value_len = value_len;
		memcpy(r->key, key, key_len);
		memcpy(r->value, value, value_len);
	}
	kv_cursor_free(c);
	kv_read_end(kv);
	must(row_count > 30, "the small catalog has too few rows");
}

static const uint8_t *some(struct cursor *c, size_t *len)
{
	*len = *len < cursor_left(c) ? *len : cursor_left(c);
	return cursor_bytes(c, *len);
}

static void new_row(struct kv *kv, struct cursor *c, const struct row *r)
{
	uint8_t key[KV_KEY_MAX];
	size_t keep = cursor_u8(c), more = cursor_u8(c), len;
	const uint8_t *at;

	keep = keep < r->key_len ? keep : r->key_len;
	at = some(c, &more);
	memcpy(key, r->key, keep);
	if (more)
		memcpy(key + keep, at, more);
	len = cursor_u16(c);
	at = some(c, &len);
	if (keep + more)
		kv_put(kv, key, keep + more, len ? (const void *)at : "", len);
}

static void change(struct catalog *catalog, struct cursor *c)
{
	struct journal_record entry = { .seq = catalog->counters.seq + 1, .time_ns = 5, .user = "", .program = "",
					.kind = cursor_u8(c), .version = RECORD_VERSION, .body = c->at,
					.body_len = cursor_left(c) };

	change_replay(catalog, &entry);
	cursor_bytes(c, cursor_left(c));
}

static void command(struct catalog *catalog, struct cursor *c)
{
	unsigned what = cursor_u8(c) % 5;
	struct row *r = &rows[what == 4 ? 0 : cursor_u8(c) % row_count], own = *r;
	size_t len, at;
	const uint8_t *bytes;

	switch (what) {
	case 0:
		len = cursor_u16(c);
		bytes = some(c, &len);
		kv_put(catalog->kv, r->key, r->key_len, len ? (const void *)bytes : "", len);
		break;
	case 1:
		at = cursor_u8(c);
		if (at < own.value_len)
			own.value[at] = cursor_u8(c);
		kv_put(catalog->kv, r->key, r->key_len, own.value, own.value_len);
		break;
	case 2:
		kv_del(catalog->kv, r->key, r->key_len);
		break;
	case 3:
		new_row(catalog->kv, c, r);
		break;
	default:
		change(catalog, c);
	}
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	struct lab *lab = fuzz_catalog();

	if (!row_count)
		learn(lab->catalog->kv);
	kv_write_begin(lab->catalog->kv);
	while (cursor_left(&c) && !cursor_failed(&c))
		command(lab->catalog, &c);
	kv_write_end(lab->catalog->kv);
	fuzz_catalog_read(lab->catalog);
	fuzz_catalog_reset(lab);
}
