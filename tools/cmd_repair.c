#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include "fs/repair.h"
#include "tools/command.h"

struct report {
	bool json;
};

static void print_said(void *ctx, const char *sentence)
{
	const struct report *r = ctx;

	fprintf(r->json ? stderr : stdout, "%s\n", sentence);
}

static void print_hurt(void *ctx, const struct verify_hurt *h)
{
	const struct report *r = ctx;

	fprintf(r->json ? stderr : stdout, "missing: datasets/%s: bytes %" PRIu64 " to %" PRIu64 ": %s\n", h->path, h->from, h->to - 1,
		h->why);
}

static void print_json(const struct repair_counts *c, bool whole)
{
	json_t *all = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:I}", "whole", whole, "packs_salvaged",
				(json_int_t)c->packs.packs, "packs_left", (json_int_t)c->packs.left, "chunks_salvaged",
				(json_int_t)c->packs.chunks, "journal_records", (json_int_t)c->records, "journal_records_lost",
				(json_int_t)c->records_lost, "index_made", c->index_made, "chunks_taken",
				(json_int_t)c->chunks_taken, "files_hurt", (json_int_t)c->left.files_hurt, "bytes_hurt",
				(json_int_t)c->left.bytes_hurt, "old_versions_hurt", (json_int_t)c->left.old_hurt);

	json_dumpf(all, stdout, 0);
	putchar('\n');
	json_decref(all);
}

static void print_text(const struct repair_counts *c, bool whole)
{
	if (c->chunks_taken)
		printf("%" PRIu64 " missing chunks were taken from the files that were offered.\n", c->chunks_taken);
	if (whole) {
		puts("The store is whole.");
		return;
	}
	if (c->packs.left)
		printf("%" PRIu64 " damaged packs could not be salvaged now.\n", c->packs.left);
	if (c->records_lost)
		printf("%" PRIu64 " changes in the journal are lost.\n", c->records_lost);
	if (c->left.files_hurt)
		printf("%" PRIu64 " of %" PRIu64 " files miss %" PRIu64 " bytes. To heal them: tomofs repair STORE --from FOLDER, or copy "
		       "them into the mount again.\n",
		       c->left.files_hurt, c->left.files, c->left.bytes_hurt);
	if (c->left.old_hurt)
		printf("%" PRIu64 " previous versions or removed files cannot be read.\n", c->left.old_hurt);
}

int cmd_repair(const struct invocation *in)
{
	struct report report = { .json = in->json };
	struct repair_listener listener = { .say = print_said, .hurt = print_hurt, .ctx = &report };
	struct repair_counts counts;
	bool whole;

	if (fs_repair(in->args[0], in->args + 1, &listener, &counts))
		return fail_err();
	whole = !counts.packs.left && !counts.records_lost && !counts.left.damaged && !counts.left.files_hurt && !counts.left.old_hurt;
	if (in->json)
		print_json(&counts, whole);
	else
		print_text(&counts, whole);
	return whole ? EXIT_FINE : EXIT_NO;
}
