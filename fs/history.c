#include "fs/history.h"

#include <errno.h>
#include <string.h>

#include "fs/content.h"
#include "index/acl.h"
#include "store/err.h"

enum {
	MAPS = 8,	/* old files that are open for reading */
	REMOVALS = 256, /* of removed folders, worked out lately */
};

/* The content map of one old file. */
struct past_map {
	pthread_mutex_t lock;
	uint64_t number; /* 0: free */
	uint64_t used;	 /* when, of history->clock */
	struct content_map *map;
	unsigned refs;
};

struct folder_set {
	uint64_t version; /* of the catalog; 0: not made */
	uint64_t *list;	  /* ascending */
	size_t count;
};

struct history {
	pthread_mutex_t lock; /* for all but the maps' own and the sets */
	struct past_map maps[MAPS];
	uint64_t clock;
	struct {
		uint64_t ino, removed, seq;
	} removals[REMOVALS];
	pthread_mutex_t sets_lock;
	struct folder_set sets[2];
};

int history_new(struct history **out, struct fs *fs)
{
	struct history *h = calloc(1, sizeof *h);

	(void)fs;
	if (!h)
		return err_set(ENOMEM, "no memory for history");
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_init(&h->sets_lock, NULL);
	for (size_t i = 0; i < MAPS; i++)
		pthread_mutex_init(&h->maps[i].lock, NULL);
	*out = h;
	return 0;
}

void history_free(struct history *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < MAPS; i++) {
		content_free(h->maps[i].map);
		pthread_mutex_destroy(&h->maps[i].lock);
	}
	for (size_t i = 0; i < 2; i++)
		free(h->sets[i].list);
	pthread_mutex_destroy(&h->sets_lock);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

/* ---- numbers ---- */

static int make_number(uint64_t moment, uint64_t ino, uint64_t *number)
{
	if (ino >> PAST_INO_BITS || moment >> PAST_MOMENT_BITS)
		return err_set(EOVERFLOW, "node %llu at that moment has too large a number to be shown in history/",
			       (unsigned long long)ino);
	*number = NODE_PAST | moment << PAST_INO_BITS | ino;
	return 0;
}

int place_number(enum past_place place, uint64_t ino, uint64_t *number)
{
	return make_number(place, ino, number);
}

int past_number(uint64_t seq, uint64_t ino, uint64_t *number)
{
	return make_number(seq + PLACE_MOMENTS, ino, number);
}

bool past_of_number(uint64_t number, enum past_place *place, uint64_t *seq, uint64_t *ino)
{
	uint64_t moment = number >> PAST_INO_BITS & ((1ULL << PAST_MOMENT_BITS) - 1);

	*ino = number & ((1ULL << PAST_INO_BITS) - 1);
	*place = moment < PLACE_MOMENTS ? (enum past_place)moment : PLACE_MOMENTS;
	*seq = moment < PLACE_MOMENTS ? 0 : moment - PLACE_MOMENTS;
	return moment >= PLACE_MOMENTS || (moment >= PLACE_TRASH && moment <= PLACE_OLD);
}

/* ---- permission ---- */

/* What access lists say is not worked out here. */
static bool has_list(struct fs *fs, uint64_t seq, uint64_t ino)
{
	scope_buf struct buf value = { 0 };

	return !catalog_xattr(fs->catalog, ino, ACL_NAME_ACCESS, &value) ||
	       !catalog_xattr_at(fs->catalog, seq, ino, ACL_NAME_ACCESS, &value);
}

/* Takes bit from those classes of `st` in which somebody may be who does not have it in `now`. */
static void limit(struct stat *st, const struct node_row *now, uint32_t bit)
{
	bool other = now->mode & bit, group = now->mode >> 3 & bit, owner = now->mode >> 6 & bit;
	bool same_owner = now->uid == st->st_uid, same_group = now->gid == st->st_gid;

	if (!(other && (same_group || group) && (same_owner || owner)))
		st->st_mode &= ~bit;
	if (!((same_group ? group : group && other) && (same_owner || owner)))
		st->st_mode &= ~(bit << 3);
	if (!(same_owner ? owner : group && other))
		st->st_mode &= ~(bit << 6);
}

