#include "store/residual.h"

#include <errno.h>
#include <stdlib.h>

#include "store/err.h"
#include "store/residual_fit.h"
#include "store/residual_internal.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* vectorise */
#endif

enum {
	EVERY = 2, /* rows, one is counted, when there are enough */
	ENOUGH = 64,
	COUNTERS = 4, /* of the same thing: the processor would wait when it counts in one place again and again */
	ROOM = TILE * 5 + 8 /* bytes that a tile can take, and a store of 64 bits after it */
};

struct bit_writer {
	uint8_t *to;
	uint64_t held;
	unsigned count; /* bits held */
};

struct encoder {
	struct head head;
	struct bit_writer writer;
	struct buf *out;
	size_t every; /* how manieth row is counted */
	int16_t floors[CLASSES_MAX - 1];
	uint32_t states[LANES]; /* STATES to 2 * STATES - 1 */
	uint32_t codings[CLASSES_MAX * SYMBOLS_MAX];	/* of each class and token */
	uint32_t next[STATES + CLASSES_MAX * STATES];	/* states, where a coding says */
	struct symbols symbols[CLASSES_MAX];
	token_counts counts[COUNTERS][LEVELS];
};

/*
 * How to code a symbol of a class. A state gives `bits` of its bits away, or one less when it is less than share << bits. What
 * is left of it, plus `next`, is the place of the next state. From the lowest bit: 5 bits how many extra bits, 4 bits `bits`,
 * 10 bits the share, 13 bits `next`.
 */
static inline unsigned coding_extra(uint32_t c)
{
	return c & 31;
}

static inline unsigned coding_bits(uint32_t c)
{
	return c >> 5 & 15;
}

static inline unsigned coding_share(uint32_t c)
{
	return c >> 9 & 1023;
}

static inline unsigned coding_next(uint32_t c)
{
	return c >> 19;
}

static uint32_t coding_make(const struct symbol *s, unsigned next)
{
	unsigned bits = s->share > 1 ? STATE_BITS - (31u - (unsigned)__builtin_clz(s->share - 1u)) : STATE_BITS;

	return s->extra | bits << 5 | (uint32_t)s->share << 9 | next << 19;
}

/* ---- bits ---- */

/* Up to 64 bits may be held; leaves less than 8. */
static ALWAYS_INLINE void writer_flush(struct bit_writer *b)
{
	store_64(b->to, b->held);
	b->to += b->count / 8;
	b->held >>= b->count & ~7u;
	b->count %= 8;
}

static void writer_bits(struct bit_writer *b, uint64_t v, unsigned count)
{
	b->held |= v << b->count;
	b->count += count;
	writer_flush(b);
}

/* See bits_rice() of the decoder. */
static void writer_rice(struct bit_writer *b, unsigned v, unsigned low)
{
	for (unsigned high = v >> low; high; high--)
		writer_bits(b, 0, 1);
	writer_bits(b, 1 | low_bits(v, low) << 1, 1 + low);
}

/* The bytes written so far become part of *out, and there is room for a tile more. False without memory. */
static bool writer_room(struct encoder *e)
{
	if (e->writer.to)
		e->out->len = (size_t)(e->writer.to - e->out->data);
	e->writer.to = buf_reserve(e->out, ROOM);
	return e->writer.to != NULL;
}

/* ---- samples ---- */

static ALWAYS_INLINE void count_places(struct encoder *e, const uint16_t *place, size_t columns)
{
	uint32_t *counts = &e->counts[0][0][0];
	size_t i = 0;

	for (; i + COUNTERS <= columns; i += COUNTERS)
		for (size_t k = 0; k < COUNTERS; k++)
			counts[k * LEVELS * SYMBOLS_MAX + place[i + k]]++;
	for (; i < columns; i++)
		counts[place[i]]++;
}

#define SAMPLE uint8_t
#define WINDOW 2
#define NAME(x) x##_8
#define TARGET
#include "store/residual_encode_samples.h"

#define SAMPLE uint16_t
#define WINDOW 2
#define NAME(x) x##_16
#define TARGET
#include "store/residual_encode_samples.h"

#define SAMPLE uint32_t
#define WINDOW 1
#define NAME(x) x##_32
#define TARGET
#include "store/residual_encode_samples.h"

