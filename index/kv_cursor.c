#include <errno.h>

#include "index/kv_internal.h"
#include "store/err.h"

struct kv_cursor {
	struct kv *kv;
	struct entry *active, *frozen; /* next of each; NULL: at its end */
	struct walk walk;
	bool step;		 /* LMDB's side must be stepped before it is looked at */
	struct bytes stored_key; /* next of LMDB; at NULL: at its end */
	struct bytes stored_value;
	struct bytes passed; /* last good key of LMDB */
	int failed;	     /* what looking for the start said, to be told by the first kv_next() */
	size_t prefix_len;
	uint8_t prefix[KV_KEY_MAX];
};

static bool in_prefix(const struct kv_cursor *c, struct bytes key)
{
	return key.len >= c->prefix_len && !memcmp(key.at, c->prefix, c->prefix_len);
}

static bool shadowed(const struct kv *kv, struct bytes key)
{
	return layer_find(kv->active, key) || layer_find(kv->frozen, key);
}

struct kv_cursor *kv_seek(struct kv *kv, const void *prefix, size_t prefix_len, const void *from, size_t from_len)
{
	struct bytes start = { prefix_len ? prefix : "", prefix_len };
	struct bytes at = { from_len ? from : "", from_len };
	struct kv_cursor *c = calloc(1, sizeof *c);
	int rc;

	if (!c)
		kv_no_memory();
	c->kv = kv;
	if (prefix_len > KV_KEY_MAX)
		return c; /* no key is that long */
	c->prefix_len = prefix_len;
	memcpy(c->prefix, start.at, prefix_len);
	if (bytes_compare(at, start) > 0)
		start = at;
	c->active = layer_seek(kv->active, start);
	c->frozen = layer_seek(kv->frozen, start);
	walk_init(&c->walk, &kv->pages, &kv->meta.main);
	rc = walk_seek(&c->walk, start.len ? start : (struct bytes) { 0 });
	c->failed = rc < 0 ? rc : 0;
	c->step = true;
	return c;
}

/* An entry of LMDB is only believed when its checksum holds and it is in order: the merge rests on both. */
static int check_stored(struct kv_cursor *c, const struct stored_entry *e)
{
	int rc = stored_value(e, &c->stored_value);

	if (!rc && c->passed.at && bytes_compare(e->key, c->passed) <= 0)
		rc = err_set(EIO, "keys are not in order");
	return rc;
}

/* Steps LMDB's side to its next good entry. 0, also at its end; -EIO: one was passed over, *damaged is its key when
 * that is known. */
static int step_stored(struct kv_cursor *c, struct bytes *damaged)
{
	struct stored_entry e;
	int rc;

	c->stored_key = (struct bytes) { 0 };
	while ((rc = walk_next(&c->walk, &e)) != 0) {
		if (rc == 1 && e.key.len > KV_KEY_MAX) /* the stamp */
			continue;
		if (rc == 1)
			rc = check_stored(c, &e);
		if (rc == 0) {
			c->stored_key = c->passed = e.key;
			return 0;
		}
		if (e.key.at && shadowed(c->kv, e.key))
			continue; /* there is something newer, so nobody asks */
		*damaged = e.key;
		return rc;
	}
	return 0;
}

static bool before(struct bytes a, struct bytes b)
{
	return a.at && bytes_compare(a, b) < 0;
}

/* When the key is next in this layer: its entry, and the layer is stepped. */
static struct entry *take_entry(struct entry **next, struct bytes key)
{
	struct entry *e = *next;

	if (!e || bytes_compare(entry_key(e), key))
		return NULL;
	*next = e->next[0];
	return e;
}

/* The smallest next key of the three, its newest value. 1; 0 at the end. *value.at is NULL when it was deleted. */
static int merge(struct kv_cursor *c, struct bytes *key, struct bytes *value)
{
	struct entry *frozen, *active;

	*key = c->stored_key;
	if (c->frozen && !before(*key, entry_key(c->frozen)))
		*key = entry_key(c->frozen);
	if (c->active && !before(*key, entry_key(c->active)))
		*key = entry_key(c->active);
	if (!key->at || !in_prefix(c, *key))
		return 0;
	frozen = take_entry(&c->frozen, *key);
	active = take_entry(&c->active, *key);
	*value = c->stored_value;
	c->step = c->stored_key.at && !bytes_compare(c->stored_key, *key);
	if (active || frozen) {
		const struct entry *e = active ? active : frozen;

		*value = (struct bytes) { e->value, e->value_len };
	}
	return 1;
}

int kv_next(struct kv_cursor *c, const uint8_t **key, size_t *key_len, const uint8_t **value, size_t *value_len)
{
	struct bytes k = { (const uint8_t *)"", 0 }, v = { (const uint8_t *)"", 0 };
	int rc = c->failed;

	c->failed = 0;
	while (!rc) {
		if (c->step)
			rc = step_stored(c, &k);
		if (rc)
			break;
		c->step = false;
		rc = merge(c, &k, &v);
		if (!rc)
			return 0;
		rc = v.at ? 1 : 0; /* deleted: the next one */
	}
	*key = k.at ? k.at : (const uint8_t *)"";
	*key_len = k.len;
	*value = v.at;
	*value_len = v.len;
	return rc < 0 ? kv_damaged(c->kv) : rc;
}

void kv_cursor_free(struct kv_cursor *c)
{
	free(c);
}
