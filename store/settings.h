/*
 * settings: STORE/tomofs.json, written once when the store is made and never edited. Format: store/FORMAT.md.
 *
 * The hash secret is what every key depends on, so the file carries a check over it, and every pack's header a copy.
 */
#ifndef TOMOFS_SETTINGS_H
#define TOMOFS_SETTINGS_H

#include "store/store.h"

enum { SETTINGS_VERSION = 1 };

struct settings {
	uint8_t id[STORE_ID_BYTES];
	uint8_t secret[KEY_SECRET_BYTES];
	uint32_t chunk_min, chunk_avg, chunk_max; /* bytes */
};

/* A new id and secret from the kernel's random numbers. 0 or -errno. */
int settings_make(struct settings *s);
/* path: of tomofs.json. 0 or -errno. */
int settings_write(const struct io *io, const char *path, const struct settings *s);
/* 0; -ENOENT: no such file; -EINVAL with a sentence: not tomofs, damaged, or made by a newer version (names the
 * feature); -errno. read_only: features that are only needed for writing need not be known. */
int settings_read(const struct io *io, const char *path, bool read_only, struct settings *s);

#endif
