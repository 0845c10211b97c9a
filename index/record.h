/*
 * record: one change, as plain values, and its versioned encoding as the body of a journal record (index/SCHEMA.md).
 *
 * A record holds everything that apply() needs: the numbers it gives (nodes, images) and the times are in it, so that
 * replaying the journal makes the same index again, bit for bit. Strings are NUL-terminated and never hold NUL; names of
 * files are any bytes but '/' and NUL, at most 255.
 */
#ifndef TOMOFS_RECORD_H
#define TOMOFS_RECORD_H

#include "index/geometry.h"
#include "store/journal.h"
#include "store/key.h"

/* Numbers in the journal: add at the end, never renumber. */
enum record_kind {
	REC_NODE = 1,     /* a file, folder or symlink is made */
	REC_ATTR = 2,     /* mode, owner, times */
	REC_CONTENT = 3,  /* a file has new content */
	REC_RENAME = 4,
	REC_REMOVE = 5,   /* unlink or rmdir */
	REC_XATTR = 6,
	REC_PROBE = 7,    /* what was found in a file: geometry, facts */
	REC_IMAGES = 8,   /* the images that a dataset has */
	REC_DATASET = 9,  /* a folder becomes a dataset of its own, or its role, or state changes */
	REC_FACT = 10,    /* a person sets or clears a fact */
	REC_TAG = 11,     /* a dataset gets or loses a tag */
	REC_TERM = 12,    /* a tag or sample folder is made, dropped or renamed */
	REC_QUERY = 13,   /* a search folder is kept or dropped */
	REC_EXPIRE = 14,  /* history up to a record is given up */
	REC_LINK = 15,    /* a file gets a further name */
	REC_RESTORE = 16, /* a removed node gets a name again */
	REC_KINDS
};

enum { INO_ROOT = 1, INO_DATASETS = 2, INO_FIRST = 16 };
enum { NAME_BYTES_MAX = 255, LINKS_MAX = 65000 };

/* A run of a file's bytes: one whole chunk, or a hole (zero key). Inside the tree of a large file: one node. */
struct extent {
	struct key key;
	uint64_t len; /* bytes of the file */
};

enum { CONTENT_INLINE_MAX = 16, CONTENT_NODE_MAX = 1024, CONTENT_DEPTH_MAX = 6 };

/*
 * The bytes of one file. depth 0: the extents are the file's chunks. depth d: each names a chunk that holds up to
 * CONTENT_NODE_MAX extents of depth d-1, encoded by content_node_encode(). Always count <= CONTENT_INLINE_MAX... a root.
 */
struct content {
	uint64_t size;
	uint8_t sha256[32];
	bool sha256_known; /* false only while a file is still being written (an fsync in the middle) */
	uint8_t depth;
	uint32_t count;
	struct extent extents[CONTENT_INLINE_MAX];
};

void content_encode(struct buf *out, const struct content *c);
int content_decode(struct cursor *in, struct content *c); /* 0, -EBADMSG */
/* Nodes of the tree: stored as chunks of their own. */
void content_node_encode(struct buf *out, const struct extent *extents, size_t count);
/* extents: room for CONTENT_NODE_MAX. 0 and *count; -EBADMSG. */
int content_node_decode(const void *bytes, size_t len, struct extent *extents, size_t *count);

enum attr_set { ATTR_MODE = 1, ATTR_UID = 2, ATTR_GID = 4, ATTR_ATIME = 8, ATTR_MTIME = 16 };

/* Why a fact is believed: lower wins. */
enum fact_rank { RANK_PERSON = 0, RANK_ACQUISITION = 1, RANK_SIDECAR = 2, RANK_HEADER = 3 };

struct record_fact {
	const char *field, *value, *vendor_key, *vendor_text;
};

/* A raw data file that a sidecar declares: by file name, or by the suffix that replaces the sidecar's own. */
struct record_declared {
	const char *name, *suffix; /* one of them, the other "" */
	struct geometry geo;
};

struct record_probe {
	uint64_t ino;
	bool has_geometry;
	struct geometry geo;
	const char *error;   /* why its pixels cannot be shown; "" = nothing wrong */
	bool acquisition;    /* an acquisition record (DESIGN: collections) */
	uint64_t images_declared;
	enum fact_rank rank; /* of the facts */
	const struct record_fact *facts;
	size_t fact_count;
	const struct record_declared *declared;
	size_t declared_count;
}; /* no geometry, no error, no facts, nothing declared: forget what was found before */

