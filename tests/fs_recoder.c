/* What a person asks for is done, also while others read; a halt ends it; closing does not wait for it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/recoder.h"
#include "store/log.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"

enum { CHUNKS = 300, LEN = 20000 };

static struct store *filled(const char *path)
{
	static uint8_t bytes[LEN];
	struct store *store = NULL;
	struct key key;

	CHECK_RC(store_create(path));
	CHECK_RC(store_open(&store, path, NULL));
	for (size_t i = 0; store && i < CHUNKS; i++) {
		random_fill(bytes, LEN, i);
		for (size_t k = 0; k < LEN; k++)
			bytes[k] &= 15;
		CHECK_RC(store_put(store, NULL, 0, bytes, LEN, &key));
	}
	return store;
}

static bool is_done(struct recoder *r, struct recoder_state *s)
{
	recoder_state(r, s);
	return !s->running && !s->asked;
}

static void wait_for_it(struct recoder *r, struct recoder_state *s)
{
	for (int i = 0; i < 6000 && !is_done(r, s); i++) {
		recoder_touch(r);
		usleep(10000);
	}
	CHECK(is_done(r, s));
}

int main(void)
{
	struct recoder_state state;
	struct store *store;
	struct recoder *r = NULL;
	char path[600];

	log_set_level(LOG_ERROR);
	snprintf(path, sizeof path, "%s/store", check_tmpdir());
	store = filled(path);
	CHECK_RC(recoder_new(&r, store, RECODER_NEVER));
	recoder_state(r, &state);
	CHECK(!state.running && !state.asked && !state.chunks);
	recoder_ask(r);
	recoder_halt(r);
	wait_for_it(r, &state);
	recoder_ask(r);
	wait_for_it(r, &state);
	CHECK(state.chunks >= CHUNKS && !*state.error && state.packs && state.bytes_after <= state.bytes_before);
	CHECK(state.done == state.all);
	recoder_ask(r);
	recoder_free(r);
	recoder_touch(NULL);
	recoder_free(NULL);
	store_close(store);
	return check_done();
}
