#include <errno.h>
#include <pthread.h>

#include "tests/lib/catalog_lab.h"

static void test_names(void)
{
	static const struct {
		const char *name;
		bool junk, temporary;
	} rows[] = {
		{ "scan", false, false },
		{ ".hidden", true, false },
		{ "._scan", true, false },
		{ ".DS_Store", true, false },
		{ "Thumbs.db", true, false },
		{ "thumbs.DB", true, false },
		{ "desktop.ini", true, false },
		{ "New folder", true, false },
		{ "New folder (2)", true, false },
		{ "New folder of mine", false, false },
		{ "New folder (2) b", false, false },
		{ ".scan.tif.a1B2c3", true, true },
		{ ".scan.tif.a1B2c", true, false },
		{ ".goutputstream-4X2", true, true },
		{ "a.part", false, true },
		{ ".part", true, false },
		{ "a.partial", false, true },
		{ "a.crdownload", false, true },
		{ "a~", false, true },
		{ "a.part.tif", false, false },
		{ "", false, false },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		check_that(name_is_junk(rows[i].name) == rows[i].junk, __FILE__, __LINE__, "junk", rows[i].name);
		check_that(name_is_temporary(rows[i].name) == rows[i].temporary, __FILE__, __LINE__, "temporary",
			   rows[i].name);
	}
}

static void check_name(struct lab *lab, uint32_t number, const char *name, const char *path)
{
	struct dataset_row row = { 0 }, found = { 0 };
	scope_free char *at = NULL;

	CHECK_RC(catalog_dataset(lab->catalog, number, &row));
	check_that(strcmp(row.name, name) == 0, __FILE__, __LINE__, row.name, name);
	CHECK_RC(catalog_dataset_by_name(lab->catalog, name, &found));
	CHECK(found.number == number);
	CHECK_RC(catalog_dataset_by_id(lab->catalog, row.id, &found));
	CHECK(found.number == number && strlen(row.id) == 11 && row.id[5] == '-');
	CHECK_RC(catalog_path(lab->catalog, row.ino, &at));
	check_that(at && strcmp(at, path) == 0, __FILE__, __LINE__, path, at ? at : "");
}

static void check_size(struct lab *lab, uint32_t number, uint64_t files, uint64_t bytes)
{
	struct dataset_row row = { 0 };

	CHECK_RC(catalog_dataset(lab->catalog, number, &row));
	CHECK(row.files == files && row.bytes == bytes);
}

