#include "fs/image/tiff_page.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <tiffio.h>

#include "fs/image/image.h"
#include "store/err.h"

/* --- libtiff's view of the source --- */

static tmsize_t view_read(thandle_t ctx, void *to, tmsize_t len)
{
	struct tiff_page *page = ctx;
	uint8_t *out = to;
	size_t want = len > 0 ? (size_t)len : 0, done = 0;

	if (page->at >= page->src->size)
		return 0;
	if (want > page->src->size - page->at)
		want = (size_t)(page->src->size - page->at);
	for (; done < want && page->at < page->header_len; done++)
		out[done] = page->header[page->at++];
	if (done < want) {
		int rc = source_read(page->src, page->at, out + done, want - done);

		if (rc < 0) {
			if (!page->source_rc)
				page->source_rc = rc;
			return -1;
		}
		page->at += want - done;
	}
	return (tmsize_t)want;
}

static tmsize_t view_write(thandle_t ctx, void *from, tmsize_t len)
{
	(void)ctx, (void)from, (void)len;
	return -1;
}

static toff_t view_seek(thandle_t ctx, toff_t off, int whence)
{
	struct tiff_page *page = ctx;
	uint64_t base = whence == SEEK_CUR ? page->at : whence == SEEK_END ? page->src->size : 0, to;

	if (__builtin_add_overflow(base, off, &to))
		return (toff_t)-1;
	page->at = to;
	return to;
}

static int view_close(thandle_t ctx)
{
	(void)ctx;
	return 0;
}

static toff_t view_size(thandle_t ctx)
{
	const struct tiff_page *page = ctx;

	return page->src->size;
}

static int view_map(thandle_t ctx, void **base, toff_t *size)
{
	(void)ctx, (void)base, (void)size;
	return 0;
}

static void view_unmap(thandle_t ctx, void *base, toff_t size)
{
	(void)ctx, (void)base, (void)size;
}

static int on_error(TIFF *tif, void *ctx, const char *module, const char *fmt, va_list ap)
{
	struct tiff_page *page = ctx;

	(void)tif, (void)module;
	if (!*page->error)
		vsnprintf(page->error, sizeof page->error, fmt, ap);
	return 1;
}

static int on_warning(TIFF *tif, void *ctx, const char *module, const char *fmt, va_list ap)
{
	(void)tif, (void)ctx, (void)module, (void)fmt, (void)ap;
	return 1;
}

static void make_header(struct tiff_page *page, const struct tiff_file *file, uint64_t at)
{
	size_t width = file->big ? 8 : 4;
	uint8_t *offset;

	page->header_len = file->big ? 16 : 8;
	memcpy(page->header, file->big_endian ? "MM" : "II", 2);
	page->header[file->big_endian ? 3 : 2] = file->big ? 43 : 42;
	if (file->big)
		page->header[file->big_endian ? 5 : 4] = 8;
	offset = page->header + page->header_len - width;
	for (size_t i = 0; i < width; i++)
		offset[i] = (uint8_t)(at >> 8 * (file->big_endian ? width - 1 - i : i));
}

/* What libtiff could not do, as our error. */
static int complaint(const struct tiff_page *page, const char *otherwise)
{
	if (page->source_rc)
		return page->source_rc;
	return err_set(EBADMSG, "%s", *page->error ? page->error : otherwise);
}

static void scope_options_free(TIFFOpenOptions **options)
{
	TIFFOpenOptionsFree(*options);
}

static int open_handle(struct tiff_page *page)
{
	TIFFOpenOptions *options SCOPE_CLEANUP(scope_options_free) = TIFFOpenOptionsAlloc();

	if (!options)
		return err_set(ENOMEM, "no memory to open a page");
	TIFFOpenOptionsSetMaxSingleMemAlloc(options, TIFF_RAW_MAX);
	TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, page);
	TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, page);
	/* r: read; m: no memory map; c: leave strips as long as they are */
	page->tif = TIFFClientOpenExt("page", "rmc", page, view_read, view_write, view_seek, view_close, view_size,
				      view_map, view_unmap, options);
	return page->tif ? 0 : complaint(page, "its directory cannot be read");
}

/* --- what the page holds --- */

