/* How much may still be written, and the other numbers about a store. */
#include <errno.h>
#include <sys/statvfs.h>
#include <time.h>

#include "store/codec.h"
#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"
#include "store/store_internal.h"

#define ASK_EVERY_NS 1000000000LL
#define RESERVE_MAX (1ULL << 30)
#define RESERVE_SHARE 50 /* 2 % */

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The first caller after a second asks the disk; meanwhile the others take the old answer. As long as there is none, all ask. */
static bool must_ask(struct store *s)
{
	int64_t now = now_ns();

	scope_lock(&s->lock);
	if (s->room_known && now - s->room_checked_ns < ASK_EVERY_NS)
		return false;
	s->room_checked_ns = now;
	return true;
}

static int ask_disk(struct store *s)
{
	struct statvfs disk;
	uint64_t all;

	if (statvfs(s->path, &disk) < 0)
		return err_sys("cannot ask for the free space of %s", s->path);
	all = (uint64_t)disk.f_blocks * disk.f_frsize;
	scope_lock(&s->lock);
	s->room_free = (uint64_t)disk.f_bavail * disk.f_frsize;
	s->room_reserve = all / RESERVE_SHARE < RESERVE_MAX ? all / RESERVE_SHARE : RESERVE_MAX;
	s->room_known = true;
	return 0;
}

/* Said once each way; what is told to each writer is not. It is over when what was refused would fit. Lock held. */
static void note_room(struct store *s, bool refused, uint64_t bytes)
{
	uint64_t room = s->room_free > s->room_reserve ? s->room_free - s->room_reserve : 0;

	if (refused && !s->room_full) {
		s->room_full = true;
		s->room_refused = bytes;
		log_warn("the disk of the store %s is full (%llu MiB are free, %llu MiB kept in reserve): what is written is refused until"
			 " there is room; reading goes on", s->path, (unsigned long long)s->room_free >> 20,
			 (unsigned long long)s->room_reserve >> 20);
	} else if (s->room_full && room > s->room_refused && !refused) {
		s->room_full = false;
		log_warn("the disk of the store %s has room again (%llu MiB are free): writing goes on", s->path,
			 (unsigned long long)s->room_free >> 20);
	}
}

/* True: there is. Lock held. */
static bool has_room(const struct store *s, uint64_t bytes)
{
	return s->room_free > s->room_reserve && bytes <= s->room_free - s->room_reserve;
}

static int refuse(const struct store *s)
{
	return err_set(
	    ENOSPC,
	    "the disk of the store %s is full: %llu MiB are free, of which %llu MiB are kept in reserve so that the"
	    " store can always be opened and repaired",
	    s->path, (unsigned long long)s->room_free >> 20, (unsigned long long)s->room_reserve >> 20);
}

int store_room(struct store *s, uint64_t bytes)
{
	int rc = must_ask(s) ? ask_disk(s) : 0;
	bool fits;

	if (rc)
		return rc;
	scope_lock(&s->lock);
	fits = has_room(s, bytes);
	if (!fits || s->room_full)
		note_room(s, !fits, bytes);
	return fits ? 0 : refuse(s);
}

int store_room_spare(struct store *s, uint64_t bytes)
{
	int rc = must_ask(s) ? ask_disk(s) : 0;

	if (rc)
		return rc;
	scope_lock(&s->lock);
	return has_room(s, bytes) ? 0 : refuse(s);
}

bool store_is_full(struct store *s, uint64_t *bytes_free, uint64_t *reserve)
{
	bool unknown = must_ask(s) && ask_disk(s);

	scope_lock(&s->lock);
	if (!unknown)
		note_room(s, !has_room(s, 0), 0);
	*bytes_free = s->room_free;
	*reserve = s->room_reserve;
	return s->room_full;
}

void store_room_used(struct store *s, uint64_t bytes)
{
	scope_lock(&s->lock);
	s->room_free -= bytes < s->room_free ? bytes : s->room_free;
}

void store_stats(struct store *s, struct store_stats *stats)
{
	pthread_mutex_lock(&s->lock);
	*stats = s->stats;
	pthread_mutex_unlock(&s->lock);
	stats->packs = packs_count(s->packs);
	stats->cache_bytes = cache_bytes(s->cache);
}

const char *store_codec_name(unsigned number)
{
	return codec_name(number);
}
