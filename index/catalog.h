/*
 * catalog: what the journal adds up to - nodes, datasets, contents, facts, tags, images - and the only way to change it.
 * Tables and keys: index/SCHEMA.md. It never sees a chunk's bytes and knows no pixels.
 *
 * A change is one struct record given to catalog_apply(): checked against the present state, appended to the journal,
 * applied to the tables, all in one step that others see whole. It is seen at once, and durable after catalog_sync() or
 * when the background commit has run (COMMIT_SECONDS at most): chunks first, then the journal, then LMDB.
 *
 * Rows returned are copies: the caller owns them, and frees those that say so.
 * Threads: everything may be called from any thread.
 */
#ifndef TOMOFS_CATALOG_H
#define TOMOFS_CATALOG_H

#include <stdio.h>
#include <sys/stat.h>

#include "index/record.h"

enum { COMMIT_SECONDS = 2 };

struct catalog;

/* Opens STORE/index, replays the journal's tail into it and starts the background commit. An index of an older tomofs, or
 * one whose file LMDB could not have written like that (a failed write, a power cut), is rebuilt. 0; -EIO: damaged, or ahead of the journal, of
 * which the tail was lost then (the sentence says `tomofs rebuild` when that helps); -errno. Store and journal must outlive it. */
int catalog_open(struct catalog **out, struct store *store, struct journal *journal);
/* Commits and closes. 0, or why the last commit failed. NULL is fine. */
int catalog_close(struct catalog *catalog);

/* Replays the whole journal into a new index and puts it in the old one's place (the old one is kept as index.old until
 * the new one is whole, then removed). The catalog must not be open. records: how many were replayed. */
int catalog_rebuild(struct store *store, struct journal *journal, uint64_t *records);

/* Every table, sorted, one line a row: key and value in hex. Two indexes that say the same dump the same. */
int catalog_dump(struct catalog *catalog, FILE *out);

struct actor { /* who asks */
	uint32_t uid;
	const char *user;    /* "" when not known */
	const char *program; /* "" when not known */
};

/*
 * Checks and makes one change. 0, or nothing changed and:
 *   -ENOENT  parent, node or dataset is not there        -EEXIST  the name is taken (NODE, RENAME with no_replace)
 *   -ENOTDIR -EISDIR -ENOTEMPTY -EINVAL (a folder into itself)  as rename(2), unlink(2), rmdir(2) say
 *   -ENOSPC -EIO  the journal takes no more (sticky)
 * Rename over an existing file replaces it; the replaced node stays reachable by number until it is forgotten, nlink 0.
 */
int catalog_apply(struct catalog *catalog, const struct actor *actor, struct record *record);

/* Everything applied before the call is durable when it returns 0. */
int catalog_sync(struct catalog *catalog);

/* Numbers for records that make something. Never given twice. */
uint64_t catalog_new_ino(struct catalog *catalog);
uint32_t catalog_new_image(struct catalog *catalog);

/* Grows with every applied record; the same number: nothing changed. Cheap. */
uint64_t catalog_version(struct catalog *catalog);

/* ---- nodes: files, folders and symlinks below datasets/ (which is INO_DATASETS) ---- */

struct node_row {
	uint64_t ino, parent; /* parent: 0 for INO_DATASETS */
	char name[NAME_BYTES_MAX + 1];
	uint32_t mode, uid, gid; /* mode with S_IFMT */
	uint32_t nlink;          /* 0: removed; folders: 2 + folders in it */
	uint64_t size;           /* files: bytes; symlinks: length of the target; folders: number of entries */
	int64_t atime_ns, mtime_ns, ctime_ns;
	uint32_t dataset;        /* the dataset whose top this is; 0: none */
	uint64_t removed;        /* the record that removed it; 0: it is there */
	uint32_t was_top;        /* removed: the dataset whose top it was then; 0: none */
};

/* 0, -ENOENT, -EIO. A removed node is found, with nlink 0. */
int catalog_node(struct catalog *catalog, uint64_t ino, struct node_row *row);
int catalog_lookup(struct catalog *catalog, uint64_t parent, const char *name, struct node_row *row);
/* Target of a symlink (caller frees). */
int catalog_symlink(struct catalog *catalog, uint64_t ino, char **target);
int catalog_content(struct catalog *catalog, uint64_t ino, struct content *content);

struct entry { /* of a folder */
	uint64_t ino;
	uint32_t mode; /* S_IFMT bits only */
	char *name;
};
struct entries {
	struct entry *list;
	size_t count;
};
/* All entries in byte order of names. 0 (free with entries_free) or -errno. */
int catalog_list(struct catalog *catalog, uint64_t folder, struct entries *out);
void entries_free(struct entries *entries);
#define scope_entries SCOPE_CLEANUP(entries_free)

/* Path from datasets/ down: "proj/scan1/a.tif" ("" for INO_DATASETS itself). Caller frees. */
int catalog_path(struct catalog *catalog, uint64_t ino, char **path);

/* xattrs as stored. 0; -ENODATA. */
int catalog_xattr(struct catalog *catalog, uint64_t ino, const char *name, struct buf *value);
/* Names, each followed by NUL, appended. */
int catalog_xattr_list(struct catalog *catalog, uint64_t ino, struct buf *names);

/* An access control list (index/acl.h: ACL_NAME_*). 0; -ENODATA without a sentence: the mode says all; -EIO. */
struct acl;
int catalog_acl(struct catalog *catalog, uint64_t ino, const char *name, struct acl *acl);

