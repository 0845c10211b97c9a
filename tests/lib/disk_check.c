#include "tests/lib/disk_check.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/content.h"
#include "fs/file.h"
#include "index/catalog_internal.h"
#include "store/store_internal.h"
#include "store/xxh3.h"
#include "tests/lib/disk.h"
#include "tests/lib/random.h"

enum { AGAIN_BYTES = 20000 };

struct opened {
	const char *folder;
	struct store *store;
	struct journal *journal;
	struct catalog *catalog;
	struct check_count *count;
	char *wrong;
};

struct again { /* a file that is written after the cut */
	bool promised;
	uint64_t hash;
};

__attribute__((format(printf, 2, 3))) static int wrong(struct opened *o, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (!o->wrong && vasprintf(&o->wrong, fmt, args) < 0)
		abort();
	va_end(args);
	return -1;
}

static void damaged(void *ctx, const char *text)
{
	wrong(ctx, "verify: %s", text);
}

static void close_all(struct opened *o)
{
	if (o->catalog && catalog_close(o->catalog))
		wrong(o, "closing the index: %s", err_text());
	journal_close(o->journal);
	store_close(o->store);
	o->catalog = NULL;
	o->journal = NULL;
	o->store = NULL;
}

static void check_verify(struct opened *o)
{
	struct store_verify counts;
	uint64_t records;

	if (store_verify(o->store, damaged, o, &counts))
		wrong(o, "verify: %s", err_text());
	if (journal_verify(o->journal, damaged, o, &records))
		wrong(o, "verify of the journal: %s", err_text());
}

/* As `tomofs verify` does, before anybody mounts it. */
static void verify_only(struct opened *o)
{
	struct store_options options = { .cache_bytes = 256 << 10, .threads = 1, .flags = STORE_READ_ONLY };

	if (store_open(&o->store, o->folder, &options))
		wrong(o, "the store cannot be opened for reading: %s", err_text());
	else if (journal_open(&o->journal, o->store))
		wrong(o, "the journal cannot be opened for reading: %s", err_text());
	else
		check_verify(o);
	close_all(o);
}

/* The end of the journal is lost: the index must not be believed, but may be made again. */
static int open_ahead(struct opened *o)
{
	uint64_t records;

	if (!strstr(err_text(), "ahead of the journal") || catalog_rebuild(o->store, o->journal, &records))
		return -EIO;
	o->count->ahead++;
	return catalog_open(&o->catalog, o->store, o->journal);
}

static void open_all(struct opened *o, uint64_t seed, bool lied)
{
	struct store_options options = { .cache_bytes = 256 << 10, .threads = 1 };

	if (store_open(&o->store, o->folder, &options))
		wrong(o, "the store cannot be opened: %s", err_text());
	else if (journal_open(&o->journal, o->store))
		wrong(o, "the journal cannot be opened: %s", err_text());
	else if (work_tiny(o->store, o->journal, seed),
		 catalog_open(&o->catalog, o->store, o->journal) && !(lied && !open_ahead(o)))
		wrong(o, "the index cannot be opened: %s", err_text());
}

/* The records that are there are the first of those that were written; used: others may have come after the cut. */
static void check_chain(struct opened *o, const struct deeds *h, const struct work_step *step, bool lied, bool used)
{
	uint64_t *list = NULL;
	size_t count = 0;

	if (work_records(o->journal, &list, &count))
		wrong(o, "the journal cannot be read: %s", err_text());
	else if (count < step->seq && !lied)
		wrong(o, "of %llu promised records %zu are there", (unsigned long long)step->seq, count);
	for (size_t i = 0; i < count && !o->wrong; i++)
		if (((i < step->seq && !lied) || !used) && (i >= h->record_count || list[i] != h->records[i]))
			wrong(o, "record %zu of %zu is not the one that was written", i + 1, count);
	o->count->journal_cut += count < h->record_count;
	free(list);
}

static void check_names(struct opened *o, const struct deeds *h, const struct work_step *step, bool lied)
{
	uint64_t hash;

	if (work_names(o->catalog, &hash)) {
		wrong(o, "the names cannot be read: %s", err_text());
		return;
	}
	for (size_t i = lied ? 0 : step->names_from; i <= step->names_to; i++)
		if (h->names[i] == hash)
			return;
	wrong(o, "the names are none of states %zu to %zu", step->names_from, step->names_to);
}

/* ---- bytes ---- */

static int read_bytes(struct opened *o, const struct content *content, uint8_t *to)
{
	struct content_map *map;
	int rc = content_open(&map, o->store, content);

	if (rc)
		return rc;
	for (uint64_t off = 0; !rc && off < content->size;) {
		struct extent e;
		uint64_t start;

		rc = content_find(map, off, &e, &start);
		if (rc || start != off || !e.len || e.len > content->size - off)
			rc = rc ? rc : err_set(EIO, "its extents do not fit");
		else if (key_is_hole(&e.key))
			memset(to + off, 0, e.len);
		else
			rc = store_read(o->store, &e.key, e.len, 0, to + off, e.len);
		off += e.len;
	}
	content_free(map);
	return rc;
}

