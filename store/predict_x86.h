/*
 * The 16-bit loops for one vector length; predict_x86.c includes this file with LANES, V, the V_* operations, HERE (attributes
 * of a function) and NAME(x) defined.
 *
 * Undoing. Each sample waits for the one to its left, so a single row keeps the processor idle most of the time. LANES
 * rows at once, each SKEW columns behind the row above it, do not wait for each other. In step t lane k is at column t - SKEW k:
 *
 *     lane 0   . . . . . . t     What lanes find above and to the right was made by the lanes before them two steps ago: it is
 *     lane 1   . . . t           the vector of levels from then, moved by one lane. One step later it is "n", then "nw", then
 *     lane 2   t                 "nww", and moved by one more lane it is "nn" of the row below. Lane 0 takes the line above.
 *
 * Samples come and go as tiles of eight columns, transposed. Where lanes are left or right of their rows they compute what
 * nobody needs: on the left it lands in the row above, where that row's own lane writes later; on the right in the row below,
 * whose beginning is put right in the end.
 */

struct NAME(taps) {
	V own, up, left, upup; /* weights in pairs: W and WW, N and NE, NWW and NW, NN and NNW */
	V flip;
	bool swapped, narrow;
};

HERE INLINE V NAME(pair)(int even, int odd)
{
	return V_SET1_32((int32_t)((uint32_t)(uint16_t)even | (uint32_t)(uint16_t)odd << 16));
}

HERE INLINE struct NAME(taps) NAME(taps_of)(const struct prediction *p)
{
	const int16_t *w = p->weight;

	return (struct NAME(taps)) {
		.own = NAME(pair)(w[TAP_W], w[TAP_WW]),
		.up = NAME(pair)(predict_weight_n(p), w[TAP_NE]),
		.left = NAME(pair)(w[TAP_NWW], w[TAP_NW]),
		.upup = NAME(pair)(w[TAP_NN], w[TAP_NNW]),
		.flip = V_SET1_16((int16_t)predict_flip(p)),
		.swapped = p->big_endian && p->width > 1, /* x86 is not */
		.narrow = p->width == 1,
	};
}

struct NAME(around) {
	V w, ww, n, ne, nw, nww, nn, nnw;
};

/* Vectors of pairs, of the lower and the upper half of the lanes. */
struct NAME(pairs) {
	V low, high;
};

HERE INLINE struct NAME(pairs) NAME(pairs_of)(V even, V odd)
{
	return (struct NAME(pairs)) { V_UNPACKLO16(even, odd), V_UNPACKHI16(even, odd) };
}

/* left: nww and nw; up: n and ne. */
HERE INLINE V NAME(expect)(const struct NAME(taps) * p, const struct NAME(around) * a, struct NAME(pairs) left,
			   struct NAME(pairs) up)
{
	V low = V_ADD32(V_MADD(left.low, p->left), V_MADD(V_UNPACKLO16(a->nn, a->nnw), p->upup));
	V high = V_ADD32(V_MADD(left.high, p->left), V_MADD(V_UNPACKHI16(a->nn, a->nnw), p->upup));
	V least = V_MIN(a->n, a->ne), greatest = V_MAX(a->n, a->ne), e;

	low = V_ADD32(low, V_MADD(up.low, p->up));
	high = V_ADD32(high, V_MADD(up.high, p->up));
	low = V_ADD32(low, V_MADD(V_UNPACKLO16(a->w, a->ww), p->own));
	high = V_ADD32(high, V_MADD(V_UNPACKHI16(a->w, a->ww), p->own));
	e = V_PACKS32(V_SRAI32(low, 12), V_SRAI32(high, 12));
	return V_MIN(V_MAX(e, V_MIN(least, a->w)), V_MAX(greatest, a->w));
}

/* ---- apply ---- */

