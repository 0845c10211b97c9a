/*
 * Two lists, least recently used last ("segmented LRU"): what was loaded once is on probation, what was used again
 * later is protected, up to three quarters of the budget; what is pushed out of there goes on probation again. Room is
 * made at the end of probation.
 *
 * "Again later" is measured in bytes loaded since the last use that counted: the several small reads by which one
 * sequential reader goes through a chunk, and the read-ahead before them, lie close together and are one use.
 *
 * A chunk being loaded is in the table but in no list; whoever wants it too waits. A load that failed leaves the table
 * at once, so that the next caller tries again; those who waited hold it by their references and take its sentence
 * along.
 */
#include "store/cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/arena.h"
#include "store/err.h"
#include "store/scope.h"

enum { BUCKETS_MIN = 256, DONE_BYTES = 4 << 20, LOADED = 16, PAST = 256, SEEN = 1024 };

enum state { LOADING, READY, FAILED };

struct entry {
	struct cache_chunk chunk; /* first: callers hold its address */
	struct key key;
	struct entry *next;	 /* in its bucket; or in a list of what is to be freed */
	struct entry *up, *down; /* in its list */
	struct lru *lru;	 /* NULL: in none */
	uint64_t used_at;	 /* cache.loaded at the last use that counted */
	size_t refs, waiters;
	enum state state;
	int rc;	    /* when FAILED */
	char *text; /* its sentence */
};

struct lru {
	struct entry *top, *bottom;
	size_t bytes;
};

struct cache {
	struct arena *arena; /* of the chunks' bytes */
	pthread_mutex_t lock;
	pthread_cond_t loaded_one[LOADED]; /* by key; signals are given without the lock, and only to those who wait */
	size_t strangers; /* wait for an entry without holding it */
	struct entry **buckets;
	size_t bucket_count; /* a power of two */
	size_t entries;
	size_t budget;
	size_t bytes;	 /* of all entries, those being loaded too */
	uint64_t loaded; /* bytes, since the beginning */
	struct lru probation, protect, done;
	uint64_t moment;       /* counts what was read to its end */
	struct key past[PAST]; /* the last of these: the n-th at n % PAST */
	struct key seen[SEEN]; /* by cache_is_new(); each has one place */
};

static size_t cost(const struct entry *e)
{
	return sizeof *e + arena_cost(e->chunk.len);
}

static void lru_remove(struct entry *e)
{
	struct lru *l = e->lru;

	if (!l)
		return;
	*(e->up ? &e->up->down : &l->top) = e->down;
	*(e->down ? &e->down->up : &l->bottom) = e->up;
	l->bytes -= cost(e);
	e->lru = NULL;
}

static void lru_to_top(struct lru *l, struct entry *e)
{
	lru_remove(e);
	e->up = NULL;
	e->down = l->top;
	*(l->top ? &l->top->up : &l->bottom) = e;
	l->top = e;
	l->bytes += cost(e);
	e->lru = l;
}

/* Keys are hashes: any of their bits will do. */
static struct entry **bucket_of(struct cache *c, const struct key *key)
{
	uint64_t bits;

	memcpy(&bits, key->bytes, sizeof bits);
	return &c->buckets[bits & (c->bucket_count - 1)];
}

static pthread_cond_t *loaded_of(struct cache *c, const struct key *key)
{
	return &c->loaded_one[key->bytes[KEY_BYTES - 1] % LOADED];
}

static struct entry *find(struct cache *c, const struct key *key)
{
	for (struct entry *e = *bucket_of(c, key); e; e = e->next)
		if (key_equal(&e->key, key))
			return e;
	return NULL;
}

/* When there is no memory the buckets just stay longer. */
static void grow(struct cache *c)
{
	struct entry **old = c->buckets, **buckets;
	size_t old_count = c->bucket_count;

	buckets = calloc(old_count * 2, sizeof *buckets);
	if (!buckets)
		return;
	c->buckets = buckets;
	c->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++) {
		for (struct entry *e = old[i], *next; e; e = next) {
			struct entry **bucket = bucket_of(c, &e->key);

			next = e->next;
			e->next = *bucket;
			*bucket = e;
		}
	}
	free(old);
}

static void table_add(struct cache *c, struct entry *e)
{
	struct entry **bucket;

	if (c->entries >= c->bucket_count)
		grow(c);
	bucket = bucket_of(c, &e->key);
	e->next = *bucket;
	*bucket = e;
	c->entries++;
	c->bytes += cost(e);
}