/* 0; -ENOENT: there is no such file. */
static int hash_file(struct opened *o, uint64_t ino, uint64_t *hash, uint64_t *size)
{
	struct content content = { 0 };
	struct node_row row;
	uint8_t *bytes;
	int rc = catalog_node(o->catalog, ino, &row);

	if (rc || !row.nlink)
		return rc ? rc : -ENOENT;
	rc = catalog_content(o->catalog, ino, &content);
	if (rc && rc != -ENOENT && rc != -ENODATA)
		return rc;
	if (row.size != content.size || content.size > 16 << 20)
		return err_set(EIO, "it says %llu bytes, its content is %llu", (unsigned long long)row.size,
			       (unsigned long long)content.size);
	bytes = malloc(content.size + 1);
	rc = bytes ? read_bytes(o, &content, bytes) : -ENOMEM;
	*size = content.size;
	*hash = rc ? 0 : XXH3_64bits(bytes, content.size);
	free(bytes);
	o->count->files++;
	o->count->bytes += content.size;
	return rc;
}

static void check_file(struct opened *o, const struct tracked *t, const struct work_bounds *b, bool lied)
{
	uint64_t hash, size;
	int rc = hash_file(o, t->ino, &hash, &size);

	if (rc == -ENOENT)
		return; /* whether it may be absent is said by the names */
	if (rc) {
		wrong(o, "%s cannot be read: %s", t->name, err_text());
		return;
	}
	for (size_t i = lied ? 0 : b->from; i <= b->to; i++)
		if (t->list[i].hash == hash && t->list[i].size == size)
			return;
	if (b->any)
		return;
	for (size_t i = 0; i < t->count; i++)
		if (t->list[i].hash == hash && t->list[i].size == size)
			wrong(o, "%s has %llu bytes: as after write %zu, not %zu to %zu", t->name, (unsigned long long)size, i,
			      b->from, b->to);
	wrong(o, "%s has %llu bytes that it never had; it was promised as after write %zu of %zu", t->name,
	      (unsigned long long)size, b->from, b->to);
}

static void check_again(struct opened *o, const struct again *again)
{
	struct node_row row;
	uint64_t hash = 0, size = 0;
	int rc = catalog_lookup(o->catalog, INO_DATASETS, "again", &row);

	if (rc && !again->promised)
		return;
	if (!rc)
		rc = hash_file(o, row.ino, &hash, &size);
	if (rc)
		wrong(o, "what was written after a cut is not there: %s", err_text());
	else if (hash != again->hash && (size || again->promised))
		wrong(o, "what was written after a cut has other bytes");
}

/* ---- the index against the journal ---- */

static uint64_t dump_hash(struct opened *o)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	uint64_t hash;

	if (!f)
		abort();
	if (catalog_dump(o->catalog, f))
		wrong(o, "the index cannot be read: %s", err_text());
	fclose(f);
	hash = XXH3_64bits(text, len);
	free(text);
	return hash;
}

static void check_rebuild(struct opened *o)
{
	uint64_t before = dump_hash(o), records;

	if (catalog_close(o->catalog))
		wrong(o, "closing the index: %s", err_text());
	o->catalog = NULL;
	if (catalog_rebuild(o->store, o->journal, &records))
		wrong(o, "the index cannot be rebuilt: %s", err_text());
	else if (catalog_open(&o->catalog, o->store, o->journal))
		wrong(o, "the rebuilt index cannot be opened: %s", err_text());
	else if (dump_hash(o) != before)
		wrong(o, "the index is not what the journal says");
}

/* ---- going on ---- */

static int write_again(struct opened *o, struct files *files, struct again *again, uint64_t seed)
{
	struct actor actor = { .user = "", .program = "test" };
	struct record rec = { .kind = REC_NODE };
	uint8_t bytes[AGAIN_BYTES];
	struct file *file;
	int rc;

	random_fill(bytes, sizeof bytes, seed);
	again->hash = XXH3_64bits(bytes, sizeof bytes);
	rec.node.ino = catalog_new_ino(o->catalog);
	rec.node.parent = INO_DATASETS;
	rec.node.name = "again";
	rec.node.mode = S_IFREG | 0644;
	rec.node.owner = rec.node.target = "";
	rc = catalog_apply(o->catalog, &actor, &rec);
	if (!rc)
		rc = file_open(files, rec.node.ino, true, &file);
	if (rc)
		return rc;
	rc = file_write(file, &caller_self, 0, bytes, sizeof bytes, false) == AGAIN_BYTES ? 0 : -EIO;
	if (!rc)
		rc = file_fsync(file, &caller_self);
	disk_mark(1);
	return file_release(file, &caller_self, true) || rc ? -EIO : 0;
}

