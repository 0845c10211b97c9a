/* Pieces of an arena never overlap, are used again, and come from elsewhere when it is full. */
#include "store/arena.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"
#include "tests/lib/random.h"

enum { PIECES = 60, STEPS = 3000, LEN_MAX = 400 << 10, ARENA = 10 << 20, THREADS = 3 };

struct piece {
	uint8_t *bytes;
	size_t len;
	uint8_t mark;
};

/* Ends and a few places in between: enough to see another piece that lies over this one. */
static void paint(const struct piece *p)
{
	for (size_t at = 0; at < p->len; at += 4096)
		p->bytes[at] = p->mark;
	p->bytes[p->len - 1] = p->mark;
}

static bool is_whole(const struct piece *p)
{
	for (size_t at = 0; at < p->len; at += 4096)
		if (p->bytes[at] != p->mark)
			return false;
	return p->bytes[p->len - 1] == p->mark;
}

/* Random pieces come and go; in the end all are given back. */
static void *use(void *arg)
{
	struct arena *arena = arg;
	struct piece pieces[PIECES] = { 0 };
	uint64_t random = (uintptr_t)&random;

	for (int step = 0; step < STEPS; step++) {
		struct piece *p = &pieces[random_below(&random, PIECES)];

		if (p->bytes) {
			CHECK(is_whole(p));
			arena_put(arena, p->bytes, p->len);
			p->bytes = NULL;
			continue;
		}
		*p = (struct piece) { .len = 1 + random_below(&random, step % 4 ? LEN_MAX : 5000), .mark = (uint8_t)step };
		p->bytes = arena_get(arena, p->len);
		CHECK(p->bytes && (p->len < ARENA_UNIT / 2 || (uintptr_t)p->bytes % ARENA_ALIGN == 0));
		paint(p);
	}
	for (size_t i = 0; i < PIECES; i++)
		arena_put(arena, pieces[i].bytes, pieces[i].len);
	return NULL;
}

static void test_no_overlap(size_t bytes)
{
	struct arena *arena = NULL;
	pthread_t threads[THREADS];

	CHECK_RC(arena_new(&arena, bytes));
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, use, arena) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	arena_free(arena);
}

/* A full arena is one stretch without gaps; what was given back is taken first, the lowest of it, where it fits. */
static void test_places(void)
{
	enum { UNITS = 100 };
	struct arena *arena = NULL;
	uint8_t *piece[UNITS], *other;

	CHECK_RC(arena_new(&arena, UNITS * ARENA_UNIT));
	for (size_t i = 0; i < UNITS; i++) {
		piece[i] = arena_get(arena, ARENA_UNIT - i);
		CHECK(piece[i] == piece[0] + i * ARENA_UNIT);
	}
	other = arena_get(arena, ARENA_UNIT);
	CHECK(other && (other < piece[0] || other > piece[UNITS - 1]));
	arena_put(arena, other, ARENA_UNIT);
	arena_put(arena, piece[70], ARENA_UNIT - 70);
	arena_put(arena, piece[3], ARENA_UNIT - 3);
	arena_put(arena, piece[71], ARENA_UNIT - 71);
	CHECK(arena_get(arena, 2 * ARENA_UNIT) == piece[70]);
	CHECK(arena_get(arena, ARENA_UNIT / 2) == piece[3]);
	for (size_t i = 0; i < UNITS; i++)
		if (i != 70 && i != 71)
			arena_put(arena, piece[i], i == 3 ? ARENA_UNIT / 2 : ARENA_UNIT - i);
	arena_put(arena, piece[70], 2 * ARENA_UNIT);
	CHECK(arena_get(arena, UNITS * ARENA_UNIT) == piece[0]);
	arena_put(arena, piece[0], UNITS * ARENA_UNIT);
	arena_put(arena, NULL, 5 << 20);
	arena_free(arena);
	arena_free(NULL);
}

int main(void)
{
	CHECK(arena_cost(1) == 1 && arena_cost(ARENA_UNIT) == ARENA_UNIT && arena_cost(ARENA_UNIT + 1) == 2 * ARENA_UNIT);
	test_places();
	test_no_overlap(ARENA);
	test_no_overlap(0);
	return check_done();
}
