#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "store/err.h"
#include "store/journal_internal.h"
#include "store/log.h"
#include "tests/lib/check.h"
#include "tests/lib/faultio.h"

/* --- a store, and records that can be told from each other ---------------------------------------------------- */

struct home {
	char path[300];
	struct store *store;
	struct journal *journal;
};

static int open_home(struct home *h, const struct io *io, unsigned flags)
{
	struct store_options options = { .io = io, .cache_bytes = 1 << 20, .threads = 1, .flags = flags };
	int rc;

	h->journal = NULL;
	rc = store_open(&h->store, h->path, &options);
	if (rc) {
		h->store = NULL;
		return rc;
	}
	return journal_open(&h->journal, h->store);
}

/* The journal alone anew, which is much cheaper. */
static int again(struct home *h)
{
	journal_close(h->journal);
	h->journal = NULL;
	return journal_open(&h->journal, h->store);
}

static void close_home(struct home *h)
{
	journal_close(h->journal);
	store_close(h->store);
	h->journal = NULL;
	h->store = NULL;
}

static void new_home(struct home *h)
{
	snprintf(h->path, sizeof h->path, "%s/store", check_tmpdir());
	CHECK_RC(store_create(h->path));
	CHECK_RC(open_home(h, NULL, 0));
}

static void reopen(struct home *h)
{
	close_home(h);
	CHECK_RC(open_home(h, NULL, 0));
}

static uint8_t body_byte(uint64_t seq, size_t i)
{
	return (uint8_t)(seq * 31 + i * 7 + (i >> 8));
}

static size_t body_length(uint64_t seq)
{
	return seq % 5 ? seq * 13 % 97 : 0;
}

/* Appends a record that depends on nothing but its number. */
static int append(struct journal *j, uint64_t expect)
{
	uint8_t body[100];
	struct journal_record r = { .time_ns = (int64_t)expect * 1000 - 7,
				    .uid = (uint32_t)expect + 1000,
				    .user = expect % 3 ? "maria" : NULL,
				    .program = expect % 2 ? "cp" : "",
				    .kind = (uint16_t)(expect % 40),
				    .version = 1,
				    .body = body,
				    .body_len = body_length(expect) };
	int rc;

	for (size_t i = 0; i < r.body_len; i++)
		body[i] = body_byte(expect, i);
	rc = journal_append(j, &r);
	if (!rc)
		CHECK(r.seq == expect);
	return rc;
}

static void append_many(struct journal *j, uint64_t from, uint64_t to)
{
	for (uint64_t seq = from; seq <= to; seq++)
		CHECK_RC(append(j, seq));
	CHECK_RC(journal_flush(j));
	CHECK(journal_durable(j) == to);
}

struct seen {
	uint64_t next;
	bool wrong;
	uint64_t stop_at;
};

static int see(void *ctx, const struct journal_record *r)
{
	struct seen *s = ctx;
	bool same = r->seq == s->next && r->time_ns == (int64_t)r->seq * 1000 - 7 &&
		    r->uid == (uint32_t)r->seq + 1000 && !strcmp(r->user, r->seq % 3 ? "maria" : "") &&
		    !strcmp(r->program, r->seq % 2 ? "cp" : "") && r->kind == r->seq % 40 && r->version == 1 &&
		    r->body_len == body_length(r->seq);

	for (size_t i = 0; same && i < r->body_len; i++)
		same = r->body[i] == body_byte(r->seq, i);
	s->wrong |= !same;
	s->next++;
	return s->stop_at == r->seq ? 77 : 0;
}

/* Replays all; the records must be 1, 2, 3 ... and right. Returns the last, or -errno. */
static int64_t replay_all(struct journal *j)
{
	struct seen s = { .next = 1 };
	int rc = journal_replay(j, 0, see, &s);

	CHECK(!s.wrong);
	return rc ? rc : (int64_t)s.next - 1;
}

/* --- files of the journal --------------------------------------------------------------------------------------- */

