/*
 * catalog_internal: what the files of the catalog share. Tables, keys and values: index/SCHEMA.md.
 *
 *     catalog_open.c      open, close, sync, replay, the background commit
 *     catalog_apply.c     one change: check, journal, tables
 *     catalog_table.c     keys, values, scans over the kv
 *     catalog_keep.c      values of the past: kept when a record changes a row, found again
 *     catalog_history.c   the tree as it was           catalog_removed.c  what was removed, old contents
 *     catalog_restore.c   a removed node comes back    catalog_sweep.c    history that is given up
 *     catalog_node.c      nodes: rows and look-ups     catalog_tree.c     nodes: made, written, removed
 *     catalog_rename.c    rename(2)                    catalog_link.c     files of several names
 *     catalog_acl.c       access control lists
 *     catalog_dataset.c   datasets: rows and look-ups  catalog_arrive.c   datasets: made, named, removed, moved
 *     catalog_fact.c      facts and probes             catalog_fact_read.c  facts: look-ups
 *     catalog_image.c     images
 *     catalog_term.c      terms: rows and look-ups     catalog_member.c   terms: who is in them, kept, renamed
 *     catalog_search.c    queries                      catalog_rebuild.c  a new index from the journal; dump
 *     catalog_name.c      names: junk, temporary, made fit for a folder
 *
 * Locking: a change runs under catalog->gate and inside one kv write section; a look-up inside one kv read section.
 * Functions with a struct change belong to the former; those that only take a catalog run inside either.
 *
 * A change is one function: it loads and checks what it needs, calls change_accept(), and from there on only writes.
 * Before change_accept() any failure leaves everything as it was; after it the only failures are damage and no memory,
 * and then the catalog takes no more changes. What a change stores depends on the record and on earlier state only.
 */
#ifndef TOMOFS_CATALOG_INTERNAL_H
#define TOMOFS_CATALOG_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "index/catalog.h"
#include "index/kv.h"
#include "store/err.h"

/* First byte of a key. */
enum table {
	TABLE_DAY = 'a',
	TABLE_MEMBER = 'b',
	TABLE_CONTENT = 'c',
	TABLE_DATASET = 'd',
	TABLE_ENTRY = 'e',
	TABLE_FACT = 'f',
	TABLE_GONE = 'g',
	TABLE_HISTORY = 'h',
	TABLE_IMAGE = 'i',
	TABLE_IMAGE_ID = 'j',
	TABLE_ID = 'k',
	TABLE_TARGET = 'l',
	TABLE_META = 'm',
	TABLE_NODE = 'n',
	TABLE_HAS = 'o',
	TABLE_PROBE = 'p',
	TABLE_QUERY = 'q',
	TABLE_REMOVED = 'r',
	TABLE_NAME = 's',
	TABLE_TERM = 't',
	TABLE_USER = 'u',
	TABLE_LINK = 'v',
	TABLE_TERM_TEXT = 'w',
	TABLE_XATTR = 'x',
	TABLE_MOMENT = 'y',
	TABLE_DROPPED = 'z',
};

enum {
	SCHEMA_VERSION = 3,
	RECORD_VERSION = 1,
	ROW_VERSION = 1,
	PENDING_COMMIT = 8 << 20,   /* bytes in memory that start a commit at once; changes wait while it lasts */
	PENDING_REFUSE = 512 << 20, /* bytes in memory that cannot be committed: no more changes */
	FIELD_NAME_MAX = 128,
	FACT_VALUE_MAX = 64 << 10,
	XATTR_VALUE_MAX = 64 << 10,
	TERM_ID_MAX = (1 << 29) - 1,
	DATASET_NUMBER_MAX = (1 << 30) - 1,
	IMAGE_ID_MAX = (1 << 26) - 1,
	IMAGE_TEXT_MAX = 64 << 10,
	NODE_BITS = 56,		 /* larger numbers are virtual nodes of the layer above */
	TARGET_BYTES_MAX = 4095, /* of a symlink: PATH_MAX */
	LEVELS_MAX = 1 << 20,	 /* folders above a node; more is a circle */
};

