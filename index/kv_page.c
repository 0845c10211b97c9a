/*
 * LMDB's file, read only. Format: data version 1, as all of LMDB 0.9 writes it (mdb.c: MDB_page, MDB_node, MDB_meta),
 * numbers in the order of the machine, 64 bits wide.
 *
 *     page     0 u64 its number   8 u16 pad   10 u16 flags   12 u16 lower   14 u16 upper   16 offsets of nodes
 *              nodes fill upper .. page_size without gaps; overflow pages have a u32 count of pages at 12
 *     node     0 u16 low, 2 u16 high half of the data's length (branch: of the child's number, with flags on top)
 *              4 u16 flags   6 u16 length of the key   8 key, data (or u64 number of the first overflow page)
 *     meta     page header, 16 u32 magic, 20 u32 version, 24 address, 32 map size, 40 free tree, 88 main tree,
 *              136 u64 last page, 144 u64 transaction
 *     tree     0 u32 pad (page size in the free tree)  4 u16 flags  6 u16 depth  8 branch, 16 leaf, 24 overflow pages,
 *              32 entries, 40 u64 root
 */
#include <errno.h>
#include <inttypes.h>
#include <xxhash.h>

#include "index/kv_internal.h"
#include "store/err.h"

enum {
	PAGE_HEAD = 16,
	NODE_HEAD = 8,
	PAGE_BRANCH = 1,
	PAGE_LEAF = 2,
	PAGE_OVERFLOW = 4,
	PAGE_META = 8,
	NODE_BIG = 1,
	TREE_INTEGER_KEYS = 8,
	META_VERSION = 1,
	LMDB_KEY_MAX = 511,
	PAGE_SIZE_MAX = 0x8000,
};
#define META_MAGIC 0xBEEFC0DEu

