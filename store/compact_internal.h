/* The inside of a compaction: compact.c reads and codes, compact_out.c writes, publishes and removes. */
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
	struct key key;
	struct directory_entry at;
	uint64_t number;   /* of the record in its pack */
	void *room;	   /* memory that records are read into, at a multiple of PACKS_ALIGN ... */
	size_t room_len;
	const uint8_t *record; /* ... and this one's place in it */
	struct buf payload;
	enum codec codec;
	struct pool_group group;
};

struct compaction {
	struct store *store;
	struct compact_rule rule;
	struct pool *coders; /* NULL: none */
	struct pool *disk;   /* writes and syncs the new pack; NULL before the first one */
	struct slot *slots;  /* a ring */
	size_t slot_count, first, busy;
	struct written_pack out; /* appender NULL: none */
	bool sealed;		 /* it is, and could not be synced for now */
	struct buf moved;	 /* struct moved */
	struct buf sources;	 /* struct source; the last one may be not whole */
	struct compact_counts counts;
};

/* Appends a record of an old pack to the new one. 0 or -errno as compaction_pack(). */
int compact_append(struct compaction *c, const struct moved *moved, const void *payload);
/* What a pack's footer says. 0: all of the pack is understood, the caller frees pack->entries; -EBADMSG: it must stay as it is;
 * -ENOMEM and the like. */
int compact_list(struct compaction *c, uint32_t index, struct recovered *pack);
/* "pack NAME" for sentences. */
void compact_name(struct compaction *c, uint32_t index, char text[PACK_NAME_MAX]);

#endif
