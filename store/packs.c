#include "store/packs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "store/err.h"
#include "store/scope.h"

enum { OPEN_MAX = 256, DIRECT_MIN = 64 << 10 /* small records like to be read ahead by the kernel */ };

struct fds { /* of one file; -1: not open */
	int cached;
	int direct; /* past the page cache; -1 also where the file system cannot */
};
static const struct fds no_fds = { -1, -1 };

struct pack {
	struct pack_name name;
	uint64_t seed;
	struct appender *writer; /* NULL when all is on the disk */
	struct fds fd;
	uint32_t users;		 /* readers of fd */
	bool gone;		 /* removed: fd is closed by its last reader */
};

struct packs {
	const struct io *io;
	char *folder;
	pthread_mutex_t lock;
	struct pack *all;
	uint32_t count, cap, gone;
	uint32_t open[OPEN_MAX]; /* indexes of packs with an fd */
	uint32_t opened, hand;	 /* the hand goes round to find one that may be closed */
	bool no_direct;		 /* the file system cannot; atomic */
};

int packs_new(struct packs **out, const struct io *io, const char *folder)
{
	struct packs *p = calloc(1, sizeof *p);

	if (!p || !(p->folder = strdup(folder))) {
		free(p);
		return err_set(ENOMEM, "no memory for the table of packs");
	}
	p->io = io;
	pthread_mutex_init(&p->lock, NULL);
	*out = p;
	return 0;
}

static void close_fds(struct packs *p, struct fds fd)
{
	if (fd.cached >= 0)
		p->io->close(p->io, fd.cached);
	if (fd.direct >= 0)
		p->io->close(p->io, fd.direct);
}

void packs_free(struct packs *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->count; i++) {
		close_fds(p, p->all[i].fd);
		appender_drop(p->all[i].writer);
	}
	free(p->all);
	free(p->folder);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int packs_add(struct packs *p, struct pack_name name, uint64_t seed, struct appender *writer, uint32_t *index)
{
	scope_lock(&p->lock);
	if (p->count == p->cap) {
		uint32_t cap = p->cap ? p->cap * 2 : 16;
		struct pack *all = cap > p->cap ? realloc(p->all, cap * sizeof *all) : NULL;

		if (!all)
			return err_set(ENOMEM, "no memory for a table of %u packs", p->count);
		p->all = all;
		p->cap = cap;
	}
	*index = p->count++;
	p->all[*index] = (struct pack) { name, seed, writer ? appender_ref(writer) : NULL, .fd = no_fds };
	return 0;
}

void packs_written(struct packs *p, uint32_t index)
{
	struct appender *writer;

	pthread_mutex_lock(&p->lock);
	writer = p->all[index].writer;
	p->all[index].writer = NULL;
	pthread_mutex_unlock(&p->lock);
	appender_drop(writer);
}

bool packs_is_written(struct packs *p, uint32_t index)
{
	scope_lock(&p->lock);
	return !p->all[index].writer;
}

/* Called with the lock held: takes the fds of a pack that is gone, and that nobody reads, out of the open ones. */
static struct fds take_fds(struct packs *p, uint32_t index)
{
	struct pack *pack = &p->all[index];
	struct fds fd = pack->fd;

	if (!pack->gone || pack->users || fd.cached < 0)
		return no_fds;
	for (uint32_t i = 0; i < p->opened; i++) {
		if (p->open[i] != index)
			continue;
		p->open[i] = p->open[--p->opened];
		break;
	}
	pack->fd = no_fds;
	return fd;
}

void packs_remove(struct packs *p, uint32_t index)
{
	struct fds fd;

	pthread_mutex_lock(&p->lock);
	p->gone += !p->all[index].gone;
	p->all[index].gone = true;
	fd = take_fds(p, index);
	pthread_mutex_unlock(&p->lock);
	close_fds(p, fd);
}

bool packs_is_there(struct packs *p, uint32_t index)
{
	scope_lock(&p->lock);
	return index < p->count && !p->all[index].gone;
}

