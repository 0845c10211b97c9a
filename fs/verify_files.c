/* Goes through the contents of all files and finds those that name chunks which cannot be read. */
#include "fs/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "index/catalog_history.h"
#include "store/err.h"
#include "store/suspect.h"

enum { LOADS_MAX = 1 << 20 /* of one file; far more than 16 TiB need */ };

struct pass {
	struct store *store;
	struct catalog *catalog;
	const struct verify_listener *listener;
	struct verify_counts *counts;
	struct buf todo;     /* uint64_t: folders */
	uint64_t nodes_left; /* more there cannot be: a damaged index may go in circles */
	struct buf hurt_datasets; /* uint32_t */

	/* The content that is gone through. */
	uint64_t ino; /* 0: an old one */
	uint64_t size;
	uint64_t at;  /* byte of the file */
	uint64_t from, to; /* hurt, not told yet */
	unsigned loads; /* of tree nodes */
	char *why;
	bool hurt;
};

static bool among(const struct buf *list, uint32_t number)
{
	for (size_t at = 0; at < list->len; at += sizeof number)
		if (!memcmp(list->data + at, &number, sizeof number))
			return true;
	return false;
}

/* Tells of the run of bytes that has come together. */
static int tell_hurt(struct pass *p)
{
	scope_free char *path = NULL;
	scope_free char *why = take(&p->why);
	struct dataset_row dataset = { 0 };
	struct verify_hurt hurt = { .ino = p->ino, .from = p->from, .to = p->to, .why = why ? why : "" };
	int rc;

	if (p->from == p->to)
		return 0;
	p->from = p->to;
	p->hurt = true;
	if (!p->ino)
		return 0;
	p->counts->bytes_hurt += hurt.to - hurt.from;
	rc = catalog_path(p->catalog, p->ino, &path);
	if (!rc)
		rc = catalog_dataset_of(p->catalog, p->ino, &dataset);
	if (rc && rc != -ENOENT)
		return rc;
	if (dataset.number && !among(&p->hurt_datasets, dataset.number)) {
		buf_put(&p->hurt_datasets, &dataset.number, sizeof dataset.number);
		p->counts->datasets_hurt++;
	}
	hurt.path = path ? path : "";
	hurt.dataset = dataset.name;
	if (p->listener->hurt)
		p->listener->hurt(p->listener->ctx, &hurt);
	return 0;
}

/* len bytes of the file from p->at on cannot be read; err_text() says why. */
static int add_hurt(struct pass *p, uint64_t len)
{
	int rc = 0;

	if (p->from == p->to || p->to != p->at) {
		scope_free char *why = strdup(err_text());

		rc = tell_hurt(p);
		p->from = p->to = p->at;
		p->why = take(&why);
	}
	p->to += len;
	p->at += len;
	return rc;
}

/* 0; 1: it cannot be read, err_text() says why; -ENOMEM and the like. */
static int read_chunk(struct pass *p, const struct key *key, size_t len, void *to)
{
	int rc = store_read(p->store, key, len, 0, to, len);

	return rc == -EIO ? 1 : rc;
}

/* Is there somebody who has it? err_text() stays. */
static bool is_taken(struct pass *p, const struct extent *e)
{
	scope_free char *why = p->listener->missing ? strdup(err_text()) : NULL;

	if (!why)
		return false;
	if (p->listener->missing(p->listener->ctx, p->ino, p->size, p->at, &e->key, e->len) == 1)
		return true;
	err_set(EIO, "%s", why);
	return false;
}

static int check_chunk(struct pass *p, const struct extent *e)
{
	scope_free void *bytes = NULL;
	int rc;

	if (key_is_hole(&e->key) || !store_is_suspect(p->store, &e->key)) {
		p->at += e->len;
		return 0;
	}
	if (e->len > CHUNK_MAX) {
		err_set(EIO, "the file's map is damaged");
		return add_hurt(p, e->len);
	}
	bytes = malloc(e->len);
	if (!bytes)
		return err_set(ENOMEM, "no memory to verify a file");
	rc = read_chunk(p, &e->key, e->len, bytes);
	if (rc == 1 && is_taken(p, e))
		rc = 0;
	if (rc == 1)
		return add_hurt(p, e->len);
	p->at += e->len;
	return rc;
}

