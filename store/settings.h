/*
 * settings: STORE/tomofs.json, written when the store is made. Later only features are added, each before the first bytes
 * that need it are written, so that a program without it refuses the store instead of failing on some of its chunks.
 * Format: store/FORMAT.md.
 *
 * The hash secret is what every key depends on, so the file carries a check over it, and every pack's header a copy.
 */
#ifndef TOMOFS_SETTINGS_H
#define TOMOFS_SETTINGS_H

#include "store/store.h"

enum { SETTINGS_VERSION = 1 };

/* What a reader must have beyond the first format, as bits. The names are a table in settings.c. */
enum settings_feature { FEATURE_PREDICT = 1, FEATURE_BITS = 2 };

struct settings {
	uint8_t id[STORE_ID_BYTES];
	uint8_t secret[KEY_SECRET_BYTES];
	uint32_t chunk_min, chunk_avg, chunk_max; /* bytes; of a store open for writing they are those of chunker.h */
	unsigned features;			  /* that the store has; enum settings_feature */
};

/* A new id and secret from the kernel's random numbers. 0 or -errno. */
int settings_make(struct settings *s);
/* path: of tomofs.json. 0 or -errno. */
int settings_write(const struct io *io, const char *path, const struct settings *s);
/* 0; -ENOENT: no such file; -EINVAL with a sentence: not tomofs, damaged, or made by a newer version (names the
 * feature); -errno. read_only: features and chunk sizes that only matter for writing need not be known. */
int settings_read(const struct io *io, const char *path, bool read_only, struct settings *s);

/* What a reader needs for chunks of this codec; 0: nothing beyond the first format. */
unsigned settings_codec_feature(unsigned codec);
/* Adds features to the list features_to_read of the file at path, whole or not at all; all else in it stays, also what
 * this version does not know. One thread at a time. 0 or -errno. */
int settings_add_features(const struct io *io, const char *path, unsigned features);

#endif
