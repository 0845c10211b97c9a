/* Reading, writing, truncating, holes, mapping. */
#include "tests/posix/posix.h"

#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { PAGE = 4096, MIB = 1 << 20 };

static long long size_of(const char *path)
{
	return stat_of(path).st_size;
}

static bool zeros(int fd, off_t off, size_t len)
{
	char *bytes = malloc(len);
	bool all = pread(fd, bytes, len, off) == (ssize_t)len;

	for (size_t i = 0; all && i < len; i++)
		all = !bytes[i];
	free(bytes);
	return all;
}

static void truncating(void)
{
	int fd;

	OK(put("t", "abcdef"));
	OK(truncate("t", 3));
	SO(holds("t", "abc"));
	OK(truncate("t", 5));
	SAME(size_of("t"), 5);
	fd = open("t", O_RDWR);
	SO(zeros(fd, 3, 2));
	OK(ftruncate(fd, 0));
	SAME(size_of("t"), 0);
	SAME(pwrite(fd, "x", 1, 100), 1);
	SO(zeros(fd, 0, 100));
	close(fd);
	fd = open("t", O_RDONLY);
	FAILS(ftruncate(fd, 0), EINVAL);
	FAILS(write(fd, "x", 1), EBADF);
	close(fd);
	FAILS(truncate("t", -1), EINVAL);
	OK(mkdir("d", 0755));
	FAILS(truncate("d", 0), EISDIR);
	FAILS(open("d", O_RDWR), EISDIR);
	FAILS(open("d", O_RDONLY | O_CREAT, 0644), EISDIR);
	FAILS(truncate("none", 0), ENOENT);
	FAILS(truncate("t/x", 0), ENOTDIR);
}

static void huge_offsets(void)
{
	const off_t most = 16LL << 40;
	int fd = open("huge", O_CREAT | O_RDWR, 0644);

	SAME(pwrite(fd, "end", 3, (1LL << 40) - 3), 3);
	SAME(size_of("huge"), 1LL << 40);
	SO(zeros(fd, 1LL << 39, 8192));
	OK(ftruncate(fd, (1LL << 33) + 7));
	SAME(size_of("huge"), (1LL << 33) + 7);
	if (posix_is_tomofs) {
		SAME(pwrite(fd, "x", 1, most - 1), 1);
		FAILS(pwrite(fd, "x", 1, most), EFBIG);
		FAILS(ftruncate(fd, most + 1), EFBIG);
	}
	FAILS(ftruncate(fd, INT64_MAX), EFBIG);
	close(fd);
	OK(unlink("huge"));
}

static void appending(void)
{
	int a = open("app", O_CREAT | O_WRONLY | O_APPEND, 0644), b = open("app", O_WRONLY | O_APPEND);
	struct iovec parts[] = { { "one", 3 }, { "two", 3 } };

	SAME(write(a, "abc", 3), 3);
	SAME(write(b, "def", 3), 3);
	SAME(pwrite(a, "ghi", 3, 0), 3); /* Linux: O_APPEND wins */
	SAME(lseek(a, 0, SEEK_SET), 0);
	SAME(writev(a, parts, 2), 6);
	SAME(lseek(a, 0, SEEK_CUR), 15);
	OK(ftruncate(b, 3));
	SAME(write(a, "x", 1), 1);
	SO(holds("app", "abcx"));
	close(a), close(b);
}

static void copying(void)
{
	int from = open("src", O_CREAT | O_RDWR, 0644), to = open("dst", O_CREAT | O_RDWR, 0644);
	char *bytes = malloc(MIB), *back = malloc(MIB);
	off_t in = 0, out = 0;

	for (int i = 0; i < MIB; i++)
		bytes[i] = (char)(i * 31 + i / 256);
	SAME(write(from, bytes, MIB), MIB);
	while (in < MIB && copy_file_range(from, &in, to, &out, (size_t)(MIB - in), 0) > 0)
		;
	SAME(in, MIB);
	SAME(pread(to, back, MIB, 0), MIB);
	SO(memcmp(bytes, back, MIB) == 0);
	in = 1000, out = 5;
	SAME(copy_file_range(from, &in, to, &out, 100, 0), 100);
	SAME(pread(to, back, 100, 5), 100);
	SO(memcmp(bytes + 1000, back, 100) == 0);
	SAME(size_of("dst"), MIB);
	in = MIB - 10, out = MIB;
	SAME(copy_file_range(from, &in, to, &out, 100, 0), 10);
	SAME(size_of("dst"), MIB + 10);
	in = MIB;
	SAME(copy_file_range(from, &in, to, &out, 100, 0), 0);
	in = 0, out = 10;
	FAILS(copy_file_range(from, &in, from, &out, 100, 0), EINVAL); /* they overlap */
	close(from), close(to);
	free(bytes), free(back);
}

void area_bytes(void)
{
	struct statvfs fs;

	truncating();
	huge_offsets();
	appending();
	copying();
	OK(statvfs(".", &fs));
	SAME(fs.f_namemax, 255);
	SO(fs.f_bsize && fs.f_blocks && fs.f_bavail <= fs.f_bfree);
}

