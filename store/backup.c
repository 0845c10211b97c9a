#include "store/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "store/buf.h"
#include "store/err.h"
#include "store/lock.h"
#include "store/pack.h"
#include "store/scope.h"
#include "store/settings.h"
#include "store/xxh3.h"

enum { STEP = 4 << 20 };

struct backup {
	const char *from, *to;
	const struct backup_options *options;
	struct backup_result *result;
	void *room; /* STEP bytes */
	uint64_t done, all;
};

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

struct names { /* of a folder's files, in order */
	char **list;
	size_t count;
};

static void names_free(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->list[i]);
	free(n->list);
}
#define scope_names SCOPE_CLEANUP(names_free)

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && !strcmp(name + n - m, end);
}

/* A folder that is not there has none. end: ".pack". */
static int list_names(const char *root, const char *folder, const char *end, struct names *out)
{
	scope_free char *path = NULL;
	DIR *dir SCOPE_CLEANUP(close_dir) = NULL;
	struct dirent *e;

	if (asprintf(&path, "%s/%s", root, folder) < 0) {
		path = NULL;
		return err_set(ENOMEM, "no memory for a path");
	}
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : err_sys("cannot look into %s", path);
	for (errno = 0; (e = readdir(dir)); errno = 0) {
		char **list;

		if (!ends_in(e->d_name, end))
			continue;
		list = realloc(out->list, (out->count + 1) * sizeof *list);
		if (!list || (out->list = list, !(list[out->count] = strdup(e->d_name))))
			return err_set(ENOMEM, "no memory for a list of files");
		out->count++;
	}
	if (errno)
		return err_sys("cannot list %s", path);
	if (out->count)
		qsort(out->list, out->count, sizeof *out->list, compare_names);
	return 0;
}

static bool has_name(const struct names *n, const char *name)
{
	return n->count && bsearch(&name, n->list, n->count, sizeof *n->list, compare_names);
}

/* ---- one file ---- */

/* Up to size bytes; a growing file has more by then. */
static int copy_bytes(struct backup *b, int in, int out, uint64_t size, uint64_t *hash)
{
	XXH3_state_t *state = XXH3_createState();
	uint64_t at = 0;
	int rc = state ? 0 : err_set(ENOMEM, "no memory to copy files");

	if (!rc)
		XXH3_64bits_reset(state);
	while (!rc && at < size) {
		size_t len = size - at < STEP ? (size_t)(size - at) : STEP;

		rc = io_read_all(&io_system, in, b->room, len, at);
		if (!rc && out >= 0)
			rc = io_write_all(&io_system, out, b->room, len, at);
		if (!rc)
			XXH3_64bits_update(state, b->room, len);
		at += len;
		if (out >= 0)
			b->done += len;
		if (out >= 0 && b->options->progress)
			b->options->progress(b->options->ctx, b->done, b->all);
	}
	*hash = state ? XXH3_64bits_digest(state) : 0;
	XXH3_freeState(state);
	return rc;
}

/* Into a name of its own; is it on the disk as it was read? */
static int copy_to(struct backup *b, int in, const char *path, const struct stat *st)
{
	scope_fd int out = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct timespec times[2] = { st->st_mtim, st->st_mtim };
	uint64_t size = (uint64_t)st->st_size, hash, found;
	int rc;

	if (out < 0)
		return err_sys("cannot make %s", path);
	rc = copy_bytes(b, in, out, size, &hash);
	if (rc)
		return err_set(-rc, "copying to %s: %s", path, strerror(-rc));
	if (fdatasync(out))
		return err_sys("cannot sync %s", path);
	posix_fadvise(out, 0, 0, POSIX_FADV_DONTNEED);
	rc = copy_bytes(b, out, -1, size, &found);
	if (rc || found != hash)
		return err_set(EIO, "%s does not come back as it was written", path);
	if (futimens(out, times) || fsync(out))
		return err_sys("cannot sync %s", path);
	return 0;
}