/* Which nodes become datasets, and what happens to them when they are moved and renamed. */
static void test_datasets(struct lab *lab)
{
	struct dataset_row row = { 0 };
	uint64_t scan = lab_folder(lab, INO_DATASETS, "scan"), hidden = lab_folder(lab, INO_DATASETS, ".hidden");
	uint64_t file = lab_file(lab, scan, "a.tif"), sub = lab_folder(lab, scan, "sub"), link = 0, other;
	uint32_t n = lab_dataset(lab, scan);

	CHECK(n && !lab_dataset(lab, hidden) && !lab_dataset(lab, file) && !lab_dataset(lab, sub));
	CHECK_RC(lab_make(lab, INO_DATASETS, "link", S_IFLNK | 0777, &link));
	CHECK(!lab_dataset(lab, link));
	CHECK_RC(lab_write(lab, file, 1000));
	CHECK_RC(lab_write(lab, lab_file(lab, sub, "b.tif"), 500));
	check_size(lab, n, 2, 1500);
	CHECK_RC(catalog_dataset_of(lab->catalog, sub, &row));
	CHECK(row.number == n && row.state == STATE_RECEIVING && row.role == ROLE_DATASET);
	CHECK(strcmp(row.owner, "ada") == 0);
	CHECK(catalog_dataset_of(lab->catalog, hidden, &row) == -ENOENT);
	check_name(lab, n, "scan", "scan");

	/* a person renames it, moves it deeper and back */
	CHECK_RC(lab_rename(lab, INO_DATASETS, "scan", INO_DATASETS, "bone", 0));
	check_name(lab, n, "bone", "bone");
	other = lab_folder(lab, INO_DATASETS, "project");
	CHECK_RC(lab_rename(lab, INO_DATASETS, "bone", other, "bone", 0));
	check_name(lab, n, "bone", "project/bone");
	check_size(lab, n, 2, 1500);
	check_size(lab, lab_dataset(lab, other), 0, 0);

	/* the name is taken: the short name of another gets its id, a deeper one its parent */
	uint32_t second = lab_dataset(lab, lab_folder(lab, INO_DATASETS, "bone"));
	char want[64];

	CHECK_RC(catalog_dataset(lab->catalog, second, &row));
	snprintf(want, sizeof want, "bone (%s)", row.id);
	check_name(lab, second, want, "bone");
	CHECK_RC(lab_rename(lab, other, "bone", other, "bone2", 0));
	CHECK_RC(lab_rename(lab, INO_DATASETS, "bone", INO_DATASETS, "x", 0));
	CHECK_RC(lab_rename(lab, INO_DATASETS, "x", INO_DATASETS, "bone", 0));
	check_name(lab, second, "bone", "bone");
	CHECK_RC(lab_rename(lab, other, "bone2", other, "bone", 0));
	check_name(lab, n, "bone (project)", "project/bone");

	/* two swap places: identity goes along, names too */
	CHECK_RC(lab_rename(lab, INO_DATASETS, "bone", INO_DATASETS, "project", LAB_EXCHANGE));
	check_name(lab, second, "project", "project");
	check_name(lab, lab_dataset(lab, other), "bone", "bone");

	/* a part leaves its dataset and becomes one of its own */
	CHECK_RC(lab_rename(lab, scan, "sub", INO_DATASETS, "part", 0));
	check_size(lab, n, 1, 1000);
	check_size(lab, lab_dataset(lab, sub), 1, 500);
	CHECK_RC(lab_rename(lab, INO_DATASETS, "part", hidden, "part", 0));
	check_size(lab, lab_dataset(lab, sub), 1, 500);

	/* removed: gone from lists, still known by number and id */
	CHECK_RC(lab_remove(lab, INO_DATASETS, "project", true));
	CHECK_RC(catalog_dataset(lab->catalog, second, &row));
	CHECK(row.removed && catalog_dataset_by_name(lab->catalog, "project", &row) == -ENOENT);
	CHECK_RC(catalog_dataset_by_id(lab->catalog, row.id, &row));
	CHECK(row.removed && row.number == second);
}

/* What programs do when they replace a file must not make another dataset of it. */
static void test_replaced(struct lab *lab)
{
	uint64_t file = lab_file(lab, INO_DATASETS, "one.tif"), temporary;
	uint32_t n = lab_dataset(lab, file);
	struct dataset_row row = { 0 };
	scope_free struct term *tags = NULL;
	struct node_row node;
	size_t count = 0;

	CHECK_RC(lab_write(lab, file, 100));
	CHECK_RC(lab_probe(lab, file, RANK_HEADER, "sample", "old"));
	CHECK_RC(lab_tag(lab, n, "mine", false));
	temporary = lab_file(lab, INO_DATASETS, ".one.tif.AbCdEf");
	CHECK(!lab_dataset(lab, temporary));
	CHECK_RC(lab_write(lab, temporary, 300));
	CHECK_RC(lab_probe(lab, temporary, RANK_HEADER, "sample", "new"));
	CHECK_RC(lab_rename(lab, INO_DATASETS, ".one.tif.AbCdEf", INO_DATASETS, "one.tif", 0));
	CHECK(lab_dataset(lab, temporary) == n && lab_dataset(lab, file) == 0);
	check_name(lab, n, "one.tif", "one.tif");
	check_size(lab, n, 1, 300);
	CHECK_RC(catalog_node(lab->catalog, file, &node));
	CHECK(node.nlink == 0 && node.size == 100);
	scope_free char *sample = catalog_fact(lab->catalog, n, "sample");
	CHECK(sample && strcmp(sample, "new") == 0);

	/* an exchange with a temporary file likewise */
	file = lab_file(lab, INO_DATASETS, ".one.tif.fEdCbA");
	CHECK_RC(lab_write(lab, file, 7));
	CHECK_RC(lab_rename(lab, INO_DATASETS, ".one.tif.fEdCbA", INO_DATASETS, "one.tif", LAB_EXCHANGE));
	CHECK(lab_dataset(lab, file) == n && !lab_dataset(lab, temporary));
	check_size(lab, n, 1, 7);

	/* KDE: NAME.part, unlink NAME, rename */
	temporary = lab_file(lab, INO_DATASETS, "one.tif.part");
	CHECK(!lab_dataset(lab, temporary));
	CHECK_RC(lab_write(lab, temporary, 11));
	CHECK_RC(lab_remove(lab, INO_DATASETS, "one.tif", false));
	CHECK_RC(catalog_dataset(lab->catalog, n, &row));
	CHECK(row.removed);
	CHECK_RC(lab_rename(lab, INO_DATASETS, "one.tif.part", INO_DATASETS, "one.tif", 0));
	check_name(lab, n, "one.tif", "one.tif");
	check_size(lab, n, 1, 11);
	CHECK_RC(catalog_tags(lab->catalog, n, &tags, &count));
	CHECK(count == 1 && strcmp(tags[0].text, "mine") == 0 && tags[0].members == 1);
}

