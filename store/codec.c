/*
 * Payload of CODEC_FILTER_ZSTD: u8 predictor, u8 sample_bytes, u8 big_endian, u8 0, u32 row_bytes (little-endian), one
 * zstd frame.
 *
 * How a way to encode is chosen: some ways (rows of a table) are tried on a sample of about 16 KiB, and the one with
 * the smallest result wins, where a way that is slow to encode or to decode must win by its handicap. In pixels the
 * sample is a small picture made of pieces of neighbouring rows, so that all predictors find the neighbours that they
 * will find in the chunk. Residuals of noisy pixels hold no matches, so "huffman" (zstd at level -50 with Huffman-coded
 * literals) keeps them as small as level 1 does, in two thirds of the time. The choice depends on the chunk, its plan
 * and its place only.
 */
#include "store/codec.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_c_literalCompressionMode */
#include <zstd.h>
#include <zstd_errors.h>

#include "store/err.h"
#include "store/filter.h"
#include "store/log.h"

enum {
	FILTER_BYTES = 8,	  /* of the parameters in the payload */
	SAMPLE_BYTES_MAX = 16384, /* tried on */
	SAMPLE_ROWS = 16,
	SAMPLE_PIECES = 4,
	WORTH = 64, /* less than 1/64 saved is not worth decoding */
};

/* ---- what each thread keeps ---- */

struct coder {
	ZSTD_CCtx *level1, *huffman;
	ZSTD_DCtx *decoder;
	struct buf filtered; /* a chunk's planes */
	struct buf check;    /* a chunk decoded again */
	struct buf sample, sample_filtered, sample_out;
};

static pthread_key_t coder_key;
static pthread_once_t coder_once = PTHREAD_ONCE_INIT;

static void coder_free(void *slot)
{
	struct coder *c = slot;

	ZSTD_freeCCtx(c->level1);
	ZSTD_freeCCtx(c->huffman);
	ZSTD_freeDCtx(c->decoder);
	buf_free(&c->filtered);
	buf_free(&c->check);
	buf_free(&c->sample);
	buf_free(&c->sample_filtered);
	buf_free(&c->sample_out);
	free(c);
}

static void make_key(void)
{
	if (pthread_key_create(&coder_key, coder_free))
		abort(); /* at the first use only, and only when the process has used all its keys */
}

static struct coder *coder_get(void)
{
	struct coder *c;

	pthread_once(&coder_once, make_key);
	c = pthread_getspecific(coder_key);
	if (c)
		return c;
	c = calloc(1, sizeof *c);
	if (c && pthread_setspecific(coder_key, c)) {
		free(c);
		c = NULL;
	}
	return c;
}

static ZSTD_CCtx *encoder_new(int level)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();

	if (!z)
		return NULL;
	ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 0);
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 0);
	return z;
}

