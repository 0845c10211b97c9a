#include "store/scratch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "store/err.h"

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_end(void *slot)
{
	struct buf *all = slot;

	for (size_t i = 0; i < SCRATCH_USES; i++)
		buf_free(&all[i]);
	free(all);
}

static void make_key(void)
{
	if (pthread_key_create(&scratch_key, scratch_end))
		abort(); /* at the first use only, and only when the process has used all its keys */
}

struct buf *scratch_take(enum scratch_use use)
{
	struct buf *all;

	pthread_once(&scratch_once, make_key);
	all = pthread_getspecific(scratch_key);
	if (!all) {
		all = calloc(SCRATCH_USES, sizeof *all);
		if (!all || pthread_setspecific(scratch_key, all)) {
			free(all);
			err_set(ENOMEM, "no memory for a chunk");
			return NULL;
		}
	}
	buf_clear(&all[use]);
	return &all[use];
}