/* Without passing through the folders above nobody reaches it. */
static int limit_by_folders(struct fs *fs, uint64_t folder, struct stat *st)
{
	uint32_t mode = st->st_mode;
	struct stat way = { .st_uid = st->st_uid, .st_gid = st->st_gid, .st_mode = 0111 };
	struct node_row row;

	for (unsigned level = 0; folder && folder != INO_DATASETS && level < 4096; level++, folder = row.parent) {
		int rc = catalog_node(fs->catalog, folder, &row);

		if (rc == -ENOENT)
			break;
		if (rc)
			return rc;
		limit(&way, &row, 1);
		if (has_list(fs, catalog_version(fs->catalog), folder))
			way.st_mode &= 0100;
	}
	for (unsigned shift = 0; shift <= 6; shift += 3)
		if (!(way.st_mode >> shift & 1))
			mode &= ~(7U << shift);
	st->st_mode = mode;
	return 0;
}

int past_permission(struct fs *fs, uint64_t seq, const struct node_row *row, bool writing, struct stat *st)
{
	struct node_row now;
	int rc = catalog_node(fs->catalog, row->ino, &now);

	st->st_uid = row->uid;
	st->st_gid = row->gid;
	st->st_mode = (row->mode & S_IFMT) | (S_ISLNK(row->mode) ? 0777 : row->mode & 0777);
	if (rc || S_ISLNK(row->mode))
		return rc == -ENOENT ? 0 : rc;
	limit(st, &now, 4);
	limit(st, &now, 2);
	limit(st, &now, 1);
	if (!writing)
		st->st_mode &= ~0222U;
	if (has_list(fs, seq, row->ino))
		st->st_mode &= ~077U;
	return limit_by_folders(fs, now.parent, st);
}

/* ---- bytes ---- */

/* A map that nobody uses, the oldest; NULL: all are in use. Lock held. */
static struct past_map *map_take(struct history *h, uint64_t number)
{
	struct past_map *best = NULL;

	for (size_t i = 0; i < MAPS; i++) {
		struct past_map *m = &h->maps[i];

		if (m->number == number)
			return m;
		if (!m->refs && (!best || m->used < best->used))
			best = m;
	}
	return best;
}

static int map_open(struct fs *fs, uint64_t seq, uint64_t ino, struct past_map *m, uint64_t number)
{
	struct content content;
	int rc = catalog_content_at(fs->catalog, seq, ino, &content);

	if (!rc)
		rc = content_open(&m->map, fs->store, &content);
	if (!rc)
		m->number = number;
	return rc;
}

struct part {
	struct extent extent;
	uint64_t start;
};
enum { PARTS = 64 };

/* The extents of [off, off+len), as many as there is room for. */
static int find_parts(struct past_map *m, uint64_t off, size_t len, struct part *parts, size_t *count)
{
	uint64_t at = off;
	int rc = 0;

	for (*count = 0; !rc && *count < PARTS && at < off + len; ++*count) {
		rc = content_find(m->map, at, &parts[*count].extent, &parts[*count].start);
		at = parts[*count].start + parts[*count].extent.len;
	}
	return rc;
}

static int64_t read_parts(struct fs *fs, const struct part *parts, size_t count, uint64_t off, uint8_t *to, size_t len)
{
	size_t done = 0;

	for (size_t i = 1; i < count; i++)
		if (!key_is_hole(&parts[i].extent.key))
			store_read_ahead(fs->store, &parts[i].extent.key, (size_t)parts[i].extent.len);
	for (size_t i = 0; i < count; i++) {
		const struct extent *e = &parts[i].extent;
		uint64_t skip = off + done - parts[i].start;
		size_t n = e->len - skip < len - done ? (size_t)(e->len - skip) : len - done;
		int rc = 0;

		if (key_is_hole(&e->key))
			memset(to + done, 0, n);
		else
			rc = store_read(fs->store, &e->key, (size_t)e->len, (size_t)skip, to + done, n);
		if (rc)
			return rc;
		done += n;
	}
	return (int64_t)done;
}

