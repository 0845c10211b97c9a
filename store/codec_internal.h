/*
 * What the parts of codec share: codec.c (the table, and the promise that what was encoded decodes), codec_coder.c (what a thread
 * keeps), codec_zstd.c, codec_predict.c and codec_bits.c (the codecs), codec_sample.c (what a trial looks at), codec_arrival.c and
 * codec_dense.c (which way to encode).
 */
#ifndef TOMOFS_CODEC_INTERNAL_H
#define TOMOFS_CODEC_INTERNAL_H

#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_c_literalCompressionMode */
#include <zstd.h>

#include "store/codec.h"
#include "store/codec_bits.h"
#include "store/filter.h"
#include "store/planes.h"
#include "store/predict.h"
#include "store/values.h"

enum { WORTH = 64 }; /* less than 1/64 saved is not worth decoding */

static inline bool codec_worth(size_t encoded, size_t plain)
{
	return encoded < plain - plain / WORTH;
}

/* How to set up zstd: level 1; literals in Huffman code and hardly any matches; only to see whether there are matches; for data
 * at rest. */
enum zstd_setup { ZSTD_LEVEL1, ZSTD_HUFFMAN, ZSTD_PROBE, ZSTD_DENSE, ZSTD_SETUPS };

struct coder { /* of one thread */
	ZSTD_CCtx *encoder[ZSTD_SETUPS];
	ZSTD_DCtx *decoder;
	struct buf filtered;  /* a chunk's planes or residuals */
	struct buf check;     /* a chunk decoded again */
	struct bits_room bits;
	struct buf next;      /* a chunk encoded in the next way */
	struct buf ranks;     /* a chunk's samples as ranks */
	struct values values; /* among these */
	struct buf planes;    /* a chunk's samples, or their ranks, as planes */
	struct buf sample, sample_filtered, sample_out;
};

/* NULL without memory. Owned by the thread. */
struct coder *coder_get(void);
ZSTD_CCtx *coder_encoder(struct coder *c, enum zstd_setup setup);
/* len bytes of scratch and PREDICT_SLACK more; NULL without memory. */
uint8_t *coder_scratch(struct buf *b, size_t len);

/* Errors: 0 or -errno, with their sentence. */
int coder_no_memory(void);
int coder_zstd_error(const char *what, size_t code);

/* ---- ways to encode ---- */

struct way {
	enum codec codec;
	enum zstd_setup setup;	      /* for zstd */
	struct filter filter;	      /* for CODEC_FILTER_ZSTD */
	struct prediction prediction; /* for CODEC_PREDICT; its row is that of a plane */
	struct planes planes;	      /* likewise */
	struct bitpack bitpack;	      /* for CODEC_BITS */
	bool ranked;		      /* of the ranks in struct coder, which are the chunk's */
	bool must_gain;		      /* not worth its time unless it saves 1/64 of what another way makes */
	bool must_be_near;	      /* not tried where the way before it made a quarter more than the best one */
};

/* Appends the bytes, encoded in this way, to *out; filtered is scratch. 0 or -errno. */
int way_encode(struct coder *c, const struct way *way, const void *bytes, size_t len, struct buf *filtered,
	       struct buf *out);

/* A codec. encode: as way_encode(). decode: as codec_decode_first(). plan: as codec_plan() with *plan all zeros at first; NULL: its
 * payloads say nothing. matches: 1 when the payload decodes to these bytes, 0 when it does not, -ENOMEM; NULL: decode it and
 * compare. */
struct codec_row {
	const char *name;
	int (*encode)(struct coder *c, const struct way *way, const void *bytes, size_t len, struct buf *filtered,
		      struct buf *out);
	int (*decode)(struct coder *c, const void *payload, size_t payload_len, void *to, size_t len, size_t want);
	bool (*plan)(struct cursor *head, struct chunk_plan *plan);
	int (*matches)(struct coder *c, const void *payload, size_t payload_len, const void *bytes, size_t len);
};

extern const struct codec_row codec_none, codec_zstd, codec_filter_zstd, codec_predict, codec_bits;

/* Rows of so many bytes, in chunk_plan's terms. False: that is no geometry that a chunk can have. */
bool codec_plan_rows(struct chunk_plan *plan, unsigned sample_bytes, bool big_endian, uint64_t row_bytes);

/* ---- choosing ---- */

/* What to encode; the smallest result is kept. None: nothing is gained by coding. */
enum { CHOICES_MAX = 3 };
struct choice {
	unsigned count;
	struct way way[CHOICES_MAX];
};

/* How to encode the chunk. plan and off as in codec_encode(). 0 or -errno. */
typedef int codec_chooser(struct coder *c, const struct chunk_plan *plan, uint64_t off, const uint8_t *bytes, size_t len,
			  struct choice *choice);
codec_chooser codec_choose_arrival, codec_choose_dense;

/* What a plan says that codecs can use. */
struct pixels {
	uint8_t sample_bytes, big_endian, is_float;
	uint8_t samples; /* a pixel; at least 1 */
	uint32_t row_bytes;
};

/* What the plan says about the chunk at off, when at least two rows of pixels are in it. */
bool codec_pixels(const struct chunk_plan *plan, uint64_t off, size_t len, struct pixels *px);

/* Some bytes of a chunk, which stand for all of it in a trial; in the coder, or the chunk itself. */
struct sample {
	const uint8_t *bytes; /* NULL: no memory */
	size_t len;
	uint32_t row_bytes; /* of the small picture that it is; 0: none */
};

struct sample codec_sample_bytes(struct coder *c, const uint8_t *bytes, size_t len);
struct sample codec_sample_pixels(struct coder *c, const struct pixels *px, const uint8_t *bytes, size_t len);

/*
 * Do the bytes look like noise, as data do that are compressed already? All values are equally often among the bytes at each place of
 * four, and so are those of their differences to the byte before and to those 2 and 4 bytes before: neither codes for values nor predictions in
 * samples of 1, 2 or 4 bytes gain anything. Images fail one of these tests; most other data fail the first one, which ends it.
 * Whether something comes again it does not tell.
 */
bool codec_looks_random(const struct sample *sample);

/* Encodes the sample in this way, into c->sample_out. 0 or -errno. */
int codec_sample_encode(struct coder *c, const struct sample *sample, const struct way *way);

#endif
