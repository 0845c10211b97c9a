#include "tests/lib/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/err.h"
#include "store/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void must(bool right, const char *what)
{
	if (right)
		return;
	fprintf(stderr, "broken promise: %s (last error: %s)\n", what, err_text());
	abort();
}

uint8_t *fuzz_rest(struct cursor *c, size_t *len)
{
	uint8_t *copy;

	*len = cursor_left(c);
	copy = malloc(*len ? *len : 1);
	if (copy && *len)
		memcpy(copy, cursor_bytes(c, *len), *len);
	else if (!copy)
		*len = 0;
	return copy;
}

char *fuzz_line(struct cursor *c, size_t max)
{
	const uint8_t *end = cursor_left(c) ? memchr(c->at, '\n', cursor_left(c)) : NULL;
	size_t n = end ? (size_t)(end - c->at) : cursor_left(c), keep = n < max ? n : max;
	const uint8_t *at = cursor_bytes(c, n);
	char *text = malloc(keep + 1);

	if (end)
		cursor_u8(c);
	if (!text)
		return NULL;
	if (keep)
		memcpy(text, at, keep);
	text[keep] = 0;
	for (size_t i = 0; i < keep; i++)
		if (!text[i])
			text[i] = ' ';
	return text;
}

static char folder[200];

static void remove_folder(void)
{
	char command[300];

	snprintf(command, sizeof command, "rm -rf '%s'", folder);
	if (system(command))
		fprintf(stderr, "%s is left over\n", folder);
}

const char *fuzz_folder(void)
{
	const char *above = getenv("FUZZ_FOLDER");

	if (*folder)
		return folder;
	if (!above)
		above = access("/dev/shm", W_OK) ? getenv("TMPDIR") : "/dev/shm";
	snprintf(folder, sizeof folder, "%s/tomofs-fuzz.XXXXXX", above ? above : "/tmp");
	if (!mkdtemp(folder)) {
		perror(folder);
		exit(1);
	}
	atexit(remove_folder);
	return folder;
}

void fuzz_write_file(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len) {
		perror(path);
		exit(1);
	}
	close(fd);
}

/* FNV-1a: which allocation fails follows from the input, so that it can be run again. */
static uint32_t hash_of(const uint8_t *data, size_t size)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < size; i++)
		h = (h ^ data[i]) * 16777619u;
	return h;
}

/* The code under test says what it met; nobody wants to read that a million times (--wrap). */
void __wrap_log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void __wrap_log_line(enum log_level level, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	(void)level;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap); /* made all the same: a sanitizer looks at the texts */
	va_end(ap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t h = hash_of(data, size);
	unsigned count;

	fuzz_fail_allocation(0);
	fuzz_one(data, size);
	count = fuzz_fail_allocation(0);
	if (!fuzz_failing_allocations || !count || h % 4)
		return 0;
	fuzz_fail_allocation(1 + h / 4 % count);
	fuzz_one(data, size);
	fuzz_fail_allocation(0);
	return 0;
}
