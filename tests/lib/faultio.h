/*
 * faultio: the disk as a test wants it. A struct io over io_system whose n-th call fails, that transfers less than
 * asked, that counts, and that can lose power and forget what was not synced.
 *
 *     struct faultio *f = faultio_new();
 *     faultio_fail(f, FAULT_SYNC, 2, EIO);             the second sync from now on fails, once
 *     ... use faultio_io(f) ...
 *     faultio_free(f);
 *
 *     for (n = 1; ; n++) {                             every place where power can go away
 *             faultio_power_off(f, n);
 *             ... work, then close everything (nothing is written any more, descriptors are let go of) ...
 *             bool done = !faultio_is_off(f);
 *             faultio_crash(f, seed);                  the disk is as after the power cut; f works again
 *             ... open again and check what was promised ...
 *             if (done) break;
 *     }
 *
 * What a crash forgets: bytes and sizes written through this table since the file's last good fdatasync; new names,
 * renames and unlinks without a later good fsync_dir of their folder. What was there before the table first changed a
 * file is durable. A fdatasync that failed loses what it should have written for good: as on Linux, the next one says
 * that all is well and the disk still holds the old bytes.
 *
 * Limits: folders made with mkdir() are durable at once, and changes that go past the table are not seen. Files that
 * the table changes are copied first into a folder of check_tmpdir(), which must be on the same file system; use a few
 * MiB.
 *
 * Threads: any; one call at a time is let through.
 */
#ifndef TOMOFS_FAULTIO_H
#define TOMOFS_FAULTIO_H

#include <stdbool.h>
#include <stdint.h>

#include "store/io.h"

enum faultio_kind { /* kinds of call, for masks */
		    FAULT_OPEN = 1,
		    FAULT_CLOSE = 2,
		    FAULT_READ = 4,
		    FAULT_WRITE = 8,
		    FAULT_SYNC = 16, /* fdatasync */
		    FAULT_SYNC_DIR = 32,
		    FAULT_RENAME = 64,
		    FAULT_UNLINK = 128,
		    FAULT_TRUNCATE = 256,
		    FAULT_SIZE = 512,
		    FAULT_ALL = 1023,
		    FAULT_CHANGES =
			FAULT_WRITE | FAULT_SYNC | FAULT_SYNC_DIR | FAULT_RENAME | FAULT_UNLINK | FAULT_TRUNCATE,
};

struct faultio;

/* Never NULL: a test that has no memory ends. */
struct faultio *faultio_new(void);
void faultio_free(struct faultio *f);
const struct io *faultio_io(struct faultio *f);

/* The nth call (1: the next) of these kinds returns -code and does nothing; later ones work. nth 0: none. A close()
 * that fails still closes. */
void faultio_fail(struct faultio *f, unsigned kinds, uint64_t nth, int code);
/* As above, but all later calls of these kinds fail too (a disk that stays full). */
void faultio_fail_from(struct faultio *f, unsigned kinds, uint64_t nth, int code);
/* From the nth call on that changes the disk (FAULT_CHANGES, and open) everything fails with -EIO. If that call is a
 * write, half of it is done. */
void faultio_power_off(struct faultio *f, uint64_t nth);
bool faultio_is_off(struct faultio *f);
/* Each read and write transfers at most so many bytes. 0: no limit. */
void faultio_short(struct faultio *f, size_t bytes);

/* Calls of these kinds since faultio_new() or faultio_reset(), failed ones too. */
uint64_t faultio_calls(struct faultio *f, unsigned kinds);
/* No faults, power on, counters 0. What is not synced stays so. */
void faultio_reset(struct faultio *f);

/* Makes the disk what it is after a power cut, and faultio_reset(). All descriptors must be closed. seed 0: nothing
 * that was not synced is left. Else each piece that was not synced is kept, lost or torn, as the seed has it (names are
 * lost). */
void faultio_crash(struct faultio *f, uint64_t seed);

#endif