static bool is_same(const struct stat *a, const char *path)
{
	struct stat b;

	return !stat(path, &b) && b.st_size == a->st_size && b.st_mtim.tv_sec == a->st_mtim.tv_sec &&
	       b.st_mtim.tv_nsec == a->st_mtim.tv_nsec;
}

static int copy_file(struct backup *b, const char *folder, const char *name)
{
	scope_buf struct buf from = { 0 }, to = { 0 }, part = { 0 };
	scope_fd int in = -1;
	struct stat st;
	int rc;

	if (b->options->stop && b->options->stop(b->options->ctx))
		return err_set(EINTR, "stopped; what is copied stays");
	buf_printf(&from, "%s/%s%s", b->from, folder, name);
	buf_printf(&to, "%s/%s%s", b->to, folder, name);
	buf_printf(&part, "%s/%s%s.part", b->to, folder, name);
	if (buf_failed(&from) || buf_failed(&to) || buf_failed(&part))
		return err_set(ENOMEM, "no memory for a path");
	in = open(buf_text(&from), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (in < 0 || fstat(in, &st) < 0)
		return err_sys("cannot open %s", buf_text(&from));
	if (is_same(&st, buf_text(&to))) {
		b->result->same++;
		b->done += (uint64_t)st.st_size;
		return 0;
	}
	rc = copy_to(b, in, buf_text(&part), &st);
	if (rc) {
		unlink(buf_text(&part));
		return rc;
	}
	if (rename(buf_text(&part), buf_text(&to)))
		return err_sys("cannot rename %s", buf_text(&part));
	b->result->files++;
	b->result->bytes += (uint64_t)st.st_size;
	return 0;
}

static int sync_folder(struct backup *b, const char *folder)
{
	scope_buf struct buf path = { 0 };
	int rc;

	buf_printf(&path, "%s/%s", b->to, folder);
	rc = buf_failed(&path) ? -ENOMEM : io_system.fsync_dir(&io_system, buf_text(&path));
	return rc ? err_set(-rc, "cannot sync %s/%s: %s", b->to, folder, strerror(-rc)) : 0;
}

static int copy_folder(struct backup *b, const char *folder, const struct names *names)
{
	scope_buf struct buf prefix = { 0 };
	int rc = 0;

	buf_printf(&prefix, "%s/", folder);
	if (buf_failed(&prefix))
		return err_set(ENOMEM, "no memory for a path");
	for (size_t i = 0; !rc && i < names->count; i++)
		rc = copy_file(b, buf_text(&prefix), names->list[i]);
	return rc ? rc : sync_folder(b, folder);
}

/* ---- the folder ---- */

static int check_empty(const char *to)
{
	static const char *const known[] = { ".", "..", "packs", "journal", "index", "cache", "keys", "lock", "epoch", "lost+found",
					     "tomofs.json.part", "epoch.part" };
	DIR *dir SCOPE_CLEANUP(close_dir) = opendir(to);
	struct dirent *e;

	if (!dir)
		return err_sys("cannot look into %s", to);
	while ((e = readdir(dir))) {
		size_t i = 0;

		while (i < sizeof known / sizeof *known && strcmp(known[i], e->d_name) != 0)
			i++;
		if (i == sizeof known / sizeof *known)
			return err_set(EEXIST, "%s is no backup of a store: it holds %s", to, e->d_name);
	}
	return 0;
}

static int read_settings(const char *root, struct settings *s)
{
	scope_buf struct buf path = { 0 };

	buf_printf(&path, "%s/tomofs.json", root);
	return buf_failed(&path) ? err_set(ENOMEM, "no memory for a path") :
				   settings_read(&io_system, buf_text(&path), true, s);
}

/* Nothing there, or an older backup of this store. */
static int check_place(struct backup *b)
{
	struct settings ours, theirs;
	int rc = read_settings(b->from, &ours);

	if (rc)
		return rc;
	rc = read_settings(b->to, &theirs);
	if (rc == -ENOENT)
		return check_empty(b->to);
	if (!rc && memcmp(ours.id, theirs.id, sizeof ours.id) != 0)
		return err_set(EXDEV, "%s holds another store", b->to);
	return rc;
}

/* Segments that the source does not have were written there: the copy has a life of its own. */
static int check_journal(struct backup *b, const struct names *ours)
{
	scope_names struct names theirs = { 0 };
	int rc = list_names(b->to, "journal", ".log", &theirs);

	for (size_t i = 0; !rc && i < theirs.count; i++)
		if (!has_name(ours, theirs.list[i]))
			rc = err_set(EXDEV, "%s was written to since it was made (journal/%s); make the backup in another folder",
				     b->to, theirs.list[i]);
	return rc;
}

static int make_folders(struct backup *b)
{
	static const char *const folders[] = { "", "packs", "journal", "index", "cache" };

	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		scope_buf struct buf path = { 0 };

		buf_printf(&path, "%s/%s", b->to, folders[i]);
		if (buf_failed(&path))
			return err_set(ENOMEM, "no memory for a path");
		if (mkdir(buf_text(&path), 0700) && errno != EEXIST)
			return err_sys("cannot make %s", buf_text(&path));
	}
	return 0;
}

