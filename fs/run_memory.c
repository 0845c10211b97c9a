#include "fs/run_memory.h"

#include <stdlib.h>

#include "store/scope.h"

/* Sizes of 64 KiB, 96 KiB, 128 KiB, 192 KiB ... so that at most a third of a buffer is idle. */
enum { SMALLEST = 64 << 10, USUAL_MAX = 12 << 20 };

struct run_buffer { /* lies in the buffer itself */
	struct run_buffer *next;
};

static size_t class_bytes(unsigned class)
{
	return ((size_t)SMALLEST << class / 2) + (class % 2 ? ((size_t)SMALLEST << class / 2) / 2 : 0);
}

/* RUN_MEMORY_CLASSES: larger than all. */
static unsigned class_of(size_t bytes)
{
	unsigned class = 0;

	while (class < RUN_MEMORY_CLASSES && class_bytes(class) < bytes)
		class++;
	return class;
}

void run_memory_init(struct run_memory *m, size_t keep)
{
	*m = (struct run_memory){ .keep = keep };
	pthread_mutex_init(&m->lock, NULL);
}

void run_memory_destroy(struct run_memory *m)
{
	for (unsigned i = 0; i < RUN_MEMORY_CLASSES; i++) {
		while (m->free[i]) {
			struct run_buffer *b = m->free[i];

			m->free[i] = b->next;
			free(b);
		}
	}
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
	unsigned class;

	if (want <= SMALLEST / 4) { /* most files are small */
		*cap = small_bytes(want);
		return malloc(*cap);
	}
	scope_lock(&m->lock);
	class = class_of(want > SMALLEST && want < m->usual ? m->usual : want);
	if (class == RUN_MEMORY_CLASSES) {
		*cap = want + want / 2;
		return malloc(*cap);
	}
	*cap = class_bytes(class);
	if (m->free[class]) {
		struct run_buffer *b = m->free[class];

		m->free[class] = b->next;
		m->kept -= *cap;
		return (uint8_t *)b;
	}
	return malloc(*cap);
}

void run_memory_give(struct run_memory *m, uint8_t *data, size_t cap, size_t used)
{
	unsigned class = class_of(cap);
	struct run_buffer *b = (struct run_buffer *)(void *)data;

	if (!data)
		return;
	{
		scope_lock(&m->lock);
		if (used > SMALLEST)
			m->usual = used < USUAL_MAX ? used : USUAL_MAX;
		if (class < RUN_MEMORY_CLASSES && class_bytes(class) == cap && m->kept + cap <= m->keep) {
			b->next = m->free[class];
			m->free[class] = b;
			m->kept += cap;
			return;
		}
	}
	free(data);
}
