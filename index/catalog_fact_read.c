#include "index/catalog_internal.h"

/* Key behind the dataset: field, 0, rank (1), source (8). */
static bool fact_decode(const struct scan *w, struct fact *f)
{
	const uint8_t *end = memchr(w->key, 0, w->key_len);
	struct cursor c = cursor_of(w->value, w->value_len);

	if (!end || w->key_len - (size_t)(end - w->key) != 10 || cursor_u8(&c) != ROW_VERSION)
		return false;
	f->rank = (enum fact_rank)end[1];
	f->source = read_u64(end + 2);
	f->value = cursor_string(&c);
	f->vendor_key = cursor_string(&c);
	f->vendor_text = cursor_string(&c);
	if (!cursor_failed(&c))
		f->field = strndup((const char *)w->key, (size_t)(end - w->key));
	return f->field;
}

static int facts_add(struct facts *out, size_t *room, const struct scan *w)
{
	struct fact *f;

	if (out->count == *room) {
		size_t more = *room ? *room * 2 : 16;
		struct fact *list = realloc(out->list, more * sizeof *list);

		if (!list)
			return err_set(ENOMEM, "no memory for facts");
		out->list = list;
		*room = more;
	}
	f = &out->list[out->count++];
	*f = (struct fact) { 0 };
	if (!fact_decode(w, f))
		return table_damaged(w->catalog, TABLE_FACT);
	f->effective = out->count == 1 || strcmp(f[-1].field, f->field) != 0;
	return 0;
}

int facts_load(struct catalog *catalog, uint32_t dataset, struct facts *out)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix = key_of_u32(TABLE_FACT, dataset);
	size_t room = 0;
	int rc = scan_begin(&w, catalog, &prefix);

	*out = (struct facts) { 0 };
	while (!rc && (rc = scan_next(&w)) == 1)
		rc = facts_add(out, &room, &w);
	if (rc)
		facts_free(out);
	return rc;
}

int catalog_facts(struct catalog *catalog, uint32_t dataset, struct facts *out)
{
	int rc;

	kv_read_begin(catalog->kv);
	rc = facts_load(catalog, dataset, out);
	kv_read_end(catalog->kv);
	return rc;
}

char *catalog_fact(struct catalog *catalog, uint32_t dataset, const char *field)
{
	scope_buf struct buf value = { 0 };
	int rc;

	kv_read_begin(catalog->kv);
	rc = fact_effective(catalog, dataset, field, &value);
	kv_read_end(catalog->kv);
	return rc ? NULL : strdup(buf_text(&value));
}

void facts_free(struct facts *facts)
{
	for (size_t i = 0; i < facts->count; i++) {
		struct fact *f = &facts->list[i];

		free(f->field);
		free(f->value);
		free(f->vendor_key);
		free(f->vendor_text);
	}
	free(facts->list);
	*facts = (struct facts) { 0 };
}

int catalog_probe(struct catalog *catalog, uint64_t ino, struct record_probe *probe, struct record_memory **memory)
{
	int rc;

	*memory = NULL;
	kv_read_begin(catalog->kv);
	rc = probe_load(catalog, ino, probe, memory);
	kv_read_end(catalog->kv);
	return rc == -ENOENT ? err_set(ENOENT, "nothing was found in node %llu", (unsigned long long)ino) : rc;
}
