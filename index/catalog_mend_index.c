/* Writes down again what an index says and a journal does not: first what is not there goes, then folders and files from the top
 * down, then what belongs to datasets. */
#include "index/catalog_mend_internal.h"

#include <sys/stat.h>

static const struct actor mender = { .uid = 0, .user = "", .program = "tomofs repair" };

/* What cannot be said is named and left out. 0, -ENOSPC, -EIO of the journal, -ENOMEM. */
static int restore(struct mend *m, struct record *rec, const char *what)
{
	int rc = catalog_apply(m->now, &mender, rec);

	m->counts->restored += !rc;
	if (!rc)
		return kv_pending(m->now->kv) > PENDING_COMMIT ? catalog_commit(m->now) : 0;
	if (rc == -ENOMEM || rc == -ENOSPC || rc == -EIO)
		return rc;
	mend_say(m, "%s could not be restored from the index: %s", what, *err_text() ? err_text() : strerror(-rc));
	return 0;
}

/* ---- nodes ---- */

static bool is_there(struct catalog *c, uint64_t ino, struct node_row *row)
{
	return !catalog_node(c, ino, row) && (row->nlink || ino == INO_DATASETS);
}

/* Removes what is below a folder of `now` and has no name in `old`. Depth of folders is bounded by LEVELS_MAX in both. */
static int remove_rest(struct mend *m, uint64_t folder, unsigned level)
{
	scope_entries struct entries entries = { 0 };
	int rc = level > LEVELS_MAX ? err_set(EIO, "the index goes in circles") : catalog_list(m->now, folder, &entries);

	for (size_t i = 0; !rc && i < entries.count; i++) {
		const struct entry *e = &entries.list[i];
		struct record rec = { .kind = REC_REMOVE };
		struct node_row row;

		if (S_ISDIR(e->mode))
			rc = remove_rest(m, e->ino, level + 1);
		if (rc || is_there(m->old, e->ino, &row))
			continue;
		rec.remove.parent = folder;
		rec.remove.name = e->name;
		rec.remove.folder = S_ISDIR(e->mode);
		rc = restore(m, &rec, e->name);
	}
	return rc;
}

static int make_node(struct mend *m, const struct node_row *row)
{
	struct record rec = { .kind = REC_NODE };
	scope_free char *target = NULL;
	struct dataset_row dataset = { 0 };

	if (row->dataset)
		catalog_dataset(m->old, row->dataset, &dataset);
	if (S_ISLNK(row->mode))
		catalog_symlink(m->old, row->ino, &target);
	rec.node.ino = row->ino;
	rec.node.parent = row->parent;
	rec.node.name = row->name;
	rec.node.mode = row->mode;
	rec.node.uid = row->uid;
	rec.node.gid = row->gid;
	rec.node.owner = dataset.owner;
	rec.node.target = target ? target : "";
	rec.time_ns = dataset.arrived_ns;
	return restore(m, &rec, row->name);
}

static int move_node(struct mend *m, const struct node_row *row, const struct node_row *now)
{
	struct record rec = { .kind = REC_RENAME };

	if (now->parent == row->parent && !strcmp(now->name, row->name))
		return 0;
	rec.rename.parent = now->parent;
	rec.rename.name = now->name;
	rec.rename.new_parent = row->parent;
	rec.rename.new_name = row->name;
	return restore(m, &rec, row->name);
}

static bool same_content(const struct content *a, const struct content *b)
{
	if (a->size != b->size || a->depth != b->depth || a->count != b->count || a->sha256_known != b->sha256_known ||
	    memcmp(a->sha256, b->sha256, sizeof a->sha256))
		return false;
	for (uint32_t i = 0; i < a->count; i++)
		if (a->extents[i].len != b->extents[i].len || !key_equal(&a->extents[i].key, &b->extents[i].key))
			return false;
	return true;
}

static int put_content(struct mend *m, const struct node_row *row)
{
	struct record rec = { .kind = REC_CONTENT };
	struct content now = { 0 };
	int rc = catalog_content(m->old, row->ino, &rec.content.content);

	if (rc)
		return rc == -ENOENT ? 0 : rc;
	if (!catalog_content(m->now, row->ino, &now) && same_content(&now, &rec.content.content))
		return 0;
	rec.content.ino = row->ino;
	rec.content.mtime_ns = row->mtime_ns;
	return restore(m, &rec, row->name);
}

static int put_xattrs(struct mend *m, const struct node_row *row)
{
	scope_buf struct buf names = { 0 };
	int rc = catalog_xattr_list(m->old, row->ino, &names);

	for (size_t at = 0; !rc && at < names.len;) {
		const char *name = (const char *)names.data + at;
		scope_buf struct buf value = { 0 }, now = { 0 };
		struct record rec = { .kind = REC_XATTR };

		at += strlen(name) + 1;
		rc = catalog_xattr(m->old, row->ino, name, &value);
		if (rc || (!catalog_xattr(m->now, row->ino, name, &now) && now.len == value.len &&
			   (!now.len || !memcmp(now.data, value.data, now.len))))
			continue;
		rec.xattr.ino = row->ino;
		rec.xattr.name = name;
		rec.xattr.value = value.data ? value.data : (const uint8_t *)"";
		rec.xattr.value_len = value.len;
		rc = restore(m, &rec, row->name);
	}
	return rc == -ENODATA || rc == -ENOENT ? 0 : rc;
}