/* The next numbers as the tables know them; part of the state, so that they are the same after a replay. */
struct counters {
	uint64_t seq; /* last applied record */
	uint64_t ino;
	uint32_t image, dataset, term;
	uint32_t second;  /* the last one that has a row in the table of moments */
	uint64_t horizon; /* what was so before this record is given up */
};

/* Since when a row says what it says: the record that put it. */
struct stamp {
	uint64_t seq;
	uint32_t second; /* of the record's time, since 1970 */
};

struct seen;

struct table_key {
	size_t len;
	uint8_t bytes[KV_KEY_MAX];
};

struct catalog {
	struct store *store;
	struct journal *journal;
	struct kv *kv;
	bool read_only; /* its disk cannot be written */
	pthread_mutex_t gate;	  /* held by a change, and by a commit of the kv: see catalog_open.c */
	struct counters counters; /* gate */
	bool sick;		  /* gate: a change failed half-way */
	struct stamp now;	  /* kv write section: the record that is being applied; seq 0: none */
	struct seen *seen;	  /* kv write section: what the present change has read and written */
	pthread_mutex_t sweep;	  /* one sweep at a time; of the next two */
	uint64_t sweep_to;	  /* the horizon that a sweep is about; 0: none */
	struct table_key sweep_at; /* how far it has come */
	_Atomic uint64_t version, next_ino;
	_Atomic uint32_t next_image;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	pthread_t thread;
	bool running, stop, hurry;
};

/* ---- catalog_table.c ---- */

/* Numbers are big-endian in keys, so that they sort. A text must fit: callers have checked its length. */
void key_begin(struct table_key *k, enum table table);
void key_u8(struct table_key *k, uint8_t v);
void key_u32(struct table_key *k, uint32_t v);
void key_u64(struct table_key *k, uint64_t v);
void key_put_text(struct table_key *k, const char *text);
struct table_key key_of_u64(enum table table, uint64_t v);
struct table_key key_of_u32(enum table table, uint32_t v);
struct table_key key_of_u32_u32(enum table table, uint32_t a, uint32_t b);
struct table_key key_of_text(enum table table, const char *text);
struct table_key key_of_u64_text(enum table table, uint64_t v, const char *text);
uint32_t read_u32(const uint8_t *at);
uint64_t read_u64(const uint8_t *at);

/* -EIO and a sentence that names the table and what helps. */
int table_damaged(struct catalog *catalog, enum table table);
/* 0; -ENOENT (no sentence); -EIO. value is cleared first. */
int table_get(struct catalog *catalog, const struct table_key *k, struct buf *value);
/* 1, 0 or -EIO. */
int table_has(struct catalog *catalog, const struct table_key *k);
/* -ENOMEM when the value's buf failed. Of tables with a past the old value is kept (catalog_keep.c). */
int table_put(struct catalog *catalog, const struct table_key *k, const struct buf *value);
void table_put_empty(struct catalog *catalog, const struct table_key *k);
void table_put_u64(struct catalog *catalog, const struct table_key *k, uint64_t v);
int table_get_u64(struct catalog *catalog, const struct table_key *k, uint64_t *v);
void table_del(struct catalog *catalog, const struct table_key *k);
/* The kv as the present change sees it: the value with its stamp. */
int table_get_raw(struct catalog *catalog, const struct table_key *k, struct buf *value);
void table_put_raw(struct catalog *catalog, const struct table_key *k, const void *value, size_t len);
void table_del_raw(struct catalog *catalog, const struct table_key *k);
/* A change begins: what was seen before is forgotten. */
int table_seen_begin(struct catalog *catalog);
void table_seen_free(struct catalog *catalog);

/* Over all keys that begin with a prefix. Puts and deletes end it. */
struct scan {
	struct catalog *catalog;
	struct kv_cursor *cursor;
	size_t prefix; /* bytes */
	enum table table;
	const uint8_t *key, *value; /* key: behind the prefix */
	size_t key_len, value_len;
	struct stamp since; /* tables with a past */
};
int scan_begin(struct scan *w, struct catalog *catalog, const struct table_key *prefix);
int scan_from(struct scan *w, struct catalog *catalog, const struct table_key *prefix, const struct table_key *from);
/* 1: an entry; 0: the end; -EIO. */
int scan_next(struct scan *w);
void scan_end(struct scan *w);
#define scope_scan SCOPE_CLEANUP(scan_end)

