/* Making, linking, renaming, removing. */
#include "tests/posix/posix.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static int rename2(const char *from, const char *to, unsigned flags)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static int make_socket(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), rc;

	strncpy(at.sun_path, path, sizeof at.sun_path - 1);
	rc = bind(fd, (struct sockaddr *)&at, sizeof at);
	close(fd);
	return rc;
}

static void parents_follow(const char *path, int (*make)(const char *path))
{
	struct stat before = stat_of("."), after;

	pause_ms(10);
	OK(make(path));
	after = stat_of(".");
	SO(later(after.st_mtim, before.st_mtim));
	SO(later(after.st_ctim, before.st_ctim));
}

static int make_file(const char *p) { return touch(p, 0644); }
static int make_folder(const char *p) { return mkdir(p, 0755); }
static int make_fifo(const char *p) { return mkfifo(p, 0644); }
static int make_link(const char *p) { return symlink("nowhere", p); }
static int make_name(const char *p) { return link("file", p); }

static void refused_everywhere(int (*make)(const char *path))
{
	FAILS(make("file"), EEXIST);
	FAILS(make("folder"), EEXIST);
	FAILS(make("dangling"), EEXIST);
	FAILS(make("none/x"), ENOENT);
	FAILS(make("file/x"), ENOTDIR);
	FAILS(make("loop/x"), ELOOP);
	as(OWNER, OWNER, 0);
	FAILS(make("folder/x"), EACCES);
	as_root();
}

void area_make(void)
{
	struct stat st;

	parents_follow("file", make_file);
	OK(chmod("file", 0666)); /* else nobody else may link it: protected_hardlinks */
	parents_follow("folder", make_folder);
	parents_follow("fifo", make_fifo);
	parents_follow("dangling", make_link);
	OK(symlink("loop", "loop"));
	refused_everywhere(make_file);
	refused_everywhere(make_folder);
	refused_everywhere(make_fifo);
	refused_everywhere(make_link);
	refused_everywhere(make_name);
	SO(S_ISFIFO(stat_of("fifo").st_mode));
	OK(make_socket("socket"));
	SO(S_ISSOCK(stat_of("socket").st_mode));
	FAILS(make_socket("socket"), EADDRINUSE);
	OK(mknod("plain", S_IFREG | 0640, 0));
	SO(S_ISREG(stat_of("plain").st_mode));
	SAME(mode_of("plain"), 0640);
	if (posix_is_tomofs)
		FAILS(mknod("null", S_IFCHR | 0666, makedev(1, 3)), EPERM);
	umask(022);
	OK(mkdir("masked", 0777));
	SAME(mode_of("masked"), 0755);
	OK(mkfifo("masked-fifo", 0666));
	SAME(mode_of("masked-fifo"), 0644);
	umask(0);
	OK(mkdir("sticky", 01777));
	SAME(mode_of("sticky"), 01777);
	OK(mkdir("group", 0777));
	OK(chown("group", OWNER, THIRD));
	OK(chmod("group", 02777));
	as(OTHER, OTHER, 0);
	OK(touch("group/file", 0644));
	OK(mkdir("group/folder", 0755));
	as_root();
	SAME(stat_of("group/file").st_gid, THIRD);
	SAME(stat_of("group/folder").st_gid, THIRD);
	SAME(mode_of("group/folder"), 02755);
	st = stat_of("group/file");
	SAME(st.st_uid, OTHER);
	SAME(stat_of("group").st_nlink, 3);
	SAME(st.st_nlink, 1);
}

static void links_count(void)
{
	struct stat before, after;

	OK(put("a", "text"));
	before = stat_of("a");
	pause_ms(10);
	OK(link("a", "b"));
	after = stat_of("a");
	SAME(after.st_nlink, 2);
	SAME(after.st_ino, stat_of("b").st_ino);
	SO(later(after.st_ctim, before.st_ctim));
	SAME(ns_of(after.st_mtim), ns_of(before.st_mtim));
	OK(mkdir("sub", 0755));
	OK(link("b", "sub/c"));
	SAME(stat_of("a").st_nlink, 3);
	SO(holds("sub/c", "text"));
	OK(put("sub/c", "other"));
	SO(holds("a", "other"));
	OK(chmod("b", 0600));
	SAME(mode_of("sub/c"), 0600);
	before = stat_of("a");
	pause_ms(10);
	OK(unlink("a"));
	after = stat_of("b");
	SAME(after.st_nlink, 2);
	SO(later(after.st_ctim, before.st_ctim));
	SO(holds("b", "other"));
	FAILS(access("a", F_OK), ENOENT);
	OK(rename("b", "a"));
	OK(rename("sub/c", "sub/d"));
	SAME(stat_of("sub/d").st_nlink, 2);
	OK(rename("a", "sub/d")); /* two names of one file: nothing happens */
	SO(holds("a", "other"));
	SAME(stat_of("a").st_nlink, 2);
	OK(put("e", "new"));
	OK(rename("e", "sub/d"));
	SAME(stat_of("a").st_nlink, 1);
	SO(holds("a", "other"));
	SO(holds("sub/d", "new"));
}

