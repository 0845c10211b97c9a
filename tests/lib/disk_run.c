#include "tests/lib/disk_run.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/check.h"
#include "tests/lib/disk.h"
#include "tests/lib/disk_check.h"
#include "tests/lib/random.h"

enum {
	STEPS_MIN = 6,
	STEPS_MAX = 40,
	TRIES = 4, /* states of the disk for each cut; fewer when they are the same */
	SNAPSHOTS_MAX = 64,
	SHORTEN_SECONDS = 20,
};

/* Where the states are: memory when it can be had. */
static const char *place;

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* ---- states that were seen ---- */

struct seen {
	uint64_t *slots;
	size_t mask, count;
};

static bool seen_add(struct seen *s, uint64_t hash)
{
	size_t at;

	if (s->count * 2 >= s->mask) {
		struct seen more = { .mask = s->mask ? s->mask * 2 + 1 : 1023 };

		more.slots = calloc(more.mask + 1, sizeof *more.slots);
		if (!more.slots)
			abort();
		for (size_t i = 0; s->slots && i <= s->mask; i++)
			if (s->slots[i])
				seen_add(&more, s->slots[i]);
		free(s->slots);
		*s = more;
	}
	hash += !hash;
	for (at = hash & s->mask; s->slots[at]; at = (at + 1) & s->mask)
		if (s->slots[at] == hash)
			return false;
	s->slots[at] = hash;
	s->count++;
	return true;
}

/* ---- LMDB as it was ---- */

struct snapshot {
	uint8_t *bytes;
	size_t len;
};

struct snapshots { /* of index/data.mdb, as it was at the end of each commit */
	struct snapshot list[SNAPSHOTS_MAX];
	size_t count;
};

static void snapshot_take(struct snapshots *all, const struct disk_image *image)
{
	struct disk_state *s = disk_state_new(image, DISK_ALL, 0);
	size_t len;
	const uint8_t *bytes = disk_state_bytes(s, "index/data.mdb", &len);
	struct snapshot *last = all->count ? &all->list[all->count - 1] : NULL;

	if (bytes && len && all->count < SNAPSHOTS_MAX && !(last && last->len == len && !memcmp(last->bytes, bytes, len))) {
		struct snapshot one = { malloc(len), len };

		if (!one.bytes)
			abort();
		memcpy(one.bytes, bytes, len);
		all->list[all->count++] = one;
	}
	disk_state_free(s);
}

/* ---- one sequence ---- */

struct result {
	struct check_count count;
	uint64_t points, calls, steps, index_lost, index_old, kept;
	uint64_t failures;
	uint64_t bad_cut, bad_try, bad_step;
	char text[1024];
};

struct run {
	struct work_plan plan;
	struct deeds history;
	struct disk_trace *trace;
	struct seen seen;
	struct snapshots snapshots;
	struct result *result;
	char folder[PATH_MAX], left[PATH_MAX], scratch[PATH_MAX];
	const struct crash_kind *kind;
	uint64_t only_cut, only_try;
	uint64_t tries;
};

/* Some of the tries are of a disk whose index is gone or older than the rest. */
static void change_index(struct run *r, struct disk_state *state, uint64_t *rng)
{
	uint64_t what = random_below(rng, 16);

	if (what == 0) {
		disk_state_remove(state, "index");
		r->result->index_lost++;
	} else if (what <= 2 && r->snapshots.count) {
		struct snapshot *old = &r->snapshots.list[random_below(rng, r->snapshots.count)];
		uint8_t *copy = malloc(old->len);

		if (!copy)
			abort();
		memcpy(copy, old->bytes, old->len);
		disk_state_replace(state, "index/data.mdb", copy, old->len);
		r->result->index_old++;
	}
}

static void cut_journal(struct disk_state *state, uint64_t *rng)
{
	const char *path = disk_state_last(state, "journal/");
	size_t len, left;
	const uint8_t *bytes = path ? disk_state_bytes(state, path, &len) : NULL;
	uint8_t *copy;

	if (!bytes || !len)
		return;
	left = random_below(rng, len);
	copy = malloc(left + 1);
	if (!copy)
		abort();
	memcpy(copy, bytes, left);
	disk_state_replace(state, path, copy, left);
}

