/* What is known to be no raw volume, and cheap to see. */
#include "fs/image/detect_internal.h"

#include <math.h>
#include <string.h>

/*
 * Formats that have their own layout, with pixels or without. Four bytes at least: an image may begin with any two.
 * What is compressed from the first bytes on (JPEG, bzip2) would be seen without.
 */
static const struct magic {
	uint16_t offset, len;
	const char *bytes;
} magics[] = {
	{ 0, 4, "II*\0" },			      /* TIFF */
	{ 0, 4, "MM\0*" },			      /* TIFF */
	{ 0, 4, "II+\0" },			      /* BigTIFF */
	{ 0, 4, "MM\0+" },			      /* BigTIFF */
	{ 0, 8, "\x89HDF\r\n\x1a\n" },		      /* HDF5 */
	{ 0, 8, "\x89PNG\r\n\x1a\n" },		      /* PNG */
	{ 0, 4, "\xff\xd8\xff\xe0" },		      /* JPEG */
	{ 0, 4, "\xff\xd8\xff\xe1" },		      /* JPEG */
	{ 0, 4, "PK\3\4" },			      /* zip */
	{ 0, 4, "\177ELF" },			      /* programs */
	{ 0, 5, "%PDF-" },			      /* PDF */
	{ 0, 6, "GIF89a" },			      /* GIF */
	{ 0, 4, "RIFF" },			      /* WAV, AVI */
	{ 0, 6, "\3757zXZ\0" },			      /* xz */
	{ 0, 4, "\x1f\x8b\x08\0" },		      /* gzip */
	{ 0, 4, "\x1f\x8b\x08\x08" },		      /* gzip */
	{ 0, 4, "\x28\xb5\x2f\xfd" },		      /* zstd */
	{ 0, 6, "7z\xbc\xaf\x27\x1c" },		      /* 7-zip */
	{ 0, 7, "!<arch>" },			      /* ar */
	{ 257, 5, "ustar" },			      /* tar */
	{ 128, 4, "DICM" },			      /* DICOM */
	{ 0, 15, "SQLite format 3" },		      /* SQLite */
	{ 0, 4, "CDF\1" },			      /* NetCDF */
	{ 0, 4, "CDF\2" },			      /* NetCDF */
	{ 0, 4, "OggS" },			      /* Ogg */
	{ 0, 4, "fLaC" },			      /* FLAC */
	{ 0, 8, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" }, /* OLE: txrm, doc */
	{ 4, 4, "ftyp" },			      /* MP4 */
	{ 0, 4, "\x1a\x45\xdf\xa3" },		      /* Matroska */
	{ 0, 12, "\0\0\0\x0cjP  \r\n\x87\n" },	      /* JPEG 2000 */
	{ 0, 4, "\xff\x4f\xff\x51" },		      /* JPEG 2000 */
};

static bool has_magic(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
		if (magics[i].offset + magics[i].len <= len &&
		    !memcmp(bytes + magics[i].offset, magics[i].bytes, magics[i].len))
			return true;
	return false;
}

enum { PIECE = 16384, PIECES = 16 };

/*
 * Text has line ends and none of the other control characters; pixels that take values 9, 10, 13 and 32 up take those
 * in between too. Bytes from 128 on may be UTF-8. UTF-16 is text with zeros between.
 */
static bool is_text(const uint32_t *count)
{
	uint32_t control = 0, total = 0, letters = 0;

	for (unsigned v = 1; v < 256; v++) {
		total += count[v];
		control += v < 32 && v != '\t' && v != '\n' && v != '\r' && v != '\f' && v != 27 ? count[v] : 0;
		letters += v >= 32 && v < 127 ? count[v] : 0;
	}
	return count['\n'] && control <= total / 1000 && letters > total / 10 * 7;
}

/* Shannon's entropy of the bytes at every fourth place from lane on. */
static double lane_bits(const uint32_t *count)
{
	double bits = 0, total = 0;

	for (unsigned v = 0; v < 256; v++)
		total += count[v];
	for (unsigned v = 0; v < 256; v++)
		if (count[v])
			bits -= count[v] * log2(count[v] / total);
	return total > 0 ? bits / total : 0;
}

/*
 * Compressed or encrypted: each of four lanes has nearly 8 bits in a byte. 64 Ki bytes of chance lack about
 * 255 / (2 ln 2 * 65536) = 0.003 bits; the noisiest pixels leave one lane below 7.9, or they could not be compressed at
 * all.
 */
bool detect_refuse(const uint8_t *bytes, size_t len)
{
	uint32_t lane[4][256] = { 0 }, all[256];
	double least = 8;

	if (has_magic(bytes, len))
		return true;
	for (size_t i = 0; i < PIECES; i++) {
		const uint8_t *at = bytes + (len - PIECE) / PIECES / 4 * 4 * i;

		for (size_t k = 0; k < PIECE; k++)
			lane[k & 3][at[k]]++;
	}
	for (unsigned v = 0; v < 256; v++)
		all[v] = lane[0][v] + lane[1][v] + lane[2][v] + lane[3][v];
	for (unsigned k = 0; k < 4; k++)
		least = fmin(least, lane_bits(lane[k]));
	return is_text(all) || least > 7.95;
}
