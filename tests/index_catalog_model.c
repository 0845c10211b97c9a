/*
 * Random changes against a plain tree in memory: the same answers, and in the end the same names, links, sizes,
 * datasets and sums. What belongs to a dataset is counted anew from the tree and compared with what the catalog kept
 * up.
 */
#include <errno.h>

#include "tests/lib/catalog_lab.h"

enum { NODES = 4000, STEPS = 3000, SEEDS = 4 };

struct thing {
	uint64_t ino;
	int parent; /* index; -1: removed */
	char name[16];
	uint32_t type;
	uint64_t size;
	bool probed;
};

struct model {
	struct thing list[NODES]; /* 0 is datasets/ */
	int count;
	uint64_t random;
};

static int child(const struct model *m, int parent, const char *name)
{
	for (int i = 1; i < m->count; i++)
		if (m->list[i].parent == parent && strcmp(m->list[i].name, name) == 0)
			return i;
	return -1;
}

static bool is_empty(const struct model *m, int folder)
{
	for (int i = 1; i < m->count; i++)
		if (m->list[i].parent == folder)
			return false;
	return true;
}

static bool lies_in(const struct model *m, int at, int folder)
{
	for (; at > 0; at = m->list[at].parent)
		if (at == folder)
			return true;
	return at == folder;
}

/* A folder, mostly one that is there. */
static int some_folder(struct model *m)
{
	for (int tries = 0; tries < 50; tries++) {
		int i = (int)lab_random(&m->random, (uint32_t)m->count);

		if (m->list[i].type == S_IFDIR && (i == 0 || m->list[i].parent >= 0))
			return i;
	}
	return 0;
}

static const char *some_name(struct model *m)
{
	static const char *const names[] = { "a", "b", "c", "d", "e", ".hidden", "a.part", "f~" };

	return names[lab_random(&m->random, sizeof names / sizeof *names)];
}

static bool exists(const struct model *m, int i)
{
	return i == 0 || m->list[i].parent >= 0;
}

static void step_make(struct lab *lab, struct model *m)
{
	static const uint32_t types[] = { S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK };
	int parent = some_folder(m), want;
	const char *name = some_name(m);
	uint32_t type = types[lab_random(&m->random, 5)];
	struct thing *t = &m->list[m->count];

	if (m->count == NODES)
		return;
	want = child(m, parent, name) >= 0 ? -EEXIST : 0;
	*t = (struct thing) { .parent = parent, .type = type, .size = type == S_IFLNK ? 5 : 0 };
	strcpy(t->name, name);
	CHECK(lab_make(lab, m->list[parent].ino, name, type | 0700, &t->ino) == want);
	m->count += want == 0;
}

static void step_write(struct lab *lab, struct model *m)
{
	struct thing *t = &m->list[lab_random(&m->random, (uint32_t)m->count)];
	char value[32];

	if (t->type != S_IFREG)
		return;
	t->size = lab_random(&m->random, 100000);
	CHECK(lab_write(lab, t->ino, t->size) == 0);
	if (lab_random(&m->random, 2) || !exists(m, (int)(t - m->list)))
		return;
	snprintf(value, sizeof value, "s%u", lab_random(&m->random, 4));
	t->probed = lab_random(&m->random, 4);
	CHECK(lab_probe(lab, t->ino, RANK_SIDECAR, t->probed ? "sample" : NULL, value) == 0);
}

static void step_remove(struct lab *lab, struct model *m)
{
	int parent = some_folder(m), i, want = 0;
	const char *name = some_name(m);
	bool folder = lab_random(&m->random, 2);

	i = child(m, parent, name);
	if (i < 0)
		want = -ENOENT;
	else if (folder && m->list[i].type != S_IFDIR)
		want = -ENOTDIR;
	else if (!folder && m->list[i].type == S_IFDIR)
		want = -EISDIR;
	else if (folder && !is_empty(m, i))
		want = -ENOTEMPTY;
	CHECK(lab_remove(lab, m->list[parent].ino, name, folder) == want);
	if (!want)
		m->list[i].parent = -1;
}

