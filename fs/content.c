/*
 * content: the map in memory is a row of leaves. A leaf that was not touched yet is only its chunk's key and the bytes of the file that
 * it covers. Interior nodes are not kept: they are made again from the leaves by content_save(), and those that did not change
 * are chunks that the store has already.
 */
#include "fs/content.h"

#include <errno.h>
#include <string.h>

#include "store/err.h"

struct leaf {
	struct extent *list; /* NULL: not loaded */
	size_t count, cap;
	struct key key;      /* of the stored node; valid when !changed */
	uint64_t len;        /* bytes of the file */
	bool changed;
};

enum { LEAVES_MAX = 1 << 20 }; /* far more than 16 TiB need; a tree that names its own nodes again and again has no more */

struct content_map {
	struct store *store;
	struct leaf *leaves;
	size_t count, cap;
	uint64_t size;
	struct content root; /* as it was opened or saved, valid when !changed */
	bool changed;
};

static void leaf_free(struct leaf *l)
{
	free(l->list);
}

void content_free(struct content_map *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->count; i++)
		leaf_free(&m->leaves[i]);
	free(m->leaves);
	free(m);
}

uint64_t content_size(const struct content_map *m)
{
	return m->size;
}

/* A chunk is at most CHUNK_MAX bytes long, a hole is as long as it likes. */
static bool chunks_sane(const struct extent *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].len > CHUNK_MAX && !key_is_hole(&list[i].key))
			return false;
	return true;
}

/* Reads a stored node. list: room for CONTENT_NODE_MAX. */
static int node_read(struct store *store, const struct key *key, uint64_t len, struct extent *list, size_t *count)
{
	char text[KEY_TEXT_MAX];
	int64_t bytes = store_size(store, key);
	scope_free void *node = bytes > 0 ? malloc((size_t)bytes) : NULL;
	uint64_t sum = 0;
	int rc;

	key_text(key, text);
	if (bytes < 0 && bytes != -ENOENT)
		return (int)bytes;
	if (bytes <= 0)
		return err_set(EIO, "the file's tree node %s is not in the store", text);
	if (!node)
		return err_set(ENOMEM, "no memory to read a file's tree");
	rc = store_read(store, key, (size_t)bytes, 0, node, (size_t)bytes);
	if (rc)
		return rc;
	rc = content_node_decode(node, (size_t)bytes, list, count);
	for (size_t i = 0; !rc && i < *count; i++)
		sum += list[i].len;
	if (rc || sum != len)
		return err_set(EIO, "the file's tree node %s is damaged", text);
	return 0;
}

static int leaves_reserve(struct content_map *m, size_t more)
{
	size_t cap = m->cap ? m->cap : 4;
	struct leaf *list;

	while (cap < m->count + more)
		cap *= 2;
	if (cap == m->cap)
		return 0;
	list = realloc(m->leaves, cap * sizeof *list);
	if (!list)
		return err_set(ENOMEM, "no memory for a file's map");
	m->leaves = list;
	m->cap = cap;
	return 0;
}

/* Appends the leaves below these extents, which stand `depth` levels above the file's chunks. */
static int add_leaves(struct content_map *m, const struct extent *list, size_t count, unsigned depth)
{
	scope_free struct extent *below = depth > 1 ? malloc(CONTENT_NODE_MAX * sizeof *below) : NULL;
	int rc = depth > 1 && !below ? err_set(ENOMEM, "no memory for a file's map") : 0;

	if (!rc)
		rc = count > LEAVES_MAX - m->count ? err_set(EIO, "the file's map is damaged") : leaves_reserve(m, count);
	for (size_t i = 0; !rc && i < count; i++) {
		size_t n;

		if (depth == 1) {
			m->leaves[m->count++] = (struct leaf){ .key = list[i].key, .len = list[i].len };
			continue;
		}
		rc = node_read(m->store, &list[i].key, list[i].len, below, &n);
		if (!rc)
			rc = add_leaves(m, below, n, depth - 1);
	}
	return rc;
}

static int leaf_reserve(struct leaf *l, size_t more)
{
	size_t cap = l->cap ? l->cap : 16;
	struct extent *list;

	while (cap < l->count + more)
		cap *= 2;
	if (cap == l->cap)
		return 0;
	list = realloc(l->list, cap * sizeof *list);
	if (!list)
		return err_set(ENOMEM, "no memory for a file's map");
	l->list = list;
	l->cap = cap;
	return 0;
}

