#include "fs/access.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/node.h"
#include "fs/rights.h"
#include "store/err.h"

enum look { LOOK_PRIVATE, LOOK_GROUPS, LOOK_ALL }; /* the values of user.tomofs.look */

/* Looks for group in the "Groups:" line of /proc/PID/status. */
static int in_supplementary(int32_t pid, uint32_t group)
{
	char path[64], line[65536 / 4], *at, *end;
	FILE *f;
	int found = -EACCES;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return -EACCES;
	while (found == -EACCES && fgets(line, sizeof line, f)) {
		if (strncmp(line, "Groups:", 7) != 0)
			continue;
		found = 0;
		for (at = line + 7;; at = end) {
			unsigned long id = strtoul(at, &end, 10);

			if (end == at)
				break;
			if (id == group)
				found = 1;
		}
	}
	fclose(f);
	return found;
}

int access_in_group(const struct caller *who, uint32_t group)
{
	if (who->gid == group)
		return 1;
	if (who->pid <= 0)
		return -EACCES;
	return in_supplementary(who->pid, group);
}

/* May the caller do all of want to this? 1, 0, -errno. */
static int allowed(struct fs *fs, const struct node_row *row, const struct caller *who, uint32_t want)
{
	struct rights r;
	int rc = rights_of(fs, row, &r);

	return rc ? rc : rights_allow(&r, who, want);
}

/* May the caller pass through every folder from this one up to datasets/? */
static int may_reach(struct fs *fs, uint64_t folder, const struct caller *who)
{
	struct node_row row;

	while (folder && folder != INO_DATASETS) {
		int rc = catalog_node(fs->catalog, folder, &row);

		if (rc)
			return rc;
		rc = allowed(fs, &row, who, 1);
		if (rc <= 0)
			return rc ? rc : -EACCES;
		folder = row.parent;
	}
	return 0;
}

static enum look look_of(struct fs *fs, const struct dataset_row *dataset)
{
	scope_free char *text = catalog_fact(fs->catalog, dataset->number, "look");

	if (text && strcmp(text, "all") == 0)
		return LOOK_ALL;
	return text && strcmp(text, "groups") == 0 ? LOOK_GROUPS : LOOK_PRIVATE;
}

/* Is the caller one of those whom user.tomofs.look names? */
static bool look_names(struct fs *fs, const struct dataset_row *dataset, const struct node_row *top,
		       const struct caller *who)
{
	enum look look = look_of(fs, dataset);

	return look == LOOK_ALL || (look == LOOK_GROUPS && access_in_group(who, top->gid) == 1);
}

int may(struct fs *fs, const struct dataset_row *dataset, const struct caller *who, enum verb verb)
{
	struct node_row top;
	uint32_t need;
	int rc;

	if (who->uid == 0)
		return 0;
	rc = catalog_node(fs->catalog, dataset->ino, &top);
	if (rc)
		return rc;
	need = verb == VERB_WRITE ? 2 : 4;
	if (S_ISDIR(top.mode))
		need |= 1;
	rc = allowed(fs, &top, who, need);
	rc = rc == 1 ? may_reach(fs, top.parent, who) : rc ? rc : -EACCES;
	if (!rc || rc != -EACCES)
		return rc;
	if (verb == VERB_LOOK && look_names(fs, dataset, &top, who))
		return 0;
	return err_set(EACCES, "%s: you have no permission for it, or for a folder that it is in", dataset->name);
}

int access_may_make(struct fs *fs, const struct caller *who, uint64_t folder)
{
	struct node_row row;
	int rc = catalog_node(fs->catalog, folder, &row);

	if (rc)
		return rc;
	if (allowed(fs, &row, who, 3) != 1)
		return err_set(EACCES, "you have no permission to make a dataset");
	return 0;
}

static int limit(struct fs *fs, struct rights *r, const struct node_row *row, uint32_t bit)
{
	struct rights by;
	int rc = rights_of(fs, row, &by);

	if (!rc)
		rights_limit(r, &by, bit);
	return rc;
}

static int limit_by_folders(struct fs *fs, uint64_t folder, uint64_t until, struct rights *r)
{
	struct node_row row;
	int rc = 0;

	while (!rc && folder && folder != until && folder != INO_DATASETS) {
		rc = catalog_node(fs->catalog, folder, &row);
		if (!rc)
			rc = limit(fs, r, &row, 1);
		folder = row.parent;
	}
	return rc;
}

/* What user.tomofs.look opens beyond the permissions of the originals. */
static void widen(struct fs *fs, const struct dataset_row *dataset, bool as_folder, struct rights *r)
{
	enum look look = look_of(fs, dataset);

	if (look != LOOK_PRIVATE)
		rights_widen(r, look == LOOK_ALL, as_folder ? 5 : 4);
}

/* Those of the dataset's top folder, less what the folders above it forbid. */
static int originals(struct fs *fs, const struct dataset_row *dataset, bool as_folder, struct rights *r)
{
	struct node_row top;
	int rc = catalog_node(fs->catalog, dataset->ino, &top);

	if (!rc)
		rc = rights_of(fs, &top, r);
	if (rc)
		return rc;
	rights_to_show(r, S_ISDIR(top.mode), as_folder);
	return limit_by_folders(fs, top.parent, 0, r);
}

static void show_as(const struct rights *r, struct stat *st, struct acl *acl)
{
	st->st_uid = r->uid;
	st->st_gid = r->gid;
	st->st_mode = (st->st_mode & S_IFMT) | rights_mode(r, acl);
}