static void test_collection(struct lab *lab)
{
	uint64_t top = lab_folder(lab, INO_DATASETS, "lab"), a = lab_folder(lab, top, "A"),
		 b = lab_folder(lab, top, "B");
	uint64_t fa = lab_file(lab, a, "x"), fb = lab_file(lab, b, "y"), ft = lab_file(lab, top, "notes.txt");
	uint32_t n = lab_dataset(lab, top), na, nb;
	struct dataset_row row = { 0 };

	CHECK_RC(lab_write(lab, fa, 1));
	CHECK_RC(lab_write(lab, fb, 20));
	CHECK_RC(lab_write(lab, ft, 300));
	CHECK_RC(lab_probe(lab, fa, RANK_ACQUISITION, "sample", "femur"));
	check_size(lab, n, 3, 321);
	CHECK_RC(lab_role(lab, top, ROLE_COLLECTION, STATE_READY, ""));
	CHECK_RC(lab_role(lab, a, ROLE_DATASET, 0, ""));
	CHECK_RC(lab_role(lab, b, ROLE_DATASET, STATE_INCOMPLETE, "12 of 20 projections"));
	na = lab_dataset(lab, a);
	nb = lab_dataset(lab, b);
	CHECK(na && nb && na != nb && lab_dataset(lab, top) == n);
	check_size(lab, n, 1, 300);
	check_size(lab, na, 1, 1);
	check_size(lab, nb, 1, 20);
	scope_free char *moved = catalog_fact(lab->catalog, na, "sample"),
			*left = catalog_fact(lab->catalog, n, "sample");
	CHECK(moved && !left);
	CHECK_RC(catalog_dataset(lab->catalog, nb, &row));
	CHECK(row.state == STATE_INCOMPLETE && strcmp(row.note, "12 of 20 projections") == 0);
	CHECK_RC(catalog_dataset(lab->catalog, n, &row));
	CHECK(row.role == ROLE_COLLECTION && row.state == STATE_READY);
	CHECK(lab_role(lab, fa, 0, STATE_READY, "") == -ENOENT);
	CHECK(lab_role(lab, fa, ROLE_COLLECTION, 0, "") == -ENOTDIR);
	CHECK(lab_role(lab, INO_DATASETS, ROLE_COLLECTION, 0, "") == -EINVAL);
	CHECK(lab_remove(lab, top, "A", true) == -ENOTEMPTY);
}

static bool has_term(struct lab *lab, enum facet facet, const char *text, uint32_t dataset)
{
	struct term term;

	return !catalog_term_find(lab->catalog, facet, text, &term) && catalog_term_has(lab->catalog, term.id, dataset);
}

