/* Modes, owners, times, attributes: who may do what. */
#include "tests/posix/posix.h"

#include <sys/xattr.h>

static bool ctime_moves(const char *path, int (*change)(const char *path))
{
	struct stat before = stat_of(path), after;

	pause_ms(10);
	if (change(path))
		return false;
	after = stat_of(path);
	return later(after.st_ctim, before.st_ctim);
}

static int chmod_444(const char *p) { return chmod(p, 0444); }
static int chown_other(const char *p) { return chown(p, OTHER, OTHER); }
static int set_attribute(const char *p) { return setxattr(p, "user.a", "b", 1, 0); }
static int drop_attribute(const char *p) { return removexattr(p, "user.a"); }
static int cut(const char *p) { return truncate(p, 3); }

void area_mode(void)
{
	struct stat st;
	int fd;

	OK(put("f", "text"));
	OK(mkdir("d", 0755));
	OK(symlink("f", "sym"));
	SO(ctime_moves("f", chmod_444));
	SAME(mode_of("f"), 0444);
	OK(chmod("sym", 0640));
	SAME(mode_of("f"), 0640);
	OK(chmod("f", 06711));
	SAME(mode_of("f"), 06711);
	OK(chmod("d", 07777));
	SAME(mode_of("d"), 07777);
	OK(chown("f", OWNER, OWNER));
	OK(chmod("f", 0644));
	as(OTHER, OTHER, 0);
	FAILS(chmod("f", 0666), EPERM);
	as(OWNER, OWNER, 0);
	OK(chmod("f", 02755));
	SAME(mode_of("f"), 02755);
	as_root();
	OK(chown("f", OWNER, THIRD));
	as(OWNER, OWNER, 0);
	OK(chmod("f", 02755)); /* not of that group: the bit falls */
	SAME(mode_of("f"), 0755);
	OK(chmod("f", 04755));
	SAME(mode_of("f"), 04755);
	as_root();
	/* A write by somebody else takes the bits away, as by the owner without the right to keep them. */
	OK(chmod("f", 06777));
	as(OTHER, OTHER, 0);
	fd = open("f", O_WRONLY);
	SAME(write(fd, "x", 1), 1);
	close(fd);
	SAME(mode_of("f"), 0777);
	as_root();
	OK(chmod("f", 06777));
	as(OTHER, OTHER, 0);
	OK(truncate("f", 1));
	SAME(mode_of("f"), 0777);
	as_root();
	OK(chmod("f", 06777));
	fd = open("f", O_WRONLY);
	SAME(write(fd, "x", 1), 1);
	close(fd);
	SAME(mode_of("f"), 06777); /* root keeps them */
	OK(chmod("d", 0700));
	OK(put("d/in", "x"));
	as(OWNER, OWNER, 0);
	FAILS(stat("d/in", &st), EACCES);
	FAILS(chmod("d/in", 0600), EACCES);
	FAILS(open("d", O_RDONLY), EACCES);
	as_root();
	OK(chmod("d", 0711));
	as(OWNER, OWNER, 0);
	SO(holds("d/in", "x"));
	FAILS(open("d", O_RDONLY), EACCES);
	FAILS(open("d/in", O_RDWR), EACCES);
	FAILS(open("d/new", O_RDWR | O_CREAT, 0600), EACCES);
	FAILS(unlink("d/in"), EACCES);
	FAILS(truncate("d/in", 0), EACCES);
	as_root();
	OK(chmod("d/in", 0060));
	OK(chown("d/in", OWNER, THIRD));
	as(OWNER, THIRD, 0); /* the owner's bits count for the owner, though the group has more */
	FAILS(open("d/in", O_RDONLY), EACCES);
	as(OTHER, OTHER, THIRD);
	OK(open("d/in", O_RDWR));
	as_root();
	OK(faccessat(AT_FDCWD, "d/in", R_OK | W_OK, AT_EACCESS));
	FAILS(faccessat(AT_FDCWD, "d/in", X_OK, AT_EACCESS), EACCES);
}

