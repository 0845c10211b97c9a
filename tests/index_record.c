#include "index/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lib/check.h"

enum { VERSION = 1 }; /* of the bodies */

/* ---- every field of a record as text, so that two can be compared and a forgotten field shows ---- */

static void show_geometry(struct buf *b, const struct geometry *g)
{
	buf_printf(b, "<%d %d %d %d %d %llu %llu %llu %llu %.17g %.17g %.17g>", g->format, g->type, g->samples,
		   g->big_endian, g->palette, (unsigned long long)g->width, (unsigned long long)g->height,
		   (unsigned long long)g->depth, (unsigned long long)g->offset, g->voxel_um[0], g->voxel_um[1],
		   g->voxel_um[2]);
}

static void show_content(struct buf *b, const struct content *c)
{
	char key[KEY_TEXT_MAX];

	buf_printf(b, "size %llu known %d depth %u sha %02x%02x..%02x", (unsigned long long)c->size, c->sha256_known,
		   c->depth, c->sha256[0], c->sha256[1], c->sha256[31]);
	for (uint32_t i = 0; i < c->count; i++) {
		for (size_t k = 0; k < KEY_BYTES; k++)
			snprintf(key + 2 * k, 3, "%02x", c->extents[i].key.bytes[k]);
		buf_printf(b, " %s+%llu", key, (unsigned long long)c->extents[i].len);
	}
}

static void show_probe(struct buf *b, const struct record_probe *p)
{
	buf_printf(b, "%llu %d ", (unsigned long long)p->ino, p->has_geometry);
	show_geometry(b, &p->geo);
	buf_printf(b, " '%s' %d %llu %d", p->error, p->acquisition, (unsigned long long)p->images_declared, p->rank);
	for (size_t i = 0; i < p->fact_count; i++)
		buf_printf(b, " %s=%s (%s: %s)", p->facts[i].field, p->facts[i].value, p->facts[i].vendor_key,
			   p->facts[i].vendor_text);
	for (size_t i = 0; i < p->declared_count; i++) {
		buf_printf(b, " declared '%s' '%s' ", p->declared[i].name, p->declared[i].suffix);
		show_geometry(b, &p->declared[i].geo);
	}
}

static void show_images(struct buf *b, const struct record *r)
{
	buf_printf(b, "%u", r->images.dataset);
	for (size_t i = 0; i < r->images.count; i++) {
		const struct record_image *image = &r->images.list[i];

		buf_printf(b, " | %u %d %llu '%s' %llx '%s' ", image->id, image->kind, (unsigned long long)image->ino,
			   image->part, (unsigned long long)image->signature, image->error);
		show_geometry(b, &image->geo);
	}
}

