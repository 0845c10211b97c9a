#include "store/residual_fit.h"

enum { LOG_ONE = 1 << 12, CLASS_COST = 16, SYMBOL_COST = 5 /* bits of the coded form for a class and for a symbol */ };

/* v * log2(v), in 1/LOG_ONE; a cubic between powers of 2, off by 0.001 at most. */
static uint64_t log_cost(uint64_t v)
{
	unsigned octave;
	uint64_t f;

	if (!v)
		return 0;
	octave = 63u - (unsigned)__builtin_clzll(v);
	f = (octave > 12 ? v >> (octave - 12) : v << (12 - octave)) - LOG_ONE;
	return v * (octave * LOG_ONE + f + (((f * (LOG_ONE - f)) >> 12) * (1724 - ((641 * f) >> 12)) >> 12));
}

/* ---- classes ---- */

/* What the tokens counted in a and b take with one table for both. b may be NULL. */
static uint64_t class_cost(const uint32_t *a, const uint32_t *b, unsigned tokens)
{
	uint64_t total = 0, sum = 0, used = 0;

	for (unsigned t = 0; t < tokens; t++) {
		uint64_t n = (uint64_t)a[t] + (b ? b[t] : 0);

		if (!n)
			continue;
		total += n;
		sum += log_cost(n);
		used++;
	}
	return total ? log_cost(total) - sum + LOG_ONE * (CLASS_COST + SYMBOL_COST * used) : 0;
}

struct merge {
	unsigned count;
	unsigned level[LEVELS]; /* where each class begins */
	uint64_t cost[LEVELS];
	uint64_t joint[LEVELS]; /* with the next class */
};

/* The class that it pays most to join with the next one; count when it does not pay. */
static unsigned merge_best(const struct merge *m)
{
	int64_t best = m->count > CLASSES_MAX ? INT64_MAX : 0;
	unsigned at = m->count;

	for (unsigned k = 0; k + 1 < m->count; k++) {
		int64_t loss = (int64_t)(m->joint[k] - m->cost[k] - m->cost[k + 1]);

		if (loss <= best) {
			best = loss;
			at = k;
		}
	}
	return at;
}

static void merge_at(struct merge *m, unsigned k, token_counts *levels, unsigned tokens)
{
	uint32_t *to = levels[m->level[k]], *from = levels[m->level[k + 1]];

	for (unsigned t = 0; t < tokens; t++)
		to[t] += from[t];
	m->cost[k] = m->joint[k];
	m->count--;
	for (unsigned j = k + 1; j < m->count; j++) {
		m->level[j] = m->level[j + 1];
		m->cost[j] = m->cost[j + 1];
		m->joint[j] = m->joint[j + 1];
	}
	if (k + 1 < m->count)
		m->joint[k] = class_cost(to, levels[m->level[k + 1]], tokens);
	if (k)
		m->joint[k - 1] = class_cost(levels[m->level[k - 1]], to, tokens);
}

void fit_classes(struct head *h, token_counts *levels, unsigned tokens)
{
	struct merge m = { .count = 0 };
	unsigned best;

	for (unsigned level = 0; level < LEVELS; level++) {
		uint64_t cost = class_cost(levels[level], NULL, tokens);

		if (!cost && level)
			continue; /* belongs to the class below */
		m.level[m.count] = level;
		m.cost[m.count++] = cost;
	}
	for (unsigned k = 0; k + 1 < m.count; k++)
		m.joint[k] = class_cost(levels[m.level[k]], levels[m.level[k + 1]], tokens);
	while ((best = merge_best(&m)) < m.count)
		merge_at(&m, best, levels, tokens);
	h->classes = (uint8_t)m.count;
	for (unsigned k = 0; k < m.count; k++)
		h->from_level[k] = (uint8_t)m.level[k];
}

/* ---- symbols ---- */

/*
 * What a symbol costs that was counted so often, but for what is the same for all symbols of its octave. Each symbol has one
 * share at least, also when it occurs less than `rare` times (total / STATES): then the others pay for what is too much.
 */
