/*
 * content: where the bytes of one file are, as an editable map from offsets to chunks. On disk it is a tree (struct content in
 * index/record.h): a few extents in the record, or nodes of up to CONTENT_NODE_MAX extents stored as chunks themselves.
 * In memory it is a list of leaves, loaded when touched, so that reading one byte of a 100 GB file loads one leaf, and
 * changing it rewrites one leaf and the path to it.
 *
 * Covers [0, size) without gaps; holes are extents too. Not locked: its file locks.
 */
#ifndef TOMOFS_CONTENT_H
#define TOMOFS_CONTENT_H

#include "index/record.h"
#include "store/store.h"

struct content_map;

/* From a root. Loads interior nodes (not leaves). 0; -EIO: a node is damaged (named). */
int content_open(struct content_map **out, struct store *store, const struct content *root);
void content_free(struct content_map *map);
uint64_t content_size(const struct content_map *map);

/* The extent that covers byte off: *extent, and where it starts. -EINVAL when off >= size; -EIO. */
int content_find(struct content_map *map, uint64_t off, struct extent *extent, uint64_t *start);

/* Replaces [off, off+old_len) by the given extents (whose lengths add up to new_len, which may differ only when the range
 * reaches the end of the file). Both ends must fall on extent borders, inside a hole (which is split), or at the end;
 * off may equal size (append). Neighbouring holes are merged. 0; -EIO. */
int content_splice(struct content_map *map, uint64_t off, uint64_t old_len, const struct extent *extents, size_t count);

/* Puts changed nodes into the store and fills root->size, depth, count, extents (not the SHA-256). Costs what changed. */
int content_save(struct content_map *map, struct content *root);

/* ---- every chunk ---- */

/* Called with each key that is named; depth: of the tree node that it is, 0: bytes of the file or a hole. True: those below it are
 * wanted, too. */
typedef bool (*content_each)(void *ctx, const struct key *key, unsigned depth);
/* Of a content as it is stored. 0; -EIO: a node is damaged; -ENOMEM. */
int content_walk(struct store *store, const struct content *root, content_each each, void *ctx);
/* Of a map: what reading it and saving it may need. */
int content_map_walk(struct content_map *map, content_each each, void *ctx);

#endif