static void table_remove(struct cache *c, struct entry *e)
{
	struct entry **at = bucket_of(c, &e->key);

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	c->entries--;
	c->bytes -= cost(e);
}

static void entry_free(struct cache *c, struct entry *e)
{
	arena_put(c->arena, (void *)e->chunk.bytes, e->chunk.len);
	free(e->text);
	free(e);
}

static void free_all(struct cache *c, struct entry *list)
{
	for (struct entry *next; list; list = next) {
		next = list->next;
		entry_free(c, list);
	}
}

static void evict_from(struct cache *c, struct lru *l, size_t keep, struct entry **victims)
{
	for (struct entry *e = l->bottom, *up; e && (c->bytes > c->budget || l->bytes > keep); e = up) {
		up = e->up;
		if (e->refs)
			continue;
		lru_remove(e);
		table_remove(c, e);
		e->next = *victims;
		*victims = e;
	}
}

/* Takes out what is over the budget; the caller frees it without the lock. */
static struct entry *evict(struct cache *c)
{
	struct entry *victims = NULL;

	evict_from(c, &c->done, DONE_BYTES, &victims);
	evict_from(c, &c->probation, SIZE_MAX, &victims);
	evict_from(c, &c->protect, SIZE_MAX, &victims);
	return victims;
}

static void note_use(struct cache *c, struct entry *e)
{
	if (e->lru != &c->protect && c->loaded - e->used_at <= c->budget / 8) {
		lru_to_top(e->lru ? e->lru : &c->probation, e);
		return;
	}
	e->used_at = c->loaded;
	lru_to_top(&c->protect, e);
	while (c->protect.bytes > c->budget / 4 * 3 && c->protect.bottom != e) {
		c->protect.bottom->used_at = c->loaded;
		lru_to_top(&c->probation, c->protect.bottom);
	}
}

/* Its memory comes later, when room was made for it. */
static struct entry *entry_new(const struct key *key, size_t len)
{
	struct entry *e = calloc(1, sizeof *e);

	if (!e)
		return NULL;
	e->chunk.len = len;
	e->key = *key;
	e->refs = 1;
	return e;
}

/* The load has ended: into the list, or out of the table. Returns what the caller shall free. */
static struct entry *settle(struct cache *c, struct entry *e, int rc)
{
	struct entry *victims;
	bool tell;

	pthread_mutex_lock(&c->lock);
	if (rc) {
		e->rc = rc;
		e->state = FAILED;
		e->text = strdup(err_text());
		table_remove(c, e);
	} else {
		e->state = READY;
		c->loaded += e->chunk.len;
		e->used_at = c->loaded;
		lru_to_top(&c->probation, e);
	}
	tell = e->waiters || c->strangers;
	victims = evict(c);
	pthread_mutex_unlock(&c->lock);
	if (tell)
		pthread_cond_broadcast(loaded_of(c, &e->key)); /* the caller holds e */
	return victims;
}

/* Gives a reference up, under the lock; returns what the caller shall free without it. */
static struct entry *unref(struct cache *c, struct entry *e)
{
	if (--e->refs)
		return NULL;
	if (e->state == READY)
		return evict(c);
	e->next = NULL;
	return e; /* failed, and the last who waited for it goes */
}

/* Waits, under the lock, for an entry that this caller holds a reference to. */
static int wait_for(struct cache *c, struct entry *e, struct entry **victims)
{
	int rc;

	e->waiters++;
	while (e->state == LOADING)
		pthread_cond_wait(loaded_of(c, &e->key), &c->lock);
	e->waiters--;
	if (e->state == READY) {
		note_use(c, e);
		return 0;
	}
	rc = err_set(-e->rc, "%s", e->text ? e->text : "");
	*victims = unref(c, e);
	return rc;
}

static int no_memory(size_t len)
{
	return err_set(ENOMEM, "no memory for a chunk of %zu bytes", len);
}

/* Looks, under the lock. The entry found (*found), or a new one in the table that the caller must load. */
static int look_up(struct cache *c, const struct key *key, size_t len, struct entry **found, bool *is_new,
		   struct entry **victims)
{
	struct entry *e = find(c, key);
	char text[KEY_TEXT_MAX];