static uint16_t u16_at(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static uint32_t u32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static uint64_t u64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

/* --- meta ------------------------------------------------------------------------------------------------------ */

static bool tree_parse(const uint8_t *p, uint64_t last_page, uint16_t flags, struct tree *tree)
{
	*tree = (struct tree) { .root = u64_at(p + 40), .depth = u16_at(p + 6), .last_page = last_page };
	if (u16_at(p + 4) != flags || tree->depth > DEPTH_MAX)
		return false;
	return tree->root == TREE_EMPTY ? !tree->depth : tree->depth && tree->root >= 2 && tree->root <= last_page;
}

int meta_parse(const uint8_t b[META_BYTES], struct meta *meta)
{
	uint32_t size = u32_at(b + 40);

	if (u16_at(b + 10) != PAGE_META || u32_at(b + 16) != META_MAGIC)
		return err_set(EIO, "not an LMDB file");
	if (u32_at(b + 20) != META_VERSION)
		return err_set(EIO, "written by another version of LMDB (format %u)", u32_at(b + 20));
	meta->page_size = size;
	meta->txn = u64_at(b + 144);
	if (size < 512 || size > PAGE_SIZE_MAX || size & (size - 1) ||
	    u64_at(b + 136) > UINT64_MAX / PAGE_SIZE_MAX - 1 ||
	    !tree_parse(b + 40, u64_at(b + 136), TREE_INTEGER_KEYS, &meta->free) ||
	    !tree_parse(b + 88, u64_at(b + 136), 0, &meta->main))
		return err_set(EIO, "a meta page is damaged");
	return 0;
}

/* --- pages ----------------------------------------------------------------------------------------------------- */

/* Bytes of `count` pages from number on, when they are all there, the first says that it is that page, and of this
 * kind. */
static const uint8_t *page_bytes(const struct walk *w, uint64_t number, uint64_t count, uint16_t kind)
{
	uint64_t have = w->pages->len / w->pages->page_size;
	const uint8_t *p;

	if (number < 2 || number > w->tree.last_page || count > w->tree.last_page - number + 1 || number >= have ||
	    count > have - number)
		return NULL;
	p = w->pages->map + number * w->pages->page_size;
	return u64_at(p) == number && u16_at(p + 10) == kind ? p : NULL;
}

static const uint8_t *node_at(const struct page *page, unsigned i)
{
	return page->at + u16_at(page->at + PAGE_HEAD + 2 * i);
}

static struct bytes node_key(const struct page *page, unsigned i)
{
	const uint8_t *node = node_at(page, i);

	return (struct bytes) { node + NODE_HEAD, u16_at(node + 6) };
}

static uint32_t node_data_len(const uint8_t *node)
{
	return u16_at(node) | (uint32_t)u16_at(node + 2) << 16;
}

/* Bytes that a node takes in its page; 0 when it cannot be one. left: bytes to the end of the page. */
static size_t node_size(const uint8_t *node, size_t left, uint16_t kind)
{
	size_t size, data = 0;

	if (left < NODE_HEAD || u16_at(node + 6) > LMDB_KEY_MAX)
		return 0;
	if (kind == PAGE_LEAF) {
		if (u16_at(node + 4) & ~NODE_BIG)
			return 0;
		data = u16_at(node + 4) & NODE_BIG ? 8 : node_data_len(node);
	}
	size = (NODE_HEAD + u16_at(node + 6) + data + 1) & ~(size_t)1;
	return size <= left ? size : 0;
}

/* Is it a page whose nodes lie in it and fill it exactly? */
static bool page_sound(const uint8_t *p, uint32_t page_size, uint16_t kind)
{
	unsigned lower = u16_at(p + 12), upper = u16_at(p + 14), first = kind == PAGE_BRANCH;
	size_t sum = 0;

	if (lower <= PAGE_HEAD || lower & 1 || lower > upper || upper > page_size)
		return false;
	for (unsigned i = 0; i < (lower - PAGE_HEAD) / 2; i++) {
		unsigned off = u16_at(p + PAGE_HEAD + 2 * i);
		size_t size;

		if (off < upper || off >= page_size)
			return false;
		size = node_size(p + off, page_size - off, kind);
		if (!size || (i >= first && !u16_at(p + off + 6)))
			return false;
		sum += size;
	}
	return sum == page_size - upper;
}

/* Loads page `number` as level `level`, in front of its first node. Its keys must lie within low and high. */
static int load(struct walk *w, int level, uint64_t number, struct bytes low, struct bytes high)
{
	uint16_t kind = level == w->tree.depth - 1 ? PAGE_LEAF : PAGE_BRANCH;
	const uint8_t *p = page_bytes(w, number, 1, kind);
	struct page page = { .at = p };
	unsigned first = kind == PAGE_BRANCH; /* a branch's first key is not used */

	if (!p || !page_sound(p, w->pages->page_size, kind))
		return err_set(EIO, "page %" PRIu64 " is damaged", number);
	page.count = (u16_at(p + 12) - PAGE_HEAD) / 2;
	if (w->ordered && page.count > first &&
	    ((low.at && bytes_compare(node_key(&page, first), low) < 0) ||
	     (high.at && bytes_compare(node_key(&page, page.count - 1), high) >= 0)))
		return err_set(EIO, "page %" PRIu64 " is damaged or in the wrong place", number);
	w->level[level].page = page;
	w->level[level].index = UINT32_MAX;
	w->level[level].low = low;
	w->level[level].high = high;
	return 0;
}

/* Loads child i of the page on a level. */
static int load_child(struct walk *w, int level, unsigned i)
{
	const struct page *page = &w->level[level].page;
	const uint8_t *node = node_at(page, i);
	struct bytes low = i ? node_key(page, i) : w->level[level].low;
	struct bytes high = i + 1 < page->count ? node_key(page, i + 1) : w->level[level].high;

	return load(w, level + 1, node_data_len(node) | (uint64_t)u16_at(node + 4) << 32, low, high);
}

/* --- walking --------------------------------------------------------------------------------------------------- */

void walk_init(struct walk *w, const struct pages *pages, const struct tree *tree)
{
	w->pages = pages;
	w->tree = *tree;
	w->ordered = true;
	w->top = -1;
}

/* The first node of from .. count-1 whose key is >= key (or > key, with after); count when there is none. */
static unsigned search(const struct page *page, unsigned from, struct bytes key, bool after)
{
	unsigned to = page->count;

	while (from < to) {
		unsigned mid = from + (to - from) / 2;

		if (bytes_compare(node_key(page, mid), key) < after)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

/* Data of a leaf's node. 0, -EIO. */
static int leaf_entry(const struct walk *w, unsigned i, struct stored_entry *e)
{
	const struct page *page = &w->level[w->top].page;
	const uint8_t *node = node_at(page, i), *big;
	uint64_t number, count;
	size_t len = node_data_len(node);

	e->key = node_key(page, i);
	e->data = (struct bytes) { e->key.at + e->key.len, len };
	if (!(u16_at(node + 4) & NODE_BIG))
		return 0;
	number = u64_at(e->data.at);
	count = (PAGE_HEAD + len + w->pages->page_size - 1) / w->pages->page_size;
	big = page_bytes(w, number, count, PAGE_OVERFLOW);
	e->data = (struct bytes) { 0 };
	if (!big || u32_at(big + 12) != count)
		return err_set(EIO, "page %" PRIu64 " is damaged", number);
	e->data = (struct bytes) { big + PAGE_HEAD, len };
	return 0;
}

static int check_node(const struct walk *w, unsigned i)
{
	struct stored_entry e;
	struct bytes value;
	int rc = leaf_entry(w, i, &e);

	return rc ? rc : stored_value(&e, &value);
}

/* Loads the leaf behind (step 1) or in front (-1) of the present one in a copy of the walk; none is fine. 0, -EIO. */
static int check_leaf_beside(const struct walk *w, int step)
{
	struct walk other = *w;
	int level = w->top - 1, rc;

	while (level >= 0 &&
	       (step < 0 ? !w->level[level].index : w->level[level].index + 1 >= w->level[level].page.count))
		level--;
	if (level < 0)
		return 0;
	other.level[level].index += (unsigned)step;
	for (; level < w->top; level++) {
		rc = load_child(&other, level, other.level[level].index);
		if (rc)
			return rc;
		other.level[level + 1].index = step < 0 ? other.level[level + 1].page.count - 1 : 0;
	}
	return 0;
}

/*
 * A key was not found at node i of its leaf. Before this is believed: a flipped bit in a key sends the search past the
 * right node, but never farther than beside it, so the nodes on both sides must match their checksums; and a flipped
 * bit in a branch's key sends it into a neighbouring leaf, whose keys then overlap with the next one's.
 */
static int check_absent(const struct walk *w, unsigned i)
{
	unsigned count = w->level[w->top].page.count;
	int rc = 0;

	if (i > 0)
		rc = check_node(w, i - 1);
	else
		rc = check_leaf_beside(w, -1);
	if (rc)
		return rc;
	return i < count ? check_node(w, i) : check_leaf_beside(w, 1);
}

int walk_seek(struct walk *w, struct bytes key)
{
	static const struct bytes open_end;
	unsigned i;
	int rc;

	w->top = -1;
	if (w->tree.root == TREE_EMPTY)
		return 0;
	rc = load(w, 0, w->tree.root, open_end, open_end);
	if (rc)
		return rc;
	for (w->top = 0; w->top < w->tree.depth - 1; w->top++) {
		i = key.at ? search(&w->level[w->top].page, 1, key, true) - 1 : 0;
		w->level[w->top].index = i;
		rc = load_child(w, w->top, i);
		if (rc)
			return rc;
	}
	if (!key.at)
		return 0;
	i = search(&w->level[w->top].page, 0, key, false);
	w->level[w->top].index = i - 1; /* UINT32_MAX in front of the first */
	if (i < w->level[w->top].page.count && !bytes_compare(node_key(&w->level[w->top].page, i), key))
		return 1;
	return check_absent(w, i);
}

int walk_next(struct walk *w, struct stored_entry *e)
{
	*e = (struct stored_entry) { 0 };
	while (w->top >= 0) {
		unsigned i = ++w->level[w->top].index;
		int rc;

		if (i >= w->level[w->top].page.count) {
			w->top--;
			continue;
		}
		if (w->top == w->tree.depth - 1) {
			rc = leaf_entry(w, i, e);
			return rc ? rc : 1;
		}
		rc = load_child(w, w->top, i);
		if (rc)
			return rc;
		w->top++;
	}
	return 0;
}

/* Are all keys of a level's page in order? Else LMDB's search may end elsewhere than ours. */
static int check_sorted(const struct walk *w, int level)
{
	const struct page *page = &w->level[level].page;

	for (unsigned i = level == w->tree.depth - 1 ? 1 : 2; i < page->count; i++)
		if (bytes_compare(node_key(page, i - 1), node_key(page, i)) >= 0)
			return err_set(EIO, "page %" PRIu64 " is damaged: its keys are not in order", u64_at(page->at));
	return 0;
}

/* Child i of the page on a level, loaded and put away again. */
static int check_child(struct walk *w, int level, unsigned i)
{
	int rc = load_child(w, level, i);

	return rc ? rc : check_sorted(w, level + 1);
}

int walk_check_way(const struct walk *w, bool beside)
{
	struct walk other = *w;
	int rc = 0;

	for (int level = 0; !rc && level <= w->top; level++) {
		unsigned i = w->level[level].index;

		other.level[level] = w->level[level];
		rc = check_sorted(w, level);
		if (level == w->top || !beside)
			continue;
		if (!rc && i > 0)
			rc = check_child(&other, level, i - 1);
		if (!rc && i + 1 < w->level[level].page.count)
			rc = check_child(&other, level, i + 1);
	}
	return rc;
}

/* --- values ---------------------------------------------------------------------------------------------------- */

uint64_t stored_check(struct bytes key, const void *value, size_t value_len)
{
	return XXH3_64bits_withSeed(value, value_len, XXH3_64bits(key.at, key.len));
}

int stored_value(const struct stored_entry *e, struct bytes *value)
{
	uint64_t check = 0;

	if (e->data.len < STORED_CHECK)
		return err_set(EIO, "a value is damaged");
	for (int i = 0; i < STORED_CHECK; i++)
		check |= (uint64_t)e->data.at[i] << (8 * i);
	*value = (struct bytes) { e->data.at + STORED_CHECK, e->data.len - STORED_CHECK };
	if (check != stored_check(e->key, value->at, value->len))
		return err_set(EIO, "a value does not match its checksum");
	return 0;
}
