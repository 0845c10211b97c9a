#include "tests/lib/check.h"

#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIRS_MAX = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int failed;
static char dirs[DIRS_MAX][256];
static int dir_count;

void check_that(int ok, const char *file, int line, const char *what, const char *detail)
{
	if (ok)
		return;
	pthread_mutex_lock(&lock);
	failed++;
	fprintf(stderr, "%s:%d: failed: %s%s%s\n", file, line, what, *detail ? ": " : "", detail);
	pthread_mutex_unlock(&lock);
}

const char *check_tmpdir(void)
{
	const char *base = getenv("TMPDIR");
	char *dir = dirs[dir_count];

	if (dir_count == DIRS_MAX)
		abort();
	snprintf(dir, sizeof dirs[0], "%s/tomofs-test.XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(dir)) {
		perror(dir);
		exit(99);
	}
	dir_count++;
	return dir;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

int check_done(void)
{
	for (int i = 0; i < dir_count; i++)
		nftw(dirs[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (failed)
		fprintf(stderr, "%d checks failed\n", failed);
	return failed != 0;
}
