#include "index/catalog_history.h"
#include "index/catalog_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

enum { DUMP_CHUNK = 1024, SWEEP_BUDGET = 100000 };

int folder_remove(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR)) /* a link: what it leads to is not ours */
		return unlink(dir) ? err_sys("%s: cannot be removed", dir) : 0;
	if (!d) {
		rc = errno == ENOENT ? 0 : err_sys("%s", dir);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (!rc && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlinkat(dirfd(d), e->d_name, 0))
			rc = err_sys("%s/%s: cannot be removed", dir, e->d_name);
	closedir(d);
	if (!rc && rmdir(dir))
		rc = err_sys("%s: cannot be removed", dir);
	return rc;
}

/* The old index is there, under one name or the other, until the new one is whole. catalog_open() settles what a crash
 * leaves. */
static int put_in_place(struct store *store, const char *dir, const char *new, const char *old)
{
	const struct io *io = store_io(store);

	if (rename(dir, old) && errno != ENOENT)
		return err_sys("%s: cannot be renamed to %s", dir, old);
	if (rename(new, dir))
		return err_sys("%s: cannot be renamed to %s", new, dir);
	if (io->fsync_dir(io, store_path(store)))
		return err_set(EIO, "%s: cannot be synced", store_path(store));
	return folder_remove(old);
}

int catalog_rebuild(struct store *store, struct journal *journal, uint64_t *records)
{
	scope_free char *dir = NULL, *new = NULL, *old = NULL;
	struct catalog *catalog;
	int rc;

	if (asprintf(&dir, "%s/index", store_path(store)) < 0 || asprintf(&new, "%s.new", dir) < 0 ||
	    asprintf(&old, "%s.old", dir) < 0)
		return err_set(ENOMEM, "no memory for a path");
	rc = journal_flush(journal);
	if (!rc)
		rc = folder_remove(new);
	if (!rc && access(dir, F_OK) == 0)
		rc = folder_remove(old); /* else it is all there is */
	if (!rc)
		rc = catalog_open_dir(&catalog, store, journal, new);
	if (rc)
		return rc;
	*records = catalog->counters.seq;
	do
		rc = catalog_sweep(catalog, NULL, NULL, SWEEP_BUDGET);
	while (rc == 1);
	if (!rc)
		rc = kv_commit(catalog->kv);
	catalog_free(catalog);
	return rc ? rc : put_in_place(store, dir, new, old);
}

static void put_hex(struct buf *out, const uint8_t *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		buf_u8(out, (uint8_t)digits[bytes[i] >> 4]);
		buf_u8(out, (uint8_t)digits[bytes[i] & 15]);
	}
}

/* Lines for some entries from *last on (exclusive, unless it is empty). 1: more may follow. */
static int dump_some(struct catalog *catalog, struct buf *last, struct buf *lines)
{
	const uint8_t *key, *value;
	size_t key_len, value_len, count = 0;
	struct kv_cursor *c = kv_seek(catalog->kv, "", 0, last->len ? (const void *)last->data : "", last->len);
	scope_buf struct buf from = { 0 };
	int rc = c ? 0 : err_set(ENOMEM, "no memory to walk the index");

	buf_put(&from, last->data, last->len);
	while (!rc && count < DUMP_CHUNK && (rc = kv_next(c, &key, &key_len, &value, &value_len)) == 1) {
		rc = 0;
		if (key_len == from.len && memcmp(key, from.data, key_len) == 0)
			continue;
		put_hex(lines, key, key_len);
		buf_u8(lines, ' ');
		put_hex(lines, value, value_len);
		buf_u8(lines, '\n');
		buf_clear(last);
		buf_put(last, key, key_len);
		count++;
	}
	if (c)
		kv_cursor_free(c);
	if (rc < 0)
		return rc == -ENOMEM ? rc : err_wrap(rc, "%s/index", store_path(catalog->store));
	if (buf_failed(lines) || buf_failed(last) || buf_failed(&from))
		return err_set(ENOMEM, "no memory to walk the index");
	return count == DUMP_CHUNK;
}

int catalog_dump(struct catalog *catalog, FILE *out)
{
	scope_buf struct buf last = { 0 }, lines = { 0 };
	int rc;

	do {
		buf_clear(&lines);
		kv_read_begin(catalog->kv);
		rc = dump_some(catalog, &last, &lines);
		kv_read_end(catalog->kv);
		if (rc >= 0 && lines.len && fwrite(lines.data, 1, lines.len, out) != lines.len)
			rc = err_sys("the dump cannot be written");
	} while (rc == 1);
	return rc;
}
