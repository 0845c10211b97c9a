/*
 * Open files where it hurts: a header written again before the hash saw the first one, a disk that fails, damaged chunks, many small
 * writes into the same chunks, files closed and opened again by several threads.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/faultio.h"
#include "tests/lib/file_lab.h"
#include "tests/lib/random.h"

enum { BYTES_MAX = 24 << 20, BLOCK = 128 << 10 };

static uint8_t model[BYTES_MAX], other[BYTES_MAX], got[BYTES_MAX];

static void write_all(struct file *f, const uint8_t *from, uint64_t off, size_t len)
{
	for (size_t at = 0; at < len; at += BLOCK) {
		size_t n = len - at < BLOCK ? len - at : BLOCK;

		CHECK(file_write(f, &caller_self, off + at, from + at, n, false) == (int64_t)n);
	}
}

static void make_stored(struct rig *r, const char *name, const uint8_t *bytes, size_t len, uint64_t *ino)
{
	struct file *f;

	*ino = make_file(r, name);
	CHECK_RC(file_open(r->files, *ino, true, &f));
	write_all(f, bytes, 0, len);
	CHECK_RC(file_release(f, &caller_self, true));
}

static void check_stored(struct rig *r, uint64_t ino, const uint8_t *bytes, size_t len)
{
	uint8_t sha[32];
	struct content c;
	struct file *f;

	CHECK_RC(files_settle(r->files));
	EVP_Digest(bytes, len, sha, NULL, EVP_sha256(), NULL);
	CHECK_RC(catalog_content(r->catalog, ino, &c));
	CHECK(c.size == len);
	CHECK(c.sha256_known && memcmp(c.sha256, sha, 32) == 0);
	CHECK_RC(file_open(r->files, ino, false, &f));
	CHECK(file_read(f, 0, got, BYTES_MAX) == (int64_t)len && memcmp(got, bytes, len) == 0);
	CHECK_RC(file_release(f, &caller_self, false));
}

/* A file's first bytes change while they are still on their way into the store behind those of another file. */
static void test_early_rewrite(struct rig *r)
{
	uint64_t a = make_file(r, "busy"), b = make_file(r, "rewritten");
	struct file *fa, *fb;

	CHECK_RC(file_open(r->files, a, true, &fa));
	CHECK_RC(file_open(r->files, b, true, &fb));
	write_all(fa, other, 0, BYTES_MAX);
	write_all(fb, model, 0, 9 << 20);
	model[3] ^= 1;
	write_all(fb, model, 0, 4096);
	CHECK_RC(file_release(fb, &caller_self, true));
	CHECK_RC(file_release(fa, &caller_self, true));
	CHECK_RC(files_settle(r->files));
	check_stored(r, b, model, 9 << 20);
	check_stored(r, a, other, BYTES_MAX);
	CHECK(files_dirty(r->files) == 0);
}

/* O_TRUNC and a new content: hashed on the way again, so nothing is read. */
static void test_replace(struct rig *r)
{
	struct content c;
	struct file *f;
	uint64_t ino;

	make_stored(r, "replaced", other, 300000, &ino);
	CHECK_RC(file_open(r->files, ino, true, &f));
	CHECK_RC(file_truncate(f, &caller_self, 0));
	CHECK_RC(file_fsync(f, &caller_self));
	CHECK_RC(catalog_content(r->catalog, ino, &c));
	CHECK(c.size == 0 && c.sha256_known);
	write_all(f, model, 0, 200000);
	CHECK_RC(file_flush(f, &caller_self));
	CHECK_RC(catalog_content(r->catalog, ino, &c));
	CHECK(c.sha256_known);
	CHECK_RC(file_release(f, &caller_self, true));
	check_stored(r, ino, model, 200000);
}

/* Pages of 4 KiB all over the same few chunks: each chunk is made again once, not once for each page. */
static void test_pages(struct rig *r)
{
	enum { SIZE = 12 << 20, STEP = 16 << 10, PAGE = 4 << 10 };
	struct store_stats before, after;
	struct file *f;
	uint64_t ino;

	random_fill(model, SIZE, 11);
	make_stored(r, "pages", model, SIZE, &ino);
	CHECK_RC(files_settle(r->files));
	store_stats(r->store, &before);
	CHECK_RC(file_open(r->files, ino, true, &f));
	for (size_t at = 0; at + PAGE <= SIZE; at += STEP) {
		random_fill(model + at, PAGE, at);
		CHECK(file_write(f, &caller_self, at, model + at, PAGE, false) == PAGE);
	}
	CHECK_RC(file_release(f, &caller_self, true));
	CHECK_RC(files_settle(r->files));
	store_stats(r->store, &after);
	CHECK(after.put_bytes - before.put_bytes < SIZE + (8 << 20));
	check_stored(r, ino, model, SIZE);
}

