/*
 * catalog_keep: values of the past. Nodes, entries, contents, targets and xattrs begin with a stamp: the record that put
 * them, and its time. When a later record changes or deletes one, the old value, stamp and all, goes to
 *
 *     h | key of the row | 0 | u64 the record that ended it   ->   varint second of that record | the old value
 *
 * What a row said after record S: the first such row that ended after S, else the present one; and nothing when that
 * one's stamp is younger than S. So nothing is written when a row comes to be, and a file that is made, filled and left
 * alone costs no row at all.
 */
#include "index/catalog_internal.h"

bool table_has_past(enum table table)
{
	return table == TABLE_NODE || table == TABLE_ENTRY || table == TABLE_CONTENT || table == TABLE_TARGET ||
	       table == TABLE_XATTR;
}

enum { VARINT_BYTES_MAX = 10 };

static size_t varint_put(uint8_t *to, uint64_t v)
{
	size_t len = 0;

	for (; v >= 0x80; v >>= 7)
		to[len++] = (uint8_t)(v | 0x80);
	to[len++] = (uint8_t)v;
	return len;
}

bool stamp_take(struct cursor *c, struct stamp *stamp)
{
	stamp->seq = cursor_varint(c);
	stamp->second = (uint32_t)cursor_varint(c);
	return !cursor_failed(c);
}

/* h | key | 0: the row's past. */
static struct table_key past_key(const struct table_key *k)
{
	struct table_key past;

	key_begin(&past, TABLE_HISTORY);
	memcpy(past.bytes + past.len, k->bytes, k->len);
	past.len += k->len;
	key_u8(&past, 0);
	return past;
}

/* The row goes, or says something else, with the present record. */
static void keep_old(struct catalog *catalog, const struct table_key *k, const struct buf *old)
{
	struct table_key past = past_key(k);
	scope_buf struct buf value = { 0 };

	key_u64(&past, catalog->now.seq);
	buf_varint(&value, catalog->now.second);
	buf_put(&value, old->data, old->len);
	table_put_raw(catalog, &past, value.data, value.len);
}

static bool is_young(const struct stamp *old, const struct stamp *now)
{
	return now->second >= old->second && now->second - old->second < KEEP_SECONDS;
}

/* Keeps the old value when it must be; *stamp is that of the new one. */
static int keep_before_put(struct catalog *catalog, const struct table_key *k, enum keep keep, struct stamp *stamp)
{
	scope_buf struct buf old = { 0 };
	struct stamp since;
	struct cursor c;
	int rc;

	*stamp = catalog->now;
	if (!catalog->now.seq)
		return 0;
	rc = table_get_raw(catalog, k, &old);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	c = cursor_of(old.data, old.len);
	if (!stamp_take(&c, &since))
		return table_damaged(catalog, k->bytes[0]);
	if (since.seq == catalog->now.seq)
		return 0; /* what stood before this record is kept already, or there was nothing */
	if (keep == KEEP_NEVER || (keep == KEEP_SETTLED && is_young(&since, stamp)))
		*stamp = since;
	else
		keep_old(catalog, k, &old);
	return 0;
}

int table_put_kept(struct catalog *catalog, const struct table_key *k, const void *value, size_t len, enum keep keep)
{
	uint8_t small[512], *to = small;
	scope_free uint8_t *large = NULL;
	struct stamp stamp;
	size_t at;
	int rc = keep_before_put(catalog, k, keep, &stamp);

	if (rc)
		return rc;
	if (len > sizeof small - 2 * VARINT_BYTES_MAX) {
		to = large = malloc(len + 2 * VARINT_BYTES_MAX);
		if (!large)
			return err_set(ENOMEM, "no memory for an entry of the index");
	}
	at = varint_put(to, stamp.seq);
	at += varint_put(to + at, stamp.second);
	if (len)
		memcpy(to + at, value, len);
	if (at + len > KV_VALUE_MAX)
		return err_set(EFBIG, "too much for one entry of the index");
	table_put_raw(catalog, k, to, at + len);
	return 0;
}

