#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "store/codec.h"
#include "store/err.h"
#include "store/recover.h"
#include "store/scope.h"
#include "store/store_internal.h"

struct verify { /* the whole run */
	struct store *store;
	void (*damaged)(void *ctx, const char *sentence);
	void *ctx;
	uint64_t epoch; /* packs of earlier ones have been sealed */
	pthread_mutex_t lock;
	struct store_verify *counts;
};

struct check { /* of one pack */
	struct verify *run;
	struct pack_name name;
	char text[PACK_NAME_MAX];
	uint64_t size, seed;
	bool sealed;	  /* there is a whole trailer ... */
	bool listed;	  /* ... and a whole footer */
	bool footer_seen; /* the last record of the walk was a footer */
	struct buf footer;
	uint64_t records, footer_off, next; /* entry of the footer that the walk should meet next */
	uint64_t chunks, plain_bytes;
	struct buf plain;
};

static void complain(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void complain(struct check *c, const char *fmt, ...)
{
	scope_buf struct buf sentence = { 0 };
	va_list ap;

	buf_printf(&sentence, "pack %s: ", c->text);
	va_start(ap, fmt);
	buf_vprintf(&sentence, fmt, ap);
	va_end(ap);
	scope_lock(&c->run->lock); /* one at a time, as the header promises */
	c->run->counts->damaged++;
	if (c->run->damaged)
		c->run->damaged(c->run->ctx, buf_text(&sentence));
}

static int check_chunk(struct check *c, const struct pack_head *head, uint64_t off, const uint8_t *payload)
{
	unsigned long long at = off;
	char text[KEY_TEXT_MAX];
	struct key found;
	int rc;

	key_text(&head->key, text);
	buf_clear(&c->plain);
	if (!buf_reserve(&c->plain, head->plain_len))
		return err_set(ENOMEM, "no memory to verify a chunk");
	rc = codec_decode(head->codec, payload, head->stored_len, c->plain.data, head->plain_len);
	if (rc == -ENOMEM)
		return rc;
	if (rc) {
		complain(c, "chunk %s at %llu: %s", text, at, err_text());
		return 0;
	}
	found = key_of(c->run->store->settings.secret, c->plain.data, head->plain_len);
	if (!key_equal(&found, &head->key))
		complain(c, "chunk %s at %llu: the decoded bytes do not match the key", text, at);
	c->chunks++;
	c->plain_bytes += head->plain_len;
	return 0;
}

static bool same_head(const struct pack_head *a, const struct pack_head *b)
{
	return a->kind == b->kind && a->version == b->version && a->codec == b->codec && a->domain == b->domain &&
	       a->plain_len == b->plain_len && a->stored_len == b->stored_len && key_equal(&a->key, &b->key);
}

/* Does the footer list the record that stands here? */
static void check_listed(struct check *c, const struct pack_head *head, uint64_t off)
{
	const uint8_t *entries = c->footer.data + PACK_HEAD_BYTES;
	struct pack_entry e = { .off = 0 };

	while (c->next < c->records && (e = pack_entry_get(entries, c->next)).off < off)
		c->next++;
	if (c->next == c->records || e.off != off || !same_head(&e.head, head))
		complain(c, "the record at %llu is not in the footer as it is", (unsigned long long)off);
	else
		c->next++;
}

static int check_record(void *ctx, const struct pack_head *head, uint64_t off, const uint8_t *payload)
{
	struct check *c = ctx;

	c->footer_seen = head->kind == PACK_FOOTER;
	if (c->footer_seen)
		return 0;
	if (c->listed)
		check_listed(c, head, off);
	if (head->kind == PACK_CHUNK && head->version == 1)
		return check_chunk(c, head, off, payload);
	if (head->kind < PACK_SKIP)
		complain(c, "the record at %llu is of kind %u, version %u, which this version of tomofs does not know",
			 (unsigned long long)off, head->kind, head->version);
	return 0;
}

static void check_gap(void *ctx, uint64_t from, uint64_t to, const struct key *key)
{
	struct check *c = ctx;
	char text[KEY_TEXT_MAX];

	if (!key) {
		complain(c, "bytes %llu to %llu hold no whole record", (unsigned long long)from,
			 (unsigned long long)to - 1);
		return;
	}
	key_text(key, text);
	complain(c, "chunk %s at %llu: the bytes do not match their check", text, (unsigned long long)from);
}

static int check_header(struct check *c, int fd)
{
	const struct settings *settings = &c->run->store->settings;
	uint8_t header[PACK_HEADER_BYTES];
	struct pack_name own = c->name;
	int rc = io_read_all(c->run->store->io, fd, header, sizeof header, 0);

	if (rc && rc != -EBADMSG)
		complain(c, "the header cannot be read: %s", strerror(-rc));
	if (!rc) {
		rc = pack_header_check(settings, header, &own);
		if (rc)
			complain(c, "%s", err_text());
		else if (pack_name_compare(own, c->name) != 0)
			complain(c, "the file was renamed: its header has another name");
	}
	pack_header(settings, own, header);
	c->seed = pack_seed(header);
	return rc == -EXDEV || rc == -EINVAL ? rc : 0;
}

/* What stands behind the last whole record. In a pack that may be growing it is no damage; but where the writer is
 * known to be done, or the file is as long as footer and trailer make it, everything must be whole. */
static void check_tail(struct check *c, const struct walk *walk)
{
	uint64_t after = walk->whole_end;
	bool done = c->sealed || c->name.epoch < c->run->epoch;

	if (walk->unreadable)
		complain(c, "the disk cannot read all of it");
	else if (c->sealed && after != c->size - PACK_TRAILER_BYTES)
		complain(c, "bytes %llu to %llu hold no whole record or footer", (unsigned long long)after,
			 (unsigned long long)c->size - 1);
	else if (!c->sealed && c->footer_seen && c->size - after >= PACK_TRAILER_BYTES)
		complain(c, "the trailer is damaged");
	else if (!c->sealed && done && after < c->size)
		complain(c, "it is not sealed, and bytes %llu to %llu hold no whole record", (unsigned long long)after,
			 (unsigned long long)c->size - 1);
}

static int walk_through(struct check *c, int fd)
{
	struct walk walk = { .io = c->run->store->io,
			     .fd = fd,
			     .seed = c->seed,
			     .size = c->sealed ? c->size - PACK_TRAILER_BYTES : c->size,
			     .record = check_record,
			     .damaged = check_gap,
			     .ctx = c };
	int rc = pack_walk(&walk);

	if (!rc)
		check_tail(c, &walk);
	return rc;
}

static int check_open(struct check *c, int fd)
{
	const struct io *io = c->run->store->io;
	int64_t size = io->size(io, fd);
	int rc;

	if (size < 0) {
		complain(c, "its size cannot be found out: %s", strerror((int)-size));
		return 0;
	}
	c->size = (uint64_t)size;
	if (c->size < PACK_HEADER_BYTES) {
		if (c->name.epoch < c->run->epoch)
			complain(c, "it is shorter than a header");
		return 0;
	}
	if (check_header(c, fd))
		return 0; /* its records cannot be checked under this store's secret */
	rc = pack_read_footer(io, fd, c->seed, c->size, &c->footer, &c->records, &c->footer_off);
	if (rc == -ENOMEM)
		return err_set(ENOMEM, "no memory to verify a pack");
	c->sealed = rc == 1 || rc == -EBADMSG;
	c->listed = rc == 1;
	if (rc == -EBADMSG)
		complain(c, "the footer is damaged");
	return walk_through(c, fd);
}

static int check_pack(void *arg)
{
	struct check *c = arg;
	struct store *s = c->run->store;
	scope_free char *path = NULL;
	int fd, rc;

	if (asprintf(&path, "%s/%s", s->packs_folder, c->text) < 0) {
		path = NULL;
		return err_set(ENOMEM, "no memory to verify a pack");
	}
	fd = s->io->open(s->io, path, O_RDONLY, 0);
	if (fd == -ENOENT)
		return 0; /* an empty one, removed since it was listed */
	if (fd < 0) {
		complain(c, "cannot be opened: %s", strerror(-fd));
		return 0;
	}
	rc = check_open(c, fd);
	s->io->close(s->io, fd);
	buf_free(&c->footer);
	buf_free(&c->plain);
	scope_lock(&c->run->lock);
	c->run->counts->packs++;
	c->run->counts->chunks += c->chunks;
	c->run->counts->plain_bytes += c->plain_bytes;
	return rc;
}

/* One job a pack, in turns of a bounded number so that a petabyte's list of jobs is not all in memory. */
static int check_all(struct verify *run, const struct pack_name *names, size_t count)
{
	enum { TURN = 64 };
	scope_free struct check *checks = calloc(TURN, sizeof *checks);
	struct pool_group group;
	int rc = checks ? 0 : err_set(ENOMEM, "no memory to verify a store");

	pool_group_init(&group);
	for (size_t done = 0; !rc && done < count; done += TURN) {
		for (size_t i = 0; i < TURN && done + i < count; i++) {
			checks[i] = (struct check) { .run = run, .name = names[done + i] };
			pack_name_text(names[done + i], checks[i].text);
			pool_submit(run->store->pool, &group, check_pack, &checks[i]);
		}
		rc = pool_group_wait(&group);
	}
	pool_group_destroy(&group);
	return rc;
}

int store_verify(struct store *s, void (*damaged)(void *ctx, const char *sentence), void *ctx,
		 struct store_verify *counts)
{
	struct verify run = { .store = s, .damaged = damaged, .ctx = ctx, .counts = counts };
	scope_free struct pack_name *names = NULL;
	size_t count;
	int rc;

	*counts = (struct store_verify) { 0 };
	run.epoch = store_noted_epoch(s->io, s->path); /* before the list: packs only get older */
	rc = pack_list(s->packs_folder, &names, &count);
	if (rc)
		return rc;
	pthread_mutex_init(&run.lock, NULL);
	rc = check_all(&run, names, count);
	pthread_mutex_destroy(&run.lock);
	return rc;
}
