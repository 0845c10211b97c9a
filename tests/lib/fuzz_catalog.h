/*
 * fuzz_catalog: one small catalog with something in every table, for targets that change its rows or replay records into
 * it. fuzz_catalog_reset() takes all of that back, so each input meets the same state.
 */
#ifndef TOMOFS_FUZZ_CATALOG_H
#define TOMOFS_FUZZ_CATALOG_H

#include "index/catalog_internal.h"
#include "tests/lib/catalog_lab.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/fuzz_kv.h"

enum { FUZZ_INOS = 26, FUZZ_DATASETS = 8, FUZZ_TERMS = 16, FUZZ_IMAGES = 8 }; /* numbers that are asked for, from 0 */

static struct lab fuzz_lab;

static inline void fuzz_catalog_images(struct lab *lab, uint32_t dataset, uint64_t ino)
{
	struct record_image list[2] = { { .id = catalog_new_image(lab->catalog), .kind = IMAGE_STACK, .ino = ino,
					  .part = "", .error = "", .signature = 7 },
					{ .id = catalog_new_image(lab->catalog), .kind = IMAGE_FILE, .ino = ino,
					  .part = "a/b", .error = "broken", .signature = 8 } };
	struct record r = { .kind = REC_IMAGES };

	for (int i = 0; i < 2; i++)
		list[i].geo = (struct geometry){ .format = IMAGE_TIFF, .type = VOXEL_U16, .samples = 1, .width = 5,
						 .height = 4, .depth = 3 };
	r.images.dataset = dataset;
	r.images.list = list;
	r.images.count = 2;
	CHECK_RC(lab_apply(lab, &r));
}

static inline void fuzz_catalog_fill(struct lab *lab)
{
	uint64_t scan = lab_folder(lab, INO_DATASETS, "scan"), sub = lab_folder(lab, scan, "sub"), gone, file;
	struct record xattr = { .kind = REC_XATTR };
	uint32_t dataset = lab_dataset(lab, scan);

	file = lab_file(lab, sub, "a.tif");
	CHECK_RC(lab_write(lab, file, 100));
	lab_make(lab, sub, "link", S_IFLNK | 0777, NULL);
	gone = lab_folder(lab, INO_DATASETS, "gone");
	CHECK_RC(lab_tag(lab, lab_dataset(lab, gone), "old", false));
	CHECK_RC(lab_remove(lab, INO_DATASETS, "gone", true));
	lab_file(lab, INO_DATASETS, "box.raw");
	CHECK_RC(lab_probe(lab, file, RANK_HEADER, "voltage_kV", "80"));
	CHECK_RC(lab_fact(lab, dataset, "sample", "bone"));
	CHECK_RC(lab_tag(lab, dataset, "fine", false));
	CHECK_RC(lab_term(lab, FACET_TAG, TERM_KEEP, "kept", ""));
	CHECK_RC(lab_query(lab, "voxel<2um", false));
	fuzz_catalog_images(lab, dataset, scan);
	xattr.xattr.ino = file;
	xattr.xattr.name = "user.x";
	xattr.xattr.value = (const uint8_t *)"v";
	xattr.xattr.value_len = 1;
	CHECK_RC(lab_apply(lab, &xattr));
}

/* Made at the first call. */
static inline struct lab *fuzz_catalog(void)
{
	char path[400];

	if (fuzz_lab.catalog)
		return &fuzz_lab;
	snprintf(path, sizeof path, "%s/store", fuzz_folder());
	CHECK_RC(store_create(path));
	snprintf(fuzz_lab.path, sizeof fuzz_lab.path, "%s", path);
	fuzz_lab.now_ns = INT64_C(1700000000) * 1000000000;
	CHECK_RC(lab_start(&fuzz_lab, false));
	snprintf(path, sizeof path, "%s/store/index", fuzz_folder());
	CHECK_RC(catalog_open_dir(&fuzz_lab.catalog, fuzz_lab.store, fuzz_lab.journal, path));
	fuzz_catalog_fill(&fuzz_lab);
	CHECK_RC(catalog_commit(fuzz_lab.catalog));
	must(!check_done(), "the catalog cannot be made");
	return &fuzz_lab;
}

