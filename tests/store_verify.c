/*
 * Verify: says nothing about a sound store, also while it is being written, and one true sentence for each kind of
 * damage.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/log.h"
#include "store/store_internal.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"

enum { CHUNKS = 40, LEN = 3000 };

static char path[600], pack[700];
static struct key keys[CHUNKS];

static struct store *opened(const char *at, unsigned flags)
{
	struct store_options options = { .cache_bytes = 256 << 10, .threads = 2, .flags = flags };
	struct store *store = NULL;

	CHECK_RC(store_open(&store, at, &options));
	if (!store)
		exit(check_done());
	return store;
}

static int put(struct store *store, uint64_t seed, struct key *key)
{
	uint8_t bytes[LEN];

	random_fill(bytes, sizeof bytes, seed);
	return store_put(store, NULL, 0, bytes, sizeof bytes, key);
}

struct heard {
	const char *word; /* that one sentence must hold */
	bool found;
};

static void hear(void *ctx, const char *sentence)
{
	struct heard *heard = ctx;

	CHECK(strncmp(sentence, "pack 0", 6) == 0);
	if (heard->word && strstr(sentence, heard->word))
		heard->found = true;
}

/* word NULL: nothing may be wrong. */
static struct store_verify verified(const char *word)
{
	struct store *store = opened(path, STORE_READ_ONLY);
	struct heard heard = { .word = word };
	struct store_verify counts;

	CHECK_RC(store_verify(store, hear, &heard, &counts));
	CHECK(word ? heard.found && counts.damaged > 0 : counts.damaged == 0);
	store_close(store);
	return counts;
}

static void flip(off_t at)
{
	struct stat st;
	uint8_t byte;
	int fd = open(pack, O_RDWR | O_CLOEXEC);

	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	at += at < 0 ? st.st_size : 0;
	CHECK(pread(fd, &byte, 1, at) == 1);
	byte ^= 4;
	CHECK(pwrite(fd, &byte, 1, at) == 1);
	close(fd);
}

static void test_sound(void)
{
	struct store *store;
	struct store_verify counts;

	CHECK_RC(store_create(path));
	verified(NULL); /* an empty one */
	store = opened(path, 0);
	for (size_t i = 0; i < CHUNKS; i++)
		CHECK_RC(put(store, i, &keys[i]));
	snprintf(pack, sizeof pack, "%s/packs/%010u-0000000001.pack", path, (unsigned)store_epoch(store));
	store_close(store);
	counts = verified(NULL);
	CHECK(counts.packs == 1 && counts.chunks == CHUNKS && counts.plain_bytes == (uint64_t)CHUNKS * LEN);
}

/* Every part of a pack has its sentence, and the store opens and reads what is not damaged all the same. */
static void test_sentences(void)
{
	static const struct {
		off_t at; /* negative: from the end */
		const char *word;
	} parts[] = {
		{ 0, "header" },
		{ 8, "header" },
		{ 20, "header" },
		{ 150, "header" },
		{ PACK_HEADER_BYTES - 1, "header" },
		{ PACK_HEADER_BYTES + 1, "no whole record" },
		{ PACK_HEADER_BYTES + 30, "no whole record" },
		{ PACK_HEADER_BYTES + PACK_HEAD_BYTES + 9, "do not match their check" },
		{ -1, "trailer" },
		{ -PACK_TRAILER_BYTES, "trailer" },
		{ -PACK_TRAILER_BYTES - 1, "footer" },
		{ -PACK_TRAILER_BYTES - CHUNKS * PACK_ENTRY_BYTES - 2, "footer" },
	};

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		struct store *store;
		uint8_t got[LEN];

		flip(parts[i].at);
		verified(parts[i].word);
		store = opened(path, STORE_READ_ONLY);
		for (size_t k = 1; k < CHUNKS; k++)
			CHECK_RC(store_read(store, &keys[k], LEN, 0, got, LEN));
		store_close(store);
		flip(parts[i].at);
	}
	verified(NULL);
}

/* The newest pack may be one that is being written, or was when its writer died: a torn tail there is no damage, but a
 * record that is not whole in front of others is. */
static void test_torn_newest(void)
{
	struct stat st;

	CHECK(stat(pack, &st) == 0);
	CHECK(truncate(pack, st.st_size - PACK_TRAILER_BYTES - CHUNKS * PACK_ENTRY_BYTES - PACK_HEAD_BYTES - 700) == 0);
	CHECK(verified(NULL).chunks == CHUNKS - 1);
	flip(PACK_HEADER_BYTES + PACK_HEAD_BYTES + 9);
	CHECK(verified("do not match their check").chunks == CHUNKS - 2);
	flip(PACK_HEADER_BYTES + PACK_HEAD_BYTES + 9);
}

