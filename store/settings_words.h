/*
 * settings_words: "mount_options" in tomofs.json, the words of -o that every mount of the store begins with (keep=60d,protect=ready).
 * The store keeps them and does not know what they mean.
 */
#ifndef TOMOFS_SETTINGS_WORDS_H
#define TOMOFS_SETTINGS_WORDS_H

#include "store/buf.h"

/* Appended to words; nothing when there are none. store: its folder. 0; -EINVAL: damaged; -errno. */
int settings_words_read(const char *store, struct buf *words);
/* All else in the file stays. 0 or -errno. */
int settings_words_write(const char *store, const char *words);

#endif
