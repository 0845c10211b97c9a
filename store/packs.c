#include "store/packs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "store/err.h"
#include "store/scope.h"

enum { OPEN_MAX = 256 };

struct pack {
	struct pack_name name;
	uint64_t seed;
	struct appender *writer; /* NULL when all is on the disk */
	int fd;			 /* -1: not open */
	uint32_t users;		 /* readers of fd */
};

struct packs {
	const struct io *io;
	char *folder;
	pthread_mutex_t lock;
	struct pack *all;
	uint32_t count, cap;
	uint32_t open[OPEN_MAX]; /* indexes of packs with an fd */
	uint32_t opened, hand;	 /* the hand goes round to find one that may be closed */
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

void packs_free(struct packs *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->count; i++) {
		if (p->all[i].fd >= 0)
			p->io->close(p->io, p->all[i].fd);
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
	p->all[*index] = (struct pack) { name, seed, writer ? appender_ref(writer) : NULL, .fd = -1 };
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

uint64_t packs_count(struct packs *p)
{
	scope_lock(&p->lock);
	return p->count;
}

void packs_name(struct packs *p, uint32_t index, char text[PACK_NAME_MAX])
{
	scope_lock(&p->lock);
	pack_name_text(p->all[index].name, text);
}

/* Called with the lock held. The fd of another pack that may be closed to make room for one more, or -1; *place is a
 * free place in the list (OPEN_MAX when there is none: then the new fd is not kept). */
static int make_room(struct packs *p, uint32_t *place)
{
	if (p->opened < OPEN_MAX) {
		*place = p->opened++;
		return -1;
	}
	for (uint32_t tried = 0; tried < OPEN_MAX; tried++, p->hand = (p->hand + 1) % OPEN_MAX) {
		struct pack *pack = &p->all[p->open[p->hand]];
		int fd = pack->fd;

		if (pack->users)
			continue;
		*place = p->hand;
		p->hand = (p->hand + 1) % OPEN_MAX;
		pack->fd = -1;
		return fd;
	}
	*place = OPEN_MAX;
	return -1;
}

/* Opens the file of a pack, and keeps it open unless too many are in use. *kept: packs_release() it, else close it. */
static int open_pack(struct packs *p, uint32_t index, struct pack_name name, bool *kept)
{
	char text[PACK_NAME_MAX];
	scope_free char *path = NULL;
	int fd, spare = -1;
	uint32_t place;

	pack_name_text(name, text);
	if (asprintf(&path, "%s/%s", p->folder, text) < 0) {
		path = NULL;
		return err_set(ENOMEM, "no memory to open pack %s", text);
	}
	fd = p->io->open(p->io, path, O_RDONLY, 0);
	if (fd < 0)
		return err_set(-fd, "cannot open %s: %s", path, strerror(-fd));
	pthread_mutex_lock(&p->lock);
	*kept = p->all[index].fd < 0;
	if (*kept) {
		spare = make_room(p, &place);
		*kept = place < OPEN_MAX;
	}
	if (*kept) {
		p->open[place] = index;
		p->all[index].fd = fd;
		p->all[index].users++;
	}
	pthread_mutex_unlock(&p->lock);
	if (spare >= 0)
		p->io->close(p->io, spare);
	return fd;
}

struct reading { /* one read of a pack's file */
	uint32_t index;
	struct pack_name name;
	int fd; /* -1: not open yet */
};

static int read_file(struct packs *p, struct reading *r, uint64_t off, void *to, size_t len)
{
	bool kept = true;
	char text[PACK_NAME_MAX];
	int rc;

	if (r->fd < 0)
		r->fd = open_pack(p, r->index, r->name, &kept);
	if (r->fd < 0)
		return r->fd;
	rc = io_read_all(p->io, r->fd, to, len, off);
	if (kept) {
		scope_lock(&p->lock);
		p->all[r->index].users--;
	} else {
		p->io->close(p->io, r->fd);
	}
	if (!rc)
		return 0;
	pack_name_text(r->name, text);
	return err_set(-rc, "pack %s: reading %zu bytes at %llu: %s", text, len, (unsigned long long)off,
		       rc == -EBADMSG ? "the file ends before" : strerror(-rc));
}

/* The bytes when the pack's appender has them in memory. */
static bool read_unwritten(struct packs *p, uint32_t index, uint64_t off, void *to, size_t len)
{
	struct appender *writer = NULL;
	bool there;

	pthread_mutex_lock(&p->lock);
	if (p->all[index].writer)
		writer = appender_ref(p->all[index].writer);
	pthread_mutex_unlock(&p->lock);
	there = writer && appender_peek(writer, off, to, len);
	appender_drop(writer);
	return there;
}

int packs_read(struct packs *p, uint32_t index, uint64_t off, void *to, size_t len, uint64_t *seed)
{
	bool there = read_unwritten(p, index, off, to, len);
	struct reading r = { .index = index, .fd = -1 };
	struct pack *pack;

	pthread_mutex_lock(&p->lock);
	pack = &p->all[index];
	*seed = pack->seed;
	r.name = pack->name;
	if (!there) {
		r.fd = pack->fd;
		pack->users += r.fd >= 0;
	}
	pthread_mutex_unlock(&p->lock);
	return there ? 0 : read_file(p, &r, off, to, len);
}
