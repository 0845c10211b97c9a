/*
 * Damage at a random place of a store: a flipped bit or byte, a page of zeros, two pages exchanged, a truncated file, junk behind its
 * end, a file that is gone. Then everything is listed and read. Each byte that is delivered must be right; else it is EIO, or the store is
 * not opened, with a sentence. And fs_verify() must have named what could not be read, and nothing else.
 *
 *     TRIES=300   SEED=1   ONLY=17 (this try alone, said in full)
 *     KEEP=DIR   what failed, as it was damaged (stores differ from run to run in their random id, so ONLY alone may find something else)
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "fs/repair.h"
#include "store/log.h"
#include "tests/lib/flip_store.h"

enum { BATCH = 50, PAGE = 4096, SECONDS_MAX = 120, FILES_MAX = 128 };

enum outcome { ALL_RIGHT, SOME_EIO, REFUSED, TAIL_LOST, REPAIRED, OUTCOMES };
static const char *const outcome_text[] = { "all right", "EIO", "not opened", "end of the journal lost", "repaired" };

struct shared { /* with the children */
	uint64_t tries, outcomes[OUTCOMES], verify_named, failures, crashes, files_read, files_eio, repaired, mended, mended_lossless;
	uint64_t current; /* try */
	char what[300];   /* was damaged */
};
static struct shared *shared;

static char pristine[2][512], work[512];
static bool loud;

/* ---- damage ---- */

struct target {
	char path[PATH_MAX];
	uint64_t size;
};

static struct target targets[FILES_MAX];
static size_t target_count;

static void find_targets(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[PATH_MAX];
		struct stat st;

		if (e->d_name[0] == '.' || snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= (int)sizeof path || lstat(path, &st))
			continue;
		if (S_ISDIR(st.st_mode)) {
			find_targets(path);
		} else if (st.st_size && target_count < FILES_MAX) {
			memcpy(targets[target_count].path, path, sizeof path);
			targets[target_count++].size = (uint64_t)st.st_size;
		}
	}
	if (d)
		closedir(d);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct target *)a)->path, ((const struct target *)b)->path);
}

/* Half of the time any file, else any byte of all files. */
static struct target *pick_target(uint64_t *rng)
{
	uint64_t sum = 0, at;

	target_count = 0;
	find_targets(work);
	qsort(targets, target_count, sizeof *targets, by_path);
	if (random_below(rng, 2))
		return &targets[random_below(rng, target_count)];
	for (size_t i = 0; i < target_count; i++)
		sum += targets[i].size;
	at = random_below(rng, sum);
	for (size_t i = 0;; i++) {
		if (at < targets[i].size)
			return &targets[i];
		at -= targets[i].size;
	}
}

__attribute__((format(printf, 2, 3))) static void did(const struct target *t, const char *fmt, ...)
{
	char text[100];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	snprintf(shared->what, sizeof shared->what, "%.180s of %llu bytes: %s", t->path + strlen(work) + 1, (unsigned long long)t->size,
		 text);
}

static void flip(struct target *t, int fd, uint64_t *rng)
{
	uint64_t at = random_below(rng, t->size);
	uint8_t byte, change = random_below(rng, 2) ? (uint8_t)(1 << random_below(rng, 8)) : (uint8_t)(1 + random_below(rng, 255));

	CHECK(pread(fd, &byte, 1, (off_t)at) == 1);
	did(t, "byte %llu, %02x becomes %02x", (unsigned long long)at, byte, byte ^ change);
	byte ^= change;
	CHECK(pwrite(fd, &byte, 1, (off_t)at) == 1);
}

static void zero_page(struct target *t, int fd, uint64_t *rng)
{
	static const uint8_t zeros[PAGE];
	size_t unit = random_below(rng, 2) ? 512 : PAGE;
	uint64_t at = random_below(rng, t->size) / unit * unit, len = t->size - at < unit ? t->size - at : unit;

	did(t, "zeros from %llu, %llu bytes", (unsigned long long)at, (unsigned long long)len);
	CHECK(pwrite(fd, zeros, len, (off_t)at) == (ssize_t)len);
}

