/* swap: byte order of samples. Only fs/image uses it. */
#ifndef TOMOFS_IMAGE_SWAP_H
#define TOMOFS_IMAGE_SWAP_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline bool swap_needed(bool big_endian)
{
	return big_endian != (__BYTE_ORDER == __BIG_ENDIAN);
}

/* Reverses the bytes of count samples of width 1, 2, 4 or 8, in place; at need not be aligned. */
static inline void swap_samples(void *at, size_t count, size_t width)
{
	uint8_t *p = at;

	for (size_t i = 0; width == 2 && i < count; i++) {
		uint16_t v;

		memcpy(&v, p + 2 * i, 2);
		v = __builtin_bswap16(v);
		memcpy(p + 2 * i, &v, 2);
	}
	for (size_t i = 0; width == 4 && i < count; i++) {
		uint32_t v;

		memcpy(&v, p + 4 * i, 4);
		v = __builtin_bswap32(v);
		memcpy(p + 4 * i, &v, 4);
	}
	for (size_t i = 0; width == 8 && i < count; i++) {
		uint64_t v;

		memcpy(&v, p + 8 * i, 8);
		v = __builtin_bswap64(v);
		memcpy(p + 8 * i, &v, 8);
	}
}

#endif