static int remove_gone(struct backup *b, const struct names *ours)
{
	scope_names struct names theirs = { 0 };
	int rc = list_names(b->to, "packs", ".pack", &theirs);

	for (size_t i = 0; !rc && i < theirs.count; i++) {
		scope_buf struct buf path = { 0 };

		if (has_name(ours, theirs.list[i]))
			continue;
		buf_printf(&path, "%s/packs/%s", b->to, theirs.list[i]);
		if (buf_failed(&path) || unlink(buf_text(&path)))
			return err_sys("cannot remove %s/packs/%s", b->to, theirs.list[i]);
		b->result->removed++;
	}
	return rc;
}

/* ---- all of it ---- */

static uint64_t size_of_all(struct backup *b, const char *folder, const struct names *names)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < names->count; i++) {
		scope_buf struct buf path = { 0 };
		struct stat st;

		buf_printf(&path, "%s/%s/%s", b->from, folder, names->list[i]);
		if (!buf_failed(&path) && !stat(buf_text(&path), &st))
			sum += (uint64_t)st.st_size;
	}
	return sum;
}

static int copy_packs(struct backup *b)
{
	scope_names struct names packs = { 0 };
	int rc = list_names(b->from, "packs", ".pack", &packs);

	if (rc)
		return rc;
	b->all = b->done + size_of_all(b, "packs", &packs);
	rc = copy_folder(b, "packs", &packs);
	if (!rc) {
		rc = copy_file(b, "", "epoch");
		rc = rc == -ENOENT ? 0 : rc;
	}
	if (!rc)
		rc = copy_file(b, "", "tomofs.json");
	if (!rc)
		rc = sync_folder(b, "");
	return rc ? rc : remove_gone(b, &packs);
}

static int copy_journal(struct backup *b)
{
	scope_names struct names segments = { 0 };
	int rc = list_names(b->from, "journal", ".log", &segments);

	if (!rc)
		rc = check_journal(b, &segments);
	if (rc)
		return rc;
	b->all = size_of_all(b, "journal", &segments);
	return copy_folder(b, "journal", &segments);
}

static int copy_all(struct backup *b)
{
	int fd = -1, rc = make_folders(b);

	if (!rc)
		rc = check_place(b);
	if (!rc)
		rc = lock_take(b->to, &fd);
	if (!rc)
		rc = copy_journal(b);
	if (!rc && b->options->settle)
		rc = b->options->settle(b->options->ctx);
	if (!rc)
		rc = copy_packs(b);
	lock_release(fd);
	return rc;
}

int store_backup(const char *from, const char *to, const struct backup_options *options, struct backup_result *result)
{
	scope_free void *room = malloc(STEP);
	struct backup b = { .from = from, .to = to, .options = options, .result = result, .room = room };

	*result = (struct backup_result) { 0 };
	return room ? copy_all(&b) : err_set(ENOMEM, "no memory to copy files");
}
