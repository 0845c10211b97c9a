/*
 * Order of durability. A record on the disk may name only chunks that are on the disk, and LMDB may hold only what
 * records on the disk say; otherwise a crash leaves a file without its bytes, or an index that the journal cannot
 * explain. journal_flush() and kv_commit() take whatever is there when they begin, so changes are kept out (the gate)
 * from the last store_sync() on:
 *
 *     catalog_sync      store_sync;  gate { store_sync when records came meanwhile, journal_flush }
 *     catalog_commit    catalog_sync;  gate { the same once more, kv_commit }
 *
 * The first store_sync does nearly all of the waiting and lets changes go on. Look-ups never wait. kv_commit is not
 * needed for durability, only to bound memory and replay; it runs when changes pause, or much waits, or much time
 * passed.
 */
#include "index/catalog_internal.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "store/log.h"

enum { COMMIT_TICKS_MAX = 15 }; /* a busy index is committed after so many COMMIT_SECONDS */

/* Under the gate. */
static int flush_rest(struct catalog *catalog, uint64_t synced)
{
	int rc = journal_last(catalog->journal) == synced ? 0 : store_sync(catalog->store);

	return rc ? rc : journal_flush(catalog->journal);
}

int catalog_sync(struct catalog *catalog)
{
	uint64_t last = journal_last(catalog->journal);
	int rc;

	if (journal_durable(catalog->journal) >= last)
		return 0;
	rc = store_sync(catalog->store);
	if (rc)
		return rc;
	scope_lock(&catalog->gate);
	if (journal_durable(catalog->journal) >= last)
		return 0;
	return flush_rest(catalog, last);
}

int catalog_commit(struct catalog *catalog)
{
	uint64_t last;
	int rc = catalog_sync(catalog);

	if (rc)
		return rc;
	last = journal_durable(catalog->journal);
	scope_lock(&catalog->gate);
	if (catalog->sick)
		return err_set(EIO, "the index is not committed because a change failed half-way");
	rc = flush_rest(catalog, last);
	return rc ? rc : kv_commit(catalog->kv);
}

/* Waits for a tick, or less when somebody hurries (not after a failure: it would be tried again and again). False:
 * stop. */
static bool wait_tick(struct catalog *catalog, bool patient, bool *hurry)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += COMMIT_SECONDS;
	scope_lock(&catalog->lock);
	while (!catalog->stop && (patient || !catalog->hurry))
		if (pthread_cond_timedwait(&catalog->wake, &catalog->lock, &until) == ETIMEDOUT)
			break;
	*hurry = catalog->hurry;
	catalog->hurry = false;
	return !catalog->stop;
}

static void *commit_loop(void *arg)
{
	struct catalog *catalog = arg;
	uint64_t seen = 0;
	unsigned ticks = 0;
	bool hurry;
	int rc = 0, before;

	while (wait_tick(catalog, rc != 0, &hurry)) {
		uint64_t now = catalog_version(catalog);
		bool due = hurry || now == seen || ++ticks >= COMMIT_TICKS_MAX;

		before = rc;
		rc = kv_pending(catalog->kv) && due ? catalog_commit(catalog) : catalog_sync(catalog);
		if (due)
			ticks = 0;
		if (rc && rc != before)
			log_error("changes cannot be made durable: %s", err_text());
		seen = now;
	}
	return NULL;
}

static int start_thread(struct catalog *catalog)
{
	int code = pthread_create(&catalog->thread, NULL, commit_loop, catalog);

	if (code)
		return err_set(code, "cannot start the thread that commits the index: %s", strerror(code));
	catalog->running = true;
	return 0;
}

static void stop_thread(struct catalog *catalog)
{
	if (!catalog->running)
		return;
	pthread_mutex_lock(&catalog->lock);
	catalog->stop = true;
	pthread_cond_signal(&catalog->wake);
	pthread_mutex_unlock(&catalog->lock);
	pthread_join(catalog->thread, NULL);
	catalog->running = false;
}

static struct catalog *catalog_new(struct store *store, struct journal *journal)
{
	struct catalog *catalog = calloc(1, sizeof *catalog);
	pthread_condattr_t attr;

