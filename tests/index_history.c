/*
 * Random changes, and a copy of the whole tree after each: what the index says of every moment equals the copy - live, opened
 * again, rebuilt - and after history was given up the rest still does, and the index is the one that a rebuild makes.
 */
#include <errno.h>
#include <unistd.h>

#include "index/catalog_history.h"
#include "index/catalog_internal.h"
#include "tests/lib/catalog_lab.h"

enum { STEPS = 300, NODES = 600, SECOND_NS = 1000000000, DEPTH_LIMIT = 12 };

struct run {
	struct lab lab;
	uint64_t random;
	int64_t step_ns;       /* between records */
	bool exact;            /* times, modes and owners too */
	uint64_t inos[NODES];  /* all that ever were */
	uint32_t count;
	uint64_t sizes;        /* of contents: every one is different */
	char *copies[STEPS * 2]; /* of the tree after record i */
	uint64_t last;
};

/* ---- the tree as text ---- */

/* The moment to look at: NOW, or a record. */
#define NOW UINT64_MAX

static int get_node(struct lab *lab, uint64_t seq, uint64_t ino, struct node_row *row)
{
	return seq == NOW ? catalog_node(lab->catalog, ino, row) : catalog_node_at(lab->catalog, seq, ino, row);
}

static void put_xattrs(struct lab *lab, uint64_t seq, uint64_t ino, struct buf *out)
{
	scope_buf struct buf names = { 0 }, value = { 0 };

	CHECK_RC(seq == NOW ? catalog_xattr_list(lab->catalog, ino, &names)
			    : catalog_xattr_list_at(lab->catalog, seq, ino, &names));
	/* In any order: one line with the sum of all. */
	uint64_t sum = 0;

	for (size_t at = 0; at < names.len; at += strlen((char *)names.data + at) + 1) {
		const char *name = (char *)names.data + at;
		uint64_t hash = 1469598103934665603u;

		CHECK_RC(seq == NOW ? catalog_xattr(lab->catalog, ino, name, &value)
				    : catalog_xattr_at(lab->catalog, seq, ino, name, &value));
		for (const char *c = name; *c; c++)
			hash = (hash ^ (uint8_t)*c) * 1099511628211u;
		for (size_t i = 0; i < value.len; i++)
			hash = (hash ^ value.data[i]) * 1099511628211u;
		sum += hash;
	}
	buf_printf(out, " x%llx", (unsigned long long)sum);
}

static void put_node(struct run *run, uint64_t seq, const struct entry *e, const char *path, struct buf *out)
{
	struct lab *lab = &run->lab;
	scope_free char *target = NULL;
	struct content content = { 0 };
	struct node_row row = { 0 };

	CHECK_RC(get_node(lab, seq, e->ino, &row));
	CHECK((row.mode & S_IFMT) == e->mode && row.nlink);
	buf_printf(out, "%s %llu %o", path, (unsigned long long)e->ino, e->mode);
	if (S_ISREG(row.mode)) {
		CHECK_RC(seq == NOW ? catalog_content(lab->catalog, e->ino, &content)
				    : catalog_content_at(lab->catalog, seq, e->ino, &content));
		CHECK(content.size == row.size);
		buf_printf(out, " #%llu", (unsigned long long)content.size);
	}
	if (S_ISLNK(row.mode)) {
		CHECK_RC(seq == NOW ? catalog_symlink(lab->catalog, e->ino, &target)
				    : catalog_symlink_at(lab->catalog, seq, e->ino, &target));
		buf_printf(out, " -> %s", target);
	}
	put_xattrs(lab, seq, e->ino, out);
	if (run->exact)
		buf_printf(out, " %s %llu m%o u%u g%u n%u s%llu t%lld d%u", row.name, (unsigned long long)row.parent,
			   row.mode, row.uid, row.gid, row.nlink, (unsigned long long)row.size, (long long)row.mtime_ns,
			   row.dataset);
	buf_u8(out, '\n');
}

