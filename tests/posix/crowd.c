/* Locks, listings, many at once, and random changes against a model. */
#include "tests/posix/posix.h"

#include <dirent.h>
#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

static int lock_part(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	return fcntl(fd, cmd, &l);
}

/* Does it fail with EAGAIN for another process? */
static bool is_locked(const char *path, off_t start)
{
	pid_t child = fork();
	int status = 0;

	if (!child) {
		int fd = open(path, O_RDWR);

		_exit(lock_part(fd, F_SETLK, F_WRLCK, start, 1) && (errno == EAGAIN || errno == EACCES));
	}
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

void area_lock(void)
{
	int a, b;

	OK(put("f", "text"));
	a = open("f", O_RDWR), b = open("f", O_RDWR);
	OK(flock(a, LOCK_EX | LOCK_NB));
	FAILS(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(flock(a, LOCK_SH | LOCK_NB));
	OK(flock(b, LOCK_SH | LOCK_NB));
	OK(flock(a, LOCK_UN)), OK(flock(b, LOCK_UN));
	OK(lock_part(a, F_SETLK, F_WRLCK, 10, 5));
	SO(is_locked("f", 12));
	SO(!is_locked("f", 15));
	OK(lock_part(a, F_SETLK, F_UNLCK, 10, 5));
	SO(!is_locked("f", 12));
	OK(lock_part(a, F_OFD_SETLK, F_WRLCK, 0, 0));
	FAILS(lock_part(b, F_OFD_SETLK, F_RDLCK, 7, 1), EAGAIN);
	close(a);
	OK(lock_part(b, F_OFD_SETLK, F_WRLCK, 7, 1));
	close(b);
}

static int count_entries(DIR *d)
{
	int n = 0;

	while (readdir(d))
		n++;
	return n;
}

void area_list(void)
{
	enum { COUNT = 500 };
	char name[300];
	struct dirent *e;
	unsigned seen = 0, types = 0;
	DIR *d;
	long at;

	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof name, "f%04d", i);
		OK(touch(name, 0644));
	}
	OK(mkdir("sub", 0755));
	OK(mkfifo("fifo", 0644));
	OK(symlink("x", "sym"));
	d = opendir(".");
	SAME(count_entries(d), COUNT + 5);
	rewinddir(d);
	SAME(count_entries(d), COUNT + 5);
	rewinddir(d);
	while ((e = readdir(d))) { /* what is removed on the way does not disturb the rest */
		types += (e->d_type == DT_DIR) + 100 * (e->d_type == DT_FIFO) + 10000 * (e->d_type == DT_LNK);
		if (e->d_name[0] != 'f' || e->d_name[1] == 'i')
			continue;
		seen++;
		OK(unlink(e->d_name));
	}
	SAME(seen, COUNT);
	SAME(types, 10103);
	closedir(d);
	OK(rmdir("sub"));
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "g%d", i);
		OK(touch(name, 0644));
	}
	d = opendir(".");
	for (int i = 0; i < 20; i++)
		readdir(d);
	at = telldir(d);
	e = readdir(d);
	snprintf(name, sizeof name, "%s", e ? e->d_name : "");
	count_entries(d);
	seekdir(d, at);
	e = readdir(d);
	SO(e && strcmp(e->d_name, name) == 0);
	OK(touch("later", 0644));
	rewinddir(d); /* sees what is new */
	SAME(count_entries(d), 55);
	closedir(d);
}

/* Twenty processes: each writes its own file and appends to a common one, makes, links, renames and removes. */
static int one_of_many(int who)
{
	char own[32], tmp[32], line[32];
	int common = open("common", O_CREAT | O_WRONLY | O_APPEND, 0666);

	snprintf(own, sizeof own, "own-%d", who);
	snprintf(tmp, sizeof tmp, "tmp-%d", who);
	for (int i = 0; i < 40; i++) {
		snprintf(line, sizeof line, "%02d %04d 0123456789\n", who, i);
		if (write(common, line, strlen(line)) != (ssize_t)strlen(line) || put(tmp, line) || rename(tmp, own) ||
		    !holds(own, line) || link(own, tmp) || unlink(tmp) || (mkdir("shared", 0777) && errno != EEXIST))
			return 1;
		rmdir("shared");
	}
	return close(common) != 0;
}

