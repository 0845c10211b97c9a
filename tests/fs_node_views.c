/*
 * views/ and gallery/ of a small store: every listed name is found, has the listed kind and is as long as it says;
 * names that are not listed are not there; pixels are those of the files, in the natural order of their names; a file
 * that is written again makes another image.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <tiffio.h>

#include "fs/arrival.h"
#include "fs/natural.h"
#include "fs/node_dataset.h"
#include "fs/node_real.h"
#include "fs/view/view.h"
#include "fs/volumes.h"
#include "tests/lib/check.h"

enum { WIDTH = 20, HEIGHT = 13 };

static const struct caller root = { .pid = 1, .user = "root", .program = "test" };

/* ---- putting files into the store ---- */

static uint64_t make(struct fs *fs, uint64_t folder, const char *name, uint32_t mode)
{
	struct node node = { 0 };

	CHECK_RC(real_make(fs, &root, folder, name, mode, "", &node));
	return node.number;
}

static void put(struct fs *fs, uint64_t ino, const void *bytes, size_t len)
{
	struct node node = { .number = ino, .ops = &node_ops_real };
	struct handle *h = NULL;

	CHECK_RC(node_open(fs, &root, &node, O_WRONLY | O_TRUNC, &h));
	CHECK(node_write(fs, &root, h, 0, bytes, len) == (int64_t)len);
	CHECK_RC(node_close(fs, &root, h));
}

static uint16_t pixel_at(unsigned seed, size_t i)
{
	return (uint16_t)(seed * 7919 + i * 31 + (i * i) % 97);
}

/* A 16-bit TIFF of one page whose pixels follow from the seed. */
static void put_slice(struct fs *fs, uint64_t ino, unsigned seed, unsigned width)
{
	char path[] = "/tmp/tomofs-slice.XXXXXX";
	static uint8_t bytes[1 << 16];
	int fd = mkstemp(path);
	TIFF *tif = TIFFFdOpen(fd, path, "w");
	uint16_t row[64];
	FILE *f;
	size_t n;

	TIFFSetField(tif, TIFFTAG_IMAGEWIDTH, width);
	TIFFSetField(tif, TIFFTAG_IMAGELENGTH, HEIGHT);
	TIFFSetField(tif, TIFFTAG_BITSPERSAMPLE, 16);
	TIFFSetField(tif, TIFFTAG_SAMPLESPERPIXEL, 1);
	TIFFSetField(tif, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
	for (unsigned y = 0; y < HEIGHT; y++) {
		for (unsigned x = 0; x < width; x++)
			row[x] = pixel_at(seed, y * width + x);
		TIFFWriteScanline(tif, row, y, 0);
	}
	TIFFClose(tif);
	f = fopen(path, "re");
	n = fread(bytes, 1, sizeof bytes, f);
	fclose(f);
	unlink(path);
	put(fs, ino, bytes, n);
}

/* scan/: a stack of five; scan/2x, scan/sub and sub/2x: stacks of two; one file in sub/deep; box: a raw volume; notes:
 * no image. */
static void fill(struct fs *fs)
{
	static const unsigned numbers[] = { 10, 9, 1, 2, 100 };
	uint64_t scan = make(fs, INO_DATASETS, "scan", S_IFDIR | 0755), half = make(fs, scan, "2x", S_IFDIR | 0755);
	uint64_t sub = make(fs, scan, "sub", S_IFDIR | 0755), deep = make(fs, sub, "deep", S_IFDIR | 0755);
	uint64_t sub_half = make(fs, sub, "2x", S_IFDIR | 0755);
	static uint8_t box[300 * 5 * 4];
	char name[32];

	for (size_t i = 0; i < 5; i++) {
		snprintf(name, sizeof name, "s_%u.tif", numbers[i]);
		put_slice(fs, make(fs, scan, name, S_IFREG | 0644), numbers[i], WIDTH);
	}
	for (unsigned i = 0; i < 2; i++) {
		snprintf(name, sizeof name, "h_%u.tif", i);
		put_slice(fs, make(fs, half, name, S_IFREG | 0644), 500 + i, WIDTH / 2);
		put_slice(fs, make(fs, sub, name, S_IFREG | 0644), 600 + i, WIDTH / 2);
		put_slice(fs, make(fs, sub_half, name, S_IFREG | 0644), 650 + i, WIDTH / 4);
	}
	put_slice(fs, make(fs, deep, "one.tif", S_IFREG | 0644), 700, 9);
	for (size_t i = 0; i < sizeof box; i++)
		box[i] = (uint8_t)pixel_at(1, i);
	put(fs, make(fs, INO_DATASETS, "box_300x5x4_8bit.raw", S_IFREG | 0644), box, sizeof box);
	put(fs, make(fs, INO_DATASETS, "notes.txt", S_IFREG | 0644), "hello\n", 6);
}

/* ---- walking ---- */

static struct node find(struct fs *fs, const char *path)
{
	struct node node, next;
	char copy[512], *save = NULL;

	CHECK_RC(node_resolve(fs, INO_ROOT, &node));
	snprintf(copy, sizeof copy, "%s", path);
	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		int rc = node_lookup(fs, &root, &node, name, &next);

		if (rc) {
			fprintf(stderr, "%s: %s: %s\n", path, name, err_text());
			CHECK(!"found");
			break;
		}
		node = next;
	}
	return node;
}

