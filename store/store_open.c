#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "store/err.h"
#include "store/lock.h"
#include "store/log.h"
#include "store/recover.h"
#include "store/scope.h"
#include "store/store_internal.h"

enum { CACHE_BYTES = 64 << 20, EPOCH_TEXT_MAX = 32 };

static void leave(struct store *s)
{
	pool_group_wait(&s->ahead_group);
	pool_group_destroy(&s->ahead_group);
	appender_drop(s->current.appender);
	for (size_t i = 0; i < s->closing_count; i++)
		appender_drop(s->closing[i].appender);
	cache_free(s->cache);
	pool_free(s->pool);
	packs_free(s->packs);
	directory_free(s->directory);
	lock_release(s->lock_fd);
	pthread_cond_destroy(&s->unclaimed);
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

/* Enters the chunks of one pack into the directory; those of later packs take the place of earlier ones. */
static int enter(struct store *s, uint32_t index, const struct recovered *pack)
{
	struct directory_entry before;

	for (uint64_t i = 0; i < pack->records; i++) {
		struct pack_entry e = pack_entry_get(pack->entries.data, i);
		struct directory_entry entry = { .pack = index,
						 .off = (uint32_t)e.off,
						 .stored_len = e.head.stored_len,
						 .plain_len = e.head.plain_len,
						 .codec = e.head.codec };
		int rc;

		if (e.head.kind != PACK_CHUNK)
			continue;
		rc = directory_set(s->directory, &e.head.key, &entry, &before);
		if (rc < 0)
			return rc;
		if (rc)
			store_count(s, &before, -1);
		store_count(s, &entry, 1);
	}
	return 0;
}

static int load_pack(struct store *s, struct pack_name name, unsigned flags)
{
	struct recovered pack;
	uint32_t index;
	int rc = recover_pack(s->io, &s->settings, s->packs_folder, name, flags, &pack);

	if (rc == -ENOENT)
		return 0;
	if (rc == -EXDEV || rc == -EIO || rc == -EACCES) { /* the other packs can still be read */
		log_error("%s; its chunks are missing", err_text());
		return 0;
	}
	if (rc)
		return rc;
	rc = packs_add(s->packs, name, pack.seed, NULL, &index);
	if (!rc)
		rc = enter(s, index, &pack);
	buf_free(&pack.entries);
	return rc;
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

	s->epoch = store_noted_epoch(s->io, s->path);
	if (epoch > s->epoch)
		s->epoch = epoch;
	if (newest && newest->epoch > s->epoch)
		s->epoch = newest->epoch;
	return rc;
}

/* Only the newest packs can be unsynced when a writer dies: it never has more than CLOSING_MAX + 1 of them. */
static int load_packs(struct store *s)
{
	scope_free struct pack_name *names = NULL;
	size_t count = 0;
	int rc = pack_list(s->packs_folder, &names, &count);

	for (size_t i = 0; !rc && i < count; i++) {
		unsigned flags = s->read_only ? 0 : RECOVER_WRITE;

		if (!s->read_only && i + SETTLE_PACKS >= count)
			flags |= RECOVER_SETTLE;
		rc = load_pack(s, names[i], flags);
	}
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

static int enter_store(struct store *s, const struct store_options *options)
{
	int rc = look_at(s);

	if (!rc && !s->read_only)
		rc = lock_take(s->path, &s->lock_fd);
	if (!rc)
		rc = cache_new(&s->cache, options->cache_bytes ? options->cache_bytes : CACHE_BYTES);
	if (!rc)
		rc = pool_new(&s->pool, options->threads);
	if (!rc)
		rc = directory_new(&s->directory);
	if (!rc)
		rc = packs_new(&s->packs, s->io, s->packs_folder);
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
	s->lock_fd = -1;
	s->seal_bytes = PACK_SEAL_BYTES;
	s->ahead_max = ahead_max(options->threads);
	pthread_mutex_init(&s->lock, NULL);
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
	if (!s->read_only && store_sync_packs(s, true))
		log_error("closing the store %s: %s", s->path, err_text());
	leave(s);
}

int store_note_mount(struct store *s, const char *mount_point)
{
	return s->lock_fd < 0 ? 0 : lock_note(s->lock_fd, mount_point);
}

const char *store_path(const struct store *s)
{
	return s->path;
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