static void swap_pages(struct target *t, int fd, uint64_t *rng)
{
	uint8_t one[PAGE], two[PAGE];
	uint64_t pages = t->size / PAGE, a, b;

	if (pages < 2) {
		flip(t, fd, rng);
		return;
	}
	a = random_below(rng, pages) * PAGE;
	b = random_below(rng, pages) * PAGE;
	did(t, "pages at %llu and %llu exchanged", (unsigned long long)a, (unsigned long long)b);
	CHECK(pread(fd, one, PAGE, (off_t)a) == PAGE && pread(fd, two, PAGE, (off_t)b) == PAGE);
	CHECK(pwrite(fd, one, PAGE, (off_t)b) == PAGE && pwrite(fd, two, PAGE, (off_t)a) == PAGE);
}

static void cut(struct target *t, int fd, uint64_t *rng)
{
	uint64_t to = random_below(rng, t->size);

	did(t, "cut to %llu", (unsigned long long)to);
	CHECK(!ftruncate(fd, (off_t)to));
}

static void append(struct target *t, int fd, uint64_t *rng)
{
	uint8_t junk[PAGE];
	size_t len = 1 + random_below(rng, PAGE);

	did(t, "%zu bytes appended", len);
	random_fill(junk, len, random_next(rng));
	CHECK(pwrite(fd, junk, len, (off_t)t->size) == (ssize_t)len);
}

/* Returns the file. */
static const char *damage(uint64_t *rng)
{
	static void (*const rare[])(struct target *, int, uint64_t *) = { zero_page, swap_pages, cut, append };
	struct target *t = pick_target(rng);
	uint64_t kind = random_below(rng, 40);
	int fd = open(t->path, O_RDWR | O_CLOEXEC);

	CHECK(fd >= 0);
	if (kind == 0) {
		did(t, "removed");
		unlink(t->path);
	} else {
		(kind < 30 ? flip : rare[random_below(rng, 4)])(t, fd, rng);
	}
	close(fd);
	return t->path;
}

/* ---- what verify says ---- */

struct said {
	uint64_t sentences;
	bool index; /* is damaged: what is read through it may be EIO, but is not hurt, for it is made again from the journal */
	char hurt[FLIP_ITEMS_MAX][128];
	size_t hurt_count;
};

static void on_damaged(void *ctx, const char *sentence)
{
	struct said *said = ctx;

	said->sentences++;
	said->index |= strstr(sentence, "index") != NULL;
	CHECK(*sentence);
	if (loud)
		printf("  damaged: %s\n", sentence);
}

static void on_hurt(void *ctx, const struct verify_hurt *h)
{
	struct said *said = ctx;

	if (loud)
		printf("  hurt: %s (%s) %llu to %llu: %s\n", h->path, h->dataset, (unsigned long long)h->from, (unsigned long long)h->to,
		       h->why);
	if (said->hurt_count < FLIP_ITEMS_MAX)
		snprintf(said->hurt[said->hurt_count++], sizeof *said->hurt, "%s", h->path);
}

static bool said_hurt(const struct said *said, const char *path)
{
	for (size_t i = 0; i < said->hurt_count; i++)
		if (!strcmp(said->hurt[i], path))
			return true;
	return false;
}

/* ---- what is read ---- */

struct look {
	struct fs *fs;
	const struct said *said;
	const struct verify_counts *counts;
	bool tail_lost; /* the journal ends earlier than it did */
	bool eio;
	bool seen[FLIP_ITEMS_MAX];
	bool unlisted[FLIP_ITEMS_MAX]; /* the folder it is in could not be listed */
	const char *wrong;
};

static void wrong(struct look *l, const char *what, const char *path)
{
	static char text[16 << 10];

	if (l->wrong)
		return;
	snprintf(text, sizeof text, "%s: %s", path, what);
	l->wrong = text;
}

static void check_eio(struct look *l, int64_t rc, const char *path)
{
	l->eio = true;
	if (rc != -EIO)
		wrong(l, "an error other than EIO", path);
	if (!*err_text())
		wrong(l, "EIO without a sentence", path);
	if (loud)
		printf("  %s: %s\n", path, err_text());
}