int access_of_dataset(struct fs *fs, const struct dataset_row *dataset, enum show show, struct stat *st, struct acl *acl)
{
	bool as_folder = S_ISDIR(st->st_mode);
	struct rights r;
	int rc = originals(fs, dataset, as_folder, &r);

	if (rc)
		return rc;
	if (show == SHOW_LOOK)
		widen(fs, dataset, as_folder, &r);
	show_as(&r, st, acl);
	return 0;
}

/* Takes away what the files of an image forbid to read. */
static int limit_by_files(struct fs *fs, uint64_t folder, struct rights *r)
{
	scope_entries struct entries entries = { 0 };
	struct node_row file;
	int rc = catalog_list(fs->catalog, folder, &entries);

	for (size_t i = 0; !rc && i < entries.count; i++)
		if (S_ISREG(entries.list[i].mode) && !catalog_node(fs->catalog, entries.list[i].ino, &file))
			rc = limit(fs, r, &file, 4);
	return rc;
}

static int work_out(struct fs *fs, const struct dataset_row *dataset, const struct record_image *image, enum show show,
		    bool as_folder, struct rights *r)
{
	struct node_row row;
	int rc = originals(fs, dataset, as_folder, r);

	if (!rc)
		rc = catalog_node(fs->catalog, image->ino, &row);
	if (!rc)
		rc = limit(fs, r, &row, 4);
	if (!rc && S_ISDIR(row.mode)) {
		rc = limit(fs, r, &row, 1);
		if (!rc)
			rc = limit_by_files(fs, image->ino, r);
	}
	if (!rc && image->ino != dataset->ino)
		rc = limit_by_folders(fs, row.parent, dataset->ino, r);
	if (!rc && show == SHOW_LOOK)
		widen(fs, dataset, as_folder, r);
	return rc;
}

bool access_is_stricter(struct fs *fs, const struct node_row *top, const struct node_row *row)
{
	struct rights of_top, of_row;

	return rights_of(fs, top, &of_top) || rights_of(fs, row, &of_row) ||
	       rights_exceed(&of_top, &of_row, S_ISDIR(row->mode) ? 5 : 4);
}

bool access_hides(struct fs *fs, const struct dataset_row *dataset, uint64_t ino)
{
	struct node_row top, row;

	if (catalog_node(fs->catalog, dataset->ino, &top))
		return true;
	while (ino && ino != dataset->ino) {
		if (catalog_node(fs->catalog, ino, &row) || access_is_stricter(fs, &top, &row))
			return true;
		ino = row.parent;
	}
	return false;
}

enum { MEMO_SLOTS = 256 };

struct access_memo {
	pthread_mutex_t lock;
	struct {
		uint64_t version; /* of the catalog; 0: empty */
		uint32_t image, uid, gid, mode;
		enum show show;
		bool folder, listed; /* listed: there is more than the mode to it */
	} slot[MEMO_SLOTS];
};

struct access_memo *access_memo_new(void)
{
	struct access_memo *m = calloc(1, sizeof *m);

	if (m)
		pthread_mutex_init(&m->lock, NULL);
	return m;
}

void access_memo_free(struct access_memo *m)
{
	if (!m)
		return;
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static size_t memo_slot(uint32_t image, enum show show, bool folder)
{
	return (image * 4 + (size_t)show * 2 + folder) % MEMO_SLOTS;
}

static bool recall(struct access_memo *m, uint64_t version, uint32_t image, enum show show, struct stat *st, struct acl *acl)
{
	bool folder = S_ISDIR(st->st_mode);
	size_t i = memo_slot(image, show, folder);

	scope_lock(&m->lock);
	if (m->slot[i].version != version || m->slot[i].image != image || m->slot[i].show != show || m->slot[i].folder != folder)
		return false;
	if (acl && m->slot[i].listed)
		return false;
	if (acl)
		acl->count = 0;
	st->st_uid = m->slot[i].uid;
	st->st_gid = m->slot[i].gid;
	st->st_mode = (st->st_mode & S_IFMT) | m->slot[i].mode;
	return true;
}

static void remember(struct access_memo *m, uint64_t version, uint32_t image, enum show show, const struct stat *st, bool listed)
{
	bool folder = S_ISDIR(st->st_mode);
	size_t i = memo_slot(image, show, folder);

	scope_lock(&m->lock);
	m->slot[i].version = version;
	m->slot[i].image = image;
	m->slot[i].show = show;
	m->slot[i].folder = folder;
	m->slot[i].listed = listed;
	m->slot[i].uid = st->st_uid;
	m->slot[i].gid = st->st_gid;
	m->slot[i].mode = st->st_mode & 07777;
}

int access_of_image(struct fs *fs, const struct dataset_row *dataset, const struct record_image *image, enum show show,
		    struct stat *st, struct acl *acl)
{
	uint64_t version = catalog_version(fs->catalog); /* before looking: what changes meanwhile makes it old */
	struct rights r;
	int rc;

	if (fs->access && recall(fs->access, version, image->id, show, st, acl))
		return 0;
	rc = work_out(fs, dataset, image, show, S_ISDIR(st->st_mode), &r);
	if (rc)
		return rc;
	show_as(&r, st, acl);
	if (fs->access)
		remember(fs->access, version, image->id, show, st, !acl_is_mode(&r.acl));
	return 0;
}
