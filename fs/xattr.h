/*
 * xattr: extended attributes of nodes below datasets/. On a dataset's top user.xdg.tags (comma list) are its tags,
 * user.xdg.comment and user.tomofs.FIELD its facts; user.tomofs.state, role and the derived fields are answered too. All other
 * user.* attributes are kept as they are, 64 KiB each. Also: the names of users.
 */
#ifndef TOMOFS_XATTR_H
#define TOMOFS_XATTR_H

#include "fs/node.h"

int xattr_real_get(struct fs *fs, const struct caller *who, const struct node *node, const char *name, struct buf *value);
int xattr_real_list(struct fs *fs, const struct caller *who, const struct node *node, struct buf *names);
int xattr_real_set(struct fs *fs, const struct caller *who, const struct node *node, const char *name,
		   const void *value, size_t len, int flags);
int xattr_real_remove(struct fs *fs, const struct caller *who, const struct node *node, const char *name);

/* Adds and removes tags so that the dataset has exactly these (comma list). The caller's permission was checked. */
int tags_set(struct fs *fs, const struct caller *who, uint32_t dataset, const char *list);
int tag_change(struct fs *fs, const struct caller *who, uint32_t dataset, const char *tag, bool remove);
/* Is it fit to be a tag or sample name: a folder name that is no junk. 0 or -EINVAL with a sentence. */
int tag_check(const char *tag);
/* Sets a person's fact after bringing it to normal form; "" or NULL clears. -EINVAL: unknown or derived field, bad value. */
int fact_set(struct fs *fs, const struct caller *who, uint32_t dataset, const char *field, const char *text);

/* The user's name, "" when not known. */
void user_name(uint32_t uid, char *name, size_t room);

#endif
