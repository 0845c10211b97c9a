/* collector_mark: every chunk that open files and the catalog name. */
#ifndef TOMOFS_COLLECTOR_MARK_H
#define TOMOFS_COLLECTOR_MARK_H

#include "fs/fs.h"
#include "store/gc.h"

/* Enters them all. stop() is asked now and then; may be NULL. 0; -EINTR: it said so; -EIO: something cannot be read, so that nothing
 * may be swept; -ENOMEM. */
int collector_mark(struct fs *fs, struct store_gc *gc, bool (*stop)(void *ctx), void *ctx);

#endif
