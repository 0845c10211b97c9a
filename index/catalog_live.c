#include "index/catalog_history.h"
#include "index/catalog_internal.h"

enum { STEP_CONTENTS = 256 /* read under one read section */ };

/* Was the node removed before the horizon, and is only not swept yet? */
static int is_given_up(struct catalog *catalog, uint64_t ino, bool *given_up)
{
	struct node_row row;
	int rc = node_load(catalog, ino, &row);

	*given_up = !rc && !row.nlink && row.removed && row.removed <= catalog->counters.horizon;
	return rc == -ENOENT ? 0 : rc;
}

/* Contents from *at on, which moves behind the last one. 1: more may follow. */
static int contents_read(struct catalog *catalog, const struct table_key *prefix, struct table_key *at,
			 struct content *list, size_t *count)
{
	scope_scan struct scan w = { 0 };
	bool past = prefix->bytes[0] == TABLE_HISTORY;
	size_t seen = 0;
	int rc = scan_from(&w, catalog, prefix, at);

	while (!rc && seen < STEP_CONTENTS && (rc = scan_next(&w)) == 1) {
		struct cursor c = cursor_of(w.value, w.value_len);
		bool wanted = true;

		rc = 0;
		seen++;
		if (w.key_len < 8)
			return table_damaged(catalog, w.table);
		memcpy(at->bytes + prefix->len, w.key, w.key_len);
		at->len = prefix->len + w.key_len;
		key_u8(at, 0); /* the next key is no smaller */
		if (past) {
			cursor_varint(&c), cursor_varint(&c), cursor_varint(&c); /* when it ended, its stamp */
			wanted = read_u64(w.key + w.key_len - 8) > catalog->counters.horizon;
		}
		if (!past) {
			bool given_up;

			rc = is_given_up(catalog, read_u64(w.key), &given_up);
			if (rc)
				return rc;
			wanted = !given_up;
		}
		if (wanted && content_decode(&c, &list[(*count)++]))
			return table_damaged(catalog, w.table);
	}
	return rc < 0 ? rc : seen == STEP_CONTENTS;
}

static int contents_walk(struct catalog *catalog, const struct table_key *prefix, struct content *list,
			 int (*each)(void *ctx, const struct content *content), void *ctx)
{
	struct table_key at = *prefix;
	int more = 1, rc = 0;

	while (more == 1 && !rc) {
		size_t count = 0;

		kv_read_begin(catalog->kv);
		more = contents_read(catalog, prefix, &at, list, &count);
		kv_read_end(catalog->kv);
		for (size_t i = 0; more >= 0 && !rc && i < count; i++)
			rc = each(ctx, &list[i]);
	}
	return more < 0 ? more : rc;
}

/* The present first: a content that is replaced meanwhile goes from there to the past, and is met in one of them. */
int catalog_live_contents(struct catalog *catalog, int (*each)(void *ctx, const struct content *content), void *ctx)
{
	scope_free struct content *list = malloc(STEP_CONTENTS * sizeof *list);
	struct table_key present, past;
	int rc;

	if (!list)
		return err_set(ENOMEM, "no memory to list contents");
	key_begin(&present, TABLE_CONTENT);
	past = past_prefix(&present);
	rc = contents_walk(catalog, &present, list, each, ctx);
	return rc ? rc : contents_walk(catalog, &past, list, each, ctx);
}