enum image_kind { IMAGE_STACK = 1, IMAGE_FILE = 2, IMAGE_DECLARED = 3 /* raw file described by a sidecar or its name */ };

struct record_image {
	uint32_t id;           /* 1 to 2^26-1, never reused; a new one whenever the pixels may differ */
	enum image_kind kind;
	uint64_t ino;          /* the folder of a stack, or the file */
	const char *part;      /* path inside the dataset; "" when it is the dataset's own folder or file */
	struct geometry geo;   /* of the whole: depth counts all slices */
	uint64_t signature;    /* of the files it is made of; a different one makes a new image */
	const char *error;     /* why it cannot be viewed; "" = it can */
}; /* the first one of a dataset is its main image */

enum dataset_state { STATE_RECEIVING = 1, STATE_READY = 2, STATE_INCOMPLETE = 3 };
enum dataset_role { ROLE_DATASET = 1, ROLE_COLLECTION = 2 };
enum facet { FACET_TAG = 1, FACET_SAMPLE = 2, FACET_INSTRUMENT = 3, FACET_PROJECT = 4, FACET_OWNER = 5, FACETS };
enum term_change { TERM_KEEP = 1, TERM_DROP = 2, TERM_RENAME = 3 };

struct record {
	enum record_kind kind;
	int64_t time_ns; /* filled in by catalog_apply() when 0 */
	union {
		struct {
			uint64_t ino, parent;
			const char *name;
			uint32_t mode; /* with S_IFMT: S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK */
			uint32_t uid, gid;
			const char *owner;  /* user name of uid; "" = not known */
			const char *target; /* of a symlink, else "" */
		} node;
		struct {
			uint64_t ino;
			uint32_t set; /* enum attr_set */
			uint32_t mode, uid, gid; /* mode: permission bits only */
			const char *owner;       /* with ATTR_UID */
			int64_t atime_ns, mtime_ns;
		} attr;
		struct {
			uint64_t ino;
			int64_t mtime_ns;
			struct content content;
		} content;
		struct {
			uint64_t parent, new_parent;
			const char *name, *new_name;
			bool no_replace; /* RENAME_NOREPLACE */
			bool exchange;   /* RENAME_EXCHANGE */
		} rename;
		struct {
			uint64_t parent;
			const char *name;
			bool folder; /* rmdir */
		} remove;
		struct {
			uint64_t ino;
			const char *name;
			bool remove;
			const uint8_t *value;
			size_t value_len; /* at most 64 KiB */
		} xattr;
		struct record_probe probe;
		struct {
			uint32_t dataset;
			const struct record_image *list;
			size_t count;
		} images;
		struct {
			uint64_t ino;  /* the folder or file */
			enum dataset_state state; /* 0: unchanged */
			enum dataset_role role;   /* 0: unchanged; makes it a dataset (or collection) when it was none */
			const char *note; /* why incomplete ("12 of 20 projections"); "" */
		} dataset;
		struct {
			uint32_t dataset;
			const char *field, *value; /* "" clears */
		} fact;
		struct {
			uint32_t dataset;
			const char *tag;
			bool remove;
		} tag;
		struct {
			enum facet facet;
			enum term_change change;
			const char *text, *new_text;
		} term;
		struct {
			const char *text;
			bool drop;
		} query;
		struct {
			uint64_t ino, parent;
			const char *name;
		} link;
		struct {
			uint64_t seq; /* what was so before this record may be forgotten */
		} expire;
		struct {
			uint64_t ino, parent;
			const char *name;
			uint32_t dataset; /* the removed dataset whose top it was and is again; 0: none */
		} restore;
	};
};

/* Encodes the body (kind and time are in the journal record itself). */
void record_encode(struct buf *body, const struct record *r);

/* Decodes a journal record. Strings and arrays point into the journal record or into *memory, which the caller frees with
 * record_memory_free() when done. 0; -EBADMSG; -ENOTSUP: a kind or version from the future (may be skipped when
 * record_skippable()). */
struct record_memory;
int record_decode(const struct journal_record *from, struct record *r, struct record_memory **memory);
void record_memory_free(struct record_memory *memory);

#endif
