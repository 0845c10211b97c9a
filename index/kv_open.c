#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "index/kv_internal.h"
#include "store/err.h"
#include "store/scope.h"

enum {
	MAP_DEFAULT_GIB = 64,
};

static const uint8_t stamp_key[KV_KEY_MAX + 1] = { [0 ... KV_KEY_MAX] = 0xff };
const struct bytes kv_stamp = { stamp_key, sizeof stamp_key };

int kv_damaged(const struct kv *kv)
{
	char seen[512];

	snprintf(seen, sizeof seen, "%s", err_text());
	return err_set(EIO, "the index in %s is damaged: %s; run `tomofs rebuild`", kv->dir, seen);
}

/* --- what must hold before the file may be mapped ---------------------------------------------------------------- */

static int read_meta_at(int fd, off_t off, struct meta *meta, uint64_t *last_page)
{
	uint8_t bytes[META_BYTES];
	ssize_t n = pread(fd, bytes, sizeof bytes, off);

	if (n < 0)
		return err_sys("data.mdb cannot be read");
	if (n < (ssize_t)sizeof bytes)
		return err_set(EIO, "data.mdb was truncated");
	memcpy(last_page, bytes + 136, sizeof *last_page);
	return meta_parse(bytes, meta);
}

/* LMDB writes the two metas in turn, so their transactions differ by one; before the first commit both are 0. */
static bool metas_agree(const struct meta *a, const struct meta *b, const uint64_t last[2])
{
	const struct meta *old = a->txn < b->txn ? a : b, *new = a->txn < b->txn ? b : a;

	if (a->page_size != b->page_size)
		return false;
	if (!a->txn && !b->txn)
		return a->main.root == TREE_EMPTY && b->main.root == TREE_EMPTY;
	return new->txn == old->txn + 1 && !(a->txn & 1) && last[new == b] >= last[old == b];
}

int meta_read(int fd, const char *dir, struct meta *newest, uint64_t *file_len)
{
	struct meta meta[2];
	uint64_t last[2], need;
	struct stat st;
	int rc;

	if (fstat(fd, &st) < 0)
		return err_sys("%s/data.mdb", dir);
	*file_len = (uint64_t)st.st_size;
	rc = read_meta_at(fd, 0, &meta[0], &last[0]);
	if (!rc)
		rc = read_meta_at(fd, meta[0].page_size, &meta[1], &last[1]);
	if (rc)
		return rc;
	if (!metas_agree(&meta[0], &meta[1], last))
		return err_set(EIO, "the meta pages contradict each other");
	*newest = meta[1].txn > meta[0].txn ? meta[1] : meta[0];
	need = (newest->main.last_page + 1) * newest->page_size;
	if (need > *file_len)
		return err_set(EIO, "data.mdb has %" PRIu64 " bytes of %" PRIu64 ": it was truncated", *file_len, need);
	return 0;
}

/* 1: a meta page as LMDB makes it with a new file, or a piece of that write that never arrived; 0: another; -errno. */
static int untouched_meta(int fd, off_t off)
{
	static const uint8_t zeros[META_BYTES];
	uint8_t bytes[META_BYTES] = { 0 };
	struct meta meta;

	if (pread(fd, bytes, sizeof bytes, off) < 0)
		return err_sys("data.mdb cannot be read");
	return !memcmp(bytes, zeros, sizeof bytes) || (!meta_parse(bytes, &meta) && !meta.txn);
}

/* LMDB writes two metas with a new file, unsynced, and syncs everything before the first commit's meta replaces one of them. So a
 * file in which neither is of a commit holds nothing, whatever pieces of a first commit are in it, and may be made anew. */
