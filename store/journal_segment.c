#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "store/journal_internal.h"

enum { WINDOW = 1 << 20, SECTOR = 512 };

/* --- the folder -------------------------------------------------------------------------------------------- */

void segments_free(struct segments *s)
{
	free(s->list);
	*s = (struct segments) { 0 };
}

void segment_name(struct segment *s, uint64_t epoch, uint64_t first)
{
	s->epoch = epoch;
	s->first = first;
	snprintf(s->name, sizeof s->name, "%010" PRIu64 "-%012" PRIu64 ".log", epoch, first);
}

static bool parse_name(const char *name, struct segment *s)
{
	uint64_t epoch, first;

	/* What does not print back to the same name (signs, spaces, overflow, more behind) is not ours. */
	if (sscanf(name, "%" SCNu64 "-%" SCNu64, &epoch, &first) != 2)
		return false;
	segment_name(s, epoch, first);
	return first && strcmp(s->name, name) == 0;
}

static int by_place(const void *va, const void *vb)
{
	const struct segment *a = va, *b = vb;

	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	return a->epoch < b->epoch ? -1 : a->epoch > b->epoch;
}

static int segments_add(struct segments *s, const struct segment *one)
{
	if (!(s->count & (s->count - 1))) { /* room is the next power of two */
		struct segment *list = reallocarray(s->list, s->count ? s->count * 2 : 1, sizeof *list);

		if (!list)
			return err_set(ENOMEM, "no memory for the list of journal segments");
		s->list = list;
	}
	s->list[s->count++] = *one;
	return 0;
}

static int segments_read(DIR *d, const char *dir, struct segments *out)
{
	struct dirent *entry;
	struct segment one;
	int rc = 0;

	while (!rc && (errno = 0, entry = readdir(d)))
		if (parse_name(entry->d_name, &one))
			rc = segments_add(out, &one);
	return rc ? rc : errno ? err_sys("reading the folder %s", dir) : 0;
}

int segments_list(const char *dir, struct segments *out)
{
	DIR *d = opendir(dir);
	int rc;

	*out = (struct segments) { 0 };
	if (!d)
		return errno == ENOENT ? 0 : err_sys("opening the folder %s", dir);
	rc = segments_read(d, dir, out);
	closedir(d);
	if (rc)
		segments_free(out);
	else if (out->count)
		qsort(out->list, out->count, sizeof *out->list, by_place);
	return rc;
}

/* --- one segment ------------------------------------------------------------------------------------------- */

/* The error of an io call, as a sentence; "the file ends" is no verdict about records, so it is -EIO here. */
static int io_failed(const struct reader *r, int rc, const char *what)
{
	if (rc == -EBADMSG)
		return err_set(EIO, "journal segment %s became shorter while it was read", r->name);
	return err_set(-rc, "journal segment %s: %s: %s", r->name, what, strerror(-rc));
}

int reader_open(struct reader *r, const struct io *io, const char *dir, const struct segment *segment)
{
	scope_free char *path = NULL;
	int64_t size;

	*r = (struct reader) { .io = io, .name = segment->name, .fd = -1, .next = segment->first };
	if (asprintf(&path, "%s/%s", dir, segment->name) < 0) {
		path = NULL;
		return err_set(ENOMEM, "no memory to read journal segment %s", r->name);
	}
	r->fd = io->open(io, path, O_RDONLY | O_NOFOLLOW, 0);
	if (r->fd < 0)
		return io_failed(r, r->fd, "cannot be opened");
	size = io->size(io, r->fd);
	if (size < 0)
		return io_failed(r, (int)size, "has no size");
	r->size = (uint64_t)size;
	return sha_open(&r->sha);
}

void reader_close(struct reader *r)
{
	if (r->fd >= 0)
		r->io->close(r->io, r->fd);
	r->fd = -1;
	free(r->window);
	r->window = NULL;
	sha_close(&r->sha);
}