static int64_t symbol_cost(uint64_t count, uint64_t rare)
{
	enum { LOG_E = 5909 }; /* LOG_ONE / ln(2) */

	if (!count)
		return LOG_ONE;
	if (count < rare)
		return (int64_t)((rare - count) * LOG_E) - (int64_t)(count * (log_cost(rare) / rare)) +
		       LOG_ONE * SYMBOL_COST;
	return LOG_ONE * SYMBOL_COST - (int64_t)log_cost(count);
}

/* How fine an octave should be. counts: of its 2^most tokens. */
static unsigned choose_fine(const uint32_t *counts, unsigned octave, unsigned most, uint64_t rare)
{
	uint32_t merged[1 << FINEST_MAX];
	int64_t best = INT64_MAX;
	uint64_t total = 0;
	unsigned fine = most;

	memcpy(merged, counts, sizeof *counts << most);
	for (unsigned k = 0; k < 1u << most; k++)
		total += merged[k];
	for (unsigned f = most;; f--) {
		int64_t cost = (int64_t)(total * (octave - f) * LOG_ONE);

		for (unsigned k = 0; k < 1u << f; k++)
			cost += symbol_cost(merged[k], rare);
		if (cost < best) {
			best = cost;
			fine = f;
		}
		if (!f)
			return fine;
		for (unsigned k = 0; k < 1u << (f - 1); k++)
			merged[k] = merged[2 * k] + merged[2 * k + 1];
	}
}

/* The symbol that gains most from one share more, or loses least from one less. */
static unsigned neediest(const struct symbols *s, const uint32_t *counts, bool more)
{
	uint64_t best_count = 0, best_share = 1;
	unsigned at = 0;

	for (unsigned i = 0; i < s->count; i++) {
		uint64_t count = counts[i], share = 2u * s->at[i].share + (more ? 1 : -1); /* d log2(share) ~ 2 / this */

		if (!count || (!more && s->at[i].share < 2))
			continue;
		if (best_count &&
		    (more ? count * best_share <= best_count * share : count * best_share >= best_count * share))
			continue;
		best_count = count;
		best_share = share;
		at = i;
	}
	return at;
}

/* In proportion to the counts, one at least for what occurs, and STATES in all. */
static void share_out(struct symbols *s, const uint32_t *counts)
{
	uint64_t total = 0;
	unsigned sum = 0;

	for (unsigned i = 0; i < s->count; i++)
		total += counts[i];
	for (unsigned i = 0; i < s->count; i++) {
		uint64_t share = ((uint64_t)counts[i] * STATES + total / 2) / total;

		s->at[i].share = (uint16_t)(counts[i] && !share ? 1 : share);
		sum += s->at[i].share;
	}
	for (; sum < STATES; sum++)
		s->at[neediest(s, counts, true)].share++;
	for (; sum > STATES; sum--)
		s->at[neediest(s, counts, false)].share--;
}

void fit_symbols(const struct head *h, const uint32_t *counts, unsigned tokens, bool sampled, struct symbols *s,
		 uint8_t *symbol_of_token)
{
	uint32_t by_symbol[SYMBOLS_MAX + 1] = { 0 };
	struct symbols_walk walk = symbols_begin();
	unsigned each = 1; /* tokens of a symbol */
	uint64_t total = 0;

	for (unsigned t = 0; t < tokens; t++)
		total += counts[t];
	s->count = 0;
	if (sampled) {
		by_symbol[0] = 1;
		s->at[s->count++] = symbol_escape(h);
	}
	for (unsigned t = 0; t < tokens; s->count++) {
		if (!walk.left) {
			unsigned octave = walk.octave + 1, most = fine_max(h, octave);
			unsigned fine = choose_fine(counts + t, octave, most, total / STATES);

			symbols_next_octave(&walk, fine);
			each = 1u << (most - fine);
		}
		s->at[s->count] = symbols_next(&walk);
		for (unsigned end = t + each; t < end; t++) {
			by_symbol[s->count] += counts[t];
			symbol_of_token[t] = (uint8_t)s->count;
		}
	}
	share_out(s, by_symbol);
	for (unsigned t = 0; t < tokens; t++)
		if (!s->at[symbol_of_token[t]].share)
			symbol_of_token[t] = 0;
}
