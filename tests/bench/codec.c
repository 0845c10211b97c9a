/* codec: the store's own codec on the chunks of raw slices, as the store would cut them. Arguments and result: slices.h; a last
 * argument "dense" codes them as data at rest. The time to encode includes the codec's own check (decode and compare). */
#include <string.h>

#include "store/codec.h"
#include "tests/bench/slices.h"

enum { PASSES = 5, CHUNKS_MAX = 1 << 16 };

struct chunk {
	size_t at, len;
	struct buf payload;
	enum codec codec;
};

static struct chunk chunks[CHUNKS_MAX];
static size_t count;

static struct chunk_plan plan_of(const struct slices *s)
{
	return (struct chunk_plan){ .slice_bytes = s->slice_bytes, .slices = s->count, .row_bytes = s->width * s->sample_bytes,
				    .sample_bytes = (uint8_t)s->sample_bytes, .samples = 1 };
}

static int cut(const struct slices *s, const struct chunk_plan *plan)
{
	for (size_t at = 0; at < s->bytes && count < CHUNKS_MAX; count++) {
		chunks[count].at = at;
		chunks[count].len = chunker_cut(plan, at, s->data + at, s->bytes - at, true);
		at += chunks[count].len;
		if (!chunks[count].len)
			return -1;
	}
	return count < CHUNKS_MAX ? 0 : -1;
}

static int (*encode)(const struct chunk_plan *plan, uint64_t off, const void *bytes, size_t len, struct buf *payload,
		     enum codec *codec) = codec_encode;

/* Seconds, or -1. */
static double encode_all(const struct slices *s, const struct chunk_plan *plan)
{
	double start = cpu_seconds();

	for (size_t i = 0; i < count; i++) {
		struct chunk *c = &chunks[i];

		if (encode(plan, c->at, s->data + c->at, c->len, &c->payload, &c->codec))
			return -1;
	}
	return cpu_seconds() - start;
}

static double decode_all(uint8_t *to)
{
	double start = cpu_seconds();

	for (size_t i = 0; i < count; i++)
		if (codec_decode(chunks[i].codec, chunks[i].payload.data, chunks[i].payload.len, to + chunks[i].at, chunks[i].len))
			return -1;
	return cpu_seconds() - start;
}

int main(int argc, char **argv)
{
	double encode_best = 1e9, decode_best = 1e9;
	struct slices s = { 0 };
	struct chunk_plan plan;
	size_t stored = 0;
	uint8_t *back;

	if (argc == 8 && strcmp(argv[7], "dense") == 0) {
		encode = codec_encode_dense;
		argc--;
	}
	if (slices_load(&s, argc, argv))
		return 1;
	back = malloc(s.bytes);
	plan = plan_of(&s);
	if (!back || cut(&s, &plan))
		return 1;
	memset(back, 0, s.bytes);
	for (int i = 0; i < PASSES; i++) {
		double e = encode_all(&s, &plan), d = e < 0 ? -1 : decode_all(back);

		if (d < 0 || memcmp(back, s.data, s.bytes) != 0) {
			fprintf(stderr, "codec: what came back is not what was put in\n");
			return 1;
		}
		encode_best = e < encode_best ? e : encode_best;
		decode_best = d < decode_best ? d : decode_best;
	}
	for (size_t i = 0; i < count; i++)
		stored += chunks[i].payload.len;
	slices_result(&s, stored, encode_best, decode_best);
	return 0;
}
