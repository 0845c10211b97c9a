/*
 * A page of a TIFF was read whole: its pixels come into the map, with those of pages that follow without a directory,
 * and those that the next page is likely to have.
 *
 * Sources: ImageJ's FileSaver ("images=N" in the description: N slices behind each other, one directory), MetaMorph's
 * STK (as many slices as tag 33629 has values), tifffile ("shape" in a JSON description).
 */
#include <string.h>

#include "fs/image/layout_internal.h"

#define IMAGES_MAX (UINT64_C(1) << 30)

/* ---- pages without directories ---- */

static uint64_t digits(const char *text)
{
	uint64_t v = 0;

	for (; *text >= '0' && *text <= '9' && v < IMAGES_MAX; text++)
		v = 10 * v + (uint64_t)(*text - '0');
	return v;
}

/* {"shape": [60, 512, 512], ...}: the product, 0: none */
static uint64_t shape_said(const char *text)
{
	const char *at = strstr(text, "\"shape\": [");
	uint64_t product = 1;

	if (!at)
		return 0;
	for (at += 10; *at && *at != ']'; at += strcspn(at, ",]"), at += strspn(at, ", "))
		if (__builtin_mul_overflow(product, digits(at), &product))
			return 0;
	return *at == ']' ? product : 0;
}

/* How many pictures the first page stands for. */
static uint64_t images_said(const struct layout_tiff *t, const struct page *p)
{
	const char *images = strncmp(t->text, "ImageJ=", 7) == 0 ? strstr(t->text, "images=") : NULL;
	uint64_t n = p->images, in_page = p->width * p->height, product;

	if (images)
		n = digits(images + 7);
	if (__builtin_mul_overflow(in_page, p->samples, &in_page))
		return 1;
	product = shape_said(t->text);
	if (product && product % in_page == 0)
		n = product / in_page;
	if (p->offsets.count == 1 && p->first_bytes > p->plane_bytes && p->first_bytes % p->plane_bytes == 0)
		n = p->first_bytes / p->plane_bytes; /* one strip that is longer than the picture */
	return n < 1 || n > IMAGES_MAX ? 1 : n;
}

/* ---- a page was read ---- */

/* More pages that stand behind this one with their directories elsewhere, as many as there is room for. */
static uint64_t pages_behind(const struct layout *l, const struct page *p, const struct page_order *o)
{
	uint64_t end = o->start + o->bytes, images;

	if (p->first && !p->next) {
		images = images_said(l->tiff, p);
		return o->lead && images > o->lead / o->bytes ? 0 : images - 1;
	}
	if (!o->lead && p->next > end && l->tiff->next == p->next)
		return (p->next - end) / o->bytes;
	return 0;
}

/* Pages whose directory comes behind: the next one will look the same. */
static void predict(struct layout *l, const struct page *p, const struct page_order *o)
{
	if (!o->lead || !p->next || l->tiff->next != p->next || p->next < p->ifd_end + o->lead)
		return;
	if (o->confirmed || p->next - p->ifd_end > LAYOUT_WAIT_MAX)
		map_guess(&l->map, p->next - o->lead, &o->plan);
}

/*
 * A page that links to no other may be the last one, or its writer puts the link in when it writes the next. Where that
 * would be: behind its pixels, or behind pixels of its own.
 */
static void suppose_next(struct layout *l, struct page *p, const struct page_order *o)
{
	uint64_t ignored, end = o->start + o->bytes;

	if (p->next || p != &l->tiff->pages[l->tiff->newest])
		return;
	if (o->lead)
		end = map_extent_end(&l->map, p->ifd_at, &ignored) + o->lead;
	end += end & 1;
	if (end < p->ifd_end || end > LAYOUT_FILE_MAX)
		return;
	p->next = end;
	tiff_expect(l, end, true);
}

static bool goes_on(const struct page_order *before, const struct page_order *now)
{
	return before->plain && before->lead == now->lead && before->bytes == now->bytes;
}

static void one_run(struct layout *l, struct page *p)
{
	struct layout_tiff *t = l->tiff;
	struct page_order o = { .plain = true, .bytes = p->run_bytes, .start = p->run_at };
	struct chunk_plan many;

	o.plan = (struct chunk_plan) { .slice_bytes = p->plane_bytes, .slices = p->planes };
	page_plan(t, p, &o.plan);
	if (o.start < p->ifd_at)
		o.lead = p->ifd_at - o.start;
	o.confirmed = goes_on(&t->order, &o);
	many = o.plan;
	if (o.start <= LAYOUT_FILE_MAX &&
	    !__builtin_mul_overflow(many.slices, 1 + pages_behind(l, p, &o), &many.slices))
		map_add(&l->map, o.start, &many, l->asked);
	if (many.slices == o.plan.slices)
		suppose_next(l, p, &o);
	predict(l, p, &o);
	t->order = o;
}

void page_done(struct layout *l, struct page *p)
{
	enum page_kind kind = page_blocks_end(l, p);

	l->map.guess.count = 0;
	l->tiff->last_odd = kind == PAGE_ODD;
	if (kind == PAGE_ONE_RUN)
		one_run(l, p);
	else
		l->tiff->order.plain = false;
}
