/*
 * node_real: files, folders and symlinks below datasets/, as the catalog has them, for the kinds of folders that make or move
 * datasets (by-tag/T and its like).
 */
#ifndef TOMOFS_NODE_REAL_H
#define TOMOFS_NODE_REAL_H

#include "fs/node.h"

/* Makes a node in a folder of the catalog. type: S_IFREG, S_IFDIR or S_IFLNK; target for the last. */
int real_make(struct fs *fs, const struct caller *who, uint64_t folder, const char *name, uint32_t mode,
	      const char *target, struct node *out);

/* Moves an entry of the catalog. */
int real_rename(struct fs *fs, const struct caller *who, uint64_t folder, const char *name, uint64_t to,
		const char *new_name, unsigned flags);

/* The dataset that a path or link target names: its last part after "datasets/" or "by-id/", or a bare dataset name.
 * 0; -EINVAL when it names none (a sentence says what is expected). */
int real_dataset_of_target(struct fs *fs, const char *target, struct dataset_row *row);

/* Tells the kernel to ask again for a name that changed behind its back; no-op without a kernel. */
void real_forget(struct fs *fs, uint64_t folder, const char *name);

#endif
