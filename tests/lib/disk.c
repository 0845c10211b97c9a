#include "tests/lib/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/xxh3.h"
#include "tests/lib/random.h"

enum { FDS = 4096, SECTOR = 512, NOWHERE = UINT32_MAX };

static void must(bool ok, const char *what)
{
	if (!ok) {
		perror(what);
		abort();
	}
}

static void *must_alloc(void *old, size_t len)
{
	void *p = realloc(old, len ? len : 1);

	must(p != NULL, "disk: memory");
	return p;
}

/* Room for one more of what a list of count has; it doubles. */
#define GROW(list, count)                                                                                              \
	do {                                                                                                           \
		if (!((count) & ((count)-1)))                                                                          \
			(list) = must_alloc((list), ((count) ? (count)*2 : 1) * sizeof *(list));                       \
	} while (0)

/* ---- names: which file is where ---- */

struct entry {
	uint32_t dir, ino;
	const char *name;
};

struct names {
	struct entry *list;
	size_t count;
};

static struct entry *names_find(const struct names *n, uint32_t dir, const char *name)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->list[i].dir == dir && strcmp(n->list[i].name, name) == 0)
			return &n->list[i];
	return NULL;
}

static void names_set(struct names *n, uint32_t dir, const char *name, uint32_t ino)
{
	struct entry *e = names_find(n, dir, name);

	if (e) {
		e->ino = ino;
		return;
	}
	GROW(n->list, n->count);
	n->list[n->count++] = (struct entry) { dir, ino, name };
}

static void names_clear(struct names *n, uint32_t dir, const char *name)
{
	struct entry *e = names_find(n, dir, name);

	if (e)
		*e = n->list[--n->count];
}

static void names_apply(struct names *n, const struct disk_op *op)
{
	struct entry *e;

	switch (op->kind) {
	case DISK_LINK:
		names_set(n, op->dir, op->name, op->ino);
		break;
	case DISK_UNLINK:
		names_clear(n, op->dir, op->name);
		break;
	case DISK_RENAME:
		e = names_find(n, op->dir, op->name); /* what it was made of may be lost */
		if (e && e->ino == op->ino)
			names_clear(n, op->dir, op->name);
		names_set(n, op->dir2, op->name2, op->ino);
		break;
	default:
		break;
	}
}

static void names_copy(struct names *to, const struct names *from)
{
	size_t room = 1;

	while (room < from->count)
		room *= 2;
	to->count = from->count;
	to->list = must_alloc(NULL, room * sizeof *to->list);
	memcpy(to->list, from->list, from->count * sizeof *to->list);
}

/* Where a path below the root leads: its folder and last name; its number or NOWHERE. */
static uint32_t names_walk(const struct names *n, const char *path, uint32_t *dir, char last[NAME_MAX + 1])
{
	uint32_t at = 0;

	*dir = 0;
	last[0] = 0;
	while (*path) {
		size_t len = strcspn(path, "/");
		struct entry *e;

		if (len) {
			must(len <= NAME_MAX && at != NOWHERE, "disk: path");
			memcpy(last, path, len);
			last[len] = 0;
			*dir = at;
			e = names_find(n, at, last);
			at = e ? e->ino : NOWHERE;
		}
		path += len + (path[len] == '/');
	}
	return at;
}

/* The path of a file, for people. */
static void names_path(const struct names *n, uint32_t ino, char *to, size_t room)
{
	char rest[PATH_MAX] = "", more[PATH_MAX];

	for (int deep = 0; ino && deep < 16; deep++) {
		const struct entry *e = NULL;

		for (size_t i = 0; i < n->count && !e; i++)
			if (n->list[i].ino == ino)
				e = &n->list[i];
		if (!e) {
			snprintf(to, room, "(removed %" PRIu32 ")", ino);
			return;
		}
		snprintf(more, sizeof more, "%.1500s%s%.1500s", e->name, *rest ? "/" : "", rest);
		strcpy(rest, more);
		ino = e->dir;
	}
	snprintf(to, room, "%s", rest);
}

