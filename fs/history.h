/*
 * history: what the nodes of history/ share: numbers of moments, bytes of old contents, and what was worked out lately.
 *
 * A node of the past is a moment and a node of the catalog, and its number says both, so that a new process can resolve it, and pages of
 * old contents stay valid. In 64 bits there is room for the first 2^32 records and 2^30 nodes of a store; what is later is not shown.
 *
 *     63: 0 | 62: 1 | 30..61 record + PLACE_MOMENTS, or enum past_place | 0..29 node of the catalog
 *
 * Threads: any.
 */
#ifndef TOMOFS_HISTORY_H
#define TOMOFS_HISTORY_H

#include "fs/node.h"
#include "index/catalog_history.h"

enum { PAST_INO_BITS = 30, PAST_MOMENT_BITS = 32 };
#define NODE_PAST (1ULL << 62)

enum past_place {	     /* what stands for a moment in numbers */
	PLACE_TRASH = 1,     /* a folder, with what was removed from it; of a removed one: with it */
	PLACE_VERSIONS = 2,  /* a folder that is there, with the files that have old contents */
	PLACE_OLD = 3,	     /* the old contents of a file */
	PLACE_MOMENTS = 16,  /* the first of moments */
};

struct history;
int history_new(struct history **out, struct fs *fs);
void history_free(struct history *history);

/* The number of a node at a moment. 0; -EOVERFLOW: one of them is too large. */
int past_number(uint64_t seq, uint64_t ino, uint64_t *number);
int place_number(enum past_place place, uint64_t ino, uint64_t *number);
/* What a number is of. place: PLACE_MOMENTS for a moment, whose record is *seq. False: it means nothing. */
bool past_of_number(uint64_t number, enum past_place *place, uint64_t *seq, uint64_t *ino);

/* Owner, group, permission bits of a node at a moment: those it had then, less what it or a folder above it forbids now, less
 * writing unless `writing`. So what somebody could never read does not open. Fills st_mode (with the type), st_uid, st_gid. row: as it
 * was then. */
int past_permission(struct fs *fs, uint64_t seq, const struct node_row *row, bool writing, struct stat *st);

/* Bytes of a file as it was. -errno or how many. */
int64_t past_read(struct fs *fs, uint64_t seq, uint64_t ino, uint64_t number, uint64_t off, void *to, size_t len);

/* Is it a folder that has such things in or below it? 1, 0, -errno. */
int history_has(struct fs *fs, enum history_kind kind, uint64_t ino);
/* The moment before a removed folder began to be removed. */
int history_began(struct fs *fs, const struct node_row *row, uint64_t *seq);
/* What was removed from a folder; when that was removed itself, what went with it, and *began is the moment before; else 0. */
int history_removed(struct fs *fs, uint64_t folder, struct removed_list *out, uint64_t *began);

/* "@GMT-2026.11.20-10.00.00", "2026-11-20" (its end), "2026-11-20T10:00[:00]" ('.' for ':' too, and a Z behind), all UTC. False:
 * it is none. */
bool history_time(const char *text, int64_t *time_ns);
/* "2026-11-20T10.00.00Z" */
void history_time_text(uint32_t second, char text[32]);

/* Gives what was removed a place below datasets/, and what went with it. -EEXIST: the name is taken. */
int restore_removed(struct fs *fs, const struct caller *who, const struct removed *removed, uint64_t parent,
		    const char *name);
/* Removes an entry and all that lies in it, to be found in history/trash. */
int trash_move(struct fs *fs, const struct caller *who, uint64_t folder, const char *name);

/* Kinds. A folder of the trash or of a moment gives what can be moved out of it. */
extern const struct node_ops node_ops_history, node_ops_trash_link, node_ops_at, node_ops_moment, node_ops_past, node_ops_trash,
	node_ops_versions, node_ops_old;
const struct node_ops *node_past_resolve(uint64_t number);
/* An entry of history/ is moved to datasets/: 1: the folder is none of history's. */
int history_rename_out(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		       const struct node *to, const char *new_name, unsigned flags);

#endif
