#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "index/record.h"
#include "store/err.h"

enum { VERSION = 1, COUNT_MAX = 1 << 20 };

struct record_memory { /* a list of blocks, freed together */
	struct record_memory *next;
	max_align_t bytes[];
};

void record_memory_free(struct record_memory *m)
{
	while (m) {
		struct record_memory *next = m->next;

		free(m);
		m = next;
	}
}

struct decoder {
	struct cursor in;
	struct record_memory *memory;
};

static void *keep(struct decoder *d, size_t len)
{
	struct record_memory *m = calloc(1, sizeof *m + len);

	if (!m) {
		d->in.failed = true;
		return NULL;
	}
	m->next = d->memory;
	d->memory = m;
	return m->bytes;
}

/* Never NULL. */
static const char *get_string(struct decoder *d)
{
	size_t len;
	const uint8_t *at = cursor_block(&d->in, &len);
	char *text;

	if (!at || !len)
		return "";
	if (memchr(at, 0, len)) {
		d->in.failed = true;
		return "";
	}
	text = keep(d, len + 1);
	if (!text)
		return "";
	memcpy(text, at, len);
	return text;
}

static uint32_t get_u32(struct decoder *d)
{
	uint64_t v = cursor_varint(&d->in);

	if (v > UINT32_MAX)
		d->in.failed = true;
	return (uint32_t)v;
}

/* A small number from first to last. */
static unsigned get_choice(struct decoder *d, unsigned first, unsigned last)
{
	unsigned v = cursor_u8(&d->in);

	if (v < first || v > last)
		d->in.failed = true;
	return v;
}

/* An array of as many items as are said; each takes at least `least` bytes, so a hostile count cannot ask for much memory. */
static void *get_array(struct decoder *d, size_t item, size_t least, size_t *count)
{
	uint64_t n = cursor_varint(&d->in);

	*count = 0;
	if (n > COUNT_MAX || n * least > cursor_left(&d->in)) {
		d->in.failed = true;
		return NULL;
	}
	if (!n)
		return NULL;
	*count = (size_t)n;
	return keep(d, (size_t)n * item);
}

static void get_geometry(struct decoder *d, struct geometry *geo)
{
	if (geometry_decode(&d->in, geo))
		d->in.failed = true;
}

static void get_node(struct decoder *d, struct record *r)
{
	r->node.ino = cursor_varint(&d->in);
	r->node.parent = cursor_varint(&d->in);
	r->node.name = get_string(d);
	r->node.mode = get_u32(d);
	r->node.uid = get_u32(d);
	r->node.gid = get_u32(d);
	r->node.owner = get_string(d);
	r->node.target = get_string(d);
	if (!S_ISREG(r->node.mode) && !S_ISDIR(r->node.mode) && !S_ISLNK(r->node.mode) && !S_ISFIFO(r->node.mode) &&
	    !S_ISSOCK(r->node.mode))
		d->in.failed = true;
}

static void get_attr(struct decoder *d, struct record *r)
{
	r->attr.ino = cursor_varint(&d->in);
	r->attr.set = cursor_u8(&d->in);
	r->attr.owner = "";
	if (r->attr.set & ATTR_MODE)
		r->attr.mode = get_u32(d);
	if (r->attr.set & ATTR_UID) {
		r->attr.uid = get_u32(d);
		r->attr.owner = get_string(d);
	}
	if (r->attr.set & ATTR_GID)
		r->attr.gid = get_u32(d);
	if (r->attr.set & ATTR_ATIME)
		r->attr.atime_ns = (int64_t)cursor_u64(&d->in);
	if (r->attr.set & ATTR_MTIME)
		r->attr.mtime_ns = (int64_t)cursor_u64(&d->in);
}

static void get_content(struct decoder *d, struct record *r)
{
	r->content.ino = cursor_varint(&d->in);
	r->content.mtime_ns = (int64_t)cursor_u64(&d->in);
	if (content_decode(&d->in, &r->content.content))
		d->in.failed = true;
}

static void get_rename(struct decoder *d, struct record *r)
{
	uint8_t flags;

	r->rename.parent = cursor_varint(&d->in);
	r->rename.name = get_string(d);
	r->rename.new_parent = cursor_varint(&d->in);
	r->rename.new_name = get_string(d);
	flags = cursor_u8(&d->in);
	r->rename.no_replace = flags & 1;
	r->rename.exchange = flags & 2;
}

static void get_remove(struct decoder *d, struct record *r)
{
	r->remove.parent = cursor_varint(&d->in);
	r->remove.name = get_string(d);
	r->remove.folder = get_choice(d, 0, 1);
}

static void get_xattr(struct decoder *d, struct record *r)
{
	r->xattr.ino = cursor_varint(&d->in);
	r->xattr.name = get_string(d);
	r->xattr.remove = get_choice(d, 0, 1);
	r->xattr.value = cursor_block(&d->in, &r->xattr.value_len);
}

static void get_facts(struct decoder *d, struct record_probe *p)
{
	struct record_fact *list = get_array(d, sizeof *list, 4, &p->fact_count);

	p->facts = list;
	for (size_t i = 0; i < p->fact_count && list; i++) {
		list[i].field = get_string(d);
		list[i].value = get_string(d);
		list[i].vendor_key = get_string(d);
		list[i].vendor_text = get_string(d);
	}
}

