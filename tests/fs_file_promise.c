/*
 * What a close promises: the content of a new file reaches the catalog behind the writer's back. Nobody sees an older state meanwhile;
 * a full disk delays it and loses nothing; a disk that fails makes reading the file fail, never shows other bytes.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/lib/faultio.h"
#include "tests/lib/file_lab.h"
#include "tests/lib/random.h"

enum { BIG = 15 << 19, BLOCK = 128 << 10 }; /* less than is handed over before the close, more than an appender keeps */

static uint8_t bytes[BIG], got[BIG + 1];

static void copy_in(struct rig *r, uint64_t ino, size_t len)
{
	struct file *f;

	CHECK_RC(file_open(r->files, ino, true, &f));
	for (size_t at = 0; at < len; at += BLOCK) {
		size_t n = len - at < BLOCK ? len - at : BLOCK;

		CHECK(file_write(f, &caller_self, at, bytes + at, n, false) == (int64_t)n);
	}
	CHECK_RC(file_flush(f, &caller_self));
	CHECK_RC(file_release(f, &caller_self, true));
}

static int64_t read_whole(struct rig *r, uint64_t ino)
{
	struct file *f;
	int64_t n;

	CHECK_RC(file_open(r->files, ino, false, &f));
	n = file_read(f, 0, got, sizeof got);
	CHECK_RC(file_release(f, &caller_self, false));
	return n;
}

static uint64_t size_now(struct rig *r, uint64_t ino)
{
	struct node_row row;
	uint64_t size;
	int64_t mtime;

	if (files_peek(r->files, ino, &size, &mtime))
		return size;
	CHECK_RC(catalog_node(r->catalog, ino, &row));
	return row.size;
}

/* ---- sizes while commits go on ---- */

static struct {
	struct rig *rig;
	_Atomic uint64_t ino, size;
	atomic_bool stop;
} watched;

static void *watch(void *arg)
{
	(void)arg;
	while (!watched.stop) {
		uint64_t ino = watched.ino, size = watched.size;

		if (ino && size && ino == watched.ino)
			CHECK(size_now(watched.rig, ino) == size);
	}
	return NULL;
}

/* From the close on everybody sees the whole file, whether the catalog has it or not. */
static void test_size_is_never_old(void)
{
	struct rig r = { .cache_bytes = 8 << 20 };
	pthread_t thread;

	rig_new(&r, "sizes");
	watched.rig = &r;
	pthread_create(&thread, NULL, watch, NULL);
	for (int i = 0; i < 40; i++) {
		size_t len = 1 + (size_t)i * 50000;
		char name[20];
		uint64_t ino;

		snprintf(name, sizeof name, "file%d", i);
		ino = make_file(&r, name);
		copy_in(&r, ino, len);
		watched.size = len;
		watched.ino = ino;
		CHECK(read_whole(&r, ino) == (int64_t)len && memcmp(got, bytes, len) == 0);
		watched.ino = watched.size = 0;
	}
	watched.stop = true;
	pthread_join(thread, NULL);
	rig_close(&r);
}

/* ---- flushed again and again ---- */

/* A program that closes a duplicated descriptor after each page: the file is cut once, not at each flush. And a file that is flushed and
 * stays open is in the catalog soon all the same. */
static void test_many_flushes(void)
{
	enum { PAGE = 20000 };
	struct store_stats before, after;
	struct content c = { 0 };
	struct file *f;
	struct rig r = { .cache_bytes = 8 << 20 };
	uint64_t ino;

	rig_new(&r, "flushes");
	ino = make_file(&r, "pages");
	store_stats(r.store, &before);
	CHECK_RC(file_open(r.files, ino, true, &f));
	for (size_t at = 0; at + PAGE <= BIG; at += PAGE) {
		CHECK(file_write(f, &caller_self, at, bytes + at, PAGE, false) == PAGE);
		CHECK_RC(file_flush(f, &caller_self));
	}
	for (int i = 0; i < 100 && c.size != BIG / PAGE * PAGE; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
		catalog_content(r.catalog, ino, &c);
	}
	CHECK(c.size == BIG / PAGE * PAGE);
	CHECK_RC(file_release(f, &caller_self, true));
	CHECK_RC(files_settle(r.files));
	store_stats(r.store, &after);
	CHECK(after.put_bytes - before.put_bytes < BIG + (4 << 20)); /* at each flush: nearly three times as much */
	CHECK(read_whole(&r, ino) == BIG / PAGE * PAGE && memcmp(got, bytes, BIG / PAGE * PAGE) == 0);
	rig_close(&r);
}

