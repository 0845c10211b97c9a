#include "index/catalog_internal.h"

const char *facet_field(enum facet facet)
{
	static const char *const fields[FACETS] = {
		[FACET_SAMPLE] = "sample", [FACET_INSTRUMENT] = "instrument", [FACET_PROJECT] = "project"
	};

	return facet < FACETS ? fields[facet] : NULL;
}

static bool row_decode(const struct buf *value, struct term *term)
{
	struct cursor c = cursor_of(value->data, value->len);

	if (cursor_u8(&c) != ROW_VERSION)
		return false;
	term->facet = (enum facet)cursor_u8(&c);
	term->kept = cursor_u8(&c);
	term->members = (uint32_t)cursor_varint(&c);
	cursor_text(&c, term->text, sizeof term->text);
	return !cursor_failed(&c);
}

int term_load(struct catalog *catalog, uint32_t id, struct term *term)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u32(TABLE_TERM, id);
	int rc = table_get(catalog, &k, &value);

	if (rc)
		return rc;
	term->id = id;
	return row_decode(&value, term) ? 0 : table_damaged(catalog, TABLE_TERM);
}

int term_store(struct catalog *catalog, const struct term *term)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u32(TABLE_TERM, term->id);

	buf_u8(&value, ROW_VERSION);
	buf_u8(&value, (uint8_t)term->facet);
	buf_u8(&value, term->kept);
	buf_varint(&value, term->members);
	buf_string(&value, term->text);
	return table_put(catalog, &k, &value);
}

struct table_key term_text_key(enum facet facet, const char *text)
{
	struct table_key k;

	key_begin(&k, TABLE_TERM_TEXT);
	key_u8(&k, (uint8_t)facet);
	key_put_text(&k, text);
	return k;
}

struct table_key term_has_key(uint32_t dataset, enum facet facet)
{
	struct table_key k = key_of_u32(TABLE_HAS, dataset);

	key_u8(&k, (uint8_t)facet);
	return k;
}

int term_find(struct catalog *catalog, enum facet facet, const char *text, struct term *term)
{
	struct table_key k;
	uint64_t id;
	int rc;

	if (strlen(text) > NAME_BYTES_MAX)
		return -ENOENT;
	k = term_text_key(facet, text);
	rc = table_get_u64(catalog, &k, &id);
	if (rc)
		return rc;
	rc = term_load(catalog, (uint32_t)id, term);
	return rc == -ENOENT ? table_damaged(catalog, TABLE_TERM) : rc;
}

int terms_of(struct catalog *catalog, uint32_t dataset, enum facet facet, uint32_t **list, size_t *count)
{
	struct table_key prefix = term_has_key(dataset, facet);

	return scan_u32(catalog, &prefix, list, count);
}

int catalog_term(struct catalog *catalog, uint32_t id, struct term *term)
{
	int rc;

	kv_read_begin(catalog->kv);
	rc = term_load(catalog, id, term);
	kv_read_end(catalog->kv);
	return rc == -ENOENT ? err_set(ENOENT, "there is no such folder any more") : rc;
}

int catalog_term_find(struct catalog *catalog, enum facet facet, const char *text, struct term *term)
{
	int rc;

	kv_read_begin(catalog->kv);
	rc = term_find(catalog, facet, text, term);
	kv_read_end(catalog->kv);
	return rc == -ENOENT ? err_set(ENOENT, "%s: no such folder", text) : rc;
}

struct terms {
	struct term *list;
	size_t count, room;
};

static void terms_free(struct terms *terms)
{
	free(terms->list);
}
#define scope_terms SCOPE_CLEANUP(terms_free)

static int terms_add(struct terms *terms, const struct term *term)
{
	if (terms->count == terms->room) {
		size_t room = terms->room ? terms->room * 2 : 8;
		struct term *list = realloc(terms->list, room * sizeof *list);

		if (!list)
			return err_set(ENOMEM, "no memory for a list of folders");
		terms->list = list;
		terms->room = room;
	}
	terms->list[terms->count++] = *term;
	return 0;
}

