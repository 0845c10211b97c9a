#include "tests/lib/disk_work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/file.h"
#include "fs/node.h"
#include "index/catalog_internal.h"
#include "store/directory_internal.h"
#include "store/journal_internal.h"
#include "store/store_internal.h"
#include "store/xxh3.h"
#include "tests/lib/disk.h"
#include "tests/lib/random.h"

enum {
	NODES_MAX = 64,
	BYTES_MAX = 700 << 10,
	PASS_NS = 500000000, /* the clock goes on by this much at a time ... */
	PASSES = 10,	     /* ... to five seconds */
	WAIT_US = 200,
	WAITS_MAX = 100000, /* then something hangs */
};

struct live { /* a file or folder that has a name */
	uint64_t ino, parent;
	char name[32];
	bool is_dir;
	size_t file; /* in the history */
	struct handle *handle;
	uint8_t *bytes;
	size_t len;
};

struct work {
	struct fs *fs;
	const struct work_plan *plan;
	struct deeds *h;
	struct live nodes[NODES_MAX];
	size_t count;
	uint64_t rng;
	unsigned serial;
	char *text; /* of the present step */
	bool failing;
};

/* ---- what is there ---- */

static int hash_tags(struct catalog *c, uint32_t dataset, uint64_t *sum)
{
	struct dataset_row row;
	struct term *list;
	size_t count;
	int rc = dataset ? catalog_dataset(c, dataset, &row) : -ENOENT;

	if (rc)
		return 0;
	rc = catalog_tags(c, dataset, &list, &count);
	for (size_t i = 0; !rc && i < count; i++)
		*sum = *sum * 31 + XXH3_64bits(list[i].text, strlen(list[i].text));
	if (!rc)
		free(list);
	return rc;
}

static int hash_folder(struct catalog *c, uint64_t folder, const char *path, uint64_t *sum)
{
	scope_entries struct entries entries = { 0 };
	int rc = catalog_list(c, folder, &entries);

	for (size_t i = 0; !rc && i < entries.count; i++) {
		scope_buf struct buf value = { 0 };
		struct node_row row;
		uint64_t one[4];
		char below[1024];

		if (!*path && strncmp(entries.list[i].name, "again", 5) == 0)
			continue;
		snprintf(below, sizeof below, "%s/%s", path, entries.list[i].name);
		rc = catalog_node(c, entries.list[i].ino, &row);
		if (rc)
			break;
		one[0] = XXH3_64bits(below, strlen(below));
		one[1] = row.ino;
		one[2] = row.mode;
		one[3] = 0;
		if (!catalog_xattr(c, row.ino, "user.k", &value))
			one[3] = XXH3_64bits(value.data, value.len);
		rc = hash_tags(c, row.dataset, &one[3]);
		*sum += XXH3_64bits(one, sizeof one);
		if (!rc && S_ISDIR(row.mode))
			rc = hash_folder(c, row.ino, below, sum);
	}
	return rc;
}

int work_names(struct catalog *c, uint64_t *hash)
{
	*hash = 0;
	return hash_folder(c, INO_DATASETS, "", hash);
}

struct records {
	uint64_t *list;
	size_t count;
};

static int add_record(void *ctx, const struct journal_record *r)
{
	struct records *all = ctx;
	uint64_t one[4] = { r->seq, (uint64_t)r->time_ns, r->kind, XXH3_64bits(r->body, r->body_len) };

	if (!(all->count & (all->count - 1)))
		all->list = realloc(all->list, (all->count ? all->count * 2 : 1) * sizeof *all->list);
	if (!all->list)
		abort();
	all->list[all->count++] = XXH3_64bits(one, sizeof one);
	return 0;
}

int work_records(struct journal *journal, uint64_t **list, size_t *count)
{
	struct records all = { 0 };
	int rc = journal_replay(journal, 1, add_record, &all);

	*list = all.list;
	*count = all.count;
	return rc;
}

