#include "index/catalog_internal.h"

static void row_encode(struct buf *out, const struct dataset *d)
{
	const struct dataset_row *row = &d->row;

	buf_u8(out, ROW_VERSION);
	buf_string(out, row->id);
	buf_varint(out, row->ino);
	buf_string(out, row->name);
	buf_string(out, row->owner);
	buf_u64(out, (uint64_t)row->arrived_ns);
	buf_u8(out, (uint8_t)row->state);
	buf_u8(out, (uint8_t)row->role);
	buf_string(out, row->note);
	buf_varint(out, row->bytes);
	buf_varint(out, row->files);
	buf_u32(out, (uint32_t)row->day);
	buf_u64(out, (uint64_t)d->removed_ns);
	buf_varint(out, row->ready);
}

static bool row_decode(const struct buf *value, struct dataset *d)
{
	struct cursor c = cursor_of(value->data, value->len);
	struct dataset_row *row = &d->row;

	if (cursor_u8(&c) != ROW_VERSION)
		return false;
	cursor_text(&c, row->id, sizeof row->id);
	row->ino = cursor_varint(&c);
	cursor_text(&c, row->name, sizeof row->name);
	cursor_text(&c, row->owner, sizeof row->owner);
	row->arrived_ns = (int64_t)cursor_u64(&c);
	row->state = (enum dataset_state)cursor_u8(&c);
	row->role = (enum dataset_role)cursor_u8(&c);
	cursor_text(&c, row->note, sizeof row->note);
	row->bytes = cursor_varint(&c);
	row->files = cursor_varint(&c);
	row->day = (int32_t)cursor_u32(&c);
	d->removed_ns = (int64_t)cursor_u64(&c);
	row->ready = cursor_varint(&c);
	return !cursor_failed(&c);
}

int dataset_load(struct catalog *catalog, uint32_t number, struct dataset *d)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u32(TABLE_DATASET, number);
	int rc = table_get(catalog, &k, &value);

	*d = (struct dataset) { .row.number = number };
	if (rc == -ENOENT) {
		d->row.removed = true;
		k = key_of_u32(TABLE_REMOVED, number);
		rc = table_get(catalog, &k, &value);
	}
	if (rc == -ENOENT)
		return err_set(ENOENT, "there is no dataset %u", number);
	if (rc)
		return rc;
	return row_decode(&value, d) ? 0 : table_damaged(catalog, TABLE_DATASET);
}

int dataset_store(struct catalog *catalog, const struct dataset *d)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u32(d->row.removed ? TABLE_REMOVED : TABLE_DATASET, d->row.number);

	row_encode(&value, d);
	return table_put(catalog, &k, &value);
}

static int row_load(struct catalog *catalog, uint32_t number, struct dataset_row *row)
{
	struct dataset d;
	int rc = dataset_load(catalog, number, &d);

	if (!rc)
		*row = d.row;
	return rc;
}

/* By a key whose value is the number. */
static int row_load_by(struct catalog *catalog, const struct table_key *k, struct dataset_row *row)
{
	uint64_t number;
	int rc = table_get_u64(catalog, k, &number);

	if (rc)
		return rc;
	rc = row_load(catalog, (uint32_t)number, row);
	return rc == -ENOENT ? table_damaged(catalog, k->bytes[0]) : rc;
}

int catalog_dataset(struct catalog *catalog, uint32_t number, struct dataset_row *row)
{
	int rc;

	kv_read_begin(catalog->kv);
	rc = row_load(catalog, number, row);
	kv_read_end(catalog->kv);
	return rc;
}

static int by_text(struct catalog *catalog, enum table table, const char *text, struct dataset_row *row)
{
	struct table_key k;
	int rc = -ENOENT;

	if (strlen(text) <= NAME_BYTES_MAX) {
		k = key_of_text(table, text);
		kv_read_begin(catalog->kv);
		rc = row_load_by(catalog, &k, row);
		kv_read_end(catalog->kv);
	}
	return rc == -ENOENT ? err_set(ENOENT, "%s: there is no dataset of that name", text) : rc;
}

