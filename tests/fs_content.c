/* The map of a file's bytes against a flat array of extents: random splices, saves and reopenings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/content.h"
#include "tests/lib/check.h"

enum { ROUNDS = 600, MODEL_MAX = 9000, EXTENT_BYTES = 1000 };

static struct extent model[MODEL_MAX];
static size_t model_count;
static uint64_t seed = 42, next_key = 1;

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static struct extent new_extent(void)
{
	struct extent e = { .len = 1 + rnd(EXTENT_BYTES) };

	if (rnd(4))
		memcpy(e.key.bytes, &next_key, sizeof next_key), next_key++;
	return e;
}

static uint64_t model_size(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < model_count; i++)
		sum += model[i].len;
	return sum;
}

/* Replaces `old` extents from index at on. */
static void model_splice(size_t at, size_t old, const struct extent *list, size_t count)
{
	memmove(model + at + count, model + at + old, (model_count - at - old) * sizeof *model);
	memcpy(model + at, list, count * sizeof *list);
	model_count = model_count - old + count;
}

/* Key of byte off in the model (holes: zero), and how far into its extent it is. */
static struct extent model_at(uint64_t off, uint64_t *start)
{
	*start = 0;
	for (size_t i = 0; i < model_count; i++) {
		if (off < *start + model[i].len)
			return model[i];
		*start += model[i].len;
	}
	return (struct extent){ 0 };
}

static void compare(struct content_map *map)
{
	uint64_t size = model_size(), start, model_start;

	CHECK(content_size(map) == size);
	for (int i = 0; i < 40 && size; i++) {
		uint64_t off = i == 0 ? 0 : i == 1 ? size - 1 : rnd(size);
		struct extent want = model_at(off, &model_start), got;

		CHECK_RC(content_find(map, off, &got, &start));
		CHECK(key_equal(&got.key, &want.key));
		CHECK(off >= start && off < start + got.len);
		if (!key_is_hole(&want.key)) /* neighbouring holes are merged, so their borders may differ */
			CHECK(start == model_start && got.len == want.len);
	}
}

static void random_splice(struct content_map *map)
{
	struct extent list[64];
	size_t at = rnd(model_count + 1), old = rnd(5), count = 0, most = rnd(10) ? 4 : 60;
	uint64_t off = 0, old_len = 0, new_len = 0;
	bool at_end;

	if (old > model_count - at)
		old = model_count - at;
	for (size_t i = 0; i < at; i++)
		off += model[i].len;
	for (size_t i = 0; i < old; i++)
		old_len += model[at + i].len;
	at_end = at + old == model_count;
	if (at_end) {
		count = model_count + 64 < MODEL_MAX ? rnd(most) : 0;
		for (size_t i = 0; i < count; i++)
			list[i] = new_extent();
	} else if (old) { /* in the middle the length stays */
		while (new_len < old_len && count < 64) {
			list[count] = new_extent();
			if (list[count].len > old_len - new_len || count == 63)
				list[count].len = old_len - new_len;
			new_len += list[count++].len;
		}
	}
	CHECK_RC(content_splice(map, off, old_len, list, count));
	model_splice(at, old, list, count);
}

int main(void)
{
	const char *dir = check_tmpdir();
	struct store_options options = { 0 };
	struct content root = { 0 };
	struct content_map *map;
	struct store *store;
	char path[512];

	snprintf(path, sizeof path, "%s/store", dir);
	CHECK_RC(store_create(path));
	CHECK_RC(store_open(&store, path, &options));
	CHECK_RC(content_open(&map, store, &root));
	for (int i = 0; i < 3000; i++) { /* deep enough for several leaves */
		struct extent e = new_extent();

		CHECK_RC(content_splice(map, model_size(), 0, &e, 1));
		model[model_count++] = e;
	}
	compare(map);
	for (int round = 0; round < ROUNDS; round++) {
		random_splice(map);
		if (round % 10 == 0)
			compare(map);
		if (round % 40)
			continue;
		CHECK_RC(content_save(map, &root));
		CHECK(root.size == model_size());
		content_free(map);
		CHECK_RC(content_open(&map, store, &root));
		compare(map);
	}
	CHECK_RC(content_splice(map, 0, model_size(), NULL, 0));
	CHECK(content_size(map) == 0);
	CHECK_RC(content_save(map, &root));
	CHECK(root.size == 0);
	content_free(map);
	store_close(store);
	return check_done();
}
