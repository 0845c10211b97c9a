#include "fs/ahead.h"

#include <errno.h>
#include <string.h>

#include "fs/ahead_internal.h"
#include "store/err.h"
#include "store/store.h"

enum {
	QUEUE = 64,        /* chunks that wait for the thread */
	NOTES = 16,        /* files that were read, likewise */
	SLACK = 1 << 20,   /* bytes: requests of one sequential reader arrive out of order within this */
	SNIFF = 64 << 10,  /* bytes: who has read fewer in a row starts nothing, unless they are the whole file */
};

struct wish {
	struct extent extent;
	uint64_t moment; /* when it was made: store_moment() */
};

struct ahead {
	struct store *store;
	struct streams *streams; /* the thread's own */
	size_t bound;
	struct pool_group group;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t work;
	pthread_cond_t idle;
	struct wish chunks[QUEUE]; /* ring */
	size_t chunk_first, chunk_count;
	uint64_t notes[NOTES]; /* ring */
	size_t note_first, note_count;
	bool stop, busy, waiting;
};

struct job {
	struct store *store;
	struct wish wish;
};

static int decode(void *arg)
{
	struct job *job = arg;

	store_prepare(job->store, &job->wish.extent.key, (size_t)job->wish.extent.len, job->wish.moment);
	free(job);
	return 0;
}

static bool is_wanted(struct ahead *a, const struct wish *w)
{
	return !key_is_hole(&w->extent.key) && store_wants(a->store, &w->extent.key, w->moment);
}

static struct job *job_new(struct ahead *a, const struct wish *wish)
{
	struct job *job = malloc(sizeof *job);

	if (job)
		*job = (struct job){ a->store, *wish };
	return job;
}

/* Waits for room in the pool. */
static void send(struct ahead *a, const struct wish *wish)
{
	struct job *job = is_wanted(a, wish) ? job_new(a, wish) : NULL;

	if (job)
		pool_submit(store_pool(a->store), &a->group, decode, job);
}

static void send_of_stream(void *ctx, const struct extent *extent)
{
	struct ahead *a = ctx;
	struct wish wish = { *extent, store_moment(a->store) };

	send(a, &wish);
}

/* True when the pool has room for it now. */
static bool try_send(struct ahead *a, const struct wish *wish)
{
	struct job *job = job_new(a, wish);

	if (job && pool_try_submit(store_pool(a->store), &a->group, decode, job))
		return true;
	free(job);
	return false;
}

/* Does one thing that is to do; false when there is none. Lock held, let go of meanwhile. */
static bool work(struct ahead *a)
{
	struct wish wish;
	uint64_t ino;
	bool done = true;

	if (a->chunk_count) {
		wish = a->chunks[a->chunk_first];
		a->chunk_first = (a->chunk_first + 1) % QUEUE;
		a->chunk_count--;
		pthread_mutex_unlock(&a->lock);
		send(a, &wish);
	} else if (a->note_count) {
		ino = a->notes[a->note_first];
		a->note_first = (a->note_first + 1) % NOTES;
		a->note_count--;
		pthread_mutex_unlock(&a->lock);
		streams_note(a->streams, ino);
	} else {
		pthread_mutex_unlock(&a->lock);
		done = streams_step(a->streams);
	}
	pthread_mutex_lock(&a->lock);
	return done;
}

