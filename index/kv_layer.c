/* A skip list (Pugh, CACM 1990): sorted, no rebalancing, entries stay where they are. */
#include <stdlib.h>

#include "index/kv_internal.h"

enum { HEIGHT_MAX = 16 };

struct layer {
	struct entry *first[HEIGHT_MAX];
	unsigned height;
	uint64_t dice;
	size_t bytes;
};

struct layer *layer_new(void)
{
	struct layer *layer = calloc(1, sizeof *layer);

	if (!layer)
		kv_no_memory();
	layer->height = 1;
	layer->dice = 0x9e3779b97f4a7c15;
	return layer;
}

void layer_free(struct layer *layer)
{
	struct entry *next;

	if (!layer)
		return;
	for (struct entry *e = layer->first[0]; e; e = next) {
		next = e->next[0];
		free(e->value);
		free(e);
	}
	free(layer);
}

size_t layer_bytes(const struct layer *layer)
{
	return layer ? layer->bytes : 0;
}

/* The first entry >= key; before[i] becomes the link of level i that leads there. */
static struct entry *find_links(const struct layer *layer, struct bytes key, struct entry *const **before)
{
	struct entry *const *links = layer->first;
	struct entry *e = NULL;

	for (unsigned i = layer->height; i-- > 0;) {
		while ((e = links[i]) && bytes_compare(entry_key(e), key) < 0)
			links = e->next;
		if (before)
			before[i] = &links[i];
	}
	return e;
}

struct entry *layer_seek(const struct layer *layer, struct bytes key)
{
	return layer ? find_links(layer, key, NULL) : NULL;
}

struct entry *layer_find(const struct layer *layer, struct bytes key)
{
	struct entry *e = layer_seek(layer, key);

	return e && !bytes_compare(entry_key(e), key) ? e : NULL;
}

/* One level more with a chance of 1 in 4. */
static unsigned throw_height(struct layer *layer)
{
	unsigned height = 1;

	layer->dice ^= layer->dice << 13;
	layer->dice ^= layer->dice >> 7;
	layer->dice ^= layer->dice << 17;
	for (uint64_t dice = layer->dice; height < HEIGHT_MAX && !(dice & 3); dice >>= 2)
		height++;
	return height;
}

static size_t entry_size(const struct entry *e)
{
	return sizeof *e + e->height * sizeof e->next[0] + e->key_len;
}

static struct entry *insert(struct layer *layer, struct bytes key, struct entry *const **before)
{
	unsigned height = throw_height(layer);
	struct entry *e = malloc(sizeof *e + height * sizeof e->next[0] + key.len);

	if (!e)
		kv_no_memory();
	*e = (struct entry) { .key_len = (uint16_t)key.len, .height = (uint8_t)height };
	for (; layer->height < height; layer->height++)
		before[layer->height] = &layer->first[layer->height];
	for (unsigned i = 0; i < height; i++) {
		struct entry **link = (struct entry **)before[i];

		e->next[i] = *link;
		*link = e;
	}
	memcpy(&e->next[height], key.at, key.len);
	return e;
}

int64_t layer_put(struct layer *layer, struct bytes key, const void *value, size_t value_len)
{
	struct entry *const *before[HEIGHT_MAX];
	struct entry *e = find_links(layer, key, before);
	size_t was = layer->bytes;
	uint8_t *copy = NULL;

	if (value) {
		copy = malloc(value_len ? value_len : 1);
		if (!copy)
			kv_no_memory();
		memcpy(copy, value, value_len);
	}
	if (!e || bytes_compare(entry_key(e), key)) {
		e = insert(layer, key, before);
		layer->bytes += entry_size(e);
	}
	layer->bytes += value_len;
	layer->bytes -= e->value_len;
	free(e->value);
	e->value = copy;
	e->value_len = (uint32_t)value_len;
	e->deleted = !value;
	return (int64_t)(layer->bytes - was);
}