static int add_inline_leaf(struct content_map *m, const struct content *root)
{
	struct leaf l = { .changed = true };
	int rc = leaves_reserve(m, 1);

	if (!rc)
		rc = leaf_reserve(&l, root->count ? root->count : 1);
	if (rc)
		return rc;
	memcpy(l.list, root->extents, root->count * sizeof *l.list);
	l.count = root->count;
	for (size_t i = 0; i < l.count; i++)
		l.len += l.list[i].len;
	m->leaves[m->count++] = l;
	return 0;
}

int content_open(struct content_map **out, struct store *store, const struct content *root)
{
	struct content_map *m = calloc(1, sizeof *m);
	int rc;

	if (!m)
		return err_set(ENOMEM, "no memory for a file's map");
	m->store = store;
	m->root = *root;
	if (root->depth > CONTENT_DEPTH_MAX || root->count > CONTENT_INLINE_MAX ||
	    (!root->depth && !chunks_sane(root->extents, root->count)))
		rc = err_set(EIO, "the file's map is damaged");
	else if (root->depth)
		rc = add_leaves(m, root->extents, root->count, root->depth);
	else
		rc = add_inline_leaf(m, root);
	for (size_t i = 0; !rc && i < m->count; i++)
		m->size += m->leaves[i].len;
	if (!rc && m->size != root->size)
		rc = err_set(EIO, "the file's map covers %llu of %llu bytes", (unsigned long long)m->size,
			     (unsigned long long)root->size);
	if (rc) {
		content_free(m);
		return rc;
	}
	*out = m;
	return 0;
}

static int leaf_load(struct content_map *m, struct leaf *l)
{
	struct extent *list;
	int rc;

	if (l->list)
		return 0;
	list = malloc(CONTENT_NODE_MAX * sizeof *list);
	if (!list)
		return err_set(ENOMEM, "no memory for a file's map");
	rc = node_read(m->store, &l->key, l->len, list, &l->count);
	if (!rc && !chunks_sane(list, l->count))
		rc = err_set(EIO, "a chunk of the file cannot be that long");
	if (rc) {
		free(list);
		return rc;
	}
	l->list = list;
	l->cap = CONTENT_NODE_MAX;
	return 0;
}

/* The leaf that covers off, and where it starts; the last one for off == size. */
static size_t leaf_at(const struct content_map *m, uint64_t off, uint64_t *start)
{
	size_t i;

	*start = 0;
	for (i = 0; i + 1 < m->count && off >= *start + m->leaves[i].len; i++)
		*start += m->leaves[i].len;
	return i;
}

/* The extent of a loaded leaf that covers off; count when off is at the leaf's end. *start moves to it. */
static size_t extent_at(const struct leaf *l, uint64_t off, uint64_t *start)
{
	size_t i;

	for (i = 0; i < l->count && off >= *start + l->list[i].len; i++)
		*start += l->list[i].len;
	return i;
}

int content_find(struct content_map *m, uint64_t off, struct extent *extent, uint64_t *start)
{
	size_t li, i;
	int rc;

	if (off >= m->size)
		return err_set(EINVAL, "offset %llu is beyond the end", (unsigned long long)off);
	li = leaf_at(m, off, start);
	rc = leaf_load(m, &m->leaves[li]);
	if (rc)
		return rc;
	i = extent_at(&m->leaves[li], off, start);
	*extent = m->leaves[li].list[i];
	return 0;
}

/* Opens a gap of n extents at i of a loaded leaf. */
static int leaf_open_gap(struct leaf *l, size_t i, size_t n)
{
	int rc = leaf_reserve(l, n);

	if (rc)
		return rc;
	memmove(l->list + i + n, l->list + i, (l->count - i) * sizeof *l->list);
	l->count += n;
	l->changed = true;
	return 0;
}

/* Makes an extent border at off by splitting a hole. */
static int split_at(struct content_map *m, uint64_t off)
{
	uint64_t start;
	struct leaf *l;
	size_t i;
	int rc;

	if (off >= m->size)
		return 0;
	l = &m->leaves[leaf_at(m, off, &start)];
	rc = leaf_load(m, l);
	if (rc)
		return rc;
	i = extent_at(l, off, &start);
	if (start == off)
		return 0;
	if (!key_is_hole(&l->list[i].key))
		return err_set(EINVAL, "offset %llu is inside a chunk", (unsigned long long)off);
	rc = leaf_open_gap(l, i, 1);
	if (rc)
		return rc;
	l->list[i].len = off - start;
	l->list[i + 1].len -= off - start;
	return 0;
}

