/*
 * Set-user-id and set-group-id bits, which a write by somebody without the right to keep them takes away. The kernel does it, and asks
 * for security.capability before each write to find out what there is; a libfuse that passes on when to do it lets us, and the
 * kernel asks once a file (HANDLE_KILLPRIV_V2).
 */
#include <stdio.h>

#include "fs/mount_internal.h"

#if FUSE_VERSION > 318 || (FUSE_VERSION == 318 && FUSE_HOTFIX_VERSION >= 3)
#define HAVE_KILL_SUIDGID 1
#else
#define HAVE_KILL_SUIDGID 0
#endif

bool suid_is_ours(void)
{
#if HAVE_KILL_SUIDGID
	int major = 0, minor = 0, fix = 0;

	/* An older library of the same name leaves the bit out of struct fuse_file_info: nobody would do it. */
	if (sscanf(fuse_pkgversion(), "%d.%d.%d", &major, &minor, &fix) < 2)
		return false;
	return major > 3 || (major == 3 && (minor > 18 || (minor == 18 && fix >= 3)));
#else
	return false;
#endif
}

bool suid_asked(const struct fuse_file_info *fi)
{
#if HAVE_KILL_SUIDGID
	return fi->kill_suidgid;
#else
	(void)fi;
	return false;
#endif
}

/* As the kernel does it: without the right to execute for the group, the bit means something else. */
static mode_t without(mode_t mode)
{
	return mode & ~(mode_t)(mode & S_IXGRP ? S_ISUID | S_ISGID : S_ISUID);
}

int suid_change(struct fs *fs, const struct node *node, struct attr_change *change)
{
	struct stat st;
	int rc;

	if (change->set & CHANGE_MODE)
		return 0;
	rc = node_attr(fs, node, &st);
	if (rc || !S_ISREG(st.st_mode) || without(st.st_mode) == st.st_mode)
		return rc;
	change->set |= CHANGE_MODE;
	change->mode = without(st.st_mode);
	return 0;
}

int suid_drop(struct request *r)
{
	struct attr_change change = { 0 };
	int rc = suid_change(r->fs, &r->node, &change);

	if (rc || !change.set)
		return rc;
	rc = node_set_attr(r->fs, &r->who, &r->node, &change);
	if (!rc && r->fs->forget_node)
		r->fs->forget_node(r->fs, r->node.number); /* the kernel knows the old mode */
	return rc;
}