int catalog_dataset_by_name(struct catalog *catalog, const char *short_name, struct dataset_row *row)
{
	return by_text(catalog, TABLE_NAME, short_name, row);
}

int catalog_dataset_by_id(struct catalog *catalog, const char *id, struct dataset_row *row)
{
	return by_text(catalog, TABLE_ID, id, row);
}

int catalog_dataset_of(struct catalog *catalog, uint64_t ino, struct dataset_row *row)
{
	struct node_row node;
	uint32_t number = 0;
	int rc;

	kv_read_begin(catalog->kv);
	rc = node_load(catalog, ino, &node);
	if (!rc)
		rc = dataset_above(catalog, &node, &number);
	if (!rc)
		rc = number ? row_load(catalog, number, row) : err_set(ENOENT, "%s: is in no dataset", node.name);
	kv_read_end(catalog->kv);
	return rc;
}

static int list_under(struct catalog *catalog, const struct table_key *prefix, uint32_t **list, size_t *count)
{
	int rc;

	kv_read_begin(catalog->kv);
	rc = scan_u32(catalog, prefix, list, count);
	kv_read_end(catalog->kv);
	return rc;
}

int catalog_datasets(struct catalog *catalog, uint32_t **list, size_t *count)
{
	struct table_key prefix;

	key_begin(&prefix, TABLE_DATASET);
	return list_under(catalog, &prefix, list, count);
}

/* Days before 1970 are negative; in keys they must come first. */
static uint32_t day_to_key(int32_t day)
{
	return (uint32_t)day ^ 0x80000000u;
}

static int32_t day_from_key(uint32_t v)
{
	return (int32_t)(v ^ 0x80000000u);
}

int catalog_datasets_of_day(struct catalog *catalog, int32_t day, uint32_t **list, size_t *count)
{
	struct table_key prefix = key_of_u32(TABLE_DAY, day_to_key(day));

	return list_under(catalog, &prefix, list, count);
}

void dataset_set_day(struct change *ch, struct dataset *d, int32_t day)
{
	struct table_key old = key_of_u32_u32(TABLE_DAY, day_to_key(d->row.day), d->row.number);
	struct table_key k = key_of_u32_u32(TABLE_DAY, day_to_key(day), d->row.number);

	table_del(ch->catalog, &old);
	if (!d->row.removed)
		table_put_empty(ch->catalog, &k);
	d->row.day = day;
}

/* Jumps from day to day: the datasets of a day are not walked. */
static int days_load(struct catalog *catalog, struct numbers *days)
{
	struct table_key prefix, from;
	int rc = 0;

	key_begin(&prefix, TABLE_DAY);
	from = prefix;
	for (;;) {
		scope_scan struct scan w = { 0 };
		uint32_t v;

		rc = scan_from(&w, catalog, &prefix, &from);
		if (!rc)
			rc = scan_next(&w);
		if (rc != 1)
			return rc;
		if (w.key_len < 4)
			return table_damaged(catalog, TABLE_DAY);
		v = read_u32(w.key);
		rc = numbers_add(days, v);
		if (rc || v == UINT32_MAX)
			return rc;
		from = key_of_u32(TABLE_DAY, v + 1);
	}
}

int catalog_days(struct catalog *catalog, int32_t **list, size_t *count)
{
	scope_numbers struct numbers days = { 0 };
	int rc;

	kv_read_begin(catalog->kv);
	rc = days_load(catalog, &days);
	kv_read_end(catalog->kv);
	if (rc)
		return rc;
	*list = malloc((days.count + 1) * sizeof **list);
	if (!*list)
		return err_set(ENOMEM, "no memory for a list of days");
	for (size_t i = 0; i < days.count; i++)
		(*list)[i] = day_from_key((uint32_t)days.list[i]);
	*count = days.count;
	return 0;
}
