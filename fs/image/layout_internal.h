/*
 * layout_internal: what the files of layout share.
 *
 *     layout.c        which reader, answers, cutting
 *     layout_map.c    regions of pixels and of directories, sorted
 *     layout_tiff.c   directories and tables of a TIFF as they pass
 *     layout_page.c   what a page says: sizes, strips, tiles
 *     layout_order.c  -> regions; pages without directories; what the next page will be like
 *     layout_place.c  what is at a place, or what has to be waited for
 *     layout_raw.c    raw volumes
 *     layout_header.c those with a header
 */
#ifndef TOMOFS_LAYOUT_INTERNAL_H
#define TOMOFS_LAYOUT_INTERNAL_H

#include "fs/image/layout.h"

#define LAYOUT_FILE_MAX (UINT64_C(1) << 44)
enum { LAYOUT_HEAD = 352 };   /* bytes by which a kind of file is known */
enum { LAYOUT_LEAST = 4096 }; /* fewer pixels in a run are not worth a chunk of their own */
enum { LAYOUT_NEAR = 64 };    /* gaps up to this belong to what they stand at */

/* ---- the map ---- */

struct region { /* count times pixels, stride bytes from one start to the next */
	uint64_t first, stride, count;
	struct chunk_plan plan; /* its first_pixel is not set */
};

struct extent_of { /* a directory or what it points at */
	uint64_t start, end;
};

enum { REGIONS_MAX = 1024, EXTENTS_MAX = 1024 };

struct layout_map {
	struct region *regions; /* sorted, spans do not overlap; owned */
	size_t count, cap;
	struct region guess;	   /* predicted; count 0: none; gives way to what is known */
	struct extent_of *extents; /* sorted, not touching; owned */
	size_t extent_count, extent_cap;
};

uint64_t plan_bytes(const struct chunk_plan *plan);
/* Adds pixels at start; what does not fit in is left out. asked: nothing before is asked about any more, so that can
 * make room. True: they go on from those before them. */
bool map_add(struct layout_map *map, uint64_t start, const struct chunk_plan *plan, uint64_t asked);
void map_guess(struct layout_map *map, uint64_t start, const struct chunk_plan *plan);
/* True and *plan when pixels are at off; else *next is where the next ones start (UINT64_MAX: none known). */
bool map_pixels(const struct layout_map *map, uint64_t off, struct chunk_plan *plan, uint64_t *next);
void map_add_extent(struct layout_map *map, uint64_t start, uint64_t len, uint64_t asked);
void map_free(struct layout_map *map);
/* Where the directories and tables end that off is in or just before; off when it is in none. *next: the next ones. */
uint64_t map_extent_end(const struct layout_map *map, uint64_t off, uint64_t *next);

/* ---- TIFF ---- */

enum { PAGES_IN_FLIGHT = 4, STREAMS = 6, HISTORY = 16 << 10, TEXT_MAX = 512, SEEN_MAX = 8 };

/* What is read as it passes, in the order in which streams of one place are gone on with. */
enum stream_kind {
	STREAM_NONE,
	IFD_COUNT,
	IFD_ENTRIES,
	IFD_LINK,
	PAGE_BITS,
	PAGE_FORMAT,
	PAGE_TEXT,
	PAGE_BYTES,
	PAGE_OFFSETS
};

struct stream {	      /* `left` elements of width bytes from `at` on */
	uint8_t kind; /* enum stream_kind */
	uint8_t width, have;
	uint8_t bytes[20]; /* the first `have` of the next element */
	uint64_t at, left; /* at: the next byte */
};

struct table {	       /* values of a tag */
	uint8_t width; /* of one; 0: there are none, or of an unusable type */
	bool in_place;
	uint64_t count, at;
	uint8_t bytes[8]; /* in_place */
};

struct page {
	bool used, first;
	bool supposed; /* nothing links to it: it is where the next directory should be */
	bool odd;      /* its pixels are not there as they are, or a table could not be read */
	uint64_t ifd_at, ifd_end, next;
	uint64_t width, height, bits, samples, format, compression, planar, rows, tile_width, tile_height;
	uint64_t images; /* pictures that follow each other, as tags say; 0: not said */
	struct table offsets, bytes;
	uint64_t first_bytes; /* of the first strip or tile, as said; 0: not said */