static void show(struct buf *b, const struct record *r)
{
	buf_printf(b, "kind %d at %lld: ", r->kind, (long long)r->time_ns);
	switch (r->kind) {
	case REC_NODE:
		buf_printf(b, "%llu in %llu '%s' %o %u %u '%s' '%s'", (unsigned long long)r->node.ino,
			   (unsigned long long)r->node.parent, r->node.name, r->node.mode, r->node.uid, r->node.gid,
			   r->node.owner, r->node.target);
		break;
	case REC_ATTR:
		buf_printf(b, "%llu %x %o %u %u '%s' %lld %lld", (unsigned long long)r->attr.ino, r->attr.set,
			   r->attr.mode, r->attr.uid, r->attr.gid, r->attr.owner, (long long)r->attr.atime_ns,
			   (long long)r->attr.mtime_ns);
		break;
	case REC_CONTENT:
		buf_printf(b, "%llu %lld ", (unsigned long long)r->content.ino, (long long)r->content.mtime_ns);
		show_content(b, &r->content.content);
		break;
	case REC_RENAME:
		buf_printf(b, "%llu '%s' %llu '%s' %d %d", (unsigned long long)r->rename.parent, r->rename.name,
			   (unsigned long long)r->rename.new_parent, r->rename.new_name, r->rename.no_replace,
			   r->rename.exchange);
		break;
	case REC_REMOVE:
		buf_printf(b, "%llu '%s' %d", (unsigned long long)r->remove.parent, r->remove.name, r->remove.folder);
		break;
	case REC_XATTR:
		buf_printf(b, "%llu '%s' %d %zu:", (unsigned long long)r->xattr.ino, r->xattr.name, r->xattr.remove,
			   r->xattr.value_len);
		buf_put(b, r->xattr.value, r->xattr.value_len);
		break;
	case REC_PROBE:
		show_probe(b, &r->probe);
		break;
	case REC_IMAGES:
		show_images(b, r);
		break;
	case REC_DATASET:
		buf_printf(b, "%llu %d %d '%s'", (unsigned long long)r->dataset.ino, r->dataset.state, r->dataset.role,
			   r->dataset.note);
		break;
	case REC_FACT:
		buf_printf(b, "%u '%s' '%s'", r->fact.dataset, r->fact.field, r->fact.value);
		break;
	case REC_TAG:
		buf_printf(b, "%u '%s' %d", r->tag.dataset, r->tag.tag, r->tag.remove);
		break;
	case REC_TERM:
		buf_printf(b, "%d %d '%s' '%s'", r->term.facet, r->term.change, r->term.text, r->term.new_text);
		break;
	case REC_QUERY:
		buf_printf(b, "'%s' %d", r->query.text, r->query.drop);
		break;
	case REC_LINK:
		buf_printf(b, "%llu %llu '%s'", (unsigned long long)r->link.ino, (unsigned long long)r->link.parent, r->link.name);
		break;
	case REC_EXPIRE:
		buf_printf(b, "%llu", (unsigned long long)r->expire.seq);
		break;
	case REC_RESTORE:
		buf_printf(b, "%llu %llu '%s' %u", (unsigned long long)r->restore.ino,
			   (unsigned long long)r->restore.parent, r->restore.name, r->restore.dataset);
		break;
	case REC_KINDS:
		break;
	}
}

/* ---- examples of every kind ---- */

#define LONG_NAME                                                                                                      \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"         \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"         \
	"0123456789012345678901234567890123456789012345678901234"

#define STACK                                                                                                          \
	{                                                                                                              \
		.format = IMAGE_TIFF, .type = VOXEL_U16, .samples = 1, .width = 2000, .height = 1500, .depth = 1,      \
		.voxel_um = {                                                                                          \
			1.5,                                                                                           \
			1.5,                                                                                           \
			1.5                                                                                            \
		}                                                                                                      \
	}
#define RAW                                                                                                            \
	{                                                                                                              \
		.format = IMAGE_RAW, .type = VOXEL_F32, .samples = 1, .big_endian = true, .width = 10, .height = 20,   \
		.depth = 0x7fffffff, .offset = 1ULL << 40                                                              \
	}

static const struct record_image three_images[] = {
	{ 1, IMAGE_STACK, 16, "", STACK, UINT64_MAX, "" },
	{ (1 << 26) - 1, IMAGE_DECLARED, 18, "raw/a.vol", RAW, 0, "" },
	{ 3, IMAGE_FILE, 19, "b.tif", { 0 }, 7, "JPEG in TIFF cannot be read" },
};

static const struct record_fact facts[] = {
	{ "voltage_kV", "80", "[Xray] Voltage", "80" },
	{ "sample", "Größe", "", "" },
};
static const struct record_declared declared[] = {
	{ .name = "a.vol",
	  .suffix = "",
	  .geo = { .format = IMAGE_RAW, .type = VOXEL_U8, .samples = 1, .width = 1, .height = 1, .depth = 1 } },
	{ .name = "",
	  .suffix = ".raw",
	  .geo = { .format = IMAGE_RAW, .type = VOXEL_I64, .samples = 1, .width = 9, .height = 8, .depth = 7 } }
};
static uint8_t value[64 << 10];