static void test_foreign_and_renamed(const char *dir)
{
	char other[650], foreign[800], moved[700];
	struct store *store;
	struct key key;
	uint8_t got[LEN];

	snprintf(other, sizeof other, "%s/other", dir);
	CHECK_RC(store_create(other));
	store = opened(other, 0);
	CHECK_RC(put(store, 99, &key));
	store_close(store);
	snprintf(foreign, sizeof foreign, "%s/packs/0000000001-0000000001.pack", other);
	snprintf(moved, sizeof moved, "%s/packs/0000000001-0000000007.pack", path);
	CHECK(rename(foreign, moved) == 0);
	verified("another store");
	store = opened(path, 0); /* it is left out, and left alone */
	CHECK_RC(store_read(store, &keys[3], LEN, 0, got, LEN));
	CHECK(!store_has(store, &key));
	store_close(store);
	CHECK(unlink(moved) == 0);
	CHECK(rename(pack, moved) == 0);
	verified("renamed");
	store = opened(path, STORE_READ_ONLY);
	CHECK_RC(store_read(store, &keys[3], LEN, 0, got, LEN));
	store_close(store);
	CHECK(rename(moved, pack) == 0);
	verified(NULL);
}

/* A pack whose writer is gone and which is not whole at its end is damage once a later writer has been there. */
static void test_cut_later(void)
{
	struct stat st;
	struct store *store;

	store = opened(path, 0); /* notes a later epoch */
	store_close(store);
	CHECK(stat(pack, &st) == 0);
	CHECK(truncate(pack, st.st_size - 200) == 0);
	verified("not sealed");
	store = opened(path, 0); /* cuts and seals it */
	store_close(store);
	verified(NULL);
}

/* Records that are whole but whose bytes are not those of their key, among many in one pack, which several workers share. */
static void test_wrong_keys(const char *dir)
{
	enum { MANY = 1200, EVERY = 100 };
	struct store_verify counts;
	char other[650];
	struct heard heard = { .word = "the decoded bytes do not match the key" };
	struct store *store;

	snprintf(other, sizeof other, "%s/many", dir);
	CHECK_RC(store_create(other));
	store = opened(other, 0);
	for (uint64_t i = 0; i < MANY; i++) {
		struct pack_head head = { .kind = PACK_CHUNK, .version = 1, .plain_len = LEN, .stored_len = LEN };
		struct directory_entry entry;
		uint8_t bytes[LEN];

		random_fill(bytes, sizeof bytes, i);
		head.key = key_of(store->settings.secret, bytes, LEN);
		bytes[7] ^= i % EVERY == 3;
		CHECK_RC(store_append(store, &head, bytes, &entry));
	}
	CHECK_RC(store_sync(store));
	CHECK_RC(store_verify(store, hear, &heard, &counts));
	CHECK(heard.found && counts.damaged == MANY / EVERY && counts.chunks == MANY && counts.packs == 1);
	CHECK(counts.plain_bytes == (uint64_t)MANY * LEN);
	store_close(store);
}

struct watch {
	uint64_t done, all, calls;
};

static void watch(void *ctx, uint64_t done, uint64_t all)
{
	struct watch *w = ctx;

	CHECK(done >= w->done && done <= all);
	*w = (struct watch) { done, all, w->calls + 1 };
}

/* Who watches sees all bytes pass by. */
static void test_progress(void)
{
	struct store *store = opened(path, STORE_READ_ONLY);
	struct store_verify counts;
	struct watch seen = { 0 };

	store_watch_verify(store, watch, &seen);
	CHECK_RC(store_verify(store, NULL, NULL, &counts));
	CHECK(seen.calls > 0 && seen.done == seen.all && seen.all > counts.plain_bytes);
	store_close(store);
}

struct writer {
	struct store *store;
	bool done; /* atomic */
};

static void *write_on(void *arg)
{
	struct writer *w = arg;

	for (uint64_t i = 0; i < 600; i++) {
		struct key key;

		CHECK_RC(put(w->store, 1000 + i, &key));
		if (i % 16 == 0)
			CHECK_RC(store_sync(w->store));
	}
	__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* From outside, while packs grow and are sealed. */
static void test_beside_a_writer(void)
{
	struct writer w = { .store = opened(path, 0) };
	struct store_verify counts;
	pthread_t thread;
	int rounds = 0;

	w.store->seal_bytes = 100 << 10;
	CHECK(pthread_create(&thread, NULL, write_on, &w) == 0);
	do
		verified(NULL);
	while (!__atomic_load_n(&w.done, __ATOMIC_ACQUIRE) && ++rounds < 1000);
	pthread_join(thread, NULL);
	CHECK_RC(store_sync(w.store));
	CHECK_RC(store_verify(w.store, NULL, NULL, &counts)); /* from inside */
	CHECK(counts.damaged == 0 && counts.chunks >= 600);
	store_close(w.store);
	verified(NULL);
}

int main(void)
{
	const char *dir = check_tmpdir();

	log_set_level(LOG_ERROR);
	snprintf(path, sizeof path, "%s/store", dir);
	test_sound();
	test_sentences();
	test_torn_newest(); /* before a later writer comes */
	test_foreign_and_renamed(dir);
	test_cut_later();
	test_wrong_keys(dir);
	test_progress();
	test_beside_a_writer();
	return check_done();
}
