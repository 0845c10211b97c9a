/* The loops of bitpack.c for processors with AVX2. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2,bmi,bmi2,lzcnt")
#define LOOPS loops
#define BITPACK_EIGHT "store/bitpack_eight_avx2.h"
#include "store/bitpack_loops.h"

const struct bitpack_loops *bitpack_loops_avx2(void)
{
	bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
		   __builtin_cpu_supports("lzcnt");

	return has ? &loops : NULL;
}
#else
#include "store/bitpack_internal.h"

const struct bitpack_loops *bitpack_loops_avx2(void)
{
	return NULL;
}
#endif
