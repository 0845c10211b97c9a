#include "tests/lib/fuzz_kv.h"

#include "index/kv_internal.h"

void fuzz_kv_forget(struct kv *kv)
{
	kv_write_begin(kv);
	layer_free(kv->active);
	kv->active = layer_new();
	atomic_store(&kv->pending, 0);
	kv_write_end(kv);
}