/* One fsync of a growing file puts what grew, and the last chunk. */
static void test_growing(struct rig *r)
{
	uint64_t ino = make_file(r, "growing");
	struct store_stats before, after;
	struct file *f;

	CHECK_RC(file_open(r->files, ino, true, &f));
	write_all(f, other, 0, 20 << 20);
	CHECK_RC(file_fsync(f, &caller_self));
	store_stats(r->store, &before);
	write_all(f, other + (20 << 20), 20 << 20, 4096);
	CHECK_RC(file_fsync(f, &caller_self));
	store_stats(r->store, &after);
	CHECK(after.put_bytes - before.put_bytes < (256 << 10));
	CHECK_RC(file_release(f, &caller_self, true));
	check_stored(r, ino, other, (20 << 20) + 4096);
}

/* The disk fails while a file is changed: said at flush, again at fsync, and then the file is what it was. */
static void test_failing_disk(void)
{
	struct faultio *disk = faultio_new();
	struct file *reader, *f, *to_lose;
	struct rig r = { .cache_bytes = 8 << 20 };
	uint64_t ino, lost, size;
	int64_t mtime, n;

	r.io = faultio_io(disk);
	rig_new(&r, "store");
	make_stored(&r, "kept", model, 1 << 20, &ino);
	make_stored(&r, "lost", other, 100000, &lost);
	CHECK_RC(files_settle(r.files));
	CHECK_RC(catalog_sync(r.catalog));
	CHECK_RC(file_open(r.files, ino, false, &reader));
	CHECK_RC(file_open(r.files, ino, true, &f));
	faultio_fail_from(disk, FAULT_WRITE, 1, EIO);
	CHECK_RC(file_open(r.files, lost, true, &to_lose));
	write_all(to_lose, model + 77, 0, 100000);
	CHECK(file_fsync(to_lose, &caller_self) < 0);
	file_release(to_lose, &caller_self, true);
	write_all(f, other, 500000, 3 << 20);
	CHECK(file_flush(f, &caller_self) == -EIO);
	CHECK(file_write(f, &caller_self, 0, "x", 1, false) == -EIO);
	CHECK(strstr(err_text(), "datasets/kept"));
	CHECK(file_fsync(f, &caller_self) == -EIO);
	CHECK(file_release(f, &caller_self, true) == -EIO);
	CHECK(files_dirty(r.files) == 0);
	CHECK(!files_peek(r.files, ino, &size, &mtime));
	n = file_read(reader, 0, got, BYTES_MAX);
	CHECK(n == 1 << 20 && memcmp(got, model, 1 << 20) == 0);
	CHECK_RC(file_release(reader, &caller_self, false));
	rig_close_failing(&r);
	faultio_reset(disk);
	rig_open(&r);
	check_stored(&r, ino, model, 1 << 20);
	check_stored(&r, lost, other, 100000);
	rig_close(&r);
	faultio_free(disk);
}

/* Changes a byte in the middle of every pack. */
static void damage_packs(const char *store)
{
	char dir[600], path[1200];
	struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof dir, "%s/packs", store);
	d = opendir(dir);
	CHECK(d);
	while (d && (e = readdir(d))) {
		uint8_t byte;
		off_t at;
		int fd;

		if (*e->d_name == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		fd = open(path, O_RDWR);
		at = lseek(fd, 0, SEEK_END) / 2;
		CHECK(pread(fd, &byte, 1, at) == 1);
		byte ^= 0x10;
		CHECK(pwrite(fd, &byte, 1, at) == 1);
		close(fd);
	}
	if (d)
		closedir(d);
}

/* A damaged chunk is an error that names the file, for reading, for hashing and for changing the chunk; never other bytes. */
static void test_damage(void)
{
	enum { SIZE = 6 << 20 };
	int64_t n, errors = 0;
	struct file *f;
	struct rig r = { .cache_bytes = 8 << 20 };
	uint64_t ino;

	rig_new(&r, "store");
	random_fill(model, SIZE, 3);
	make_stored(&r, "scan", model, SIZE, &ino);
	CHECK_RC(files_settle(r.files));
	CHECK_RC(catalog_sync(r.catalog));
	rig_close(&r);
	rig_open(&r);
	damage_packs(r.path);
	CHECK_RC(file_open(r.files, ino, true, &f));
	for (size_t at = 0; at < SIZE; at += 64 << 10) {
		n = file_read(f, at, got, 64 << 10);
		CHECK(n == -EIO || (n == 64 << 10 && memcmp(got, model + at, 64 << 10) == 0));
		errors += n < 0;
		CHECK(n > 0 || (strstr(err_text(), "datasets/scan") && strstr(err_text(), "chunk ")));
	}
	CHECK(errors > 0);
	for (size_t at = 0; at < SIZE; at += 64 << 10)
		CHECK(file_write(f, &caller_self, at, "y", 1, false) == 1);
	CHECK(file_flush(f, &caller_self) == -EIO);
	CHECK(strstr(err_text(), "datasets/scan") && strstr(err_text(), "chunk "));
	CHECK(file_release(f, &caller_self, true) == -EIO);
	rig_close(&r);
}

