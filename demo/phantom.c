/*
 * phantom: makes a scan to try things on: NAME_0000.tif ... (16-bit, one slice a file) and NAME.pca, the acquisition record that a
 * GE/phoenix scanner writes. A cylinder of bone-like foam: spherical pores in solid material, a denser rim, beam noise.
 *
 *     phantom FOLDER NAME [EDGE [SLICES]]        EDGE x EDGE pixels (default 512), SLICES slices (default 128)
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tiffio.h>

enum { PORES = 900, AIR = 4000, BONE = 26000, RIM = 34000, NOISE = 300 };

struct pore {
	double x, y, z, r;
};

static uint64_t state = 0x746f6d6f;

static double uniform(void)
{
	state += 0x9e3779b97f4a7c15;
	uint64_t v = state;

	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
	v = (v ^ v >> 27) * 0x94d049bb133111eb;
	return (double)((v ^ v >> 31) >> 11) / 9007199254740992.0;
}

/* Sum of four uniforms: close enough to a normal distribution, standard deviation 1. */
static double noise(void)
{
	return (uniform() + uniform() + uniform() + uniform() - 2) * 1.7320508;
}

static void carve(float *slice, int edge, double z, const struct pore *p)
{
	double flat = p->r * p->r - (z - p->z) * (z - p->z);
	int x0 = (int)(p->x - p->r), x1 = (int)(p->x + p->r) + 1, y0 = (int)(p->y - p->r), y1 = (int)(p->y + p->r) + 1;

	if (flat <= 0)
		return;
	for (int y = y0 < 0 ? 0 : y0; y < y1 && y < edge; y++)
		for (int x = x0 < 0 ? 0 : x0; x < x1 && x < edge; x++)
			if ((x - p->x) * (x - p->x) + (y - p->y) * (y - p->y) < flat)
				slice[y * edge + x] = AIR;
}

static void make_slice(float *slice, uint16_t *pixels, int edge, int z, const struct pore *pores)
{
	double c = edge / 2.0, radius = edge * 0.44;

	for (int y = 0; y < edge; y++)
		for (int x = 0; x < edge; x++) {
			double d = sqrt((x - c) * (x - c) + (y - c) * (y - c));

			slice[y * edge + x] = d > radius ? AIR : d > radius * 0.93 ? RIM : BONE;
		}
	for (int i = 0; i < PORES; i++)
		carve(slice, edge, z, &pores[i]);
	for (int i = 0; i < edge * edge; i++) {
		double v = slice[i] + NOISE * noise();

		pixels[i] = v < 0 ? 0 : v > 65535 ? 65535 : (uint16_t)v;
	}
}

static int write_slice(const char *path, const uint16_t *pixels, int edge)
{
	TIFF *t = TIFFOpen(path, "w");
	int ok = t != NULL;

	if (!t)
		return -1;
	TIFFSetField(t, TIFFTAG_IMAGEWIDTH, edge);
	TIFFSetField(t, TIFFTAG_IMAGELENGTH, edge);
	TIFFSetField(t, TIFFTAG_BITSPERSAMPLE, 16);
	TIFFSetField(t, TIFFTAG_SAMPLESPERPIXEL, 1);
	TIFFSetField(t, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
	TIFFSetField(t, TIFFTAG_ROWSPERSTRIP, 64);
	for (int y = 0; y < edge && ok; y++)
		ok = TIFFWriteScanline(t, (void *)(pixels + (size_t)y * edge), (uint32_t)y, 0) == 1;
	TIFFClose(t);
	return ok ? 0 : -1;
}

static int write_record(const char *folder, const char *name, int edge, int slices)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s.pca", folder, name);
	f = fopen(path, "w");
	if (!f)
		return -1;
	fprintf(f, "[General]\r\nVersion=2.3\r\nSystemName=phantom\r\n"
		   "[Geometry]\r\nFDD=800.0\r\nFOD=40.0\r\nMagnification=20.0\r\nVoxelSizeX=0.0125\r\nVoxelSizeY=0.0125\r\n"
		   "[CT]\r\nNumberImages=%d\r\nNrImgDone=%d\r\n"
		   "[Xray]\r\nName=tube\r\nVoltage=80\r\nCurrent=120\r\n"
		   "[Detector]\r\nNrPixelsX=%d\r\nNrPixelsY=%d\r\nTimingVal=500.0\r\n",
		slices, slices, edge, edge);
	return fclose(f);
}

int main(int argc, char **argv)
{
	int edge = argc > 3 ? atoi(argv[3]) : 512, slices = argc > 4 ? atoi(argv[4]) : 128;
	static struct pore pores[PORES];
	char path[4096];
	uint16_t *pixels;
	float *slice;

	if (argc < 3 || edge < 16 || edge > 16384 || slices < 1 || slices > 100000) {
		fprintf(stderr, "usage: phantom FOLDER NAME [EDGE [SLICES]]\n");
		return 2;
	}
	if (mkdir(argv[1], 0777) && errno != EEXIST) {
		perror(argv[1]);
		return 1;
	}
	slice = malloc(sizeof *slice * (size_t)edge * (size_t)edge);
	pixels = malloc(sizeof *pixels * (size_t)edge * (size_t)edge);
	if (!slice || !pixels) {
		fprintf(stderr, "phantom: no memory\n");
		return 1;
	}
	for (int i = 0; i < PORES; i++)
		pores[i] = (struct pore){ uniform() * edge, uniform() * edge, uniform() * slices,
					  edge * (0.01 + 0.035 * uniform()) };
	for (int z = 0; z < slices; z++) {
		make_slice(slice, pixels, edge, z, pores);
		snprintf(path, sizeof path, "%s/%s_%04d.tif", argv[1], argv[2], z);
		if (write_slice(path, pixels, edge)) {
			fprintf(stderr, "phantom: cannot write %s\n", path);
			return 1;
		}
	}
	free(slice);
	free(pixels);
	if (write_record(argv[1], argv[2], edge, slices)) {
		perror(argv[1]);
		return 1;
	}
	return 0;
}
