/*
 * For each file that is changed there is a shadow: another file that holds what the disk would. A write remembers its
 * range; a good fdatasync copies these ranges to the shadow; a crash copies the shadow back. For names there is a log
 * of what was not synced, undone backwards; files that were unlinked or renamed over are kept alive by a hard link
 * until then.
 */
#include "tests/lib/faultio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/scope.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"

enum { KINDS = 10 };

struct range {
	struct range *next; /* older */
	uint64_t off, len;
};

struct file {
	struct file *next;
	dev_t dev;
	ino_t ino;
	unsigned number; /* in the order of the first changes */
	int fd;		 /* the file, read-write */
	int shadow;	 /* what the disk holds */
	struct range *dirty;
};

enum change_kind { CREATED, RENAMED, REMOVED };

struct change {
	struct change *next; /* older */
	enum change_kind kind;
	char from[PATH_MAX], to[PATH_MAX];
	char kept[PATH_MAX];		 /* link to what was removed or replaced; "" when there was nothing */
	bool from_unsynced, to_unsynced; /* CREATED and REMOVED: only from */
};

struct faultio {
	struct io io;
	pthread_mutex_t lock;
	const char *attic;
	unsigned serial;
	struct file *files;
	struct change *changes; /* newest first */
	uint64_t calls[KINDS];
	unsigned fail_kinds;
	uint64_t fail_in; /* 0: never */
	int fail_code;
	bool fail_on;	 /* and all later ones */
	uint64_t off_in; /* 0: never */
	bool off;
	size_t short_bytes;
};

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		abort();
	}
}

static void *must_alloc(size_t len)
{
	void *p = calloc(1, len);

	must(p != NULL, "faultio: memory");
	return p;
}

static struct faultio *self(const struct io *io)
{
	return io->ctx;
}

/* Counts a call under the lock; 0 or what it shall return. *half: power goes away in this very call. */
static int enter(struct faultio *f, enum faultio_kind kind, bool *half)
{
	*half = false;
	f->calls[__builtin_ctz(kind)]++;
	if (f->off)
		return -EIO;
	if (f->off_in && (kind & (FAULT_CHANGES | FAULT_OPEN)) && --f->off_in == 0) {
		f->off = true;
		*half = true;
		return -EIO;
	}
	if (!(f->fail_kinds & kind) || !f->fail_in)
		return 0;
	if (f->fail_in > 1) {
		f->fail_in--;
		return 0;
	}
	f->fail_in = f->fail_on;
	return -f->fail_code;
}

/* ---- contents ---- */