static void get_probe(struct decoder *d, struct record *r)
{
	struct record_probe *p = &r->probe;
	struct record_declared *list;
	uint8_t flags;

	p->ino = cursor_varint(&d->in);
	flags = cursor_u8(&d->in);
	p->has_geometry = flags & 1;
	p->acquisition = flags & 2;
	if (p->has_geometry)
		get_geometry(d, &p->geo);
	p->error = get_string(d);
	p->images_declared = cursor_varint(&d->in);
	p->rank = (enum fact_rank)get_choice(d, RANK_PERSON, RANK_HEADER);
	get_facts(d, p);
	list = get_array(d, sizeof *list, 2, &p->declared_count);
	p->declared = list;
	for (size_t i = 0; i < p->declared_count && list; i++) {
		list[i].name = get_string(d);
		list[i].suffix = get_string(d);
		get_geometry(d, &list[i].geo);
	}
}

static void get_images(struct decoder *d, struct record *r)
{
	struct record_image *list;

	r->images.dataset = get_u32(d);
	list = get_array(d, sizeof *list, 12, &r->images.count);
	r->images.list = list;
	for (size_t i = 0; i < r->images.count && list; i++) {
		list[i].id = get_u32(d);
		list[i].kind = (enum image_kind)get_choice(d, IMAGE_STACK, IMAGE_DECLARED);
		list[i].ino = cursor_varint(&d->in);
		list[i].part = get_string(d);
		get_geometry(d, &list[i].geo);
		list[i].signature = cursor_u64(&d->in);
		list[i].error = get_string(d);
	}
}

static void get_dataset(struct decoder *d, struct record *r)
{
	r->dataset.ino = cursor_varint(&d->in);
	r->dataset.state = (enum dataset_state)get_choice(d, 0, STATE_INCOMPLETE);
	r->dataset.role = (enum dataset_role)get_choice(d, 0, ROLE_COLLECTION);
	r->dataset.note = get_string(d);
}

static void get_fact(struct decoder *d, struct record *r)
{
	r->fact.dataset = get_u32(d);
	r->fact.field = get_string(d);
	r->fact.value = get_string(d);
}

static void get_tag(struct decoder *d, struct record *r)
{
	r->tag.dataset = get_u32(d);
	r->tag.tag = get_string(d);
	r->tag.remove = get_choice(d, 0, 1);
}

static void get_term(struct decoder *d, struct record *r)
{
	r->term.facet = (enum facet)get_choice(d, FACET_TAG, FACETS - 1);
	r->term.change = (enum term_change)get_choice(d, TERM_KEEP, TERM_RENAME);
	r->term.text = get_string(d);
	r->term.new_text = get_string(d);
}

static void get_query(struct decoder *d, struct record *r)
{
	r->query.text = get_string(d);
	r->query.drop = get_choice(d, 0, 1);
}

static void get_link(struct decoder *d, struct record *r)
{
	r->link.ino = cursor_varint(&d->in);
	r->link.parent = cursor_varint(&d->in);
	r->link.name = get_string(d);
}

static void get_expire(struct decoder *d, struct record *r)
{
	r->expire.seq = cursor_u64(&d->in);
}

static void get_restore(struct decoder *d, struct record *r)
{
	r->restore.ino = cursor_varint(&d->in);
	r->restore.parent = cursor_varint(&d->in);
	r->restore.name = get_string(d);
	r->restore.dataset = get_u32(d);
}

static void (*const get_body[REC_KINDS])(struct decoder *d, struct record *r) = {
	[REC_NODE] = get_node,	 [REC_ATTR] = get_attr,	    [REC_CONTENT] = get_content, [REC_RENAME] = get_rename,
	[REC_REMOVE] = get_remove, [REC_XATTR] = get_xattr, [REC_PROBE] = get_probe,	 [REC_IMAGES] = get_images,
	[REC_DATASET] = get_dataset, [REC_FACT] = get_fact, [REC_TAG] = get_tag,	 [REC_TERM] = get_term,
	[REC_QUERY] = get_query,     [REC_EXPIRE] = get_expire, [REC_RESTORE] = get_restore, [REC_LINK] = get_link,
};

int record_decode(const struct journal_record *from, struct record *r, struct record_memory **memory)
{
	struct decoder d = { .in = cursor_of(from->body, from->body_len) };

	*memory = NULL;
	memset(r, 0, sizeof *r);
	if (from->kind >= REC_KINDS || !get_body[from->kind] || from->version != VERSION)
		return err_set(ENOTSUP, "journal record %llu is of kind %u, version %u, which this version of tomofs does not know",
			       (unsigned long long)from->seq, from->kind, from->version);
	r->kind = (enum record_kind)from->kind;
	r->time_ns = from->time_ns;
	get_body[from->kind](&d, r);
	if (cursor_failed(&d.in) || cursor_left(&d.in)) {
		record_memory_free(d.memory);
		memset(r, 0, sizeof *r);
		return err_set(EBADMSG, "the body of journal record %llu makes no sense", (unsigned long long)from->seq);
	}
	*memory = d.memory;
	return 0;
}
