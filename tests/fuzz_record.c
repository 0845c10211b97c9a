/*
 * Bodies of journal records, contents of files and nodes of their trees. u8: kind of record, 128 a content, 129 a node
 * of a tree; then the body. What is understood is encoded again and must be the same.
 */
#include <stdio.h>

#include "index/record.h"
#include "tests/lib/fuzz.h"

const unsigned fuzz_failing_allocations = 40;

enum { CONTENT = 128, CONTENT_NODE = 129 };

static void body(unsigned kind, const uint8_t *bytes, size_t len)
{
	struct journal_record from = { .seq = 7, .time_ns = 1, .user = "", .program = "", .kind = (uint16_t)kind,
				       .version = 1, .body = bytes, .body_len = len };
	scope_buf struct buf first = { 0 }, second = { 0 };
	struct record_memory *memory = NULL, *memory2 = NULL;
	struct record r, r2;

	if (record_decode(&from, &r, &memory))
		return;
	record_encode(&first, &r);
	from.body = first.data;
	from.body_len = first.len;
	if (!buf_failed(&first) && record_decode(&from, &r2, &memory2) == 0) {
		record_encode(&second, &r2);
		must(buf_failed(&second) || (first.len == second.len && !memcmp(first.data, second.data, first.len)),
		     "a record is another one after encoding");
	}
	record_memory_free(memory2);
	record_memory_free(memory);
}

static void content(const uint8_t *bytes, size_t len)
{
	struct cursor c = cursor_of(bytes, len);
	scope_buf struct buf out = { 0 };
	struct content content, again;

	if (content_decode(&c, &content))
		return;
	content_encode(&out, &content);
	c = cursor_of(out.data, out.len);
	must(buf_failed(&out) || (!content_decode(&c, &again) && !memcmp(&content, &again, sizeof again)),
	     "a content is another one after encoding");
}

static void node(const uint8_t *bytes, size_t len)
{
	static struct extent extents[CONTENT_NODE_MAX];
	scope_buf struct buf out = { 0 };
	size_t count = 0;

	if (content_node_decode(bytes, len, extents, &count))
		return;
	must(count && count <= CONTENT_NODE_MAX, "a node's count");
	content_node_encode(&out, extents, count);
	must(buf_failed(&out) || content_node_decode(out.data, out.len, extents, &count) == 0, "a node is refused");
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	unsigned kind = cursor_u8(&c);
	size_t len;
	uint8_t *bytes = fuzz_rest(&c, &len);

	if (bytes && kind < CONTENT)
		body(kind % (REC_KINDS + 1), bytes, len);
	if (bytes && kind == CONTENT)
		content(bytes, len);
	if (bytes && kind >= CONTENT_NODE)
		node(bytes, len);
	free(bytes);
}
