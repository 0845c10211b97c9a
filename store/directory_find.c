/* Finds out, when a store is opened, which key runs can be used and for which packs. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "store/directory_internal.h"
#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

enum { TRIES = 10, SIZES_A_JOB = 256, STRANGE_PACKS = 1 << 16 };

struct keyrun **opening_runs(struct opening *o, size_t *count)
{
	*count = o->runs.len / sizeof(struct keyrun *);
	return (void *)o->runs.data;
}

static void drop_runs(struct opening *o)
{
	size_t count;
	struct keyrun **runs = opening_runs(o, &count);

	for (size_t i = 0; i < count; i++)
		keyrun_drop(runs[i]);
	buf_clear(&o->runs);
	if (o->covers)
		memset(o->covers, 0, (o->count + 1) * sizeof *o->covers);
}

void opening_free(struct opening *o)
{
	if (!o)
		return;
	drop_runs(o);
	buf_free(&o->runs);
	keyrun_builder_clear(&o->pending);
	keyrun_builder_clear(&o->copies);
	free(o->covers);
	free(o);
}

/* ---- the files ---- */

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static bool left_over(const char *name)
{
	const char *dot = strrchr(name, '.');
	scope_free char *rest = dot && strcmp(dot, ".tmp") == 0 ? strndup(name, (size_t)(dot - name)) : NULL;
	uint64_t number;

	return rest && keyrun_parse(rest, &number);
}

static void remove_left_over(struct directory *d, const char *name)
{
	scope_free char *path = NULL;

	if (d->place.read_only || asprintf(&path, "%s/%s", d->place.folder, name) < 0) {
		path = NULL;
		return;
	}
	d->place.io->unlink(d->place.io, path);
}

static int later_first(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left < *right) - (*left > *right);
}

/* The numbers of all runs, the latest first. A folder that cannot be read is as good as an empty one. */
static int list_runs(struct directory *d, struct buf *numbers)
{
	DIR *dir SCOPE_CLEANUP(close_dir) = opendir(d->place.folder);
	struct dirent *entry;
	uint64_t number;

	if (!dir && errno != ENOENT)
		log_warn("cannot list %s: %s", d->place.folder, strerror(errno));
	while (dir && (entry = readdir(dir))) {
		if (keyrun_parse(entry->d_name, &number))
			buf_put(numbers, &number, sizeof number);
		else if (left_over(entry->d_name))
			remove_left_over(d, entry->d_name);
	}
	if (buf_failed(numbers))
		return err_set(ENOMEM, "no memory to list %s", d->place.folder);
	if (numbers->len)
		qsort(numbers->data, numbers->len / sizeof number, sizeof number, later_first);
	return 0;
}

/* ---- which packs a run has ---- */

struct mapping {
	const struct opening *o;
	uint32_t *packs; /* by place: position in o->names, or KEYRUN_GONE */
	size_t at;	 /* position */
	size_t live;
	struct pack_name last;
};

static int map_pack(void *ctx, uint32_t place, const struct keyrun_pack *pack)
{
	struct mapping *m = ctx;
	const struct opening *o = m->o;

	if (place && pack_name_compare(m->last, pack->name) >= 0)
		return err_set(EBADMSG, "its packs are not in order");
	m->last = pack->name;
	while (m->at < o->count && pack_name_compare(o->names[m->at], pack->name) < 0)
		m->at++;
	m->packs[place] = KEYRUN_GONE;
	if (m->at < o->count && pack_name_compare(o->names[m->at], pack->name) == 0 && !o->covers[m->at].run) {
		m->packs[place] = (uint32_t)m->at;
		m->live++;
	}
	return 0;
}

struct claiming {
	struct opening *o;
	struct keyrun *run;
	const uint32_t *packs;
};

static int claim_pack(void *ctx, uint32_t place, const struct keyrun_pack *pack)
{
	struct claiming *c = ctx;

	if (c->packs[place] != KEYRUN_GONE)
		c->o->covers[c->packs[place]] = (struct cover) { c->run, place, pack->size, pack->seed };
	return 0;
}

/* Takes for the run all its packs that are there and that no later run has. 0; -ESTALE: there are none; -EBADMSG;
 * -ENOMEM. */
static int claim_packs(struct opening *o, struct keyrun *run)
{
	struct mapping m = { .o = o };
	int rc;

	if (run->head.packs > 2 * o->count + STRANGE_PACKS)
		return err_set(ESTALE, "%s: most of its packs are not there", run->path);
	m.packs = malloc((run->head.packs + 1) * sizeof *m.packs);
	if (!m.packs)
		return err_set(ENOMEM, "no memory to open a run of keys");
	rc = keyrun_packs(run, map_pack, &m);
	if (!rc && !m.live)
		rc = err_set(ESTALE, "%s: none of its packs is there, or later runs have them", run->path);
	if (!rc)
		rc = keyrun_packs(run, claim_pack, &(struct claiming) { o, run, m.packs });
	run->packs = m.packs;
	run->gone = run->head.packs - m.live;
	return rc;
}