	/* Of another length and not loaded yet: it may well be the other one who is wrong. */
	while (e && e->state == LOADING && e->chunk.len != len) {
		c->strangers++;
		pthread_cond_wait(loaded_of(c, key), &c->lock);
		c->strangers--;
		e = find(c, key);
	}
	*is_new = !e;
	if (!e) {
		e = entry_new(key, len);
		if (!e)
			return no_memory(len);
		table_add(c, e);
		*victims = evict(c);
		*found = e;
		return 0;
	}
	if (e->chunk.len != len) {
		key_text(key, text);
		return err_set(EIO, "chunk %s is %zu bytes long and not %zu", text, e->chunk.len, len);
	}
	e->refs++;
	*found = e;
	return wait_for(c, e, victims);
}

int cache_get(struct cache *c, const struct key *key, size_t len,
	      int (*load)(void *ctx, const struct key *key, void *to, size_t len), void *ctx, struct cache_chunk **out)
{
	struct entry *e = NULL, *victims = NULL;
	bool is_new = false;
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = look_up(c, key, len, &e, &is_new, &victims);
	pthread_mutex_unlock(&c->lock);
	free_all(c, victims);
	if (rc)
		return rc;
	if (is_new) {
		e->chunk.bytes = arena_get(c->arena, len);
		rc = e->chunk.bytes ? load(ctx, key, (void *)e->chunk.bytes, len) : no_memory(len);
		free_all(c, settle(c, e, rc));
		if (rc) {
			cache_drop(c, &e->chunk);
			return rc;
		}
	}
	*out = &e->chunk;
	return 0;
}

void cache_drop(struct cache *c, struct cache_chunk *chunk)
{
	struct entry *victims;

	pthread_mutex_lock(&c->lock);
	victims = unref(c, (struct entry *)chunk);
	pthread_mutex_unlock(&c->lock);
	free_all(c, victims);
}

bool cache_peek(struct cache *c, const struct key *key, size_t len, struct cache_chunk **out)
{
	struct entry *e;

	scope_lock(&c->lock);
	e = find(c, key);
	if (!e || e->state != READY || e->chunk.len != len)
		return false;
	e->refs++;
	*out = &e->chunk;
	return true;
}

void cache_drop_done(struct cache *c, struct cache_chunk *chunk)
{
	struct entry *e = (struct entry *)chunk, *victims;

	pthread_mutex_lock(&c->lock);
	if (e->lru == &c->probation) {
		lru_to_top(&c->done, e);
		c->past[++c->moment % PAST] = e->key;
	}
	victims = unref(c, e);
	pthread_mutex_unlock(&c->lock);
	free_all(c, victims);
}

bool cache_is_new(struct cache *c, const struct key *key)
{
	struct key *seen = &c->seen[(key->bytes[0] | key->bytes[1] << 8) % SEEN];

	scope_lock(&c->lock);
	if (find(c, key) || key_equal(seen, key))
		return false;
	*seen = *key;
	return true;
}

bool cache_has(struct cache *c, const struct key *key)
{
	scope_lock(&c->lock);
	return find(c, key) != NULL;
}

uint64_t cache_moment(struct cache *c)
{
	scope_lock(&c->lock);
	return c->moment;
}

bool cache_wants(struct cache *c, const struct key *key, uint64_t moment)
{
	scope_lock(&c->lock);
	if (find(c, key) || c->moment - moment > PAST)
		return false;
	while (++moment <= c->moment)
		if (key_equal(&c->past[moment % PAST], key))
			return false;
	return true;
}

size_t cache_bytes(struct cache *c)
{
	scope_lock(&c->lock);
	return c->bytes;
}

int cache_new(struct cache **out, size_t budget)
{
	struct cache *c = calloc(1, sizeof *c);

	if (c)
		c->buckets = calloc(BUCKETS_MIN, sizeof(struct entry *));
	/* Pieces of different lengths do not fill it without gaps. */
	if (!c || !c->buckets || arena_new(&c->arena, budget + budget / 8)) {
		free(c ? c->buckets : NULL);
		free(c);
		return err_set(ENOMEM, "no memory for the chunk cache");
	}
	c->bucket_count = BUCKETS_MIN;
	c->budget = budget;
	pthread_mutex_init(&c->lock, NULL);
	for (size_t i = 0; i < LOADED; i++)
		pthread_cond_init(&c->loaded_one[i], NULL);
	*out = c;
	return 0;
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->bucket_count; i++)
		free_all(c, c->buckets[i]);
	free(c->buckets);
	arena_free(c->arena);
	for (size_t i = 0; i < LOADED; i++)
		pthread_cond_destroy(&c->loaded_one[i]);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
