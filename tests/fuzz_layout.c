/*
 * Layouts: where pixels lie in a file, told from its bytes as they pass. u8: bits below; u8 piece, for feeding in pieces
 * of 1 + piece^2 bytes; a line: the file's name; then the file.
 *     1  with a hint, which follows the line (type, samples, width, height, depth, offset, as varints)
 *     2  memory is short from the middle on
 *     4  behind the bytes stand a million that are made from the last ones, as pixels may be
 */
#include <stdio.h>

#include "fs/image/layout.h"
#include "store/err.h"
#include "tests/lib/fuzz.h"

const unsigned fuzz_failing_allocations = 12;

enum { HINT = 1, SHORT = 2, MADE = 4, MADE_BYTES = 1 << 20, LINE_MAX_BYTES = 300 };

static void hint_from(struct cursor *c, struct layout_hint *hint)
{
	*hint = (struct layout_hint){ .depth_known = cursor_u8(c) & 1 };
	hint->geo.format = IMAGE_RAW;
	hint->geo.type = cursor_u8(c) % VOXEL_TYPES;
	hint->geo.samples = 1 + cursor_u8(c) % 4;
	hint->geo.width = cursor_varint(c);
	hint->geo.height = cursor_varint(c);
	hint->geo.depth = cursor_varint(c);
	hint->geo.offset = cursor_varint(c);
	hint->shapes[0] = (struct layout_shape){ cursor_varint(c), cursor_u16(c), 1u << cursor_u8(c) % 3 };
	if (hint->geo.type && !geometry_sane(&hint->geo)) /* as whoever made the hint has checked */
		hint->geo.type = VOXEL_NONE;
}

/* As the write pipeline does it. */
static void cut(struct layout *l, const uint8_t *bytes, size_t len, size_t piece, bool short_of_memory)
{
	uint64_t fed = 0, at = 0, until = 0;

	do {
		size_t n = len - fed < piece ? (size_t)(len - fed) : piece;
		bool last = fed + n == len;

		layout_feed(l, fed, bytes + fed, n, last);
		fed += n;
		if (short_of_memory && fed > len / 2) {
			layout_give_up(l);
			short_of_memory = false;
			until = 0;
		}
		while (at < fed && (fed >= until || last)) {
			struct chunk_plan plan;
			size_t took = layout_cut(l, at, bytes + at, (size_t)(fed - at), last, &plan, &until);

			must(took <= fed - at && took <= CHUNK_MAX, "a chunk is too long");
			must(took || !last, "nothing is cut at the end");
			must(took || until > fed, "it waits for what it has");
			must(!took || !plan.slice_bytes || (plan.row_bytes && plan.slice_bytes % plan.row_bytes == 0),
			     "a plan makes no sense");
			if (!took)
				break;
			at += took;
			until = 0;
		}
	} while (fed < len);
	must(at == len, "some bytes are in no chunk");
}

static uint8_t *made(uint8_t *bytes, size_t *len)
{
	uint8_t *more = realloc(bytes, *len + MADE_BYTES);
	size_t back = *len > 64 ? 64 : *len;

	if (!more)
		return bytes;
	for (size_t i = *len; i < *len + MADE_BYTES; i++)
		more[i] = (uint8_t)(more[i - back] + (i % 7 == 0));
	*len += MADE_BYTES;
	return more;
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	unsigned bits = cursor_u8(&c), piece = cursor_u8(&c);
	scope_free char *name = fuzz_line(&c, LINE_MAX_BYTES);
	struct layout_hint hint, found;
	struct layout_shape shape;
	struct layout *l = NULL;
	size_t len;
	uint8_t *bytes;

	if (bits & HINT)
		hint_from(&c, &hint);
	if (cursor_failed(&c) || !name)
		return;
	bytes = fuzz_rest(&c, &len);
	if (bytes && len && bits & MADE)
		bytes = made(bytes, &len);
	if (bytes && !layout_new(&l, name, bits & HINT ? &hint : NULL)) {
		layout_wants_hint(bytes, len);
		cut(l, bytes, len, 1 + (size_t)piece * piece + (len >> 10), bits & SHORT);
		layout_raw(l, &found);
		layout_slices(l, &shape);
		layout_free(l);
	}
	free(bytes);
}
