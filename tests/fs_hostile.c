/*
 * Stores that somebody tampered with, and files that are traps: links and pipes in place of a store's own files, links that
 * go in circles inside of datasets, sidecars that name files elsewhere, images that declare terabytes, and strips that
 * decode to much more than they say. Opening ends with an answer, soon, in little memory, and nothing outside is touched.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "fs/arrival.h"
#include "fs/facts_text.h"
#include "fs/image/image.h"
#include "fs/node.h"
#include "fs/node_real.h"
#include "store/log.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"
#include "tests/lib/tiff_writer.h"

enum { LEN = 100000, SECONDS_MAX = 20 };

static const struct caller root = { .pid = 1, .user = "root", .program = "test" };
static uint8_t content[LEN];

static struct fs *opened(const char *path)
{
	struct fs_options options = { .store = path, .cache_bytes = 8 << 20, .settle_seconds = 1000, .dense_after = UINT32_MAX };
	struct fs *fs = NULL;

	return fs_open(&fs, &options) ? NULL : fs;
}

static struct node made(struct fs *fs, uint64_t folder, const char *name, uint32_t mode, const char *target)
{
	struct node node = { 0 };

	CHECK_RC(real_make(fs, &root, folder, name, mode, target, &node));
	return node;
}

static int put(struct fs *fs, const struct node *node, const void *bytes, size_t len)
{
	struct handle *h = NULL;
	int rc = node_open(fs, &root, node, O_WRONLY | O_TRUNC, &h);

	if (rc)
		return rc;
	rc = node_write(fs, &root, h, 0, bytes, len) == (int64_t)len ? 0 : -EIO;
	return node_close(fs, &root, h) ? -EIO : rc;
}

static struct node at(struct fs *fs, const char *path)
{
	struct node node, next;
	char copy[512], *save = NULL;

	CHECK_RC(node_resolve(fs, INO_ROOT, &node));
	snprintf(copy, sizeof copy, "%s", path);
	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		if (node_lookup(fs, &root, &node, name, &next))
			return (struct node){ 0 };
		node = next;
	}
	return node;
}

/* ---- tricks with the paths of a store ---- */

enum trick { TO_ITSELF, TO_NOTHING, TO_FILE, TO_FOLDER, PIPE, FOLDER, TRICKS };

static char store[600], outside[600];

static void fill(const char *path)
{
	struct fs *fs;
	struct node node;

	CHECK_RC(store_create(path));
	fs = opened(path);
	CHECK(fs);
	node = made(fs, INO_DATASETS, "a.bin", S_IFREG | 0644, "");
	CHECK_RC(put(fs, &node, content, LEN));
	CHECK_RC(fs_close(fs));
}

static void copy_tree(const char *from, const char *to)
{
	char command[1800];

	snprintf(command, sizeof command, "cp -a '%s' '%s'", from, to);
	CHECK(system(command) == 0);
}

static void remove_tree(const char *path)
{
	char command[1000];

	snprintf(command, sizeof command, "rm -rf '%s'", path);
	CHECK(system(command) == 0);
}

static void make_outside(void)
{
	char path[700];
	FILE *f;

	remove_tree(outside);
	CHECK(mkdir(outside, 0700) == 0);
	snprintf(path, sizeof path, "%s/folder", outside);
	CHECK(mkdir(path, 0700) == 0);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", outside, i ? "folder/precious.txt" : "file");
		f = fopen(path, "we");
		CHECK(f && fprintf(f, "do not touch %d\n", i) > 0 && fclose(f) == 0);
	}
}

/* What was there is as it was, and nothing was made where a link to nothing points. */
static bool outside_whole(void)
{
	char path[700], text[40];
	bool whole = true;

	for (int i = 0; i < 2; i++) {
		FILE *f;

		snprintf(path, sizeof path, "%s/%s", outside, i ? "folder/precious.txt" : "file");
		f = fopen(path, "re");
		whole = whole && f && fgets(text, sizeof text, f) && strncmp(text, "do not touch ", 13) == 0 && text[13] == '0' + i &&
			fgetc(f) == EOF;
		if (f)
			fclose(f);
	}
	snprintf(path, sizeof path, "%s/nothing", outside);
	return whole && access(path, F_OK) != 0;
}

static void play(enum trick trick, const char *path)
{
	char target[700];

	snprintf(target, sizeof target, "%s/%s", outside,
		 trick == TO_NOTHING ? "nothing" : trick == TO_FILE ? "file" : "folder");
	if (trick == PIPE)
		CHECK(mkfifo(path, 0600) == 0);
	else if (trick == FOLDER)
		CHECK(mkdir(path, 0700) == 0);
	else
		CHECK(symlink(trick == TO_ITSELF ? path : target, path) == 0);
}

