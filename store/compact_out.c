/* The new pack of a compaction, and the end of the old ones. */
#include "store/compact_internal.h"

#include <errno.h>
#include <stdio.h>

#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

enum { SYNC_EVERY = 32 << 20 };

static bool try_later(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || io_is_passing(rc);
}

static int unlink_pack(struct compaction *c, uint32_t index)
{
	struct store *s = c->store;
	scope_free char *path = NULL;
	char text[PACK_NAME_MAX];

	compact_name(c, index, text);
	if (asprintf(&path, "%s/%s", s->packs_folder, text) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return s->io->unlink(s->io, path);
}

void compaction_drop(struct compaction *c)
{
	if (c->out.appender) {
		pool_free(c->disk); /* a write that waits there would make the file again */
		c->disk = NULL;
		packs_remove(c->store->packs, c->out.index);
		packs_written(c->store->packs, c->out.index);
		appender_drop(c->out.appender);
		unlink_pack(c, c->out.index); /* if it stays, it holds chunks that are also elsewhere */
	}
	c->out = (struct written_pack) { NULL, 0 };
	c->sealed = false;
	c->read_back = 0;
	buf_clear(&c->moved);
	buf_clear(&c->sources);
}

/* The new pack failed. The old ones have everything. */
static int abandon(struct compaction *c, int rc)
{
	scope_free char *why = strdup(err_text());

	compaction_drop(c);
	return err_set(-rc, "%s", why ? why : "");
}

/* ---- writing ---- */

static int append_note(struct compaction *c)
{
	uint8_t payload[PACK_NOTE_BYTES];
	struct pack_head head;
	uint64_t off;

	pack_note_put(payload, &head, c->rule.coding);
	return appender_add(c->out.appender, &head, payload, &off);
}

static int begin_out(struct compaction *c)
{
	struct store *s = c->store;
	int rc;

	if (!c->disk && pool_new(&c->disk, 1))
		log_warn("%s", err_text()); /* then it is written by the thread that appends */
	pthread_mutex_lock(&s->lock);
	rc = store_new_pack(s, &c->out);
	pthread_mutex_unlock(&s->lock);
	if (rc)
		return rc;
	if (c->disk)
		appender_write_behind(c->out.appender, c->disk, SYNC_EVERY);
	rc = append_note(c);
	return rc ? abandon(c, rc) : 0;
}

static bool is_full(struct compaction *c)
{
	return appender_bytes(c->out.appender) >= c->store->seal_bytes ||
	       appender_records(c->out.appender) >= PACK_SEAL_RECORDS;
}

static int add(struct compaction *c, struct moved *moved, const void *payload)
{
	struct pack_head head = { .kind = PACK_CHUNK,
				  .version = 1,
				  .codec = moved->to.codec,
				  .plain_len = moved->to.plain_len,
				  .stored_len = moved->to.stored_len,
				  .key = moved->key };
	uint64_t off;
	int rc;

	if (!buf_reserve(&c->moved, sizeof *moved)) {
		c->moved.failed = false;
		return err_set(ENOMEM, "no memory to compact packs");
	}
	rc = appender_add(c->out.appender, &head, payload, &off);
	if (rc)
		return try_later(rc) ? rc : abandon(c, rc);
	moved->to.pack = c->out.index;
	moved->to.off = (uint32_t)off;
	buf_put(&c->moved, moved, sizeof *moved);
	return 0;
}

static int need_feature(struct compaction *c, unsigned codec)
{
	int rc = store_need_features(c->store, settings_codec_feature(codec));

	return rc == -EBADMSG ? err_set(EIO, "%s", err_text()) : rc; /* no fault of the pack that is copied */
}

int compact_append(struct compaction *c, const struct moved *from, const void *payload)
{
	struct moved moved = *from;
	uint64_t bytes = PACK_HEAD_BYTES + (uint64_t)moved.to.stored_len;
	int rc = c->out.appender && (c->sealed || is_full(c)) ? compaction_finish(c) : 0;

	if (!rc)
		rc = store_room_spare(c->store, bytes);
	if (!rc)
		rc = need_feature(c, moved.to.codec);
	if (!rc && !c->out.appender)
		rc = begin_out(c);
	if (!rc)
		rc = add(c, &moved, payload);
	if (rc)
		return rc;
	store_room_used(c->store, bytes);
	c->counts.chunks++;
	c->counts.bytes_before += PACK_HEAD_BYTES + (uint64_t)moved.from.stored_len;
	c->counts.bytes_after += bytes;
	return 0;
}

/* ---- publishing ---- */

/* The new record counts, unless somebody stored the chunk in a still newer pack. Called with the key claimed. Counted it is in any
 * case: when memory has no room for it now, the directory comes to it by the new pack's footer. */
static int point_at(struct store *s, const struct moved *m)
{
	struct directory_entry now;
	int known = directory_get(s->directory, &m->key, &now), rc;

	if (known == 1 && !directory_newer(&m->to, &now))
		return 0;
	rc = directory_set(s->directory, &m->key, &m->to);
	if (known != 1) /* a disk that fails lets nothing be found */
		now = m->from;
	scope_lock(&s->lock);
	store_count(s, &now, -1);
	store_count(s, &m->to, 1);
	return rc;
}

/* What cannot be published stays where it was, and its old pack with it. */
static void publish(struct compaction *c)
{
	const struct moved *moved = (const void *)c->moved.data;
	size_t count = c->moved.len / sizeof *moved;

	for (size_t i = 0; i < count; i++) {
		struct claim claim = { .key = moved[i].key };

		store_claim(c->store, &claim);
		if (point_at(c->store, &moved[i]))
			log_warn("%s", err_text());
		store_unclaim(c->store, &claim);
	}
	buf_clear(&c->moved);
	c->read_back = 0;
}

/* ---- removing ---- */

struct leaving { /* a pack */
	struct compaction *c;
	uint32_t index;
	struct buf dropped; /* struct directory_entry: what is not wanted */
	bool unsynced;	    /* a chunk of it is in a pack that may not be on the disk yet */
};

/* The record that counts is in another pack. */
static int check_newer(struct leaving *l, const struct key *key, const struct directory_entry *at)
{
	char text[KEY_TEXT_MAX], name[PACK_NAME_MAX];
	int rc = compact_is_whole(l->c, key, at);

	if (rc == 1) {
		l->unsynced |= !packs_is_written(l->c->store->packs, at->pack);
		return 0;
	}
	key_text(key, text);
	compact_name(l->c, at->pack, name);
	return rc ? rc : err_set(EBADMSG, "chunk %s is damaged in pack %s", text, name);
}

/* May this record go? 0 or -errno. */
static int check_leaving(struct leaving *l, const struct pack_entry *e, const struct recovered *pack)
{
	struct compaction *c = l->c;
	struct directory_entry at;
	char text[KEY_TEXT_MAX];
	int rc = directory_get(c->store->directory, &e->head.key, &at);
	bool unwanted = rc == 1 && c->rule.wanted && !c->rule.wanted(c->rule.ctx, &e->head.key);

	if (rc < 0)
		return rc;
	if (rc == 1 && at.pack != l->index)
		return unwanted ? 0 : check_newer(l, &e->head.key, &at);
	if (rc == 1 && at.off != e->off && compact_lists(pack, &e->head.key, at.off))
		return 0; /* the other one is looked at too */
	if (unwanted) {
		buf_put(&l->dropped, &at, sizeof at);
		return buf_failed(&l->dropped) ? err_set(ENOMEM, "no memory to remove a pack") : 0;
	}
	key_text(&e->head.key, text);
	return err_set(EBADMSG, "chunk %s is nowhere else", text);
}

static int may_leave(struct leaving *l)
{
	struct recovered pack;
	int rc = compact_list(l->c, l->index, &pack);

	if (rc)
		return rc;
	for (uint64_t i = 0; !rc && i < pack.records; i++) {
		struct pack_entry e = pack_entry_get(pack.entries.data, i);

		if (e.head.kind == PACK_CHUNK)
			rc = check_leaving(l, &e, &pack);
	}
	buf_free(&pack.entries);
	return rc ? rc : l->unsynced ? store_sync_packs(l->c->store, false) : 0;
}

/* While a pack is asked whether it may go and goes, nobody takes what is in it for stored: see gc.h. */
static void announce(struct leaving *l, bool leaving)
{
	struct store *s = l->c->store;

	if (!l->c->rule.wanted)
		return;
	scope_lock(&s->lock);
	s->leaving = leaving;
	s->leaving_pack = l->index;
	pthread_cond_broadcast(&s->unclaimed);
}

static int leave_for_good(struct leaving *l)
{
	struct store *s = l->c->store;
	const struct directory_entry *dropped;
	int rc = may_leave(l);

	if (rc)
		return rc;
	directory_remove(s->directory, l->index);
	packs_remove(s->packs, l->index);
	dropped = (const void *)l->dropped.data;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < l->dropped.len / sizeof *dropped; i++)
		store_count(s, &dropped[i], -1);
	pthread_mutex_unlock(&s->lock);
	l->c->counts.packs++;
	rc = unlink_pack(l->c, l->index);
	return rc ? err_set(-rc, "it cannot be removed: %s", strerror(-rc)) : 0;
}