/* Bytes of the window from off on; 0 when off is not in it. */
static size_t in_window(const struct reader *r, uint64_t off)
{
	if (off < r->window_off || off - r->window_off >= r->window_len)
		return 0;
	return r->window_len - (size_t)(off - r->window_off);
}

/* Makes need bytes from off on, all within the file, readable at *at until the next call. 0, -errno. */
static int window(struct reader *r, uint64_t off, size_t need, const uint8_t **at)
{
	uint64_t left = r->size - off;
	size_t want = need > WINDOW ? need : left < WINDOW ? (size_t)left : WINDOW;
	int rc;

	if (in_window(r, off) < need) {
		if (want > r->window_cap) {
			uint8_t *bytes = realloc(r->window, want);

			if (!bytes)
				return err_set(ENOMEM, "no memory to read journal segment %s", r->name);
			r->window = bytes;
			r->window_cap = want;
		}
		r->window_len = 0;
		rc = io_read_all(r->io, r->fd, r->window, want, off);
		if (rc)
			return io_failed(r, rc, "cannot be read");
		r->window_off = off;
		r->window_len = want;
	}
	*at = r->window + (off - r->window_off);
	return 0;
}

int reader_head(struct reader *r, const struct segment *segment, const uint8_t *id)
{
	const uint8_t *at;
	int rc;

	if (r->size < SEGMENT_HEAD)
		return err_set(EBADMSG, "journal segment %s ends within its header", r->name);
	rc = window(r, 0, SEGMENT_HEAD, &at);
	if (rc)
		return rc;
	if (segment_head_decode(at, &r->head))
		return err_set(EBADMSG, "journal segment %s: its header is damaged", r->name);
	if (r->head.version != SEGMENT_VERSION || r->head.features)
		return err_set(EIO, "journal segment %s was written by a newer tomofs (version %u, features %x)",
			       r->name, r->head.version, r->head.features);
	if (memcmp(r->head.id, id, STORE_ID_BYTES))
		return err_set(EIO, "journal segment %s belongs to another store", r->name);
	if (r->head.epoch != segment->epoch || r->head.first != segment->first)
		return err_set(EIO,
			       "journal segment %s was renamed: its header says epoch %" PRIu64 ", record %" PRIu64,
			       r->name, r->head.epoch, r->head.first);
	r->off = SEGMENT_HEAD;
	memcpy(r->prev, r->head.prev, SHA_BYTES);
	return 0;
}

/* The record at off, if a whole one is there: 1, else 0, else -errno. *work grows by the bytes that were looked at. */
static int whole_at(struct reader *r, uint64_t off, struct stored *s, uint64_t *work)
{
	uint64_t left = r->size - off;
	const uint8_t *at;
	size_t len;
	int rc;

	if (left < RECORD_HEAD)
		return 0;
	rc = window(r, off, RECORD_HEAD, &at);
	if (rc)
		return rc;
	len = record_length(at);
	if (!len || len > left)
		return 0;
	*work += len;
	rc = window(r, off, len, &at);
	if (rc)
		return rc;
	return !journal_record_decode(at, len, s);
}

static int broken_chain(const struct reader *r, const char *what)
{
	return err_set(EIO, "journal segment %s: at byte %" PRIu64 " (record %" PRIu64 "): %s", r->name, r->off,
		       r->next, what);
}

/* Is the whole record what must come next, and its body what was chained? */
static int check_chain(struct reader *r, const struct stored *s)
{
	uint8_t digest[SHA_BYTES];
	int rc;

	if (s->flags & ~RECORD_ERASED)
		return broken_chain(r, "a record was written by a newer tomofs");
	if (!r->adopt && s->seq != r->next)
		return broken_chain(r, "the record there has another number");
	if (!r->adopt && memcmp(s->prev, r->prev, SHA_BYTES))
		return broken_chain(r, "the chain is broken: the record before is not the one that was there");
	if (s->body) {
		rc = sha_of(&r->sha, s->body, s->body_len, digest);
		if (rc)
			return rc;
		if (memcmp(digest, s->body_digest, SHA_BYTES))
			return broken_chain(r, "the body does not match its SHA-256");
	}
	return sha_of(&r->sha, s->chained, s->chained_len, r->prev);
}