/* An empty list is not NULL either. */
static int terms_take(struct terms *terms, struct term **list, size_t *count)
{
	*count = terms->count;
	*list = terms->list ? take(&terms->list) : malloc(sizeof **list);
	return *list ? 0 : err_set(ENOMEM, "no memory for a list of folders");
}

static int terms_walk(struct catalog *catalog, enum facet facet, struct terms *terms)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix = term_text_key(facet, "");
	struct term term;
	int rc = scan_begin(&w, catalog, &prefix);

	while (!rc && (rc = scan_next(&w)) == 1) {
		struct cursor c = cursor_of(w.value, w.value_len);

		rc = term_load(catalog, (uint32_t)cursor_u64(&c), &term);
		if (rc == -ENOENT)
			rc = table_damaged(catalog, TABLE_TERM);
		if (!rc && (term.kept || term.members))
			rc = terms_add(terms, &term);
	}
	return rc;
}

int catalog_terms(struct catalog *catalog, enum facet facet, struct term **list, size_t *count)
{
	scope_terms struct terms terms = { 0 };
	int rc;

	kv_read_begin(catalog->kv);
	rc = terms_walk(catalog, facet, &terms);
	kv_read_end(catalog->kv);
	return rc ? rc : terms_take(&terms, list, count);
}

int catalog_term_members(struct catalog *catalog, uint32_t id, uint32_t **datasets, size_t *count)
{
	struct table_key prefix = key_of_u32(TABLE_MEMBER, id);
	int rc;

	kv_read_begin(catalog->kv);
	rc = scan_u32(catalog, &prefix, datasets, count);
	kv_read_end(catalog->kv);
	return rc;
}

bool catalog_term_has(struct catalog *catalog, uint32_t id, uint32_t dataset)
{
	struct table_key k = key_of_u32_u32(TABLE_MEMBER, id, dataset);
	int rc;

	kv_read_begin(catalog->kv);
	rc = table_has(catalog, &k);
	kv_read_end(catalog->kv);
	return rc == 1;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct term *)a)->text, ((const struct term *)b)->text);
}

static int tags_walk(struct catalog *catalog, uint32_t dataset, struct terms *terms)
{
	scope_free uint32_t *ids = NULL;
	struct term term;
	size_t count = 0;
	int rc = terms_of(catalog, dataset, FACET_TAG, &ids, &count);

	for (size_t i = 0; !rc && i < count; i++) {
		rc = term_load(catalog, ids[i], &term);
		if (!rc)
			rc = terms_add(terms, &term);
		else if (rc == -ENOENT)
			rc = 0; /* of a removed dataset: the tag was merged into another since */
	}
	return rc;
}

int catalog_tags(struct catalog *catalog, uint32_t dataset, struct term **list, size_t *count)
{
	scope_terms struct terms terms = { 0 };
	int rc;

	kv_read_begin(catalog->kv);
	rc = tags_walk(catalog, dataset, &terms);
	kv_read_end(catalog->kv);
	if (rc)
		return rc;
	if (terms.count)
		qsort(terms.list, terms.count, sizeof *terms.list, by_text);
	return terms_take(&terms, list, count);
}

int catalog_queries(struct catalog *catalog, struct buf *texts)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix;
	int rc;

	key_begin(&prefix, TABLE_QUERY);
	kv_read_begin(catalog->kv);
	rc = scan_begin(&w, catalog, &prefix);
	while (!rc && (rc = scan_next(&w)) == 1) {
		buf_put(texts, w.key, w.key_len);
		buf_u8(texts, 0);
		rc = buf_failed(texts) ? err_set(ENOMEM, "no memory for a list of searches") : 0;
	}
	scan_end(&w);
	kv_read_end(catalog->kv);
	return rc;
}