static void links_of_all_kinds(void)
{
	struct stat st;
	int fd;

	OK(mkfifo("fifo", 0644));
	OK(link("fifo", "fifo2"));
	SAME(stat_of("fifo2").st_nlink, 2);
	SO(S_ISFIFO(stat_of("fifo2").st_mode));
	OK(symlink("a", "sym"));
	OK(link("sym", "sym2"));
	SO(S_ISLNK(stat_of("sym2").st_mode));
	SAME(stat_of("sym").st_nlink, 2);
	OK(linkat(AT_FDCWD, "sym", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
	SAME(stat_of("followed").st_ino, stat_of("a").st_ino);
	FAILS(link("sub", "sub2"), EPERM);
	FAILS(link("none", "x"), ENOENT);
	fd = open("gone", O_CREAT | O_RDWR, 0644);
	SO(write(fd, "abc", 3) == 3);
	OK(link("gone", "gone2"));
	OK(unlink("gone2"));
	OK(unlink("gone"));
	OK(fstat(fd, &st));
	SAME(st.st_nlink, 0);
	SAME(st.st_size, 3);
	close(fd);
}

void area_link(void)
{
	char name[32];

	links_count();
	links_of_all_kinds();
	OK(put("many", "x"));
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "many-%d", i);
		OK(link("many", name));
	}
	SAME(stat_of("many").st_nlink, 201);
	OK(unlink("many"));
	for (int i = 0; i < 199; i++) {
		snprintf(name, sizeof name, "many-%d", i);
		OK(unlink(name));
	}
	SAME(stat_of("many-199").st_nlink, 1);
	SO(holds("many-199", "x"));
	OK(mkdir("closed", 0755));
	OK(chmod("a", 0666));
	as(OWNER, OWNER, 0);
	FAILS(link("a", "closed/a"), EACCES);
	as_root();
}

static void renames_of_folders(void)
{
	OK(mkdir("d1", 0755));
	OK(mkdir("d1/in", 0755));
	OK(mkdir("d2", 0755));
	FAILS(rename("d1", "d1/in/x"), EINVAL);
	FAILS(rename("d1", "d1/x"), EINVAL);
	FAILS(rename("d2", "d1"), ENOTEMPTY);
	FAILS(rename("f1", "d1"), EISDIR);
	FAILS(rename("d1", "f1"), ENOTDIR);
	FAILS(rename("d1/in", "d1/."), EBUSY);
	FAILS(rename("d1", ".."), EBUSY);
	OK(rename("d1", "d2"));
	SAME(stat_of("d2").st_nlink, 3);
	OK(mkdir("d3", 0755));
	OK(rename("d2/in", "d3/in"));
	SAME(stat_of("d2").st_nlink, 2);
	SAME(stat_of("d3").st_nlink, 3);
}

