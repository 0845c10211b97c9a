/* Makes a run out of packs' footers. */
#include <errno.h>

#include "store/err.h"
#include "store/keyrun.h"

int keyrun_builder_add(struct keyrun_builder *b, uint32_t index, struct pack_name name, const struct recovered *pack)
{
	uint32_t place = (uint32_t)keyrun_builder_packs(b);
	struct keyrun_built built = { { name, pack->size, pack->seed }, index };
	size_t entries = b->entries.len;

	for (uint64_t i = 0; i < pack->records; i++) {
		struct pack_entry e = pack_entry_get(pack->entries.data, i);
		struct keyrun_entry entry = { e.head.key, directory_entry_of(&e, place) };

		if (e.head.kind == PACK_CHUNK)
			buf_put(&b->entries, &entry, sizeof entry);
	}
	if (!buf_failed(&b->entries))
		buf_put(&b->packs, &built, sizeof built);
	if (!buf_failed(&b->entries) && !buf_failed(&b->packs))
		return 0;
	b->entries.failed = b->packs.failed = false;
	b->entries.len = entries;
	b->packs.len = place * sizeof built;
	return err_set(ENOMEM, "no memory for the keys of a pack");
}

uint64_t keyrun_builder_entries(const struct keyrun_builder *b)
{
	return b->entries.len / sizeof(struct keyrun_entry);
}

uint64_t keyrun_builder_packs(const struct keyrun_builder *b)
{
	return b->packs.len / sizeof(struct keyrun_built);
}

void keyrun_builder_clear(struct keyrun_builder *b)
{
	buf_free(&b->entries);
	buf_free(&b->packs);
}

static int by_key(const void *left, const void *right)
{
	const struct keyrun_entry *a = left, *b = right;
	int order = memcmp(a->key.bytes, b->key.bytes, KEY_BYTES);

	return order ? order : directory_newer(&a->at, &b->at) ? -1 : 1;
}

static int write_all(struct keyrun_builder *b, struct keyrun_writer *w)
{
	const struct keyrun_entry *entries = (const void *)b->entries.data;
	const struct keyrun_built *packs = (const void *)b->packs.data;
	int rc = 0;

	for (uint64_t i = 0; !rc && i < keyrun_builder_entries(b); i++)
		rc = keyrun_writer_add(w, &entries[i]);
	for (uint64_t i = 0; !rc && i < keyrun_builder_packs(b); i++)
		rc = keyrun_writer_pack(w, &packs[i].pack);
	return rc ? rc : keyrun_writer_finish(w);
}

static int open_it(struct keyrun_builder *b, const struct directory_place *place, uint64_t number, struct keyrun **out)
{
	const struct keyrun_built *packs = (const void *)b->packs.data;
	uint64_t count = keyrun_builder_packs(b);
	uint32_t *indexes = malloc((count + 1) * sizeof *indexes);
	int rc = indexes ? keyrun_reopen(out, place, number) : err_set(ENOMEM, "no memory for a run of keys");

	if (rc) {
		free(indexes);
		return rc;
	}
	for (uint64_t i = 0; i < count; i++)
		indexes[i] = packs[i].index;
	keyrun_set_packs(*out, indexes);
	return 0;
}

int keyrun_builder_write(struct keyrun_builder *b, const struct directory_place *place, uint64_t number,
			 struct keyrun **out)
{
	struct keyrun_writer *w;
	int rc = keyrun_writer_open(&w, place, number, keyrun_builder_entries(b));

	if (rc)
		return rc;
	if (keyrun_builder_entries(b))
		qsort(b->entries.data, keyrun_builder_entries(b), sizeof(struct keyrun_entry), by_key);
	rc = write_all(b, w);
	keyrun_writer_drop(w);
	return rc ? rc : open_it(b, place, number, out);
}