void area_owner(void)
{
	struct stat st;

	OK(put("f", "text"));
	OK(symlink("f", "sym"));
	OK(mkdir("d", 0755));
	SO(ctime_moves("f", chown_other));
	OK(lchown("sym", OWNER, OWNER));
	SAME(stat_of("sym").st_uid, OWNER);
	SAME(stat_of("f").st_uid, OTHER);
	OK(chown("f", OWNER, (gid_t)-1));
	SAME(stat_of("f").st_uid, OWNER);
	SAME(stat_of("f").st_gid, OTHER);
	OK(chown("f", (uid_t)-1, THIRD));
	SAME(stat_of("f").st_uid, OWNER);
	SAME(stat_of("f").st_gid, THIRD);
	st = stat_of("f");
	OK(chown("f", (uid_t)-1, (gid_t)-1));
	SAME(stat_of("f").st_gid, st.st_gid);
	as(OWNER, OWNER, OTHER);
	OK(chown("f", (uid_t)-1, OTHER));
	OK(chown("f", OWNER, OWNER));
	FAILS(chown("f", OTHER, OWNER), EPERM);
	FAILS(chown("f", OWNER, THIRD), EPERM);
	FAILS(chown("f", OTHER, (gid_t)-1), EPERM);
	as(THIRD, THIRD, 0);
	FAILS(chown("f", (uid_t)-1, THIRD), EPERM);
	as_root();
	OK(chmod("f", 06555));
	as(OWNER, OWNER, OTHER);
	OK(chown("f", OWNER, OTHER));
	SAME(mode_of("f"), 0555);
	as_root();
	OK(chmod("f", 06555));
	as(OWNER, OWNER, OTHER);
	OK(chown("f", (uid_t)-1, OWNER));
	SAME(mode_of("f"), 0555);
	as_root();
	OK(chmod("f", 06555));
	OK(chown("f", OWNER, OTHER));
	SAME(mode_of("f"), 0555);
	OK(chmod("f", 02666)); /* without the right to execute for the group it meant locking */
	OK(chown("f", OTHER, OWNER));
	SAME(mode_of("f"), 02666);
	OK(chmod("d", 06755));
	OK(chown("d", OWNER, OTHER));
	SAME(mode_of("d"), 06755);
	OK(chown("f", 4000000000U, 4000000001U));
	SAME(stat_of("f").st_uid, 4000000000U);
	SAME(stat_of("f").st_gid, 4000000001U);
}

static int set_times(const char *path, long as_, long an, long ms, long mn)
{
	struct timespec t[] = { { as_, an }, { ms, mn } };

	return utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW);
}

static void times_may(void)
{
	OK(chown("f", OWNER, OWNER));
	OK(chmod("f", 0644));
	as(OTHER, OTHER, 0);
	FAILS(set_times("f", 0, UTIME_NOW, 0, UTIME_NOW), EACCES);
	FAILS(set_times("f", 1, 0, 2, 0), EPERM);
	FAILS(set_times("f", 0, UTIME_OMIT, 0, UTIME_NOW), EPERM);
	OK(set_times("f", 0, UTIME_OMIT, 0, UTIME_OMIT));
	as_root();
	OK(chmod("f", 0666));
	as(OTHER, OTHER, 0);
	OK(set_times("f", 0, UTIME_NOW, 0, UTIME_NOW));
	FAILS(set_times("f", 1, 0, 2, 0), EPERM);
	as(OWNER, OWNER, 0);
	OK(set_times("f", 1, 0, 2, 0));
	as_root();
}

void area_times(void)
{
	struct stat st, before;
	struct timespec now;
	int fd;

	OK(put("f", "text"));
	OK(symlink("f", "sym"));
	OK(mkdir("d", 0755));
	OK(mkfifo("p", 0644));
	for (const char *const *p = (const char *const[]){ "f", "sym", "d", "p", NULL }; *p; p++) {
		OK(set_times(*p, 1000000007, 123456789, 2000000011, 987654321));
		st = stat_of(*p);
		SAME(ns_of(st.st_atim), 1000000007123456789LL);
		SAME(ns_of(st.st_mtim), 2000000011987654321LL);
		OK(set_times(*p, 0, UTIME_OMIT, 7, 1));
		SAME(ns_of(stat_of(*p).st_atim), 1000000007123456789LL);
		SAME(ns_of(stat_of(*p).st_mtim), 7000000001LL);
		clock_gettime(CLOCK_REALTIME, &now);
		OK(set_times(*p, 5, 6, 0, UTIME_NOW));
		SO(ns_of(stat_of(*p).st_mtim) > ns_of(now) - 1000000000LL);
		SAME(ns_of(stat_of(*p).st_atim), 5000000006LL);
		OK(set_times(*p, -5, 999999999, 4294967296L + 5, 1)); /* before 1970, after 2106 */
		SAME(stat_of(*p).st_atim.tv_sec, -5);
		SAME(stat_of(*p).st_mtim.tv_sec, 4294967301LL);
	}
	FAILS(set_times("f", 1, 1000000000, 1, 0), EINVAL);
	FAILS(set_times("none", 1, 0, 1, 0), ENOENT);
	times_may();
	fd = open("f", O_RDWR);
	OK(set_times("f", 1, 0, 2, 0));
	SAME(write(fd, "x", 1), 1);
	SO(stat_of("f").st_mtim.tv_sec > 2);
	OK(set_times("f", 3, 0, 4, 5)); /* while it is open */
	OK(close(fd));
	SAME(ns_of(stat_of("f").st_mtim), 4000000005LL);
	before = stat_of("f");
	pause_ms(10);
	OK(truncate("f", stat_of("f").st_size)); /* the same size: the time moves all the same */
	SO(later(stat_of("f").st_mtim, before.st_mtim));
	SO(later(stat_of("f").st_ctim, before.st_ctim));
	before = stat_of("f");
	pause_ms(10);
	fd = open("f", O_WRONLY | O_TRUNC);
	close(fd);
	SO(later(stat_of("f").st_mtim, before.st_mtim));
	before = stat_of("f");
	pause_ms(10);
	SO(holds("f", ""));
	SAME(ns_of(stat_of("f").st_mtim), ns_of(before.st_mtim));
	SAME(ns_of(stat_of("f").st_ctim), ns_of(before.st_ctim));
	SO(ctime_moves("f", cut));
	SO(ctime_moves("f", set_attribute));
	SO(ctime_moves("f", drop_attribute));
}

