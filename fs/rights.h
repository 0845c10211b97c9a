/*
 * rights: who has which of the three permission bits on something: an owner, a group and an access control list, with the mask already
 * taken off. From a node below datasets/, or worked out for what shows several of them (access.h).
 */
#ifndef TOMOFS_RIGHTS_H
#define TOMOFS_RIGHTS_H

#include "fs/fs.h"
#include "index/acl.h"

struct rights {
	uint32_t uid, gid;
	struct acl acl; /* never a mask in it */
};

/* What a node's mode, or its list, says. 0, -EIO. */
int rights_of(struct fs *fs, const struct node_row *row, struct rights *r);
/* May the caller do all of want? 1; 0; -EACCES: it depends on groups that cannot be learned. */
int rights_allow(const struct rights *r, const struct caller *who, uint32_t want);

/* Only reading is left: of what is itself a folder or not, to be shown as a folder or not. A folder that shows something needs both bits,
 * and gives both. */
void rights_to_show(struct rights *r, bool is_folder, bool as_folder);
/* Takes away from everybody who has not got this bit in `by`, which is something on the way. A user or group keeps a bit when `by` gives it
 * to the same user or group, or else to all. */
void rights_limit(struct rights *r, const struct rights *by, uint32_t bit);
/* Gives these bits to the group, or to everybody. */
void rights_widen(struct rights *r, bool all, uint32_t bits);
/* Does r let somebody read whom `by` does not give all of need? */
bool rights_exceed(const struct rights *r, const struct rights *by, uint32_t need);

/* As permission bits, and as a list with its mask; count 0: the bits say all. acl may be NULL. */
uint32_t rights_mode(const struct rights *r, struct acl *acl);

#endif