static ZSTD_CCtx *encoder_get(struct coder *c, bool huffman)
{
	if (!huffman) {
		if (!c->level1)
			c->level1 = encoder_new(1);
		return c->level1;
	}
	if (!c->huffman) {
		c->huffman = encoder_new(-50);
		if (c->huffman) {
			/* A libzstd without these still makes good frames, only larger ones, and the trial sees that.
			 */
			ZSTD_CCtx_setParameter(c->huffman, ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
			ZSTD_CCtx_setParameter(c->huffman, ZSTD_c_minMatch, 7);
			ZSTD_CCtx_setParameter(c->huffman, ZSTD_c_hashLog, 6);
		}
	}
	return c->huffman;
}

/* len bytes of scratch; NULL without memory. */
static uint8_t *scratch(struct buf *b, size_t len)
{
	buf_clear(b);
	return buf_reserve(b, len);
}

static int zstd_error(const char *what, size_t code)
{
	if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
		return err_set(ENOMEM, "no memory for zstd");
	return err_set(EBADMSG, "%s: %s", what, ZSTD_getErrorName(code));
}

static int no_memory(void)
{
	return err_set(ENOMEM, "no memory to code a chunk");
}

/* ---- decode ---- */

/* Exactly one frame of the current format: libzstd itself would also take several, skippable ones and those of old
 * versions. */
static int decode_zstd(struct coder *c, const void *payload, size_t payload_len, void *to, size_t len)
{
	struct cursor head = cursor_of(payload, payload_len);
	size_t n;

	if (cursor_u32(&head) != ZSTD_MAGICNUMBER || ZSTD_findFrameCompressedSize(payload, payload_len) != payload_len)
		return err_set(EBADMSG, "its payload is not a zstd frame");
	if (!c->decoder)
		c->decoder = ZSTD_createDCtx();
	if (!c->decoder)
		return no_memory();
	n = ZSTD_decompressDCtx(c->decoder, to, len, payload, payload_len);
	if (ZSTD_isError(n))
		return zstd_error("zstd cannot decode it", n);
	if (n != len)
		return err_set(EBADMSG, "it decodes to %zu bytes and not to %zu", n, len);
	return 0;
}

static int decode_filtered(struct coder *c, const void *payload, size_t payload_len, void *to, size_t len)
{
	struct cursor head = cursor_of(payload, payload_len);
	struct filter f = {
		.predictor = cursor_u8(&head),
		.sample_bytes = cursor_u8(&head),
		.big_endian = cursor_u8(&head),
	};
	uint8_t zero = cursor_u8(&head);
	uint8_t *planes;
	int rc;

	f.row_bytes = cursor_u32(&head);
	if (cursor_failed(&head) || zero || !filter_valid(&f))
		return err_set(EBADMSG, "it has an unknown filter");
	planes = scratch(&c->filtered, len);
	if (!planes)
		return no_memory();
	rc = decode_zstd(c, head.at, cursor_left(&head), planes, len);
	if (!rc)
		filter_undo(&f, planes, len, to);
	return rc;
}

static int decode_none(struct coder *c, const void *payload, size_t payload_len, void *to, size_t len)
{
	(void)c;
	if (payload_len != len)
		return err_set(EBADMSG, "it has %zu bytes and not %zu", payload_len, len);
	memcpy(to, payload, len);
	return 0;
}

static const struct {
	const char *name;
	int (*decode)(struct coder *c, const void *payload, size_t payload_len, void *to, size_t len);
} codecs[CODEC_COUNT] = {
	[CODEC_NONE] = { "none", decode_none },
	[CODEC_ZSTD] = { "zstd", decode_zstd },
	[CODEC_FILTER_ZSTD] = { "filter+zstd", decode_filtered },
};

const char *codec_name(unsigned codec)
{
	return codec < CODEC_COUNT ? codecs[codec].name : NULL;
}

int codec_decode(unsigned codec, const void *payload, size_t payload_len, void *to, size_t len)
{
	struct coder *c;

	if (codec >= CODEC_COUNT)
		return err_set(EBADMSG, "its codec, number %u, is unknown", codec);
	if (!len || len > CHUNK_MAX)
		return err_set(EBADMSG, "a chunk cannot have %zu bytes", len);
	c = coder_get();
	return c ? codecs[codec].decode(c, payload, payload_len, to, len) : no_memory();
}

/* ---- encode ---- */

struct way {
	bool filtered;
	bool huffman;
	struct filter filter;
	unsigned handicap; /* thousandths */
};

/* What a plan says that a filter can use. */
struct pixels {
	uint8_t sample_bytes, big_endian;
	uint32_t row_bytes;
};

/* Appends the bytes, encoded in this way, to *out. 0 or -errno. */
static int encode_way(struct coder *c, const struct way *way, const void *bytes, size_t len, struct buf *planes,
		      struct buf *out)
{
	ZSTD_CCtx *z = encoder_get(c, way->huffman);
	size_t bound = ZSTD_compressBound(len), n;
	uint8_t *to, *filtered;

	if (!z)
		return no_memory();
	if (way->filtered) {
		filtered = scratch(planes, len);
		if (!filtered)
			return no_memory();
		filter_apply(&way->filter, bytes, len, filtered);
		bytes = filtered;
		buf_u8(out, way->filter.predictor);
		buf_u8(out, way->filter.sample_bytes);
		buf_u8(out, way->filter.big_endian);
		buf_u8(out, 0);
		buf_u32(out, way->filter.row_bytes);
	}
	to = buf_reserve(out, bound);
	if (!to)
		return no_memory();
	n = ZSTD_compress2(z, to, bound, bytes, len);
	if (ZSTD_isError(n))
		return zstd_error("zstd cannot encode a chunk", n);
	out->len += n;
	return 0;
}

struct trial {
	struct coder *coder;
	const uint8_t *sample;
	size_t len;
	struct way best;
	size_t best_size; /* without handicap */
	size_t best_score;
	int rc;
};

static void try_way(struct trial *t, const struct way *way, uint32_t sample_row)
{
	struct buf *out = &t->coder->sample_out;
	struct way on_sample = *way;
	size_t size, score;

	if (t->rc)
		return;
	on_sample.filter.row_bytes = sample_row;
	buf_clear(out);
	t->rc = encode_way(t->coder, &on_sample, t->sample, t->len, &t->coder->sample_filtered, out);
	if (t->rc)
		return;
	size = out->len;
	score = size * (1000 + way->handicap);
	if (score < t->best_score) {
		t->best = *way;
		t->best_size = size;
		t->best_score = score;
	}
}

/* When nothing is known: plain, or as 16-bit or 32-bit numbers. Both byte orders, since a chunk may begin within a
 * number, and then its halves lie as in the other order. */
static const struct way unplanned_ways[] = {
	{ .handicap = 0 },
	{ .filtered = true, .filter = { PREDICT_NONE, 2, 0, 2 }, .handicap = 20 },
	{ .filtered = true, .filter = { PREDICT_LEFT, 2, 0, 2 }, .huffman = true, .handicap = 20 },
	{ .filtered = true, .filter = { PREDICT_LEFT, 2, 1, 2 }, .huffman = true, .handicap = 20 },
	{ .filtered = true, .filter = { PREDICT_NONE, 4, 0, 4 }, .handicap = 20 },
};

static const struct way pixel_ways[] = {
	{ .handicap = 20 },
	{ .filtered = true, .filter.predictor = PREDICT_NONE, .handicap = 30 },
	{ .filtered = true, .filter.predictor = PREDICT_LEFT, .huffman = true, .handicap = 10 },
	{ .filtered = true, .filter.predictor = PREDICT_UP, .huffman = true, .handicap = 0 },
	{ .filtered = true, .filter.predictor = PREDICT_AVERAGE, .huffman = true, .handicap = 5 },
};

/* Pieces of the chunk, evenly spread. */
static const uint8_t *sample_bytes_of(struct coder *c, const uint8_t *bytes, size_t len, size_t *sample_len)
{
	enum { PIECE = SAMPLE_BYTES_MAX / SAMPLE_PIECES };
	uint8_t *to;

	*sample_len = len;
	if (len <= 2 * SAMPLE_BYTES_MAX)
		return bytes;
	to = scratch(&c->sample, SAMPLE_BYTES_MAX);
	for (size_t i = 0; to && i < SAMPLE_PIECES; i++) {
		size_t from = (len - PIECE) / (SAMPLE_PIECES - 1) * i & ~(size_t)7; /* numbers stay whole */

		memcpy(to + i * PIECE, bytes + from, PIECE);
	}
	*sample_len = SAMPLE_BYTES_MAX;
	return to;
}

/*
 * A small picture of some neighbouring rows: of short rows all, of long ones four pieces side by side, each from
 * another height of the chunk and another place in the row.
 */
static const uint8_t *sample_pixels_of(struct coder *c, const struct pixels *px, const uint8_t *bytes, size_t len,
				       size_t *sample_len, uint32_t *sample_row)
{
	size_t row = px->row_bytes, rows = len / row, piece, at_row, at_column;
	size_t pieces = row >= SAMPLE_BYTES_MAX / SAMPLE_ROWS ? SAMPLE_PIECES : 1;
	size_t take_rows = pieces > 1 ? SAMPLE_ROWS : SAMPLE_BYTES_MAX / row;
	uint8_t *to = scratch(&c->sample, SAMPLE_BYTES_MAX);

	if (take_rows > rows)
		take_rows = rows;
	piece = pieces > 1 ? SAMPLE_BYTES_MAX / (SAMPLE_PIECES * SAMPLE_ROWS) : row;
	for (size_t i = 0; to && i < pieces; i++) {
		at_row = (rows - take_rows) * (2 * i + 1) / (2 * pieces);
		at_column = pieces > 1 ? (row - piece) * ((i * 2 + 1) % pieces + 1) / (pieces + 1) : 0;
		at_column -= at_column % px->sample_bytes;
		for (size_t r = 0; r < take_rows; r++)
			memcpy(to + (r * pieces + i) * piece, bytes + (at_row + r) * row + at_column, piece);
	}
	*sample_row = (uint32_t)(piece * pieces);
	*sample_len = take_rows * *sample_row;
	return to;
}

static void choose_unplanned(struct trial *t, const uint8_t *bytes, size_t len)
{
	t->sample = sample_bytes_of(t->coder, bytes, len, &t->len);
	if (!t->sample)
		t->rc = no_memory();
	for (size_t i = 0; i < sizeof unplanned_ways / sizeof *unplanned_ways; i++)
		try_way(t, &unplanned_ways[i], unplanned_ways[i].filter.row_bytes);
}

static void choose_for_pixels(struct trial *t, const struct pixels *px, const uint8_t *bytes, size_t len)
{
	struct way way;
	uint32_t sample_row;

	t->sample = sample_pixels_of(t->coder, px, bytes, len, &t->len, &sample_row);
	if (!t->sample)
		t->rc = no_memory();
	for (size_t i = 0; i < sizeof pixel_ways / sizeof *pixel_ways; i++) {
		way = pixel_ways[i];
		if (way.filtered && way.filter.predictor == PREDICT_NONE && px->sample_bytes == 1)
			continue; /* the same as plain */
		way.filter.sample_bytes = px->sample_bytes;
		way.filter.big_endian = px->big_endian;
		way.filter.row_bytes = px->row_bytes;
		try_way(t, &way, sample_row);
	}
	if (t->rc || !t->best.huffman)
		return;
	way = t->best;
	way.huffman = false; /* are there matches after all? */
	way.handicap += 30;
	try_way(t, &way, sample_row);
}

/* What the plan says about the chunk at off, when at least two rows of pixels are in it. */
static bool pixels_of(const struct chunk_plan *plan, uint64_t off, size_t len, struct pixels *px)
{
	struct filter f;

	if (!chunker_in_pixels(plan, off) || plan->row_bytes > len / 2)
		return false;
	f = (struct filter) { PREDICT_UP, plan->sample_bytes, plan->big_endian != 0, plan->row_bytes };
	*px = (struct pixels) { f.sample_bytes, f.big_endian, f.row_bytes };
	return filter_valid(&f);
}

static bool worth_it(size_t encoded, size_t plain)
{
	return encoded < plain - plain / WORTH;
}

static int encode_chosen(struct coder *c, const struct trial *t, const void *bytes, size_t len, struct buf *payload,
			 enum codec *codec)
{
	uint8_t *check;
	int rc = encode_way(c, &t->best, bytes, len, &c->filtered, payload);

	if (rc || !worth_it(payload->len, len))
		return rc;
	*codec = t->best.filtered ? CODEC_FILTER_ZSTD : CODEC_ZSTD;
	check = scratch(&c->check, len);
	if (!check)
		return no_memory();
	rc = codec_decode(*codec, payload->data, payload->len, check, len);
	if (rc == -ENOMEM || (!rc && memcmp(check, bytes, len) == 0))
		return rc;
	log_warn(
	    "a chunk of %zu bytes came out of %s differently (%s): it is stored as it is; please check this machine's "
	    "memory",
	    len, codec_name(*codec), rc ? err_text() : "other bytes");
	*codec = CODEC_NONE;
	return 0;
}

int codec_encode(const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len, struct buf *payload,
		 enum codec *codec)
{
	struct trial t = { .coder = coder_get(), .best_score = SIZE_MAX };
	struct pixels px;
	int rc = 0;

	if (!t.coder)
		return no_memory();
	if (pixels_of(plan, off, len, &px))
		choose_for_pixels(&t, &px, bytes, len);
	else
		choose_unplanned(&t, bytes, len);
	if (t.rc)
		return t.rc;
	*codec = CODEC_NONE;
	buf_clear(payload);
	if (worth_it(t.best_size, t.len))
		rc = encode_chosen(t.coder, &t, bytes, len, payload, codec);
	if (!rc && *codec == CODEC_NONE) {
		buf_clear(payload);
		buf_put(payload, bytes, len);
		if (buf_failed(payload))
			rc = no_memory();
	}
	return rc;
}