/* The whole file, read in pieces. */
static void read_all(struct fs *fs, const struct node *node, struct buf *out)
{
	struct handle *h = NULL;
	uint8_t piece[1000];
	int64_t n;

	CHECK_RC(node_open(fs, &root, node, O_RDONLY, &h));
	while ((n = node_read(fs, h, out->len, piece, sizeof piece)) > 0)
		buf_put(out, piece, (size_t)n);
	CHECK_RC(n);
	CHECK_RC(node_close(fs, &root, h));
}

struct walk {
	struct fs *fs;
	struct node folder;
	unsigned count, depth;
};

static void walk(struct fs *fs, const struct node *folder, unsigned *files, unsigned depth);

static int check_entry(void *ctx, const struct node_entry *entry)
{
	struct walk *w = ctx;
	struct node found = { 0 }, again = { 0 };
	struct stat st;

	CHECK_RC(node_lookup(w->fs, &root, &w->folder, entry->name, &found));
	CHECK(found.number == entry->node.number && found.ops == entry->node.ops);
	CHECK_RC(node_resolve(w->fs, found.number, &again));
	CHECK(again.ops == found.ops);
	CHECK_RC(node_attr(w->fs, &found, &st));
	CHECK((st.st_mode & S_IFMT) == found.ops->type && st.st_ino == found.number);
	CHECK(!(st.st_mode & 0222) && (st.st_mode & 0444));
	if (S_ISDIR(st.st_mode)) {
		walk(w->fs, &found, &w->count, w->depth + 1);
	} else {
		scope_buf struct buf bytes = { 0 };

		read_all(w->fs, &found, &bytes);
		CHECK((off_t)bytes.len == st.st_size && st.st_size > 0);
		w->count++;
	}
	return 0;
}

static void walk(struct fs *fs, const struct node *folder, unsigned *files, unsigned depth)
{
	static const char *const wrong[] = { "nothing", "8x.tif", ".hidden", "z9999.tif", "(2)", "0x", "32768x" };
	struct walk w = { .fs = fs, .folder = *folder, .depth = depth };
	struct node none;

	CHECK(depth < 10);
	CHECK_RC(node_list(fs, &root, folder, check_entry, &w));
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(node_lookup(fs, &root, folder, wrong[i], &none) == -ENOENT);
	*files += w.count;
}

static int note_name(void *ctx, const struct node_entry *entry)
{
	buf_printf(ctx, "%s ", entry->name);
	return 0;
}

