/*
 * file_source: the bytes of a file below datasets/ as a struct source for image readers and sidecar parsers.
 */
#ifndef TOMOFS_FILE_SOURCE_H
#define TOMOFS_FILE_SOURCE_H

#include "fs/fs.h"
#include "fs/image/source.h"

/* Opens the node for reading. source_close() lets go of it. 0, -ENOENT, -EIO, -ENOMEM. */
int file_source_open(struct fs *fs, uint64_t ino, struct source *out);

#endif
