/*
 * protect: originals that refuse changes. A frozen dataset refuses changes of content and facts (-EROFS); tags and comments go
 * on. With protect=ready, what a dataset held when it became ready stays as it is (-EPERM): files come in, and the
 * dataset leaves as a whole, by mv into the trash.
 *
 * Threads: any.
 */
#ifndef TOMOFS_PROTECT_H
#define TOMOFS_PROTECT_H

#include "fs/fs.h"

struct protect;
/* ready: protect=ready. */
int protect_new(struct protect **out, struct fs *fs, bool ready);
void protect_free(struct protect *protect);

/* May something be made in, or removed from, this folder; may this node's attributes change? 0; -EROFS. */
int protect_change(struct fs *fs, uint64_t ino);
/* May this file be written, cut, removed or replaced; this folder be moved? Also -EPERM. */
int protect_content(struct fs *fs, uint64_t ino);
/* The entry of a folder, when it is there: it goes, or something takes its place. */
int protect_entry(struct fs *fs, uint64_t folder, const char *name);
/* May this go to the trash? With protect=ready a dataset goes as a whole or not at all. 0; -EPERM. */
int protect_whole(struct fs *fs, const struct node_row *row);
/* Facts of a dataset. 0; -EROFS. */
int protect_facts(struct fs *fs, uint32_t dataset);

/* user.tomofs.frozen of a dataset's top: "1" freezes (its owner may), anything else ends it (root only) and is kept as the reason. */
int protect_set_frozen(struct fs *fs, const struct caller *who, const struct dataset_row *row, const char *text);
bool protect_is_frozen(struct fs *fs, uint32_t dataset);

#endif