static void check_list(struct fs *fs, const char *path, const char *want)
{
	scope_buf struct buf names = { 0 };
	struct node folder = find(fs, path);

	CHECK_RC(node_list(fs, &root, &folder, note_name, &names));
	if (strcmp(buf_text(&names), want) != 0)
		fprintf(stderr, "%s: %s\n", path, buf_text(&names));
	CHECK(strcmp(buf_text(&names), want) == 0);
}

/* A stack's pixels: at the end of NAME.tif, slice after slice. */
static void check_pixels(struct fs *fs, const char *path, const unsigned *seeds, size_t count, unsigned width)
{
	scope_buf struct buf bytes = { 0 };
	struct node node = find(fs, path);
	size_t slice = width * HEIGHT, behind = slice * count * 2;
	bool fine = true;

	read_all(fs, &node, &bytes);
	CHECK(bytes.len > behind);
	for (size_t z = 0; bytes.len > behind && z < count; z++)
		for (size_t i = 0; i < slice; i++) {
			uint16_t v;

			memcpy(&v, bytes.data + bytes.len - behind + (z * slice + i) * 2, 2);
			fine = fine && v == pixel_at(seeds[z], i);
		}
	CHECK(fine);
}

static void names_and_pixels(struct fs *fs)
{
	static const unsigned whole[] = { 1, 2, 9, 10, 100 }, half[] = { 500, 501 }, sub[] = { 600, 601 },
			      one[] = { 700 };
	struct node views = find(fs, "views"), gallery = find(fs, "gallery"), none;
	unsigned files = 0;

	check_list(fs, "gallery", "scan.png box_300x5x4_8bit.raw.png ");
	check_list(fs, "views", "scan box_300x5x4_8bit.raw notes.txt ");
	check_list(fs, "views/scan", "2x 4x scan.tif scan_2x.tif scan_4x.tif parts ");
	check_list(fs, "views/scan/2x", "z0000.tif z0001.tif z0002.tif ");
	check_list(fs, "views/scan/parts", "2x sub ");
	check_list(fs, "views/scan/parts/2x", "2x 4x 2x.tif 2x_2x.tif 2x_4x.tif ");
	check_list(fs, "views/scan/parts/sub", "2x 4x sub.tif sub_2x.tif sub_4x.tif 2x (folder) deep ");
	check_list(fs, "views/scan/parts/sub/2x (folder)", "2x 4x 2x.tif 2x_2x.tif 2x_4x.tif ");
	check_list(fs, "views/scan/parts/sub/deep", "one.tif ");
	check_list(fs, "views/scan/parts/sub/deep/one.tif", "2x 4x one.tif one_2x.tif one_4x.tif ");
	check_list(fs, "views/notes.txt", "");
	CHECK(node_lookup(fs, &root, &gallery, "notes.txt.png", &none) == -ENOENT);
	CHECK(node_lookup(fs, &root, &gallery, "scan", &none) == -ENOENT);
	check_pixels(fs, "views/scan/scan.tif", whole, 5, WIDTH);
	check_pixels(fs, "views/scan/parts/2x/2x.tif", half, 2, WIDTH / 2);
	check_pixels(fs, "views/scan/parts/sub/sub.tif", sub, 2, WIDTH / 2);
	check_pixels(fs, "views/scan/parts/sub/deep/one.tif/one.tif", one, 1, 9);
	walk(fs, &views, &files, 0);
	CHECK(files == 8 + 5 + 5 + 5 + 5 + 6); /* scan, 2x, sub, sub/2x, one.tif, box */
	files = 0;
	walk(fs, &gallery, &files, 0);
	CHECK(files == 2);
}

static void *read_views(void *arg)
{
	static const char *const paths[] = { "views/scan/scan.tif", "views/scan/scan_2x.tif", "views/scan/2x/z0001.tif",
					     "views/scan/parts/sub/sub.tif", "gallery/scan.png" };
	struct fs *fs = arg;
	uint64_t sum = 0;

	for (size_t i = 0; i < 50; i++) {
		scope_buf struct buf bytes = { 0 };
		struct node node = find(fs, paths[i % 5]);

		read_all(fs, &node, &bytes);
		for (size_t k = 0; k < bytes.len; k++)
			sum = sum * 31 + bytes.data[k];
	}
	return (void *)(uintptr_t)sum;
}