static void test_facts(struct lab *lab)
{
	uint64_t top = lab_folder(lab, INO_DATASETS, "facts"), a = lab_file(lab, top, "a"), b = lab_file(lab, top, "b");
	uint32_t n = lab_dataset(lab, top);
	scope_facts struct facts facts = { 0 };
	struct dataset_row row = { 0 };
	struct record_memory *memory = NULL;
	struct record_probe probe;
	static char longest[400];

	CHECK_RC(lab_probe(lab, a, RANK_HEADER, "sample", "from header"));
	CHECK(has_term(lab, FACET_SAMPLE, "from header", n));
	CHECK_RC(lab_probe(lab, b, RANK_ACQUISITION, "sample", "from log"));
	CHECK(has_term(lab, FACET_SAMPLE, "from log", n) && !has_term(lab, FACET_SAMPLE, "from header", n));
	CHECK_RC(lab_fact(lab, n, "sample", "from person"));
	CHECK_RC(catalog_facts(lab->catalog, n, &facts));
	CHECK(facts.count == 3 && facts.list[0].effective && !facts.list[1].effective && facts.list[2].source == a);
	CHECK(facts.list[0].rank == RANK_PERSON && strcmp(facts.list[1].vendor_text, "Text") == 0);
	CHECK_RC(lab_fact(lab, n, "sample", ""));
	CHECK(has_term(lab, FACET_SAMPLE, "from log", n) && !has_term(lab, FACET_SAMPLE, "from person", n));
	CHECK_RC(lab_probe(lab, b, RANK_HEADER, NULL, NULL)); /* nothing found any more */
	CHECK(has_term(lab, FACET_SAMPLE, "from header", n));
	CHECK(catalog_probe(lab->catalog, b, &probe, &memory) == -ENOENT);
	CHECK_RC(catalog_probe(lab->catalog, a, &probe, &memory));
	CHECK(memory && probe.fact_count == 1 && strcmp(probe.facts[0].value, "from header") == 0);
	record_memory_free(memory);

	/* the day: of acquisition as it was written, else of arrival */
	CHECK_RC(lab_fact(lab, n, "start_time", "2023-10-18T00:22:08+02:00"));
	CHECK_RC(catalog_dataset(lab->catalog, n, &row));
	CHECK(row.day == 19648);
	scope_free uint32_t *list = NULL;
	size_t count = 0;
	CHECK_RC(catalog_datasets_of_day(lab->catalog, 19648, &list, &count));
	CHECK(count == 1 && list[0] == n);
	scope_free int32_t *days = NULL;
	CHECK_RC(catalog_days(lab->catalog, &days, &count));
	CHECK(count >= 1 && days[0] == 19648);
	CHECK_RC(lab_fact(lab, n, "start_time", "1969-12-31"));
	CHECK_RC(catalog_dataset(lab->catalog, n, &row));
	CHECK(row.day == -1);
	free(take(&days));
	CHECK_RC(catalog_days(lab->catalog, &days, &count));
	CHECK(days[0] == -1);
	CHECK_RC(lab_fact(lab, n, "start_time", ""));

	/* values that are no folder names */
	CHECK_RC(lab_fact(lab, n, "project", "a/b\n"));
	CHECK(has_term(lab, FACET_PROJECT, "a_b_", n));
	CHECK_RC(lab_fact(lab, n, "project", ".."));
	CHECK(has_term(lab, FACET_PROJECT, "_.", n));
	memset(longest, 'x', sizeof longest - 1);
	CHECK_RC(lab_fact(lab, n, "project", longest));
	scope_free struct term *terms = NULL;
	CHECK_RC(catalog_terms(lab->catalog, FACET_PROJECT, &terms, &count));
	CHECK(count == 1 && strlen(terms[0].text) == NAME_BYTES_MAX && terms[0].members == 1);
	CHECK(lab_fact(lab, 99999, "project", "x") == -ENOENT);
}