	bool shaped; /* the numbers below are there; of a plane: pixels with all samples, or with one */
	uint64_t row_bytes, plane_bytes, planes, plane_blocks, block_bytes, last_block_bytes;
	uint64_t block;			       /* strips or tiles gone through */
	uint64_t run_at, run_bytes, run_block; /* those that follow each other, up to here */
	unsigned runs;			       /* that do not go on from others */
	struct stream streams[STREAMS];
};

struct page_order {	       /* of the page read last, when it is one run of pixels */
	bool plain, confirmed; /* confirmed: it was where the one before it predicts */
	uint64_t bytes, start;
	uint64_t lead; /* from its pixels to its directory; 0: the directory comes first */
	struct chunk_plan plan;
};

struct layout_tiff {
	bool big, big_endian;
	bool any_page, last_odd;
	uint64_t next; /* where the next directory is, which has not begun; 0: there is none */
	uint64_t pos;  /* all before it was looked at */
	uint64_t looked_back;
	struct page pages[PAGES_IN_FLIGHT];
	unsigned newest; /* the page that is, or will be read */
	struct page_order order;
	struct seen { /* single values that passed: writers let later pages point at those of the first */
		uint64_t at, value;
	} seen[SEEN_MAX];
	unsigned seen_next;
	char text[TEXT_MAX]; /* the first page's description */
	size_t text_len;

	const uint8_t *piece; /* what is fed now */
	uint64_t piece_at;
	size_t piece_len;
	uint8_t *history; /* at least the HISTORY bytes before, or NULL; 2 * HISTORY, owned */
	uint64_t history_at;
	size_t history_len;
};

struct layout {
	enum { KIND_UNKNOWN, KIND_TIFF, KIND_RAW, KIND_NONE } kind;
	struct layout_map map;
	uint64_t fed, asked;
	bool ended, gave_up;
	uint64_t sniff;	    /* where pixels are to be looked for in the bytes themselves; UINT64_MAX: no */
	uint64_t sniff_end; /* and where they end at the latest */
	bool sniffed;
	char *name;
	struct layout_hint hint; /* given, then found; no type: none */
	uint8_t head[LAYOUT_HEAD];
	size_t head_len;
	struct layout_tiff *tiff; /* owned */
};

/* layout_tiff.c */
int tiff_begin(struct layout *l);
void tiff_free(struct layout *l);
void tiff_feed(struct layout *l, uint64_t off, const uint8_t *bytes, size_t len);
/* Up to where a page or directory is being read that may tell about `off`; 0: none is. */
uint64_t tiff_reads_until(const struct layout *l, uint64_t off);

uint64_t tiff_number_at(const struct layout_tiff *t, const uint8_t *at, size_t width);
/* A directory is waited for at `at`; 0: none. */
void tiff_expect(struct layout *l, uint64_t at, bool supposed);
void tiff_want(struct layout *l, struct page *p, enum stream_kind kind, uint64_t at, uint64_t count, unsigned width);

/* layout_page.c: PAGE_ODD: not pixels as they are, or a table that was missed; PAGE_ONE_RUN: not in the map yet. */
enum page_kind { PAGE_ODD, PAGE_RUNS, PAGE_ONE_RUN };
void page_entry(struct layout *l, struct page *p, const uint8_t *entry);
/* The directory was read whole: values that stand elsewhere are asked for. */
void page_tables(struct layout *l, struct page *p);
void page_element(struct layout *l, struct page *p, struct stream *s);
enum page_kind page_blocks_end(struct layout *l, struct page *p);
void page_plan(const struct layout_tiff *t, const struct page *p, struct chunk_plan *plan);

/* layout_order.c: all of the page was read. */
void page_done(struct layout *l, struct page *p);

/* layout_place.c */
enum layout_kind tiff_at(struct layout *l, uint64_t off, struct chunk_plan *plan, uint64_t *until);

/* layout_raw.c */
void raw_begin(struct layout *l);
/* Looks for pixels in the bytes from l->sniff on. */
void raw_sniff(struct layout *l, const uint8_t *bytes, size_t len);
/* Bytes from l->sniff on that raw_sniff() wants to see. */
uint64_t raw_sniff_bytes(const struct layout *l);
bool raw_magic(const uint8_t *head, size_t len);

/* layout_header.c: could there be a header that tells, by the first LAYOUT_HEAD bytes; and what it tells, by
 * HEADER_MOST. */
enum { HEADER_MOST = 64 << 10 };
bool header_likely(const uint8_t *head, size_t len);
bool header_read(const char *name, const uint8_t *head, size_t len, struct geometry *g);

#endif
