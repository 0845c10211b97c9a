/*
 * kv: a sorted table of byte keys to byte values on LMDB, with a layer in memory in front of it.
 *
 * What has been put is seen at once by everybody; it reaches LMDB in group commits (kv_commit), because a durable LMDB
 * commit costs two fsyncs and readers of LMDB see committed pages only. The layer has two halves: the active one takes
 * puts; a commit freezes it, writes it in one LMDB transaction without any lock held, and then drops it. Look-ups ask active,
 * frozen, LMDB, in that order; a cursor merges the three.
 *
 * Every stored value carries a checksum over key and value: LMDB does not notice flipped bits. A bad one is -EIO, never -ENOENT.
 *
 * Threads: one writer at a time, between kv_write_begin() and kv_write_end(), which keeps readers out for that (short) time,
 * so a batch of puts is seen as one. kv_read_begin()/kv_read_end() give one consistent state over several gets; they are
 * short, never held across I/O of anybody else, a reply or a callback. kv_get and cursors may only be used inside either.
 */
#ifndef TOMOFS_KV_H
#define TOMOFS_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"

struct kv;

enum { KV_KEY_MAX = 480, KV_VALUE_MAX = 1 << 20 };

/* Opens or makes the LMDB environment in folder dir. map_bytes: size of the map, 0 = 64 GiB (sparse, costs nothing).
 * 0; -EIO: damaged (truncated file: checked before it is mapped, not a LMDB file; the sentence says `tomofs rebuild`);
 * -ENOSPC; -errno. Only one process may have it open (the store's lock sees to it); open after fork. */
int kv_open(struct kv **out, const char *dir, size_t map_bytes);
/* As kv_open() on a disk that cannot be written: what is put stays in memory, and kv_commit() says -EROFS. -ENOENT: there is none. */
int kv_open_read_only(struct kv **out, const char *dir);
/* A map that is full is made larger, but not beyond this. Default: as far as there is address space. */
void kv_limit_map(struct kv *kv, size_t bytes);
/* Does not commit. NULL is fine. */
void kv_close(struct kv *kv);

void kv_read_begin(struct kv *kv);
void kv_read_end(struct kv *kv);
void kv_write_begin(struct kv *kv);
void kv_write_end(struct kv *kv);

/* Appends the value to *value (cleared first). 0, -ENOENT, -EIO. */
int kv_get(struct kv *kv, const void *key, size_t key_len, struct buf *value);
/* Inside kv_write_begin/end only. Key 1 to KV_KEY_MAX bytes. They cannot fail but for memory (then the process ends). */
void kv_put(struct kv *kv, const void *key, size_t key_len, const void *value, size_t value_len);
void kv_del(struct kv *kv, const void *key, size_t key_len);

/* A cursor over keys >= from that begin with prefix, in order. Lives within one kv_read_begin/end or write_begin/end;
 * puts and deletes invalidate it. */
struct kv_cursor;
struct kv_cursor *kv_seek(struct kv *kv, const void *prefix, size_t prefix_len, const void *from, size_t from_len);
/* 1 and the entry (valid until the next call on this cursor), 0 at the end, -EIO damaged (the entry is skipped; key is
 * set). */
int kv_next(struct kv_cursor *c, const uint8_t **key, size_t *key_len, const uint8_t **value, size_t *value_len);
void kv_cursor_free(struct kv_cursor *c);

/* Writes everything put before the call to LMDB, durably. Other threads go on. One at a time; a second caller waits.
 * 0; -ENOSPC when the disk is full (LMDB says EIO) or the map is and cannot be larger; -EIO. On failure nothing is lost: what was frozen stays in
 * memory and the next call tries again. */
int kv_commit(struct kv *kv);

/* Bytes in the memory layer (to decide when to commit). */
size_t kv_pending(struct kv *kv);

#endif
