/*
 * The codecs that keep plain bytes or a zstd frame. Payload of CODEC_FILTER_ZSTD: u8 predictor, u8 sample_bytes, u8 big_endian,
 * u8 0, u32 row_bytes (little-endian), one zstd frame.
 */
#include <errno.h>
#include <string.h>

#include "store/codec_internal.h"
#include "store/err.h"

/* ---- none ---- */

static int encode_none(struct coder *c, const struct way *way, const void *bytes, size_t len, struct buf *filtered,
		       struct buf *out)
{
	(void)c;
	(void)way;
	(void)filtered;
	buf_put(out, bytes, len);
	return buf_failed(out) ? coder_no_memory() : 0;
}

static int decode_none(struct coder *c, const void *payload, size_t payload_len, void *to, size_t len, size_t want)
{
	(void)c;
	if (payload_len != len)
		return err_set(EBADMSG, "it has %zu bytes and not %zu", payload_len, len);
	memcpy(to, payload, want);
	return 0;
}

const struct codec_row codec_none = { "none", encode_none, decode_none, NULL };

/* ---- zstd ---- */

static int encode_zstd(struct coder *c, const struct way *way, const void *bytes, size_t len, struct buf *filtered,
		       struct buf *out)
{
	ZSTD_CCtx *z = coder_encoder(c, way->setup);
	size_t bound = ZSTD_compressBound(len), n;
	uint8_t *to = z ? buf_reserve(out, bound) : NULL;

	(void)filtered;
	if (!to)
		return coder_no_memory();
	n = ZSTD_compress2(z, to, bound, bytes, len);
	if (ZSTD_isError(n))
		return coder_zstd_error("zstd cannot encode a chunk", n);
	out->len += n;
	return 0;
}

static ZSTD_DCtx *decoder_new(void)
{
	enum { WINDOW_LOG_MAX = 22 }; /* twice a chunk; a stream that claims more gets no memory for it */
	ZSTD_DCtx *z = ZSTD_createDCtx();

	if (z)
		(void)ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	return z;
}

/* Only the first bytes; false: they cannot be had, and decoding all says why. */
static bool decode_zstd_first(struct coder *c, const void *payload, size_t payload_len, void *to, size_t want)
{
	ZSTD_inBuffer in = { payload, payload_len, 0 };
	ZSTD_outBuffer out = { to, want, 0 };
	size_t before, n;

	(void)ZSTD_DCtx_reset(c->decoder, ZSTD_reset_session_only);
	do {
		before = in.pos + out.pos;
		n = ZSTD_decompressStream(c->decoder, &out, &in);
	} while (!ZSTD_isError(n) && out.pos < want && in.pos + out.pos > before);
	return out.pos == want;
}

/* Exactly one frame of the current format: libzstd itself would also take several, skippable ones and those of old
 * versions. */
static int decode_zstd(struct coder *c, const void *payload, size_t payload_len, void *to, size_t len, size_t want)
{
	struct cursor head = cursor_of(payload, payload_len);
	size_t n;

	if (cursor_u32(&head) != ZSTD_MAGICNUMBER || ZSTD_findFrameCompressedSize(payload, payload_len) != payload_len)
		return err_set(EBADMSG, "its payload is not a zstd frame");
	if (!c->decoder)
		c->decoder = decoder_new();
	if (!c->decoder)
		return coder_no_memory();
	if (want <= len / 4 * 3 && decode_zstd_first(c, payload, payload_len, to, want))
		return 0;
	n = ZSTD_decompressDCtx(c->decoder, to, len, payload, payload_len);
	if (ZSTD_isError(n))
		return coder_zstd_error("zstd cannot decode it", n);
	if (n != len)
		return err_set(EBADMSG, "it decodes to %zu bytes and not to %zu", n, len);
	return 0;
}

const struct codec_row codec_zstd = { "zstd", encode_zstd, decode_zstd, NULL };

/* ---- filter+zstd ---- */

static void filter_put(struct buf *out, const struct filter *f)
{
	buf_u8(out, f->predictor);
	buf_u8(out, f->sample_bytes);
	buf_u8(out, f->big_endian);
	buf_u8(out, 0);
	buf_u32(out, f->row_bytes);
}

/* False: not one that this version knows. */
static bool filter_get(struct cursor *from, struct filter *f)
{
	uint8_t zero;

	f->predictor = cursor_u8(from);
	f->sample_bytes = cursor_u8(from);
	f->big_endian = cursor_u8(from);
	zero = cursor_u8(from);
	f->row_bytes = cursor_u32(from);
	return !cursor_failed(from) && !zero && filter_valid(f);
}

static int encode_filtered(struct coder *c, const struct way *way, const void *bytes, size_t len, struct buf *filtered,
			   struct buf *out)
{
	uint8_t *planes = coder_scratch(filtered, len);

	if (!planes)
		return coder_no_memory();
	filter_apply(&way->filter, bytes, len, planes);
	filter_put(out, &way->filter);
	return encode_zstd(c, way, planes, len, NULL, out);
}

/* The bytes of a sample lie far from each other: it is decoded whole. */
static int decode_filtered(struct coder *c, const void *payload, size_t payload_len, void *to, size_t len, size_t want)
{
	struct cursor from = cursor_of(payload, payload_len);
	struct filter f;
	uint8_t *planes;
	int rc;

	if (!filter_get(&from, &f))
		return err_set(EBADMSG, "it has an unknown filter");
	planes = coder_scratch(&c->filtered, len);
	if (!planes)
		return coder_no_memory();
	(void)want;
	rc = decode_zstd(c, from.at, cursor_left(&from), planes, len, len);
	if (!rc)
		filter_undo(&f, planes, len, to);
	return rc;
}

static bool plan_filtered(struct cursor *head, struct chunk_plan *plan)
{
	struct filter f;

	return filter_get(head, &f) && codec_plan_rows(plan, f.sample_bytes, f.big_endian, f.row_bytes);
}

const struct codec_row codec_filter_zstd = { "filter+zstd", encode_filtered, decode_filtered, plan_filtered };
