#include "store/residual.h"

#include <errno.h>
#include <stdlib.h>

#include "store/err.h"
#include "store/residual_internal.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3") /* vectorise */
#endif

struct decoder {
	struct head head;
	const uint8_t *bits;
	ptrdiff_t at; /* how many bits are left; the last ones are read first */
	uint32_t states[LANES];
	int16_t floors[CLASSES_MAX - 1];
	uint32_t tables[CLASSES_MAX * STATES];
};

/* An entry of a table: the symbol of a state, and how to find the next state. From the lowest bit: 9 bits what the next state's
 * bits are added to, 7 bits mantissa, 8 bits how many extra bits, 8 bits how many extra bits and state bits. */
static inline unsigned entry_state(uint32_t e)
{
	return e & (STATES - 1);
}

static inline unsigned entry_mantissa(uint32_t e)
{
	return e >> STATE_BITS & 127;
}

static inline unsigned entry_extra(uint32_t e)
{
	return (uint8_t)(e >> 16);
}

static inline unsigned entry_total(uint32_t e)
{
	return e >> 24;
}

static inline uint32_t entry_make(const struct symbol *s, unsigned state, unsigned bits)
{
	return state | (uint32_t)s->mantissa << STATE_BITS | (uint32_t)s->extra << 16 | (uint32_t)(s->extra + bits) << 24;
}

#define SAMPLE uint8_t
#define WINDOW 2
#define NAME(x) x##_8
#define TARGET
#include "store/residual_decode_samples.h"

#define SAMPLE uint16_t
#define WINDOW 2
#define NAME(x) x##_16
#define TARGET
#include "store/residual_decode_samples.h"

#define SAMPLE uint32_t
#define WINDOW 1
#define NAME(x) x##_32
#define TARGET
#include "store/residual_decode_samples.h"

#if RESIDUAL_X86
#include "store/residual_decode_avx2.h"

#define VECTOR
#define SAMPLE uint8_t
#define WINDOW 2
#define NAME(x) x##_8_fast
#define TARGET RESIDUAL_FAST
#include "store/residual_decode_samples.h"

#define SAMPLE uint16_t
#define WINDOW 2
#define NAME(x) x##_16_fast
#define TARGET RESIDUAL_FAST
#include "store/residual_decode_samples.h"
#undef VECTOR

#define SAMPLE uint32_t
#define WINDOW 1
#define NAME(x) x##_32_fast
#define TARGET RESIDUAL_FAST
#include "store/residual_decode_samples.h"
#endif

static bool decode_samples(struct decoder *d, unsigned width, void *residuals, size_t count, size_t row)
{
#if RESIDUAL_X86
	if (residual_fast())
		return (width == 1   ? decode_8_fast
			: width == 2 ? decode_16_fast
				     : decode_32_fast)(d, residuals, count, row);
#endif
	return (width == 1 ? decode_8 : width == 2 ? decode_16 : decode_32)(d, residuals, count, row);
}

/* ---- head and tables ---- */

struct bits {
	const uint8_t *at, *end;
	uint64_t held;
	unsigned count;
	bool failed;
};

static unsigned bits_take(struct bits *b, unsigned count)
{
	unsigned v;

	while (b->count < count) {
		if (b->at == b->end) {
			b->failed = true;
			return 0;
		}
		b->held |= (uint64_t)*b->at++ << b->count;
		b->count += 8;
	}
	v = (unsigned)low_bits(b->held, count);
	b->held >>= count;
	b->count -= count;
	return v;
}

/* Rice code: the upper part in unary, then `low` bits. */
static unsigned bits_rice(struct bits *b, unsigned low)
{
	unsigned high = 0;

	while (!bits_take(b, 1)) {
		if (b->failed || ++high > STATES) {
			b->failed = true;
			return 0;
		}
	}
	return high << low | bits_take(b, low);
}

static bool read_symbols(const struct head *h, struct bits *b, struct symbols *s)
{
	struct symbols_walk walk = symbols_begin();
	unsigned sum = 0;

	s->count = 0;
	if (bits_take(b, 1)) {
		s->at[0] = symbol_escape(h);
		sum = bits_rice(b, 0);
		if (h->octave > ESCAPE_OCTAVE_MAX || sum > STATES)
			return false;
		s->at[s->count++].share = (uint16_t)sum;
	}
	for (; sum < STATES && !b->failed; s->count++) {
		struct symbol *next = &s->at[s->count];
		unsigned share;

		if (!walk.left) {
			unsigned fine = bits_take(b, 1) ? symbols_expected_fine(&walk, h) : bits_take(b, FINE_BITS);

			if (walk.octave == h->octave || fine > fine_max(h, walk.octave + 1))
				return false;
			symbols_next_octave(&walk, fine);
		}
		*next = symbols_next(&walk);
		share = bits_rice(b, walk.rice);
		if (share > STATES - sum)
			return false;
		next->share = (uint16_t)share;
		symbols_adapt(&walk, share);
		sum += share;
	}
	return !b->failed;
}