static const struct record examples[] = {
	{ .kind = REC_NODE, .time_ns = 1, .node = { 16, 2, "scan 1", S_IFDIR | 0755, 1000, 1000, "anna", "" } },
	{ .kind = REC_NODE,
	  .node = { INT64_MAX, INT64_MAX, LONG_NAME, S_IFREG | 07777, UINT32_MAX, UINT32_MAX, "", "" } },
	{ .kind = REC_NODE, .time_ns = INT64_MIN, .node = { 17, 16, "\xff\n..", S_IFLNK | 0777, 0, 0, "", "../a/b" } },
	{ .kind = REC_ATTR, .attr = { .ino = 2, .set = 0, .owner = "" } },
	{ .kind = REC_ATTR, .attr = { 99, 31, 0644, 5, 6, "bob", INT64_MIN, INT64_MAX } },
	{ .kind = REC_ATTR, .attr = { .ino = 99, .set = ATTR_MTIME, .owner = "", .mtime_ns = -1 } },
	{ .kind = REC_CONTENT, .content = { 20, 5, { .size = 0, .sha256_known = true, .sha256 = { 0xe3, 0xb0 } } } },
	{ .kind = REC_CONTENT,
	  .content = { 20,
		       5,
		       { .size = 12,
			 .count = 2,
			 .extents = { { .len = 5 }, { .key = { { 1, 2, 3 } }, .len = 7 } } } } },
	{ .kind = REC_CONTENT,
	  .content = { 20,
		       5,
		       { .size = 1ULL << 62,
			 .depth = 6,
			 .count = 1,
			 .extents = { { .key = { { 9 } }, .len = 1ULL << 62 } } } } },
	{ .kind = REC_RENAME, .rename = { 16, 17, "a", LONG_NAME, true, false } },
	{ .kind = REC_RENAME, .rename = { 2, 2, "a", "b", false, true } },
	{ .kind = REC_REMOVE, .remove = { 16, "a", false } },
	{ .kind = REC_REMOVE, .remove = { 16, "...", true } },
	{ .kind = REC_XATTR, .xattr = { 16, "user.note", false, value, sizeof value } },
	{ .kind = REC_XATTR, .xattr = { 16, "user.empty", false, value, 0 } },
	{ .kind = REC_XATTR, .xattr = { 16, "user.gone", true, NULL, 0 } },
	{ .kind = REC_PROBE, .probe = { .ino = 30, .error = "" } },
	{ .kind = REC_PROBE,
	  .probe = { 30, true, STACK, "", true, UINT64_MAX, RANK_ACQUISITION, facts, 2, declared, 2 } },
	{ .kind = REC_PROBE, .probe = { .ino = 30, .error = "page 3 is cut off", .rank = RANK_HEADER } },
	{ .kind = REC_IMAGES, .images = { 1, NULL, 0 } },
	{ .kind = REC_IMAGES, .images = { UINT32_MAX, three_images, 3 } },
	{ .kind = REC_DATASET, .dataset = { 16, STATE_INCOMPLETE, ROLE_DATASET, "12 of 20 projections" } },
	{ .kind = REC_DATASET, .dataset = { 16, 0, ROLE_COLLECTION, "" } },
	{ .kind = REC_FACT, .fact = { 1, "voltage_kV", "80" } },
	{ .kind = REC_FACT, .fact = { 1, "comment", "" } },
	{ .kind = REC_TAG, .tag = { 1, "porosity", false } },
	{ .kind = REC_TAG, .tag = { 1, "Größe", true } },
	{ .kind = REC_TERM, .term = { FACET_TAG, TERM_KEEP, "bone", "" } },
	{ .kind = REC_TERM, .term = { FACET_PROJECT, TERM_RENAME, "a", "b" } },
	{ .kind = REC_QUERY, .query = { "tag=bone kV=80..", false } },
	{ .kind = REC_QUERY, .query = { "bone", true } },
	{ .kind = REC_EXPIRE, .expire = { UINT64_MAX } },
	{ .kind = REC_RESTORE, .restore = { 1ULL << 40, 2, LONG_NAME, 7 } },
	{ .kind = REC_LINK, .link = { 17, 16, LONG_NAME } },
};
enum { EXAMPLES = sizeof examples / sizeof *examples };