static int put_probe(struct mend *m, const struct node_row *row)
{
	struct record_memory *memory = NULL;
	struct record rec = { .kind = REC_PROBE };
	int rc = catalog_probe(m->old, row->ino, &rec.probe, &memory);

	if (!rc)
		rc = restore(m, &rec, row->name);
	record_memory_free(memory);
	return rc == -ENOENT ? 0 : rc;
}

static int put_attr(struct mend *m, const struct node_row *row)
{
	struct record rec = { .kind = REC_ATTR };
	struct node_row now;

	if (catalog_node(m->now, row->ino, &now) || (now.mode == row->mode && now.uid == row->uid && now.gid == row->gid &&
						     now.atime_ns == row->atime_ns && now.mtime_ns == row->mtime_ns))
		return 0;
	rec.attr.ino = row->ino;
	rec.attr.set = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_ATIME | ATTR_MTIME;
	rec.attr.mode = row->mode & 07777;
	rec.attr.uid = row->uid;
	rec.attr.gid = row->gid;
	rec.attr.owner = "";
	rec.attr.atime_ns = row->atime_ns;
	rec.attr.mtime_ns = row->mtime_ns;
	if (now.uid == row->uid)
		rec.attr.set &= ~(unsigned)ATTR_UID; /* its name stays */
	return restore(m, &rec, row->name);
}

static int put_node(struct mend *m, uint64_t ino, struct node_row *row)
{
	struct node_row now;
	bool made;
	int rc = catalog_node(m->old, ino, row);

	if (rc)
		return rc;
	made = !is_there(m->now, ino, &now);
	rc = made ? make_node(m, row) : move_node(m, row, &now);
	if (!rc && !is_there(m->now, ino, &now))
		return 0; /* said */
	if (!rc && S_ISREG(row->mode))
		rc = put_content(m, row);
	if (!rc)
		rc = put_xattrs(m, row);
	if (!rc && S_ISREG(row->mode))
		rc = put_probe(m, row);
	return rc;
}

static bool is_further(const struct node_row *row, uint64_t folder, const char *name)
{
	return row->parent != folder || strcmp(row->name, name) != 0;
}

/* Further names of files, when all files are there. */
static int put_links(struct mend *m, uint64_t folder, unsigned level)
{
	scope_entries struct entries entries = { 0 };
	int rc = level > LEVELS_MAX ? err_set(EIO, "the index goes in circles") : catalog_list(m->old, folder, &entries);

	for (size_t i = 0; !rc && i < entries.count; i++) {
		struct record rec = { .kind = REC_LINK };
		struct node_row row, now;

		if (S_ISDIR(entries.list[i].mode)) {
			rc = put_links(m, entries.list[i].ino, level + 1);
			continue;
		}
		rc = catalog_node(m->old, entries.list[i].ino, &row);
		if (rc || !is_further(&row, folder, entries.list[i].name) || !catalog_lookup(m->now, folder, entries.list[i].name, &now))
			continue;
		rec.link.ino = row.ino;
		rec.link.parent = folder;
		rec.link.name = entries.list[i].name;
		rc = restore(m, &rec, rec.link.name);
	}
	return rc;
}

static int put_folder(struct mend *m, uint64_t folder, unsigned level)
{
	scope_entries struct entries entries = { 0 };
	int rc = level > LEVELS_MAX ? err_set(EIO, "the index goes in circles") : catalog_list(m->old, folder, &entries);

	for (size_t i = 0; !rc && i < entries.count; i++) {
		struct node_row row;

		rc = catalog_node(m->old, entries.list[i].ino, &row);
		if (rc || is_further(&row, folder, entries.list[i].name))
			continue;
		rc = put_node(m, row.ino, &row);
		if (!rc && S_ISDIR(row.mode))
			rc = put_folder(m, row.ino, level + 1);
		if (!rc)
			rc = put_attr(m, &row); /* last: what is put into a folder changes its times */
	}
	return rc;
}

/* ---- datasets ---- */

/* Makes and removes a folder, which takes one dataset number that nothing has any more: numbers, and so the ids, of those that come
 * after it stay as they are. */
static int burn_number(struct mend *m)
{
	struct record rec = { .kind = REC_NODE }, gone = { .kind = REC_REMOVE };
	int rc;

	rec.node.ino = m->old->counters.ino + m->burned++; /* nothing had it */
	rec.node.parent = gone.remove.parent = INO_DATASETS;
	rec.node.name = gone.remove.name = "removed before the repair";
	rec.node.mode = S_IFDIR | 0700;
	rec.node.owner = rec.node.target = "";
	gone.remove.folder = true;
	rc = restore(m, &rec, rec.node.name);
	return rc ? rc : restore(m, &gone, rec.node.name);
}

