/*
 * pixels: the gray pixels of many files as one raw file, little-endian, slice after slice. For the programs that compare codecs.
 *
 *     pixels OUT.raw FILE...      TIFF (all pages, any layout that libtiff decodes), or uncompressed little-endian DICOM
 *
 * Prints "WIDTH HEIGHT SAMPLE_BYTES SLICES BITS"; BITS is what the largest value needs. Files of another size or type than the first
 * are left out with a word on stderr.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>

struct out {
	FILE *file;
	uint32_t width, height, sample_bytes;
	unsigned slices, largest;
};

/* Takes one slice; 0 when it is of the size and type of the first one. */
static int take(struct out *out, uint32_t width, uint32_t height, uint32_t sample_bytes, const uint8_t *pixels)
{
	size_t samples = (size_t)width * height;

	if (!out->slices) {
		out->width = width;
		out->height = height;
		out->sample_bytes = sample_bytes;
	}
	if (width != out->width || height != out->height || sample_bytes != out->sample_bytes)
		return -1;
	for (size_t i = 0; i < samples; i++) {
		unsigned v = sample_bytes == 1 ? pixels[i] : pixels[2 * i] | (unsigned)pixels[2 * i + 1] << 8;

		if (v > out->largest)
			out->largest = v;
	}
	out->slices++;
	return fwrite(pixels, sample_bytes, samples, out->file) == samples ? 0 : -1;
}

static int take_page(struct out *out, TIFF *t)
{
	uint32_t width = 0, height = 0;
	uint16_t bits = 1, samples = 1;
	size_t row;
	uint8_t *pixels;
	int rc = 0;

	TIFFGetField(t, TIFFTAG_IMAGEWIDTH, &width);
	TIFFGetField(t, TIFFTAG_IMAGELENGTH, &height);
	TIFFGetFieldDefaulted(t, TIFFTAG_BITSPERSAMPLE, &bits);
	TIFFGetFieldDefaulted(t, TIFFTAG_SAMPLESPERPIXEL, &samples);
	row = (size_t)width * bits / 8;
	if (!width || !height || samples != 1 || (bits != 8 && bits != 16) || TIFFIsTiled(t) ||
	    (size_t)TIFFScanlineSize(t) != row)
		return -1;
	pixels = malloc(row * height);
	for (uint32_t y = 0; pixels && y < height && !rc; y++)
		rc = TIFFReadScanline(t, pixels + row * y, y, 0) == 1 ? 0 : -1;
	rc = pixels && !rc ? take(out, width, height, bits / 8, pixels) : -1;
	free(pixels);
	return rc;
}

static int take_tiff(struct out *out, const char *path)
{
	TIFF *t = TIFFOpen(path, "r");
	int rc = t ? 0 : -1;

	if (t)
		do
			rc = take_page(out, t);
		while (!rc && TIFFReadDirectory(t));
	if (t)
		TIFFClose(t);
	return rc;
}

/* A 16-bit element of group 0028; the encoding says its type (US) or does not. */
static uint32_t dicom_u16(const uint8_t *data, size_t len, uint16_t element)
{
	const uint8_t with[8] = { 0x28, 0, element & 255, element >> 8, 'U', 'S', 2, 0 };
	const uint8_t without[8] = { 0x28, 0, element & 255, element >> 8, 2, 0, 0, 0 };
	const uint8_t *at = memmem(data, len, with, sizeof with);

	at = at ? at : memmem(data, len, without, sizeof without);
	return at && at + 10 <= data + len ? at[8] | (uint32_t)at[9] << 8 : 0;
}

/* The pixels are the file's end, behind their tag and, when it is said, their type. */
static int take_dicom(struct out *out, const uint8_t *data, size_t len)
{
	uint32_t height = dicom_u16(data, len, 0x10), width = dicom_u16(data, len, 0x11), bits = dicom_u16(data, len, 0x100);
	size_t pixels = (size_t)width * height * (bits / 8);
	const uint8_t tag[4] = { 0xe0, 0x7f, 0x10, 0 };

	if ((bits != 8 && bits != 16) || !pixels || len < pixels + 12 ||
	    (memcmp(data + len - pixels - 12, tag, sizeof tag) != 0 && memcmp(data + len - pixels - 8, tag, sizeof tag) != 0))
		return -1;
	return take(out, width, height, bits / 8, data + len - pixels);
}

static int take_file(struct out *out, const char *path)
{
	enum { LARGEST = 64 << 20, DICM = 128 };
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(LARGEST);
	size_t len = f && data ? fread(data, 1, LARGEST, f) : 0;
	bool dicom = len > DICM + 4 && memcmp(data + DICM, "DICM", 4) == 0;
	int rc = dicom ? take_dicom(out, data, len) : -1;

	free(data);
	if (f)
		fclose(f);
	return dicom ? rc : take_tiff(out, path);
}

int main(int argc, char **argv)
{
	struct out out = { 0 };
	unsigned bits = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: pixels OUT.raw FILE...\n");
		return 2;
	}
	TIFFSetWarningHandler(NULL);
	TIFFSetErrorHandler(NULL);
	out.file = fopen(argv[1], "wb");
	if (!out.file) {
		perror(argv[1]);
		return 1;
	}
	for (int i = 2; i < argc; i++)
		if (take_file(&out, argv[i]))
			fprintf(stderr, "pixels: left out: %s\n", argv[i]);
	if (fclose(out.file) || !out.slices)
		return 1;
	while (out.largest >> bits)
		bits++;
	printf("%u %u %u %u %u\n", out.width, out.height, out.sample_bytes, out.slices, bits);
	return 0;
}
