/*
 * codec: how the bytes of one chunk are kept in a pack. A codec is one row of a table and one number in the format; old
 * numbers stay readable for ever (store/FORMAT.md).
 *
 *     CODEC_NONE         the plain bytes
 *     CODEC_ZSTD         one zstd frame without checksum and content size (the pack record has both)
 *     CODEC_FILTER_ZSTD  filter parameters (filter.h), then one zstd frame of the filtered bytes
 *     CODEC_PREDICT      parameters of a prediction (predict.h), then the coded residuals (residual.h)
 *     CODEC_BITS         parameters of a simple prediction, then the bits that it leaves open (bitpack.h)
 *
 * Two ways to encode. codec_encode() is for a chunk that arrives: it chooses among what is encoded fast. codec_encode_dense()
 * is for data at rest: it chooses what is smallest, at several times the work. Both choose by a cheap trial on the data, decode
 * their own result and compare it with what was given: a compressor or memory that fails is found before anything is promised
 * (then CODEC_NONE is used and a warning logged). The result depends on the bytes and the plan only.
 *
 * Any thread may call; contexts are kept for each thread.
 */
#ifndef TOMOFS_CODEC_H
#define TOMOFS_CODEC_H

#include "store/buf.h"
#include "store/chunker.h"

enum codec { CODEC_NONE = 0, CODEC_ZSTD = 1, CODEC_FILTER_ZSTD = 2, CODEC_PREDICT = 3, CODEC_BITS = 4, CODEC_COUNT };

/* NULL for unknown numbers. */
const char *codec_name(unsigned codec);

/* Encodes 1 to CHUNK_MAX bytes into *payload (cleared first). plan and off as in chunker.h; plan may be NULL. 0 and *codec;
 * -ENOMEM. */
int codec_encode(const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len, struct buf *payload,
		 enum codec *codec);
int codec_encode_dense(const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len, struct buf *payload,
		       enum codec *codec);
/* As codec_encode(), but with CODEC_NONE the payload stays empty: the bytes themselves are it, and need no copy. */
int codec_encode_unless_plain(const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len, struct buf *payload,
			      enum codec *codec);

/*
 * What a payload says of the rows in its chunk, as a plan in which the chunk stands at offset 0: for codec_encode_dense() of a
 * chunk of which nothing else is known. Only the head of the payload is read; that it decodes is not checked. is_float is set
 * only where the codec knows it, and samples (a pixel) is 1 where it does not. False, and *plan is all zeros: it says nothing.
 * Safe on any bytes.
 */
bool codec_plan(unsigned codec, const void *payload, size_t payload_len, struct chunk_plan *plan);

/* Decodes a payload to exactly len plain bytes. 0; -EBADMSG with a sentence: damaged, of another length, or of an
 * unknown codec or filter; -ENOMEM. Safe on any bytes. */
int codec_decode(unsigned codec, const void *payload, size_t payload_len, void *to, size_t len);
/* The same for who needs only the first `want` of these bytes (1 to len): what is behind them may or may not be decoded, and damage
 * that shows only there is not noticed. to: room for len bytes. The payload must be whole all the same. */
int codec_decode_first(unsigned codec, const void *payload, size_t payload_len, void *to, size_t len, size_t want);

#endif