/* A growing list of numbers. */
struct numbers {
	uint64_t *list;
	size_t count, room;
};
int numbers_add(struct numbers *n, uint64_t v);
void numbers_free(struct numbers *n);
#define scope_numbers SCOPE_CLEANUP(numbers_free)
/* All u32 keys right behind a prefix, ascending. */
int scan_u32(struct catalog *catalog, const struct table_key *prefix, uint32_t **list, size_t *count);

/* A block into a fixed array as text; fails the cursor when it is too long or holds NUL. */
void cursor_text(struct cursor *c, char *to, size_t room);

/* ---- catalog_keep.c ---- */

/* Does a record that changes this table keep what was there? Rows of such tables begin with their stamp. */
bool table_has_past(enum table table);
bool stamp_take(struct cursor *c, struct stamp *stamp);

enum keep {
	KEEP_ALWAYS,
	KEEP_SETTLED, /* unless it had stood for less than KEEP_SECONDS: it is then as if it had never been */
	KEEP_NEVER,   /* the new value also says what the old one was */
};
enum { KEEP_SECONDS = 2 };
int table_put_kept(struct catalog *catalog, const struct table_key *k, const void *value, size_t len, enum keep keep);
void table_del_kept(struct catalog *catalog, const struct table_key *k);

/* A row at a moment. */
struct span {
	struct stamp since;
	uint64_t until; /* the record that ended it; 0: it is so now */
	uint32_t until_second;
};
/* What a row said after record seq. 0; -ENOENT without a sentence; -EIO. value is cleared first. */
int kept_get(struct catalog *catalog, const struct table_key *k, uint64_t seq, struct buf *value, struct span *span);
/* All that rows with this prefix ever said and is kept, but for what they say now, by key and time. */
struct past {
	struct scan scan;
	const uint8_t *key; /* of the row, behind the prefix */
	size_t key_len;
	const uint8_t *value;
	size_t value_len;
	struct span span;
};
int past_begin(struct past *p, struct catalog *catalog, const struct table_key *prefix);
int past_next(struct past *p); /* 1, 0, -EIO */
void past_end(struct past *p);
#define scope_past SCOPE_CLEANUP(past_end)
struct table_key past_prefix(const struct table_key *prefix);

/* ---- catalog_restore.c, catalog_sweep.c ---- */

struct change;
int apply_restore(struct change *ch);
int apply_expire(struct change *ch);
/* Is what was so after this record still kept? 0; -ENOENT with a sentence. */
int history_reaches(struct catalog *catalog, uint64_t seq);

/* ---- catalog_apply.c ---- */

struct change {
	struct catalog *catalog;
	const struct record *record;
	struct journal_record *entry; /* to be appended; NULL: it comes from the journal */
	int64_t time_ns;
	bool accepted;
};

/* The record is fine: it goes into the journal. 0, or nothing happened and the change must end. */
int change_accept(struct change *ch);
/* Applies one record of the journal (kv write section). A record that does not fit the state is skipped with a warning.
 */
int change_replay(struct catalog *catalog, const struct journal_record *entry);
void counters_put(struct catalog *catalog);
int counters_get(struct catalog *catalog);

/* ---- catalog_node.c ---- */

int node_load(struct catalog *catalog, uint64_t ino, struct node_row *row);
bool node_decode(const struct buf *value, struct node_row *row);
bool entry_decode(const uint8_t *value, size_t len, uint64_t *ino, uint32_t *type);
int node_store(struct catalog *catalog, const struct node_row *row);
int content_store(struct catalog *catalog, uint64_t ino, const struct content *content);
/* In the type of an entry: not the first name of its node (catalog_link.c). Not in what entry_load() and catalog_list() give. */
enum { ENTRY_FURTHER = 1 };
/* The number behind a name; type may be NULL. -ENOENT without a sentence. */
int entry_load(struct catalog *catalog, uint64_t parent, const char *name, uint64_t *ino, uint32_t *type);
void entry_store(struct catalog *catalog, uint64_t parent, const char *name, const struct node_row *row);
void entry_drop(struct catalog *catalog, uint64_t parent, const char *name);
/* Number of the dataset that a node belongs to, 0: none. */
int dataset_above(struct catalog *catalog, const struct node_row *row, uint32_t *dataset);
int node_path(struct catalog *catalog, uint64_t ino, char **path);
/* May a file have this name? 0; -EINVAL; -ENAMETOOLONG. */
int name_check(const char *name);