/* What rename(2) says. */
static int want_rename(const struct model *m, int i, int to_folder, int target, int flags)
{
	const struct thing *a = &m->list[i < 0 ? 0 : i], *b = &m->list[target < 0 ? 0 : target];

	if (i < 0)
		return -ENOENT;
	if (a->type == S_IFDIR && lies_in(m, to_folder, i))
		return -EINVAL;
	if (target < 0)
		return flags & LAB_EXCHANGE ? -ENOENT : 0;
	if (flags & LAB_EXCHANGE)
		return i != target && b->type == S_IFDIR && lies_in(m, a->parent, target) ? -EINVAL : 0;
	if (flags & LAB_NO_REPLACE)
		return -EEXIST;
	if (i == target)
		return 0;
	if (a->type == S_IFDIR && b->type != S_IFDIR)
		return -ENOTDIR;
	if (a->type != S_IFDIR && b->type == S_IFDIR)
		return -EISDIR;
	return b->type == S_IFDIR && !is_empty(m, target) ? -ENOTEMPTY : 0;
}

static void step_rename(struct lab *lab, struct model *m)
{
	static const int flag_list[] = { 0, 0, 0, LAB_NO_REPLACE, LAB_EXCHANGE, LAB_EXCHANGE };
	int from = some_folder(m), to = some_folder(m), i, target, want;
	int flags = flag_list[lab_random(&m->random, 6)];
	const char *name = some_name(m), *new_name = some_name(m);

	i = child(m, from, name);
	target = child(m, to, new_name);
	want = want_rename(m, i, to, target, flags);
	CHECK(lab_rename(lab, m->list[from].ino, name, m->list[to].ino, new_name, flags) == want);
	if (want || i == target)
		return;
	m->list[i].parent = to;
	strcpy(m->list[i].name, new_name);
	if (target < 0)
		return;
	m->list[target].parent = flags & LAB_EXCHANGE ? from : -1;
	if (flags & LAB_EXCHANGE)
		strcpy(m->list[target].name, name);
}

/* A part becomes a dataset of its own. */
static void step_split(struct lab *lab, struct model *m)
{
	int i = some_folder(m);

	if (i)
		CHECK_RC(lab_role(lab, m->list[i].ino, 1 + lab_random(&m->random, 2), 0, ""));
}

static void step_tag(struct lab *lab, struct model *m)
{
	int i = some_folder(m);
	uint32_t n = i ? lab_dataset(lab, m->list[i].ino) : 0;

	if (n)
		CHECK_RC(lab_tag(lab, n, lab_random(&m->random, 2) ? "x" : "y", false));
}

static void check_node(struct lab *lab, const struct model *m, int i)
{
	const struct thing *t = &m->list[i];
	uint64_t entries = 0, folders = 0;
	struct node_row row = { 0 }, found = { 0 };
	bool top;

	CHECK_RC(catalog_node(lab->catalog, t->ino, &row));
	for (int k = 1; k < m->count; k++)
		if (m->list[k].parent == i) {
			entries++;
			folders += m->list[k].type == S_IFDIR;
		}
	if (!exists(m, i)) {
		CHECK(row.nlink == 0 && row.dataset == 0);
		return;
	}
	CHECK(row.size == (t->type == S_IFDIR ? entries : t->size));
	CHECK(row.nlink == (t->type == S_IFDIR ? 2 + folders : 1));
	if (!i)
		return;
	CHECK_RC(catalog_lookup(lab->catalog, m->list[t->parent].ino, t->name, &found));
	CHECK(found.ino == t->ino && found.parent == m->list[t->parent].ino && strcmp(found.name, t->name) == 0);
	top = t->parent == 0 && t->type != S_IFLNK && !name_is_junk(t->name) && !name_is_temporary(t->name);
	CHECK(!top || row.dataset);
}

static void check_list(struct lab *lab, const struct model *m, int folder)
{
	scope_entries struct entries entries = { 0 };

	CHECK_RC(catalog_list(lab->catalog, m->list[folder].ino, &entries));
	for (size_t i = 0; i < entries.count; i++) {
		int k = child(m, folder, entries.list[i].name);

		CHECK(k >= 0 && m->list[k].ino == entries.list[i].ino && m->list[k].type == entries.list[i].mode);
		CHECK(!i || strcmp(entries.list[i - 1].name, entries.list[i].name) < 0);
	}
}

/* top[i]: dataset of which node i is the top. */
static uint32_t dataset_in_model(const struct model *m, const uint32_t *top, int i)
{
	for (; i > 0; i = m->list[i].parent)
		if (top[i])
			return top[i];
	return 0;
}

