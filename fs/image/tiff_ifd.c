#include "fs/image/tiff_ifd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "fs/image/text.h"
#include "store/err.h"

enum { BYTE = 1, ASCII = 2, SHORT = 3, LONG = 4, RATIONAL = 5, UNDEFINED = 7, FLOAT = 11, DOUBLE = 12, IFD = 13 };
enum { LONG8 = 16, IFD8 = 18 };
enum { ENTRIES_MAX = 65535 };

static uint64_t number_at(const struct tiff_file *file, const uint8_t *at, size_t width)
{
	uint64_t v = 0;

	for (size_t i = 0; i < width; i++)
		v |= (uint64_t)at[i] << 8 * (file->big_endian ? width - 1 - i : i);
	return v;
}

static int bytes_at(struct tiff_file *file, uint64_t at, void *to, size_t len)
{
	size_t want;
	int rc;

	if (at > file->src->size || len > file->src->size - at)
		return err_set(EBADMSG, "the file ends before byte %" PRIu64, at);
	if (len > TIFF_WINDOW)
		return source_read(file->src, at, to, len);
	if (at < file->window_at || at + len > file->window_at + file->window_len) {
		want = file->src->size - at < TIFF_WINDOW ? (size_t)(file->src->size - at) : TIFF_WINDOW;
		file->window_len = 0;
		rc = source_read(file->src, at, file->window, want);
		if (rc < 0)
			return rc;
		file->window_at = at;
		file->window_len = want;
	}
	memcpy(to, file->window + (at - file->window_at), len);
	return 0;
}

bool tiff_detect(const uint8_t *head, size_t head_len)
{
	return head_len >= 8 && (!memcmp(head, "II\x2a\0", 4) || !memcmp(head, "MM\0\x2a", 4) ||
				 !memcmp(head, "II\x2b\0", 4) || !memcmp(head, "MM\0\x2b", 4));
}

int tiff_file_init(struct tiff_file *file, struct source *src)
{
	uint8_t head[16] = { 0 };
	size_t len = src->size < sizeof head ? (size_t)src->size : sizeof head;
	int rc;

	*file = (struct tiff_file) { .src = src };
	rc = source_read(src, 0, head, len); /* and not a window: the next bytes may be pixels */
	if (rc < 0)
		return rc;
	if (!tiff_detect(head, len))
		return err_set(EBADMSG, "does not begin as a TIFF");
	file->big_endian = head[0] == 'M';
	file->big = number_at(file, head + 2, 2) == 43;
	if (file->big && (number_at(file, head + 4, 2) != 8 || number_at(file, head + 6, 2) != 0))
		return err_set(EBADMSG, "BigTIFF with offsets that are not 8 bytes wide");
	file->first = file->big ? number_at(file, head + 8, 8) : number_at(file, head + 4, 4);
	if (!file->first)
		return err_set(EBADMSG, "has no page");
	return 0;
}

int tiff_ifd_read(struct tiff_file *file, uint64_t at, struct tiff_ifd *ifd)
{
	size_t head = file->big ? 8 : 2, entry = file->big ? 20 : 12, link = file->big ? 8 : 4, len;
	uint8_t number[8];
	uint64_t count;
	int rc;

	if (at >= file->src->size)
		return err_set(EBADMSG,
			       "the page directory at byte %" PRIu64 " is beyond the end of the file (%" PRIu64
			       " bytes): the file is incomplete",
			       at, file->src->size);
	rc = bytes_at(file, at, number, head);
	if (rc < 0)
		return rc;
	count = number_at(file, number, head);
	if (count == 0 || count > ENTRIES_MAX)
		return err_set(EBADMSG, "what stands at byte %" PRIu64 " is no page directory", at);
	len = (size_t)count * entry;
	if (len > ifd->cap) {
		uint8_t *raw = realloc(ifd->raw, len);

		if (!raw)
			return err_set(ENOMEM, "no memory for a page directory");
		ifd->raw = raw;
		ifd->cap = len;
	}
	rc = bytes_at(file, at + head, ifd->raw, len);
	if (rc < 0)
		return rc;
	ifd->at = at;
	ifd->count = (unsigned)count;
	ifd->bytes = head + len + link;
	ifd->next = 0; /* a last directory without the link is common enough */
	if (at + ifd->bytes <= file->src->size) {
		rc = bytes_at(file, at + head + len, number, link);
		if (rc < 0)
			return rc;
		ifd->next = number_at(file, number, link);
	}
	return 0;
}

