#include "fs/protect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "index/catalog_history.h"
#include "store/err.h"

#define FROZEN "tomofs.frozen" /* an attribute of the dataset's top that is not listed */
enum { LEVELS_MAX = 4096 };

struct protect {
	bool ready;
	atomic_uint frozen; /* how many datasets may be; 0: nobody is asked */
};

static bool frozen_top(struct fs *fs, uint64_t ino)
{
	scope_buf struct buf value = { 0 };

	return !catalog_xattr(fs->catalog, ino, FROZEN, &value) && value.len && value.data[0] == '1';
}

int protect_new(struct protect **out, struct fs *fs, bool ready)
{
	struct protect *p = calloc(1, sizeof *p);
	scope_free uint32_t *list = NULL;
	struct dataset_row row;
	size_t count = 0;
	int rc = p ? catalog_datasets(fs->catalog, &list, &count) : err_set(ENOMEM, "no memory");

	for (size_t i = 0; !rc && i < count; i++)
		if (!catalog_dataset(fs->catalog, list[i], &row) && frozen_top(fs, row.ino))
			atomic_fetch_add(&p->frozen, 1);
	if (rc) {
		free(p);
		return rc;
	}
	p->ready = ready;
	*out = p;
	return 0;
}

void protect_free(struct protect *p)
{
	free(p);
}

/* The node, or a folder above it, is the top of a frozen dataset. */
static int check_frozen(struct fs *fs, uint64_t ino)
{
	struct node_row row;

	if (!fs->protect || !atomic_load(&fs->protect->frozen))
		return 0;
	for (unsigned level = 0; ino && ino != INO_DATASETS && level < LEVELS_MAX; level++, ino = row.parent) {
		int rc = catalog_node(fs->catalog, ino, &row);

		if (rc)
			return rc == -ENOENT ? 0 : rc;
		if (row.dataset && row.nlink && frozen_top(fs, ino))
			return err_set(EROFS, "%s: is frozen", row.name);
	}
	return 0;
}

int protect_change(struct fs *fs, uint64_t ino)
{
	return check_frozen(fs, ino);
}

/* Something that its dataset held when it became ready. */
static int check_ready(struct fs *fs, uint64_t ino)
{
	struct dataset_row dataset;
	struct node_row row;
	uint64_t since = 0;
	int rc;

	if (!fs->protect || !fs->protect->ready)
		return 0;
	rc = catalog_node(fs->catalog, ino, &row);
	if (rc || !row.nlink || S_ISLNK(row.mode))
		return rc == -ENOENT ? 0 : rc;
	rc = catalog_dataset_of(fs->catalog, ino, &dataset);
	if (rc || !dataset.ready)
		return rc == -ENOENT ? 0 : rc;
	if (S_ISDIR(row.mode) && (row.dataset || !row.size))
		return 0; /* a dataset may be called something else; an empty folder holds nothing */
	if (S_ISREG(row.mode) && catalog_content_since(fs->catalog, ino, &since))
		return 0; /* nothing was written yet */
	if (since >= dataset.ready)
		return 0;
	return err_set(EPERM, "%s: is an original of the dataset %s, which is ready: it stays as it is (the dataset as a whole can be "
			      "moved to history/trash)", row.name, dataset.name);
}

int protect_content(struct fs *fs, uint64_t ino)
{
	int rc = check_frozen(fs, ino);

	return rc ? rc : check_ready(fs, ino);
}

int protect_whole(struct fs *fs, const struct node_row *row)
{
	return row->dataset ? 0 : check_ready(fs, row->ino);
}

int protect_entry(struct fs *fs, uint64_t folder, const char *name)
{
	struct node_row row;

	if (!fs->protect || (!fs->protect->ready && !atomic_load(&fs->protect->frozen)))
		return 0;
	return catalog_lookup(fs->catalog, folder, name, &row) ? protect_change(fs, folder) : protect_content(fs, row.ino);
}

bool protect_is_frozen(struct fs *fs, uint32_t dataset)
{
	struct dataset_row row;

	return fs->protect && atomic_load(&fs->protect->frozen) && !catalog_dataset(fs->catalog, dataset, &row) &&
	       check_frozen(fs, row.ino) == -EROFS;
}

int protect_facts(struct fs *fs, uint32_t dataset)
{
	return protect_is_frozen(fs, dataset) ? err_set(EROFS, "the dataset is frozen: its facts stay as they are") : 0;
}

int protect_set_frozen(struct fs *fs, const struct caller *who, const struct dataset_row *row, const char *text)
{
	bool freeze = strcmp(text, "1") == 0, was = frozen_top(fs, row->ino);
	struct actor actor = caller_actor(who);
	struct record r = { .kind = REC_XATTR };
	struct node_row top;
	int rc = catalog_node(fs->catalog, row->ino, &top);

	if (rc)
		return rc;
	if (who->uid && who->uid != top.uid)
		return err_set(EPERM, "%s: only its owner freezes it", row->name);
	if (was && !freeze && who->uid)
		return err_set(EPERM, "%s: only an administrator ends that it is frozen", row->name);
	if (was == freeze)
		return 0;
	r.xattr.ino = row->ino;
	r.xattr.name = FROZEN;
	r.xattr.value = (const uint8_t *)(freeze || *text ? text : "0");
	r.xattr.value_len = strlen((const char *)r.xattr.value);
	if (!freeze && *r.xattr.value == '1')
		return err_set(EINVAL, "a reason does not begin with 1");
	if (freeze)
		atomic_fetch_add(&fs->protect->frozen, 1); /* never taken back: asking once too often is no harm */
	return catalog_apply(fs->catalog, &actor, &r);
}
