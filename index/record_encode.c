#include "index/record.h"

static void put_content(struct buf *out, const struct record *r)
{
	buf_varint(out, r->content.ino);
	buf_u64(out, (uint64_t)r->content.mtime_ns);
	content_encode(out, &r->content.content);
}

static void put_node(struct buf *out, const struct record *r)
{
	buf_varint(out, r->node.ino);
	buf_varint(out, r->node.parent);
	buf_string(out, r->node.name);
	buf_varint(out, r->node.mode);
	buf_varint(out, r->node.uid);
	buf_varint(out, r->node.gid);
	buf_string(out, r->node.owner);
	buf_string(out, r->node.target);
}

static void put_attr(struct buf *out, const struct record *r)
{
	buf_varint(out, r->attr.ino);
	buf_u8(out, (uint8_t)r->attr.set);
	if (r->attr.set & ATTR_MODE)
		buf_varint(out, r->attr.mode);
	if (r->attr.set & ATTR_UID) {
		buf_varint(out, r->attr.uid);
		buf_string(out, r->attr.owner);
	}
	if (r->attr.set & ATTR_GID)
		buf_varint(out, r->attr.gid);
	if (r->attr.set & ATTR_ATIME)
		buf_u64(out, (uint64_t)r->attr.atime_ns);
	if (r->attr.set & ATTR_MTIME)
		buf_u64(out, (uint64_t)r->attr.mtime_ns);
}

static void put_rename(struct buf *out, const struct record *r)
{
	buf_varint(out, r->rename.parent);
	buf_string(out, r->rename.name);
	buf_varint(out, r->rename.new_parent);
	buf_string(out, r->rename.new_name);
	buf_u8(out, (uint8_t)((r->rename.no_replace ? 1 : 0) | (r->rename.exchange ? 2 : 0)));
}

static void put_remove(struct buf *out, const struct record *r)
{
	buf_varint(out, r->remove.parent);
	buf_string(out, r->remove.name);
	buf_u8(out, r->remove.folder);
}

static void put_xattr(struct buf *out, const struct record *r)
{
	buf_varint(out, r->xattr.ino);
	buf_string(out, r->xattr.name);
	buf_u8(out, r->xattr.remove);
	buf_block(out, r->xattr.value, r->xattr.remove ? 0 : r->xattr.value_len);
}

static void put_probe(struct buf *out, const struct record *r)
{
	const struct record_probe *p = &r->probe;

	buf_varint(out, p->ino);
	buf_u8(out, (uint8_t)((p->has_geometry ? 1 : 0) | (p->acquisition ? 2 : 0)));
	if (p->has_geometry)
		geometry_encode(out, &p->geo);
	buf_string(out, p->error);
	buf_varint(out, p->images_declared);
	buf_u8(out, (uint8_t)p->rank);
	buf_varint(out, p->fact_count);
	for (size_t i = 0; i < p->fact_count; i++) {
		buf_string(out, p->facts[i].field);
		buf_string(out, p->facts[i].value);
		buf_string(out, p->facts[i].vendor_key);
		buf_string(out, p->facts[i].vendor_text);
	}
	buf_varint(out, p->declared_count);
	for (size_t i = 0; i < p->declared_count; i++) {
		buf_string(out, p->declared[i].name);
		buf_string(out, p->declared[i].suffix);
		geometry_encode(out, &p->declared[i].geo);
	}
}

static void put_images(struct buf *out, const struct record *r)
{
	buf_varint(out, r->images.dataset);
	buf_varint(out, r->images.count);
	for (size_t i = 0; i < r->images.count; i++) {
		const struct record_image *image = &r->images.list[i];

		buf_varint(out, image->id);
		buf_u8(out, (uint8_t)image->kind);
		buf_varint(out, image->ino);
		buf_string(out, image->part);
		geometry_encode(out, &image->geo);
		buf_u64(out, image->signature);
		buf_string(out, image->error);
	}
}

static void put_dataset(struct buf *out, const struct record *r)
{
	buf_varint(out, r->dataset.ino);
	buf_u8(out, (uint8_t)r->dataset.state);
	buf_u8(out, (uint8_t)r->dataset.role);
	buf_string(out, r->dataset.note);
}

static void put_fact(struct buf *out, const struct record *r)
{
	buf_varint(out, r->fact.dataset);
	buf_string(out, r->fact.field);
	buf_string(out, r->fact.value);
}

static void put_tag(struct buf *out, const struct record *r)
{
	buf_varint(out, r->tag.dataset);
	buf_string(out, r->tag.tag);
	buf_u8(out, r->tag.remove);
}

static void put_term(struct buf *out, const struct record *r)
{
	buf_u8(out, (uint8_t)r->term.facet);
	buf_u8(out, (uint8_t)r->term.change);
	buf_string(out, r->term.text);
	buf_string(out, r->term.new_text);
}

static void put_query(struct buf *out, const struct record *r)
{
	buf_string(out, r->query.text);
	buf_u8(out, r->query.drop);
}

static void put_link(struct buf *out, const struct record *r)
{
	buf_varint(out, r->link.ino);
	buf_varint(out, r->link.parent);
	buf_string(out, r->link.name);
}

static void put_expire(struct buf *out, const struct record *r)
{
	buf_u64(out, r->expire.seq);
}

static void put_restore(struct buf *out, const struct record *r)
{
	buf_varint(out, r->restore.ino);
	buf_varint(out, r->restore.parent);
	buf_string(out, r->restore.name);
	buf_varint(out, r->restore.dataset);
}

static void (*const put_body[REC_KINDS])(struct buf *out, const struct record *r) = {
	[REC_NODE] = put_node,	 [REC_ATTR] = put_attr,	    [REC_CONTENT] = put_content, [REC_RENAME] = put_rename,
	[REC_REMOVE] = put_remove, [REC_XATTR] = put_xattr, [REC_PROBE] = put_probe,	 [REC_IMAGES] = put_images,
	[REC_DATASET] = put_dataset, [REC_FACT] = put_fact, [REC_TAG] = put_tag,	 [REC_TERM] = put_term,
	[REC_QUERY] = put_query,     [REC_EXPIRE] = put_expire, [REC_RESTORE] = put_restore, [REC_LINK] = put_link,
};

void record_encode(struct buf *body, const struct record *r)
{
	put_body[r->kind](body, r);
}
