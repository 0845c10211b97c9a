/*
 * flip_store: a small store in which everything there is to damage stands: packs sealed and growing, of chunks as they arrived and coded
 * again, key runs, journal segments sealed and open, an index that lags behind, a file with a tree, old versions, removed files, tags. And
 * what must come back from it, by path.
 */
#ifndef TOMOFS_FLIP_STORE_H
#define TOMOFS_FLIP_STORE_H

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/content.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/node.h"
#include "fs/recoder.h"
#include "index/catalog_internal.h"
#include "store/directory_internal.h"
#include "store/journal_internal.h"
#include "store/store_internal.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"
#include "tests/lib/tiff_writer.h"

enum { FLIP_ITEMS_MAX = 64, FLIP_TREE_EXTENTS = 40, FLIP_TREE_CHUNK = 700 };

struct flip_item {
	char path[128];	    /* below datasets/ */
	mode_t kind;	    /* S_IFREG, S_IFDIR, S_IFLNK */
	struct buf bytes;   /* or the target */
	struct buf earlier; /* what it held before, if anything */
	uint64_t ino;
};

static struct flip_item flip_items[FLIP_ITEMS_MAX];
static size_t flip_item_count;
static uint64_t flip_last_seq; /* of the journal */

static inline struct flip_item *flip_find(const char *path)
{
	for (size_t i = 0; i < flip_item_count; i++)
		if (!strcmp(flip_items[i].path, path))
			return &flip_items[i];
	return NULL;
}

static inline void flip_tiny(struct store *store, struct journal *journal)
{
	directory_limits = (struct directory_limits) { .flush_entries = 8, .flush_packs = 2, .batch_entries = 20,
						       .tier_entries = 6, .tier_runs = 2, .large_entries = 60,
						       .filter_bytes = 200, .filters_bytes = 500 };
	if (store)
		store->seal_bytes = 40 << 10;
	if (journal)
		journal->seal_bytes = 2500;
}

static inline struct fs *flip_open(const char *path, int *rc)
{
	struct fs_options options = { .store = path, .cache_bytes = 4 << 20, .settle_seconds = 3600, .dense_after = RECODER_NEVER };
	struct fs *fs = NULL;

	*rc = fs_open(&fs, &options);
	if (!*rc)
		flip_tiny(fs->store, fs->journal);
	return *rc ? NULL : fs;
}

static inline struct node flip_node(uint64_t ino)
{
	return (struct node) { .number = ino, .ops = &node_ops_real };
}

static inline struct flip_item *flip_add(const char *folder, const char *name, mode_t kind, uint64_t ino)
{
	struct flip_item *item = &flip_items[flip_item_count++];

	snprintf(item->path, sizeof item->path, "%s%s%s", folder, *folder ? "/" : "", name);
	item->kind = kind;
	item->ino = ino;
	return item;
}

static inline uint64_t flip_folder_ino(const char *folder)
{
	return *folder ? flip_find(folder)->ino : INO_DATASETS;
}

static inline void flip_mkdir(struct fs *fs, const char *folder, const char *name)
{
	struct node at = flip_node(flip_folder_ino(folder)), made = { 0 };

	CHECK_RC(node_mkdir(fs, &caller_self, &at, name, 0755, &made));
	flip_add(folder, name, S_IFDIR, made.number);
}

static inline void flip_write(struct fs *fs, struct flip_item *item, const void *bytes, size_t len)
{
	struct node node = flip_node(item->ino);
	struct handle *handle = NULL;

	CHECK_RC(node_open(fs, &caller_self, &node, O_RDWR | O_TRUNC, &handle));
	CHECK(node_write(fs, &caller_self, handle, 0, bytes, len) == (int64_t)len);
	CHECK_RC(node_fsync(fs, &caller_self, handle));
	CHECK_RC(node_close(fs, &caller_self, handle));
	buf_free(&item->earlier);
	item->earlier = item->bytes;
	item->bytes = (struct buf) { 0 };
	buf_put(&item->bytes, bytes, len);
}

