#include "fs/run_memory.h"

#include <stdlib.h>

#include "store/arena.h"
#include "store/scope.h"

enum { SMALL = ARENA_UNIT / 4, USUAL_MAX = 12 << 20 };

int run_memory_init(struct run_memory *m, size_t bytes)
{
	*m = (struct run_memory){ 0 };
	pthread_mutex_init(&m->lock, NULL);
	return arena_new(&m->arena, bytes);
}

void run_memory_destroy(struct run_memory *m)
{
	arena_free(m->arena);
	pthread_mutex_destroy(&m->lock);
}

static size_t small_bytes(size_t want)
{
	size_t cap = 4096;

	while (cap < want)
		cap *= 4;
	return cap;
}

uint8_t *run_memory_take(struct run_memory *m, size_t want, size_t *cap)
{
	size_t usual;

	if (want <= SMALL) { /* most files are small */
		*cap = small_bytes(want);
		return malloc(*cap);
	}
	{
		scope_lock(&m->lock);
		usual = m->usual;
	}
	if (want > ARENA_UNIT && want < usual)
		want = usual;
	else if (want > USUAL_MAX)
		want += want / 2;
	*cap = (want + ARENA_UNIT - 1) / ARENA_UNIT * ARENA_UNIT;
	return arena_get(m->arena, *cap);
}

void run_memory_give(struct run_memory *m, uint8_t *data, size_t cap, size_t used)
{
	if (!data)
		return;
	if (used > ARENA_UNIT) {
		scope_lock(&m->lock);
		m->usual = used < USUAL_MAX ? used : USUAL_MAX;
	}
	if (cap <= SMALL)
		free(data);
	else
		arena_put(m->arena, data, cap);
}
