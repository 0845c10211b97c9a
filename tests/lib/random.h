/* random: the same numbers in every run (splitmix64). */
#ifndef TOMOFS_TEST_RANDOM_H
#define TOMOFS_TEST_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* The next number of *state, which is also the seed. */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 to bound - 1. */
static inline uint64_t random_below(uint64_t *state, uint64_t bound)
{
	return random_next(state) % bound;
}

static inline void random_fill(void *to, size_t len, uint64_t seed)
{
	uint8_t *at = to;

	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)(random_next(&seed) >> 32);
}

#endif
