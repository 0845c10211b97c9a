/* The packs that are being written: one takes records, full ones wait in `closing` until they are synced. Writing and
 * syncing is done by threads of their own, so that those that encode need not wait for the disk. */
#include <errno.h>
#include <stdio.h>

#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"
#include "store/store_internal.h"

int store_check_failed(struct store *s)
{
	scope_lock(&s->lock);
	return s->failed ? err_set(-s->failed, "%s", s->why) : 0;
}

static bool try_later(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || io_is_passing(rc);
}

/* Keeps a failure that no later success can make good, with its sentence. */
static int keep_failure(struct store *s, int rc)
{
	if (!rc || try_later(rc))
		return rc;
	scope_lock(&s->lock);
	if (!s->failed) {
		s->failed = -EIO;
		snprintf(s->why, sizeof s->why, "%s", err_text());
	}
	return err_set(EIO, "%s", s->why);
}

/* Takes a synced and sealed pack out of the waiting ones. */
static void take_out(struct store *s, struct appender *appender)
{
	struct written_pack done = { NULL, 0 };

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->closing_count; i++) {
		if (s->closing[i].appender != appender)
			continue;
		done = s->closing[i];
		s->closing[i] = s->closing[--s->closing_count];
		break;
	}
	pthread_mutex_unlock(&s->lock);
	if (!done.appender)
		return; /* another thread synced it too */
	packs_written(s->packs, done.index);
	directory_settled(s->directory, done.index);
	appender_drop(done.appender);
}

/* Called with the lock held: the current pack takes no more. */
static int retire(struct store *s)
{
	int rc = appender_seal(s->current.appender);

	if (rc)
		return rc;
	s->closing[s->closing_count++] = s->current;
	s->current = (struct written_pack) { NULL, 0 };
	return 0;
}

int store_sync_packs(struct store *s, bool seal)
{
	struct written_pack all[CLOSING_MAX + 1];
	size_t count, closed;
	int rc = store_check_failed(s);

	if (rc)
		return rc;
	pthread_mutex_lock(&s->lock);
	if (seal && s->current.appender)
		rc = retire(s);
	closed = count = s->closing_count;
	memcpy(all, s->closing, count * sizeof *all);
	if (s->current.appender)
		all[count++] = s->current;
	for (size_t i = 0; i < count; i++)
		appender_ref(all[i].appender);
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < count; i++) {
		if (!rc)
			rc = appender_sync(all[i].appender);
		if (!rc && i < closed)
			take_out(s, all[i].appender);
		appender_drop(all[i].appender);
	}
	return keep_failure(s, rc);
}

enum {
	WRITERS = 2, /* threads: one writes while the other waits for a sync */
	SYNC_EVERY = 64 << 20,
};

/* Called with the lock held. Without these threads those who append write. */
static struct pool *writers(struct store *s)
{
	if (!s->writers && pool_new(&s->writers, WRITERS))
		log_warn("%s", err_text());
	return s->writers;
}

int store_new_pack(struct store *s, struct written_pack *pack)
{
	struct pack_name name = { s->epoch, s->next_number + 1 };
	uint8_t header[PACK_HEADER_BYTES];
	char text[PACK_NAME_MAX];
	scope_buf struct buf path = { 0 };
	struct appender *appender;
	uint32_t index;
	int rc;

	pack_name_text(name, text);
	buf_printf(&path, "%s/%s", s->packs_folder, text);
	pack_header(&s->settings, name, header);
	rc = appender_new(&appender, s->io, s->packs_folder, buf_text(&path), header);
	if (rc)
		return rc;
	rc = packs_add(s->packs, name, pack_seed(header), appender, &index);
	if (rc) {
		appender_drop(appender);
		return rc;
	}
	s->next_number++;
	*pack = (struct written_pack) { appender, index };
	return 0;
}

/* Called with the lock held. */
static int begin_pack(struct store *s)
{
	int rc = store_new_pack(s, &s->current);

	if (!rc && writers(s))
		appender_write_behind(s->current.appender, s->writers, SYNC_EVERY);
	return rc;
}

/* The pack to append to; the caller drops its reference. */
static int current_pack(struct store *s, struct written_pack *out)
{
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	while (!rc && !s->current.appender) {
		if (s->closing_count < CLOSING_MAX) {
			rc = begin_pack(s);
			continue;
		}
		pthread_mutex_unlock(&s->lock);
		rc = store_sync_packs(s, false);
		pthread_mutex_lock(&s->lock);
	}
	if (!rc) {
		*out = s->current;
		appender_ref(out->appender);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

struct finish {
	struct store *store;
	struct appender *appender; /* a reference */
};

/* A sealed pack to the disk. When that fails for now, the next sync of the store tries again. */
static int finish_pack(struct store *s, struct appender *appender)
{
	int rc = appender_sync(appender);

	if (!rc)
		take_out(s, appender);
	return try_later(rc) ? 0 : keep_failure(s, rc);
}

static int finish_job(void *arg)
{
	struct finish *f = arg;

	finish_pack(f->store, f->appender); /* a failure is kept for those who put and sync */
	appender_drop(f->appender);
	free(f);
	return 0;
}

static bool finish_behind(struct store *s, struct appender *appender)
{
	struct finish *f = s->writers ? malloc(sizeof *f) : NULL;

	if (!f)
		return false;
	*f = (struct finish) { s, appender_ref(appender) };
	if (pool_try_submit(s->writers, NULL, finish_job, f))
		return true;
	appender_drop(appender);
	free(f);
	return false;
}

/* The thread that filled a pack seals it; the others go on in the next one. */
static int seal_if_full(struct store *s, const struct written_pack *pack)
{
	int rc = 0;

	if (appender_bytes(pack->appender) < s->seal_bytes && appender_records(pack->appender) < PACK_SEAL_RECORDS)
		return 0;
	pthread_mutex_lock(&s->lock);
	if (s->current.appender == pack->appender)
		rc = retire(s);
	else
		rc = -EAGAIN; /* somebody else does it */
	pthread_mutex_unlock(&s->lock);
	if (rc)
		return rc == -EAGAIN || try_later(rc) ? 0 : keep_failure(s, rc);
	return finish_behind(s, pack->appender) ? 0 : finish_pack(s, pack->appender);
}

int store_append_not_before(struct store *s, uint32_t index)
{
	struct written_pack current;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	current = s->current;
	if (!current.appender || current.index >= index) {
		pthread_mutex_unlock(&s->lock);
		return 0;
	}
	appender_ref(current.appender);
	rc = retire(s);
	pthread_mutex_unlock(&s->lock);
	if (!rc && !finish_behind(s, current.appender))
		rc = finish_pack(s, current.appender);
	appender_drop(current.appender);
	return keep_failure(s, rc);
}

int store_append(struct store *s, struct pack_head *head, const void *payload, struct directory_entry *entry)
{
	struct written_pack pack;
	uint64_t off;
	int rc;

	do {
		rc = current_pack(s, &pack);
		if (rc)
			return rc;
		rc = appender_add(pack.appender, head, payload, &off);
		if (rc == -EAGAIN)
			appender_drop(pack.appender);
	} while (rc == -EAGAIN);
	if (!rc) {
		entry->pack = pack.index;
		entry->off = (uint32_t)off;
		rc = seal_if_full(s, &pack);
	} else {
		rc = keep_failure(s, rc);
	}
	appender_drop(pack.appender);
	return rc;
}

int store_sync(struct store *s)
{
	return s->read_only ? 0 : store_sync_packs(s, false);
}
