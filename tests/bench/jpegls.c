/* jpegls: JPEG-LS (CharLS), lossless, one stream a slice, at the bits that the data need. Arguments and result: slices.h. */
#include <charls/charls.h>
#include <string.h>

#include "tests/bench/slices.h"

enum { PASSES = 2, ROOM = 4096 };

struct coded {
	uint8_t *data;
	size_t len;
};

static int encode(const struct slices *s, unsigned slice, struct coded *to, size_t room)
{
	charls_frame_info frame = { .width = s->width, .height = s->height, .component_count = 1,
				    .bits_per_sample = s->bits < 2 ? 2 : (int)s->bits };
	charls_jpegls_encoder *e = charls_jpegls_encoder_create();
	int bad = !e || charls_jpegls_encoder_set_frame_info(e, &frame) ||
		  charls_jpegls_encoder_set_destination_buffer(e, to->data, room) ||
		  charls_jpegls_encoder_encode_from_buffer(e, s->data + s->slice_bytes * slice, s->slice_bytes, 0) ||
		  charls_jpegls_encoder_get_bytes_written(e, &to->len);

	charls_jpegls_encoder_destroy(e);
	return bad ? -1 : 0;
}

static int decode(const struct slices *s, const struct coded *from, uint8_t *to)
{
	charls_jpegls_decoder *d = charls_jpegls_decoder_create();
	int bad = !d || charls_jpegls_decoder_set_source_buffer(d, from->data, from->len) ||
		  charls_jpegls_decoder_read_header(d) || charls_jpegls_decoder_decode_to_buffer(d, to, s->slice_bytes, 0);

	charls_jpegls_decoder_destroy(d);
	return bad ? -1 : 0;
}

int main(int argc, char **argv)
{
	double encode_best = 1e9, decode_best = 1e9;
	struct slices s = { 0 };
	struct coded *coded;
	size_t room, stored = 0;
	uint8_t *back;

	if (slices_load(&s, argc, argv))
		return 1;
	room = s.slice_bytes * 2 + ROOM;
	coded = calloc(s.count, sizeof *coded);
	back = malloc(s.slice_bytes);
	for (unsigned i = 0; coded && i < s.count; i++)
		if (!(coded[i].data = malloc(room)))
			return 1;
	for (int pass = 0; coded && back && pass < PASSES; pass++) {
		double start = cpu_seconds(), middle, end;

		for (unsigned i = 0; i < s.count; i++)
			if (encode(&s, i, &coded[i], room))
				return 1;
		middle = cpu_seconds();
		for (unsigned i = 0; i < s.count; i++)
			if (decode(&s, &coded[i], back) || memcmp(back, s.data + s.slice_bytes * i, s.slice_bytes) != 0)
				return 1;
		end = cpu_seconds();
		encode_best = middle - start < encode_best ? middle - start : encode_best;
		decode_best = end - middle < decode_best ? end - middle : decode_best;
	}
	for (unsigned i = 0; coded && i < s.count; i++)
		stored += coded[i].len;
	slices_result(&s, stored, encode_best, decode_best);
	return 0;
}
