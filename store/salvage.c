#include "store/salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "store/codec.h"
#include "store/err.h"
#include "store/scope.h"
#include "store/scratch.h"
#include "store/store_internal.h"

enum { QUARANTINE_MAX = 10000 };

struct salvage {
	struct store *store;
	void (*say)(void *ctx, const char *sentence);
	void *ctx;
	struct salvage_counts *counts;
	struct pack_name name; /* of the pack at hand */
	char text[PACK_NAME_MAX];
	uint32_t index; /* UINT32_MAX: the directory does not know it */
	bool foreign;	/* it holds what is not understood */
	struct buf copied; /* struct key */
};

__attribute__((format(printf, 2, 3))) static void say(struct salvage *v, const char *fmt, ...)
{
	scope_buf struct buf text = { 0 };
	va_list ap;

	buf_printf(&text, "pack %s: ", v->text);
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	v->say(v->ctx, buf_text(&text));
}

/* ---- quarantine ---- */

int store_quarantine(struct store *s, const char *name, char **to)
{
	scope_free char *folder = NULL, *from = NULL;
	const char *last = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	int rc = -EEXIST;

	*to = NULL;
	if (asprintf(&folder, "%s/quarantine", s->path) < 0 || asprintf(&from, "%s/%s", s->path, name) < 0)
		return err_set(ENOMEM, "no memory for a path");
	if (mkdir(folder, 0700) && errno != EEXIST)
		return err_sys("%s", folder);
	for (unsigned i = 0; rc == -EEXIST && i < QUARANTINE_MAX; i++) {
		scope_free char *path = NULL;

		if (asprintf(&path, i ? "%s/%s.%u" : "%s/%s", folder, last, i) < 0)
			return err_set(ENOMEM, "no memory for a path");
		rc = renameat2(AT_FDCWD, from, AT_FDCWD, path, RENAME_NOREPLACE) ? -errno : 0;
		if (!rc && !(*to = strdup(path + strlen(s->path) + 1)))
			return err_set(ENOMEM, "no memory for a path");
	}
	if (!rc)
		rc = s->io->fsync_dir(s->io, folder);
	if (!rc && last != name)
		rc = s->io->fsync_dir(s->io, s->packs_folder);
	if (!rc)
		rc = s->io->fsync_dir(s->io, s->path);
	return rc ? err_set(-rc, "%s cannot be moved to %s: %s", from, folder, strerror(-rc)) : 0;
}

/* ---- one pack ---- */

/* Does another pack have it whole, or was it copied already? 1, 0 or -errno. */
static int is_elsewhere(struct salvage *v, const struct key *key, uint32_t len)
{
	struct buf *plain = scratch_take(SCRATCH_PAYLOAD);
	struct directory_entry entry;
	int rc = directory_get(v->store->directory, key, &entry);

	if (rc <= 0)
		return rc == -EIO ? 0 : rc;
	if (entry.pack == v->index || entry.plain_len != len)
		return 0;
	if (!plain || !buf_reserve(plain, len))
		return err_set(ENOMEM, "no memory to salvage a chunk");
	rc = store_fetch(v->store, key, &entry, plain->data);
	if (!rc)
		rc = store_fetch_check(v->store, key, &entry, plain->data);
	return io_is_passing(rc) ? rc : !rc;
}

/* Does the payload decode to what the key says? 1, 0 or -errno. */
static int is_right(struct salvage *v, const struct pack_head *head, const uint8_t *payload)
{
	struct buf *plain = scratch_take(SCRATCH_PLAIN);
	struct key found;
	int rc;

	if (!plain || !buf_reserve(plain, head->plain_len))
		return err_set(ENOMEM, "no memory to salvage a chunk");
	rc = codec_decode(head->codec, payload, head->stored_len, plain->data, head->plain_len);
	if (rc)
		return rc == -ENOMEM ? rc : 0;
	found = key_of(v->store->settings.secret, plain->data, head->plain_len);
	return key_equal(&found, &head->key);
}

static int copy_record(void *ctx, const struct pack_head *head, uint64_t off, const uint8_t *payload)
{
	struct salvage *v = ctx;
	struct directory_entry entry = { .stored_len = head->stored_len, .plain_len = head->plain_len, .codec = head->codec };
	struct pack_head copy = *head;
	int rc;

	(void)off;
	if (head->kind != PACK_CHUNK || head->version != 1) {
		v->foreign |= head->kind < PACK_SKIP && head->kind != PACK_FOOTER;
		return 0;
	}
	rc = is_right(v, head, payload);
	if (rc <= 0)
		return rc;
	rc = is_elsewhere(v, &head->key, head->plain_len);
	if (rc)
		return rc < 0 ? rc : 0;
	rc = store_room(v->store, PACK_HEAD_BYTES + head->stored_len);
	if (!rc)
		rc = store_need_features(v->store, settings_codec_feature(head->codec));
	if (!rc)
		rc = store_append(v->store, &copy, payload, &entry);
	if (!rc)
		rc = directory_set(v->store->directory, &head->key, &entry);
	buf_put(&v->copied, &head->key, sizeof head->key);
	if (!rc && buf_failed(&v->copied))
		rc = err_set(ENOMEM, "no memory to salvage a pack");
	return rc;
}