/* ---- catalog_tree.c, catalog_rename.c ---- */

int apply_node(struct change *ch);
int apply_attr(struct change *ch);
int apply_content(struct change *ch);
int apply_xattr(struct change *ch);
int apply_remove(struct change *ch);
int apply_rename(struct change *ch);

/* A folder that takes entries. 0; -ENOENT; -ENOTDIR; -EPERM. */
int folder_load(struct catalog *catalog, uint64_t ino, struct node_row *row);
/* An entry of a folder came (+1) or went (-1). */
int folder_touch(struct change *ch, uint64_t folder, const struct node_row *entry, int sign);
/* A name goes away and its node with it; what it was to its dataset is taken away. keep_dataset: it is a dataset's top,
 * but the dataset goes on with another node. */
int node_drop(struct change *ch, struct node_row *row, bool keep_dataset);

/* ---- catalog_acl.c ---- */

/* The record is an xattr that is an access control list. */
int apply_acl(struct change *ch, struct node_row *row);
/* A new node gets what its folder's default list says. */
int acl_inherit(struct change *ch, const struct node_row *row);
/* The mode was changed. */
int acl_follow_mode(struct change *ch, const struct node_row *row);

/* ---- catalog_link.c ---- */

int apply_link(struct change *ch);
/* Is it a file of several names? Is this not the first of them? */
bool has_links(const struct node_row *row);
bool name_is_further(const struct node_row *row, uint64_t folder, const char *name);
/* May a node of several names have this one? 0; -EXDEV: it is in another dataset. */
int link_check(struct catalog *catalog, const struct node_row *row, uint64_t folder, const char *name);
/* A node of several names loses one. */
int link_drop(struct change *ch, struct node_row *row, uint64_t folder, const char *name);
/* A further name goes elsewhere; the folders' and the node's rows are the caller's. */
void link_move(struct change *ch, const struct node_row *row, uint64_t folder, const char *name, uint64_t to, const char *new_name);

/* ---- catalog_dataset.c ---- */

struct dataset {
	struct dataset_row row;
	int64_t removed_ns;
};
int dataset_load(struct catalog *catalog, uint32_t number, struct dataset *d);
int dataset_store(struct catalog *catalog, const struct dataset *d);

/* ---- catalog_arrive.c ---- */

int apply_dataset(struct change *ch);
/* Would a node of this name be a dataset, directly below datasets/? */
bool dataset_wanted(const struct node_row *row);
/* The node becomes the top of a new dataset (row is stored by it). What lies below it is not counted yet. */
int dataset_create(struct change *ch, struct node_row *row);
/* The node becomes the top of this dataset. */
int dataset_adopt(struct change *ch, uint32_t number, struct node_row *row);
/* Gives a dataset that was just removed from this place another life, when row is what replaces it: a part file
 * renamed. *done. */
int dataset_revive(struct change *ch, struct node_row *row, const char *old_name, bool *done);
int dataset_remove(struct change *ch, uint32_t number, const struct node_row *top);
/* A removed dataset is there again, with this node as its top. */
int dataset_return(struct change *ch, struct dataset *d, struct node_row *row);
/* Its top has another leaf name now. */
int dataset_follow_name(struct change *ch, uint32_t number, const struct node_row *top);
/* Its short name is free for others until dataset_follow_name(). Number 0: nothing. */
int dataset_release_name(struct change *ch, uint32_t number);
int dataset_own(struct change *ch, struct dataset *d, uint32_t uid);
void dataset_set_day(struct change *ch, struct dataset *d, int32_t day);
/* Bytes and files of a dataset grow or shrink (two's complement). Number 0: nothing. */
int dataset_count(struct change *ch, uint32_t number, uint64_t bytes, uint64_t files);
/* What lies in and below a node, up to datasets in it, belonged to one dataset and now belongs to another. */
int subtree_move(struct change *ch, uint64_t ino, uint32_t from, uint32_t to);
int user_store(struct change *ch, uint32_t uid, const char *name);