void area_crowd(void)
{
	enum { CROWD = 20, LINE = 19 };
	int status, bad = 0, fd, lines[CROWD] = { 0 };
	char line[LINE + 1] = "";

	for (int i = 0; i < CROWD; i++)
		if (!fork())
			_exit(one_of_many(i));
	for (int i = 0; i < CROWD; i++)
		bad += wait(&status) < 0 || status != 0;
	SAME(bad, 0);
	fd = open("common", O_RDONLY);
	while (read(fd, line, LINE) == LINE) {
		int who = atoi(line);

		bad += line[LINE - 1] != '\n' || who < 0 || who >= CROWD || atoi(line + 3) != lines[who]++;
	}
	SAME(bad, 0);
	SAME(stat_of("common").st_size, CROWD * 40 * LINE);
	close(fd);
}

/* Random changes of one file, each kind of call, beside the same in memory. */
enum { MODEL_MAX = 3 << 20 };
struct model {
	int fd;
	size_t size;
	uint64_t random;
	unsigned char *bytes, *other;
};

static size_t below(struct model *m, size_t n)
{
	m->random = m->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return n ? (size_t)(m->random >> 33) % n : 0;
}

static bool model_write(struct model *m, size_t off, size_t len)
{
	for (size_t i = 0; i < len; i++)
		m->bytes[off + i] = (unsigned char)below(m, 256);
	if (off + len > m->size)
		m->size = off + len;
	return pwrite(m->fd, m->bytes + off, len, (off_t)off) == (ssize_t)len;
}

static bool model_truncate(struct model *m, size_t size)
{
	if (size < m->size)
		memset(m->bytes + size, 0, m->size - size);
	m->size = size;
	return !ftruncate(m->fd, (off_t)size);
}

static bool model_map(struct model *m, size_t off, size_t len)
{
	size_t start = off & ~(size_t)4095;
	unsigned char *map;

	if (off >= m->size)
		return true;
	if (len > m->size - off)
		len = m->size - off;
	map = mmap(NULL, off + len - start, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, (off_t)start);
	if (map == MAP_FAILED)
		return false;
	for (size_t i = 0; i < len; i++)
		map[off - start + i] = m->bytes[off + i] = (unsigned char)below(m, 256);
	return (below(m, 2) || !msync(map, off + len - start, MS_SYNC)) && !munmap(map, off + len - start);
}

static bool model_zero(struct model *m, size_t off, size_t len, int mode)
{
	if (!len)
		return true;
	if (fallocate(m->fd, mode, (off_t)off, (off_t)len))
		return errno == EOPNOTSUPP;
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		memset(m->bytes + off, 0, len);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && off + len > m->size)
		m->size = off + len;
	memset(m->bytes + m->size, 0, MODEL_MAX - m->size);
	return true;
}

static bool model_same(struct model *m)
{
	return lseek(m->fd, 0, SEEK_END) == (off_t)m->size && pread(m->fd, m->other, MODEL_MAX, 0) == (ssize_t)m->size &&
	       memcmp(m->bytes, m->other, m->size) == 0;
}

static bool model_step(struct model *m)
{
	size_t off = below(m, 4) ? below(m, m->size + 1) : below(m, MODEL_MAX), len = below(m, below(m, 8) ? 20000 : 700000);

	if (len > MODEL_MAX - off)
		len = MODEL_MAX - off;
	switch (below(m, 10)) {
	case 0:
		return model_truncate(m, off);
	case 1:
	case 2:
		return model_map(m, off, len);
	case 3:
		return model_zero(m, off, len, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	case 4:
		return model_zero(m, off, len, FALLOC_FL_ZERO_RANGE | (below(m, 2) ? FALLOC_FL_KEEP_SIZE : 0));
	case 5:
		return model_zero(m, off, len, below(m, 2) ? FALLOC_FL_KEEP_SIZE : 0);
	case 6:
		close(m->fd); /* and is opened anew */
		m->fd = open("model", O_RDWR);
		return below(m, 2) || !fsync(m->fd);
	default:
		return model_write(m, off, len);
	}
}

void area_model(void)
{
	const char *steps = getenv("STEPS"), *seed = getenv("SEED");
	struct model m = { .random = seed ? strtoull(seed, NULL, 10) : 1, .bytes = calloc(1, MODEL_MAX + 1),
			   .other = malloc(MODEL_MAX + 1) };
	int count = steps ? atoi(steps) : 300, step = 0;
	bool good = true;

	m.fd = open("model", O_CREAT | O_RDWR, 0644);
	for (; good && step < count; step++)
		good = model_step(&m) && model_same(&m);
	SO(good);
	if (!good)
		printf("step %d of seed %s\n", step, seed ? seed : "1");
	close(m.fd);
	free(m.bytes);
	free(m.other);
}