static const struct {
	uint16_t scheme;
	const char *name;
	bool read;
	bool by_row; /* rows can be decoded one after the other, whatever the writer did (not so with PackBits) */
} schemes[] = {
	{ COMPRESSION_NONE, "", true },
	{ COMPRESSION_CCITTRLE, "CCITT", true },
	{ COMPRESSION_CCITTFAX3, "CCITT fax", true },
	{ COMPRESSION_CCITTFAX4, "CCITT fax 4", true },
	{ COMPRESSION_LZW, "LZW", true, true },
	{ COMPRESSION_OJPEG, "old-style JPEG", false },
	{ COMPRESSION_JPEG, "JPEG", true, true },
	{ COMPRESSION_ADOBE_DEFLATE, "deflate", true, true },
	{ COMPRESSION_DEFLATE, "deflate", true, true },
	{ COMPRESSION_CCITTRLEW, "CCITT", true },
	{ COMPRESSION_PACKBITS, "PackBits", true },
	{ COMPRESSION_THUNDERSCAN, "ThunderScan", true },
	{ COMPRESSION_NEXT, "NeXT", true },
	{ COMPRESSION_JBIG, "JBIG", false },
	{ COMPRESSION_SGILOG, "SGI LogLuv", false },
	{ COMPRESSION_SGILOG24, "SGI LogLuv", false },
	{ COMPRESSION_PIXARLOG, "PixarLog", false },
	{ COMPRESSION_JP2000, "JPEG 2000", false },
	{ COMPRESSION_LERC, "LERC", true },
	{ COMPRESSION_LZMA, "LZMA", true, true },
	{ COMPRESSION_ZSTD, "zstd", true, true },
	{ COMPRESSION_WEBP, "WebP", true },
	{ 50002, "JPEG XL", false },
};

static int check_compression(struct tiff_page *page, uint16_t scheme, uint16_t photometric)
{
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		if (schemes[i].scheme != scheme)
			continue;
		if (!schemes[i].read || !TIFFIsCODECConfigured(scheme))
			return err_set(EBADMSG, "cannot be shown: its compression (%s) is not read here",
				       schemes[i].name);
		page->can_row = schemes[i].by_row;
		/* With libdeflate, libtiff 4.5 takes a strip that holds more rows than it should (the last one of some
		 * writers) as decoded when some of its bytes were never written: wrong pixels and no error. */
		if (scheme == COMPRESSION_ADOBE_DEFLATE || scheme == COMPRESSION_DEFLATE)
			TIFFSetField(page->tif, TIFFTAG_DEFLATE_SUBCODEC, DEFLATE_SUBCODEC_ZLIB);
		if (scheme == COMPRESSION_JPEG && page->bits != 8)
			return err_set(EBADMSG, "cannot be shown: JPEG with %u bits a sample", page->bits);
		if (photometric == PHOTOMETRIC_YCBCR && scheme == COMPRESSION_JPEG && page->planes == 1)
			TIFFSetField(page->tif, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
		else if (photometric == PHOTOMETRIC_YCBCR && scheme != COMPRESSION_WEBP)
			return err_set(EBADMSG, "cannot be shown: YCbCr colours without JPEG");
		return 0;
	}
	return err_set(EBADMSG, "cannot be shown: compression scheme %u is not known", scheme);
}

static enum voxel_type sample_type(unsigned bits, uint16_t format)
{
	static const enum voxel_type whole[4] = { VOXEL_U8, VOXEL_U16, VOXEL_U32, VOXEL_U64 };
	static const enum voxel_type with_sign[4] = { VOXEL_I8, VOXEL_I16, VOXEL_I32, VOXEL_I64 };
	unsigned size = bits <= 8 ? 0 : bits <= 16 ? 1 : bits <= 32 ? 2 : 3;

	if (bits == 0 || bits > 64 || (bits > 32 && bits < 64))
		return VOXEL_NONE;
	switch (format) {
	case SAMPLEFORMAT_UINT:
	case SAMPLEFORMAT_VOID:
		return whole[size];
	case SAMPLEFORMAT_INT:
		return with_sign[size];
	case SAMPLEFORMAT_IEEEFP:
		return bits == 16 || bits == 32 ? VOXEL_F32 : bits == 64 ? VOXEL_F64 : VOXEL_NONE;
	default:
		return VOXEL_NONE;
	}
}