HERE INLINE V NAME(apply_some)(const struct NAME(taps) * p, const struct lines16 *l, ptrdiff_t i)
{
	struct NAME(around) a = {
		.w = V_LOAD(l->own + i - 1),
		.ww = V_LOAD(l->own + i - 2),
		.n = V_LOAD(l->up + i),
		.nw = V_LOAD(l->up + i - 1),
		.ne = V_LOAD(l->up + i + 1),
		.nn = V_LOAD(l->upup + i),
		.nnw = V_LOAD(l->upup + i - 1),
		.nww = V_LOAD(l->up + i - 2),
	};

	return V_SUB(V_LOAD(l->own + i), NAME(expect)(p, &a, NAME(pairs_of)(a.nww, a.nw), NAME(pairs_of)(a.n, a.ne)));
}

HERE static void NAME(apply)(const struct prediction *p, const struct lines16 *l, size_t count, void *residuals)
{
	struct NAME(taps) taps = NAME(taps_of)(p);
	uint8_t *to8 = residuals;
	uint16_t *to = residuals;

	for (size_t i = 0; i < count; i += LANES) {
		V d = NAME(apply_some)(&taps, l, (ptrdiff_t)i);

		if (taps.narrow)
			d = V_SRAI16(V_SLLI16(d, 8), 8);
		d = V_XOR(V_ADD(d, d), V_SRAI16(d, 15));
		if (taps.narrow)
			V_STORE_NARROW(to8 + i, d);
		else
			V_STORE(to + i, d);
	}
}

/* ---- undo ---- */

HERE INLINE void NAME(transpose)(V v[8])
{
	V a[8], b[8];

#pragma GCC unroll 4
	for (size_t i = 0; i < 4; i++) { /* three times a perfect shuffle of the rows */
		a[2 * i] = V_UNPACKLO16(v[i], v[i + 4]);
		a[2 * i + 1] = V_UNPACKHI16(v[i], v[i + 4]);
	}
#pragma GCC unroll 4
	for (size_t i = 0; i < 4; i++) {
		b[2 * i] = V_UNPACKLO16(a[i], a[i + 4]);
		b[2 * i + 1] = V_UNPACKHI16(a[i], a[i + 4]);
	}
#pragma GCC unroll 4
	for (size_t i = 0; i < 4; i++) {
		v[2 * i] = V_UNPACKLO16(b[i], b[i + 4]);
		v[2 * i + 1] = V_UNPACKHI16(b[i], b[i + 4]);
	}
}

/* Lanes at work on LANES rows, one below the other. */
struct NAME(group) {
	struct NAME(taps) taps;
	struct NAME(around) around;
	V nee, nwww;		  /* what will be ne, what was nww */
	const int16_t *up, *upup; /* the lines above lane 0 */
	size_t row;		  /* samples in a row */
	ptrdiff_t pitch;	  /* bytes from where a lane is to where the next one is in the same step */
	const uint8_t *in;	  /* of lane 0 */
	uint8_t *out;
};

/* One step. d: differences from what is expected. At an edge some lanes are at the first or the last column. */
HERE INLINE V NAME(step)(const struct NAME(group) * g, struct NAME(around) * a, V *nee, V *nwww, size_t t, V d,
			 bool narrow, bool edge, V column, struct NAME(pairs) * pairs)
{
	V n = a->n, ne = *nee, level;

	a->ne = ne;
	*nee = V_MOVE(a->w, g->up + t + SKEW - 1);
	a->nnw = a->nn;
	a->nn = V_MOVE(*nwww, g->upup + t);
	if (edge) {
		V first = V_CMPEQ16(column, V_SET1_16(0)), last = V_CMPEQ16(column, V_SET1_16((int16_t)(g->row - 1)));

		a->w = V_BLEND(a->w, n, first);
		a->ww = V_BLEND(a->ww, n, first);
		a->nw = V_BLEND(a->nw, n, first);
		a->nww = V_BLEND(a->nww, n, first);
		a->nnw = V_BLEND(a->nnw, a->nn, first);
		a->ne = V_BLEND(ne, n, last);
	}
	pairs[2] = NAME(pairs_of)(a->n, a->ne);
	level = V_ADD(NAME(expect)(&g->taps, a, edge ? NAME(pairs_of)(a->nww, a->nw) : pairs[0], pairs[2]), d);
	if (narrow)
		level = V_AND(level, V_SET1_16(0xff));
	a->ww = a->w;
	a->w = level;
	*nwww = a->nww;
	a->nww = a->nw;
	a->nw = n;
	a->n = ne;
	return level;
}

