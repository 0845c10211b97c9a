/* gc: the room of what is not kept any more: by a mount's daemon, or in a store that is not mounted. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/collector.h"
#include "fs/recoder.h"
#include "store/err.h"
#include "store/gc.h"
#include "tools/where.h"

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

struct outcome {
	uint64_t packs, packs_left, chunks, garbage, freed, stored_before, stored_after;
	bool stopped;
};

static void print_outcome(const struct invocation *in, const struct outcome *o)
{
	if (in->json) {
		printf("{\"packs\": %" PRIu64 ", \"packs_left\": %" PRIu64 ", \"chunks\": %" PRIu64 ", \"garbage_bytes\": %" PRIu64
		       ", \"freed_bytes\": %" PRIu64 ", \"stored_bytes_before\": %" PRIu64 ", \"stored_bytes_after\": %" PRIu64
		       ", \"stopped\": %s}\n",
		       o->packs, o->packs_left, o->chunks, o->garbage, o->freed, o->stored_before, o->stored_after,
		       o->stopped ? "true" : "false");
		return;
	}
	printf("%.1f MB given back in %" PRIu64 " packs; %.1f MB are stored now, %.1f MB were\n", (double)o->freed / 1e6, o->packs,
	       (double)o->stored_after / 1e6, (double)o->stored_before / 1e6);
	if (o->packs_left)
		printf("%" PRIu64 " packs with garbage stay: they are damaged (see tomofs verify), or their data came again\n",
		       o->packs_left);
	if (o->stopped)
		puts("stopped before the end; what is done stays done");
}

/* ---- a store ---- */

static bool must_stop(void *ctx)
{
	(void)ctx;
	return interrupted;
}

static int gc_store(const struct invocation *in, struct outcome *o)
{
	struct fs_options options = { .store = in->args[0], .dense_after = RECODER_NEVER, .keep = KEEP_FOREVER };
	struct store_gc_options how = { .stop = must_stop };
	struct store_gc_result result = { 0 };
	struct store_stats stats;
	struct fs *fs;
	int rc = fs_open(&fs, &options), rc2;

	if (rc)
		return fail_err();
	store_stats(fs->store, &stats);
	o->stored_before = stats.stored_bytes;
	rc = collector_run(fs, in->expire ? 0 : KEEP_DEFAULT_SECONDS, &how, &result);
	if (rc)
		fail_err();
	store_stats(fs->store, &stats);
	*o = (struct outcome){ result.packs, result.packs_left, result.chunks, result.garbage_bytes, result.freed_bytes,
			       o->stored_before, stats.stored_bytes, result.stopped };
	rc2 = fs_close(fs);
	if (rc2)
		fail_err();
	return rc || rc2 || result.packs_left ? EXIT_NO : EXIT_FINE;
}

/* ---- a mount ---- */

static int tell(const char *mount, const char *word)
{
	char path[PATH_MAX];
	size_t len = strlen(word);
	int fd, status = EXIT_FINE;

	snprintf(path, sizeof path, "%s/.tomofs/gc", mount);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 || write(fd, word, len) != (ssize_t)len)
		status = fail("%s: %s", path, strerror(errno));
	if (fd >= 0 && close(fd) && status == EXIT_FINE)
		status = fail("%s: %s", path, strerror(errno));
	return status;
}

static json_t *ask(const char *mount, const char *name)
{
	char path[PATH_MAX];
	json_error_t error;
	json_t *json;

	snprintf(path, sizeof path, "%s/.tomofs/%s", mount, name);
	json = json_load_file(path, 0, &error);
	if (!json)
		fail("%s: %s", path, error.text);
	return json;
}

static uint64_t number(const json_t *json, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(json, key));
}

static uint64_t stored(const char *mount)
{
	json_t *status = ask(mount, "status.json");
	uint64_t bytes = number(status, "stored_bytes");

	json_decref(status);
	return bytes;
}

/* Watches until the daemon is done. The last state, or NULL after saying why. */
static json_t *watch(const char *mount, bool *stopped)
{
	bool held_said = false;
	json_t *state;

	while ((state = ask(mount, "gc"))) {
		if (!json_is_true(json_object_get(state, "asked")) && !json_is_true(json_object_get(state, "running")))
			break;
		if (json_is_true(json_object_get(state, "held")) && !held_said)
			fputs("a copy of the store is being made; waiting for its end\n", stderr);
		held_said = held_said || json_is_true(json_object_get(state, "held"));
		if (interrupted && !*stopped) {
			*stopped = true;
			tell(mount, "stop");
		}
		json_decref(state);
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	return state;
}

static int gc_mount(const struct invocation *in, const char *mount, struct outcome *o)
{
	json_t *before = ask(mount, "gc"), *after;
	const char *error;
	int status = EXIT_FINE;

	if (!before)
		return EXIT_NO;
	o->stored_before = stored(mount);
	after = tell(mount, in->expire ? "expire" : "now") == EXIT_FINE ? watch(mount, &o->stopped) : NULL;
	if (after) {
		o->packs = number(after, "packs") - number(before, "packs");
		o->packs_left = number(after, "packs_left");
		o->chunks = number(after, "chunks") - number(before, "chunks");
		o->freed = number(after, "freed_bytes") - number(before, "freed_bytes");
		o->garbage = number(after, "garbage_bytes");
		o->stored_after = stored(mount);
		error = json_string_value(json_object_get(after, "error"));
		if (error && *error)
			status = fail("%s", error);
		if (o->packs_left)
			status = EXIT_NO;
	}
	json_decref(before);
	json_decref(after);
	return after ? status : EXIT_NO;
}

int cmd_gc(const struct invocation *in)
{
	char path[PATH_MAX], *mount = NULL;
	struct outcome outcome = { 0 };
	int status;

	catch_signals();
	if (in->count && snprintf(path, sizeof path, "%s/tomofs.json", in->args[0]) < (int)sizeof path && !access(path, F_OK)) {
		status = gc_store(in, &outcome);
	} else {
		struct invocation at = *in;

		if (in->count)
			at.mount = in->args[0];
		mount = where_mount(&at);
		status = mount ? gc_mount(in, mount, &outcome) : EXIT_NO;
	}
	free(mount);
	if (outcome.packs_left || status == EXIT_FINE)
		print_outcome(in, &outcome);
	return status;
}