static void fill_table(const struct symbols *s, uint32_t *table)
{
	uint8_t symbol_of[STATES];
	uint16_t next[SYMBOLS_MAX + 1];
	unsigned state = 0;

	for (unsigned i = 0; i < s->count; i++) {
		next[i] = s->at[i].share;
		for (unsigned k = 0; k < s->at[i].share; k++) {
			symbol_of[state] = (uint8_t)i;
			state = spread_next(state);
		}
	}
	for (state = 0; state < STATES; state++) {
		unsigned i = symbol_of[state], x = next[i]++;
		unsigned bits = STATE_BITS - (31u - (unsigned)__builtin_clz(x));

		table[state] = entry_make(&s->at[i], (x << bits) - STATES, bits);
	}
}

static bool head_valid(const struct head *h, unsigned width)
{
	if (h->finest > FINEST_MAX || h->octave >= 8 * width || symbols_at_most(h->finest, h->octave) > SYMBOLS_MAX ||
	    h->classes < 1 || h->classes > CLASSES_MAX || h->activity_shift >= 8 * width || h->first_level >= LEVELS ||
	    h->bits > INT32_MAX)
		return false;
	for (unsigned k = 1; k < CLASSES_MAX; k++) {
		bool right = h->from_level[k] > h->from_level[k - 1] && h->from_level[k] < LEVELS;

		if (k < h->classes ? !right : h->from_level[k])
			return false;
	}
	return true;
}

static void read_head(struct cursor *c, struct head *h)
{
	struct bits states;

	h->finest = cursor_u8(c);
	h->octave = cursor_u8(c);
	h->classes = cursor_u8(c);
	h->activity_shift = cursor_u8(c);
	h->first_level = cursor_u8(c);
	h->from_level[0] = 0;
	for (unsigned k = 1; k < CLASSES_MAX; k++)
		h->from_level[k] = cursor_u8(c);
	h->bits = cursor_u32(c);
	states = (struct bits) { .at = c->at, .end = c->end };
	for (unsigned k = 0; k < LANES; k++)
		h->states[k] = (uint16_t)bits_take(&states, STATE_BITS);
	cursor_bytes(c, STATE_BYTES);
}

/* The tables end here: behind them is what fills the last byte and TAIL_BYTES from `start` on, all zeros. */
static bool tail_valid(const struct bits *b, const uint8_t *start)
{
	if (b->held || (b->at != b->end && b->end - start != TAIL_BYTES))
		return false;
	for (const uint8_t *at = b->at; at < b->end; at++)
		if (*at)
			return false;
	return true;
}

static bool read_coded(struct decoder *d, const uint8_t *coded, size_t len, unsigned width)
{
	struct cursor c = cursor_of(coded, len);
	struct symbols s;
	struct bits b;

	read_head(&c, &d->head);
	if (cursor_failed(&c) || !head_valid(&d->head, width))
		return false;
	d->bits = cursor_bytes(&c, ((size_t)d->head.bits + 7) / 8);
	if (!d->bits || cursor_left(&c) < TAIL_BYTES)
		return false;
	if (d->head.bits % 8 && c.at[-1] >> d->head.bits % 8)
		return false;
	b = (struct bits) { .at = c.at, .end = c.end };
	for (unsigned k = 0; k < d->head.classes; k++) {
		if (!read_symbols(&d->head, &b, &s))
			return false;
		fill_table(&s, d->tables + k * STATES);
	}
	if (!tail_valid(&b, c.at))
		return false;
	for (unsigned k = 0; k < LANES; k++)
		d->states[k] = d->head.states[k];
	d->at = d->head.bits;
	class_floors(&d->head, d->floors);
	return true;
}

/* Where the encoder began is where the decoder must end. */
static bool at_the_end(const struct decoder *d)
{
	uint32_t all = 0;

	for (unsigned k = 0; k < LANES; k++)
		all |= d->states[k];
	return d->at == 0 && !all;
}

int residual_decode(const uint8_t *coded, size_t coded_len, unsigned width, size_t count, size_t row, void *residuals)
{
	return residual_decode_first(coded, coded_len, width, count, row, count, residuals);
}

int residual_decode_first(const uint8_t *coded, size_t coded_len, unsigned width, size_t count, size_t row, size_t first,
			  void *residuals)
{
	scope_free struct decoder *d = NULL;

	if (!count)
		return coded_len ? err_set(EBADMSG, "its residuals have bytes but no samples") : 0;
	d = malloc(sizeof *d);
	if (!d)
		return err_set(ENOMEM, "no memory to decode residuals");
	if (!row || row > count)
		row = count;
	if (!read_coded(d, coded, coded_len, width) || !decode_samples(d, width, residuals, first, row) ||
	    (first == count && !at_the_end(d)))
		return err_set(EBADMSG, "its residuals are damaged");
	return 0;
}
