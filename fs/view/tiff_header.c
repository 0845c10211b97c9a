#include "fs/view/tiff_header.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "store/buf.h"
#include "store/err.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "views hand out pixels in the machine's byte order under a little-endian header"
#endif

enum { SHORT = 3, LONG = 4, RATIONAL = 5, ASCII = 2 };

/* Where the things that all pages share stand. */
struct shared {
	uint32_t text, text_len, bits, formats, extras, x, y, end;
};

static unsigned colours(const struct geometry *g)
{
	return g->samples == 3 || g->samples == 4 ? 3 : 1;
}

/* Samples beyond the colours: the fourth of RGBA is alpha, others are anything. */
static unsigned extras(const struct geometry *g)
{
	return g->samples - colours(g);
}

/* Bytes of an array of shorts outside of the entry: two stand in the entry itself. */
static uint32_t array_bytes(unsigned count)
{
	return count > 2 ? count * 2 : 0;
}

static struct shared shared_of(const struct tiff_header *h)
{
	struct shared s = { .text = 8, .text_len = (uint32_t)strlen(h->text) + 1 };

	s.bits = s.text + s.text_len + s.text_len % 2;
	s.formats = s.bits + array_bytes(h->geo.samples);
	s.extras = s.formats + array_bytes(h->geo.samples);
	s.x = s.extras + array_bytes(extras(&h->geo));
	s.y = s.x + 8;
	s.end = s.y + 8;
	return s;
}

static unsigned entries(const struct geometry *g)
{
	return 14 + (extras(g) > 0);
}

/* Page 0 has one entry more: the text. */
static uint64_t ifd_bytes(const struct tiff_header *h, bool first)
{
	return 2 + (entries(&h->geo) + first) * (uint64_t)TIFF_ENTRY_BYTES + 4;
}

static uint64_t ifd_at(const struct tiff_header *h, uint64_t page)
{
	return h->first + (page ? ifd_bytes(h, true) + (page - 1) * ifd_bytes(h, false) : 0);
}

static void set_layout(struct tiff_header *h, uint64_t pages)
{
	h->pages = pages;
	h->first = shared_of(h).end;
	h->pixels = (ifd_at(h, pages) + TIFF_PIXELS_ALIGN - 1) / TIFF_PIXELS_ALIGN * TIFF_PIXELS_ALIGN;
}

/* Both sizes are known, and can be written as a fraction. */
static bool calibrated(const struct geometry *g)
{
	return g->voxel_um[1] > 1e-6 && g->voxel_um[1] < 1e9 && g->voxel_um[2] > 1e-6 && g->voxel_um[2] < 1e9;
}

static void put_text(struct tiff_header *h)
{
	const double *um = h->geo.voxel_um;
	unsigned long long n = h->geo.depth;
	int at = snprintf(h->text, sizeof h->text, "ImageJ=1.53t\n");

	if (n > 1)
		at += snprintf(h->text + at, sizeof h->text - (size_t)at, "images=%llu\nslices=%llu\n", n, n);
	if (calibrated(&h->geo))
		at += snprintf(h->text + at, sizeof h->text - (size_t)at, "unit=micron\n");
	if (um[0] > 0)
		snprintf(h->text + at, sizeof h->text - (size_t)at, "spacing=%.10g\n", um[0]);
}

void tiff_header_init(struct tiff_header *h, const struct geometry *geo)
{
	memset(h, 0, sizeof *h);
	h->geo = *geo;
	put_text(h);
	set_layout(h, geo->depth);
	if (tiff_header_size(h) > UINT32_MAX)
		set_layout(h, 1);
}

bool tiff_header_fits(const struct geometry *geo)
{
	return geometry_slice_bytes(geo) <= UINT32_MAX - TIFF_PIXELS_ALIGN;
}

uint64_t tiff_header_size(const struct tiff_header *h)
{
	return h->pixels + geometry_slice_bytes(&h->geo) * h->geo.depth;
}

/*
 * Pixels per micrometre as a fraction of two 31-bit numbers, 10^n over 10^n micrometres: exact for every voxel size
 * that has a few decimals.
 */
static void put_resolution(struct buf *b, double um)
{
	double scale = 1e9;

	while (scale > 1 && um * scale > INT32_MAX)
		scale /= 10;
	buf_u32(b, (uint32_t)scale);
	buf_u32(b, (uint32_t)llround(um * scale));
}

static void put_array(struct buf *b, unsigned count, uint16_t value)
{
	for (unsigned i = 0; count > 2 && i < count; i++)
		buf_u16(b, value);
}