static int never_committed(int fd)
{
	uint8_t bytes[META_BYTES];
	struct meta meta;
	long page = sysconf(_SC_PAGESIZE); /* as LMDB does */
	int rc;

	if (pread(fd, bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes && !meta_parse(bytes, &meta))
		page = (long)meta.page_size;
	rc = untouched_meta(fd, 0);
	return rc == 1 ? untouched_meta(fd, page) : rc;
}

/* Checks what is there; a file without content is removed. 0, -EIO, -errno. */
static int check_file(const char *dir, const char *path)
{
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct meta meta;
	uint64_t len;
	int rc;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys("%s", path);
	rc = never_committed(fd);
	if (rc < 0)
		return rc;
	if (rc)
		return unlink(path) < 0 ? err_sys("%s", path) : 0;
	return meta_read(fd, dir, &meta, &len);
}

/* LMDB would write through a link. Nothing in the lock file outlives a process, so what is no file may go. */
static int check_lock_file(const char *dir)
{
	scope_free char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/lock.mdb", dir) < 0) {
		path = NULL;
		return err_set(ENOMEM, "no memory to open the index");
	}
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys("%s", path);
	return !S_ISREG(st.st_mode) && unlink(path) < 0 ? err_sys("%s", path) : 0;
}

/* --- LMDB ----------------------------------------------------------------------------------------------------------
 */

static int lmdb_error(int rc, const char *what)
{
	switch (rc) {
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
	case MDB_CORRUPTED:
	case MDB_PANIC:
		return err_set(EIO, "%s: %s", what, mdb_strerror(rc));
	default:
		return err_set(rc > 0 ? rc : EIO, "%s: %s", what, mdb_strerror(rc));
	}
}