static struct journal_record journalled(const struct record *r, const struct buf *body)
{
	return (struct journal_record) { .time_ns = r->time_ns,
					 .kind = (uint16_t)r->kind,
					 .version = VERSION,
					 .body = body->data,
					 .body_len = body->len };
}

static void check_example(const struct record *r)
{
	scope_buf struct buf body = { 0 }, again = { 0 }, before = { 0 }, after = { 0 };
	struct record_memory *memory = NULL;
	struct journal_record j;
	struct record back;

	record_encode(&body, r);
	j = journalled(r, &body);
	CHECK_RC(record_decode(&j, &back, &memory));
	show(&before, r);
	show(&after, &back);
	check_that(strcmp(buf_text(&before), buf_text(&after)) == 0, __FILE__, __LINE__, buf_text(&before),
		   buf_text(&after));
	record_encode(&again, &back);
	CHECK(again.len == body.len && memcmp(again.data, body.data, body.len) == 0);
	record_memory_free(memory);

	/* Shorter ones and one with a byte more are refused. */
	for (size_t len = 0; len < body.len && len < 300; len++) {
		j.body_len = len;
		CHECK(record_decode(&j, &back, &memory) == -EBADMSG && !memory);
	}
	buf_u8(&body, 0);
	j = journalled(r, &body);
	CHECK(record_decode(&j, &back, &memory) == -EBADMSG && !memory);
	j.version++;
	CHECK(record_decode(&j, &back, &memory) == -ENOTSUP && !memory);
}

static void check_null_texts(void)
{
	struct record r = { .kind = REC_TERM }, back;
	scope_buf struct buf body = { 0 };
	struct record_memory *memory = NULL;
	struct journal_record j;

	r.term.facet = FACET_TAG;
	r.term.change = TERM_DROP;
	r.term.text = "bone";
	record_encode(&body, &r);
	j = journalled(&r, &body);
	CHECK_RC(record_decode(&j, &back, &memory));
	CHECK(memory && strcmp(back.term.new_text, "") == 0);
	record_memory_free(memory);
}

/* Numbers that no reader of a record could use. (Names are the catalog's to check.) */
static void check_refused(void)
{
	static const struct record refused[] = {
		{ .kind = REC_NODE, .node = { 16, 2, "a", S_IFBLK, 0, 0, "", "" } },
		{ .kind = REC_CONTENT, .content = { 20, 5, { .size = 6, .count = 1, .extents = { { .len = 5 } } } } },
		{ .kind = REC_CONTENT, .content = { 20, 5, { .size = 0, .count = 1 } } },
		{ .kind = REC_CONTENT,
		  .content = { 20, 5, { .size = 5, .depth = 7, .count = 1, .extents = { { .len = 5 } } } } },
		{ .kind = REC_CONTENT,
		  .content = { 20, 5, { .size = 4, .count = 2, .extents = { { .len = UINT64_MAX }, { .len = 5 } } } } },
		{ .kind = REC_DATASET, .dataset = { 16, (enum dataset_state)9, 0, "" } },
		{ .kind = REC_DATASET, .dataset = { 16, 0, (enum dataset_role)3, "" } },
		{ .kind = REC_TERM, .term = { (enum facet)0, TERM_KEEP, "a", "" } },
		{ .kind = REC_TERM, .term = { FACET_TAG, (enum term_change)4, "a", "b" } },
		{ .kind = REC_PROBE, .probe = { .ino = 30, .rank = (enum fact_rank)4 } },
	};

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		scope_buf struct buf body = { 0 };
		struct record_memory *memory = NULL;
		struct journal_record j;
		struct record back;

		record_encode(&body, &refused[i]);
		j = journalled(&refused[i], &body);
		CHECK(record_decode(&j, &back, &memory) == -EBADMSG && !memory);
	}
}