static void put_folder(struct run *run, uint64_t seq, uint64_t folder, const char *path, struct buf *out)
{
	struct lab *lab = &run->lab;
	scope_entries struct entries entries = { 0 };

	CHECK_RC(seq == NOW ? catalog_list(lab->catalog, folder, &entries)
			    : catalog_list_at(lab->catalog, seq, folder, &entries));
	for (size_t i = 0; i < entries.count; i++) {
		char below[4096];
		struct node_row row = { 0 };

		snprintf(below, sizeof below, "%.3800s/%.200s", path, entries.list[i].name);
		put_node(run, seq, &entries.list[i], below, out);
		CHECK(i == 0 || strcmp(entries.list[i - 1].name, entries.list[i].name) < 0);
		CHECK_RC(seq == NOW ? catalog_lookup(lab->catalog, folder, entries.list[i].name, &row)
				    : catalog_lookup_at(lab->catalog, seq, folder, entries.list[i].name, &row));
		CHECK(row.ino == entries.list[i].ino);
		if (S_ISDIR(entries.list[i].mode))
			put_folder(run, seq, entries.list[i].ino, below, out);
	}
}

static char *tree(struct run *run, uint64_t seq)
{
	scope_buf struct buf out = { 0 };

	put_folder(run, seq, INO_DATASETS, "", &out);
	return strdup(buf_text(&out));
}

/* ---- random changes ---- */

static uint32_t pick(struct run *run, uint32_t below)
{
	return lab_random(&run->random, below);
}

static uint64_t some_node(struct run *run)
{
	return run->inos[pick(run, run->count)];
}

static uint64_t some_folder(struct run *run)
{
	struct node_row row;

	for (int tries = 0; tries < 30; tries++) {
		uint64_t ino = some_node(run);

		if (!catalog_node(run->lab.catalog, ino, &row) && S_ISDIR(row.mode) && row.nlink)
			return ino;
	}
	return INO_DATASETS;
}

static const char *some_name(struct run *run)
{
	static const char *const names[] = { "a", "b", "c", "a.b", "a ", ".x", "a.part" };

	return names[pick(run, sizeof names / sizeof *names)];
}

static void step_make(struct run *run)
{
	static const uint32_t types[] = { S_IFREG, S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK };
	uint64_t ino = 0;

	lab_make(&run->lab, some_folder(run), some_name(run), types[pick(run, 6)] | 0640, &ino);
	if (ino && run->count < NODES)
		run->inos[run->count++] = ino;
}

static void step_attr(struct run *run)
{
	struct record r = { .kind = REC_ATTR };

	r.attr.ino = some_node(run);
	r.attr.set = ATTR_MODE | ATTR_MTIME | (pick(run, 2) ? ATTR_UID | ATTR_GID : 0);
	r.attr.mode = pick(run, 01000);
	r.attr.uid = pick(run, 3);
	r.attr.gid = pick(run, 3);
	r.attr.owner = "bea";
	r.attr.mtime_ns = pick(run, 1000);
	lab_apply(&run->lab, &r);
}

static void step_xattr(struct run *run)
{
	static const char *const names[] = { "user.a", "user.ab", "user.b" };
	struct record r = { .kind = REC_XATTR };
	char value[16];

	snprintf(value, sizeof value, "%u", pick(run, 1000));
	r.xattr.ino = some_node(run);
	r.xattr.name = names[pick(run, 3)];
	r.xattr.remove = pick(run, 3) == 0;
	r.xattr.value = (const uint8_t *)value;
	r.xattr.value_len = strlen(value);
	lab_apply(&run->lab, &r);
}

static void step_restore(struct run *run)
{
	struct record r = { .kind = REC_RESTORE };
	struct node_row row = { 0 };

	for (int tries = 0; tries < 10; tries++) {
		r.restore.ino = some_node(run);
		CHECK_RC(catalog_node(run->lab.catalog, r.restore.ino, &row));
		if (!row.nlink)
			break;
	}
	r.restore.parent = some_folder(run);
	r.restore.name = some_name(run);
	r.restore.dataset = row.was_top;
	lab_apply(&run->lab, &r);
}

