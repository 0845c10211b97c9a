/*
 * catalog_arrive: how nodes become datasets, what they are called, and how they go.
 *
 * Identity. What a person takes for "the same dataset" must keep its number: a move or rename takes it along; a file
 * renamed over it (rsync, GNOME) inherits it; and so does KDE's NAME.part that is renamed to NAME shortly after NAME
 * was removed.
 */
#include "index/catalog_internal.h"

#include <stdio.h>
#include <xxhash.h>

enum { ID_DIGITS = 10, REVIVE_SECONDS = 60, SECOND_NS = 1000000000 };

bool dataset_wanted(const struct node_row *row)
{
	return row->parent == INO_DATASETS && !row->dataset && (S_ISREG(row->mode) || S_ISDIR(row->mode)) &&
	       !name_never_dataset(row->name);
}

/* 50 bits of a hash in Crockford's base32 ("k7m2q-9x4wd"). attempt: for the rare case that an id is taken. */
static void id_make(const uint8_t *store, uint32_t number, uint32_t attempt, char id[DATASET_ID_TEXT])
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	uint8_t raw[STORE_ID_BYTES + 8];
	uint64_t hash;

	memcpy(raw, store, STORE_ID_BYTES);
	for (size_t i = 0; i < 4; i++) {
		raw[STORE_ID_BYTES + i] = (uint8_t)(number >> (8 * i));
		raw[STORE_ID_BYTES + 4 + i] = (uint8_t)(attempt >> (8 * i));
	}
	hash = XXH3_64bits(raw, sizeof raw);
	for (size_t i = 0; i < ID_DIGITS; i++, hash >>= 5)
		*id++ = digits[hash & 31], i == ID_DIGITS / 2 - 1 ? *id++ = '-' : 0;
	*id = 0;
}

static int id_give(struct change *ch, struct dataset *d)
{
	struct table_key k;
	int rc = 1;

	for (uint32_t attempt = 0; rc == 1; attempt++) {
		id_make(store_id(ch->catalog->store), d->row.number, attempt, d->row.id);
		k = key_of_text(TABLE_ID, d->row.id);
		rc = table_has(ch->catalog, &k);
	}
	if (!rc)
		table_put_u64(ch->catalog, &k, d->row.number);
	return rc;
}

/* "NAME (WHAT)"; a NAME that is too long is cut. */
static void name_with(char to[NAME_BYTES_MAX + 1], const char *name, const char *what, uint32_t count)
{
	char tail[NAME_BYTES_MAX + 32];
	size_t len, keep;

	snprintf(tail, sizeof tail, count ? " (%s %u)" : " (%s)", what, count);
	len = strlen(tail);
	keep = len < NAME_BYTES_MAX ? utf8_prefix(name, NAME_BYTES_MAX - len) : 0;
	snprintf(to, NAME_BYTES_MAX + 1, "%.*s%s", (int)keep, name, tail);
}

static int name_taken(struct catalog *catalog, const char *name)
{
	struct table_key k = key_of_text(TABLE_NAME, name);

	return table_has(catalog, &k);
}

/* NAME, else NAME (PARENT), else NAME (id). */
static int name_choose(struct catalog *catalog, struct dataset *d, const struct node_row *top)
{
	struct node_row parent;
	int rc;

	strcpy(d->row.name, top->name);
	rc = name_taken(catalog, d->row.name);
	if (rc == 1 && top->parent != INO_DATASETS) {
		rc = node_load(catalog, top->parent, &parent);
		if (rc)
			return rc;
		rc = 1;
		if (strlen(top->name) + strlen(parent.name) + 3 <= NAME_BYTES_MAX) {
			name_with(d->row.name, top->name, parent.name, 0);
			rc = name_taken(catalog, d->row.name);
		}
	}
	for (uint32_t count = 0; rc == 1; count++) {
		name_with(d->row.name, top->name, d->row.id, count ? count + 1 : 0);
		rc = name_taken(catalog, d->row.name);
	}
	return rc;
}

static void name_store(struct change *ch, const struct dataset *d)
{
	struct table_key k = key_of_text(TABLE_NAME, d->row.name);

	table_put_u64(ch->catalog, &k, d->row.number);
}

static int name_release(struct change *ch, const struct dataset *d)
{
	struct table_key k = key_of_text(TABLE_NAME, d->row.name);
	uint64_t number = 0;
	int rc = table_get_u64(ch->catalog, &k, &number);

	if (!rc && number == d->row.number)
		table_del(ch->catalog, &k);
	return rc == -ENOENT ? 0 : rc;
}

int dataset_release_name(struct change *ch, uint32_t number)
{
	struct dataset d;
	int rc = number ? dataset_load(ch->catalog, number, &d) : 0;

	return rc || !number ? rc : name_release(ch, &d);
}

int dataset_follow_name(struct change *ch, uint32_t number, const struct node_row *top)
{
	struct dataset d;
	int rc = dataset_load(ch->catalog, number, &d);

	if (!rc)
		rc = name_release(ch, &d);
	if (!rc)
		rc = name_choose(ch->catalog, &d, top);
	if (rc)
		return rc;
	name_store(ch, &d);
	return dataset_store(ch->catalog, &d);
}