	if (!catalog) {
		err_set(ENOMEM, "no memory for the index");
		return NULL;
	}
	catalog->store = store;
	catalog->journal = journal;
	pthread_mutex_init(&catalog->gate, NULL);
	pthread_mutex_init(&catalog->lock, NULL);
	pthread_mutex_init(&catalog->sweep, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&catalog->wake, &attr);
	pthread_condattr_destroy(&attr);
	return catalog;
}

void catalog_free(struct catalog *catalog)
{
	if (!catalog)
		return;
	table_seen_free(catalog);
	kv_close(catalog->kv);
	pthread_mutex_destroy(&catalog->sweep);
	pthread_cond_destroy(&catalog->wake);
	pthread_mutex_destroy(&catalog->lock);
	pthread_mutex_destroy(&catalog->gate);
	free(catalog);
}

static int put_identity(struct catalog *catalog)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_text(TABLE_META, "identity");

	buf_u32(&value, SCHEMA_VERSION);
	buf_put(&value, store_id(catalog->store), STORE_ID_BYTES);
	return table_put(catalog, &k, &value);
}

/* -ESTALE without a sentence: an older tomofs made it. */
static int check_identity(struct catalog *catalog)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_text(TABLE_META, "identity");
	int rc = table_get(catalog, &k, &value);
	struct cursor c = cursor_of(value.data, value.len);
	uint32_t version = rc ? 0 : cursor_u32(&c);
	const uint8_t *id = rc ? NULL : cursor_bytes(&c, STORE_ID_BYTES);

	if (rc)
		return rc;
	if (!id)
		return table_damaged(catalog, TABLE_META);
	if (version && version < SCHEMA_VERSION)
		return -ESTALE;
	if (version != SCHEMA_VERSION)
		return err_set(EIO, "the index has format %u, this tomofs reads %u; run: tomofs rebuild %s", version,
			       SCHEMA_VERSION, store_path(catalog->store));
	if (memcmp(id, store_id(catalog->store), STORE_ID_BYTES) != 0)
		return err_set(EIO, "the index belongs to another store; run: tomofs rebuild %s",
			       store_path(catalog->store));
	return 0;
}

/* What an empty index holds: the two folders that no record makes. */
static int seed(struct catalog *catalog)
{
	struct node_row root = { .ino = INO_ROOT, .mode = S_IFDIR | 0755, .nlink = 2 };
	struct node_row datasets = { .ino = INO_DATASETS, .mode = S_IFDIR | 01777, .nlink = 2 };
	int rc;

	catalog->counters = (struct counters) { .ino = INO_FIRST, .image = 1, .dataset = 1, .term = 1 };
	kv_write_begin(catalog->kv);
	rc = node_store(catalog, &root);
	if (!rc)
		rc = node_store(catalog, &datasets);
	if (!rc)
		rc = put_identity(catalog);
	counters_put(catalog);
	kv_write_end(catalog->kv);
	return rc;
}

static int load_or_seed(struct catalog *catalog)
{
	int rc, counted;

	kv_read_begin(catalog->kv);
	rc = check_identity(catalog);
	counted = rc == -ESTALE ? 0 : counters_get(catalog);
	kv_read_end(catalog->kv);
	if (rc == -ENOENT && counted == -ENOENT)
		return seed(catalog);
	if (rc == -ENOENT || (!rc && counted == -ENOENT))
		return table_damaged(catalog, TABLE_META);
	return rc ? rc : counted;
}

static int replay_one(void *ctx, const struct journal_record *entry)
{
	struct catalog *catalog = ctx;
	int rc;

	if (entry->seq != catalog->counters.seq + 1)
		return err_set(EIO, "journal record %llu follows %llu", (unsigned long long)entry->seq,
			       (unsigned long long)catalog->counters.seq);
	kv_write_begin(catalog->kv);
	rc = change_replay(catalog, entry);
	kv_write_end(catalog->kv);
	if (!rc && kv_pending(catalog->kv) > PENDING_COMMIT && !catalog->read_only)
		rc = kv_commit(catalog->kv);
	return rc;
}

