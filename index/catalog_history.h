/*
 * catalog_history: the tree below datasets/ as it was after any record within retention, what was removed, what files held
 * before, and what is given up.
 *
 * A moment is a record's number: the state after it. Nodes, entries, contents, targets and xattrs have a past; facts, tags and
 * views do not (the journal has it). What was so before the horizon is given up: a REC_EXPIRE moves it, catalog_sweep()
 * then frees the rows.
 *
 * A node's times, mode, owner and size may be those of up to KEEP_SECONDS later: rows that stood so briefly are not kept.
 * Names, contents, targets and xattrs are exact.
 *
 * Errors: 0; -ENOENT: it was not there, or the moment is before the horizon (the sentence says which); -EIO; -ENOMEM.
 * Threads: any.
 */
#ifndef TOMOFS_CATALOG_HISTORY_H
#define TOMOFS_CATALOG_HISTORY_H

#include "index/catalog.h"

/* ---- moments ---- */

/* The last record of the second that time_ns is in, or before. -ENOENT: nothing had happened yet, or it is given up. */
int catalog_moment(struct catalog *catalog, int64_t time_ns, uint64_t *seq);
/* The earliest moment that can be looked at; 0: from the beginning. */
uint64_t catalog_horizon(struct catalog *catalog);

/* ---- the tree at a moment: as the functions of the same names in catalog.h ---- */

/* size of a file: of its content then. nlink 0: it had no name then (open and unlinked). */
int catalog_node_at(struct catalog *catalog, uint64_t seq, uint64_t ino, struct node_row *row);
int catalog_lookup_at(struct catalog *catalog, uint64_t seq, uint64_t parent, const char *name, struct node_row *row);
int catalog_list_at(struct catalog *catalog, uint64_t seq, uint64_t folder, struct entries *out);
/* The record that gave a file the content it has. -ENOENT: it was never written. */
int catalog_content_since(struct catalog *catalog, uint64_t ino, uint64_t *seq);
int catalog_symlink_at(struct catalog *catalog, uint64_t seq, uint64_t ino, char **target);
int catalog_content_at(struct catalog *catalog, uint64_t seq, uint64_t ino, struct content *content);
int catalog_xattr_at(struct catalog *catalog, uint64_t seq, uint64_t ino, const char *name, struct buf *value);
int catalog_xattr_list_at(struct catalog *catalog, uint64_t seq, uint64_t ino, struct buf *names);

/* ---- old contents ---- */

/* One content that a name had and has no more. At the moment `until - 1`, node ino has it. */
struct version {
	uint64_t ino;          /* another one when the file was replaced, as editors and rsync do */
	uint64_t since, until; /* the records that made and ended it */
	uint32_t since_second, until_second; /* their times, since 1970 */
	uint64_t size;
	uint8_t sha256[32];
	bool sha256_known;
};
/* Of the file of this name: the oldest first; empty contents are left out. Also of a name that is not there now. Caller frees
 * *list. */
int catalog_versions(struct catalog *catalog, uint64_t folder, const char *name, struct version **list, size_t *count);

/* ---- what was removed ---- */

struct removed {
	char *name;      /* it had */
	uint64_t ino;
	uint32_t mode;   /* S_IFMT bits */
	uint64_t seq;    /* the record that removed it: it is there at the moment seq - 1 */
	uint32_t second; /* of that record, since 1970 */
	uint32_t dataset; /* the dataset whose top it was and that was removed with it; 0: none */
	bool hidden;     /* the name is taken now, or something of that name was removed later */
};
struct removed_list {
	struct removed *list;
	size_t count;
};
/* What was removed from a folder (that may be removed itself) and not replaced by the same record, by name and time. Free with
 * removed_free. */
int catalog_removed(struct catalog *catalog, uint64_t folder, struct removed_list *out);
void removed_free(struct removed_list *list);
#define scope_removed SCOPE_CLEANUP(removed_free)

/* When the removal of this removed node began: a recursive one removes what is inside first, one by one. The moment before the first
 * removal in it that led to the last without a pause; what was in the folder then. */
int catalog_removal_began(struct catalog *catalog, uint64_t ino, uint64_t *seq);

/* Folders that are there now and from which something was removed, or in which a file has old contents; and the folders above them.
 * Ascending; caller frees. */
enum history_kind { HISTORY_REMOVED, HISTORY_VERSIONS };
int catalog_history_folders(struct catalog *catalog, enum history_kind kind, uint64_t **list, size_t *count);

/* ---- what is given up ---- */

/* Every content that the present or kept history names (not what is only held open, catalog_sweep()): chunks of no other content are garbage. A content that is made
 * during the call may be left out; one that was there when it began is not. each() may take its time (no lock is held) and
 * stops it with a result other than 0, which is returned. */
int catalog_live_contents(struct catalog *catalog, int (*each)(void *ctx, const struct content *content), void *ctx);

/* Frees some rows that the horizon has passed: the past, and removed nodes but those that held() says yes to (open files;
 * NULL: none; it is called without a lock). budget: about how many rows. 1: more remain, 0: none; -errno. One caller at a
 * time; others wait. */
int catalog_sweep(struct catalog *catalog, bool (*held)(void *ctx, uint64_t ino), void *ctx, size_t budget);

#endif
