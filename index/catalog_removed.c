/*
 * catalog_removed: what is gone from folders. A name's past says which node it led to and which record ended that; the node says
 * which record removed it. When both are the same the node was removed by that name; else the name was moved away.
 */
#include "index/catalog_history.h"
#include "index/catalog_internal.h"

#include <stdlib.h>

enum {
	PAUSE_SECONDS = 60,  /* a recursive removal does not pause for longer */
	STEP_FOLDERS = 256, /* looked at under one read section */
};

/* A name that ended. */
struct ended {
	char name[NAME_BYTES_MAX + 1];
	uint64_t ino;
	uint32_t type;
	struct span span;
	bool removed;  /* and the node with it */
	bool replaced; /* the record that ended it gave the name to another node */
	bool again;    /* something of that name was made later, or is there now */
	uint32_t dataset;
};

typedef int (*ended_visit)(void *ctx, const struct ended *e);

static int ended_decode(struct catalog *catalog, const struct past *p, struct ended *e)
{
	struct node_row row;
	int rc;

	*e = (struct ended) { .span = p->span };
	if (p->key_len > NAME_BYTES_MAX || !entry_decode(p->value, p->value_len, &e->ino, &e->type))
		return table_damaged(catalog, TABLE_HISTORY);
	memcpy(e->name, p->key, p->key_len);
	rc = node_load(catalog, e->ino, &row);
	if (rc)
		return rc == -ENOENT ? 0 : rc; /* swept */
	e->removed = row.removed == p->span.until;
	e->dataset = e->removed ? row.was_top : 0;
	return 0;
}

/* Compares with what the name says now. */
static int ended_settle(struct catalog *catalog, uint64_t folder, struct ended *e)
{
	struct table_key k = key_of_u64_text(TABLE_ENTRY, folder, e->name);
	scope_buf struct buf value = { 0 };
	struct span now;
	int rc = kept_get(catalog, &k, UINT64_MAX, &value, &now);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	e->again = true;
	e->replaced = now.since.seq == e->span.until;
	return 0;
}

/* All names of a folder that ended after the horizon, by name and time. Stops at a result other than 0. In a read section. */
static int ended_walk(struct catalog *catalog, uint64_t folder, ended_visit visit, void *ctx)
{
	scope_past struct past p = { 0 };
	struct table_key prefix = key_of_u64(TABLE_ENTRY, folder);
	struct ended last = { 0 }, next;
	bool any = false;
	int rc = past_begin(&p, catalog, &prefix), more;

	while (!rc) {
		more = past_next(&p);
		if (more < 0)
			return more;
		if (more && p.span.until <= catalog->counters.horizon)
			continue;
		if (more)
			rc = ended_decode(catalog, &p, &next);
		if (!rc && any) {
			if (more && strcmp(last.name, next.name) == 0) {
				last.again = true;
				last.replaced = next.span.since.seq == last.span.until;
			} else {
				rc = ended_settle(catalog, folder, &last);
			}
			if (!rc)
				rc = visit(ctx, &last);
		}
		if (!more)
			break;
		last = next;
		any = true;
	}
	return rc;
}

/* ---- a folder's removed things ---- */

struct collecting {
	struct removed_list *out;
	size_t room;
};

static int removed_add(void *ctx, const struct ended *e)
{
	struct collecting *c = ctx;
	struct removed *r;

	if (!e->removed || e->replaced)
		return 0;
	if (c->out->count == c->room) {
		size_t more = c->room ? c->room * 2 : 16;
		struct removed *list = realloc(c->out->list, more * sizeof *list);

		if (!list)
			return err_set(ENOMEM, "no memory for %zu removed names", more);
		c->out->list = list;
		c->room = more;
	}
	r = &c->out->list[c->out->count];
	*r = (struct removed) { .ino = e->ino,
				.mode = e->type,
				.seq = e->span.until,
				.second = e->span.until_second,
				.dataset = e->dataset,
				.hidden = e->again };
	r->name = strdup(e->name);
	if (!r->name)
		return err_set(ENOMEM, "no memory for %zu removed names", c->out->count);
	c->out->count++;
	return 0;
}