/* In a process of its own: opens the store, reads the file, writes another. Exit code 0: whatever came out is right. */
static int use(const char *path)
{
	static uint8_t bytes[LEN];
	struct handle *h = NULL;
	struct fs *fs = opened(path);
	struct node node;
	int code = 0;

	if (!fs)
		return *err_text() ? 0 : 10; /* refused, with a reason */
	node = at(fs, "datasets/a.bin");
	if (node.ops && !node_open(fs, &root, &node, O_RDONLY, &h)) {
		int64_t n = node_read(fs, h, 0, bytes, sizeof bytes);

		if (n > 0 && memcmp(bytes, content, (size_t)n) != 0)
			code = 11;
		node_close(fs, &root, h);
	}
	if (!real_make(fs, &root, INO_DATASETS, "b.bin", S_IFREG | 0644, "", &node))
		put(fs, &node, content, 1000);
	fs_close(fs);
	return code;
}

static int used(const char *path)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(SECONDS_MAX);
		log_set_level(LOG_ERROR);
		if (!freopen("/dev/null", "w", stderr))
			_exit(12);
		_exit(use(path));
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The first file in a folder, or the name itself. */
static bool victim(const char *base, const char *name, char path[800])
{
	struct dirent *e;
	DIR *d;

	snprintf(path, 800, "%s/%s", base, name);
	if (path[strlen(path) - 1] != '*')
		return true;
	path[strlen(path) - 2] = 0;
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (*e->d_name != '.') {
			snprintf(path + strlen(path), 800 - strlen(path), "/%s", e->d_name);
			closedir(d);
			return true;
		}
	if (d)
		closedir(d);
	return false;
}

static void test_paths(void)
{
	static const char *const names[] = { "tomofs.json", "tomofs.json.tmp", "epoch", "epoch.tmp", "lock", "packs", "packs/*",
					     "journal", "journal/*", "keys", "index", "index/data.mdb", "index/lock.mdb",
					     "index.old", "index.new", "cache" };
	char path[800], copy[620];

	snprintf(copy, sizeof copy, "%s-tried", store);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		for (int trick = 0; trick < TRICKS; trick++) {
			int code;

			if (!getenv("LONG") && (trick == TO_ITSELF || trick == TO_FOLDER || trick == FOLDER))
				continue;
			copy_tree(store, copy);
			CHECK(victim(copy, names[i], path));
			remove_tree(path);
			play((enum trick)trick, path);
			code = used(copy);
			if (code || !outside_whole()) {
				fprintf(stderr, "%s, trick %d: %d\n", names[i], trick, code);
				CHECK(!"an answer, and nothing outside is touched");
				make_outside();
			}
			remove_tree(copy);
		}
}

/* ---- traps inside of datasets ---- */

static int count(void *ctx, const struct node_entry *entry)
{
	size_t *n = ctx;

	(void)entry;
	(*n)++;
	return 0;
}

/* Links to themselves, to each other, to the folder above, to the outside; a sidecar that names /etc/passwd. */
static void test_dataset(const char *path)
{
	static const char *const targets[] = { "loop", "b", "a", ".", "..", "/", "/etc/passwd", "../../../../etc/passwd" };
	static const char mhd[] = "NDims = 3\nDimSize = 4 4 4\nElementType = MET_UCHAR\nElementDataFile = %s\n";
	static const char *const files[] = { "/etc/passwd", "../../etc/passwd", "..", "C:\\windows\\x.raw" };
	struct fs *fs = opened(path);
	struct node folder, node;
	struct dataset_row row;
	char name[32], text[200];
	scope_buf struct buf json = { 0 };
	size_t n = 0;

	folder = made(fs, INO_DATASETS, "trap", S_IFDIR | 0755, "");
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		snprintf(name, sizeof name, i == 0 ? "loop" : i == 1 ? "a" : i == 2 ? "b" : "l%zu.tif", i);
		made(fs, folder.number, name, S_IFLNK | 0777, targets[i]);
	}
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(name, sizeof name, "s%zu.mhd", i);
		snprintf(text, sizeof text, mhd, files[i]);
		node = made(fs, folder.number, name, S_IFREG | 0644, "");
		CHECK_RC(put(fs, &node, text, strlen(text)));
	}
	CHECK_RC(catalog_dataset_of(fs->catalog, folder.number, &row));
	CHECK_RC(arrival_catch_up(fs->arrival, row.number));
	CHECK_RC(facts_json(fs, &row, &json));
	CHECK(!strstr(buf_text(&json), "root:"));
	node = at(fs, "views");
	CHECK(node.ops);
	CHECK_RC(node_list(fs, &root, &node, count, &n));
	CHECK(!at(fs, "datasets/trap/loop/x").ops && !at(fs, "datasets/trap/l3.tif/trap").ops);
	CHECK_RC(fs_close(fs));
}

/* ---- images ---- */

static size_t resident(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (size_t)usage.ru_maxrss << 10;
}