/* A count that the bytes behind it cannot bear is refused before memory is taken for it. */
static void check_counts(void)
{
	static const uint8_t images[] = { 1, 0xff, 0xff, 0xff, 0x7f };
	static const uint8_t probe[] = { 30, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 };
	struct journal_record j = { .kind = REC_IMAGES, .version = VERSION, .body = images, .body_len = sizeof images };
	struct record_memory *memory = NULL;
	struct record back;

	CHECK(record_decode(&j, &back, &memory) == -EBADMSG && !memory);
	j = (struct journal_record) { .kind = REC_PROBE, .version = VERSION, .body = probe, .body_len = sizeof probe };
	CHECK(record_decode(&j, &back, &memory) == -EBADMSG && !memory);
}

static uint64_t seed = 7;

static uint64_t random_below(uint64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

/* Hostile bodies: never a crash, and what is taken encodes to something that is taken again. */
static void check_mutated(const struct record *r)
{
	scope_buf struct buf good = { 0 }, body = { 0 };

	record_encode(&good, r);
	for (unsigned round = 0; round < (good.len > 1000 ? 50 : 2000); round++) {
		struct record_memory *memory = NULL;
		struct journal_record j;
		struct record back;

		buf_clear(&body);
		buf_put(&body, good.data, random_below(8) ? good.len : random_below(good.len + 1));
		for (uint64_t n = 1 + random_below(4); n && body.len; n--)
			body.data[random_below(body.len)] = (uint8_t)random_below(random_below(2) ? 256 : 4);
		j = journalled(r, &body);
		if (!random_below(4))
			j.kind = (uint16_t)random_below(REC_KINDS + 2);
		if (!record_decode(&j, &back, &memory)) {
			scope_buf struct buf text = { 0 };

			show(&text, &back);
			CHECK(text.len);
		}
		record_memory_free(memory);
	}
}

static void check_content_nodes(void)
{
	static struct extent in[CONTENT_NODE_MAX], out[CONTENT_NODE_MAX];
	size_t counts[] = { 1, 2, CONTENT_NODE_MAX }, got;

	for (size_t i = 0; i < CONTENT_NODE_MAX; i++)
		in[i] = (struct extent) { .key = { { i % 5 ? (uint8_t)i | 1 : 0 } }, .len = 1 + i * 1000 };
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		scope_buf struct buf b = { 0 };

		content_node_encode(&b, in, counts[i]);
		CHECK_RC(content_node_decode(b.data, b.len, out, &got));
		CHECK(got == counts[i] && memcmp(in, out, got * sizeof *in) == 0);
		CHECK(content_node_decode(b.data, b.len - 1, out, &got) == -EBADMSG);
		for (unsigned round = 0; round < 500; round++) {
			size_t at = random_below(b.len);
			uint8_t old = b.data[at];

			b.data[at] = (uint8_t)random_below(256);
			if (!content_node_decode(b.data, b.len, out, &got))
				CHECK(got >= 1 && got <= CONTENT_NODE_MAX);
			b.data[at] = old;
		}
	}
	CHECK(content_node_decode("\1\0", 2, out, &got) == -EBADMSG);
	CHECK(content_node_decode("", 0, out, &got) == -EBADMSG);
	CHECK(content_node_decode("\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 11, out, &got) == -EBADMSG);
}

/* The first example of index/SCHEMA-records.md: bytes in old journals never change. */
static void check_documented(void)
{
	static const uint8_t bytes[] = { 0x10, 0x02, 0x01, 0x61, 0xed, 0x83, 0x01, 0xe8, 0x07,
					 0xe8, 0x07, 0x04, 0x61, 0x6e, 0x6e, 0x61, 0x00 };
	const struct record r = { .kind = REC_NODE, .node = { 16, 2, "a", S_IFDIR | 0755, 1000, 1000, "anna", "" } };
	scope_buf struct buf body = { 0 };

	record_encode(&body, &r);
	CHECK(body.len == sizeof bytes && memcmp(body.data, bytes, sizeof bytes) == 0);
}

int main(void)
{
	for (size_t i = 0; i < sizeof value; i++)
		value[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < EXAMPLES; i++)
		check_example(&examples[i]);
	for (size_t i = 0; i < EXAMPLES; i++)
		check_mutated(&examples[i]);
	check_documented();
	check_null_texts();
	check_refused();
	check_counts();
	check_content_nodes();
	return check_done();
}
