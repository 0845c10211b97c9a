/* The inside of a compaction: compact.c goes through packs, compact_chunk.c reads and codes, compact_out.c writes, publishes and removes,
 * compact_check.c reads back. */
#ifndef TOMOFS_COMPACT_INTERNAL_H
#define TOMOFS_COMPACT_INTERNAL_H

#include "store/compact.h"

struct moved { /* a record that was copied and is not published yet */
	struct key key;
	struct directory_entry from, to;
};

struct source { /* a pack that is being copied, or was and is still there */
	uint32_t index;
	uint64_t next; /* record to go on with */
	bool whole;    /* all are copied */
};

struct slot { /* a chunk in flight */
	struct compaction *c;
	struct ring *ring;
	struct key key;
	struct directory_entry at;
	uint64_t number;   /* of the record in its pack */
	void *room;	   /* memory that records are read into, at a multiple of PACKS_ALIGN ... */
	size_t room_len;
	const uint8_t *record; /* ... and this one's place in it */
	struct buf payload;
	enum codec codec;
	struct pool_group group;
	int rc; /* of ring_take() */
};

struct ring { /* of those in flight, oldest first */
	struct slot *slots;
	size_t count, first, busy;
	bool codes;    /* as the rule says; else they are only checked */
	bool stopping; /* atomic: what is not being coded yet ends with -EINTR */
};

struct compaction {
	struct store *store;
	struct compact_rule rule;
	struct pool *coders; /* NULL: none */
	struct pool *disk;   /* writes and syncs the new pack; NULL before the first one */
	struct ring ring;
	struct written_pack out; /* appender NULL: none */
	bool sealed;		 /* it is, and could not be synced for now */
	struct buf moved;	 /* struct moved: of the new pack, as they stand in it ... */
	uint64_t read_back;	 /* ... and how many of them were read back from the disk */
	struct buf proven;	 /* uint32_t: packs of which all was read back */
	struct buf sources;	 /* struct source; the last one may be not whole */
	struct compact_counts counts;
};

/* Appends a record of an old pack to the new one. 0 or -errno as compaction_pack(). */
int compact_append(struct compaction *c, const struct moved *moved, const void *payload);
/* What a pack's footer says. 0: all of the pack is understood, the caller frees pack->entries; -EBADMSG: it must stay as it is;
 * -ENOMEM and the like. */
int compact_list(struct compaction *c, uint32_t index, struct recovered *pack);
/* Does the pack have a record with the key there? Entries are in the order of offsets. */
bool compact_lists(const struct recovered *pack, const struct key *key, uint64_t off);
/* A ring of a chunk for each coder, and one more. 0 or -ENOMEM. */
int ring_new(struct ring *ring, struct compaction *c, bool codes);
void ring_free(struct ring *ring); /* nothing is in flight */
/* Reads a record and hands it to the coders. There is room. 0; -EBADMSG: damaged; -ENOMEM and the like. */
int ring_begin(struct ring *ring, const struct key *key, const struct directory_entry *at, uint64_t number);
/* Waits for the oldest one; valid until the next ring_begin(). slot->rc: 0; -EBADMSG: damaged; -EINTR: its coding was not begun; -ENOMEM. */
struct slot *ring_take(struct ring *ring);

/* The records of the new pack, which are synced: do they come back from the disk as they should? 0; -ENOMEM: not known yet; -EIO. */
int compact_read_back(struct compaction *c);
/* Is the chunk whole where the directory says? 1, 0, -errno. */
int compact_is_whole(struct compaction *c, const struct key *key, const struct directory_entry *at);

/* "pack NAME" for sentences. */
void compact_name(struct compaction *c, uint32_t index, char text[PACK_NAME_MAX]);

#endif
