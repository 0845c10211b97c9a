/*
 * acl: POSIX access control lists (POSIX 1003.1e draft 17), as the kernel passes them in the attributes system.posix_acl_access and
 * system.posix_acl_default: u32 version 2, then 8 bytes an entry: u16 tag, u16 permission, u32 user or group; all little-endian
 * (linux/posix_acl_xattr.h). A mode is a list of three entries.
 *
 * Threads: any; nothing is kept.
 */
#ifndef TOMOFS_ACL_H
#define TOMOFS_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"

#define ACL_NAME_ACCESS "system.posix_acl_access"
#define ACL_NAME_DEFAULT "system.posix_acl_default"

enum acl_tag { /* in the order in which entries stand */
	TAG_USER_OBJ = 1,
	TAG_USER = 2, /* any number, by id */
	TAG_GROUP_OBJ = 4,
	TAG_GROUP = 8,
	TAG_MASK = 16, /* must be there when there are named users or groups: the most that they and the owning group have */
	TAG_OTHER = 32,
};
enum { ACL_ENTRIES_MAX = 511 }; /* what fits in a page, the kernel's limit */

struct acl_entry {
	uint16_t tag, perm; /* perm: 4 read, 2 write, 1 execute */
	uint32_t id;        /* of TAG_USER and TAG_GROUP, else UINT32_MAX */
};
struct acl {
	size_t count;
	struct acl_entry list[ACL_ENTRIES_MAX];
};

/* Is it one of the two names? */
bool acl_is_name(const char *name);
/* 0; -EINVAL: not a list that POSIX allows; -EOPNOTSUPP: another version. No entries at all is a list too: count 0. */
int acl_decode(const void *bytes, size_t len, struct acl *acl);
void acl_encode(struct buf *out, const struct acl *acl);

void acl_of_mode(struct acl *acl, uint32_t mode);
/* The nine permission bits that it shows as: those of the group are the mask where there is one. */
uint32_t acl_mode(const struct acl *acl);
/* Does it say no more than a mode? */
bool acl_is_mode(const struct acl *acl);
/* chmod(2): owner, others, and the mask or else the group. What a new node gets from its folder's default list is the same. */
void acl_chmod(struct acl *acl, uint32_t mode);

/* Who asks: is the caller in this group? 1, 0, -errno. */
typedef int (*acl_member)(void *ctx, uint32_t group);
/* May uid do all of `want` (permission bits) to what uid `owner` and group `group` have? 1, 0, or what member() failed with. */
int acl_allows(const struct acl *acl, uint32_t owner, uint32_t group, uint32_t uid, uint32_t want, acl_member member, void *ctx);

#endif