static void check_bytes(struct look *l, const struct flip_item *item, const uint8_t *bytes, size_t from, size_t len, uint64_t size)
{
	if (size == item->bytes.len && from + len <= size && (!len || !memcmp(bytes, item->bytes.data + from, len)))
		return;
	if (l->tail_lost && (!size || (size == item->earlier.len && !memcmp(bytes, item->earlier.data + from, len))))
		return;
	wrong(l, "wrong bytes", item->path);
}

static void read_file(struct look *l, const struct flip_item *item, uint64_t size)
{
	static uint8_t bytes[64 << 10];
	struct file *file = NULL;
	bool eio = false;
	int rc = file_open(l->fs->files, item->ino, false, &file);
	int64_t n = rc;

	shared->files_read++;
	for (uint64_t at = 0; !rc && at < size; at += 5000) {
		size_t want = size - at < 5000 ? size - at : 5000;

		n = file_read(file, at, bytes, want);
		if (n == (int64_t)want) {
			check_bytes(l, item, bytes, at, want, size);
			continue;
		}
		eio = true;
		if (n >= 0) {
			wrong(l, "fewer bytes than asked for", item->path);
			break;
		}
		check_eio(l, n, item->path);
		if (!strstr(err_text(), item->path))
			wrong(l, "EIO without its name", item->path);
	}
	if (rc) {
		eio = true;
		check_eio(l, rc, item->path);
	} else if (!size) {
		check_bytes(l, item, bytes, 0, 0, 0);
	}
	if (file)
		file_release(file, &caller_self, false);
	shared->files_eio += eio;
	if (l->counts->named && eio != said_hurt(l->said, item->path) && !l->tail_lost && !(eio && l->said->index))
		wrong(l, eio ? "verify did not say that it is hurt" : "verify said that it is hurt", item->path);
}

static void look_at(struct look *l, const struct node_row *row, const char *path)
{
	struct flip_item *item = flip_find(path);
	scope_free char *target = NULL;
	int rc;

	if (!item || item->ino != row->ino || (item->kind ^ row->mode) & S_IFMT) {
		if (!l->tail_lost)
			wrong(l, "is listed and never was", path);
		return;
	}
	l->seen[item - flip_items] = true;
	if (S_ISREG(row->mode)) {
		read_file(l, item, row->size);
	} else if (S_ISLNK(row->mode)) {
		rc = catalog_symlink(l->fs->catalog, row->ino, &target);
		if (rc)
			check_eio(l, rc, path);
		else if (strcmp(target, buf_text(&item->bytes)) != 0)
			wrong(l, "another target", path);
	}
}

static void not_listed(struct look *l, const char *folder)
{
	size_t len = strlen(folder);

	for (size_t i = 0; i < flip_item_count; i++)
		if (!len || (!strncmp(flip_items[i].path, folder, len) && flip_items[i].path[len] == '/'))
			l->unlisted[i] = true;
}

static void look_through(struct look *l, uint64_t folder, const char *path)
{
	scope_entries struct entries entries = { 0 };
	int rc = catalog_list(l->fs->catalog, folder, &entries);

	if (rc) {
		check_eio(l, rc, path);
		not_listed(l, path);
	}
	for (size_t i = 0; !rc && i < entries.count; i++) {
		struct node_row row, again;
		char below[512];
		int rc2;

		snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", entries.list[i].name);
		rc2 = catalog_node(l->fs->catalog, entries.list[i].ino, &row);
		if (!rc2)
			rc2 = catalog_lookup(l->fs->catalog, folder, entries.list[i].name, &again);
		if (rc2) {
			check_eio(l, rc2, below);
			not_listed(l, below);
			if (flip_find(below))
				l->unlisted[flip_find(below) - flip_items] = true;
			continue;
		}
		if (again.ino != row.ino)
			wrong(l, "the name leads elsewhere", below);
		look_at(l, &row, below);
		if (S_ISDIR(row.mode))
			look_through(l, row.ino, below);
	}
}

