#include "index/catalog_internal.h"

#include <assert.h>
#include <stdlib.h>

void key_begin(struct table_key *k, enum table table)
{
	k->len = 1;
	k->bytes[0] = (uint8_t)table;
}

static void key_bytes(struct table_key *k, const void *bytes, size_t len)
{
	assert(len <= sizeof k->bytes - k->len);
	memcpy(k->bytes + k->len, bytes, len);
	k->len += len;
}

void key_u8(struct table_key *k, uint8_t v)
{
	key_bytes(k, &v, 1);
}

void key_u32(struct table_key *k, uint32_t v)
{
	uint8_t raw[4];

	for (size_t i = 0; i < sizeof raw; i++)
		raw[i] = (uint8_t)(v >> (24 - 8 * i));
	key_bytes(k, raw, sizeof raw);
}

void key_u64(struct table_key *k, uint64_t v)
{
	key_u32(k, (uint32_t)(v >> 32));
	key_u32(k, (uint32_t)v);
}

void key_put_text(struct table_key *k, const char *text)
{
	key_bytes(k, text, strlen(text));
}

struct table_key key_of_u64(enum table table, uint64_t v)
{
	struct table_key k;

	key_begin(&k, table);
	key_u64(&k, v);
	return k;
}

struct table_key key_of_u32(enum table table, uint32_t v)
{
	struct table_key k;

	key_begin(&k, table);
	key_u32(&k, v);
	return k;
}

struct table_key key_of_u32_u32(enum table table, uint32_t a, uint32_t b)
{
	struct table_key k;

	key_begin(&k, table);
	key_u32(&k, a);
	key_u32(&k, b);
	return k;
}

struct table_key key_of_text(enum table table, const char *text)
{
	struct table_key k;

	key_begin(&k, table);
	key_put_text(&k, text);
	return k;
}

struct table_key key_of_u64_text(enum table table, uint64_t v, const char *text)
{
	struct table_key k;

	key_begin(&k, table);
	key_u64(&k, v);
	key_put_text(&k, text);
	return k;
}

uint32_t read_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

uint64_t read_u64(const uint8_t *at)
{
	return (uint64_t)read_u32(at) << 32 | read_u32(at + 4);
}

static const char *table_noun(enum table table)
{
	switch (table) {
	case TABLE_DAY:
		return "days";
	case TABLE_MEMBER:
	case TABLE_HAS:
		return "term members";
	case TABLE_CONTENT:
		return "file contents";
	case TABLE_DATASET:
	case TABLE_REMOVED:
		return "datasets";
	case TABLE_ENTRY:
		return "folder entries";
	case TABLE_FACT:
		return "facts";
	case TABLE_GONE:
		return "removed names";
	case TABLE_IMAGE:
	case TABLE_IMAGE_ID:
		return "images";
	case TABLE_ID:
		return "dataset ids";
	case TABLE_TARGET:
		return "symlinks";
	case TABLE_META:
		return "counters";
	case TABLE_NODE:
		return "nodes";
	case TABLE_PROBE:
		return "probes";
	case TABLE_QUERY:
		return "queries";
	case TABLE_NAME:
		return "short names";
	case TABLE_TERM:
	case TABLE_TERM_TEXT:
		return "terms";
	case TABLE_USER:
		return "users";
	case TABLE_XATTR:
		return "xattrs";
	}
	return "unknown things";
}

int table_damaged(struct catalog *catalog, enum table table)
{
	return err_set(EIO, "the index is damaged (table of %s); unmount and run: tomofs rebuild %s", table_noun(table),
		       store_path(catalog->store));
}

int table_get(struct catalog *catalog, const struct table_key *k, struct buf *value)
{
	int rc = kv_get(catalog->kv, k->bytes, k->len, value);

	return rc && rc != -ENOENT ? table_damaged(catalog, k->bytes[0]) : rc;
}

int table_has(struct catalog *catalog, const struct table_key *k)
{
	scope_buf struct buf value = { 0 };
	int rc = table_get(catalog, k, &value);

	return rc == -ENOENT ? 0 : rc ? rc : 1;
}

