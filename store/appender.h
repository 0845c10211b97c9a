/*
 * appender: writes one new pack. Records gather in memory and go to the disk some MiB at a time; they can be read back
 * from memory until they are there. The file is made with the first write, never opened over an old one, and promised
 * with appender_sync().
 *
 * When the disk is full (-ENOSPC, -EDQUOT), or the file cannot be opened for want of descriptors or memory (-EMFILE, -ENFILE,
 * -ENOMEM), nothing is lost: the bytes stay in memory, no more are taken than fit there, and the next call tries again. After any other failure of a write or sync the appender is broken for good: what a later fsync says
 * cannot be believed, so the file is cut back to its last synced byte and every further call fails with -EIO. A failure
 * in the background is told to whoever appends or syncs next.
 *
 * Memory: at most 8 MiB of records (a footer, at most 10 MiB, comes on top), and 40 bytes a record; given back as a
 * sealed pack is written.
 *
 * Threads: any. No lock is held across I/O; concurrent syncs share one.
 */
#ifndef TOMOFS_APPENDER_H
#define TOMOFS_APPENDER_H

#include "store/io.h"
#include "store/pack.h"
#include "store/pool.h"

struct appender;

/* A new pack at path, in folder (both copied). Touches no disk. 0 or -ENOMEM. The caller holds one reference. */
int appender_new(struct appender **out, const struct io *io, const char *folder, const char *path,
		 const uint8_t header[PACK_HEADER_BYTES]);
/* Writes, and a sync after each sync_every bytes, are done by threads of this pool; to be called before the first
 * append. Its jobs wait for the disk, so it must be another one than that which encodes; pool_free() waits for them. */
void appender_write_behind(struct appender *a, struct pool *pool, uint64_t sync_every);
struct appender *appender_ref(struct appender *a);
/* The last one closes the file; bytes not written by then are dropped. NULL is fine. */
void appender_drop(struct appender *a);

/* Appends a record (head->payload_check is filled in). 0 and its place; -EAGAIN: sealed, take the next pack; -ENOSPC,
 * -EDQUOT, -EMFILE, -ENFILE or -ENOMEM: nothing was taken, try later; -EIO: broken. */
int appender_add(struct appender *a, struct pack_head *head, const void *payload, uint64_t *off);

/* Bytes and records so far, those in memory included. */
uint64_t appender_bytes(struct appender *a);
uint64_t appender_records(struct appender *a);

/* Appends footer and trailer (in memory) and takes no more. Again is fine. 0; -EIO: broken; -ENOMEM. */
int appender_seal(struct appender *a);
/* Everything added before the call is durable, the file's name included. 0; -ENOSPC, -EDQUOT, -EMFILE, -ENFILE, -ENOMEM: try
 * later; -EIO. */
int appender_sync(struct appender *a);

/* Copies bytes that are still in memory. False when they are not, and the file has them. */
bool appender_peek(struct appender *a, uint64_t off, void *to, size_t len);

#endif