static void check_dataset(struct lab *lab, const struct model *m, const uint32_t *top, uint32_t number)
{
	uint64_t bytes = 0, files = 0;
	size_t facts_wanted = 0, sources = 0;
	scope_facts struct facts facts = { 0 };
	struct dataset_row row = { 0 }, named = { 0 };
	struct term term;

	for (int i = 1; i < m->count; i++)
		if (exists(m, i) && m->list[i].type == S_IFREG && dataset_in_model(m, top, i) == number) {
			bytes += m->list[i].size;
			files++;
			facts_wanted += m->list[i].probed;
		}
	CHECK_RC(catalog_dataset(lab->catalog, number, &row));
	CHECK(row.bytes == bytes && row.files == files && !row.removed);
	CHECK_RC(catalog_dataset_by_name(lab->catalog, row.name, &named));
	CHECK(named.number == number);
	CHECK(lab_dataset(lab, row.ino) == number);
	CHECK_RC(catalog_facts(lab->catalog, number, &facts));
	for (size_t i = 0; i < facts.count; i++)
		sources += facts.list[i].source != 0;
	CHECK(sources == facts_wanted);
	if (facts.count) {
		CHECK_RC(catalog_term_find(lab->catalog, FACET_SAMPLE, facts.list[0].value, &term));
		CHECK(catalog_term_has(lab->catalog, term.id, number));
	}
}

/* Members are counted right, and all of them are there. */
static void check_terms(struct lab *lab, enum facet facet, size_t *memberships)
{
	scope_free struct term *terms = NULL;
	size_t count = 0;

	CHECK_RC(catalog_terms(lab->catalog, facet, &terms, &count));
	for (size_t i = 0; i < count; i++) {
		scope_free uint32_t *list = NULL;
		size_t members = 0;
		struct dataset_row row = { 0 };

		CHECK_RC(catalog_term_members(lab->catalog, terms[i].id, &list, &members));
		CHECK(members == terms[i].members);
		for (size_t k = 0; k < members; k++) {
			CHECK_RC(catalog_dataset(lab->catalog, list[k], &row));
			CHECK(!row.removed);
		}
		*memberships += members;
	}
}

static void check_all(struct lab *lab, const struct model *m)
{
	scope_free uint32_t *list = NULL, *top = calloc(NODES, sizeof *top);
	size_t count = 0, tops = 0, owned = 0, unused = 0;

	for (int i = 0; i < m->count; i++) {
		check_node(lab, m, i);
		if (m->list[i].type == S_IFDIR && exists(m, i))
			check_list(lab, m, i);
		top[i] = i && exists(m, i) ? lab_dataset(lab, m->list[i].ino) : 0;
		tops += top[i] != 0;
	}
	CHECK_RC(catalog_datasets(lab->catalog, &list, &count));
	CHECK(count == tops);
	for (size_t i = 0; i < count; i++)
		check_dataset(lab, m, top, list[i]);
	check_terms(lab, FACET_OWNER, &owned);
	CHECK(owned == count);
	check_terms(lab, FACET_TAG, &unused);
	check_terms(lab, FACET_SAMPLE, &unused);
}

static void run(uint64_t seed)
{
	scope_free struct model *m = calloc(1, sizeof *m);
	struct lab lab;

	m->random = seed;
	m->list[0] = (struct thing) { .ino = INO_DATASETS, .type = S_IFDIR, .parent = -1 };
	m->count = 1;
	lab_new(&lab);
	for (int i = 0; i < STEPS; i++) {
		uint32_t what = lab_random(&m->random, 100);

		if (what < 30)
			step_make(&lab, m);
		else if (what < 50)
			step_write(&lab, m);
		else if (what < 65)
			step_remove(&lab, m);
		else if (what < 95)
			step_rename(&lab, m);
		else if (what < 98)
			step_split(&lab, m);
		else
			step_tag(&lab, m);
		if (i % 1000 == 999)
			check_all(&lab, m);
	}
	lab_close(&lab);
	{
		char path[512];

		memcpy(path, lab.path, sizeof path);
		lab_open(&lab, path);
	}
	check_all(&lab, m);
	lab_close(&lab);
}

int main(void)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		run(seed);
	return check_done();
}