static int describe(struct tiff_page *page, const struct tiff_file *file)
{
	uint16_t bits, samples, format, planar, photometric = PHOTOMETRIC_MINISBLACK, scheme, order;
	uint32_t width = 0, height = 0, depth = 1;
	TIFF *tif = page->tif;

	TIFFGetField(tif, TIFFTAG_IMAGEWIDTH, &width);
	TIFFGetField(tif, TIFFTAG_IMAGELENGTH, &height);
	TIFFGetFieldDefaulted(tif, TIFFTAG_IMAGEDEPTH, &depth);
	TIFFGetFieldDefaulted(tif, TIFFTAG_BITSPERSAMPLE, &bits);
	TIFFGetFieldDefaulted(tif, TIFFTAG_SAMPLESPERPIXEL, &samples);
	TIFFGetFieldDefaulted(tif, TIFFTAG_SAMPLEFORMAT, &format);
	TIFFGetFieldDefaulted(tif, TIFFTAG_PLANARCONFIG, &planar);
	TIFFGetFieldDefaulted(tif, TIFFTAG_COMPRESSION, &scheme);
	TIFFGetFieldDefaulted(tif, TIFFTAG_FILLORDER, &order);
	TIFFGetField(tif, TIFFTAG_PHOTOMETRIC, &photometric);
	if (samples == 0 || samples > TIFF_PLANES_MAX)
		return err_set(EBADMSG, "cannot be shown: %u samples a pixel", samples);
	if (depth != 1)
		return err_set(EBADMSG, "cannot be shown: a page of %u slices", depth);
	page->bits = bits;
	page->planes = planar == PLANARCONFIG_SEPARATE && samples > 1 ? samples : 1;
	page->is_signed = format == SAMPLEFORMAT_INT;
	page->half_float = format == SAMPLEFORMAT_IEEEFP && bits == 16;
	page->geo = (struct geometry) {
		.format = IMAGE_TIFF,
		.type = sample_type(bits, format),
		.samples = (uint8_t)samples,
		.big_endian = file->big_endian,
		.palette = photometric == PHOTOMETRIC_PALETTE && samples == 1,
		.width = width,
		.height = height,
		.depth = 1,
	};
	if (page->geo.type == VOXEL_NONE)
		return err_set(EBADMSG, "cannot be shown: samples of %u bits and format %u", bits, format);
	if (!geometry_sane(&page->geo))
		return err_set(EBADMSG, "declares an impossible size: %u x %u pixels", width, height);
	page->tiled = TIFFIsTiled(tif);
	page->direct = scheme == COMPRESSION_NONE && !page->tiled && page->planes == 1 && !page->half_float &&
		       bits == 8 * voxel_bytes(page->geo.type) && order == FILLORDER_MSB2LSB;
	return check_compression(page, scheme, photometric);
}

/* Sizes of strips or tiles. */
static int lay_out(struct tiff_page *page)
{
	uint64_t samples = page->planes == 1 ? page->geo.samples : 1, packed, blocks, band, bands;
	TIFF *tif = page->tif;
	tmsize_t row, block;

	if (page->tiled) {
		uint32_t width = 0, rows = 0, depth = 1;

		TIFFGetField(tif, TIFFTAG_TILEWIDTH, &width);
		TIFFGetField(tif, TIFFTAG_TILELENGTH, &rows);
		TIFFGetFieldDefaulted(tif, TIFFTAG_TILEDEPTH, &depth);
		if (!width || !rows || depth != 1)
			return err_set(EBADMSG, "has tiles of %u x %u x %u pixels", width, rows, depth);
		page->tile_width = width;
		page->tiles_across = (page->geo.width + width - 1) / width;
		page->band_rows = rows;
		row = TIFFTileRowSize(tif);
		block = TIFFTileSize(tif);
	} else {
		uint32_t rows = UINT32_MAX;

		TIFFGetFieldDefaulted(tif, TIFFTAG_ROWSPERSTRIP, &rows);
		if (!rows)
			return err_set(EBADMSG, "has strips of no rows");
		page->tile_width = page->geo.width;
		page->tiles_across = 1;
		page->band_rows = rows < page->geo.height ? rows : page->geo.height;
		row = TIFFScanlineSize(tif);
		block = TIFFVStripSize(tif, (uint32_t)page->band_rows);
	}
	packed = (page->tile_width * samples * page->bits + 7) / 8;
	if (row <= 0 || block <= 0)
		return complaint(page, "has strips of an impossible size");
	/* what is unpacked below relies on this; JPEG and others may have a say in libtiff's numbers */
	if ((uint64_t)row != packed || (uint64_t)block != packed * page->band_rows)
		return err_set(EBADMSG, "cannot be shown: rows of %" PRIu64 " bytes are decoded to %lld", packed,
			       (long long)row);
	page->row_bytes = (uint64_t)row;
	page->block_bytes = (uint64_t)block;
	blocks = page->tiles_across * page->planes;
	bands = (page->geo.height + page->band_rows - 1) / page->band_rows;
	if ((page->tiled ? TIFFNumberOfTiles(tif) : TIFFNumberOfStrips(tif)) != blocks * bands)
		return err_set(EBADMSG, "says nothing sensible about its %s", page->tiled ? "tiles" : "strips");
	if (page->direct)
		return 0;
	band = page->block_bytes; /* below 2^40, as the slice is */
	page->by_row = page->can_row && !page->tiled && page->planes == 1 && band > TIFF_BAND_KEPT &&
		       page->row_bytes <= TIFF_BAND_KEPT;
	if (!page->by_row && (__builtin_mul_overflow(blocks, page->block_bytes, &band) || band > TIFF_BAND_MAX))
		return err_set(EBADMSG,
			       "cannot be shown: a %s of %" PRIu64 " x %" PRIu64
			       " bytes would have to be decoded at once, more than %d MiB",
			       page->tiled ? "row of tiles" : "strip", blocks, page->block_bytes, TIFF_BAND_MAX >> 20);
	return 0;
}