int table_put(struct catalog *catalog, const struct table_key *k, const struct buf *value)
{
	if (buf_failed(value))
		return err_set(ENOMEM, "no memory for the table of %s", table_noun(k->bytes[0]));
	if (value->len > KV_VALUE_MAX)
		return err_set(EFBIG, "too much for one entry of the table of %s", table_noun(k->bytes[0]));
	kv_put(catalog->kv, k->bytes, k->len, value->len ? (const void *)value->data : "", value->len);
	return 0;
}

void table_put_empty(struct catalog *catalog, const struct table_key *k)
{
	kv_put(catalog->kv, k->bytes, k->len, "", 0);
}

void table_put_u64(struct catalog *catalog, const struct table_key *k, uint64_t v)
{
	uint8_t raw[8];

	for (size_t i = 0; i < sizeof raw; i++)
		raw[i] = (uint8_t)(v >> (8 * i));
	kv_put(catalog->kv, k->bytes, k->len, raw, sizeof raw);
}

int table_get_u64(struct catalog *catalog, const struct table_key *k, uint64_t *v)
{
	scope_buf struct buf value = { 0 };
	struct cursor c;
	int rc = table_get(catalog, k, &value);

	if (rc)
		return rc;
	c = cursor_of(value.data, value.len);
	*v = cursor_u64(&c);
	return cursor_failed(&c) ? table_damaged(catalog, k->bytes[0]) : 0;
}

void table_del(struct catalog *catalog, const struct table_key *k)
{
	kv_del(catalog->kv, k->bytes, k->len);
}

int scan_from(struct scan *w, struct catalog *catalog, const struct table_key *prefix, const struct table_key *from)
{
	*w = (struct scan) { .catalog = catalog, .prefix = prefix->len, .table = prefix->bytes[0] };
	w->cursor = kv_seek(catalog->kv, prefix->bytes, prefix->len, from->bytes, from->len);
	return w->cursor ? 0 : err_set(ENOMEM, "no memory to walk the table of %s", table_noun(w->table));
}

int scan_begin(struct scan *w, struct catalog *catalog, const struct table_key *prefix)
{
	return scan_from(w, catalog, prefix, prefix);
}

int scan_next(struct scan *w)
{
	int rc = kv_next(w->cursor, &w->key, &w->key_len, &w->value, &w->value_len);

	if (rc < 0 || (rc == 1 && w->key_len < w->prefix))
		return table_damaged(w->catalog, w->table);
	if (rc == 1) {
		w->key += w->prefix;
		w->key_len -= w->prefix;
	}
	return rc;
}

void scan_end(struct scan *w)
{
	if (w->cursor)
		kv_cursor_free(w->cursor);
	w->cursor = NULL;
}

int numbers_add(struct numbers *n, uint64_t v)
{
	if (n->count == n->room) {
		size_t room = n->room ? n->room * 2 : 16;
		uint64_t *list = realloc(n->list, room * sizeof *list);

		if (!list)
			return err_set(ENOMEM, "no memory for a list of %zu numbers", room);
		n->list = list;
		n->room = room;
	}
	n->list[n->count++] = v;
	return 0;
}

void numbers_free(struct numbers *n)
{
	free(n->list);
	*n = (struct numbers) { 0 };
}

int scan_u32(struct catalog *catalog, const struct table_key *prefix, uint32_t **list, size_t *count)
{
	scope_scan struct scan w = { 0 };
	scope_numbers struct numbers found = { 0 };
	int rc = scan_begin(&w, catalog, prefix);

	while (!rc && (rc = scan_next(&w)) == 1)
		rc = w.key_len >= 4 ? numbers_add(&found, read_u32(w.key)) : table_damaged(catalog, w.table);
	if (rc)
		return rc;
	*list = malloc((found.count + 1) * sizeof **list);
	if (!*list)
		return err_set(ENOMEM, "no memory for a list of %zu numbers", found.count);
	for (size_t i = 0; i < found.count; i++)
		(*list)[i] = (uint32_t)found.list[i];
	*count = found.count;
	return 0;
}

void cursor_text(struct cursor *c, char *to, size_t room)
{
	size_t len;
	const uint8_t *at = cursor_block(c, &len);

	*to = 0;
	if (!at || len >= room || memchr(at, 0, len)) {
		c->failed = true;
		return;
	}
	memcpy(to, at, len);
	to[len] = 0;
}