/* ---- bytes ---- */

struct bytes {
	bool is_dir;
	uint8_t *at;
	size_t len, cap;
};

static void bytes_resize(struct bytes *b, size_t len)
{
	if (len > b->cap) {
		b->cap = len + len / 2;
		b->at = must_alloc(b->at, b->cap);
	}
	if (len > b->len)
		memset(b->at + b->len, 0, len - b->len);
	b->len = len;
}

static void bytes_write(struct bytes *b, const uint8_t *from, size_t len, uint64_t off)
{
	if (off + len > b->len)
		bytes_resize(b, off + len);
	memcpy(b->at + off, from, len);
}

static void bytes_apply(struct bytes *b, const struct disk_op *op)
{
	if (op->kind == DISK_WRITE)
		bytes_write(b, op->bytes, op->len, op->off);
	else
		bytes_resize(b, op->off);
}

/* ---- notes ---- */

struct disk_trace {
	char root[PATH_MAX];
	size_t root_len;
	struct bytes *base; /* what was there at the beginning, by number */
	uint32_t base_count;
	struct names base_names;
	struct disk_op *ops;
	size_t count;
	uint32_t files;	    /* numbers given out */
	struct names names; /* as they are now */
	char **strings;
	size_t string_count;
};

static struct {
	pthread_mutex_t lock;
	struct disk_trace *trace;
	uint32_t fds[FDS]; /* number of the file + 1; atomic */
	bool fd_synced[FDS];
	unsigned fail_kinds;
	uint64_t fail_in;
	int fail_code;
	bool fail_on, failed;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const char *keep_string(struct disk_trace *t, const char *s)
{
	char *copy = strdup(s);

	must(copy != NULL, "disk: memory");
	GROW(t->strings, t->string_count);
	t->strings[t->string_count++] = copy;
	return copy;
}

static void read_file(struct bytes *b, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	must(fd >= 0 && fstat(fd, &st) == 0, path);
	bytes_resize(b, (size_t)st.st_size);
	must(pread(fd, b->at, b->len, 0) == (ssize_t)b->len, path);
	close(fd);
}

static void load_folder(struct disk_trace *t, const char *path, uint32_t dir)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char below[PATH_MAX];

	must(d != NULL, path);
	while ((e = readdir(d))) {
		uint32_t ino = t->files;
		bool is_dir = e->d_type == DT_DIR;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		must(snprintf(below, sizeof below, "%s/%s", path, e->d_name) < (int)sizeof below, "disk: path");
		t->files++;
		t->base = must_alloc(t->base, t->files * sizeof *t->base);
		t->base[ino] = (struct bytes) { .is_dir = is_dir };
		names_set(&t->base_names, dir, keep_string(t, e->d_name), ino);
		if (is_dir)
			load_folder(t, below, ino);
		else
			read_file(&t->base[ino], below);
	}
	closedir(d);
}

void disk_begin(const char *root)
{
	struct disk_trace *t = must_alloc(NULL, sizeof *t);

	*t = (struct disk_trace) { .files = 1 };
	t->root_len = (size_t)snprintf(t->root, sizeof t->root, "%s", root);
	t->base = must_alloc(NULL, sizeof *t->base);
	t->base[0] = (struct bytes) { .is_dir = true };
	load_folder(t, root, 0);
	t->base_count = t->files;
	names_copy(&t->names, &t->base_names);
	disk_lock();
	memset(disk.fds, 0, sizeof disk.fds);
	disk.fail_kinds = 0;
	__atomic_store_n(&disk.trace, t, __ATOMIC_RELEASE);
	disk_unlock();
}

struct disk_trace *disk_end(void)
{
	struct disk_trace *t;

