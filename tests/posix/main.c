#include "tests/posix/posix.h"

#include <grp.h>

static const struct area {
	const char *name;
	void (*run)(void);
} areas[] = {
	{ "mode", area_mode },	   { "owner", area_owner }, { "make", area_make },   { "link", area_link },
	{ "rename", area_rename }, { "remove", area_remove }, { "sticky", area_sticky }, { "times", area_times },
	{ "xattr", area_xattr },   { "acl", area_acl },	    { "bytes", area_bytes }, { "sparse", area_sparse },
	{ "map", area_map },	   { "lock", area_lock },   { "names", area_names }, { "list", area_list },
	{ "open", area_open },	   { "crowd", area_crowd }, { "model", area_model },
};

bool posix_is_tomofs;
static unsigned cases, failed;

/* A case in a loop is told once. */
static bool is_new(const char *file, int line)
{
	static const char *last_file;
	static int last_line;
	bool new = file != last_file || line != last_line;

	failed++;
	last_file = file;
	last_line = line;
	return new;
}

void posix_result(int got, int want, const char *file, int line, const char *what)
{
	cases++;
	if (got == want || !is_new(file, line))
		return;
	printf("%s:%d: %s: %s", file, line, what, got ? strerror(got) : "succeeds");
	printf(", expected: %s\n", want ? strerror(want) : "success");
}

void posix_same(long long got, long long want, const char *file, int line, const char *what)
{
	cases++;
	if (got == want || !is_new(file, line))
		return;
	printf("%s:%d: %s is %lld (0%llo), expected %lld (0%llo)\n", file, line, what, got, got, want, want);
}

void as_root(void)
{
	if (seteuid(0) || setegid(0) || setgroups(0, NULL))
		perror("as_root"), exit(2);
}

void as(unsigned uid, unsigned gid, unsigned more)
{
	gid_t list[] = { more };

	as_root();
	if (setgroups(more ? 1 : 0, list) || setegid(gid) || seteuid(uid))
		perror("as"), exit(2);
}

int touch(const char *path, mode_t mode)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, mode);

	if (fd < 0 || fchmod(fd, mode))
		return -1;
	return close(fd);
}

int put(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -1;
	return close(fd);
}

bool holds(const char *path, const char *text)
{
	char bytes[4096];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) && memcmp(bytes, text, (size_t)n) == 0;
}

mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) ? ~(mode_t)0 : st.st_mode & 07777;
}

struct stat stat_of(const char *path)
{
	struct stat st = { 0 };

	if (lstat(path, &st))
		memset(&st, 0, sizeof st);
	return st;
}

long long ns_of(struct timespec t)
{
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

void pause_ms(unsigned ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000L };

	nanosleep(&t, NULL);
}

bool later(struct timespec a, struct timespec b)
{
	return ns_of(a) > ns_of(b);
}

static bool wanted(const char *name, char **list)
{
	if (!*list)
		return true;
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

static void run(const struct area *area)
{
	unsigned before = failed, count = cases;
	struct timespec a, b;

	if (mkdir(area->name, 0777) || chmod(area->name, 0777) || chdir(area->name)) {
		perror(area->name);
		exit(2);
	}
	clock_gettime(CLOCK_MONOTONIC, &a);
	area->run();
	as_root();
	clock_gettime(CLOCK_MONOTONIC, &b);
	if (chdir(".."))
		exit(2);
	if (getenv("TIMES") || failed > before)
		printf("%s: %u cases, %u failed, %lld ms\n", area->name, cases - count, failed - before,
		       (ns_of(b) - ns_of(a)) / 1000000);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "-r") == 0)
		posix_is_tomofs = true, argc--, argv++;
	if (argc < 2 || chdir(argv[1])) {
		fprintf(stderr, "usage: posix [-r] DIR [AREA...]      (-r: expect what README says is refused)\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	umask(0);
	for (size_t i = 0; i < sizeof areas / sizeof *areas; i++)
		if (wanted(areas[i].name, argv + 2))
			run(&areas[i]);
	printf("%u cases, %u failed\n", cases, failed);
	return failed != 0;
}
