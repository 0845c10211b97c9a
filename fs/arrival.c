/*
 * arrival: the queue of closed files, the thread that works it off, and catch-up.
 *
 * A tracked dataset counts its changes; a survey is up to date when it began after the last change. A closed file is queued, is being
 * looked into, or is done; closed again while being looked into, it is queued again.
 */
#include <errno.h>
#include <string.h>

#include "fs/arrival_internal.h"
#include "fs/file.h"
#include "fs/recoder.h"
#include "store/err.h"
#include "store/log.h"

enum { QUIET_SURVEY_MS = 500, TICK_MS = 250, BUCKETS = 4096 };
enum { PATIENT_MS = 1000, PATIENT_MAX_S = 60 }; /* readers just after a mount come before what is only looked into again */

struct waiting { /* a file that was closed */
	struct waiting *next_hash, *next, *prev; /* queue order */
	uint64_t ino;
	uint32_t dataset;
	bool running, again;
	bool late; /* left from before the mount */
};

struct tracked { /* a dataset that something happened to */
	struct tracked *next;
	uint32_t dataset;
	uint64_t changes, surveyed; /* up to date when equal */
	int64_t last_ns;            /* of the last change */
	bool surveying;
	bool settle;                /* its state is still to be decided */
	size_t late;                /* of its files that wait */
};

struct arrival {
	struct fs *fs;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* the thread: something is queued, or stop */
	pthread_cond_t done; /* others: a probe or survey ended */
	bool stop, started;
	int64_t started_ns;
	struct waiting *hash[BUCKETS];
	struct waiting *first, *last;
	size_t count, running; /* in the queue; of these being looked into */
	struct tracked *datasets;
};

/* ---- the queue; all with the lock held ---- */

static struct waiting **hash_slot(struct arrival *a, uint64_t ino)
{
	struct waiting **at = &a->hash[ino % BUCKETS];

	while (*at && (*at)->ino != ino)
		at = &(*at)->next_hash;
	return at;
}

static void queue_append(struct arrival *a, struct waiting *w)
{
	w->next = NULL;
	w->prev = a->last;
	if (a->last)
		a->last->next = w;
	else
		a->first = w;
	a->last = w;
}

static void queue_unlink(struct arrival *a, struct waiting *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		a->first = w->next;
	if (w->next)
		w->next->prev = w->prev;
	else
		a->last = w->prev;
}

static struct tracked *track(struct arrival *a, uint32_t dataset)
{
	struct tracked *t;

	for (t = a->datasets; t; t = t->next)
		if (t->dataset == dataset)
			return t;
	t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->dataset = dataset;
	t->next = a->datasets;
	a->datasets = t;
	return t;
}

static void set_late(struct arrival *a, struct waiting *w, bool late)
{
	struct tracked *t = late != w->late ? track(a, w->dataset) : NULL;

	if (!t)
		return;
	t->late += late ? 1 : (size_t)-1;
	w->late = late;
}

/* NULL without memory. */
static struct waiting *enqueue(struct arrival *a, uint64_t ino, uint32_t dataset)
{
	struct waiting **slot = hash_slot(a, ino), *w = *slot;

	if (w) {
		w->again = w->running;
		set_late(a, w, false);
		w->dataset = dataset;
		return w;
	}
	w = calloc(1, sizeof *w);
	if (!w) {
		log_error("no memory to look into a file; it is looked into after the next mount");
		return NULL;
	}
	w->ino = ino;
	w->dataset = dataset;
	*slot = w;
	a->count++;
	queue_append(a, w);
	return w;
}

/* The first queued file (of a dataset, or 0: of any) that nobody looks into yet. */
static struct waiting *next_waiting(struct arrival *a, uint32_t dataset)
{
	for (struct waiting *w = a->first; w; w = w->next)
		if (!w->running && (!dataset || w->dataset == dataset))
			return w;
	return NULL;
}

static bool is_patient(const struct arrival *a)
{
	return recoder_quiet_ns(a->fs->recoder) < PATIENT_MS * 1000000LL && now_ns() - a->started_ns < PATIENT_MAX_S * 1000000000LL;
}

/* What the thread takes next: what is new, then what is late when nobody reads or writes. */
static struct waiting *next_of_thread(struct arrival *a)
{
	struct waiting *late = NULL;

