/* What a reader of the store must have, noted before anything is written that needs it. */
#include <errno.h>
#include <stdio.h>

#include "store/err.h"
#include "store/log.h"
#include "store/store_internal.h"

static unsigned missing(struct store *s, unsigned features)
{
	return features & ~__atomic_load_n(&s->settings.features, __ATOMIC_ACQUIRE);
}

int store_need_features(struct store *s, unsigned features)
{
	scope_free char *path = NULL;
	int rc;

	if (!missing(s, features))
		return 0;
	scope_lock(&s->feature_lock); /* across I/O, once in the life of a store */
	if (!missing(s, features))
		return 0;
	if (asprintf(&path, "%s/tomofs.json", s->path) < 0) {
		path = NULL;
		return err_set(ENOMEM, "no memory for a path");
	}
	rc = settings_add_features(s->io, path, features);
	if (rc)
		return rc;
	__atomic_fetch_or(&s->settings.features, features, __ATOMIC_RELEASE);
	log_info("the store %s now needs a version of tomofs that has its new chunks' codec", s->path);
	return 0;
}
