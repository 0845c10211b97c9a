/*
 * fuzz: what all fuzz targets share. A target is tests/fuzz_NAME.c with one function, fuzz_one(), that does with the bytes
 * what the file system would do with bytes from outside. It is built in two ways:
 *
 *     make test                 fuzz_main.c runs the saved inputs in tests/corpus/NAME: what was found once stays mended
 *     make fuzz TIME= FUZZ=     libFuzzer makes new inputs (clang)
 *
 * Each input is also run with one allocation after the other failing (fuzz_memory.c), where the target says that its code
 * answers -ENOMEM. A crash, a report of a sanitizer, a leak, more memory than FUZZ_MEMORY_MAX at once, an input that takes
 * longer than ten seconds of the processor's time, or a broken promise (must()) is a failure.
 */
#ifndef TOMOFS_FUZZ_H
#define TOMOFS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "store/buf.h"

enum { FUZZ_MEMORY_MAX = 512 << 20 };

/* ---- what a target has ---- */

void fuzz_one(const uint8_t *data, size_t size);
/* Allocations of fuzz_one() that may fail one by one; 0: its code ends the process without memory, or never asks. */
extern const unsigned fuzz_failing_allocations;

/* ---- what it may use ---- */

/* Ends the process with a word when a promise does not hold. */
void must(bool right, const char *what);

/* The rest of the input in memory of its own length, so that a sanitizer sees each byte that is read too much. free(). */
uint8_t *fuzz_rest(struct cursor *c, size_t *len);
/* The next line (without its end) or the rest, at most max bytes, as a text without NUL. free(). */
char *fuzz_line(struct cursor *c, size_t max);

/* A folder of the process's own in memory (/dev/shm, else TMPDIR), made when first asked for, removed at the end. */
const char *fuzz_folder(void);
/* Writes a whole file. */
void fuzz_write_file(const char *path, const void *bytes, size_t len);

/* From now on the n-th allocation (1: the next one) of the code under test fails, once; 0: none. Says how many there were
 * since the last call. */
unsigned fuzz_fail_allocation(unsigned n);

#endif
