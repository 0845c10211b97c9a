#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "index/kv_internal.h"
#include "store/err.h"
#include "store/scope.h"

enum { ROOM_MIN = 1 << 20 }; /* with less on the disk than this, a failed write is a full disk */

static bool disk_full(const struct kv *kv)
{
	struct statvfs st;

	return statvfs(kv->dir, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize < ROOM_MIN + atomic_load(&kv->pending);
}

/* LMDB's answer to a failed write as an errno and a sentence. */
static int commit_failed(const struct kv *kv, int rc)
{
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
	scope_lock(&kv->commit_lock);
	int rc = kv->frozen ? write_frozen(kv) : 0; /* left by a commit that failed */

	if (!rc && freeze(kv))
		rc = write_frozen(kv);
	return rc;
}
