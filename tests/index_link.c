/* Files of several names: what link, unlink and rename answer, and that each file counts once, whatever its names. */
#include <errno.h>

#include "tests/lib/catalog_lab.h"

static struct node_row node(struct lab *lab, uint64_t ino)
{
	struct node_row row = { 0 };

	CHECK_RC(catalog_node(lab->catalog, ino, &row));
	return row;
}

static void check_refusals(struct lab *lab)
{
	uint64_t a = lab_folder(lab, INO_DATASETS, "A"), b = lab_folder(lab, INO_DATASETS, "B"), sub = lab_folder(lab, a, "sub");
	uint64_t f = lab_file(lab, a, "f"), top = lab_file(lab, INO_DATASETS, "top.tif"), hidden = lab_file(lab, INO_DATASETS, ".h");
	char name[NAME_BYTES_MAX + 2];

	memset(name, 'n', sizeof name);
	name[sizeof name - 1] = 0;
	CHECK(lab_link(lab, f, a, name) == -ENAMETOOLONG);
	CHECK(lab_link(lab, f, a, "f") == -EEXIST);
	CHECK(lab_link(lab, f, f, "g") == -ENOTDIR);
	CHECK(lab_link(lab, f, 9999, "g") == -ENOENT);
	CHECK(lab_link(lab, 9999, a, "g") == -ENOENT);
	CHECK(lab_link(lab, sub, a, "g") == -EPERM);
	CHECK(lab_link(lab, f, b, "g") == -EXDEV);
	CHECK(lab_link(lab, f, INO_DATASETS, "g") == -EXDEV);
	CHECK(lab_link(lab, top, INO_DATASETS, "other.tif") == -EXDEV);
	CHECK(lab_link(lab, hidden, INO_DATASETS, "shown.tif") == -EXDEV);
	CHECK_RC(lab_link(lab, hidden, INO_DATASETS, ".h2"));
	CHECK(lab_rename(lab, INO_DATASETS, ".h2", INO_DATASETS, "shown.tif", 0) == -EXDEV);
	CHECK(lab_rename(lab, INO_DATASETS, ".h2", INO_DATASETS, "top.tif", LAB_EXCHANGE) == -EXDEV);
	CHECK_RC(lab_link(lab, f, sub, "g"));
	CHECK(lab_rename(lab, a, "f", b, "f", 0) == -EXDEV);
	CHECK(lab_rename(lab, sub, "g", b, "f", 0) == -EXDEV);
	CHECK(lab_rename(lab, a, "f", sub, "g", LAB_NO_REPLACE) == -EEXIST);
	CHECK_RC(lab_rename(lab, a, "f", sub, "g", 0));
	CHECK(node(lab, f).nlink == 2);
	CHECK_RC(lab_rename(lab, a, "f", sub, "g", LAB_EXCHANGE));
	CHECK(lab_role(lab, f, ROLE_DATASET, 0, "") == -EMLINK);
	CHECK_RC(lab_remove(lab, a, "f", false));
	CHECK(node(lab, f).nlink == 1 && node(lab, f).parent == sub && strcmp(node(lab, f).name, "g") == 0);
	CHECK_RC(lab_rename(lab, sub, "g", b, "f", 0));
	CHECK_RC(lab_remove(lab, b, "f", false));
	CHECK(lab_link(lab, f, b, "again") == -ENOENT);
}

/* A folder moves to another dataset and takes one of the names along: the file belongs where its first name is. */
static void check_moved_folder(struct lab *lab)
{
	uint64_t a = lab_folder(lab, INO_DATASETS, "M"), b = lab_folder(lab, INO_DATASETS, "N"), sub = lab_folder(lab, a, "sub");
	uint64_t f = lab_file(lab, sub, "first");
	uint32_t from = lab_dataset(lab, a), to = lab_dataset(lab, b);
	struct dataset_row row;

	CHECK_RC(lab_write(lab, f, 1000));
	CHECK_RC(lab_probe(lab, f, RANK_SIDECAR, "sample", "bone"));
	CHECK_RC(lab_link(lab, f, a, "second"));
	CHECK_RC(lab_rename(lab, a, "sub", b, "sub", 0));
	CHECK(!catalog_dataset(lab->catalog, to, &row) && row.bytes == 1000 && row.files == 1);
	CHECK(!catalog_dataset(lab->catalog, from, &row) && row.bytes == 0 && row.files == 0);
	CHECK_RC(lab_remove(lab, sub, "first", false));
	CHECK(!catalog_dataset(lab->catalog, to, &row) && row.bytes == 0 && row.files == 0);
	CHECK(!catalog_dataset(lab->catalog, from, &row) && row.bytes == 1000 && row.files == 1);
	scope_free char *sample = catalog_fact(lab->catalog, from, "sample"), *none = catalog_fact(lab->catalog, to, "sample");
	CHECK(sample && strcmp(sample, "bone") == 0 && !none);
}

