#include "index/catalog_history.h"
#include "index/catalog_internal.h"

#include <stdlib.h>

/* ---- moments ---- */

static int moment_load(struct catalog *catalog, uint32_t second, uint64_t *seq)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix, from;
	struct cursor c;
	int rc;

	key_begin(&prefix, TABLE_MOMENT);
	from = prefix;
	key_u32(&from, second + 1);
	*seq = catalog->counters.seq;
	rc = second == UINT32_MAX ? 0 : scan_from(&w, catalog, &prefix, &from);
	if (!rc && w.cursor)
		rc = scan_next(&w);
	if (rc == 1) { /* the first record of a later second */
		c = cursor_of(w.value, w.value_len);
		*seq = cursor_u64(&c) - 1;
		rc = cursor_failed(&c) ? table_damaged(catalog, TABLE_MOMENT) : 0;
	}
	if (!rc && !*seq)
		rc = err_set(ENOENT, "the store has nothing from then");
	return rc ? rc : history_reaches(catalog, *seq);
}

int catalog_moment(struct catalog *catalog, int64_t time_ns, uint64_t *seq)
{
	int64_t second = time_ns / 1000000000;
	int rc;

	if (time_ns < 0)
		return err_set(ENOENT, "the store has nothing from then");
	kv_read_begin(catalog->kv);
	rc = moment_load(catalog, second > UINT32_MAX ? UINT32_MAX : (uint32_t)second, seq);
	kv_read_end(catalog->kv);
	return rc;
}

/* ---- rows at a moment ---- */

static int content_at(struct catalog *catalog, uint64_t seq, uint64_t ino, struct content *content)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64(TABLE_CONTENT, ino);
	struct span span;
	struct cursor c;
	int rc = kept_get(catalog, &k, seq, &value, &span);

	*content = (struct content) { 0 };
	if (rc)
		return rc == -ENOENT ? 0 : rc; /* made and not written yet */
	c = cursor_of(value.data, value.len);
	return content_decode(&c, content) ? table_damaged(catalog, TABLE_CONTENT) : 0;
}

/* A removal keeps no row: what the row says of it is undone. */
static void undo_removal(struct node_row *row, uint64_t seq)
{
	if (row->nlink || row->removed <= seq)
		return;
	row->nlink = S_ISDIR(row->mode) ? 2 : 1;
	row->dataset = row->was_top;
	row->removed = row->was_top = 0;
	if (row->ctime_ns > row->mtime_ns)
		row->ctime_ns = row->mtime_ns;
}

static int node_at(struct catalog *catalog, uint64_t seq, uint64_t ino, struct node_row *row)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64(TABLE_NODE, ino);
	struct content content;
	struct span span;
	int rc = history_reaches(catalog, seq);

	if (!rc)
		rc = kept_get(catalog, &k, seq, &value, &span);
	if (rc == -ENOENT)
		return err_set(ENOENT, "there was no node %llu then", (unsigned long long)ino);
	if (rc)
		return rc;
	row->ino = ino;
	if (!node_decode(&value, row))
		return table_damaged(catalog, TABLE_NODE);
	undo_removal(row, seq);
	if (!S_ISREG(row->mode))
		return 0;
	rc = content_at(catalog, seq, ino, &content);
	row->size = content.size;
	return rc;
}

int catalog_node_at(struct catalog *catalog, uint64_t seq, uint64_t ino, struct node_row *row)
{
	int rc;

	kv_read_begin(catalog->kv);
	rc = node_at(catalog, seq, ino, row);
	kv_read_end(catalog->kv);
	return rc;
}

static int lookup_at(struct catalog *catalog, uint64_t seq, uint64_t parent, const char *name, struct node_row *row)
{
	scope_buf struct buf value = { 0 };
	struct table_key k;
	struct span span;
	uint64_t ino;
	uint32_t type;
	int rc = history_reaches(catalog, seq);

	if (rc)
		return rc;
	k = key_of_u64_text(TABLE_ENTRY, parent, name);
	rc = kept_get(catalog, &k, seq, &value, &span);
	if (rc)
		return rc == -ENOENT ? err_set(ENOENT, "%s: no such file or folder then", name) : rc;
	if (!entry_decode(value.data, value.len, &ino, &type))
		return table_damaged(catalog, TABLE_ENTRY);
	rc = node_at(catalog, seq, ino, row);
	return rc == -ENOENT ? table_damaged(catalog, TABLE_NODE) : rc;
}

int catalog_lookup_at(struct catalog *catalog, uint64_t seq, uint64_t parent, const char *name, struct node_row *row)
{
	int rc;

	if (strlen(name) > NAME_BYTES_MAX)
		return err_set(ENOENT, "a name is at most %d bytes long", NAME_BYTES_MAX);
	kv_read_begin(catalog->kv);
	rc = lookup_at(catalog, seq, parent, name, row);
	kv_read_end(catalog->kv);
	return rc;
}

int catalog_content_at(struct catalog *catalog, uint64_t seq, uint64_t ino, struct content *content)
{
	struct node_row row;
	int rc;

	kv_read_begin(catalog->kv);
	rc = node_at(catalog, seq, ino, &row);
	if (!rc && !S_ISREG(row.mode))
		rc = err_set(EINVAL, "%s: is not a file", row.name);
	if (!rc)
		rc = content_at(catalog, seq, ino, content);
	kv_read_end(catalog->kv);
	return rc;
}

int catalog_content_since(struct catalog *catalog, uint64_t ino, uint64_t *seq)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64(TABLE_CONTENT, ino);
	struct span span = { 0 };
	int rc;

	kv_read_begin(catalog->kv);
	rc = kept_get(catalog, &k, UINT64_MAX, &value, &span);
	kv_read_end(catalog->kv);
	*seq = span.since.seq;
	return rc;
}

