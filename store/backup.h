/*
 * backup: a copy of a store's files in another folder that can be opened as a store, made beside those who write.
 *
 *     journal/      first: what is named in it ...
 *     settle()      ... is on the source's disk after this ...
 *     packs/        ... so that it is in the packs that are copied then
 *     tomofs.json   last: before it is there, the folder is no store
 *
 * The index and the key runs are not copied; a mount makes them again. Files that are there with the same size and time are not copied
 * again; what is copied is read back from the disk and compared by its hash before it takes its name. Packs that the source has
 * no more are removed when all others are durable.
 *
 * The caller sees to it that nobody removes packs from the source meanwhile (a hold, or the store's lock).
 */
#ifndef TOMOFS_BACKUP_H
#define TOMOFS_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

struct backup_options {
	int (*settle)(void *ctx); /* 0 or -errno; NULL: nobody writes */
	bool (*stop)(void *ctx);  /* asked before each file; NULL: never */
	void (*progress)(void *ctx, uint64_t done, uint64_t all); /* bytes; NULL */
	void *ctx;
};
struct backup_result {
	uint64_t files, bytes; /* copied */
	uint64_t same;         /* files that were there */
	uint64_t removed;      /* packs */
};

/* to: a folder that is not there, empty, or an older backup of the same store, which nobody may have open. 0; -EEXIST: something
 * else is in it; -EXDEV: it is of another store, or was written to since; -EBUSY: it is open; -EINTR: stop() said so, the next one goes
 * on there; -EIO: what was written did not come back; -errno. */
int store_backup(const char *from, const char *to, const struct backup_options *options, struct backup_result *result);

#endif
