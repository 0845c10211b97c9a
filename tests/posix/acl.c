/* POSIX access control lists, as the kernel's attributes system.posix_acl_access and system.posix_acl_default. */
#include "tests/posix/posix.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/xattr.h>

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

struct list {
	struct posix_acl_xattr_header head;
	struct posix_acl_xattr_entry entry[8];
};

static size_t add(struct list *l, size_t n, unsigned tag, unsigned perm, unsigned id)
{
	l->head.a_version = POSIX_ACL_XATTR_VERSION;
	l->entry[n] = (struct posix_acl_xattr_entry){ (uint16_t)tag, (uint16_t)perm, id };
	return n + 1;
}

static int set(const char *path, const char *name, const struct list *l, size_t n)
{
	return setxattr(path, name, l, sizeof l->head + n * sizeof l->entry[0], 0);
}

/* user::uo, user:who:u, group::g, [mask::m,] other::o */
static int give(const char *path, const char *name, unsigned uo, unsigned who, unsigned u, unsigned g, int m, unsigned o)
{
	struct list l;
	size_t n = add(&l, 0, ACL_USER_OBJ, uo, ACL_UNDEFINED_ID);

	if (u < 8)
		n = add(&l, n, ACL_USER, u, who);
	n = add(&l, n, ACL_GROUP_OBJ, g, ACL_UNDEFINED_ID);
	if (m >= 0)
		n = add(&l, n, ACL_MASK, (unsigned)m, ACL_UNDEFINED_ID);
	n = add(&l, n, ACL_OTHER, o, ACL_UNDEFINED_ID);
	return set(path, name, &l, n);
}

/* The permission of an entry; -1: there is none, or no list. */
static int perm(const char *path, const char *name, unsigned tag)
{
	struct list l;
	ssize_t n = getxattr(path, name, &l, sizeof l);

	for (size_t i = 0; n > 0 && i < ((size_t)n - sizeof l.head) / sizeof l.entry[0]; i++)
		if (l.entry[i].e_tag == tag)
			return l.entry[i].e_perm;
	return -1;
}

static void lists_and_modes(void)
{
	OK(put("f", "text"));
	FAILS(getxattr("f", ACCESS, NULL, 0), ENODATA);
	OK(give("f", ACCESS, 6, OTHER, 8, 4, -1, 0)); /* says no more than a mode: becomes one */
	SAME(mode_of("f"), 0640);
	FAILS(getxattr("f", ACCESS, NULL, 0), ENODATA);
	OK(give("f", ACCESS, 6, OTHER, 6, 4, 6, 0));
	SAME(mode_of("f"), 0660);
	SAME(perm("f", ACCESS, ACL_GROUP_OBJ), 4);
	SAME(perm("f", ACCESS, ACL_USER), 6);
	OK(chmod("f", 0741));
	SAME(perm("f", ACCESS, ACL_USER_OBJ), 7);
	SAME(perm("f", ACCESS, ACL_MASK), 4);
	SAME(perm("f", ACCESS, ACL_GROUP_OBJ), 4);
	SAME(perm("f", ACCESS, ACL_OTHER), 1);
	OK(removexattr("f", ACCESS));
	FAILS(getxattr("f", ACCESS, NULL, 0), ENODATA);
	FAILS(give("f", DEFAULT, 7, OTHER, 8, 5, -1, 5), EACCES);
	FAILS(give("f", ACCESS, 6, OTHER, 6, 4, -1, 0), EINVAL); /* a named user without a mask */
	FAILS(setxattr("f", ACCESS, "xxxx", 4, 0), EOPNOTSUPP);
	FAILS(setxattr("f", ACCESS, "x", 1, 0), EINVAL);
}

static void lists_are_obeyed(void)
{
	OK(put("g", "text"));
	OK(chown("g", OWNER, OWNER));
	OK(give("g", ACCESS, 6, OTHER, 4, 0, 4, 0));
	as(OTHER, OTHER, 0);
	SO(holds("g", "text"));
	FAILS(open("g", O_WRONLY), EACCES);
	FAILS(give("g", ACCESS, 6, OTHER, 6, 0, 6, 0), EPERM);
	as(THIRD, THIRD, 0);
	FAILS(open("g", O_RDONLY), EACCES);
	as(THIRD, OWNER, 0);
	FAILS(open("g", O_RDONLY), EACCES);
	as(OWNER, OWNER, 0);
	OK(give("g", ACCESS, 6, OTHER, 6, 4, 4, 0));
	as(OTHER, OTHER, 0);
	FAILS(open("g", O_RDWR), EACCES); /* the mask takes it away */
	as(THIRD, OWNER, 0);
	SO(holds("g", "text"));
	as_root();
	OK(mkdir("d", 0700));
	OK(put("d/in", "x"));
	OK(give("d", ACCESS, 7, THIRD, 5, 0, 5, 0));
	as(THIRD, THIRD, 0);
	SO(holds("d/in", "x"));
	FAILS(touch("d/new", 0644), EACCES);
	as_root();
	OK(chmod("d", 0700));
	as(THIRD, THIRD, 0);
	FAILS(open("d/in", O_RDONLY), EACCES);
	as_root();
}

static void lists_are_inherited(void)
{
	umask(077);
	OK(mkdir("h", 0755));
	OK(give("h", DEFAULT, 7, OTHER, 7, 5, 7, 0));
	OK(mkdir("h/d", 0777)); /* the umask does not count here */
	SAME(mode_of("h/d"), 0770);
	SAME(perm("h/d", ACCESS, ACL_USER), 7);
	SAME(perm("h/d", DEFAULT, ACL_USER), 7);
	OK(close(open("h/d/f", O_CREAT | O_WRONLY, 0666)));
	SAME(mode_of("h/d/f"), 0660);
	SAME(perm("h/d/f", ACCESS, ACL_MASK), 6);
	SAME(perm("h/d/f", ACCESS, ACL_GROUP_OBJ), 5);
	SAME(perm("h/d/f", ACCESS, ACL_USER), 7);
	OK(mkfifo("h/p", 0600));
	SAME(mode_of("h/p"), 0600);
	SAME(perm("h/p", ACCESS, ACL_MASK), 0);
	OK(symlink("x", "h/s"));
	OK(removexattr("h", DEFAULT));
	FAILS(getxattr("h", DEFAULT, NULL, 0), ENODATA);
	OK(close(open("h/f", O_CREAT | O_WRONLY, 0666)));
	SAME(mode_of("h/f"), 0600);
	OK(give("h", DEFAULT, 7, OTHER, 8, 5, -1, 5)); /* one that says no more than a mode */
	OK(close(open("h/g", O_CREAT | O_WRONLY, 0666)));
	SAME(mode_of("h/g"), 0644);
	FAILS(getxattr("h/g", ACCESS, NULL, 0), ENODATA);
	umask(0);
	SO(perm("h/d/f", ACCESS, ACL_USER) == 7);
	OK(rename("h/d/f", "h/d/f2"));
	SAME(perm("h/d/f2", ACCESS, ACL_USER), 7);
}

void area_acl(void)
{
	lists_and_modes();
	lists_are_obeyed();
	lists_are_inherited();
}