static inline struct flip_item *flip_put(struct fs *fs, const char *folder, const char *name, const void *bytes, size_t len)
{
	struct node at = flip_node(flip_folder_ino(folder)), made = { 0 };
	struct flip_item *item;

	CHECK_RC(node_create(fs, &caller_self, &at, name, 0644, &made));
	item = flip_add(folder, name, S_IFREG, made.number);
	flip_write(fs, item, bytes, len);
	return item;
}

static inline void flip_text(struct buf *b, size_t lines, unsigned seed)
{
	buf_clear(b);
	for (size_t i = 0; i < lines; i++)
		buf_printf(b, "%u: projection %zu at %.3f degrees, %zu counts\n", seed, i, (double)i * 0.36, (i * 7919 + seed) % 4096);
}

static inline void flip_pixels(uint8_t *to, size_t width, size_t height, uint64_t seed)
{
	for (size_t y = 0; y < height; y++)
		for (size_t x = 0; x < width; x++) {
			uint16_t v = (uint16_t)(2000 + 3 * x + 5 * y + random_below(&seed, 90));

			memcpy(to + 2 * (y * width + x), &v, sizeof v);
		}
}

static inline void flip_put_image(struct fs *fs, const char *folder, const char *name, uint64_t seed)
{
	static uint8_t pixels[2 * 64 * 48 * 2];
	struct tiff_how how = { .order = PIXELS_THEN_IFD };
	struct tiff_pixels px = { .width = 64, .height = 48, .depth = 2, .slice_bytes = 2 * 64 * 48, .bytes = pixels };
	struct tiff_writer w;

	flip_pixels(pixels, 64, 96, seed);
	tiff_write(&w, &how, &px);
	flip_put(fs, folder, name, w.b.data, w.b.len);
	buf_free(&w.b);
}

/* A file whose extents are in a tree, although it is small. */
static inline void flip_put_tree(struct fs *fs, const char *folder, const char *name)
{
	struct actor actor = { .user = "", .program = "test" };
	struct flip_item *item = flip_put(fs, folder, name, "", 0);
	struct record rec = { .kind = REC_CONTENT };
	struct extent extents[FLIP_TREE_EXTENTS];
	struct content_map *map = NULL;
	struct content empty = { 0 };

	buf_free(&item->earlier);
	for (size_t i = 0; i < FLIP_TREE_EXTENTS; i++) {
		uint8_t bytes[FLIP_TREE_CHUNK];

		random_fill(bytes, sizeof bytes, 900 + i);
		extents[i].len = sizeof bytes;
		CHECK_RC(store_put(fs->store, NULL, 0, bytes, sizeof bytes, &extents[i].key));
		buf_put(&item->bytes, bytes, sizeof bytes);
	}
	CHECK_RC(content_open(&map, fs->store, &empty));
	CHECK_RC(content_splice(map, 0, 0, extents, FLIP_TREE_EXTENTS));
	rec.content.ino = item->ino;
	CHECK_RC(content_save(map, &rec.content.content));
	CHECK(rec.content.content.depth == 1);
	CHECK_RC(catalog_apply(fs->catalog, &actor, &rec));
	content_free(map);
}

static inline void flip_fill(struct fs *fs)
{
	scope_buf struct buf text = { 0 };
	static uint8_t noise[9000];
	struct node at = flip_node(INO_DATASETS), made = { 0 }, node;
	struct record tag = { .kind = REC_TAG };
	struct actor actor = { .user = "", .program = "test" };

	flip_mkdir(fs, "", "scan A");
	flip_mkdir(fs, "scan A", "raw");
	for (unsigned i = 0; i < 6; i++) {
		char name[32];

		snprintf(name, sizeof name, "p%04u.tif", i);
		flip_put_image(fs, "scan A/raw", name, i);
	}
	flip_text(&text, 300, 1);
	flip_put(fs, "scan A", "log.txt", text.data, text.len);
	flip_put_tree(fs, "scan A", "volume.raw");
	random_fill(noise, sizeof noise, 5);
	flip_put(fs, "", "noise.bin", noise, sizeof noise);
	flip_put(fs, "", "empty", "", 0);
	CHECK_RC(node_symlink(fs, &caller_self, &at, "link", "scan A/log.txt", &made));
	buf_printf(&flip_add("", "link", S_IFLNK, made.number)->bytes, "scan A/log.txt");
	node = flip_node(flip_find("scan A")->ino);
	CHECK_RC(node_xattr_set(fs, &caller_self, &node, "user.note", "kept", 4, 0));
	CHECK_RC(files_settle(fs->files));
	tag.tag.dataset = 1;
	tag.tag.tag = "porosity";
	CHECK_RC(catalog_apply(fs->catalog, &actor, &tag));
}