static int value_at(struct catalog *catalog, uint64_t seq, const struct table_key *k, struct buf *value)
{
	struct span span;
	int rc;

	kv_read_begin(catalog->kv);
	rc = history_reaches(catalog, seq);
	if (!rc)
		rc = kept_get(catalog, k, seq, value, &span);
	kv_read_end(catalog->kv);
	return rc;
}

int catalog_symlink_at(struct catalog *catalog, uint64_t seq, uint64_t ino, char **target)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64(TABLE_TARGET, ino);
	int rc = value_at(catalog, seq, &k, &value);

	if (rc)
		return rc == -ENOENT ? err_set(ENOENT, "node %llu was not a symlink then", (unsigned long long)ino) : rc;
	*target = strdup(buf_text(&value));
	return *target ? 0 : err_set(ENOMEM, "no memory for the target of a symlink");
}

int catalog_xattr_at(struct catalog *catalog, uint64_t seq, uint64_t ino, const char *name, struct buf *value)
{
	struct table_key k;
	int rc;

	if (strlen(name) > NAME_BYTES_MAX)
		return -ENODATA;
	k = key_of_u64_text(TABLE_XATTR, ino, name);
	rc = value_at(catalog, seq, &k, value);
	return rc == -ENOENT ? err_set(ENODATA, "%s: was not set then", name) : rc;
}

/* ---- all rows of a prefix at a moment ---- */

/* What a visit gets: the key behind the prefix, not terminated. */
typedef int (*row_visit)(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len);

static int present_rows(struct catalog *catalog, uint64_t seq, const struct table_key *prefix, row_visit visit,
			void *ctx)
{
	scope_scan struct scan w = { 0 };
	int rc = scan_begin(&w, catalog, prefix);

	while (!rc && (rc = scan_next(&w)) == 1)
		rc = w.since.seq <= seq ? visit(ctx, w.key, w.key_len, w.value, w.value_len) : 0;
	return rc;
}

/* Of each key the first value that ended after seq, when it was there by then. */
static int past_rows(struct catalog *catalog, uint64_t seq, const struct table_key *prefix, row_visit visit, void *ctx)
{
	scope_past struct past p = { 0 };
	scope_buf struct buf last = { 0 }; /* the key that is settled */
	bool any = false;
	int rc = past_begin(&p, catalog, prefix);

	while (!rc && (rc = past_next(&p)) == 1) {
		rc = 0;
		if (p.span.until <= seq || (any && last.len == p.key_len && memcmp(last.data, p.key, p.key_len) == 0))
			continue;
		any = true;
		buf_clear(&last);
		buf_put(&last, p.key, p.key_len);
		if (buf_failed(&last))
			return err_set(ENOMEM, "no memory for what was");
		if (p.span.since.seq <= seq)
			rc = visit(ctx, p.key, p.key_len, p.value, p.value_len);
	}
	return rc;
}

static int rows_at(struct catalog *catalog, uint64_t seq, const struct table_key *prefix, row_visit visit, void *ctx)
{
	int rc = present_rows(catalog, seq, prefix, visit, ctx);

	return rc ? rc : past_rows(catalog, seq, prefix, visit, ctx);
}

struct listing {
	struct catalog *catalog;
	struct entries *out;
	size_t room;
};

static int listing_add(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len)
{
	struct listing *l = ctx;
	struct entry *e;

	if (l->out->count == l->room) {
		size_t more = l->room ? l->room * 2 : 16;
		struct entry *list = realloc(l->out->list, more * sizeof *list);

		if (!list)
			return err_set(ENOMEM, "no memory for a folder of %zu entries", more);
		l->out->list = list;
		l->room = more;
	}
	e = &l->out->list[l->out->count];
	if (!entry_decode(value, value_len, &e->ino, &e->mode))
		return table_damaged(l->catalog, TABLE_ENTRY);
	e->name = strndup((const char *)key, key_len);
	if (!e->name)
		return err_set(ENOMEM, "no memory for a folder of %zu entries", l->out->count);
	l->out->count++;
	return 0;
}

static int entry_order(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

int catalog_list_at(struct catalog *catalog, uint64_t seq, uint64_t folder, struct entries *out)
{
	struct listing l = { .catalog = catalog, .out = out };
	struct table_key prefix = key_of_u64(TABLE_ENTRY, folder);
	struct node_row row;
	int rc;

	*out = (struct entries) { 0 };
	kv_read_begin(catalog->kv);
	rc = node_at(catalog, seq, folder, &row);
	if (!rc && !S_ISDIR(row.mode))
		rc = err_set(ENOTDIR, "%s: is not a folder", row.name);
	if (!rc)
		rc = rows_at(catalog, seq, &prefix, listing_add, &l);
	kv_read_end(catalog->kv);
	if (rc)
		entries_free(out);
	else if (out->count)
		qsort(out->list, out->count, sizeof *out->list, entry_order);
	return rc;
}

static int names_add(void *ctx, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len)
{
	struct buf *names = ctx;

	(void)value, (void)value_len;
	buf_put(names, key, key_len);
	buf_u8(names, 0);
	return buf_failed(names) ? err_set(ENOMEM, "no memory for names of attributes") : 0;
}

int catalog_xattr_list_at(struct catalog *catalog, uint64_t seq, uint64_t ino, struct buf *names)
{
	struct table_key prefix = key_of_u64(TABLE_XATTR, ino);
	int rc;

	kv_read_begin(catalog->kv);
	rc = history_reaches(catalog, seq);
	if (!rc)
		rc = rows_at(catalog, seq, &prefix, names_add, names);
	kv_read_end(catalog->kv);
	return rc;
}
