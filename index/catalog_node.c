#include "index/catalog_internal.h"

static void row_encode(struct buf *out, const struct node_row *row)
{
	buf_u8(out, ROW_VERSION);
	buf_varint(out, row->parent);
	buf_string(out, row->name);
	buf_varint(out, row->mode);
	buf_varint(out, row->uid);
	buf_varint(out, row->gid);
	buf_varint(out, row->nlink);
	buf_varint(out, row->size);
	buf_u64(out, (uint64_t)row->atime_ns);
	buf_u64(out, (uint64_t)row->mtime_ns);
	buf_u64(out, (uint64_t)row->ctime_ns);
	buf_varint(out, row->dataset);
	buf_varint(out, row->removed);
	buf_varint(out, row->was_top);
}

bool node_decode(const struct buf *value, struct node_row *row)
{
	struct cursor c = cursor_of(value->data, value->len);

	if (cursor_u8(&c) != ROW_VERSION)
		return false;
	row->parent = cursor_varint(&c);
	cursor_text(&c, row->name, sizeof row->name);
	row->mode = (uint32_t)cursor_varint(&c);
	row->uid = (uint32_t)cursor_varint(&c);
	row->gid = (uint32_t)cursor_varint(&c);
	row->nlink = (uint32_t)cursor_varint(&c);
	row->size = cursor_varint(&c);
	row->atime_ns = (int64_t)cursor_u64(&c);
	row->mtime_ns = (int64_t)cursor_u64(&c);
	row->ctime_ns = (int64_t)cursor_u64(&c);
	row->dataset = (uint32_t)cursor_varint(&c);
	row->removed = cursor_varint(&c);
	row->was_top = (uint32_t)cursor_varint(&c);
	return !cursor_failed(&c);
}

int node_load(struct catalog *catalog, uint64_t ino, struct node_row *row)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64(TABLE_NODE, ino);
	int rc = ino < catalog->counters.ino ? table_get(catalog, &k, &value) : -ENOENT; /* no record named it yet */

	if (rc == -ENOENT)
		return err_set(ENOENT, "there is no node %llu", (unsigned long long)ino);
	if (rc)
		return rc;
	row->ino = ino;
	return node_decode(&value, row) ? 0 : table_damaged(catalog, TABLE_NODE);
}

static struct table_key dropped_key(const struct node_row *row)
{
	struct table_key k = key_of_u64(TABLE_DROPPED, row->removed);

	key_u64(&k, row->ino);
	return k;
}

/* A removal changes so little that the row still says what it was before (catalog_history.c); a removed node that comes
 * back has a past in any case; all else in a row is of no interest when it stood for a moment only. */
int node_store(struct catalog *catalog, const struct node_row *from)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64(TABLE_NODE, from->ino), dropped;
	struct node_row row = *from, before;
	enum keep keep = KEEP_SETTLED;

	if (!row.nlink && !row.removed && catalog->now.seq) {
		int rc = node_load(catalog, row.ino, &before);

		if (rc)
			return rc;
		row.removed = catalog->now.seq;
		row.was_top = before.removed ? before.was_top : before.dataset; /* stored twice by one record */
		keep = KEEP_NEVER;
		dropped = dropped_key(&row);
		table_put_empty(catalog, &dropped);
	} else if (row.nlink && row.removed) {
		dropped = dropped_key(&row);
		table_del(catalog, &dropped);
		row.removed = row.was_top = 0;
		keep = KEEP_ALWAYS;
	}
	row_encode(&value, &row);
	if (buf_failed(&value))
		return err_set(ENOMEM, "no memory for a node");
	return table_put_kept(catalog, &k, value.data, value.len, keep);
}

bool entry_decode(const uint8_t *value, size_t len, uint64_t *ino, uint32_t *type)
{
	struct cursor c = cursor_of(value, len);

	*ino = cursor_varint(&c);
	*type = (uint32_t)cursor_varint(&c) & S_IFMT;
	return !cursor_failed(&c);
}

int entry_load(struct catalog *catalog, uint64_t parent, const char *name, uint64_t *ino, uint32_t *type)
{
	scope_buf struct buf value = { 0 };
	struct table_key k;
	uint32_t unused;
	int rc;

	if (strlen(name) > NAME_BYTES_MAX)
		return -ENOENT;
	k = key_of_u64_text(TABLE_ENTRY, parent, name);
	rc = table_get(catalog, &k, &value);
	if (rc)
		return rc;
	return entry_decode(value.data, value.len, ino, type ? type : &unused) ? 0
									       : table_damaged(catalog, TABLE_ENTRY);
}

void entry_store(struct catalog *catalog, uint64_t parent, const char *name, const struct node_row *row)
{
	struct table_key k = key_of_u64_text(TABLE_ENTRY, parent, name);
	scope_buf struct buf value = { 0 };

	buf_varint(&value, row->ino);
	buf_varint(&value, (row->mode & S_IFMT) | (name_is_further(row, parent, name) ? ENTRY_FURTHER : 0));
	if (table_put(catalog, &k, &value))
		catalog->sick = true;
}