	for (struct waiting *w = a->first; w; w = w->next) {
		if (w->running)
			continue;
		if (!w->late)
			return w;
		if (!late)
			late = w;
	}
	return late && !a->stop && !is_patient(a) ? late : NULL;
}

static bool any_running(struct arrival *a, uint32_t dataset)
{
	for (struct waiting *w = a->first; w && a->running; w = w->next)
		if (w->running && (!dataset || w->dataset == dataset))
			return true;
	return false;
}

static void touch(struct arrival *a, uint32_t dataset)
{
	struct tracked *t = track(a, dataset);

	if (!t)
		return;
	t->changes++;
	t->last_ns = now_ns();
	t->settle = true;
}

/* ---- work; the lock is let go during it ---- */

static void look_into(struct arrival *a, struct waiting *w)
{
	struct waiting **slot;
	int rc;

	w->running = true;
	a->running++;
	pthread_mutex_unlock(&a->lock);
	rc = probe_file(a->fs, w->ino, false);
	if (rc)
		log_error("looking into node %llu: %s", (unsigned long long)w->ino, err_text());
	pthread_mutex_lock(&a->lock);
	a->running--;
	w->running = false;
	set_late(a, w, false);
	queue_unlink(a, w);
	if (w->again) {
		w->again = false;
		queue_append(a, w);
		pthread_cond_signal(&a->wake);
	} else {
		slot = hash_slot(a, w->ino);
		*slot = w->next_hash;
		a->count--;
		free(w);
	}
	pthread_cond_broadcast(&a->done);
}

static int survey(struct arrival *a, struct tracked *t)
{
	uint64_t changes = t->changes;
	int rc;

	t->surveying = true;
	pthread_mutex_unlock(&a->lock);
	rc = survey_dataset(a->fs, t->dataset);
	pthread_mutex_lock(&a->lock);
	t->surveying = false;
	t->surveyed = changes;
	pthread_cond_broadcast(&a->done);
	return rc;
}

static void settle(struct arrival *a, struct tracked *t)
{
	uint64_t changes = t->changes;
	bool again = false;
	int rc;

	t->surveying = true;
	pthread_mutex_unlock(&a->lock);
	rc = state_settle(a->fs, t->dataset, &again);
	if (rc)
		log_error("dataset %u: %s", t->dataset, err_text());
	pthread_mutex_lock(&a->lock);
	t->surveying = false;
	if (again)
		t->last_ns = now_ns();
	else if (t->changes == changes)
		t->settle = false;
	pthread_cond_broadcast(&a->done);
}

/* Forgets datasets with which nothing is left to do. */
static void tidy(struct arrival *a)
{
	for (struct tracked **at = &a->datasets; *at;) {
		struct tracked *t = *at;

		if (t->settle || t->surveying || t->late || t->changes != t->surveyed) {
			at = &t->next;
			continue;
		}
		*at = t->next;
		free(t);
	}
}

/* One dataset that was quiet for long enough: is surveyed, or settled. False when there is none. */
static bool work_on_quiet(struct arrival *a)
{
	int64_t now = now_ns(), settle_ns = (int64_t)a->fs->settle_seconds * 1000000000;

	for (struct tracked *t = a->datasets; t; t = t->next) {
		int64_t quiet = now - t->last_ns;

		if (t->surveying || t->late || quiet < (int64_t)QUIET_SURVEY_MS * 1000000)
			continue;
		if (t->changes != t->surveyed) {
			if (survey(a, t))
				log_error("dataset %u: %s", t->dataset, err_text());
			return true;
		}
		if (t->settle && quiet >= settle_ns) {
			settle(a, t);
			return true;
		}
	}
	tidy(a);
	return false;
}

static void wait_tick(struct arrival *a)
{
	int64_t until = now_ns() + (int64_t)TICK_MS * 1000000;
	struct timespec t = { .tv_sec = until / 1000000000, .tv_nsec = until % 1000000000 };

	if (a->datasets)
		pthread_cond_timedwait(&a->wake, &a->lock, &t);
	else
		pthread_cond_wait(&a->wake, &a->lock);
}

static void requeue_unsettled(struct arrival *a);