static void holes(void)
{
	int fd = open("holes", O_CREAT | O_RDWR, 0644);
	off_t at;

	SAME(lseek(fd, 0, SEEK_END), 0);
	FAILS(lseek(fd, 0, SEEK_DATA), ENXIO);
	FAILS(lseek(fd, 0, SEEK_HOLE), ENXIO);
	OK(ftruncate(fd, 8 * MIB));
	at = lseek(fd, 0, SEEK_DATA);
	SO(at == -1 ? errno == ENXIO : at == 0); /* a file system may know no holes */
	SAME(pwrite(fd, "data", 4, 4 * MIB), 4);
	OK(fsync(fd));
	at = lseek(fd, 0, SEEK_DATA);
	SO(at >= 0 && at <= 4 * MIB);
	SO(lseek(fd, 4 * MIB, SEEK_DATA) == 4 * MIB);
	at = lseek(fd, 4 * MIB, SEEK_HOLE);
	SO(at > 4 * MIB && at <= 8 * MIB);
	SAME(lseek(fd, 8 * MIB - 1, SEEK_HOLE) >= 8 * MIB - 1, 1);
	FAILS(lseek(fd, 8 * MIB, SEEK_DATA), ENXIO);
	FAILS(lseek(fd, 8 * MIB, SEEK_HOLE), ENXIO);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
	SAME(lseek(fd, 100, SEEK_SET), 100);
	SAME(lseek(fd, -8, SEEK_END), 8 * MIB - 8);
	close(fd);
}

static void preallocated(void)
{
	int fd = open("alloc", O_CREAT | O_RDWR, 0644), ro;
	struct stat before;

	OK(fallocate(fd, 0, 0, 10000));
	SAME(size_of("alloc"), 10000);
	SO(zeros(fd, 0, 10000));
	OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 100000));
	SAME(size_of("alloc"), 10000);
	SAME(pwrite(fd, "0123456789", 10, 0), 10);
	OK(fallocate(fd, 0, 5, 3)); /* inside: changes nothing */
	SAME(size_of("alloc"), 10000);
	SO(!zeros(fd, 5, 3));
	before = stat_of("alloc");
	pause_ms(10);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 3));
	SO(zeros(fd, 2, 3));
	SO(!zeros(fd, 1, 1) && !zeros(fd, 5, 1));
	SO(later(stat_of("alloc").st_mtim, before.st_mtim));
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 9000, 100000));
	SAME(size_of("alloc"), 10000);
	FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 6, 20000));
	SAME(size_of("alloc"), 20006);
	SO(zeros(fd, 6, 20000));
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 50000));
	SAME(size_of("alloc"), 20006);
	SO(zeros(fd, 0, 20006));
	FAILS(fallocate(fd, 0, 0, 0), EINVAL);
	FAILS(fallocate(fd, 0, -1, 10), EINVAL);
	FAILS(fallocate(fd, 0, INT64_MAX, 1), EFBIG);
	if (posix_is_tomofs) {
		FAILS(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE), EOPNOTSUPP);
		FAILS(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, PAGE), EOPNOTSUPP);
	}
	ro = open("alloc", O_RDONLY);
	FAILS(fallocate(ro, 0, 0, 10), EBADF);
	close(ro);
	SAME(posix_fallocate(fd, 30000, 10), 0);
	SAME(size_of("alloc"), 30010);
	close(fd);
}

/* A hole in the middle of what was written is where it was punched, and takes no room. */
static void punched(void)
{
	int fd = open("punch", O_CREAT | O_RDWR, 0644);
	size_t block = (size_t)stat_of("punch").st_blksize, len = 3 * block;
	char *bytes = malloc(len);
	long long before;

	memset(bytes, 'b', len);
	SAME(write(fd, bytes, len), len);
	OK(fsync(fd));
	before = stat_of("punch").st_blocks;
	SAME(before, len / 512);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)block, (off_t)block));
	SAME(lseek(fd, 0, SEEK_HOLE), block);
	SAME(lseek(fd, (off_t)block, SEEK_DATA), 2 * block);
	SAME(stat_of("punch").st_blocks, before - (long long)block / 512);
	SO(zeros(fd, (off_t)block, block));
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, (off_t)block - 1, (off_t)block + 2));
	SAME(stat_of("punch").st_blocks, before);
	close(fd);
	fd = open("punch", O_RDONLY);
	SAME(pread(fd, bytes, len, 0), len);
	SO(bytes[0] == 'b' && bytes[block - 2] == 'b' && !bytes[block - 1] && !bytes[2 * block] && bytes[2 * block + 1] == 'b');
	free(bytes);
	close(fd);
}

void area_sparse(void)
{
	punched();
	holes();
	preallocated();
}

