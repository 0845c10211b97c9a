/*
 * One pack: its bytes there and back, the appender when the disk is full or fails, and what recovery makes of a pack
 * that was cut, flipped or only begun.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/appender.h"
#include "store/log.h"
#include "store/recover.h"
#include "tests/lib/check.h"
#include "tests/lib/faultio.h"
#include "tests/lib/random.h"

enum { RECORDS = 9, PAYLOAD_ROOM = 4000 };

static const struct pack_name name = { 3, 41 };
static struct settings settings;
static char folder[512], path[600];

struct record {
	struct pack_head head;
	uint8_t payload[PAYLOAD_ROOM];
	uint64_t off;
};
static struct record records[RECORDS];

static void make_records(void)
{
	uint64_t seed = 11;

	for (size_t i = 0; i < RECORDS; i++) {
		struct record *r = &records[i];

		r->head = (struct pack_head) { .kind = PACK_CHUNK, .version = 1 };
		r->head.plain_len = r->head.stored_len = 1 + (uint32_t)random_below(&seed, PAYLOAD_ROOM);
		random_fill(r->payload, sizeof r->payload, i + 100);
		random_fill(r->head.key.bytes, KEY_BYTES, i + 200);
	}
}

static void test_names(void)
{
	static const char *const wrong[] = { "",
					     "0000000003-0000000041.pac",
					     "0000000003_0000000041.pack",
					     "000000000a-0000000041.pack",
					     "9999999999-0000000041.pack",
					     "0000000003-0000000041.pack.tmp" };
	char text[PACK_NAME_MAX];
	struct pack_name back;

	pack_name_text(name, text);
	CHECK(strcmp(text, "0000000003-0000000041.pack") == 0);
	CHECK(pack_name_parse(text, &back) && pack_name_compare(name, back) == 0);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(!pack_name_parse(wrong[i], &back));
	CHECK(pack_name_compare((struct pack_name) { 2, 99 }, name) < 0);
	CHECK(pack_name_compare((struct pack_name) { 3, 42 }, name) > 0);
}

/* Every flipped bit of a header is damage, and never "another store" or "a newer version". */
static void test_header(void)
{
	uint8_t header[PACK_HEADER_BYTES];
	struct settings other = settings;
	struct pack_name own;

	pack_header(&settings, name, header);
	CHECK_RC(pack_header_check(&settings, header, &own));
	CHECK(pack_name_compare(own, name) == 0);
	for (size_t bit = 0; bit < 8 * sizeof header; bit++) {
		header[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(pack_header_check(&settings, header, &own) == -EBADMSG);
		header[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	other.id[3] ^= 1;
	CHECK(pack_header_check(&other, header, &own) == -EXDEV);
	other = settings;
	other.secret[7] ^= 1;
	CHECK(pack_header_check(&other, header, &own) == -EXDEV);
}

/* A head is whole at its own place in its own pack only. */
static void test_head(void)
{
	scope_buf struct buf b = { 0 };
	struct pack_head back;

	pack_head_put(&b, &records[0].head, 77, 1000);
	CHECK(b.len == PACK_HEAD_BYTES);
	CHECK(pack_head_get(b.data, 77, 1000, &back));
	CHECK(key_equal(&back.key, &records[0].head.key) && back.stored_len == records[0].head.stored_len);
	CHECK(!pack_head_get(b.data, 77, 1001, &back) && !pack_head_get(b.data, 78, 1000, &back));
	for (size_t bit = 0; bit < 8 * b.len; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!pack_head_get(b.data, 77, 1000, &back));
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static struct appender *new_pack(const struct io *io)
{
	uint8_t header[PACK_HEADER_BYTES];
	struct appender *a = NULL;

	unlink(path);
	pack_header(&settings, name, header);
	CHECK_RC(appender_new(&a, io, folder, path, header));
	return a;
}

static void add(struct appender *a, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		CHECK_RC(appender_add(a, &records[i].head, records[i].payload, &records[i].off));
}

/* Writes all records; sealed or as a writer that died would leave it. */
static void write_pack(bool seal)
{
	struct appender *a = new_pack(&io_system);

	add(a, 0, RECORDS);
	if (seal)
		CHECK_RC(appender_seal(a));
	CHECK_RC(appender_sync(a));
	appender_drop(a);
}

static struct recovered recovered(unsigned flags, int expected)
{
	struct recovered out;
	int rc = recover_pack(&io_system, &settings, folder, name, flags, &out);

	CHECK(rc == expected);
	return out;
}

/* The recovered pack lists exactly the records whose bit is set. */
static void check_lists(const struct recovered *pack, unsigned bits)
{
	uint64_t at = 0;

	CHECK(pack->records == (uint64_t)__builtin_popcount(bits));
	for (size_t i = 0; i < RECORDS && at < pack->records; i++) {
		struct pack_entry e;

		if (!(bits >> i & 1))
			continue;
		e = pack_entry_get(pack->entries.data, at++);
		CHECK(e.off == records[i].off && key_equal(&e.head.key, &records[i].head.key));
	}
}

static uint64_t file_size(void)
{
	struct stat st;

	return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

static void flip(uint64_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte = 0;

	CHECK(fd >= 0 && pread(fd, &byte, 1, (off_t)at) == 1);
	byte ^= 0x10;
	CHECK(pwrite(fd, &byte, 1, (off_t)at) == 1);
	close(fd);
}

enum { ALL = (1 << RECORDS) - 1 };

static void test_append_and_seal(void)
{
	struct appender *a = new_pack(&io_system);
	uint8_t got[PAYLOAD_ROOM];
	struct recovered pack;
	uint64_t off;

	add(a, 0, RECORDS);
	CHECK(access(path, F_OK) < 0); /* nothing touches the disk before the first write */
	for (size_t i = 0; i < RECORDS; i++) {
		CHECK(appender_peek(a, records[i].off + PACK_HEAD_BYTES, got, records[i].head.stored_len));
		CHECK(memcmp(got, records[i].payload, records[i].head.stored_len) == 0);
	}
	CHECK(!appender_peek(a, appender_bytes(a) - 1, got, 2));
	CHECK(appender_records(a) == RECORDS);
	CHECK_RC(appender_seal(a));
	CHECK_RC(appender_seal(a));
	CHECK(appender_add(a, &records[0].head, records[0].payload, &off) == -EAGAIN);
	CHECK_RC(appender_sync(a));
	CHECK(!appender_peek(a, records[0].off, got, 1));
	CHECK(file_size() == appender_bytes(a));
	appender_drop(a);
	pack = recovered(0, 0);
	CHECK(pack.sealed);
	check_lists(&pack, ALL);
	buf_free(&pack.entries);
}

/* A name that is taken is never written over. */
static void test_name_taken(void)
{
	uint8_t header[PACK_HEADER_BYTES];
	struct appender *a = NULL;
	uint64_t size;

	write_pack(true);
	size = file_size();
	pack_header(&settings, name, header);
	CHECK_RC(appender_new(&a, &io_system, folder, path, header));
	add(a, 0, 1);
	CHECK(appender_sync(a) == -EIO);
	appender_drop(a);
	CHECK(file_size() == size);
}

/* A full disk loses nothing and is no lasting failure. */
static void test_full_disk(void)
{
	struct faultio *f = faultio_new();
	struct appender *a = new_pack(faultio_io(f));
	struct recovered pack;
	uint8_t byte;

	add(a, 0, 4);
	faultio_fail_from(f, FAULT_WRITE, 1, ENOSPC);
	CHECK(appender_sync(a) == -ENOSPC);
	CHECK(appender_sync(a) == -ENOSPC);
	CHECK(appender_peek(a, records[2].off, &byte, 1));
	add(a, 4, RECORDS);
	faultio_reset(f);
	CHECK_RC(appender_seal(a));
	CHECK_RC(appender_sync(a));
	appender_drop(a);
	faultio_free(f);
	pack = recovered(0, 0);
	CHECK(pack.sealed);
	check_lists(&pack, ALL);
	buf_free(&pack.entries);
}

/* After a sync that failed nothing more is believed: the file ends at its last synced byte. */
static void test_failed_sync(void)
{
	struct faultio *f = faultio_new();
	struct appender *a = new_pack(faultio_io(f));
	struct recovered pack;
	uint64_t off, size;

	add(a, 0, 3);
	CHECK_RC(appender_sync(a));
	size = file_size();
	add(a, 3, RECORDS);
	faultio_fail(f, FAULT_SYNC, 1, EIO);
	CHECK(appender_sync(a) == -EIO);
	CHECK(appender_sync(a) == -EIO);
	CHECK(appender_add(a, &records[0].head, records[0].payload, &off) == -EIO);
	CHECK(appender_seal(a) == -EIO);
	CHECK(strstr(err_text(), "syncing failed"));
	CHECK(file_size() == size);
	appender_drop(a);
	faultio_free(f);
	pack = recovered(RECOVER_WRITE | RECOVER_SETTLE, 0);
	CHECK(pack.sealed);
	check_lists(&pack, 7);
	buf_free(&pack.entries);
}

/* Cut at every kind of place: exactly the records that are whole remain, and the pack is sealed once. */
static void test_torn(void)
{
	uint64_t seed = 4, whole, end;

	write_pack(false);
	whole = file_size();
	for (int round = 0; round < 60; round++) {
		struct recovered pack;
		unsigned bits = 0;

		write_pack(false);
		end = PACK_HEADER_BYTES + random_below(&seed, whole - PACK_HEADER_BYTES + 1);
		CHECK(truncate(path, (off_t)end) == 0);
		for (size_t i = 0; i < RECORDS; i++)
			if (records[i].off + PACK_HEAD_BYTES + records[i].head.stored_len <= end)
				bits |= 1u << i;
		pack = recovered(0, 0); /* only looking changes nothing */
		check_lists(&pack, bits);
		CHECK(file_size() == end);
		buf_free(&pack.entries);
		pack = recovered(RECOVER_WRITE, bits ? 0 : -ENOENT);
		if (!bits) {
			CHECK(access(path, F_OK) < 0);
			continue;
		}
		check_lists(&pack, bits);
		buf_free(&pack.entries);
		pack = recovered(0, 0);
		CHECK(pack.sealed);
		check_lists(&pack, bits);
		buf_free(&pack.entries);
	}
}

/* A flipped byte in the middle of an unsealed pack costs the record it is in and no other. */
static void test_damaged_middle(void)
{
	uint64_t seed = 6;

	for (int round = 0; round < 60; round++) {
		size_t hit = random_below(&seed, RECORDS - 1);
		struct record *r = &records[hit];
		struct recovered pack;

		write_pack(false);
		flip(r->off + (round % 2 ? random_below(&seed, PACK_HEAD_BYTES)
					 : PACK_HEAD_BYTES + random_below(&seed, r->head.stored_len)));
		pack = recovered(RECOVER_WRITE, 0);
		check_lists(&pack, ALL & ~(1u << hit));
		CHECK(pack.sealed);
		buf_free(&pack.entries);
	}
}

/* Footer and trailer are damaged: the records are found without them, and a pack with a trailer is not written to. */
static void test_damaged_seal(void)
{
	struct recovered pack;
	uint64_t footer_off, size;

	write_pack(true);
	size = file_size();
	footer_off = size - PACK_TRAILER_BYTES - RECORDS * PACK_ENTRY_BYTES - PACK_HEAD_BYTES;
	flip(footer_off + PACK_HEAD_BYTES + 5);
	pack = recovered(RECOVER_WRITE, 0);
	check_lists(&pack, ALL);
	CHECK(!pack.sealed && file_size() == size);
	buf_free(&pack.entries);
	write_pack(true);
	flip(size - 3);
	pack = recovered(RECOVER_WRITE, 0);
	check_lists(&pack, ALL);
	CHECK(pack.sealed && file_size() == size);
	buf_free(&pack.entries);
	write_pack(true); /* the last record and the trailer: the record's bytes stay for who wants to look at them */
	flip(records[RECORDS - 1].off + PACK_HEAD_BYTES);
	flip(size - 3);
	pack = recovered(RECOVER_WRITE, 0);
	check_lists(&pack, ALL & ~(1u << (RECORDS - 1)));
	CHECK(pack.sealed && file_size() == size - PACK_ENTRY_BYTES);
	buf_free(&pack.entries);
	write_pack(true);
	flip(8); /* the header's version */
	pack = recovered(RECOVER_WRITE, 0);
	check_lists(&pack, ALL);
	CHECK(pack.sealed);
	buf_free(&pack.entries);
}

/* A footer that stands in front of records (it should not) must not make recovery cut them off. */
static void test_early_footer(void)
{
	struct appender *a = new_pack(&io_system);
	struct pack_head footer = { .kind = PACK_FOOTER, .version = 1, .plain_len = 40, .stored_len = 40 };
	uint8_t entries[40] = { 0 };
	struct recovered pack;
	uint64_t off;

	add(a, 0, 4);
	CHECK_RC(appender_add(a, &footer, entries, &off));
	add(a, 4, RECORDS);
	CHECK_RC(appender_sync(a));
	appender_drop(a);
	pack = recovered(RECOVER_WRITE, 0);
	check_lists(&pack, ALL);
	buf_free(&pack.entries);
	pack = recovered(0, 0);
	check_lists(&pack, ALL);
	CHECK(pack.sealed);
	buf_free(&pack.entries);
}

/* A whole pack stored as the bytes of a chunk, which is then damaged: none of the pack in it comes up. */
static void test_pack_in_chunk(void)
{
	static uint8_t inner[RECORDS * (PAYLOAD_ROOM + PACK_HEAD_BYTES) + PACK_HEADER_BYTES];
	struct appender *a;
	struct pack_head head = { .kind = PACK_CHUNK, .version = 1, .key = { { 1 } } };
	struct recovered pack;
	uint64_t off, last;
	int fd;

	write_pack(false);
	head.plain_len = head.stored_len = (uint32_t)file_size();
	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && head.stored_len <= sizeof inner);
	CHECK(pread(fd, inner, head.stored_len, 0) == (ssize_t)head.stored_len);
	close(fd);
	a = new_pack(&io_system);
	CHECK_RC(appender_add(a, &head, inner, &off));
	CHECK_RC(appender_add(a, &records[0].head, records[0].payload, &last));
	CHECK_RC(appender_sync(a));
	appender_drop(a);
	flip(off + 2);
	pack = recovered(0, 0);
	CHECK(pack.records == 1 && pack_entry_get(pack.entries.data, 0).off == last);
	buf_free(&pack.entries);
}

/* The nth read fails, once or as all after it do: nothing is cut, written over or removed because of that, and who did not see
 * all of it knows so. */
static void check_unreadable(bool seal, bool once, bool renamed, uint64_t nth)
{
	static const struct pack_name other = { 3, 42 };
	struct faultio *f = faultio_new();
	struct recovered pack;
	char moved[600];
	int rc;

	snprintf(moved, sizeof moved, "%s/0000000003-0000000042.pack", folder);
	write_pack(seal);
	if (renamed)
		CHECK(rename(path, moved) == 0);
	(once ? faultio_fail : faultio_fail_from)(f, FAULT_READ, nth, EIO);
	rc = recover_pack(faultio_io(f), &settings, folder, renamed ? other : name, RECOVER_WRITE, &pack);
	CHECK(rc || pack.records == RECORDS || pack.partial);
	CHECK(!seal || rc || pack.sealed || pack.partial || once);
	buf_free(&pack.entries);
	faultio_free(f);
	if (renamed)
		CHECK(rename(moved, path) == 0);
	pack = recovered(RECOVER_WRITE, 0);
	check_lists(&pack, ALL);
	CHECK(pack.sealed && !pack.partial);
	buf_free(&pack.entries);
}

static void test_unreadable(void)
{
	for (unsigned i = 0; i < 8; i++)
		for (uint64_t nth = 1; nth < 6; nth++)
			check_unreadable(i & 1, i & 2, i & 4, nth);
}

/* A record of a kind that is not known hides none of the others, and costs no look through the whole pack. */
static void test_unknown_kind(void)
{
	struct pack_head head = { .kind = 7, .version = 3, .plain_len = 9, .stored_len = PAYLOAD_ROOM };
	struct faultio *f = faultio_new();
	struct appender *a = new_pack(&io_system);
	struct recovered pack;
	uint64_t off;

	add(a, 0, 4);
	CHECK_RC(appender_add(a, &head, records[0].payload, &off));
	add(a, 4, RECORDS);
	CHECK_RC(appender_sync(a));
	appender_drop(a);
	pack = recovered(RECOVER_WRITE, 0);
	CHECK(pack.sealed && pack.records == RECORDS + 1);
	buf_free(&pack.entries);
	CHECK_RC(recover_pack(faultio_io(f), &settings, folder, name, 0, &pack));
	CHECK(pack.sealed && pack.records == RECORDS + 1 && faultio_calls(f, FAULT_READ) <= 3);
	CHECK(pack_entry_get(pack.entries.data, 4).head.kind == 7 && pack_entry_get(pack.entries.data, 5).off == records[4].off);
	buf_free(&pack.entries);
	faultio_free(f);
}

int main(void)
{
	CHECK_RC(settings_make(&settings));
	snprintf(folder, sizeof folder, "%s", check_tmpdir());
	snprintf(path, sizeof path, "%s/0000000003-0000000041.pack", folder);
	log_set_level(LOG_ERROR);
	make_records();
	test_names();
	test_header();
	test_head();
	test_append_and_seal();
	test_name_taken();
	test_full_disk();
	test_failed_sync();
	test_torn();
	test_damaged_middle();
	test_damaged_seal();
	test_early_footer();
	test_pack_in_chunk();
	test_unreadable();
	test_unknown_kind();
	return check_done();
}
