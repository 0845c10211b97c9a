/*
 * collector: gives back what is not kept any more. History older than the retention time is given up (REC_EXPIRE), its rows are swept,
 * and chunks that neither the present nor kept history names leave the disk (store/gc.h). A thread of its own does it: now
 * and then when something was given up and nobody reads or writes; at once when a person asks (.tomofs/gc, which `tomofs gc` writes
 * to), or when the disk is at its reserve: then the oldest history goes first, and never what is younger than keep_min.
 *
 * What is marked, in this order, after store_gc_begin():
 *   1. clones under way are waited for: the content they copy is named nowhere for a moment;
 *   2. open files: what their maps hold, also of files without a name. A thread that is putting chunks is waited for; what
 *      it puts later enters the set by itself;
 *   3. the catalog: present contents, then past ones. What leaves 2 before it was looked at is in 3 by then.
 * Then the journal is synced, so that no power cut brings back a name of what goes. When anything cannot be read, nothing goes.
 *
 * A copy of the store's files needs that neither this nor recoding removes packs meanwhile: collector_hold().
 */
#ifndef TOMOFS_COLLECTOR_H
#define TOMOFS_COLLECTOR_H

#include "fs/fs.h"

enum { KEEP_DEFAULT_SECONDS = 30 * 86400, KEEP_MIN_SECONDS = 86400, HOLD_MAX_SECONDS = 7 * 86400 };
/* Where 0 means the default. FOREVER: nothing is done but when asked. */
#define KEEP_NOTHING UINT32_MAX
#define KEEP_FOREVER (UINT32_MAX - 1)

struct collector;

/* keep, keep_min: seconds; as in struct fs_options. The recoder must be there. 0 or -errno. */
int collector_new(struct collector **out, struct fs *fs, uint32_t keep, uint32_t keep_min);
/* Ends the thread soon. Before files, catalog and recoder go. NULL is fine. */
void collector_free(struct collector *c);

/* Collects now, all there is. expire: and gives up all history first, whatever its age. Returns at once. */
void collector_ask(struct collector *c, bool expire);
void collector_halt(struct collector *c);

/* No pack is removed for so many seconds (0: from now on again), or until the process pid (0: none) has ended. One at a time: the last one
 * counts. Returns when nothing is being removed any more. 0; -EINVAL. */
int collector_hold(struct collector *c, uint32_t seconds, int32_t pid);

struct collector_state {
	bool running, asked, held;
	uint64_t done, all;   /* bytes of packs, of the present or last round */
	uint64_t rounds;      /* that came to their end, since the mount */
	uint64_t packs, packs_left, chunks, freed_bytes; /* since the mount; packs_left: of the last round */
	uint64_t garbage_bytes; /* found by the last round */
	uint64_t keep_s;      /* history is kept so long */
	uint64_t shortened_s; /* the disk is full and no more than this is kept; 0: it is as it should be */
	char error[256];      /* why the last round failed; "" */
};
void collector_state(struct collector *c, struct collector_state *state);

/* One round, by the caller's thread: for tests. keep_s: history that is younger stays. 0 or -errno. */
struct store_gc_options;
struct store_gc_result;
int collector_run(struct fs *fs, uint64_t keep_s, const struct store_gc_options *options, struct store_gc_result *result);
/* The first half of it: gives history up, and sweeps its rows. */
int collector_expire(struct fs *fs, uint64_t keep_s);

#endif