void entry_drop(struct catalog *catalog, uint64_t parent, const char *name)
{
	struct table_key k = key_of_u64_text(TABLE_ENTRY, parent, name);

	table_del(catalog, &k);
}

int dataset_above(struct catalog *catalog, const struct node_row *row, uint32_t *dataset)
{
	struct node_row above;
	uint64_t parent = row->parent;
	int rc = 0;

	*dataset = row->nlink ? row->dataset : 0;
	if (!row->nlink || row->dataset)
		return 0;
	for (unsigned level = 0; !rc && parent && parent != INO_DATASETS; level++) {
		rc = level < LEVELS_MAX ? node_load(catalog, parent, &above) : table_damaged(catalog, TABLE_NODE);
		if (rc == -ENOENT)
			rc = table_damaged(catalog, TABLE_NODE);
		if (rc || above.dataset) {
			*dataset = rc ? 0 : above.dataset;
			break;
		}
		parent = above.parent;
	}
	return rc;
}

/* Fills the path from its end: parts come from the leaf up. */
int node_path(struct catalog *catalog, uint64_t ino, char **path)
{
	size_t room = 256, at = room - 1;
	scope_free char *text = malloc(room);
	struct node_row row;
	int rc = 0;

	for (unsigned level = 0; text && ino != INO_DATASETS; level++, ino = row.parent) {
		size_t len;

		rc = level < LEVELS_MAX ? node_load(catalog, ino, &row) : table_damaged(catalog, TABLE_NODE);
		if (!rc && (!row.nlink || !row.parent))
			rc = err_set(ENOENT, "node %llu is not below datasets/ any more", (unsigned long long)ino);
		if (rc)
			return rc;
		len = strlen(row.name);
		if (at < len + 2) {
			char *more = malloc(room * 2 + len);

			if (!more)
				return err_set(ENOMEM, "no memory for a path");
			memcpy(more + room + len + at, text + at, room - at);
			free(text);
			text = more;
			at += room + len;
			room += room + len;
		}
		if (level)
			text[--at] = '/';
		at -= len;
		memcpy(text + at, row.name, len);
	}
	if (!text)
		return err_set(ENOMEM, "no memory for a path");
	text[room - 1] = 0;
	memmove(text, text + at, room - at);
	*path = take(&text);
	return 0;
}

int name_check(const char *name)
{
	if (strlen(name) > NAME_BYTES_MAX)
		return err_set(ENAMETOOLONG, "a name is at most %d bytes long", NAME_BYTES_MAX);
	if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(EINVAL, "\"%s\" cannot be the name of a file", name);
	return 0;
}

int catalog_node(struct catalog *catalog, uint64_t ino, struct node_row *row)
{
	int rc;

	kv_read_begin(catalog->kv);
	rc = node_load(catalog, ino, row);
	kv_read_end(catalog->kv);
	return rc;
}

int catalog_lookup(struct catalog *catalog, uint64_t parent, const char *name, struct node_row *row)
{
	uint64_t ino = 0;
	int rc;

	kv_read_begin(catalog->kv);
	rc = entry_load(catalog, parent, name, &ino, NULL);
	if (!rc) {
		rc = node_load(catalog, ino, row);
		if (rc == -ENOENT)
			rc = table_damaged(catalog, TABLE_NODE);
	} else if (rc == -ENOENT) {
		rc = err_set(ENOENT, "%s: no such file or folder", name);
	}
	kv_read_end(catalog->kv);
	return rc;
}

int catalog_symlink(struct catalog *catalog, uint64_t ino, char **target)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64(TABLE_TARGET, ino);
	int rc;

	kv_read_begin(catalog->kv);
	rc = table_get(catalog, &k, &value);
	kv_read_end(catalog->kv);
	if (rc == -ENOENT)
		return err_set(ENOENT, "node %llu is not a symlink", (unsigned long long)ino);
	if (rc)
		return rc;
	*target = strdup(buf_text(&value));
	return *target ? 0 : err_set(ENOMEM, "no memory for the target of a symlink");
}

/* A file that was made and never written has no row: it is empty. */
static int content_load(struct catalog *catalog, uint64_t ino, struct content *content)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64(TABLE_CONTENT, ino);
	struct node_row row;
	struct cursor c;
	int rc = table_get(catalog, &k, &value);

	if (rc == -ENOENT) {
		rc = node_load(catalog, ino, &row);
		if (!rc && !S_ISREG(row.mode))
			rc = err_set(EINVAL, "%s: is not a file", row.name);
		*content = (struct content) { 0 };
		return rc;
	}
	if (rc)
		return rc;
	c = cursor_of(value.data, value.len);
	return content_decode(&c, content) ? table_damaged(catalog, TABLE_CONTENT) : 0;
}

