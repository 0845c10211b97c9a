/*
 * Puts small chunks with plans into a store, so that the filters of codec 2 occur with all predictors, sample widths and byte
 * orders; prints KEY BYTES SHA-256 of each, and behind it codec and filter as a comment. Part of make-store-v1.sh; links with the
 * store of the version that makes the archive.
 *
 *     store-v1-chunks STORE
 */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/packs.h"
#include "store/store_internal.h"

enum { WIDTH = 48, ROWS = 24, BYTES_MAX = WIDTH * ROWS * 8 };

static uint64_t state = 0x73746f7265;

static uint32_t noise(uint32_t below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

/* kind 0: smooth along rows; 1: rows alike; 2: smooth both ways; 3: few values, without neighbourhood. */
static uint64_t sample(int kind, uint32_t x, uint32_t y)
{
	static uint32_t base[WIDTH];
	uint32_t n = noise(6);

	switch (kind) {
	case 0:
		return 3000 * (y * 7 % 11) + 9 * x + n;
	case 1:
		if (!y)
			base[x] = noise(50000);
		return base[x] + n;
	case 2:
		return 20000 + x * y * 3 + 11 * x + 13 * y + n * 3;
	default:
		return 512 * noise(7);
	}
}

static void fill(uint8_t *to, int kind, uint32_t bytes, bool big)
{
	for (uint32_t i = 0; i < WIDTH * ROWS; i++) {
		uint64_t v = sample(kind, i % WIDTH, i / WIDTH);

		if (bytes == 1)
			v = v / 16;
		for (uint32_t b = 0; b < bytes; b++)
			to[i * bytes + (big ? bytes - 1 - b : b)] = (uint8_t)(v >> (8 * b));
	}
}

static int put(struct store *store, int kind, uint32_t bytes, bool big)
{
	uint8_t data[BYTES_MAX], sha[SHA256_DIGEST_LENGTH], head[PACK_HEAD_BYTES + 8];
	size_t len = (size_t)WIDTH * ROWS * bytes;
	struct chunk_plan plan = { .slice_bytes = len, .slices = 1, .row_bytes = WIDTH * bytes,
				   .sample_bytes = (uint8_t)bytes, .big_endian = big, .samples = 1 };
	struct directory_entry entry;
	char text[KEY_TEXT_MAX];
	struct key key;
	uint64_t seed;
	int rc;

	fill(data, kind, bytes, big);
	rc = store_put(store, &plan, 0, data, len, &key);
	if (rc || !directory_get(store->directory, &key, &entry))
		return rc;
	rc = packs_read(store->packs, entry.pack, entry.off, head, sizeof head, &seed);
	key_text(&key, text);
	SHA256(data, len, sha);
	printf("%s %zu ", text, len);
	for (size_t i = 0; i < sizeof sha; i++)
		printf("%02x", sha[i]);
	printf(" # codec %u", entry.codec);
	if (entry.codec == 2)
		printf(" predictor %u bytes %u big %u", head[PACK_HEAD_BYTES], head[PACK_HEAD_BYTES + 1],
		       head[PACK_HEAD_BYTES + 2]);
	putchar('\n');
	return rc;
}

int main(int argc, char **argv)
{
	struct store *store = NULL;
	int rc = argc == 2 ? store_open(&store, argv[1], NULL) : 1;

	for (int kind = 0; kind < 4; kind++)
		for (uint32_t bytes = 1; bytes <= 8; bytes *= 2)
			for (int big = 0; big <= (bytes > 1) && !rc; big++)
				rc = put(store, kind, bytes, big);
	if (rc)
		fprintf(stderr, "%s\n", err_text());
	store_close(store);
	return rc != 0;
}
