/*
 * disk: what the disk itself does, without page cache: the limit of everything that is measured beside it.
 *
 *     disk speed FILE MIB      writes a file of MIB random bytes in O_DIRECT writes of 4 MiB, 4 in flight, and fsyncs; then reads it
 *                              in the same way. Prints "WRITE_MBPS READ_MBPS". Where there is no O_DIRECT, with dropped pages.
 *     disk fsync FILE COUNT    appends 4 KiB and fsyncs, COUNT times; prints the median in ms
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4 << 20, FLIGHT = 4, APPEND = 4096 };

struct lane {
	pthread_t thread;
	int fd, number;
	off_t bytes;
	bool writes;
	int error;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fill(uint8_t *bytes, size_t len, uint64_t state)
{
	for (size_t i = 0; i + 8 <= len; i += 8) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(bytes + i, &state, 8);
	}
}

static void *run_lane(void *ctx)
{
	struct lane *lane = ctx;
	uint8_t *block = NULL;

	if (posix_memalign((void **)&block, 4096, BLOCK)) {
		lane->error = ENOMEM;
		return NULL;
	}
	fill(block, BLOCK, 88172645463325252u + (unsigned)lane->number);
	for (off_t at = (off_t)lane->number * BLOCK; at < lane->bytes && !lane->error; at += (off_t)FLIGHT * BLOCK) {
		ssize_t n = lane->writes ? pwrite(lane->fd, block, BLOCK, at) : pread(lane->fd, block, BLOCK, at);

		if (n != BLOCK)
			lane->error = n < 0 ? errno : EIO;
	}
	free(block);
	return NULL;
}

/* MB/s, or -1. */
static double pass(int fd, off_t bytes, bool writes)
{
	struct lane lanes[FLIGHT];
	double start = now();
	int error = 0;

	for (int i = 0; i < FLIGHT; i++) {
		lanes[i] = (struct lane){ .fd = fd, .number = i, .bytes = bytes, .writes = writes };
		if (pthread_create(&lanes[i].thread, NULL, run_lane, &lanes[i]))
			return -1;
	}
	for (int i = 0; i < FLIGHT; i++) {
		pthread_join(lanes[i].thread, NULL);
		error = error ? error : lanes[i].error;
	}
	if (!error && writes && fsync(fd))
		error = errno;
	errno = error;
	return error ? -1 : (double)bytes / 1e6 / (now() - start);
}

static int speed(const char *path, long mib)
{
	off_t bytes = (off_t)(mib < 4 * FLIGHT ? 4 * FLIGHT : mib) / 4 * BLOCK;
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0666);
	double writes, reads;

	if (fd < 0 && errno == EINVAL)
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return -1;
	writes = pass(fd, bytes, true);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	reads = writes < 0 ? -1 : pass(fd, bytes, false);
	close(fd);
	unlink(path);
	if (reads < 0)
		return -1;
	printf("%.0f %.0f\n", writes, reads);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int sync_times(const char *path, int count)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
	double *times = calloc((size_t)count, sizeof *times);
	uint8_t block[APPEND];
	int rc = fd < 0 || !times ? -1 : 0;

	for (int i = 0; i < count && !rc; i++) {
		double start = now();

		fill(block, sizeof block, (uint64_t)i + 1);
		rc = write(fd, block, sizeof block) == APPEND && fsync(fd) == 0 ? 0 : -1;
		times[i] = now() - start;
	}
	if (!rc) {
		qsort(times, (size_t)count, sizeof *times, by_value);
		printf("%.2f\n", times[count / 2] * 1e3);
	}
	if (fd >= 0)
		close(fd);
	unlink(path);
	free(times);
	return rc;
}

int main(int argc, char **argv)
{
	long n = argc == 4 ? atol(argv[3]) : 0;
	int rc = -2;

	if (n > 0 && strcmp(argv[1], "speed") == 0)
		rc = speed(argv[2], n);
	else if (n > 0 && n < 1000000 && strcmp(argv[1], "fsync") == 0)
		rc = sync_times(argv[2], (int)n);
	if (rc == -2)
		fprintf(stderr, "usage: disk speed FILE MIB | disk fsync FILE COUNT\n");
	else if (rc)
		perror(argv[2]);
	return rc ? 1 : 0;
}
