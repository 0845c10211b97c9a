/* TIFF and BigTIFF as a volume: which pages are slices (tiff_pages), what one of them holds (tiff_page), what it says.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "fs/image/formats.h"
#include "fs/image/tiff_facts.h"
#include "fs/image/tiff_page.h"
#include "fs/image/tiff_pages.h"
#include "store/err.h"

struct tiff {
	struct tiff_pages pages;
	struct geometry geo;
	bool tail; /* one page with directory, the others follow as plain pixels: ImageJ's way beyond 4 GiB */
	bool page_open;
	uint64_t page_no;
	struct tiff_page page;
};

static void tiff_close(void *state)
{
	struct tiff *tiff = state;

	if (!tiff)
		return;
	tiff_page_close(&tiff->page);
	tiff_pages_free(&tiff->pages);
	free(tiff);
}

static void scope_tiff_close(struct tiff **tiff)
{
	tiff_close(*tiff);
}

static struct tiff *tiff_new(void)
{
	struct tiff *tiff = calloc(1, sizeof *tiff);

	if (!tiff)
		err_set(ENOMEM, "no memory to open a TIFF");
	return tiff;
}

static int open_page(struct tiff *tiff, uint64_t no)
{
	uint64_t at;
	int rc;

	if (tiff->page_open && tiff->page_no == no)
		return 0;
	tiff_page_close(&tiff->page);
	tiff->page_open = false;
	rc = tiff_pages_find(&tiff->pages, no, &at);
	if (rc == -ENOENT)
		return err_set(EBADMSG, "is not in the file");
	if (rc < 0)
		return rc;
	rc = tiff_page_open(&tiff->page, &tiff->pages.file, at);
	if (rc < 0)
		return rc;
	tiff->page_open = true;
	tiff->page_no = no;
	return 0;
}

/* Opens a page and checks that its pixels are all in the file. */
static int check_page(struct tiff *tiff, uint64_t no)
{
	int rc = open_page(tiff, no);

	if (rc == 0)
		rc = tiff_page_check(&tiff->page);
	return rc < 0 ? err_wrap(rc, "page %" PRIu64, no) : 0;
}

/* The number of slices that follow the first one without directories; only believed when the file is large enough. */
static uint64_t tail_slices(struct tiff *tiff, uint64_t images)
{
	uint64_t run = tiff_page_run(&tiff->page), slice = geometry_slice_bytes(&tiff->page.geo), bytes, end;

	if (!run || images < 2 || __builtin_mul_overflow(images, slice, &bytes) ||
	    __builtin_add_overflow(run, bytes, &end) || end > tiff->pages.file.src->size)
		return 0;
	return images;
}

static int tiff_probe(struct source *src, struct geometry *geo, struct findings *facts)
{
	struct tiff *tiff SCOPE_CLEANUP(scope_tiff_close) = tiff_new();
	struct tiff_said said;
	uint64_t depth, tail;
	int rc;

	if (!tiff)
		return -ENOMEM;
	rc = tiff_pages_init(&tiff->pages, src);
	if (rc == 0)
		rc = check_page(tiff, 0);
	if (rc < 0)
		return rc;
	*geo = tiff->page.geo;
	tiff_facts(&tiff->pages.file, &tiff->pages.ifd, geo, facts, &said);
	rc = tiff_pages_count(&tiff->pages, &depth);
	if (rc < 0)
		return rc;
	tail = depth == 1 ? tail_slices(tiff, said.images) : 0;
	geo->depth = tail ? tail : depth;
	if (depth > 1) {
		rc = check_page(tiff, depth - 1);
		if (rc < 0)
			return rc;
		if (!geometry_same_slice(&tiff->page.geo, geo))
			return err_set(EBADMSG, "its pages differ");
	}
	return 0;
}

static int tiff_open(void **state, struct source *src, const struct geometry *geo)
{
	struct tiff *tiff SCOPE_CLEANUP(scope_tiff_close) = tiff_new();
	uint64_t at;
	int rc;

	if (!tiff)
		return -ENOMEM;
	tiff->geo = *geo;
	rc = tiff_pages_init(&tiff->pages, src);
	if (rc == 0)
		rc = open_page(tiff, 0);
	if (rc < 0)
		return err_wrap(rc, "page 0");
	if (!geometry_same_slice(&tiff->page.geo, geo))
		return err_set(EBADMSG, "page 0: is %" PRIu64 " x %" PRIu64 " %s, and was %" PRIu64 " x %" PRIu64 " %s",
			       tiff->page.geo.width, tiff->page.geo.height, voxel_name(tiff->page.geo.type), geo->width,
			       geo->height, voxel_name(geo->type));
	if (geo->depth > 1) {
		rc = tiff_pages_find(&tiff->pages, 1, &at);
		if (rc < 0 && rc != -ENOENT)
			return err_wrap(rc, "page 1");
		tiff->tail = rc == -ENOENT;
		if (tiff->tail && !tail_slices(tiff, geo->depth))
			return err_set(EBADMSG, "has one page, and had %" PRIu64, geo->depth);
	}
	*state = take(&tiff);
	return 0;
}

static int tiff_read_rows(void *state, uint64_t page, uint64_t row, uint64_t rows, void *to)
{
	struct tiff *tiff = state;
	uint64_t shift = tiff->tail ? page * geometry_slice_bytes(&tiff->geo) : 0;
	int rc = open_page(tiff, tiff->tail ? 0 : page);

	if (rc == 0 && !geometry_same_slice(&tiff->page.geo, &tiff->geo))
		rc = err_set(EBADMSG, "differs from the first page");
	if (rc == 0)
		rc = tiff_page_rows(&tiff->page, shift, row, rows, to);
	return rc < 0 ? err_wrap(rc, "page %" PRIu64, page) : 0;
}

const struct image_ops image_tiff = {
	.format = IMAGE_TIFF,
	.name = "TIFF",
	.detect = tiff_detect,
	.probe = tiff_probe,
	.open = tiff_open,
	.read_rows = tiff_read_rows,
	.close = tiff_close,
};
