#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "store/arena.h"
#include "store/err.h"
#include "store/lock.h"
#include "store/log.h"
#include "store/recover.h"
#include "store/scope.h"
#include "store/store_internal.h"

enum { CACHE_BYTES = 64 << 20, RECORDS_BYTES = 64 << 20, EPOCH_TEXT_MAX = 32 };

static void leave(struct store *s)
{
	pool_group_wait(&s->ahead_group);
	pool_group_destroy(&s->ahead_group);
	store_recode_end(s, false);
	pool_free(s->writers);
	appender_drop(s->current.appender);
	for (size_t i = 0; i < s->closing_count; i++)
		appender_drop(s->closing[i].appender);
	cache_free(s->cache);
	pool_free(s->pool);
	arena_free(s->records);
	directory_free(s->directory);
	packs_free(s->packs);
	lock_release(s->lock_fd);
	pthread_cond_destroy(&s->unclaimed);
	pthread_mutex_destroy(&s->feature_lock);
	pthread_mutex_destroy(&s->recode_lock);
	pthread_mutex_destroy(&s->follow_lock);
	buf_free(&s->growing);
	buf_free(&s->suspects);
	pthread_mutex_destroy(&s->lock);
	free(s->packs_folder);
	free(s->path);
	free(s);
}

/* Is it a store at all? */
static int look_at(struct store *s)
{
	scope_free char *file = NULL;
	struct stat st;
	int rc;

	if (stat(s->path, &st) < 0)
		return err_sys("cannot open the store %s", s->path);
	if (!S_ISDIR(st.st_mode))
		return err_set(EINVAL, "%s is not a folder, so it is no store", s->path);
	if (asprintf(&file, "%s/tomofs.json", s->path) < 0) {
		file = NULL;
		return err_set(ENOMEM, "no memory for a path");
	}
	rc = settings_read(s->io, file, s->read_only, &s->settings);
	if (rc == -ENOENT)
		return err_set(EINVAL, "%s is not a tomofs store: it has no tomofs.json", s->path);
	if (rc)
		return rc;
	if (stat(s->packs_folder, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(EINVAL, "the store %s is not complete: the folder packs is missing", s->path);
	return 0;
}

uint64_t store_noted_epoch(const struct io *io, const char *path)
{
	scope_free char *file = NULL;
	scope_free void *bytes = NULL;
	unsigned long long epoch;
	size_t len;
	char *end;

	if (asprintf(&file, "%s/epoch", path) < 0) {
		file = NULL;
		return 0;
	}
	if (io_read_file(io, file, EPOCH_TEXT_MAX, &bytes, &len) || !len)
		return 0;
	epoch = strtoull(bytes, &end, 10);
	return *end == '\n' && epoch < UINT32_MAX ? epoch : 0;
}

static int note_epoch(struct store *s)
{
	char text[EPOCH_TEXT_MAX];
	scope_free char *file = NULL;
	int rc;

	if (s->epoch > UINT32_MAX)
		return err_set(EOVERFLOW, "the store %s was opened too often", s->path);
	if (asprintf(&file, "%s/epoch", s->path) < 0) {
		file = NULL;
		return err_set(ENOMEM, "no memory for a path");
	}
	snprintf(text, sizeof text, "%llu\n", (unsigned long long)s->epoch);
	rc = io_write_file(s->io, file, text, strlen(text));
	return rc ? err_set(-rc, "cannot write %s: %s", file, strerror(-rc)) : 0;
}

void store_count(struct store *s, const struct directory_entry *entry, int sign)
{
	uint64_t one = (uint64_t)(int64_t)sign;
	uint64_t plain = one * entry->plain_len, stored = one * (PACK_HEAD_BYTES + (uint64_t)entry->stored_len);

	s->stats.chunks += one;
	s->stats.plain_bytes += plain;
	s->stats.stored_bytes += stored;
	if (entry->codec < sizeof s->stats.codec / sizeof *s->stats.codec) {
		s->stats.codec[entry->codec].chunks += one;
		s->stats.codec[entry->codec].plain_bytes += plain;
		s->stats.codec[entry->codec].stored_bytes += stored;
	}
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* The newest epoch in the names of the journal's segments, which begin with it. A copy of packs/ and journal/ alone has
 * no STORE/epoch, and there may have been writers that wrote to the journal only. */
static int journal_epoch(const struct store *s, uint64_t *epoch)
{
	DIR *dir SCOPE_CLEANUP(close_dir) = NULL;
	scope_free char *folder = NULL;
	struct dirent *entry;

	*epoch = 0;
	if (asprintf(&folder, "%s/journal", s->path) < 0) {
		folder = NULL;
		return err_set(ENOMEM, "no memory for a path");
	}
	dir = opendir(folder);
	if (!dir)
		return errno == ENOENT ? 0 : err_sys("cannot list %s", folder);
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		size_t digits = strspn(entry->d_name, "0123456789");
		unsigned long long found =
		    digits == 10 && entry->d_name[digits] == '-' ? strtoull(entry->d_name, NULL, 10) : 0;

		if (found > *epoch && found < UINT32_MAX)
			*epoch = found;
	}
	return errno ? err_sys("cannot list %s", folder) : 0;
}

/* The newest epoch that anything in the store is from. */
static int known_epoch(struct store *s, const struct pack_name *newest)
{
	uint64_t epoch;
	int rc = journal_epoch(s, &epoch);

	if (epoch > s->epoch)
		s->epoch = epoch;
	if (newest && newest->epoch > s->epoch)
		s->epoch = newest->epoch;
	return rc;
}

/* ---- the packs ---- */

enum { TURN = 8 }; /* footers in memory at a time */

struct load { /* of a pack that no key run has */
	struct store *store;
	size_t at; /* in the list of names */
	struct pack_name name;
	unsigned flags;
	struct recovered pack;
	bool usable;
};

static int load(void *arg)
{
	struct load *l = arg;
	struct store *s = l->store;
	int rc = recover_pack(s->io, &s->settings, s->packs_folder, l->name, l->flags, &l->pack);

	l->usable = !rc;
	if (rc == -EXDEV || rc == -EIO || rc == -EACCES) /* the other packs can still be read */
		log_error("%s; its chunks are missing", err_text());
	else if (rc != -ENOENT)
		return rc;
	return 0;
}

/* What the last writer wrote may not be synced; whoever came after an earlier one has seen to that. Of the packs that a
 * writer filled only the newest can be unsynced, never more than CLOSING_MAX + 1 of them, but one that holds recoded chunks
 * may be older than those. */
static unsigned flags_of(const struct store *s, struct pack_name name, size_t i, size_t count)
{
	if (s->read_only)
		return 0;
	return name.epoch >= s->epoch || i + SETTLE_PACKS >= count ? RECOVER_WRITE | RECOVER_SETTLE : RECOVER_WRITE;
}

/* Recovers some packs at once, from *at on; *count of them. Ends with *at behind the last one. */
static int load_turn(struct store *s, const struct pack_name *names, size_t all, size_t *at, struct load loads[TURN],
		     size_t *count)
{
	struct pool_group group;
	uint64_t seed;
	int rc;

	pool_group_init(&group);
	for (*count = 0; *at < all && *count < TURN; ++*at) {
		if (directory_covers(s->directory, *at, &seed))
			continue;
		loads[*count] =
		    (struct load) { .store = s, .at = *at, .name = names[*at], .flags = flags_of(s, names[*at], *at, all) };
		pool_submit(s->pool, &group, load, &loads[(*count)++]);
	}
	rc = pool_group_wait(&group);
	pool_group_destroy(&group);
	return rc;
}

/* Adds packs from..to-1 in order: those in key runs and those that were loaded. */
static int add_packs(struct store *s, const struct pack_name *names, size_t from, size_t to, const struct load *next)
{
	uint32_t index;
	uint64_t seed;
	int rc = 0;

	for (size_t i = from; !rc && i < to; i++) {
		bool covered = directory_covers(s->directory, i, &seed);
		const struct load *l = covered ? NULL : next++;

		if (l && !l->usable) {
			s->vanished = true;
			continue;
		}
		rc = packs_add(s->packs, names[i], l ? l->pack.seed : seed, NULL, &index);
		if (!rc)
			rc = l ? directory_enter(s->directory, index, names[i], &l->pack)
			       : directory_place_pack(s->directory, i, index);
		if (!rc && l && !l->pack.sealed)
			buf_put(&s->growing, &index, sizeof index);
	}
	return rc;
}

static int load_all(struct store *s, const struct pack_name *names, size_t count)
{
	struct load loads[TURN];
	int rc = 0;

	for (size_t at = 0, from = 0, loaded; !rc && from < count; from = at) {
		rc = load_turn(s, names, count, &at, loads, &loaded);
		if (!rc)
			rc = add_packs(s, names, from, at, loads);
		for (size_t i = 0; i < loaded; i++)
			buf_free(&loads[i].pack.entries);
	}
	return rc;
}

/* Which chunks there are, and what they come to. */
static int find_chunks(struct store *s, const struct pack_name *names, size_t count)
{
	struct directory_sums sums;
	int rc = directory_find(s->directory, names, count, s->pool);

	if (!rc)
		rc = load_all(s, names, count);
	if (!rc)
		rc = directory_begin(s->directory, &sums);
	if (!rc && s->read_only && s->vanished)
		rc = store_follow(s, &sums);
	if (rc)
		return rc;
	s->stats.chunks = sums.all.chunks;
	s->stats.plain_bytes = sums.all.plain_bytes;
	s->stats.stored_bytes = sums.all.stored_bytes;
	for (size_t i = 0; i < DIRECTORY_CODECS && i < sizeof s->stats.codec / sizeof *s->stats.codec; i++) {
		s->stats.codec[i].chunks = sums.codec[i].chunks;
		s->stats.codec[i].plain_bytes = sums.codec[i].plain_bytes;
		s->stats.codec[i].stored_bytes = sums.codec[i].stored_bytes;
	}
	return 0;
}

static int load_packs(struct store *s)
{
	scope_free struct pack_name *names = NULL;
	size_t count = 0;
	int rc = pack_list(s->packs_folder, &names, &count);

	s->epoch = store_noted_epoch(s->io, s->path);
	if (!rc)
		rc = find_chunks(s, names, count);
	if (!rc)
		rc = known_epoch(s, count ? &names[count - 1] : NULL);
	if (rc || s->read_only)
		return rc;
	rc = s->io->fsync_dir(s->io, s->packs_folder);
	if (rc)
		return err_set(-rc, "cannot sync %s: %s", s->packs_folder, strerror(-rc));
	/* Last, so that a pack of an epoch before the noted one is known to be sealed and on the disk. */
	s->epoch++;
	return note_epoch(s);
}

static int make_directory(struct store *s)
{
	scope_free char *folder = NULL;

	if (asprintf(&folder, "%s/keys", s->path) < 0) {
		folder = NULL;
		return err_set(ENOMEM, "no memory for a path");
	}
	return directory_new(&s->directory, &(struct directory_place) { .io = s->io,
									.folder = folder,
									.packs_folder = s->packs_folder,
									.settings = &s->settings,
									.packs = s->packs,
									.read_only = s->read_only });
}

static int enter_store(struct store *s, const struct store_options *options)
{
	int rc = look_at(s);

	if (!rc && !s->read_only)
		rc = s->lock_fd >= 0 ? lock_adopt(s->path, s->lock_fd) : lock_take(s->path, &s->lock_fd);
	if (!rc && s->read_only && options->flags & STORE_KEEP_WRITERS_OUT && s->lock_fd < 0)
		rc = lock_share(s->path, &s->lock_fd);
	if (!rc && !s->read_only)
		rc = look_at(s); /* again: whoever had the lock until now may have added a feature */
	if (!rc)
		rc = cache_new(&s->cache, options->cache_bytes ? options->cache_bytes : CACHE_BYTES);
	if (!rc)
		rc = arena_new(&s->records, RECORDS_BYTES);
	if (!rc)
		rc = pool_new(&s->pool, options->threads);
	if (!rc)
		rc = packs_new(&s->packs, s->io, s->packs_folder);
	if (!rc)
		rc = make_directory(s);
	return rc ? rc : load_packs(s);
}

/* A queue holds four jobs a worker; read-ahead alone never fills it. */
static unsigned ahead_max(unsigned threads)
{
	long cores = threads ? (long)threads : sysconf(_SC_NPROCESSORS_ONLN);

	if (cores < 1)
		cores = 1;
	return cores * 2 < AHEAD_MAX ? (unsigned)cores * 2 : AHEAD_MAX;
}

int store_open(struct store **out, const char *path, const struct store_options *options)
{
	static const struct store_options usual;
	struct store *s = calloc(1, sizeof *s);
	int rc;

	if (!s)
		return err_set(ENOMEM, "no memory to open a store");
	if (!options)
		options = &usual;
	s->io = options->io ? options->io : &io_system;
	s->read_only = options->flags & STORE_READ_ONLY;
	s->lock_fd = options->lock > 0 ? options->lock : -1;
	s->seal_bytes = PACK_SEAL_BYTES;
	s->ahead_max = ahead_max(options->threads);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->feature_lock, NULL);
	pthread_mutex_init(&s->recode_lock, NULL);
	pthread_mutex_init(&s->follow_lock, NULL);
	pthread_cond_init(&s->unclaimed, NULL);
	pool_group_init(&s->ahead_group);
	s->path = strdup(path);
	if (asprintf(&s->packs_folder, "%s/packs", path) < 0)
		s->packs_folder = NULL;
	rc = s->path && s->packs_folder ? enter_store(s, options) : err_set(ENOMEM, "no memory to open a store");
	if (rc) {
		leave(s);
		return rc;
	}
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	pool_group_wait(&s->ahead_group);
	store_recode_end(s, true);
	if (!s->read_only && store_sync_packs(s, true))
		log_error("closing the store %s: %s", s->path, err_text());
	leave(s);
}

int store_keep_lock(const struct store *s)
{
	return s->lock_fd < 0 ? -1 : fcntl(s->lock_fd, F_DUPFD_CLOEXEC, 3);
}

int store_note_mount(struct store *s, const char *mount_point)
{
	return s->lock_fd < 0 || s->read_only ? 0 : lock_note(s->lock_fd, mount_point);
}

const char *store_path(const struct store *s)
{
	return s->path;
}

bool store_is_read_only(const struct store *s)
{
	return s->read_only;
}

const uint8_t *store_id(const struct store *s)
{
	return s->settings.id;
}

const struct io *store_io(const struct store *s)
{
	return s->io;
}

struct pool *store_pool(struct store *s)
{
	return s->pool;
}

uint64_t store_epoch(const struct store *s)
{
	return s->epoch;
}
