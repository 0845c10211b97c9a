#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "store/err.h"
#include "store/recover.h"
#include "store/scope.h"
#include "store/verify_internal.h"

enum { STEP_BYTES = 8 << 20 }; /* after so many the kernel may drop what was read */
enum { WALKS_MAX = 8 }; /* packs at a time: each takes some 10 MiB */

struct check { /* of one pack */
	struct verify *run;
	struct batch *batch; /* of chunks for other workers */
	struct pack_name name;
	char text[PACK_NAME_MAX];
	int fd;
	uint64_t size, seed;
	bool sealed;	  /* there is a whole trailer ... */
	bool listed;	  /* ... and a whole footer */
	bool footer_seen; /* the last record of the walk was a footer */
	struct buf footer;
	uint64_t records, footer_off, next; /* entry of the footer that the walk should meet next */
	uint64_t told;			    /* the kernel was told about what stands before */
};

#define complain(c, ...) verify_complain((c)->run, (c)->text, __VA_ARGS__)

/* Was power cut while the last writer wrote this? The next one notes it. */
static bool is_torn(const struct check *c, uint64_t from, uint64_t to)
{
	return !c->listed && c->name.epoch >= c->run->epoch &&
	       recover_torn(c->run->store->io, c->fd, from, to, c->size) == 1;
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

static void tell_progress(struct verify *run, uint64_t more)
{
	struct store *s = run->store;

	scope_lock(&run->lock);
	run->done += more;
	if (s->verify_progress)
		s->verify_progress(s->verify_ctx, run->done, run->all);
}

/* The walk has come to off: what was read need not stay in memory. The kernel reads ahead by itself, and cheaper (in larger
 * pages) than when it is told to. */
static void move_on(struct check *c, uint64_t off)
{
	struct store *s = c->run->store;

	if (off < c->told + STEP_BYTES)
		return;
	if (s->io == &io_system && c->told) /* no length would mean all */
		posix_fadvise(c->fd, 0, (off_t)c->told, POSIX_FADV_DONTNEED);
	tell_progress(c->run, off - c->told);
	c->told = off;
}

static int check_record(void *ctx, const struct pack_head *head, uint64_t off, const uint8_t *payload)
{
	struct check *c = ctx;

	move_on(c, off);
	c->footer_seen = head->kind == PACK_FOOTER;
	if (c->footer_seen)
		return 0;
	if (c->listed)
		check_listed(c, head, off);
	if (head->kind == PACK_CHUNK && head->version == 1)
		return verify_chunk(c->run, &c->batch, c->text, head, off, payload);
	if (head->kind < PACK_SKIP)
		complain(c, "the record at %llu is of kind %u, version %u, which this version of tomofs does not know",
			 (unsigned long long)off, head->kind, head->version);
	return 0;
}

/* Does the footer say that there is nothing in these bytes? */
static bool is_listed_gap(struct check *c, uint64_t from, uint64_t to)
{
	const uint8_t *entries = c->footer.data + PACK_HEAD_BYTES;

	for (uint64_t i = c->next; c->listed && from < to && i < c->records; i++) {
		struct pack_entry e = pack_entry_get(entries, i);

		if (e.off > from || e.head.kind != PACK_GAP)
			break;
		from = e.off + PACK_HEAD_BYTES + e.head.stored_len;
	}
	return from == to;
}

static void check_gap(void *ctx, uint64_t from, uint64_t to, const struct key *key)
{
	struct check *c = ctx;
	char text[KEY_TEXT_MAX];

	if (is_listed_gap(c, from, to) || is_torn(c, from, to))
		return;
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
		if (rc == -EBADMSG && is_torn(c, 0, sizeof header))
			rc = 0;
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
	c->listed = rc == 1;
	if (rc == -EBADMSG && is_torn(c, c->footer_off, c->size - PACK_TRAILER_BYTES))
		rc = 0;
	c->sealed = rc == 1 || rc == -EBADMSG;
	if (rc == -EBADMSG)
		complain(c, "the footer is damaged");
	return walk_through(c, fd);
}

/* Without memory for the note it is looked at once only. */
static void note_growing(struct check *c)
{
	scope_lock(&c->run->lock);
	buf_put(&c->run->growing, &c->name, sizeof c->name);
	c->run->growing.failed = false;
}

static int check_pack(struct check *c)
{
	struct store *s = c->run->store;
	scope_free char *path = NULL;
	int rc;

	if (asprintf(&path, "%s/%s", s->packs_folder, c->text) < 0) {
		path = NULL;
		return err_set(ENOMEM, "no memory to verify a pack");
	}
	c->fd = s->io->open(s->io, path, O_RDONLY, 0);
	if (c->fd == -ENOENT) { /* removed since it was listed: it was empty, or its chunks are in a newer one */
		scope_lock(&c->run->lock);
		c->run->vanished = true;
		return 0;
	}
	if (c->fd < 0) {
		complain(c, "cannot be opened: %s", strerror(-c->fd));
		return 0;
	}
	if (s->io == &io_system)
		posix_fadvise(c->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	rc = check_open(c, c->fd);
	if (rc)
		verify_chunks_end(c->run, &c->batch);
	else
		rc = verify_chunks_end(c->run, &c->batch);
	if (s->io == &io_system)
		posix_fadvise(c->fd, 0, 0, POSIX_FADV_DONTNEED);
	s->io->close(s->io, c->fd);
	buf_free(&c->footer);
	if (!c->sealed)
		note_growing(c);
	if (!c->listed) /* what was excused as an interrupted write may be named all the same */
		suspect_add(c->run, c->text);
	tell_progress(c->run, c->size - c->told);
	scope_lock(&c->run->lock);
	c->run->counts->packs++;
	return rc;
}

static bool next_pack(struct verify *run, struct pack_name *name)
{
	scope_lock(&run->lock);
	if (run->next_name == run->name_count)
		return false;
	*name = run->names[run->next_name++];
	return true;
}

/* A job: one pack after another, as long as there are any. */
static int check_packs(void *arg)
{
	struct verify *run = arg;
	struct pack_name name;
	int rc = 0;

	while (!rc && next_pack(run, &name)) {
		struct check c = { .run = run, .name = name };

		pack_name_text(name, c.text);
		rc = check_pack(&c);
	}
	return rc;
}

static int check_all(struct verify *run)
{
	unsigned walks = pool_threads(run->store->pool);
	int rc = verify_batches(run);

	if (rc)
		return rc;
	pool_group_init(&run->group);
	for (unsigned i = 0; i < walks && i < WALKS_MAX && i < run->name_count; i++)
		pool_submit(run->store->pool, &run->group, check_packs, run);
	rc = pool_group_wait(&run->group);
	pool_group_destroy(&run->group);
	verify_batches_free(run);
	return rc;
}

/* The bytes of all packs, for those who watch. */
static uint64_t sum_sizes(const struct store *s, const struct pack_name *names, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		char text[PACK_NAME_MAX], path[PATH_MAX];
		struct stat st;

		pack_name_text(names[i], text);
		if (snprintf(path, sizeof path, "%s/%s", s->packs_folder, text) < (int)sizeof path && !stat(path, &st))
			sum += (uint64_t)st.st_size;
	}
	return sum;
}

void store_watch_verify(struct store *s, void (*progress)(void *ctx, uint64_t done, uint64_t all), void *ctx)
{
	s->verify_progress = progress;
	s->verify_ctx = ctx;
}

static bool among(const struct pack_name *names, size_t count, struct pack_name name)
{
	for (size_t i = 0; i < count; i++)
		if (pack_name_compare(names[i], name) == 0)
			return true;
	return false;
}

static int by_name(const void *a, const void *b)
{
	return pack_name_compare(*(const struct pack_name *)a, *(const struct pack_name *)b);
}

/* Packs were removed since they were listed: their chunks are in others that were not there yet, by whatever name, or in those
 * that grew. Lists these. *listed: the last list of all packs, and then this one. */
static int list_again(struct verify *run, struct pack_name **listed, size_t *listed_count, struct pack_name **names)
{
	scope_buf struct buf grew = run->growing;
	scope_free struct pack_name *before = *listed;
	size_t before_count = *listed_count;
	struct pack_name *fresh;
	int rc;

	run->growing = (struct buf) { 0 };
	run->vanished = false;
	*listed = NULL;
	rc = pack_list(run->store->packs_folder, listed, listed_count);
	if (rc)
		return rc;
	fresh = malloc((*listed_count + 1) * sizeof *fresh);
	if (!fresh)
		return err_set(ENOMEM, "no memory to list packs");
	free(*names);
	run->names = *names = fresh;
	run->name_count = run->next_name = 0;
	for (size_t i = 0; i < *listed_count; i++) {
		const struct pack_name *name = &(*listed)[i];

		if (!bsearch(name, before, before_count, sizeof *before, by_name) ||
		    among((const void *)grew.data, grew.len / sizeof *name, *name))
			fresh[run->name_count++] = *name;
	}
	return 0;
}

int store_verify(struct store *s, void (*damaged)(void *ctx, const char *sentence), void *ctx,
		 struct store_verify *counts)
{
	struct verify run = { .store = s, .damaged = damaged, .ctx = ctx, .counts = counts };
	scope_free struct pack_name *listed = NULL, *again = NULL;
	size_t listed_count = 0;
	int rc;

	*counts = (struct store_verify) { 0 };
	buf_clear(&s->suspects);
	run.epoch = store_noted_epoch(s->io, s->path); /* before the list: packs only get older */
	rc = pack_list(s->packs_folder, &listed, &listed_count);
	if (rc)
		return rc;
	run.names = listed;
	run.name_count = listed_count;
	if (s->verify_progress)
		run.all = sum_sizes(s, listed, listed_count);
	pthread_mutex_init(&run.lock, NULL);
	rc = check_all(&run);
	while (!rc && run.vanished) {
		rc = list_again(&run, &listed, &listed_count, &again);
		if (!rc)
			rc = check_all(&run);
	}
	if (!rc)
		rc = directory_check(s->directory, verify_tell, &run);
	pthread_mutex_destroy(&run.lock);
	buf_free(&run.growing);
	return rc;
}