int user_store(struct change *ch, uint32_t uid, const char *name)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u32(TABLE_USER, uid);
	size_t len = utf8_prefix(name, NAME_BYTES_MAX);
	int rc = len ? table_get(ch->catalog, &k, &value) : 0;

	if (!len || (rc && rc != -ENOENT) || (!rc && value.len == len && memcmp(value.data, name, len) == 0))
		return rc == -ENOENT ? 0 : rc;
	buf_clear(&value);
	buf_put(&value, name, len);
	return table_put(ch->catalog, &k, &value);
}

int dataset_own(struct change *ch, struct dataset *d, uint32_t uid)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u32(TABLE_USER, uid);
	char text[FOLDER_NAME_ROOM];
	int rc = table_get(ch->catalog, &k, &value);

	if (rc && rc != -ENOENT)
		return rc;
	if (rc)
		snprintf(d->row.owner, sizeof d->row.owner, "%u", uid);
	else
		snprintf(d->row.owner, sizeof d->row.owner, "%.*s",
			 (int)utf8_prefix(buf_text(&value), sizeof d->row.owner - 1), buf_text(&value));
	name_fit(d->row.owner, text);
	return term_assign(ch, d->row.number, FACET_OWNER, text);
}

/* The node is its top from now on. */
static int set_top(struct change *ch, struct dataset *d, struct node_row *row)
{
	int rc = dataset_own(ch, d, row->uid);

	d->row.ino = row->ino;
	row->dataset = d->row.number;
	if (!rc)
		rc = node_store(ch->catalog, row);
	return rc ? rc : dataset_store(ch->catalog, d);
}

int dataset_create(struct change *ch, struct node_row *row)
{
	struct dataset d = { .row = { .number = ch->catalog->counters.dataset++,
				      .arrived_ns = ch->time_ns,
				      .state = STATE_RECEIVING,
				      .role = ROLE_DATASET } };
	int rc;

	if (d.row.number > DATASET_NUMBER_MAX)
		return node_store(ch->catalog, row); /* there are no more numbers: it stays a plain file */
	ch->catalog->counters.dataset++;
	rc = id_give(ch, &d);
	if (!rc)
		rc = name_choose(ch->catalog, &d, row);
	if (rc)
		return rc;
	name_store(ch, &d);
	dataset_set_day(ch, &d, day_of_ns(d.row.arrived_ns));
	return set_top(ch, &d, row);
}

int dataset_adopt(struct change *ch, uint32_t number, struct node_row *row)
{
	struct dataset d;
	int rc = dataset_load(ch->catalog, number, &d);

	return rc ? rc : set_top(ch, &d, row);
}

static struct table_key gone_key(const struct node_row *top)
{
	return key_of_u64_text(TABLE_GONE, top->parent, top->name);
}

int dataset_remove(struct change *ch, uint32_t number, const struct node_row *top)
{
	struct table_key k = key_of_u32(TABLE_DATASET, number), gone = gone_key(top);
	struct dataset d;
	int rc = dataset_load(ch->catalog, number, &d);

	if (!rc)
		rc = name_release(ch, &d);
	if (!rc)
		rc = images_drop(ch, number);
	if (!rc)
		rc = terms_leave(ch, number);
	if (rc)
		return rc;
	table_del(ch->catalog, &k);
	table_put_u64(ch->catalog, &gone, number);
	d.row.removed = true;
	d.removed_ns = ch->time_ns;
	dataset_set_day(ch, &d, d.row.day);
	return dataset_store(ch->catalog, &d);
}

int dataset_return(struct change *ch, struct dataset *d, struct node_row *row)
{
	struct table_key k = key_of_u32(TABLE_REMOVED, d->row.number);
	int rc;

	table_del(ch->catalog, &k);
	d->row.removed = false;
	d->row.state = STATE_RECEIVING;
	d->row.note[0] = 0;
	rc = name_taken(ch->catalog, d->row.name);
	if (rc == 1)
		rc = name_choose(ch->catalog, d, row);
	if (rc)
		return rc;
	name_store(ch, d);
	dataset_set_day(ch, d, d->row.day);
	rc = terms_return(ch, d->row.number);
	if (!rc)
		rc = set_top(ch, d, row);
	return rc ? rc : facts_derive(ch, d->row.number);
}

static bool is_part_of(const char *part, const char *name)
{
	size_t n = strlen(name);

	return strncmp(part, name, n) == 0 && strcmp(part + n, ".part") == 0;
}

int dataset_revive(struct change *ch, struct node_row *row, const char *old_name, bool *done)
{
	struct table_key gone = gone_key(row);
	struct dataset d;
	uint64_t number;
	int rc = is_part_of(old_name, row->name) ? table_get_u64(ch->catalog, &gone, &number) : -ENOENT;

	if (!rc)
		rc = dataset_load(ch->catalog, (uint32_t)number, &d);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if (!d.row.removed || ch->time_ns < d.removed_ns ||
	    ch->time_ns - d.removed_ns > (int64_t)REVIVE_SECONDS * SECOND_NS)
		return 0;
	*done = true;
	table_del(ch->catalog, &gone);
	return dataset_return(ch, &d, row);
}