/* Asks for what the header offers; tiny files must not cost more than IMAGE_MEMORY_MAX, and give no pixels. */
static void ask(const char *what, const uint8_t *bytes, size_t len, bool may_open)
{
	struct source src = source_of_memory(bytes, len);
	struct findings facts = { 0 };
	struct geometry geo = { 0 };
	struct image *image = NULL;
	size_t before = resident();
	uint8_t *row;
	int rc = image_probe(&src, &geo, &facts);

	if (!rc)
		rc = image_open(&image, &src, &geo);
	if (rc)
		CHECK(*err_text());
	CHECK(!rc || !may_open);
	row = !rc && geometry_row_bytes(&geo) <= 64 << 20 ? malloc(geometry_row_bytes(&geo)) : NULL;
	if (row && image_read_rows(image, 0, geo.height - 1, 1, row))
		CHECK(strlen(err_text()) > 10);
	if (resident() - before > IMAGE_MEMORY_MAX) {
		fprintf(stderr, "%s: %zu MiB\n", what, (resident() - before) >> 20);
		CHECK(!"memory");
	}
	free(row);
	image_close(image);
	findings_free(&facts);
	source_close(&src);
}

/* One directory with these tags, then data. */
struct tag {
	uint16_t tag, type;
	uint32_t count, value;
};

static void tiff(struct buf *b, const struct tag *tags, size_t n, const void *data, size_t len)
{
	buf_put(b, "II*\0", 4);
	buf_u32(b, 8);
	buf_u16(b, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		buf_u16(b, tags[i].tag);
		buf_u16(b, tags[i].type);
		buf_u32(b, tags[i].count);
		buf_u32(b, tags[i].value);
	}
	buf_u32(b, 0);
	if (len)
		buf_put(b, data, len);
}

enum { STRIP_AT = 8 + 2 + 8 * 12 + 4 };

static void one_strip(const char *what, uint32_t width, uint32_t height, uint32_t bits, uint32_t compression, uint32_t rows,
		      const void *data, size_t len, bool may_open)
{
	const struct tag tags[] = { { 256, 4, 1, width },  { 257, 4, 1, height },   { 258, 3, 1, bits },
				    { 259, 3, 1, compression }, { 262, 3, 1, 1 },   { 273, 4, 1, STRIP_AT },
				    { 278, 4, 1, rows },   { 279, 4, 1, (uint32_t)len } };
	scope_buf struct buf b = { 0 };

	tiff(&b, tags, 8, data, len);
	ask(what, b.data, b.len, may_open);
}

/* zeros of `len` bytes, deflated: a thousandth of it. */
static void deflated(struct buf *out, size_t len)
{
	static const uint8_t zeros[1 << 16];
	uint8_t to[1 << 14];
	z_stream z = { 0 };

	CHECK(deflateInit(&z, 9) == Z_OK);
	for (size_t done = 0; done < len || z.avail_out == 0;) {
		if (!z.avail_in && done < len) {
			z.next_in = (uint8_t *)(uintptr_t)zeros;
			z.avail_in = sizeof zeros;
			done += sizeof zeros;
		}
		z.next_out = to;
		z.avail_out = sizeof to;
		deflate(&z, done < len ? Z_NO_FLUSH : Z_FINISH);
		buf_put(out, to, sizeof to - z.avail_out);
	}
	deflateEnd(&z);
}

static void test_images(void)
{
	static const uint32_t most = INT32_MAX;
	scope_buf struct buf bomb = { 0 };
	uint8_t some[100] = { 0 };

	for (uint32_t compression = 1; compression <= 8; compression++) {
		one_strip("all at the limit", most, most, 16, compression, most, some, sizeof some, false);
		one_strip("one long row", most, 1, 8, compression, 1, some, sizeof some, false);
		one_strip("one wide column", 1, most, 64, compression, 1, some, sizeof some, false);
		one_strip("one strip of all", 100000, 100000, 32, compression, 100000, some, sizeof some, false);
	}
	one_strip("a terabyte of zstd", 1000000, 1000000, 8, 50000, 1000000, some, sizeof some, false);
	deflated(&bomb, 256 << 20);
	one_strip("a strip that is a bomb", 16, 16, 8, 8, 16, bomb.data, bomb.len, true);
	one_strip("a strip of gigabytes", 1 << 16, 1 << 14, 8, 8, 1 << 14, bomb.data, bomb.len, true);
	one_strip("a strip of gigabytes that are not there", 1 << 17, 1 << 17, 8, 8, 1 << 17, bomb.data, bomb.len, false);
}

int main(void)
{
	log_set_level(LOG_ERROR);
	random_fill(content, LEN, 7);
	snprintf(store, sizeof store, "%s/store", check_tmpdir());
	snprintf(outside, sizeof outside, "%s/outside", check_tmpdir());
	make_outside();
	fill(store);
	test_paths();
	test_dataset(store);
	test_images();
	return check_done();
}