/* Threads that read the same images at once get what one gets alone. */
static void threads(struct fs *fs)
{
	void *alone = read_views(fs), *sum;
	pthread_t thread[4];

	levels_free(fs->levels); /* begin without computed bands */
	fs->levels = levels_new(4 << 20);
	for (size_t i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, read_views, fs);
	for (size_t i = 0; i < 4; i++) {
		pthread_join(thread[i], &sum);
		CHECK(sum == alone);
	}
}

/* What was opened before a slice was written again says so; the folder shows the new pixels under a new number. */
static void written_again(struct fs *fs)
{
	static const unsigned whole[] = { 1, 2, 777, 10, 100 };
	struct node old = find(fs, "views/scan/scan.tif"), slice = find(fs, "datasets/scan/s_9.tif"), now;
	struct handle *h = NULL;
	uint8_t bytes[100];
	struct stat st;
	int64_t n;

	CHECK_RC(node_open(fs, &root, &slice, O_RDWR, &h));
	CHECK(node_write(fs, &root, h, 8, "xx", 2) == 2);
	{
		struct volume_ref *ref = NULL;
		uint16_t rows[WIDTH];

		CHECK_RC(volumes_get(fs->volumes, (uint32_t)(node_what(old.number) >> 34), &ref));
		CHECK(ref->volume.read_rows(ref->volume.ctx, 2, 0, 1, rows) == -EIO);
		CHECK(strstr(err_text(), "scan/s_9.tif") && strstr(err_text(), "written"));
		CHECK_RC(ref->volume.read_rows(ref->volume.ctx, 3, 0, 1, rows));
		CHECK(rows[1] == pixel_at(10, 1));
		volumes_drop(fs->volumes, ref);
	}
	CHECK_RC(node_close(fs, &root, h));
	put_slice(fs, slice.number, 777, WIDTH);
	check_pixels(fs, "views/scan/scan.tif", whole, 5, WIDTH);
	now = find(fs, "views/scan/scan.tif");
	CHECK(now.number != old.number);
	CHECK(node_attr(fs, &old, &st) == -ENOENT);
	n = old.ops->read(fs, &old, 0, bytes, sizeof bytes);
	CHECK(n == -ENOENT);
	/* Removed: one slice less. */
	{
		struct node folder = find(fs, "datasets/scan");

		CHECK_RC(folder.ops->unlink(fs, &root, &folder, "s_100.tif"));
	}
	check_pixels(fs, "views/scan/scan.tif", whole, 4, WIDTH);
}

static void natural_order(void)
{
	static const char *const sorted[] = { "",
					      "0",
					      "00",
					      "01",
					      "1",
					      "2",
					      "10",
					      "a",
					      "a01b",
					      "a1b",
					      "a2",
					      "a2a",
					      "a10",
					      "a99999999999999999999998",
					      "a99999999999999999999999",
					      "b",
					      "\xc3\xa9" };
	size_t n = sizeof sorted / sizeof *sorted;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++) {
			int order = natural_compare(sorted[i], sorted[k]);

			if ((order > 0) - (order < 0) != (i > k) - (i < k))
				fprintf(stderr, "%s %s: %d\n", sorted[i], sorted[k], order);
			CHECK((order > 0) - (order < 0) == (i > k) - (i < k));
		}
}

int main(void)
{
	char store[300];
	struct fs_options options = { .store = store, .cache_bytes = 64 << 20, .settle_seconds = 3600 };
	struct fs *fs = NULL;

	natural_order();
	snprintf(store, sizeof store, "%s/store", check_tmpdir());
	CHECK_RC(store_create(store));
	CHECK_RC(fs_open(&fs, &options));
	if (fs) {
		fill(fs);
		names_and_pixels(fs);
		threads(fs);
		written_again(fs);
		CHECK_RC(fs_close(fs));
	}
	return check_done();
}
