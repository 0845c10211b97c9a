/* A store that is open for reading only beside a writer: what the writer made since is looked for when a pack is found gone.
 * Packs that are removed have left their chunks to newer ones. */
#include <errno.h>

#include "store/err.h"
#include "store/recover.h"
#include "store/scope.h"
#include "store/store_internal.h"

struct known { /* pack */
	struct pack_name name;
	uint32_t index;
};

static int by_name(const void *a, const void *b)
{
	return pack_name_compare(((const struct known *)a)->name, ((const struct known *)b)->name);
}

/* All packs that were seen, in the order of names, in a new array. */
static int list_known(struct store *s, struct known **out, size_t *count)
{
	uint32_t end = packs_end(s->packs);
	struct known *all = malloc((end + 1) * sizeof *all);

	if (!all)
		return err_set(ENOMEM, "no memory to list packs");
	for (uint32_t i = 0; i < end; i++) {
		char text[PACK_NAME_MAX];

		packs_name(s->packs, i, text);
		all[i].index = i;
		pack_name_parse(text, &all[i].name);
	}
	qsort(all, end, sizeof *all, by_name);
	*out = all;
	*count = end;
	return 0;
}

static bool was_growing(struct store *s, uint32_t index)
{
	const uint32_t *growing = (const void *)s->growing.data;

	for (size_t i = 0; i < s->growing.len / sizeof *growing; i++)
		if (growing[i] == index)
			return true;
	return false;
}

/* Enters what a pack holds now; one that grew may be there already, with less. */
static int enter(struct store *s, struct known *pack, bool is_new, struct directory_sums *sums)
{
	struct recovered now;
	int rc = recover_pack(s->io, &s->settings, s->packs_folder, pack->name, 0, &now);

	if (rc)
		return rc == -ENOMEM ? rc : 0; /* gone too, or no better than when the store was opened */
	if (is_new)
		rc = packs_add(s->packs, pack->name, now.seed, NULL, &pack->index);
	if (!rc)
		rc = directory_load(s->directory, pack->index, &now, sums);
	if (!rc && is_new && !now.sealed)
		buf_put(&s->growing, &pack->index, sizeof pack->index);
	buf_free(&now.entries);
	return rc;
}

int store_follow(struct store *s, struct directory_sums *sums)
{
	scope_free struct pack_name *names = NULL;
	scope_free struct known *known = NULL;
	size_t count = 0, known_count = 0;
	int rc = list_known(s, &known, &known_count);

	if (!rc)
		rc = pack_list(s->packs_folder, &names, &count);
	for (size_t i = 0; !rc && i < count; i++) {
		struct known pack = { .name = names[i] };
		const struct known *found = bsearch(&pack, known, known_count, sizeof *known, by_name);

		if (found)
			pack.index = found->index;
		if (!found || was_growing(s, pack.index))
			rc = enter(s, &pack, !found, sums);
	}
	return rc;
}
