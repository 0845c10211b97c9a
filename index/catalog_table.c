#include "index/catalog_internal.h"

#include <assert.h>
#include <stdlib.h>

enum {
	SEEN_MAX = 12,
	SEEN_BYTES_MAX = 4096, /* larger values are not remembered */
};

/* What the present change has read and written, so that it asks the kv for a row once: a change reads a row to check it, then
 * to change it, then to keep what it said. The oldest is forgotten first. */
struct seen {
	unsigned count, next;
	struct {
		struct table_key key;
		struct buf value;
		bool there;
	} list[SEEN_MAX];
};

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
	case TABLE_DROPPED:
		return "removed names";
	case TABLE_HISTORY:
	case TABLE_MOMENT:
		return "history";
	case TABLE_IMAGE:
	case TABLE_IMAGE_ID:
		return "images";
	case TABLE_ID:
		return "dataset ids";
	case TABLE_TARGET:
		return "symlinks";
	case TABLE_LINK:
		return "links";
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

int table_seen_begin(struct catalog *catalog)
{
	if (!catalog->seen)
		catalog->seen = calloc(1, sizeof *catalog->seen);
	if (!catalog->seen)
		return err_set(ENOMEM, "no memory for a change");
	catalog->seen->count = catalog->seen->next = 0;
	return 0;
}

void table_seen_free(struct catalog *catalog)
{
	for (unsigned i = 0; catalog->seen && i < SEEN_MAX; i++)
		buf_free(&catalog->seen->list[i].value);
	free(catalog->seen);
	catalog->seen = NULL;
}

static bool seen_is(const struct catalog *catalog, unsigned i, const struct table_key *k)
{
	const struct table_key *key = &catalog->seen->list[i].key;

	return key->len == k->len && memcmp(key->bytes, k->bytes, k->len) == 0;
}

/* Its place in the list, -1: not seen (or nothing is being changed). */
static int seen_find(const struct catalog *catalog, const struct table_key *k)
{
	if (catalog->now.seq)
		for (unsigned i = 0; i < catalog->seen->count; i++)
			if (seen_is(catalog, i, k))
				return (int)i;
	return -1;
}

static void seen_note(struct catalog *catalog, const struct table_key *k, const void *value, size_t len, bool there)
{
	struct seen *seen = catalog->seen;
	int i = seen_find(catalog, k);

	if (!catalog->now.seq)
		return;
	if (i < 0) {
		i = (int)seen->next;
		seen->next = (seen->next + 1) % SEEN_MAX;
		if (seen->count < SEEN_MAX)
			seen->count++;
	}
	seen->list[i].key.len = len > SEEN_BYTES_MAX ? 0 : k->len; /* 0: no key is so */
	memcpy(seen->list[i].key.bytes, k->bytes, k->len);
	buf_clear(&seen->list[i].value);
	if (len <= SEEN_BYTES_MAX)
		buf_put(&seen->list[i].value, value, len);
	if (buf_failed(&seen->list[i].value)) {
		buf_free(&seen->list[i].value);
		seen->list[i].key.len = 0;
	}
	seen->list[i].there = there;
}

int table_get_raw(struct catalog *catalog, const struct table_key *k, struct buf *value)
{
	int i = seen_find(catalog, k), rc;

	if (i >= 0) {
		buf_clear(value);
		buf_put(value, catalog->seen->list[i].value.data, catalog->seen->list[i].value.len);
		if (buf_failed(value))
			return err_set(ENOMEM, "no memory for a row of the table of %s", table_noun(k->bytes[0]));
		return catalog->seen->list[i].there ? 0 : -ENOENT;
	}
	rc = kv_get(catalog->kv, k->bytes, k->len, value);
	if (rc && rc != -ENOENT)
		return rc == -ENOMEM ? rc : table_damaged(catalog, k->bytes[0]);
	seen_note(catalog, k, value->data, rc ? 0 : value->len, !rc);
	return rc;
}

void table_put_raw(struct catalog *catalog, const struct table_key *k, const void *value, size_t len)
{
	kv_put(catalog->kv, k->bytes, k->len, len ? value : "", len);
	seen_note(catalog, k, value, len, true);
}

void table_del_raw(struct catalog *catalog, const struct table_key *k)
{
	kv_del(catalog->kv, k->bytes, k->len);
	seen_note(catalog, k, "", 0, false);
}

int table_get(struct catalog *catalog, const struct table_key *k, struct buf *value)
{
	int rc = table_get_raw(catalog, k, value);
	struct stamp stamp;
	struct cursor c;

	if (rc || !table_has_past(k->bytes[0]))
		return rc;
	c = cursor_of(value->data, value->len);
	if (!stamp_take(&c, &stamp))
		return table_damaged(catalog, k->bytes[0]);
	value->len = cursor_left(&c);
	memmove(value->data, c.at, value->len);
	return 0;
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
	if (table_has_past(k->bytes[0]))
		return table_put_kept(catalog, k, value->data, value->len, KEEP_ALWAYS);
	table_put_raw(catalog, k, value->data, value->len);
	return 0;
}

void table_put_empty(struct catalog *catalog, const struct table_key *k)
{
	table_put_raw(catalog, k, "", 0);
}

void table_put_u64(struct catalog *catalog, const struct table_key *k, uint64_t v)
{
	uint8_t raw[8];

	for (size_t i = 0; i < sizeof raw; i++)
		raw[i] = (uint8_t)(v >> (8 * i));
	table_put_raw(catalog, k, raw, sizeof raw);
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
	if (table_has_past(k->bytes[0]))
		table_del_kept(catalog, k);
	else
		table_del_raw(catalog, k);
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

static int scan_stamp(struct scan *w)
{
	struct cursor c = cursor_of(w->value, w->value_len);

	if (!stamp_take(&c, &w->since))
		return table_damaged(w->catalog, w->table);
	w->value = c.at;
	w->value_len = cursor_left(&c);
	return 1;
}

int scan_next(struct scan *w)
{
	int rc = kv_next(w->cursor, &w->key, &w->key_len, &w->value, &w->value_len);

	if (rc < 0 || (rc == 1 && w->key_len < w->prefix))
		return table_damaged(w->catalog, w->table);
	if (rc == 1) {
		w->key += w->prefix;
		w->key_len -= w->prefix;
		if (table_has_past(w->table))
			return scan_stamp(w);
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
