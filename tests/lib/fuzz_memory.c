/*
 * Allocations of the code under test, through the linker's --wrap: counted, one of them can fail, and none may be larger
 * than FUZZ_MEMORY_MAX. Calls inside of shared libraries are not seen.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/fuzz.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t m);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t m);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);

static atomic_uint count, fails_at;

unsigned fuzz_fail_allocation(unsigned n)
{
	unsigned were = atomic_exchange(&count, 0);

	atomic_store(&fails_at, n);
	return were;
}

static bool fails(size_t n)
{
	bool now = atomic_fetch_add(&count, 1) + 1 == atomic_load(&fails_at);

	if (n > FUZZ_MEMORY_MAX) {
		fprintf(stderr, "one allocation of %zu bytes\n", n);
		abort();
	}
	if (now)
		errno = ENOMEM;
	return now;
}

void *__wrap_malloc(size_t n)
{
	return fails(n) ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t m)
{
	return fails(m && n > SIZE_MAX / m ? SIZE_MAX : n * m) ? NULL : __real_calloc(n, m);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails(n) ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t m)
{
	return fails(m && n > SIZE_MAX / m ? SIZE_MAX : n * m) ? NULL : __real_reallocarray(p, n, m);
}

char *__wrap_strdup(const char *text)
{
	return fails(0) ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t n)
{
	return fails(0) ? NULL : __real_strndup(text, n);
}