/* Tops of datasets in the order of their numbers, so that each gets its own again. */
static int put_tops(struct mend *m, const uint32_t *numbers, size_t count)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < count; i++) {
		struct dataset_row dataset;
		struct node_row row;

		rc = catalog_dataset(m->old, numbers[i], &dataset);
		if (rc || catalog_node(m->old, dataset.ino, &row) || is_there(m->now, dataset.ino, &row) || row.parent != INO_DATASETS)
			continue;
		while (!rc && m->now->counters.dataset < numbers[i])
			rc = burn_number(m);
		if (!rc)
			rc = put_node(m, dataset.ino, &row);
	}
	return rc;
}

static int put_tags(struct mend *m, uint32_t number, uint32_t now)
{
	struct term *list = NULL;
	size_t count = 0;
	int rc = catalog_tags(m->old, number, &list, &count);

	for (size_t i = 0; !rc && i < count; i++) {
		struct record rec = { .kind = REC_TAG };
		struct term term;

		if (!catalog_term_find(m->now, FACET_TAG, list[i].text, &term) && catalog_term_has(m->now, term.id, now))
			continue;
		rec.tag.dataset = now;
		rec.tag.tag = list[i].text;
		rc = restore(m, &rec, list[i].text);
	}
	free(list);
	return rc;
}

static int put_facts(struct mend *m, uint32_t number, uint32_t now)
{
	scope_facts struct facts facts = { 0 };
	int rc = catalog_facts(m->old, number, &facts);

	for (size_t i = 0; !rc && i < facts.count; i++) {
		struct record rec = { .kind = REC_FACT };
		scope_free char *before = NULL;

		if (facts.list[i].rank != RANK_PERSON || facts.list[i].source)
			continue;
		before = catalog_fact(m->now, now, facts.list[i].field);
		if (before && !strcmp(before, facts.list[i].value))
			continue;
		rec.fact.dataset = now;
		rec.fact.field = facts.list[i].field;
		rec.fact.value = facts.list[i].value;
		rc = restore(m, &rec, facts.list[i].field);
	}
	return rc;
}

static int put_images(struct mend *m, uint32_t number, uint32_t now)
{
	scope_images struct images images = { 0 }, before = { 0 };
	struct record rec = { .kind = REC_IMAGES };
	int rc = catalog_images(m->old, number, &images);

	if (rc || !images.count || (!catalog_images(m->now, now, &before) && before.count == images.count))
		return rc;
	rec.images.dataset = now;
	rec.images.list = images.list;
	rec.images.count = images.count;
	return restore(m, &rec, "images");
}

static int put_dataset(struct mend *m, uint32_t number)
{
	struct record rec = { .kind = REC_DATASET };
	struct dataset_row old, now;
	struct node_row row;
	int rc = catalog_dataset(m->old, number, &old);

	if (rc || old.removed || !is_there(m->now, old.ino, &row))
		return rc;
	rec.dataset.ino = old.ino;
	rec.dataset.state = old.state;
	rec.dataset.role = old.role;
	rec.dataset.note = old.note;
	if (!row.dataset || catalog_dataset(m->now, row.dataset, &now) || now.state != old.state || now.role != old.role ||
	    strcmp(now.note, old.note))
		rc = restore(m, &rec, old.name);
	if (rc || catalog_node(m->now, old.ino, &row) || !row.dataset)
		return rc;
	if (row.dataset != number)
		mend_say(m, "dataset %s has another id now", old.name);
	rc = put_tags(m, number, row.dataset);
	if (!rc)
		rc = put_facts(m, number, row.dataset);
	return rc ? rc : put_images(m, number, row.dataset);
}

static int put_queries(struct mend *m)
{
	scope_buf struct buf texts = { 0 };
	int rc = catalog_queries(m->old, &texts);

	for (size_t at = 0; !rc && at < texts.len;) {
		struct record rec = { .kind = REC_QUERY };

		rec.query.text = (const char *)texts.data + at;
		at += strlen(rec.query.text) + 1;
		rc = restore(m, &rec, rec.query.text);
	}
	return rc;
}

int mend_from_index(struct mend *m)
{
	uint32_t *numbers = NULL;
	size_t count = 0;
	int rc = catalog_datasets(m->old, &numbers, &count);

	if (!rc)
		rc = remove_rest(m, INO_DATASETS, 0);
	if (!rc)
		rc = put_tops(m, numbers, count);
	if (!rc)
		rc = put_folder(m, INO_DATASETS, 0);
	if (!rc)
		rc = put_links(m, INO_DATASETS, 0);
	for (size_t i = 0; !rc && i < count; i++)
		rc = put_dataset(m, numbers[i]);
	if (!rc)
		rc = put_queries(m);
	free(numbers);
	return rc;
}
