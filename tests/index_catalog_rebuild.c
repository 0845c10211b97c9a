/*
 * The journal is the truth: whatever way an index comes about - kept up live, replayed after a crash, rebuilt from
 * nothing - it says the same, byte for byte.
 */
#include <errno.h>

#include "index/catalog_internal.h"
#include "store/log.h"
#include "tests/lib/catalog_lab.h"

enum { DATASETS = 10, FILES = 12 };

static void __attribute__((format(printf, 1, 2))) run_command(const char *fmt, ...)
{
	char command[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof command, fmt, ap);
	va_end(ap);
	CHECK(system(command) == 0);
}

static void put_image(struct lab *lab, uint64_t ino, uint32_t dataset)
{
	struct record_image image = {
		.id = catalog_new_image(lab->catalog),
		.kind = IMAGE_STACK,
		.ino = ino,
		.part = "",
		.geo = { .format = IMAGE_TIFF, .type = VOXEL_U8, .samples = 1, .width = 3, .height = 4, .depth = 5 },
		.signature = ino,
		.error = ""
	};
	struct record r = { .kind = REC_IMAGES };

	r.images.dataset = dataset;
	r.images.list = &image;
	r.images.count = 1;
	CHECK_RC(lab_apply(lab, &r));
}

static void put_xattr(struct lab *lab, uint64_t ino)
{
	struct record r = { .kind = REC_XATTR };

	r.xattr.ino = ino;
	r.xattr.name = "user.note";
	r.xattr.value = (const uint8_t *)"hello";
	r.xattr.value_len = 5;
	CHECK_RC(lab_apply(lab, &r));
}

static void chown_to(struct lab *lab, uint64_t ino, uint32_t uid)
{
	struct record r = { .kind = REC_ATTR };

	r.attr.ino = ino;
	r.attr.set = ATTR_UID | ATTR_MODE;
	r.attr.uid = uid;
	r.attr.mode = 0750;
	r.attr.owner = "bea";
	CHECK_RC(lab_apply(lab, &r));
}

static void fill_one(struct lab *lab, int round, unsigned i)
{
	char name[32], sample[32];
	uint64_t top, sub;
	uint32_t n;

	snprintf(name, sizeof name, "scan%d-%u", round, i);
	snprintf(sample, sizeof sample, "s%u", i % 5);
	top = lab_folder(lab, INO_DATASETS, name);
	sub = lab_folder(lab, top, "sub");
	n = lab_dataset(lab, top);
	for (unsigned k = 0; k < FILES; k++) {
		uint64_t file;

		snprintf(name, sizeof name, "%u", k);
		file = lab_file(lab, k % 2 ? sub : top, name);
		CHECK_RC(lab_write(lab, file, k * 10));
		CHECK_RC(lab_probe(lab, file, RANK_HEADER, k % 3 ? "sample" : "start_time",
				   k % 3 ? sample : "2024-01-02T03:04:05Z"));
	}
	put_image(lab, top, n);
	put_xattr(lab, sub);
	CHECK_RC(lab_tag(lab, n, i % 2 ? "odd" : "even", false));
	CHECK_RC(lab_fact(lab, n, "project", "p"));
	if (i % 3 == 0)
		CHECK_RC(lab_role(lab, sub, ROLE_DATASET, STATE_READY, ""));
	if (i % 4 == 0)
		chown_to(lab, top, 1001);
	if (i % 5 == 0)
		CHECK_RC(lab_remove(lab, top, "0", false));
	if (i % 6 == 0)
		CHECK_RC(lab_rename(lab, top, "2", INO_DATASETS, name, 0));
	if (i % 6 == 0)
		CHECK_RC(lab_remove(lab, INO_DATASETS, name, false));
}

static void fill(struct lab *lab, int round)
{
	char name[32];

	for (unsigned i = 0; i < DATASETS; i++)
		fill_one(lab, round, i);
	CHECK_RC(lab_term(lab, FACET_TAG, TERM_KEEP, "kept", ""));
	CHECK_RC(lab_term(lab, FACET_TAG, TERM_RENAME, "odd", "strange"));
	CHECK_RC(lab_term(lab, FACET_PROJECT, TERM_RENAME, "p", "q"));
	snprintf(name, sizeof name, "tag=x%d", round);
	CHECK_RC(lab_query(lab, name, false));
	CHECK(lab_query(lab, "not there", true) == -ENOENT);
}

static void check_same(const char *a, const char *b, const char *what)
{
	check_that(strcmp(a, b) == 0, __FILE__, __LINE__, "same index", what);
	CHECK(strlen(a) > 1000);
}

static void check_reopens_as(const char *path, const char *dump, const char *what)
{
	struct lab lab;

	lab_open(&lab, path);
	scope_free char *now = lab_dump(&lab);
	check_same(now, dump, what);
	lab_close(&lab);
}