/* The same bytes, whatever is known of them? */
static bool same_bytes(const struct content *a, const struct content *b)
{
	if (a->size != b->size || a->depth != b->depth || a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (a->extents[i].len != b->extents[i].len || !key_equal(&a->extents[i].key, &b->extents[i].key))
			return false;
	return true;
}

/* A content that only learns its SHA-256 makes no old version. */
int content_store(struct catalog *catalog, uint64_t ino, const struct content *content)
{
	scope_buf struct buf value = { 0 }, before = { 0 };
	struct table_key k = key_of_u64(TABLE_CONTENT, ino);
	struct content old;
	struct cursor c;
	int rc = table_get(catalog, &k, &before);
	bool same = false;

	if (rc && rc != -ENOENT)
		return rc;
	if (!rc) {
		c = cursor_of(before.data, before.len);
		if (content_decode(&c, &old))
			return table_damaged(catalog, TABLE_CONTENT);
		same = same_bytes(&old, content) && (content->sha256_known || !old.sha256_known);
	}
	content_encode(&value, content);
	if (buf_failed(&value))
		return err_set(ENOMEM, "no memory for a content");
	return table_put_kept(catalog, &k, value.data, value.len, same ? KEEP_NEVER : KEEP_ALWAYS);
}

int catalog_content(struct catalog *catalog, uint64_t ino, struct content *content)
{
	int rc;

	kv_read_begin(catalog->kv);
	rc = content_load(catalog, ino, content);
	kv_read_end(catalog->kv);
	return rc;
}

static int entries_add(struct entries *out, size_t *room, const struct scan *w)
{
	struct entry *e;

	if (out->count == *room) {
		size_t more = *room ? *room * 2 : 16;
		struct entry *list = realloc(out->list, more * sizeof *list);

		if (!list)
			return err_set(ENOMEM, "no memory for a folder of %zu entries", more);
		out->list = list;
		*room = more;
	}
	e = &out->list[out->count];
	if (!entry_decode(w->value, w->value_len, &e->ino, &e->mode))
		return table_damaged(w->catalog, TABLE_ENTRY);
	e->name = strndup((const char *)w->key, w->key_len);
	if (!e->name)
		return err_set(ENOMEM, "no memory for a folder of %zu entries", out->count);
	out->count++;
	return 0;
}

static int list_load(struct catalog *catalog, uint64_t folder, struct entries *out)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix = key_of_u64(TABLE_ENTRY, folder);
	struct node_row row;
	size_t room = 0;
	int rc = node_load(catalog, folder, &row);

	if (!rc && !S_ISDIR(row.mode))
		rc = err_set(ENOTDIR, "%s: is not a folder", row.name);
	if (!rc)
		rc = scan_begin(&w, catalog, &prefix);
	while (!rc && (rc = scan_next(&w)) == 1)
		rc = entries_add(out, &room, &w);
	return rc;
}

int catalog_list(struct catalog *catalog, uint64_t folder, struct entries *out)
{
	int rc;

	*out = (struct entries) { 0 };
	kv_read_begin(catalog->kv);
	rc = list_load(catalog, folder, out);
	kv_read_end(catalog->kv);
	if (rc)
		entries_free(out);
	return rc;
}

void entries_free(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		free(entries->list[i].name);
	free(entries->list);
	*entries = (struct entries) { 0 };
}

int catalog_path(struct catalog *catalog, uint64_t ino, char **path)
{
	int rc;

	kv_read_begin(catalog->kv);
	rc = node_path(catalog, ino, path);
	kv_read_end(catalog->kv);
	return rc;
}

int catalog_xattr(struct catalog *catalog, uint64_t ino, const char *name, struct buf *value)
{
	struct table_key k;
	int rc;

	if (strlen(name) > NAME_BYTES_MAX)
		return -ENODATA;
	k = key_of_u64_text(TABLE_XATTR, ino, name);
	kv_read_begin(catalog->kv);
	rc = table_get(catalog, &k, value);
	kv_read_end(catalog->kv);
	return rc == -ENOENT ? err_set(ENODATA, "%s: is not set", name) : rc;
}

int catalog_xattr_list(struct catalog *catalog, uint64_t ino, struct buf *names)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix = key_of_u64(TABLE_XATTR, ino);
	int rc;

	kv_read_begin(catalog->kv);
	rc = scan_begin(&w, catalog, &prefix);
	while (!rc && (rc = scan_next(&w)) == 1) {
		buf_put(names, w.key, w.key_len);
		buf_u8(names, 0);
		rc = buf_failed(names) ? err_set(ENOMEM, "no memory for names of attributes") : 0;
	}
	scan_end(&w);
	kv_read_end(catalog->kv);
	return rc;
}
