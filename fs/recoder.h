/*
 * recoder: has data that is at rest coded again, smaller (store_recode() in store.h), by a thread of its own. It works when nobody
 * reads or writes: after some quiet seconds, until the next request for bytes; or at once and whatever happens, when a person
 * asks for it (.tomofs/densify, which `tomofs densify` writes to). In either case it takes only processor and disk time that
 * nobody else wants.
 */
#ifndef TOMOFS_RECODER_H
#define TOMOFS_RECODER_H

#include "store/store.h"

enum { RECODER_AFTER_SECONDS = 86400, RECODER_QUIET_SECONDS = 5 };
#define RECODER_NEVER UINT32_MAX

struct recoder;

/* after: seconds that a pack has not changed for; RECODER_NEVER: only when asked. 0 or -errno. */
int recoder_new(struct recoder **out, struct store *store, uint32_t after);
/* Ends the thread, after the chunk it is at. Before the store is closed. NULL is fine. */
void recoder_free(struct recoder *r);

/* Bytes are being read or written: it waits until this has not been called for a while. Cheap; any thread. NULL is fine. */
void recoder_touch(struct recoder *r);
/* How long ago that was, or the beginning. NULL: 0. */
int64_t recoder_quiet_ns(const struct recoder *r);

/* Everything now, whatever its age. Returns at once. */
void recoder_ask(struct recoder *r);
/* Not now. */
void recoder_halt(struct recoder *r);

/* Not until recoder_go_on(), whoever asks; these may be nested. Returns when it has stopped. */
void recoder_hold(struct recoder *r);
void recoder_go_on(struct recoder *r);

struct recoder_state {
	bool running;
	bool asked;                /* what a person asked for is not done yet */
	uint64_t done, all;        /* bytes of packs, of the present or last round */
	uint64_t packs, packs_left, chunks, bytes_before, bytes_after; /* since the mount; as struct store_recode_result */
	uint64_t packs_dense;      /* of the last round that a person asked for */
	char error[256];           /* why the last round failed; "" */
};
void recoder_state(struct recoder *r, struct recoder_state *state);

#endif