static void test_terms(struct lab *lab)
{
	uint64_t ia = lab_folder(lab, INO_DATASETS, "ta"), ib = lab_folder(lab, INO_DATASETS, "tb");
	uint32_t a = lab_dataset(lab, ia), b = lab_dataset(lab, ib), *members = NULL;
	struct term term, other;
	struct record chown = { .kind = REC_ATTR };
	size_t count = 0;
	uint64_t version;

	CHECK_RC(lab_tag(lab, a, "red", false));
	CHECK_RC(lab_tag(lab, b, "red", false));
	version = catalog_version(lab->catalog);
	CHECK_RC(lab_tag(lab, b, "red", false));
	CHECK(catalog_version(lab->catalog) == version);
	CHECK(lab_tag(lab, b, "blue", true) == -ENOENT && lab_tag(lab, b, "x/y", false) == -EINVAL);
	CHECK_RC(catalog_term_find(lab->catalog, FACET_TAG, "red", &term));
	CHECK(term.members == 2 && !term.kept);
	CHECK(lab_term(lab, FACET_TAG, TERM_DROP, "red", "") == -ENOTEMPTY);
	CHECK(lab_term(lab, FACET_TAG, TERM_DROP, "unheard", "") == -ENOENT);
	CHECK_RC(lab_term(lab, FACET_TAG, TERM_KEEP, "empty", ""));
	CHECK_RC(catalog_term_find(lab->catalog, FACET_TAG, "empty", &other));
	CHECK(other.kept && !other.members);

	/* renamed: the same folder; merged: the members of both */
	CHECK_RC(lab_term(lab, FACET_TAG, TERM_RENAME, "red", "rot"));
	CHECK(catalog_term_find(lab->catalog, FACET_TAG, "red", &other) == -ENOENT);
	CHECK_RC(catalog_term(lab->catalog, term.id, &other));
	CHECK(strcmp(other.text, "rot") == 0 && other.members == 2);
	CHECK_RC(lab_tag(lab, a, "warm", false));
	CHECK_RC(lab_term(lab, FACET_TAG, TERM_RENAME, "rot", "warm"));
	CHECK_RC(catalog_term_find(lab->catalog, FACET_TAG, "warm", &other));
	CHECK(other.members == 2 && has_term(lab, FACET_TAG, "warm", a) && has_term(lab, FACET_TAG, "warm", b));
	CHECK(lab_term(lab, FACET_TAG, TERM_RENAME, "rot", "x") == -ENOENT);

	/* a field's folder: a person's fact on every member */
	CHECK_RC(lab_fact(lab, a, "instrument", "one"));
	CHECK_RC(lab_probe(lab, lab_file(lab, ib, "f"), RANK_HEADER, "instrument", "one"));
	CHECK_RC(lab_term(lab, FACET_INSTRUMENT, TERM_RENAME, "one", "two"));
	CHECK_RC(catalog_term_find(lab->catalog, FACET_INSTRUMENT, "two", &term));
	CHECK_RC(catalog_term_members(lab->catalog, term.id, &members, &count));
	CHECK(count == 2 && members[0] == a && members[1] == b);
	free(members);
	CHECK_RC(lab_fact(lab, b, "instrument", "")); /* the header counts again */
	CHECK(has_term(lab, FACET_INSTRUMENT, "one", b));
	CHECK_RC(lab_term(lab, FACET_INSTRUMENT, TERM_RENAME, "one", "two"));
	CHECK(has_term(lab, FACET_INSTRUMENT, "two", b) && has_term(lab, FACET_INSTRUMENT, "two", a));

	/* owners follow chown */
	chown.attr.ino = ia;
	chown.attr.set = ATTR_UID;
	chown.attr.uid = 77;
	chown.attr.owner = "";
	CHECK(has_term(lab, FACET_OWNER, "ada", a));
	CHECK_RC(lab_apply(lab, &chown));
	CHECK(has_term(lab, FACET_OWNER, "77", a) && !has_term(lab, FACET_OWNER, "ada", a));
	CHECK(lab_term(lab, FACET_OWNER, TERM_KEEP, "x", "") == -EPERM);

	/* a dataset that is removed leaves them */
	CHECK_RC(lab_remove(lab, INO_DATASETS, "ta", true));
	CHECK(!has_term(lab, FACET_TAG, "warm", a) && !has_term(lab, FACET_INSTRUMENT, "two", a));
	CHECK(!has_term(lab, FACET_OWNER, "77", a) && lab_tag(lab, a, "x", false) == -ENOENT);
}

static int put_images(struct lab *lab, uint32_t dataset, const struct record_image *list, size_t count)
{
	struct record r = { .kind = REC_IMAGES };

	r.images.dataset = dataset;
	r.images.list = list;
	r.images.count = count;
	return lab_apply(lab, &r);
}

