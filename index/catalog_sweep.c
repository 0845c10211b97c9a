/*
 * catalog_sweep: history that is given up. A record moves the horizon; the rows behind it go later, in small batches,
 * outside of records. No record may depend on whether they have gone: look-ups ask the horizon first, and a removed node behind
 * it takes no record but through an open file, which keeps it.
 */
#include "index/catalog_history.h"
#include "index/catalog_internal.h"

enum { BATCH = 512, STEP_ROWS = 4096 /* rows looked at under one read section */ };

int apply_expire(struct change *ch)
{
	uint64_t seq = ch->record->expire.seq;
	int rc;

	if (seq > ch->catalog->counters.seq)
		return err_set(EINVAL, "record %llu is not written yet", (unsigned long long)seq);
	if (seq <= ch->catalog->counters.horizon)
		return 0;
	rc = change_accept(ch);
	if (!rc)
		ch->catalog->counters.horizon = seq;
	return rc;
}

int history_reaches(struct catalog *catalog, uint64_t seq)
{
	return seq >= catalog->counters.horizon ? 0 : err_set(ENOENT, "what was so then is not kept any more");
}

uint64_t catalog_horizon(struct catalog *catalog)
{
	uint64_t horizon;

	kv_read_begin(catalog->kv);
	horizon = catalog->counters.horizon;
	kv_read_end(catalog->kv);
	return horizon;
}

/* Keys to be deleted, each as a block. */
struct batch {
	struct buf keys;
	size_t count;
};

static void batch_add(struct batch *b, enum table table, const uint8_t *key, size_t len)
{
	struct table_key k;

	key_begin(&k, table);
	memcpy(k.bytes + 1, key, len);
	k.len += len;
	buf_block(&b->keys, k.bytes, k.len);
	b->count++;
}

static int batch_delete(struct catalog *catalog, const struct batch *b)
{
	struct cursor c = cursor_of(b->keys.data, b->keys.len);
	const uint8_t *key;
	size_t len;

	if (buf_failed(&b->keys))
		return err_set(ENOMEM, "no memory to forget old history");
	kv_write_begin(catalog->kv);
	while (cursor_left(&c) && (key = cursor_block(&c, &len)))
		kv_del(catalog->kv, key, len);
	kv_write_end(catalog->kv);
	return 0;
}

/* ---- the past ---- */

static struct table_key swept_key(void)
{
	return key_of_text(TABLE_META, "swept");
}

static int swept_get(struct catalog *catalog, uint64_t *seq)
{
	struct table_key k = swept_key();
	int rc = table_get_u64(catalog, &k, seq);

	if (rc == -ENOENT)
		*seq = 0;
	return rc == -ENOENT ? 0 : rc;
}

/* Collects what ended at or before the horizon from *at on, and moves *at. 1: not at the end yet. */
static int past_collect(struct catalog *catalog, uint64_t horizon, struct table_key *at, struct batch *b)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix;
	size_t seen = 0;
	int rc;

	key_begin(&prefix, TABLE_HISTORY);
	rc = scan_from(&w, catalog, &prefix, at);
	while (!rc && b->count < BATCH && seen < STEP_ROWS && (rc = scan_next(&w)) == 1) {
		rc = w.key_len >= 9 ? 0 : table_damaged(catalog, TABLE_HISTORY);
		if (rc)
			return rc;
		seen++;
		at->len = 1 + w.key_len;
		memcpy(at->bytes + 1, w.key, w.key_len);
		if (read_u64(w.key + w.key_len - 8) <= horizon)
			batch_add(b, TABLE_HISTORY, w.key, w.key_len);
	}
	if (rc < 0)
		return rc;
	return b->count >= BATCH || seen >= STEP_ROWS;
}

/* One batch. 1: more remain. The place is kept in the catalog; a new horizon during a pass means another pass. */
static int past_sweep(struct catalog *catalog, size_t *done)
{
	struct batch b = { 0 };
	uint64_t swept;
	int rc;

	kv_read_begin(catalog->kv);
	rc = swept_get(catalog, &swept);
	if (!rc && !catalog->sweep_to && swept < catalog->counters.horizon) {
		catalog->sweep_to = catalog->counters.horizon;
		key_begin(&catalog->sweep_at, TABLE_HISTORY);
	}
	if (!rc && catalog->sweep_to)
		rc = past_collect(catalog, catalog->sweep_to, &catalog->sweep_at, &b);
	kv_read_end(catalog->kv);
	*done += b.count + 1;
	if (rc >= 0 && catalog->sweep_to) {
		int more = rc;

		scope_lock(&catalog->gate);
		rc = batch_delete(catalog, &b);
		if (!rc && !more) {
			struct table_key k = swept_key();

			kv_write_begin(catalog->kv);
			table_put_u64(catalog, &k, catalog->sweep_to);
			more = catalog->sweep_to < catalog->counters.horizon;
			kv_write_end(catalog->kv);
			catalog->sweep_to = 0;
		}
		rc = rc ? rc : more;
	}
	buf_free(&b.keys);
	return rc;
}