/* What was found in a file; strings and arrays live in *memory. 0, -ENOENT. */
int catalog_probe(struct catalog *catalog, uint64_t ino, struct record_probe *probe, struct record_memory **memory);

/* ---- datasets ---- */

enum { DATASET_ID_TEXT = 13 }; /* e.g. "k7m2q-9x4wd": 10 characters and a dash, NUL */

struct dataset_row {
	uint32_t number;              /* 1 ...; never reused */
	char id[DATASET_ID_TEXT];     /* permanent, for papers: Crockford base32 of a hash of store id and number */
	uint64_t ino;                 /* its top folder or file */
	char name[NAME_BYTES_MAX + 1]; /* the short name */
	char owner[64];               /* user name; the uid's digits when not known */
	int64_t arrived_ns;
	enum dataset_state state;
	enum dataset_role role;
	bool removed;
	char note[128];               /* why incomplete */
	uint64_t bytes, files;        /* of the files in it */
	uint64_t ready;               /* the record that said so last; 0: it never was */
	int32_t day;                  /* by-date: days since 1970-01-01 of start_time, else of arrival (UTC) */
};

int catalog_dataset(struct catalog *catalog, uint32_t number, struct dataset_row *row);
int catalog_dataset_by_name(struct catalog *catalog, const char *short_name, struct dataset_row *row);
int catalog_dataset_by_id(struct catalog *catalog, const char *id, struct dataset_row *row);
/* The dataset that a node belongs to: itself or the nearest folder above that is one. 0; -ENOENT: belongs to none. */
int catalog_dataset_of(struct catalog *catalog, uint64_t ino, struct dataset_row *row);

/* Numbers of all datasets (not removed), ascending. Caller frees *list. */
int catalog_datasets(struct catalog *catalog, uint32_t **list, size_t *count);
int catalog_datasets_of_day(struct catalog *catalog, int32_t day, uint32_t **list, size_t *count);
/* Days that have a dataset, ascending. Caller frees. */
int catalog_days(struct catalog *catalog, int32_t **list, size_t *count);

/* A name that is never a dataset, query or tag: begins with '.', junk ("Thumbs.db", "desktop.ini", "New folder" for tags
 * and queries only), or a temporary name (*.part, *.partial, *.crdownload, *~). */
bool name_is_junk(const char *name);
/* The part of these that file managers leave among data ('.'..., Thumbs.db, desktop.ini): kept, and never looked into. */
bool name_is_hidden(const char *name);
bool name_is_temporary(const char *name);

/* ---- facts ---- */

struct fact {
	char *field, *value;
	char *vendor_key, *vendor_text; /* "" for a person's */
	enum fact_rank rank;
	uint64_t source; /* node number of the file; 0: a person */
	bool effective;  /* this one counts */
};
struct facts {
	struct fact *list;
	size_t count;
};
/* All facts of a dataset, by field name, the effective one of each field first. */
int catalog_facts(struct catalog *catalog, uint32_t dataset, struct facts *out);
/* The effective value; NULL when there is none (caller frees). */
char *catalog_fact(struct catalog *catalog, uint32_t dataset, const char *field);
void facts_free(struct facts *facts);
#define scope_facts SCOPE_CLEANUP(facts_free)

/* ---- images ---- */

struct images {
	struct record_image *list; /* the first is the main one */
	size_t count;
	struct record_memory *memory;
};
int catalog_images(struct catalog *catalog, uint32_t dataset, struct images *out);
void images_free(struct images *images);
#define scope_images SCOPE_CLEANUP(images_free)
/* One image, and whose it is. -ENOENT: gone, or replaced by a newer one. part and error live in *memory. */
int catalog_image(struct catalog *catalog, uint32_t id, struct record_image *image, uint32_t *dataset,
		  struct record_memory **memory);

/* ---- terms: the folders of by-tag, by-sample, by-instrument, by-project, by-user ---- */

struct term {
	uint32_t id; /* never reused, 1 to 2^29-1 */
	enum facet facet;
	char text[NAME_BYTES_MAX + 1];
	bool kept; /* made by mkdir: listed although empty */
	uint32_t members;
};
int catalog_term(struct catalog *catalog, uint32_t id, struct term *term);
int catalog_term_find(struct catalog *catalog, enum facet facet, const char *text, struct term *term);
/* Those that are kept or have members, by text. Caller frees. */
int catalog_terms(struct catalog *catalog, enum facet facet, struct term **list, size_t *count);
int catalog_term_members(struct catalog *catalog, uint32_t id, uint32_t **datasets, size_t *count);
bool catalog_term_has(struct catalog *catalog, uint32_t id, uint32_t dataset);
/* Tags of a dataset, sorted, as terms. Caller frees. */
int catalog_tags(struct catalog *catalog, uint32_t dataset, struct term **list, size_t *count);

/* ---- queries ---- */

/* Kept search folders, each followed by NUL. */
int catalog_queries(struct catalog *catalog, struct buf *texts);

#include "index/query.h"
/* Datasets that match and that allowed() (NULL: all) says yes to, ascending. Caller frees. No lock is held while matching
 * or in allowed(). */
int catalog_search(struct catalog *catalog, const struct query *query,
		   bool (*allowed)(void *ctx, const struct dataset_row *row), void *ctx, uint32_t **list, size_t *count);

#endif