int tiff_page_open(struct tiff_page *page, const struct tiff_file *file, uint64_t at)
{
	int rc;

	*page = (struct tiff_page) { .src = file->src, .band_index = UINT64_MAX, .next_row = UINT64_MAX };
	make_header(page, file, at);
	rc = open_handle(page);
	if (rc == 0)
		rc = describe(page, file);
	if (rc == 0)
		rc = lay_out(page);
	return rc;
}

void tiff_page_close(struct tiff_page *page)
{
	if (page->tif)
		TIFFClose(page->tif);
	free(page->band);
	*page = (struct tiff_page) { 0 };
}

/* --- where the pixels are --- */

static uint64_t strip_rows(const struct tiff_page *page, uint64_t band)
{
	uint64_t left = page->geo.height - band * page->band_rows;

	return left < page->band_rows ? left : page->band_rows;
}

static const char *block_word(const struct tiff_page *page)
{
	return page->tiled ? "tile" : "strip";
}

/* One strip or tile of the file. need 0: any number of bytes is enough. */
static int check_block(struct tiff_page *page, uint32_t block, uint64_t need)
{
	uint64_t at = TIFFGetStrileOffset(page->tif, block), len = TIFFGetStrileByteCount(page->tif, block);
	uint64_t size = page->src->size;

	if (at == 0 || len == 0)
		return err_set(EBADMSG, "%s %u: is not in the file", block_word(page), block);
	if (at >= size)
		return err_set(EBADMSG,
			       "%s %u: begins at byte %" PRIu64 ", and the file ends at %" PRIu64
			       ": it is incomplete or damaged",
			       block_word(page), block, at, size);
	if (len < need)
		return err_set(EBADMSG, "%s %u: has %" PRIu64 " of %" PRIu64 " bytes", block_word(page), block, len,
			       need);
	if (!need)
		need = len;
	if (need > size - at)
		return err_set(EBADMSG,
			       "%s %u: ends after %" PRIu64 " of %" PRIu64 " bytes: the file is incomplete or damaged",
			       block_word(page), block, size - at, need);
	return 0;
}

int tiff_page_check(struct tiff_page *page)
{
	uint32_t count = page->tiled ? TIFFNumberOfTiles(page->tif) : TIFFNumberOfStrips(page->tif);
	uint64_t bands = (page->geo.height + page->band_rows - 1) / page->band_rows;
	uint16_t scheme = COMPRESSION_NONE;

	TIFFGetFieldDefaulted(page->tif, TIFFTAG_COMPRESSION, &scheme);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t need = 0;
		int rc;

		if (scheme == COMPRESSION_NONE)
			need = page->tiled ? page->block_bytes : strip_rows(page, i % bands) * page->row_bytes;
		rc = check_block(page, i, need);
		if (rc < 0)
			return rc;
	}
	return 0;
}

uint64_t tiff_page_run(struct tiff_page *page)
{
	uint32_t count = TIFFNumberOfStrips(page->tif);
	uint64_t first, at;

	if (!page->direct)
		return 0;
	first = at = TIFFGetStrileOffset(page->tif, 0);
	for (uint32_t i = 0; i < count; i++, at += page->block_bytes)
		if (TIFFGetStrileOffset(page->tif, i) != at)
			return 0;
	return first;
}