void area_rename(void)
{
	static const char *const kinds[] = { "f1", "fifo", "sym", "socket" };
	struct stat before, after;
	char to[32];

	OK(put("f1", "one"));
	OK(put("f2", "two"));
	OK(mkfifo("fifo", 0644));
	OK(symlink("f2", "sym"));
	OK(make_socket("socket"));
	for (size_t i = 0; i < 4; i++) {
		snprintf(to, sizeof to, "%s-2", kinds[i]);
		before = stat_of(kinds[i]);
		OK(rename(kinds[i], to));
		after = stat_of(to);
		SAME(after.st_ino, before.st_ino);
		SAME(after.st_mode, before.st_mode);
		FAILS(access(kinds[i], F_OK), ENOENT);
		OK(rename(to, kinds[i]));
	}
	before = stat_of(".");
	pause_ms(10);
	OK(rename("f1", "f2"));
	after = stat_of(".");
	SO(later(after.st_mtim, before.st_mtim));
	SO(holds("f2", "one"));
	FAILS(rename("f1", "x"), ENOENT);
	FAILS(rename("f2", "none/x"), ENOENT);
	FAILS(rename("f2/x", "x"), ENOTDIR);
	OK(rename("f2", "f2"));
	OK(put("f1", "uno"));
	renames_of_folders();
	FAILS(rename2("f1", "f2", RENAME_NOREPLACE), EEXIST);
	OK(rename2("f1", "f3", RENAME_NOREPLACE));
	OK(rename2("f3", "f1", 0));
	OK(rename2("f1", "f2", RENAME_EXCHANGE));
	SO(holds("f1", "one"));
	SO(holds("f2", "uno"));
	OK(rename2("f1", "d3", RENAME_EXCHANGE));
	SO(S_ISDIR(stat_of("f1").st_mode));
	OK(rename2("f1", "d3", RENAME_EXCHANGE));
	FAILS(rename2("f1", "none", RENAME_EXCHANGE), ENOENT);
	FAILS(rename2("f1", "f2", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
	FAILS(rename2("f1", "f2", 1U << 20), EINVAL);
	if (posix_is_tomofs)
		FAILS(rename2("f1", "f9", RENAME_WHITEOUT), EINVAL);
}

void area_remove(void)
{
	struct stat before, st;
	int fd;
	char text[8] = "";

	OK(put("f", "text"));
	OK(mkdir("d", 0755));
	OK(mkdir("d/in", 0755));
	FAILS(unlink("d"), EISDIR);
	FAILS(rmdir("f"), ENOTDIR);
	FAILS(rmdir("d"), ENOTEMPTY);
	FAILS(rmdir("d/."), EINVAL);
	FAILS(rmdir("d/in/.."), ENOTEMPTY);
	FAILS(unlink("none"), ENOENT);
	FAILS(unlink("f/x"), ENOTDIR);
	before = stat_of(".");
	pause_ms(10);
	fd = open("f", O_RDWR);
	OK(unlink("f"));
	SO(later(stat_of(".").st_mtim, before.st_mtim));
	OK(fstat(fd, &st));
	SAME(st.st_nlink, 0);
	SAME(pread(fd, text, 4, 0), 4);
	SO(memcmp(text, "text", 4) == 0);
	SAME(pwrite(fd, "more", 4, 4), 4);
	OK(fstat(fd, &st));
	SAME(st.st_size, 8);
	OK(ftruncate(fd, 2));
	OK(fchmod(fd, 0600));
	OK(fsync(fd));
	close(fd);
	OK(put("f", "other"));
	fd = open("f", O_RDONLY);
	OK(put("g", "new"));
	OK(rename("g", "f"));
	SAME(read(fd, text, 8), 5);
	SO(memcmp(text, "other", 5) == 0);
	close(fd);
	fd = open("d/in", O_RDONLY | O_DIRECTORY);
	OK(rmdir("d/in"));
	SAME(stat_of("d").st_nlink, 2);
	FAILS(openat(fd, "x", O_CREAT | O_WRONLY, 0644), ENOENT);
	OK(fstat(fd, &st));
	SAME(st.st_nlink, 0);
	close(fd);
	OK(rmdir("d"));
}

/* Who may remove or rename in a folder that everybody writes and that has the sticky bit. */
static void sticky_as(unsigned folder, unsigned file, unsigned who, bool may)
{
	int want = may ? 0 : EPERM;

	OK(mkdir("s", 0777));
	OK(chmod("s", 01777));
	OK(chown("s", folder, folder));
	OK(mkdir("free", 0777));
	OK(touch("s/f", 0666));
	OK(chown("s/f", file, file));
	OK(mkdir("s/d", 0777));
	OK(chown("s/d", file, file));
	OK(touch("s/mine", 0666));
	OK(chown("s/mine", who, who));
	as(who, who, 0);
	FAILS(rename("s/f", "s/g"), want);
	FAILS(rename(may ? "s/g" : "s/f", "free/f"), want);
	FAILS(rename(may ? "free/f" : "s/mine", "s/f"), may ? 0 : EPERM);
	FAILS(rename2("s/mine", "s/f", RENAME_EXCHANGE), want);
	FAILS(rmdir("s/d"), want);
	FAILS(unlink("s/f"), may ? 0 : EPERM);
	as_root();
	unlink("s/f"), unlink("s/mine"), unlink("s/g"), unlink("free/f");
	rmdir("s/d"), rmdir("s");
	OK(rmdir("free"));
}

void area_sticky(void)
{
	sticky_as(OWNER, OTHER, THIRD, false);
	sticky_as(OWNER, OTHER, OTHER, true);
	sticky_as(OTHER, THIRD, OTHER, true);
	sticky_as(0, OTHER, THIRD, false);
}

static void long_names(void)
{
	char name[300], path[PATH_MAX + 10];
	size_t n = 0;

	memset(name, 'n', sizeof name);
	name[255] = 0;
	OK(touch(name, 0644));
	OK(rename(name, "short"));
	OK(link("short", name));
	OK(unlink(name));
	OK(rename("short", name));
	OK(unlink(name));
	OK(mkdir(name, 0755));
	OK(rmdir(name));
	OK(symlink("x", name));
	OK(unlink(name));
	name[255] = 'n', name[256] = 0;
	FAILS(touch(name, 0644), ENAMETOOLONG);
	FAILS(mkdir(name, 0755), ENAMETOOLONG);
	FAILS(rmdir(name), ENAMETOOLONG);
	FAILS(unlink(name), ENAMETOOLONG);
	FAILS(symlink("x", name), ENAMETOOLONG);
	FAILS(mkfifo(name, 0644), ENAMETOOLONG);
	FAILS(rename(name, "y"), ENAMETOOLONG);
	OK(touch("y", 0644));
	FAILS(rename("y", name), ENAMETOOLONG);
	FAILS(link("y", name), ENAMETOOLONG);
	FAILS(link(name, "z"), ENAMETOOLONG);
	FAILS(stat(name, &(struct stat){ 0 }), ENAMETOOLONG);
	FAILS(chmod(name, 0600), ENAMETOOLONG);
	for (; n < PATH_MAX + 5; n++)
		path[n] = n % 2 ? '/' : '.';
	path[PATH_MAX] = 0;
	FAILS(touch(path, 0644), ENAMETOOLONG);
	FAILS(symlink(path, "w"), ENAMETOOLONG);
	memset(path, 't', PATH_MAX);
	path[PATH_MAX - 1] = 0;
	OK(symlink(path, "w"));
	SAME(readlink("w", name, sizeof name), sizeof name);
	SAME(stat_of("w").st_size, PATH_MAX - 1);
	FAILS(symlink("", "e"), ENOENT);
}

static void odd_names(void)
{
	char name[8];

	for (int c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		snprintf(name, sizeof name, "o%c", c);
		OK(touch(name, 0644));
		SO(S_ISREG(stat_of(name).st_mode));
		OK(unlink(name));
	}
	OK(touch("\xff\xfe\x80", 0644));
	OK(touch("new\nline", 0644));
	OK(touch(" ", 0644));
	OK(touch("...", 0644));
	OK(touch("-rf", 0644));
	OK(touch("Thumbs.db", 0644));
	OK(touch(".hidden", 0644));
	OK(touch("a:b<c>|?*\"\\", 0644));
}

static void deep_folders(void)
{
	char name[256];
	int depth = 0, top = open(".", O_RDONLY | O_DIRECTORY), rc = 0;

	memset(name, 'd', 200);
	name[200] = 0;
	for (; depth < 40 && !rc; depth++) {
		rc = mkdir(name, 0755);
		OK(rc);
		OK(chdir(name));
	}
	OK(put("leaf", "deep"));
	SO(holds("leaf", "deep"));
	OK(unlink("leaf"));
	for (; depth > 0; depth--) {
		OK(chdir(".."));
		OK(rmdir(name));
	}
	OK(fchdir(top));
	close(top);
}

void area_names(void)
{
	OK(symlink("b", "a"));
	OK(symlink("a", "b"));
	FAILS(open("a", O_RDONLY), ELOOP);
	FAILS(chmod("a", 0600), ELOOP);
	FAILS(chown("a/x", 1, 1), ELOOP);
	FAILS(truncate("a", 0), ELOOP);
	FAILS(mkdir("a/x", 0700), ELOOP);
	OK(lchown("a", 1, 1));
	long_names();
	odd_names();
	deep_folders();
}