/* ---- random changes against a list of names ---- */

enum { FOLDERS = 8, NAMES = 5, FILES = 400, STEPS = 4000 };

struct model {
	uint64_t folder[FOLDERS]; /* 0, 1: tops of two datasets; the others move between all */
	int above[FOLDERS];
	char leaf[FOLDERS][8];
	int name[FOLDERS][NAMES]; /* file + 1 behind a name; 0: none */
	uint64_t file[FILES], size[FILES];
	int count;
	uint64_t random;
};

static const char *const names[NAMES] = { "a", "b", "c", "d", "e" };

static int links_of(const struct model *m, int file)
{
	int n = 0;

	for (int i = 0; i < FOLDERS * NAMES; i++)
		n += m->name[i / NAMES][i % NAMES] == file + 1;
	return n;
}

static int top_of(const struct model *m, int folder)
{
	while (folder > 1)
		folder = m->above[folder];
	return folder;
}

/* The dataset (0 or 1) of a file, as its row says. */
static int owner_of(struct lab *lab, const struct model *m, int file)
{
	struct node_row row = node(lab, m->file[file]);

	for (int i = 0; i < FOLDERS; i++)
		if (m->folder[i] == row.parent)
			return top_of(m, i);
	CHECK(!"its first name is in one of the folders");
	return 0;
}

static void step_link(struct lab *lab, struct model *m)
{
	int folder = (int)lab_random(&m->random, FOLDERS), name = (int)lab_random(&m->random, NAMES), file, want = 0;

	if (lab_random(&m->random, 3) == 0 && m->count < FILES) {
		want = m->name[folder][name] ? -EEXIST : 0;
		CHECK(lab_make(lab, m->folder[folder], names[name], S_IFREG | 0644, &m->file[m->count]) == want);
		if (want)
			return;
		m->size[m->count] = lab_random(&m->random, 5000);
		CHECK_RC(lab_write(lab, m->file[m->count], m->size[m->count]));
		m->name[folder][name] = ++m->count;
		return;
	}
	file = m->count ? (int)lab_random(&m->random, (uint32_t)m->count) : 0;
	if (!m->count)
		return;
	if (!links_of(m, file))
		want = -ENOENT;
	else if (m->name[folder][name])
		want = -EEXIST;
	else if (owner_of(lab, m, file) != top_of(m, folder))
		want = -EXDEV;
	CHECK(lab_link(lab, m->file[file], m->folder[folder], names[name]) == want);
	if (!want)
		m->name[folder][name] = file + 1;
}

static void step_unlink(struct lab *lab, struct model *m)
{
	int folder = (int)lab_random(&m->random, FOLDERS), name = (int)lab_random(&m->random, NAMES);

	CHECK(lab_remove(lab, m->folder[folder], names[name], false) == (m->name[folder][name] ? 0 : -ENOENT));
	m->name[folder][name] = 0;
}

static bool leaves(struct lab *lab, const struct model *m, int file, int to)
{
	return links_of(m, file) > 1 && owner_of(lab, m, file) != top_of(m, to);
}