void tiff_ifd_free(struct tiff_ifd *ifd)
{
	free(ifd->raw);
	*ifd = (struct tiff_ifd) { 0 };
}

struct value {
	unsigned type;
	uint64_t count;
	const uint8_t *in_place; /* or NULL: */
	uint64_t at;
};

static size_t type_bytes(unsigned type)
{
	static const uint8_t bytes[19] = { 0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8 };

	return type < sizeof bytes ? bytes[type] : 0;
}

static bool find(const struct tiff_file *file, const struct tiff_ifd *ifd, uint16_t tag, struct value *v)
{
	size_t entry = file->big ? 20 : 12, width = file->big ? 8 : 4;
	uint64_t len;

	for (unsigned i = 0; i < ifd->count; i++) {
		const uint8_t *at = ifd->raw + i * entry;

		if (number_at(file, at, 2) != tag)
			continue;
		v->type = (unsigned)number_at(file, at + 2, 2);
		v->count = number_at(file, at + 4, width);
		if (!v->count || !type_bytes(v->type) || __builtin_mul_overflow(v->count, type_bytes(v->type), &len))
			return false;
		v->in_place = len <= width ? at + 4 + width : NULL;
		v->at = number_at(file, at + 4 + width, width);
		return true;
	}
	return false;
}

static bool first_bytes(struct tiff_file *file, const struct value *v, uint8_t to[8])
{
	size_t len = type_bytes(v->type);

	if (!v->in_place)
		return bytes_at(file, v->at, to, len) == 0;
	memcpy(to, v->in_place, len);
	return true;
}

bool tiff_number(struct tiff_file *file, const struct tiff_ifd *ifd, uint16_t tag, uint64_t *value)
{
	uint8_t raw[8];
	struct value v;

	if (!find(file, ifd, tag, &v) ||
	    (v.type != BYTE && v.type != SHORT && v.type != LONG && v.type != IFD && v.type != LONG8 && v.type != IFD8))
		return false;
	if (!first_bytes(file, &v, raw))
		return false;
	*value = number_at(file, raw, type_bytes(v.type));
	return true;
}

bool tiff_real(struct tiff_file *file, const struct tiff_ifd *ifd, uint16_t tag, double *value)
{
	uint64_t number;
	uint8_t raw[8];
	struct value v;
	float single;

	if (tiff_number(file, ifd, tag, &number)) {
		*value = (double)number;
		return true;
	}
	if (!find(file, ifd, tag, &v) || (v.type != RATIONAL && v.type != FLOAT && v.type != DOUBLE))
		return false;
	if (!first_bytes(file, &v, raw))
		return false;
	number = number_at(file, raw, type_bytes(v.type));
	if (v.type == RATIONAL) {
		uint64_t below = number_at(file, raw + 4, 4);

		if (!below)
			return false;
		*value = (double)number_at(file, raw, 4) / (double)below;
	} else if (v.type == FLOAT) {
		uint32_t bits = (uint32_t)number;

		memcpy(&single, &bits, sizeof single);
		*value = (double)single;
	} else {
		memcpy(value, &number, sizeof *value);
	}
	return true;
}

char *tiff_text(struct tiff_file *file, const struct tiff_ifd *ifd, uint16_t tag, size_t max)
{
	scope_free char *raw = NULL;
	struct value v;
	size_t len;

	if (!find(file, ifd, tag, &v) || (v.type != ASCII && v.type != BYTE && v.type != UNDEFINED))
		return NULL;
	len = v.count < max ? (size_t)v.count : max;
	if (!v.in_place && (v.at > file->src->size || len > file->src->size - v.at))
		return NULL;
	raw = malloc(len + 1);
	if (!raw)
		return NULL;
	if (v.in_place)
		memcpy(raw, v.in_place, len);
	else if (bytes_at(file, v.at, raw, len) < 0)
		return NULL;
	while (len && !raw[len - 1])
		len--;
	return len ? text_utf8_or_latin1(raw, len) : NULL;
}
