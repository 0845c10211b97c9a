/*
 * callers: the user and program behind a request, by name, for the journal. Names are looked up once and remembered for a short
 * time, so that a request does not cost a look into /etc/passwd and /proc.
 *
 * Threads: any.
 */
#ifndef TOMOFS_CALLERS_H
#define TOMOFS_CALLERS_H

#include "fs/fs.h"

struct callers;

struct callers *callers_new(void);
void callers_free(struct callers *callers);

/* Fills who from the numbers that the kernel gives. */
void callers_fill(struct callers *callers, uint32_t uid, uint32_t gid, int32_t pid, struct caller *who);

#endif
