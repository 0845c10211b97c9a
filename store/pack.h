/*
 * pack: the bytes of a pack file. Pure functions from values to bytes and back; packs.h reads pack files, appender.h
 * writes one, recover.h goes through one record by record. Format: store/FORMAT.md.
 *
 *     header (320)   record   record   record ...   footer record   trailer (40)
 *                                                   `-- when sealed --------'
 *
 * Header and checks depend on the store's settings and the pack's name alone. So a damaged header can be made again,
 * and a record is whole only in the pack and at the place where it was written: pack bytes that somebody stored as data
 * inside a chunk are never mistaken for records.
 */
#ifndef TOMOFS_PACK_H
#define TOMOFS_PACK_H

#include "store/buf.h"
#include "store/settings.h"

enum {
	PACK_VERSION = 1,
	PACK_HEADER_BYTES = 320,
	PACK_HEAD_BYTES = 56,  /* of a record, before its payload */
	PACK_ENTRY_BYTES = 40, /* of a footer */
	PACK_TRAILER_BYTES = 40,
	PACK_PAYLOAD_MAX = 16 << 20, /* of any record */
	PACK_SEAL_BYTES = 256 << 20, /* sealed when it has become this large ... */
	PACK_SEAL_RECORDS = 1 << 18, /* ... or holds this many records */
	PACK_NAME_MAX = 32,
};

struct pack_name {
	uint64_t epoch;	 /* of the writer that made it */
	uint64_t number; /* 1, 2, 3 ... within the epoch */
};

/* "0000000003-0000000001.pack" */
void pack_name_text(struct pack_name name, char text[PACK_NAME_MAX]);
bool pack_name_parse(const char *text, struct pack_name *name);
/* As strcmp(): older packs first. */
int pack_name_compare(struct pack_name a, struct pack_name b);

/* The header of the pack of this name in the store with these settings. */
void pack_header(const struct settings *s, struct pack_name name, uint8_t header[PACK_HEADER_BYTES]);
/* What the checks of a pack's records depend on; from its header. */
uint64_t pack_seed(const uint8_t header[PACK_HEADER_BYTES]);
/* Checks a header. 0 and the pack's own name; -EBADMSG: damaged; -EXDEV: of another store; -EINVAL: of a newer
 * format. With a sentence that wants a noun in front. */
int pack_header_check(const struct settings *s, const uint8_t header[PACK_HEADER_BYTES], struct pack_name *name);

/* Kinds from PACK_SKIP on may be passed over by a reader that does not know them. */
enum pack_kind { PACK_CHUNK = 1, PACK_FOOTER = 2, PACK_SKIP = 0x80, PACK_NOTE = 0x80, PACK_GAP = 0x81 };

struct pack_head { /* of one record */
	uint8_t kind;
	uint8_t version;
	uint8_t codec;
	uint16_t domain; /* deduplication domain; 0 */
	uint32_t plain_len;
	uint32_t stored_len; /* of the payload */
	struct key key;	     /* all zero in a footer */
	uint64_t payload_check;
};

/* A note is the first record of a pack whose chunks were taken from older packs: how they were coded then. Chunks of a pack
 * whose note says what one would write now need not be coded again. */
enum { PACK_NOTE_BYTES = 4, PACK_NOTE_RECORD = PACK_HEAD_BYTES + PACK_NOTE_BYTES };
void pack_note_put(uint8_t payload[PACK_NOTE_BYTES], struct pack_head *head, uint32_t coding);
/* Reads the record behind a pack's header: true when it is a note. */
bool pack_note_get(const uint8_t record[PACK_NOTE_RECORD], uint64_t seed, uint32_t *coding);

/* A gap stands only in footers: in these bytes of the pack (as many as a record of this stored_len has) there is no record, because
 * power failed while they were written. */
bool pack_gap_put(struct buf *entries, uint64_t from, uint64_t to, uint64_t *records);

uint64_t pack_check(const void *payload, size_t len);
/* off: where in the pack the record begins. */
void pack_head_put(struct buf *b, const struct pack_head *head, uint64_t seed, uint64_t off);
/* True when a whole head stands there: magic, check, and sizes within bounds. */
bool pack_head_get(const uint8_t bytes[PACK_HEAD_BYTES], uint64_t seed, uint64_t off, struct pack_head *head);
/* The four bytes that a record begins with. */
extern const uint8_t pack_magic[4];

struct pack_entry {	       /* one record as a footer lists it */
	struct pack_head head; /* payload_check is 0 */
	uint64_t off;
};
void pack_entry_put(struct buf *entries, const struct pack_head *head, uint64_t off);
/* The i-th entry of a footer that pack_footer_check() found good. */
struct pack_entry pack_entry_get(const uint8_t *entries, uint64_t i);

/* Footer record and trailer for a pack whose records end at off. Sets b failed when there are too many. */
void pack_footer_put(struct buf *b, const struct buf *entries, uint64_t seed, uint64_t off);
/* Reads a trailer of a pack of `size` bytes: true, and where the footer begins and how many entries it lists. */
bool pack_trailer_get(const uint8_t bytes[PACK_TRAILER_BYTES], uint64_t seed, uint64_t size, uint64_t *footer_off,
		      uint64_t *records);
/* Checks a footer record (head and payload, of the length that the trailer implies): true when it is whole and lists
 * records that lie in order within the pack. They may be of kinds that are not known: those below PACK_SKIP are for others to
 * complain about, and the chunks beside them are as good as any. */
bool pack_footer_check(const uint8_t *footer, uint64_t seed, uint64_t footer_off, uint64_t records);

#endif
