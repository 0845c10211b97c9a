/*
 * The directory on a disk that fails for its runs, or loses power: puts and reads never see it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "store/log.h"
#include "tests/lib/directory_lab.h"
#include "tests/lib/faultio.h"

enum { FDS = 256 };

struct split { /* calls for the runs go to one table, all others to the disk */
	struct io io;
	const struct io *runs;
	bool of_runs[FDS];
};

static const struct io *by_path(const struct io *io, const char *path)
{
	return strstr(path, "/keys") ? ((const struct split *)io->ctx)->runs : &io_system;
}

static const struct io *by_fd(const struct io *io, int fd)
{
	const struct split *s = io->ctx;

	return fd < FDS && __atomic_load_n(&s->of_runs[fd], __ATOMIC_RELAXED) ? s->runs : &io_system;
}

static int split_open(const struct io *io, const char *path, int flags, mode_t mode)
{
	const struct io *to = by_path(io, path);
	int fd = to->open(to, path, flags, mode);

	if (fd >= 0 && fd < FDS)
		__atomic_store_n(&((struct split *)io->ctx)->of_runs[fd], to != &io_system, __ATOMIC_RELAXED);
	return fd;
}

static int split_close(const struct io *io, int fd)
{
	return by_fd(io, fd)->close(by_fd(io, fd), fd);
}

static int64_t split_pread(const struct io *io, int fd, void *to, size_t len, uint64_t off)
{
	return by_fd(io, fd)->pread(by_fd(io, fd), fd, to, len, off);
}

static int64_t split_pwrite(const struct io *io, int fd, const void *from, size_t len, uint64_t off)
{
	return by_fd(io, fd)->pwrite(by_fd(io, fd), fd, from, len, off);
}

static int split_fdatasync(const struct io *io, int fd)
{
	return by_fd(io, fd)->fdatasync(by_fd(io, fd), fd);
}

static int split_fsync_dir(const struct io *io, const char *path)
{
	return by_path(io, path)->fsync_dir(by_path(io, path), path);
}

static int split_rename(const struct io *io, const char *from, const char *to)
{
	return by_path(io, from)->rename(by_path(io, from), from, to);
}

static int split_unlink(const struct io *io, const char *path)
{
	return by_path(io, path)->unlink(by_path(io, path), path);
}

static int split_truncate(const struct io *io, int fd, uint64_t size)
{
	return by_fd(io, fd)->truncate(by_fd(io, fd), fd, size);
}

static int64_t split_size(const struct io *io, int fd)
{
	return by_fd(io, fd)->size(by_fd(io, fd), fd);
}

static const struct io split_table = {
	.open = split_open,
	.close = split_close,
	.pread = split_pread,
	.pwrite = split_pwrite,
	.fdatasync = split_fdatasync,
	.fsync_dir = split_fsync_dir,
	.rename = split_rename,
	.unlink = split_unlink,
	.truncate = split_truncate,
	.size = split_size,
};

/* Whatever call for a run fails, once or from then on: puts and reads never see it. */
static void test_failing_runs(const char *path)
{
	static const int codes[] = { EIO, ENOSPC, EACCES };
	struct faultio *f = faultio_new();
	struct split split = { .io = split_table, .runs = faultio_io(f) };
	struct store *store = created(path);
	uint64_t calls = 30;
	size_t next = 0;

	split.io.ctx = &split;
	store_close(store);
	for (uint64_t n = 1; n < calls && next + 20 < CHUNKS; n += 1 + n / 4) {
		(n % 3 ? faultio_fail : faultio_fail_from)(f, FAULT_ALL, n, codes[n % 3]);
		store = opened(path, &split.io, 0);
		for (size_t k = 0; k < 30 && next < CHUNKS; k++, next++)
			CHECK_RC(put(store, next));
		check_there(store, next < 100 ? 0 : next - 100, next, CHUNKS - 10);
		directory_idle(store->directory);
		check_there(store, next < 300 ? 0 : next - 300, next, CHUNKS - 1);
		if (faultio_calls(f, FAULT_ALL) > calls)
			calls = faultio_calls(f, FAULT_ALL);
		store_close(store);
		faultio_reset(f);
	}
	store = opened(path, &split.io, 0);
	directory_idle(store->directory);
	check_there(store, 0, next, next);
	CHECK(in_memory(store) < 400);
	store_close(store);
	faultio_free(f);
}