void packs_correct_seed(struct packs *p, uint32_t index, uint64_t seed)
{
	scope_lock(&p->lock);
	p->all[index].seed = seed;
}

uint64_t packs_seed(struct packs *p, uint32_t index)
{
	scope_lock(&p->lock);
	return index < p->count ? p->all[index].seed : 0;
}

uint64_t packs_count(struct packs *p)
{
	scope_lock(&p->lock);
	return p->count - p->gone;
}

uint32_t packs_end(struct packs *p)
{
	scope_lock(&p->lock);
	return p->count;
}

void packs_name(struct packs *p, uint32_t index, char text[PACK_NAME_MAX])
{
	scope_lock(&p->lock);
	pack_name_text(p->all[index].name, text);
}

/* Called with the lock held. The fds of a pack that nobody reads, which are the caller's to close now; *place is its place in the
 * list of open ones, free now (OPEN_MAX: there is none). */
static struct fds take_idle(struct packs *p, uint32_t *place)
{
	for (uint32_t tried = 0; tried < p->opened; tried++) {
		struct pack *pack;
		struct fds fd;

		*place = p->hand % p->opened;
		p->hand = (*place + 1) % p->opened;
		pack = &p->all[p->open[*place]];
		fd = pack->fd;
		if (pack->users)
			continue;
		pack->fd = no_fds;
		return fd;
	}
	*place = OPEN_MAX;
	return no_fds;
}

/* Called with the lock held. The fds of another pack that may be closed to make room for one more, if need be; *place is
 * a free place in the list (OPEN_MAX when there is none: then the new fds are not kept). */
static struct fds make_room(struct packs *p, uint32_t *place)
{
	if (p->opened == OPEN_MAX)
		return take_idle(p, place);
	*place = p->opened++;
	return no_fds;
}

/* The process has no descriptor left: gives those of a pack that nobody reads back. False when there is none. */
static bool give_back(struct packs *p)
{
	struct fds fd;
	uint32_t place;

	pthread_mutex_lock(&p->lock);
	fd = take_idle(p, &place);
	if (place < OPEN_MAX)
		p->open[place] = p->open[--p->opened];
	pthread_mutex_unlock(&p->lock);
	close_fds(p, fd);
	return place < OPEN_MAX;
}

static int open_file(struct packs *p, const char *path, int flags)
{
	int fd = p->io->open(p->io, path, flags, 0);

	return (fd == -EMFILE || fd == -ENFILE) && give_back(p) ? p->io->open(p->io, path, flags, 0) : fd;
}

struct reading { /* one read of a pack's file */
	uint32_t index;
	struct pack_name name;
	struct fds fd;
	bool kept;     /* by the pack: it counts its users */
};

/* Opens the file of a pack, and keeps it open unless too many are in use. */
static int open_pack(struct packs *p, struct reading *r)
{
	struct fds spare = no_fds;
	char text[PACK_NAME_MAX];
	scope_free char *path = NULL;
	uint32_t place;

	pack_name_text(r->name, text);
	if (asprintf(&path, "%s/%s", p->folder, text) < 0) {
		path = NULL;
		return err_set(ENOMEM, "no memory to open pack %s", text);
	}
	r->fd.cached = open_file(p, path, O_RDONLY);
	if (r->fd.cached < 0)
		return err_set(r->fd.cached == -ENOENT ? ESTALE : -r->fd.cached, "cannot open %s: %s", path, strerror(-r->fd.cached));
	if (!__atomic_load_n(&p->no_direct, __ATOMIC_RELAXED))
		r->fd.direct = p->io->open(p->io, path, O_RDONLY | O_DIRECT, 0);
	pthread_mutex_lock(&p->lock);
	r->kept = p->all[r->index].fd.cached < 0 && !p->all[r->index].gone;
	if (r->kept) {
		spare = make_room(p, &place);
		r->kept = place < OPEN_MAX;
	}
	if (r->kept) {
		p->open[place] = r->index;
		p->all[r->index].fd = r->fd;
		p->all[r->index].users++;
	}
	pthread_mutex_unlock(&p->lock);
	close_fds(p, spare);
	return 0;
}

