#include "index/catalog_aside.h"
#include "index/catalog_internal.h"

#include <stdio.h>
#include <sys/stat.h>

enum { CHECK_STEP = 1024 /* rows under one read section */, DAMAGED_MAX = 100 };

int catalog_open_replayed(struct catalog **out, struct store *store, struct journal *journal, const char *dir)
{
	return catalog_open_dir(out, store, journal, dir);
}

int catalog_open_as_is(struct catalog **out, struct store *store, struct journal *journal)
{
	scope_free char *dir = NULL, *data = NULL;
	struct stat st;
	int rc;

	if (asprintf(&dir, "%s/index", store_path(store)) < 0 || asprintf(&data, "%s/data.mdb", dir) < 0)
		return err_set(ENOMEM, "no memory for a path");
	if (stat(data, &st)) /* to open it would make it */
		return errno == ENOENT ? err_set(ENOENT, "%s: there is no index", dir) : err_sys("%s", data);
	rc = catalog_open_dir(out, store, journal, dir);
	if (rc == -EBADMSG)
		return err_set(EIO, "%s", err_text());
	return rc == -ESTALE ? err_set(ESTALE, "%s: an older tomofs made it", dir) : rc;
}

void catalog_drop(struct catalog *catalog)
{
	catalog_free(catalog);
}

/* Rows behind *last, which becomes the last one that was read. 1: more may follow; 0: the end; -EIO: one is damaged, and *last is
 * behind it, or empty when it is not known where to go on. */
static int check_some(struct catalog *catalog, struct buf *last, uint64_t *rows)
{
	const uint8_t *key, *value;
	size_t key_len, value_len, count = 0;
	struct kv_cursor *c = kv_seek(catalog->kv, "", 0, last->len ? (const void *)last->data : "", last->len);
	int rc = c ? 1 : err_set(ENOMEM, "no memory to walk the index");

	for (bool first = true; rc == 1 && count < CHECK_STEP; first = false) {
		rc = kv_next(c, &key, &key_len, &value, &value_len);
		if (rc != 1 || (first && key_len == last->len && !memcmp(key, last->data, key_len)))
			continue;
		buf_clear(last);
		buf_put(last, key, key_len);
		count++;
		if (buf_failed(last))
			rc = err_set(ENOMEM, "no memory to walk the index");
	}
	*rows += count;
	if (rc == -EIO) {
		buf_clear(last);
		buf_put(last, key, key_len);
	}
	if (c)
		kv_cursor_free(c);
	return rc;
}

int catalog_check_rows(struct catalog *catalog, void (*damaged)(void *ctx, const char *sentence), void *ctx, uint64_t *rows)
{
	scope_buf struct buf last = { 0 };
	unsigned found = 0;
	int rc;

	*rows = 0;
	do {
		kv_read_begin(catalog->kv);
		rc = check_some(catalog, &last, rows);
		kv_read_end(catalog->kv);
		if (rc != -EIO)
			continue;
		damaged(ctx, err_text());
		rc = ++found < DAMAGED_MAX && last.len ? 1 : 0;
	} while (rc == 1);
	return rc;
}
