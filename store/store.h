/*
 * store: bytes by content. Puts chunks away once, however often they come, and gives them back or says that they are
 * damaged. Knows nothing of files, images, users or names. Formats: store/FORMAT.md.
 *
 *     STORE/tomofs.json   version, id, features, secret     STORE/packs/   the chunks
 *     STORE/journal/      see journal.h                     STORE/lock     held by the one process that has it open
 *
 * Durability: a chunk is promised when store_sync() has returned 0 after its store_put(). Every chunk was decoded and compared
 * with what was given before store_put() returns.
 *
 * Threads: everything may be called from any thread. One pack grows at a time; reads take no lock across I/O.
 */
#ifndef TOMOFS_STORE_H
#define TOMOFS_STORE_H

#include "store/chunker.h"
#include "store/io.h"
#include "store/key.h"
#include "store/pool.h"

struct store;

enum { STORE_ID_BYTES = 16 };

/* Makes a new, empty store in a folder that does not exist or is empty. 0; -EEXIST: there is a store or something else
 * in it already; -errno. */
int store_create(const char *path);

enum store_open_flags {
	STORE_KEEP_WRITERS_OUT = 2, /* with STORE_READ_ONLY: a shared lock, so that what is read stays as it is */
	STORE_READ_ONLY = 1, /* no lock taken, nothing written (verify beside a mount: sealed packs and whole records) */
};

struct store_options {
	const struct io *io;  /* NULL: io_system */
	size_t cache_bytes;   /* decoded chunks kept; 0: 64 MiB */
	unsigned threads;     /* of the worker pool; 0: one a core */
	unsigned flags;
	int lock;             /* the store's lock, taken by the process before this one; the store's from now on. 0: take it */
};

/* Opens a store: takes the lock, finds the keys (directory.h), cuts the torn tail of the last pack to its last whole record.
 * 0; -ENOENT: no such folder; -EINVAL: it is not a tomofs store, or its format is too new (the sentence says which);
 * -EBUSY: another process has it open (the sentence names its pid and mount point); -errno. */
int store_open(struct store **out, const char *path, const struct store_options *options);

/* Syncs, seals the pack that grows and lets go of the lock. NULL is fine. */
void store_close(struct store *store);

/* Another descriptor of the store's lock, so that it stays taken when the store is closed; -1: none. The caller's to close. */
int store_keep_lock(const struct store *store);

/* Remembers, in STORE/lock after the pid, where the store is mounted; for the sentence that others get. */
int store_note_mount(struct store *store, const char *mount_point);

const char *store_path(const struct store *store);
bool store_is_read_only(const struct store *store);
const uint8_t *store_id(const struct store *store);          /* STORE_ID_BYTES */
const struct io *store_io(const struct store *store);
struct pool *store_pool(struct store *store);                /* shared with the layers above */
uint64_t store_epoch(const struct store *store);             /* grows with every open for writing */

/* Puts a chunk of 1 to CHUNK_MAX bytes. plan and off as in chunker.h say what the bytes are, for the choice of a filter;
 * plan may be NULL. *key receives its name. 0; -ENOSPC: the disk is at its reserve; -EIO: writing failed (sticky: the
 * store takes no more until it is opened again, reads go on). */
int store_put(struct store *store, const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len,
	      struct key *key);

/* Bytes skip .. skip+len-1 of a chunk that is chunk_len bytes long, into to. Decoded chunks are cached. 0; -EIO with
 * a sentence naming chunk and pack when it is missing, damaged or of another length. */
int store_read(struct store *store, const struct key *key, size_t chunk_len, size_t skip, void *to, size_t len);

/* The same without a copy: the whole decoded chunk, which stays as it is until store_drop(). done: the reader went through it to its
 * end and those behind him have copies of their own (the kernel's pages), so it need not be kept. */
struct cache_chunk; /* cache.h */
int store_get(struct store *store, const struct key *key, size_t chunk_len, struct cache_chunk **chunk);
void store_drop(struct store *store, struct cache_chunk *chunk, bool done);

/* The same for who takes a part here and there: bytes skip .. skip+len-1, which stay as they are until store_drop_part(). A small part
 * of a chunk that nobody was at lately is decoded alone, up to its end, and not kept: its bytes match the record's check, but the
 * key, which is of the whole chunk, cannot be compared. Otherwise as store_get(). After an error there is nothing to drop. */
struct store_part {
	const uint8_t *bytes;
	struct cache_chunk *chunk; /* that they lie in, or NULL and ... */
	void *room;		   /* ... memory of their own */
	size_t room_len;
};
int store_get_part(struct store *store, const struct key *key, size_t chunk_len, size_t skip, size_t len,
		   struct store_part *part);
void store_drop_part(struct store *store, struct store_part *part, bool done);