	disk_lock();
	t = disk.trace;
	disk.trace = NULL;
	memset(disk.fds, 0, sizeof disk.fds);
	disk.fail_kinds = 0;
	disk_unlock();
	return t;
}

static struct disk_op *add_op(struct disk_trace *t, enum disk_kind kind)
{
	GROW(t->ops, t->count);
	t->ops[t->count] = (struct disk_op) { .kind = kind };
	return &t->ops[t->count++];
}

void disk_mark(uint64_t number)
{
	disk_lock();
	if (disk.trace)
		add_op(disk.trace, DISK_MARK)->off = number;
	disk_unlock();
}

void disk_trace_free(struct disk_trace *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->base_count; i++)
		free(t->base[i].at);
	for (size_t i = 0; i < t->count; i++)
		free(t->ops[i].bytes);
	for (size_t i = 0; i < t->string_count; i++)
		free(t->strings[i]);
	free(t->strings);
	free(t->base);
	free(t->base_names.list);
	free(t->names.list);
	free(t->ops);
	free(t);
}

size_t disk_trace_count(const struct disk_trace *t)
{
	return t->count;
}

const struct disk_op *disk_trace_op(const struct disk_trace *t, size_t i)
{
	return &t->ops[i];
}

/* ---- called by disk_calls.c ---- */

void disk_lock(void)
{
	pthread_mutex_lock(&disk.lock);
}

void disk_unlock(void)
{
	pthread_mutex_unlock(&disk.lock);
}

bool disk_is_below(const char *path)
{
	const struct disk_trace *t = __atomic_load_n(&disk.trace, __ATOMIC_ACQUIRE);

	return t && strncmp(path, t->root, t->root_len) == 0 && (path[t->root_len] == '/' || !path[t->root_len]);
}

bool disk_fd_is_noted(int fd)
{
	return fd >= 0 && fd < FDS && __atomic_load_n(&disk.fds[fd], __ATOMIC_RELAXED);
}

int disk_enter(enum disk_kind kind, bool *half)
{
	*half = false;
	if (!(disk.fail_kinds & kind) || !disk.fail_in)
		return 0;
	if (disk.fail_in > 1) {
		disk.fail_in--;
		return 0;
	}
	disk.fail_in = disk.fail_on;
	disk.failed = true;
	*half = !disk.fail_code;
	return disk.fail_code;
}

void disk_fail(unsigned kinds, uint64_t nth, int code, bool on)
{
	disk_lock();
	disk.fail_kinds = kinds;
	disk.fail_in = nth;
	disk.fail_code = code;
	disk.fail_on = on;
	disk.failed = false;
	disk_unlock();
}

bool disk_failed(void)
{
	bool failed;

	disk_lock();
	failed = disk.failed;
	disk_unlock();
	return failed;
}

static uint32_t walk(const char *path, uint32_t *dir, char last[NAME_MAX + 1])
{
	return names_walk(&disk.trace->names, path + disk.trace->root_len, dir, last);
}

static void note_link(uint32_t dir, const char *name, uint32_t ino, bool is_dir)
{
	struct disk_op *op = add_op(disk.trace, DISK_LINK);

	op->dir = dir;
	op->name = keep_string(disk.trace, name);
	op->ino = ino;
	op->is_dir = is_dir;
	names_apply(&disk.trace->names, op);
}

void disk_note_open(int fd, const char *path, int flags, bool existed)
{
	char name[NAME_MAX + 1];
	uint32_t dir, ino = walk(path, &dir, name);

	if (!existed) {
		ino = disk.trace->files++;
		note_link(dir, name, ino, false);
	}
	must(ino != NOWHERE && fd < FDS, path);
	disk.fds[fd] = ino + 1;
	disk.fd_synced[fd] = flags & O_DSYNC;
	if (existed && (flags & O_TRUNC))
		disk_note_truncate(fd, 0);
}

void disk_note_close(int fd)
{
	disk.fds[fd] = 0;
}

