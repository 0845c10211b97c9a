/* caller: who asks, and what time it is. */
#include <time.h>

#include "fs/fs.h"

const struct caller caller_self = { .pid = 0, .user = "", .program = "tomofs" };

struct actor caller_actor(const struct caller *caller)
{
	return (struct actor){ .uid = caller->uid, .user = caller->user, .program = caller->program };
}

int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
