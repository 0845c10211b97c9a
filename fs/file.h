/*
 * file: the bytes of files below datasets/, read and written through any number of handles. One struct file for each node that is
 * open, shared by its handles.
 *
 * Writing: bytes wait in memory as dirty runs; sequential or not. When they pass a threshold they are cut into chunks and put
 * into the store by threads behind the writers, tail of a growing file excepted. Small files stay in memory until they
 * close. A commit puts the rest, saves the content tree and applies one REC_CONTENT. Overwriting part of a chunk is copy on write of
 * that chunk.
 *
 * When a commit happens: fsync waits for it. A close of a file whose content is all new (a copy) does not: it is promised, done
 * behind the writer, and in the catalog within moments; what waits is bounded in bytes and in time (2 s), and beyond that writers
 * wait. Until then the file stays in the table, where everybody who reads, stats or opens it finds it first. A close after a
 * change of stored content waits for its commit, since that may meet damage, which the writer should be told.
 *
 * Errors of writing are sticky for the file: later write, flush and fsync report them again, until its last release.
 * The disk's reserve is checked at write (-ENOSPC there, not at close). A promise that finds the disk full all the same is kept
 * in memory and tried again; one that cannot be kept (the disk fails) is logged, and reading the file says so (-EIO) until the
 * next mount.
 *
 * SHA-256 of the whole file is computed in stream while writing is sequential, else by reading once after the last release;
 * large files are read when nothing else is to be done (until then sha256_known is false).
 *
 * Threads: everything may be called from any thread; readers of one file do not wait for each other's decoding.
 */
#ifndef TOMOFS_FILE_H
#define TOMOFS_FILE_H

#include <sys/uio.h>

#include "fs/fs.h"

struct file;
struct files;

int files_new(struct files **out, struct store *store, struct catalog *catalog, size_t dirty_budget);
struct layout_hints; /* layout_hint.h: where the geometry of files without a header comes from */
void files_use_hints(struct files *files, struct layout_hints *hints);
/* Commits what is still dirty and ends the threads: from here on closed() is told by none. 0 or the first failure. */
int files_stop(struct files *files);
/* After files_stop(), or by itself. */
int files_free(struct files *files);

/* Called (from any thread, without locks) after the last writer of a file that changed has released it and its content is
 * in the catalog, or was lost; and at the first write of a handle. For arrival. at_hand: until closed() returns, all bytes of
 * the file (some MiB at most) are read from memory. */
void files_on_close(struct files *files, void (*closed)(void *ctx, uint64_t ino, bool at_hand),
		    void (*written)(void *ctx, uint64_t ino), void *ctx);

/* Called likewise when what was promised for a file is lost, so that the kernel forgets the bytes that it holds of it. */
void files_on_lost(struct files *files, void (*lost)(void *ctx, uint64_t ino), void *ctx);

/* Opens the node's content; writable: counts as a writer. Close with file_release (same writable). 0, -ENOENT, -EIO. */
int file_open(struct files *files, uint64_t ino, bool writable, struct file **out);

/* Returns bytes read (short only at the end of the file) or -errno (-EIO names dataset path, place and chunk). */
int64_t file_read(struct file *file, uint64_t off, void *to, size_t len);

/* Bytes that were read, in pieces which lie where they were decoded, so that they need not be copied to be sent. */
struct file_bytes {
	struct iovec *list; /* count pieces, in order */
	size_t count;
	struct store *store;
	struct held *held; /* the chunks that the pieces lie in: held_count */
	size_t held_count;
	void *copy; /* or this */
};
/* As file_read(); file_bytes_free() also after an error. The pieces stay as they are until then. */
int64_t file_read_bytes(struct file *file, uint64_t off, size_t len, struct file_bytes *out);
void file_bytes_free(struct file_bytes *bytes);
/* Returns len or -errno. append: off is ignored, the end at that moment is used. Beyond 16 TiB: -EFBIG. */
int64_t file_write(struct file *file, const struct caller *caller, uint64_t off, const void *from, size_t len, bool append);
int file_truncate(struct file *file, const struct caller *caller, uint64_t size);

/* fallocate(2): 0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE. What is zeroed becomes a hole, but short ranges. 0; -ENOSPC: the disk has no room for so
 * much, though what comes may take less; -EFBIG; -EINVAL; -EOPNOTSUPP: another mode. */
int file_allocate(struct file *file, const struct caller *caller, int mode, uint64_t off, uint64_t len);
/* SEEK_DATA and SEEK_HOLE of lseek(2), at or after off. -ENXIO: there is none; -EIO. */
int64_t file_seek(struct file *file, uint64_t off, int whence);

/* close(2) of one descriptor: commits what is dirty, or promises to; reports errors. Comes several times. */
int file_flush(struct file *file, const struct caller *caller);
/* Commits and makes durable (catalog_sync). */
int file_fsync(struct file *file, const struct caller *caller);
/* Gives back one file_open(). After the last writer's release what is dirty is committed and closed() told, behind the caller. */
int file_release(struct file *file, const struct caller *caller, bool writable);

/* utimens while it is open: remembered, so that a later commit does not overwrite a time that somebody set. */
void files_set_mtime(struct files *files, uint64_t ino, int64_t mtime_ns);

/* Size and mtime as they are now, dirty bytes included. False: the catalog is right if it is read after this call. */
bool files_peek(struct files *files, uint64_t ino, uint64_t *size, int64_t *mtime_ns);
/* Bytes of such a file that are in holes, as far as that is quickly told; else 0. */
uint64_t files_holes(struct files *files, uint64_t ino);
/* Is anybody writing it, or is it not committed yet? */
bool files_writing(struct files *files, uint64_t ino);
/* Is it in the table: open, or not committed yet? */
bool files_is_open(struct files *files, uint64_t ino);
/* Commits this one, if it is in the table. */
int files_commit_one(struct files *files, uint64_t ino);
/* Commits every file that is dirty (for sync of a folder and for shutdown). */
int files_commit_all(struct files *files);

/* Everything that was closed before the call is in the catalog, hashed unless it is large, and closed() was told. The first failure. */
int files_settle(struct files *files);

/* dst becomes a copy of src's content without copying bytes (copy_file_range of a whole file). 0; -EOPNOTSUPP when the
 * range is not the whole or dst is not empty. */
int file_clone(struct file *src, struct file *dst, const struct caller *caller);

/* Dirty bytes in memory now, of all files. */
size_t files_dirty(struct files *files);

#endif