/* Loads a node of a large file's tree. As read_chunk(). */
static int load_node(struct pass *p, const struct extent *e, struct extent *list, size_t *count)
{
	int64_t len = store_size(p->store, &e->key);
	scope_free void *bytes = NULL;
	uint64_t sum = 0;
	char text[KEY_TEXT_MAX];
	int rc;

	key_text(&e->key, text);
	if (len < 0 && len != -ENOENT && len != -EIO)
		return (int)len;
	if (len <= 0)
		return err_set(EIO, "the file's tree node %s is not in the store", text), 1;
	if (p->loads++ == LOADS_MAX)
		return err_set(EIO, "the file's map is damaged");
	bytes = malloc((size_t)len);
	if (!bytes)
		return err_set(ENOMEM, "no memory to verify a file");
	rc = read_chunk(p, &e->key, (size_t)len, bytes);
	if (rc)
		return rc;
	rc = content_node_decode(bytes, (size_t)len, list, count);
	for (size_t i = 0; !rc && i < *count; i++)
		sum += list[i].len;
	return rc || sum != e->len ? (err_set(EIO, "the file's tree node %s is damaged", text), 1) : 0;
}

/* depth is at most CONTENT_DEPTH_MAX. */
static int check_extents(struct pass *p, const struct extent *list, size_t count, unsigned depth)
{
	scope_free struct extent *below = depth ? malloc(CONTENT_NODE_MAX * sizeof *below) : NULL;
	int rc = depth && !below ? err_set(ENOMEM, "no memory to verify a file") : 0;

	for (size_t i = 0; !rc && i < count; i++) {
		size_t n;

		if (!depth) {
			rc = check_chunk(p, &list[i]);
			continue;
		}
		rc = load_node(p, &list[i], below, &n);
		rc = rc == 1 ? add_hurt(p, list[i].len) : rc ? rc : check_extents(p, below, n, depth - 1);
	}
	return rc;
}

static int check_content(struct pass *p, uint64_t ino, const struct content *content)
{
	int rc;

	p->ino = ino;
	p->size = content->size;
	p->at = p->from = p->to = 0;
	p->hurt = false;
	p->loads = 0;
	rc = check_extents(p, content->extents, content->count, content->depth);
	return rc ? rc : tell_hurt(p);
}

static int check_old(void *ctx, const struct content *content)
{
	struct pass *p = ctx;
	int rc = check_content(p, 0, content);

	p->counts->old_hurt += p->hurt;
	return rc;
}

static void tell_damaged(struct pass *p)
{
	p->counts->damaged++;
	p->listener->damaged(p->listener->ctx, err_text());
}

static int check_file(struct pass *p, uint64_t ino)
{
	struct content content;
	int rc = catalog_content(p->catalog, ino, &content);

	p->counts->files++;
	if (rc == -ENOENT)
		return 0; /* empty */
	if (!rc) {
		rc = check_content(p, ino, &content);
		p->counts->files_hurt += p->hurt;
		p->counts->bytes += content.size;
	}
	return rc;
}

static int check_folder(struct pass *p, uint64_t folder)
{
	scope_entries struct entries entries = { 0 };
	int rc = catalog_list(p->catalog, folder, &entries);

	for (size_t i = 0; i < entries.count && (!rc || rc == -EIO); i++) {
		const struct entry *e = &entries.list[i];

		if (rc == -EIO)
			tell_damaged(p);
		rc = 0;
		if (!p->nodes_left)
			return err_set(EIO, "the index has more files than the journal made");
		p->nodes_left--;
		if (S_ISDIR(e->mode))
			buf_u64(&p->todo, e->ino);
		else if (S_ISREG(e->mode))
			rc = check_file(p, e->ino);
	}
	return rc;
}

static int check_tree(struct pass *p)
{
	int rc = 0;

	buf_u64(&p->todo, INO_DATASETS);
	while (!rc && p->todo.len) {
		struct cursor last;

		if (buf_failed(&p->todo))
			return err_set(ENOMEM, "no memory to go through the files");
		p->todo.len -= sizeof(uint64_t);
		last = cursor_of(p->todo.data + p->todo.len, sizeof(uint64_t));
		rc = check_folder(p, cursor_u64(&last));
		if (rc == -EIO) {
			tell_damaged(p);
			rc = 0;
		}
	}
	return rc;
}

int verify_files(struct store *store, struct catalog *catalog, uint64_t nodes_max, const struct verify_listener *listener,
		 struct verify_counts *counts)
{
	struct pass p = { .store = store, .catalog = catalog, .listener = listener, .counts = counts, .nodes_left = nodes_max };
	uint32_t *datasets = NULL;
	size_t count = 0;
	int rc = check_tree(&p);

	if (!rc) /* the present ones are met again, and were told */
		rc = catalog_live_contents(catalog, check_old, &p);
	if (rc == -EIO) {
		tell_damaged(&p);
		rc = 0;
	}
	counts->old_hurt -= counts->old_hurt < counts->files_hurt ? counts->old_hurt : counts->files_hurt;
	if (!rc && !catalog_datasets(catalog, &datasets, &count))
		counts->datasets = count;
	free(datasets);
	counts->named = !rc;
	buf_free(&p.todo);
	buf_free(&p.hurt_datasets);
	free(p.why);
	return rc;
}
