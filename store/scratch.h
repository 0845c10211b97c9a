/*
 * scratch: buffers that each thread keeps between chunks. Fresh memory for half a MiB costs as many page faults as the
 * copy into it takes time.
 *
 * A thread's buffers are as large as the largest chunk or record it handled (a record is at most 2 MiB and a little), and
 * are freed when it ends. Any thread may call.
 */
#ifndef TOMOFS_SCRATCH_H
#define TOMOFS_SCRATCH_H

#include "store/buf.h"

enum scratch_use {
	SCRATCH_PLAIN,	 /* a decoded chunk that is not for the cache */
	SCRATCH_PAYLOAD, /* an encoded chunk on its way to a pack */
	SCRATCH_USES
};

/* The calling thread's buffer for this use, empty. NULL: no memory (err_text() set). It stays the thread's own; whoever
 * asks for the same use again gets the same buffer. */
struct buf *scratch_take(enum scratch_use use);

#endif
