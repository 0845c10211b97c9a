#include "store/recover.h"

#include <errno.h>

#include "store/err.h"

enum { WINDOW_BYTES = 8 << 20, BLOCK_BYTES = 64 << 10, SUSPECTS_MAX = 64 };

struct suspect { /* bytes that are damaged if a whole record follows, else part of the tail */
	uint64_t from, to;
	struct key key; /* hole: not known */
};

struct window {
	struct walk *walk;
	struct buf bytes;
	uint64_t off;
	struct suspect suspects[SUSPECTS_MAX];
	size_t suspect_count;
};

/* The disk refused a large read: takes what it gives, block by block, with zeros for the rest. */
static int read_around(struct window *w, uint8_t *to, size_t len, uint64_t off)
{
	for (size_t done = 0; done < len; done += BLOCK_BYTES) {
		size_t n = len - done < BLOCK_BYTES ? len - done : BLOCK_BYTES;

		if (io_read_all(w->walk->io, w->walk->fd, to + done, n, off + done)) {
			memset(to + done, 0, n);
			w->walk->unreadable = true;
		}
	}
	return 0;
}

/* len bytes at off, which lie within the walk; NULL: no memory. Valid until the next call. */
static const uint8_t *look(struct window *w, uint64_t off, size_t len)
{
	uint64_t left = w->walk->size - off;
	size_t want = len > WINDOW_BYTES ? len : WINDOW_BYTES;
	uint8_t *to;

	if (off >= w->off && off - w->off <= w->bytes.len && len <= w->bytes.len - (off - w->off))
		return w->bytes.data + (off - w->off);
	if (want > left)
		want = (size_t)left;
	buf_clear(&w->bytes);
	to = buf_reserve(&w->bytes, want);
	if (!to)
		return NULL;
	if (io_read_all(w->walk->io, w->walk->fd, to, want, off))
		read_around(w, to, want, off);
	w->bytes.len = want;
	w->off = off;
	return to;
}

/* Where the next whole head stands, from off on; the end of the walk when there is none. */
static int next_head(struct window *w, uint64_t off, uint64_t *found)
{
	struct pack_head head;

	while (off + PACK_HEAD_BYTES <= w->walk->size) {
		const uint8_t *at = look(w, off, PACK_HEAD_BYTES), *hit;
		size_t len;

		if (!at)
			return -ENOMEM;
		len = w->bytes.len - (size_t)(off - w->off);
		hit = memmem(at, len - (PACK_HEAD_BYTES - sizeof pack_magic), pack_magic, sizeof pack_magic);
		if (!hit) {
			off += len - PACK_HEAD_BYTES + 1;
			continue;
		}
		off += (uint64_t)(hit - at);
		if (pack_head_get(hit, w->walk->seed, off, &head)) {
			*found = off;
			return 0;
		}
		off++;
	}
	*found = w->walk->size;
	return 0;
}

static void suspect(struct window *w, uint64_t from, uint64_t to, const struct key *key)
{
	struct suspect *last = w->suspect_count ? &w->suspects[w->suspect_count - 1] : NULL;

	if (w->suspect_count == SUSPECTS_MAX) {
		last->to = to;
		return;
	}
	w->suspects[w->suspect_count++] = (struct suspect) { from, to, *key };
}

static void report_suspects(struct window *w)
{
	for (size_t i = 0; w->walk->damaged && i < w->suspect_count; i++) {
		const struct suspect *s = &w->suspects[i];

		w->walk->damaged(w->walk->ctx, s->from, s->to, key_is_hole(&s->key) ? NULL : &s->key);
	}
	w->suspect_count = 0;
}

/* One step from *off, where a record should begin. */
static int step(struct window *w, uint64_t *off)
{
	static const struct key unknown;
	struct walk *walk = w->walk;
	const uint8_t *at = look(w, *off, PACK_HEAD_BYTES);
	struct pack_head head;
	uint64_t from = *off, end;
	int rc;

	if (!at)
		return -ENOMEM;
	if (!pack_head_get(at, walk->seed, from, &head)) {
		rc = next_head(w, from + 1, off);
		suspect(w, from, *off, &unknown);
		return rc;
	}
	if (head.kind == PACK_FOOTER)
		walk->footer_off = from;
	end = from + PACK_HEAD_BYTES + head.stored_len;
	if (end > walk->size) {
		rc = next_head(w, from + PACK_HEAD_BYTES, off);
		suspect(w, from, *off, &head.key);
		return rc;
	}
	at = look(w, from, (size_t)(end - from));
	if (!at)
		return -ENOMEM;
	*off = end;
	if (head.payload_check != pack_check(at + PACK_HEAD_BYTES, head.stored_len)) {
		suspect(w, from, end, &head.key);
		return 0;
	}
	report_suspects(w);
	walk->whole_end = end;
	if (head.kind != PACK_FOOTER)
		walk->content_end = end;
	return walk->record(walk->ctx, &head, from, at + PACK_HEAD_BYTES);
}

int pack_walk(struct walk *walk)
{
	struct window w = { .walk = walk };
	uint64_t off = PACK_HEADER_BYTES;
	int rc = 0;

	walk->whole_end = walk->content_end = PACK_HEADER_BYTES;
	walk->footer_off = 0;
	walk->unreadable = false;
	while (!rc && off + PACK_HEAD_BYTES <= walk->size)
		rc = step(&w, &off);
	buf_free(&w.bytes);
	return rc == -ENOMEM ? err_set(ENOMEM, "no memory to look through a pack") : rc;
}