static void copy_range(int from, int to, uint64_t off, uint64_t len)
{
	uint8_t bytes[65536];

	while (len) {
		ssize_t n = pread(from, bytes, len < sizeof bytes ? len : sizeof bytes, (off_t)off);

		must(n >= 0, "faultio: read");
		if (!n)
			return;
		must(pwrite(to, bytes, (size_t)n, (off_t)off) == n, "faultio: copy");
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
}

static uint64_t size_of(int fd)
{
	struct stat st;

	must(fstat(fd, &st) == 0, "faultio: fstat");
	return (uint64_t)st.st_size;
}

/* The record of an open file; made, with a copy of what is durable so far, when make is true. Else NULL. */
static struct file *file_of(struct faultio *f, int fd, bool make)
{
	struct stat st;
	struct file *file;
	char path[64];

	if (fstat(fd, &st) < 0)
		return NULL;
	for (file = f->files; file; file = file->next)
		if (file->dev == st.st_dev && file->ino == st.st_ino)
			return file;
	if (!make)
		return NULL;
	file = must_alloc(sizeof *file);
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	file->number = f->files ? f->files->number + 1 : 0;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	file->fd = open(path, O_RDWR | O_CLOEXEC);
	file->shadow = open(f->attic, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	must(file->fd >= 0 && file->shadow >= 0, "faultio: open");
	copy_range(file->fd, file->shadow, 0, UINT64_MAX);
	file->next = f->files;
	f->files = file;
	return file;
}

static void note_dirty(struct file *file, uint64_t off, uint64_t len)
{
	struct range *r = must_alloc(sizeof *r);

	*r = (struct range) { file->dirty, off, len };
	file->dirty = r;
}

static void forget_dirty(struct file *file)
{
	for (struct range *r = file->dirty, *next; r; r = next) {
		next = r->next;
		free(r);
	}
	file->dirty = NULL;
}

static void make_durable(struct file *file)
{
	must(ftruncate(file->shadow, (off_t)size_of(file->fd)) == 0, "faultio: truncate");
	for (struct range *r = file->dirty; r; r = r->next)
		copy_range(file->fd, file->shadow, r->off, r->len);
	forget_dirty(file);
}

/* What a real disk may hold: some of the unsynced pieces, whole or cut off at a sector. */
static void keep_some(struct file *file, uint64_t *seed)
{
	for (struct range *r = file->dirty; r; r = r->next) {
		uint64_t len = r->len;

		switch (random_below(seed, 3)) {
		case 0:
			continue;
		case 1:
			len = random_below(seed, len + 1) / 512 * 512;
			break;
		}
		copy_range(file->fd, file->shadow, r->off, len);
	}
}

static void file_crash(struct file *file, uint64_t seed)
{
	if (seed)
		keep_some(file, &seed);
	must(ftruncate(file->fd, 0) == 0, "faultio: truncate");
	copy_range(file->shadow, file->fd, 0, UINT64_MAX);
	must(ftruncate(file->fd, (off_t)size_of(file->shadow)) == 0, "faultio: truncate");
}

static void files_free(struct faultio *f)
{
	for (struct file *file = f->files, *next; file; file = next) {
		next = file->next;
		forget_dirty(file);
		close(file->fd);
		close(file->shadow);
		free(file);
	}
	f->files = NULL;
}

/* ---- names ---- */

static struct change *note_change(struct faultio *f, enum change_kind kind, const char *from, const char *to)
{
	struct change *c = must_alloc(sizeof *c);

	c->kind = kind;
	snprintf(c->from, sizeof c->from, "%s", from);
	snprintf(c->to, sizeof c->to, "%s", to);
	c->from_unsynced = true;
	c->to_unsynced = kind == RENAMED;
	c->next = f->changes;
	f->changes = c;
	return c;
}

/* Holds on to the file of this name, if there is one, for the time after a crash. */
static void keep(struct faultio *f, const char *path, char kept[PATH_MAX])
{
	must(snprintf(kept, PATH_MAX, "%s/%u", f->attic, f->serial++) < PATH_MAX, "faultio: path");
	if (link(path, kept) < 0)
		kept[0] = 0;
}

static void unkeep(const char *kept)
{
	if (*kept)
		unlink(kept);
}

static bool in_folder(const char *path, const char *folder)
{
	char parent[PATH_MAX];
	char *slash;
	struct stat a, b;

	snprintf(parent, sizeof parent, "%s", path);
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = 0;
	return stat(slash ? parent : ".", &a) == 0 && stat(folder, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static void names_durable(struct faultio *f, const char *folder)
{
	for (struct change **at = &f->changes, *c = *at; c; c = *at) {
		if (in_folder(c->from, folder))
			c->from_unsynced = false;
		if (c->to_unsynced && in_folder(c->to, folder))
			c->to_unsynced = false;
		if (c->from_unsynced || c->to_unsynced) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		unkeep(c->kept);
		free(c);
	}
}

static void undo_change(const struct change *c)
{
	switch (c->kind) {
	case CREATED:
		unlink(c->from);
		break;
	case RENAMED:
		must(rename(c->to, c->from) == 0, "faultio: undo rename");
		if (*c->kept)
			must(rename(c->kept, c->to) == 0, "faultio: undo rename");
		break;
	case REMOVED:
		if (*c->kept)
			must(rename(c->kept, c->from) == 0, "faultio: undo unlink");
		break;
	}
}

static void names_forget(struct faultio *f, bool undo)
{
	for (struct change *c = f->changes, *next; c; c = next) {
		next = c->next;
		if (undo)
			undo_change(c);
		else
			unkeep(c->kept);
		free(c);
	}
	f->changes = NULL;
}

/* ---- the table ---- */

static int truncate_noted(struct faultio *f, int fd, uint64_t size)
{
	struct file *file = file_of(f, fd, true);

	if (!file)
		return -EBADF;
	if (size < size_of(fd)) /* what comes back later comes back as zeros */
		note_dirty(file, size, size_of(fd) - size);
	return io_system.truncate(&io_system, fd, size);
}

static int fault_open(const struct io *io, const char *path, int flags, mode_t mode)
{
	struct faultio *f = self(io);
	bool half, is_new;
	struct stat st;
	int rc, fd;

	scope_lock(&f->lock);
	rc = enter(f, FAULT_OPEN, &half);
	if (rc)
		return rc;
	is_new = (flags & O_CREAT) && lstat(path, &st) < 0;
	fd = io_system.open(&io_system, path, flags & ~O_TRUNC, mode);
	if (fd < 0)
		return fd;
	if (is_new)
		note_change(f, CREATED, path, "");
	if (flags & O_TRUNC)
		rc = truncate_noted(f, fd, 0);
	if (rc)
		io_system.close(&io_system, fd);
	return rc ? rc : fd;
}

static int fault_close(const struct io *io, int fd)
{
	struct faultio *f = self(io);
	bool half;
	int rc, closed;

	scope_lock(&f->lock);
	rc = enter(f, FAULT_CLOSE, &half);
	closed = io_system.close(&io_system, fd);
	return rc ? rc : closed;
}

static size_t shorter(const struct faultio *f, size_t len)
{
	return f->short_bytes && len > f->short_bytes ? f->short_bytes : len;
}

static int64_t fault_pread(const struct io *io, int fd, void *to, size_t len, uint64_t off)
{
	struct faultio *f = self(io);
	bool half;
	int rc;

	scope_lock(&f->lock);
	rc = enter(f, FAULT_READ, &half);
	return rc ? rc : io_system.pread(&io_system, fd, to, shorter(f, len), off);
}

static int64_t write_noted(struct faultio *f, int fd, const void *from, size_t len, uint64_t off)
{
	struct file *file = file_of(f, fd, true);
	int64_t n = file ? io_system.pwrite(&io_system, fd, from, len, off) : -EBADF;

	if (n > 0)
		note_dirty(file, off, (uint64_t)n);
	return n;
}

static int64_t fault_pwrite(const struct io *io, int fd, const void *from, size_t len, uint64_t off)
{
	struct faultio *f = self(io);
	bool half;
	int rc;

	scope_lock(&f->lock);
	rc = enter(f, FAULT_WRITE, &half);
	if (half && len > 1)
		write_noted(f, fd, from, len / 2, off);
	return rc ? rc : write_noted(f, fd, from, shorter(f, len), off);
}

static int fault_fdatasync(const struct io *io, int fd)
{
	struct faultio *f = self(io);
	struct file *file;
	bool half;
	int rc;

	scope_lock(&f->lock);
	rc = enter(f, FAULT_SYNC, &half);
	file = file_of(f, fd, false);
	if (rc && !f->off && file)
		forget_dirty(file); /* lost for good, and nobody will say so again */
	if (!rc && file)
		make_durable(file);
	return rc;
}

static int fault_fsync_dir(const struct io *io, const char *path)
{
	struct faultio *f = self(io);
	struct stat st;
	bool half;
	int rc;

	scope_lock(&f->lock);
	rc = enter(f, FAULT_SYNC_DIR, &half);
	if (!rc && stat(path, &st) < 0)
		rc = -errno;
	if (!rc && !S_ISDIR(st.st_mode))
		rc = -ENOTDIR;
	if (!rc)
		names_durable(f, path);
	return rc;
}

static int fault_rename(const struct io *io, const char *from, const char *to)
{
	struct faultio *f = self(io);
	char kept[PATH_MAX];
	bool half;
	int rc;

	scope_lock(&f->lock);
	rc = enter(f, FAULT_RENAME, &half);
	if (rc)
		return rc;
	keep(f, to, kept);
	rc = io_system.rename(&io_system, from, to);
	if (rc)
		unkeep(kept);
	else
		memcpy(note_change(f, RENAMED, from, to)->kept, kept, sizeof kept);
	return rc;
}

static int fault_unlink(const struct io *io, const char *path)
{
	struct faultio *f = self(io);
	char kept[PATH_MAX];
	bool half;
	int rc;

	scope_lock(&f->lock);
	rc = enter(f, FAULT_UNLINK, &half);
	if (rc)
		return rc;
	keep(f, path, kept);
	rc = io_system.unlink(&io_system, path);
	if (rc)
		unkeep(kept);
	else
		memcpy(note_change(f, REMOVED, path, "")->kept, kept, sizeof kept);
	return rc;
}

static int fault_truncate(const struct io *io, int fd, uint64_t size)
{
	struct faultio *f = self(io);
	bool half;
	int rc;

	scope_lock(&f->lock);
	rc = enter(f, FAULT_TRUNCATE, &half);
	return rc ? rc : truncate_noted(f, fd, size);
}

static int64_t fault_size(const struct io *io, int fd)
{
	struct faultio *f = self(io);
	bool half;
	int rc;

	scope_lock(&f->lock);
	rc = enter(f, FAULT_SIZE, &half);
	return rc ? rc : io_system.size(&io_system, fd);
}

static const struct io table = {
	.open = fault_open,
	.close = fault_close,
	.pread = fault_pread,
	.pwrite = fault_pwrite,
	.fdatasync = fault_fdatasync,
	.fsync_dir = fault_fsync_dir,
	.rename = fault_rename,
	.unlink = fault_unlink,
	.truncate = fault_truncate,
	.size = fault_size,
};

/* ---- for the test ---- */

struct faultio *faultio_new(void)
{
	struct faultio *f = must_alloc(sizeof *f);

	f->io = table;
	f->io.ctx = f;
	f->attic = check_tmpdir();
	pthread_mutex_init(&f->lock, NULL);
	return f;
}

void faultio_free(struct faultio *f)
{
	if (!f)
		return;
	names_forget(f, false);
	files_free(f);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

const struct io *faultio_io(struct faultio *f)
{
	return &f->io;
}

static void set_fail(struct faultio *f, unsigned kinds, uint64_t nth, int code, bool on)
{
	scope_lock(&f->lock);
	f->fail_kinds = kinds;
	f->fail_in = nth;
	f->fail_code = code;
	f->fail_on = on;
}

void faultio_fail(struct faultio *f, unsigned kinds, uint64_t nth, int code)
{
	set_fail(f, kinds, nth, code, false);
}

void faultio_fail_from(struct faultio *f, unsigned kinds, uint64_t nth, int code)
{
	set_fail(f, kinds, nth, code, true);
}

void faultio_power_off(struct faultio *f, uint64_t nth)
{
	scope_lock(&f->lock);
	f->off_in = nth;
}

bool faultio_is_off(struct faultio *f)
{
	scope_lock(&f->lock);
	return f->off;
}

void faultio_short(struct faultio *f, size_t bytes)
{
	scope_lock(&f->lock);
	f->short_bytes = bytes;
}

uint64_t faultio_calls(struct faultio *f, unsigned kinds)
{
	uint64_t sum = 0;

	scope_lock(&f->lock);
	for (unsigned i = 0; i < KINDS; i++)
		if (kinds & 1u << i)
			sum += f->calls[i];
	return sum;
}

void faultio_reset(struct faultio *f)
{
	scope_lock(&f->lock);
	memset(f->calls, 0, sizeof f->calls);
	f->fail_in = f->off_in = 0;
	f->short_bytes = 0;
	f->off = false;
}

void faultio_crash(struct faultio *f, uint64_t seed)
{
	pthread_mutex_lock(&f->lock);
	for (struct file *file = f->files; file; file = file->next)
		file_crash(file, seed ? seed + file->number : 0);
	names_forget(f, true);
	files_free(f);
	pthread_mutex_unlock(&f->lock);
	faultio_reset(f);
}