int dataset_count(struct change *ch, uint32_t number, uint64_t bytes, uint64_t files)
{
	struct dataset d;
	int rc;

	if (!number || (!bytes && !files))
		return 0;
	rc = dataset_load(ch->catalog, number, &d);
	if (rc)
		return rc;
	d.row.bytes += bytes;
	d.row.files += files;
	return dataset_store(ch->catalog, &d);
}

/* Each file once: by its first name. */
static int push_entries(struct catalog *catalog, uint64_t folder, struct numbers *stack)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix = key_of_u64(TABLE_ENTRY, folder);
	int rc = scan_begin(&w, catalog, &prefix);

	while (!rc && (rc = scan_next(&w)) == 1) {
		struct cursor c = cursor_of(w.value, w.value_len);
		uint64_t ino = cursor_varint(&c), type = cursor_varint(&c);

		if (cursor_failed(&c))
			rc = table_damaged(catalog, TABLE_ENTRY);
		else
			rc = type & ENTRY_FURTHER ? 0 : numbers_add(stack, ino);
	}
	return rc;
}

int subtree_move(struct change *ch, uint64_t ino, uint32_t from, uint32_t to)
{
	scope_numbers struct numbers stack = { 0 };
	uint64_t bytes = 0, files = 0;
	struct node_row row;
	int rc = numbers_add(&stack, ino);

	while (!rc && stack.count) {
		uint64_t at = stack.list[--stack.count];

		rc = node_load(ch->catalog, at, &row);
		if (rc || (row.dataset && at != ino))
			continue; /* what is a dataset of its own takes nothing from this one */
		if (S_ISDIR(row.mode)) {
			rc = push_entries(ch->catalog, at, &stack);
		} else if (S_ISREG(row.mode)) {
			bytes += row.size;
			files++;
			rc = facts_move(ch, at, from, to);
		}
	}
	if (!rc)
		rc = dataset_count(ch, from, -bytes, -files);
	if (!rc)
		rc = dataset_count(ch, to, bytes, files);
	if (!rc && from)
		rc = facts_derive(ch, from);
	return rc || !to ? rc : facts_derive(ch, to);
}

static int check_dataset(struct change *ch, struct node_row *row, uint32_t *from)
{
	const struct record *r = ch->record;
	int rc = node_load(ch->catalog, r->dataset.ino, row);

	if (!rc && !row->nlink)
		rc = err_set(ENOENT, "%s: was removed", row->name);
	if (!rc && (row->ino < INO_FIRST || (!S_ISREG(row->mode) && !S_ISDIR(row->mode))))
		rc = err_set(EINVAL, "%s: cannot be a dataset", row->name);
	if (!rc && (r->dataset.state > STATE_INCOMPLETE || r->dataset.role > ROLE_COLLECTION))
		rc = err_set(EINVAL, "%s: state %u or role %u is not known", row->name, (unsigned)r->dataset.state,
			     (unsigned)r->dataset.role);
	if (!rc && r->dataset.role == ROLE_COLLECTION && !S_ISDIR(row->mode))
		rc = err_set(ENOTDIR, "%s: only a folder can be a collection", row->name);
	if (!rc && has_links(row))
		rc = err_set(EMLINK, "%s: a file of several names cannot be a dataset", row->name);
	if (!rc && !row->dataset && !r->dataset.role)
		rc = err_set(ENOENT, "%s: is not a dataset", row->name);
	if (!rc && ch->catalog->counters.dataset > DATASET_NUMBER_MAX)
		rc = err_set(ENOSPC, "%s: there are too many datasets", row->name);
	return rc ? rc : dataset_above(ch->catalog, row, from);
}

int apply_dataset(struct change *ch)
{
	const struct record *r = ch->record;
	struct node_row row;
	struct dataset d;
	uint32_t from;
	bool is_new;
	int rc = check_dataset(ch, &row, &from);

	if (!rc)
		rc = change_accept(ch);
	if (rc)
		return rc;
	is_new = !row.dataset;
	if (is_new)
		rc = dataset_create(ch, &row);
	if (!rc)
		rc = dataset_load(ch->catalog, row.dataset, &d);
	if (rc)
		return rc;
	if (r->dataset.role)
		d.row.role = r->dataset.role;
	if (r->dataset.state == STATE_READY)
		d.row.ready = ch->catalog->now.seq;
	if (r->dataset.state) {
		d.row.state = r->dataset.state;
		snprintf(d.row.note, sizeof d.row.note, "%.*s",
			 (int)utf8_prefix(r->dataset.note, sizeof d.row.note - 1), r->dataset.note);
	}
	rc = dataset_store(ch->catalog, &d);
	return rc || !is_new ? rc : subtree_move(ch, row.ino, from, row.dataset);
}
