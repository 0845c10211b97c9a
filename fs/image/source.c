#include "fs/image/source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/err.h"

int source_read(struct source *src, uint64_t off, void *to, size_t len)
{
	uint8_t *at = to;

	while (len) {
		int64_t got = src->read(src->ctx, off, at, len);

		if (got < 0)
			return (int)got;
		if (got == 0 || (uint64_t)got > len)
			return err_set(EBADMSG, "ends before byte %" PRIu64, off + len);
		at += got;
		off += (uint64_t)got;
		len -= (size_t)got;
	}
	return 0;
}

void source_close(struct source *src)
{
	if (src->close)
		src->close(src->ctx);
	*src = (struct source) { 0 };
}

struct memory {
	const uint8_t *bytes;
	size_t len;
};

static int64_t memory_read(void *ctx, uint64_t off, void *to, size_t len)
{
	const struct memory *m = ctx;

	if (!m || off >= m->len || !len)
		return 0;
	if (len > m->len - off)
		len = m->len - off;
	memcpy(to, m->bytes + off, len);
	return (int64_t)len;
}

struct source source_of_memory(const void *bytes, size_t len)
{
	struct memory *m = malloc(sizeof *m);

	if (!m) /* an empty file: whoever reads it says so */
		return (struct source) { .read = memory_read };
	*m = (struct memory) { .bytes = bytes, .len = len };
	return (struct source) { .read = memory_read, .close = free, .ctx = m, .size = len };
}

static int64_t fd_read(void *ctx, uint64_t off, void *to, size_t len)
{
	int fd = (int)(intptr_t)ctx;
	ssize_t got;

	if (off > INT64_MAX - len)
		return 0;
	do
		got = pread(fd, to, len, (off_t)off);
	while (got < 0 && errno == EINTR);
	return got < 0 ? err_sys("cannot read") : got;
}

static void fd_close(void *ctx)
{
	close((int)(intptr_t)ctx);
}

int source_of_fd(struct source *src, int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*src = (struct source) {
		.read = fd_read, .close = fd_close, .ctx = (void *)(intptr_t)fd, .size = (uint64_t)st.st_size
	};
	return 0;
}
