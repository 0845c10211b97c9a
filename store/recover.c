#include "store/recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

/* A pack without any whole record is removed when it is no larger than what one write may have left behind. A larger
 * one is left alone: its damage is no torn write. */
enum { TORN_MAX = 8 << 20 };

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int by_name(const void *a, const void *b)
{
	return pack_name_compare(*(const struct pack_name *)a, *(const struct pack_name *)b);
}

int pack_list(const char *folder, struct pack_name **names, size_t *count)
{
	DIR *dir SCOPE_CLEANUP(close_dir) = opendir(folder);
	scope_buf struct buf all = { 0 };
	struct dirent *entry;
	struct pack_name name;

	if (!dir)
		return err_sys("cannot list %s", folder);
	for (errno = 0; (entry = readdir(dir)); errno = 0)
		if (pack_name_parse(entry->d_name, &name))
			buf_put(&all, &name, sizeof name);
	if (errno)
		return err_sys("cannot list %s", folder);
	if (buf_failed(&all))
		return err_set(ENOMEM, "no memory to list %s", folder);
	*count = all.len / sizeof name;
	if (*count)
		qsort(all.data, *count, sizeof name, by_name);
	*names = (struct pack_name *)(void *)take(&all.data);
	return 0;
}

int pack_read_footer(const struct io *io, int fd, uint64_t seed, uint64_t size, struct buf *footer, uint64_t *records,
		     uint64_t *footer_off)
{
	uint8_t trailer[PACK_TRAILER_BYTES];
	size_t len;
	int rc;

	if (size < PACK_HEADER_BYTES + PACK_HEAD_BYTES + PACK_TRAILER_BYTES)
		return 0;
	rc = io_read_all(io, fd, trailer, sizeof trailer, size - sizeof trailer);
	if (rc)
		return rc;
	if (!pack_trailer_get(trailer, seed, size, footer_off, records))
		return 0;
	len = (size_t)(size - sizeof trailer - *footer_off);
	buf_clear(footer);
	if (!buf_reserve(footer, len))
		return -ENOMEM;
	rc = io_read_all(io, fd, footer->data, len, *footer_off);
	if (rc)
		return rc;
	footer->len = len;
	return pack_footer_check(footer->data, seed, *footer_off, *records) ? 1 : -EBADMSG;
}

struct job { /* recovery of one pack */
	const struct io *io;
	int fd;
	const struct settings *settings;
	const char *path;
	struct pack_name name;
	unsigned flags;
	bool header_whole;
	bool unreadable; /* the disk gave errors */
	bool noted; /* only a note was found so far, which is nothing worth keeping by itself */
	uint64_t size;
	struct recovered *out;
};

static int take_record(void *ctx, const struct pack_head *head, uint64_t off, const uint8_t *payload)
{
	struct job *j = ctx;

	(void)payload;
	if (head->kind == PACK_FOOTER || off > UINT32_MAX) /* no writer makes a pack that large */
		return 0;
	j->noted = head->kind == PACK_NOTE && off == PACK_HEADER_BYTES;
	pack_entry_put(&j->out->entries, head, off);
	j->out->records++;
	return buf_failed(&j->out->entries) ? -ENOMEM : 0;
}

static void say_damaged(void *ctx, uint64_t from, uint64_t to, const struct key *key)
{
	struct job *j = ctx;
	char text[KEY_TEXT_MAX] = "not known";

	/* Nobody was told that it is there: what is promised was synced, and then all before it was, too. */
	if (j->flags & RECOVER_SETTLE && recover_torn(j->io, j->fd, from, to, j->size) == 1 &&
	    pack_gap_put(&j->out->entries, from, to, &j->out->records)) {
		log_info("%s: bytes %llu to %llu were not written to their end", j->path, (unsigned long long)from,
			 (unsigned long long)to - 1);
		return;
	}
	if (key)
		key_text(key, text);
	log_error("%s: bytes %llu to %llu are damaged (chunk: %s)", j->path, (unsigned long long)from,
		  (unsigned long long)to - 1, text);
}

/* After a failed write the page cache shows bytes that the disk does not have, and a process that was killed leaves
 * bytes that are only in the cache. So: to the disk with them, forget the cache, and read from the disk. */