static void test_images_and_search(struct lab *lab)
{
	uint64_t top = lab_folder(lab, INO_DATASETS, "images");
	uint32_t n = lab_dataset(lab, top), other = lab_dataset(lab, lab_folder(lab, INO_DATASETS, "no images"));
	struct geometry geo = { .format = IMAGE_TIFF,
				.type = VOXEL_U16,
				.samples = 1,
				.width = 30,
				.height = 20,
				.depth = 10,
				.voxel_um = { 2, 2, 2 } };
	struct record_image list[2] = {
		{ .id = catalog_new_image(lab->catalog),
		  .kind = IMAGE_STACK,
		  .ino = top,
		  .part = "",
		  .geo = geo,
		  .signature = 5,
		  .error = "" },
		{ .id = catalog_new_image(lab->catalog),
		  .kind = IMAGE_FILE,
		  .ino = top,
		  .part = "rec/a.tif",
		  .geo = geo,
		  .signature = 6,
		  .error = "damaged" },
	};
	static const char *const queries[] = {
		"shape:10,20,30", "dtype=uint16", "name=images",     "kind=volume",
		"place=images",	  "tag=found",	  "state=receiving", "comment=hello",
	};
	struct images images = { 0 };
	struct record_image image;
	struct record_memory *memory = NULL;
	uint32_t of = 0;
	scope_buf struct buf texts = { 0 };

	CHECK_RC(put_images(lab, n, list, 2));
	CHECK(put_images(lab, other, list, 1) == -EINVAL && put_images(lab, 99999, list, 1) == -ENOENT);
	CHECK_RC(catalog_images(lab->catalog, n, &images));
	CHECK(images.count == 2 && images.list[0].id == list[0].id && strcmp(images.list[1].part, "rec/a.tif") == 0);
	images_free(&images);
	CHECK_RC(catalog_image(lab->catalog, list[1].id, &image, &of, &memory));
	CHECK(of == n && strcmp(image.error, "damaged") == 0 && image.geo.width == 30);
	record_memory_free(memory);
	CHECK_RC(put_images(lab, n, list, 1));
	CHECK(catalog_image(lab->catalog, list[1].id, &image, &of, &memory) == -ENOENT);

	CHECK_RC(lab_tag(lab, n, "found", false));
	CHECK_RC(lab_fact(lab, n, "comment", "hello"));
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
		struct query *query = NULL;
		scope_free uint32_t *found = NULL;
		size_t count = 0, at;
		bool is_there = false;

		CHECK_RC(query_parse(queries[i], &query, &at));
		CHECK_RC(catalog_search(lab->catalog, query, NULL, NULL, &found, &count));
		for (size_t k = 0; k < count; k++)
			is_there |= found[k] == n;
		check_that(is_there, __FILE__, __LINE__, "search finds it", queries[i]);
		query_free(query);
	}
	CHECK_RC(lab_query(lab, "tag:a", false));
	CHECK_RC(lab_query(lab, "bone", false));
	CHECK(lab_query(lab, "none", true) == -ENOENT);
	CHECK_RC(catalog_queries(lab->catalog, &texts));
	CHECK(texts.len == 11 && memcmp(texts.data, "bone\0tag:a", 11) == 0);
}

