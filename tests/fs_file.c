/* Open files against a plain array of bytes: random writes, truncations, reads, flushes, reopenings; several threads; SHA-256. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/faultio.h"
#include "tests/lib/file_lab.h"

enum { MODEL_MAX = 24 << 20, STEPS = 400 };
static uint64_t seed = 7;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void fill(uint8_t *to, size_t len)
{
	bool noise = rnd(2);

	for (size_t i = 0; i < len; i++)
		to[i] = (uint8_t)(noise ? rnd(256) : i / 100);
}

static void check_range(struct file *f, const uint8_t *model, size_t size, uint64_t off, size_t len)
{
	static uint8_t got[MODEL_MAX];
	size_t want = off >= size ? 0 : len < size - off ? len : (size_t)(size - off);
	int64_t n = file_read(f, off, got, len);

	CHECK(n == (int64_t)want);
	CHECK(n < 0 || memcmp(got, model + off, want) == 0);
}

/* After the last writer closed: size and hash in the catalog are those of the bytes. */
static void check_catalog(struct rig *r, uint64_t ino, const uint8_t *model, size_t size)
{
	uint8_t sha[32];
	struct content c;

	EVP_Digest(model, size, sha, NULL, EVP_sha256(), NULL);
	CHECK_RC(files_settle(r->files));
	CHECK_RC(catalog_content(r->catalog, ino, &c));
	CHECK(c.size == size);
	CHECK(c.sha256_known && memcmp(c.sha256, sha, 32) == 0);
}

static size_t random_write(struct file *f, uint8_t *model, size_t size)
{
	size_t len = rnd(8) ? 1 + rnd(200000) : 1 + rnd(3 << 20);
	uint64_t off = rnd(3) ? size : rnd(size + 300000);

	if (off + len > MODEL_MAX)
		return size;
	if (off > size)
		memset(model + size, 0, off - size);
	fill(model + off, len);
	CHECK(file_write(f, &caller_self, off, model + off, len, false) == (int64_t)len);
	return off + len > size ? off + len : size;
}

static size_t random_truncate(struct file *f, uint8_t *model, size_t size)
{
	size_t to = rnd(6) ? size - rnd(size / 4 + 1) : rnd(2) ? 0 : size + rnd(500000);

	if (to > MODEL_MAX)
		return size;
	CHECK_RC(file_truncate(f, &caller_self, to));
	if (to > size)
		memset(model + size, 0, to - size);
	return to;
}

static void test_model(struct rig *r)
{
	static uint8_t model[MODEL_MAX];
	uint64_t ino = make_file(r, "model");
	struct file *f;
	size_t size = 0;

	CHECK_RC(file_open(r->files, ino, true, &f));
	for (int step = 0; step < STEPS; step++) {
		switch (rnd(12)) {
		default:
			size = random_write(f, model, size);
			break;
		case 5:
			size = random_truncate(f, model, size);
			break;
		case 6:
			CHECK_RC(file_flush(f, &caller_self));
			break;
		case 7:
			CHECK_RC(file_fsync(f, &caller_self));
			break;
		case 8:
			CHECK_RC(file_release(f, &caller_self, true));
			check_catalog(r, ino, model, size);
			CHECK_RC(file_open(r->files, ino, true, &f));
			break;
		case 9:
			check_range(f, model, size, 0, MODEL_MAX);
			break;
		case 10:
		case 11:
			check_range(f, model, size, rnd(size + 1000), 1 + rnd(300000));
			break;
		}
	}
	CHECK_RC(file_release(f, &caller_self, true));
	rig_close(r);
	rig_open(r);
	CHECK_RC(file_open(r->files, ino, false, &f));
	check_range(f, model, size, 0, MODEL_MAX);
	CHECK_RC(file_release(f, &caller_self, false));
	check_catalog(r, ino, model, size);
}

/* A large file written in order is hashed on the way, and comes back whole; its clone shares every byte. */
static void test_large(struct rig *r)
{
	static uint8_t model[MODEL_MAX];
	uint64_t ino = make_file(r, "large"), copy = make_file(r, "copy");
	struct store_stats before, after;
	struct file *f, *to;

	fill(model, MODEL_MAX);
	CHECK_RC(file_open(r->files, ino, true, &f));
	for (size_t at = 0; at < MODEL_MAX; at += 131072)
		CHECK(file_write(f, &caller_self, 0, model + at, 131072, true) == 131072);
	check_range(f, model, MODEL_MAX, 100, MODEL_MAX / 2);
	CHECK_RC(file_release(f, &caller_self, true));
	check_catalog(r, ino, model, MODEL_MAX);
	store_stats(r->store, &before);
	CHECK_RC(file_open(r->files, ino, false, &f));
	CHECK_RC(file_open(r->files, copy, true, &to));
	CHECK_RC(file_clone(f, to, &caller_self));
	check_range(to, model, MODEL_MAX, 0, MODEL_MAX);
	CHECK(file_clone(f, to, &caller_self) == -EOPNOTSUPP);
	CHECK_RC(file_release(to, &caller_self, true));
	CHECK_RC(file_release(f, &caller_self, false));
	check_catalog(r, copy, model, MODEL_MAX);
	store_stats(r->store, &after);
	CHECK(after.stored_bytes == before.stored_bytes);
	CHECK(files_dirty(r->files) == 0);
}

struct part { /* one thread's share of a file */
	struct rig *r;
	uint64_t ino;
	size_t from, len;
	uint8_t value;
};