void work_tiny(struct store *store, struct journal *journal, uint64_t seed)
{
	directory_limits = (struct directory_limits) { .flush_entries = 8 + seed % 5,
						       .flush_packs = 2 + seed % 3,
						       .batch_entries = 20,
						       .tier_entries = 6,
						       .tier_runs = 2 + seed % 2,
						       .large_entries = 60,
						       .filter_bytes = 200,
						       .filters_bytes = 500 };
	store->seal_bytes = (20 << 10) + seed % 7 * (40 << 10);
	journal->seal_bytes = 700 + seed % 5 * 2000;
}

/* ---- remembering ---- */

static void *grown(void *list, size_t count, size_t each)
{
	if (count & (count - 1))
		return list;
	list = realloc(list, (count ? count * 2 : 1) * each);
	if (!list)
		abort();
	return list;
}

static void add_version(struct work *w, const struct live *n)
{
	struct tracked *t = &w->h->files[n->file];

	t->list = grown(t->list, t->count, sizeof *t->list);
	t->list[t->count++] = (struct version) { XXH3_64bits(n->bytes, n->len), n->len };
}

static void add_names(struct work *w)
{
	struct deeds *h = w->h;
	uint64_t hash;

	if (work_names(w->fs->catalog, &hash))
		return; /* a failing disk; what follows says so */
	if (h->name_count && h->names[h->name_count - 1] == hash)
		return;
	h->names = grown(h->names, h->name_count, sizeof *h->names);
	h->names[h->name_count++] = hash;
}

static void begin_step(struct work *w)
{
	struct deeds *h = w->h;
	struct work_step step = { .names_from = 0 };

	if (h->step_count) {
		step.names_from = h->steps[h->step_count - 1].names_from;
		step.seq = h->steps[h->step_count - 1].seq;
	}
	h->steps = grown(h->steps, h->step_count, sizeof *h->steps);
	h->steps[h->step_count] = step;
	w->text = h->steps[h->step_count].text;
	disk_mark(h->step_count++);
}

/* What was promised before the step, and what there was after it. */
static void bound_step(struct work *w, const size_t *promised, size_t files_before)
{
	struct deeds *h = w->h;
	struct work_step *s = &h->steps[h->step_count - 1];

	add_names(w);
	s->names_to = h->name_count - 1;
	s->file_count = h->file_count;
	s->files = calloc(h->file_count + 1, sizeof *s->files);
	if (!s->files)
		abort();
	for (size_t i = 0; i < h->file_count; i++)
		s->files[i] = (struct work_bounds) { i < files_before ? promised[i] : 0, h->files[i].count - 1, h->files[i].any };
}

/* In the step that follows. */
static void promise_names(struct work *w)
{
	struct work_step *s = &w->h->steps[w->h->step_count - 1];
	uint64_t hash;

	add_names(w);
	if (work_names(w->fs->catalog, &hash) == 0 && w->h->names[w->h->name_count - 1] == hash)
		s->names_from = w->h->name_count - 1;
	s->seq = journal_durable(w->fs->journal);
}

static void promise_file(struct work *w, const struct live *n)
{
	struct tracked *t = &w->h->files[n->file];

	if (!t->any)
		t->promised = t->count - 1;
}

static void promise_closed(struct work *w, bool also_open)
{
	for (size_t i = 0; i < w->count; i++)
		if (!w->nodes[i].is_dir && (also_open || !w->nodes[i].handle))
			promise_file(w, &w->nodes[i]);
}

