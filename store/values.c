#include "store/values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/predict_internal.h"

enum {
	OFTEN = 4,		/* times in a sample */
	BLOCK = 512,
	LEVELS = 1 << 16,	/* of narrow samples */
	SLOTS = 4 * VALUES_MAX, /* of the hash table for 32-bit levels: powers of two */
	SLOTS_SPARSE = 1 << 13,
	TABLE_BYTES = SLOTS * 8,
};

void values_free(struct values *v)
{
	free(v->level);
	free(v->table);
	memset(v, 0, sizeof *v);
}

static bool has_memory(struct values *v)
{
	if (!v->level)
		v->level = malloc(VALUES_MAX * sizeof *v->level);
	if (!v->table)
		v->table = malloc(TABLE_BYTES);
	return v->level && v->table;
}

/* ---- levels of any width ---- */

static void load(const struct prediction *p, const uint8_t *bytes, size_t count, int32_t *level)
{
	int16_t narrow[BLOCK];

	if (p->width == 4) {
		predict_load32(p, bytes, count, level);
		return;
	}
	predict_load16(p, bytes, count, narrow);
	for (size_t i = 0; i < count; i++)
		level[i] = narrow[i];
}

static void store(const struct prediction *p, const int32_t *level, size_t count, uint8_t *bytes)
{
	int16_t narrow[BLOCK];

	if (p->width == 4) {
		predict_store32(p, level, count, bytes);
		return;
	}
	for (size_t i = 0; i < count; i++)
		narrow[i] = (int16_t)level[i];
	predict_store16(p, narrow, count, bytes);
}

/* ---- the table of 32-bit levels: open addressing; a slot is a level and its number or count, 0 when free ---- */

struct slot {
	int32_t level;
	uint32_t number;
};

static struct slot *slot_of(const struct values *v, int32_t level, size_t slots)
{
	struct slot *slot = v->table;
	size_t at = (uint32_t)level * UINT32_C(2654435769) >> 8 & (slots - 1);

	while (slot[at].number && slot[at].level != level)
		at = (at + 1) & (slots - 1);
	return &slot[at];
}

/* ---- is it sparse? ---- */

enum { TIMES = 127, SEEN = 128 };

/* Of the values that are frequent, how many does the next greater one follow? The greatest of all counts as followed. */
static bool sparse_narrow(struct values *v, const struct prediction *type, const uint8_t *bytes, size_t count)
{
	size_t frequent = 0, followed = 0, some, greatest = 0;
	int32_t level[BLOCK];
	uint8_t *times = v->table;

	memset(times, 0, LEVELS + 1);
	for (int pass = 0; pass < 2; pass++)
		for (size_t at = 0; at < count; at += some) {
			some = count - at < BLOCK ? count - at : BLOCK;
			load(type, bytes + at * type->width, some, level);
			for (size_t i = 0; i < some; i++) {
				size_t index = (size_t)(level[i] + LEVELS / 2);

				if (pass == 0) {
					times[index] = (uint8_t)(times[index] + (times[index] < TIMES));
					greatest = index > greatest ? index : greatest;
				} else if (times[index] >= OFTEN && times[index] < SEEN) {
					times[index] |= SEEN;
					frequent++;
					followed += times[index + 1] || index == greatest;
				}
			}
		}
	return frequent > 1 && followed * 5 < frequent * 4;
}

/* Do most samples have a frequent value? */
static bool sparse_wide(struct values *v, const struct prediction *type, const uint8_t *bytes, size_t count)
{
	struct slot *slot = v->table;
	size_t some, frequent = 0, most = SLOTS_SPARSE / 2;
	int32_t level[BLOCK];

	count = count < most ? count : most; /* so that the table is never full */
	memset(slot, 0, SLOTS_SPARSE * sizeof *slot);
	for (size_t at = 0; at < count; at += some) {
		some = count - at < BLOCK ? count - at : BLOCK;
		load(type, bytes + at * 4, some, level);
		for (size_t i = 0; i < some; i++) {
			struct slot *s = slot_of(v, level[i], SLOTS_SPARSE);

			s->level = level[i];
			s->number++;
		}
	}
	for (size_t i = 0; i < SLOTS_SPARSE; i++)
		frequent += slot[i].number >= OFTEN ? slot[i].number : 0;
	return frequent * 2 > count;
}

bool values_sparse(struct values *v, const struct prediction *type, const uint8_t *bytes, size_t count)
{
	if (!has_memory(v))
		return false;
	return type->width == 4 ? sparse_wide(v, type, bytes, count) : sparse_narrow(v, type, bytes, count);
}

/* ---- all values ---- */

