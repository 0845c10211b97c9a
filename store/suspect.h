/*
 * suspect: which chunks have to be looked at again after store_verify(), to say which files are hurt: those that are in no pack, and
 * those of packs in which anything was wrong.
 */
#ifndef TOMOFS_SUSPECT_H
#define TOMOFS_SUSPECT_H

#include "store/store.h"

/* After store_verify(). True: only store_read() tells whether it is whole. False: it was, a moment ago. Any thread. */
bool store_is_suspect(struct store *store, const struct key *key);

#endif