static void remove_leaf(struct content_map *m, size_t li)
{
	leaf_free(&m->leaves[li]);
	memmove(m->leaves + li, m->leaves + li + 1, (m->count - li - 1) * sizeof *m->leaves);
	m->count--;
}

/* Takes len bytes of whole extents out, from extent i of leaf li on. Every leaf that is touched in part is loaded. */
static void remove_range(struct content_map *m, size_t li, size_t i, uint64_t len)
{
	bool keep = true; /* the leaf that the range begins in stays, also when it is empty */

	m->size -= len;
	while (len) {
		struct leaf *l = &m->leaves[li];
		size_t n = 0;
		uint64_t taken = 0;

		if (!keep && len >= l->len) {
			len -= l->len;
			remove_leaf(m, li);
			continue;
		}
		while (i + n < l->count && taken < len)
			taken += l->list[i + n++].len;
		memmove(l->list + i, l->list + i + n, (l->count - i - n) * sizeof *l->list);
		l->count -= n;
		l->len -= taken;
		l->changed = true;
		len -= taken;
		i = 0;
		keep = false;
		li++;
	}
}

static void merge_holes(struct leaf *l, size_t from)
{
	size_t n = from ? from - 1 : 0;

	for (size_t i = n + 1; i < l->count; i++) {
		if (key_is_hole(&l->list[n].key) && key_is_hole(&l->list[i].key))
			l->list[n].len += l->list[i].len;
		else
			l->list[++n] = l->list[i];
	}
	if (l->count)
		l->count = n + 1;
}

/* Cuts a leaf that became too large into leaves of half the size. */
static int split_leaf(struct content_map *m, size_t li)
{
	enum { HALF = CONTENT_NODE_MAX / 2 };

	while (m->leaves[li].count > CONTENT_NODE_MAX) {
		struct leaf next = { .changed = true };
		struct leaf *l;
		int rc = leaves_reserve(m, 1);

		l = &m->leaves[li];
		if (!rc)
			rc = leaf_reserve(&next, l->count - HALF);
		if (rc)
			return rc;
		next.count = l->count - HALF;
		memcpy(next.list, l->list + HALF, next.count * sizeof *next.list);
		for (size_t i = 0; i < next.count; i++)
			next.len += next.list[i].len;
		l->count = HALF;
		l->len -= next.len;
		memmove(m->leaves + li + 2, m->leaves + li + 1, (m->count - li - 1) * sizeof *m->leaves);
		m->leaves[li + 1] = next;
		m->count++;
		li++;
	}
	return 0;
}

/* What can fail on the way to a splice is done before it: borders, and loading the leaves at both ends. */
static int prepare(struct content_map *m, uint64_t off, uint64_t old_len)
{
	uint64_t start;
	int rc = 0;

	if (off > m->size || old_len > m->size - off)
		return err_set(EINVAL, "a range beyond the end of a file's map");
	if (!m->count) {
		struct content empty = { 0 };

		rc = add_inline_leaf(m, &empty);
	}
	if (!rc)
		rc = split_at(m, off);
	if (!rc)
		rc = split_at(m, off + old_len);
	if (!rc)
		rc = leaf_load(m, &m->leaves[leaf_at(m, off, &start)]);
	if (!rc)
		rc = leaf_load(m, &m->leaves[leaf_at(m, off + old_len, &start)]);
	return rc;
}

int content_splice(struct content_map *m, uint64_t off, uint64_t old_len, const struct extent *extents, size_t count)
{
	int rc = prepare(m, off, old_len);
	uint64_t start, added = 0;
	struct leaf *l;
	size_t li, i;

	if (rc)
		return rc;
	li = leaf_at(m, off, &start);
	l = &m->leaves[li];
	i = extent_at(l, off, &start);
	rc = leaf_open_gap(l, i, count);
	if (rc)
		return rc;
	if (count)
		memcpy(l->list + i, extents, count * sizeof *extents);
	for (size_t k = 0; k < count; k++)
		added += extents[k].len;
	l->len += added;
	m->size += added;
	m->changed = true;
	if (old_len)
		remove_range(m, li, i + count, old_len);
	l = &m->leaves[li];
	merge_holes(l, i);
	if (!l->count && m->count > 1) {
		remove_leaf(m, li);
		return 0;
	}
	return split_leaf(m, li);
}

static int put_node(struct store *store, const struct extent *list, size_t count, struct key *key)
{
	scope_buf struct buf node = { 0 };

	content_node_encode(&node, list, count);
	if (buf_failed(&node))
		return err_set(ENOMEM, "no memory to save a file's map");
	return store_put(store, NULL, 0, node.data, node.len, key);
}

