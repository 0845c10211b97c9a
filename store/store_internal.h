/* The inside of a store, shared by the store_*.c files and verify.c. */
#ifndef TOMOFS_STORE_INTERNAL_H
#define TOMOFS_STORE_INTERNAL_H

#include "store/appender.h"
#include "store/cache.h"
#include "store/directory.h"
#include "store/packs.h"
#include "store/settings.h"

enum {
	CLOSING_MAX =
	    4, /* packs that are full and not yet synced; recovery must settle more than these (SETTLE_PACKS) */
	SETTLE_PACKS = 8,
	AHEAD_MAX = 8,
};

struct claim { /* a key that one thread is putting; others wait */
	struct key key;
	struct claim *next;
	uint64_t round; /* gc's, when it was taken */
	bool replaces; /* a record that cannot be read back ... */
	struct directory_entry before; /* ... which is this one */
};

struct recode;
struct store_gc;

struct written_pack {
	struct appender *appender; /* a reference */
	uint32_t index;
};

struct store {
	char *path, *packs_folder;
	struct settings settings; /* features: atomic, it grows */
	pthread_mutex_t feature_lock; /* while they are added */
	const struct io *io;
	struct cache *cache;
	struct arena *records; /* memory for those that are being read, and for parts of chunks */
	struct pool *pool;
	struct pool *writers; /* write and sync packs; NULL before the first one */
	struct directory *directory;
	struct packs *packs;
	uint64_t epoch;
	uint64_t seal_bytes; /* PACK_SEAL_BYTES; tests make it small */
	int lock_fd;
	bool read_only;

	/* Never held across I/O. Taken before the locks of appenders and of the table of packs. */
	pthread_mutex_t lock;
	pthread_cond_t unclaimed;
	struct claim *claims;
	struct written_pack current; /* appender NULL: none */
	struct written_pack closing[CLOSING_MAX];
	size_t closing_count;
	uint64_t next_number;
	int failed; /* -EIO once writing has failed */
	char why[512];
	struct store_stats stats; /* counts only */

	uint64_t room_free, room_reserve; /* what statvfs said, less what was put since */
	int64_t room_checked_ns;	  /* when */
	bool room_known;		  /* it was asked, and answered */
	bool room_full;			  /* somebody was refused this many bytes, which would still not fit */
	uint64_t room_refused;

	void (*verify_progress)(void *ctx, uint64_t done, uint64_t all);
	void *verify_ctx;
	struct buf suspects; /* struct pack_name: what the last store_verify() found damage in; suspect.h */

	struct recode *recode; /* recode.c; NULL before the first one */
	pthread_mutex_t recode_lock; /* across all of it; one at a time */

	struct store_gc *gc;	/* gc.c; the keys of puts are entered there; NULL: none */
	uint64_t gc_round;	/* how many there were */
	bool leaving;		/* a pack with garbage is about to go: what is in it is not known any more */
	uint32_t leaving_pack;

	pthread_mutex_t follow_lock; /* of what follows, across I/O: store_follow.c, for stores open for reading only */
	struct buf growing;	     /* uint32_t: packs that were not sealed when they were looked at */
	bool vanished;		     /* packs went away while the store was opened */

	struct pool_group ahead_group;
	unsigned ahead, ahead_max; /* read-aheads under way; atomic */
};

/* Counts a chunk in (sign 1) or out (-1). Called with the lock held, or while the store is being opened. */
void store_count(struct store *store, const struct directory_entry *entry, int sign);

/* Reads and decodes the chunk of this entry to `to` (plain_len bytes), past the cache. 0 or -errno with a sentence. Its bytes
 * match the record's check, but not necessarily the key: store_fetch_check() says that, and it covers what no check on the
 * disk can, a bit that flips in memory. */
int store_fetch(struct store *store, const struct key *key, const struct directory_entry *entry, void *to);
/* Only the first bytes of it: want, 1 to plain_len. to has room for all. */
int store_fetch_first(struct store *store, const struct key *key, const struct directory_entry *entry, void *to, size_t want);
int store_fetch_check(struct store *store, const struct key *key, const struct directory_entry *entry, const void *bytes);

/* Waits until nobody else puts, or moves, this key; then nobody does until store_unclaim(). */
void store_claim(struct store *store, struct claim *claim);
void store_unclaim(struct store *store, struct claim *claim);
/* gc.c: called with the lock held by who takes a claim. */
void store_gc_claimed(struct store *store, struct claim *claim);

/* Called with the lock held. Makes the pack with the next number; nothing is on the disk yet. 0 or -errno. */
int store_new_pack(struct store *store, struct written_pack *pack);
/* Appends a record to the current pack, or the next one. 0 and the entry's pack and off. */
int store_append(struct store *store, struct pack_head *head, const void *payload, struct directory_entry *entry);
/* What is appended from now on stands in this pack or a newer one. 0 or -errno. */
int store_append_not_before(struct store *store, uint32_t index);
/* Syncs all packs that were written; seal: also finishes the current one. */
int store_sync_packs(struct store *store, bool seal);
/* The sticky failure, if there was one. */
int store_check_failed(struct store *store);
/* These features (enum settings_feature) are in tomofs.json, durably: what needs them may be written. 0 or -errno. */
int store_need_features(struct store *store, unsigned features);
/* As store_room(); these bytes were written and count until the disk is asked again. */
void store_room_used(struct store *store, uint64_t bytes);

/* Called with follow_lock held: looks for packs that a writer made since. 0 or -errno. */
int store_follow(struct store *store, struct directory_sums *sums);

/* Ends recoding; finish: makes what was copied durable and lets go of the packs it was copied from. */
void store_recode_end(struct store *store, bool finish);

/* The epoch noted in STORE/epoch; 0 when there is none or it cannot be understood. */
uint64_t store_noted_epoch(const struct io *io, const char *path);

#endif
