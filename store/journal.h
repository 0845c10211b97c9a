/*
 * journal: the truth. Every change is one record in append-only, hash-chained segment files; the index is what they add
 * up to. Format: store/FORMAT.md. The journal does not know what a body means; index/record.h does.
 *
 * A record is appended in memory, in order, and becomes durable with journal_flush(). The caller makes the chunks that
 * a record names durable first (store_sync), so a record on the disk never names bytes that are not.
 *
 * Threads: any; appends are numbered in the order of the calls.
 */
#ifndef TOMOFS_JOURNAL_H
#define TOMOFS_JOURNAL_H

#include "store/store.h"

enum { JOURNAL_BODY_MAX = 16 << 20 };

struct journal;

struct journal_record {
	uint64_t seq;        /* 1, 2, 3 ...; given by journal_append() */
	int64_t time_ns;     /* UTC, since 1970 */
	uint32_t uid;
	const char *user;    /* name of uid at that time; "" when not known */
	const char *program; /* name of the program that asked, at most 255 bytes; "" when not known */
	uint16_t kind;
	uint16_t version;    /* of the body's encoding */
	const uint8_t *body;
	size_t body_len;
};

/* Opens STORE/journal of an open store, checks the last segment and cuts its torn tail. 0; -EIO with a sentence when the
 * chain is broken before its end; -errno. The store must outlive it. */
int journal_open(struct journal **out, struct store *store);
/* Syncs the store, flushes and closes; when chunks cannot be made durable, the records that wait are dropped, for they may name
 * them. NULL is fine. */
void journal_close(struct journal *journal);

/* Appends in memory; record->seq is set. 0; -EFBIG: body too large; -EIO: an earlier flush failed (sticky). */
int journal_append(struct journal *journal, struct journal_record *record);

/* Writes and syncs everything appended before the call. Concurrent callers share one sync. 0 or -errno. */
int journal_flush(struct journal *journal);

/* The last number given out; 0 in an empty journal. And the last one that is durable. */
uint64_t journal_last(struct journal *journal);
uint64_t journal_durable(struct journal *journal);

/* Calls visit() for every durable record from seq `from` on, in order, having checked the chain; the record's pointers
 * are valid during the call. Stops at the first non-zero result and returns it. -EIO: damaged (names segment and place). */
int journal_replay(struct journal *journal, uint64_t from, int (*visit)(void *ctx, const struct journal_record *record),
		   void *ctx);

/* Checks all segments and the chain. damaged() is called for each thing that is wrong. 0 and the count of whole records. */
int journal_verify(struct journal *journal, void (*damaged)(void *ctx, const char *sentence), void *ctx,
		   uint64_t *records);

/* SHA-256 of the last record (the head of the chain). */
void journal_head(struct journal *journal, uint8_t sha256[32]);

#endif