static void look_at_tags(struct look *l)
{
	struct term *list = NULL;
	size_t count = 0;
	int rc = catalog_tags(l->fs->catalog, 1, &list, &count);

	if (rc)
		check_eio(l, rc, "tags");
	else if (!l->tail_lost && (count != 1 || strcmp(list[0].text, "porosity") != 0))
		wrong(l, "not as they were", "tags");
	free(list);
}

static void look_at_all(struct look *l)
{
	look_through(l, INO_DATASETS, "");
	look_at_tags(l);
	for (size_t i = 0; i < flip_item_count; i++)
		if (!l->seen[i] && !l->unlisted[i] && !l->tail_lost)
			wrong(l, "is not listed", flip_items[i].path);
}

/* ---- one try ---- */

static void remove_work(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char below[PATH_MAX];

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= (int)sizeof below)
			continue;
		if (unlink(below))
			remove_work(below);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static void on_said(void *ctx, const char *sentence)
{
	(void)ctx;
	if (loud)
		printf("  repair: %s\n", sentence);
}

/* Afterwards it opens, verify finds nothing but what is missing, and what could be read before can be read. settings: of the store are
 * damaged, which is not mended. */
static const char *repair_it(const struct said *before, bool settings, bool tail)
{
	struct repair_listener listener = { .say = on_said };
	struct verify_counts counts = { 0 };
	struct repair_counts repaired;
	struct said said = { 0 };
	struct verify_listener after = { .damaged = on_damaged, .hurt = on_hurt, .ctx = &said };
	struct look look = { .said = &said, .counts = &counts };
	int rc = fs_repair(work, NULL, &listener, &repaired);

	if (rc && loud)
		printf("  repair: %s\n", err_text());
	if (rc)
		return settings ? NULL : "repair failed";
	rc = fs_verify(work, &after, &counts);
	if (rc || said.sentences || counts.files_hurt != repaired.left.files_hurt)
		return "verify finds something after repair";
	for (size_t i = 0; before && i < said.hurt_count; i++)
		if (!said_hurt(before, said.hurt[i]))
			return "repair has hurt a file";
	look.fs = flip_open(work, &rc);
	if (!look.fs)
		return "not opened after repair";
	look.tail_lost = tail || repaired.records_lost || (!repaired.records && journal_last(look.fs->journal) < flip_last_seq);
	look_at_all(&look);
	fs_close(look.fs);
	shared->repaired++;
	shared->mended += repaired.records != 0;
	shared->mended_lossless += repaired.records && !repaired.records_lost;
	return look.wrong;
}

static void keep_it(const char *keep, const char *name)
{
	char to[PATH_MAX];

	snprintf(to, sizeof to, "%s/%s", keep, name);
	remove_work(to);
	flip_copy(work, to);
}

static void keep_failed(const char *keep, uint64_t number)
{
	char from[PATH_MAX], to[PATH_MAX];

	snprintf(from, sizeof from, "%s/now", keep);
	snprintf(to, sizeof to, "%s/%llu", keep, (unsigned long long)number);
	remove_work(to);
	rename(from, to);
}

