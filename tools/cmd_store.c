/* Commands that open a store themselves: init, verify, rebuild. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "fs/mount.h"
#include "fs/verify.h"
#include "index/catalog.h"
#include "store/err.h"
#include "store/journal.h"
#include "store/scope.h"
#include "store/settings_words.h"
#include "tools/command.h"

int cmd_init(const struct invocation *in)
{
	if (in->options && mount_options_check(in->options))
		return fail_err(), EXIT_USAGE;
	if (store_create(in->args[0]) || (in->options && settings_words_write(in->args[0], in->options)))
		return fail_err();
	if (in->json)
		puts("{\"made\": true}");
	else
		printf("Made the store %s. Mount it with: tomofs mount %s MNT\n", in->args[0], in->args[0]);
	return EXIT_FINE;
}

/* A line that is written over and over, on a terminal only. */
struct bar {
	bool shown;
	double begun, drawn; /* seconds */
};

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void bar_draw(void *ctx, uint64_t done, uint64_t all)
{
	struct bar *bar = ctx;
	double now = seconds();

	if (!all || now - bar->drawn < 0.2)
		return;
	bar->drawn = now;
	bar->shown = true;
	fprintf(stderr, "\r%3.0f %% of %.1f GB, %.0f MB/s \033[K", 100 * (double)done / (double)all, (double)all / 1e9,
		(double)done / 1e6 / (now - bar->begun + 1e-3));
}

static void bar_clear(struct bar *bar)
{
	if (bar->shown)
		fputs("\r\033[K", stderr);
	bar->shown = false;
}

struct damage {
	bool json;
	struct bar bar;
	json_t *sentences, *hurt, *datasets; /* with --json; datasets: name to bytes, also without */
};

/* Names are any bytes; JSON wants UTF-8. */
static json_t *json_of(const char *text)
{
	json_t *value = json_string(text);
	scope_buf struct buf plain = { 0 };

	for (const char *at = text; !value && *at; at++)
		buf_printf(&plain, (uint8_t)*at < 0x80 ? "%c" : "\\x%02x", (uint8_t)*at);
	return value ? value : json_string(buf_text(&plain));
}

/* One at a time, and never at the same time as bar_draw(). */
static void print_damage(void *ctx, const char *sentence)
{
	struct damage *d = ctx;

	bar_clear(&d->bar);
	if (d->json)
		json_array_append_new(d->sentences, json_of(sentence));
	else
		printf("damaged: %s\n", sentence);
}

static void print_hurt(void *ctx, const struct verify_hurt *h)
{
	struct damage *d = ctx;

	bar_clear(&d->bar);
	if (*h->dataset) {
		json_t *name = json_of(h->dataset);

		json_object_set_new(d->datasets, json_string_value(name), json_true());
		json_decref(name);
	}
	if (d->json)
		json_array_append_new(d->hurt,
				      json_pack("{s:o, s:o, s:I, s:I, s:o}", "path", json_of(h->path), "dataset", json_of(h->dataset),
						"from", (json_int_t)h->from, "to", (json_int_t)h->to, "why", json_of(h->why)));
	else
		printf("hurt: datasets/%s: bytes %" PRIu64 " to %" PRIu64 ": %s\n", h->path, h->from, h->to - 1, h->why);
}

static void draw_progress(void *ctx, uint64_t done, uint64_t all)
{
	struct damage *d = ctx;

	bar_draw(&d->bar, done, all);
}

static bool is_whole(const struct verify_counts *c, int rc)
{
	return !rc && !c->damaged && !c->files_hurt && !c->old_hurt;
}

static void print_json(struct damage *d, const struct verify_counts *c, int rc)
{
	json_t *all = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:O, s:O}", "whole",
				is_whole(c, rc), "packs", (json_int_t)c->store.packs, "chunks", (json_int_t)c->store.chunks,
				"plain_bytes", (json_int_t)c->store.plain_bytes, "journal_records", (json_int_t)c->records,
				"damaged", (json_int_t)c->damaged, "index_checked", c->index_checked, "index_rows",
				(json_int_t)c->rows, "files_checked", c->named, "files", (json_int_t)c->files, "files_hurt",
				(json_int_t)c->files_hurt, "bytes_hurt", (json_int_t)c->bytes_hurt, "datasets",
				(json_int_t)c->datasets, "datasets_hurt", (json_int_t)c->datasets_hurt, "old_versions_hurt",
				(json_int_t)c->old_hurt, "damage", d->sentences, "hurt", d->hurt);

	json_dumpf(all, stdout, 0);
	putchar('\n');
	json_decref(all);
}

static void print_text(struct damage *d, const struct verify_counts *c, int rc)
{
	const char *name;
	json_t *value;

	json_object_foreach(d->datasets, name, value)
		printf("hurt dataset: %s\n", name);
	printf("%" PRIu64 " packs, %" PRIu64 " chunks (%.1f MB decoded), %" PRIu64 " journal records", c->store.packs, c->store.chunks,
	       (double)c->store.plain_bytes / 1e6, c->records);
	if (c->index_checked)
		printf(", %" PRIu64 " rows of the index", c->rows);
	if (c->named)
		printf(", %" PRIu64 " files in %" PRIu64 " datasets", c->files, c->datasets);
	if (is_whole(c, rc)) {
		puts(": all whole");
		return;
	}
	puts(": DAMAGED");
	if (c->named)
		printf("%" PRIu64 " of %" PRIu64 " files are hurt (%" PRIu64 " bytes cannot be read), in %" PRIu64 " of %" PRIu64
		       " datasets; all others are whole.\n",
		       c->files_hurt, c->files, c->bytes_hurt, c->datasets_hurt, c->datasets);
	else
		puts("Which files are hurt is not known: neither the index nor the journal could be read to its end.");
	if (c->old_hurt)
		printf("%" PRIu64 " previous versions or removed files are hurt.\n", c->old_hurt);
	puts("`tomofs repair` keeps what is whole; files that are copied into the mount again become whole again.");
}

int cmd_verify(const struct invocation *in)
{
	struct damage damage = { .json = in->json, .bar.begun = seconds() };
	struct verify_listener listener = { .damaged = print_damage, .hurt = print_hurt, .ctx = &damage };
	struct verify_counts counts;
	int rc;

	damage.sentences = json_array();
	damage.hurt = json_array();
	damage.datasets = json_object();
	if (isatty(STDERR_FILENO))
		listener.progress = draw_progress;
	rc = fs_verify(in->args[0], &listener, &counts);
	bar_clear(&damage.bar);
	if (rc)
		fail_err();
	if (in->json)
		print_json(&damage, &counts, rc);
	else
		print_text(&damage, &counts, rc);
	json_decref(damage.sentences);
	json_decref(damage.hurt);
	json_decref(damage.datasets);
	return is_whole(&counts, rc) ? EXIT_FINE : EXIT_NO;
}

int cmd_rebuild(const struct invocation *in)
{
	struct store_options options = { 0 };
	struct journal *journal = NULL;
	struct store *store = NULL;
	uint64_t records = 0;
	int rc = store_open(&store, in->args[0], &options);

	if (!rc)
		rc = journal_open(&journal, store);
	if (!rc)
		rc = catalog_rebuild(store, journal, &records);
	if (rc)
		fail_err();
	else if (in->json)
		printf("{\"records\": %" PRIu64 "}\n", records);
	else
		printf("The index was made anew from %" PRIu64 " journal records.\n", records);
	journal_close(journal);
	store_close(store);
	return rc ? EXIT_NO : EXIT_FINE;
}