static unsigned pick_flags(const struct run *r, uint64_t *rng)
{
	unsigned flags = r->kind->forgive ? CHECK_LIED : 0;
	uint64_t what = random_below(rng, 16);

	return flags | (what == 0 ? CHECK_REBUILD : 0) | (what == 1 || what == 2 ? CHECK_USE : 0) |
	       (what >= 12 ? CHECK_LOOK : 0);
}

static void failed(struct run *r, size_t cut, uint64_t try, size_t step, const char *text)
{
	struct result *res = r->result;

	if (res->failures++)
		return;
	res->bad_cut = cut;
	res->bad_try = try;
	res->bad_step = step;
	snprintf(res->text, sizeof res->text, "%s", text);
}

/* For those who look for the reason: the disk as it was left, the calls and the steps. */
static void keep_failure(const struct run *r, const struct disk_state *state, size_t cut)
{
	const char *to = getenv("KEEP");
	char path[PATH_MAX];
	FILE *f;

	if (!to || r->result->failures > 1)
		return;
	remove_folder(to);
	disk_state_write(state, to);
	snprintf(path, sizeof path, "%s/calls.txt", to);
	f = fopen(path, "w");
	for (size_t i = 0; f && i < disk_trace_count(r->trace); i++) {
		const struct disk_op *op = disk_trace_op(r->trace, i);

		fprintf(f, "%s%zu ", i == cut ? "CUT\n" : "", i);
		disk_op_print(r->trace, i, f);
		if (op->kind == DISK_MARK)
			fprintf(f, "    %s\n", r->history.steps[op->off].text);
	}
	if (f)
		fclose(f);
}

/* The state number `try` of the disk when the power goes before this call. */
static void look_at(struct run *r, const struct disk_image *image, size_t cut, size_t step, uint64_t try)
{
	enum disk_keep keep = r->kind->cut_journal ? DISK_ALL : try == 0 ? DISK_NONE : try == 1 ? DISK_ALL : DISK_SOME;
	uint64_t rng = r->plan.seed * 1000003 + cut * 101 + try;
	struct disk_state *state = disk_state_new(image, keep, random_next(&rng));
	char *text;

	if (r->kind->cut_journal)
		cut_journal(state, &rng);
	else if (try)
		change_index(r, state, &rng);
	if (seen_add(&r->seen, disk_state_hash(state) * 31 + step)) {
		disk_state_write(state, r->left);
		text = check_left(r->left, r->scratch, &r->history, step, pick_flags(r, &rng), random_next(&rng),
				  &r->result->count);
		if (text) {
			failed(r, cut, try, step, text);
			keep_failure(r, state, cut);
		}
		free(text);
		remove_folder(r->left);
		remove_folder(r->scratch);
	}
	disk_state_free(state);
}

static void cut_everywhere(struct run *r)
{
	struct disk_image *image = disk_image_new(r->trace);
	size_t calls = disk_trace_count(r->trace), step = 0;

	disk_image_lie(image, r->kind->lie_kinds, r->kind->lie_below);
	for (size_t cut = 0; cut <= calls && !r->result->failures; cut++) {
		const struct disk_op *op = cut < calls ? disk_trace_op(r->trace, cut) : NULL;

		if (r->only_cut == UINT64_MAX || r->only_cut == cut)
			for (uint64_t try = 0; try < r->tries; try++)
				if (r->only_try == UINT64_MAX || r->only_try == try)
					look_at(r, image, cut, step, try);
		disk_image_step(image);
		if (op && op->kind == DISK_MARK)
			step = op->off;
		if (op && op->synced)
			snapshot_take(&r->snapshots, image);
	}
	disk_image_free(image);
}

static void run_free(struct run *r)
{
	for (size_t i = 0; i < r->snapshots.count; i++)
		free(r->snapshots.list[i].bytes);
	deeds_free(&r->history);
	disk_trace_free(r->trace);
	free(r->seen.slots);
}

