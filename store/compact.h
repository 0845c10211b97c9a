/*
 * compact: takes the chunks that are still wanted out of old packs into a new one, and removes the old packs. What is wanted, and
 * how it is coded from now on, is the caller's rule: recoding data at rest wants everything, garbage collection some of it.
 *
 *     old packs (sealed, on the disk)                 new pack
 *     [a b c d] [e f g]          -- copy -->          [note a' c' d' e']      grows; nobody is pointed at it
 *                                -- sync -->          and is read back from the disk, decoded and compared with the keys
 *                                -- seal, sync -->    [note a' c' d' e' | footer]
 *                                -- publish -->       the directory points at a' c' d' e'
 *     removed, when the directory points at none of their chunks, but at whole ones
 *
 * So a footer is on the disk only behind records that are: what a power cut in a sync leaves of the new pack has no footer, is
 * looked through record by record when the store is opened, and only whole records of it count.
 *
 * Nothing is lost wherever it is cut short: an old pack is there until all that is wanted of it is in synced packs and known to
 * the directory. What may be left over is the same chunk in two packs: the newer one counts, and the next compaction that
 * comes to the older pack finds nothing in it to copy, and removes it.
 *
 * The new pack has a number of its own, above those of all packs that were there when it was begun. Of several records with
 * a key the one in the newest pack counts, also when a writer stored the chunk again meanwhile: then both are good.
 *
 * A record is copied only when it decodes to what its key says; also one that is superseded, when the newer one is damaged. A
 * pack with one that does not, or with anything that is not understood, is left as it is, whole.
 *
 * Memory: a few chunks for each coder, a pack's footer (at most 16 MiB), 60 bytes a chunk of the new pack, and that of an appender.
 * Threads: one at a time for a compaction; it has coders of its own, which take no lock that anybody else wants.
 */
#ifndef TOMOFS_COMPACT_H
#define TOMOFS_COMPACT_H

#include "store/codec.h"
#include "store/store_internal.h"

struct compact_record {
	struct key key;
	struct directory_entry at;
	const uint8_t *payload; /* at.stored_len bytes, coded as at.codec says */
	const uint8_t *plain;	/* at.plain_len bytes; they match the key */
};

struct compact_rule {
	/* NULL: everything is wanted. What is refused is counted out and goes away with its pack, so it must be nothing that
	 * anybody can still come to need. */
	bool (*wanted)(void *ctx, const struct key *key);
	/* Codes a chunk anew into payload (empty); left empty, or not smaller than it was, it stays as it is. Any thread, several at
	 * a time. 0 or -ENOMEM. NULL: all stay as they are. */
	int (*code)(void *ctx, const struct compact_record *record, struct buf *payload, enum codec *codec);
	void *ctx;
	uint32_t coding; /* for the note of the new packs (pack.h) */
	unsigned coders; /* threads; 0: the caller codes */
	bool idle;	 /* coders leave the processor to nearly everybody else */
};

struct compact_counts {
	uint64_t packs;		/* removed */
	uint64_t packs_left;	/* copied, and not removed */
	uint64_t chunks;	/* copied */
	uint64_t bytes_before;	/* of these, as they were stored, record heads included */
	uint64_t bytes_after;
};

struct compaction;

/* The rule is copied. 0 or -ENOMEM. */
int compaction_new(struct compaction **out, struct store *store, const struct compact_rule *rule);
/* What is not finished is dropped. NULL is fine. */
void compaction_free(struct compaction *c);

/* What copying a pack would gain, from some of its records: their bytes as they are and as they would be. 0; -EBADMSG: the pack
 * must stay as it is; -ENOMEM and the like. */
int compaction_probe(struct compaction *c, uint32_t index, unsigned records, uint64_t *before, uint64_t *after);
/* Copies one pack. stop(ctx) is asked before each chunk; may be NULL. 0: all of it, the pack will be removed by
 * compaction_finish(); -EINTR: stop() said so, the next call for this pack goes on there; -EBADMSG: the pack is left as it is, the
 * sentence says why; -ENOSPC: the disk is at its reserve; -ENOMEM; -errno of the new pack: what was not finished is
 * dropped. Finishes by itself whenever the new pack is full. */
int compaction_pack(struct compaction *c, uint32_t index, bool (*stop)(void *ctx), void *ctx);
/* Makes the new pack durable, reads it back, points the directory at it and removes the old packs. 0; -ENOSPC, -ENOMEM, -EMFILE, -ENFILE: try again;
 * -errno: the new pack was dropped, because it or the store failed. */
int compaction_finish(struct compaction *c);
/* Removes the new pack, as if nothing had been copied since the last compaction_finish(). */
void compaction_drop(struct compaction *c);

const struct compact_counts *compaction_counts(const struct compaction *c);

#endif