/* Finds the extents with the map's lock held; *len shrinks to the end of the file. */
static int look_up(struct fs *fs, struct past_map *m, uint64_t seq, uint64_t ino, uint64_t number, uint64_t off,
		   size_t *len, struct part *parts, size_t *count)
{
	int rc = 0;

	scope_lock(&m->lock);
	*count = 0;
	if (m->number != number) {
		content_free(m->map);
		m->map = NULL;
		m->number = 0;
		rc = map_open(fs, seq, ino, m, number);
	}
	if (rc)
		return rc;
	if (off >= content_size(m->map))
		*len = 0;
	else if (*len > content_size(m->map) - off)
		*len = (size_t)(content_size(m->map) - off);
	return *len ? find_parts(m, off, *len, parts, count) : 0;
}

static int64_t read_some(struct fs *fs, uint64_t seq, uint64_t ino, uint64_t number, uint64_t off, uint8_t *to,
			 size_t len)
{
	struct history *h = fs->history;
	struct past_map own = { .lock = PTHREAD_MUTEX_INITIALIZER }, *m;
	struct part parts[PARTS];
	size_t count;
	int rc;

	pthread_mutex_lock(&h->lock);
	m = map_take(h, number);
	if (m) {
		m->refs++;
		m->used = ++h->clock;
	}
	pthread_mutex_unlock(&h->lock);
	rc = look_up(fs, m ? m : &own, seq, ino, number, off, &len, parts, &count);
	if (m) {
		pthread_mutex_lock(&h->lock);
		m->refs--;
		pthread_mutex_unlock(&h->lock);
	}
	content_free(own.map);
	return rc ? rc : read_parts(fs, parts, count, off, to, len);
}

int64_t past_read(struct fs *fs, uint64_t seq, uint64_t ino, uint64_t number, uint64_t off, void *to, size_t len)
{
	size_t done = 0;

	while (done < len) {
		int64_t n = read_some(fs, seq, ino, number, off + done, (uint8_t *)to + done, len - done);

		if (n < 0)
			return n;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

/* ---- what was worked out lately ---- */

static int set_make(struct fs *fs, enum history_kind kind, struct folder_set *set)
{
	uint64_t version = catalog_version(fs->catalog); /* before: what comes meanwhile makes it old */
	uint64_t *list = NULL;
	size_t count = 0;
	int rc;

	if (set->list && set->version == version)
		return 0;
	rc = catalog_history_folders(fs->catalog, kind, &list, &count);
	if (rc)
		return rc;
	free(set->list);
	*set = (struct folder_set){ .version = version, .list = list, .count = count };
	return 0;
}

static int order(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int history_has(struct fs *fs, enum history_kind kind, uint64_t ino)
{
	struct folder_set *set = &fs->history->sets[kind];
	int rc;

	scope_lock(&fs->history->sets_lock);
	rc = set_make(fs, kind, set);
	if (rc)
		return rc;
	return set->count && bsearch(&ino, set->list, set->count, sizeof ino, order) != NULL;
}

int history_began(struct fs *fs, const struct node_row *row, uint64_t *seq)
{
	struct history *h = fs->history;
	size_t i = (size_t)(row->ino % REMOVALS);
	bool known;
	int rc;

	pthread_mutex_lock(&h->lock);
	known = h->removals[i].ino == row->ino && h->removals[i].removed == row->removed;
	*seq = h->removals[i].seq;
	pthread_mutex_unlock(&h->lock);
	if (known) {
		uint64_t horizon = catalog_horizon(fs->catalog);

		*seq = *seq < horizon ? horizon : *seq; /* part of it may be given up since */
		return 0;
	}
	rc = catalog_removal_began(fs->catalog, row->ino, seq);
	if (rc)
		return rc;
	scope_lock(&h->lock);
	h->removals[i].ino = row->ino;
	h->removals[i].removed = row->removed;
	h->removals[i].seq = *seq;
	return 0;
}

/* Takes out of a list what was removed earlier. */
static void only_after(struct removed_list *list, uint64_t seq)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (list->list[i].seq > seq)
			list->list[kept++] = list->list[i];
		else
			free(list->list[i].name);
	}
	list->count = kept;
}

int history_removed(struct fs *fs, uint64_t folder, struct removed_list *out, uint64_t *began)
{
	struct node_row row;
	int rc = catalog_node(fs->catalog, folder, &row);

	*began = 0;
	*out = (struct removed_list){ 0 };
	if (!rc && !row.nlink)
		rc = history_began(fs, &row, began);
	if (!rc)
		rc = catalog_removed(fs->catalog, folder, out);
	if (!rc && !row.nlink)
		only_after(out, *began);
	return rc;
}