static void attributes_have_limits(void)
{
	static char big[65537];
	char name[300] = "user.";

	memset(name + 5, 'n', 250);
	OK(setxattr("f", name, "v", 1, 0));
	OK(removexattr("f", name));
	name[255] = 'n';
	FAILS(setxattr("f", name, "v", 1, 0), ERANGE);
	FAILS(setxattr("f", "", "v", 1, 0), ERANGE);
	FAILS(setxattr("f", "user.big", big, sizeof big, 0), E2BIG);
	OK(setxattr("f", "user.some", big, 2000, 0));
	SAME(getxattr("f", "user.some", NULL, 0), 2000);
	FAILS(getxattr("f", "user.some", big, 1999), ERANGE);
	SAME(getxattr("f", "user.some", big, sizeof big), 2000);
	OK(removexattr("f", "user.some"));
	FAILS(setxattr("f", "odd.name", "v", 1, 0), EOPNOTSUPP);
	FAILS(getxattr("f", "odd.name", big, 10), EOPNOTSUPP);
	FAILS(setxattr("f", "user.x", "v", 1, 8), EINVAL);
}

void area_xattr(void)
{
	char value[16], names[64];

	OK(put("f", "text"));
	OK(symlink("f", "sym"));
	OK(mkfifo("p", 0666));
	FAILS(getxattr("f", "user.a", value, sizeof value), ENODATA);
	FAILS(removexattr("f", "user.a"), ENODATA);
	FAILS(setxattr("f", "user.a", "v", 1, XATTR_REPLACE), ENODATA);
	OK(setxattr("f", "user.a", "v", 1, XATTR_CREATE));
	FAILS(setxattr("f", "user.a", "w", 1, XATTR_CREATE), EEXIST);
	OK(setxattr("f", "user.a", "w\0w", 3, XATTR_REPLACE));
	SAME(getxattr("f", "user.a", value, sizeof value), 3);
	SO(memcmp(value, "w\0w", 3) == 0);
	OK(setxattr("f", "user.empty", "", 0, 0));
	SAME(getxattr("f", "user.empty", value, sizeof value), 0);
	SAME(listxattr("f", NULL, 0), 18);
	SAME(listxattr("f", names, sizeof names), 18);
	FAILS(listxattr("f", names, 17), ERANGE);
	FAILS(lsetxattr("sym", "user.a", "v", 1, 0), EPERM);
	FAILS(setxattr("p", "user.a", "v", 1, 0), EPERM);
	FAILS(setxattr("none", "user.a", "v", 1, 0), ENOENT);
	attributes_have_limits();
	OK(chown("f", OWNER, OWNER));
	OK(chmod("f", 0644));
	as(OTHER, OTHER, 0);
	SAME(getxattr("f", "user.a", value, sizeof value), 3);
	FAILS(setxattr("f", "user.a", "v", 1, 0), EACCES);
	FAILS(removexattr("f", "user.a"), EACCES);
	FAILS(setxattr("f", "trusted.a", "v", 1, 0), EPERM);
	as_root();
	OK(chmod("f", 0600));
	as(OTHER, OTHER, 0);
	FAILS(getxattr("f", "user.a", value, sizeof value), EACCES);
	as_root();
	OK(rename("f", "g"));
	SAME(getxattr("g", "user.a", value, sizeof value), 3);
}