/* Power goes away at any call: what was synced is found, at its right place, also when it had been stored again. */
static void test_power(const char *path)
{
	struct faultio *f = faultio_new();
	struct store *store = created(path);
	size_t next = 0, promised = 0;

	store_close(store);
	for (uint64_t n = 1; n < 200 && next + 100 < CHUNKS; n += 1 + n / 6) {
		struct store_options options = { .io = faultio_io(f), .cache_bytes = 64 << 10, .threads = 1 };

		faultio_power_off(f, n);
		if (!store_open(&store, path, &options)) {
			store->seal_bytes = SEAL_BYTES;
			for (next = promised; next < promised + 90 && !put(store, next); next++)
				;
			if (!store_sync(store))
				promised = next;
			directory_idle(store->directory);
			store_close(store);
		}
		faultio_crash(f, n);
		store = opened(path, faultio_io(f), 0);
		check_there(store, 0, promised, next + 1);
		directory_idle(store->directory);
		check_there(store, promised < 200 ? 0 : promised - 200, promised, next + 1);
		store_close(store);
	}
	CHECK(promised > 300);
	faultio_free(f);
}

static bool of_packs[FDS], unreadable; /* atomic */

static int open_noted(const struct io *io, const char *path, int flags, mode_t mode)
{
	int fd = quick.open(io, path, flags, mode);

	if (fd >= 0 && fd < FDS)
		__atomic_store_n(&of_packs[fd], strstr(path, ".pack") != NULL, __ATOMIC_RELAXED);
	return fd;
}

static int64_t pread_noted(const struct io *io, int fd, void *to, size_t len, uint64_t off)
{
	bool fails = __atomic_load_n(&unreadable, __ATOMIC_RELAXED) && fd < FDS && __atomic_load_n(&of_packs[fd], __ATOMIC_RELAXED);

	return fails ? -EIO : quick.pread(io, fd, to, len, off);
}

static void flip_pages(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	for (off_t at = KEYRUN_PAGE_BYTES + 50; pread(fd, &byte, 1, at) == 1; at += KEYRUN_PAGE_BYTES) {
		byte ^= 1;
		CHECK(pwrite(fd, &byte, 1, at) == 1);
	}
	close(fd);
}

/* A run is damaged, and for a while the packs cannot be read that have what it had: no chunk is said not to be there. */
static void test_unreadable(const char *path)
{
	struct store *store = created(path);
	struct io io = quick;
	size_t unknown = 0;

	io.open = open_noted;
	io.pread = pread_noted;
	store_close(store);
	store = opened(path, &io, 0);
	for (size_t i = 0; i < 300; i++)
		CHECK_RC(put(store, i));
	directory_idle(store->directory);
	each_run(flip_pages);
	__atomic_store_n(&unreadable, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < 300; i++) {
		struct directory_entry entry;
		int rc = directory_get(store->directory, &keys[i], &entry);

		CHECK(rc == 1 || rc == -EIO);
		unknown += rc == -EIO;
		if (i % 7 == 0)
			CHECK(get(store, i) == -EIO || rc == 1);
		if (i % 50 == 0)
			CHECK_RC(put(store, i)); /* who writes goes on */
	}
	CHECK(unknown > 100);
	directory_idle(store->directory);
	__atomic_store_n(&unreadable, false, __ATOMIC_RELAXED);
	check_there(store, 0, 300, CHUNKS - 10);
	store_close(store);
	store = opened(path, &io, 0);
	check_there(store, 0, 300, CHUNKS - 10);
	store_close(store);
}

int main(void)
{
	static void (*const tests[])(const char *path) = { test_failing_runs, test_power, test_unreadable };
	const char *dir = check_tmpdir();

	log_set_level(LOG_ERROR); /* the failures are meant */
	small_limits();
	no_sync();
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		char path[600];

		snprintf(path, sizeof path, "%s/store%zu", dir, i);
		tests[i](path);
	}
	return check_done();
}
