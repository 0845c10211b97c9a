#include <errno.h>
#include <string.h>

#include "fs/ahead_internal.h"
#include "fs/fs.h"
#include "fs/natural.h"
#include "store/err.h"

static int by_natural_name(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	return natural_compare((*x)->name, (*y)->name);
}

static int by_ino(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Pointers to the regular files among the entries, in their order. */
static size_t files_of(const struct entries *entries, const struct entry **files)
{
	size_t n = 0;

	for (size_t i = 0; i < entries->count; i++)
		if (S_ISREG(entries->list[i].mode))
			files[n++] = &entries->list[i];
	return n;
}

static bool is_natural(const struct entry **files, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (natural_compare(files[i - 1]->name, files[i]->name) > 0)
			return false;
	return true;
}

static uint64_t *numbers_of(const struct entry **files, size_t count)
{
	uint64_t *list = malloc((count ? count : 1) * sizeof *list);

	for (size_t i = 0; list && i < count; i++)
		list[i] = files[i]->ino;
	return list;
}

static void rank(struct order *o, enum order_kind kind)
{
	for (size_t i = 0; i < o->count; i++) {
		struct place key = { .ino = o->list[kind][i] };
		struct place *p = bsearch(&key, o->places, o->count, sizeof *p, by_ino);

		if (p)
			p->rank[kind] = (uint32_t)i;
	}
}

/* files: in byte order of names, as the catalog lists them. */
static int fill(struct order *o, const struct entry **files)
{
	bool one = is_natural(files, o->count);

	o->places = calloc(o->count ? o->count : 1, sizeof *o->places);
	if (!one) {
		o->list[ORDER_BYTES] = numbers_of(files, o->count);
		qsort(files, o->count, sizeof *files, by_natural_name);
	}
	o->list[ORDER_NATURAL] = numbers_of(files, o->count);
	if (!o->places || !o->list[ORDER_NATURAL] || (!one && !o->list[ORDER_BYTES]))
		return err_set(ENOMEM, "no memory to read ahead");
	for (size_t i = 0; i < o->count; i++)
		o->places[i].ino = o->list[ORDER_NATURAL][i];
	qsort(o->places, o->count, sizeof *o->places, by_ino);
	rank(o, ORDER_NATURAL);
	if (!one)
		rank(o, ORDER_BYTES);
	return 0;
}

int order_load(struct order *o, struct catalog *catalog, uint64_t folder)
{
	scope_entries struct entries entries = { 0 };
	struct node_row row;
	int rc = catalog_node(catalog, folder, &row);

	order_free(o);
	if (!rc)
		rc = catalog_list(catalog, folder, &entries);
	if (rc)
		return rc;
	scope_free const struct entry **files = malloc((entries.count + 1) * sizeof(*files));
	if (!files)
		return err_set(ENOMEM, "no memory to read ahead");
	o->count = entries.count <= ORDER_FILES_MAX ? files_of(&entries, files) : 0;
	rc = fill(o, files);
	if (rc) {
		order_free(o);
		return rc;
	}
	o->folder = folder;
	o->mtime_ns = row.mtime_ns;
	o->made_ns = now_ns();
	return 0;
}

void order_free(struct order *o)
{
	for (int kind = 0; kind < ORDER_KINDS; kind++)
		free(o->list[kind]);
	free(o->places);
	*o = (struct order){ 0 };
}

const struct place *order_find(const struct order *o, uint64_t ino)
{
	struct place key = { .ino = ino };

	return o->count ? bsearch(&key, o->places, o->count, sizeof key, by_ino) : NULL;
}
