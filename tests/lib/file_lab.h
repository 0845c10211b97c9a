/*
 * file_lab: a store with journal, catalog and table of files, and new nodes in it, for the tests of open files.
 *
 *     struct rig r = { .cache_bytes = 8 << 20 };
 *     rig_new(&r, "name");   r.io, r.cache_bytes and r.budget count from here on, also when it is opened again
 */
#ifndef TOMOFS_FILE_LAB_H
#define TOMOFS_FILE_LAB_H

#include <stdio.h>
#include <sys/stat.h>

#include "fs/file.h"
#include "tests/lib/check.h"

struct rig {
	struct store *store;
	struct journal *journal;
	struct catalog *catalog;
	struct files *files;
	const struct io *io; /* NULL: the system's */
	size_t cache_bytes;  /* 0: the store's default */
	size_t budget;	     /* of dirty bytes; 0: 64 MiB */
	char path[512];
};

static inline void rig_open(struct rig *r)
{
	struct store_options options = { .io = r->io, .cache_bytes = r->cache_bytes, .threads = 2 };

	CHECK_RC(store_open(&r->store, r->path, &options));
	CHECK_RC(journal_open(&r->journal, r->store));
	CHECK_RC(catalog_open(&r->catalog, r->store, r->journal));
	CHECK_RC(files_new(&r->files, r->store, r->catalog, r->budget ? r->budget : 64 << 20));
}

static inline void rig_new(struct rig *r, const char *name)
{
	snprintf(r->path, sizeof r->path, "%s/%s", check_tmpdir(), name);
	CHECK_RC(store_create(r->path));
	rig_open(r);
}

/* What fails after the disk did is no failure of the test. */
static inline void rig_close_failing(struct rig *r)
{
	files_free(r->files);
	catalog_close(r->catalog);
	journal_close(r->journal);
	store_close(r->store);
}

static inline void rig_close(struct rig *r)
{
	CHECK_RC(files_free(r->files));
	CHECK_RC(catalog_close(r->catalog));
	journal_close(r->journal);
	store_close(r->store);
}

static inline uint64_t make_node(struct rig *r, uint64_t parent, const char *name, uint32_t mode)
{
	struct actor actor = { .user = "", .program = "test" };
	struct record rec = { .kind = REC_NODE };

	rec.node.ino = catalog_new_ino(r->catalog);
	rec.node.parent = parent;
	rec.node.name = name;
	rec.node.mode = mode;
	rec.node.owner = rec.node.target = "";
	CHECK_RC(catalog_apply(r->catalog, &actor, &rec));
	return rec.node.ino;
}

static inline uint64_t make_file(struct rig *r, const char *name)
{
	return make_node(r, INO_DATASETS, name, S_IFREG | 0644);
}

#endif
