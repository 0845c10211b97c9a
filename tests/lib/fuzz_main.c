/*
 * main() of a fuzz target without libFuzzer: runs the files and folders given, else tests/corpus/NAME for the program
 * fuzz_NAME. Each input once as it is, and then with its first allocations failing, one after the other.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "store/scope.h"
#include "tests/lib/fuzz.h"

enum { SECONDS_MAX = 10, FILE_MAX = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *now = "";

static void run(const uint8_t *data, size_t size)
{
	unsigned count;

	fuzz_fail_allocation(0);
	fuzz_one(data, size);
	count = fuzz_fail_allocation(0);
	if (count > fuzz_failing_allocations)
		count = fuzz_failing_allocations;
	for (unsigned n = 1; n <= count; n++) {
		fuzz_fail_allocation(n);
		fuzz_one(data, size);
	}
	fuzz_fail_allocation(0);
}

static void run_file(const char *path)
{
	const struct itimerval limit = { .it_value.tv_sec = SECONDS_MAX }, none = { 0 }; /* of the processor's time */
	FILE *f = fopen(path, "rbe");
	uint8_t *data = malloc(FILE_MAX), *copy;
	size_t n;

	if (!f || !data) {
		perror(path);
		exit(1);
	}
	n = fread(data, 1, FILE_MAX, f);
	fclose(f);
	copy = malloc(n ? n : 1); /* of its own length: a sanitizer sees each byte read too much */
	memcpy(copy, data, n);
	free(data);
	now = path;
	setitimer(ITIMER_PROF, &limit, NULL);
	run(copy, n);
	setitimer(ITIMER_PROF, &none, NULL);
	free(copy);
}

static void run_path(const char *path)
{
	struct dirent **list;
	struct stat st;
	char below[1024];
	int n;

	if (stat(path, &st)) {
		perror(path);
		exit(1);
	}
	if (!S_ISDIR(st.st_mode)) {
		run_file(path);
		return;
	}
	n = scandir(path, &list, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		if (list[i]->d_name[0] != '.') {
			snprintf(below, sizeof below, "%s/%s", path, list[i]->d_name);
			run_file(below);
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
}

static void say_where(int unused)
{
	static const char text[] = " failed\n";

	(void)unused;
	if (write(STDERR_FILENO, now, strlen(now)) < 0 || write(STDERR_FILENO, text, sizeof text - 1) < 0)
		_exit(2);
	_exit(1);
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	char corpus[200];

	name = name ? name + 1 : argv[0];
	signal(SIGPROF, say_where);
	signal(SIGABRT, say_where);
	for (int i = 1; i < argc; i++)
		run_path(argv[i]);
	snprintf(corpus, sizeof corpus, "tests/corpus/%s", strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
	if (argc < 2)
		run_path(corpus);
	return 0;
}
