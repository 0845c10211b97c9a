/*
 * What was removed and what files held before: as people remove and overwrite (rm, rm -r, rename over, KDE's part files),
 * and how it comes back.
 */
#include <errno.h>

#include "index/catalog_history.h"
#include "index/catalog_internal.h"
#include "tests/lib/catalog_lab.h"

enum { SECOND_NS = 1000000000 };

static void wait_seconds(struct lab *lab, int64_t seconds)
{
	lab->now_ns += seconds * SECOND_NS;
}

static struct removed *find(struct removed_list *list, const char *name, unsigned nth)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->list[i].name, name) == 0 && !nth--)
			return &list->list[i];
	return NULL;
}

static int restore(struct lab *lab, uint64_t ino, uint64_t parent, const char *name, uint32_t dataset)
{
	struct record r = { .kind = REC_RESTORE };

	r.restore.ino = ino;
	r.restore.parent = parent;
	r.restore.name = name;
	r.restore.dataset = dataset;
	return lab_apply(lab, &r);
}

static void check_versions(struct lab *lab, uint64_t folder, const char *name, const char *sizes)
{
	scope_buf struct buf text = { 0 };
	scope_free struct version *list = NULL;
	struct content content;
	size_t count = 0;

	CHECK_RC(catalog_versions(lab->catalog, folder, name, &list, &count));
	for (size_t i = 0; i < count; i++) {
		buf_printf(&text, "%s%llu", i ? " " : "", (unsigned long long)list[i].size);
		CHECK(list[i].until > list[i].since && list[i].until_second >= list[i].since_second);
		CHECK_RC(catalog_content_at(lab->catalog, list[i].until - 1, list[i].ino, &content));
		CHECK(content.size == list[i].size);
	}
	check_that(strcmp(buf_text(&text), sizes) == 0, __FILE__, __LINE__, sizes, buf_text(&text));
}

static bool has_folder(struct lab *lab, enum history_kind kind, uint64_t ino)
{
	scope_free uint64_t *list = NULL;
	size_t count = 0;

	CHECK_RC(catalog_history_folders(lab->catalog, kind, &list, &count));
	for (size_t i = 0; i < count; i++) {
		CHECK(!i || list[i - 1] < list[i]);
		if (list[i] == ino)
			return true;
	}
	return false;
}

/* cp over it, sed -i, mv away and back, a removed and remade name. */
static void test_versions(struct lab *lab)
{
	uint64_t top = lab_folder(lab, INO_DATASETS, "v"), sub = lab_folder(lab, top, "sub"), file, next;

	file = lab_file(lab, sub, "a");
	check_versions(lab, sub, "a", "");
	CHECK_RC(lab_write(lab, file, 10));
	check_versions(lab, sub, "a", "");
	CHECK(!has_folder(lab, HISTORY_VERSIONS, sub));
	CHECK_RC(lab_write(lab, file, 11));
	CHECK_RC(lab_write(lab, file, 0));
	CHECK_RC(lab_write(lab, file, 12));
	check_versions(lab, sub, "a", "10 11");
	CHECK(has_folder(lab, HISTORY_VERSIONS, sub) && has_folder(lab, HISTORY_VERSIONS, top));
	CHECK(has_folder(lab, HISTORY_VERSIONS, INO_DATASETS));
	next = lab_file(lab, sub, ".a.XYZ");
	CHECK_RC(lab_write(lab, next, 13));
	CHECK_RC(lab_rename(lab, sub, ".a.XYZ", sub, "a", 0));
	check_versions(lab, sub, "a", "10 11 12");
	CHECK_RC(lab_rename(lab, sub, "a", sub, "b", 0));
	check_versions(lab, sub, "b", "");
	CHECK_RC(lab_write(lab, next, 14));
	check_versions(lab, sub, "b", "13");
	CHECK_RC(lab_rename(lab, sub, "b", sub, "a", 0));
	check_versions(lab, sub, "a", "10 11 12 13");
	CHECK_RC(lab_remove(lab, sub, "a", false));
	check_versions(lab, sub, "a", "10 11 12 13 14");
	check_versions(lab, sub, "not there", "");
}

