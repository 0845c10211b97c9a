#include "fs/file_source.h"

#include <errno.h>

#include "fs/file.h"
#include "store/err.h"

static int64_t source_read_file(void *ctx, uint64_t off, void *to, size_t len)
{
	return file_read(ctx, off, to, len);
}

static void source_close_file(void *ctx)
{
	file_release(ctx, &caller_self, false);
}

int file_source_open(struct fs *fs, uint64_t ino, struct source *out)
{
	struct node_row row;
	struct file *file;
	int64_t mtime;
	int rc = catalog_node(fs->catalog, ino, &row);

	if (!rc && !S_ISREG(row.mode))
		rc = err_set(EINVAL, "%s: not a file", row.name);
	if (!rc)
		rc = file_open(fs->files, ino, false, &file);
	if (rc)
		return rc;
	if (!files_peek(fs->files, ino, &row.size, &mtime)) /* then the catalog has what it is now */
		rc = catalog_node(fs->catalog, ino, &row);
	if (rc) {
		file_release(file, &caller_self, false);
		return rc;
	}
	*out = (struct source){ .read = source_read_file, .close = source_close_file, .ctx = file, .size = row.size };
	return 0;
}