static void step(struct run *run)
{
	static const int flags[] = { 0, 0, LAB_NO_REPLACE, LAB_EXCHANGE };
	struct lab *lab = &run->lab;
	uint32_t what = pick(run, 100);

	lab->now_ns += run->step_ns;
	if (what < 30)
		step_make(run);
	else if (what < 45)
		lab_write(lab, some_node(run), ++run->sizes);
	else if (what < 52)
		step_attr(run);
	else if (what < 60)
		step_xattr(run);
	else if (what < 75)
		lab_remove(lab, some_folder(run), some_name(run), pick(run, 2));
	else if (what < 92)
		lab_rename(lab, some_folder(run), some_name(run), some_folder(run), some_name(run), flags[pick(run, 4)]);
	else if (what < 96)
		step_restore(run);
	else
		lab_role(lab, some_folder(run), 1 + pick(run, 2), 0, "");
}

/* ---- checks ---- */

static void check_moments(struct run *run, uint64_t from, const char *when)
{
	for (uint64_t seq = from; seq <= run->last; seq++) {
		scope_free char *then = tree(run, seq);

		if (strcmp(then, run->copies[seq]) != 0) {
			check_that(false, __FILE__, __LINE__, "the tree as it was", when);
			fprintf(stderr, "record %llu\n--- was\n%s--- is said\n%s", (unsigned long long)seq,
				run->copies[seq], then);
			return;
		}
	}
}

static void check_times(struct run *run, int64_t begin_ns)
{
	uint64_t seq = 0;

	for (uint64_t i = 1; run->exact && i <= run->last; i++) {
		/* Steps that made no record took time too, so a moment is found at and after its time. */
		CHECK(catalog_moment(run->lab.catalog, begin_ns - SECOND_NS, &seq) == -ENOENT);
		CHECK_RC(catalog_moment(run->lab.catalog, run->lab.now_ns, &seq));
		CHECK(seq == run->last);
	}
}

static void reopen(struct run *run)
{
	char path[512];

	memcpy(path, run->lab.path, sizeof path);
	lab_close(&run->lab);
	lab_open(&run->lab, path);
}

static char *rebuild(struct run *run)
{
	struct lab *lab = &run->lab;
	uint64_t records;
	char path[512];

	memcpy(path, lab->path, sizeof path);
	CHECK_RC(catalog_close(lab->catalog));
	CHECK_RC(catalog_rebuild(lab->store, lab->journal, &records));
	lab->catalog = NULL;
	journal_close(lab->journal);
	store_close(lab->store);
	lab_open(lab, path);
	return lab_dump(lab);
}

static bool held_odd(void *ctx, uint64_t ino)
{
	(void)ctx;
	return ino % 2;
}

static void sweep(struct run *run, bool (*held)(void *ctx, uint64_t ino))
{
	int rc = 1;

	while (rc == 1)
		rc = catalog_sweep(run->lab.catalog, held, NULL, 1 + pick(run, 20));
	CHECK_RC(rc);
}

struct live {
	uint8_t seen[STEPS * 2];
};

static int live_note(void *ctx, const struct content *content)
{
	struct live *live = ctx;

	live->seen[content->size] = 1;
	return 0;
}

/* Contents that the copies from `from` on name are live, and when nothing else is kept no others. */
static void check_live(struct run *run, uint64_t from, bool only)
{
	struct live live = { 0 }, wanted = { 0 };

	CHECK_RC(catalog_live_contents(run->lab.catalog, live_note, &live));
	for (uint64_t seq = from; seq <= run->last; seq++)
		for (const char *at = run->copies[seq]; (at = strstr(at, " #")); at++)
			wanted.seen[strtoull(at + 2, NULL, 10)] = 1;
	for (unsigned i = 1; i < sizeof live.seen; i++) {
		CHECK(live.seen[i] >= wanted.seen[i]);
		CHECK(!only || live.seen[i] == wanted.seen[i]);
	}
}

