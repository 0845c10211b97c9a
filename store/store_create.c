#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "store/buf.h"
#include "store/err.h"
#include "store/scope.h"
#include "store/settings.h"

static const char *const folders[] = { "packs", "journal", "index", "cache" };

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* The one thing that a fresh disk brings along. */
static bool harmless(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lost+found") == 0;
}

static int must_be_empty(const char *path)
{
	DIR *dir SCOPE_CLEANUP(close_dir) = opendir(path);
	struct dirent *entry;

	if (!dir)
		return err_sys("cannot look into %s", path);
	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		if (harmless(entry->d_name))
			continue;
		if (strcmp(entry->d_name, "tomofs.json") == 0)
			return err_set(EEXIST, "there is a tomofs store in %s already", path);
		return err_set(EEXIST, "%s is not empty (it holds %s); a store needs a folder of its own", path,
			       entry->d_name);
	}
	return errno ? err_sys("cannot list %s", path) : 0;
}

/* 0 and *made when the folder is new. */
static int make_root(const char *path, bool *made)
{
	struct stat st;

	*made = mkdir(path, 0700) == 0;
	if (*made)
		return 0;
	if (errno == ENOENT)
		return err_set(ENOENT, "cannot make %s: the folder it would be in does not exist", path);
	if (errno != EEXIST)
		return err_sys("cannot make %s", path);
	if (stat(path, &st) < 0)
		return err_sys("cannot look at %s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(ENOTDIR, "%s is a file, not a folder", path);
	return must_be_empty(path);
}

static int sync_parent(const char *path)
{
	scope_free char *parent = NULL;
	int rc;

	if (asprintf(&parent, "%s/..", path) < 0) {
		parent = NULL;
		return -ENOMEM;
	}
	rc = io_system.fsync_dir(&io_system, parent);
	return rc == -EACCES ? 0 : rc; /* a parent that may not be read was not changed by us either */
}

static int fill(const char *path)
{
	struct settings settings;
	scope_buf struct buf name = { 0 };
	int rc = 0;

	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		buf_clear(&name);
		buf_printf(&name, "%s/%s", path, folders[i]);
		if (mkdir(buf_text(&name), 0700) < 0)
			return err_sys("cannot make %s", buf_text(&name));
	}
	rc = settings_make(&settings);
	buf_clear(&name);
	buf_printf(&name, "%s/tomofs.json", path);
	if (!rc)
		rc = settings_write(&io_system, buf_text(&name), &settings);
	return rc;
}

/* What fill() made, so that the next try finds an empty folder. */
static void empty_again(const char *path, bool made)
{
	scope_buf struct buf name = { 0 };

	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		buf_clear(&name);
		buf_printf(&name, "%s/%s", path, folders[i]);
		rmdir(buf_text(&name));
	}
	if (made)
		rmdir(path);
}

int store_create(const char *path)
{
	bool made;
	int rc = make_root(path, &made);

	if (rc)
		return rc;
	rc = fill(path);
	if (rc) {
		empty_again(path, made);
		return rc;
	}
	rc = io_system.fsync_dir(&io_system, path);
	if (!rc)
		rc = sync_parent(path);
	return rc ? err_set(-rc, "cannot sync %s: %s", path, strerror(-rc)) : 0;
}