static const char *try_one(uint64_t number, uint64_t seed, enum outcome *outcome)
{
	uint64_t rng = seed * UINT64_C(0x100000001b3) + number;
	struct verify_counts counts = { 0 };
	struct said said = { 0 };
	struct verify_listener listener = { .damaged = on_damaged, .hurt = on_hurt, .ctx = &said };
	struct look look = { .said = &said, .counts = &counts };
	const char *keep = getenv("KEEP");
	bool journal, killed, clean;
	int rc;

	killed = random_below(&rng, 2);
	flip_copy(pristine[killed], work);
	journal = strstr(damage(&rng), "/journal/") != NULL;
	if (keep)
		keep_it(keep, "now");
	if (loud)
		printf("try %llu: %s\n", (unsigned long long)number, shared->what);
	rc = fs_verify(work, &listener, &counts);
	clean = !rc && !said.sentences && !counts.files_hurt && !counts.old_hurt;
	shared->verify_named += !clean;
	if (random_below(&rng, 3) == 0 || getenv("REPAIR")) {
		const char *text = repair_it(counts.named ? &said : NULL, rc != 0 || strstr(shared->what, "tomofs.json"), killed && journal);

		if (text)
			return text;
		remove_work(work);
		*outcome = REPAIRED;
		return NULL;
	}
	look.fs = flip_open(work, &rc);
	if (!look.fs) {
		*outcome = REFUSED;
		if (loud)
			printf("  not opened: %s\n", err_text());
		return !*err_text() ? "not opened, without a sentence" : clean ? "verify was clean, but it is not opened" : NULL;
	}
	look.tail_lost = journal_last(look.fs->journal) < flip_last_seq;
	look_at_all(&look);
	*outcome = look.eio ? SOME_EIO : look.tail_lost ? TAIL_LOST : ALL_RIGHT;
	fs_close(look.fs);
	if (look.wrong)
		return look.wrong;
	if (look.tail_lost && !journal)
		return "the journal was cut, and was not damaged";
	return look.eio && clean ? "verify was clean, but not everything can be read" : NULL;
}

static void run_batch(uint64_t from, uint64_t to, uint64_t seed)
{
	for (uint64_t i = from; i < to; i++) {
		enum outcome outcome = REFUSED;
		const char *text;

		shared->current = i;
		alarm(SECONDS_MAX);
		text = try_one(i, seed, &outcome);
		alarm(0);
		shared->tries++;
		shared->outcomes[outcome]++;
		if (text) {
			shared->failures++;
			printf("ONLY=%llu SEED=%llu: %s: %s\n", (unsigned long long)i, (unsigned long long)seed, shared->what, text);
			fflush(stdout);
			if (getenv("KEEP"))
				keep_failed(getenv("KEEP"), i);
		}
		remove_work(work);
	}
}

/* In a process of its own: a crash is counted, and the next batch goes on behind it. */
static uint64_t run_child(uint64_t from, uint64_t to, uint64_t seed)
{
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		if (!freopen("/dev/null", "w", stderr)) /* what is logged is expected */
			_exit(99);
		run_batch(from, to, seed);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		abort();
	if (!status)
		return to;
	shared->crashes++;
	printf("ONLY=%llu SEED=%llu: %s: CRASH (status %x)\n", (unsigned long long)shared->current, (unsigned long long)seed, shared->what,
	       status);
	remove_work(work);
	return shared->current + 1;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

int main(void)
{
	uint64_t tries = number_of("TRIES", 300), seed = number_of("SEED", 1), only = number_of("ONLY", UINT64_MAX);

	log_set_level(LOG_ERROR);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(pristine[0], sizeof pristine[0], "%s/closed", check_tmpdir());
	snprintf(pristine[1], sizeof pristine[1], "%s/killed", check_tmpdir());
	snprintf(work, sizeof work, "%s/work", check_tmpdir());
	setenv("TMPDIR", check_tmpdir(), 1);
	flip_make(pristine[0], pristine[1]);
	loud = only != UINT64_MAX;
	if (loud)
		run_batch(only, only + 1, seed);
	for (uint64_t at = 0; !loud && at < tries;)
		at = run_child(at, at + BATCH < tries ? at + BATCH : tries, seed);
	CHECK(!shared->crashes);
	CHECK(!shared->failures);
	if (tries > 1000 || loud) {
		printf("%llu tries, %llu named by verify, %llu crashes, %llu wrong; %llu files read, %llu of them EIO\n",
		       (unsigned long long)shared->tries, (unsigned long long)shared->verify_named, (unsigned long long)shared->crashes,
		       (unsigned long long)shared->failures, (unsigned long long)shared->files_read, (unsigned long long)shared->files_eio);
		printf("%llu opened after repair, %llu with a new journal, %llu of these without loss\n", (unsigned long long)shared->repaired,
		       (unsigned long long)shared->mended, (unsigned long long)shared->mended_lossless);
		for (int i = 0; i < OUTCOMES; i++)
			printf("  %llu: %s\n", (unsigned long long)shared->outcomes[i], outcome_text[i]);
	}
	return check_done();
}