static int find_narrow(struct values *v, const uint8_t *bytes, size_t count)
{
	uint16_t *rank = v->table; /* first only whether the level occurs */
	int32_t level[BLOCK];
	size_t some;

	memset(rank, 0, LEVELS * sizeof *rank);
	for (size_t at = 0; at < count; at += some) {
		some = count - at < BLOCK ? count - at : BLOCK;
		load(&v->type, bytes + at * v->type.width, some, level);
		for (size_t i = 0; i < some; i++)
			rank[level[i] + LEVELS / 2] = 1;
	}
	for (size_t i = 0; i < LEVELS; i++) {
		if (!rank[i])
			continue;
		if (v->count == VALUES_MAX)
			return -ERANGE;
		rank[i] = (uint16_t)v->count;
		v->level[v->count++] = (int32_t)i - LEVELS / 2;
	}
	return v->count ? 0 : -ERANGE;
}

static int by_level(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

static int find_wide(struct values *v, const uint8_t *bytes, size_t count)
{
	int32_t level[BLOCK];
	size_t some;

	memset(v->table, 0, SLOTS * sizeof(struct slot));
	for (size_t at = 0; at < count; at += some) {
		some = count - at < BLOCK ? count - at : BLOCK;
		load(&v->type, bytes + at * 4, some, level);
		for (size_t i = 0; i < some; i++) {
			struct slot *slot = slot_of(v, level[i], SLOTS);

			if (slot->number)
				continue;
			if (v->count == VALUES_MAX)
				return -ERANGE;
			*slot = (struct slot) { level[i], 1 };
			v->level[v->count++] = level[i];
		}
	}
	qsort(v->level, v->count, sizeof *v->level, by_level);
	for (size_t i = 0; i < v->count; i++)
		slot_of(v, v->level[i], SLOTS)->number = (uint32_t)i + 1;
	return v->count ? 0 : -ERANGE;
}

int values_find(struct values *v, const struct prediction *type, const uint8_t *bytes, size_t count)
{
	if (!has_memory(v))
		return -ENOMEM;
	v->type = *type;
	v->count = 0;
	return type->width == 4 ? find_wide(v, bytes, count) : find_narrow(v, bytes, count);
}

/* ---- ranks ---- */

unsigned values_rank_width(const struct values *v)
{
	return v->count > 256 ? 2 : 1;
}

void values_rank(const struct values *v, const uint8_t *bytes, size_t count, uint8_t *ranks)
{
	const uint16_t *narrow = v->table;
	unsigned width = values_rank_width(v);
	int32_t level[BLOCK];
	size_t some;

	for (size_t at = 0; at < count; at += some) {
		some = count - at < BLOCK ? count - at : BLOCK;
		load(&v->type, bytes + at * v->type.width, some, level);
		for (size_t i = 0; i < some; i++) {
			uint32_t rank = v->type.width == 4 ? slot_of(v, level[i], SLOTS)->number - 1
							   : narrow[level[i] + LEVELS / 2];

			ranks[(at + i) * width] = (uint8_t)rank;
			if (width > 1)
				ranks[(at + i) * width + 1] = (uint8_t)(rank >> 8);
		}
	}
}

void values_unrank(const struct values *v, const uint8_t *ranks, size_t count, uint8_t *bytes)
{
	unsigned width = values_rank_width(v);
	int32_t level[BLOCK];
	size_t some, last = v->count - 1;

	for (size_t at = 0; at < count; at += some) {
		some = count - at < BLOCK ? count - at : BLOCK;
		for (size_t i = 0; i < some; i++) {
			const uint8_t *from = ranks + (at + i) * width;
			size_t rank = width > 1 ? from[0] | (size_t)from[1] << 8 : from[0];

			level[i] = v->level[rank < last ? rank : last];
		}
		store(&v->type, level, some, bytes + at * v->type.width);
	}
}

/* ---- as bytes ---- */

void values_put(struct buf *out, const struct values *v)
{
	int64_t before = -1 - (INT64_C(1) << 31);

	buf_u8(out, v->type.width);
	buf_u8(out, v->type.big_endian);
	buf_u8(out, v->type.order);
	buf_u8(out, 0);
	buf_varint(out, v->count);
	for (size_t i = 0; i < v->count; i++) {
		buf_varint(out, (uint64_t)(v->level[i] - before - 1));
		before = v->level[i];
	}
}

bool values_get_type(struct cursor *from, struct prediction *type)
{
	uint8_t zero;

	*type = (struct prediction) { .row = 1 };
	type->width = cursor_u8(from);
	type->big_endian = cursor_u8(from);
	type->order = cursor_u8(from);
	zero = cursor_u8(from);
	return !cursor_failed(from) && !zero && predict_valid(type);
}

int values_get(struct cursor *from, struct values *v)
{
	int64_t level = -1 - (INT64_C(1) << 31);
	uint64_t step;

	if (!has_memory(v))
		return -ENOMEM;
	if (!values_get_type(from, &v->type))
		return -EBADMSG;
	v->count = cursor_varint(from);
	if (cursor_failed(from) || !v->count || v->count > VALUES_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < v->count; i++) {
		step = cursor_varint(from);
		if (step > UINT32_MAX)
			return -EBADMSG;
		level += 1 + (int64_t)step;
		if (level > INT32_MAX)
			return -EBADMSG;
		v->level[i] = (int32_t)level;
	}
	return cursor_failed(from) ? -EBADMSG : 0;
}