/* Puts a level of nodes over `count` extents; list becomes the level above, *count its length. */
static int put_level(struct store *store, struct extent *list, size_t *count)
{
	size_t above = 0;
	int rc = 0;

	for (size_t i = 0; !rc && i < *count; i += CONTENT_NODE_MAX) {
		size_t n = *count - i < CONTENT_NODE_MAX ? *count - i : CONTENT_NODE_MAX;
		struct extent e = { .len = 0 };

		for (size_t k = 0; k < n; k++)
			e.len += list[i + k].len;
		rc = put_node(store, list + i, n, &e.key);
		list[above++] = e; /* never ahead of what is still to be read: above <= i */
	}
	*count = above;
	return rc;
}

static int save_tree(struct content_map *m, struct content *root)
{
	scope_free struct extent *level = malloc((m->count ? m->count : 1) * sizeof *level);
	size_t count = 0;
	int rc = level ? 0 : err_set(ENOMEM, "no memory to save a file's map");

	for (size_t i = 0; !rc && i < m->count; i++) {
		struct leaf *l = &m->leaves[i];

		if (l->changed)
			rc = put_node(m->store, l->list, l->count, &l->key);
		if (!rc) {
			l->changed = false;
			level[count++] = (struct extent){ .key = l->key, .len = l->len };
		}
	}
	root->depth = 1;
	while (!rc && count > CONTENT_INLINE_MAX) {
		rc = put_level(m->store, level, &count);
		root->depth++;
	}
	root->count = (uint32_t)count;
	if (!rc)
		memcpy(root->extents, level, count * sizeof *level);
	return rc;
}

int content_save(struct content_map *m, struct content *root)
{
	int rc = 0;

	if (m->changed) {
		struct content c = { .size = m->size };

		if (m->count == 1 && m->leaves[0].list && m->leaves[0].count <= CONTENT_INLINE_MAX) {
			c.count = (uint32_t)m->leaves[0].count;
			memcpy(c.extents, m->leaves[0].list, c.count * sizeof *c.extents);
			m->leaves[0].changed = true; /* its node, if it had one, is not what the root names */
		} else if (m->size) {
			rc = save_tree(m, &c);
		}
		if (rc)
			return rc;
		m->root = c;
		m->changed = false;
	}
	root->size = m->root.size;
	root->depth = m->root.depth;
	root->count = m->root.count;
	memcpy(root->extents, m->root.extents, sizeof root->extents);
	return 0;
}

/* ---- every chunk ---- */

struct walk {
	struct store *store;
	content_each each;
	void *ctx;
	size_t nodes; /* read so far */
};

static int walk_below(struct walk *w, const struct extent *list, size_t count, unsigned depth)
{
	scope_free struct extent *below = depth ? malloc(CONTENT_NODE_MAX * sizeof *below) : NULL;
	int rc = depth && !below ? err_set(ENOMEM, "no memory for a file's map") : 0;

	for (size_t i = 0; !rc && i < count; i++) {
		size_t n;

		if (!w->each(w->ctx, &list[i].key, depth) || !depth)
			continue;
		if (++w->nodes > 2 * LEAVES_MAX)
			return err_set(EIO, "the file's map is damaged");
		rc = node_read(w->store, &list[i].key, list[i].len, below, &n);
		if (!rc)
			rc = walk_below(w, below, n, depth - 1);
	}
	return rc;
}

int content_walk(struct store *store, const struct content *root, content_each each, void *ctx)
{
	struct walk w = { .store = store, .each = each, .ctx = ctx };

	if (root->depth > CONTENT_DEPTH_MAX || root->count > CONTENT_INLINE_MAX)
		return err_set(EIO, "the file's map is damaged");
	return walk_below(&w, root->extents, root->count, root->depth);
}

int content_map_walk(struct content_map *m, content_each each, void *ctx)
{
	struct walk w = { .store = m->store, .each = each, .ctx = ctx };
	int rc = m->changed ? 0 : content_walk(m->store, &m->root, each, ctx);

	for (size_t i = 0; !rc && i < m->count; i++) {
		struct leaf *l = &m->leaves[i];
		struct extent node = { .key = l->key, .len = l->len };

		if (l->list)
			rc = walk_below(&w, l->list, l->count, 0);
		if (l->list && !l->changed)
			each(ctx, &l->key, 0);
		else if (!l->list)
			rc = walk_below(&w, &node, 1, 1);
	}
	return rc;
}
