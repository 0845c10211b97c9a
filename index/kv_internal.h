/*
 * Shared by kv's files; nobody else includes it.
 *
 *     kv_layer.c    a sorted table in memory (what was put and is not in LMDB yet)
 *     kv_page.c     LMDB's pages and trees, read by us and without trust
 *     kv_open.c     open (what must hold before LMDB may map the file), close
 *     kv_commit.c   a frozen layer into LMDB
 *     kv_cursor.c   layers and LMDB merged in order
 *     kv.c          sections, get, put, delete
 *
 * Why LMDB's file is read by our own code: LMDB believes what it finds in a page. Of 1,500 flipped bits 71 made entries
 * look absent, checksums in all values notwithstanding, and one crashed the process (measured). Our reader checks each
 * page it steps on, so damage is -EIO. LMDB does all the writing; before it touches a key, our reader has checked the
 * way to it.
 *
 * Why that is safe without LMDB's read transactions: readers hold `lock` shared and use `tree`, the last commit that
 * was published with `lock` held alone. LMDB never writes into pages of the last commit, and the commit after the next
 * one begins only when the next one was published, that is, when no reader of this one is left.
 */
#ifndef TOMOFS_KV_INTERNAL_H
#define TOMOFS_KV_INTERNAL_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "index/kv.h"

struct bytes { /* borrowed; at is NULL: none */
	const uint8_t *at;
	size_t len;
};

/* The order of keys everywhere: as LMDB has it. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
	int order = memcmp(a.at, b.at, a.len < b.len ? a.len : b.len);

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Says that memory is out and ends the process. */
void kv_no_memory(void) __attribute__((noreturn));

/* --- kv_layer.c ------------------------------------------------------------------------------------------------ */

struct entry {
	uint8_t *value; /* owned */
	uint32_t value_len;
	uint16_t key_len;
	uint8_t height;
	bool deleted;
	struct entry *next[]; /* height of them, then the key */
};

struct layer;

struct layer *layer_new(void);
void layer_free(struct layer *layer);
/* value NULL: a deletion. Returns how many bytes more the layer holds now (may be negative). */
int64_t layer_put(struct layer *layer, struct bytes key, const void *value, size_t value_len);
/* The first entry with a key >= key; NULL: none. NULL layers are empty. */
struct entry *layer_seek(const struct layer *layer, struct bytes key);
struct entry *layer_find(const struct layer *layer, struct bytes key);
size_t layer_bytes(const struct layer *layer);

static inline struct bytes entry_key(const struct entry *e)
{
	return (struct bytes) { (const uint8_t *)&e->next[e->height], e->key_len };
}

/* --- kv_page.c ------------------------------------------------------------------------------------------------- */

enum {
	META_BYTES = 152, /* page header and meta, as far as we read */
	DEPTH_MAX = 32,
	STORED_CHECK = 8, /* bytes of checksum in front of each value in LMDB */
};

struct tree {	       /* one B-tree of one commit */
	uint64_t root; /* page number; TREE_EMPTY */
	uint64_t last_page;
	uint16_t depth;
};
#define TREE_EMPTY UINT64_MAX

struct meta {
	uint32_t page_size;
	uint64_t txn;
	struct tree free; /* LMDB's list of free pages */
	struct tree main;
};

/* 0; -EIO with a sentence: not a meta page of this LMDB version. */
int meta_parse(const uint8_t bytes[META_BYTES], struct meta *meta);

struct pages { /* the mapped file */
	const uint8_t *map;
	uint64_t len; /* of the file */
	uint32_t page_size;
};

struct page {
	const uint8_t *at;
	unsigned count;
};

struct walk { /* a place in a tree; valid while the tree is */
	const struct pages *pages;
	struct tree tree;
	bool ordered; /* keys are in the order of bytes_compare(): check it */
	int top;      /* deepest level that is loaded; -1: at the end */
	struct {
		struct page page;
		unsigned index;
		struct bytes low, high; /* low <= keys < high */
	} level[DEPTH_MAX];
};

struct stored_entry {
	struct bytes key;
	struct bytes data; /* as LMDB has it */
};

void walk_init(struct walk *w, const struct pages *pages, const struct tree *tree);
/* Goes to the place of key (at NULL: the beginning), so that walk_next() gives the first entry >= key. 1: the key is
 * there, 0: it is certainly not; -EIO: damage on the way, walk_next() goes on behind it. */
int walk_seek(struct walk *w, struct bytes key);
/* Steps to the next entry. 1; 0: at the end; -EIO: something damaged was passed over; only
 * e->key is set, when it is known. */
int walk_next(struct walk *w, struct stored_entry *e);
/* After walk_seek(): may LMDB go the same way? beside: it may also look at the neighbours of the pages on it, since
 * deleting merges pages. 0, -EIO. */
int walk_check_way(const struct walk *w, bool beside);

/* Value behind its checksum. 0; -EIO: the checksum over key and value does not match. */
int stored_value(const struct stored_entry *e, struct bytes *value);
uint64_t stored_check(struct bytes key, const void *value, size_t value_len);

/* --- kv -------------------------------------------------------------------------------------------------------- */

struct kv {
	char *dir;
	MDB_env *env;
	MDB_dbi dbi;
	size_t map_len;
	bool read_only;
	size_t map_max; /* it is made larger up to here */

	pthread_rwlock_t lock; /* all of this block; `frozen` also changes only under commit_lock */
	struct layer *active;
	struct layer *frozen; /* NULL: none */
	struct pages pages;
	struct meta meta; /* of the last commit */

	pthread_mutex_t commit_lock;
	bool lost; /* under it: the last commit went in but cannot be read; another one would overwrite what readers use
		    */
	bool map_full; /* under it: the commit failed for want of map */
	atomic_size_t pending;
};

/* Reads the metas of an open file, checks them against each other and against its size. 0 and the newer one; -EIO. */
int meta_read(int fd, const char *dir, struct meta *newest, uint64_t *file_len);

/* The entry that every commit writes last: its key is longer than any other, its value the transaction's number, so
 * that a damaged root or number does not show an old state as the present one. */
extern const struct bytes kv_stamp;

/* "run tomofs rebuild" behind the present sentence. Returns -EIO. */
int kv_damaged(const struct kv *kv);

#endif
