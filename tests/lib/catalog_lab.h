/*
 * catalog_lab: a store with journal and catalog in a temporary folder, and one-line changes, for the tests of the
 * catalog.
 */
#ifndef TOMOFS_CATALOG_LAB_H
#define TOMOFS_CATALOG_LAB_H

#include <stdio.h>
#include <string.h>

#include "index/catalog.h"
#include "tests/lib/check.h"

struct lab {
	char path[512];
	struct store *store;
	struct journal *journal;
	struct catalog *catalog;
	int64_t now_ns; /* time of the next change; 0: the clock */
};

static inline int lab_start(struct lab *lab, bool with_catalog)
{
	struct store_options options = { .threads = 1 };
	int rc = store_open(&lab->store, lab->path, &options);

	if (!rc)
		rc = journal_open(&lab->journal, lab->store);
	return rc || !with_catalog ? rc : catalog_open(&lab->catalog, lab->store, lab->journal);
}

static inline void lab_open(struct lab *lab, const char *path)
{
	*lab = (struct lab) { 0 };
	snprintf(lab->path, sizeof lab->path, "%s", path);
	CHECK_RC(lab_start(lab, true));
	if (!lab->catalog)
		exit(check_done());
}

static inline void lab_new(struct lab *lab)
{
	char path[512];

	snprintf(path, sizeof path, "%s/store", check_tmpdir());
	CHECK_RC(store_create(path));
	lab_open(lab, path);
}

static inline void lab_close(struct lab *lab)
{
	CHECK_RC(catalog_close(lab->catalog));
	journal_close(lab->journal);
	store_close(lab->store);
	lab->catalog = NULL;
	lab->journal = NULL;
	lab->store = NULL;
}

static inline int lab_apply(struct lab *lab, struct record *r)
{
	static const struct actor actor = { .uid = 1000, .user = "ada", .program = "test" };

	r->time_ns = lab->now_ns;
	return catalog_apply(lab->catalog, &actor, r);
}

static inline int lab_make(struct lab *lab, uint64_t parent, const char *name, uint32_t mode, uint64_t *ino)
{
	struct record r = { .kind = REC_NODE };
	uint64_t made = catalog_new_ino(lab->catalog);
	int rc;

	r.node.ino = made;
	r.node.parent = parent;
	r.node.name = name;
	r.node.mode = mode;
	r.node.uid = 1000;
	r.node.gid = 100;
	r.node.owner = "ada";
	r.node.target = S_ISLNK(mode) ? "there" : "";
	rc = lab_apply(lab, &r);
	if (!rc && ino)
		*ino = made;
	return rc;
}

static inline uint64_t lab_folder(struct lab *lab, uint64_t parent, const char *name)
{
	uint64_t ino = 0;

	CHECK_RC(lab_make(lab, parent, name, S_IFDIR | 0755, &ino));
	return ino;
}

static inline uint64_t lab_file(struct lab *lab, uint64_t parent, const char *name)
{
	uint64_t ino = 0;

	CHECK_RC(lab_make(lab, parent, name, S_IFREG | 0644, &ino));
	return ino;
}

static inline int lab_write(struct lab *lab, uint64_t ino, uint64_t size)
{
	struct record r = { .kind = REC_CONTENT };

	r.content.ino = ino;
	r.content.mtime_ns = 12345;
	r.content.content.size = size;
	r.content.content.count = size ? 1 : 0;
	r.content.content.extents[0].len = size;
	return lab_apply(lab, &r);
}

static inline int lab_remove(struct lab *lab, uint64_t parent, const char *name, bool folder)
{
	struct record r = { .kind = REC_REMOVE };

	r.remove.parent = parent;
	r.remove.name = name;
	r.remove.folder = folder;
	return lab_apply(lab, &r);
}

enum { LAB_NO_REPLACE = 1, LAB_EXCHANGE = 2 };

static inline int lab_rename(struct lab *lab, uint64_t parent, const char *name, uint64_t to, const char *new_name,
			     int flags)
{
	struct record r = { .kind = REC_RENAME };

	r.rename.parent = parent;
	r.rename.name = name;
	r.rename.new_parent = to;
	r.rename.new_name = new_name;
	r.rename.no_replace = flags & LAB_NO_REPLACE;
	r.rename.exchange = flags & LAB_EXCHANGE;
	return lab_apply(lab, &r);
}

static inline int lab_link(struct lab *lab, uint64_t ino, uint64_t parent, const char *name)
{
	struct record r = { .kind = REC_LINK };

	r.link.ino = ino;
	r.link.parent = parent;
	r.link.name = name;
	return lab_apply(lab, &r);
}

static inline int lab_probe(struct lab *lab, uint64_t ino, enum fact_rank rank, const char *field, const char *value)
{
	struct record_fact fact = { .field = field, .value = value, .vendor_key = "Key", .vendor_text = "Text" };
	struct record r = { .kind = REC_PROBE };

	r.probe.ino = ino;
	r.probe.error = "";
	r.probe.rank = rank;
	r.probe.facts = &fact;
	r.probe.fact_count = field ? 1 : 0;
	return lab_apply(lab, &r);
}

static inline int lab_fact(struct lab *lab, uint32_t dataset, const char *field, const char *value)
{
	struct record r = { .kind = REC_FACT };

	r.fact.dataset = dataset;
	r.fact.field = field;
	r.fact.value = value;
	return lab_apply(lab, &r);
}

static inline int lab_tag(struct lab *lab, uint32_t dataset, const char *tag, bool remove)
{
	struct record r = { .kind = REC_TAG };

	r.tag.dataset = dataset;
	r.tag.tag = tag;
	r.tag.remove = remove;
	return lab_apply(lab, &r);
}

static inline int lab_term(struct lab *lab, enum facet facet, enum term_change change, const char *text,
			   const char *new_text)
{
	struct record r = { .kind = REC_TERM };

	r.term.facet = facet;
	r.term.change = change;
	r.term.text = text;
	r.term.new_text = new_text;
	return lab_apply(lab, &r);
}

static inline int lab_role(struct lab *lab, uint64_t ino, enum dataset_role role, enum dataset_state state,
			   const char *note)
{
	struct record r = { .kind = REC_DATASET };

	r.dataset.ino = ino;
	r.dataset.role = role;
	r.dataset.state = state;
	r.dataset.note = note;
	return lab_apply(lab, &r);
}

static inline int lab_query(struct lab *lab, const char *text, bool drop)
{
	struct record r = { .kind = REC_QUERY };

	r.query.text = text;
	r.query.drop = drop;
	return lab_apply(lab, &r);
}

/* The dataset that a node is the top of; 0: none. */
static inline uint32_t lab_dataset(struct lab *lab, uint64_t ino)
{
	struct node_row row = { 0 };

	CHECK_RC(catalog_node(lab->catalog, ino, &row));
	return row.dataset;
}

/* The whole index as text; caller frees. */
static inline char *lab_dump(struct lab *lab)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	CHECK_RC(catalog_dump(lab->catalog, f));
	fclose(f);
	return text;
}

/* A generator of its own, so that a seed gives the same on every machine. */
static inline uint32_t lab_random(uint64_t *state, uint32_t below)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33) % below;
}

#endif