static void step_rename(struct lab *lab, struct model *m)
{
	int from = (int)lab_random(&m->random, FOLDERS), to = (int)lab_random(&m->random, FOLDERS);
	int a = (int)lab_random(&m->random, NAMES), b = (int)lab_random(&m->random, NAMES);
	int flags = lab_random(&m->random, 3) ? 0 : LAB_EXCHANGE, want = 0;
	int *source = &m->name[from][a], *target = &m->name[to][b], moved = *source;

	if (!*source || (flags && !*target))
		want = -ENOENT;
	else if (*source != *target && (leaves(lab, m, *source - 1, to) || (flags && leaves(lab, m, *target - 1, from))))
		want = -EXDEV;
	CHECK(lab_rename(lab, m->folder[from], names[a], m->folder[to], names[b], flags) == want);
	if (want || *source == *target)
		return;
	*source = flags ? *target : 0;
	*target = moved;
}

static bool lies_in(const struct model *m, int folder, int in)
{
	for (; folder > 1 && folder != in;)
		folder = m->above[folder];
	return folder == in;
}

static void step_move(struct lab *lab, struct model *m)
{
	int i = 2 + (int)lab_random(&m->random, FOLDERS - 2), to = (int)lab_random(&m->random, FOLDERS);
	int want = lies_in(m, to, i) ? -EINVAL : 0;

	CHECK(lab_rename(lab, m->folder[m->above[i]], m->leaf[i], m->folder[to], m->leaf[i], 0) == want);
	if (!want)
		m->above[i] = to;
}

static void check_all(struct lab *lab, const struct model *m)
{
	uint64_t bytes[2] = { 0 }, files[2] = { 0 };
	struct dataset_row row;

	for (int i = 0; i < FOLDERS * NAMES; i++) {
		struct node_row found = { 0 };
		int file = m->name[i / NAMES][i % NAMES] - 1;
		int rc = catalog_lookup(lab->catalog, m->folder[i / NAMES], names[i % NAMES], &found);

		CHECK(rc == (file < 0 ? -ENOENT : 0));
		CHECK(file < 0 || (found.ino == m->file[file] && S_ISREG(found.mode)));
	}
	for (int i = 0; i < m->count; i++) {
		int links = links_of(m, i), owner;

		CHECK((int)node(lab, m->file[i]).nlink == links);
		if (!links)
			continue;
		owner = owner_of(lab, m, i);
		bytes[owner] += m->size[i];
		files[owner]++;
	}
	for (int i = 0; i < 2; i++) {
		CHECK_RC(catalog_dataset(lab->catalog, lab_dataset(lab, m->folder[i]), &row));
		CHECK(row.bytes == bytes[i] && row.files == files[i]);
	}
}

static void check_model(struct lab *lab, uint64_t seed)
{
	struct model *m = calloc(1, sizeof *m);

	m->random = seed;
	for (int i = 0; i < FOLDERS; i++) {
		snprintf(m->leaf[i], sizeof m->leaf[i], "%c%d", (char)('p' + seed), i);
		m->above[i] = i > 1 ? i % 2 : 0;
		m->folder[i] = lab_folder(lab, i > 1 ? m->folder[m->above[i]] : INO_DATASETS, m->leaf[i]);
	}
	for (int i = 0; i < STEPS; i++) {
		uint32_t what = lab_random(&m->random, 100);

		if (what < 40)
			step_link(lab, m);
		else if (what < 60)
			step_unlink(lab, m);
		else if (what < 93)
			step_rename(lab, m);
		else
			step_move(lab, m);
		if (i % 500 == 499)
			check_all(lab, m);
	}
	free(m);
}

int main(void)
{
	struct lab lab, again;
	uint64_t records = 0;

	lab_new(&lab);
	check_refusals(&lab);
	check_moved_folder(&lab);
	for (uint64_t seed = 1; seed <= 3; seed++)
		check_model(&lab, seed);
	scope_free char *dump = lab_dump(&lab), *rebuilt = NULL;
	char path[512];

	memcpy(path, lab.path, sizeof path);
	lab_close(&lab);
	again = (struct lab) { 0 };
	memcpy(again.path, path, sizeof path);
	CHECK_RC(lab_start(&again, false));
	CHECK_RC(catalog_rebuild(again.store, again.journal, &records));
	journal_close(again.journal);
	store_close(again.store);
	lab_open(&lab, path);
	rebuilt = lab_dump(&lab);
	CHECK(strcmp(dump, rebuilt) == 0);
	lab_close(&lab);
	return check_done();
}