int catalog_removed(struct catalog *catalog, uint64_t folder, struct removed_list *out)
{
	struct collecting c = { .out = out };
	int rc;

	*out = (struct removed_list) { 0 };
	kv_read_begin(catalog->kv);
	rc = ended_walk(catalog, folder, removed_add, &c);
	kv_read_end(catalog->kv);
	if (rc)
		removed_free(out);
	return rc;
}

void removed_free(struct removed_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->list[i].name);
	free(list->list);
	*list = (struct removed_list) { 0 };
}

/* ---- when a removal began ---- */

struct event {
	uint64_t seq;
	uint32_t second;
};

struct events {
	struct event *list;
	size_t count, room;
	struct numbers folders; /* still to be looked into */
};

static int event_add(void *ctx, const struct ended *e)
{
	struct events *ev = ctx;

	if (!e->removed || e->replaced)
		return 0;
	if (ev->count == ev->room) {
		size_t more = ev->room ? ev->room * 2 : 64;
		struct event *list = realloc(ev->list, more * sizeof *list);

		if (!list)
			return err_set(ENOMEM, "no memory for %zu removed names", more);
		ev->list = list;
		ev->room = more;
	}
	ev->list[ev->count++] = (struct event) { e->span.until, e->span.until_second };
	return S_ISDIR(e->type) ? numbers_add(&ev->folders, e->ino) : 0;
}

static int event_newest_first(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return (x->seq < y->seq) - (x->seq > y->seq);
}

/* The record that removed the node, and when. */
static int removal_of(struct catalog *catalog, uint64_t ino, struct event *event)
{
	scope_buf struct buf value = { 0 };
	struct node_row row;
	struct table_key k;
	struct span span;
	int rc = node_load(catalog, ino, &row);

	if (!rc && !row.removed)
		rc = err_set(EINVAL, "%s: was not removed", row.name);
	if (rc)
		return rc;
	k = key_of_u64_text(TABLE_ENTRY, row.parent, row.name);
	rc = kept_get(catalog, &k, row.removed - 1, &value, &span);
	event->seq = row.removed;
	event->second = rc ? 0 : span.until_second;
	return rc == -ENOENT ? table_damaged(catalog, TABLE_HISTORY) : rc;
}

static uint64_t burst_began(struct events *ev, struct event last)
{
	if (ev->count)
		qsort(ev->list, ev->count, sizeof *ev->list, event_newest_first);
	for (size_t i = 0; i < ev->count; i++) {
		if (ev->list[i].seq > last.seq)
			continue;
		if (last.second > ev->list[i].second && last.second - ev->list[i].second > PAUSE_SECONDS)
			break;
		last = ev->list[i];
	}
	return last.seq - 1;
}

int catalog_removal_began(struct catalog *catalog, uint64_t ino, uint64_t *seq)
{
	struct events ev = { 0 };
	struct event last;
	int rc;

	kv_read_begin(catalog->kv);
	rc = removal_of(catalog, ino, &last);
	kv_read_end(catalog->kv);
	if (!rc)
		rc = numbers_add(&ev.folders, ino);
	while (!rc && ev.folders.count) {
		uint64_t folder = ev.folders.list[--ev.folders.count];

		kv_read_begin(catalog->kv);
		rc = ended_walk(catalog, folder, event_add, &ev);
		kv_read_end(catalog->kv);
	}
	if (!rc) {
		uint64_t horizon = catalog_horizon(catalog);

		*seq = burst_began(&ev, last);
		*seq = *seq < horizon ? horizon : *seq;
	}
	numbers_free(&ev.folders);
	free(ev.list);
	return rc;
}

/* ---- folders with a past ---- */

static int stop_at_removed(void *ctx, const struct ended *e)
{
	(void)ctx;
	return e->removed && !e->replaced;
}

