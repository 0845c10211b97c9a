/*
 * Collecting garbage below a catalog: what history and open files name stays; what is given up goes; when a node of a large file's tree
 * cannot be read nothing goes, and it is said. (On a real mount: mount_gc.)
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/collector.h"
#include "index/catalog_history.h"
#include "store/gc.h"
#include "store/log.h"
#include "store/store_internal.h"
#include "tests/lib/file_lab.h"
#include "tests/lib/random.h"

enum { LARGE = 12 << 20, SMALL = 600000 };

static const struct store_gc_options all_of_it = { .threads = 1 };
static uint8_t bytes[LARGE], got[LARGE];

static uint64_t write_file(struct rig *r, const char *name, size_t len, uint64_t seed)
{
	uint64_t ino = make_file(r, name);
	struct file *f;

	random_fill(bytes, len, seed);
	CHECK_RC(file_open(r->files, ino, true, &f));
	CHECK(file_write(f, &caller_self, 0, bytes, len, false) == (int64_t)len);
	CHECK_RC(file_fsync(f, &caller_self));
	CHECK_RC(file_release(f, &caller_self, true));
	CHECK_RC(files_settle(r->files));
	return ino;
}

static int read_file(struct file *f, size_t len, uint64_t seed)
{
	int64_t n = file_read(f, 0, got, len);

	if (n < 0)
		return (int)n;
	random_fill(bytes, len, seed);
	return n == (int64_t)len && !memcmp(bytes, got, len) ? 0 : -EBADMSG;
}

static int check_file(struct rig *r, uint64_t ino, size_t len, uint64_t seed)
{
	struct file *f;
	int rc = file_open(r->files, ino, false, &f);

	if (rc)
		return rc;
	rc = read_file(f, len, seed);
	CHECK_RC(file_release(f, &caller_self, false));
	return rc;
}

static void remove_file(struct rig *r, const char *name)
{
	struct actor actor = caller_actor(&caller_self);
	struct record rec = { .kind = REC_REMOVE };

	rec.remove.parent = INO_DATASETS;
	rec.remove.name = name;
	CHECK_RC(catalog_apply(r->catalog, &actor, &rec));
}

static struct fs fs_of(const struct rig *r)
{
	return (struct fs){ .store = r->store, .journal = r->journal, .catalog = r->catalog, .files = r->files };
}

static void flip(struct rig *r, const struct key *key)
{
	struct directory_entry at;
	char name[PACK_NAME_MAX], path[700];
	uint8_t byte;
	int fd;

	CHECK(directory_get(r->store->directory, key, &at) == 1);
	packs_name(r->store->packs, at.pack, name);
	snprintf(path, sizeof path, "%s/packs/%s", r->path, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0 && pread(fd, &byte, 1, at.off + PACK_HEAD_BYTES + 3) == 1);
	byte ^= 1;
	CHECK(pwrite(fd, &byte, 1, at.off + PACK_HEAD_BYTES + 3) == 1);
	close(fd);
}

static void test_kept(void)
{
	struct rig r = { .cache_bytes = 1 };
	struct store_gc_result result;
	uint64_t large, open_ino;
	struct file *f;
	struct fs fs;

	rig_new(&r, "kept");
	large = write_file(&r, "large", LARGE, 1);
	open_ino = write_file(&r, "open", SMALL, 2);
	write_file(&r, "gone", SMALL, 3);
	fs = fs_of(&r);
	CHECK_RC(file_open(r.files, open_ino, false, &f));
	remove_file(&r, "gone");
	remove_file(&r, "open");
	CHECK_RC(collector_run(&fs, 3600, &all_of_it, &result));
	CHECK(!result.garbage_bytes);
	CHECK_RC(collector_run(&fs, 0, &all_of_it, &result));
	CHECK(result.freed_bytes >= SMALL && result.freed_bytes < 2 * SMALL);
	CHECK_RC(read_file(f, SMALL, 2));
	CHECK_RC(check_file(&r, large, LARGE, 1));
	CHECK_RC(file_release(f, &caller_self, false));
	CHECK_RC(collector_run(&fs, 0, &all_of_it, &result));
	CHECK(result.freed_bytes >= SMALL && result.freed_bytes < 2 * SMALL);
	CHECK_RC(check_file(&r, large, LARGE, 1));
	rig_close(&r);
	rig_open(&r);
	CHECK_RC(check_file(&r, large, LARGE, 1));
	rig_close(&r);
}

static void test_damaged_node(void)
{
	struct rig r = { .cache_bytes = 1 };
	struct store_gc_result result;
	struct content content;
	struct store_stats before, after;
	uint64_t large;
	struct fs fs;

	rig_new(&r, "damaged");
	large = write_file(&r, "large", LARGE, 1);
	write_file(&r, "gone", SMALL, 3);
	remove_file(&r, "gone");
	CHECK_RC(catalog_content(r.catalog, large, &content));
	CHECK(content.depth > 0);
	rig_close(&r);
	rig_open(&r);
	fs = fs_of(&r);
	flip(&r, &content.extents[0].key);
	store_stats(r.store, &before);
	CHECK(collector_run(&fs, 0, &all_of_it, &result) == -EIO);
	CHECK(!result.packs && !result.freed_bytes);
	store_stats(r.store, &after);
	CHECK(before.chunks == after.chunks);
	flip(&r, &content.extents[0].key);
	CHECK_RC(collector_run(&fs, 0, &all_of_it, &result));
	CHECK(result.freed_bytes >= SMALL);
	CHECK_RC(check_file(&r, large, LARGE, 1));
	rig_close(&r);
}

int main(void)
{
	log_set_level(LOG_ERROR);
	test_kept();
	test_damaged_node();
	return check_done();
}
