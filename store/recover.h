/*
 * recover: what is in a pack file, whatever happened to it. A sealed pack tells by its footer; any other is walked
 * through record by record.
 *
 * Damage in the middle hides nothing behind it: the walk looks for the next record. Only what stands behind the last
 * whole record of a pack without a footer is a torn tail (a write that a crash cut short), and only that is ever cut
 * off.
 */
#ifndef TOMOFS_RECOVER_H
#define TOMOFS_RECOVER_H

#include "store/io.h"
#include "store/pack.h"

struct walk {
	const struct io *io;
	int fd;
	uint64_t seed;
	uint64_t size; /* the walk goes from the header to here */
	/* Each whole record (head and payload match their checks), in order; the payload is valid during the call. A
	 * non-zero result ends the walk and is returned. */
	int (*record)(void *ctx, const struct pack_head *head, uint64_t off, const uint8_t *payload);
	/* Bytes from .. to-1 are no whole record, and a whole one follows. key: whose record, or NULL. May be NULL. */
	void (*damaged)(void *ctx, uint64_t from, uint64_t to, const struct key *key);
	void *ctx;
	/* Results. */
	uint64_t whole_end;   /* end of the last whole record, or of the header */
	uint64_t content_end; /* the same without a footer */
	uint64_t footer_off;  /* of a footer whose head is whole; 0 when there is none */
	bool unreadable;      /* the disk gave errors: nothing may be concluded from what is missing */
};
/* 0; -ENOMEM; what record() returned. */
int pack_walk(struct walk *walk);

/* The names of all packs in the folder, oldest first, in a new array. 0 or -errno with a sentence. */
int pack_list(const char *folder, struct pack_name **names, size_t *count);

/* Reads trailer and footer of a pack of `size` bytes. 1: sealed and whole (footer: head and entries); 0: no trailer;
 * -EBADMSG: a trailer without a whole footer; -errno. Without a sentence. *footer_off as the trailer says. */
int pack_read_footer(const struct io *io, int fd, uint64_t seed, uint64_t size, struct buf *footer, uint64_t *records,
		     uint64_t *footer_off);

struct recovered {
	uint64_t seed;
	uint64_t size; /* of the file */
	bool sealed;
	bool partial; /* the disk could not read all of it: there may be records that are not listed */
	uint64_t records;
	struct buf entries; /* as in a footer, see pack_entry_get(); the caller frees it */
};

enum recover_flags {
	RECOVER_WRITE = 1,  /* cut the torn tail, write the footer */
	RECOVER_SETTLE = 2, /* may not be on the disk yet: sync it first, then believe only what the disk gives back */
};

/* What a pack holds. 0; -ENOENT: it was empty (and is removed when writing) or is gone; -EXDEV: of another store;
 * -EINVAL: of a newer format; -errno. With a sentence; damage that leaves other chunks readable is logged and is no
 * failure. Where the disk gives read errors nothing is cut, written or removed, and out->partial is set unless the trailer says
 * that all records were found. */
int recover_pack(const struct io *io, const struct settings *settings, const char *folder, struct pack_name name,
		 unsigned flags, struct recovered *out);

/* Does a sector of bytes from..to-1 of a file of `size` bytes, in which no record is whole, read as zeros? So looks a write that power cut short, when the disk
 * had come to its later sectors before its earlier ones: 1. A damaged byte does not: 0. -errno. */
int recover_torn(const struct io *io, int fd, uint64_t from, uint64_t to, uint64_t size);

#endif