/* A content that only learns its SHA-256 is the same one. */
static void test_hashed_later(struct lab *lab)
{
	uint64_t file = lab_file(lab, INO_DATASETS, "hashed");
	struct record r = { .kind = REC_CONTENT };
	struct content content = { 0 };

	r.content.ino = file;
	r.content.content.size = 9;
	r.content.content.count = 1;
	r.content.content.extents[0].len = 9;
	CHECK_RC(lab_apply(lab, &r));
	r.content.content.sha256_known = true;
	CHECK_RC(lab_apply(lab, &r));
	check_versions(lab, INO_DATASETS, "hashed", "");
	CHECK_RC(catalog_content(lab->catalog, file, &content));
	CHECK(content.sha256_known);
	r.content.content.extents[0].key.bytes[3] = 1;
	CHECK_RC(lab_apply(lab, &r));
	check_versions(lab, INO_DATASETS, "hashed", "9");
}

static void test_removed_file(struct lab *lab)
{
	scope_removed struct removed_list list = { 0 };
	uint64_t top = lab_folder(lab, INO_DATASETS, "r"), file = lab_file(lab, top, "a"), part;
	struct removed *r;

	CHECK(!has_folder(lab, HISTORY_REMOVED, top));
	CHECK_RC(lab_rename(lab, top, "a", top, "b", 0));
	part = lab_file(lab, top, "b.part");
	CHECK_RC(lab_rename(lab, top, "b.part", top, "b", 0)); /* replaced: a version, not a removal */
	CHECK_RC(catalog_removed(lab->catalog, top, &list));
	CHECK(list.count == 0 && !has_folder(lab, HISTORY_REMOVED, top));
	CHECK_RC(lab_remove(lab, top, "b", false));
	CHECK_RC(catalog_removed(lab->catalog, top, &list));
	r = find(&list, "b", 0);
	CHECK(list.count == 1 && r && r->ino == part && r->mode == S_IFREG && !r->hidden && !r->dataset);
	CHECK(r && r->second == (uint32_t)(lab->now_ns / SECOND_NS) && r->seq == catalog_version(lab->catalog));
	CHECK(has_folder(lab, HISTORY_REMOVED, top) && has_folder(lab, HISTORY_REMOVED, INO_DATASETS));
	lab_file(lab, top, "b");
	removed_free(&list);
	CHECK_RC(catalog_removed(lab->catalog, top, &list));
	CHECK(list.count == 1 && find(&list, "b", 0)->hidden);
	CHECK_RC(lab_remove(lab, top, "b", false));
	removed_free(&list);
	CHECK_RC(catalog_removed(lab->catalog, top, &list));
	CHECK(list.count == 2 && find(&list, "b", 0)->hidden && !find(&list, "b", 1)->hidden);
	CHECK(restore(lab, file, top, "c", 0) == 0 && restore(lab, file, top, "d", 0) == -EEXIST);
	CHECK(restore(lab, part, top, "c", 0) == -EEXIST);
	CHECK(restore(lab, part, file, "x", 0) == -ENOTDIR);
	CHECK(restore(lab, part, top, "b", 0) == 0);
	removed_free(&list);
	CHECK_RC(catalog_removed(lab->catalog, top, &list));
	CHECK(list.count == 1);
}

static void fill(struct lab *lab, uint64_t folder, const char *prefix)
{
	char name[32];

	for (unsigned i = 0; i < 5; i++) {
		snprintf(name, sizeof name, "%s%u", prefix, i);
		CHECK_RC(lab_write(lab, lab_file(lab, folder, name), 100 + i));
	}
}

static void empty(struct lab *lab, uint64_t folder)
{
	scope_entries struct entries entries = { 0 };

	CHECK_RC(catalog_list(lab->catalog, folder, &entries));
	for (size_t i = 0; i < entries.count; i++) {
		wait_seconds(lab, 1);
		if (S_ISDIR(entries.list[i].mode))
			empty(lab, entries.list[i].ino);
		CHECK_RC(lab_remove(lab, folder, entries.list[i].name, S_ISDIR(entries.list[i].mode)));
	}
}

static size_t count_at(struct lab *lab, uint64_t seq, uint64_t folder)
{
	scope_entries struct entries entries = { 0 };

	CHECK_RC(catalog_list_at(lab->catalog, seq, folder, &entries));
	return entries.count;
}

