/*
 * catalog_search: every dataset against a query, a chunk of them at a time: rows are read under a short read section,
 * allowed() is asked without it, the texts of the allowed ones are read under another, and matched without it.
 */
#include "index/catalog_internal.h"

#include <stdio.h>
#include <time.h>

enum { CHUNK = 64 };

/* Values are offsets into one buffer until all are there (it moves as it grows). */
struct subject {
	struct buf text;
	struct numbers at; /* pairs: field, value */
};

static void subject_free(struct subject *s)
{
	buf_free(&s->text);
	numbers_free(&s->at);
}

static int subject_put(struct subject *s, const char *text)
{
	size_t at = s->text.len;

	buf_put(&s->text, text, strlen(text) + 1);
	return buf_failed(&s->text) ? err_set(ENOMEM, "no memory to search") : numbers_add(&s->at, at);
}

static int subject_add(struct subject *s, const char *field, const char *value)
{
	int rc = subject_put(s, field);

	return rc ? rc : subject_put(s, value);
}

static int __attribute__((format(printf, 3, 4)))
subject_addf(struct subject *s, const char *field, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return subject_add(s, field, text);
}

/* UTC; with the time of day or without. */
static int add_time(struct subject *s, const char *field, time_t t, bool whole)
{
	char text[64] = "";
	struct tm tm;

	if (gmtime_r(&t, &tm))
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (!whole)
		text[strcspn(text, "T")] = 0;
	return subject_add(s, field, text);
}

static int add_row(struct subject *s, const struct dataset_row *row)
{
	static const char *const states[] = { "", "receiving", "ready", "incomplete" };
	int rc = subject_add(s, "name", row->name);

	if (!rc)
		rc = subject_add(s, "id", row->id);
	if (!rc)
		rc = subject_add(s, "owner", row->owner);
	if (!rc)
		rc = subject_add(s, "state", row->state <= STATE_INCOMPLETE ? states[row->state] : "");
	if (!rc)
		rc = subject_add(s, "role", row->role == ROLE_COLLECTION ? "collection" : "dataset");
	if (!rc)
		rc = subject_addf(s, "bytes", "%llu", (unsigned long long)row->bytes);
	if (!rc)
		rc = add_time(s, "arrived", (time_t)(row->arrived_ns / 1000000000), true);
	return rc ? rc : add_time(s, "date", (time_t)row->day * 86400, false);
}

static int add_place(struct catalog *catalog, struct subject *s, const struct dataset_row *row)
{
	scope_free char *path = NULL;
	int rc = node_path(catalog, row->ino, &path);

	return rc ? rc : subject_add(s, "place", path);
}

static int add_tags(struct catalog *catalog, struct subject *s, uint32_t dataset)
{
	scope_free uint32_t *ids = NULL;
	struct term term;
	size_t count = 0;
	int rc = terms_of(catalog, dataset, FACET_TAG, &ids, &count);

	for (size_t i = 0; !rc && i < count; i++) {
		rc = term_load(catalog, ids[i], &term);
		if (!rc)
			rc = subject_add(s, "tag", term.text);
	}
	return rc;
}

static bool is_own(const char *field)
{
	static const char *const own[] = { "name",  "place",   "id",   "owner", "state", "role",
					   "bytes", "arrived", "date", "tag",	"shape", "dtype" };

	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (strcmp(field, own[i]) == 0)
			return true;
	return false;
}

static int add_facts(struct catalog *catalog, struct subject *s, uint32_t dataset, bool *kind, bool *voxel)
{
	scope_facts struct facts facts = { 0 };
	int rc = facts_load(catalog, dataset, &facts);

	for (size_t i = 0; !rc && i < facts.count; i++) {
		const struct fact *f = &facts.list[i];

		*kind |= strcmp(f->field, "kind") == 0;
		*voxel |= strcmp(f->field, "voxel_size_um") == 0;
		if (f->effective && !is_own(f->field))
			rc = subject_add(s, f->field, f->value);
	}
	return rc;
}

/* What the main image says, where no fact says it. */
static int add_image(struct catalog *catalog, struct subject *s, uint32_t dataset, bool kind, bool voxel)
{
	struct geometry g;
	int rc = image_main(catalog, dataset, &g);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	rc = subject_addf(s, "shape", "%llu,%llu,%llu", (unsigned long long)g.depth, (unsigned long long)g.height,
			  (unsigned long long)g.width);
	if (!rc)
		rc = subject_add(s, "dtype", voxel_name(g.type));
	if (!rc && !kind)
		rc = subject_add(s, "kind", g.depth > 1 ? "volume" : "image");
	if (!rc && !voxel && g.voxel_um[1] > 0 && g.voxel_um[2] > 0)
		rc = subject_addf(s, "voxel_size_um", "%.9g,%.9g,%.9g", g.voxel_um[0], g.voxel_um[1], g.voxel_um[2]);
	return rc;
}