/* What was put and not committed is forgotten. */
static inline void fuzz_catalog_reset(struct lab *lab)
{
	struct catalog *catalog = lab->catalog;

	fuzz_kv_forget(catalog->kv);
	catalog->sick = false;
	kv_read_begin(catalog->kv);
	must(counters_get(catalog) == 0, "the counters are gone");
	kv_read_end(catalog->kv);
	atomic_store(&catalog->next_ino, catalog->counters.ino);
	atomic_store(&catalog->next_image, catalog->counters.image);
	atomic_store(&catalog->version, catalog->counters.seq);
}

/* Asks for everything there is. Whatever stands in the tables, the answer is a value or an error. */
static inline void fuzz_catalog_read_nodes(struct catalog *catalog)
{
	for (uint64_t ino = 0; ino < FUZZ_INOS; ino += ino == 2 ? 12 : 1) { /* 3 .. 13 are never given */
		scope_entries struct entries entries = { 0 };
		scope_buf struct buf value = { 0 };
		scope_free char *path = NULL, *target = NULL;
		struct record_memory *memory = NULL;
		struct record_probe probe;
		struct dataset_row dataset;
		struct node_row row;
		struct content content;

		catalog_node(catalog, ino, &row);
		catalog_lookup(catalog, ino, "sub", &row);
		catalog_symlink(catalog, ino, &target);
		if (!catalog_content(catalog, ino, &content))
			must(content.count <= CONTENT_INLINE_MAX, "a content has too many extents");
		if (!catalog_list(catalog, ino, &entries))
			for (size_t i = 0; i < entries.count; i++)
				must(*entries.list[i].name && !strchr(entries.list[i].name, '/'), "an entry's name");
		catalog_path(catalog, ino, &path);
		catalog_xattr(catalog, ino, "user.x", &value);
		catalog_xattr_list(catalog, ino, &value);
		catalog_probe(catalog, ino, &probe, &memory);
		record_memory_free(memory);
		catalog_dataset_of(catalog, ino, &dataset);
	}
}

static inline void fuzz_catalog_read_dataset(struct catalog *catalog, uint32_t number)
{
	scope_facts struct facts facts = { 0 };
	scope_images struct images images = { 0 };
	scope_free struct term *tags = NULL;
	scope_free char *value = NULL;
	struct dataset_row row;
	size_t count = 0;

	catalog_dataset(catalog, number, &row);
	catalog_facts(catalog, number, &facts);
	value = catalog_fact(catalog, number, "sample");
	catalog_images(catalog, number, &images);
	catalog_tags(catalog, number, &tags, &count);
}

static inline void fuzz_catalog_read_lists(struct catalog *catalog)
{
	scope_free uint32_t *all = NULL, *found = NULL;
	scope_free int32_t *days = NULL;
	scope_buf struct buf texts = { 0 };
	struct dataset_row row;
	struct query *q = NULL;
	size_t count = 0, at;

	catalog_datasets(catalog, &all, &count);
	catalog_days(catalog, &days, &count);
	catalog_queries(catalog, &texts);
	catalog_dataset_by_name(catalog, "scan", &row);
	if (!query_parse("bone or tag:fine or kV>50", &q, &at)) {
		catalog_search(catalog, q, NULL, NULL, &found, &count);
		query_free(q);
	}
	for (unsigned facet = FACET_TAG; facet < FACETS; facet++) {
		scope_free struct term *terms = NULL;
		struct term term;

		catalog_terms(catalog, (enum facet)facet, &terms, &count);
		catalog_term_find(catalog, (enum facet)facet, "bone", &term);
	}
}

static inline void fuzz_catalog_read(struct catalog *catalog)
{
	struct record_memory *memory;
	struct record_image image;
	struct term term;
	uint32_t dataset;
	size_t count;

	fuzz_catalog_read_nodes(catalog);
	for (uint32_t i = 0; i < FUZZ_DATASETS; i++)
		fuzz_catalog_read_dataset(catalog, i);
	fuzz_catalog_read_lists(catalog);
	for (uint32_t i = 0; i < FUZZ_TERMS; i++) {
		scope_free uint32_t *members = NULL;

		catalog_term(catalog, i, &term);
		catalog_term_members(catalog, i, &members, &count);
		catalog_term_has(catalog, i, 1);
	}
	for (uint32_t i = 0; i < FUZZ_IMAGES; i++) {
		memory = NULL;
		catalog_image(catalog, i, &image, &dataset, &memory);
		record_memory_free(memory);
	}
}

#endif