static int open_lmdb(struct kv *kv, size_t map_bytes)
{
	MDB_txn *txn = NULL;
	int dead = 0;
	int rc = mdb_env_create(&kv->env);

	if (!rc)
		rc = mdb_env_set_mapsize(kv->env, map_bytes);
	if (!rc)
		rc = mdb_env_open(kv->env, kv->dir, MDB_NOTLS | (kv->read_only ? MDB_RDONLY | MDB_NOLOCK : 0), 0600);
	if (!rc && !kv->read_only)
		rc = mdb_reader_check(kv->env, &dead);
	if (!rc)
		rc = mdb_txn_begin(kv->env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return lmdb_error(rc, "LMDB");
	rc = mdb_dbi_open(txn, NULL, 0, &kv->dbi);
	mdb_txn_abort(txn);
	return rc ? lmdb_error(rc, "LMDB") : 0;
}

static int map_file(struct kv *kv, const char *path)
{
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	MDB_envinfo info;
	void *map;
	int rc;

	if (fd < 0)
		return err_sys("%s", path);
	rc = meta_read(fd, kv->dir, &kv->meta, &kv->pages.len);
	if (rc)
		return rc;
	mdb_env_info(kv->env, &info);
	map = mmap(NULL, info.me_mapsize, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return err_sys("mapping %s", path);
	kv->map_len = info.me_mapsize;
	kv->pages.map = map;
	kv->pages.page_size = kv->meta.page_size;
	return 0;
}

/* The last commit must be the one that wrote the stamp. */
static int check_stamp(struct kv *kv)
{
	struct walk w;
	struct stored_entry e;
	struct bytes value;
	uint64_t txn;
	int rc;

	if (!kv->meta.txn)
		return 0;
	walk_init(&w, &kv->pages, &kv->meta.main);
	rc = walk_seek(&w, kv_stamp);
	if (rc == 1)
		rc = walk_next(&w, &e);
	if (rc == 1)
		rc = stored_value(&e, &value);
	else if (!rc)
		rc = err_set(EIO, "the number of the last commit is missing");
	if (rc)
		return rc;
	if (value.len != sizeof txn)
		return err_set(EIO, "the number of the last commit has another length");
	memcpy(&txn, value.at, sizeof txn);
	if (txn != kv->meta.txn)
		return err_set(EIO, "the last commit is %" PRIu64 ", but %" PRIu64 " is said to be", txn, kv->meta.txn);
	return 0;
}

/* An entry of the list of free pages: key: number of a transaction, data: a count, then that many page numbers,
 * falling. */
static int check_free_entry(const struct kv *kv, const struct stored_entry *e)
{
	uint64_t txn, count, page, above = kv->meta.main.last_page + 1;

	if (e->key.len != sizeof txn || e->data.len < sizeof count || e->data.len % sizeof count)
		return err_set(EIO, "the list of free pages is damaged");
	memcpy(&txn, e->key.at, sizeof txn);
	memcpy(&count, e->data.at, sizeof count);
	if (txn > kv->meta.txn || count > e->data.len / sizeof count - 1)
		return err_set(EIO, "the list of free pages is damaged");
	for (uint64_t i = 1; i <= count; i++) {
		memcpy(&page, e->data.at + i * sizeof page, sizeof page);
		if (page < 2 || page >= above)
			return err_set(EIO, "the list of free pages is damaged");
		above = page;
	}
	return 0;
}

/* LMDB follows this list without a look; a wrong number in it would overwrite what is in use. */
static int check_free_list(struct kv *kv)
{
	static const struct bytes start;
	uint64_t left = kv->meta.main.last_page; /* no more entries than pages */
	struct stored_entry e;
	struct walk w;
	int rc;

	walk_init(&w, &kv->pages, &kv->meta.free);
	w.ordered = false;
	rc = walk_seek(&w, start);
	while (!rc && (rc = walk_next(&w, &e)) == 1)
		rc = left-- ? check_free_entry(kv, &e) : err_set(EIO, "the list of free pages goes in circles");
	return rc;
}

static int start(struct kv *kv, size_t map_bytes)
{
	scope_free char *path = NULL;
	int rc;

	if (asprintf(&path, "%s/data.mdb", kv->dir) < 0) {
		path = NULL;
		return err_set(ENOMEM, "no memory to open the index");
	}
	if (kv->read_only && access(path, R_OK) < 0)
		return err_sys("cannot open %s, which cannot be made here", path);
	if (!kv->read_only && mkdir(kv->dir, 0700) < 0 && errno != EEXIST)
		return err_sys("making the folder %s", kv->dir);
	rc = check_file(kv->dir, path); /* an empty one cannot be removed there: -EROFS */
	if (!rc)
		rc = check_lock_file(kv->dir);
	if (!rc)
		rc = open_lmdb(kv, map_bytes);
	if (!rc)
		rc = map_file(kv, path);
	if (!rc)
		rc = check_stamp(kv);
	if (!rc)
		rc = check_free_list(kv);
	return rc;
}

static void init_locks(struct kv *kv)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	/* Else many readers would keep the writer out for ever. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&kv->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	pthread_mutex_init(&kv->commit_lock, NULL);
}

static int open_as(struct kv **out, const char *dir, size_t map_bytes, bool read_only)
{
	struct kv *kv = calloc(1, sizeof *kv);
	int rc;

	if (!kv)
		return err_set(ENOMEM, "no memory to open the index");
	init_locks(kv);
	kv->read_only = read_only;
	kv->dir = strdup(dir);
	if (!kv->dir)
		kv_no_memory();
	kv->active = layer_new();
	kv->map_max = SIZE_MAX / 4;
	rc = start(kv, map_bytes ? map_bytes : (size_t)MAP_DEFAULT_GIB << 30);
	if (rc == -EIO)
		kv_damaged(kv);
	else if (rc)
		err_wrap(rc, "the index in %s", dir);
	if (rc) {
		kv_close(kv);
		return rc;
	}
	*out = kv;
	return 0;
}

int kv_open(struct kv **out, const char *dir, size_t map_bytes)
{
	return open_as(out, dir, map_bytes, false);
}

int kv_open_read_only(struct kv **out, const char *dir)
{
	return open_as(out, dir, 0, true);
}

void kv_limit_map(struct kv *kv, size_t bytes)
{
	scope_lock(&kv->commit_lock);
	kv->map_max = bytes;
}

void kv_close(struct kv *kv)
{
	if (!kv)
		return;
	if (kv->pages.map)
		munmap((void *)kv->pages.map, kv->map_len);
	mdb_env_close(kv->env);
	layer_free(kv->active);
	layer_free(kv->frozen);
	pthread_mutex_destroy(&kv->commit_lock);
	pthread_rwlock_destroy(&kv->lock);
	free(kv->dir);
	free(kv);
}
