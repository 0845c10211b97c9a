#include <errno.h>
#include <stdlib.h>

#include "index/kv_internal.h"
#include "store/err.h"
#include "store/log.h"

void kv_no_memory(void)
{
	/* The journal has everything; going on without a change that was promised to be seen would be worse. */
	log_error("no memory for the index");
	abort();
}

void kv_read_begin(struct kv *kv)
{
	pthread_rwlock_rdlock(&kv->lock);
}

void kv_read_end(struct kv *kv)
{
	pthread_rwlock_unlock(&kv->lock);
}

void kv_write_begin(struct kv *kv)
{
	pthread_rwlock_wrlock(&kv->lock);
}

void kv_write_end(struct kv *kv)
{
	pthread_rwlock_unlock(&kv->lock);
}

static int found(struct buf *to, const void *value, size_t len)
{
	buf_put(to, value, len);
	return buf_failed(to) ? err_set(ENOMEM, "no memory for a value of %zu bytes", len) : 0;
}

static int get_stored(struct kv *kv, struct bytes key, struct buf *to)
{
	struct stored_entry e;
	struct bytes value;
	struct walk w;
	int rc;

	walk_init(&w, &kv->pages, &kv->meta.main);
	rc = walk_seek(&w, key);
	if (!rc)
		return -ENOENT;
	if (rc == 1)
		rc = walk_next(&w, &e);
	if (rc == 1)
		rc = stored_value(&e, &value);
	return rc ? kv_damaged(kv) : found(to, value.at, value.len);
}

int kv_get(struct kv *kv, const void *key, size_t key_len, struct buf *value)
{
	struct bytes k = { key, key_len };
	const struct entry *e;

	buf_clear(value);
	if (!key_len || key_len > KV_KEY_MAX)
		return -ENOENT;
	e = layer_find(kv->active, k);
	if (!e)
		e = layer_find(kv->frozen, k);
	if (!e)
		return get_stored(kv, k, value);
	return e->deleted ? -ENOENT : found(value, e->value, e->value_len);
}

static void put(struct kv *kv, const void *key, size_t key_len, const void *value, size_t value_len)
{
	if (!key_len || key_len > KV_KEY_MAX || value_len > KV_VALUE_MAX) {
		log_error("bug: an index entry with a key of %zu and a value of %zu bytes", key_len, value_len);
		abort();
	}
	atomic_fetch_add(&kv->pending,
			 (size_t)layer_put(kv->active, (struct bytes) { key, key_len }, value, value_len));
}

void kv_put(struct kv *kv, const void *key, size_t key_len, const void *value, size_t value_len)
{
	put(kv, key, key_len, value_len ? value : "", value_len);
}

void kv_del(struct kv *kv, const void *key, size_t key_len)
{
	put(kv, key, key_len, NULL, 0);
}

size_t kv_pending(struct kv *kv)
{
	return atomic_load(&kv->pending);
}