static void run_sequence(struct run *r)
{
	char *text;

	snprintf(r->folder, sizeof r->folder, "%s/%d-store", place, (int)getpid());
	snprintf(r->left, sizeof r->left, "%s/%d-left", place, (int)getpid());
	snprintf(r->scratch, sizeof r->scratch, "%s/%d-again", place, (int)getpid());
	text = work_run(r->folder, &r->plan, &r->history, &r->trace);
	if (text)
		failed(r, 0, 0, 0, text);
	else
		cut_everywhere(r);
	free(text);
	r->result->calls = r->trace ? disk_trace_count(r->trace) : 0;
	r->result->steps = r->history.step_count / 2;
	r->result->points = r->seen.count;
	remove_folder(r->folder);
}

/* In a process of its own: what crashes it is a failure of this sequence, and its words are kept. */
static pid_t start_sequence(struct run *r, int words)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	dup2(words, STDERR_FILENO);
	run_sequence(r);
	run_free(r);
	_exit(0);
}

static void print_words(int words)
{
	char text[4096];
	off_t end = lseek(words, 0, SEEK_END);
	off_t from = end > 3000 ? end - 3000 : 0;
	ssize_t n = pread(words, text, sizeof text - 1, from);

	if (n > 0)
		printf("%.*s\n", (int)n, text);
}

static void plan_failure(struct work_plan *plan, uint64_t *rng)
{
	static const unsigned kinds[] = { DISK_WRITE, DISK_SYNC, DISK_SYNC, DISK_OPEN, DISK_RENAME, DISK_WRITE | DISK_SYNC,
					  DISK_TRUNCATE | DISK_UNLINK, DISK_CHANGES | DISK_OPEN };
	static const int codes[] = { EIO, EIO, ENOSPC };

	plan->fail_step = random_below(rng, plan->steps);
	plan->fail_kinds = kinds[random_below(rng, sizeof kinds / sizeof *kinds)];
	plan->fail_code = codes[random_below(rng, sizeof codes / sizeof *codes)];
	if (plan->fail_kinds == DISK_WRITE && random_below(rng, 3) == 0)
		plan->fail_code = 0;
	plan->fail_nth = 1 + random_below(rng, 8);
	plan->fail_on = plan->fail_code && random_below(rng, 2);
}

static struct work_plan plan_of(const struct crash_kind *kind, uint64_t seed)
{
	uint64_t rng = seed;
	struct work_plan plan = { .seed = seed, .fail_step = SIZE_MAX };

	plan.steps = STEPS_MIN + random_below(&rng, STEPS_MAX - STEPS_MIN + 1);
	if (kind->failing)
		plan_failure(&plan, &rng);
	return plan;
}

static struct result *new_result(void)
{
	struct result *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (r == MAP_FAILED)
		abort();
	return r;
}

/* Runs it and waits; true when it failed. */
static bool try_plan(const struct crash_kind *kind, const struct work_plan *plan, struct result *res, uint64_t tries)
{
	struct run r = { .kind = kind, .plan = *plan, .result = res, .only_cut = UINT64_MAX, .only_try = UINT64_MAX, .tries = tries };
	int words = memfd_create("words", MFD_CLOEXEC), status;
	pid_t pid;

	memset(res, 0, sizeof *res);
	pid = start_sequence(&r, words);
	waitpid(pid, &status, 0);
	close(words);
	return status || res->failures;
}

/* Leaves steps out as long as it still fails, for a while. */
static void print_shortest(const struct crash_kind *kind, uint64_t seed)
{
	struct result *res = new_result();
	struct work_plan plan = plan_of(kind, seed);
	time_t until = time(NULL) + SHORTEN_SECONDS;
	size_t left = 0;

	for (size_t i = plan.steps; i-- > 0 && time(NULL) < until;) {
		plan.skip[i] = true;
		if (!try_plan(kind, &plan, res, TRIES * 2))
			plan.skip[i] = false;
	}
	printf("fewest steps that fail:");
	for (size_t i = 0; i < plan.steps; i++)
		if (!plan.skip[i]) {
			printf(" %zu", i);
			left++;
		}
	try_plan(kind, &plan, res, TRIES * 2);
	printf(" (%zu of %zu); then: %s\n", left, plan.steps, res->text);
	munmap(res, sizeof *res);
}

/* ---- many ---- */

struct job {
	pid_t pid;
	uint64_t seed;
	struct result *result;
	int words;
};

