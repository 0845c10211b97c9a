/* densify: data at rest coded anew, smaller: by a mount's daemon, or in a store that is not mounted. */
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

#include "store/err.h"
#include "store/store.h"
#include "tools/where.h"

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* Until then, ending it by a signal would be right at any time too; but so what is done is counted and told. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct progress {
	double begun, drawn; /* seconds */
};

static void draw(void *ctx, uint64_t done, uint64_t all)
{
	struct progress *p = ctx;
	double now = seconds();

	if (!all || now - p->drawn < 0.2 || !isatty(STDERR_FILENO))
		return;
	p->drawn = now;
	fprintf(stderr, "\r%3.0f %% of %.1f GB, %.0f MB/s \033[K", 100 * (double)done / (double)all, (double)all / 1e9,
		(double)done / 1e6 / (now - p->begun + 1e-3));
}

static void clear(const struct progress *p)
{
	if (p->drawn > 0)
		fputs("\r\033[K", stderr);
}

struct outcome {
	uint64_t packs, packs_left, packs_dense, chunks, before, after;
	uint64_t store_before, store_after; /* all that is stored */
	bool stopped;
};

static void print_outcome(const struct invocation *in, const struct outcome *o)
{
	double gain = o->before ? 100 - 100 * (double)o->after / (double)o->before : 0;

	if (in->json) {
		printf("{\"packs\": %" PRIu64 ", \"packs_left\": %" PRIu64 ", \"packs_dense\": %" PRIu64
		       ", \"chunks\": %" PRIu64 ", \"bytes_before\": %" PRIu64
		       ", \"bytes_after\": %" PRIu64 ", \"stored_bytes_before\": %" PRIu64 ", \"stored_bytes_after\": %" PRIu64
		       ", \"stopped\": %s}\n",
		       o->packs, o->packs_left, o->packs_dense, o->chunks, o->before, o->after, o->store_before, o->store_after,
		       o->stopped ? "true" : "false");
		return;
	}
	printf("%" PRIu64 " chunks coded anew: %.1f MB became %.1f MB (%.1f %% less); %.1f MB are stored now, %.1f MB were\n",
	       o->chunks, (double)o->before / 1e6, (double)o->after / 1e6, gain, (double)o->store_after / 1e6,
	       (double)o->store_before / 1e6);
	if (o->packs_left)
		printf("%" PRIu64 " packs stay as they are, with damage in them: see tomofs verify\n", o->packs_left);
	if (o->packs_dense)
		printf("%" PRIu64 " packs were coded so already; their chunks were not read (tomofs verify does)\n", o->packs_dense);
	if (o->stopped)
		puts("stopped before the end; what is done stays done");
}

/* ---- a store ---- */

static bool must_stop(void *ctx)
{
	(void)ctx;
	return interrupted;
}

/* Closing removes the packs of what is finished, so it is asked afterwards. */
static uint64_t stored_now(const char *path)
{
	struct store_options options = { .flags = STORE_READ_ONLY };
	struct store_stats stats;
	struct store *store;

	if (store_open(&store, path, &options)) {
		fail_err();
		return 0;
	}
	store_stats(store, &stats);
	store_close(store);
	return stats.stored_bytes;
}

static int densify_store(const char *path, struct outcome *o)
{
	struct store_options options = { .flags = 0 };
	struct progress progress = { .begun = seconds() };
	struct store_recode_options how = { .stop = must_stop, .progress = draw, .ctx = &progress };
	struct store_recode_result result;
	struct store_stats stats;
	struct store *store;
	int rc = store_open(&store, path, &options);

	if (rc)
		return fail_err();
	store_stats(store, &stats);
	o->store_before = stats.stored_bytes;
	rc = store_recode(store, &how, &result);
	clear(&progress);
	if (rc)
		fail_err();
	store_close(store);
	*o = (struct outcome){ result.packs, result.packs_left, result.packs_dense, result.chunks, result.bytes_before, result.bytes_after,
			       o->store_before, stored_now(path), result.stopped };
	return rc || result.packs_left ? EXIT_NO : EXIT_FINE;
}

/* ---- a mount ---- */

static int tell(const char *mount, const char *word)
{
	char path[PATH_MAX];
	size_t len = strlen(word);
	int fd, status = EXIT_FINE;

	snprintf(path, sizeof path, "%s/.tomofs/densify", mount);
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
	struct progress progress = { .begun = seconds() };
	json_t *state;

	while ((state = ask(mount, "densify"))) {
		if (!json_is_true(json_object_get(state, "asked")) && !json_is_true(json_object_get(state, "running")))
			break;
		if (interrupted && !*stopped) {
			*stopped = true;
			tell(mount, "stop");
		}
		draw(&progress, number(state, "done_bytes"), number(state, "all_bytes"));
		json_decref(state);
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	clear(&progress);
	return state;
}

static int densify_mount(const char *mount, struct outcome *o)
{
	json_t *before = ask(mount, "densify"), *after;
	const char *error;
	int status = EXIT_FINE;

	if (!before)
		return EXIT_NO;
	o->store_before = stored(mount);
	after = tell(mount, "now") == EXIT_FINE ? watch(mount, &o->stopped) : NULL;
	if (after) {
		o->packs = number(after, "packs") - number(before, "packs");
		o->packs_left = number(after, "packs_left") - number(before, "packs_left");
		o->packs_dense = number(after, "packs_dense");
		o->chunks = number(after, "chunks") - number(before, "chunks");
		o->before = number(after, "bytes_before") - number(before, "bytes_before");
		o->after = number(after, "bytes_after") - number(before, "bytes_after");
		o->store_after = stored(mount);
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

int cmd_densify(const struct invocation *in)
{
	char path[PATH_MAX], *mount = NULL;
	struct outcome outcome = { 0 };
	int status;

	catch_signals();
	if (in->count && snprintf(path, sizeof path, "%s/tomofs.json", in->args[0]) < (int)sizeof path && !access(path, F_OK)) {
		status = densify_store(in->args[0], &outcome);
	} else {
		struct invocation at = *in;

		if (in->count)
			at.mount = in->args[0];
		mount = where_mount(&at);
		status = mount ? densify_mount(mount, &outcome) : EXIT_NO;
	}
	free(mount);
	if (outcome.store_after || outcome.packs_left || status == EXIT_FINE)
		print_outcome(in, &outcome);
	return status;
}