void disk_note_write(int fd, const void *bytes, size_t len, uint64_t off)
{
	struct disk_op *op = add_op(disk.trace, DISK_WRITE);

	op->ino = disk.fds[fd] - 1;
	op->off = off;
	op->len = len;
	op->bytes = must_alloc(NULL, len);
	op->synced = disk.fd_synced[fd];
	memcpy(op->bytes, bytes, len);
}

void disk_note_truncate(int fd, uint64_t size)
{
	struct disk_op *op = add_op(disk.trace, DISK_TRUNCATE);

	op->ino = disk.fds[fd] - 1;
	op->off = size;
}

void disk_note_sync(int fd, bool good)
{
	uint32_t ino = disk.fds[fd] - 1;
	struct stat st;
	bool is_dir = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
	struct disk_op *op;

	if (is_dir && !good)
		return;
	op = add_op(disk.trace, is_dir ? DISK_SYNC_DIR : good ? DISK_SYNC : DISK_LOST);
	op->ino = op->dir = ino;
}

void disk_note_mkdir(const char *path)
{
	char name[NAME_MAX + 1];
	uint32_t dir;

	walk(path, &dir, name);
	note_link(dir, name, disk.trace->files++, true);
}

void disk_note_unlink(const char *path)
{
	struct disk_op *op = add_op(disk.trace, DISK_UNLINK);
	char name[NAME_MAX + 1];

	op->ino = walk(path, &op->dir, name);
	op->name = keep_string(disk.trace, name);
	names_apply(&disk.trace->names, op);
}

void disk_note_rename(const char *from, const char *to)
{
	struct disk_op *op = add_op(disk.trace, DISK_RENAME);
	char name[NAME_MAX + 1];

	walk(to, &op->dir2, name);
	op->name2 = keep_string(disk.trace, name);
	op->ino = walk(from, &op->dir, name);
	op->name = keep_string(disk.trace, name);
	names_apply(&disk.trace->names, op);
}

void disk_op_print(const struct disk_trace *t, size_t i, FILE *out)
{
	const struct disk_op *op = &t->ops[i];
	struct names now;
	char path[PATH_MAX];

	names_copy(&now, &t->base_names);
	for (size_t k = 0; k <= i; k++)
		if (k < i || t->ops[k].kind == DISK_LINK)
			names_apply(&now, &t->ops[k]);
	names_path(&now, op->kind == DISK_SYNC_DIR ? op->dir : op->ino, path, sizeof path);
	switch (op->kind) {
	case DISK_WRITE:
		fprintf(out, "%s%s %" PRIu64 "+%zu\n", op->synced ? "write, synced " : "write ", path, op->off, op->len);
		break;
	case DISK_TRUNCATE:
		fprintf(out, "truncate %s %" PRIu64 "\n", path, op->off);
		break;
	case DISK_RENAME:
		fprintf(out, "rename %s to %s\n", path, op->name2);
		break;
	case DISK_MARK:
		fprintf(out, "step %" PRIu64 "\n", op->off);
		break;
	default:
		fprintf(out, "%s %s\n",
			op->kind == DISK_SYNC	    ? "sync"
			: op->kind == DISK_LOST	    ? "failing sync"
			: op->kind == DISK_LINK	    ? "create"
			: op->kind == DISK_UNLINK   ? "unlink"
			: op->kind == DISK_SYNC_DIR ? "sync folder"
						    : "?",
			path);
	}
	free(now.list);
}

/* ---- what is durable ---- */

struct pending {
	size_t op;
	bool doomed; /* its sync has failed */
};

struct disk_image {
	const struct disk_trace *trace;
	size_t at;
	struct bytes *files; /* durable */
	struct names names;
	struct pending *pending;
	size_t pending_count;
	unsigned lie_kinds;
	const char *lie_below;
	struct names seen; /* names as the program sees them, for lies */
};

static bool is_name_op(enum disk_kind kind)
{
	return kind & (DISK_LINK | DISK_UNLINK | DISK_RENAME);
}

