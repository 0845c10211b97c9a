/*
 * catalog_versions: contents that the file of a name had. A name leads to one node after another (editors and rsync write a
 * new file and rename it), and each node has one content after another.
 */
#include "index/catalog_history.h"
#include "index/catalog_internal.h"

#include <stdlib.h>

/* While the name led to this file; until 0: it still does. */
struct holder {
	uint64_t ino, since, until; /* ino 0: nobody */
	uint32_t until_second;
};

struct versions {
	struct version *list;
	size_t count, room;
	struct holder holder; /* the last one, whose contents are not in the list yet */
};

static int version_add(struct catalog *catalog, struct versions *v, uint64_t ino, const struct span *span,
		       const uint8_t *value, size_t len)
{
	struct cursor c = cursor_of(value, len);
	struct content content;

	if (content_decode(&c, &content))
		return table_damaged(catalog, TABLE_CONTENT);
	if (!content.size)
		return 0;
	if (v->count == v->room) {
		size_t more = v->room ? v->room * 2 : 8;
		struct version *list = realloc(v->list, more * sizeof *list);

		if (!list)
			return err_set(ENOMEM, "no memory for %zu old contents", more);
		v->list = list;
		v->room = more;
	}
	v->list[v->count] = (struct version) { .ino = ino,
					       .since = span->since.seq,
					       .since_second = span->since.second,
					       .until = span->until,
					       .until_second = span->until_second,
					       .size = content.size,
					       .sha256_known = content.sha256_known };
	memcpy(v->list[v->count++].sha256, content.sha256, sizeof content.sha256);
	return 0;
}

/* A content that the name still led to when the file lost the name ended for the name then. */
static int version_of_holder(struct catalog *catalog, struct versions *v, const struct holder *h, struct span span,
			     const uint8_t *value, size_t len)
{
	if (h->until && span.since.seq >= h->until)
		return 0;
	if (h->until && (!span.until || span.until > h->until)) {
		span.until = h->until;
		span.until_second = h->until_second;
	} else if (h->until && span.until <= h->since) {
		return 0; /* it was over before the file got the name */
	}
	return span.until > catalog->counters.horizon ? version_add(catalog, v, h->ino, &span, value, len) : 0;
}

static int add_holder(struct catalog *catalog, struct versions *v, const struct holder *h)
{
	scope_past struct past p = { 0 };
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64(TABLE_CONTENT, h->ino);
	struct span span;
	int rc = past_begin(&p, catalog, &k);

	while (!rc && (rc = past_next(&p)) == 1)
		rc = version_of_holder(catalog, v, h, p.span, p.value, p.value_len);
	if (rc || !h->until)
		return rc; /* what it has now is not old */
	rc = kept_get(catalog, &k, UINT64_MAX, &value, &span);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	return version_of_holder(catalog, v, h, span, value.data, value.len);
}

static int end_holder(struct catalog *catalog, struct versions *v)
{
	struct holder h = v->holder;

	v->holder.ino = 0;
	return h.ino ? add_holder(catalog, v, &h) : 0;
}

static int entry_holder(struct catalog *catalog, const uint8_t *value, size_t len, const struct span *span,
			struct versions *v)
{
	struct holder h = { .since = span->since.seq, .until = span->until, .until_second = span->until_second };
	uint32_t type;
	int rc = 0;

	if (!entry_decode(value, len, &h.ino, &type))
		return table_damaged(catalog, TABLE_ENTRY);
	if (v->holder.ino == h.ino && v->holder.until == h.since)
		h.since = v->holder.since; /* the entry was written anew, for the same file */
	else
		rc = end_holder(catalog, v);
	if (!rc && S_ISREG(type))
		v->holder = h;
	return rc;
}

static int versions_load(struct catalog *catalog, uint64_t folder, const char *name, struct versions *v)
{
	scope_past struct past p = { 0 };
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64_text(TABLE_ENTRY, folder, name);
	struct span span;
	int rc = past_begin(&p, catalog, &k);

	while (!rc && (rc = past_next(&p)) == 1) {
		if (p.key_len) { /* a longer name */
			rc = 0;
			break;
		}
		rc = p.span.until > catalog->counters.horizon ? entry_holder(catalog, p.value, p.value_len, &p.span, v)
							       : 0;
	}
	if (!rc)
		rc = kept_get(catalog, &k, UINT64_MAX, &value, &span);
	if (!rc)
		rc = entry_holder(catalog, value.data, value.len, &span, v);
	return rc && rc != -ENOENT ? rc : end_holder(catalog, v);
}

static int version_order(const void *a, const void *b)
{
	const struct version *x = a, *y = b;

	if (x->since != y->since)
		return x->since < y->since ? -1 : 1;
	return x->ino != y->ino ? (x->ino < y->ino ? -1 : 1) : (x->until > y->until) - (x->until < y->until);
}

int catalog_versions(struct catalog *catalog, uint64_t folder, const char *name, struct version **list, size_t *count)
{
	struct versions v = { 0 };
	size_t kept = 0;
	int rc = 0;

	if (strlen(name) <= NAME_BYTES_MAX) {
		kv_read_begin(catalog->kv);
		rc = versions_load(catalog, folder, name, &v);
		kv_read_end(catalog->kv);
	}
	if (rc) {
		free(v.list);
		return rc;
	}
	if (v.count)
		qsort(v.list, v.count, sizeof *v.list, version_order);
	for (size_t i = 0; i < v.count; i++) /* a file that lost the name and got it back has them twice */
		if (!kept || v.list[kept - 1].ino != v.list[i].ino || v.list[kept - 1].since != v.list[i].since)
			v.list[kept++] = v.list[i];
	*list = v.list;
	*count = kept;
	return 0;
}