static int reading_begin(struct packs *p, uint32_t index, struct reading *r)
{
	struct pack *pack;
	bool gone;

	pthread_mutex_lock(&p->lock);
	pack = &p->all[index];
	gone = pack->gone;
	*r = (struct reading) { index, pack->name, pack->fd, pack->fd.cached >= 0 && !gone };
	pack->users += r->kept;
	pthread_mutex_unlock(&p->lock);
	if (gone)
		return err_set(ESTALE, "the pack is no longer there");
	return r->kept ? 0 : open_pack(p, r);
}

static void reading_end(struct packs *p, struct reading *r)
{
	struct fds fd = r->fd;

	if (r->kept) {
		scope_lock(&p->lock);
		p->all[r->index].users--;
		fd = take_fds(p, r->index);
	}
	close_fds(p, fd);
}

/* True when the bytes came. Else nothing is said: they are to be read through the page cache, which has the sentence. Writes up to
 * PACKS_ALIGN bytes before and behind, too. */
static bool read_direct(struct packs *p, const struct reading *r, uint64_t off, uint8_t *to, size_t len)
{
	size_t skip = off % PACKS_ALIGN, whole = (skip + len + PACKS_ALIGN - 1) / PACKS_ALIGN * PACKS_ALIGN;
	int64_t n;

	if (r->fd.direct < 0 || (uintptr_t)(to - skip) % PACKS_ALIGN || __atomic_load_n(&p->no_direct, __ATOMIC_RELAXED))
		return false;
	n = p->io->pread(p->io, r->fd.direct, to - skip, whole, off - skip);
	if (n == -EINVAL)
		__atomic_store_n(&p->no_direct, true, __ATOMIC_RELAXED);
	return n >= (int64_t)(skip + len); /* the file may end before `whole` */
}

static int read_file(struct packs *p, uint32_t index, uint64_t off, void *to, size_t len, bool direct)
{
	struct reading r;
	char text[PACK_NAME_MAX];
	int rc = reading_begin(p, index, &r);

	if (rc)
		return rc;
	if (!direct || !read_direct(p, &r, off, to, len))
		rc = io_read_all(p->io, r.fd.cached, to, len, off);
	reading_end(p, &r);
	if (!rc)
		return 0;
	pack_name_text(r.name, text);
	return err_set(-rc, "pack %s: reading %zu bytes at %llu: %s", text, len, (unsigned long long)off,
		       rc == -EBADMSG ? "the file ends before" : strerror(-rc));
}

/* The bytes when the pack's appender has them in memory. *written: there is no appender any more. */
static bool read_unwritten(struct packs *p, uint32_t index, uint64_t off, void *to, size_t len, bool *written, uint64_t *seed)
{
	struct appender *writer = NULL;
	bool there;

	pthread_mutex_lock(&p->lock);
	if (p->all[index].writer)
		writer = appender_ref(p->all[index].writer);
	*seed = p->all[index].seed;
	pthread_mutex_unlock(&p->lock);
	*written = !writer;
	there = writer && appender_peek(writer, off, to, len);
	appender_drop(writer);
	return there;
}

int packs_read(struct packs *p, uint32_t index, uint64_t off, void *to, size_t len, uint64_t *seed)
{
	bool written;

	return read_unwritten(p, index, off, to, len, &written, seed) ? 0 : read_file(p, index, off, to, len, false);
}

size_t packs_room(size_t len)
{
	return len + 2 * PACKS_ALIGN;
}

int packs_fetch(struct packs *p, uint32_t index, uint64_t off, void *room, size_t len, const uint8_t **bytes,
		uint64_t *seed)
{
	uint8_t *to = (uint8_t *)room + off % PACKS_ALIGN;
	bool written;

	*bytes = to;
	if (read_unwritten(p, index, off, to, len, &written, seed))
		return 0;
	return read_file(p, index, off, to, len, written && len >= DIRECT_MIN);
}