struct disk_image *disk_image_new(const struct disk_trace *t)
{
	struct disk_image *im = must_alloc(NULL, sizeof *im);

	*im = (struct disk_image) { .trace = t };
	im->files = must_alloc(NULL, t->files * sizeof *im->files);
	memset(im->files, 0, t->files * sizeof *im->files);
	for (uint32_t i = 0; i < t->base_count; i++) {
		im->files[i].is_dir = t->base[i].is_dir;
		if (t->base[i].len)
			bytes_write(&im->files[i], t->base[i].at, t->base[i].len, 0);
	}
	names_copy(&im->names, &t->base_names);
	names_copy(&im->seen, &t->base_names);
	return im;
}

void disk_image_free(struct disk_image *im)
{
	if (!im)
		return;
	for (uint32_t i = 0; i < im->trace->files; i++)
		free(im->files[i].at);
	free(im->files);
	free(im->names.list);
	free(im->seen.list);
	free(im->pending);
	free(im);
}

void disk_image_lie(struct disk_image *im, unsigned kinds, const char *below)
{
	im->lie_kinds = kinds;
	im->lie_below = below;
}

static bool is_lie(const struct disk_image *im, const struct disk_op *op)
{
	char path[PATH_MAX];
	size_t len = im->lie_below ? strlen(im->lie_below) : 0;

	if (!(im->lie_kinds & op->kind))
		return false;
	names_path(&im->seen, op->kind == DISK_SYNC_DIR ? op->dir : op->ino, path, sizeof path);
	return strncmp(path, im->lie_below, len) == 0;
}

static void add_pending(struct disk_image *im, size_t op)
{
	GROW(im->pending, im->pending_count);
	im->pending[im->pending_count++] = (struct pending) { .op = op };
}

/* Makes durable what waits for this sync. */
static void settle(struct disk_image *im, const struct disk_op *sync)
{
	size_t kept = 0;

	for (size_t i = 0; i < im->pending_count; i++) {
		struct pending *p = &im->pending[i];
		const struct disk_op *op = &im->trace->ops[p->op];
		bool mine = sync->kind == DISK_SYNC_DIR
				? is_name_op(op->kind) && (op->dir == sync->dir || (op->kind == DISK_RENAME && op->dir2 == sync->dir))
				: !is_name_op(op->kind) && op->ino == sync->ino;

		if (!mine || p->doomed)
			im->pending[kept++] = *p;
		else if (is_name_op(op->kind))
			names_apply(&im->names, op);
		else
			bytes_apply(&im->files[op->ino], op);
	}
	im->pending_count = kept;
}

/* Every other time it got there all the same. */
static void doom(struct disk_image *im, uint32_t ino)
{
	size_t kept = 0;

	for (size_t i = 0; i < im->pending_count; i++) {
		struct pending *p = &im->pending[i];
		const struct disk_op *op = &im->trace->ops[p->op];
		bool mine = !is_name_op(op->kind) && op->ino == ino;

		if (mine && im->at % 2)
			continue;
		p->doomed |= mine;
		im->pending[kept++] = *p;
	}
	im->pending_count = kept;
}

bool disk_image_step(struct disk_image *im)
{
	const struct disk_op *op;

	if (im->at == im->trace->count)
		return false;
	op = &im->trace->ops[im->at];
	if (op->kind == DISK_LINK)
		im->files[op->ino].is_dir = op->is_dir;
	if (op->kind == DISK_LOST)
		doom(im, op->ino);
	else if (op->kind & (DISK_SYNC | DISK_SYNC_DIR) && !is_lie(im, op))
		settle(im, op);
	else if (op->kind == DISK_WRITE && op->synced && !is_lie(im, op))
		bytes_apply(&im->files[op->ino], op);
	else if (op->kind & (DISK_WRITE | DISK_TRUNCATE) || is_name_op(op->kind))
		add_pending(im, im->at);
	if (is_name_op(op->kind) && im->lie_kinds)
		names_apply(&im->seen, op);
	im->at++;
	return true;
}