static uint16_t sample_format(enum voxel_type type)
{
	switch (type) {
	case VOXEL_I8:
	case VOXEL_I16:
	case VOXEL_I32:
	case VOXEL_I64:
		return 2;
	case VOXEL_F32:
	case VOXEL_F64:
		return 3;
	default:
		return 1;
	}
}

static uint16_t bits(const struct geometry *g)
{
	return (uint16_t)(voxel_bytes(g->type) * 8);
}

static void put_front(const struct tiff_header *h, struct buf *b)
{
	buf_put(b, "II*", 4);
	buf_u32(b, (uint32_t)h->first);
	buf_put(b, h->text, strlen(h->text) + 1);
	if (b->len & 1)
		buf_u8(b, 0);
	put_array(b, h->geo.samples, bits(&h->geo));
	put_array(b, h->geo.samples, sample_format(h->geo.type));
	put_array(b, extras(&h->geo), 0);
	put_resolution(b, calibrated(&h->geo) ? h->geo.voxel_um[2] : 1);
	put_resolution(b, calibrated(&h->geo) ? h->geo.voxel_um[1] : 1);
}

static void put_entry(struct buf *b, uint16_t tag, uint16_t type, uint32_t count, uint32_t value)
{
	buf_u16(b, tag);
	buf_u16(b, type);
	buf_u32(b, count);
	buf_u32(b, value);
}

/* The same short count times: in the entry when there are at most two, else in the array. */
static void put_shorts(struct buf *b, uint16_t tag, unsigned count, uint16_t value, uint32_t array)
{
	put_entry(b, tag, SHORT, count, count > 2 ? array : count == 2 ? value | (uint32_t)value << 16 : value);
}

static void put_ifd(const struct tiff_header *h, uint64_t page, struct buf *b)
{
	const struct geometry *g = &h->geo;
	uint64_t slice = geometry_slice_bytes(g);
	struct shared s = shared_of(h);

	buf_u16(b, (uint16_t)(entries(g) + (page == 0)));
	put_entry(b, 256, LONG, 1, (uint32_t)g->width);
	put_entry(b, 257, LONG, 1, (uint32_t)g->height);
	put_shorts(b, 258, g->samples, bits(g), s.bits);
	put_entry(b, 259, SHORT, 1, 1);
	put_entry(b, 262, SHORT, 1, colours(g) == 3 ? 2 : 1);
	if (page == 0)
		put_entry(b, 270, ASCII, s.text_len, s.text);
	put_entry(b, 273, LONG, 1, (uint32_t)(h->pixels + page * slice));
	put_entry(b, 277, SHORT, 1, g->samples);
	put_entry(b, 278, LONG, 1, (uint32_t)g->height);
	put_entry(b, 279, LONG, 1, (uint32_t)slice);
	put_entry(b, 282, RATIONAL, 1, s.x);
	put_entry(b, 283, RATIONAL, 1, s.y);
	put_entry(b, 284, SHORT, 1, 1);
	put_entry(b, 296, SHORT, 1, 1);
	if (extras(g))
		put_shorts(b, 338, extras(g), g->samples == 4 ? 2 : 0, s.extras);
	put_shorts(b, 339, g->samples, sample_format(g->type), s.formats);
	buf_u32(b, page + 1 < h->pages ? (uint32_t)ifd_at(h, page + 1) : 0);
}

/* The page whose IFD covers off (>= first); pages when it lies behind the last. */
static uint64_t page_at(const struct tiff_header *h, uint64_t off)
{
	uint64_t page, behind = off - h->first;

	if (behind < ifd_bytes(h, true))
		return 0;
	page = 1 + (behind - ifd_bytes(h, true)) / ifd_bytes(h, false);
	return page < h->pages ? page : h->pages;
}

int tiff_header_read(const struct tiff_header *h, uint64_t off, void *to, size_t len)
{
	scope_buf struct buf b = { 0 };
	uint8_t *at = to;

	while (len) {
		uint64_t start, page = 0;
		size_t n;

		buf_clear(&b);
		if (off < h->first) {
			start = 0;
			put_front(h, &b);
		} else if ((page = page_at(h, off)) < h->pages) {
			start = ifd_at(h, page);
			put_ifd(h, page, &b);
		} else {
			memset(at, 0, len);
			return 0;
		}
		if (buf_failed(&b))
			return err_set(ENOMEM, "no memory for the header of a TIFF");
		n = b.len - (off - start);
		n = n < len ? n : len;
		memcpy(at, b.data + (off - start), n);
		at += n;
		off += n;
		len -= n;
	}
	return 0;
}