static void test_nodes(struct lab *lab)
{
	uint64_t top = lab_folder(lab, INO_DATASETS, "nodes"), file = lab_file(lab, top, "f"), link = 0;
	struct record x = { .kind = REC_XATTR };
	scope_buf struct buf value = { 0 };
	scope_free char *target = NULL;
	struct node_row row, folder;
	struct content content;

	CHECK(lab_make(lab, top, "f", S_IFREG, NULL) == -EEXIST && lab_make(lab, file, "g", S_IFREG, NULL) == -ENOTDIR);
	CHECK(lab_make(lab, 99999, "g", S_IFREG, NULL) == -ENOENT &&
	      lab_make(lab, top, "a/b", S_IFREG, NULL) == -EINVAL);
	CHECK(lab_make(lab, top, "..", S_IFREG, NULL) == -EINVAL &&
	      lab_make(lab, INO_ROOT, "g", S_IFREG, NULL) == -EPERM);
	CHECK(lab_make(lab, top, "disk", S_IFBLK, NULL) == -EINVAL);
	CHECK_RC(lab_make(lab, top, "link", S_IFLNK | 0777, &link));
	CHECK_RC(catalog_symlink(lab->catalog, link, &target));
	CHECK(target && strcmp(target, "there") == 0);
	CHECK_RC(catalog_content(lab->catalog, file, &content));
	CHECK(content.size == 0 && content.count == 0);
	CHECK_RC(lab_write(lab, file, 42));
	CHECK_RC(catalog_content(lab->catalog, file, &content));
	CHECK(content.size == 42 && content.count == 1 && content.extents[0].len == 42);
	CHECK_RC(catalog_lookup(lab->catalog, top, "f", &row));
	CHECK(row.ino == file && row.size == 42 && row.mtime_ns == 12345 && row.nlink == 1 && row.parent == top);
	CHECK(lab_write(lab, top, 1) == -EISDIR);

	x.xattr.ino = file;
	x.xattr.name = "user.a";
	x.xattr.value = (const uint8_t *)"v";
	x.xattr.value_len = 1;
	CHECK_RC(lab_apply(lab, &x));
	CHECK_RC(catalog_xattr(lab->catalog, file, "user.a", &value));
	CHECK(value.len == 1 && value.data[0] == 'v');
	buf_clear(&value);
	CHECK_RC(catalog_xattr_list(lab->catalog, file, &value));
	CHECK(value.len == 7 && memcmp(value.data, "user.a", 7) == 0);
	x.xattr.remove = true;
	CHECK_RC(lab_apply(lab, &x));
	CHECK(lab_apply(lab, &x) == -ENODATA && catalog_xattr(lab->catalog, file, "user.a", &value) == -ENODATA);

	/* removed, but still there by number */
	CHECK_RC(lab_remove(lab, top, "f", false));
	CHECK_RC(catalog_node(lab->catalog, file, &row));
	CHECK(row.nlink == 0 && row.size == 42);
	CHECK_RC(lab_write(lab, file, 50));
	CHECK_RC(catalog_content(lab->catalog, file, &content));
	CHECK(content.size == 50);
	check_size(lab, lab_dataset(lab, top), 0, 0);
	CHECK(lab_probe(lab, file, RANK_HEADER, "sample", "x") == -ENOENT);
	CHECK_RC(catalog_node(lab->catalog, top, &folder));
	CHECK(folder.size == 1 && folder.nlink == 2);
	CHECK_RC(catalog_node(lab->catalog, INO_DATASETS, &folder));
	CHECK(folder.parent == 0 && (folder.mode & 07777) == 01777);
}

/* Writers and readers at once; numbers are given once. */
struct worker {
	struct lab *lab;
	uint64_t folder;
	unsigned id;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	char name[32];

	for (unsigned i = 0; i < 200; i++) {
		scope_entries struct entries entries = { 0 };
		uint64_t ino;

		snprintf(name, sizeof name, "%u-%u", w->id, i);
		ino = lab_file(w->lab, w->folder, name);
		CHECK_RC(lab_write(w->lab, ino, i));
		if (i % 20 == 0) {
			CHECK_RC(catalog_list(w->lab->catalog, w->folder, &entries));
			CHECK(entries.count > i);
			CHECK_RC(catalog_sync(w->lab->catalog));
		}
	}
	return NULL;
}

static void test_threads(struct lab *lab)
{
	enum { WORKERS = 4 };
	uint64_t folder = lab_folder(lab, INO_DATASETS, "threads");
	struct worker workers[WORKERS];
	pthread_t threads[WORKERS];

	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker) { .lab = lab, .folder = folder, .id = i };
		CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	check_size(lab, lab_dataset(lab, folder), WORKERS * 200, WORKERS * (199 * 200 / 2));
}

int main(void)
{
	struct lab lab;

	test_names();
	lab_new(&lab);
	test_datasets(&lab);
	test_replaced(&lab);
	test_collection(&lab);
	test_facts(&lab);
	test_terms(&lab);
	test_images_and_search(&lab);
	test_nodes(&lab);
	test_threads(&lab);
	lab_close(&lab);
	return check_done();
}