/* rm -r of a dataset: the tree before it began, without what was removed long before; and the dataset comes back. */
static void test_removed_dataset(struct lab *lab)
{
	scope_removed struct removed_list list = { 0 };
	scope_free struct term *tags = NULL;
	uint64_t top = lab_folder(lab, INO_DATASETS, "d"), sub = lab_folder(lab, top, "sub"), seq = 0, file = 0;
	uint32_t number = lab_dataset(lab, top);
	struct dataset_row row = { 0 };
	struct node_row node = { 0 };
	struct removed *r;
	size_t count = 0;

	fill(lab, top, "a");
	fill(lab, sub, "b");
	CHECK_RC(lab_tag(lab, number, "good", false));
	CHECK_RC(lab_fact(lab, number, "sample", "bone"));
	CHECK_RC(catalog_lookup(lab->catalog, top, "a1", &node));
	file = node.ino;
	CHECK_RC(lab_probe(lab, file, RANK_HEADER, "instrument", "nano"));
	CHECK_RC(lab_remove(lab, top, "a0", false));
	wait_seconds(lab, 3600);
	empty(lab, top);
	wait_seconds(lab, 1);
	CHECK_RC(lab_remove(lab, INO_DATASETS, "d", true));
	CHECK_RC(catalog_removed(lab->catalog, INO_DATASETS, &list));
	r = find(&list, "d", 0);
	CHECK(r && r->ino == top && r->dataset == number && S_ISDIR(r->mode));
	CHECK_RC(catalog_removal_began(lab->catalog, top, &seq));
	CHECK(count_at(lab, seq, top) == 5 && count_at(lab, seq, sub) == 5);
	CHECK_RC(catalog_node_at(lab->catalog, seq, top, &node));
	CHECK(node.dataset == number && node.nlink == 3 && !node.removed);
	CHECK(catalog_removal_began(lab->catalog, INO_DATASETS, &seq) == -EINVAL);

	CHECK_RC(restore(lab, top, INO_DATASETS, "d", number));
	CHECK_RC(catalog_dataset(lab->catalog, number, &row));
	CHECK(!row.removed && row.ino == top && strcmp(row.name, "d") == 0 && row.files == 0);
	CHECK_RC(restore(lab, file, top, "a1", 0));
	CHECK_RC(catalog_dataset(lab->catalog, number, &row));
	CHECK(row.files == 1 && row.bytes == 101);
	CHECK_RC(catalog_tags(lab->catalog, number, &tags, &count));
	CHECK(count == 1 && strcmp(tags[0].text, "good") == 0);
	scope_free char *sample = catalog_fact(lab->catalog, number, "sample");
	scope_free char *instrument = catalog_fact(lab->catalog, number, "instrument");
	CHECK(sample && strcmp(sample, "bone") == 0 && instrument && strcmp(instrument, "nano") == 0);
}

/* A dataset that was replaced by a file of the same name, or that somebody made again, does not come back as the same one. */
static void test_other_top(struct lab *lab)
{
	uint64_t file = lab_file(lab, INO_DATASETS, "one.tif"), other;
	uint32_t number = lab_dataset(lab, file);

	other = lab_file(lab, INO_DATASETS, ".one.tif.X");
	CHECK_RC(lab_rename(lab, INO_DATASETS, ".one.tif.X", INO_DATASETS, "one.tif", 0));
	CHECK(lab_dataset(lab, other) == number);
	CHECK_RC(restore(lab, file, INO_DATASETS, "old.tif", number));
	CHECK(lab_dataset(lab, file) != number && lab_dataset(lab, file) && lab_dataset(lab, other) == number);
}

/* An index that an older tomofs made is made again, one from the future is refused. */
static void test_schema(struct lab *lab)
{
	char path[512], dir[600];
	static const uint8_t value[20] = { 1 };
	uint8_t future[20] = { 99 };
	struct kv *kv;

	memcpy(path, lab->path, sizeof path);
	scope_free char *dump = lab_dump(lab);
	lab_close(lab);
	snprintf(dir, sizeof dir, "%s/index", path);
	for (int round = 0; round < 2; round++) {
		CHECK_RC(kv_open(&kv, dir, 0));
		kv_write_begin(kv);
		kv_put(kv, "midentity", 9, round ? future : value, sizeof value);
		kv_write_end(kv);
		CHECK_RC(kv_commit(kv));
		kv_close(kv);
		if (round) {
			CHECK(lab_start(lab, true) == -EIO);
			journal_close(lab->journal);
			store_close(lab->store);
		} else {
			lab_open(lab, path);
			scope_free char *again = lab_dump(lab);
			CHECK(strcmp(dump, again) == 0);
			lab_close(lab);
		}
	}
}

int main(void)
{
	struct lab lab;

	lab_new(&lab);
	lab.now_ns = 1700000000LL * SECOND_NS;
	test_versions(&lab);
	test_hashed_later(&lab);
	test_removed_file(&lab);
	test_removed_dataset(&lab);
	test_other_top(&lab);
	test_schema(&lab);
	return check_done();
}