__attribute__((format(printf, 2, 3))) static void say(struct work *w, const char *fmt, ...)
{
	size_t len = strlen(w->text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(w->text + len, sizeof w->h->steps->text - len, fmt, args);
	va_end(args);
}

/* ---- picking ---- */

static uint64_t below(struct work *w, uint64_t bound)
{
	return random_below(&w->rng, bound);
}

static struct node node_of(uint64_t ino)
{
	return (struct node) { .number = ino, .ops = &node_ops_real };
}

static struct live *pick(struct work *w, bool is_dir)
{
	size_t n = 0, want;

	for (size_t i = 0; i < w->count; i++)
		n += w->nodes[i].is_dir == is_dir;
	if (!n)
		return NULL;
	want = below(w, n);
	for (size_t i = 0; i < w->count; i++)
		if (w->nodes[i].is_dir == is_dir && !want--)
			return &w->nodes[i];
	return NULL;
}

static struct live *pick_open(struct work *w)
{
	for (int tries = 0; tries < 8; tries++) {
		struct live *n = pick(w, false);

		if (n && n->handle)
			return n;
	}
	return NULL;
}

static uint64_t pick_folder(struct work *w)
{
	struct live *d = below(w, 4) ? pick(w, true) : NULL;

	return d ? d->ino : INO_DATASETS;
}

/* Pseudo-random, half of it zeros, from few sources, so that some bytes come again in other files. */
static void fill(struct work *w, uint8_t *to, size_t len)
{
	uint64_t source = below(w, 5) ? below(w, 12) : random_next(&w->rng);

	for (size_t at = 0; at < len; at += 512) {
		size_t n = len - at < 512 ? len - at : 512;

		memset(to + at, (int)(at >> 9), n);
		random_fill(to + at, n < 192 ? n : 192, source * 1000003 + at);
	}
}

static size_t pick_len(struct work *w)
{
	switch (below(w, 12)) {
	case 0:
		return 1 + below(w, 20);
	case 1:
		return (100 << 10) + below(w, 200 << 10);
	case 2:
		return 16384;
	case 3:
		return 1 + below(w, 60000);
	default:
		return 1 + below(w, 9000);
	}
}

static void drop_node(struct work *w, struct live *n)
{
	free(n->bytes);
	*n = w->nodes[--w->count];
}

/* ---- steps ---- */

static int do_mkdir(struct work *w)
{
	uint64_t parent = pick_folder(w);
	struct live n = { .parent = parent, .is_dir = true };
	struct node at = node_of(parent), made;
	int rc;

	snprintf(n.name, sizeof n.name, "d%u", w->serial++);
	say(w, "mkdir %s", n.name);
	rc = node_mkdir(w->fs, &caller_self, &at, n.name, 0755, &made);
	n.ino = made.number;
	if (!rc)
		w->nodes[w->count++] = n;
	return rc;
}

static int new_file(struct work *w, uint64_t parent, struct live **out)
{
	struct live n = { .parent = parent };
	struct deeds *h = w->h;
	struct node at = node_of(parent), made;
	int rc;

	snprintf(n.name, sizeof n.name, "f%u%s", w->serial++, below(w, 4) ? "" : ".raw");
	say(w, "create %s ", n.name);
	rc = node_create(w->fs, &caller_self, &at, n.name, 0644, &made);
	if (!rc)
		rc = node_open(w->fs, &caller_self, &made, O_RDWR, &n.handle);
	if (rc)
		return rc;
	add_names(w); /* a step may make several things, and the cut falls between them */
	n.ino = made.number;
	n.file = h->file_count;
	n.bytes = malloc(1);
	h->files = grown(h->files, h->file_count, sizeof *h->files);
	h->files[h->file_count] = (struct tracked) { .ino = n.ino };
	snprintf(h->files[h->file_count++].name, sizeof h->files->name, "%s", n.name);
	add_version(w, &n);
	*out = &w->nodes[w->count++];
	**out = n;
	return 0;
}

/* What the failed write left, if it can be read. */
static void look_again(struct work *w, struct live *n)
{
	uint8_t *bytes = malloc(BYTES_MAX + 1);
	int64_t len = bytes && n->handle ? node_read(w->fs, n->handle, 0, bytes, BYTES_MAX) : -1;

	if (len < 0) {
		w->h->files[n->file].any = true;
		free(bytes);
		return;
	}
	free(n->bytes);
	n->bytes = bytes;
	n->len = (size_t)len;
	add_version(w, n);
}

static int put(struct work *w, struct live *n, size_t off, size_t len)
{
	int64_t rc;

	if (off + len > BYTES_MAX)
		return 0;
	if (off + len > n->len) {
		n->bytes = realloc(n->bytes, off + len);
		if (!n->bytes)
			abort();
		memset(n->bytes + n->len, 0, off + len - n->len);
		n->len = off + len;
	}
	fill(w, n->bytes + off, len);
	say(w, "write %s %zu+%zu ", n->name, off, len);
	add_version(w, n);
	rc = node_write(w->fs, &caller_self, n->handle, off, n->bytes + off, len);
	if (rc == (int64_t)len)
		return 0;
	look_again(w, n);
	return rc < 0 ? (int)rc : -EIO;
}

static int close_it(struct work *w, struct live *n)
{
	int rc = node_flush(w->fs, &caller_self, n->handle), rc2;

	say(w, "close %s ", n->name);
	rc2 = node_close(w->fs, &caller_self, n->handle);
	n->handle = NULL;
	if (rc || rc2)
		w->h->files[n->file].any = true; /* it is what was saved before, or not; what was promised holds */
	return rc ? rc : rc2;
}

static int sync_it(struct work *w, struct live *n)
{
	int rc = node_fsync(w->fs, &caller_self, n->handle);

	say(w, "fsync %s ", n->name);
	if (!rc) {
		promise_file(w, n);
		promise_names(w);
	}
	return rc;
}

static int do_new(struct work *w)
{
	struct live *n;
	int rc = new_file(w, pick_folder(w), &n);

	for (uint64_t parts = below(w, 3); !rc && parts--;)
		rc = put(w, n, n->len, pick_len(w));
	if (!rc && !below(w, 3))
		rc = sync_it(w, n);
	if (!rc && below(w, 3))
		rc = close_it(w, n);
	return rc;
}

static int do_small(struct work *w)
{
	uint64_t folder = pick_folder(w);
	struct live *n;
	int rc = 0;

	for (size_t i = 0; !rc && i < 6 && w->count < NODES_MAX - 2; i++) {
		rc = new_file(w, folder, &n);
		if (!rc)
			rc = put(w, n, 0, 1 + below(w, 1500));
		if (!rc)
			rc = close_it(w, n);
	}
	return rc;
}

static int ensure_open(struct work *w, struct live *n)
{
	struct node at = node_of(n->ino);

	return n->handle ? 0 : node_open(w->fs, &caller_self, &at, O_RDWR, &n->handle);
}

static int do_write(struct work *w)
{
	struct live *n = pick_open(w);
	size_t off;
	int rc;

	if (!n)
		n = pick(w, false);
	if (!n)
		return 0;
	rc = ensure_open(w, n);
	if (rc)
		return rc;
	off = below(w, 3) ? n->len : below(w, n->len + 1);
	if (!below(w, 8))
		off = n->len + below(w, 30000);
	rc = put(w, n, off, pick_len(w));
	if (!rc && !below(w, 4))
		rc = sync_it(w, n);
	return rc;
}

static int do_fsync(struct work *w)
{
	struct live *n = pick_open(w);

	return n ? sync_it(w, n) : 0;
}

static int do_close(struct work *w)
{
	struct live *n = pick_open(w);

	return n ? close_it(w, n) : 0;
}

static int do_replace(struct work *w)
{
	struct live *old = pick(w, false), *n;
	size_t place = old ? (size_t)(old - w->nodes) : 0;
	struct node at;
	int rc;

	if (!old || old->handle)
		return 0;
	rc = new_file(w, old->parent, &n);
	if (!rc)
		rc = put(w, n, 0, pick_len(w));
	if (!rc && below(w, 2))
		rc = sync_it(w, n);
	if (!rc)
		rc = close_it(w, n);
	if (rc)
		return rc;
	old = &w->nodes[place];
	n = &w->nodes[w->count - 1];
	say(w, "rename %s over %s", n->name, old->name);
	at = node_of(n->parent);
	rc = node_rename(w->fs, &caller_self, &at, n->name, &at, old->name, 0);
	if (rc)
		return rc;
	memcpy(n->name, old->name, sizeof n->name);
	drop_node(w, old);
	return 0;
}

static bool is_in(struct work *w, uint64_t folder, uint64_t in)
{
	while (folder != INO_DATASETS && folder != in)
		for (size_t i = 0; i < w->count; i++)
			if (w->nodes[i].ino == folder) {
				folder = w->nodes[i].parent;
				break;
			}
	return folder == in;
}

static int do_rename(struct work *w)
{
	struct live *n = pick(w, !below(w, 4));
	uint64_t to = pick_folder(w);
	struct node from_at, to_at = node_of(to);
	char name[32];
	int rc;

	if (!n || (n->is_dir && is_in(w, to, n->ino)))
		return 0;
	snprintf(name, sizeof name, "r%u", w->serial++);
	say(w, "rename %s to %s%s", n->name, n->parent == to ? "" : "another folder/", name);
	from_at = node_of(n->parent);
	rc = node_rename(w->fs, &caller_self, &from_at, n->name, &to_at, name, 0);
	if (rc)
		return rc;
	n->parent = to;
	memcpy(n->name, name, sizeof n->name);
	return 0;
}

static int do_remove(struct work *w)
{
	struct live *n = pick(w, !below(w, 5));
	struct node at;
	int rc;

	if (!n || n->handle)
		return 0;
	for (size_t i = 0; i < w->count; i++)
		if (w->nodes[i].parent == n->ino)
			return 0;
	say(w, "remove %s", n->name);
	at = node_of(n->parent);
	rc = (n->is_dir ? node_rmdir : node_unlink)(w->fs, &caller_self, &at, n->name);
	if (!rc)
		drop_node(w, n);
	return rc;
}

static int do_truncate(struct work *w)
{
	struct live *n = pick(w, false);
	struct attr_change change = { .set = CHANGE_SIZE };
	struct node at;
	size_t len;
	int rc;

	if (!n)
		return 0;
	len = below(w, 3) ? below(w, n->len + 1) : n->len + below(w, 5000);
	len = below(w, 6) ? len : 0;
	if (len > BYTES_MAX)
		return 0;
	say(w, "truncate %s %s to %zu", n->handle ? "open" : "closed", n->name, len);
	n->bytes = realloc(n->bytes, len + 1);
	if (!n->bytes)
		abort();
	if (len > n->len)
		memset(n->bytes + n->len, 0, len - n->len);
	n->len = len;
	add_version(w, n);
	change.size = len;
	change.handle = n->handle;
	at = node_of(n->ino);
	rc = node_set_attr(w->fs, &caller_self, &at, &change);
	if (rc)
		look_again(w, n);
	return rc;
}

static int do_attr(struct work *w)
{
	struct attr_change change = { .set = CHANGE_MODE, .mode = 0600 + (uint32_t)below(w, 64) };
	struct live *n = pick(w, below(w, 2));
	char value[32];
	struct node at;

	if (!n)
		return 0;
	at = node_of(n->ino);
	snprintf(value, sizeof value, "v%u", w->serial++);
	if (below(w, 2)) {
		say(w, "chmod %s %o", n->name, change.mode);
		return node_set_attr(w->fs, &caller_self, &at, &change);
	}
	if (n->parent == INO_DATASETS && below(w, 2)) {
		say(w, "tag %s %s", n->name, value);
		return node_xattr_set(w->fs, &caller_self, &at, "user.xdg.tags", value, strlen(value), 0);
	}
	say(w, "setfattr %s %s", n->name, value);
	return node_xattr_set(w->fs, &caller_self, &at, "user.k", value, strlen(value), 0);
}

static int do_clone(struct work *w)
{
	struct live *src = pick(w, false), *n;
	uint64_t ino;
	struct file *file;
	int rc;

	if (!src)
		return 0;
	ino = src->ino;
	rc = new_file(w, pick_folder(w), &n);
	if (rc)
		return rc;
	for (size_t i = 0; i < w->count; i++)
		if (w->nodes[i].ino == ino)
			src = &w->nodes[i];
	say(w, "clone %s", src->name);
	n->bytes = realloc(n->bytes, src->len + 1);
	if (!n->bytes)
		abort();
	memcpy(n->bytes, src->bytes, src->len);
	n->len = src->len;
	add_version(w, n);
	rc = file_open(w->fs->files, ino, false, &file);
	if (rc)
		return rc;
	rc = file_clone(file, n->handle->file, &caller_self);
	if (rc)
		look_again(w, n);
	file_release(file, &caller_self, false);
	return rc;
}

static int do_sync(struct work *w)
{
	int rc = files_commit_all(w->fs->files);

	say(w, "sync");
	if (!rc)
		rc = catalog_sync(w->fs->catalog);
	if (rc)
		return rc;
	promise_closed(w, true);
	promise_names(w);
	return 0;
}

/* Is all that was closed in the journal, on the disk? */
static bool is_settled(struct work *w)
{
	for (size_t i = 0; i < w->count; i++)
		if (!w->nodes[i].is_dir && !w->nodes[i].handle && files_writing(w->fs->files, w->nodes[i].ino))
			return false;
	return journal_durable(w->fs->journal) == journal_last(w->fs->journal);
}

/* Five seconds. */
static int do_pass(struct work *w)
{
	say(w, "5 s pass");
	for (int i = 0; i < PASSES; i++) {
		disk_pass(PASS_NS);
		for (int waits = 0; waits < 20 && !is_settled(w); waits++)
			usleep(WAIT_US);
	}
	for (int waits = 0; !is_settled(w); waits++) {
		if (w->failing)
			return -EIO;
		if (waits == WAITS_MAX)
			return -ETIME;
		usleep(WAIT_US);
	}
	promise_closed(w, false);
	promise_names(w);
	return 0;
}

static int do_checkpoint(struct work *w)
{
	say(w, "commit of the index");
	return catalog_commit(w->fs->catalog);
}

static int do_recode(struct work *w)
{
	struct store_recode_options options = { .threads = 1 };
	struct store_recode_result result;

	say(w, "recode");
	return store_recode(w->fs->store, &options, &result);
}

static const struct {
	int (*deed)(struct work *w);
	unsigned weight;
} deeds[] = {
	{ do_mkdir, 3 },    { do_new, 8 },	{ do_small, 2 },  { do_write, 8 },    { do_fsync, 5 },
	{ do_close, 6 },    { do_replace, 4 },	{ do_rename, 3 }, { do_remove, 3 },   { do_truncate, 4 },
	{ do_attr, 3 },	    { do_clone, 2 },	{ do_sync, 2 },	  { do_pass, 2 },     { do_checkpoint, 3 },
	{ do_recode, 1 },
};

static int one_step(struct work *w)
{
	unsigned all = 0, at = 0;
	uint64_t hit;

	for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++)
		all += deeds[i].weight;
	hit = below(w, all);
	while (hit >= deeds[at].weight)
		hit -= deeds[at++].weight;
	return w->count >= NODES_MAX - 8 && (deeds[at].deed == do_small || deeds[at].deed == do_new) ? 0 : deeds[at].deed(w);
}