/* The columns in v, residuals, become levels. */
HERE INLINE void NAME(undo_steps)(struct NAME(group) * g, size_t t, V v[8], bool narrow, bool edge)
{
	static const int16_t skew[16] = { 0,   -3,  -6,	 -9,  -12, -15, -18, -21,
					  -24, -27, -30, -33, -36, -39, -42, -45 };
	V column = V_ADD(V_LOAD(skew), V_SET1_16((int16_t)t)), one = V_SET1_16(1), nee = g->nee, nwww = g->nwww;
	struct NAME(pairs) pairs[10]; /* of n and ne, from two steps ago on: then these are what is left of n */
	struct NAME(around) around;

	around.w = g->around.w; /* one by one, so that the compiler keeps them in registers */
	around.ww = g->around.ww;
	around.n = g->around.n;
	around.nw = g->around.nw;
	around.nww = g->around.nww;
	around.nn = g->around.nn;
	pairs[0] = NAME(pairs_of)(around.nww, around.nw);
	pairs[1] = NAME(pairs_of)(around.nw, around.n);
#pragma GCC unroll 8
	for (size_t i = 0; i < 8; i++) {
		V d = V_XOR(V_SRLI16(v[i], 1), V_SUB(V_SET1_16(0), V_AND(v[i], one)));

		v[i] = NAME(step)(g, &around, &nee, &nwww, t + i, d, narrow, edge, column, pairs + i);
		if (edge)
			column = V_ADD(column, one);
	}
	g->around.w = around.w;
	g->around.ww = around.ww;
	g->around.n = around.n;
	g->around.nw = around.nw;
	g->around.nww = around.nww;
	g->around.nn = around.nn;
	g->nee = nee;
	g->nwww = nwww;
}

/* A tile of which some goes over the end of its row. Over the end of the last row nothing may be written. */
HERE static void NAME(store_end)(const struct NAME(group) * g, size_t t, const V v[8], bool narrow)
{
	size_t width = narrow ? 1 : 2, column = t, some;
	uint8_t tile[LANES * 16], *to = g->out + t * width;

	for (size_t i = 0; i < 8; i++)
		V_STORE_ROWS(tile + i * 16, 8 * 16, v[i], narrow);
	for (size_t k = 0; k < LANES; k++, column -= SKEW, to += g->pitch) {
		some = column < g->row ? g->row - column : 0;
		if (some)
			memcpy(to, tile + k * 16, (some < 8 && k == LANES - 1 ? some : 8) * width);
	}
}

/* Asks for a part of the lines of cache that the next group will write to: as many in a tile as a group needs. What is behind
 * the last row may be asked for. */
HERE INLINE void NAME(fetch_ahead)(const struct NAME(group) * g, size_t t, bool narrow)
{
	size_t width = narrow ? 1 : 2, tiles = 8 / width, rows = LANES / tiles, pitch = g->row * width;
	uintptr_t at = (uintptr_t)g->out + (LANES + t / 8 % tiles * rows) * pitch + t * width;

#pragma GCC unroll 4
	for (size_t k = 0; k < rows; k++)
		__builtin_prefetch((const void *)(at + k * pitch), 1);
}

