/*
 * tomofs.json of a store. u8: 1 for reading only, 2 features are added; then the file. With 4, what the file says of id
 * and hash_secret is made to match its check, as one would who changes a store on purpose.
 */
#include <stdio.h>
#include <xxhash.h>

#include "store/settings.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/memio.h"

const unsigned fuzz_failing_allocations = 8;

enum { READ_ONLY = 1, ADD = 2, MATCH = 4 };

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
}

static char *value_of(struct buf *file, const char *key)
{
	char *at = file->data ? memmem(file->data, file->len, key, strlen(key)) : NULL;
	char *quote = at ? memchr(at + strlen(key), '"', (size_t)((char *)file->data + file->len - at) - strlen(key)) : NULL;

	return quote ? quote + 1 : NULL;
}

static void match_check(struct buf *file)
{
	uint8_t all[STORE_ID_BYTES + KEY_SECRET_BYTES];
	char *id = value_of(file, "\"id\":"), *secret = value_of(file, "\"hash_secret\":"), *check = value_of(file, "\"check\":");
	char text[17], *end;

	if (!id || !secret || !check)
		return;
	end = (char *)file->data + file->len;
	if (end - id < 2 * STORE_ID_BYTES || end - secret < 2 * KEY_SECRET_BYTES || end - check < 16)
		return;
	for (size_t i = 0; i < sizeof all; i++) {
		const char *at = i < STORE_ID_BYTES ? id + 2 * i : secret + 2 * (i - STORE_ID_BYTES);

		all[i] = (uint8_t)(digit(at[0]) << 4 | digit(at[1]));
	}
	snprintf(text, sizeof text, "%016llx", (unsigned long long)XXH3_64bits(all, sizeof all));
	memcpy(check, text, 16);
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_of(data, size);
	unsigned how = cursor_u8(&c);
	struct settings s, again;
	struct memio disk;
	struct buf *file;

	memio_init(&disk);
	file = memio_put(&disk, "tomofs.json", cursor_left(&c) ? c.at : (const uint8_t *)"", cursor_left(&c));
	if (how & MATCH && !buf_failed(file))
		match_check(file);
	if (!buf_failed(file) && settings_read(&disk.io, "tomofs.json", how & READ_ONLY, &s) == 0) {
		must(s.chunk_min && s.chunk_min <= CHUNK_MAX && s.chunk_avg && s.chunk_avg <= CHUNK_MAX && s.chunk_max &&
			     s.chunk_max <= CHUNK_MAX,
		     "chunk sizes");
		if (how & ADD && settings_add_features(&disk.io, "tomofs.json", FEATURE_PREDICT | FEATURE_BITS) == 0 &&
		    settings_read(&disk.io, "tomofs.json", how & READ_ONLY, &again) == 0)
			must((again.features & (FEATURE_PREDICT | FEATURE_BITS)) == (FEATURE_PREDICT | FEATURE_BITS) &&
				     !memcmp(s.id, again.id, sizeof s.id),
			     "features that were added are not there");
	}
	must(!disk.open, "a file stays open");
	memio_free(&disk);
}