static int bounded(struct work *w, int (*deed)(struct work *w))
{
	struct deeds *h = w->h;
	size_t before = h->file_count;
	size_t *promised = malloc((before + 1) * sizeof *promised);
	struct work_step *s;
	size_t names_from;
	uint64_t seq;
	int rc;

	if (!promised)
		abort();
	for (size_t i = 0; i < before; i++)
		promised[i] = h->files[i].promised;
	begin_step(w);
	s = &h->steps[h->step_count - 1];
	names_from = s->names_from;
	seq = s->seq;
	rc = deed(w);
	bound_step(w, promised, before);
	free(promised);
	/* What the step promised holds from the next one on. */
	begin_step(w);
	bound_step(w, NULL, 0);
	for (size_t i = 0; i < h->file_count; i++)
		h->steps[h->step_count - 1].files[i].from = h->files[i].promised;
	s = &h->steps[h->step_count - 2];
	s->names_from = names_from;
	s->seq = seq;
	s->rc = rc;
	return rc;
}

static int open_fs(struct work *w, const char *folder)
{
	struct fs_options options = { .store = folder, .cache_bytes = 4 << 20, .dense_after = UINT32_MAX };
	int rc = fs_open(&w->fs, &options);

	if (!rc)
		work_tiny(w->fs->store, w->fs->journal, w->plan->seed);
	return rc;
}

