/*
 * packs: the pack files of an open store, by index, for reading. Any number of packs; a bounded number of them is kept
 * open. A pack that is being written is read from its appender's memory as far as it is not on the disk yet.
 *
 * Threads: any. Reads hold no lock across I/O. Indexes are never used twice.
 */
#ifndef TOMOFS_PACKS_H
#define TOMOFS_PACKS_H

#include "store/appender.h"

struct packs;

/* folder is copied. 0 or -ENOMEM. */
int packs_new(struct packs **out, const struct io *io, const char *folder);
void packs_free(struct packs *packs);

/* Adds a pack. seed: as its records have it. writer: who writes it (a reference is taken), or NULL. 0 and the index. */
int packs_add(struct packs *packs, struct pack_name name, uint64_t seed, struct appender *writer, uint32_t *index);
/* All of it is on the disk: the appender is no longer asked. */
void packs_written(struct packs *packs, uint32_t index);

/* Is all of it on the disk, synced? */
bool packs_is_written(struct packs *packs, uint32_t index);
/* The pack goes away: reads that begin from now on find -ESTALE, those under way end as usual. */
void packs_remove(struct packs *packs, uint32_t index);
bool packs_is_there(struct packs *packs, uint32_t index);

/* The seed was not the one that the pack's records have. */
void packs_correct_seed(struct packs *packs, uint32_t index, uint64_t seed);
uint64_t packs_seed(struct packs *packs, uint32_t index); /* 0: there is no such pack */

/* Those that are there; and the index behind the last one that was added. */
uint64_t packs_count(struct packs *packs);
uint32_t packs_end(struct packs *packs);
void packs_name(struct packs *packs, uint32_t index, char text[PACK_NAME_MAX]);
/* All of len bytes at off, and the pack's seed. 0; -ESTALE: the pack is no longer there, so the key must be looked up again;
 * -errno. With a sentence that names the pack. */
int packs_read(struct packs *packs, uint32_t index, uint64_t off, void *to, size_t len, uint64_t *seed);

/* The same for a record that is kept decoded afterwards: what is large and on the disk is read past the page cache, which saves a
 * copy and leaves that memory to others. room: packs_room(len) bytes, at a multiple of PACKS_ALIGN (else it goes through the cache); *bytes: where in it they are. */
enum { PACKS_ALIGN = 4096 };
size_t packs_room(size_t len);
int packs_fetch(struct packs *packs, uint32_t index, uint64_t off, void *room, size_t len, const uint8_t **bytes,
		uint64_t *seed);

#endif