/* ---- removed nodes ---- */

struct dropped {
	uint64_t seq, ino;
};

/* Removed at or before the horizon, from *from on. */
static int dropped_list(struct catalog *catalog, const struct dropped *from, struct dropped *list, size_t *count)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix, at;
	int rc;

	key_begin(&prefix, TABLE_DROPPED);
	at = prefix;
	key_u64(&at, from->seq);
	key_u64(&at, from->ino);
	rc = scan_from(&w, catalog, &prefix, &at);
	while (!rc && *count < BATCH && (rc = scan_next(&w)) == 1) {
		if (w.key_len != 16)
			return table_damaged(catalog, TABLE_DROPPED);
		if (read_u64(w.key) > catalog->counters.horizon)
			return 0;
		list[*count].seq = read_u64(w.key);
		list[(*count)++].ino = read_u64(w.key + 8);
		rc = 0;
	}
	return rc < 0 ? rc : 0;
}

/* All rows of a table whose key begins with the node's number. */
static int collect_rows(struct catalog *catalog, enum table table, uint64_t ino, struct batch *b)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix = key_of_u64(table, ino), k;
	int rc = scan_begin(&w, catalog, &prefix);

	while (!rc && (rc = scan_next(&w)) == 1) {
		k = prefix;
		memcpy(k.bytes + k.len, w.key, w.key_len);
		batch_add(b, table, k.bytes + 1, k.len + w.key_len - 1);
		rc = 0;
	}
	return rc < 0 ? rc : 0;
}

static int collect_node(struct catalog *catalog, const struct dropped *d, struct batch *b)
{
	static const enum table tables[] = { TABLE_NODE,  TABLE_CONTENT, TABLE_TARGET,
					     TABLE_XATTR, TABLE_PROBE,	 TABLE_GONE };
	struct table_key k = key_of_u64(TABLE_DROPPED, d->seq);
	struct node_row row;
	int rc = node_load(catalog, d->ino, &row);

	if (rc && rc != -ENOENT)
		return rc;
	if (!rc && (row.nlink || row.removed != d->seq))
		return table_damaged(catalog, TABLE_DROPPED);
	rc = 0;
	for (size_t i = 0; !rc && i < sizeof tables / sizeof *tables; i++)
		rc = collect_rows(catalog, tables[i], d->ino, b);
	key_u64(&k, d->ino);
	batch_add(b, TABLE_DROPPED, k.bytes + 1, k.len - 1);
	return rc;
}

static int drop_nodes(struct catalog *catalog, const struct dropped *list, size_t count)
{
	struct batch b = { 0 };
	int rc = 0;

	scope_lock(&catalog->gate); /* no record in between */
	kv_read_begin(catalog->kv);
	for (size_t i = 0; !rc && i < count; i++)
		rc = collect_node(catalog, &list[i], &b);
	kv_read_end(catalog->kv);
	if (!rc)
		rc = batch_delete(catalog, &b);
	buf_free(&b.keys);
	return rc;
}

/* Until the budget is used up or only held nodes are left. */
static int nodes_sweep(struct catalog *catalog, bool (*held)(void *ctx, uint64_t ino), void *ctx, size_t *done,
		       size_t budget)
{
	scope_free struct dropped *list = malloc(BATCH * sizeof *list);
	struct dropped from = { 0 };
	size_t count = BATCH, left;
	int rc = list ? 0 : err_set(ENOMEM, "no memory to forget old history");

	while (!rc && count == BATCH && *done < budget) {
		count = left = 0;
		kv_read_begin(catalog->kv);
		rc = dropped_list(catalog, &from, list, &count);
		kv_read_end(catalog->kv);
		if (rc || !count)
			break;
		from = list[count - 1];
		from.ino++;
		for (size_t i = 0; i < count; i++)
			if (!held || !held(ctx, list[i].ino))
				list[left++] = list[i];
		rc = drop_nodes(catalog, list, left);
		*done += count;
	}
	return rc ? rc : count == BATCH;
}

int catalog_sweep(struct catalog *catalog, bool (*held)(void *ctx, uint64_t ino), void *ctx, size_t budget)
{
	size_t done = 0;
	int rc = 1;

	scope_lock(&catalog->sweep);
	while (rc == 1 && done < budget)
		rc = past_sweep(catalog, &done);
	if (!rc)
		rc = nodes_sweep(catalog, held, ctx, &done, budget);
	if (rc >= 0 && kv_pending(catalog->kv) > PENDING_COMMIT) {
		int committed = catalog_commit(catalog);

		rc = committed ? committed : rc;
	}
	return rc;
}
