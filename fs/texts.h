/*
 * texts: the texts that the mount shows about itself: README.txt, .tomofs/version, .tomofs/status.json.
 */
#ifndef TOMOFS_TEXTS_H
#define TOMOFS_TEXTS_H

#include "fs/fs.h"

#define TOMOFS_VERSION "0.1"

int text_readme(struct fs *fs, struct buf *out);
int text_history(struct fs *fs, struct buf *out);
int text_version(struct fs *fs, struct buf *out);
/* Counts and sizes of the whole store as JSON, for tools/stats and monitoring. It shows no names. */
int text_status(struct fs *fs, struct buf *out);

#endif