/* A mount that writes a file. */
static void use(struct opened *o, struct again *again, uint64_t seed)
{
	struct files *files = NULL;

	if (files_new(&files, o->store, o->catalog, 1 << 20) || write_again(o, files, again, seed))
		wrong(o, "the store takes nothing after the cut: %s", err_text());
	if (files_free(files))
		wrong(o, "closing files after the cut: %s", err_text());
}

/* ---- */

static void look(struct opened *o, const struct deeds *h, const struct work_step *step, unsigned flags, bool used,
		 const struct again *again)
{
	bool lied = flags & CHECK_LIED;
	struct node_row row;
	uint64_t again_ino;

	check_verify(o);
	check_chain(o, h, step, lied, used);
	check_names(o, h, step, lied);
	again_ino = again && !catalog_lookup(o->catalog, INO_DATASETS, "again", &row) ? row.ino : 0;
	for (size_t i = 0; i < step->file_count; i++)
		if (h->files[i].ino != again_ino) /* the cut took a number back that nobody had seen */
			check_file(o, &h->files[i], &step->files[i], lied);
	if (again)
		check_again(o, again);
	if (flags & CHECK_REBUILD && !o->wrong)
		check_rebuild(o);
}

static char *check_again_cut(const char *folder, const char *scratch, const struct deeds *h, size_t step, unsigned flags,
			     uint64_t seed, struct again again, struct check_count *count);

/* The folder's own trace, when it was used: one cut in it. */
static char *cut_again(struct disk_trace *trace, const char *scratch, const struct deeds *h, size_t step,
		       unsigned flags, uint64_t seed, struct again again, struct check_count *count)
{
	struct disk_image *image = disk_image_new(trace);
	size_t cut = random_below(&seed, disk_trace_count(trace) + 1);
	struct disk_state *state;
	char *text;

	again.promised = false;
	for (size_t i = 0; i < cut; i++) {
		again.promised |= disk_trace_op(trace, i)->kind == DISK_MARK;
		disk_image_step(image);
	}
	state = disk_state_new(image, (enum disk_keep)random_below(&seed, 3), random_next(&seed));
	disk_state_write(state, scratch);
	disk_state_free(state);
	disk_image_free(image);
	text = check_again_cut(scratch, NULL, h, step, flags & CHECK_LIED, seed, again, count);
	count->recoveries++;
	remove_folder(scratch);
	if (text) {
		char *more;

		if (asprintf(&more, "after another cut, at call %zu of %zu of the next run: %s", cut, disk_trace_count(trace),
			     text) < 0)
			abort();
		free(text);
		text = more;
	}
	return text;
}

static char *check_again_cut(const char *folder, const char *scratch, const struct deeds *h, size_t step, unsigned flags,
			     uint64_t seed, struct again again, struct check_count *count)
{
	struct opened o = { .folder = folder, .count = count };

	(void)scratch;
	open_all(&o, seed, flags & CHECK_LIED);
	if (!o.wrong)
		look(&o, h, &h->steps[step], flags, true, &again);
	close_all(&o);
	return o.wrong;
}

char *check_left(const char *folder, const char *scratch, const struct deeds *h, size_t step, unsigned flags,
		 uint64_t seed, struct check_count *count)
{
	struct opened o = { .folder = folder, .count = count };
	struct disk_trace *trace = NULL;
	struct again again = { 0 };

	count->cuts++;
	if (flags & CHECK_LOOK)
		verify_only(&o);
	if (flags & CHECK_USE)
		disk_begin(folder);
	if (!o.wrong)
		open_all(&o, seed, flags & CHECK_LIED);
	if (!o.wrong)
		look(&o, h, &h->steps[step], flags & CHECK_USE ? flags & ~CHECK_REBUILD : flags, false, NULL);
	if (!o.wrong && flags & CHECK_USE)
		use(&o, &again, seed);
	close_all(&o);
	if (!(flags & CHECK_USE))
		return o.wrong;
	trace = disk_end();
	if (!o.wrong)
		o.wrong = cut_again(trace, scratch, h, step, flags, seed, again, count);
	disk_trace_free(trace);
	again.promised = true;
	return o.wrong ? o.wrong : check_again_cut(folder, NULL, h, step, flags, seed, again, count);
}

static int remove_one(const char *path, const struct dirent *e)
{
	char below[4096];

	snprintf(below, sizeof below, "%s/%s", path, e->d_name);
	if (unlink(below) == 0)
		return 0;
	remove_folder(below);
	return 0;
}

void remove_folder(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_one(path, e);
	if (d)
		closedir(d);
	rmdir(path);
}
