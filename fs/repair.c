#include "fs/repair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "index/catalog_aside.h"
#include "index/catalog_mend.h"
#include "store/err.h"
#include "store/journal.h"

struct job {
	const struct repair_listener *listener;
	struct repair_counts *counts;
	struct store *store;
	struct journal *journal;
	struct catalog *catalog;
	struct offers *offers;
	uint64_t damaged; /* sentences of the part at hand */
};

static void tell(void *ctx, const char *sentence)
{
	struct job *job = ctx;

	job->damaged++;
	job->listener->say(job->listener->ctx, sentence);
}

static void say(struct job *job, const char *sentence)
{
	job->listener->say(job->listener->ctx, sentence);
}

/* ---- packs ---- */

static int repair_packs(struct job *job)
{
	struct store_verify counts;
	int rc = store_verify(job->store, tell, job, &counts);

	return rc ? rc : store_salvage(job->store, job->listener->say, job->listener->ctx, &job->counts->packs);
}

/* ---- journal and index ---- */

/* Is the journal whole, and does the index not know more than it says? 1, 0 or -errno. */
static int journal_is_whole(struct job *job)
{
	uint64_t records, seq = 0;
	int rc;

	job->damaged = 0;
	rc = journal_open(&job->journal, job->store);
	if (!rc)
		rc = journal_verify(job->journal, tell, job, &records);
	if (rc == -EIO) {
		tell(job, err_text());
		return 0;
	}
	if (rc || job->damaged)
		return rc;
	if (!catalog_noted_seq(job->store, &seq) && seq > journal_last(job->journal)) {
		tell(job, "the journal ends before the last record that the index knows: its end is missing");
		return 0;
	}
	return 1;
}

static int repair_journal(struct job *job)
{
	struct mend_counts mended = { 0 };
	int rc = journal_is_whole(job);

	if (rc)
		return rc < 0 ? rc : 0;
	journal_close(job->journal);
	job->journal = NULL;
	rc = catalog_mend(job->store, job->listener->say, job->listener->ctx, &mended);
	if (rc)
		return rc;
	job->counts->records = mended.records;
	job->counts->records_lost = mended.lost;
	return journal_open(&job->journal, job->store);
}

/* 1: it can be used as it is. */
static int index_is_whole(struct job *job)
{
	uint64_t rows;
	int rc;

	job->damaged = 0;
	rc = catalog_open_as_is(&job->catalog, job->store, job->journal);
	if (!rc)
		rc = catalog_check_rows(job->catalog, tell, job, &rows);
	else if (rc == -EIO || rc == -ENOENT || rc == -ESTALE)
		tell(job, err_text()), rc = 0;
	catalog_drop(job->catalog);
	job->catalog = NULL;
	return rc ? rc : !job->damaged;
}

static int repair_index(struct job *job)
{
	scope_free char *to = NULL;
	uint64_t records = 0;
	int rc = index_is_whole(job);

	if (rc)
		return rc < 0 ? rc : 0;
	rc = store_quarantine(job->store, "index", &to);
	if (rc == -ENOENT)
		rc = 0;
	if (!rc)
		rc = catalog_rebuild(job->store, job->journal, &records);
	if (rc)
		return rc;
	job->counts->index_made = true;
	say(job, "the index was made anew from the journal");
	return 0;
}

/* ---- files ---- */

static void on_hurt(void *ctx, const struct verify_hurt *hurt)
{
	struct job *job = ctx;

	if (job->listener->hurt)
		job->listener->hurt(job->listener->ctx, hurt);
}

static int on_missing(void *ctx, uint64_t ino, uint64_t size, uint64_t off, const struct key *key, size_t len)
{
	struct job *job = ctx;
	scope_free char *path = NULL;
	const char *name = "";
	int rc;

	if (ino && !catalog_path(job->catalog, ino, &path))
		name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	rc = offers_take(job->offers, name, size, off, key, len);
	job->counts->chunks_taken += rc == 1;
	return rc;
}

static int repair_files(struct job *job, char *const *offered)
{
	struct verify_listener listener = { .damaged = tell, .hurt = on_hurt, .ctx = job };
	struct store_verify counts;
	int rc = offers_new(&job->offers, job->store, offered);

	if (offered && *offered)
		listener.missing = on_missing;
	if (!rc)
		rc = catalog_open_as_is(&job->catalog, job->store, job->journal);
	if (!rc && job->counts->packs.packs + job->counts->packs.left) /* what is suspect now? */
		rc = store_verify(job->store, NULL, NULL, &counts);
	if (!rc)
		rc = verify_files(job->store, job->catalog, journal_last(job->journal), &listener, &job->counts->left);
	if (!rc)
		rc = store_sync(job->store);
	catalog_drop(job->catalog);
	job->catalog = NULL;
	return rc;
}

int fs_repair(const char *path, char *const *offered, const struct repair_listener *listener, struct repair_counts *counts)
{
	struct job job = { .listener = listener, .counts = counts };
	int rc;

	*counts = (struct repair_counts) { 0 };
	rc = store_open(&job.store, path, NULL);
	if (rc)
		return rc;
	rc = repair_packs(&job);
	if (!rc)
		rc = repair_journal(&job);
	if (!rc)
		rc = repair_index(&job);
	if (!rc)
		rc = repair_files(&job, offered);
	offers_free(job.offers);
	journal_close(job.journal);
	store_close(job.store);
	return rc;
}
