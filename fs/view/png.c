#include "fs/view/png.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "store/err.h"

enum { BLOCK_MAX = 65535, CHUNK_FRAME = 12, IHDR_BYTES = 13, SIGNATURE_BYTES = 8 };
enum { COLOUR_GRAY = 0, COLOUR_RGB = 2 };

/* Bytes of the rows, each behind its filter byte. */
static uint64_t plain_size(uint32_t width, uint32_t height, unsigned samples)
{
	return height * (1 + (uint64_t)width * samples);
}

/* The zlib stream: 2 bytes in front, 5 for each block, a checksum of 4. */
static uint64_t stream_size(uint64_t plain)
{
	return 2 + 5 * ((plain + BLOCK_MAX - 1) / BLOCK_MAX) + plain + 4;
}

uint64_t png_size(uint32_t width, uint32_t height, unsigned samples)
{
	return SIGNATURE_BYTES + CHUNK_FRAME + IHDR_BYTES + CHUNK_FRAME +
	       stream_size(plain_size(width, height, samples)) + CHUNK_FRAME;
}

static void put_be32(struct buf *out, uint32_t v)
{
	buf_u32(out, __builtin_bswap32(v));
}

static void put_chunk(struct buf *out, const char *type, const void *bytes, size_t len)
{
	size_t start;

	put_be32(out, (uint32_t)len);
	start = out->len;
	buf_put(out, type, 4);
	buf_put(out, bytes, len);
	if (!buf_failed(out))
		put_be32(out, (uint32_t)crc32(0, out->data + start, (uInt)(len + 4)));
}

static void put_plain(struct buf *plain, uint32_t width, uint32_t height, unsigned samples, const uint8_t *pixels)
{
	size_t row = (size_t)width * samples;

	for (uint32_t y = 0; y < height; y++) {
		buf_u8(plain, 0);
		buf_put(plain, pixels + y * row, row);
	}
}

static void put_stream(struct buf *stream, const struct buf *plain)
{
	buf_u8(stream, 0x78); /* deflate, window of 32 KiB */
	buf_u8(stream, 0x01);
	for (size_t at = 0, n; at < plain->len; at += n) {
		n = plain->len - at < BLOCK_MAX ? plain->len - at : BLOCK_MAX;
		buf_u8(stream, at + n == plain->len);
		buf_u16(stream, (uint16_t)n);
		buf_u16(stream, (uint16_t)~n);
		buf_put(stream, plain->data + at, n);
	}
	put_be32(stream, (uint32_t)adler32(1, plain->data, (uInt)plain->len));
}

int png_write(struct buf *out, uint32_t width, uint32_t height, unsigned samples, const uint8_t *pixels)
{
	scope_buf struct buf head = { 0 }, plain = { 0 }, stream = { 0 };

	put_be32(&head, width);
	put_be32(&head, height);
	buf_u8(&head, 8);
	buf_u8(&head, samples == 3 ? COLOUR_RGB : COLOUR_GRAY);
	buf_put(&head, "\0\0\0", 3);
	put_plain(&plain, width, height, samples, pixels);
	if (!buf_failed(&plain))
		put_stream(&stream, &plain);
	if (buf_failed(&head) || buf_failed(&plain) || buf_failed(&stream))
		return err_set(ENOMEM, "no memory for a picture");
	buf_put(out, "\x89PNG\r\n\x1a\n", SIGNATURE_BYTES);
	put_chunk(out, "IHDR", head.data, head.len);
	put_chunk(out, "IDAT", stream.data, stream.len);
	put_chunk(out, "IEND", "", 0);
	return buf_failed(out) ? err_set(ENOMEM, "no memory for a picture") : 0;
}
