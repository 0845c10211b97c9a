#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/repair.h"
#include "store/buf.h"
#include "store/err.h"

enum { TODO_MAX = 1 << 24 };

struct offer { /* a file */
	char *path;
	const char *name; /* its last part */
	uint64_t size;
};

struct offers {
	struct store *store;
	struct offer *list; /* by size */
	size_t count;
	uint8_t *bytes; /* CHUNK_MAX */
};

static int add_file(struct buf *found, const char *path, uint64_t size)
{
	struct offer o = { .path = strdup(path), .size = size };

	if (!o.path)
		return err_set(ENOMEM, "no memory for offered files");
	o.name = strrchr(o.path, '/') ? strrchr(o.path, '/') + 1 : o.path;
	buf_put(found, &o, sizeof o);
	if (!buf_failed(found))
		return 0;
	free(o.path);
	return err_set(ENOMEM, "no memory for offered files");
}

static int add_path(struct buf *found, struct buf *todo, const char *path, bool asked)
{
	scope_free char *copy = NULL;
	struct stat st;

	if (lstat(path, &st))
		return asked ? err_sys("%s", path) : 0;
	if (S_ISREG(st.st_mode))
		return add_file(found, path, (uint64_t)st.st_size);
	if (!S_ISDIR(st.st_mode))
		return 0;
	copy = strdup(path);
	if (copy)
		buf_put(todo, &copy, sizeof copy);
	if (!copy || buf_failed(todo) || todo->len > TODO_MAX)
		return err_set(ENOMEM, "no memory for offered folders");
	copy = NULL;
	return 0;
}

static int add_folder(struct buf *found, struct buf *todo, const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	int rc = 0;

	if (!d)
		return err_sys("%s", folder);
	while (!rc && (e = readdir(d))) {
		scope_free char *path = NULL;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (asprintf(&path, "%s/%s", folder, e->d_name) < 0)
			rc = err_set(ENOMEM, "no memory for a path");
		else
			rc = add_path(found, todo, path, false);
	}
	closedir(d);
	return rc;
}

static int by_size(const void *a, const void *b)
{
	const struct offer *x = a, *y = b;

	return x->size < y->size ? -1 : x->size > y->size;
}

static int find_all(struct buf *found, char *const *paths)
{
	scope_buf struct buf todo = { 0 };
	int rc = 0;

	for (; !rc && paths && *paths; paths++)
		rc = add_path(found, &todo, *paths, true);
	while (todo.len) {
		char *folder;

		todo.len -= sizeof folder;
		memcpy(&folder, todo.data + todo.len, sizeof folder);
		if (!rc)
			rc = add_folder(found, &todo, folder);
		free(folder);
	}
	return rc;
}

int offers_new(struct offers **out, struct store *store, char *const *paths)
{
	struct offers *o = calloc(1, sizeof *o);
	struct buf found = { 0 };
	int rc;

	if (!o)
		return err_set(ENOMEM, "no memory for offered files");
	rc = find_all(&found, paths);
	o->store = store;
	o->list = (void *)found.data;
	o->count = found.len / sizeof *o->list;
	o->bytes = malloc(CHUNK_MAX);
	if (!rc && !o->bytes)
		rc = err_set(ENOMEM, "no memory for offered files");
	if (rc) {
		offers_free(o);
		return rc;
	}
	if (o->count)
		qsort(o->list, o->count, sizeof *o->list, by_size);
	*out = o;
	return 0;
}

void offers_free(struct offers *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->count; i++)
		free(o->list[i].path);
	free(o->list);
	free(o->bytes);
	free(o);
}

/* 1: these bytes of the file have the key, and are in the store now. */
static int take_from(struct offers *o, const struct offer *offer, uint64_t off, const struct key *key, size_t len)
{
	scope_fd int fd = open(offer->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || pread(fd, o->bytes, len, (off_t)off) != (ssize_t)len)
		return 0;
	return store_put_missing(o->store, key, o->bytes, len);
}

/* Those of the name first. */
static int take_named(struct offers *o, size_t first, bool same, const char *name, uint64_t off, const struct key *key, size_t len)
{
	int rc = 0;

	for (size_t i = first; !rc && i < o->count && o->list[i].size == o->list[first].size; i++)
		if (!strcmp(o->list[i].name, name) == same)
			rc = take_from(o, &o->list[i], off, key, len);
	return rc;
}

int offers_take(struct offers *o, const char *name, uint64_t size, uint64_t off, const struct key *key, size_t len)
{
	size_t low = 0, high = o->count;
	int rc;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (o->list[middle].size < size)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == o->count || o->list[low].size != size || len > CHUNK_MAX || off > size || len > size - off)
		return 0;
	rc = take_named(o, low, true, name, off, key, len);
	return rc ? rc : take_named(o, low, false, name, off, key, len);
}