/* ---- a full disk ---- */

static void wait_until_stored(struct rig *r)
{
	for (int i = 0; i < 100 && files_settle(r->files); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	CHECK_RC(files_settle(r->files));
}

static void test_full_disk(void)
{
	struct faultio *disk = faultio_new();
	struct content c;
	struct rig r = { .cache_bytes = 8 << 20 };
	uint64_t ino = 0;
	int rc = 0;

	r.io = faultio_io(disk);
	rig_new(&r, "full");
	faultio_fail_from(disk, FAULT_WRITE, 1, ENOSPC);
	for (int i = 0; !rc && i < 8; i++) { /* the store keeps some MiB in memory */
		char name[20];

		snprintf(name, sizeof name, "scan%d", i);
		random_fill(bytes, BIG, 6 + (uint64_t)i);
		ino = make_file(&r, name);
		copy_in(&r, ino, BIG);
		rc = files_settle(r.files);
	}
	CHECK(rc == -ENOSPC);
	CHECK(size_now(&r, ino) == BIG);
	CHECK(read_whole(&r, ino) == BIG && memcmp(got, bytes, BIG) == 0);
	faultio_reset(disk);
	wait_until_stored(&r);
	CHECK_RC(catalog_content(r.catalog, ino, &c));
	CHECK(c.size == BIG && c.sha256_known);
	CHECK_RC(catalog_sync(r.catalog));
	rig_close(&r);
	rig_open(&r);
	CHECK(read_whole(&r, ino) == BIG && memcmp(got, bytes, BIG) == 0);
	rig_close(&r);
	faultio_free(disk);
}

/* ---- what is at hand when a file was closed ---- */

static struct {
	struct rig *rig;
	int told, at_hand;
} looked;

static void look(void *ctx, uint64_t ino, bool at_hand)
{
	struct store_stats before, after;

	(void)ctx;
	looked.told++;
	looked.at_hand += at_hand;
	store_stats(looked.rig->store, &before);
	CHECK(read_whole(looked.rig, ino) == BIG);
	CHECK(memcmp(got, bytes, BIG) == 0);
	store_stats(looked.rig->store, &after);
	CHECK(!at_hand || before.cache_bytes == after.cache_bytes);
}

static void change(struct rig *r, uint64_t ino, uint64_t off, uint8_t byte)
{
	struct file *f;

	CHECK_RC(file_open(r->files, ino, true, &f));
	bytes[off] = byte;
	CHECK(file_write(f, &caller_self, off, &byte, 1, false) == 1);
	CHECK_RC(file_release(f, &caller_self, true));
	CHECK_RC(files_settle(r->files));
}

/* Whoever is told of a new file reads it without the store; of a changed one, and later, from the store. */
static void test_at_hand(void)
{
	struct rig r = { .cache_bytes = 64 << 20 };
	uint64_t ino;

	rig_new(&r, "hand");
	looked.rig = &r;
	files_on_close(r.files, look, NULL, NULL);
	random_fill(bytes, BIG, 77);
	ino = make_file(&r, "scan");
	copy_in(&r, ino, BIG);
	CHECK_RC(files_settle(r.files));
	CHECK(looked.told == 1 && looked.at_hand == 1);
	change(&r, ino, 1000, 5);
	change(&r, ino, BIG - 1, 6);
	CHECK(looked.told == 3 && looked.at_hand == 1);
	CHECK(read_whole(&r, ino) == BIG && memcmp(got, bytes, BIG) == 0);
	files_on_close(r.files, NULL, NULL, NULL);
	rig_close(&r);
}

/* ---- a failing disk ---- */

static atomic_int closed_count;

static void note_closed(void *ctx, uint64_t ino, bool at_hand)
{
	(void)ctx, (void)ino, (void)at_hand;
	closed_count++;
}

static void test_failing_disk(void)
{
	static const char *const names[] = { "good", "bad1", "bad2", "bad3", "bad4", "bad5", "bad6", "bad7", "bad8" };
	struct faultio *disk = faultio_new();
	struct rig r = { .cache_bytes = 8 << 20 };
	struct file *f;
	uint64_t good, bad = 0;
	int rc = 0, files = 1;

	r.io = faultio_io(disk);
	rig_new(&r, "failing");
	files_on_close(r.files, note_closed, NULL, NULL);
	good = make_file(&r, names[0]);
	copy_in(&r, good, 100000);
	CHECK_RC(files_settle(r.files));
	CHECK_RC(catalog_sync(r.catalog));
	CHECK(closed_count == 1);
	faultio_fail_from(disk, FAULT_WRITE, 1, EIO);
	while (!rc && files < 9) { /* the store keeps some MiB in memory, and what it keeps can be read */
		random_fill(bytes + 100000, BIG - 100000, (uint64_t)files);
		bad = make_file(&r, names[files++]);
		copy_in(&r, bad, BIG);
		rc = files_settle(r.files);
	}
	CHECK(rc == -EIO);
	CHECK(closed_count == files);
	CHECK(read_whole(&r, bad) == -EIO);
	CHECK(strstr(err_text(), "datasets/bad"));
	CHECK_RC(file_open(r.files, bad, true, &f)); /* nor does another writer, who is told, make something of it */
	CHECK(file_write(f, &caller_self, 0, "x", 1, false) == -EIO);
	file_release(f, &caller_self, true);
	files_settle(r.files);
	CHECK(read_whole(&r, bad) == -EIO);
	CHECK(read_whole(&r, good) == 100000 && memcmp(got, bytes, 100000) == 0);
	CHECK(files_dirty(r.files) == 0);
	rig_close_failing(&r);
	faultio_reset(disk);
	rig_open(&r);
	CHECK(read_whole(&r, good) == 100000 && memcmp(got, bytes, 100000) == 0);
	rig_close_failing(&r);
	faultio_free(disk);
}

/* A reader's fsync on a full disk is told; the writer, who is gone, was not: the file must not come out empty when the disk fails. */
static void test_reader_is_told(void)
{
	struct faultio *disk = faultio_new();
	uint64_t ino = 0;
	struct file *f;
	struct rig r = { .cache_bytes = 8 << 20 };

	r.io = faultio_io(disk);
	rig_new(&r, "reader");
	faultio_fail_from(disk, FAULT_WRITE, 1, ENOSPC);
	for (int i = 0; i < 8 && !files_settle(r.files); i++) {
		char name[20];

		snprintf(name, sizeof name, "scan%d", i);
		random_fill(bytes, BIG, 30 + (uint64_t)i);
		ino = make_file(&r, name);
		copy_in(&r, ino, BIG);
	}
	CHECK_RC(file_open(r.files, ino, false, &f));
	CHECK(file_fsync(f, &caller_self) == -ENOSPC);
	CHECK_RC(file_release(f, &caller_self, false));
	faultio_reset(disk);
	faultio_fail_from(disk, FAULT_WRITE, 1, EIO);
	for (int i = 0; i < 40 && files_settle(r.files) != -EIO; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	CHECK(read_whole(&r, ino) == -EIO);
	rig_close_failing(&r);
	faultio_free(disk);
}

static atomic_bool enough;

static void *write_on(void *arg)
{
	struct file *f = arg;

	for (uint64_t at = 0; !enough; at += BLOCK) {
		CHECK(file_write(f, &caller_self, at, bytes + at % (4 << 20), BLOCK, false) == BLOCK);
		if (at == 4 << 20)
			CHECK_RC(file_flush(f, &caller_self));
	}
	return NULL;
}

/* What was promised is committed although the writer goes on faster than the store takes it, and nobody who settles waits for its end. */
static void test_fast_writer(void)
{
	struct content c = { 0 };
	struct file *f;
	struct rig r = { .cache_bytes = 8 << 20 };
	pthread_t thread;
	uint64_t ino;

	rig_new(&r, "fast");
	ino = make_file(&r, "stream");
	CHECK_RC(file_open(r.files, ino, true, &f));
	pthread_create(&thread, NULL, write_on, f);
	for (int i = 0; i < 600 && c.size < 4 << 20; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
		catalog_content(r.catalog, ino, &c);
	}
	CHECK(c.size >= 4 << 20);
	CHECK_RC(files_settle(r.files));
	enough = true;
	pthread_join(thread, NULL);
	CHECK_RC(file_release(f, &caller_self, true));
	rig_close(&r);
}

int main(void)
{
	random_fill(bytes, BIG, 5);
	test_size_is_never_old();
	test_many_flushes();
	test_full_disk();
	test_at_hand();
	test_failing_disk();
	test_reader_is_told();
	test_fast_writer();
	return check_done();
}