/* In a read section. */
static int subject_load(struct catalog *catalog, const struct dataset_row *row, struct subject *s)
{
	bool kind = false, voxel = false;
	int rc = add_row(s, row);

	if (!rc)
		rc = add_place(catalog, s, row);
	if (!rc)
		rc = add_tags(catalog, s, row->number);
	if (!rc)
		rc = add_facts(catalog, s, row->number, &kind, &voxel);
	return rc ? rc : add_image(catalog, s, row->number, kind, voxel);
}

static int subject_match(const struct subject *s, const struct query *query, bool *matches)
{
	size_t count = s->at.count / 2;
	scope_free struct query_value *values = malloc((count + 1) * sizeof *values);
	struct query_subject subject = { .values = values, .count = count };

	if (!values)
		return err_set(ENOMEM, "no memory to search");
	for (size_t i = 0; i < count; i++) {
		values[i].field = (const char *)s->text.data + s->at.list[2 * i];
		values[i].value = (const char *)s->text.data + s->at.list[2 * i + 1];
	}
	*matches = query_match(query, &subject);
	return 0;
}

struct search {
	struct catalog *catalog;
	const struct query *query;
	bool (*allowed)(void *ctx, const struct dataset_row *row);
	void *ctx;
	struct numbers found;
	struct dataset_row rows[CHUNK];
	struct subject subjects[CHUNK];
};

static int load_rows(struct search *s, const uint32_t *numbers, size_t count, size_t *loaded)
{
	struct dataset d;
	int rc = 0;

	*loaded = 0;
	kv_read_begin(s->catalog->kv);
	for (size_t i = 0; !rc && i < count; i++) {
		rc = dataset_load(s->catalog, numbers[i], &d);
		if (rc == -ENOENT)
			rc = 0;
		else if (!rc && !d.row.removed)
			s->rows[(*loaded)++] = d.row;
	}
	kv_read_end(s->catalog->kv);
	return rc;
}

/* One that was removed meanwhile has no subject and does not match. */
static int load_subjects(struct search *s, size_t count)
{
	int rc = 0;

	kv_read_begin(s->catalog->kv);
	for (size_t i = 0; !rc && i < count; i++) {
		rc = subject_load(s->catalog, &s->rows[i], &s->subjects[i]);
		if (rc == -ENOENT) {
			subject_free(&s->subjects[i]);
			rc = 0;
		}
	}
	kv_read_end(s->catalog->kv);
	return rc;
}

static int search_chunk(struct search *s, const uint32_t *numbers, size_t count)
{
	size_t loaded, kept = 0;
	int rc = load_rows(s, numbers, count, &loaded);

	for (size_t i = 0; !rc && i < loaded; i++)
		if (!s->allowed || s->allowed(s->ctx, &s->rows[i]))
			s->rows[kept++] = s->rows[i];
	if (!rc)
		rc = load_subjects(s, kept);
	for (size_t i = 0; !rc && i < kept; i++) {
		bool matches = false;

		if (s->subjects[i].at.count)
			rc = subject_match(&s->subjects[i], s->query, &matches);
		if (!rc && matches)
			rc = numbers_add(&s->found, s->rows[i].number);
	}
	for (size_t i = 0; i < kept; i++)
		subject_free(&s->subjects[i]);
	return rc;
}

int catalog_search(struct catalog *catalog, const struct query *query,
		   bool (*allowed)(void *ctx, const struct dataset_row *row), void *ctx, uint32_t **list, size_t *count)
{
	scope_free struct search *s = calloc(1, sizeof *s);
	scope_free uint32_t *all = NULL;
	size_t total = 0;
	int rc = s ? catalog_datasets(catalog, &all, &total) : err_set(ENOMEM, "no memory to search");

	if (rc)
		return rc;
	*s = (struct search) { .catalog = catalog, .query = query, .allowed = allowed, .ctx = ctx };
	for (size_t i = 0; !rc && i < total; i += CHUNK)
		rc = search_chunk(s, all + i, total - i < CHUNK ? total - i : CHUNK);
	*list = rc ? NULL : malloc((s->found.count + 1) * sizeof **list);
	if (!rc && !*list)
		rc = err_set(ENOMEM, "no memory to search");
	for (size_t i = 0; !rc && i < s->found.count; i++)
		(*list)[i] = (uint32_t)s->found.list[i];
	*count = s->found.count;
	numbers_free(&s->found);
	return rc;
}