void table_del_kept(struct catalog *catalog, const struct table_key *k)
{
	scope_buf struct buf old = { 0 };
	struct stamp since;
	struct cursor c;
	int rc = catalog->now.seq ? table_get_raw(catalog, k, &old) : -ENOENT;

	c = cursor_of(old.data, old.len);
	if (!rc && stamp_take(&c, &since) && since.seq != catalog->now.seq)
		keep_old(catalog, k, &old);
	if (rc && rc != -ENOENT)
		catalog->sick = true; /* damaged or no memory: nothing may build on it */
	table_del_raw(catalog, k);
}

/* ---- reading ---- */

/* The part of a history row behind its key. */
static bool past_decode(const uint8_t *value, size_t len, struct span *span, const uint8_t **at, size_t *left)
{
	struct cursor c = cursor_of(value, len);

	span->until_second = (uint32_t)cursor_varint(&c);
	if (!stamp_take(&c, &span->since))
		return false;
	*at = c.at;
	*left = cursor_left(&c);
	return true;
}

/* The first value that ended after record seq. -ENOENT: none. */
static int past_get(struct catalog *catalog, const struct table_key *k, uint64_t seq, struct buf *value,
		    struct span *span)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix = past_key(k), from = prefix;
	const uint8_t *at;
	size_t len;
	int rc;

	if (seq == UINT64_MAX)
		return -ENOENT;
	key_u64(&from, seq + 1);
	rc = scan_from(&w, catalog, &prefix, &from);
	if (!rc)
		rc = scan_next(&w);
	if (rc != 1)
		return rc ? rc : -ENOENT;
	if (w.key_len != 8 || !past_decode(w.value, w.value_len, span, &at, &len))
		return table_damaged(catalog, TABLE_HISTORY);
	span->until = read_u64(w.key);
	buf_clear(value);
	buf_put(value, at, len);
	return buf_failed(value) ? err_set(ENOMEM, "no memory for what was") : 0;
}

static int present_get(struct catalog *catalog, const struct table_key *k, struct buf *value, struct span *span)
{
	struct cursor c;
	int rc = table_get_raw(catalog, k, value);

	if (rc)
		return rc;
	c = cursor_of(value->data, value->len);
	*span = (struct span) { 0 };
	if (!stamp_take(&c, &span->since))
		return table_damaged(catalog, k->bytes[0]);
	value->len = cursor_left(&c);
	memmove(value->data, c.at, value->len);
	return 0;
}

int kept_get(struct catalog *catalog, const struct table_key *k, uint64_t seq, struct buf *value, struct span *span)
{
	int rc;

	buf_clear(value);
	rc = past_get(catalog, k, seq, value, span);
	if (rc == -ENOENT)
		rc = present_get(catalog, k, value, span);
	if (!rc && span->since.seq > seq) {
		buf_clear(value);
		rc = -ENOENT;
	}
	return rc;
}

struct table_key past_prefix(const struct table_key *prefix)
{
	struct table_key past;

	key_begin(&past, TABLE_HISTORY);
	memcpy(past.bytes + past.len, prefix->bytes, prefix->len);
	past.len += prefix->len;
	return past;
}

int past_begin(struct past *p, struct catalog *catalog, const struct table_key *prefix)
{
	struct table_key past = past_prefix(prefix);

	*p = (struct past) { 0 };
	return scan_begin(&p->scan, catalog, &past);
}

int past_next(struct past *p)
{
	struct scan *w = &p->scan;
	int rc = scan_next(w);

	if (rc != 1)
		return rc;
	if (w->key_len < 9 || w->key[w->key_len - 9] ||
	    !past_decode(w->value, w->value_len, &p->span, &p->value, &p->value_len))
		return table_damaged(w->catalog, TABLE_HISTORY);
	p->key = w->key;
	p->key_len = w->key_len - 9;
	p->span.until = read_u64(w->key + p->key_len + 1);
	return 1;
}

void past_end(struct past *p)
{
	scan_end(&p->scan);
}
