/* Commands that open a store themselves: init, verify, rebuild. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "index/catalog.h"
#include "store/err.h"
#include "store/journal.h"
#include "tools/command.h"

int cmd_init(const struct invocation *in)
{
	if (store_create(in->args[0]))
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
	uint64_t count;
	struct bar bar;
};

/* One at a time, and never at the same time as bar_draw(). */
static void print_damage(void *ctx, const char *sentence)
{
	struct damage *d = ctx;

	d->count++;
	bar_clear(&d->bar);
	fprintf(d->json ? stderr : stdout, "damaged: %s\n", sentence);
}

static int verify_journal(struct store *store, struct damage *damage, uint64_t *records)
{
	struct journal *journal = NULL;
	int rc = journal_open(&journal, store);

	if (!rc)
		rc = journal_verify(journal, print_damage, damage, records);
	journal_close(journal);
	return rc;
}

int cmd_verify(const struct invocation *in)
{
	struct store_options options = { .flags = STORE_READ_ONLY };
	struct damage damage = { .json = in->json };
	struct store_verify counts = { 0 };
	struct store *store = NULL;
	uint64_t records = 0;
	int rc = store_open(&store, in->args[0], &options);

	if (rc)
		return fail_err();
	damage.bar.begun = seconds();
	if (isatty(STDERR_FILENO))
		store_watch_verify(store, bar_draw, &damage.bar);
	rc = store_verify(store, print_damage, &damage, &counts);
	bar_clear(&damage.bar);
	if (rc)
		fail_err();
	/* A journal that does not open is damage that must be named, and no reason not to have looked at the packs. */
	if (verify_journal(store, &damage, &records))
		print_damage(&damage, err_text());
	store_close(store);
	if (in->json)
		printf("{\"packs\": %" PRIu64 ", \"chunks\": %" PRIu64 ", \"plain_bytes\": %" PRIu64
		       ", \"journal_records\": %" PRIu64 ", \"damaged\": %" PRIu64 "}\n",
		       counts.packs, counts.chunks, counts.plain_bytes, records, damage.count);
	else
		printf("%" PRIu64 " packs, %" PRIu64 " chunks (%.1f MB decoded), %" PRIu64 " journal records: %s\n", counts.packs,
		       counts.chunks, (double)counts.plain_bytes / 1e6, records, damage.count || rc ? "DAMAGED" : "all whole");
	return damage.count || rc ? EXIT_NO : EXIT_FINE;
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
