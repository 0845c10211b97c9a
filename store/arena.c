#include "store/arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(from, len) ((void)(from), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(from, len) ((void)(from), (void)(len))
#endif

#include "store/err.h"
#include "store/scope.h"

enum { HUGE_PAGE = 2 << 20, SMALL = ARENA_UNIT / 2, WORD = 64 };

struct arena {
	pthread_mutex_t lock;
	uint8_t *mapped; /* NULL: there is no stretch */
	size_t mapped_bytes;
	uint8_t *base; /* of unit 0: on a huge page */
	size_t units;
	uint64_t *taken; /* a bit for each unit; those behind the last one are set */
	size_t lowest;	 /* no unit below it is free */
};

static size_t units_of(size_t len)
{
	return (len + ARENA_UNIT - 1) / ARENA_UNIT;
}

size_t arena_cost(size_t len)
{
	return len < SMALL ? len : units_of(len) * ARENA_UNIT;
}

/* The first unit from `at` on that is free, or taken; a->units when there is none. */
static size_t next(const struct arena *a, size_t at, bool taken)
{
	uint64_t flip = taken ? 0 : UINT64_MAX, bits;

	while (at < a->units) {
		bits = (a->taken[at / WORD] ^ flip) >> at % WORD;
		if (bits)
			return at + (size_t)__builtin_ctzll(bits);
		at += WORD - at % WORD;
	}
	return a->units;
}

static void mark(struct arena *a, size_t from, size_t count, bool taken)
{
	for (size_t i = from; i < from + count; i++) {
		uint64_t bit = (uint64_t)1 << i % WORD;

		a->taken[i / WORD] = taken ? a->taken[i / WORD] | bit : a->taken[i / WORD] & ~bit;
	}
}

/* The lowest place for so many units; NULL when there is none. */
static uint8_t *take_place(struct arena *a, size_t count)
{
	size_t from, end;

	scope_lock(&a->lock);
	a->lowest = next(a, a->lowest, false);
	for (from = a->lowest; from < a->units; from = next(a, end, false)) {
		end = next(a, from, true);
		if (end - from < count)
			continue;
		mark(a, from, count, true);
		return a->base + from * ARENA_UNIT;
	}
	return NULL;
}

void *arena_get(struct arena *a, size_t len)
{
	uint8_t *bytes = len < SMALL ? malloc(len ? len : 1) : take_place(a, units_of(len));
	void *other;

	if (len < SMALL)
		return bytes;
	if (!bytes)
		return posix_memalign(&other, ARENA_ALIGN, len) ? NULL : other;
	ASAN_UNPOISON_MEMORY_REGION(bytes, len);
	return bytes;
}

void arena_put(struct arena *a, void *bytes, size_t len)
{
	uintptr_t at = (uintptr_t)bytes, base = (uintptr_t)a->base;
	size_t from;

	if (!a->units || at < base || at - base >= a->units * ARENA_UNIT) {
		free(bytes);
		return;
	}
	ASAN_POISON_MEMORY_REGION(bytes, units_of(len) * ARENA_UNIT);
	from = (at - base) / ARENA_UNIT;
	scope_lock(&a->lock);
	mark(a, from, units_of(len), false);
	if (from < a->lowest)
		a->lowest = from;
}

/* Without addresses or memory for it there is no stretch, and all comes from malloc(). */
static void map(struct arena *a, size_t units)
{
	size_t words = (units + WORD - 1) / WORD, bytes = units * ARENA_UNIT + HUGE_PAGE;
	void *mapped;

	a->taken = calloc(words ? words : 1, sizeof *a->taken);
	if (!units || !a->taken)
		return;
	mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapped == MAP_FAILED)
		return;
	a->mapped = mapped;
	a->mapped_bytes = bytes;
	a->base = a->mapped + (HUGE_PAGE - (uintptr_t)mapped % HUGE_PAGE) % HUGE_PAGE;
	a->units = units;
	(void)madvise(a->base, units * ARENA_UNIT, MADV_HUGEPAGE); /* as a kernel without them likes */
	if (units % WORD)
		a->taken[words - 1] = UINT64_MAX << units % WORD;
	ASAN_POISON_MEMORY_REGION(a->base, units * ARENA_UNIT);
}

int arena_new(struct arena **out, size_t bytes)
{
	struct arena *a = calloc(1, sizeof *a);

	if (!a)
		return err_set(ENOMEM, "no memory for chunks");
	pthread_mutex_init(&a->lock, NULL);
	map(a, bytes / ARENA_UNIT);
	*out = a;
	return 0;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	if (a->mapped) {
		ASAN_UNPOISON_MEMORY_REGION(a->base, a->units * ARENA_UNIT);
		munmap(a->mapped, a->mapped_bytes);
	}
	pthread_mutex_destroy(&a->lock);
	free(a->taken);
	free(a);
}
