/*
 * Shared by the journal's files; nobody else includes it.
 *
 *     journal_format.c   bytes of a segment header and of a record, both ways (FORMAT.md)
 *     journal_segment.c  the folder: names of segments; one segment read from its start to its end
 *     journal_read.c     all segments: replay, verify
 *     journal_write.c    append, flush, new segments, cutting what was torn
 *     journal.c          open, close, the end of the journal
 */
#ifndef TOMOFS_JOURNAL_INTERNAL_H
#define TOMOFS_JOURNAL_INTERNAL_H

#include <openssl/evp.h>
#include <pthread.h>

#include "store/buf.h"
#include "store/journal.h"

enum {
	SHA_BYTES = 32,
	SEGMENT_HEAD = 128,
	SEGMENT_VERSION = 1,
	SEGMENT_SEAL = 64 << 20,
	SEGMENT_NAME_MAX = 40,
	RECORD_HEAD = 120,
	RECORD_NAME_MAX = 255,
	RECORD_MAX = RECORD_HEAD + 2 * RECORD_NAME_MAX + JOURNAL_BODY_MAX,
	RECORD_ERASED = 1, /* flag: the body was taken away, its digest stays */
};

/* One SHA-256 context that is used again and again. Not for two threads at once. */
struct sha {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
};
int sha_open(struct sha *sha);
void sha_close(struct sha *sha);
int sha_of(struct sha *sha, const void *bytes, size_t len, uint8_t out[SHA_BYTES]);

/* --- bytes ------------------------------------------------------------------------------------------------- */

struct segment_head {
	uint64_t epoch;
	uint64_t first; /* sequence number of the first record */
	int64_t time_ns;
	uint16_t version;
	uint32_t features; /* what a reader must understand; 0 */
	uint8_t id[STORE_ID_BYTES];
	uint8_t prev[SHA_BYTES]; /* of the last record before; zeros in front of record 1 */
};

void segment_head_encode(const struct segment_head *h, uint8_t out[SEGMENT_HEAD]);
/* 0; -EBADMSG: not a header, or its check does not match. */
int segment_head_decode(const uint8_t bytes[SEGMENT_HEAD], struct segment_head *h);

struct stored { /* one record as it lies in a segment; pointers go into those bytes */
	size_t length;
	uint32_t
	    batch; /* seq less that of the first record that was written with it; all before that one was durable */
	uint16_t flags;
	uint64_t seq;
	int64_t time_ns;
	uint32_t uid;
	uint16_t kind;
	uint16_t version;
	uint32_t body_len;
	uint8_t user_len;
	uint8_t program_len;
	const uint8_t *prev;	    /* SHA_BYTES */
	const uint8_t *body_digest; /* SHA_BYTES */
	const uint8_t *names;	    /* user, then program */
	const uint8_t *body;	    /* NULL when erased */
	const uint8_t *chained;	    /* what the record's own SHA-256 covers */
	size_t chained_len;
};

/* Length of the whole record that begins with these RECORD_HEAD bytes; 0 when no record begins so. */
size_t record_length(const uint8_t head[RECORD_HEAD]);
/* len is record_length(). 0; -EBADMSG: the check does not match. */
int journal_record_decode(const uint8_t *bytes, size_t len, struct stored *s);

struct record_place { /* what the journal adds to a record */
	uint32_t batch;
	const uint8_t *prev;
	const uint8_t *body_digest;
};
/* Appends the record's bytes to *to. False when there is no memory for it; then nothing was appended. head receives the
 * record's SHA-256. */
bool journal_record_encode(const struct journal_record *r, const struct record_place *place, struct sha *sha, struct buf *to,
		   uint8_t head[SHA_BYTES]);

/* --- segments ---------------------------------------------------------------------------------------------- */

struct segment {
	uint64_t epoch;
	uint64_t first;
	char name[SEGMENT_NAME_MAX];
};

struct segments { /* in the order of their records */
	struct segment *list;
	size_t count;
};
void segments_free(struct segments *s);
#define scope_segments SCOPE_CLEANUP(segments_free)

void segment_name(struct segment *s, uint64_t epoch, uint64_t first);
/* Other names in the folder are passed over; no folder is no segments. 0, -errno. */
int segments_list(const char *dir, struct segments *out);

struct reader { /* one segment, front to back */
	const struct io *io;
	const char *name;
	int fd;
	uint64_t size;
	uint64_t off; /* of the next record */
	uint8_t *window;
	uint64_t window_off;
	size_t window_len, window_cap;
	struct sha sha;
	struct segment_head head;
	uint64_t next;		 /* the sequence number that must come next */
	uint8_t prev[SHA_BYTES]; /* and what it must be chained to */
	bool adopt;		 /* verify: take the next whole record's word for both */
};

/* Opens a segment; the header is not read yet. 0, -errno. reader_close() in any case; a zeroed reader with fd -1 is
 * closed. */
int reader_open(struct reader *r, const struct io *io, const char *dir, const struct segment *segment);
void reader_close(struct reader *r);
#define scope_reader SCOPE_CLEANUP(reader_close)

/* Reads and checks the header. 0; -EBADMSG: no whole header; -EIO: a whole one that does not belong here (another
 * store, other numbers than the name says, a newer format). */
int reader_head(struct reader *r, const struct segment *segment, const uint8_t *id);
/* 1 and the record (valid until the next call); 0 exactly at the end; -EBADMSG: no whole record at r->off; -EIO: a
 * whole one that breaks the chain, or reading failed. r->off stays where the record that failed begins. */
int reader_next(struct reader *r, struct stored *s);
/* Steps over what reader_next() or reader_head() refused, to the next whole record, which reader_next() will give and
 * take at its word. 1 found, 0 none left, -errno. */
int reader_resync(struct reader *r);
/* After -EBADMSG at r->off, where record r->next should be: 0 when this is what an interrupted write leaves behind,
 * -EIO when records were damaged that had been durable. */
int reader_torn(struct reader *r);

/* --- the journal ------------------------------------------------------------------------------------------- */

struct journal {
	struct store *store;
	const struct io *io;
	char *dir;

	pthread_mutex_t lock; /* all below, but for what the flusher owns */
	pthread_cond_t flushed;
	struct sha sha;
	uint64_t last, durable;
	uint8_t head[SHA_BYTES]; /* SHA-256 of record `last` */
	struct buf active;	 /* SEGMENT_HEAD spare bytes, then the records appended since the last flush began */
	uint64_t batch_first;
	uint8_t batch_prev[SHA_BYTES];
	bool flushing;
	int failed; /* sticky -errno */
	char why[512];

	/* Owned by whoever set flushing. */
	struct buf writing;
	int fd; /* segment written now; -1: none yet */
	struct segment segment;
	uint64_t segment_size;
	uint64_t seal_bytes; /* a segment that has reached this takes no further batch; SEGMENT_SEAL, tests make it small */
	struct segments torn; /* found at open: the first is to be cut to tail_end bytes, the others removed */
	uint64_t tail_end;
};

/* As journal_open(), of STORE/folder. */
int journal_open_folder(struct journal **out, struct store *store, const char *folder);

/* Chunks first, for callers who do not know whether what the records name is on the disk. Nobody appends meanwhile. 0 or -errno. */
int journal_flush_all(struct journal *j);

#endif
