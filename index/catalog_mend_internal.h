/* The inside of catalog_mend(). */
#ifndef TOMOFS_CATALOG_MEND_INTERNAL_H
#define TOMOFS_CATALOG_MEND_INTERNAL_H

#include "index/catalog_internal.h"
#include "index/catalog_mend.h"

struct mend {
	struct store *store;
	void (*say)(void *ctx, const char *sentence);
	void *ctx;
	struct mend_counts *counts;
	struct journal *journal; /* the new one */
	struct catalog *now;	 /* what it adds up to */
	struct catalog *old;	 /* the old index, if it can be read; its rows are whole */
	uint64_t old_seq;	 /* the last record that it knows; 0: it is not wanted (any more) */
	uint64_t burned;	 /* node numbers beyond those of `old` */
	uint64_t last;		 /* number of the last old record that counts in */
};

void mend_say(struct mend *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Makes records that bring `now` to what `old` says: catalog_mend_index.c. 0 or -errno. */
int mend_from_index(struct mend *m);

#endif