/* A copy of the folder is what a crash leaves: the journal is ahead of LMDB. */
static void check_crash(struct lab *lab, const char *what)
{
	char copy[512];
	struct lab again;

	CHECK_RC(catalog_sync(lab->catalog));
	scope_free char *dump = lab_dump(lab);
	snprintf(copy, sizeof copy, "%.500s.copy", lab->path);
	run_command("rm -rf '%s' '%s'", copy, copy);
	run_command("cp -r '%s' '%s'", lab->path, copy);
	lab_open(&again, copy);
	scope_free char *now = lab_dump(&again);
	check_same(now, dump, what);
	CHECK(catalog_version(again.catalog) == catalog_version(lab->catalog));
	CHECK(catalog_new_ino(again.catalog) >= catalog_new_ino(lab->catalog) - 1);
	CHECK_RC(lab_make(&again, INO_DATASETS, "after the crash", S_IFDIR | 0700, NULL));
	lab_close(&again);
}

static void rebuild(const char *path, const char *dump, const char *what)
{
	struct lab lab = { 0 };
	uint64_t records = 0;

	snprintf(lab.path, sizeof lab.path, "%s", path);
	CHECK_RC(lab_start(&lab, false));
	CHECK_RC(catalog_rebuild(lab.store, lab.journal, &records));
	CHECK(records == journal_last(lab.journal) && records > 100);
	journal_close(lab.journal);
	store_close(lab.store);
	check_reopens_as(path, dump, what);
}

/* What a rebuild that was killed leaves behind. */
static void check_killed_rebuild(const char *path, const char *dump)
{
	run_command("mkdir '%s/index.new' && echo x > '%s/index.new/data.mdb'", path, path);
	check_reopens_as(path, dump, "killed before the renames");
	run_command("mv '%s/index' '%s/index.old'", path, path);
	check_reopens_as(path, dump, "killed between the renames");
	run_command("test ! -e '%s/index.old' && test ! -e '%s/index.new'", path, path);
}

/* Every eighth value is cut short or garbled, with a right checksum: decoding must notice and not stumble. */
static void garble(const char *path, unsigned round)
{
	scope_buf struct buf keys = { 0 };
	uint64_t random = round;
	const uint8_t *key, *value;
	size_t key_len, value_len, len;
	struct kv_cursor *c;
	struct kv *kv;
	struct cursor at;
	char dir[700];

	snprintf(dir, sizeof dir, "%s/index", path);
	CHECK_RC(kv_open(&kv, dir, 0));
	kv_write_begin(kv);
	c = kv_seek(kv, "", 0, "", 0);
	while (kv_next(c, &key, &key_len, &value, &value_len) == 1)
		if (lab_random(&random, 8) == 0 && (key[0] != 'm' || round == 1)) {
			buf_block(&keys, key, key_len);
			buf_block(&keys, value, value_len);
		}
	kv_cursor_free(c);
	at = cursor_of(keys.data, keys.len);
	while (cursor_left(&at)) {
		scope_buf struct buf bad = { 0 };

		key = cursor_block(&at, &key_len);
		value = cursor_block(&at, &value_len);
		len = lab_random(&random, 2) ? value_len : lab_random(&random, (uint32_t)value_len + 1);
		buf_put(&bad, value, len);
		for (unsigned i = 0; len && i < 3; i++)
			bad.data[lab_random(&random, (uint32_t)len)] ^= (uint8_t)(1 + lab_random(&random, 255));
		kv_put(kv, key, key_len, len ? bad.data : key, len);
	}
	kv_write_end(kv);
	CHECK_RC(kv_commit(kv));
	kv_close(kv);
}

static bool fine(int rc)
{
	return rc != -EIO || strstr(err_text(), "tomofs rebuild");
}

static void look_at_node(struct lab *lab, uint64_t ino)
{
	scope_entries struct entries entries = { 0 };
	scope_buf struct buf names = { 0 };
	scope_free char *path = NULL, *target = NULL;
	struct record_memory *memory = NULL;
	struct record_probe probe;
	struct dataset_row dataset;
	struct content content;
	struct node_row row;

	CHECK(fine(catalog_node(lab->catalog, ino, &row)));
	CHECK(fine(catalog_list(lab->catalog, ino, &entries)));
	CHECK(fine(catalog_path(lab->catalog, ino, &path)));
	CHECK(fine(catalog_symlink(lab->catalog, ino, &target)));
	CHECK(fine(catalog_content(lab->catalog, ino, &content)));
	CHECK(fine(catalog_xattr_list(lab->catalog, ino, &names)));
	CHECK(fine(catalog_dataset_of(lab->catalog, ino, &dataset)));
	CHECK(fine(catalog_probe(lab->catalog, ino, &probe, &memory)));
	record_memory_free(memory);
}

static void look_at_number(struct lab *lab, uint32_t n)
{
	scope_facts struct facts facts = { 0 };
	scope_images struct images images = { 0 };
	scope_free struct term *terms = NULL;
	scope_free uint32_t *list = NULL;
	struct record_memory *memory = NULL;
	struct record_image image;
	struct dataset_row row;
	struct term term;
	uint32_t of;
	size_t count;

	CHECK(fine(catalog_dataset(lab->catalog, n, &row)));
	CHECK(fine(catalog_facts(lab->catalog, n, &facts)));
	CHECK(fine(catalog_images(lab->catalog, n, &images)));
	CHECK(fine(catalog_tags(lab->catalog, n, &terms, &count)));
	CHECK(fine(catalog_image(lab->catalog, n, &image, &of, &memory)));
	CHECK(fine(catalog_term(lab->catalog, n, &term)));
	CHECK(fine(catalog_term_members(lab->catalog, n, &list, &count)));
	record_memory_free(memory);
}