static void *write_part(void *arg)
{
	struct part *p = arg;
	uint8_t block[4096], got[4096];
	struct file *f;

	memset(block, p->value, sizeof block);
	CHECK_RC(file_open(p->r->files, p->ino, true, &f));
	for (size_t at = 0; at < p->len; at += sizeof block) {
		CHECK(file_write(f, &caller_self, p->from + at, block, sizeof block, false) == sizeof block);
		CHECK(file_read(f, p->from + at, got, sizeof got) == sizeof got);
		CHECK(memcmp(got, block, sizeof got) == 0);
		if (at % (1 << 20) == 0)
			CHECK_RC(file_flush(f, &caller_self));
	}
	CHECK_RC(file_release(f, &caller_self, true));
	return NULL;
}

static void test_threads(struct rig *r)
{
	enum { THREADS = 4, SHARE = 2 << 20 };
	uint64_t ino = make_file(r, "shared");
	struct part parts[THREADS];
	pthread_t threads[THREADS];
	static uint8_t want[THREADS * SHARE];
	struct file *f;

	for (int i = 0; i < THREADS; i++) {
		parts[i] = (struct part){ r, ino, (size_t)i * SHARE, SHARE, (uint8_t)(i + 1) };
		memset(want + (size_t)i * SHARE, i + 1, SHARE);
		pthread_create(&threads[i], NULL, write_part, &parts[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_RC(file_open(r->files, ino, false, &f));
	check_range(f, want, sizeof want, 0, sizeof want);
	CHECK_RC(file_release(f, &caller_self, false));
	check_catalog(r, ino, want, sizeof want);
}

static void test_small(struct rig *r)
{
	uint64_t ino = make_file(r, "small"), size;
	int64_t mtime;
	struct file *f;
	char got[16];

	CHECK_RC(file_open(r->files, ino, true, &f));
	CHECK(file_write(f, &caller_self, 0, "hello", 5, false) == 5);
	CHECK(files_writing(r->files, ino));
	CHECK(files_peek(r->files, ino, &size, &mtime) && size == 5);
	files_set_mtime(r->files, ino, 1234567890);
	CHECK_RC(file_flush(f, &caller_self));
	CHECK_RC(file_release(f, &caller_self, true));
	CHECK_RC(files_settle(r->files));
	CHECK(!files_writing(r->files, ino));
	struct node_row row;
	CHECK_RC(catalog_node(r->catalog, ino, &row));
	CHECK(row.mtime_ns == 1234567890);
	CHECK(row.size == 5);
	CHECK_RC(file_open(r->files, ino, true, &f));
	CHECK(file_write(f, &caller_self, 16ULL << 40, "x", 1, false) == -EFBIG);
	CHECK(file_read(f, 1, got, sizeof got) == 4 && memcmp(got, "ello", 4) == 0);
	CHECK(file_read(f, 5, got, sizeof got) == 0);
	CHECK_RC(file_release(f, &caller_self, true));
	check_catalog(r, ino, (const uint8_t *)"hello", 5);
}

/* A write that could not be kept never becomes the file's content, also when somebody kept the file open meanwhile. */
static void test_failed_write(void)
{
	enum { GOOD = 400000, BIG = 14 << 20, BLOCK = 1 << 17 };
	static uint8_t good[GOOD], big[BIG];
	struct faultio *fault = faultio_new();
	struct rig r = { .io = faultio_io(fault), .budget = 16 << 20 };
	struct file *reader, *writer;
	uint64_t ino;
	int rc = 0;

	rig_new(&r, "failing");
	ino = make_file(&r, "f");
	for (size_t i = 0; i < GOOD; i++)
		good[i] = (uint8_t)rnd(256);
	for (size_t i = 0; i < BIG; i++)
		big[i] = (uint8_t)rnd(256);
	CHECK_RC(file_open(r.files, ino, true, &writer));
	CHECK(file_write(writer, &caller_self, 0, good, GOOD, false) == GOOD);
	CHECK_RC(file_fsync(writer, &caller_self));
	CHECK_RC(file_release(writer, &caller_self, true));
	CHECK_RC(file_open(r.files, ino, false, &reader));
	CHECK_RC(file_open(r.files, ino, true, &writer));
	faultio_fail_from(fault, FAULT_WRITE, 1, ENOSPC);
	for (size_t at = 0; at < BIG && rc >= 0; at += BLOCK)
		rc = (int)file_write(writer, &caller_self, at, big + at, BLOCK, false);
	rc = rc < 0 ? rc : file_flush(writer, &caller_self);
	faultio_reset(fault);
	if (rc >= 0) /* it was still in the buffer of the pack: made durable it fails, and the bytes go elsewhere */
		file_fsync(writer, &caller_self);
	CHECK(rc == file_release(writer, &caller_self, true) || rc >= 0);
	CHECK_RC(file_open(r.files, ino, true, &writer));
	CHECK_RC(file_release(writer, &caller_self, true));
	CHECK_RC(files_commit_all(r.files));
	if (rc < 0)
		check_range(reader, good, GOOD, 0, BIG);
	CHECK_RC(file_release(reader, &caller_self, false));
	CHECK(files_dirty(r.files) == 0);
	CHECK(rc == -ENOSPC);
	check_catalog(&r, ino, rc < 0 ? good : big, rc < 0 ? GOOD : BIG);
	rig_close(&r);
	faultio_free(fault);
}

int main(void)
{
	struct rig r = { .budget = 16 << 20 };

	rig_new(&r, "store");
	test_small(&r);
	test_model(&r);
	test_large(&r);
	test_threads(&r);
	rig_close(&r);
	test_failed_write();
	return check_done();
}
