#include <errno.h>

#include "store/err.h"
#include "store/store_internal.h"

int64_t store_size(struct store *s, const struct key *key)
{
	struct directory_entry entry;
	int rc = directory_get(s->directory, key, &entry);

	if (!rc)
		rc = directory_search(s->directory, key, &entry);
	if (rc < 0)
		return rc;
	if (rc)
		return entry.plain_len;
	return err_set(ENOENT, "the chunk is in no pack of the store");
}