/* ---- catalog_fact.c, catalog_fact_read.c ---- */

/* All facts of a dataset; free with facts_free. */
int facts_load(struct catalog *catalog, uint32_t dataset, struct facts *out);
/* What was found in a file; -ENOENT without a sentence. *memory must be NULL before, and is freed by the caller. */
int probe_load(struct catalog *catalog, uint64_t ino, struct record_probe *probe, struct record_memory **memory);
int apply_probe(struct change *ch);
int apply_fact(struct change *ch);
/* A file's facts go from one dataset to another (0: nowhere); derive afterwards. */
int facts_move(struct change *ch, uint64_t ino, uint32_t from, uint32_t to);
/* What follows from a dataset's facts: day, sample, instrument, project. */
int facts_derive(struct change *ch, uint32_t dataset);
/* 0, -ENOENT, -EIO. */
int fact_effective(struct catalog *catalog, uint32_t dataset, const char *field, struct buf *value);
int fact_person(struct change *ch, uint32_t dataset, const char *field, const char *value);
/* "2026-11-23..." -> days since 1970. */
bool day_of_text(const char *text, int32_t *day);
int32_t day_of_ns(int64_t ns);

/* ---- catalog_image.c ---- */

int apply_images(struct change *ch);
int images_drop(struct change *ch, uint32_t dataset);
/* The main image's geometry. 0; -ENOENT. */
int image_main(struct catalog *catalog, uint32_t dataset, struct geometry *geo);

/* ---- catalog_term.c, catalog_member.c ---- */

int apply_tag(struct change *ch);
int apply_term(struct change *ch);
int apply_query(struct change *ch);
int term_load(struct catalog *catalog, uint32_t id, struct term *term);
int term_store(struct catalog *catalog, const struct term *term);
struct table_key term_text_key(enum facet facet, const char *text);
struct table_key term_has_key(uint32_t dataset, enum facet facet);
/* -ENOENT without a sentence; also finds terms that are not listed. */
int term_find(struct catalog *catalog, enum facet facet, const char *text, struct term *term);
/* A term for each tag, or of each facet of a dataset: ids, ascending. */
int terms_of(struct catalog *catalog, uint32_t dataset, enum facet facet, uint32_t **list, size_t *count);
/* The dataset has exactly this one of a facet ("" none). text is a folder name (name_fit). */
int term_assign(struct change *ch, uint32_t dataset, enum facet facet, const char *text);
/* The field behind a facet; NULL for tags and owners. */
const char *facet_field(enum facet facet);
/* A removed dataset leaves all its terms, and comes back into its tags. */
int terms_leave(struct change *ch, uint32_t dataset);
int terms_return(struct change *ch, uint32_t dataset);

/* ---- catalog_name.c ---- */

enum { FOLDER_NAME_ROOM = NAME_BYTES_MAX + 1 };
/* Any text as a folder name: always the same for the same text; "" stays "". */
void name_fit(const char *text, char name[FOLDER_NAME_ROOM]);
/* May a term or a query be called this? 0; -EINVAL; -ENAMETOOLONG. */
int folder_name_check(const char *noun, const char *text);
/* Is it a name that never is a dataset? ("New folder" may be one.) */
bool name_never_dataset(const char *name);
/* Bytes of text up to max that do not cut a UTF-8 character. */
size_t utf8_prefix(const char *text, size_t max);

/* ---- catalog_open.c, catalog_rebuild.c ---- */

/* A catalog over the index in folder dir, with the journal replayed into it and no background commit. */
int catalog_open_dir(struct catalog **out, struct store *store, struct journal *journal, const char *dir);
/* Durable in chunks, journal and kv, in this order. */
int catalog_commit(struct catalog *catalog);
void catalog_free(struct catalog *catalog);
/* Removes a folder of plain files. 0 (also when it is not there) or -errno. */
int folder_remove(const char *dir);

#endif