#if RESIDUAL_X86
#include "store/residual_encode_avx2.h"

#define VECTOR
#define SAMPLE uint8_t
#define WINDOW 2
#define NAME(x) x##_8_fast
#define TARGET RESIDUAL_FAST
#include "store/residual_encode_samples.h"

#define SAMPLE uint16_t
#define WINDOW 2
#define NAME(x) x##_16_fast
#define TARGET RESIDUAL_FAST
#include "store/residual_encode_samples.h"
#undef VECTOR

#define SAMPLE uint32_t
#define WINDOW 1
#define NAME(x) x##_32_fast
#define TARGET RESIDUAL_FAST
#include "store/residual_encode_samples.h"
#endif

static void count_samples(struct encoder *e, const void *residuals, unsigned width, size_t count, size_t row)
{
#if RESIDUAL_X86
	if (residual_fast()) {
		(width == 1 ? count_8_fast : width == 2 ? count_16_fast : count_32_fast)(e, residuals, count, row);
		return;
	}
#endif
	(width == 1 ? count_8 : width == 2 ? count_16 : count_32)(e, residuals, count, row);
}

static bool encode_samples(struct encoder *e, const void *residuals, unsigned width, size_t count, size_t row)
{
#if RESIDUAL_X86
	if (residual_fast())
		return (width == 1   ? encode_8_fast
			: width == 2 ? encode_16_fast
				     : encode_32_fast)(e, residuals, count, row);
#endif
	return (width == 1 ? encode_8 : width == 2 ? encode_16 : encode_32)(e, residuals, count, row);
}

/* ---- head and tables ---- */

/* All samples or-ed, and their mean. */
static uint32_t survey(const void *residuals, unsigned width, size_t count, uint32_t *mean)
{
	const uint8_t *x8 = residuals;
	const uint16_t *x16 = residuals;
	const uint32_t *x32 = residuals;
	uint64_t sum = 0;
	uint32_t all = 0;

	for (size_t i = 0; width == 1 && i < count; i++) {
		all |= x8[i];
		sum += x8[i];
	}
	for (size_t i = 0; width == 2 && i < count; i++) {
		all |= x16[i];
		sum += x16[i];
	}
	for (size_t i = 0; width == 4 && i < count; i++) {
		all |= x32[i];
		sum += x32[i];
	}
	*mean = (uint32_t)(sum / count);
	return all;
}

/* Without what depends on the classes. The fine steps for bytes and the shift for wide samples measured best. */
static void begin_head(struct head *h, const void *residuals, unsigned width, size_t count)
{
	uint32_t mean, all = survey(residuals, width, count, &mean);

	h->finest = width == 1 ? 5 : 3;
	h->octave = (uint8_t)(31 - __builtin_clz(all | 1));
	while (mean >> h->activity_shift > CAP / 8)
		h->activity_shift++;
	h->first_level = (uint8_t)level_of(8 * (mean >> h->activity_shift));
}

/* Together in the first one, and as if all rows were counted. */
static void add_counters(struct encoder *e)
{
	uint32_t *to = &e->counts[0][0][0];

	for (size_t i = 0; i < LEVELS * SYMBOLS_MAX; i++) {
		for (size_t k = 1; k < COUNTERS; k++)
			to[i] += to[k * LEVELS * SYMBOLS_MAX + i];
		to[i] *= (uint32_t)e->every;
	}
}

static void make_codings(struct encoder *e, unsigned class, unsigned tokens)
{
	struct symbols *s = &e->symbols[class];
	uint8_t symbol_of_token[SYMBOLS_MAX], symbol_of[STATES];
	uint32_t by_symbol[SYMBOLS_MAX + 1], *next = e->next + STATES + class * STATES;
	unsigned place[SYMBOLS_MAX + 1], sum = 0, state = 0;

	fit_symbols(&e->head, e->counts[0][e->head.from_level[class]], tokens, e->every > 1, s, symbol_of_token);
	for (unsigned i = 0; i < s->count; i++) {
		unsigned share = s->at[i].share;

		place[i] = sum;
		by_symbol[i] = share ? coding_make(&s->at[i], STATES + class * STATES + sum - share) : 0;
		for (unsigned k = 0; k < share; k++) {
			symbol_of[state] = (uint8_t)i;
			state = spread_next(state);
		}
		sum += share;
	}
	for (state = 0; state < STATES; state++)
		next[place[symbol_of[state]]++] = STATES + state;
	for (unsigned t = 0; t < tokens; t++)
		e->codings[class * SYMBOLS_MAX + t] = by_symbol[symbol_of_token[t]];
}