static char *sentence(const char *what, const struct work *w, int rc)
{
	const struct deeds *h = w->h;
	char *text;

	if (asprintf(&text, "%s: %s: %s (%s)", what, h->step_count > 1 ? h->steps[h->step_count - 2].text : "",
		     strerror(-rc), err_text()) < 0)
		abort();
	return text;
}

static char *work_steps(struct work *w)
{
	const struct work_plan *plan = w->plan;

	begin_step(w);
	bound_step(w, NULL, 0);
	for (size_t i = 0; i < plan->steps; i++) {
		int rc;

		w->rng = plan->seed * 1000 + i; /* a step that is left out changes no other */
		if (i < WORK_SKIP_MAX && plan->skip[i])
			continue;
		if (i == plan->fail_step) {
			disk_fail(plan->fail_kinds, plan->fail_nth, plan->fail_code, plan->fail_on);
			w->failing = true;
		}
		rc = bounded(w, one_step);
		if (rc && !w->failing)
			return sentence("a step failed", w, rc);
	}
	return NULL;
}

static int close_fs(struct work *w)
{
	int rc = fs_close(w->fs);

	w->fs = NULL;
	return rc;
}

/* All that is still open is closed, and then the store: what this says is a promise too. */
static char *finish(struct work *w)
{
	struct deeds *h = w->h;
	struct work_step last;
	int rc = 0;

	for (size_t i = 0; i < w->count; i++)
		if (w->nodes[i].handle && close_it(w, &w->nodes[i]))
			rc = -EIO;
	rc = close_fs(w) || rc ? -EIO : 0;
	if (rc && !w->failing)
		return sentence("closing", w, rc);
	if (rc)
		return NULL;
	promise_closed(w, true);
	begin_step(w);
	last = h->steps[h->step_count - 2];
	h->steps[h->step_count - 1] = last;
	snprintf(h->steps[h->step_count - 1].text, sizeof last.text, "closed");
	h->steps[h->step_count - 1].names_from = last.names_to;
	h->steps[h->step_count - 1].files = calloc(h->file_count + 1, sizeof *last.files);
	for (size_t i = 0; i < h->file_count; i++)
		h->steps[h->step_count - 1].files[i] =
		    (struct work_bounds) { h->files[i].promised, h->files[i].count - 1, h->files[i].any };
	return NULL;
}