static void *loop(void *arg)
{
	struct ahead *a = arg;

	pthread_mutex_lock(&a->lock);
	while (!a->stop) {
		a->busy = true;
		if (work(a))
			continue;
		a->busy = a->chunk_count || a->note_count; /* may have come meanwhile */
		if (a->busy)
			continue;
		pthread_cond_broadcast(&a->idle);
		a->waiting = true;
		if (!a->stop)
			pthread_cond_wait(&a->work, &a->lock);
		a->waiting = false;
	}
	a->busy = false;
	pthread_cond_broadcast(&a->idle);
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

/* Lets go of the lock, and has the thread do what is to do. */
static void unlock_and_wake(struct ahead *a)
{
	bool tell = a->waiting;

	a->waiting = false; /* told once is enough */
	pthread_mutex_unlock(&a->lock);
	if (tell)
		pthread_cond_signal(&a->work);
}

static bool are_queued(struct ahead *a)
{
	scope_lock(&a->lock);
	return a->chunk_count;
}

/* For the thread to send when the pool has room again. False: too many wait. */
static bool put_off(struct ahead *a, const struct wish *wish)
{
	bool room;

	pthread_mutex_lock(&a->lock);
	room = a->chunk_count < QUEUE;
	if (room)
		a->chunks[(a->chunk_first + a->chunk_count++) % QUEUE] = *wish;
	unlock_and_wake(a);
	return room;
}

void ahead_chunks(struct ahead *a, const struct extent *list, size_t count)
{
	uint64_t moment = store_moment(a->store);
	bool room = true, queued = are_queued(a); /* these come first */

	for (size_t i = 0; room && i < count; i++) {
		struct wish wish = { list[i], moment };

		if (!is_wanted(a, &wish) || (!queued && try_send(a, &wish)))
			continue;
		queued = true;
		room = put_off(a, &wish);
	}
}

void ahead_file_read(struct ahead *a, uint64_t ino)
{
	pthread_mutex_lock(&a->lock);
	if (a->note_count < NOTES)
		a->notes[(a->note_first + a->note_count++) % NOTES] = ino;
	unlock_and_wake(a);
}

void ahead_settle(struct ahead *a)
{
	pthread_mutex_lock(&a->lock);
	while (a->busy || a->chunk_count || a->note_count)
		pthread_cond_wait(&a->idle, &a->lock);
	pthread_mutex_unlock(&a->lock);
	(void)pool_group_wait(&a->group);
}

/* The reader goes on about where it was; requests that are under way together may come in another order. */
static bool goes_on(const struct reading *r, uint64_t off)
{
	return off <= r->next + SLACK && off + SLACK >= r->next;
}

bool reading_note(struct reading *r, const struct ahead *a, uint64_t size, uint64_t off, size_t len, uint64_t *from, uint64_t *to)
{
	bool first = !r->given, seen = r->given && goes_on(r, off);
	uint64_t end = off + len, distance;

	r->given += len;
	if (first ? off || (len < SNIFF && len < size) : !seen) {
		r->run = 0;
		r->ahead = r->next = end;
		return false;
	}
	r->run += len;
	if (end > r->next)
		r->next = end;
	if (r->ahead < r->next)
		r->ahead = r->next;
	if (r->run < SNIFF && end < size)
		return false;
	distance = r->run > AHEAD_MIN ? r->run : AHEAD_MIN;
	if (distance > a->bound)
		distance = a->bound;
	*from = r->ahead;
	*to = distance < size - r->next ? r->next + distance : size;
	return *from < *to;
}

bool reading_ends(struct reading *r, uint64_t size)
{
	bool ends = !r->told && size >= AHEAD_FILE_MIN && r->given >= size - size / 4;

	r->told |= ends;
	return ends;
}

int ahead_new(struct ahead **out, struct store *store, struct catalog *catalog, size_t bound)
{
	struct ahead *a = calloc(1, sizeof *a);
	int rc;

	if (!a)
		return err_set(ENOMEM, "no memory to read ahead");
	a->store = store;
	a->bound = bound > AHEAD_MIN ? bound : AHEAD_MIN;
	rc = streams_new(&a->streams, store, catalog, a->bound, send_of_stream, a);
	if (rc) {
		free(a);
		return rc;
	}
	pool_group_init(&a->group);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->work, NULL);
	pthread_cond_init(&a->idle, NULL);
	rc = pthread_create(&a->thread, NULL, loop, a);
	if (!rc) {
		*out = a;
		return 0;
	}
	a->stop = true;
	streams_free(a->streams);
	free(a);
	return err_set(rc, "cannot start a thread: %s", strerror(rc));
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_signal(&a->work);
	pthread_mutex_unlock(&a->lock);
	pthread_join(a->thread, NULL);
	(void)pool_group_wait(&a->group);
	pool_group_destroy(&a->group);
	pthread_cond_destroy(&a->idle);
	pthread_cond_destroy(&a->work);
	pthread_mutex_destroy(&a->lock);
	streams_free(a->streams);
	free(a);
}
