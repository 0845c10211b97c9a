#include <errno.h>

#include "fs/mount_internal.h"
#include "fs/node_real.h"
#include "store/err.h"

enum { SLOTS = 16384 };

/* Which state of a folder the kernel may have listed, by number; a folder that takes another one's place is listed again. */
struct listed {
	pthread_mutex_t lock;
	struct {
		uint64_t folder;
		int64_t ctime_ns;
	} slots[SLOTS];
};

int listed_new(struct listed **out)
{
	struct listed *l = calloc(1, sizeof *l);

	if (!l)
		return err_set(ENOMEM, "no memory for a table of folders");
	pthread_mutex_init(&l->lock, NULL);
	*out = l;
	return 0;
}

void listed_free(struct listed *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	free(l);
}

bool listed_same(struct listed *l, struct fs *fs, const struct node *folder)
{
	size_t i = folder->number % SLOTS;
	struct node_row row;
	bool same;

	if (catalog_node(fs->catalog, folder->number, &row))
		return false;
	scope_lock(&l->lock);
	same = l->slots[i].folder == folder->number && l->slots[i].ctime_ns == row.ctime_ns;
	l->slots[i].folder = folder->number;
	l->slots[i].ctime_ns = row.ctime_ns;
	return same;
}
