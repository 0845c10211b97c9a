/*
 * catalog_fact: what is known of a dataset, and where it is known from.
 *
 * A fact's key is dataset, field, rank, source: walking a field in key order meets the one that counts first (a
 * person's, then the record of the acquisition, a sidecar, a header; of equals the lowest file number). What was found
 * in a file is kept whole with the file (probes), so that its facts can follow it from dataset to dataset.
 */
#include "index/catalog_internal.h"

static struct table_key fact_prefix(uint32_t dataset, const char *field)
{
	struct table_key k = key_of_u32(TABLE_FACT, dataset);

	key_put_text(&k, field);
	key_u8(&k, 0);
	return k;
}

static struct table_key fact_key(uint32_t dataset, const char *field, enum fact_rank rank, uint64_t source)
{
	struct table_key k = fact_prefix(dataset, field);

	key_u8(&k, (uint8_t)rank);
	key_u64(&k, source);
	return k;
}

static int fact_put(struct change *ch, const struct table_key *k, const struct record_fact *f)
{
	scope_buf struct buf value = { 0 };

	buf_u8(&value, ROW_VERSION);
	buf_string(&value, f->value);
	buf_string(&value, f->vendor_key);
	buf_string(&value, f->vendor_text);
	return table_put(ch->catalog, k, &value);
}

int fact_effective(struct catalog *catalog, uint32_t dataset, const char *field, struct buf *value)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix;
	struct cursor c;
	const uint8_t *text;
	size_t len;
	int rc;

	if (strlen(field) > FIELD_NAME_MAX)
		return -ENOENT;
	prefix = fact_prefix(dataset, field);
	rc = scan_begin(&w, catalog, &prefix);
	if (!rc)
		rc = scan_next(&w);
	if (rc != 1)
		return rc ? rc : -ENOENT;
	c = cursor_of(w.value, w.value_len);
	if (cursor_u8(&c) != ROW_VERSION)
		return table_damaged(catalog, TABLE_FACT);
	text = cursor_block(&c, &len);
	if (!text)
		return table_damaged(catalog, TABLE_FACT);
	buf_clear(value);
	buf_put(value, text, len);
	return buf_failed(value) ? err_set(ENOMEM, "no memory for a fact") : 0;
}

int32_t day_of_ns(int64_t ns)
{
	int64_t day_ns = (int64_t)86400 * 1000000000, day = ns / day_ns;

	return (int32_t)(ns % day_ns < 0 ? day - 1 : day);
}

static bool digits(const char *text, size_t count, int *value)
{
	*value = 0;
	for (size_t i = 0; i < count; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*value = *value * 10 + (text[i] - '0');
	}
	return true;
}

/* The date as it is written: the day that the clock beside the scanner showed. Days from civil: Howard Hinnant's
 * algorithm. */
bool day_of_text(const char *text, int32_t *day)
{
	int y, m, d, era, year_of_era, day_of_year;

	if (strnlen(text, 10) < 10 || !digits(text, 4, &y) || text[4] != '-' || !digits(text + 5, 2, &m) ||
	    text[7] != '-' || !digits(text + 8, 2, &d) || !y || m < 1 || m > 12 || d < 1 || d > 31)
		return false;
	y -= m <= 2;
	era = y / 400;
	year_of_era = y - era * 400;
	day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	*day = era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
	return true;
}

static int derive_day(struct change *ch, struct dataset *d)
{
	scope_buf struct buf value = { 0 };
	int32_t day = day_of_ns(d->row.arrived_ns);
	int rc = fact_effective(ch->catalog, d->row.number, "start_time", &value);

	if (rc && rc != -ENOENT)
		return rc;
	if (!rc && !day_of_text(buf_text(&value), &day))
		day = day_of_ns(d->row.arrived_ns);
	if (day == d->row.day)
		return 0;
	dataset_set_day(ch, d, day);
	return dataset_store(ch->catalog, d);
}

static int derive_term(struct change *ch, uint32_t dataset, enum facet facet)
{
	scope_buf struct buf value = { 0 };
	char text[FOLDER_NAME_ROOM];
	int rc = fact_effective(ch->catalog, dataset, facet_field(facet), &value);

	if (rc && rc != -ENOENT)
		return rc;
	name_fit(rc ? "" : buf_text(&value), text);
	return term_assign(ch, dataset, facet, text);
}

int facts_derive(struct change *ch, uint32_t dataset)
{
	struct dataset d;
	int rc = dataset_load(ch->catalog, dataset, &d);

	if (rc || d.row.removed)
		return rc;
	rc = derive_day(ch, &d);
	for (int facet = 1; !rc && facet < FACETS; facet++)
		if (facet_field(facet))
			rc = derive_term(ch, dataset, facet);
	return rc;
}

/* ---- probes ---- */

int probe_load(struct catalog *catalog, uint64_t ino, struct record_probe *probe, struct record_memory **memory)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u64(TABLE_PROBE, ino);
	struct journal_record entry = { .user = "", .program = "", .kind = REC_PROBE };
	struct record record;
	struct cursor c;
	int rc = table_get(catalog, &k, &value);

	if (rc)
		return rc;
	c = cursor_of(value.data, value.len);
	entry.version = cursor_u16(&c);
	entry.body_len = cursor_left(&c);
	entry.body = cursor_bytes(&c, entry.body_len);
	rc = cursor_failed(&c) ? -EBADMSG : record_decode(&entry, &record, memory);
	if (rc)
		return rc == -ENOMEM ? rc : table_damaged(catalog, TABLE_PROBE);
	*probe = record.probe;
	return 0;
}

