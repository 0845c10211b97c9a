#include "fs/verify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/catalog_aside.h"
#include "store/err.h"
#include "store/journal.h"
#include "store/lock.h"
#include "store/scope.h"
#include "store/settings.h"

struct run {
	const struct verify_listener *listener;
	struct verify_counts *counts;
	struct store *store;
	struct journal *journal; /* NULL: it cannot be opened */
};

static void tell(void *ctx, const char *sentence)
{
	struct run *run = ctx;

	run->counts->damaged++;
	run->listener->damaged(run->listener->ctx, sentence);
}

/* As who writes reads them: who only reads is content with less. */
static int check_settings(struct run *run)
{
	scope_free char *path = NULL;
	struct settings settings;

	if (asprintf(&path, "%s/tomofs.json", store_path(run->store)) < 0)
		return err_set(ENOMEM, "no memory for a path");
	if (settings_read(store_io(run->store), path, false, &settings))
		tell(run, err_text());
	return 0;
}

static void check_journal(struct run *run)
{
	int rc = journal_open(&run->journal, run->store);

	if (!rc)
		rc = journal_verify(run->journal, tell, run, &run->counts->records);
	if (rc)
		tell(run, err_text());
}

/* 0 or -errno; -EIO was told. */
static int go_through(struct run *run, struct catalog *catalog)
{
	return verify_files(run->store, catalog, journal_last(run->journal), run->listener, run->counts);
}

/* The store's own index, with the lock held. False: names must come from elsewhere. *rc: could not look. */
static bool check_index(struct run *run, int *rc)
{
	uint64_t damaged = run->counts->damaged;
	struct catalog *catalog = NULL;

	*rc = catalog_open_as_is(&catalog, run->store, run->journal);
	if (*rc == -EIO)
		tell(run, err_text());
	if (*rc) {
		if (*rc == -EIO || *rc == -ENOENT || *rc == -ESTALE)
			*rc = 0;
		return false;
	}
	*rc = catalog_check_rows(catalog, tell, run, &run->counts->rows);
	run->counts->index_checked = !*rc;
	if (!*rc && run->counts->damaged == damaged)
		*rc = go_through(run, catalog);
	catalog_drop(catalog);
	return run->counts->named;
}

static void remove_aside(const char *dir)
{
	static const char *const names[] = { "index/data.mdb", "index/lock.mdb", "index", "" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		scope_free char *path = NULL;

		if (asprintf(&path, "%s/%s", dir, names[i]) >= 0)
			remove(path);
	}
}

static int go_through_replayed(struct run *run)
{
	const char *tmp = getenv("TMPDIR");
	scope_free char *dir = NULL, *index = NULL;
	struct catalog *catalog = NULL;
	int rc;

	if (asprintf(&dir, "%s/tomofs-verify.XXXXXX", tmp && *tmp ? tmp : "/var/tmp") < 0)
		return err_set(ENOMEM, "no memory for a path");
	if (!mkdtemp(dir))
		return err_sys("%s: cannot be made, to replay the journal into it", dir);
	if (asprintf(&index, "%s/index", dir) < 0)
		rc = err_set(ENOMEM, "no memory for a path");
	else
		rc = catalog_open_replayed(&catalog, run->store, run->journal, index);
	if (!rc)
		rc = go_through(run, catalog);
	else if (rc == -EIO)
		tell(run, err_text());
	catalog_drop(catalog);
	remove_aside(dir);
	return rc == -EIO ? 0 : rc;
}

static int check_names(struct run *run)
{
	bool done = false;
	int fd = -1, rc = 0;

	if (!run->journal)
		return 0;
	if (!lock_take(store_path(run->store), &fd)) {
		done = check_index(run, &rc);
		lock_release(fd);
	}
	return done || rc ? rc : go_through_replayed(run);
}

int fs_verify(const char *path, const struct verify_listener *listener, struct verify_counts *counts)
{
	struct store_options options = { .flags = STORE_READ_ONLY };
	struct run run = { .listener = listener, .counts = counts };
	int rc;

	*counts = (struct verify_counts) { 0 };
	rc = store_open(&run.store, path, &options);
	if (rc)
		return rc;
	if (listener->progress)
		store_watch_verify(run.store, listener->progress, listener->ctx);
	rc = check_settings(&run);
	if (!rc)
		rc = store_verify(run.store, tell, &run, &counts->store);
	check_journal(&run); /* also when the packs could not be looked at */
	if (!rc)
		rc = check_names(&run);
	journal_close(run.journal);
	store_close(run.store);
	return rc;
}