/* ---- closed and opened again ---- */

enum { ROUNDS = 60, WRITERS = 3 };

static struct {
	struct rig *rig;
	pthread_mutex_t lock;
	uint64_t ino, closed_size;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void note_closed(void *ctx, uint64_t ino, bool at_hand)
{
	struct content c;

	(void)ctx, (void)at_hand;
	if (ino != shared.ino)
		return;
	CHECK_RC(catalog_content(shared.rig->catalog, ino, &c));
	pthread_mutex_lock(&shared.lock);
	if (c.size > shared.closed_size)
		shared.closed_size = c.size;
	pthread_mutex_unlock(&shared.lock);
}

static void *append_often(void *arg)
{
	uint8_t block[3000];
	struct file *f;

	memset(block, *(int *)arg, sizeof block);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK_RC(file_open(shared.rig->files, shared.ino, true, &f));
		CHECK(file_write(f, &caller_self, 0, block, sizeof block, true) == sizeof block);
		if (i % 5 == 0)
			CHECK(file_write(f, &caller_self, 0, "head", 4, false) == 4);
		CHECK_RC(i % 7 ? file_flush(f, &caller_self) : file_fsync(f, &caller_self));
		CHECK_RC(file_release(f, &caller_self, true));
	}
	return NULL;
}

static void *truncate_often(void *arg)
{
	struct file *f = arg;

	for (int i = 0; i < ROUNDS; i++) {
		CHECK_RC(file_truncate(f, &caller_self, (size_t)(100 + i % 7) * 1000));
		CHECK_RC(file_flush(f, &caller_self));
	}
	return NULL;
}

/* The last of several writers has its content in the catalog, whole and hashed, before closed() is told. */
static void test_reopening(struct rig *r)
{
	static int values[WRITERS] = { 1, 2, 3 };
	const size_t size = (size_t)WRITERS * ROUNDS * 3000;
	pthread_t threads[WRITERS];
	struct content c;
	struct file *f;

	shared.rig = r;
	shared.ino = make_file(r, "log");
	files_on_close(r->files, note_closed, NULL, NULL);
	for (int i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, append_often, &values[i]);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	CHECK_RC(files_settle(r->files));
	files_on_close(r->files, NULL, NULL, NULL);
	CHECK(shared.closed_size == size);
	CHECK_RC(catalog_content(r->catalog, shared.ino, &c));
	CHECK_RC(file_open(r->files, shared.ino, false, &f));
	CHECK(file_read(f, 0, got, BYTES_MAX) == (int64_t)size);
	CHECK_RC(file_release(f, &caller_self, false));
	memcpy(other, got, size);
	check_stored(r, shared.ino, other, size);
}

/* Truncating while others write: what is recorded is what is read, and nothing is left over. */
static void test_truncating(struct rig *r)
{
	static int value = 9;
	pthread_t threads[2];
	struct file *f;
	struct content c;
	int64_t n;

	shared.rig = r;
	shared.ino = make_file(r, "cut");
	CHECK_RC(file_open(r->files, shared.ino, true, &f));
	write_all(f, model, 0, 1 << 20);
	pthread_create(&threads[0], NULL, append_often, &value);
	pthread_create(&threads[1], NULL, truncate_often, f);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK_RC(file_release(f, &caller_self, true));
	CHECK_RC(files_settle(r->files));
	CHECK_RC(catalog_content(r->catalog, shared.ino, &c));
	CHECK_RC(file_open(r->files, shared.ino, false, &f));
	n = file_read(f, 0, got, BYTES_MAX);
	CHECK(n > 0 && c.size == (uint64_t)n);
	CHECK_RC(file_release(f, &caller_self, false));
	if (n > 0) {
		memcpy(other, got, (size_t)n);
		check_stored(r, shared.ino, other, (size_t)n);
	}
	CHECK(files_dirty(r->files) == 0);
}

int main(void)
{
	struct rig r = { .cache_bytes = 8 << 20 };

	random_fill(model, BYTES_MAX, 1);
	random_fill(other, BYTES_MAX, 2);
	for (size_t i = 0; i < BYTES_MAX; i++)
		other[i] &= 0x0f; /* can be compressed, which takes time */
	rig_new(&r, "store");
	test_early_rewrite(&r);
	test_replace(&r);
	test_growing(&r);
	test_pages(&r);
	test_reopening(&r);
	test_truncating(&r);
	rig_close(&r);
	test_failing_disk();
	test_damage();
	return check_done();
}