/* All that were ever written. */
static char *read_records(struct work *w, const char *folder)
{
	struct store_options options = { .cache_bytes = 256 << 10, .threads = 1 };
	struct journal *journal = NULL;
	struct store *store;
	int rc = store_open(&store, folder, &options);

	if (rc)
		return sentence("opening again", w, rc);
	rc = journal_open(&journal, store);
	if (!rc)
		rc = work_records(journal, &w->h->records, &w->h->record_count);
	journal_close(journal);
	store_close(store);
	return rc ? sentence("the journal", w, rc) : NULL;
}

char *work_run(const char *folder, const struct work_plan *plan, struct deeds *history, struct disk_trace **trace)
{
	struct work w = { .plan = plan, .h = history };
	char *failure;
	int rc;

	memset(history, 0, sizeof *history);
	*trace = NULL;
	disk_seed(plan->seed);
	rc = store_create(folder);
	if (rc)
		return sentence("making the store", &w, rc);
	disk_begin(folder);
	rc = open_fs(&w, folder);
	failure = rc ? sentence("opening", &w, rc) : work_steps(&w);
	if (!failure)
		failure = finish(&w);
	if (w.fs)
		fs_close(w.fs);
	for (size_t i = 0; i < w.count; i++)
		free(w.nodes[i].bytes);
	*trace = disk_end();
	return failure ? failure : read_records(&w, folder);
}

void deeds_free(struct deeds *h)
{
	for (size_t i = 0; i < h->file_count; i++)
		free(h->files[i].list);
	for (size_t i = 0; i < h->step_count; i++)
		free(h->steps[i].files);
	free(h->files);
	free(h->names);
	free(h->steps);
	free(h->records);
	memset(h, 0, sizeof *h);
}