static void write_symbols(const struct head *h, const struct symbols *s, struct bit_writer *b)
{
	struct symbols_walk walk = symbols_begin();
	bool escape = symbol_is_escape(&s->at[0]);
	unsigned sum = 0;

	writer_bits(b, escape, 1);
	if (escape) {
		writer_rice(b, s->at[0].share, 0);
		sum = s->at[0].share;
	}
	for (unsigned i = escape; sum < STATES; i++) {
		if (!walk.left) {
			unsigned fine = walk.octave + 1 - s->at[i].extra;

			if (fine == symbols_expected_fine(&walk, h))
				writer_bits(b, 1, 1);
			else
				writer_bits(b, fine << 1, 1 + FINE_BITS);
			symbols_next_octave(&walk, fine);
		}
		symbols_next(&walk);
		writer_rice(b, s->at[i].share, walk.rice);
		symbols_adapt(&walk, s->at[i].share);
		sum += s->at[i].share;
	}
}

static void write_head(uint8_t *to, const struct head *h)
{
	memset(to, 0, HEAD_BYTES);
	to[0] = h->finest;
	to[1] = h->octave;
	to[2] = h->classes;
	to[3] = h->activity_shift;
	to[4] = h->first_level;
	for (unsigned k = 1; k < h->classes; k++)
		to[4 + k] = h->from_level[k];
	for (unsigned k = 0; k < 4; k++)
		to[12 + k] = (uint8_t)(h->bits >> (8 * k));
	for (unsigned k = 0; k < LANES * STATE_BITS; k++)
		to[16 + k / 8] |= (uint8_t)((h->states[k / STATE_BITS] >> k % STATE_BITS & 1) << k % 8);
}

/* After the last sample. */
static bool finish(struct encoder *e, size_t head_at)
{
	struct bit_writer *b = &e->writer;
	size_t tail_at;

	if (!writer_room(e))
		return false;
	e->head.bits = (uint32_t)(8 * (e->out->len - head_at - HEAD_BYTES) + b->count);
	for (unsigned k = 0; k < LANES; k++)
		e->head.states[k] = (uint16_t)(e->states[k] - STATES);
	write_head(e->out->data + head_at, &e->head);
	writer_bits(b, 0, -b->count % 8);
	tail_at = (size_t)(b->to - e->out->data);
	for (unsigned k = 0; k < e->head.classes; k++)
		write_symbols(&e->head, &e->symbols[k], b);
	writer_bits(b, 0, -b->count % 8);
	while ((size_t)(b->to - e->out->data) < tail_at + TAIL_BYTES)
		writer_bits(b, 0, 8);
	e->out->len = (size_t)(b->to - e->out->data);
	return true;
}

int residual_encode(const void *residuals, unsigned width, size_t count, size_t row, struct buf *out)
{
	scope_free struct encoder *e = NULL;
	size_t head_at = out->len;
	unsigned tokens;

	if (!count)
		return 0;
	e = calloc(1, sizeof *e);
	if (!e || !buf_reserve(out, HEAD_BYTES))
		return err_set(ENOMEM, "no memory to encode residuals");
	out->len += HEAD_BYTES;
	e->out = out;
	if (!row || row > count)
		row = count;
	begin_head(&e->head, residuals, width, count);
	tokens = symbols_at_most(e->head.finest, e->head.octave);
	e->every = count / row >= ENOUGH && e->head.octave <= ESCAPE_OCTAVE_MAX ? EVERY : 1;
	count_samples(e, residuals, width, count, row);
	add_counters(e);
	fit_classes(&e->head, e->counts[0], tokens);
	class_floors(&e->head, e->floors);
	for (unsigned k = 0; k < e->head.classes; k++)
		make_codings(e, k, tokens);
	for (unsigned k = 0; k < LANES; k++)
		e->states[k] = STATES;
	if (!encode_samples(e, residuals, width, count, row) || !finish(e, head_at))
		return err_set(ENOMEM, "no memory to encode residuals");
	return 0;
}
