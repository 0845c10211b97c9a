#include "tests/lib/memio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_FD = 1000 };

static struct memio *memio_of(const struct io *io)
{
	return (struct memio *)io->ctx;
}

static const char *leaf(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static struct memio_file *find(struct memio *m, const char *path)
{
	for (int i = 0; i < MEMIO_FILES; i++)
		if (*m->files[i].name && !strcmp(m->files[i].name, leaf(path)))
			return &m->files[i];
	return NULL;
}

static struct memio_file *make(struct memio *m, const char *path)
{
	for (int i = 0; i < MEMIO_FILES && strlen(leaf(path)) < MEMIO_NAME_MAX; i++)
		if (!*m->files[i].name) {
			strcpy(m->files[i].name, leaf(path));
			buf_clear(&m->files[i].bytes);
			return &m->files[i];
		}
	return NULL;
}

static struct buf *bytes_of(const struct io *io, int fd)
{
	return &memio_of(io)->files[fd - FIRST_FD].bytes;
}

static int mem_open(const struct io *io, const char *path, int flags, mode_t mode)
{
	struct memio *m = memio_of(io);
	struct memio_file *f = find(m, path);

	(void)mode;
	if (!f && (flags & O_CREAT))
		f = make(m, path);
	if (!f)
		return flags & O_CREAT ? -ENOSPC : -ENOENT;
	if (flags & O_TRUNC)
		f->bytes.len = 0;
	m->open++;
	return FIRST_FD + (int)(f - m->files);
}

static int mem_close(const struct io *io, int fd)
{
	(void)fd;
	memio_of(io)->open--;
	return 0;
}

static int64_t mem_pread(const struct io *io, int fd, void *to, size_t len, uint64_t off)
{
	const struct buf *b = bytes_of(io, fd);
	struct memio *m = memio_of(io);

	if (m->fail_read && !--m->fail_read)
		return -EIO;
	if (off >= b->len || !len)
		return 0;
	len = len < b->len - off ? len : (size_t)(b->len - off);
	memcpy(to, b->data + off, len);
	return (int64_t)len;
}

static int resize(struct buf *b, uint64_t size)
{
	if (size > MEMIO_BYTES_MAX)
		return -ENOSPC;
	if (size > b->len) {
		size_t more = (size_t)size - b->len;
		uint8_t *at = buf_reserve(b, more);

		if (!at)
			return -ENOSPC;
		memset(at, 0, more);
	}
	b->len = (size_t)size;
	return 0;
}

static int64_t mem_pwrite(const struct io *io, int fd, const void *from, size_t len, uint64_t off)
{
	struct buf *b = bytes_of(io, fd);

	if (off + len > b->len && resize(b, off + len))
		return -ENOSPC;
	if (len)
		memcpy(b->data + off, from, len);
	return (int64_t)len;
}

static int mem_sync(const struct io *io, int fd)
{
	(void)io;
	(void)fd;
	return 0;
}

static int mem_sync_dir(const struct io *io, const char *path)
{
	(void)io;
	(void)path;
	return 0;
}

static int mem_unlink(const struct io *io, const char *path)
{
	struct memio_file *f = find(memio_of(io), path);

	if (!f)
		return -ENOENT;
	*f->name = 0;
	return 0;
}

static int mem_rename(const struct io *io, const char *from, const char *to)
{
	struct memio_file *f = find(memio_of(io), from);

	if (!f || strlen(leaf(to)) >= MEMIO_NAME_MAX)
		return -ENOENT;
	if (strcmp(leaf(from), leaf(to)) != 0)
		mem_unlink(io, to);
	strcpy(f->name, leaf(to));
	return 0;
}

static int mem_truncate(const struct io *io, int fd, uint64_t size)
{
	return resize(bytes_of(io, fd), size);
}

static int64_t mem_size(const struct io *io, int fd)
{
	return (int64_t)bytes_of(io, fd)->len;
}

void memio_init(struct memio *m)
{
	*m = (struct memio){ .io = { .open = mem_open,
				     .close = mem_close,
				     .pread = mem_pread,
				     .pwrite = mem_pwrite,
				     .fdatasync = mem_sync,
				     .fsync_dir = mem_sync_dir,
				     .rename = mem_rename,
				     .unlink = mem_unlink,
				     .truncate = mem_truncate,
				     .size = mem_size } };
	m->io.ctx = m;
}

void memio_free(struct memio *m)
{
	for (int i = 0; i < MEMIO_FILES; i++)
		buf_free(&m->files[i].bytes);
	*m = (struct memio){ 0 };
}

struct buf *memio_put(struct memio *m, const char *name, const void *bytes, size_t len)
{
	struct memio_file *f = find(m, name);

	if (!f)
		f = make(m, name);
	if (!f)
		return NULL;
	buf_clear(&f->bytes);
	buf_put(&f->bytes, bytes, len);
	return &f->bytes;
}

struct buf *memio_get(struct memio *m, const char *name)
{
	struct memio_file *f = find(m, name);

	return f ? &f->bytes : NULL;
}