/* What it takes to keep a probe; fails before anything is changed when it is too large. */
static int probe_encode(const struct change *ch, struct buf *value)
{
	buf_u16(value, RECORD_VERSION);
	record_encode(value, ch->record);
	if (buf_failed(value))
		return err_set(ENOMEM, "no memory for what was found in a file");
	if (value->len > KV_VALUE_MAX)
		return err_set(EFBIG, "too much was found in one file (%zu bytes)", value->len);
	return 0;
}

static bool probe_says_nothing(const struct record_probe *p)
{
	return !p->has_geometry && !*p->error && !p->acquisition && !p->images_declared && !p->fact_count &&
	       !p->declared_count;
}

static void facts_take(struct change *ch, uint32_t dataset, const struct record_probe *p)
{
	for (size_t i = 0; dataset && i < p->fact_count; i++) {
		struct table_key k = fact_key(dataset, p->facts[i].field, p->rank, p->ino);

		table_del(ch->catalog, &k);
	}
}

/* From the last to the first: of two facts of one field in a file the first is kept. */
static int facts_give(struct change *ch, uint32_t dataset, const struct record_probe *p)
{
	int rc = 0;

	for (size_t i = p->fact_count; !rc && dataset && i > 0; i--) {
		struct table_key k = fact_key(dataset, p->facts[i - 1].field, p->rank, p->ino);

		rc = fact_put(ch, &k, &p->facts[i - 1]);
	}
	return rc;
}

int facts_move(struct change *ch, uint64_t ino, uint32_t from, uint32_t to)
{
	struct record_memory *memory = NULL;
	struct record_probe p;
	int rc = from || to ? probe_load(ch->catalog, ino, &p, &memory) : -ENOENT;

	if (!rc) {
		facts_take(ch, from, &p);
		rc = facts_give(ch, to, &p);
	}
	record_memory_free(memory);
	return rc == -ENOENT ? 0 : rc;
}

static int check_probe(const struct record_probe *p)
{
	if (p->rank > RANK_HEADER)
		return err_set(EINVAL, "rank %u of facts is not known", (unsigned)p->rank);
	for (size_t i = 0; i < p->fact_count; i++)
		if (!*p->facts[i].field || strlen(p->facts[i].field) > FIELD_NAME_MAX)
			return err_set(EINVAL, "the name of a field has 1 to %d bytes", FIELD_NAME_MAX);
	return 0;
}

static int replace_probe(struct change *ch, uint32_t dataset, const struct record_probe *old, const struct buf *value)
{
	const struct record_probe *p = &ch->record->probe;
	struct table_key k = key_of_u64(TABLE_PROBE, p->ino);
	int rc = 0;

	if (old)
		facts_take(ch, dataset, old);
	if (probe_says_nothing(p)) {
		table_del(ch->catalog, &k);
	} else {
		rc = table_put(ch->catalog, &k, value);
		if (!rc)
			rc = facts_give(ch, dataset, p);
	}
	if (rc || !dataset || (!p->fact_count && !(old && old->fact_count)))
		return rc;
	return facts_derive(ch, dataset);
}

int apply_probe(struct change *ch)
{
	const struct record_probe *p = &ch->record->probe;
	scope_buf struct buf value = { 0 };
	struct record_memory *memory = NULL;
	struct record_probe old;
	struct node_row row;
	uint32_t dataset;
	bool known = false;
	int rc = node_load(ch->catalog, p->ino, &row);

	if (!rc && !row.nlink)
		rc = err_set(ENOENT, "%s: was removed", row.name);
	if (!rc)
		rc = check_probe(p);
	if (!rc)
		rc = probe_encode(ch, &value);
	if (!rc)
		rc = dataset_above(ch->catalog, &row, &dataset);
	if (rc)
		return rc;
	rc = probe_load(ch->catalog, p->ino, &old, &memory);
	known = !rc;
	if (!rc || rc == -ENOENT)
		rc = change_accept(ch);
	if (!rc)
		rc = replace_probe(ch, dataset, known ? &old : NULL, &value);
	record_memory_free(memory);
	return rc;
}

/* ---- a person's facts ---- */

int fact_person(struct change *ch, uint32_t dataset, const char *field, const char *value)
{
	struct table_key k = fact_key(dataset, field, RANK_PERSON, 0);
	struct record_fact f = { .field = field, .value = value, .vendor_key = "", .vendor_text = "" };

	if (*value)
		return fact_put(ch, &k, &f);
	table_del(ch->catalog, &k);
	return 0;
}

int apply_fact(struct change *ch)
{
	const struct record *r = ch->record;
	struct dataset d;
	int rc = dataset_load(ch->catalog, r->fact.dataset, &d);

	if (!rc && d.row.removed)
		rc = err_set(ENOENT, "%s: the dataset was removed", d.row.name);
	if (!rc && (!*r->fact.field || strlen(r->fact.field) > FIELD_NAME_MAX))
		rc = err_set(EINVAL, "the name of a field has 1 to %d bytes", FIELD_NAME_MAX);
	if (!rc && strlen(r->fact.value) > FACT_VALUE_MAX)
		rc = err_set(E2BIG, "%s: a value is at most 64 KiB", r->fact.field);
	if (!rc)
		rc = change_accept(ch);
	if (!rc)
		rc = fact_person(ch, r->fact.dataset, r->fact.field, r->fact.value);
	return rc ? rc : facts_derive(ch, r->fact.dataset);
}