static void *arrival_loop(void *arg)
{
	struct arrival *a = arg;

	requeue_unsettled(a);
	pthread_mutex_lock(&a->lock);
	for (;;) {
		struct waiting *w = next_of_thread(a);

		if (w)
			look_into(a, w);
		else if (a->stop)
			break;
		else if (!work_on_quiet(a))
			wait_tick(a);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

/* ---- what others call ---- */

/* The dataset of a node; 0 when it belongs to none. */
static uint32_t dataset_of(struct arrival *a, uint64_t ino, struct dataset_row *row)
{
	return catalog_dataset_of(a->fs->catalog, ino, row) ? 0 : row->number;
}

void arrival_written(void *arrival, uint64_t ino)
{
	struct arrival *a = arrival;
	struct dataset_row row;

	if (!dataset_of(a, ino, &row))
		return;
	if (state_receiving(a->fs, &row))
		log_error("%s: %s", row.name, err_text());
	scope_lock(&a->lock);
	touch(a, row.number);
}

void arrival_closed(void *arrival, uint64_t ino, bool at_hand)
{
	struct arrival *a = arrival;
	struct dataset_row row;
	uint32_t dataset = dataset_of(a, ino, &row);
	struct waiting *w;

	scope_lock(&a->lock);
	if (dataset)
		touch(a, dataset);
	w = enqueue(a, ino, dataset);
	if (w && at_hand && !w->running)
		look_into(a, w);
	else
		pthread_cond_signal(&a->wake);
}

void arrival_changed(struct arrival *a, uint64_t ino)
{
	struct dataset_row row;

	if (!dataset_of(a, ino, &row))
		return;
	if (state_receiving(a->fs, &row))
		log_error("%s: %s", row.name, err_text());
	scope_lock(&a->lock);
	touch(a, row.number);
	pthread_cond_signal(&a->wake);
}

void arrival_moved(struct arrival *a, uint64_t ino)
{
	struct node_row node;

	arrival_changed(a, ino);
	if (!catalog_node(a->fs->catalog, ino, &node) && S_ISREG(node.mode))
		arrival_closed(a, ino, false);
}

void arrival_facts_changed(struct arrival *a, uint32_t dataset)
{
	scope_lock(&a->lock);
	struct tracked *t = track(a, dataset);

	if (t)
		t->changes++;
	pthread_cond_signal(&a->wake);
}

void arrival_damaged(struct arrival *a, uint64_t ino, const char *sentence)
{
	if (probe_add_error(a->fs, ino, sentence))
		log_error("%s", err_text());
}

/* What is queued now (of a dataset, or 0: of all); what is added meanwhile is not waited for. */
static void look_into_all(struct arrival *a, uint32_t dataset)
{
	for (size_t left = a->count; left--;) {
		struct waiting *w = next_waiting(a, dataset);

		if (w)
			look_into(a, w);
		else if (any_running(a, dataset))
			pthread_cond_wait(&a->done, &a->lock);
		else
			return;
	}
}

static struct tracked *find_tracked(struct arrival *a, uint32_t dataset)
{
	struct tracked *t = a->datasets;

	while (t && t->dataset != dataset)
		t = t->next;
	return t;
}

int arrival_catch_up(struct arrival *a, uint32_t dataset)
{
	struct tracked *t;

	files_settle(a->fs->files); /* a file that could not be stored is told by its readers */
	scope_lock(&a->lock);
	look_into_all(a, dataset);
	while ((t = find_tracked(a, dataset)) && t->surveying)
		pthread_cond_wait(&a->done, &a->lock); /* t may be gone afterwards */
	return t && t->changes != t->surveyed ? survey(a, t) : 0;
}

void arrival_look_into_new(struct arrival *a)
{
	files_settle(a->fs->files);
	scope_lock(&a->lock);
	look_into_all(a, 0);
}

int arrival_ready(struct arrival *a, uint32_t dataset)
{
	bool again;
	int rc = arrival_catch_up(a, dataset);

	if (!rc)
		rc = state_settle(a->fs, dataset, &again);
	if (!rc && again)
		rc = err_set(EBUSY, "a file in it is still being written, or has a temporary name");
	if (rc)
		return rc;
	scope_lock(&a->lock);
	struct tracked *t = find_tracked(a, dataset);

	if (t)
		t->settle = false;
	return 0;
}

int arrival_set_role(struct arrival *a, const struct caller *who, uint64_t ino, enum dataset_role role)
{
	const char *text = role == ROLE_COLLECTION ? "collection" : "dataset";
	struct record r = { .kind = REC_DATASET }, keep = { .kind = REC_XATTR };
	struct actor actor = caller_actor(who);
	int rc;

	r.dataset.ino = ino;
	r.dataset.role = role;
	r.dataset.note = "";
	rc = catalog_apply(a->fs->catalog, &actor, &r);
	if (rc)
		return rc;
	/* Remembered, so that the rule for collections does not overrule a person. */
	keep.xattr.ino = ino;
	keep.xattr.name = "user.tomofs.role";
	keep.xattr.value = (const uint8_t *)text;
	keep.xattr.value_len = strlen(text);
	rc = catalog_apply(a->fs->catalog, &actor, &keep);
	arrival_changed(a, ino);
	return rc;
}

/* ---- start and end ---- */

static void enqueue_late(struct arrival *a, uint64_t ino, uint32_t dataset)
{
	struct waiting *w;

	scope_lock(&a->lock);
	if (*hash_slot(a, ino))
		return; /* it is new as well */
	w = enqueue(a, ino, dataset);
	if (w)
		set_late(a, w, true);
}

static void requeue_folder(struct arrival *a, uint64_t folder, uint32_t dataset, unsigned depth)
{
	scope_entries struct entries entries = { 0 };
	struct node_row row;

	if (depth > 128 || catalog_list(a->fs->catalog, folder, &entries))
		return;
	for (size_t i = 0; i < entries.count; i++) {
		if (S_ISREG(entries.list[i].mode)) {
			enqueue_late(a, entries.list[i].ino, dataset);
		} else if (S_ISDIR(entries.list[i].mode) && !catalog_node(a->fs->catalog, entries.list[i].ino, &row) &&
			   !row.dataset) {
			requeue_folder(a, row.ino, dataset, depth + 1);
		}
	}
}

/* What was arriving when the last daemon ended, however it ended: its files are looked into again, when there is time. */
static void requeue_unsettled(struct arrival *a)
{
	scope_free uint32_t *list = NULL;
	struct dataset_row row;
	struct node_row top;
	size_t count = 0;

	if (catalog_datasets(a->fs->catalog, &list, &count))
		return;
	for (size_t i = 0; i < count; i++) {
		if (catalog_dataset(a->fs->catalog, list[i], &row) || row.state != STATE_RECEIVING ||
		    catalog_node(a->fs->catalog, row.ino, &top))
			continue;
		if (S_ISDIR(top.mode))
			requeue_folder(a, row.ino, row.number, 0);
		else if (S_ISREG(top.mode))
			enqueue_late(a, row.ino, row.number);
		pthread_mutex_lock(&a->lock);
		touch(a, row.number);
		pthread_mutex_unlock(&a->lock);
	}
}

int arrival_new(struct arrival **out, struct fs *fs)
{
	struct arrival *a = calloc(1, sizeof *a);
	int rc;

	if (!a)
		return err_set(ENOMEM, "no memory");
	a->fs = fs;
	a->started_ns = now_ns();
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->wake, NULL);
	pthread_cond_init(&a->done, NULL);
	*out = a;
	fs->arrival = a; /* the thread reads it */
	rc = pthread_create(&a->thread, NULL, arrival_loop, a);
	if (rc) {
		arrival_free(a);
		*out = fs->arrival = NULL;
		return err_set(rc, "cannot start a thread: %s", strerror(rc));
	}
	a->started = true;
	return 0;
}

void arrival_free(struct arrival *a)
{
	if (!a)
		return;
	if (a->started) {
		pthread_mutex_lock(&a->lock);
		a->stop = true;
		pthread_cond_signal(&a->wake);
		pthread_mutex_unlock(&a->lock);
		pthread_join(a->thread, NULL);
	}
	for (struct tracked *t = a->datasets, *next; t; t = next) {
		next = t->next;
		free(t);
	}
	for (struct waiting *w = a->first, *next; w; w = next) {
		next = w->next;
		free(w);
	}
	pthread_cond_destroy(&a->wake);
	pthread_cond_destroy(&a->done);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
