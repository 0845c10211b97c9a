/*
 * scatter: random reads. Reads 64 KiB at COUNT random places of the files of a folder, and prints "SECONDS CHECK": the time, and a sum of
 * the bytes, the same for the same files wherever they lie. The places follow from SEED and the files' names and sizes alone.
 *
 *     scatter FOLDER COUNT SEED
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 64 << 10 };

static uint64_t state;

static uint64_t draw(void)
{
	uint64_t v = state += 0x9e3779b97f4a7c15;

	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
	v = (v ^ v >> 27) * 0x94d049bb133111eb;
	return v ^ v >> 31;
}

static int large(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return entry->d_name[0] != '.' && dot && (strcmp(dot, ".tif") == 0 || strcmp(dot, ".raw") == 0);
}

static int read_piece(const char *folder, const char *name, uint8_t *piece, uint64_t *sum)
{
	char path[4096];
	struct stat st;
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0) {
		off_t room = st.st_size > PIECE ? st.st_size - PIECE : 1;

		n = pread(fd, piece, PIECE, (off_t)(draw() % (uint64_t)room));
	}
	close(fd);
	for (ssize_t i = 0; i + 8 <= n; i += 8) {
		uint64_t v;

		memcpy(&v, piece + i, 8);
		*sum = *sum * 0x100000001b3 + v;
	}
	return n > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct timespec a, b;
	struct dirent **list;
	uint8_t *piece = malloc(PIECE);
	uint64_t sum = 0;
	int files, count;

	if (argc != 4 || !piece) {
		fprintf(stderr, "usage: scatter FOLDER COUNT SEED\n");
		return 2;
	}
	files = scandir(argv[1], &list, large, alphasort);
	if (files <= 0) {
		fprintf(stderr, "scatter: no .tif or .raw in %s\n", argv[1]);
		return 1;
	}
	count = atoi(argv[2]);
	state = strtoull(argv[3], NULL, 10);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < count; i++)
		if (read_piece(argv[1], list[draw() % (uint64_t)files]->d_name, piece, &sum)) {
			perror(argv[1]);
			return 1;
		}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%.4f %016llx\n", (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9, (unsigned long long)sum);
	free(piece);
	return 0;
}