/* Another process writes into its mapping of the same file. */
static void map_of_two(void)
{
	int fd = open("two", O_CREAT | O_RDWR, 0644), status;
	char *map;
	pid_t child;

	OK(ftruncate(fd, 8 * PAGE));
	map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	SO(map != MAP_FAILED);
	child = fork();
	if (!child) {
		int own = open("two", O_RDWR);
		char *m = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);

		for (int i = 1; i < 8; i += 2)
			memset(m + i * PAGE, 'c', PAGE);
		_exit(msync(m, 8 * PAGE, MS_SYNC) || close(own));
	}
	for (int i = 0; i < 8; i += 2)
		memset(map + i * PAGE, 'p', PAGE);
	SAME(waitpid(child, &status, 0), child);
	SAME(status, 0);
	OK(msync(map, 8 * PAGE, MS_SYNC));
	for (int i = 0; i < 8; i++)
		SAME(map[i * PAGE + 5], i % 2 ? 'c' : 'p');
	munmap(map, 8 * PAGE);
	close(fd);
	fd = open("two", O_RDONLY);
	for (int i = 0; i < 8; i++) {
		char byte = 0;

		SAME(pread(fd, &byte, 1, i * PAGE + 77), 1);
		SAME(byte, i % 2 ? 'c' : 'p');
	}
	close(fd);
}

void area_map(void)
{
	int fd = open("m", O_CREAT | O_RDWR, 0644);
	struct stat before;
	char *map, text[8];

	OK(ftruncate(fd, 3 * PAGE + 10));
	map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	SO(map != MAP_FAILED);
	before = stat_of("m");
	pause_ms(10);
	memcpy(map + PAGE, "mapped", 6);
	SAME(pread(fd, text, 6, PAGE), 6);
	SO(memcmp(text, "mapped", 6) == 0);
	SAME(pwrite(fd, "write", 5, 2 * PAGE), 5);
	SO(memcmp(map + 2 * PAGE, "write", 5) == 0);
	OK(msync(map, 4 * PAGE, MS_SYNC));
	SO(later(stat_of("m").st_mtim, before.st_mtim));
	memcpy(map, "late", 4);
	close(fd);
	munmap(map, 4 * PAGE); /* written back without an open file */
	fd = open("m", O_RDWR);
	SAME(pread(fd, text, 4, 0), 4);
	SO(memcmp(text, "late", 4) == 0);
	SAME(size_of("m"), 3 * PAGE + 10);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	memcpy(map, "mine", 4);
	SAME(pread(fd, text, 4, 0), 4);
	SO(memcmp(text, "late", 4) == 0);
	munmap(map, PAGE);
	map = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memset(map + 3 * PAGE + 10, 'z', 20); /* beyond the end: must not be seen when the file grows */
	OK(ftruncate(fd, PAGE));
	OK(ftruncate(fd, 4 * PAGE));
	SO(zeros(fd, PAGE, 3 * PAGE));
	OK(unlink("m"));
	memcpy(map, "gone", 4);
	OK(msync(map, PAGE, MS_SYNC));
	SAME(pread(fd, text, 4, 0), 4);
	SO(memcmp(text, "gone", 4) == 0);
	munmap(map, 4 * PAGE);
	close(fd);
	map_of_two();
}

void area_open(void)
{
	int fd, again;
	char path[64], text[4];

	OK(put("f", "text"));
	FAILS(open("f", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	OK(symlink("made", "dangling"));
	FAILS(open("dangling", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	FAILS(open("dangling", O_RDONLY), ENOENT);
	OK(close(open("dangling", O_CREAT | O_RDWR, 0644)));
	SO(S_ISREG(stat_of("made").st_mode));
	OK(symlink("f", "sym"));
	FAILS(open("sym", O_RDONLY | O_NOFOLLOW), ELOOP);
	FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open("f/", O_RDONLY), ENOTDIR);
	OK(mkfifo("p", 0644));
	FAILS(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
	fd = open("p", O_RDWR);
	SAME(write(fd, "abc", 3), 3);
	SAME(read(fd, text, 3), 3);
	close(fd);
	fd = open("new", O_CREAT | O_WRONLY, 0444); /* the mode counts from the next open on */
	SAME(write(fd, "x", 1), 1);
	close(fd);
	as(OWNER, OWNER, 0);
	FAILS(open("new", O_WRONLY), EACCES);
	fd = open("closed", O_CREAT | O_RDWR, 0);
	SAME(write(fd, "x", 1), 1);
	close(fd);
	FAILS(open("closed", O_RDONLY), EACCES);
	as_root();
	fd = open("f", O_PATH);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR);
	SAME(read(again, text, 4), 4);
	close(fd), close(again);
	fd = open("d", O_RDWR | O_CREAT | O_SYNC, 0644);
	SAME(write(fd, "sync", 4), 4);
	OK(fdatasync(fd));
	close(fd);
	fd = open("f", O_RDWR | O_DIRECT);
	if (fd >= 0) {
		char *block = aligned_alloc(PAGE, 2 * PAGE);

		memset(block, 'd', 2 * PAGE);
		SAME(pwrite(fd, block, 2 * PAGE, 0), 2 * PAGE);
		memset(block, 0, 2 * PAGE);
		SAME(pread(fd, block, 2 * PAGE, 0), 2 * PAGE);
		SO(block[0] == 'd' && block[2 * PAGE - 1] == 'd');
		free(block);
		close(fd);
	}
	if (posix_is_tomofs)
		FAILS(open(".", O_TMPFILE | O_RDWR, 0644), EOPNOTSUPP);
}
