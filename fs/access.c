#include "fs/access.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/node.h"
#include "store/err.h"

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

int may(struct fs *fs, const struct dataset_row *dataset, const struct caller *who, enum verb verb)
{
	struct node_row top;
	int rc, need;

	if (who->uid == 0)
		return 0;
	rc = catalog_node(fs->catalog, dataset->ino, &top);
	if (rc)
		return rc;
	rc = bits_for(who, top.uid, top.gid, top.mode);
	need = verb == VERB_WRITE ? 2 : 4;
	if (S_ISDIR(top.mode))
		need |= 1;
	if (rc < 0 || (rc & need) != need)
		return err_set(EACCES, "%s: you have no permission for it", dataset->name);
	rc = may_reach(fs, top.parent, who);
	if (rc == -EACCES)
		err_set(EACCES, "%s: you have no permission for the folder that it is in", dataset->name);
	return rc;
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

int access_of_dataset(struct fs *fs, const struct dataset_row *dataset, struct stat *st)
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

int access_of_image(struct fs *fs, const struct dataset_row *dataset, const struct record_image *image, struct stat *st)
{
	struct node_row row;
	uint64_t ino = image->ino;
	int rc = access_of_dataset(fs, dataset, st);

	if (!rc)
		rc = catalog_node(fs->catalog, ino, &row);
	if (rc)
		return rc;
	if (S_ISDIR(row.mode)) {
		scope_entries struct entries entries = { 0 };
		struct node_row file;

		limit(st, &row, 1);
		limit(st, &row, 4);
		rc = catalog_list(fs->catalog, ino, &entries);
		for (size_t i = 0; !rc && i < entries.count; i++) {
			if (S_ISREG(entries.list[i].mode) && !catalog_node(fs->catalog, entries.list[i].ino, &file))
				limit(st, &file, 4);
		}
	} else {
		limit(st, &row, 4);
	}
	return rc ? rc : limit_by_folders(fs, row.parent, dataset->ino, st);
}