/* ---- what is left ---- */

struct file_left {
	char *path;
	bool is_dir;
	const uint8_t *at;
	size_t len;
	uint8_t *own; /* at, when it is not the image's */
};

struct disk_state {
	struct file_left *list; /* folders before what is in them */
	size_t count;
};

enum mode { MODE_NONE, MODE_ALL, MODE_FIRST, MODE_ANY, MODES };

static enum mode pick_mode(enum disk_keep keep, uint64_t *rng)
{
	return keep == DISK_NONE ? MODE_NONE : keep == DISK_ALL ? MODE_ALL : (enum mode)random_below(rng, MODES);
}

static void some_names(const struct disk_image *im, struct names *names, enum disk_keep keep, uint64_t *rng)
{
	enum mode mode = pick_mode(keep, rng);
	size_t first = mode == MODE_FIRST ? random_below(rng, im->pending_count + 1) : 0;

	names_copy(names, &im->names);
	for (size_t i = 0; i < im->pending_count; i++) {
		const struct disk_op *op = &im->trace->ops[im->pending[i].op];
		bool on = mode == MODE_ALL || (mode == MODE_FIRST && i < first) ||
			  (mode == MODE_ANY && random_below(rng, 2));

		if (on && is_name_op(op->kind))
			names_apply(names, op);
	}
}

/* The sectors of a write for which the random bits say so; prefix: only the first ones. */
static void write_sectors(struct bytes *b, const struct disk_op *op, bool prefix, uint64_t *rng)
{
	uint64_t end = op->off + op->len, first = op->off / SECTOR, last = (end - 1) / SECTOR;
	uint64_t stop = prefix ? first + random_below(rng, last - first + 1) : last + 1;

	for (uint64_t s = first; s < stop; s++) {
		uint64_t from = s * SECTOR < op->off ? op->off : s * SECTOR;
		uint64_t to = (s + 1) * SECTOR > end ? end : (s + 1) * SECTOR;

		if (prefix || random_below(rng, 2))
			bytes_write(b, op->bytes + (from - op->off), (size_t)(to - from), from);
	}
}

static void some_of_write(struct bytes *b, const struct disk_op *op, enum mode mode, uint64_t *rng)
{
	uint64_t how = mode == MODE_ANY ? random_below(rng, 6) : 0;

	if (op->kind == DISK_TRUNCATE) {
		if (how != 1)
			bytes_resize(b, op->off);
		return;
	}
	if (!op->len || how == 1)
		return;
	if (how == 2 || how == 3)
		write_sectors(b, op, how == 2, rng);
	else if (how == 4 && op->off + op->len > b->len)
		bytes_resize(b, op->off + op->len);
	else if (how != 4)
		bytes_write(b, op->bytes, op->len, op->off);
}

static void some_bytes(const struct disk_image *im, uint32_t ino, struct file_left *left, enum disk_keep keep, uint64_t seed)
{
	const struct bytes *durable = &im->files[ino];
	uint64_t rng = seed + ino * 7919;
	enum mode mode = pick_mode(keep, &rng);
	size_t first = mode == MODE_FIRST ? random_below(&rng, im->pending_count + 1) : im->pending_count;
	struct bytes b = { 0 };
	bool any = false;

	left->at = durable->at;
	left->len = durable->len;
	for (size_t i = 0; mode != MODE_NONE && i < first; i++) {
		const struct disk_op *op = &im->trace->ops[im->pending[i].op];

		if (is_name_op(op->kind) || op->ino != ino)
			continue;
		if (!any && durable->len)
			bytes_write(&b, durable->at, durable->len, 0);
		any = true;
		some_of_write(&b, op, mode, &rng);
	}
	if (!any)
		return;
	left->at = left->own = b.at;
	left->len = b.len;
}

