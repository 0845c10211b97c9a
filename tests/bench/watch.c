/*
 * watch: the most memory that a process had, while it lives.
 *
 *     watch PID FILE           samples /proc/PID/status every 50 ms until the process is gone, then writes
 *                              "RESIDENT_KIB HWM_KIB" into FILE: the maximum of RssAnon + RssShmem, and VmHWM
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? atol(at + strlen(name)) : 0;
}

int main(int argc, char **argv)
{
	const struct timespec pause = { 0, 50 * 1000 * 1000 };
	long resident = 0, hwm = 0;
	char path[64], text[8192];
	FILE *out;

	if (argc != 3) {
		fprintf(stderr, "usage: watch PID FILE\n");
		return 2;
	}
	snprintf(path, sizeof path, "/proc/%ld/status", atol(argv[1]));
	for (;;) {
		FILE *f = fopen(path, "r");
		size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
		long now;

		if (f)
			fclose(f);
		text[n] = 0;
		if (!n || !strstr(text, "RssAnon:")) /* a zombie has no memory */
			break;
		now = field(text, "RssAnon:") + field(text, "RssShmem:");
		resident = now > resident ? now : resident;
		hwm = field(text, "VmHWM:");
		nanosleep(&pause, NULL);
	}
	out = fopen(argv[2], "w");
	if (!out) {
		perror(argv[2]);
		return 1;
	}
	fprintf(out, "%ld %ld\n", resident, hwm);
	return fclose(out) ? 1 : 0;
}
