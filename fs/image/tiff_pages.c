#include "fs/image/tiff_pages.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "store/err.h"

enum { KIND = 254, WIDTH = 256, HEIGHT = 257, BITS = 258, SAMPLES = 277, FORMAT = 339 };
enum { REDUCED = 1, MASK = 4 };
enum { THUMBNAILS_MAX = 64, SLICES_MAX = 1 << 26 };

static bool read_shape(struct tiff_file *file, const struct tiff_ifd *ifd, struct tiff_shape *shape)
{
	*shape = (struct tiff_shape) { .bits = 1, .samples = 1, .format = 1 };
	tiff_number(file, ifd, KIND, &shape->kind);
	tiff_number(file, ifd, BITS, &shape->bits);
	tiff_number(file, ifd, SAMPLES, &shape->samples);
	tiff_number(file, ifd, FORMAT, &shape->format);
	return tiff_number(file, ifd, WIDTH, &shape->width) && tiff_number(file, ifd, HEIGHT, &shape->height);
}

static bool is_aside(const struct tiff_shape *shape)
{
	return shape->kind & (REDUCED | MASK);
}

static bool same(const struct tiff_shape *a, const struct tiff_shape *b)
{
	return a->width == b->width && a->height == b->height && a->bits == b->bits && a->samples == b->samples &&
	       a->format == b->format;
}

/* One directory on; pages->ifd is it then. -ENOENT: that was the last. */
static int step_on(struct tiff_pages *pages, struct tiff_walk *walk)
{
	int rc;

	if (!walk->next)
		return -ENOENT;
	rc = tiff_ifd_read(&pages->file, walk->next, &pages->ifd);
	if (rc < 0)
		return rc;
	walk->at = walk->next;
	walk->next = pages->ifd.next;
	walk->bytes += pages->ifd.bytes;
	if (walk->at == walk->tortoise || walk->bytes > pages->file.src->size)
		return err_set(EBADMSG, "its page directories go in a circle (byte %" PRIu64 ")", walk->at);
	if (walk->steps++ == walk->power) {
		walk->tortoise = walk->at;
		walk->power *= 2;
		walk->steps = 0;
	}
	return 0;
}

static void remember(struct tiff_pages *pages, const struct tiff_walk *walk)
{
	if (walk->slice % pages->step || walk->slice / pages->step != pages->mark_count)
		return;
	if (pages->mark_count == TIFF_MARKS) {
		for (size_t i = 0; i < TIFF_MARKS / 2; i++)
			pages->marks[i] = pages->marks[2 * i];
		pages->mark_count = TIFF_MARKS / 2;
		pages->step *= 2;
	}
	if (walk->slice == pages->mark_count * pages->step)
		pages->marks[pages->mark_count++] = *walk;
}

/* To the next slice. -ENOENT: there is none. */
static int step_slice(struct tiff_pages *pages, struct tiff_walk *walk)
{
	struct tiff_walk to = *walk;
	struct tiff_shape shape;

	for (;;) {
		int rc = step_on(pages, &to);

		if (rc < 0)
			return rc;
		if (!read_shape(&pages->file, &pages->ifd, &shape))
			return -ENOENT;
		if (same(&shape, &pages->shape) && (pages->any_kind || !is_aside(&shape)))
			break;
		if (!is_aside(&shape))
			return -ENOENT;
	}
	to.slice++;
	*walk = to;
	remember(pages, walk);
	return 0;
}

/* The first page that is no thumbnail by its own words; the very first when there is none. */
static int find_first(struct tiff_pages *pages, struct tiff_walk *first)
{
	struct tiff_walk walk = *first;

	for (unsigned i = 0; i < THUMBNAILS_MAX; i++) {
		int rc = step_on(pages, &walk);

		if (rc < 0 && i == 0)
			return rc;
		if (rc < 0)
			break;
		if (!read_shape(&pages->file, &pages->ifd, &pages->shape)) {
			if (i == 0)
				return err_set(EBADMSG, "its first page says no width or no height");
			break;
		}
		if (!is_aside(&pages->shape)) {
			*first = walk;
			return 0;
		}
	}
	pages->any_kind = true;
	return step_on(pages, first);
}

/* A first page that is much smaller than the one behind it is a thumbnail too. */
static void skip_thumbnail(struct tiff_pages *pages, struct tiff_walk *first)
{
	struct tiff_walk walk = *first;
	struct tiff_shape next;
	double area = (double)pages->shape.width * (double)pages->shape.height;

	if (pages->any_kind || step_on(pages, &walk) < 0)
		return;
	if (!read_shape(&pages->file, &pages->ifd, &next) || is_aside(&next))
		return;
	if (next.width > pages->shape.width && next.height > pages->shape.height &&
	    (double)next.width * (double)next.height >= 16 * area)
		*first = walk;
}

int tiff_pages_init(struct tiff_pages *pages, struct source *src)
{
	struct tiff_walk first = { .power = 1 };
	int rc;

	pages->ifd = (struct tiff_ifd) { 0 };
	pages->any_kind = false;
	pages->step = 1;
	pages->mark_count = 0;
	rc = tiff_file_init(&pages->file, src);
	if (rc < 0)
		return rc;
	first.next = pages->file.first;
	rc = find_first(pages, &first);
	if (rc < 0)
		return rc;
	skip_thumbnail(pages, &first);
	rc = tiff_ifd_read(&pages->file, first.at, &pages->ifd);
	if (rc < 0)
		return rc;
	read_shape(&pages->file, &pages->ifd, &pages->shape);
	pages->walk = first;
	remember(pages, &first);
	return 0;
}

void tiff_pages_free(struct tiff_pages *pages)
{
	tiff_ifd_free(&pages->ifd);
}

int tiff_pages_find(struct tiff_pages *pages, uint64_t slice, uint64_t *at)
{
	uint64_t mark = slice / pages->step;

	if (mark >= pages->mark_count)
		mark = pages->mark_count - 1;
	if (slice < pages->walk.slice || pages->marks[mark].slice > pages->walk.slice)
		pages->walk = pages->marks[mark];
	while (pages->walk.slice < slice) {
		int rc = step_slice(pages, &pages->walk);

		if (rc < 0)
			return rc;
	}
	*at = pages->walk.at;
	return 0;
}

int tiff_pages_count(struct tiff_pages *pages, uint64_t *slices)
{
	int rc;

	do {
		rc = step_slice(pages, &pages->walk);
		if (rc == 0 && pages->walk.slice >= SLICES_MAX)
			return err_set(EBADMSG, "has more than %d pages", (int)SLICES_MAX);
	} while (rc == 0);
	*slices = pages->walk.slice + 1;
	if (rc == -ENOENT)
		return 0;
	return err_wrap(rc, "after page %" PRIu64, pages->walk.slice);
}