static void leave_folder(struct disk_state *s, const struct disk_image *im, const struct names *names, uint32_t dir,
			 const char *path, enum disk_keep keep, uint64_t seed)
{
	for (size_t i = 0; i < names->count; i++) {
		const struct entry *e = &names->list[i];
		struct file_left left = { .is_dir = im->files[e->ino].is_dir };

		if (e->dir != dir)
			continue;
		must(asprintf(&left.path, "%s%s%s", path, *path ? "/" : "", e->name) > 0, "disk: memory");
		if (!left.is_dir)
			some_bytes(im, e->ino, &left, keep, seed);
		GROW(s->list, s->count);
		s->list[s->count++] = left;
		if (left.is_dir)
			leave_folder(s, im, names, e->ino, left.path, keep, seed);
	}
}

struct disk_state *disk_state_new(const struct disk_image *im, enum disk_keep keep, uint64_t seed)
{
	struct disk_state *s = must_alloc(NULL, sizeof *s);
	uint64_t rng = seed;
	struct names names;

	*s = (struct disk_state) { 0 };
	some_names(im, &names, keep, &rng);
	leave_folder(s, im, &names, 0, "", keep, random_next(&rng));
	free(names.list);
	return s;
}

static void left_free(struct file_left *left)
{
	free(left->path);
	free(left->own);
}

void disk_state_free(struct disk_state *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		left_free(&s->list[i]);
	free(s->list);
	free(s);
}

uint64_t disk_state_hash(const struct disk_state *s)
{
	uint64_t sum = 0; /* in whatever order */

	for (size_t i = 0; i < s->count; i++) {
		const struct file_left *f = &s->list[i];
		uint64_t part[2] = { XXH3_64bits(f->path, strlen(f->path)), XXH3_64bits(f->at, f->len) };

		sum += XXH3_64bits(part, sizeof part);
	}
	return sum;
}

void disk_state_remove(struct disk_state *s, const char *path)
{
	size_t len = strlen(path), kept = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct file_left *f = &s->list[i];

		if (strncmp(f->path, path, len) == 0 && (!f->path[len] || f->path[len] == '/'))
			left_free(f);
		else
			s->list[kept++] = *f;
	}
	s->count = kept;
}

static struct file_left *state_find(const struct disk_state *s, const char *path)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->list[i].path, path) == 0)
			return &s->list[i];
	return NULL;
}

void disk_state_replace(struct disk_state *s, const char *path, uint8_t *bytes, size_t len)
{
	struct file_left *f = state_find(s, path);

	if (!f) {
		free(bytes);
		return;
	}
	free(f->own);
	f->at = f->own = bytes;
	f->len = len;
}

const uint8_t *disk_state_bytes(const struct disk_state *s, const char *path, size_t *len)
{
	const struct file_left *f = state_find(s, path);

	*len = f ? f->len : 0;
	return f ? f->at : NULL;
}

const char *disk_state_last(const struct disk_state *s, const char *begin)
{
	const char *last = NULL;

	for (size_t i = 0; i < s->count; i++)
		if (strncmp(s->list[i].path, begin, strlen(begin)) == 0 && (!last || strcmp(s->list[i].path, last) > 0))
			last = s->list[i].path;
	return last;
}

void disk_state_write(const struct disk_state *s, const char *folder)
{
	char path[PATH_MAX];

	must(mkdir(folder, 0700) == 0, folder);
	for (size_t i = 0; i < s->count; i++) {
		const struct file_left *f = &s->list[i];
		int fd;

		must(snprintf(path, sizeof path, "%s/%s", folder, f->path) < (int)sizeof path, "disk: path");
		if (f->is_dir) {
			must(mkdir(path, 0700) == 0, path);
			continue;
		}
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		must(fd >= 0 && pwrite(fd, f->at, f->len, 0) == (ssize_t)f->len, path);
		close(fd);
	}
}
