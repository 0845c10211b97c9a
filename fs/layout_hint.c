#include "fs/layout_hint.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/image/sidecar.h"
#include "store/err.h"

enum {
	FOLDERS_MAX = 32,
	KNOWN_MAX = 32,		/* of a folder */
	SMALL_FOLDER = 256,	/* entries; listed again whenever their number changed */
	SIDECARS_READ_MAX = 16, /* in one listing */
	SIDECAR_MOST = 1 << 20, /* larger ones are hardly about a raw volume */
};

struct known {
	char name[NAME_BYTES_MAX + 1]; /* of the file, in lower case */
	struct layout_hint hint;
	bool declared; /* by a sidecar: for this very file */
};

struct folder {
	struct folder *next; /* the one used last comes first */
	uint64_t ino;
	uint64_t listed;     /* entries that it had when it was listed; 0: it was not */
	struct known *known; /* KNOWN_MAX; owned */
	size_t count, oldest;
};

struct layout_hints {
	struct catalog *catalog;
	struct files *files;
	pthread_mutex_t lock; /* for the list */
	struct folder *folders;
	struct layout_shape shapes[LAYOUT_SHAPES]; /* the last one first */
};

struct layout_hints *layout_hints_new(struct catalog *catalog, struct files *files)
{
	struct layout_hints *h = calloc(1, sizeof *h);

	if (!h)
		return NULL;
	h->catalog = catalog;
	h->files = files;
	pthread_mutex_init(&h->lock, NULL);
	return h;
}

static void folder_free(struct folder *f)
{
	free(f->known);
	free(f);
}