static int replay(struct catalog *catalog)
{
	uint64_t last = journal_last(catalog->journal);

	if (catalog->counters.seq > last)
		return err_set(
		    EIO, "the index is ahead of the journal (record %llu, journal %llu); run: tomofs rebuild %s",
		    (unsigned long long)catalog->counters.seq, (unsigned long long)last, store_path(catalog->store));
	if (catalog->counters.seq == last)
		return 0;
	return journal_replay(catalog->journal, catalog->counters.seq + 1, replay_one, catalog);
}

static int open_dir(struct catalog **out, struct store *store, struct journal *journal, const char *dir, bool read_only)
{
	struct catalog *catalog = catalog_new(store, journal);
	int rc;

	if (!catalog)
		return -ENOMEM;
	catalog->read_only = read_only;
	if (read_only)
		rc = kv_open_read_only(&catalog->kv, dir);
	else if (mkdir(dir, 0700) && errno != EEXIST)
		rc = err_sys("%s", dir);
	else
		rc = kv_open(&catalog->kv, dir, 0);
	if (rc == -EIO)
		rc = err_set(EBADMSG, "%s", err_text());
	if (!rc)
		rc = load_or_seed(catalog);
	if (!rc)
		rc = replay(catalog);
	if (rc) {
		catalog_free(catalog);
		return rc;
	}
	atomic_store(&catalog->next_ino, catalog->counters.ino);
	atomic_store(&catalog->next_image, catalog->counters.image);
	atomic_store(&catalog->version, catalog->counters.seq);
	*out = catalog;
	return 0;
}

int catalog_open_dir(struct catalog **out, struct store *store, struct journal *journal, const char *dir)
{
	return open_dir(out, store, journal, dir, false);
}

/* A rebuild that was killed between its two renames left only index.old; one that was killed before left index.new. */
static int settle_folders(struct store *store, const char *dir)
{
	scope_free char *old = NULL, *new = NULL;
	struct stat st;
	int rc;

	if (asprintf(&old, "%s.old", dir) < 0 || asprintf(&new, "%s.new", dir) < 0)
		return err_set(ENOMEM, "no memory for a path");
	if (stat(dir, &st) && errno == ENOENT && !stat(old, &st) && rename(old, dir))
		return err_sys("%s: cannot be renamed to %s", old, dir);
	rc = folder_remove(new);
	if (!rc)
		rc = folder_remove(old);
	(void)store;
	return rc;
}

int catalog_open(struct catalog **out, struct store *store, struct journal *journal)
{
	scope_free char *dir = NULL;
	struct catalog *catalog;
	uint64_t records;
	bool read_only = store_is_read_only(store);
	int rc;

	if (asprintf(&dir, "%s/index", store_path(store)) < 0)
		return err_set(ENOMEM, "no memory for a path");
	rc = read_only ? 0 : settle_folders(store, dir);
	if (!rc)
		rc = open_dir(&catalog, store, journal, dir, read_only);
	if ((rc == -ESTALE || rc == -EBADMSG) && read_only)
		return err_set(EROFS, "%s has to be made again from the journal, which needs a disk that can be written", dir);
	if (rc == -ESTALE || rc == -EBADMSG) {
		if (rc == -ESTALE)
			log_info("%s: made by an older tomofs; it is made again from the journal, which may take a while", dir);
		else
			log_warn("the index is made again from the journal, which may take a while (%s)", err_text());
		rc = catalog_rebuild(store, journal, &records);
		if (!rc)
			rc = catalog_open_dir(&catalog, store, journal, dir);
	}
	if (rc)
		return rc;
	rc = read_only ? 0 : start_thread(catalog);
	if (rc) {
		catalog_free(catalog);
		return rc;
	}
	*out = catalog;
	return 0;
}

int catalog_close(struct catalog *catalog)
{
	int rc;

	if (!catalog)
		return 0;
	stop_thread(catalog);
	rc = catalog->read_only ? 0 : catalog_commit(catalog);
	catalog_free(catalog);
	return rc;
}

uint64_t catalog_new_ino(struct catalog *catalog)
{
	return atomic_fetch_add(&catalog->next_ino, 1);
}

uint32_t catalog_new_image(struct catalog *catalog)
{
	return atomic_fetch_add(&catalog->next_image, 1);
}

uint64_t catalog_version(struct catalog *catalog)
{
	return atomic_load(&catalog->version);
}
