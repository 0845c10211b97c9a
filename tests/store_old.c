/*
 * A store that the first version of the format wrote (tests/data/make-store-v1.sh): opens, verifies, and gives back every chunk of every
 * codec, predictor, sample width and byte order; read-only and for writing.
 */
#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/log.h"
#include "store/store_internal.h"
#include "tests/lib/check.h"

enum { CHUNKS_LEAST = 28 };

static char path[600], list[600];

static void hex(const uint8_t *bytes, size_t len, char *text)
{
	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static bool parse_key(const char *text, struct key *key)
{
	for (size_t i = 0; i < KEY_BYTES; i++) {
		unsigned byte;

		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return false;
		key->bytes[i] = (uint8_t)byte;
	}
	return true;
}

static void check_chunk(struct store *store, const char *line)
{
	char key_digits[64], expected[80], found[80];
	uint8_t sha[SHA256_DIGEST_LENGTH], *bytes;
	struct key key;
	size_t len;

	CHECK(sscanf(line, "%63s %zu %79s", key_digits, &len, expected) == 3 && parse_key(key_digits, &key));
	bytes = malloc(len);
	CHECK_RC(store_read(store, &key, len, 0, bytes, len));
	SHA256(bytes, len, sha);
	hex(sha, sizeof sha, found);
	CHECK(strcmp(found, expected) == 0);
	free(bytes);
}

static void check_store(unsigned flags)
{
	struct store_options options = { .threads = 2, .flags = flags };
	struct store_verify counts;
	struct store_stats stats;
	struct store *store = NULL;
	FILE *f = fopen(list, "r");
	char line[300];
	size_t chunks = 0;

	CHECK_RC(store_open(&store, path, &options));
	if (!store || !f)
		exit(check_done());
	for (; fgets(line, sizeof line, f); chunks++)
		check_chunk(store, line);
	CHECK(chunks >= CHUNKS_LEAST);
	store_stats(store, &stats);
	CHECK(stats.codec[0].chunks && stats.codec[1].chunks && stats.codec[2].chunks >= CHUNKS_LEAST - 4);
	CHECK_RC(store_verify(store, NULL, NULL, &counts));
	CHECK(counts.damaged == 0 && counts.packs == 2 && counts.chunks == stats.chunks);
	fclose(f);
	store_close(store);
}

int main(void)
{
	const char *dir = check_tmpdir();
	char command[900];

	log_set_level(LOG_ERROR);
	snprintf(path, sizeof path, "%s/store", dir);
	snprintf(list, sizeof list, "%s/chunks.txt", dir);
	snprintf(command, sizeof command, "tar -C '%s' -xzf tests/data/store-v1.tar.gz", dir);
	CHECK(system(command) == 0);
	check_store(STORE_READ_ONLY);
	check_store(0);
	check_store(STORE_READ_ONLY);
	return check_done();
}