/* 0, also when the run cannot be used; -ENOENT: it went away; -ENOMEM and the like. */
static int take_run(struct directory *d, uint64_t number)
{
	struct opening *o = d->opening;
	scope_free char *path = keyrun_path(&d->place, number);
	struct keyrun *run = NULL;
	int rc = path ? keyrun_open(&run, &d->place, number) : err_set(ENOMEM, "no memory for a path");

	if (!rc) {
		rc = claim_packs(o, run);
		if (!rc)
			buf_put(&o->runs, &run, sizeof run);
		if (!rc && !buf_failed(&o->runs))
			return 0;
	}
	for (size_t i = 0; run && i < o->count; i++)
		if (o->covers[i].run == run)
			o->covers[i] = (struct cover) { .run = NULL };
	keyrun_drop(run);
	if (buf_failed(&o->runs))
		return err_set(ENOMEM, "no memory to open a run of keys");
	if (directory_transient(rc) || rc == -ENOENT)
		return rc;
	log_line(rc == -ESTALE ? LOG_INFO : LOG_WARN, "%s; it is left out", err_text());
	if (!d->place.read_only)
		d->place.io->unlink(d->place.io, path);
	return 0;
}

/* Beside a writer, runs go away while one looks at them: then others have their packs. */
static int take_runs(struct directory *d)
{
	int rc = -ENOENT;

	for (int tries = 0; rc == -ENOENT && tries < TRIES; tries++) {
		scope_buf struct buf numbers = { 0 };
		const uint64_t *number;

		drop_runs(d->opening);
		rc = list_runs(d, &numbers);
		number = (const void *)numbers.data;
		for (size_t i = 0; !rc && i < numbers.len / sizeof *number; i++) {
			if (number[i] >= d->next_number)
				d->next_number = number[i] + 1;
			rc = take_run(d, number[i]);
		}
	}
	if (rc != -ENOENT)
		return rc;
	drop_runs(d->opening);
	return 0;
}

/* ---- are the packs still as long as the run says? ---- */

struct sizes {
	struct directory *d;
	size_t from, to;
};

static int64_t size_of(const struct directory *d, struct pack_name name)
{
	char text[PACK_NAME_MAX], path[4096];
	int64_t size;
	int fd;

	pack_name_text(name, text);
	if (snprintf(path, sizeof path, "%s/%s", d->place.packs_folder, text) >= (int)sizeof path)
		return -ENAMETOOLONG;
	fd = d->place.io->open(d->place.io, path, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	size = d->place.io->size(d->place.io, fd);
	d->place.io->close(d->place.io, fd);
	return size;
}

static int check_sizes(void *arg)
{
	struct sizes *s = arg;
	struct opening *o = s->d->opening;

	for (size_t i = s->from; i < s->to; i++) {
		struct cover *c = &o->covers[i];

		if (!c->run || size_of(s->d, o->names[i]) == (int64_t)c->size)
			continue;
		c->run->packs[c->place] = KEYRUN_GONE;
		__atomic_add_fetch(&c->run->gone, 1, __ATOMIC_RELAXED);
		c->run = NULL;
	}
	return 0;
}

static int check_all_sizes(struct directory *d, struct pool *pool)
{
	size_t count = d->opening->count, jobs = (count + SIZES_A_JOB - 1) / SIZES_A_JOB;
	scope_free struct sizes *sizes = calloc(jobs + 1, sizeof *sizes);
	struct pool_group group;
	int rc;

	if (!sizes)
		return err_set(ENOMEM, "no memory to open a store");
	pool_group_init(&group);
	for (size_t i = 0; i < jobs; i++) {
		size_t from = i * SIZES_A_JOB;

		sizes[i] = (struct sizes) { d, from, count - from < SIZES_A_JOB ? count : from + SIZES_A_JOB };
		pool_submit(pool, &group, check_sizes, &sizes[i]);
	}
	rc = pool_group_wait(&group);
	pool_group_destroy(&group);
	return rc;
}

int directory_find(struct directory *d, const struct pack_name *names, size_t count, struct pool *pool)
{
	struct opening *o = calloc(1, sizeof *o);
	int rc;

	d->opening = o;
	if (!o || !(o->covers = calloc(count + 1, sizeof *o->covers)))
		return err_set(ENOMEM, "no memory to open a store");
	o->names = names;
	o->count = count;
	rc = take_runs(d);
	return rc || !o->runs.len ? rc : check_all_sizes(d, pool);
}

bool directory_covers(const struct directory *d, size_t i, uint64_t *seed)
{
	*seed = d->opening->covers[i].seed;
	return d->opening->covers[i].run != NULL;
}

int directory_place_pack(struct directory *d, size_t i, uint32_t index)
{
	const struct cover *c = &d->opening->covers[i];

	c->run->packs[c->place] = index;
	return directory_note(d, index, 0, PACK_COVERED);
}
