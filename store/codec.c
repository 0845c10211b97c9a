/* The table of codecs, and the promise that what was encoded decodes. */
#include "store/codec.h"

#include <errno.h>
#include <string.h>

#include "store/codec_internal.h"
#include "store/err.h"
#include "store/log.h"

static const struct codec_row *const codecs[CODEC_COUNT] = {
	[CODEC_NONE] = &codec_none,
	[CODEC_ZSTD] = &codec_zstd,
	[CODEC_FILTER_ZSTD] = &codec_filter_zstd,
	[CODEC_PREDICT] = &codec_predict,
	[CODEC_BITS] = &codec_bits,
};

const char *codec_name(unsigned codec)
{
	return codec < CODEC_COUNT ? codecs[codec]->name : NULL;
}

/* ---- decode ---- */

int codec_decode(unsigned codec, const void *payload, size_t payload_len, void *to, size_t len)
{
	return codec_decode_first(codec, payload, payload_len, to, len, len);
}

int codec_decode_first(unsigned codec, const void *payload, size_t payload_len, void *to, size_t len, size_t want)
{
	struct coder *c;

	if (codec >= CODEC_COUNT)
		return err_set(EBADMSG, "its codec, number %u, is unknown", codec);
	if (!len || len > CHUNK_MAX)
		return err_set(EBADMSG, "a chunk cannot have %zu bytes", len);
	if (!want || want > len)
		return err_set(EBADMSG, "of %zu bytes %zu cannot be wanted", len, want);
	c = coder_get();
	return c ? codecs[codec]->decode(c, payload, payload_len, to, len, want) : coder_no_memory();
}

bool codec_plan_rows(struct chunk_plan *plan, unsigned sample_bytes, bool big_endian, uint64_t row_bytes)
{
	if (row_bytes <= sample_bytes || row_bytes > CHUNK_MAX / 2)
		return false; /* a chunk of which nothing is known is coded as one column or one row */
	plan->slice_bytes = plan->row_bytes = (uint32_t)row_bytes;
	plan->slices = UINT64_MAX;
	plan->sample_bytes = (uint8_t)sample_bytes;
	plan->big_endian = big_endian;
	plan->samples = 1;
	return true;
}

bool codec_plan(unsigned codec, const void *payload, size_t payload_len, struct chunk_plan *plan)
{
	struct cursor head = cursor_of(payload, payload_len);
	bool known;

	*plan = (struct chunk_plan) { 0 };
	known = codec < CODEC_COUNT && codecs[codec]->plan && codecs[codec]->plan(&head, plan);
	if (!known)
		*plan = (struct chunk_plan) { 0 };
	return known;
}

/* ---- encode ---- */

int way_encode(struct coder *c, const struct way *way, const void *bytes, size_t len, struct buf *filtered,
	       struct buf *out)
{
	return codecs[way->codec]->encode(c, way, bytes, len, filtered, out);
}

static int decode_and_compare(struct coder *c, enum codec codec, const struct buf *payload, const void *bytes, size_t len)
{
	uint8_t *check = coder_scratch(&c->check, len);
	int rc;

	if (!check)
		return coder_no_memory();
	rc = codecs[codec]->decode(c, payload->data, payload->len, check, len, len);
	return rc ? rc : memcmp(check, bytes, len) == 0;
}

/* Does the payload decode to the bytes? 0 and *same, or -ENOMEM. */
static int decodes_to(struct coder *c, enum codec codec, const struct buf *payload, const void *bytes, size_t len,
		      bool *same)
{
	int rc = codecs[codec]->matches ? codecs[codec]->matches(c, payload->data, payload->len, bytes, len)
					: decode_and_compare(c, codec, payload, bytes, len);

	*same = rc == 1;
	if (*same || rc == -ENOMEM)
		return *same ? 0 : rc;
	log_warn("a chunk of %zu bytes came out of %s differently (%s): it is stored as it is; please check this machine's "
		 "memory",
		 len, codec_name(codec), rc ? err_text() : "other bytes");
	return 0;
}

/* Encodes in all ways that were chosen and keeps the smallest. *codec is CODEC_NONE when it is not worth it. */
static int encode_chosen(struct coder *c, const struct choice *choice, const void *bytes, size_t len,
			 struct buf *payload, enum codec *codec)
{
	struct buf larger;
	size_t most = len - len / WORTH, last = 0;

	for (unsigned i = 0; i < choice->count; i++) {
		const struct way *way = &choice->way[i];
		int rc;

		if (way->must_be_near && last / 5 > most / 4)
			continue;
		buf_clear(&c->next);
		rc = way_encode(c, way, bytes, len, &c->filtered, &c->next);
		if (rc)
			return rc;
		last = c->next.len;
		if (last >= (way->must_gain ? most - most / WORTH : most))
			continue;
		larger = *payload;
		*payload = c->next;
		c->next = larger;
		most = payload->len;
		*codec = way->codec;
	}
	return 0;
}

/* The payload of CODEC_NONE is left empty: the bytes are it. */
static int encode(codec_chooser *choose, const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len,
		  struct buf *payload, enum codec *codec)
{
	struct coder *c = coder_get();
	struct choice choice;
	bool same = false;
	int rc;

	*codec = CODEC_NONE;
	if (!c)
		return coder_no_memory();
	rc = choose(c, plan, off, bytes, len, &choice);
	buf_clear(payload);
	if (!rc)
		rc = encode_chosen(c, &choice, bytes, len, payload, codec);
	if (!rc && *codec != CODEC_NONE)
		rc = decodes_to(c, *codec, payload, bytes, len, &same);
	if (rc || same)
		return rc;
	*codec = CODEC_NONE;
	buf_clear(payload);
	return 0;
}

static int plain_payload(int rc, const void *bytes, size_t len, struct buf *payload, enum codec codec)
{
	if (rc || codec != CODEC_NONE)
		return rc;
	buf_put(payload, bytes, len);
	return buf_failed(payload) ? coder_no_memory() : 0;
}

int codec_encode(const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len, struct buf *payload,
		 enum codec *codec)
{
	int rc = codec_encode_unless_plain(plan, off, bytes, len, payload, codec);

	return plain_payload(rc, bytes, len, payload, *codec);
}

int codec_encode_unless_plain(const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len, struct buf *payload,
			      enum codec *codec)
{
	return encode(codec_choose_arrival, plan, off, bytes, len, payload, codec);
}

int codec_encode_dense(const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len, struct buf *payload,
		       enum codec *codec)
{
	int rc = encode(codec_choose_dense, plan, off, bytes, len, payload, codec);

	return plain_payload(rc, bytes, len, payload, *codec);
}
