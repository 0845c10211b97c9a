/*
 * access: who may do what (DESIGN section 2). Permission is said once, as owner, group, mode and access control list on the nodes
 * below datasets/.
 * The kernel enforces what node_attr() reports; what it cannot check asks may().
 */
#ifndef TOMOFS_ACCESS_H
#define TOMOFS_ACCESS_H

#include "fs/fs.h"

enum verb {
	VERB_LOOK,  /* see its name in a list, its facts, its picture and its small levels: reading, or whom user.tomofs.look names */
	VERB_READ,  /* tag it, comment on it */
	VERB_WRITE, /* set facts, rename, move */
};

/* 0; -EACCES: not allowed, or the caller's groups cannot be learned; -ENOENT: no such dataset. */
int may(struct fs *fs, const struct dataset_row *dataset, const struct caller *who, enum verb verb);

/* May the caller make something in a folder of the catalog? What the kernel asks for a mkdir there. 0, -EACCES, -ENOENT. */
int access_may_make(struct fs *fs, const struct caller *who, uint64_t folder);

enum show {
	SHOW_FULL, /* originals or full pixels: open to those who may read the originals */
	SHOW_LOOK, /* picture, facts, levels of at most SHOW_LOOK_PIXELS on each axis: also to those whom `look` names */
};
enum { SHOW_LOOK_PIXELS = 1024 };

/* Owner, group and permission bits that what is shown of a dataset carries: those of its top folder or file, less what may not be
 * written, less what a folder above it forbids; with SHOW_LOOK also read for the group (look=groups) or all (look=all). For a
 * folder the execute bits follow the read bits. Fills st_mode's permission bits, st_uid, st_gid; type bits are kept. acl (NULL:
 * not wanted): the list that goes with them; count 0: there is none. */
struct acl;
int access_of_dataset(struct fs *fs, const struct dataset_row *dataset, enum show show, struct stat *st, struct acl *acl);
/* The same, less what the files of this image (its folder, its files, and the folders on the way) forbid. */
int access_of_image(struct fs *fs, const struct dataset_row *dataset, const struct record_image *image, enum show show,
		    struct stat *st, struct acl *acl);

/*
 * Texts and lists of a dataset are open to all who may read its top, and do not depend on who asks. So what is closed more tightly
 * than the top stays out of them. access_is_stricter(): this file or folder by itself; access_hides(): it, or a folder between it and
 * the dataset's top (true also when that cannot be learned).
 */
bool access_is_stricter(struct fs *fs, const struct node_row *top, const struct node_row *row);
bool access_hides(struct fs *fs, const struct dataset_row *dataset, uint64_t ino);

/* Remembers what access_of_image() worked out, until anything in the catalog changes: a listing of a view asks for each slice. */
struct access_memo *access_memo_new(void);
void access_memo_free(struct access_memo *memo);

/* Is uid (with primary group gid) a member of group? Asks /proc/PID. 1, 0, or -EACCES when it cannot be learned. */
int access_in_group(const struct caller *who, uint32_t group);

#endif
