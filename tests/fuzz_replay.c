/*
 * Journal records of a tampered store, replayed into a small catalog one after the other: u8 kind, u16 length, body.
 * Then everything is asked for. A record that does not fit must be skipped, one that makes no sense refused.
 */
#include "tests/lib/fuzz_catalog.h"

const unsigned fuzz_failing_allocations = 0; /* the index ends the process without memory */

enum { RECORDS_MOST = 64 };

static bool record(struct catalog *catalog, struct cursor *c)
{
	struct journal_record entry = { .seq = catalog->counters.seq + 1, .time_ns = INT64_C(1700000001) * 1000000000,
					.user = "", .program = "", .version = RECORD_VERSION };
	uint64_t before = catalog->counters.seq;
	size_t len;
	int rc;

	entry.kind = cursor_u8(c) % (REC_KINDS + 1);
	len = cursor_u16(c);
	entry.body_len = len < cursor_left(c) ? len : cursor_left(c);
	entry.body = cursor_bytes(c, entry.body_len);
	kv_write_begin(catalog->kv);
	rc = change_replay(catalog, &entry);
	kv_write_end(catalog->kv);
	must(rc || catalog->counters.seq == before + 1, "a record was taken and is not counted");
	return !rc;
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	struct lab *lab = fuzz_catalog();

	for (int i = 0; i < RECORDS_MOST && cursor_left(&c) >= 3; i++)
		if (!record(lab->catalog, &c) && lab->catalog->sick)
			break;
	fuzz_catalog_read(lab->catalog);
	fuzz_catalog_reset(lab);
}
