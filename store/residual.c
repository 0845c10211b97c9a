#include "store/residual_internal.h"

static bool portable_only;

void residual_portable_only(bool only)
{
	portable_only = only;
}

bool residual_fast(void)
{
#if RESIDUAL_X86
	return !portable_only && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
	       __builtin_cpu_supports("bmi");
#else
	return false;
#endif
}