void layout_hints_free(struct layout_hints *h)
{
	if (!h)
		return;
	for (struct folder *f = h->folders, *next; f; f = next) {
		next = f->next;
		folder_free(f);
	}
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* ---- what is kept ---- */

static void lower(const char *name, char to[NAME_BYTES_MAX + 1])
{
	size_t i = 0;

	for (; name[i] && i < NAME_BYTES_MAX; i++)
		to[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	to[i] = 0;
}

/* The same but for the digits: slice_0012.raw and slice_0013.raw. */
static bool alike(const char *a, const char *b)
{
	for (;;) {
		a += strspn(a, "0123456789");
		b += strspn(b, "0123456789");
		if (*a != *b)
			return false;
		if (!*a)
			return true;
		a++;
		b++;
	}
}

/* The folder's place in the list, made when it is not there; NULL: no memory. Lock held. */
static struct folder *find_folder(struct layout_hints *h, uint64_t ino)
{
	struct folder **at = &h->folders, *f;
	size_t n = 0;

	while (*at && (*at)->ino != ino && ++n < FOLDERS_MAX)
		at = &(*at)->next;
	f = *at;
	if (f)
		*at = f->next;
	if (f && f->ino != ino) { /* not used for longest */
		folder_free(f);
		f = NULL;
	}
	if (!f) {
		f = calloc(1, sizeof *f);
		if (!f)
			return NULL;
		f->ino = ino;
	}
	f->next = h->folders;
	h->folders = f;
	return f;
}

static void remember(struct layout_hints *h, uint64_t ino, const struct known *k)
{
	struct folder *f;
	size_t i = 0;

	scope_lock(&h->lock);
	f = find_folder(h, ino);
	if (f && !f->known)
		f->known = calloc(KNOWN_MAX, sizeof *f->known);
	if (!f || !f->known)
		return;
	while (i < f->count && (f->known[i].declared != k->declared || strcmp(f->known[i].name, k->name) != 0) &&
	       (k->declared || f->known[i].declared || !alike(f->known[i].name, k->name)))
		i++;
	if (i == f->count && f->count < KNOWN_MAX)
		f->count++;
	else if (i == f->count)
		i = f->oldest++ % KNOWN_MAX;
	f->known[i] = *k;
}

/* name: in lower case. */
static bool recall(struct layout_hints *h, uint64_t ino, const char *name, bool exactly, struct layout_hint *hint)
{
	struct folder *f;

	scope_lock(&h->lock);
	f = find_folder(h, ino);
	for (size_t i = 0; f && i < f->count; i++) {
		const struct known *k = &f->known[i];

		if (exactly ? !k->declared || strcmp(k->name, name) != 0 : !alike(k->name, name))
			continue;
		*hint = k->hint;
		hint->depth_known = exactly;
		return true;
	}
	return false;
}

/* ---- sidecars ---- */

/* stem: of the sidecar's name, without its suffix. */
static void declare(struct layout_hints *h, uint64_t folder, const char *sidecar, const char *name, const char *suffix,
		    const struct geometry *geo)
{
	struct known k = { .declared = true, .hint = { *geo, true } };
	const char *dot = strrchr(sidecar, '.');
	char full[2 * NAME_BYTES_MAX + 2];

	if (*name)
		snprintf(full, sizeof full, "%s", name);
	else
		snprintf(full, sizeof full, "%.*s%s", dot ? (int)(dot - sidecar) : (int)strlen(sidecar), sidecar,
			 suffix);
	if (!geometry_sane(geo))
		return;
	lower(full, k.name);
	remember(h, folder, &k);
}

/* What was found in it when it was closed. False: it was not looked into yet. */
static bool take_probe(struct layout_hints *h, uint64_t folder, const struct node_row *row)
{
	struct record_memory *memory = NULL;
	struct record_probe probe;
	bool there = catalog_probe(h->catalog, row->ino, &probe, &memory) == 0;

	for (size_t i = 0; there && i < probe.declared_count; i++) {
		const struct record_declared *d = &probe.declared[i];

		declare(h, folder, row->name, d->name, d->suffix, &d->geo);
	}
	record_memory_free(memory);
	return there;
}

static void take_bytes(struct layout_hints *h, uint64_t folder, const struct node_row *row, uint64_t size)
{
	scope_free uint8_t *bytes = malloc((size_t)size);
	scope_sidecar struct sidecar s = { 0 };
	struct file *file;
	int64_t n = -1;

	if (!bytes || file_open(h->files, row->ino, false, &file))
		return;
	n = file_read(file, 0, bytes, (size_t)size);
	file_release(file, &caller_self, false);
	if (n != (int64_t)size || sidecar_parse(row->name, bytes, (size_t)n, &s))
		return;
	for (size_t i = 0; i < s.data_count; i++)
		declare(h, folder, row->name, s.data[i].name ? s.data[i].name : "",
			s.data[i].suffix ? s.data[i].suffix : "", &s.data[i].geo);
}

static void take_sidecar(struct layout_hints *h, uint64_t folder, const struct node_row *row)
{
	uint64_t size = row->size;
	int64_t mtime;

	if (!S_ISREG(row->mode) || name_is_hidden(row->name) || take_probe(h, folder, row))
		return;
	files_peek(h->files, row->ino, &size, &mtime);
	if (size && size <= SIDECAR_MOST && sidecar_wanted(row->name, size))
		take_bytes(h, folder, row, size);
}

/* bone.raw: bone.raw.json, bone.json, bone.mhd ... */
static void look_up_usual(struct layout_hints *h, uint64_t folder, const char *name)
{
	static const char *const ends[] = { ".json", ".mhd", ".nhdr", ".vgi", ".pcr", ".info", ".xml", ".txt" };
	const char *dot = strrchr(name, '.');
	char full[NAME_BYTES_MAX + 8];
	struct node_row row;

	for (size_t i = 0; i < 2 * (sizeof ends / sizeof *ends); i++) {
		size_t stem = i % 2 || !dot ? strlen(name) : (size_t)(dot - name);

		snprintf(full, sizeof full, "%.*s%s", (int)stem, name, ends[i / 2]);
		if (strlen(full) <= NAME_BYTES_MAX && !catalog_lookup(h->catalog, folder, full, &row))
			take_sidecar(h, folder, &row);
	}
}

/* Is it time to list the folder? Notes that it was. */
static bool list_now(struct layout_hints *h, uint64_t ino, uint64_t entries)
{
	struct folder *f;
	bool now;

	scope_lock(&h->lock);
	f = find_folder(h, ino);
	if (!f)
		return false;
	now = entries <= SMALL_FOLDER ? entries != f->listed : entries >= 2 * f->listed;
	if (now)
		f->listed = entries ? entries : 1;
	return now;
}

static void list_folder(struct layout_hints *h, uint64_t folder)
{
	scope_entries struct entries entries = { 0 };
	struct node_row row;
	size_t read = 0;

	if (catalog_node(h->catalog, folder, &row) || !list_now(h, folder, row.size) ||
	    catalog_list(h->catalog, folder, &entries))
		return;
	for (size_t i = 0; i < entries.count && read < SIDECARS_READ_MAX; i++) {
		const struct entry *e = &entries.list[i];

		if (!S_ISREG(e->mode) || !sidecar_wanted(e->name, 1) || catalog_node(h->catalog, e->ino, &row))
			continue;
		take_sidecar(h, folder, &row);
		read++;
	}
}

static bool find_known(struct layout_hints *h, uint64_t folder, const char *name, struct layout_hint *hint)
{
	char own[NAME_BYTES_MAX + 1];

	lower(name, own);
	if (recall(h, folder, own, true, hint))
		return true;
	look_up_usual(h, folder, name);
	if (recall(h, folder, own, true, hint))
		return true;
	list_folder(h, folder);
	return recall(h, folder, own, true, hint) || recall(h, folder, own, false, hint);
}

bool layout_hints_find(struct layout_hints *h, uint64_t folder, const char *name, struct layout_hint *hint)
{
	bool known;

	*hint = (struct layout_hint) { 0 };
	known = find_known(h, folder, name, hint);
	scope_lock(&h->lock);
	memcpy(hint->shapes, h->shapes, sizeof h->shapes);
	return known || h->shapes[0].slice_bytes;
}

static void remember_shape(struct layout_hints *h, const struct layout_shape *shape)
{
	size_t i = 0;

	scope_lock(&h->lock);
	while (i + 1 < LAYOUT_SHAPES &&
	       (h->shapes[i].slice_bytes != shape->slice_bytes || h->shapes[i].row_bytes != shape->row_bytes ||
		h->shapes[i].sample_bytes != shape->sample_bytes))
		i++;
	memmove(h->shapes + 1, h->shapes, i * sizeof *h->shapes);
	h->shapes[0] = *shape;
}

void layout_hints_learn(struct layout_hints *h, uint64_t folder, const char *name, const struct layout *layout)
{
	struct known k = { 0 };
	struct layout_shape shape;

	if (layout_slices(layout, &shape))
		remember_shape(h, &shape);
	if (!layout_raw(layout, &k.hint))
		return;
	lower(name, k.name);
	remember(h, folder, &k);
}