static void settle(const struct job *j, int fd)
{
	int rc = j->io->fdatasync(j->io, fd);

	if (rc)
		log_warn("%s: syncing failed: %s; going on with what the disk has", j->path, strerror(-rc));
	if (j->io == &io_system)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* The seed of the pack's records, from its own header or, when that is damaged, from what the header must have been. */
static int learn_seed(struct job *j, int fd)
{
	uint8_t header[PACK_HEADER_BYTES];
	struct pack_name own = j->name;
	int rc = -EBADMSG;

	err_set(EBADMSG, "the file is shorter than a header");
	if (j->size >= sizeof header) {
		rc = io_read_all(j->io, fd, header, sizeof header, 0);
		if (io_is_passing(rc))
			return err_set(-rc, "%s: reading the header: %s", j->path, strerror(-rc));
		j->unreadable = rc != 0;
		rc = rc ? err_set(EBADMSG, "reading the header: %s", strerror(-rc))
			: pack_header_check(j->settings, header, &own);
	}
	if (rc == -EBADMSG && j->size > 0)
		log_warn("%s: %s", j->path, err_text());
	else if (rc && rc != -EBADMSG)
		return err_wrap(rc, "%s", j->path);
	if (pack_name_compare(own, j->name) != 0)
		log_warn("%s: the file was renamed, its header has another name", j->path);
	j->header_whole = !rc;
	pack_header(j->settings, own, header);
	j->out->seed = pack_seed(header);
	return 0;
}

/* Cuts the file at `end` and writes the footer there. */
static int seal(struct job *j, uint64_t end)
{
	scope_buf struct buf footer = { 0 };
	uint8_t header[PACK_HEADER_BYTES];
	int fd, rc;

	pack_footer_put(&footer, &j->out->entries, j->out->seed, end);
	if (buf_failed(&footer))
		return -ENOMEM;
	fd = j->io->open(j->io, j->path, O_RDWR, 0);
	if (fd < 0)
		return fd;
	rc = j->io->truncate(j->io, fd, end);
	if (!rc && !j->header_whole) {
		pack_header(j->settings, j->name, header);
		rc = io_write_all(j->io, fd, header, sizeof header, 0);
	}
	if (!rc)
		rc = io_write_all(j->io, fd, footer.data, footer.len, end);
	if (!rc)
		rc = j->io->fdatasync(j->io, fd);
	j->io->close(j->io, fd);
	if (!rc)
		j->size = end + footer.len;
	return rc;
}

/* Finishes a pack whose writer is gone. */
static int finish(struct job *j, const struct walk *walk)
{
	/* A damaged record right in front of a footer stays; a footer never hides whole records behind it. */
	uint64_t end = walk->footer_off > walk->content_end ? walk->footer_off : walk->content_end;
	bool empty;
	int rc;

	if (j->unreadable) {
		log_error("%s: the disk cannot read all of it; left as it is", j->path);
		return 0;
	}
	empty = !j->out->records || j->noted;
	if (empty && j->size > TORN_MAX) {
		log_error("%s holds no whole record; left as it is", j->path);
		return 0;
	}
	if (empty) {
		rc = j->io->unlink(j->io, j->path);
		return err_set(rc ? -rc : ENOENT, "%s was empty", j->path);
	}
	if (end < j->size)
		log_info("%s: %llu bytes behind the last whole record are cut off", j->path,
			 (unsigned long long)(j->size - end));
	rc = seal(j, end);
	j->out->sealed = !rc;
	if (rc)
		log_warn("%s could not be sealed: %s", j->path, strerror(-rc));
	return 0;
}

static int walk_through(struct job *j, int fd, bool may_finish)
{
	struct walk walk = { .io = j->io,
			     .fd = fd,
			     .seed = j->out->seed,
			     .size = j->size,
			     .record = take_record,
			     .damaged = say_damaged,
			     .ctx = j };
	int rc = pack_walk(&walk);

	if (rc)
		return err_set(-rc, "%s: no memory to look through it", j->path);
	j->unreadable |= walk.unreadable;
	return may_finish ? finish(j, &walk) : 0;
}

static int look_into(struct job *j, int fd)
{
	scope_buf struct buf footer = { 0 };
	uint64_t footer_off, records = UINT64_MAX; /* as a trailer says */
	int64_t size = j->io->size(j->io, fd);
	int rc;

	if (size < 0)
		return err_set((int)-size, "%s: %s", j->path, strerror((int)-size));
	j->fd = fd;
	j->size = (uint64_t)size;
	if (j->flags & RECOVER_SETTLE)
		settle(j, fd);
	rc = learn_seed(j, fd);
	if (rc)
		return rc;
	rc = pack_read_footer(j->io, fd, j->out->seed, j->size, &footer, &records, &footer_off);
	if (io_is_passing(rc))
		return err_set(-rc, "%s: reading the footer: %s", j->path, strerror(-rc));
	if (rc == 1) {
		j->out->sealed = true;
		j->out->records = records;
		footer.len -= PACK_HEAD_BYTES;
		memmove(footer.data, footer.data + PACK_HEAD_BYTES, footer.len); /* in place: it may be 10 MiB */
		j->out->entries = footer;
		footer = (struct buf) { 0 };
		return 0;
	}
	if (rc == -EBADMSG && j->flags & RECOVER_SETTLE &&
	    recover_torn(j->io, fd, footer_off, j->size - PACK_TRAILER_BYTES, j->size) == 1)
		rc = 0; /* the last thing its writer did: it is written again */
	if (rc)
		log_error("%s: the footer is damaged or cannot be read; looking through all of it", j->path);
	rc = walk_through(j, fd, !rc && (j->flags & RECOVER_WRITE));
	j->out->partial = j->unreadable && j->out->records != records;
	return rc;
}

int recover_pack(const struct io *io, const struct settings *settings, const char *folder, struct pack_name name,
		 unsigned flags, struct recovered *out)
{
	struct job j = { .io = io, .settings = settings, .name = name, .flags = flags, .out = out };
	scope_free char *path = NULL;
	char text[PACK_NAME_MAX];
	int fd, rc;

	*out = (struct recovered) { 0 };
	pack_name_text(name, text);
	if (asprintf(&path, "%s/%s", folder, text) < 0) {
		path = NULL;
		return err_set(ENOMEM, "no memory for a path");
	}
	j.path = path;
	fd = io->open(io, path, O_RDONLY, 0);
	if (fd < 0)
		return err_set(-fd, "cannot open %s: %s", path, strerror(-fd));
	rc = look_into(&j, fd);
	io->close(io, fd);
	out->size = j.size;
	if (rc)
		buf_free(&out->entries);
	return rc;
}