static void give_up(struct run *run, uint64_t horizon)
{
	struct record r = { .kind = REC_EXPIRE };
	uint64_t before = catalog_version(run->lab.catalog);

	r.expire.seq = horizon;
	CHECK_RC(lab_apply(&run->lab, &r));
	CHECK(catalog_horizon(run->lab.catalog) == horizon);
	run->copies[++run->last] = tree(run, NOW);
	CHECK(catalog_version(run->lab.catalog) == run->last && run->last == before + 1);
	r.expire.seq = horizon - 1; /* it never goes back */
	CHECK_RC(lab_apply(&run->lab, &r));
	r.expire.seq = run->last + 1;
	CHECK(lab_apply(&run->lab, &r) == -EINVAL);
	CHECK(catalog_version(run->lab.catalog) == run->last);
}

static void check_given_up(struct run *run, uint64_t horizon, const char *when)
{
	struct node_row row;
	uint64_t seq;

	CHECK(catalog_node_at(run->lab.catalog, horizon - 1, INO_DATASETS, &row) == -ENOENT);
	CHECK(catalog_lookup_at(run->lab.catalog, horizon - 1, INO_DATASETS, "a", &row) == -ENOENT);
	CHECK(catalog_moment(run->lab.catalog, SECOND_NS, &seq) == -ENOENT);
	check_moments(run, horizon, when);
	check_live(run, horizon, false);
}

static void check_expiry(struct run *run, uint64_t horizon)
{
	give_up(run, horizon);
	check_given_up(run, horizon, "given up and not swept");
	sweep(run, held_odd);
	check_given_up(run, horizon, "swept but for what is open");
	reopen(run);
	sweep(run, NULL);
	check_given_up(run, horizon, "swept");
	scope_free char *swept = lab_dump(&run->lab);
	scope_free char *rebuilt = rebuild(run);
	CHECK(strcmp(swept, rebuilt) == 0);
	check_given_up(run, horizon, "swept and rebuilt");
}

/* A removed node that the horizon has passed does not come back, whether it was swept or not. */
static void check_no_return(struct run *run)
{
	struct record r = { .kind = REC_RESTORE };
	struct node_row row;

	for (uint32_t i = 0; i < run->count; i++) {
		int rc = catalog_node(run->lab.catalog, run->inos[i], &row);

		if (rc == -ENOENT || row.nlink || row.removed > catalog_horizon(run->lab.catalog))
			continue;
		r.restore.ino = run->inos[i];
		r.restore.parent = INO_DATASETS;
		r.restore.name = "again";
		CHECK(lab_apply(&run->lab, &r) == -ENOENT);
	}
}

static void check_run(uint64_t seed, int64_t step_ns)
{
	struct run *run = calloc(1, sizeof *run);
	int64_t begin_ns = 1700000000LL * SECOND_NS;

	run->random = seed;
	run->step_ns = step_ns;
	run->exact = step_ns >= KEEP_SECONDS * (int64_t)SECOND_NS;
	lab_new(&run->lab);
	run->lab.now_ns = begin_ns;
	run->inos[run->count++] = lab_folder(&run->lab, INO_DATASETS, "top");
	run->copies[0] = strdup("");
	run->copies[++run->last] = tree(run, NOW);
	for (int i = 0; i < STEPS; i++) {
		step(run);
		if (catalog_version(run->lab.catalog) == run->last)
			continue;
		CHECK(catalog_version(run->lab.catalog) == ++run->last);
		run->copies[run->last] = tree(run, NOW);
	}
	check_moments(run, 0, "live");
	check_times(run, begin_ns);
	check_live(run, 0, false);
	reopen(run);
	check_moments(run, 0, "opened again");
	scope_free char *dump = lab_dump(&run->lab);
	scope_free char *rebuilt = rebuild(run);
	CHECK(strcmp(dump, rebuilt) == 0);
	check_moments(run, 0, "rebuilt");
	check_expiry(run, run->last / 2);
	check_expiry(run, run->last - 3);
	give_up(run, run->last);
	check_no_return(run);
	sweep(run, NULL);
	check_no_return(run);
	check_live(run, run->last, true);
	lab_close(&run->lab);
	for (uint64_t i = 0; i <= run->last; i++)
		free(run->copies[i]);
	free(run);
}

int main(void)
{
	for (uint64_t seed = 1; seed <= 2; seed++) {
		check_run(seed, KEEP_SECONDS * (int64_t)SECOND_NS);
		check_run(seed + 100, SECOND_NS / 10);
	}
	return check_done();
}