int reader_next(struct reader *r, struct stored *s)
{
	uint64_t work = 0;
	int rc;

	if (r->off == r->size)
		return 0;
	rc = whole_at(r, r->off, s, &work);
	if (rc < 0)
		return rc;
	if (!rc)
		return err_set(EBADMSG, "journal segment %s: record %" PRIu64 " at byte %" PRIu64 " is damaged",
			       r->name, r->next, r->off);
	rc = check_chain(r, s);
	if (rc)
		return rc;
	r->adopt = false;
	r->next = s->seq + 1;
	r->off += s->length;
	return 1;
}

/* Looks for the first whole record at *off or behind it: 1 and its place, 0 none, -errno. */
static int find_whole(struct reader *r, uint64_t *off, struct stored *s, uint64_t *work)
{
	/* Bytes made to look like records inside records must not cost time without bound. */
	uint64_t limit = 4 * r->size + RECORD_MAX;
	const uint8_t *at, *hit;
	size_t n;
	int rc;

	while (*off < r->size && r->size - *off >= RECORD_HEAD) {
		rc = window(r, *off, RECORD_HEAD, &at);
		if (rc)
			return rc;
		n = in_window(r, *off);
		hit = memmem(at, n, "TJRC", 4);
		if (!hit) {
			*off += n - 3;
			continue;
		}
		*off += (uint64_t)(hit - at);
		rc = whole_at(r, *off, s, work);
		if (rc)
			return rc;
		if (*work > limit)
			return err_set(EIO, "journal segment %s is full of pieces of records", r->name);
		++*off;
	}
	return 0;
}

int reader_resync(struct reader *r)
{
	uint64_t off = r->off + 1, work = 0;
	struct stored s;
	int rc = find_whole(r, &off, &s, &work);

	r->off = rc > 0 ? off : r->size;
	r->adopt = rc > 0;
	if (rc > 0)
		r->next = s.seq;
	return rc;
}

/* Does a whole sector of zeros lie in these bytes? So looks a piece of a write that never arrived; a damaged byte does
 * not. begun: the write began at `from`, so of that sector only the bytes behind it were to arrive. */
static int zero_sector(struct reader *r, uint64_t from, uint64_t to, bool begun)
{
	static const uint8_t zeros[SECTOR];
	uint64_t off = begun ? from : (from + SECTOR - 1) / SECTOR * SECTOR;
	const uint8_t *at;

	while (off < to) {
		uint64_t next = (off / SECTOR + 1) * SECTOR;
		int rc;

		if (next > to)
			break; /* this one has arrived: a whole record begins in it */
		rc = window(r, off, (size_t)(next - off), &at);
		if (rc)
			return rc;
		if (!memcmp(at, zeros, (size_t)(next - off)))
			return 1;
		off = next;
	}
	return 0;
}

/*
 * A flush writes one batch of records and syncs it before the next batch is written. So what a power failure leaves is
 * a whole journal, then a part of one batch - nearly always its front, but a disk may have kept later sectors and lost
 * earlier ones, which then read as zeros. Whole records behind the break are hence proof of damage when they are of a
 * later batch, or when nothing in front of them is missing.
 */
int reader_torn(struct reader *r)
{
	uint64_t off = r->off + 1, work = 0;
	struct stored s;
	int rc, gap = 0;

	while ((rc = find_whole(r, &off, &s, &work)) == 1) {
		if (!gap)
			gap = zero_sector(r, r->off, off, s.seq - s.batch == r->next);
		if (gap < 0)
			return gap;
		if (!gap || s.seq - s.batch > r->next)
			return err_set(EIO,
				       "journal segment %s: record %" PRIu64 " at byte %" PRIu64
				       " is damaged, but record %" PRIu64 " behind it is whole; nothing was changed",
				       r->name, r->next, r->off, s.seq);
		off += s.length;
	}
	return rc;
}
