/*
 * keyrun: a file of chunk keys in order, with their places and a filter in front: STORE/keys/NUMBER.keys. Written once
 * and never changed; holds what the footers of some sealed packs say, and can be made from these again at any time.
 * Bytes: keyrun_format.h.
 *
 * Threads: one writes; then any number may read. No locks. Errors have a sentence; -EBADMSG means that the run is
 * damaged.
 */
#ifndef TOMOFS_KEYRUN_H
#define TOMOFS_KEYRUN_H

#include "store/keyrun_format.h"

enum { KEYRUN_GONE = UINT32_MAX };

struct keyrun {
	const struct directory_place *place;
	struct keyrun_head head;
	char *path;
	int fd;
	unsigned refs;	 /* atomic */
	uint32_t *packs; /* by place in the run's table: the pack's index, or KEYRUN_GONE: its entries do not count */
	uint32_t newest; /* the greatest index of these */
	uint8_t *filter; /* all blocks, checked; NULL: they are read one by one; atomic */
	uint64_t gone;	 /* so many of them are; atomic */
	bool damaged;	 /* found out while reading, or checking; atomic */
	bool checked;	 /* the directory's check_lock */
};

/* "FOLDER/0000000012.keys" in a new string, or NULL. */
char *keyrun_path(const struct directory_place *place, uint64_t number);
/* True, and the number, when a file in the folder is called as a run is. */
bool keyrun_parse(const char *name, uint64_t *number);

/* ---- reading ---- */

/* Opens a run and checks its head. The caller holds one reference and says next what its packs are. 0; -ENOENT;
 * -EBADMSG; -EXDEV or -EINVAL: not for this store, or of another version; -errno. */
int keyrun_open(struct keyrun **out, const struct directory_place *place, uint64_t number);
/* One that was just written; removed again when that fails. */
int keyrun_reopen(struct keyrun **out, const struct directory_place *place, uint64_t number);
struct keyrun *keyrun_ref(struct keyrun *run);
void keyrun_drop(struct keyrun *run); /* the last one closes the file; NULL is fine */

/* Goes through the run's table of packs, in order; each() may end it with a result other than 0, which is returned.
 * -EBADMSG: the table is damaged, which is known only at the end. each may be NULL. */
int keyrun_packs(struct keyrun *run, int (*each)(void *ctx, uint32_t place, const struct keyrun_pack *pack), void *ctx);
/* One record of a table that was found good. */
int keyrun_pack(struct keyrun *run, uint32_t place, struct keyrun_pack *pack);
/* The run takes the array (head.packs indexes, growing but for KEYRUN_GONE). */
void keyrun_set_packs(struct keyrun *run, uint32_t *packs);
/* One of these; packs go away while others look. */
static inline uint32_t keyrun_index(const uint32_t *packs, uint64_t place)
{
	return __atomic_load_n(&packs[place], __ATOMIC_ACQUIRE);
}
/* The pack is gone. False: it was not in the run. */
bool keyrun_forget(struct keyrun *run, uint32_t index);

/* Reads the filter into memory, by one thread at a time, also while others read. Best effort. */
void keyrun_load_filter(struct keyrun *run);
uint64_t keyrun_filter_bytes(const struct keyrun *run);

/* 1: found, the newest entry whose pack is not gone; 0: not there; -EBADMSG: damaged where the key would be; -errno. Of
 * a damaged filter nothing is believed: it only makes the search longer. */
int keyrun_get(struct keyrun *run, const struct key *key, struct directory_entry *entry);

/* Finds out whether keyrun_get() comes upon entry number `at`, which has the key: asked for entries in order it reads each block of
 * the filter once. 1, 0, -EBADMSG, -errno. */
struct keyrun_finder {
	struct keyrun *run;
	uint64_t number; /* of the block that was read; UINT64_MAX: none yet */
	const uint8_t *block;
	uint8_t bytes[KEYRUN_BLOCK_BYTES];
};
int keyrun_finds(struct keyrun_finder *finder, const struct key *key, uint64_t at);

/* Only a hint: the run will be asked for the key soon. So that the memory of many filters is waited for once. */
void keyrun_expect(const struct keyrun *run, const struct key *key);

struct keyrun_cursor { /* goes through all entries in order; of one key the newest first */
	struct keyrun *run;
	const uint32_t *packs; /* as the run's, which the caller may replace by a copy of his own */
	uint64_t next, first_page, pages;
	uint8_t *bytes;
	struct keyrun_entry entry; /* at.pack is the pack's index */
	uint32_t place;		   /* of the pack in the run's table */
};
void keyrun_cursor_open(struct keyrun_cursor *cursor, struct keyrun *run);
/* 1: the next one is in cursor->entry; 0: there is none; -EBADMSG; -errno. Leaves out packs that are gone. */
int keyrun_next(struct keyrun_cursor *cursor);
void keyrun_cursor_close(struct keyrun_cursor *cursor);

/* ---- writing ---- */

struct keyrun_writer;

/* Begins a run of at most so many entries, under a temporary name. 0 or -errno. */
int keyrun_writer_open(struct keyrun_writer **out, const struct directory_place *place, uint64_t number,
		       uint64_t entries);
/* Entries in the order of keys, of one key the newest first; at.pack is the place in the table of packs. */
int keyrun_writer_add(struct keyrun_writer *w, const struct keyrun_entry *entry);
/* Then the packs, in the order of names. */
int keyrun_writer_pack(struct keyrun_writer *w, const struct keyrun_pack *pack);
/* Brings it to the disk under its own name. */
int keyrun_writer_finish(struct keyrun_writer *w);
/* Frees it, and removes what is not finished. NULL is fine. */
void keyrun_writer_drop(struct keyrun_writer *w);

/* ---- making ---- */

struct keyrun_builder {	    /* gathers what the footers of some packs say; zeroed it is empty */
	struct buf entries; /* struct keyrun_entry; at.pack: place in packs */
	struct buf packs;   /* struct keyrun_built */
};
struct keyrun_built {
	struct keyrun_pack pack;
	uint32_t index;
};
/* Packs in the order of their indexes. 0 or -ENOMEM. */
int keyrun_builder_add(struct keyrun_builder *b, uint32_t index, struct pack_name name, const struct recovered *pack);
uint64_t keyrun_builder_entries(const struct keyrun_builder *b);
uint64_t keyrun_builder_packs(const struct keyrun_builder *b);
/* Sorts them, writes a run and opens it. 0 or -errno. */
int keyrun_builder_write(struct keyrun_builder *b, const struct directory_place *place, uint64_t number,
			 struct keyrun **out);
void keyrun_builder_clear(struct keyrun_builder *b); /* frees the memory */

/* Merges runs into a new one and opens it. pause() is called now and then; a result other than 0 ends it and is
 * returned. A run that turns out damaged is marked so: -EBADMSG. */
int keyrun_merge(struct keyrun *const *runs, size_t count, uint64_t number, int (*pause)(void *ctx), void *ctx,
		 struct keyrun **out);
enum { KEYRUN_MERGE_MAX = 16 };

#endif
