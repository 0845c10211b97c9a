/*
 * xxh3: XXH3 for whole chunks. Where libxxhash was built so that it can ask the processor (its header xxh_x86dispatch.h is there
 * then), the widest instructions are used: up to three times as fast as what every x86-64 has. The hashes are the same.
 */
#ifndef TOMOFS_XXH3_H
#define TOMOFS_XXH3_H

#include <xxhash.h>
#if defined(__x86_64__) && defined(__has_include)
#if __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#endif
#endif

#endif
