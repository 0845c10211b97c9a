/*
 * What the encoder and the decoder of residuals share. The interface is store/residual.h; store/FORMAT.md has every byte.
 *
 * A sample's class follows from its activity, a weighted sum of the five samples above it. Activities are put into levels,
 * two an octave, and a class is a range of levels. Each class has a table of STATES states, in which every symbol has a
 * share in proportion to how often it occurs. A symbol stands for 2^extra samples that follow each other.
 */
#ifndef TOMOFS_RESIDUAL_INTERNAL_H
#define TOMOFS_RESIDUAL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "store/buf.h"

enum {
	STATE_BITS = 9,
	STATES = 1 << STATE_BITS, /* of a table; the shares of its symbols add up to this */
	LANES = 32,		  /* samples that are coded side by side, each with a state of its own */
	GROUP = 8,		  /* lanes that vector code works on at once */
	CLASSES_MAX = 8,
	LEVELS = 32,
	CAP = 4095,	 /* what a sample counts at most as activity */
	TILE = 1024,	 /* columns whose classes are found at once: a multiple of LANES */
	SEGMENT = 32,	 /* the same in the first row: a multiple of LANES */
	SYMBOLS_MAX = 240,
	FINEST_MAX = 5,
	FINE_BITS = 3, /* that say how fine an octave is */
	ESCAPE_OCTAVE_MAX = 30,
	STATE_BYTES = LANES * STATE_BITS / 8,
	HEAD_BYTES = 16 + STATE_BYTES, /* before the bits. A decoder that runs out of bits reads up to 50 bytes of it */
	TAIL_BYTES = 16,	       /* at least after the bits: what a vector load may touch */
	COUNT_MAX = 1 << 24,
};

struct head {
	uint8_t finest;			 /* no octave has more than 2^finest symbols */
	uint8_t octave;			 /* of the largest sample */
	uint8_t classes;		 /* 1 to CLASSES_MAX */
	uint8_t activity_shift;		 /* samples are divided by 2^this before they count as activity */
	uint8_t first_level;		 /* of the first segment */
	uint8_t from_level[CLASSES_MAX]; /* where each class begins; 0 for the first one */
	uint32_t bits;
	uint16_t states[LANES];
};

/* ---- symbols ---- */

/* Stands for the samples (mantissa << extra) to (mantissa << extra) + 2^extra - 1. */
struct symbol {
	uint8_t mantissa, extra;
	uint16_t share;
};

struct symbols {
	unsigned count;
	struct symbol at[SYMBOLS_MAX + 1];
};

/* For the samples that have no other symbol in a class: all bits are extra bits. */
static inline struct symbol symbol_escape(const struct head *h)
{
	return (struct symbol) { 0, (uint8_t)(h->octave + 1), 0 };
}

static inline bool symbol_is_escape(const struct symbol *s)
{
	return !s->mantissa && s->extra;
}

/*
 * Walks over the other symbols of a class in the order of the format: the samples 0 and 1, then octave after octave. Octave e, the
 * samples of 2^e to 2^(e+1) - 1, has 2^fine symbols, where fine is at most e and at most head.finest.
 */
struct symbols_walk {
	unsigned octave; /* 0: the samples 0 and 1 */
	unsigned fine;
	unsigned left; /* symbols in this octave */
	unsigned mean; /* of the shares before, in sixteenths */
	unsigned rice; /* parameter of the code of the next share */
};

static inline struct symbols_walk symbols_begin(void)
{
	return (struct symbols_walk) { 0, 0, 2, 16 << 4, 4 };
}

static inline unsigned fine_max(const struct head *h, unsigned octave)
{
	return octave < h->finest ? octave : h->finest;
}

/* What `fine` of the next octave most likely is: the same, or the largest possible again. */
static inline unsigned symbols_expected_fine(const struct symbols_walk *w, const struct head *h)
{
	return w->fine == w->octave ? fine_max(h, w->octave + 1) : w->fine;
}

static inline void symbols_next_octave(struct symbols_walk *w, unsigned fine)
{
	w->octave++;
	w->fine = fine;
	w->left = 1u << fine;
}

static inline struct symbol symbols_next(struct symbols_walk *w)
{
	unsigned mantissa = (2u << w->fine) - w->left--;

	return (struct symbol) { (uint8_t)mantissa, (uint8_t)(w->octave - w->fine), 0 };
}

static inline void symbols_adapt(struct symbols_walk *w, unsigned share)
{
	w->mean += 4 * share;
	w->mean -= w->mean / 4;
	w->rice = 31u - (unsigned)__builtin_clz(w->mean / 16 | 1);
}

/* Symbols of a class up to this octave when all are as fine as they can be. */
static inline unsigned symbols_at_most(unsigned finest, unsigned octave)
{
	return octave <= finest ? 2u << octave : (octave - finest + 2) << finest;
}

/* The order in which symbols get their shares of the states: a step that visits all of them. */
static inline unsigned spread_next(unsigned state)
{
	return (state + (STATES >> 1) + (STATES >> 3) + 3) & (STATES - 1);
}

/* ---- classes ---- */

static inline unsigned level_of(unsigned activity)
{
	unsigned shift = 30u - (unsigned)__builtin_clz(activity | 2u);

	return 2 * shift + (activity >> shift);
}

/* The least activity of a level. */
static inline unsigned level_floor(unsigned level)
{
	return level < 2 ? level : (2u | (level & 1)) << (level / 2 - 1);
}

static inline unsigned class_of(const struct head *h, unsigned level)
{
	unsigned class = 0;

	while (class + 1 < h->classes && level >= h->from_level[class + 1])
		class++;
	return class;
}

/* The greatest activity below each class but the first; more than any activity where there is no such class. */
static inline void class_floors(const struct head *h, int16_t floors[CLASSES_MAX - 1])
{
	for (unsigned k = 1; k < CLASSES_MAX; k++)
		floors[k - 1] = (int16_t)(k < h->classes ? level_floor(h->from_level[k]) - 1 : INT16_MAX);
}

/* ---- bits and bytes ---- */

static inline uint64_t low_bits(uint64_t v, unsigned count)
{
	return v & ((UINT64_C(1) << count) - 1);
}

static inline uint64_t load_64(const uint8_t *from)
{
	uint64_t v;

	memcpy(&v, from, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

static inline void store_64(uint8_t *to, uint64_t v)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	memcpy(to, &v, sizeof v);
}

/* ---- kinds of processors ---- */

#define ALWAYS_INLINE inline __attribute__((always_inline))

#if defined(__x86_64__)
#define RESIDUAL_X86 1
#define RESIDUAL_FAST __attribute__((target("avx2,bmi,bmi2")))
#else
#define RESIDUAL_X86 0
#endif

/* May the code for processors with AVX2 run? False also after residual_portable_only(true), which tests use. */
bool residual_fast(void);
void residual_portable_only(bool only);

#endif
