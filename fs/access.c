#include "fs/access.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/node.h"
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

/* The three permission bits that a caller has on something. -EACCES when they depend on groups that cannot be learned. */
static int bits_for(const struct caller *who, uint32_t uid, uint32_t gid, uint32_t mode)
{
	int member;

	if (who->uid == 0)
		return 7;
	if (who->uid == uid)
		return mode >> 6 & 7;
	member = access_in_group(who, gid);
	if (member < 0)
		return member;
	return member ? mode >> 3 & 7 : mode & 7;
}

/* May the caller pass through every folder from this one up to datasets/? */
static int may_reach(struct fs *fs, uint64_t folder, const struct caller *who)
{
	struct node_row row;

	while (folder && folder != INO_DATASETS) {
		int rc = catalog_node(fs->catalog, folder, &row);

		if (rc)
			return rc;
		rc = bits_for(who, row.uid, row.gid, row.mode);
		if (rc < 0 || !(rc & 1))
			return -EACCES;
		folder = row.parent;
	}
	return 0;
}

/* The three permission bits that a caller has on the top of a dataset, as far as the folders above it let anybody through. */
static int bits_on_top(struct fs *fs, const struct node_row *top, const struct caller *who)
{
	int reach, bits = bits_for(who, top->uid, top->gid, top->mode);

	if (bits < 0)
		return bits;
	reach = may_reach(fs, top->parent, who);
	return reach ? reach : bits;
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
	int rc, need;

	if (who->uid == 0)
		return 0;
	rc = catalog_node(fs->catalog, dataset->ino, &top);
	if (rc)
		return rc;
	need = verb == VERB_WRITE ? 2 : 4;
	if (S_ISDIR(top.mode))
		need |= 1;
	rc = bits_on_top(fs, &top, who);
	if (rc >= 0 && (rc & need) == need)
		return 0;
	if (rc < 0 && rc != -EACCES)
		return rc;
	if (verb == VERB_LOOK && look_names(fs, dataset, &top, who))
		return 0;
	return err_set(EACCES, "%s: you have no permission for it, or for a folder that it is in", dataset->name);
}

int access_may_make(struct fs *fs, const struct caller *who, uint64_t folder)
{
	struct node_row row;
	int bits, rc = catalog_node(fs->catalog, folder, &row);

	if (rc)
		return rc;
	bits = bits_for(who, row.uid, row.gid, row.mode);
	if (bits < 0 || (bits & 3) != 3)
		return err_set(EACCES, "you have no permission to make a dataset");
	return 0;
}

/*
 * Takes away from st what `row` (something on the way) forbids. An owner or group bit stays only when the same owner or
 * group has the bit in row too, or everybody has.
 */
static void limit(struct stat *st, const struct node_row *row, uint32_t bit)
{
	bool other = row->mode & bit;
	bool group = row->gid == st->st_gid ? row->mode >> 3 & bit : other;
	bool owner = row->uid == st->st_uid ? row->mode >> 6 & bit : other;

	if (!other)
		st->st_mode &= ~07U;
	if (!group)
		st->st_mode &= ~070U;
	if (!owner)
		st->st_mode &= ~0700U;
}

/* Read bits decide: a folder that shows something needs both, a file only read. */
static void bits_from_read(struct stat *st, uint32_t mode, bool mode_is_folder)
{
	static const uint32_t read_bits[] = { 0400, 0040, 0004 };
	uint32_t out = 0;

	for (size_t i = 0; i < 3; i++) {
		uint32_t r = read_bits[i], x = r >> 2;

		if (!(mode & r) || (mode_is_folder && !(mode & x)))
			continue;
		out |= r;
		if (S_ISDIR(st->st_mode))
			out |= x;
	}
	st->st_mode = (st->st_mode & S_IFMT) | out;
}

static int limit_by_folders(struct fs *fs, uint64_t folder, uint64_t until, struct stat *st)
{
	struct node_row row;

	while (folder && folder != until && folder != INO_DATASETS) {
		int rc = catalog_node(fs->catalog, folder, &row);

		if (rc)
			return rc;
		limit(st, &row, 1);
		folder = row.parent;
	}
	return 0;
}

/* What user.tomofs.look opens beyond the permissions of the originals. */
static void widen(struct fs *fs, const struct dataset_row *dataset, struct stat *st)
{
	enum look look = look_of(fs, dataset);
	uint32_t folder = S_ISDIR(st->st_mode) ? 0111 : 0;

	if (look == LOOK_GROUPS)
		st->st_mode |= 0440 | (folder & 0110);
	else if (look == LOOK_ALL)
		st->st_mode |= 0444 | folder;
}

