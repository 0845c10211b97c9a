/* fuzz_kv: for fuzz targets that use one index again and again. */
#ifndef TOMOFS_FUZZ_KV_H
#define TOMOFS_FUZZ_KV_H

#include "index/kv.h"

/* Forgets what was put and not committed. Nobody else may use it then. */
void fuzz_kv_forget(struct kv *kv);

#endif
