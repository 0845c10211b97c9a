/*
 * bitpack: pixels as the bits that their prediction leaves open, at several GB/s both ways. Each sample is replaced by its
 * difference from a prediction (zigzag: small differences of either sign are small numbers), and eight differences
 * together take as many bits each as the largest of them needs. It keeps noisy pixels about as small as an entropy coder of
 * bytes does, since noise leaves little else to say than how large it is; it finds no repetitions.
 *
 * A predictor is one row of a table and one number in the format: add at the end, never renumber. Only samples that came
 * before, in memory, count as neighbours (rows are not looked at one by one), so that all loops are plain ones:
 *
 *     left    W                  half    W + (N - NW) / 2
 *     up      N                  above   (NW + 2 N + NE) / 4
 *
 * Sources: frame of reference and patched coding of integers (Lemire and Boytsov, "Decoding billions of integers per second
 * through vectorization", 2015), with vectors of eight and no exceptions; left and up as in PNG.
 *
 * The vector code and the portable code are the same source and give the same bytes. Pure functions; any thread.
 */
#ifndef TOMOFS_BITPACK_H
#define TOMOFS_BITPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bitpack_predictor { BITPACK_NONE, BITPACK_LEFT, BITPACK_UP, BITPACK_HALF, BITPACK_ABOVE, BITPACK_PREDICTORS };

enum {
	BITPACK_BLOCK = 8,    /* samples of one width */
	BITPACK_WIDTH_MAX = 32,
	BITPACK_WIDTH_BITS = 6, /* enough for any width */
	BITPACK_STEP_MAX = 4, /* channels beside each other */
	BITPACK_SLACK = 32,   /* bytes behind a packed chunk that the packer may write */
};

struct bitpack {
	uint8_t predictor;    /* enum bitpack_predictor */
	uint8_t sample_bytes; /* 1, 2 or 4 */
	uint8_t big_endian;   /* byte order of the samples */
	uint8_t is_float;     /* IEEE numbers of 4 bytes: ordered like their values before prediction */
	uint8_t step;	      /* samples from one to the one left of it: channels of a pixel, 1 to BITPACK_STEP_MAX */
	uint8_t shift;	      /* low bits that are zero in all samples, and left out */
	uint32_t row_bytes;   /* from a sample to the one above it */
};

/* Parameters that make sense (also for bytes from a damaged pack). */
bool bitpack_valid(const struct bitpack *b);

/* The number of widths (one a block, a byte each) of a chunk of len bytes. Bytes that do not fill a sample at the end are not
 * packed: the caller keeps them. */
size_t bitpack_blocks(const struct bitpack *b, size_t len);

/* Finds the best predictor, and sets it and shift, from some places all over the chunk; the other fields are given. Returns the
 * bits that a sample will need, widths not counted, about. */
double bitpack_fit(struct bitpack *b, const uint8_t *bytes, size_t len);

/* Packs a chunk. widths: bitpack_blocks() bytes; packed: len + BITPACK_SLACK bytes; scratch: len bytes, used where samples are
 * not packed as they lie (in the other byte order, say). Returns the bytes packed, which is the sum of all widths. */
size_t bitpack_pack(const struct bitpack *b, const uint8_t *bytes, size_t len, uint8_t *widths, uint8_t *packed,
		    uint8_t *scratch);

/* The widths themselves, packed in groups of eight; room for bitpack_widths_room(blocks) bytes, and what was written. */
static inline size_t bitpack_widths_room(size_t blocks)
{
	return (blocks + BITPACK_BLOCK - 1) / BITPACK_BLOCK * (1 + BITPACK_WIDTH_BITS) + BITPACK_SLACK;
}
size_t bitpack_pack_widths(const uint8_t *widths, size_t blocks, uint8_t *to);
/* The inverse, for any bytes: how many of the from_len bytes were read; 0: they are not the widths of so many blocks. widths: room
 * for blocks rounded up to a multiple of BITPACK_BLOCK. */
size_t bitpack_unpack_widths(const uint8_t *from, size_t from_len, uint8_t *widths, size_t blocks);

/* The packed bytes that these widths ask for; SIZE_MAX when one of them is too large for a sample. */
size_t bitpack_size(const struct bitpack *b, const uint8_t *widths, size_t blocks);

/* The inverse. packed: exactly bitpack_size() bytes; the widths are valid. Nothing is read beyond them. */
void bitpack_unpack(const struct bitpack *b, const uint8_t *widths, const uint8_t *packed, size_t packed_len, uint8_t *bytes,
		    size_t len);

/* Would bitpack_unpack() give these bytes? As it, without memory for them: faster, where samples are packed as they lie. */
bool bitpack_matches(const struct bitpack *b, const uint8_t *widths, const uint8_t *packed, size_t packed_len,
		     const uint8_t *bytes, size_t len, uint8_t *scratch);

#endif