HERE INLINE void NAME(undo_tile)(struct NAME(group) * g, size_t t, bool narrow, bool edge)
{
	const uint8_t *in = g->in + (narrow ? t : 2 * t);
	uint8_t *out = g->out + (narrow ? t : 2 * t);
	ptrdiff_t pitch = g->pitch;
	V v[8];

	if (!edge || t < g->row)
		NAME(fetch_ahead)(g, t, narrow);
#pragma GCC unroll 8
	for (ptrdiff_t i = 0; i < 8; i++)
		v[i] = V_LOAD_ROWS(in + i * pitch, 8 * pitch, narrow);
	NAME(transpose)(v);
	NAME(undo_steps)(g, t, v, narrow, edge);
	NAME(transpose)(v);
#pragma GCC unroll 8
	for (size_t i = 0; i < 8; i++) {
		v[i] = V_XOR(v[i], g->taps.flip);
		if (g->taps.swapped)
			v[i] = V_OR(V_SLLI16(v[i], 8), V_SRLI16(v[i], 8));
	}
	if (edge && t + 8 > g->row) {
		NAME(store_end)(g, t, v, narrow);
		return;
	}
#pragma GCC unroll 8
	for (ptrdiff_t i = 0; i < 8; i++)
		V_STORE_ROWS(out + i * pitch, 8 * pitch, v[i], narrow);
}

/* All tiles. narrow is a constant where this is inlined. */
HERE INLINE void NAME(undo_tiles)(struct NAME(group) * g, bool narrow)
{
	enum { LAST = SKEW * (LANES - 1), BEGIN = (LAST + 15) / 8 * 8 }; /* all lanes have made eight columns */
	size_t steps = g->row + LAST, pitch = g->row * (narrow ? 1 : 2), t = 0;
	uint8_t first[LANES][16];

	for (; t < BEGIN; t += 8)
		NAME(undo_tile)(g, t, narrow, true);
	for (size_t k = 1; k < LANES; k++)
		memcpy(first[k], g->out + k * pitch, 16);
	for (; t + 8 < g->row; t += 8)
		NAME(undo_tile)(g, t, narrow, false);
	for (; t < steps; t += 8)
		NAME(undo_tile)(g, t, narrow, true);
	for (size_t k = 1; k < LANES; k++)
		memcpy(g->out + k * pitch, first[k], narrow ? 8 : 16);
}

/* bytes: row 0 of all. */
HERE static void NAME(undo_group)(const struct prediction *p, const struct lines16 *l, size_t at, const uint8_t *in,
				  uint8_t *out)
{
	size_t row = p->row, pitch = row * p->width;
	struct NAME(group) g = { .taps = NAME(taps_of)(p), .row = row, .up = l->up, .upup = l->upup };

	predict_load16(p, out + (at - 1) * pitch, row, l->up);
	predict_load16(p, out + (at > 1 ? at - 2 : 0) * pitch, row, l->upup);
	predict_edges16(l, row);
	g.pitch = (ptrdiff_t)(pitch - SKEW * p->width);
	g.in = in + at * pitch;
	g.out = out + at * pitch;
	g.around.n = V_SET1_16(l->up[0]);
	g.nee = V_SET1_16(l->up[1]);
	g.nwww = g.around.w = g.around.ww = g.around.nw = g.around.nww = g.around.nn = V_SET1_16(0);
	if (p->width == 1)
		NAME(undo_tiles)(&g, true);
	else
		NAME(undo_tiles)(&g, false);
}

/* The last group ends at the last row; it may do some rows again. */
HERE static size_t NAME(undo)(const struct prediction *p, const struct lines16 *l, size_t rows, const uint8_t *residuals,
			      uint8_t *bytes)
{
	if (p->row < ROW_LEAST || p->row > ROW_MOST || rows <= LANES)
		return 1;
	for (size_t at = 1; at < rows; at += LANES)
		NAME(undo_group)(p, l, at + LANES < rows ? at : rows - LANES, residuals, bytes);
	return rows;
}

const struct predict_loops NAME(predict_loops) = { NAME(apply), predict_apply32, NAME(undo), NULL };

#undef LANES
#undef V
#undef HERE
#undef NAME
