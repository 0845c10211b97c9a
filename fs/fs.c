#include "fs/fs.h"

#include <errno.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "fs/access.h"
#include "fs/arrival.h"
#include "fs/collector.h"
#include "fs/file.h"
#include "fs/history.h"
#include "fs/layout_hint.h"
#include "fs/node_search.h"
#include "fs/protect.h"
#include "fs/recoder.h"
#include "fs/view/levels.h"
#include "fs/volumes.h"
#include "store/err.h"

enum { SETTLE_SECONDS = 60, DIRTY_BYTES = 64 << 20 };

/* A quarter of the memory, at most 2 GiB. */
static size_t default_budget(void)
{
	struct sysinfo info;
	size_t max = (size_t)2 << 30, quarter;

	if (sysinfo(&info))
		return max / 4;
	quarter = (size_t)info.totalram * info.mem_unit / 4;
	return quarter < max ? quarter : max;
}

static void forget_lost(void *ctx, uint64_t ino)
{
	struct fs *fs = ctx;

	if (fs->forget_node)
		fs->forget_node(fs, ino);
}

/* The budget is for decoded chunks (three quarters) and computed bands of views. What is on its way into the store has its own. */
static int open_parts(struct fs *fs, const struct fs_options *options)
{
	struct store_options so = { .cache_bytes = fs->cache_bytes / 4 * 3, .lock = options->lock,
				    .flags = options->read_only ? STORE_READ_ONLY | STORE_KEEP_WRITERS_OUT : 0 };
	int rc = store_open(&fs->store, options->store, &so);

	if (!rc)
		rc = journal_open(&fs->journal, fs->store);
	if (!rc)
		rc = catalog_open(&fs->catalog, fs->store, fs->journal);
	if (!rc)
		rc = files_new(&fs->files, fs->store, fs->catalog, DIRTY_BYTES);
	if (rc)
		return rc;
	fs->hints = layout_hints_new(fs->catalog, fs->files);
	files_use_hints(fs->files, fs->hints); /* without memory: NULL, and none are given */
	fs->levels = levels_new(fs->cache_bytes / 4);
	fs->volumes = volumes_new(fs);
	fs->searches = searches_new();
	fs->access = access_memo_new();
	if (!fs->levels || !fs->volumes || !fs->searches || !fs->access)
		return err_set(ENOMEM, "no memory to open the store");
	rc = history_new(&fs->history, fs);
	if (!rc)
		rc = protect_new(&fs->protect, fs, options->protect_ready);
	if (!rc)
		rc = recoder_new(&fs->recoder, fs->store, options->dense_after ? options->dense_after : RECODER_AFTER_SECONDS);
	if (!rc)
		rc = arrival_new(&fs->arrival, fs); /* whose thread asks the recoder how quiet it is */
	if (!rc)
		rc = collector_new(&fs->collector, fs, options->keep, options->keep_min);
	if (!rc)
		files_on_close(fs->files, arrival_closed, arrival_written, fs->arrival);
	files_on_lost(fs->files, forget_lost, fs);
	return rc;
}

int fs_open(struct fs **out, const struct fs_options *options)
{
	struct fs *fs = calloc(1, sizeof *fs);
	int rc;

	if (!fs)
		return err_set(ENOMEM, "no memory");
	fs->cache_bytes = options->cache_bytes ? options->cache_bytes : default_budget();
	fs->settle_seconds = options->settle_seconds ? options->settle_seconds : SETTLE_SECONDS;
	fs->mounted_ns = now_ns();
	rc = open_parts(fs, options);
	if (rc) {
		scope_free char *text = strdup(err_text());

		fs_close(fs);
		return err_set(-rc, "%s", text ? text : "");
	}
	*out = fs;
	return 0;
}

int fs_close(struct fs *fs)
{
	int rc, rc2;

	if (!fs)
		return 0;
	collector_free(fs->collector);
	rc = fs->files ? files_stop(fs->files) : 0;
	arrival_free(fs->arrival);
	recoder_free(fs->recoder);
	volumes_free(fs->volumes);
	levels_free(fs->levels);
	rc2 = files_free(fs->files);
	layout_hints_free(fs->hints);
	rc = rc ? rc : rc2;
	rc2 = catalog_close(fs->catalog);
	rc = rc ? rc : rc2;
	journal_close(fs->journal);
	store_close(fs->store);
	searches_free(fs->searches);
	history_free(fs->history);
	protect_free(fs->protect);
	access_memo_free(fs->access);
	free(fs);
	return rc;
}