static int stop_at_version(void *ctx, const struct ended *e)
{
	(void)ctx;
	return S_ISREG(e->type) && e->again;
}

/* The folder and those above it, when it is there. */
static int add_with_parents(struct catalog *catalog, uint64_t folder, struct numbers *found)
{
	struct node_row row;
	int rc = 0;

	for (unsigned level = 0; !rc && folder; level++, folder = row.parent) {
		rc = level < LEVELS_MAX ? node_load(catalog, folder, &row) : table_damaged(catalog, TABLE_NODE);
		if (rc == -ENOENT || (!rc && !row.nlink))
			return 0;
		if (!rc)
			rc = numbers_add(found, folder);
	}
	return rc;
}

/* The number behind the prefix of the first row at or after *at; 0: there is none. */
static int next_number(struct catalog *catalog, enum table table, uint64_t *at)
{
	scope_scan struct scan w = { 0 };
	struct table_key bare, prefix, from;
	int rc;

	key_begin(&bare, table);
	prefix = past_prefix(&bare);
	from = prefix;
	key_u64(&from, *at);
	rc = scan_from(&w, catalog, &prefix, &from);
	if (!rc)
		rc = scan_next(&w);
	if (rc == 1 && w.key_len < 17)
		return table_damaged(catalog, TABLE_HISTORY);
	*at = rc == 1 ? read_u64(w.key) : 0;
	return rc < 0 ? rc : 0;
}

/* Folders in which names ended, from *at on. */
static int step_folders(struct catalog *catalog, ended_visit stop, uint64_t *at, struct numbers *found)
{
	int rc = 0;

	for (unsigned i = 0; !rc && i < STEP_FOLDERS; i++) {
		rc = next_number(catalog, TABLE_ENTRY, at);
		if (rc || !*at)
			break;
		rc = ended_walk(catalog, *at, stop, NULL);
		if (rc == 1)
			rc = add_with_parents(catalog, *at, found);
		++*at;
	}
	return rc;
}

/* Folders of files whose content ended, from file *at on. */
static int step_files(struct catalog *catalog, uint64_t *at, struct numbers *found)
{
	struct node_row row;
	uint64_t last = 0;
	int rc = 0;

	for (unsigned i = 0; !rc && i < STEP_FOLDERS; i++) {
		rc = next_number(catalog, TABLE_CONTENT, at);
		if (rc || !*at)
			break;
		rc = node_load(catalog, (*at)++, &row);
		if (!rc && row.nlink && row.parent != last)
			rc = add_with_parents(catalog, last = row.parent, found);
		if (rc == -ENOENT)
			rc = 0;
	}
	return rc;
}

static int number_order(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void sort_unique(struct numbers *n)
{
	size_t kept = 0;

	if (n->count)
		qsort(n->list, n->count, sizeof *n->list, number_order);
	for (size_t i = 0; i < n->count; i++)
		if (!kept || n->list[kept - 1] != n->list[i])
			n->list[kept++] = n->list[i];
	n->count = kept;
}

int catalog_history_folders(struct catalog *catalog, enum history_kind kind, uint64_t **list, size_t *count)
{
	ended_visit stop = kind == HISTORY_REMOVED ? stop_at_removed : stop_at_version;
	scope_numbers struct numbers found = { 0 };
	uint64_t at = 1;
	int rc = 0;

	while (!rc && at) {
		kv_read_begin(catalog->kv);
		rc = step_folders(catalog, stop, &at, &found);
		kv_read_end(catalog->kv);
	}
	at = kind == HISTORY_VERSIONS;
	while (!rc && at) {
		kv_read_begin(catalog->kv);
		rc = step_files(catalog, &at, &found);
		kv_read_end(catalog->kv);
	}
	if (rc)
		return rc;
	sort_unique(&found);
	*list = found.list;
	*count = found.count;
	found = (struct numbers) { 0 };
	return 0;
}