/* The seed of its records: from its own header when that is whole, else from what it must have been. */
static int seed_of(struct salvage *v, int fd, uint64_t *seed)
{
	const struct store *s = v->store;
	uint8_t header[PACK_HEADER_BYTES];
	struct pack_name own = v->name;
	int rc = io_read_all(s->io, fd, header, sizeof header, 0);

	if (io_is_passing(rc))
		return rc;
	if (!rc)
		rc = pack_header_check(&s->settings, header, &own);
	if (rc == -EINVAL)
		return rc; /* of a newer format */
	pack_header(&s->settings, own, header);
	*seed = pack_seed(header);
	return 0;
}

static int copy_pack(struct salvage *v, const char *path)
{
	const struct io *io = v->store->io;
	struct walk walk = { .io = io, .record = copy_record, .ctx = v };
	int64_t size;
	int rc;

	walk.fd = io->open(io, path, O_RDONLY, 0);
	if (walk.fd < 0)
		return err_set(-walk.fd, "cannot be opened: %s", strerror(-walk.fd));
	size = io->size(io, walk.fd);
	rc = size < 0 ? (int)size : seed_of(v, walk.fd, &walk.seed);
	walk.size = (uint64_t)size;
	if (!rc && walk.size > PACK_HEADER_BYTES)
		rc = pack_walk(&walk);
	io->close(io, walk.fd);
	return rc;
}

/* Everything that was copied is on the disk: does it come back from there? */
static int read_back(struct salvage *v)
{
	struct buf *plain = scratch_take(SCRATCH_PLAIN);
	int rc = store_sync_packs(v->store, true);

	for (size_t at = 0; !rc && at < v->copied.len; at += sizeof(struct key)) {
		struct directory_entry entry;
		struct key key;

		memcpy(&key, v->copied.data + at, sizeof key);
		rc = directory_get(v->store->directory, &key, &entry);
		if (rc != 1 || entry.pack == v->index)
			return rc < 0 ? rc : err_set(EIO, "a copied chunk is not found");
		if (!plain || !buf_reserve(plain, entry.plain_len))
			return err_set(ENOMEM, "no memory to salvage a chunk");
		rc = store_fetch(v->store, &key, &entry, plain->data);
		if (!rc)
			rc = store_fetch_check(v->store, &key, &entry, plain->data);
	}
	return rc;
}

static uint32_t index_of(struct store *s, const char *text)
{
	char other[PACK_NAME_MAX];

	for (uint32_t i = 0; i < packs_end(s->packs); i++) {
		if (!packs_is_there(s->packs, i))
			continue;
		packs_name(s->packs, i, other);
		if (!strcmp(other, text))
			return i;
	}
	return UINT32_MAX;
}

static int put_away(struct salvage *v, const char *name)
{
	scope_free char *to = NULL;
	int rc;

	if (v->index != UINT32_MAX) {
		directory_remove(v->store->directory, v->index);
		packs_remove(v->store->packs, v->index);
	}
	rc = store_quarantine(v->store, name, &to);
	if (rc)
		return rc;
	v->counts->packs++;
	v->counts->chunks += v->copied.len / sizeof(struct key);
	say(v, "%zu whole chunks were copied, it is now %s", v->copied.len / sizeof(struct key), to);
	return 0;
}

/* 0; -errno that ends it all. */
static int salvage_pack(struct salvage *v)
{
	scope_free char *path = NULL;
	const char *name;
	int rc;

	pack_name_text(v->name, v->text);
	v->index = index_of(v->store, v->text);
	v->foreign = false;
	buf_clear(&v->copied);
	if (asprintf(&path, "%s/packs/%s", v->store->path, v->text) < 0)
		return err_set(ENOMEM, "no memory for a path");
	name = path + strlen(v->store->path) + 1;
	rc = copy_pack(v, path);
	if (!rc && !v->foreign)
		rc = read_back(v);
	if (rc == -ENOMEM || rc == -ENOSPC || io_is_passing(rc) || store_check_failed(v->store))
		return rc ? rc : store_check_failed(v->store);
	if (!rc && !v->foreign)
		return put_away(v, name);
	v->counts->left++;
	say(v, "it is left as it is: %s", v->foreign || rc == -EINVAL ? "a newer tomofs wrote it" : err_text());
	return 0;
}

int store_salvage(struct store *s, void (*say_it)(void *ctx, const char *sentence), void *ctx, struct salvage_counts *counts)
{
	struct salvage v = { .store = s, .say = say_it, .ctx = ctx, .counts = counts };
	int rc = 0;

	*counts = (struct salvage_counts) { 0 };
	for (size_t at = 0; !rc && at < s->suspects.len; at += sizeof v.name) {
		memcpy(&v.name, s->suspects.data + at, sizeof v.name);
		if (v.name.epoch < s->epoch) /* not what this process writes */
			rc = salvage_pack(&v);
	}
	directory_idle(s->directory);
	buf_free(&v.copied);
	return rc;
}

int store_put_missing(struct store *s, const struct key *key, const void *bytes, size_t len)
{
	struct key found = key_of(s->settings.secret, bytes, len);
	int rc;

	if (!key_equal(&found, key))
		return 0;
	rc = store_put(s, NULL, 0, bytes, len, &found);
	return rc ? rc : 1;
}