static void job_start(const struct crash_kind *kind, struct job *j, uint64_t seed)
{
	struct run r = { .kind = kind,
			 .plan = plan_of(kind, seed),
			 .result = j->result,
			 .only_cut = number("CUT", UINT64_MAX),
			 .only_try = number("TRY", UINT64_MAX),
			 .tries = kind->tries ? kind->tries : TRIES };

	memset(j->result, 0, sizeof *j->result);
	j->seed = seed;
	j->words = memfd_create("words", MFD_CLOEXEC);
	j->pid = start_sequence(&r, j->words);
}

static void job_end(const struct crash_kind *kind, struct job *j, int status, struct crash_total *t)
{
	const struct result *r = j->result;

	if (status || r->failures) {
		t->failures++;
		if (kind->silent)
			goto counted;
		printf("SEQUENCE=%llu CUT=%llu TRY=%llu (step %llu of %llu): %s%s\n", (unsigned long long)j->seed,
		       (unsigned long long)r->bad_cut, (unsigned long long)r->bad_try, (unsigned long long)r->bad_step / 2,
		       (unsigned long long)r->steps, r->text, status ? "the process died" : "");
		print_words(j->words);
		if (!getenv("SEQUENCE"))
			print_shortest(kind, j->seed);
		fflush(stdout);
	}
counted:
	close(j->words);
	t->sequences++;
	t->points += r->points;
	t->calls += r->calls;
	t->index_lost += r->index_lost;
	t->index_old += r->index_old;
	t->count.cuts += r->count.cuts;
	t->count.files += r->count.files;
	t->count.bytes += r->count.bytes;
	t->count.journal_cut += r->count.journal_cut;
	t->count.recoveries += r->count.recoveries;
	t->count.ahead += r->count.ahead;
	j->pid = 0;
}

static void run_all(const struct crash_kind *kind, struct crash_total *t, uint64_t points, uint64_t seed, size_t jobs)
{
	struct job *list = calloc(jobs, sizeof *list);
	time_t until = time(NULL) + (time_t)number("MOST_SECONDS", 100000);
	size_t running = 0;
	int status;

	for (size_t i = 0; i < jobs; i++)
		list[i].result = new_result();
	do {
		if (time(NULL) >= until)
			points = t->points;
		for (size_t i = 0; i < jobs && t->points < points && t->failures < kind->failures_max; i++)
			if (!list[i].pid) {
				job_start(kind, &list[i], seed++);
				running++;
			}
		if (running) {
			pid_t pid = wait(&status);

			for (size_t i = 0; i < jobs; i++)
				if (list[i].pid == pid) {
					job_end(kind, &list[i], status, t);
					running--;
				}
		}
	} while (running || (t->points < points && t->failures < kind->failures_max));
	free(list);
}

static void find_place(void)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof path, "/dev/shm/tomofs-crash.XXXXXX");
	place = mkdtemp(path);
	if (!place)
		place = check_tmpdir();
}

void crash_run(const struct crash_kind *kind, uint64_t points, struct crash_total *t)
{
	struct timespec from, to;

	*t = (struct crash_total) { 0 };
	find_place();
	clock_gettime(CLOCK_MONOTONIC, &from);
	if (getenv("SEQUENCE"))
		run_all(kind, t, 1, number("SEQUENCE", 1), 1);
	else
		run_all(kind, t, number("POINTS", points), number("SEED", 1), number("JOBS", 1));
	clock_gettime(CLOCK_MONOTONIC, &to);
	t->seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	t->points += t->count.recoveries;
	remove_folder(place);
}

void crash_print(const struct crash_total *t)
{
	printf("%llu sequences, %llu calls, %llu different states, %llu of them after a second cut, %llu with a shorter journal, "
	       "%llu with the index lost, %llu with an older one; %llu files, %.1f MB compared; %llu failures; %.0f s, %.0f "
	       "states/s\n",
	       (unsigned long long)t->sequences, (unsigned long long)t->calls, (unsigned long long)t->points,
	       (unsigned long long)t->count.recoveries, (unsigned long long)t->count.journal_cut,
	       (unsigned long long)t->index_lost, (unsigned long long)t->index_old, (unsigned long long)t->count.files,
	       (double)t->count.bytes / 1e6, (unsigned long long)t->failures, t->seconds, (double)t->points / t->seconds);
}
