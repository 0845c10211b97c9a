#include "store/suspect.h"

#include "store/scope.h"
#include "store/verify_internal.h"

static bool is_among(const struct buf *names, struct pack_name name)
{
	for (size_t at = 0; at < names->len; at += sizeof name) {
		struct pack_name other;

		memcpy(&other, names->data + at, sizeof other);
		if (!pack_name_compare(other, name))
			return true;
	}
	return false;
}

void suspect_add(struct verify *run, const char *pack)
{
	struct buf *suspects = &run->store->suspects;
	struct pack_name name;

	if (!pack_name_parse(pack, &name))
		return;
	scope_lock(&run->lock);
	if (!is_among(suspects, name))
		buf_put(suspects, &name, sizeof name);
}

bool store_is_suspect(struct store *store, const struct key *key)
{
	struct directory_entry entry;
	char text[PACK_NAME_MAX];
	struct pack_name name;

	if (directory_get(store->directory, key, &entry) != 1 || buf_failed(&store->suspects))
		return true;
	if (!packs_is_there(store->packs, entry.pack))
		return true;
	packs_name(store->packs, entry.pack, text);
	return !pack_name_parse(text, &name) || is_among(&store->suspects, name);
}
