#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#include "index/kv_internal.h"
#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

enum { ROOM_MIN = 1 << 20 }; /* with less on the disk than this, a failed write is a full disk */

static bool disk_full(const struct kv *kv)
{
	struct statvfs st;

	return statvfs(kv->dir, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize < ROOM_MIN + atomic_load(&kv->pending);
}

/* LMDB's answer to a failed write as an errno and a sentence. */
static int commit_failed(struct kv *kv, int rc)
{
	kv->map_full = rc == MDB_MAP_FULL;
	if (rc == MDB_MAP_FULL)
		return err_set(ENOSPC, "the index in %s has grown to the size of its map (%zu MiB)", kv->dir,
			       kv->map_len >> 20);
	if (rc == ENOMEM)
		return err_set(ENOMEM, "no memory to write the index in %s", kv->dir);
	if (rc == ENOSPC || rc == EDQUOT || (rc > 0 && disk_full(kv)))
		return err_set(ENOSPC, "the disk is full: the index in %s cannot be written", kv->dir);
	if (rc > 0)
		return err_set(EIO, "the index in %s cannot be written: %s", kv->dir, mdb_strerror(rc));
	if (rc == MDB_PANIC)
		return err_set(
		    EIO, "the index in %s takes no more after a failed write until the store is opened again", kv->dir);
	err_set(EIO, "%s", mdb_strerror(rc));
	return kv_damaged(kv);
}

/* Is the way to the key sound, and what is there now, so that LMDB may go it? A value that does not match its checksum
 * may be replaced. */
static int check_way(struct kv *kv, const struct entry *e)
{
	struct stored_entry old;
	struct walk w;
	int rc;

	walk_init(&w, &kv->pages, &kv->meta.main);
	rc = walk_seek(&w, entry_key(e));
	if (rc == 1)
		rc = walk_next(&w, &old);
	if (rc >= 0)
		rc = walk_check_way(&w, e->deleted);
	return rc < 0 ? kv_damaged(kv) : 0;
}

static int put_stored(struct kv *kv, MDB_txn *txn, struct bytes key, const void *value, size_t value_len)
{
	MDB_val k = { key.len, (void *)key.at }, v = { STORED_CHECK + value_len, NULL };
	uint64_t check = stored_check(key, value, value_len);
	int rc = mdb_put(txn, kv->dbi, &k, &v, MDB_RESERVE);
	uint8_t *to = v.mv_data;

	if (rc)
		return rc;
	for (int i = 0; i < STORED_CHECK; i++)
		to[i] = (uint8_t)(check >> (8 * i));
	memcpy(to + STORED_CHECK, value, value_len);
	return 0;
}

static int write_entry(struct kv *kv, MDB_txn *txn, const struct entry *e)
{
	struct bytes key = entry_key(e);
	MDB_val k = { key.len, (void *)key.at };
	int rc;

	if (!e->deleted)
		return put_stored(kv, txn, key, e->value, e->value_len);
	rc = mdb_del(txn, kv->dbi, &k, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int write_layer(struct kv *kv, MDB_txn *txn, const struct layer *layer)
{
	static const struct bytes start = { (const uint8_t *)"", 0 };
	uint64_t number = mdb_txn_id(txn);
	int rc;

	for (struct entry *e = layer_seek(layer, start); e; e = e->next[0]) {
		rc = check_way(kv, e);
		if (rc)
			return rc;
		rc = write_entry(kv, txn, e);
		if (rc)
			return commit_failed(kv, rc);
	}
	rc = put_stored(kv, txn, kv_stamp, &number, sizeof number);
	return rc ? commit_failed(kv, rc) : 0;
}

/* The meta of the commit that was just made. */
static int read_new_meta(struct kv *kv, struct meta *meta, uint64_t *len)
{
	mdb_filehandle_t fd;
	int rc = mdb_env_get_fd(kv->env, &fd);

	rc = rc ? err_set(EIO, "%s", mdb_strerror(rc)) : meta_read(fd, kv->dir, meta, len);
	if (!rc && meta->txn != kv->meta.txn + 1)
		rc = err_set(EIO, "the last commit is not to be found");
	return rc ? kv_damaged(kv) : 0;
}

/* A larger map, when LMDB has filled the one it has. Without a transaction, under commit_lock; readers are kept out only while the maps
 * are exchanged. */
static int grow_map(struct kv *kv)
{
	size_t old_len = kv->map_len, len = 2 * old_len;
	mdb_filehandle_t fd;
	const void *old = kv->pages.map;
	void *map;
	int rc;

	if (len > kv->map_max || mdb_env_get_fd(kv->env, &fd))
		return -ENOSPC;
	map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -ENOSPC;
	rc = mdb_env_set_mapsize(kv->env, len);
	if (rc) {
		munmap(map, len);
		kv->lost |= rc != EINVAL; /* LMDB has no map any more */
		return -ENOSPC;
	}
	pthread_rwlock_wrlock(&kv->lock);
	kv->pages.map = map;
	kv->map_len = len;
	pthread_rwlock_unlock(&kv->lock);
	munmap((void *)old, old_len);
	log_info("the index in %s has filled its map, which has %zu MiB now", kv->dir, len >> 20);
	return 0;
}

/* Writes the frozen layer in one transaction and publishes it. Under commit_lock, which keeps kv->meta and kv->frozen
 * as they are; readers go on with the layer and the commit before. */
static int write_frozen(struct kv *kv)
{
	struct layer *done = kv->frozen;
	MDB_txn *txn = NULL;
	struct meta meta;
	uint64_t len;
	int rc = kv->lost ? MDB_PANIC : mdb_txn_begin(kv->env, NULL, 0, &txn);

	if (rc)
		return commit_failed(kv, rc);
	rc = write_layer(kv, txn, done);
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	rc = mdb_txn_commit(txn);
	if (rc)
		return commit_failed(kv, rc);
	rc = read_new_meta(kv, &meta, &len);
	kv->lost = rc != 0;
	if (rc)
		return rc;
	pthread_rwlock_wrlock(&kv->lock);
	kv->meta = meta;
	kv->pages.len = len;
	kv->frozen = NULL;
	pthread_rwlock_unlock(&kv->lock);
	atomic_fetch_sub(&kv->pending, layer_bytes(done));
	layer_free(done);
	return 0;
}

static int write_with_room(struct kv *kv)
{
	int rc;

	do {
		kv->map_full = false;
		rc = write_frozen(kv);
	} while (rc && kv->map_full && !grow_map(kv));
	return rc;
}

/* Makes the active layer the frozen one; false when it is empty. */
static bool freeze(struct kv *kv)
{
	struct layer *fresh = layer_new();
	bool some;

	pthread_rwlock_wrlock(&kv->lock);
	some = layer_bytes(kv->active) > 0;
	if (some) {
		kv->frozen = kv->active;
		kv->active = fresh;
	}
	pthread_rwlock_unlock(&kv->lock);
	if (!some)
		layer_free(fresh);
	return some;
}

int kv_commit(struct kv *kv)
{
	if (kv->read_only)
		return err_set(EROFS, "the index in %s is read-only", kv->dir);
	scope_lock(&kv->commit_lock);
	int rc = kv->frozen ? write_with_room(kv) : 0; /* left by a commit that failed */

	if (!rc && freeze(kv))
		rc = write_with_room(kv);
	return rc;
}