static inline void flip_change(struct fs *fs)
{
	struct node at = flip_node(INO_DATASETS);
	scope_buf struct buf text = { 0 };

	flip_text(&text, 350, 2);
	flip_write(fs, flip_find("scan A/log.txt"), text.data, text.len);
	flip_put(fs, "", "gone.txt", text.data, 5000);
	CHECK_RC(node_unlink(fs, &caller_self, &at, "gone.txt"));
	flip_item_count--;
	buf_free(&flip_items[flip_item_count].bytes);
	buf_free(&flip_items[flip_item_count].earlier);
	memset(&flip_items[flip_item_count], 0, sizeof *flip_items);
	CHECK_RC(node_rename(fs, &caller_self, &at, "noise.bin", &at, "moved.bin", 0));
	snprintf(flip_find("noise.bin")->path, sizeof flip_items->path, "moved.bin");
}

static inline void flip_copy(const char *from, const char *to)
{
	DIR *d = opendir(from);
	struct dirent *e;

	CHECK(d && !mkdir(to, 0700));
	while (d && (e = readdir(d))) {
		char a[PATH_MAX], b[PATH_MAX];
		static char bytes[1 << 16];
		struct stat st;
		ssize_t n;
		int in, out;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(a, sizeof a, "%s/%s", from, e->d_name);
		snprintf(b, sizeof b, "%s/%s", to, e->d_name);
		CHECK(!lstat(a, &st));
		if (S_ISDIR(st.st_mode)) {
			flip_copy(a, b);
			continue;
		}
		in = open(a, O_RDONLY | O_CLOEXEC);
		out = open(b, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		while ((n = read(in, bytes, sizeof bytes)) > 0)
			CHECK(write(out, bytes, (size_t)n) == n);
		CHECK(in >= 0 && out >= 0 && n == 0);
		close(in);
		close(out);
	}
	if (d)
		closedir(d);
}

/* Makes it at `path`; a copy of it as a kill would leave it at `killed`. */
static inline void flip_make(const char *path, const char *killed)
{
	struct store_recode_result recoded;
	struct store_recode_options recode = { .threads = 1 };
	scope_buf struct buf text = { 0 };
	struct fs *fs;
	int rc;

	CHECK_RC(store_create(path));
	flip_tiny(NULL, NULL);
	fs = flip_open(path, &rc);
	CHECK_RC(rc);
	if (!fs)
		return;
	flip_fill(fs);
	CHECK_RC(store_recode(fs->store, &recode, &recoded));
	CHECK(recoded.chunks > 0);
	flip_change(fs);
	CHECK_RC(fs_close(fs));
	fs = flip_open(path, &rc); /* another epoch, its own segment and pack */
	CHECK_RC(rc);
	if (!fs)
		return;
	flip_put_image(fs, "scan A/raw", "p0006.tif", 77);
	directory_idle(fs->store->directory);
	CHECK_RC(catalog_commit(fs->catalog));
	flip_text(&text, 100, 3);
	flip_put(fs, "", "tail.txt", text.data, text.len);
	flip_put_image(fs, "", "tail.tif", 78);
	CHECK_RC(files_settle(fs->files));
	CHECK_RC(catalog_sync(fs->catalog));
	flip_last_seq = journal_last(fs->journal);
	flip_copy(path, killed);
	CHECK_RC(fs_close(fs));
}

#endif
