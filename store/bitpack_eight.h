/* Eight numbers of up to 16 bits, on any processor: how wide the largest is, and their block (bitpack_loops.h). */

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

static inline void store64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof v);
}

/* The bits of the largest of eight numbers. */
static inline unsigned width8(v8x16 v)
{
	v2x64 two = (v2x64)v;
	uint64_t any = two[0] | two[1];

	any |= any >> 32;
	any |= any >> 16;
	return 31 - (unsigned)__builtin_clz((uint32_t)(any & 0xffff) << 1 | 1);
}

/* Writes w bytes, and some behind them that do not count. */
static inline void pack8(uint8_t *p, v8x16 v, unsigned w)
{
	v4x32 a = (v4x32)v;
	v2x64 b;
	uint64_t low, high;
	unsigned odd = w & 1; /* the high half begins in the middle of a byte */

	a = (a & 0xffff) | (a >> 16) << w;
	b = (v2x64)a;
	b = (b & 0xffffffff) | (b >> 32) << (2 * w);
	low = b[0];
	high = b[1];
	store64(p, low);
	store64(p + (w >> 1), high << 4 * odd | (low >> 4 * (w & 14) & 15 * odd));
}

/* Reads up to 16 bytes. */
static inline v8x16 unpack8(const uint8_t *p, unsigned w)
{
	static const uint64_t mask[17] = { 0,		0xf,		0xff,		 0xfff,		  0xffff,	   0xfffff,
					   0xffffff,	0xfffffff,	0xffffffff,	 0xfffffffff,	  0xffffffffff,
					   0xfffffffffff, 0xffffffffffff, 0xfffffffffffff, 0xffffffffffffff, 0xfffffffffffffff,
					   UINT64_MAX };
	v2x64 x = { load64(p), load64(p + (w >> 1)) >> 4 * (w & 1) };
	v4x32 y;

	x &= mask[w];
	x = (x & ((UINT64_C(1) << 2 * w) - 1)) | x >> (2 * w) << 32;
	y = (v4x32)x;
	y = (y & ((1u << w) - 1)) | y >> w << 16;
	return (v8x16)y;
}
