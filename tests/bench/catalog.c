/*
 * How fast the index takes changes, without FUSE and without chunks: FILES files are made, written and given their
 * attributes (as cp -a does), then removed, then the index is rebuilt from the journal. CPU time of all threads, since the
 * machine may have other things to do, and wall-clock time.
 *
 *     build/bench/catalog DIR [FILES]     DIR: an empty or missing folder; it is left there
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "index/catalog.h"
#include "store/err.h"
#include "store/log.h"

enum { FOLDER_FILES = 1000, RECORDS_A_FILE = 3, EVERY_NS = 100000 };

struct bench {
	struct store *store;
	struct journal *journal;
	struct catalog *catalog;
	int64_t now_ns;
	double wall, cpu; /* when the step began */
};

static void must(int rc)
{
	if (!rc)
		return;
	fprintf(stderr, "catalog: %s\n", err_text());
	exit(1);
}

static double wall(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void begin(struct bench *b)
{
	b->wall = wall();
	b->cpu = cpu();
}

static void end(const struct bench *b, const char *what, double records)
{
	double w = wall() - b->wall, c = cpu() - b->cpu;

	printf("%-8s %8.0f records  %6.2f s  %8.0f/s   CPU %6.2f s  %8.0f/s\n", what, records, w, records / w, c,
	       records / c);
	fflush(stdout);
}

static void apply(struct bench *b, struct record *r)
{
	static const struct actor actor = { .uid = 1000, .user = "ada", .program = "cp" };

	r->time_ns = b->now_ns += EVERY_NS;
	must(catalog_apply(b->catalog, &actor, r));
}

static uint64_t make(struct bench *b, uint64_t parent, const char *name, uint32_t mode)
{
	struct record r = { .kind = REC_NODE };

	r.node.ino = catalog_new_ino(b->catalog);
	r.node.parent = parent;
	r.node.name = name;
	r.node.mode = mode;
	r.node.uid = 1000;
	r.node.gid = 100;
	r.node.owner = "ada";
	r.node.target = "";
	apply(b, &r);
	return r.node.ino;
}

static void write_file(struct bench *b, uint64_t ino)
{
	struct record content = { .kind = REC_CONTENT }, attr = { .kind = REC_ATTR };
	struct content *c = &content.content.content;

	content.content.ino = attr.attr.ino = ino;
	content.content.mtime_ns = b->now_ns;
	c->size = 2 << 20;
	c->sha256_known = true;
	c->count = 4;
	for (unsigned i = 0; i < c->count; i++)
		c->extents[i].len = c->size / c->count;
	apply(b, &content);
	attr.attr.set = ATTR_MODE | ATTR_MTIME;
	attr.attr.mode = 0644;
	attr.attr.mtime_ns = 1;
	apply(b, &attr);
}

static void fill(struct bench *b, unsigned files)
{
	uint64_t folder = 0;
	char name[32];

	for (unsigned i = 0; i < files; i++) {
		if (i % FOLDER_FILES == 0) {
			snprintf(name, sizeof name, "scan%u", i / FOLDER_FILES);
			folder = make(b, INO_DATASETS, name, S_IFDIR | 0755);
		}
		snprintf(name, sizeof name, "slice%05u.tif", i % FOLDER_FILES);
		write_file(b, make(b, folder, name, S_IFREG | 0600));
	}
}

static void remove_all(struct bench *b)
{
	scope_entries struct entries tops = { 0 };
	struct record r = { .kind = REC_REMOVE };

	must(catalog_list(b->catalog, INO_DATASETS, &tops));
	for (size_t i = 0; i < tops.count; i++) {
		scope_entries struct entries files = { 0 };

		must(catalog_list(b->catalog, tops.list[i].ino, &files));
		r.remove.parent = tops.list[i].ino;
		r.remove.folder = false;
		for (size_t k = 0; k < files.count; k++) {
			r.remove.name = files.list[k].name;
			apply(b, &r);
		}
		r.remove.parent = INO_DATASETS;
		r.remove.name = tops.list[i].name;
		r.remove.folder = true;
		apply(b, &r);
	}
}

int main(int argc, char **argv)
{
	struct store_options options = { .threads = 1 };
	unsigned files = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 100000;
	struct bench b = { .now_ns = 1700000000000000000 };
	uint64_t records = 0;

	if (argc < 2 || !files) {
		fprintf(stderr, "usage: catalog DIR [FILES]\n");
		return 2;
	}
	must(store_create(argv[1]));
	must(store_open(&b.store, argv[1], &options));
	must(journal_open(&b.journal, b.store));
	must(catalog_open(&b.catalog, b.store, b.journal));
	begin(&b);
	fill(&b, files);
	end(&b, "ingest", (double)files * RECORDS_A_FILE);
	begin(&b);
	remove_all(&b);
	end(&b, "remove", files);
	must(catalog_close(b.catalog));
	begin(&b);
	must(catalog_rebuild(b.store, b.journal, &records));
	end(&b, "rebuild", (double)records);
	journal_close(b.journal);
	store_close(b.store);
	return 0;
}
