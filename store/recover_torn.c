#include "store/recover.h"

#include <string.h>

enum { SECTOR = 512, BLOCK = 128 * SECTOR };

static bool all_zero(const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (at[i])
			return false;
	return true;
}

/* The first sector counts as far as it lies behind `from`, where the write may have begun; the last one to its end. */
int recover_torn(const struct io *io, int fd, uint64_t from, uint64_t to, uint64_t size)
{
	uint8_t block[BLOCK];

	to = (to + SECTOR - 1) / SECTOR * SECTOR;
	to = to < size ? to : size;
	while (from < to) {
		uint64_t next = (from / BLOCK + 1) * BLOCK, end = next < to ? next : to;
		int rc = io_read_all(io, fd, block, (size_t)(end - from), from);

		if (rc)
			return rc;
		for (uint64_t at = from, border; at < end; at = border) {
			border = (at / SECTOR + 1) * SECTOR;
			if (border > end)
				break; /* the file ends */
			if (all_zero(block + (at - from), (size_t)(border - at)))
				return 1;
		}
		from = end;
	}
	return 0;
}