static int leave(struct leaving *l)
{
	int rc;

	announce(l, true);
	rc = leave_for_good(l);
	announce(l, false);
	return rc;
}

/* Whatever fails here leaves chunks in two packs, and the next one who comes by removes the older pack. */
static void remove_sources(struct compaction *c)
{
	struct store *s = c->store;
	struct source *all = (void *)c->sources.data;
	size_t count = c->sources.len / sizeof *all;
	bool unfinished = count && !all[count - 1].whole;
	int rc = 0;

	for (size_t i = 0; i < count; i++) {
		struct leaving l = { .c = c, .index = all[i].index };
		char name[PACK_NAME_MAX];

		if (!all[i].whole)
			continue;
		compact_name(c, l.index, name);
		if (leave(&l)) {
			log_warn("pack %s stays: %s", name, err_text());
			c->counts.packs_left++;
		}
		buf_free(&l.dropped);
	}
	if (count)
		rc = s->io->fsync_dir(s->io, s->packs_folder);
	if (rc)
		log_warn("cannot sync %s: %s", s->packs_folder, strerror(-rc));
	if (unfinished)
		all[0] = all[count - 1];
	c->sources.len = unfinished ? sizeof *all : 0;
}

/* ---- the end ---- */

/* The records, before there is a footer that says they are there. */
static int prove(struct compaction *c)
{
	int rc = appender_sync(c->out.appender);

	if (rc)
		return rc;
	packs_written(c->store->packs, c->out.index); /* its records are asked of the file from now on */
	return compact_read_back(c);
}

static int sync_out(struct compaction *c)
{
	int rc = c->sealed ? 0 : prove(c);

	if (!rc)
		rc = appender_seal(c->out.appender);
	c->sealed = c->sealed || !rc;
	if (!rc)
		rc = appender_sync(c->out.appender);
	if (!rc)
		rc = store_check_failed(c->store);
	return rc && !try_later(rc) ? abandon(c, rc) : rc;
}

int compaction_finish(struct compaction *c)
{
	struct written_pack out = c->out;
	int rc = out.appender ? sync_out(c) : 0;

	if (rc)
		return rc;
	if (out.appender)
		publish(c);
	c->out = (struct written_pack) { NULL, 0 };
	c->sealed = false;
	remove_sources(c);
	/* Only now, so that no key run has the old packs' entries and the new ones, and its sums are those of both. */
	if (out.appender)
		directory_settled(c->store->directory, out.index);
	appender_drop(out.appender);
	return 0;
}