/* Those of the dataset's top folder, less what the folders above it forbid. */
static int originals(struct fs *fs, const struct dataset_row *dataset, struct stat *st)
{
	struct node_row top;
	int rc = catalog_node(fs->catalog, dataset->ino, &top);

	if (rc)
		return rc;
	st->st_uid = top.uid;
	st->st_gid = top.gid;
	bits_from_read(st, top.mode, S_ISDIR(top.mode));
	return limit_by_folders(fs, top.parent, 0, st);
}

int access_of_dataset(struct fs *fs, const struct dataset_row *dataset, enum show show, struct stat *st)
{
	int rc = originals(fs, dataset, st);

	if (!rc && show == SHOW_LOOK)
		widen(fs, dataset, st);
	return rc;
}

/* Takes away what the files of an image forbid to read. */
static int limit_by_files(struct fs *fs, uint64_t folder, struct stat *st)
{
	scope_entries struct entries entries = { 0 };
	struct node_row file;
	int rc = catalog_list(fs->catalog, folder, &entries);

	for (size_t i = 0; !rc && i < entries.count; i++)
		if (S_ISREG(entries.list[i].mode) && !catalog_node(fs->catalog, entries.list[i].ino, &file))
			limit(st, &file, 4);
	return rc;
}

static int work_out(struct fs *fs, const struct dataset_row *dataset, const struct record_image *image, enum show show,
		    struct stat *st)
{
	struct node_row row;
	int rc = originals(fs, dataset, st);

	if (!rc)
		rc = catalog_node(fs->catalog, image->ino, &row);
	if (rc)
		return rc;
	limit(st, &row, 4);
	if (S_ISDIR(row.mode)) {
		limit(st, &row, 1);
		rc = limit_by_files(fs, image->ino, st);
	}
	if (!rc && image->ino != dataset->ino)
		rc = limit_by_folders(fs, row.parent, dataset->ino, st);
	if (!rc && show == SHOW_LOOK)
		widen(fs, dataset, st);
	return rc;
}

bool access_is_stricter(const struct node_row *top, const struct node_row *row)
{
	uint32_t need = S_ISDIR(row->mode) ? 5 : 4;
	uint32_t other = row->mode & 7;
	uint32_t owner = row->uid == top->uid ? row->mode >> 6 & 7 : other;
	uint32_t group = row->gid == top->gid ? row->mode >> 3 & 7 : other;

	return (top->mode & 0400 && (owner & need) != need) || (top->mode & 0040 && (group & need) != need) ||
	       (top->mode & 0004 && (other & need) != need);
}

bool access_hides(struct fs *fs, const struct dataset_row *dataset, uint64_t ino)
{
	struct node_row top, row;

	if (catalog_node(fs->catalog, dataset->ino, &top))
		return true;
	while (ino && ino != dataset->ino) {
		if (catalog_node(fs->catalog, ino, &row) || access_is_stricter(&top, &row))
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
		bool folder;
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

static bool recall(struct access_memo *m, uint64_t version, uint32_t image, enum show show, struct stat *st)
{
	bool folder = S_ISDIR(st->st_mode);
	size_t i = memo_slot(image, show, folder);

	scope_lock(&m->lock);
	if (m->slot[i].version != version || m->slot[i].image != image || m->slot[i].show != show || m->slot[i].folder != folder)
		return false;
	st->st_uid = m->slot[i].uid;
	st->st_gid = m->slot[i].gid;
	st->st_mode = (st->st_mode & S_IFMT) | m->slot[i].mode;
	return true;
}

static void remember(struct access_memo *m, uint64_t version, uint32_t image, enum show show, const struct stat *st)
{
	bool folder = S_ISDIR(st->st_mode);
	size_t i = memo_slot(image, show, folder);

	scope_lock(&m->lock);
	m->slot[i].version = version;
	m->slot[i].image = image;
	m->slot[i].show = show;
	m->slot[i].folder = folder;
	m->slot[i].uid = st->st_uid;
	m->slot[i].gid = st->st_gid;
	m->slot[i].mode = st->st_mode & 07777;
}

int access_of_image(struct fs *fs, const struct dataset_row *dataset, const struct record_image *image, enum show show,
		    struct stat *st)
{
	uint64_t version = catalog_version(fs->catalog); /* before looking: what changes meanwhile makes it old */
	int rc;

	if (fs->access && recall(fs->access, version, image->id, show, st))
		return 0;
	rc = work_out(fs, dataset, image, show, st);
	if (!rc && fs->access)
		remember(fs->access, version, image->id, show, st);
	return rc;
}