static void look_at_all(struct lab *lab)
{
	struct query *query = NULL;
	scope_free uint32_t *found = NULL;
	size_t count, at;

	for (uint64_t ino = 1; ino < catalog_new_ino(lab->catalog) && ino < 3000; ino++)
		look_at_node(lab, ino);
	for (uint32_t n = 0; n < 60; n++)
		look_at_number(lab, n);
	for (int facet = 1; facet < FACETS; facet++) {
		scope_free struct term *terms = NULL;

		CHECK(fine(catalog_terms(lab->catalog, facet, &terms, &count)));
	}
	CHECK_RC(query_parse("sample=s1", &query, &at));
	CHECK(fine(catalog_search(lab->catalog, query, NULL, NULL, &found, &count)));
	query_free(query);
	for (uint32_t n = 1; n < 10; n++) {
		CHECK(fine(lab_tag(lab, n, "new", false)) || strstr(err_text(), "half-way"));
		CHECK(fine(lab_fact(lab, n, "sample", "new")) || strstr(err_text(), "half-way"));
	}
}

static void check_damage(const char *path)
{
	char copy[512];

	snprintf(copy, sizeof copy, "%.500s.damaged", path);
	for (unsigned round = 1; round <= 3; round++) {
		struct lab lab = { 0 };
		int rc;

		run_command("rm -rf '%s' '%s'", copy, copy);
		run_command("cp -r '%s' '%s'", path, copy);
		garble(copy, round);
		snprintf(lab.path, sizeof lab.path, "%s", copy);
		rc = lab_start(&lab, true);
		CHECK(!rc || (rc == -EIO && strstr(err_text(), "tomofs rebuild")));
		if (!rc)
			look_at_all(&lab);
		catalog_close(lab.catalog); /* may say that a change failed half-way */
		journal_close(lab.journal);
		store_close(lab.store);
	}
}

/* A file that LMDB cannot have left like this is made again without a word to anybody. */
static void check_broken_file(const char *path, const char *dump)
{
	log_set_level(LOG_ERROR);
	run_command("dd if=/dev/urandom of='%s/index/data.mdb' bs=100 count=1 conv=notrunc status=none", path);
	check_reopens_as(path, dump, "a broken meta page");
	run_command("truncate -s 9000 '%s/index/data.mdb'", path);
	check_reopens_as(path, dump, "a shorter file");
}

/* Much that waits in memory starts a commit at once, without anybody asking. */
static void check_background(const char *path)
{
	static uint8_t value[60000];
	struct record r = { .kind = REC_XATTR };
	struct lab lab;
	char name[32];
	int waited = 0;

	lab_open(&lab, path);
	r.xattr.ino = lab_folder(&lab, INO_DATASETS, "big");
	r.xattr.name = name;
	r.xattr.value = value;
	r.xattr.value_len = sizeof value;
	for (unsigned i = 0; i < PENDING_COMMIT / sizeof value + 2; i++) {
		snprintf(name, sizeof name, "user.%u", i);
		CHECK_RC(lab_apply(&lab, &r));
	}
	while (kv_pending(lab.catalog->kv) > PENDING_COMMIT / 2 && waited++ < 1000)
		usleep(10000);
	CHECK(waited < 1000);
	lab_close(&lab);
}

static void check_ahead(const char *path)
{
	struct lab lab = { 0 };
	uint64_t records;
	int rc;

	run_command("find '%s/journal' -type f -size +0 -delete", path);
	snprintf(lab.path, sizeof lab.path, "%s", path);
	rc = lab_start(&lab, true);
	CHECK(rc == -EIO && strstr(err_text(), "tomofs rebuild"));
	CHECK_RC(catalog_rebuild(lab.store, lab.journal, &records));
	CHECK(records == 0);
	journal_close(lab.journal);
	store_close(lab.store);
}

int main(void)
{
	struct lab lab;
	char path[512];

	lab_new(&lab);
	snprintf(path, sizeof path, "%s", lab.path);
	fill(&lab, 0);
	check_crash(&lab, "nothing committed");
	lab_close(&lab);
	lab_open(&lab, path);
	fill(&lab, 1);
	check_crash(&lab, "half committed");
	scope_free char *dump = lab_dump(&lab);
	lab_close(&lab);
	check_reopens_as(path, dump, "closed and opened");
	rebuild(path, dump, "rebuilt");
	run_command("rm -rf '%s/index' '%s/index.old'", path, path);
	check_reopens_as(path, dump, "replayed from nothing");
	check_killed_rebuild(path, dump);
	check_broken_file(path, dump);
	check_damage(path);
	check_background(path);
	check_ahead(path);
	return check_done();
}