struct image {
	char path[700];
	uint8_t *bytes;
	size_t len;
};

/* The i-th segment, or the last with -1; counts them. */
static int find_segment(const struct home *h, int i, struct image *image)
{
	char dir[400];
	scope_segments struct segments all = { 0 };

	snprintf(dir, sizeof dir, "%s/journal", h->path);
	CHECK_RC(segments_list(dir, &all));
	if (i < 0)
		i = (int)all.count - 1;
	if (i >= 0 && (size_t)i < all.count)
		snprintf(image->path, sizeof image->path, "%s/%s", dir, all.list[i].name);
	return (int)all.count;
}

static void load(const struct home *h, int i, struct image *image)
{
	void *bytes = NULL;

	find_segment(h, i, image);
	CHECK_RC(io_read_file(&io_system, image->path, 1 << 28, &bytes, &image->len));
	image->bytes = bytes;
}

static void put_file(const char *path, const uint8_t *bytes, size_t len)
{
	FILE *f = fopen(path, "w");

	CHECK(f && fwrite(bytes, 1, len, f) == len && !fclose(f));
}

/* Back to the one segment of the image. */
static void restore(const struct home *h, const struct image *image, const uint8_t *bytes, size_t len)
{
	struct image last;

	while (find_segment(h, -1, &last) > 0 && strcmp(last.path, image->path))
		unlink(last.path);
	put_file(image->path, bytes, len);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void test_round_trip(void)
{
	struct home h;
	struct seen s = { .next = 7 };
	uint8_t head[32], later[32], zero[32] = { 0 };

	new_home(&h);
	CHECK(journal_last(h.journal) == 0 && replay_all(h.journal) == 0);
	journal_head(h.journal, head);
	CHECK(!memcmp(head, zero, 32));
	append_many(h.journal, 1, 10);
	CHECK_RC(append(h.journal, 11));
	CHECK(journal_last(h.journal) == 11 && journal_durable(h.journal) == 10);
	CHECK(replay_all(h.journal) == 10);
	reopen(&h); /* closing flushed it */
	CHECK(replay_all(h.journal) == 11);
	append_many(h.journal, 12, 20);
	append_many(h.journal, 21, 22);
	journal_head(h.journal, head);
	reopen(&h);
	journal_head(h.journal, later);
	CHECK(!memcmp(head, later, 32) && journal_last(h.journal) == 22 && replay_all(h.journal) == 22);
	CHECK_RC(journal_replay(h.journal, 7, see, &s));
	CHECK(s.next == 23 && !s.wrong);
	s = (struct seen) { .next = 14 };
	CHECK_RC(journal_replay(h.journal, 14, see, &s));
	CHECK(s.next == 23 && !s.wrong);
	s = (struct seen) { .next = 23 };
	CHECK_RC(journal_replay(h.journal, 23, see, &s));
	CHECK_RC(journal_replay(h.journal, 99, see, &s));
	CHECK(s.next == 23);
	s = (struct seen) { .next = 1, .stop_at = 5 };
	CHECK(journal_replay(h.journal, 1, see, &s) == 77 && s.next == 6);
	close_home(&h);
}

static int count_bytes(void *ctx, const struct journal_record *r)
{
	bool *right = ctx;
	bool last = r->seq == 7;

	*right &= last ? r->body_len == 0 && strlen(r->user) == 255 && !*r->program
		       : r->body_len == JOURNAL_BODY_MAX && r->body[0] == (uint8_t)r->seq &&
			     r->body[JOURNAL_BODY_MAX - 1] == (uint8_t)r->seq;
	return 0;
}

static void test_large(void)
{
	scope_free uint8_t *body = malloc(JOURNAL_BODY_MAX + 1);
	struct journal_record r = { .user = "", .body = body, .body_len = JOURNAL_BODY_MAX + 1 };
	char name[301] = { 0 };
	struct image image;
	bool right = true;
	struct home h;

	new_home(&h);
	CHECK(journal_append(h.journal, &r) == -EFBIG);
	r.body_len--;
	for (int i = 1; i <= 6; i++) {
		memset(body, i, JOURNAL_BODY_MAX);
		CHECK_RC(journal_append(h.journal, &r));
		if (i != 3)
			CHECK_RC(journal_flush(h.journal));
	}
	memset(name, 'x', 300);
	r = (struct journal_record) { .user = name };
	CHECK_RC(journal_append(h.journal, &r));
	CHECK_RC(journal_flush(h.journal));
	CHECK(find_segment(&h, -1, &image) == 2); /* the first was sealed */
	CHECK_RC(journal_replay(h.journal, 1, count_bytes, &right));
	CHECK(right);
	reopen(&h);
	CHECK(journal_last(h.journal) == 7);
	close_home(&h);
}

/* The last segment cut at every byte: every whole record stays, and the journal goes on. */
static void test_every_cut(void)
{
	size_t ends[16] = { 0 };
	struct image image;
	struct home h;

	new_home(&h);
	for (uint64_t seq = 1; seq <= 9; seq++) {
		CHECK_RC(append(h.journal, seq));
		if (seq % 3 == 0)
			CHECK_RC(journal_flush(h.journal));
	}
	journal_close(h.journal);
	h.journal = NULL;
	load(&h, 0, &image);
	ends[0] = SEGMENT_HEAD;
	for (int i = 1; i <= 9; i++)
		ends[i] = ends[i - 1] + record_length(image.bytes + ends[i - 1]);
	CHECK(ends[9] == image.len);
	for (size_t len = 0; len <= image.len; len += len % 100 == 0 ? 1 : 3) {
		uint64_t whole = 0;

		restore(&h, &image, image.bytes, len);
		while (whole < 9 && ends[whole + 1] <= len)
			whole++;
		CHECK_RC(again(&h));
		CHECK(h.journal && journal_last(h.journal) == whole && replay_all(h.journal) == (int64_t)whole);
		append_many(h.journal, whole + 1, whole + 2);
		CHECK(replay_all(h.journal) == (int64_t)whole + 2);
		CHECK_RC(again(&h));
		CHECK(replay_all(h.journal) == (int64_t)whole + 2);
		journal_close(h.journal);
		h.journal = NULL;
	}
	close_home(&h);
	free(image.bytes);
}

/* Any byte flipped: never a wrong record; records that were durable in front of later batches are never cut. */
static void test_every_flip(void)
{
	struct image image, after;
	struct home h;
	size_t last = SEGMENT_HEAD;

	new_home(&h);
	append_many(h.journal, 1, 3);
	append_many(h.journal, 4, 6);
	journal_close(h.journal);
	h.journal = NULL;
	load(&h, 0, &image);
	for (int i = 1; i < 6; i++)
		last += record_length(image.bytes + last);
	for (size_t at = 0; at < image.len; at++) {
		int64_t got;
		int rc;

		image.bytes[at] ^= 1 << (at % 8);
		restore(&h, &image, image.bytes, image.len);
		rc = again(&h);
		CHECK(rc == 0 || rc == -EIO);
		CHECK((rc == 0) == (at >= last));
		got = rc ? 5 : replay_all(h.journal);
		CHECK(got == 5);
		load(&h, 0, &after);
		CHECK(after.len == image.len); /* opening alone changes nothing */
		free(after.bytes);
		image.bytes[at] ^= 1 << (at % 8);
	}
	close_home(&h);
	free(image.bytes);
}

/* A power failure may keep the later sectors of the last batch and lose earlier ones. */
static void test_lost_sectors(void)
{
	struct image image;
	struct home h;
	size_t second;

	new_home(&h);
	append_many(h.journal, 1, 20);
	load(&h, 0, &image);
	second = image.len;
	free(image.bytes);
	append_many(h.journal, 21, 40);
	journal_close(h.journal);
	h.journal = NULL;
	load(&h, 0, &image);
	for (size_t at = 0; at + 512 <= image.len; at += 512) {
		uint8_t kept[512];

		memcpy(kept, image.bytes + at, 512);
		memset(image.bytes + at, 0, 512);
		restore(&h, &image, image.bytes, image.len);
		memcpy(image.bytes + at, kept, 512);
		if (at < second) {
			CHECK(again(&h) == -EIO);
			CHECK(strstr(err_text(), "damaged"));
		} else {
			CHECK_RC(again(&h));
			CHECK(replay_all(h.journal) >= 20);
			append_many(h.journal, journal_last(h.journal) + 1, journal_last(h.journal) + 1);
			CHECK_RC(again(&h));
			CHECK(replay_all(h.journal) >= 21);
		}
		journal_close(h.journal);
		h.journal = NULL;
	}
	/* The sector in which the last batch begins: what was there before stays. */
	CHECK(second % 512 && second / 512 * 512 + 512 < image.len);
	memset(image.bytes + second, 0, 512 - second % 512);
	restore(&h, &image, image.bytes, image.len);
	CHECK_RC(again(&h));
	CHECK(replay_all(h.journal) == 20);
	close_home(&h);
	free(image.bytes);
}

struct damages {
	int count;
	char first[300];
};

static void note_damage(void *ctx, const char *sentence)
{
	struct damages *d = ctx;

	if (!d->count++)
		snprintf(d->first, sizeof d->first, "%s", sentence);
}

static void expect_damage(struct home *h, uint64_t whole, const char *word)
{
	struct damages d = { 0 };
	uint64_t records = 0;

	CHECK_RC(open_home(h, NULL, 0));
	CHECK_RC(journal_verify(h->journal, note_damage, &d, &records));
	CHECK(records == whole);
	CHECK(word ? d.count >= 1 && strstr(d.first, word) : !d.count);
	CHECK(replay_all(h->journal) == (word ? -EIO : (int64_t)whole));
	close_home(h);
}

/* Three segments; damage in the first two is found by verify and by replay, and never cut. */
static void test_verify(void)
{
	struct image a, b;
	struct home h;
	char aside[800];

	new_home(&h);
	append_many(h.journal, 1, 10);
	reopen(&h);
	append_many(h.journal, 11, 20);
	reopen(&h);
	append_many(h.journal, 21, 30);
	close_home(&h);
	expect_damage(&h, 30, NULL);
	load(&h, 0, &a);
	load(&h, 1, &b);

	a.bytes[a.len - 1] ^= 1;
	put_file(a.path, a.bytes, a.len);
	expect_damage(&h, 29, "record 10");
	a.bytes[a.len - 1] ^= 1;
	a.bytes[40] ^= 1;
	put_file(a.path, a.bytes, a.len);
	expect_damage(&h, 30, "header");
	a.bytes[40] ^= 1;
	put_file(a.path, a.bytes, a.len - 10);
	expect_damage(&h, 29, "record 10");
	put_file(a.path, a.bytes, a.len);
	put_file(b.path, b.bytes, SEGMENT_HEAD);
	expect_damage(&h, 20, "records from 11 on are missing");
	snprintf(aside, sizeof aside, "%s.aside", b.path);
	CHECK(rename(b.path, aside) == 0);
	expect_damage(&h, 20, "records from 11 on are missing");
	put_file(b.path, a.bytes, a.len);
	expect_damage(&h, 30, "renamed"); /* whole records, but not these */
	put_file(b.path, b.bytes, b.len);
	unlink(aside);
	expect_damage(&h, 30, NULL);
	CHECK(unlink(a.path) == 0);
	CHECK_RC(open_home(&h, NULL, 0));
	CHECK(replay_all(h.journal) == -EIO);
	close_home(&h);
	free(a.bytes);
	free(b.bytes);
}

/* Somebody rewrites a record, its check included: the chain tells. */
static void test_tampered(void)
{
	struct image image;
	struct home h;
	struct stored s;
	struct journal_record r = { .seq = 2, .time_ns = 1993, .uid = 1002, .user = "mario", .kind = 2, .version = 1 };
	struct record_place place = { .batch = 1 };
	struct buf fake = { 0 };
	struct sha sha;
	size_t first, second;
	uint8_t head[SHA_BYTES], body[100];

	new_home(&h);
	append_many(h.journal, 1, 5);
	close_home(&h);
	load(&h, 0, &image);
	first = SEGMENT_HEAD + record_length(image.bytes + SEGMENT_HEAD);
	second = record_length(image.bytes + first);
	CHECK_RC(journal_record_decode(image.bytes + first, second, &s));
	memcpy(body, s.body, s.body_len);
	r.body = body;
	r.body_len = s.body_len;
	place.prev = s.prev;
	place.body_digest = s.body_digest;
	CHECK_RC(sha_open(&sha));
	CHECK(journal_record_encode(&r, &place, &sha, &fake, head) && fake.len == second);
	memcpy(image.bytes + first, fake.data, second);
	put_file(image.path, image.bytes, image.len);
	CHECK(open_home(&h, NULL, 0) == -EIO && strstr(err_text(), "chain"));
	close_home(&h);
	buf_free(&fake);
	sha_close(&sha);
	free(image.bytes);
}

static void test_other_store(void)
{
	struct segment_head head;
	struct image image;
	struct home a, b;
	char path[800];

	new_home(&a);
	append_many(a.journal, 1, 2);
	close_home(&a);
	new_home(&b);
	close_home(&b);
	load(&a, 0, &image);
	snprintf(path, sizeof path, "%s/journal/%s", b.path, strrchr(image.path, '/') + 1);
	CHECK_RC(segment_head_decode(image.bytes, &head));
	head.id[3] ^= 0x40;
	segment_head_encode(&head, image.bytes);
	put_file(path, image.bytes, image.len);
	CHECK(open_home(&b, NULL, 0) == -EIO && strstr(err_text(), "another store"));
	close_home(&b);
	free(image.bytes);
}

static void test_read_only(void)
{
	struct image image, later;
	struct home h;

	new_home(&h);
	append_many(h.journal, 1, 5);
	close_home(&h);
	load(&h, 0, &image);
	put_file(image.path, image.bytes, image.len - 5);
	CHECK_RC(open_home(&h, NULL, STORE_READ_ONLY));
	CHECK(replay_all(h.journal) == 4);
	close_home(&h);
	load(&h, 0, &later);
	CHECK(later.len == image.len - 5 && !memcmp(later.bytes, image.bytes, later.len));
	free(later.bytes);
	free(image.bytes);
}

/* The example of FORMAT.md: old files stay readable. */
/* clang-format off */
static const uint8_t example[] = {
	0x54, 0x4f, 0x4d, 0x4f, 0x4a, 0x52, 0x4e, 0x4c, 0x01, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0xa0, 0xa1, 0xa2, 0xa3,
	0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf, 0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x29, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x8f, 0xed, 0xd8, 0x16, 0x7b, 0x18, 0x78, 0x7c, 0x15, 0xa3,
	0x6a, 0x08, 0xcd, 0x33, 0x47, 0x35, 0xe5, 0x57, 0x33, 0x01, 0x65, 0x58, 0x3e, 0xec, 0x7a, 0xf3, 0x33, 0xe5, 0xf9, 0x9d,
	0xcc, 0x61, 0xc6, 0x30, 0x8d, 0x1d, 0xab, 0x35, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0xbb, 0x3f, 0xc7, 0x89, 0xe5, 0xbd, 0x9a, 0x67, 0x54, 0x4a, 0x52, 0x43, 0x84, 0x00, 0x00, 0x00, 0x07, 0xb6, 0x98, 0xcb,
	0xa6, 0x05, 0x32, 0x2b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x29, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x80, 0xb2, 0x75, 0xfc, 0xd8, 0x16, 0x7b, 0x18, 0xe8, 0x03, 0x00, 0x00, 0x07, 0x00, 0x01, 0x00, 0x05, 0x00, 0x00, 0x00,
	0x05, 0x02, 0x00, 0x00, 0x78, 0x7c, 0x15, 0xa3, 0x6a, 0x08, 0xcd, 0x33, 0x47, 0x35, 0xe5, 0x57, 0x33, 0x01, 0x65, 0x58,
	0x3e, 0xec, 0x7a, 0xf3, 0x33, 0xe5, 0xf9, 0x9d, 0xcc, 0x61, 0xc6, 0x30, 0x8d, 0x1d, 0xab, 0x35, 0x75, 0x36, 0x92, 0xec,
	0x36, 0xad, 0xb4, 0xc7, 0x94, 0xc9, 0x73, 0x94, 0x5e, 0xb2, 0xa9, 0x9c, 0x16, 0x49, 0x70, 0x3e, 0xa6, 0xf7, 0x6b, 0xf2,
	0x59, 0xab, 0xb4, 0xfb, 0x83, 0x8e, 0x01, 0x3e, 0x6d, 0x61, 0x72, 0x69, 0x61, 0x63, 0x70, 0x48, 0x61, 0x6c, 0x6c, 0x6f,
};
/* clang-format on */

static int see_example(void *ctx, const struct journal_record *r)
{
	*(bool *)ctx = r->seq == 41 && r->time_ns == 1764028800250000000 && r->uid == 1000 && r->kind == 7 &&
		       r->version == 1 && !strcmp(r->user, "maria") && !strcmp(r->program, "cp") && r->body_len == 5 &&
		       !memcmp(r->body, "Hallo", 5);
	return 0;
}

/* Puts the example into a store (whose id it takes), as if the segments before had been taken away after a checkpoint.
 */
static void test_example(void)
{
	uint8_t bytes[sizeof example], head[SHA_BYTES];
	struct segment_head h;
	bool right = false;
	struct home home;
	char path[800];

	memcpy(bytes, example, sizeof bytes);
	CHECK_RC(segment_head_decode(bytes, &h));
	CHECK(h.epoch == 3 && h.first == 41 && h.id[15] == 0xaf && h.time_ns == 1764028800000000000);
	new_home(&home);
	memcpy(h.id, store_id(home.store), STORE_ID_BYTES);
	segment_head_encode(&h, bytes);
	close_home(&home);
	snprintf(path, sizeof path, "%s/journal/0000000003-000000000041.log", home.path);
	put_file(path, bytes, sizeof bytes);
	CHECK_RC(open_home(&home, NULL, STORE_READ_ONLY));
	CHECK_RC(journal_replay(home.journal, 41, see_example, &right));
	CHECK(right);
	journal_head(home.journal, head);
	CHECK(head[0] == 0x98 && head[1] == 0x34 && head[31] == 0x36);
	CHECK(journal_replay(home.journal, 40, see_example, &right) == -EIO);
	close_home(&home);
}

static int see_none(void *ctx, const struct journal_record *r)
{
	*(uint64_t *)ctx += r->seq;
	return 0;
}

/* A body taken away as `tomofs purge` will do: the chain holds, the record is passed over. */
static void test_erased(void)
{
	struct image image;
	struct home h;
	uint64_t count = 0;
	uint8_t *last;
	size_t at = SEGMENT_HEAD, len;
	uint64_t check, seed;
	struct stored s;

	new_home(&h);
	append_many(h.journal, 1, 4);
	close_home(&h);
	load(&h, 0, &image);
	for (int i = 0; i < 3; i++)
		at += record_length(image.bytes + at);
	last = image.bytes + at;
	len = record_length(last) - body_length(4);
	last[20] = RECORD_ERASED;
	last[4] = (uint8_t)len;
	memcpy(&seed, last, 8);
	check = XXH3_64bits_withSeed(last + 16, len - 16, seed);
	memcpy(last + 8, &check, 8);
	CHECK(record_length(last) == len && !journal_record_decode(last, len, &s) && !s.body && s.body_len == body_length(4));
	put_file(image.path, image.bytes, at + len);
	CHECK_RC(open_home(&h, NULL, 0));
	CHECK(journal_last(h.journal) == 4);
	append_many(h.journal, 5, 5);
	CHECK_RC(journal_replay(h.journal, 4, see_none, &count));
	CHECK(count == 5);
	close_home(&h);
	free(image.bytes);
}

/* --- calls that fail, power that goes away ---------------------------------------------------------------------- */

/* Appends 1 to 8 with a flush after every second one, until something fails. Returns that, and how far a flush
 * promised. */
static int work(struct home *h, uint64_t *promised)
{
	uint64_t first = journal_last(h->journal) + 1;
	int rc = 0;

	for (uint64_t seq = first; !rc && seq < first + 8; seq++) {
		rc = append(h->journal, seq);
		if (!rc && (seq - first) % 2)
			rc = journal_flush(h->journal);
		if (!rc && (seq - first) % 2)
			*promised = seq;
	}
	return rc;
}

/* Every call fails once: the failure sticks, nothing that was promised is lost, and the next opening goes on. */
static void test_failing_calls(void)
{
	static const int codes[] = { EIO, ENOSPC };

	for (uint64_t n = 1; n <= 8; n++) {
		struct faultio *f = faultio_new();
		int code = codes[n % 2], rc;
		uint64_t promised = 0;
		struct home h;

		new_home(&h);
		close_home(&h);
		CHECK_RC(open_home(&h, faultio_io(f), 0));
		faultio_short(f, 100);
		faultio_fail(f, FAULT_OPEN | FAULT_WRITE | FAULT_SYNC | FAULT_SYNC_DIR, n, code);
		rc = work(&h, &promised);
		CHECK(rc == -code);
		CHECK(strstr(err_text(), code == EIO ? "Input/output" : "disk is full"));
		CHECK(journal_durable(h.journal) == promised);
		CHECK(journal_flush(h.journal) == rc && append(h.journal, 9) == rc);
		CHECK(replay_all(h.journal) == (int64_t)promised);
		close_home(&h);
		faultio_free(f);
		CHECK_RC(open_home(&h, NULL, 0));
		CHECK(replay_all(h.journal) >= (int64_t)promised);
		append_many(h.journal, journal_last(h.journal) + 1, journal_last(h.journal) + 3);
		CHECK(replay_all(h.journal) == (int64_t)journal_last(h.journal));
		close_home(&h);
	}
}

/* What a record names is on the disk before the record: when chunks cannot be stored, closing writes none. */
static void test_close_after_failed_sync(void)
{
	struct faultio *f = faultio_new();
	struct home h;
	struct key key;

	new_home(&h);
	close_home(&h);
	CHECK_RC(open_home(&h, faultio_io(f), 0));
	append_many(h.journal, 1, 3);
	CHECK_RC(store_put(h.store, NULL, 0, "chunk", 5, &key));
	for (uint64_t seq = 4; seq <= 6; seq++)
		CHECK_RC(append(h.journal, seq));
	faultio_fail_from(f, FAULT_SYNC, 1, EIO);
	CHECK(store_sync(h.store) == -EIO);
	faultio_reset(f);
	journal_close(h.journal);
	h.journal = NULL;
	close_home(&h);
	CHECK_RC(open_home(&h, NULL, 0));
	CHECK(journal_last(h.journal) == 3);
	close_home(&h);
	faultio_free(f);
}

/* The power goes away at the n-th change of the disk, and again while the next process works. What was promised is
 * there. */
static void test_power_loss(uint64_t seed)
{
	struct faultio *f = faultio_new();
	uint64_t promised = 0;
	bool done = false;
	struct home h;

	new_home(&h);
	close_home(&h);
	for (uint64_t n = 1; !done && n < 100; n++) {
		int rc;

		faultio_power_off(f, n);
		rc = open_home(&h, faultio_io(f), 0);
		if (!rc)
			rc = work(&h, &promised);
		close_home(&h);
		done = !faultio_is_off(f);
		CHECK(!done || !rc);
		faultio_crash(f, seed ? seed + n : 0);
		CHECK_RC(open_home(&h, faultio_io(f), 0));
		if (!h.journal)
			break;
		CHECK(replay_all(h.journal) >= (int64_t)promised);
		promised = journal_last(h.journal);
		close_home(&h);
	}
	CHECK(done && promised > 8);
	faultio_free(f);
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

enum { THREADS = 4, EACH = 60 };

static void *append_some(void *arg)
{
	struct journal *j = arg;

	for (int i = 0; i < EACH; i++) {
		struct journal_record r = {
			.user = "x", .program = "y", .body = (const uint8_t *)"body", .body_len = 4
		};

		CHECK_RC(journal_append(j, &r));
		if (i % 8 == 0) {
			CHECK_RC(journal_flush(j));
			CHECK(journal_durable(j) >= r.seq);
		}
	}
	return NULL;
}

static int count_record(void *ctx, const struct journal_record *r)
{
	uint64_t *count = ctx;

	return r->seq == ++*count ? 0 : -EIO;
}

static void test_threads(void)
{
	pthread_t threads[THREADS];
	uint64_t count = 0;
	struct home h;

	new_home(&h);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, append_some, h.journal);
	for (int i = 0; i < 5; i++, count = 0)
		CHECK_RC(journal_replay(h.journal, 1, count_record, &count));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_RC(journal_flush(h.journal));
	CHECK_RC(journal_replay(h.journal, 1, count_record, &count));
	CHECK(count == THREADS * EACH);
	close_home(&h);
}

/* A second writer that has an older epoch or the same numbers is refused. */
static void test_two_writers(void)
{
	struct home h;
	struct journal *sleeper = NULL;

	new_home(&h);
	CHECK_RC(journal_open(&sleeper, h.store));
	append_many(h.journal, 1, 3);
	CHECK_RC(append(sleeper, 1));
	CHECK(journal_flush(sleeper) == -EIO && strstr(err_text(), "another process"));
	journal_close(sleeper);
	reopen(&h);
	CHECK(replay_all(h.journal) == 3);
	close_home(&h);
}

/* Bytes that look like the beginnings of long records, many times: refused, in bounded time. */
static void test_hostile(void)
{
	struct image image;
	struct home h;
	size_t len = 4 << 20;
	scope_free uint8_t *bytes = malloc(len);
	int rc;

	new_home(&h);
	append_many(h.journal, 1, 2);
	close_home(&h);
	load(&h, 0, &image);
	memcpy(bytes, image.bytes, image.len);
	for (size_t at = image.len; at < len; at++)
		bytes[at] = 0;
	for (size_t at = image.len; at + RECORD_HEAD < len; at += RECORD_HEAD) {
		uint32_t length = 1 << 20, body = length - RECORD_HEAD;

		memcpy(bytes + at, "TJRC", 4);
		memcpy(bytes + at + 4, &length, 4);
		memcpy(bytes + at + 48, &body, 4);
	}
	put_file(image.path, bytes, len);
	rc = open_home(&h, NULL, 0);
	CHECK(rc == -EIO || (rc == 0 && journal_last(h.journal) == 2));
	close_home(&h);
	free(image.bytes);
}

int main(void)
{
	log_set_level(LOG_ERROR);
	test_round_trip();
	test_large();
	test_every_cut();
	test_every_flip();
	test_lost_sectors();
	test_verify();
	test_tampered();
	test_other_store();
	test_read_only();
	test_example();
	test_erased();
	test_failing_calls();
	test_close_after_failed_sync();
	for (uint64_t seed = 0; seed < 4; seed++)
		test_power_loss(seed * 1000);
	test_threads();
	test_two_writers();
	test_hostile();
	return check_done();
}