/* Starts decoding a chunk into the cache in the background, if it is not there; never waits. */
void store_read_ahead(struct store *store, const struct key *key, size_t chunk_len);
/* The same in two steps, for those who have their own order of work. What a reader was thought to want at some moment is not wanted
 * any more when it is decoded, or being so, or when he went through it meanwhile. */
uint64_t store_moment(struct store *store);
bool store_wants(struct store *store, const struct key *key, uint64_t moment);
/* Decodes it now if it is still wanted; a failure is for the reader who wants the bytes. */
void store_prepare(struct store *store, const struct key *key, size_t chunk_len, uint64_t moment);

/* Plain bytes of a chunk; -ENOENT when it is in no pack. */
int64_t store_size(struct store *store, const struct key *key);

/* True when the key is in a pack (its bytes are not looked at). */
bool store_has(struct store *store, const struct key *key);

/* Every chunk put before this call is durable when it returns 0. */
int store_sync(struct store *store);

/* 0 when `bytes` more may be written and the disk's reserve still stands, else -ENOSPC with a sentence. Cheap. */
int store_room(struct store *store, uint64_t bytes);
/* The same for work that can wait as well: a refusal does not mean that the disk is full. */
int store_room_spare(struct store *store, uint64_t bytes);
/* Was somebody refused room, and is there still no more? It is logged when that begins and ends. And what is free, in bytes. */
bool store_is_full(struct store *store, uint64_t *bytes_free, uint64_t *reserve);

/*
 * Recoding of data at rest: chunks are coded fast when they arrive, and again, smaller, when they have been at rest. Sealed packs
 * are copied one by one into new ones (compact.h); writers and readers go on, and a crash at any point loses nothing. A
 * pack that cannot be copied whole (a damaged chunk) stays as it is.
 */
struct store_recode_options {
	uint64_t age_s;	    /* packs that did not change for so many seconds; 0: all, also the one that grows */
	uint64_t bytes_max; /* of stored chunks to read by this call; 0: no limit */
	unsigned threads;   /* 0: one a core, at most 8; they code only */
	bool idle;	    /* they leave the processor to nearly everybody else */
	/* Asked before each chunk, by the caller's thread: true ends the call within one chunk. NULL: never. */
	bool (*stop)(void *ctx);
	/* Called now and then: bytes of packs done of all that are to be. NULL. */
	void (*progress)(void *ctx, uint64_t done, uint64_t all);
	void *ctx;
};
struct store_recode_result {
	uint64_t packs;	       /* removed */
	uint64_t packs_left;   /* which stay as they are, damaged or not understood; each is logged. Each counts once, but in every call with
				* age_s 0 that comes to its end */
	uint64_t packs_dense;  /* age_s 0: which were coded so already; their chunks were not read */
	uint64_t chunks;       /* copied */
	uint64_t bytes_before; /* of these, record heads included */
	uint64_t bytes_after;
	bool stopped; /* by stop() or bytes_max: there is more to do */
};
/* What a call that was stopped copied is made durable by a later one, or when the store is closed. 0; -ENOSPC: there is too
 * little room for the copies; -EBUSY: another thread does it; -EROFS; -errno. The result is set in any case. */
int store_recode(struct store *store, const struct store_recode_options *options, struct store_recode_result *result);

struct store_stats {
	uint64_t chunks;          /* in packs; what was stored again after damage may count twice when the store is opened (directory.h) */
	uint64_t plain_bytes;     /* of those chunks */
	uint64_t stored_bytes;    /* as they are in packs, record headers included */
	uint64_t packs;
	uint64_t put_bytes;       /* given to store_put() since open */
	uint64_t duplicate_bytes; /* of these, known already */
	struct {
		uint64_t chunks, plain_bytes, stored_bytes;
	} codec[8];               /* by codec number; names from codec_name() */
	uint64_t cache_bytes;
};
void store_stats(struct store *store, struct store_stats *stats);
const char *store_codec_name(unsigned number); /* NULL beyond the last */

/* Reads every pack in the store's folder, checks every record and decodes every chunk, in parallel, and compares the key runs with
 * the packs (a run that is wrong is made again by the next writer). Calls damaged() (one
 * at a time) for each thing that is wrong. Works beside a mount on sealed packs and whole records. 0 and the counts;
 * -errno only when it could not look. Memory: some 10 MiB a core, at most 200 MiB; the page cache is left without what was
 * read. */
struct store_verify {
	uint64_t packs, chunks, plain_bytes, damaged;
};
int store_verify(struct store *store, void (*damaged)(void *ctx, const char *sentence), void *ctx,
		 struct store_verify *counts);

/* From now on store_verify() calls this with every some MiB, from any thread, one at a time: bytes read of all that are to be. */
void store_watch_verify(struct store *store, void (*progress)(void *ctx, uint64_t done, uint64_t all), void *ctx);

#endif
